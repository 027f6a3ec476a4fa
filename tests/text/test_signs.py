"""Signs that are not ASCII, where they stand in a value or behind it."""

import re
from itertools import pairwise
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.text import StreamMasker, mask, mask_payload
from guardai.text.judging.signs import SIGN, beginnings, spoken

TEXTS = st.text(st.sampled_from("aZ7#.\u00fc\u5bc6\u3002\u201c\u2014\u200b\ufeff\u2026\U0001f600"))


def asked(text):
    return [part.decode() for part in beginnings(text.encode("utf-8", "surrogatepass"))]


def is_sign(character):
    return not character.isascii() and category(character)[0] not in "LMN"


def test_what_stands_before_each_sign_is_asked_of_without_what_is_not_seen():
    assert asked("“Qz#7”。example") == ["Qz#7", "Qz#7”。example"]
    assert asked("Qz—#7。x") == ["Qz", "Qz—#7"]
    assert asked("Q\u200bz#7。x") == ["Q", "Qz#7", "Qz#7。x"]
    assert asked("\ufeffQz#7") == ["Qz#7"]
    assert asked("Qz#7") == asked("Grün7#Haus") == asked("密码7#x") == asked("。") == asked("") == []


def test_what_begins_with_what_was_left_out_of_it_begins_nowhere_else():
    assert asked("••••1234") == []
    assert asked("“••••1234”") == ["••••1234", "••••1234”"]


def test_half_a_character_is_a_sign():
    assert next(beginnings(b"Qz#7\xe3\x80")) == b"Qz#7"


@given(st.one_of(TEXTS, st.text(st.characters(exclude_categories=["Cs"]))))
def test_a_value_is_asked_of_at_most_nine_times_each_time_from_its_first_letter_on(text):
    parts = asked(text)
    assert len(parts) <= 9
    seen = "".join(character for character in text if category(character) != "Cf")
    for part in parts:
        assert part in seen and part != text
        assert not is_sign(part[0]) or part[0] in "\u2022\u2026"
    assert all(len(one) < len(other) for one, other in pairwise(parts))


def test_every_sign_of_unicode_begins_as_one():
    begins = re.compile(SIGN.encode())
    every = map(chr, (*range(0x80, 0xD800), *range(0xE000, 0x110000)))
    assert not [
        f"U+{ord(one):04X}"
        for one in every
        if is_sign(one) and category(one) not in ("Cn", "Co") and not begins.match(one.encode())
    ]


#: `password`, and letters that the word has not, in scripts in wide use.
WORDS = [
    "größe", "obtenerContraseña", "motDePasseŒuvre", "hasłoŻółć", "şifreĞığ", "κωδικόςΆΈΏ", "введитеЁЄї", "գաղտնաբառ", "სიტყვა", "סיסמה",
    "كلمةالمرور", "رمزگچپ", "पासवर्ड", "পাসওয়ার্ড", "கடவுச்சொல்", "పాస్వర్డ్", "രഹസ്യവാക്ക്", "รหัสผ่าน", "စကားဝှက်", "የይለፍቃል", "mậtKhẩu", "请输入密码",
    "色々", "パスワードー", "ぱすわーど", "비밀번호",
]  # fmt: skip


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("word", WORDS)
def test_a_call_is_one_in_any_script(word):
    assert not any(is_sign(letter) for letter in word)
    assert re.search(SIGN.encode(), word.encode()) is None
    for text in (
        f"password=self.{word}1(x)",
        f"pwd={word}2(req)",
        f"password：{word}3({word})",
        f"secret = {word}4[0]",
    ):
        assert mask(text) == text


def test_a_key_behind_nothing_but_a_space_ends_at_a_letter_that_is_not_ascii():
    key = "aB3dE5gH7jK9" + "mN1pQ2sT4vW6yZ8"
    for text in (f"API token {key}是密钥", f"api-token {key}для"):
        assert key not in mask(text)


def test_of_a_text_that_is_spoken_signs_are_spaces_and_nothing_else_is():
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    assert spoken(every.encode()).decode() == "".join(" " if is_sign(one) else one for one in every)
    assert spoken("☎tel".encode(), "☎") == " ☎ tel".encode()
    assert spoken("Grö".encode()[:-1] + b"x") == b"Gr x"  # half a character


#: In whatever way a sign stands beside a word: ahead of it, between it and the value, and both.
BESIDE = [
    "\u200b",
    "\u00ad",
    "\u2060",
    "\ufeff",
    "→",
    "•",
    "✓",
    "；",
    "＝",
    "（",
    "“",
    "«",
    "「",
    "│",
    "☆",
    "¿",
    "€",
    "،",
    "\U0001f600",
]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("sign", BESIDE, ids=ascii)
@pytest.mark.parametrize(
    ("word", "value", "label"),
    [
        ("phone", "5551234567", "PHONE"), ("SSN", "123456789", "US_SSN"), ("BIC", "DEUTDEFF500", "BIC"),
        ("debit card", "676770000005", "CARD"), ("dob", "1980-03-12", "DOB"), ("телефон", "5551234567", "PHONE"),
    ],
)  # fmt: skip
def test_a_word_announces_a_value_whatever_sign_stands_beside_it(sign, word, value, label):
    for text in (f"{sign}{word}: V", f"{word}{sign} V", f"{sign}{word}{sign} V", f"a {word} {sign} V"):
        whole = text.replace("V", value)
        assert mask(whole) == text.replace("V", f"[{label}]")
        masker = StreamMasker()
        assert "".join(map(masker.feed, whole)) + masker.finish() == mask(whole)
    for name in (f"{sign}{word}", f"{word}{sign}"):
        assert mask_payload({name: value, "x": "1"}) == {name: f"[{label}]", "x": "1"}


@pytest.mark.usefixtures("engine")
def test_a_sign_is_a_word_where_a_pack_says_so():
    for text in ("☎5551234567", "📞\ufe0f 5551234567", "☎：5551234567", "zz☎5551234567"):
        assert mask(text) == text.replace("5551234567", "[PHONE]")
    assert mask("★5551234567") == "★5551234567"


@pytest.mark.usefixtures("engine")
def test_a_date_of_birth_is_known_by_its_abbreviation_behind_a_sign_and_not_behind_a_letter():
    for before in ("", "“", "«", "—", "№", "(", "Иван — "):
        for word in ("д.р.", "Д.Р."):
            assert mask(f"{before}{word} 12.03.1980") == f"{before}{word} [DOB]"
    assert mask("сад.р. 12.03.1980") == "сад.р. 12.03.1980"


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("letters", ["Grün7#Haus", "Straße9!kQ", "密码7#xQ", "Пароль7#x"])
@pytest.mark.parametrize("behind", ["。f(x)", "—(see below)", "“(neu)", "…(x)", "。a[0]", "—${X}"])
def test_a_sign_counts_behind_letters_of_any_script(letters, behind):
    """What stands behind it may be another text, and says nothing of the value."""
    assert letters not in mask(f"password: {letters}{behind}")
    assert letters not in mask(f"DB_PASS={letters}{behind}")
