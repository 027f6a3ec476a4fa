"""Places in a text file: which line holds what. All of the file is looked at, up to a limit."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, NamedTuple

from guardai.gate.reports.sources.encoding import Encoding
from guardai.model import ancestors
from guardai.text import scan

__all__ = ["Places", "places"]

#: Characters that are looked at in one go.
_BLOCK: Final = 4 << 20
#: Places that are kept of a file and a label: a file of addresses has a million of them.
_KEPT: Final = 100
_END: Final = re.compile("\n")


class Places(NamedTuple):
    """(line, label) of what a file holds, in order; how often each label stands there; whether all of it was read."""

    found: list[tuple[int, str]]
    counted: Counter[str]
    whole: bool


def places(path: Path, encoding: Encoding, limit: int, *, only: AbstractSet[str] = frozenset()) -> Places:
    """Looks through a text file.

    Args:
        path: the file.
        encoding: of its text; a byte that is wrong in it becomes a replacement character.
        limit: bytes of it that are read.
        only: labels that are looked for, and those that they cover: `secret`; empty for all.

    Raises:
        OSError: it cannot be read.
    """
    found: list[tuple[int, str]] = []
    counted: Counter[str] = Counter()
    size = path.stat().st_size
    line = 1
    for block in _blocks(path, encoding, limit):
        ends: list[int] | None = None
        for one in scan(block):
            if only and only.isdisjoint((one.label, *ancestors(one.label))):
                continue
            counted[one.label] += 1
            if counted[one.label] <= _KEPT:
                if ends is None:
                    ends = [end.start() for end in _END.finditer(block)]
                found.append((line + bisect_right(ends, one.start - 1), one.label))
        line += block.count("\n")
    return Places(found, counted, size <= limit)


def _blocks(path: Path, encoding: Encoding, limit: int) -> Iterator[str]:
    """The text in pieces that end with a line, if a line does not go on for longer than a piece."""
    rest = ""
    left = limit
    with path.open(encoding=encoding.codec, errors="replace", newline="") as file:
        file.seek(encoding.mark)
        while left > 0 and (more := file.read(min(_BLOCK, max(1, left // encoding.unit)))):
            left -= len(more) * encoding.unit
            text = rest + more
            cut = text.rfind("\n") + 1
            if not cut or len(text) - cut > _BLOCK:
                cut = len(text)
            rest = text[cut:]
            if cut:
                yield text[:cut]
    if rest:
        yield rest
