r"""Escapes in a text that nobody has read as JSON or as source: what they hide, and where it stands.

`jane\u0040example.com` is an address in a log, in a line of JSON lines, in the half of a document that a stream has brought
so far; `x\nghp_…` is a token behind a line feed, not a word that begins with `n`. Colours of a terminal (ECMA-48, 8.3.117) are
escapes, too: behind `ESC [33m` a word begins. A *view* is the text as its reader will see it, with a space of ASCII for any
other (`spaces.py`); what is found there is told by its place in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from heapq import merge
from typing import Final

from guardai.text.spaces import narrow, spaces, wide

__all__ = ["HALF", "HALVED", "LONGEST", "View", "escaped", "hides", "plainly", "view"]

#: Written once or, JSON within JSON, several times over. An escaped quote is none: it hides nothing, for it is no letter.
#: Of those, what JSON writes and what Python's `repr` does. (A literal before the repetition: it is searched ten times as fast.)
_RUN: Final = r"\\\\{0,7}"
_KINDS: Final = (
    r"(?:u(?P<u>[0-9A-Fa-f]{4})|x(?P<x>[0-9A-Fa-f]{2})|U00(?P<U>(?:0[0-9A-Fa-f]|10)[0-9A-Fa-f]{4})|(?P<one>[nrtbf/]))"
)
_ESCAPE: Final = re.compile((_RUN + _KINDS).encode())
_ESCAPED: Final = re.compile(_RUN + _KINDS)
_LINE: Final = re.compile((_RUN + "n").encode())
_ONE: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "/": "/"}
_ONE_BYTE: Final = {one.encode(): said.encode() for one, said in _ONE.items()}

#: A control sequence of a terminal, itself or escaped: a colour is seen as nothing, what moves the cursor as a space.
_CONTROL: Final = rf"(?:\x1b|{_RUN}(?:u001[bB]|x1[bB]|033|e))\[[0-9;:?]{{0,16}}"
_CONTROLS: Final = re.compile(rf"{_CONTROL}(?P<control>[A-Za-z])|{_RUN}{_KINDS}".encode())
_CONTROLLED: Final = (b"\x1b[", b"1b[", b"1B[", b"\\033[", b"\\e[")

#: No escape is longer; and what half of one looks like at the end of what has come: behind its backslashes, and any.
LONGEST: Final = 32
HALVED: Final = r"(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]?|U[0-9A-Fa-f]{0,7})?\Z"
HALF: Final = re.compile(
    rf"\\+{HALVED}|\\+03?\Z|(?:\x1b|\\+(?:u001[bB]|x1[bB]|033|e))(?:\[[0-9;:?]{{0,16}})?\Z".encode()
)

#: How much of a path is read, from its drive on, and a folder in it.
_PATH: Final = 200
_FOLDER: Final = re.compile(rb"""(\\{1,8})[^\\\s"'`/:*?<>|,;]{1,80}""")


def _said(match: re.Match[bytes]) -> bytes:
    kind = match.lastgroup
    assert kind is not None
    what = match[kind]
    if kind == "control":
        return b"" if what == b"m" else b" "
    return _ONE_BYTE[what] if kind == "one" else narrow(chr(int(what, 16)).encode("utf-8", "surrogatepass"))


class View:
    """A text without its escapes and wide spaces, and where its pieces come from: in turn one without, and one of them.

    Args:
        raw: the text.
        said: what else is seen instead of a stretch of it, as (start, end, what); none within an escape.

    Attributes:
        data: what a reader of the escapes sees.
    """

    __slots__ = ("_escape", "_folders", "_places", "_raw", "_said", "_seen", "data")

    def __init__(self, raw: bytes, said: Sequence[tuple[int, int, bytes]] = ()) -> None:
        self._raw = raw
        self._said = said
        self._places: list[int] = []
        self._seen: list[int] = []
        self._escape = _escape(raw)
        self._folders = _folders(raw) if b":\\" in raw else frozenset[int]()
        if said or self._folders:
            self.data = self._read()
            return
        # INVARIANT: what is seen is what `_read` makes: no space is looked for in what an escape says, which narrows it itself.
        # Most escapes are line feeds, and those need no function.
        data = _LINE.sub(b"\n", narrow(raw))
        self.data = self._escape.sub(_said, data) if escaped(data) else data

    def _read(self) -> bytes:
        """Notes the places, which are asked for only where something was found."""
        raw, pieces = self._raw, list[bytes]()
        self._seen, self._places = seen, places = [0], [0]
        size = done = 0
        hidden = [
            (*match.span(), _said(match)) for match in self._escape.finditer(raw) if match.start() not in self._folders
        ]
        besides = ((start, end, narrow(said)) for start, end, said in self._said)
        for start, end, said in merge(hidden, spaces(raw), besides):
            size += start - done
            seen += (size, size + len(said))
            places += (start, end)
            pieces += (raw[done:start], said)
            size += len(said)
            done = end
        pieces.append(raw[done:])
        return b"".join(pieces)

    def seen(self, place: int) -> int:
        """Where in the view that is which stands at `place` of the text; of an escape or a space, its beginning."""
        if not self._places:
            self._read()
        piece = bisect_right(self._places, place) - 1
        return self._seen[piece] + (0 if piece & 1 else place - self._places[piece])

    def place(self, at: int) -> int:
        """Where in the text that begins which begins at `at` of the view."""
        if not self._places:
            self._read()
        piece = bisect_right(self._seen, at) - 1
        return self._places[piece] + (0 if piece & 1 else at - self._seen[piece])

    def end(self, at: int) -> int:
        """Where in the text that ends which ends at `at` of the view."""
        if not self._places:
            self._read()
        piece = bisect_right(self._seen, at - 1) - 1
        return self._places[piece + 1] if piece & 1 else self._places[piece] + at - self._seen[piece]

    def told(self, one: tuple[int, int, str, float]) -> tuple[int, int, str, float]:
        """What was found in the view, by its place in the text."""
        return self.place(one[0]), self.end(one[1]), one[2], one[3]


def _folders(raw: bytes) -> frozenset[int]:
    r"""Where a backslash stands before a folder of Windows, not before an escape: at `\n` of `C:\Users\nancy`.

    What begins as an escape is one, `C:\new` too, unless a folder stands before that can be none, behind as many
    backslashes: rather a letter too many is left than a value behind a line feed. It is decided by what stands before.
    """
    found: set[int] = set()
    drive = raw.find(b":\\")
    while drive >= 0:
        at, end = drive + 1, drive + _PATH
        if drive and raw[drive - 1 : drive].isalpha() and not raw[max(0, drive - 2) : drive - 1].isalnum():
            depth, certain = 0, False
            while (folder := _FOLDER.match(raw, at, end)) is not None:
                if depth and len(folder[1]) != depth:
                    break
                depth = len(folder[1])
                if _ESCAPE.match(raw, at) is None:
                    certain = True
                elif certain:
                    found.add(at)
                at = folder.end()
        drive = raw.find(b":\\", drive + 1)
    return frozenset(found)


def escaped(data: bytes) -> bool:
    """Whether it may have escapes, which is cheap to ask."""
    return b"\\" in data or b"\x1b" in data


def hides(data: bytes) -> bool:
    """Whether its reader may see another text: it may have escapes, or has spaces that are not ASCII's."""
    return b"\\" in data or b"\x1b" in data or wide(data)


def _escape(data: bytes) -> re.Pattern[bytes]:
    """What finds all of its escapes. Controls are rare, and not looked for where none can be."""
    return _CONTROLS if any(begin in data for begin in _CONTROLLED) else _ESCAPE


def view(data: bytes) -> View | None:
    """The text as its reader sees it; None if that is what stands there."""
    return None if _escape(data).search(data) is None and not wide(data) else View(data)


def plainly(text: str) -> str:
    """The text without its escapes."""
    return _ESCAPED.sub(_plain, text) if "\\" in text else text


def _plain(match: re.Match[str]) -> str:
    kind = match.lastgroup
    assert kind is not None
    return _ONE[match[kind]] if kind == "one" else chr(int(match[kind], 16))
