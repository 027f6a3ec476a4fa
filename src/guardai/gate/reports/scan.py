"""What databases, files and folders hold, from samples: which columns should bear which label, which lines hold what.

Nothing is written anywhere, no large table of a database is read from end to end, and nothing that is returned holds a
value. What fails in one table, file or target is told and stops nothing else.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from guardai.errors import GuardError
from guardai.gate.reports.found import Column, Files, Place, Report, Source, Table, legible
from guardai.gate.reports.sources.address import kind_of, shown
from guardai.gate.reports.sources.delimited import Delimited
from guardai.gate.reports.sources.duck import MAGIC as DUCK
from guardai.gate.reports.sources.duck import OFFSET, Duck
from guardai.gate.reports.sources.encoding import HEAD, Encoding, encoding_of
from guardai.gate.reports.sources.folder import files
from guardai.gate.reports.sources.lines import SMALL
from guardai.gate.reports.sources.mysql import Mysql
from guardai.gate.reports.sources.parquet import MAGIC as PARQUET
from guardai.gate.reports.sources.parquet import Parquet
from guardai.gate.reports.sources.postgres import Postgres
from guardai.gate.reports.sources.records import Records
from guardai.gate.reports.sources.relation import CELL, Database, Field, Relation, SourceError
from guardai.gate.reports.sources.sqlite import MAGIC as SQLITE
from guardai.gate.reports.sources.sqlite import Sqlite
from guardai.gate.reports.sources.texts import places
from guardai.model import ancestors
from guardai.policy import Catalog
from guardai.policy.columns import pattern
from guardai.text import mask
from guardai.text.classify import classify
from guardai.text.columns import named

__all__ = ["Options", "Progress", "scan"]

#: Columns that are read in one statement: a thousand rows of them fit into memory, whatever stands in them.
_AT_ONCE: Final = 32
#: Places that a report holds; what is beyond is counted.
_PLACES: Final = 100_000
#: Bytes of a text file of rows that is also read whole for secrets. A larger one is known by its sample, unless labels are sought.
_FIXTURE: Final = 1 << 20
_SECRETS: Final = frozenset({"secret"})
_ROWS: Final = frozenset({".csv", ".tsv", ".tab", ".psv"})
_JSON: Final = frozenset({".json", ".jsonl", ".ndjson", ".jsonlines"})

#: Told what is being looked at, how many of its kind are done, and of how many (0: nobody knows).
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How a scan is done.

    Attributes:
        rows: that are looked at of each table, at most.
        timeout: seconds that one statement may take.
        bytes: of a text file that are looked at, at most.
        views: whether views are looked at, too. To read one runs what it is defined by.
        seek: labels that must not be missed, and those that they cover. Text files of rows of up to `bytes` are not
            sampled then: every row is looked at.
    """

    rows: int = 1000
    timeout: float = 30.0
    bytes: int = 20 << 20
    views: bool = True
    seek: frozenset[str] = frozenset()


def scan(
    targets: Sequence[str],
    *,
    catalog: Catalog | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Report:
    """Looks at databases, files and folders.

    Args:
        targets: addresses (`sqlite:///`, `postgresql://`, `mysql://`, `mariadb://`, `duckdb:///`) and paths.
        catalog: what is labelled already; what it labels is not proposed again.
        options: how much is looked at.
        progress: told while it lasts.

    Returns:
        What was found under each target. A target that cannot be read is one with an `error`; it stops nothing.
    """
    work = _Scan(catalog or Catalog(), options or Options(), progress or _silent)
    return Report([work.target(target) for target in targets])


def _silent(_what: str, _done: int, _of: int) -> None: ...


class _Scan:
    def __init__(self, catalog: Catalog, options: Options, progress: Progress) -> None:
        self._catalog, self._options, self._progress = catalog, options, progress

    def target(self, target: str) -> Source:
        source = Source(shown(target))
        try:
            kind, address = kind_of(target)
            if kind:
                source.kind = "database"
                self._tables(_connect(kind, address, self._options.timeout), source)
            elif target:
                self._path(Path(target), source)
            else:
                raise SourceError("names nothing")
        except Exception as error:
            source.error = _why(error, source)
        return source

    # ---- tables ----

    def _tables(self, database: Database, source: Source, prefix: str = "") -> None:
        with closing(database):
            relations = database.relations()
            for done, relation in enumerate(relations):
                if relation.kind == "view" and not self._options.views:
                    continue
                name = ".".join(part for part in (relation.schema, relation.name) if part)
                shown_as = mask(legible(name)) if relation.kind != "file" else ""
                told = "#".join(part for part in (prefix, shown_as) if part)
                self._progress(told, done, len(relations))
                source.tables.append(self._table(database, relation, told, source))

    def _table(self, database: Database, relation: Relation, told: str, source: Source) -> Table:
        columns: list[Column | None] = [None] * len(relation.fields)
        looked: list[tuple[int, Field]] = []
        for at, field in enumerate(relation.fields):
            if why := _left_out(field, relation):
                columns[at] = self._column(relation, field, None, why)
            else:
                looked.append((at, field))
        rows = broken = cut = 0
        larger = False
        error = relation.error
        for first in range(0, len(looked), _AT_ONCE):
            chunk = looked[first : first + _AT_ONCE]
            try:
                sample = database.sample(relation, [field for _, field in chunk], self._options.rows)
            except Exception as failed:
                error = _why(failed, source)
                break
            rows, broken, larger = max(rows, len(sample.rows)), sample.broken, larger or sample.larger
            for place, (at, field) in enumerate(chunk):
                values = [row[place] for row in sample.rows]
                cut += sum(map(_is_cut, values))
                columns[at] = self._column(relation, field, values, "")
        done = tuple(
            column or self._column(relation, field, None, "not read")
            for column, field in zip(columns, relation.fields, strict=True)
        )
        return Table(told, relation.kind, rows, done, broken, error, larger, cut)

    def _column(self, relation: Relation, field: Field, values: list[object] | None, skipped: str) -> Column:
        table = ".".join(part for part in (relation.schema, relation.name) if part)
        known = tuple(sorted(self._catalog.column_labels(table, field.name)))
        name = legible(field.name)
        told = mask(name)
        # A file without a header has no names, and what is no name must not get into a catalog.
        usable = told == name and "*" not in name and mask(relation.name) == relation.name
        if relation.kind == "file" and not relation.key:
            usable = False
        holds = None if values is None else classify(field.name, values, table=relation.name)
        label = (holds.label if holds is not None else None) or ""
        if label and _covered(label, known):
            label = ""
        return Column(
            told,
            field.type,
            holds,
            skipped,
            known,
            pattern(relation.name, field.name) if usable else "",
            label if usable else "",
        )

    # ---- files ----

    def _path(self, path: Path, source: Source) -> None:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise SourceError(f"there is no such file or folder ({error.strerror})") from None
        except ValueError:
            raise SourceError("not a path") from None
        source.files = told = Files()
        if stat.S_ISREG(mode):
            source.kind = "file"
            self._file(path, source, path.name)
        elif stat.S_ISDIR(mode):
            source.kind = "folder"
            for done, file in enumerate(files(path, told)):
                name = legible(str(file))
                self._progress(name, done, 0)
                try:
                    self._file(file, source, name)
                except Exception as error:
                    told.problems.append((name, _why(error, source)))
        else:
            raise SourceError("neither a file nor a folder")

    def _file(self, path: Path, source: Source, name: str) -> None:
        told = source.files
        assert told is not None
        with path.open("rb") as file:
            head = file.read(HEAD)
        database = _database_file(path, head, self._options.timeout)
        if database is not None:
            self._tables(database, source, name)
            told.looked_at += 1
            return
        encoding = encoding_of(head)
        if encoding is None:
            told.binary += 1
            if source.kind == "file":
                raise SourceError("neither text nor a format that is known")
            return
        told.looked_at += 1
        size = path.stat().st_size
        whole = bool(self._options.seek) and size <= self._options.bytes
        rows, most = (sys.maxsize, self._options.bytes) if whole else (self._options.rows, SMALL)
        table = _table_file(path, encoding, rows, most) if head else None
        if table is None:
            self._places(path, encoding, source, name)
            return
        before = len(source.tables)
        self._tables(table, source, name)
        only = _SECRETS
        if whole and any(one.cut for one in source.tables[before:]):
            # What stands at the end of a long cell is found in the file as a text, which is read to its end.
            only |= self._options.seek
            source.tables[before:] = [replace(one, cut=0) for one in source.tables[before:]]
        if whole or size <= _FIXTURE:
            self._places(path, encoding, source, name, only)

    def _places(
        self, path: Path, encoding: Encoding, source: Source, name: str, only: frozenset[str] = frozenset()
    ) -> None:
        told = source.files
        assert told is not None
        read = places(path, encoding, self._options.bytes, only=only)
        for line, label in read.found[: max(0, _PLACES - len(source.places))]:
            source.places.append(Place(name, line, label))
        for label, count in read.counted.items():
            source.counted[label] = source.counted.get(label, 0) + count
        if not read.whole and not only:
            told.problems.append(
                (name, f"larger than {self._options.bytes >> 20} MB: only the beginning was looked at")
            )


def _why(error: Exception, source: Source) -> str:
    """Why something could not be read. SECURITY INVARIANT: of what nobody expected only the type: its words may hold values."""
    if isinstance(error, SourceError):
        return str(error)
    if isinstance(error, GuardError):
        raise error  # a detector that cannot be used, say: every other file would fail as this one does
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    source.unexpected = True
    return f"cannot be read: {type(error).__name__}, which nobody expected"


def _is_cut(value: object) -> bool:
    """Whether a value is so long that its end is not looked at; what a source has cut off already has that length."""
    if isinstance(value, list | tuple | dict):
        try:
            value = str(value)
        except RecursionError:
            return True
    return isinstance(value, str | bytes) and len(value) >= CELL


def _connect(kind: str, address: str, timeout: float) -> Database:
    if kind == "postgres":
        return Postgres(address, timeout)
    if kind == "mysql":
        return Mysql(address, timeout)
    rest = address.partition("://")[2].partition("?")[0]
    path = Path(rest.removeprefix("/"))
    if not rest.removeprefix("/"):
        raise SourceError("names no file")
    if not path.is_file():
        raise SourceError("there is no such file")
    return Sqlite(path, timeout) if kind == "sqlite" else Duck(path, timeout)


def _database_file(path: Path, head: bytes, timeout: float) -> Database | None:
    """A file that is a database, or a table in binary, by its first bytes; None for any other."""
    if head.startswith(SQLITE):
        return Sqlite(path, timeout)
    if head[OFFSET : OFFSET + len(DUCK)] == DUCK:
        return Duck(path, timeout)
    return Parquet(path) if head.startswith(PARQUET) else None


def _table_file(path: Path, encoding: Encoding, rows: int, most: int) -> Database | None:
    """A text file that is a table, by its name; None for any other, and for one that turns out to be none."""
    suffix = path.suffix.lower()
    try:
        if suffix in _ROWS:
            return Delimited(path, encoding, rows, most)
        if suffix in _JSON:
            return Records(path, encoding, rows, most)
    except SourceError:
        return None
    return None


def _left_out(field: Field, relation: Relation) -> str:
    """Why a column is not looked at; "" if it is."""
    if field.kind == "binary":
        return "binary"
    if field.kind == "plain" and named(field.name, relation.name) is None:
        return f"{field.type}, and its name says nothing"
    return ""


def _covered(label: str, known: Sequence[str]) -> bool:
    """Whether somebody has decided already: the label, one that covers it, or another of its family."""
    family = label.partition(".")[0]
    return any(one == label or one in ancestors(label) or one.partition(".")[0] == family for one in known)
