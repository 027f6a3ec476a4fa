"""Lines of a text file of any size: the first ones, and some from anywhere, without reading what is between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guardai.gate.reports.sources.encoding import Encoding

__all__ = ["SMALL", "Lines"]

#: Files up to this many bytes are read whole, unless another limit is given; of larger ones, this much from the beginning.
SMALL: Final = 8 << 20
#: Characters of a line; what is longer is no line of a table.
_LONGEST: Final = 1 << 20
#: Places in a large file from which lines are read, and bytes that are read there.
_PLACES: Final = 64
_BLOCK: Final = 16 << 10


class Lines:
    """A file's lines, with their line ends.

    Args:
        path: the file.
        encoding: of its text; a byte that is wrong in it becomes a replacement character.
        most: bytes up to which it is read whole.

    Attributes:
        long: how many lines were longer than a line of a table is, and were left out.
        whole: whether `first` covers the whole file.
    """

    def __init__(self, path: Path, encoding: Encoding, most: int = SMALL) -> None:
        self._path, self._encoding, self._most = path, encoding, most
        self._size = path.stat().st_size
        self.whole = self._size <= most
        self.long = 0

    def first(self) -> Iterator[str]:
        """The lines from the beginning on, at most `most` bytes of them.

        Raises:
            OSError: the file cannot be read.
        """
        read = 0
        with self._path.open(encoding=self._encoding.codec, errors="replace", newline="") as file:
            file.seek(self._encoding.mark)
            while line := file.readline(_LONGEST):
                read += len(line) * self._encoding.unit
                if read > self._most and not self.whole:
                    return
                if len(line) < _LONGEST or line.endswith("\n"):
                    yield line
                    continue
                self.long += 1
                while (more := file.readline(_LONGEST)) and not more.endswith("\n"):
                    read += len(more) * self._encoding.unit
                    if read > self._most and not self.whole:
                        return

    def anywhere(self, draw: random.Random) -> Iterator[list[str]]:
        """Runs of whole lines from places that are drawn; the first of each may begin in the midst of a quoted cell.

        Raises:
            OSError: the file cannot be read.
        """
        unit, mark = self._encoding.unit, self._encoding.mark
        with self._path.open("rb") as file:
            for at in sorted(draw.randrange(0, max(1, self._size - _BLOCK)) for _ in range(_PLACES)):
                file.seek(mark + (at - at % unit))
                lines = file.read(_BLOCK).decode(self._encoding.codec, "replace").splitlines(keepends=True)
                yield lines[1:-1]
