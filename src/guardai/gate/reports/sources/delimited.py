"""CSV and its kin, as they are: any delimiter, with a header or without, with broken rows."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from guardai.gate.reports.sources.encoding import Encoding
from guardai.gate.reports.sources.lines import SMALL, Lines
from guardai.gate.reports.sources.relation import CELL, Field, Relation, Sample, SourceError, chance
from guardai.text import scan
from guardai.text.columns import named

__all__ = ["Delimited"]

_DELIMITERS: Final = (",", ";", "\t", "|", ":")
#: Rows by which delimiter and header are told.
_LOOK: Final = 100
#: Share of these rows that has to have the same number of cells.
_EVEN: Final = 0.5
_FIGURE: Final = re.compile(r"[-+]?[0-9][0-9.,:/\-TZ ]*%?")
_SHAPE: Final = re.compile(r"[^\W\d_]+|[0-9]+")
_NAME: Final = 128
#: More columns than this are no table.
_WIDEST: Final = 20_000

_Row = list[str]


class Delimited:
    """A file of rows, a line each unless a cell is quoted.

    Args:
        path: the file.
        encoding: of its text.
        count: rows that are read.
        most: bytes up to which the file is read whole, to draw rows from all of it.

    Raises:
        SourceError: it holds no rows.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, encoding: Encoding, count: int, most: int = SMALL) -> None:
        self._path, self._encoding, self._count, self._most = path, encoding, count, most
        start = list(islice(Lines(path, encoding).first(), _LOOK * 4))
        self._delimiter = _delimiter(start, path.suffix.lower())
        rows = [row for row in islice(self._rows(start), _LOOK) if row]
        if not rows:
            raise SourceError("holds no rows")
        widths = Counter(map(len, rows))
        self._width = max(len(rows[0]), widths.most_common(1)[0][0])
        if self._width > _WIDEST:
            raise SourceError(f"has more than {_WIDEST} columns")
        self._header = _is_header(rows[0], rows[1:], path.stem)
        names = rows[0] if self._header else []
        self._fields = tuple(
            Field(names[at].strip() if at < len(names) and names[at].strip() else f"column_{at + 1}", at=at)
            for at in range(self._width)
        )
        self._read: Sample | None = None

    def relations(self) -> list[Relation]:
        """The file itself. Its `key` is whether its columns have names."""
        return [Relation(self._path.stem, "", "file", self._fields, self._header)]

    def sample(self, relation: Relation, fields: Sequence[Field], count: int) -> Sample:  # noqa: ARG002 -- as `Database`
        """See `Database`; `count` was given before."""
        if self._read is None:
            self._read = self._sample(self._count)
        rows, broken, larger = self._read
        return Sample([[row[field.at] for field in fields] for row in rows], broken, larger)

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _sample(self, count: int) -> Sample:
        lines = Lines(self._path, self._encoding, self._most)
        broken = Counter[str]()
        half, draw = count // 2, chance()
        head: list[_Row] = []
        drawn: list[_Row] = []
        larger = False
        for at, row in enumerate(
            self._even(islice(self._rows(lines.first(), broken), int(self._header), None), broken)
        ):
            if len(head) < count - half:
                head.append(row)
            elif not lines.whole:
                break
            elif len(drawn) < half:
                drawn.append(row)
            else:
                larger = True
                if (place := draw.randrange(at - len(head) + 1)) < half:
                    drawn[place] = row
        if not lines.whole and len(head) == count - half:
            each = max(1, half // 64)
            for block in lines.anywhere(draw):
                # What began in the midst of a quoted cell has the wrong number of cells, as a rule.
                whole = (row for row in self._rows(block) if len(row) == self._width)
                drawn += [_cut(row) for row in islice(whole, each)]
        return Sample(head + drawn, sum(broken.values()) + lines.long, larger or not lines.whole)

    def _rows(self, lines: Iterable[str], broken: Counter[str] | None = None) -> Iterator[_Row]:
        """The rows of these lines; what the parser refuses is counted and left out."""
        reader = csv.reader((line.replace("\x00", "") for line in lines), delimiter=self._delimiter)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error:  # a cell that never ends
                if broken is not None:
                    broken["refused"] += 1
                continue
            if row:
                yield row

    def _even(self, rows: Iterable[_Row], broken: Counter[str]) -> Iterator[_Row]:
        """Rows of the right width; what a row has too many is one with its last cell: nothing goes unseen."""
        width = self._width
        for row in rows:
            if len(row) == width:
                yield _cut(row)
                continue
            broken["uneven"] += 1
            if len(row) < width:
                yield _cut([*row, *[""] * (width - len(row))])
            else:
                yield _cut([*row[: width - 1], " ".join(row[width - 1 :])])


def _cut(row: _Row) -> _Row:
    return [cell[:CELL] for cell in row]


def _delimiter(lines: list[str], suffix: str) -> str:
    best, score = "\t" if suffix in (".tsv", ".tab") else ",", (_EVEN, 1)
    for delimiter in _DELIMITERS:
        try:
            widths = [len(row) for row in islice(csv.reader(lines, delimiter=delimiter), _LOOK) if row]
        except csv.Error:
            continue
        if not widths:
            continue
        width, often = Counter(widths).most_common(1)[0]
        share = often / len(widths)
        if width > 1 and (round(share, 1), width) > score:
            best, score = delimiter, (round(share, 1), width)
    return best


def _is_header(first: _Row, others: list[_Row], table: str) -> bool:
    """Whether the first row names the columns. SECURITY INVARIANT: a row of values is not taken for names and shown.

    A header has short cells without figures and without anything that a detector knows; none stands in its own column
    again; and one at least is a name that columns have, or looks unlike what stands below it.
    """
    cells = [cell.strip() for cell in first]
    if not others or not any(cells):
        return False
    if any(len(cell) > _NAME or _FIGURE.fullmatch(cell) or scan(cell) for cell in cells):
        return False
    below = [[row[at].strip() for row in others if row != first and at < len(row)] for at in range(len(cells))]
    if any(cell and cell in column for cell, column in zip(cells, below, strict=True)):
        return False
    if any(named(cell, table) for cell in cells):
        return True
    return any(cell and not _alike(cell, column) for cell, column in zip(cells, below, strict=True))


def _alike(cell: str, column: list[str]) -> bool:
    """Whether a cell is written as half of those below it are: `Ada Brook` as `Ben Castle`."""
    filled = [_shape(one) for one in column if one]
    return 2 * filled.count(_shape(cell)) >= len(filled)


def _shape(cell: str) -> str:
    return _SHAPE.sub(lambda run: "9" if run[0][0].isdigit() else "A" if run[0].isupper() else "a", cell)
