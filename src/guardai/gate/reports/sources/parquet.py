"""Parquet files, through pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from guardai.gate.reports.sources.relation import CELL, Field, Relation, Sample, SourceError, chance, driver

__all__ = ["MAGIC", "Parquet"]

MAGIC: Final = b"PAR1"
#: Groups of rows that are drawn from besides the first.
_GROUPS: Final = 8
_BATCH: Final = 1024
_PLAIN: Final = ("date", "time", "duration", "bool", "float", "double", "halffloat")


class Parquet:
    """A Parquet file.

    Raises:
        SourceError: pyarrow is not installed, or the file is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrow = driver("pyarrow", "pyarrow")
        reader = driver("pyarrow.parquet", "pyarrow")
        try:
            self._file: Any = reader.ParquetFile(str(path), memory_map=True)
        except (self._arrow.ArrowException, OSError, ValueError) as error:
            raise SourceError(_reason(error)) from None
        self._fields = tuple(
            Field(one.name, _name(one.type), _kind(_name(one.type)), at)
            for at, one in enumerate(self._file.schema_arrow)
        )

    def relations(self) -> list[Relation]:
        """The file itself."""
        return [Relation(self._path.stem, "", "file", self._fields, True)]

    def sample(self, relation: Relation, fields: Sequence[Field], count: int) -> Sample:  # noqa: ARG002 -- as `Database`
        """See `Database`."""
        groups = self._file.metadata.num_row_groups
        half, draw = count // 2, chance()
        try:
            if self._file.metadata.num_rows <= count:
                return Sample(self._rows(list(range(groups)), fields, count))
            rows = self._rows([0], fields, count - half)
            chosen = sorted(draw.sample(range(groups), min(_GROUPS, groups)))
            for group in chosen:
                pool = self._rows([group], fields, 4 * _BATCH)
                rows += draw.sample(pool, min(len(pool), max(1, half // len(chosen))))
        except (self._arrow.ArrowException, OSError, ValueError, MemoryError) as error:
            raise SourceError(_reason(error)) from None
        return Sample(rows, larger=True)

    def _rows(self, groups: list[int], fields: Sequence[Field], count: int) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        # A name may stand for two columns, and `a.b` also for a part of `a`: which one is meant is told by its turn.
        names = list(dict.fromkeys(field.name for field in fields))
        turns = [sum(one.name == field.name for one in self._fields[: field.at]) for field in fields]
        for batch in self._file.iter_batches(batch_size=min(_BATCH, count), row_groups=groups, columns=names):
            there = batch.schema.names
            columns = [
                _cells(batch.column([at for at, name in enumerate(there) if name == field.name][turn]))
                for field, turn in zip(fields, turns, strict=True)
            ]
            rows += zip(*columns, strict=True)
            if len(rows) >= count:
                break
        return rows[:count]

    def close(self) -> None:
        """Ends reading."""
        self._file.close()


def _cells(column: Any) -> list[Any]:
    return [value[:CELL] if isinstance(value, str | bytes) else value for value in column.to_pylist()]


def _name(of: Any) -> str:
    # The names in a struct may be values.
    return str(of).partition("<")[0]


def _kind(name: str) -> Any:
    if "binary" in name:
        return "binary"
    return "plain" if name.startswith(_PLAIN) else "text"


def _reason(error: BaseException) -> str:
    """What happened, by its kind: the library's words may hold values."""
    return f"not a Parquet file, or not whole ({type(error).__name__})"
