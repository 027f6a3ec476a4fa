"""Signs that are not ASCII, where they stand in a value or behind it.

Letters, marks and digits of any script are part of a value: people choose `Grün7#Haus` and `密码7#x`. Of any other sign it
cannot be known. `§` and `€` are keys of keyboards, a dash is what an editor makes of `--`, an invisible sign is put into a
long key where its line may break; but `。`, `，` and `—` also end what a sentence says. To end a value at one would let the
rest of some out. So what is masked goes on there (`packs/assigned.py`), and whether it is a secret is asked of all of it,
then of what stands before its signs: the `example` of `…。example` makes no blank of a password.

Not covered: an unquoted value of more than 160 bytes with a sign in it is masked up to there, and one of a key that nothing but
a space parts from its name up to 48 bytes from its first sign on; a blank behind the ninth sign
of a value makes one of it, unless what stands before an earlier sign is a secret by itself; and behind a name in another
script than Latin, `пароль: …`, a value ends at its first sign or letter that is not ASCII.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from unicodedata import category

__all__ = ["beginnings"]

#: Signs that stand for what is left out of a value: what begins with one, `••••1234`, is none.
_LEFT_OUT: Final = "\u2022\u2026"
#: How many places are asked of, of a value that has more: each costs as much as the value did.
_MOST: Final = 8


def beginnings(value: bytes) -> Iterator[bytes]:
    """What stands before the signs of a value, its first, its second, at most its eighth; and what is left of all of it.

    What it begins with, a quote say, and invisible signs are left out: of `“Qz#7”。example`, `Qz#7` is one.
    """
    text = value.decode("utf-8", "replace")
    first = 0
    while first < len(text) and _is_sign(text[first]) and text[first] not in _LEFT_OUT:
        first += 1
    ends = [at for at in range(first + 1, len(text)) if _is_sign(text[at]) and not _is_sign(text[at - 1])]
    last = b""
    for end in (*ends[:_MOST], len(text)):
        part = _visible(text[first:end])
        if part not in (last, value):
            yield part
        last = part


def _is_sign(sign: str) -> bool:
    return not sign.isascii() and category(sign)[0] not in "LMN"


def _visible(text: str) -> bytes:
    return "".join(sign for sign in text if category(sign) != "Cf").encode()
