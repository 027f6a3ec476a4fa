"""SQLite files, read in place: nothing is written, not even beside them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

from guardai.gate.reports.sources.relation import CELL, Field, Relation, Sample, SourceError, chance, quoted

__all__ = ["MAGIC", "Sqlite"]

MAGIC: Final = b"SQLite format 3\x00"
#: Where rows are read besides the first ones.
_BLOCKS: Final = 32
#: Instructions of SQLite's machine between two looks at the clock.
_STEPS: Final = 100_000
_ROWIDS: Final = ("rowid", "_rowid_", "oid")


class Sqlite:
    """An SQLite file.

    Args:
        path: the file.
        timeout: seconds that one table may take.

    Raises:
        SourceError: it is not there, or no SQLite file.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._timeout = timeout
        self._over = False
        self._until = time.monotonic() + timeout
        try:
            with path.open("rb") as file:
                head = file.read(20)
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}") from None
        if head and not head.startswith(MAGIC):
            raise SourceError("not an SQLite database, or an encrypted one")
        # A reader of a file in WAL mode would leave two files beside it, unless told that nobody writes: then there is
        # no log beside it either.
        quiet = head[18:20] == b"\x02\x02" and not path.with_name(f"{path.name}-wal").exists()
        address = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if quiet else ''}"
        try:
            self._connection = sqlite3.connect(address, uri=True, timeout=2.0)
            # A schema from elsewhere may call functions; those that reach out of the file are refused.
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise SourceError(_reason(error)) from None
        self._connection.text_factory = _text
        self._connection.set_progress_handler(self._late, _STEPS)

    def _late(self) -> bool:
        self._over = time.monotonic() > self._until
        return self._over

    def _run(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        self._until, self._over = time.monotonic() + self._timeout, False
        try:
            with closing(self._connection.execute(statement, parameters)) as cursor:
                return cursor.fetchall()
        except (sqlite3.Error, MemoryError, OverflowError) as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT" and not self._over:
                # Not the clock: Ctrl-C, which SQLite's callback has swallowed.
                raise KeyboardInterrupt from None
            raise SourceError(_reason(error)) from None

    def relations(self) -> list[Relation]:
        """All tables and views but SQLite's own."""
        found = []
        for name, kind in self._run(
            "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow' "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
        ):
            shape: Literal["table", "view"] = "view" if kind == "view" else "table"
            try:
                columns = self._run("SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid", name)
            except SourceError as error:
                found.append(Relation(name, "", shape, (), error=str(error)))
                continue
            # Any column may hold any type here, whatever it says: the values tell.
            found.append(Relation(name, "", shape, tuple(Field(*column) for column in columns)))
        return found

    def sample(self, relation: Relation, fields: Sequence[Field], count: int) -> Sample:
        """See `Database`."""
        names = [quoted(field.name) for field in fields]
        chosen = ", ".join(
            f"CASE typeof({name}) WHEN 'text' THEN substr({name}, 1, {CELL}) WHEN 'blob' THEN substr({name}, 1, {CELL}) "
            f"ELSE {name} END"
            for name in names
        )
        table = quoted(relation.name)
        head = self._run(f"SELECT {chosen} FROM {table} LIMIT ?", count + 1)  # noqa: S608 -- names are quoted
        if len(head) <= count:
            return Sample(head)
        head.pop()
        taken = {field.name.lower() for field in relation.fields}
        rowid = next((name for name in _ROWIDS if name not in taken), "")
        if relation.kind == "view" or not rowid:
            return Sample(head, larger=True)
        try:
            ((low, high),) = self._run(f"SELECT min({rowid}), max({rowid}) FROM {table}")  # noqa: S608
        except SourceError:
            return Sample(head, larger=True)  # a table without row numbers
        if not isinstance(low, int) or not isinstance(high, int):
            return Sample(head, larger=True)
        draw, half = chance(), count // 2
        each = max(1, half // _BLOCKS)
        rows = head[: count - half]
        for _ in range(min(_BLOCKS, half)):
            rows += self._run(
                f"SELECT {chosen} FROM {table} WHERE {rowid} >= ? ORDER BY {rowid} LIMIT ?",  # noqa: S608
                draw.randint(low, high),
                each,
            )
        return Sample(rows, larger=True)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _reason(error: BaseException) -> str:
    """What happened, in our words: SQLite's may hold values."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return {
        "SQLITE_BUSY": "locked by another program",
        "SQLITE_LOCKED": "locked by another program",
        "SQLITE_CORRUPT": "damaged: the file is not whole",
        "SQLITE_NOTADB": "not an SQLite database, or an encrypted one",
        "SQLITE_CANTOPEN": "cannot be opened",
        "SQLITE_INTERRUPT": "took longer than the timeout",
    }.get(name, f"SQLite says {name}")
