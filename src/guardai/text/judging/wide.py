r"""Where a value ends that something stands behind which is not ASCII.

The expressions of detectors are over bytes, and their `\s` knows ASCII's spaces alone. Three rules stand in for the rest,
for every detector and every engine:

- A space is a space, however wide, and a line's end one, however it is written: detectors see ASCII's in its place (`Sight`),
  so that a value ends there and another may begin.
- Letters, marks and digits of any script are part of a value: people choose `Grün7#Haus` and `密码7#x`.
- Of any other sign it cannot be known. `§` and `€` are keys of keyboards, a dash is what an editor makes of `--`, an
  invisible sign is put into a long key where its line may break; but `。`, `，` and `—` also end what a sentence says. To end a
  value at one would let the rest of some out. So what is masked goes on there, and whether it is a secret is asked of all
  of it, then of what stands before the sign (`beginning`): the `example` of `…。example` makes no blank of a password.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import category

__all__ = ["Sight", "beginning", "even", "narrow", "sight"]

#: What `str.isspace` says yes to beyond ASCII, as UTF-8 (Unicode's property White_Space). By its first byte, because `re` skips
#: to a class: a quarter of the time.
_WIDE: Final = re.compile(
    rb"[\xc2\xe1-\xe3](?:(?<=\xc2)[\x85\xa0]|(?<=\xe1)\x9a\x80|(?<=\xe2)(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f)|(?<=\xe3)\x80\x80)"
)
_LINES: Final = (b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")


def narrow(data: bytes) -> bytes:
    """The same with ASCII's spaces for those that are wider or narrower, and its line feed for what ends a line."""
    return data if data.isascii() else _WIDE.sub(_narrowed, data)


def _narrowed(space: re.Match[bytes]) -> bytes:
    return b"\n" if space[0] in _LINES else b" "


def even(data: bytes) -> bytes:
    """The same as `narrow` in as many bytes as before, so that each keeps its place: more than one for such a space."""
    return data if data.isascii() else _WIDE.sub(lambda space: _narrowed(space) * len(space[0]), data)


class Sight:
    """What a detector sees of a text that has such spaces.

    Args:
        data: the text.
        low: where what it sees begins.
        at: where its match begins.
        high: where what it sees ends.

    Attributes:
        data: the same with ASCII's spaces.
        at: where in that the match begins.
    """

    __slots__ = ("_raw", "_start", "at", "data")

    def __init__(self, data: bytes, low: int, at: int, high: int) -> None:
        self._raw, self._start = data[at:high], at
        before = narrow(data[low:at])
        self.at = len(before)
        self.data = before + narrow(self._raw)

    def place(self, at: int) -> int:
        """Where in the text that stands which stands at `at` of what is seen, from the match's beginning on."""
        at -= self.at
        for space in _WIDE.finditer(self._raw):
            if space.start() >= at:
                break
            at += len(space[0]) - 1
        return self._start + at


def sight(data: bytes, low: int, at: int, high: int) -> Sight | None:
    """What is seen from `low` to `high` around a match that begins at `at`; None if that is what stands there."""
    seen = data[low:high]
    if seen.isascii() or not (
        # Before the expression is asked, which takes four times as long.
        b"\xc2\xa0" in seen
        or b"\xe2\x80" in seen
        or b"\xe3\x80\x80" in seen
        or b"\xc2\x85" in seen
        or b"\xe1\x9a\x80" in seen
        or b"\xe2\x81\x9f" in seen
    ):
        return None
    return None if _WIDE.search(seen) is None else Sight(data, low, at, high)


#: Signs that stand for what is left out of a value, and belong to it.
_LEFT_OUT: Final = "\u2022\u2026"


def beginning(value: bytes) -> bytes:
    """What stands before the first sign of a value that is neither ASCII nor of a script; b"" if there is none, or nothing."""
    text = value.decode("utf-8", "replace")
    for at, sign in enumerate(text):
        if not sign.isascii() and category(sign)[0] not in "LMN" and sign not in _LEFT_OUT:
            return text[:at].encode()
    return b""
