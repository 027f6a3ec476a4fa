"""What a scan found: columns and what they hold, places in files, and what could not be looked at. No value stands in it."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from guardai.text.classify import Classification

__all__ = ["Column", "Files", "Place", "Report", "Source", "Table", "legible"]

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")


def legible(name: str) -> str:
    """A name as it can be printed: what would move the cursor or turn the line around is a question mark."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", name)


class Column(msgspec.Struct, frozen=True):
    """One column of a table.

    Attributes:
        name: legible; if the name itself holds what is sensitive, masked.
        type: what the source calls its type; "" where it has none.
        holds: what a sample of it told; None if it was not looked at.
        skipped: why it was not looked at; "" if it was.
        known: the labels that the catalog gives it.
        pattern: its key in `[columns]` of a catalog; "" if it cannot have one.
        proposed: the label that the catalog lacks; "" for none.
    """

    name: str
    type: str
    holds: Classification | None
    skipped: str = ""
    known: tuple[str, ...] = ()
    pattern: str = ""
    proposed: str = ""


class Table(msgspec.Struct, frozen=True):
    """One table, view, or file that is one.

    Attributes:
        name: legible, with the schema where that is not the usual one.
        kind: `table`, `view`, `file`.
        sampled: rows that were looked at.
        columns: all of them.
        broken: rows that could not be read; they were left out.
        error: why it was not looked at, or not all of it; "" if it was.
        larger: whether it has more rows than were looked at.
        cut: how many of the cells that were looked at are so long that their end was not.
    """

    name: str
    kind: Literal["table", "view", "file"]
    sampled: int = 0
    columns: tuple[Column, ...] = ()
    broken: int = 0
    error: str = ""
    larger: bool = False
    cut: int = 0


class Place(msgspec.Struct, frozen=True, order=True):
    """Where in a file something stands.

    Attributes:
        file: legible path.
        line: from 1.
        label: what it is.
    """

    file: str
    line: int
    label: str


class Files(msgspec.Struct):
    """What became of the files of a folder. `problems` is (path, why), of those that could not be read, or not whole."""

    looked_at: int = 0
    binary: int = 0
    links: int = 0
    folders_left_out: int = 0
    problems: list[tuple[str, str]] = []


class Source(msgspec.Struct):
    """What was found under one target.

    Attributes:
        target: as it was given, without a password.
        kind: `database`, `file`, `folder`; "" if it could not be told.
        tables: those with columns.
        places: in files, in their order; of a file that is full of one label, the first.
        counted: label → how many findings in files, those that `places` leaves out included.
        files: of a file or folder.
        error: why it could not be scanned; "" if it could.
        unexpected: whether something failed that is no fault of the target's, as far as anybody knows: a driver, or we.
    """

    target: str
    kind: Literal["database", "file", "folder", ""] = ""
    tables: list[Table] = []
    places: list[Place] = []
    counted: dict[str, int] = {}
    files: Files | None = None
    error: str = ""
    unexpected: bool = False

    @property
    def whole(self) -> bool:
        """Whether all that should have been looked at was."""
        unread = self.files is not None and self.files.problems
        return not (self.error or unread or any(table.error or table.broken for table in self.tables))


class Report(msgspec.Struct):
    """What a scan found under all of its targets."""

    sources: list[Source]

    def proposals(self) -> dict[str, list[str]]:
        """Pattern → labels that the catalog lacks, in the order in which they were found."""
        found: dict[str, list[str]] = {}
        for source in self.sources:
            for table in source.tables:
                for column in table.columns:
                    if column.proposed and column.pattern:
                        labels = found.setdefault(column.pattern, [])
                        if column.proposed not in labels:
                            labels.append(column.proposed)
        return found

    def labels(self) -> dict[str, tuple[int, int]]:
        """Label → in how many columns it stands, whole or in part, and how often in files."""
        found: dict[str, tuple[int, int]] = {}

        def add(label: str, columns: int, places: int) -> None:
            before = found.get(label, (0, 0))
            found[label] = (before[0] + columns, before[1] + places)

        for source in self.sources:
            for label, count in source.counted.items():
                add(label, 0, count)
            for table in source.tables:
                for column in table.columns:
                    if column.holds is not None:
                        for label in {*column.holds.counted, column.holds.label or ""} - {""}:
                            add(label, 1, 0)
        return dict(sorted(found.items()))

    @property
    def whole(self) -> bool:
        """Whether all that should have been looked at was."""
        return all(source.whole for source in self.sources)

    @property
    def sampled(self) -> bool:
        """Whether of some table only a sample was looked at: what was not found may stand in the rest."""
        return any(table.larger or table.cut for source in self.sources for table in source.tables)
