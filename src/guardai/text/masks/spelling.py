r"""How a token is spelt: as it was issued, as models write it back, as JSON is written, and where one may not have ended.

`<EMAIL_1>` is `< email_01 >` or `<EMAIL\_1>` from a model; `\u003cEMAIL_1\u003e` from a writer of JSON that will not have
its text taken for HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from guardai.text.documents import trailing_zeros
from guardai.text.escapes import HALVED, LONGEST, plainly

__all__ = ["LOOKALIKE", "NAME", "QUOTED", "STIRS", "TOKEN", "bracketed", "certainly", "read", "seen", "unread"]

#: A token's name, behind its first letter, and its number.
NAME: Final = 40
_DIGITS: Final = 9
#: Other than it was issued: with spaces inside of a bracket, and the underscore escaped as in Markdown.
_SPACES: Final = 4
#: And in JSON, of that as of any escape.
_BACKSLASHES: Final = 8

_LINE: Final = r"\\?_"
_SPACE: Final = rf"[ \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]{{0,{_SPACES}}}"


def _body(line: str) -> str:
    """What stands between the brackets, with an underscore that is written so."""
    name = f"[A-Za-z](?:[A-Za-z0-9]|{line}){{0,{NAME}}}?"
    return f"{_SPACE}({name}){line}([0-9]{{1,{_DIGITS}}}){_SPACE}"


TOKEN: Final = re.compile(f"<{_body(_LINE)}>")
#: In JSON, whose brackets may be escaped.
_RUN: Final = rf"\\{{1,{_BACKSLASHES}}}"
_QUOTED: Final = rf"{_body(rf'(?:{_RUN})?_')}(?:>|{_RUN}u003[eE])"
QUOTED: Final = re.compile(rf"(?:<|{_RUN}u003[cC]){_QUOTED}")
#: Of either, what stands before the name: the bracket and its marks.
LOOKALIKE: Final = re.compile(rf"((?:<|{_RUN}u003[cC])!*)(?={_QUOTED})")

#: What `plainly` reads as the bracket; the last one of a text.
_BRACKET: Final = r"\\(?:u003|x3|U0000003)[cC]"
_ESCAPED: Final = re.compile(_BRACKET)
_LAST: Final = re.compile(f"(?s:.*)(<|{_BRACKET})")
#: So many no token has.
_MORE: Final = "\\" * (_BACKSLASHES + 1)
#: The beginning of a token without its escapes.
_BEGUN: Final = re.compile(f"<{_SPACE}(?:[A-Za-z][A-Za-z0-9_]{{0,{NAME + 1 + _DIGITS}}}(?:(?<=[0-9]){_SPACE})?)?\\Z")
#: Finds the bracket, or half of an escape at the end, which may become it.
STIRS: Final = re.compile(rf"\\(?:(?P<bracket>(?:u003|x3|U0000003)[cC])|\\{{0,{_BACKSLASHES - 1}}}{HALVED})").search

#: The longest token without its escapes, and with all of it escaped.
_SEEN: Final = len("<") + _SPACES + 1 + NAME + len("_") + _DIGITS + _SPACES + len(">")
_LONGEST: Final = _SEEN * LONGEST
# `QUOTED` matches no more: two brackets, and all underscores behind backslashes. Else a stream would let a beginning go.
assert 2 * (_BACKSLASHES + len("u003c")) + (_SEEN - 2) + (NAME + 1) * _BACKSLASHES <= _LONGEST


def read(match: re.Match[str]) -> tuple[str, int]:
    """A token's name and number, however it is spelt."""
    return match[1].replace("\\", "").upper(), int(match[2])


def bracketed(text: str) -> bool:
    """Whether a bracket stands there that a token begins with, escaped perhaps: cheaper to ask than `seen`."""
    return "<" in text or ("\\" in text and _ESCAPED.search(text) is not None)


def seen(text: str) -> Iterator[tuple[str, int]]:
    """Whatever a reader may take for a token, now or when escapes are read."""
    return map(read, TOKEN.finditer(_unescaped(text) if "\\" in text else text))


def _unescaped(text: str) -> str:
    return plainly(text).replace("\\", "")


def unread(match: re.Match[str], before: int, deep: int) -> str | None:
    """The backslashes before a token's escaped bracket that do not belong to that escape.

    Args:
        match: of `QUOTED`.
        before: how many backslashes stand before it.
        deep: in how many strings of JSON it stands.

    Returns:
        They; None if an escape is read in none of the strings, and their reader sees no bracket there.
    """
    token = match[0]
    opens = token[: len(token) - len(token.lstrip("\\"))]
    closes = 0 if token[-1] == ">" else len(token[: -len("u003e")]) - len(token[: -len("u003e")].rstrip("\\"))
    # In the string of level n an escape begins with 2ⁿ⁻¹ backslashes; escaped ones may stand before those.
    if closes and (closes != 1 << (level := trailing_zeros(closes)) or level >= deep):
        return None
    if not opens:
        return ""
    level = trailing_zeros(len(opens) + before)
    return opens[1 << level :] if level < deep and 1 << level <= len(opens) else None


def certainly(text: str) -> int:
    """How much of a text is not the beginning of a token that goes on, nor of an escape that may be a token's."""
    size = end = len(text)
    if "\\" not in text:
        opened = text.rfind("<")
        return opened if opened >= 0 and _BEGUN.match(text, opened) else size
    stirs = STIRS(text, max(0, size - LONGEST))
    while stirs is not None and stirs.lastgroup is not None:
        stirs = STIRS(text, stirs.end())
    if stirs is not None:
        end = stirs.start()
    if (last := _LAST.match(text, max(0, size - _LONGEST), end)) is not None:
        opened = last.start(1)
        if text[opened] == "\\":  # and the backslashes that are escaped with it
            behind = text[max(0, opened - _BACKSLASHES + 1) : opened]
            opened -= len(behind) - len(behind.rstrip("\\"))
        held = text[opened:end]
        if _MORE not in held and _BEGUN.match(_unescaped(held)):
            return opened
    return end
