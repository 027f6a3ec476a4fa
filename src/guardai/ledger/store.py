"""The sealed store: the events' exact bytes, the tree over them and its signed heads; in SQLite, or in PostgreSQL.

One implementation for both: it speaks the SQL that they share, with `?` for a parameter, and asks a `Dialect` for the rest.
How a store is opened stands in `sqlitestore`; which one a home has, in `place`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "VERSION", "Connection", "Dialect", "LogRow", "Row", "Store", "StoreAwayError", "StoreError", "StoreHeldError", "StoreVersionError",
    "Words", "schema",
]  # fmt: skip

VERSION: Final = 1

#: Statements of the schema, in the words of a dialect. A log's `ended` is 1 once its end is in the store, 2 once it was pruned.
_SCHEMA: Final = """
CREATE TABLE logs (n {number} PRIMARY KEY, log {text} NOT NULL UNIQUE, events {number} NOT NULL, hash {text} NOT NULL,
    ended {number} NOT NULL);
CREATE TABLE events (leaf {number} PRIMARY KEY, log {number} NOT NULL, seq {number} NOT NULL, ts {number} NOT NULL,
    bytes {bytes} NOT NULL, tag {bytes});
CREATE UNIQUE INDEX events_by_log ON events (log, seq);
CREATE INDEX events_by_time ON events (ts, log, seq);
CREATE TABLE heads (log {number} NOT NULL, seq {number} NOT NULL, hash {text} NOT NULL, by {text} NOT NULL,
    ts {number} NOT NULL, sig {text} NOT NULL, PRIMARY KEY (log, seq)){clustered};
CREATE TABLE tiles (level {number} NOT NULL, idx {number} NOT NULL, hashes {bytes} NOT NULL, PRIMARY KEY (level, idx)){clustered};
CREATE TABLE checkpoints (size {number} PRIMARY KEY, note {text} NOT NULL);
CREATE TABLE derived (name {text} PRIMARY KEY, upto {number} NOT NULL){clustered};
"""

#: leaf, number of the log, position in it, time, bytes, tag
Row = tuple[int, int, int, int, bytes, bytes | None]


class StoreError(Exception):
    """The store cannot be read or written; the message says why, without a secret."""


class StoreVersionError(StoreError):
    """The store was written by a version that this one cannot read."""


class StoreHeldError(StoreError):
    """Somebody else holds it: another time."""


class StoreAwayError(StoreError):
    """It cannot be opened or reached now, which says nothing of what is in it."""


@dataclass
class LogRow:
    """How far a log has been folded: a cursor that follows from the events."""

    n: int
    events: int
    hash: str
    ended: bool


class Answer(Protocol):
    """What a statement gives back, as a cursor of DB-API 2.0 (PEP 249) does."""

    @property
    def rowcount(self) -> int:
        """Rows that were changed."""
        ...

    def fetchone(self) -> Any:
        """The next row; None if there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...

    def __next__(self) -> Any: ...


class Connection(Protocol):
    """What is used of a connection."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Answer:
        """Runs one statement."""
        ...

    def executemany(self, sql: str, parameters: Any, /) -> Any:
        """Runs one statement for each row of parameters."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


class Words(NamedTuple):
    """What the schema is written in: three types, and what stands behind a table that is kept in the order of its key."""

    number: str
    text: str
    bytes: str
    clustered: str


class Dialect(Protocol):
    """Where the two differ.

    Attributes:
        words: what the schema is written in.
        shared: other hosts may seal into it, too.
        damage: exceptions that say that what is stored cannot be read; others say that the store cannot be reached.
        scanned: behind the name of a table that is to be read without its indexes.
        mistyped_tile: tells of a tile whether a column has a value of another type, which SQLite does not keep out: 0 if none.
        by_log, by_time: behind `events`, to be read by that index.
    """

    words: Words
    shared: bool
    damage: tuple[type[Exception], ...]
    scanned: str
    mistyped_tile: str
    by_log: str
    by_time: str

    def begin(self, db: Connection) -> None:
        """Begins to write, as the only one.

        Raises:
            StoreHeldError: somebody else does.
        """
        ...

    def rest(self, db: Connection) -> None:
        """Ends a transaction in which something was only read, if one is open."""
        ...

    def insert_lines(
        self, db: Connection, lines: Sequence[bytes], times: Sequence[int], leaf: int, log: int, seq: int
    ) -> None:
        """Adds consecutive events of one log from the lines of its spool, without their tags, in one statement."""
        ...

    def joined(self, db: Connection, start: int, most: int) -> tuple[str, int, int] | None:
        """At most so many events from a leaf on, with a newline between, how many, and the last one's leaf; None if there are none."""
        ...

    def has(self, db: Connection, table: str) -> bool:
        """Whether there is such a table."""
        ...

    def size(self, db: Connection) -> int:
        """Bytes that the store takes."""
        ...

    def problems(self, db: Connection) -> list[str]:
        """What the database itself finds wrong with its pages and indexes."""
        ...

    def shrink(self, db: Connection) -> None:
        """Gives back the room of what was removed, if the database does not do so by itself."""
        ...

    def settle(self, db: Connection) -> bool:
        """Whether all that was committed stands where a copy of the store takes it along; False if a reader is in the way."""
        ...


class Store:
    """One connection to the store. Implements `merkle.Tiles`."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self.db = connection
        self.dialect = dialect

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction, of which there is one at a time: kept whole, or not at all.

        Raises:
            StoreHeldError: somebody else is writing.
        """
        self.dialect.begin(self.db)
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(Exception):  # without a connection there is nothing left to undo
                self.db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Whatever is read within, outside of `writing`, is over at its end."""
        try:
            yield
        finally:
            self.dialect.rest(self.db)

    def get_tile(self, level: int, index: int) -> bytes:
        row = self.db.execute("SELECT hashes FROM tiles WHERE level = ? AND idx = ?", (level, index)).fetchone()
        return row[0] if row else b""

    def put_tile(self, level: int, index: int, hashes: bytes) -> None:
        self.db.execute(
            "INSERT INTO tiles VALUES (?, ?, ?) ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes",
            (level, index, hashes),
        )

    def insert(self, rows: Iterable[Row]) -> None:
        """Adds events."""
        self.db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)

    def insert_lines(self, lines: Sequence[bytes], times: Sequence[int], leaf: int, log: int, seq: int) -> None:
        """Adds consecutive events of one log from the lines of its spool, without their tags, in one statement."""
        self.dialect.insert_lines(self.db, lines, times, leaf, log, seq)

    def size(self) -> int:
        """Leaves of the tree. The last event is always there."""
        row = self.db.execute("SELECT max(leaf) FROM events").fetchone()
        return 0 if row[0] is None else int(row[0]) + 1

    def count(self, start: int, log: str | None = None) -> int:
        """Events from a leaf on, of one log or of all."""
        if log is None:
            query, given = "SELECT count(*) FROM events WHERE leaf >= ?", (start,)
        else:
            query = "SELECT count(*) FROM events JOIN logs ON logs.n = events.log WHERE leaf >= ? AND logs.log = ?"
            given = (start, log)  # type: ignore[assignment]
        return int(self.db.execute(query, given).fetchone()[0])

    def pruned(self) -> int:
        """Leaves whose events were taken out, as the table of logs says."""
        return int(self.db.execute("SELECT coalesce(sum(events), 0) FROM logs WHERE ended = 2").fetchone()[0])

    def newest(self) -> str | None:
        """The newest checkpoint's note."""
        row = self.db.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
        return row[0] if row else None

    def note(self, size: int) -> str | None:
        """The checkpoint's note of the tree of this size; None if it is not kept any more."""
        row = self.db.execute("SELECT note FROM checkpoints WHERE size = ?", (size,)).fetchone()
        return row[0] if row else None

    def log(self, name: str) -> LogRow | None:
        """A log's cursor; None if nothing of it has been folded."""
        row = self.db.execute("SELECT n, events, hash, ended FROM logs WHERE log = ?", (name,)).fetchone()
        return LogRow(row[0], row[1], row[2], bool(row[3])) if row else None

    def put_log(self, name: str, row: LogRow) -> None:
        """Keeps a log's cursor."""
        self.db.execute(
            "INSERT INTO logs VALUES (?, ?, ?, ?, ?) ON CONFLICT (n) "
            "DO UPDATE SET events = excluded.events, hash = excluded.hash, ended = excluded.ended",
            (row.n, name, row.events, row.hash, int(row.ended)),
        )

    def put_checkpoint(self, size: int, note: str, kept: int) -> None:
        """Adds a tree head, and keeps so many of the newest."""
        self.db.execute(
            "INSERT INTO checkpoints VALUES (?, ?) ON CONFLICT (size) DO UPDATE SET note = excluded.note", (size, note)
        )
        self.db.execute(
            "DELETE FROM checkpoints WHERE size NOT IN (SELECT size FROM checkpoints ORDER BY size DESC LIMIT ?)",
            (kept,),
        )

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        return self.dialect.has(self.db, table)


def schema(dialect: Dialect) -> list[str]:
    """The statements that make a store."""
    written = _SCHEMA.format_map(dialect.words._asdict())
    return [statement for statement in written.split(";") if statement.strip()]
