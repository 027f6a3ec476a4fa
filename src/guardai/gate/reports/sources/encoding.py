"""How the bytes of a file become text, and whether they are text at all."""

from __future__ import annotations

import codecs
from typing import Final, NamedTuple

__all__ = ["HEAD", "Encoding", "encoding_of"]

#: Bytes at the beginning of a file by which it is judged.
HEAD: Final = 8192


class Encoding(NamedTuple):
    """A codec; the bytes of a byte-order mark, which are no text; and of how many bytes a character is a multiple."""

    codec: str
    mark: int = 0
    unit: int = 1


#: The longer first: UTF-32's mark begins with UTF-16's.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, Encoding("utf-32-le", 4, 4)),
    (codecs.BOM_UTF32_BE, Encoding("utf-32-be", 4, 4)),
    (codecs.BOM_UTF8, Encoding("utf-8", 3)),
    (codecs.BOM_UTF16_LE, Encoding("utf-16-le", 2, 2)),
    (codecs.BOM_UTF16_BE, Encoding("utf-16-be", 2, 2)),
)
#: Share of the bytes in one half of UTF-16 that are zero where the text is mostly ASCII.
_HALF: Final = 0.7


def encoding_of(head: bytes) -> Encoding | None:
    """The encoding of a file that begins with `head`; None if it is no text.

    Text has a byte-order mark, or no NUL but a few, or is UTF-16 without a mark. What is not UTF-8 is read as cp1252 is,
    with a character for every byte: nothing is lost that a detector looks for.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    zeros = head.count(0)
    if zeros:
        even, odd = head[0::2].count(0), head[1::2].count(0)
        half = len(head) // 2
        if half and odd >= _HALF * half and even <= 0.1 * half:
            return Encoding("utf-16-le", 0, 2)
        if half and even >= _HALF * half and odd <= 0.1 * half:
            return Encoding("utf-16-be", 0, 2)
        if zeros > len(head) // 200 or _controls(head) > len(head) // 50:
            return None
    elif _controls(head) > len(head) // 10:
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return Encoding("latin-1")
    return Encoding("utf-8")


_CONTROLS: Final = bytes(c for c in range(32) if c not in b"\t\n\r\x0b\x0c\x1b\x00")


def _controls(head: bytes) -> int:
    return len(head) - len(head.translate(None, _CONTROLS))
