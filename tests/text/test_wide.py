"""Spaces and signs that are not ASCII, where they end a value or may."""

from unicodedata import category

from hypothesis import given
from hypothesis import strategies as st

from guardai.text.judging.wide import beginning, narrow, sight

SPACES = [chr(code) for code in range(0x80, 0x110000) if chr(code).isspace()]
TEXTS = st.text(st.sampled_from([*SPACES, *"a7# \n\u00fc\u5bc6\u3001\u20ac\u2014\u00c2\u1681\U0001f600"]))


def test_every_space_of_unicode_is_seen_as_one_of_ascii():
    for code in (*range(0xD800), *range(0xE000, 0x110000)):
        seen = narrow(chr(code).encode())
        assert seen in (b" ", b"\n") if chr(code) in SPACES else seen == chr(code).encode()


@given(TEXTS, TEXTS)
def test_what_is_seen_has_as_many_characters_and_each_is_told_by_its_place(before, text):
    raw = (before + text).encode()
    low, at = 0, len(before.encode())
    seen = sight(raw, low, at, len(raw))
    if seen is None:
        assert not any(space in before + text for space in SPACES)
        return
    shown = seen.data.decode()
    assert len(shown) == len(before + text)
    for count in range(len(text) + 1):
        place = len(shown[: len(before) + count].encode())
        assert seen.place(place) == len((before + text[:count]).encode())


@given(st.text())
def test_the_beginning_of_a_value_ends_at_its_first_sign_that_is_of_no_script(text):
    first = beginning(text.encode()).decode()
    assert text.startswith(first)
    assert all(c.isascii() or c in "\u2022\u2026" or category(c)[0] in "LMN" for c in first)


def test_half_a_character_ends_the_beginning_of_a_value():
    assert beginning(b"Qz#7\xe3\x80") == b"Qz#7"
    assert beginning("Qz#7\u00fc".encode()) == b""
    assert beginning("\u3002Qz#7".encode()) == b""
