"""Signs that are not ASCII, where they stand in a value or behind it."""

from itertools import pairwise
from unicodedata import category

from hypothesis import given
from hypothesis import strategies as st

from guardai.text.judging.signs import beginnings

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
