"""Where in a JSON document, that comes piece by piece, one is: within a string or not, and under which keys.

A stream of a tool call's arguments is scanned as a text, because nobody knows whether it will be a document, and because
what is found in a text must not be missed in a document. What a reader of the document knows besides is told here: what
a key further out says of a value (`{"tel": {"home": …}}`), and whether a value stands in quotes.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import Final

from guardai.text.documents import Depth, unwritten
from guardai.text.judging.judge import Found
from guardai.text.payload import MAX_DEPTH, NAMING, PROTOCOL, under

__all__ = ["NUMBER", "Outline"]

#: What a number is written with.
NUMBER: Final = b"0123456789+-.eE"
_MARK: Final = re.compile(rb'["{}\[\],:0-9\-]')
_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_DIGITS: Final = re.compile(rb"[0-9+\-.eE]*+")
#: A whole number that is written as a fraction.
_WHOLE: Final = re.compile(rb"-?[0-9]+(\.0+)")
#: Before a number that is one. Elsewhere it might be a part of something.
_BEFORE: Final = b" \t\r\n:,["
#: Nothing is open.
_NONE: Final = -2
_QUOTE, _COLON, _COMMA, _BRACE = b'":,{'
_REMEMBERED: Final = 256
#: A password of two words: what stands before it and has it found is a name of one.
_PASSWORD: Final = b'"hunter2 abc"'
#: A longer key names nothing.
_LONGEST: Final = 64


class _Frame:
    """An object or array that is open."""

    __slots__ = ("begun", "beside", "is_key", "key", "mapping", "named", "sure")

    def __init__(self, named: str, *, mapping: bool) -> None:
        self.mapping = mapping
        #: What names what is in it.
        self.named = named
        self.key = ""
        self.is_key = mapping
        #: What stands beside a `value`, and says what it is of; how sure it does.
        self.beside = ""
        self.sure = False, -len(NAMING)
        #: Whether the value that is due has begun.
        self.begun = False


class Outline:
    """The outline of one text of JSON, as far as it has come.

    Args:
        announces: whether a name says anything of what stands under it.
        find: what is found in a text.

    Attributes:
        said: what its reader sees besides or instead, as (start, end, what): names that stand further out, before a value;
            nothing, for the fraction of a whole number.
    """

    __slots__ = (
        "_ahead",
        "_all",
        "_announces",
        "_at",
        "_base",
        "_before",
        "_deeper",
        "_edges",
        "_find",
        "_frames",
        "_inside",
        "_known",
        "_number",
        "_open",
        "_reached",
        "said",
    )

    def __init__(self, announces: Callable[[str], bool], find: Callable[[bytes], list[Found]]) -> None:
        self._announces = announces
        self._find = find
        self.said: list[tuple[int, int, bytes]] = []
        #: Where strings begin and end, in all that ever came; how much of that is no longer kept, whether what is kept
        #: begins within a string, and how deep in that.
        self._edges: list[int] = []
        self._base = 0
        self._inside = False
        self._before = Depth(json=True)
        #: Where the string begins that a depth was asked for in, up to where it is read, and how deep that is.
        self._reached = _NONE, 0, self._before
        #: What was said already, of (what names the container, key, what stands beside).
        self._known: dict[tuple[str, str, str], tuple[bytes, bool]] = {}
        self._at = 0
        #: Where the string or the number began that goes on; -1 where that is no longer kept.
        self._open = self._number = _NONE
        self._frames = [_Frame("", mapping=False)]
        #: How many levels are open below the deepest that has a frame of its own; they share the last.
        self._deeper = 0
        #: All that is ever opened, where that is asked for; and the same of a document that was read ahead.
        self._all: list[_Frame] | None = None
        self._ahead: Iterator[_Frame] = iter(())

    def look_ahead(self, document: bytes) -> None:
        """Before all else: the whole of what will be read. What stands behind a value says of it what it would say before."""
        reader = Outline(self._announces, self._find)
        reader._all = []
        reader.read(document)
        self._ahead = iter(reader._all)

    def read(self, data: bytes) -> None:
        """Reads on: `data` is what is kept, with more at its end."""
        at, size = self._at, len(data)
        if self._open != _NONE and data.find(b'"', at) < 0 and data.find(b"\\", at) < 0:
            self._at = size  # most of a text is the middle of a string
            return
        while at < size:
            if self._open != _NONE:
                at = _STRING.match(data, at).end()  # type: ignore[union-attr]
                if at == size or data[at] != 0x22:
                    break  # it goes on, perhaps with what its last backslash escapes
                self._edges.append(self._base + at)
                self._closed(data, at)
                at += 1
            elif self._number != _NONE:
                at = _DIGITS.match(data, at).end()  # type: ignore[union-attr]
                if at == size:
                    break
                if (whole := _WHOLE.fullmatch(data, self._number, at)) is not None:
                    self.said.append((whole.start(1), at, b""))
                self._number = _NONE
            else:
                mark = _MARK.search(data, at)
                if mark is None:
                    at = size
                    break
                at = self._marked(data, mark.start())
        self._at = at

    def _marked(self, data: bytes, at: int) -> int:
        """Reads one sign outside of strings; returns where it goes on."""
        frames, sign = self._frames, data[at]
        frame = frames[-1]
        if sign == _QUOTE:
            self._edges.append(self._base + at)
            self._open = at
            if not frame.is_key and not frame.begun:
                frame.begun = True
                if frame.named or frame.beside:
                    self._announce(frame, at, quoted=True)
        elif sign == _COLON:
            frame.is_key = False
        elif sign == _COMMA:
            frame.key, frame.begun, frame.is_key = "", False, frame.mapping
        elif sign in b"{[":
            name, passed = self._named(frame)
            frame.begun = True
            if len(frames) <= MAX_DEPTH:
                frames.append(self._opened(_Frame(passed or name, mapping=sign == _BRACE)))
            else:
                # No payload is deeper: nothing is named there, and levels are only counted.
                if not self._deeper:
                    frames.append(_Frame("", mapping=False))
                self._deeper += 1
        elif sign in b"}]":
            if self._deeper > 1:
                self._deeper -= 1
            elif len(frames) > 1:
                self._deeper = 0
                frames.pop()
        else:
            self._number = at
            if not frame.is_key and not frame.begun and (at == 0 or data[at - 1] in _BEFORE):
                frame.begun = True
                if frame.named or frame.beside:
                    self._announce(frame, at, quoted=False)
            return at
        return at + 1

    def _opened(self, frame: _Frame) -> _Frame:
        if self._all is not None:
            self._all.append(frame)
        if (ahead := next(self._ahead, None)) is not None:
            frame.beside, frame.sure = ahead.beside, ahead.sure
        return frame

    def _named(self, frame: _Frame) -> tuple[str, str]:
        return under(frame.key, frame.named, frame.beside) if frame.mapping else (frame.named, frame.named)

    def _announce(self, frame: _Frame, at: int, *, quoted: bool) -> None:
        """A value begins: what stands further out is said before it, if it says anything."""
        known = self._known
        about = frame.named, frame.key, frame.beside
        said = known.get(about)
        if said is None:
            if len(known) >= _REMEMBERED:
                known.clear()
            said = known[about] = self._heard(frame)
        name, inside = said
        if name:
            place = at + 1 if inside and quoted else at
            self.said.append((place, place, name))

    def _heard(self, frame: _Frame) -> tuple[bytes, bool]:
        """What is said before a value, and whether within its quotes."""
        name, key, announces = self._named(frame)[0], frame.key, self._announces
        if name == key or (key and key not in PROTOCOL and announces(key) and not announces(frame.named)):
            return b"", False  # the key says it by itself
        for one in (name, frame.named):
            if one and one not in PROTOCOL and announces(one) and (said := self._form(key, one))[0]:
                return said
        return b"", False

    def _form(self, key: str, name: str) -> tuple[bytes, bool]:
        """How a name is said behind a key, and whether within the quotes; nothing, if something is found in it.

        That would stand nowhere in the text, and what follows it would be read otherwise once it has left.
        """
        before = f'"{key}": '.encode("utf-8", "surrogatepass")
        said = b""
        for form in dict.fromkeys(("_".join(name.split()), name)):
            said = f"{form}: ".encode("utf-8", "surrogatepass")
            if any(end > len(before) for _, end, _, _ in self._find(before + said)):
                return b"", False
            if self._find(said + _PASSWORD):
                return said, False  # before the quotes: what is in them is one value, spaces and all
        return said, True

    def _closed(self, data: bytes, at: int) -> None:
        frame, start = self._frames[-1], self._open + 1
        self._open = _NONE
        if not frame.mapping or start <= 0 or at - start > _LONGEST:
            return
        if frame.is_key:
            key = unwritten(data[start:at].decode("utf-8", "surrogatepass"), 1)
            # What is itself found names nothing, and what is around it names what is in it.
            plain = key.replace("_", "").isalpha() or not self._find(key.encode("utf-8", "surrogatepass"))
            frame.key = key if plain else ""
        elif frame.key in NAMING and start < at:
            said = unwritten(data[start:at].decode("utf-8", "surrogatepass"), 1)
            # What announces something goes before what does not, `string` say; and then what stands earlier in the table.
            sure = said not in PROTOCOL and self._announces(said), -NAMING.index(frame.key)
            if sure >= frame.sure:
                frame.beside, frame.sure = said, sure

    def cut(self, data: bytes, size: int) -> None:
        """The first `size` bytes of `data` are no longer kept."""
        self._at -= size
        if self._open != _NONE:
            self._open = max(self._open - size, -1)
        if self._number != _NONE:
            self._number = max(self._number - size, 0)
        edges = self._edges
        base = self._base + size
        if self._inside or (edges and edges[0] < base):
            gone = bisect_left(edges, base)
            if (gone % 2) ^ self._inside:
                if gone:
                    self._before = Depth(json=True)
                self._before.read(data[edges[gone - 1] - self._base if gone else 0 : size].decode("latin-1"))
                self._inside = True
            else:
                self._inside = False
            del edges[:gone]
        self._base = base
        if self.said:
            self.said = [(start - size, end - size, what) for start, end, what in self.said if start >= size]

    def within(self, at: int) -> bool:
        """Whether what stands at `at` is within a string."""
        return bool(bisect_left(self._edges, self._base + at) % 2 ^ self._inside)

    def depth(self, data: bytes, at: int) -> int:
        """How many strings what stands at `at` is within, one in the other: JSON within JSON."""
        place = bisect_left(self._edges, self._base + at)
        if not (place % 2) ^ self._inside:
            return 0
        opened = self._edges[place - 1] if place else -1
        was, upto, depth = self._reached
        if was != opened or not self._base <= upto <= self._base + at:
            # Not from where the last one was asked for in the same string: from its beginning.
            depth = Depth(json=True) if place else self._before.copy()
            upto = opened if place else self._base
        depth.read(data[upto - self._base : at].decode("latin-1"))
        self._reached = opened, self._base + at, depth
        return depth.deep

    def parts(self, start: int, end: int) -> list[tuple[int, int, bool]]:
        """A stretch as its parts in strings and between them, without the quotes: (start, end, whether in a string)."""
        edges, base, found = self._edges, self._base, list[tuple[int, int, bool]]()
        for at in edges[bisect_left(edges, base + start) : bisect_right(edges, base + end - 1)]:
            edge = at - base
            if edge > start:
                found.append((start, edge, self.within(start)))
            start = edge + 1
        if end > start:
            found.append((start, end, self.within(start)))
        return found
