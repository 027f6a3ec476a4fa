"""Numbers as people write them: phones of many countries, cards and accounts in any grouping; and what is none."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text import StreamMasker, mask, scan

pytestmark = pytest.mark.usefixtures("engine")

ABROAD = """
+49 30 12345678 | +49 (0)30 12345678 | +49-171-1234567 | 0049 30 12345678 | +33 6 12 34 56 78 | +33(0)612345678 | +34 612 345 678
+39 333 1234567 | +31 6 12345678 | +48 501 234 567 | +46 70 123 45 67 | +55 (11) 91234-5678 | +81 90-1234-5678 | +86 138 1234 5678
+91 98765 43210 | +61 412 345 678 | +7 (495) 123-45-67 | +52 1 55 1234 5678 | +82 10-1234-5678 | +90 532 123 45 67 | +1.4155552671
+44 (0)20 7946 0958 | 0044 20 7946 0958 | +353 86 123 4567 | +972 50-123-4567 | +62 812-3456-7890 | +380 50 123 45 67 | +45 12 34 56 78
"""
ALONE = """
1-800-555-2671 | 1 (415) 555-2671 | (415)555-2671 | 415-555-2671 | 415.555.2671 | (415) 555-2671 ext. 5 | 415-555-2671, ext. 9
06 12 34 56 78 | 06.12.34.56.78 | 07700 900123 | 020 7946 0958 | 0161 496 0000 | 0412 345 678 | (02) 1234 5678 | 090-1234-5678
03-1234-5678 | 010-1234-5678 | (11) 91234-5678 | 8 (495) 123-45-67 | 8-912-345-67-89
"""
NAMED = """
Phone: 030 12345678 | Tel. 030/1234567 | Tel.: (030) 123 45 67 | Handy 0171 1234567 | ruf an: 0171 12 34 567 | Telefonnummer 01711234567
tel: 0612345678 | mon portable: 06-12-34-56-78 | teléfono: 612 345 678 | móvil 612 34 56 78 | llámame al 612345678 | Tfno. 912345678
cell. 333 1234567 | chiamami al 3331234567 | telefoon: 06-12345678 | bel 020-1234567 | tel. 22 123 45 67 | kom. 501-234-567
telefon 08-123 456 78 | tfn 031-12 34 56 | celular: 11 91234-5678 | fone: 11 2345-6789 | 電話 03-1234-5678 | 携帯: 090-1234-5678
电话 010-12345678 | 手机号：13812345678 | mobile: 9876543210 | contact no. 98765 43210 | Mob 0412345678 | телефон 8 (495) 123-45-67
моб: 89123456789 | тел: 123-45-67 | cel. 55 12 34 56 78 | 휴대폰: 010-1234-5678 | 연락처 01012345678 | gsm 05321234567 | no hp 081234567890
điện thoại: 0912345678 | โทร 081-234-5678 | נייד 0501234567 | نقال 0501234567 | फ़ोन 9876543210 | τηλέφωνο 210 1234567 | puh. 040 1234567
call me at 4155552671 | my number is 415 555 2671 | Phone # 415-555-2671 | Phone #4155552671 | phone: 555-2671 | contact_phone,4155552671
"""
NOT = """
order 4155552671 | invoice 0301234567 | 1,234,567.89 | 3.14159265 | 1234567890 | 100-200-300 | 2019-2020-2021 | pages 123-4567
$4155552671 | version 10.15.7.1 | lot 12-345-6789 | 4 155 552 671 rows | 10-20-30-40 | 1-2-3-4-5-6-7 | 555-1234-5678-9 | 12 345 678 km
0.12 0.34 0.56 0.78 | 10 20 30 40 50 | port 8080 8081 8082 | 2020 2021 2022 2023 | 999-999-9999 items | call 12345678 returned
called 1234567 times | called with 1234567 and 7654321 | ring 0 to 1234567 | reached 1234567 users | the so-called ISO-10646-1 font
broken method call in 2.8.0 (2015-10-05) | 352275361 + 2571353 | x * 31 + 2531011 | 3.14 + 2.71828 | '+35236450.6' | + 2.10541401273885
tel: ５５５１２３４５６７ | phone ٥٥٥١٢٣٤٥٦٧
"""


def entries(text):
    return [entry.strip() for line in text.strip().splitlines() for entry in line.split("|")]


def found(text):
    return [(f.label, text[f.start : f.end]) for f in scan(text)]


@pytest.mark.parametrize("number", entries(ABROAD) + entries(ALONE))
@pytest.mark.parametrize("around", ["{}", "It is {}, ok", "a\t{}\tb", "{};x", '"{}"'])
def test_a_number_of_an_unmistakable_form_needs_no_word(number, around):
    assert found(around.format(number)) == [("pii.phone", number)]


@pytest.mark.parametrize("text", entries(NAMED))
def test_a_local_number_is_found_behind_a_word_of_many_languages(text):
    ((label, value),) = found(text)
    assert label == "pii.phone"
    assert re.sub(r"\D", "", value) == re.sub(r"\D", "", text)


@pytest.mark.parametrize("text", entries(NOT))
def test_other_digits_are_no_number_to_be_dialled(text):
    assert "pii.phone" not in {label for label, _ in found(text)}


@pytest.mark.parametrize(
    "text",
    [
        "homephone: 5551234",
        "leadphone=5551234",
        "guestMobile 91234567",
        "Privattelefon 5551234",
        "my iPhone: phone 5551234",
        "smartphone or telephone 5551234",
    ],
)
def test_a_compound_for_a_phone_announces_a_number(text):
    assert [label for label, _ in found(text)] == ["pii.phone"]


@pytest.mark.parametrize(
    "word", ["iPhone", "IPHONE", "smartphone", "SmartPhone", "microphone", "saxophone", "headphone", "francophone"]
)
def test_what_only_sounds_like_a_phone_announces_nothing(word):
    assert found(f"{word} 1234567") == found(f"{word}: 123 4567") == []
    assert found(f"the automobile 1234567, a snowmobile and a {word} 5551234") == []


@pytest.mark.parametrize(
    "text",
    [
        "(iPhone; CPU iPhone OS 17_4) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4",
        "Chrome/119.0.6045.193 Mobile Safari/537.36",
        "(Linux; Android 13; phone) SamsungBrowser/23.0.1.1045 Chrome/115.0.5790.166",
        "mobile CriOS/119.0.6045.109 Mobile/15E148",
        "phone: okhttp/4.12.0.123456",
    ],
)
def test_what_stands_behind_a_name_and_a_slash_is_its_version(text):
    assert found(text) == []


def test_a_number_may_stand_behind_a_slash_all_the_same():
    assert found("Phone/030.123.4567") == [("pii.phone", "030.123.4567")]
    assert found("fax/tel/22.1234.5678") == [("pii.phone", "22.1234.5678")]
    assert found("call us/415.555.2671 or Tel/555 1234") == [("pii.phone", "415.555.2671"), ("pii.phone", "555 1234")]


@pytest.mark.parametrize(
    "text",
    [
        '{"mobile": 482913, "desktop": 129032}',
        '"phones": 1234567',
        "mobile users: 91234567",
        "mobile sessions 12345678",
        "cell 1048576",
        "phones sold: 12345678",
        "phone visits: 1234567",
        "call stack depth 100000000",
        "calls/sec: 1234567890",
        "1200000 home visits",
        "123456789 direct hits",
        "1048576 office",
        "12345678 mobile clicks",
        "488245288 /home",
        "1200000 (home visits)",
    ],
)
def test_how_many_there_are_is_no_number_to_be_dialled(text):
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Call for proposals 2024-2025",
        "contact us for the season 2019/2020",
        "mobile sales 2023/24",
        "phone sales 2021, 2022 (2022-2023)",
        "phones 2021 2022 2023",
        "2023-2024 home season",
        "calls 2018\u20132019",
    ],
)
def test_years_in_their_order_are_no_number_to_be_dialled(text):
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"phone": 5551234}',
        "phone: 5551234",
        '{"mobile": "5551234"}',
        "mobile: 91234567",
        "mobile: 555 1234",
        "cell 4155552671",
        "phone 2024-1985",
        "Tel. 2034-5678",
        "contact sales: 4155552671",
        "5551234 (home)",
        "5551234 (home phone)",
        "4155552671 (office hours only)",
        "415 5552671, office",
        "4155552671 mobile",
        "4155552671 work.",
        "4155552671 cell phone",
        "4155552671 home number",
        "555 1234-fax",
    ],
)
def test_a_number_is_one_beside_such_words_too(text):
    assert [label for label, _ in found(text)] == ["pii.phone"]


def test_a_word_behind_a_number_counts_as_it_does_where_what_follows_was_masked():
    for follows in ("jane@example.com", "078-05-1120", "and more", "visits"):
        text = f"4155552671 home {follows}"
        stream = StreamMasker()
        assert mask(mask(text)) == mask(text) == "".join(map(stream.feed, text)) + stream.finish()


# ---- cards ----

SEPARATORS = [" ", "-", ".", "/", "  ", "\u00a0", "\u2011", "\u202f"]


def with_check_digit(digits):
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 if at % 2 else 2)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


@given(st.sampled_from(["4", "51", "2221", "6011", "65", "3528", "62", "2200", "8600", "9704"]), st.data())
def test_a_card_is_found_however_its_groups_are_separated(prefix, data):
    rest = data.draw(st.text(alphabet="0123456789", min_size=15 - len(prefix), max_size=15 - len(prefix)))
    card = with_check_digit(prefix + rest)
    separator = data.draw(st.sampled_from(SEPARATORS))
    text = separator.join(card[at : at + 4] for at in range(0, 16, 4))
    assert found(f"pay {text} now") == [("pii.card", text)]
    assert found(f"pay {card} now") == [("pii.card", card)]


@pytest.mark.parametrize(
    "text",
    [
        "card no 4111 111111 111111",
        "card 41111111 11111111",
        "card 9999 9999 9999 9995",
        "cc 4111/1111/1111/1111",
        "card #4111111111111111",
    ],
)
def test_a_word_about_cards_makes_any_grouping_and_any_issuer_one(text):
    assert [label for label, _ in found(text)] == ["pii.card"]


def test_a_magnetic_stripe_holds_a_card():
    assert found("%B4111111111111111^DOE/JANE^26121010000?")[0] == ("pii.card", "4111111111111111")
    assert found(";4111111111111111=26121010000?") == [("pii.card", "4111111111111111")]


# ---- accounts, social security, addresses ----


@pytest.mark.parametrize("separator", ["", " ", "-", ".", "  ", "\u00a0", "\u202f"])
@pytest.mark.parametrize("number", ["GB29NWBK60161331926819", "de89370400440532013000", "FR1420041010050500013M02606"])
def test_an_account_is_found_however_its_groups_are_separated(number, separator):
    text = separator.join(number[at : at + 4] for at in range(0, len(number), 4))
    assert found(f"to {text}, today") == [("pii.iban", text)]


@pytest.mark.parametrize(
    "text", ["078-05-1120", "078\u201105\u20111120", "ssn 078 05 1120", "social security 078.05.1120", "SSN#078051120"]
)
def test_a_social_security_number_is_found_in_its_forms(text):
    assert [label for label, _ in found(text)] == ["pii.us_ssn"]


@pytest.mark.parametrize(
    "address",
    [
        "jane@пример.рф",
        "jane@例子.中国",
        "jane@उदाहरण.भारत",
        "jane%40example.com",
        "jane(at)example.com",
        "jane[at]example[dot]com",
        "jane@xn--bcher-kva.example",
    ],
)
def test_an_address_is_found_in_other_scripts_and_disguises(address):
    assert found(f"mail {address} now") == [("pii.email", address)]


def test_two_numbers_in_pairs_beside_one_another_are_both_found():
    assert mask("01 23 45 67 89 01 23 45 67 89") == "[PHONE] [PHONE]"
    assert mask("drawn: 03 11 19 28 40 44 49") == "drawn: 03 11 19 28 40 44 49"


def test_a_table_of_fours_holds_no_card_and_a_table_of_pairs_no_phone():
    for text in (
        "5ADB 62FD 639C 6798 7369 7768 7796 7E44 7FF3",
        "2593 2502\n 2524 2561 2562 2556 2555 2563\n 2551 2557",
        "81 81 01 01 01 01 01\n 10 10 10",
        "0065 0302 0304 ; [.2007.0021.0002]",
    ):
        assert mask(text) == text
    cards = [
        "4111 1111 1111 1111",
        "5555 5555 5555 4444",
        "4012 8888 8888 1881",
        "6011 1111 1111 1117",
        "3530 1113 3330 0000",
    ]
    for between in (" ", "\n", "  "):
        assert mask(between.join(cards)) == between.join(["[CARD]"] * 5)
    assert mask("id 1042 4111 1111 1111 1111 0527") == "id 1042 [CARD] 0527"
    assert mask("tel. 12 34 01 23 45 67 89") == "tel. [PHONE]"


def test_a_bracket_behind_digits_makes_no_groups_of_them():
    assert mask("call(read, 1048576)") == "call(read, 1048576)"
    assert mask("call 555-1234)") == "call [PHONE])"


@pytest.mark.parametrize(
    "other", ["415-555-2671 x123", "(415) 555-2671", "01 23 45 67 89", "020 7946 0958", "912-78-1234"]
)
@pytest.mark.parametrize("between", [" ", "\u00a0", ") "])
def test_a_number_of_a_country_ends_where_another_begins_behind_a_space(other, between):
    for number in ("+44 20 7946 0958", "+1 (415) 555-2671", "+14155552671"):
        masked = mask(f"{number}{between}{other} ")
        assert masked.startswith("[PHONE]") and masked.endswith("] ") and not re.search("[0-9]", masked)


@pytest.mark.parametrize(
    "text", ["+1 234 567 890 123 456", "+12 345 678 901 234 567", "balance +9 999 999 999 999 999"]
)
def test_groups_of_a_large_amount_are_no_two_numbers(text):
    assert mask(text) == text
