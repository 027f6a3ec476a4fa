"""The sealed store: one SQLite file with the events' exact bytes, the tree over them and its signed heads.

Connections are made from SQLite's own C type. Integrations replace `sqlite3.connect` and `sqlite3.Connection`; the
ledger must not govern and record its own statements. A connection lives for one transaction, because an open one must
not be carried across a fork.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from _sqlite3 import Connection as _Connection  # the C type itself: see above
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from guardai.ledger import forks
from guardai.ledger.ratchet import TAG_HEX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["VERSION", "LogRow", "Row", "Store", "StoreVersionError", "open_store", "read_store", "scratch"]

VERSION: Final = 1
#: "GAIL", so that `file` can tell what it is.
_APPLICATION: Final = 0x4741494C
#: Seconds. Only sealers write, and only one at a time: whoever else holds the store is a stranger, and not worth a fork's
#: or a close's waiting.
_TIMEOUT: Final = 0.25

_SCHEMA: Final = """
CREATE TABLE logs (n INTEGER PRIMARY KEY, log TEXT NOT NULL UNIQUE, events INTEGER NOT NULL, hash TEXT NOT NULL,
    ended INTEGER NOT NULL);
CREATE TABLE events (leaf INTEGER PRIMARY KEY, log INTEGER NOT NULL, seq INTEGER NOT NULL, ts INTEGER NOT NULL,
    bytes BLOB NOT NULL, tag BLOB);
CREATE UNIQUE INDEX events_by_log ON events (log, seq);
CREATE INDEX events_by_time ON events (ts, log, seq);
CREATE TABLE heads (log INTEGER NOT NULL, seq INTEGER NOT NULL, hash TEXT NOT NULL, by TEXT NOT NULL,
    ts INTEGER NOT NULL, sig TEXT NOT NULL, PRIMARY KEY (log, seq)) WITHOUT ROWID;
CREATE TABLE tiles (level INTEGER NOT NULL, idx INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, idx))
    WITHOUT ROWID;
CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL);
CREATE TABLE derived (name TEXT PRIMARY KEY, upto INTEGER NOT NULL) WITHOUT ROWID;
"""


#: json_extract and not ->>, which SQLite has only since 3.38.
_INSERT_LINES: Final = """
INSERT INTO events SELECT :leaf + key, :log, :seq + key, json_extract(value, '$[0]'),
    substr(:lines, json_extract(value, '$[1]'), json_extract(value, '$[2]')), NULL FROM json_each(:places)
"""

#: leaf, number of the log, position in it, time, bytes, tag
Row = tuple[int, int, int, int, bytes, bytes | None]


class StoreVersionError(Exception):
    """The store was written by a version that this one cannot read."""


@dataclass
class LogRow:
    """How far a log has been folded: a cursor that follows from the events."""

    n: int
    events: int
    hash: str
    ended: bool


class Store:
    """One connection to the store. Implements `merkle.Tiles`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.db = connection

    def get_tile(self, level: int, index: int) -> bytes:
        row = self.db.execute("SELECT hashes FROM tiles WHERE level = ? AND idx = ?", (level, index)).fetchone()
        return row[0] if row else b""

    def put_tile(self, level: int, index: int, hashes: bytes) -> None:
        self.db.execute("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?)", (level, index, hashes))

    def insert(self, rows: Iterable[Row]) -> None:
        """Adds events."""
        self.db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)

    def insert_lines(self, lines: Sequence[bytes], times: Sequence[int], leaf: int, log: int, seq: int) -> None:
        """Adds consecutive events of one log from the lines of its spool, without their tags, in one statement."""
        places = []
        start = 1
        for line, ts in zip(lines, times, strict=True):
            places.append(f"[{ts},{start},{len(line) - TAG_HEX - 1}]")
            start += len(line)
        values = {"leaf": leaf, "log": log, "seq": seq, "lines": b"".join(lines), "places": f"[{','.join(places)}]"}
        self.db.execute(_INSERT_LINES, values)

    def size(self) -> int:
        """Leaves in the store."""
        row = self.db.execute("SELECT max(leaf) FROM events").fetchone()
        return 0 if row[0] is None else int(row[0]) + 1

    def newest(self) -> str | None:
        """The newest checkpoint's note."""
        row = self.db.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
        return row[0] if row else None

    def log(self, name: str) -> LogRow | None:
        """A log's cursor; None if nothing of it has been folded."""
        row = self.db.execute("SELECT n, events, hash, ended FROM logs WHERE log = ?", (name,)).fetchone()
        return LogRow(row[0], row[1], row[2], bool(row[3])) if row else None


@contextlib.contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Opens the store for writing, making it if there is none.

    Raises:
        StoreVersionError: it is of another version.
        sqlite3.Error: it cannot be opened.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    db = _Connection(os.fspath(path), timeout=_TIMEOUT, isolation_level=None)
    try:
        made, version = _made(db)
        if not made:
            _create(db)
        elif version != VERSION:
            raise StoreVersionError(f"the store is of version {version}, this guardai reads version {VERSION}")
        # A commit must be on the disk before a spool is removed on the strength of it.
        db.execute("PRAGMA synchronous = FULL")
        yield Store(db)
    finally:
        db.close()


def _made(db: sqlite3.Connection) -> tuple[bool, int]:
    """Whether the store has been made, and its version.

    The tables are looked for first: somebody may make them between the two questions, and then the version is there, too.
    """
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    return bool(tables or version), version


def _create(db: sqlite3.Connection) -> None:
    # Events are about a kilobyte: a larger page wastes less at its end.
    db.execute("PRAGMA page_size = 8192")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        for statement in _SCHEMA.split(";"):
            if statement.strip():
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


@contextlib.contextmanager
def read_store(path: Path, *, gated: bool = True) -> Iterator[Store | None]:
    """A consistent view of the store, through which nothing can be changed; None if there is none.

    Where the folder cannot be written SQLite could not make the files that its log needs: then the file is read as it is,
    or, if a write-ahead log lies beside it, a private copy of both.

    Args:
        path: the store.
        gated: hold up a fork meanwhile (see `forks`). Not where the caller takes its time.

    Raises:
        StoreVersionError: it is of another version.
        sqlite3.Error: it cannot be read.
    """
    if not path.exists():
        yield None
        return
    wal = path.with_name(path.name + "-wal")
    with contextlib.ExitStack() as stack:
        if gated:
            stack.enter_context(forks.quiet())
        if os.access(path.parent, os.W_OK):
            db = _connect(path, "mode=rw")
        elif not wal.exists() or wal.stat().st_size == 0:
            db = _connect(path, "mode=ro&immutable=1")
        else:
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for file in (path, wal):
                shutil.copyfile(file, copy / file.name)
            db = _connect(copy / path.name, "mode=rw")
        stack.callback(db.close)
        db.execute("PRAGMA query_only = ON")
        made, version = _made(db)
        if not made:
            yield None  # whoever wanted to make it died first
            return
        if version != VERSION:
            raise StoreVersionError(f"the store is of version {version}, this guardai reads version {VERSION}")
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM checkpoints").fetchone()  # takes the snapshot
        yield Store(db)


def scratch() -> sqlite3.Connection:
    """A database of its own, on the disk only if it grows large, that nobody else sees."""
    return _Connection("", isolation_level=None)


def _connect(path: Path, how: str) -> sqlite3.Connection:
    return _Connection(f"file:{quote(os.fspath(path))}?{how}", timeout=_TIMEOUT, isolation_level=None, uri=True)
