"""Escapes of JSON in a text that is not read as JSON: what they hide, and where it stands.

`jane\u0040example.com` is an address in a log, in a line of JSON lines, in the half of a document that a stream has brought
so far. A *view* is the text as its reader will see it; what is found there is told by its place in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final

__all__ = ["View", "plainly", "view"]

#: Written once or, JSON within JSON, several times over. An escaped line feed or quote hides nothing: it is no letter.
_ESCAPE: Final = re.compile(rb"\\{1,8}(?:u([0-9A-Fa-f]{4})|/)")
_ESCAPED: Final = re.compile(_ESCAPE.pattern.decode())


class View:
    """A text without its escapes, and where its pieces come from: in turn one without escapes, and one escape.

    Attributes:
        data: what a reader of the escapes sees.
    """

    __slots__ = ("_places", "_seen", "data")

    def __init__(self, data: bytes, first: re.Match[bytes]) -> None:
        pieces: list[bytes] = []
        self._seen, self._places = seen, places = [0], [0]
        size = done = 0
        match: re.Match[bytes] | None = first
        while match is not None:
            start = match.start()
            said = chr(int(match[1], 16)).encode("utf-8", "surrogatepass") if match[1] else b"/"
            pieces += (data[done:start], said)
            size += start - done
            done = match.end()
            seen += (size, size + len(said))
            places += (start, done)
            size += len(said)
            match = _ESCAPE.search(data, done)
        pieces.append(data[done:])
        self.data = b"".join(pieces)

    def seen(self, place: int) -> int:
        """Where in the view that is which stands at `place` of the text; of an escape, its beginning."""
        piece = bisect_right(self._places, place) - 1
        return self._seen[piece] + (0 if piece & 1 else place - self._places[piece])

    def place(self, at: int) -> int:
        """Where in the text that begins which begins at `at` of the view."""
        piece = bisect_right(self._seen, at) - 1
        return self._places[piece] + (0 if piece & 1 else at - self._seen[piece])

    def end(self, at: int) -> int:
        """Where in the text that ends which ends at `at` of the view."""
        piece = bisect_right(self._seen, at - 1) - 1
        return self._places[piece + 1] if piece & 1 else self._places[piece] + at - self._seen[piece]

    def told(self, one: tuple[int, int, str, float]) -> tuple[int, int, str, float]:
        """What was found in the view, by its place in the text."""
        return self.place(one[0]), self.end(one[1]), one[2], one[3]


def view(data: bytes) -> View | None:
    """The text without its escapes; None if it has none."""
    first = _ESCAPE.search(data)
    return None if first is None else View(data, first)


def plainly(text: str) -> str:
    """The text without its escapes."""
    return _ESCAPED.sub(lambda m: chr(int(m[1], 16)) if m[1] else "/", text) if "\\" in text else text
