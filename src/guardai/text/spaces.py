r"""Spaces that are wider or narrower than ASCII's, and the ends of lines that are not its line feed.

Engines and the expressions of detectors are over bytes, and their `\s` knows ASCII's spaces alone. So a text is looked
through with a space of ASCII for every other, and with a line feed for every other end of a line (`View` of `escapes.py`):
whatever is found behind, before or between ASCII's spaces is found so with any.

These are the characters that Unicode calls White_Space. What has no width is none of them: it is a sign (`judging/signs.py`),
and U+00AD, U+2060 and U+FEFF are seen as U+200B, which numbers may have between their digits and names at their end.

Nothing more is known of such a space than of ASCII's: what is not found behind a space or in a string that begins with one is
not found there either, and a password that somebody made with one ends at it, in a text. What recognisers of names see has its
own spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["even", "narrow", "spaces", "wide"]

#: U+200B.
_NOTHING: Final = b"\xe2\x80\x8b"
#: By their first bytes, because a single byte is looked for in next to no time: that, what finds them, how many bytes each
#: has, and what is seen.
_KINDS: Final = tuple(
    (first, re.compile(expression), size, seen)
    for first, expression, size, seen in (
        (0xC2, rb"\xc2\xa0", 2, b" "),
        (0xC2, rb"\xc2\x85", 2, b"\n"),
        (0xE2, rb"\xe2\x80[\x80-\x8a\xaf]", 3, b" "),
        (0xE2, rb"\xe2\x81\x9f", 3, b" "),
        (0xE2, rb"\xe2\x80[\xa8\xa9]", 3, b"\n"),
        (0xE3, rb"\xe3\x80\x80", 3, b" "),
        (0xE1, rb"\xe1\x9a\x80", 3, b" "),
        (0xC2, rb"\xc2\xad", 2, _NOTHING),
        (0xE2, rb"\xe2\x81\xa0", 3, _NOTHING),
        (0xEF, rb"\xef\xbb\xbf", 3, _NOTHING),
    )
)
#: The same, for the question whether there is one: each first byte is looked behind once.
_ANY: Final = tuple(
    (expression[0], re.compile(expression).search)
    for expression in (
        b"\xc2[\x85\xa0\xad]",
        b"\xe2(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81[\x9f\xa0])",
        b"\xe3\x80\x80",
        b"\xe1\x9a\x80",
        b"\xef\xbb\xbf",
    )
)

#: Each of them → what it is seen as.
_AS: Final = {
    sign.encode(): next(seen for _, find, _, seen in _KINDS if find.fullmatch(sign.encode()))
    for sign in "\x85\xa0\xad\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f"
    "\u205f\u2060\u3000\ufeff"
}
_EACH: Final = re.compile(b"|".join(_AS)).finditer


def wide(data: bytes) -> bool:
    """Whether a text in UTF-8 has such a space, or what is seen as U+200B."""
    if data.isascii():
        return False
    for first, found in _ANY:  # noqa: SIM110 -- half the time of any()
        if data.find(first) >= 0 and found(data) is not None:
            return True
    return False


def narrow(data: bytes) -> bytes:
    """The text with ASCII's spaces and line feeds for them, and with U+200B."""
    if not data.isascii():
        for first, find, _, seen in _KINDS:
            if data.find(first) >= 0:
                data = find.sub(seen, data)
    return data


def even(data: bytes) -> bytes:
    """The text with ASCII's spaces in as many bytes as before, so that all keeps its place: with two or three for one."""
    if data.isascii():
        return data
    for _, find, size, seen in _KINDS:
        if seen is not _NOTHING:
            data = find.sub(seen * size, data)
    return data


def spaces(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """All of them, in the order of the text: (start, end, what is seen)."""
    if data.isascii():
        return iter(())
    return ((*one.span(), _AS[one[0]]) for one in _EACH(data))
