"""FF1, and the mask that is made of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text.masks.fpe import FF1, preserved

KEY = b"k" * 32

# NIST's sample key and values for FF1, https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values
SAMPLE = bytes.fromhex("2B7E1516 28AED2A6 ABF71588 09CF4F3C EF4359D8 D580AA4F 7F036D6F 04FC6A94")
NONE, TEN, ELEVEN = b"", bytes.fromhex("39383736353433323130"), bytes.fromhex("3737373770717273373737")


@pytest.mark.parametrize(
    ("bits", "radix", "tweak", "text", "made"),
    [
        (128, 10, NONE, "0123456789", "2433477484"),
        (128, 10, TEN, "0123456789", "6124200773"),
        (128, 36, ELEVEN, "0123456789abcdefghi", "a9tv40mll9kdu509eum"),
        (192, 10, NONE, "0123456789", "2830668132"),
        (192, 10, TEN, "0123456789", "2496655549"),
        (192, 36, ELEVEN, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"),
        (256, 10, NONE, "0123456789", "6657667009"),
        (256, 10, TEN, "0123456789", "1001623463"),
        (256, 36, ELEVEN, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
    ],
)
def test_ff1_gives_what_nist_says(bits, radix, tweak, text, made):
    assert FF1(SAMPLE[: bits // 8], radix).encrypt(text, tweak) == made


@pytest.mark.parametrize("text", ["", "1", "12345"])
def test_a_domain_of_less_than_a_million_is_refused(text):
    with pytest.raises(ValueError, match="too few"):
        FF1(KEY).encrypt(text)


@given(st.sets(st.text("0123456789", min_size=6, max_size=6), min_size=2, max_size=60))
def test_no_two_numbers_become_the_same(numbers):
    assert len({FF1(KEY).encrypt(number) for number in numbers}) == len(numbers)


@given(st.text("0123456789", min_size=6, max_size=60))
def test_length_and_alphabet_are_kept(number):
    made = FF1(KEY).encrypt(number)
    assert len(made) == len(number)
    assert made.isdecimal()


def shape(value):
    return "".join("0" if c.isdecimal() else c for c in value)


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("pii.phone", "+1 (415) 555-2671"),
        ("pii.phone", "415-555-2671 x123"),
        ("pii.us_ssn", "278-05-1120"),
        ("pii.nl_bsn", "123456782"),
        ("pii.es_dni", "12345678Z"),
        ("dataset.number", "1.234.567,89"),
        ("pii.card", "5555-5555-5555-4444"),
    ],
)
def test_everything_but_the_digits_stays_where_it_is(label, value):
    made = preserved(label, value, KEY)
    assert made != value
    assert shape(made) == shape(value)
    assert made == preserved(label, value, KEY)
    assert made != preserved(label, value, b"other" * 6)


def test_leading_zeros_stay_and_no_other_comes():
    for at in range(60):
        made = preserved("pii.phone", f"0049 30 {1_234_567 + at}", KEY)
        assert made.startswith("00")
        assert made[2] != "0"
        assert preserved("x.id", str(100_000 + at), KEY)[0] != "0"


def luhn(digits):
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(map(int, odd)) + sum(sum(divmod(2 * int(d), 10)) for d in even)) % 10 == 0


@given(st.text("0123456789", min_size=16, max_size=19))
def test_a_card_keeps_its_bank_its_end_and_whether_its_check_digit_is_right(digits):
    made = preserved("pii.card", digits, KEY)
    assert (made[:6], made[-4:], len(made)) == (digits[:6], digits[-4:], len(digits))
    assert luhn(made) == luhn(digits)


def test_cards_of_one_bank_and_end_do_not_collide():
    cards = [f"411111{middle:06d}1111" for middle in range(300)]
    assert len({preserved("pii.card", card, KEY) for card in cards}) == len(cards)


def test_a_kind_of_its_own_gets_digits_of_its_own():
    assert preserved("pii.us_ssn", "278051120", KEY) != preserved("pii.nl_bsn", "278051120", KEY)


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("pii.phone", "12345"),
        ("pii.phone", "000012345"),
        ("pii.card", "378282246310005"),  # five digits between bank and end
        ("pii.email", "jane1234567@example.com"),
        ("pii.it_codice", "RSSMRA85T10A562S"),
        ("pii.phone", "٠١٢٣٤٥٦٧٨٩"),
        ("secret.pin", "1234567890"),
        ("x.y", "1" * 65),
        ("x.y", ""),
    ],
)
def test_what_would_say_too_much_is_not_made(label, value):
    assert preserved(label, value, KEY) is None
