"""Signs that are not ASCII, where they stand in a value or behind it, or beside a word.

Letters, marks and digits of any script are part of a value: people choose `Grün7#Haus` and `密码7#x`. Of any other sign it
cannot be known. `§` and `€` are keys of keyboards, a dash is what an editor makes of `--`, an invisible sign is put into a
long key where its line may break; but `。`, `，` and `—` also end what a sentence says. To end a value at one would let the
rest of some out. So what is masked goes on there (`packs/assigned.py`), and whether it is a secret is asked of all of it,
then of what stands before its signs: the `example` of `…。example` makes no blank of a password.

Not covered: an unquoted value of more than 160 bytes with a sign in it is masked up to there, and one of a key that nothing but
a space parts from its name up to 48 bytes from its first sign on; a blank behind the ninth sign
of a value, of one of more than 64 bytes the third that is not within its first 48, makes one of it, unless what stands before an earlier sign is a secret by itself; and behind a name in another
script than Latin, `пароль: …`, a value ends at its first sign or letter that is not ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import Final
from unicodedata import category

__all__ = ["SIGN", "beginnings", "spoken"]

#: How a sign begins, as an expression over bytes: every sign does, and no letter of a script in wide use. `größe(x)` is as much
#: a call as `size(x)`.
SIGN: Final = (
    r"(?:\xc2|\xc3[\x97\xb7]|\xcb|\xcd[\xb5\xbe]|\xce[\x84\x85\x87]|\xcf\xb6|\xd2\x82|\xd5[\x9a-\x9f]|\xd6[\x89-\x8f\xbe]"
    r"|\xd7[\x80\x83\x86\xb3\xb4]|\xd8[\x80-\x8f\x9b-\x9f]|\xd9[\xaa-\xad]|\xdb[\x94\x9d\x9e\xa9\xbd\xbe]|[\xdc\xdf]"
    r"|\xe0(?:[\xa0-\xa3\xbc\xbe\xbf]|\xa5[\xa4\xa5\xb0]|[\xa7\xa9\xab\xad\xaf\xb1][\xb0-\xbf]|\xb2\x84|\xb5[\x8f\xb9]|\xb7\xb4|\xb8\xbf"
    r"|\xb9[\x8f\x9a\x9b])"
    r"|\xe1(?:\x81[\x8a-\x8f]|\x82[\x9e\x9f]|\x83\xbb|\x8d[\xa0-\xa8]|\x9f[\x94-\x9b]|\xbe[\xbd\xbf]|\xbf[\x80\x81\x8d-\x8f\x9d-\x9f\xad-\xaf\xbd\xbe]"
    r"|[\x8e\x90\x99-\x9c\xa0\xa5\xa7\xa8\xaa\xad\xaf-\xb1\xb3])"
    r"|\xe2[\x80-\xaf\xb3\xb5\xb8-\xbf]"
    r"|\xe3(?:\x80[\x80-\x84\x88-\xa0\xb0\xb6\xb7\xbd-\xbf]|\x82[\x9b\x9c\xa0]|\x83\xbb|[\x86-\x8f])|\xe4\xb7"
    r"|\xea[\x92\x93\x98-\x9c\x9e\xa0\xa1\xa3-\xa5\xa7\xa9\xab\xad\xaf]"
    r"|\xef(?:[\xac\xae\xaf\xb4\xb5\xb7-\xb9\xbf]|\xbb\xbf|\xbc[\x80-\x8f\x9a-\xa0\xbb-\xbf]|\xbd[\x80\x9b-\xa5])"
    r"|\xf0[\x90-\x9f]|\xf3)"
)
#: Signs that stand for what is left out of a value: what begins with one, `••••1234`, is none.
_LEFT_OUT: Final = "\u2022\u2026"
#: How many places are asked of, of a value that has more: each costs as much as the value did. Of a long one (bytes), two, and those before
#: which there is little: a text of nothing but names and signs would be judged for minutes.
_MOST: Final = 8
_LONG: Final = 64
_OF_LONG: Final = 2
_SHORT: Final = 48


def beginnings(value: bytes) -> Iterator[bytes]:
    """What stands before the signs of a value, its first, its second, at most its eighth or, of a long one, those near its beginning; and what is left.

    What it begins with, a quote say, and invisible signs are left out: of `“Qz#7”。example`, `Qz#7` is one.
    """
    text = value.decode("utf-8", "replace")
    first = 0
    while first < len(text) and _is_sign(text[first]) and text[first] not in _LEFT_OUT:
        first += 1
    ends = [at for at in range(first + 1, len(text)) if _is_sign(text[at]) and not _is_sign(text[at - 1])]
    last = b""
    asked = ends[:_MOST]
    if len(value) > _LONG:
        asked = [end for n, end in enumerate(asked) if n < _OF_LONG or len(text[first:end].encode()) <= _SHORT]
    for end in (*asked, len(text)):
        part = _visible(text[first:end])
        if part not in (last, value):
            yield part
        last = part


#: A sign or a mark. What is asked of each costs 50 ns, and most texts have only letters.
_PERHAPS: Final = re.compile(r"[^\x00-\x7f\w]")


def spoken(text: bytes, words: Container[str] = ()) -> bytes:
    """A text with a space for each sign, and for half a character: no word has one in it.

    Args:
        text: in UTF-8.
        words: signs that are words by themselves, `☎`, and stay, each for itself.
    """

    def said(match: re.Match[str]) -> str:
        sign = match[0]
        return sign if not _is_sign(sign) else f" {sign} " if sign in words else " "

    return _PERHAPS.sub(said, text.decode("utf-8", "replace")).encode()


def _is_sign(sign: str) -> bool:
    return not sign.isascii() and category(sign)[0] not in "LMN"


def _visible(text: str) -> bytes:
    return "".join(sign for sign in text if category(sign) != "Cf").encode()
