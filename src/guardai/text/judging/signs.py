"""Signs that are not ASCII, where they stand in a value or behind it.

Letters, marks and digits of any script are part of a value: people choose `Grün7#Haus` and `密码7#x`. Of any other sign it
cannot be known. `§` and `€` are keys of keyboards, a dash is what an editor makes of `--`, an invisible sign is put into a
long key where its line may break; but `。`, `，` and `—` also end what a sentence says. To end a value at one would let the
rest of some out. So what is masked goes on there (`packs/assigned.py`), and whether it is a secret is asked of all of it,
then of what stands before its signs: the `example` of `…。example` makes no blank of a password.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from unicodedata import category

__all__ = ["beginnings"]

#: Signs that stand for what is left out of a value, and belong to it.
_LEFT_OUT: Final = "\u2022\u2026"
#: How many places are asked of, of a value that has more: each costs as much as the value did.
_MOST: Final = 8


def beginnings(value: bytes) -> Iterator[bytes]:
    """What stands before the signs of a value, its first, its second, at most its eighth; and all of it, if less is left.

    What it begins with, a quote say, and invisible signs are left out: of `“Qz#7”。example`, `Qz#7` is one.
    """
    text = value.decode("utf-8", "replace")
    first = 0
    while first < len(text) and _is_sign(text[first]):
        first += 1
    asked = 0
    for at in range(first + 1, len(text)):
        if _is_sign(text[at]) and not _is_sign(text[at - 1]):
            yield _visible(text[first:at])
            asked += 1
            if asked == _MOST:
                return
    if (whole := _visible(text[first:])) and whole != value:
        yield whole


def _is_sign(sign: str) -> bool:
    return not sign.isascii() and category(sign)[0] not in "LMN" and sign not in _LEFT_OUT


def _visible(text: str) -> bytes:
    return "".join(sign for sign in text if category(sign) != "Cf").encode()
