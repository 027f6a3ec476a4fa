"""The store as one SQLite file: how it is made, opened and read.

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
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from guardai.ledger import forks
from guardai.ledger.ratchet import TAG_HEX
from guardai.ledger.store import (
    VERSION,
    Connection,
    Dialect,
    Store,
    StoreAwayError,
    StoreError,
    StoreHeldError,
    StoreVersionError,
    Words,
    schema,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SQLITE", "open_sqlite", "read_sqlite", "scratch"]

#: "GAIL", so that `file` can tell what it is.
_APPLICATION: Final = 0x4741494C
#: Seconds. Only sealers write, and only one at a time: whoever else holds the store is a stranger, and not worth a fork's
#: or a close's waiting.
_TIMEOUT: Final = 0.25
#: Whoever reads and holds up no fork has time: the last one to close the store locks it for as long as the disk takes.
_PATIENCE: Final = 5.0

#: json_extract and not ->>, which SQLite has only since 3.38.
_INSERT_LINES: Final = """
INSERT INTO events SELECT :leaf + key, :log, :seq + key, json_extract(value, '$[0]'),
    substr(:lines, json_extract(value, '$[1]'), json_extract(value, '$[2]')), NULL FROM json_each(:places)
"""


class _Sqlite(Dialect):
    words = Words("INTEGER", "TEXT", "BLOB", " WITHOUT ROWID")
    shared = False
    damage = (sqlite3.Error,)
    scanned = " NOT INDEXED"
    mistyped_tile = "typeof(level) || typeof(idx) || typeof(hashes) != 'integerintegerblob'"
    by_log = " INDEXED BY events_by_log"
    by_time = " INDEXED BY events_by_time"

    def begin(self, db: Connection) -> None:
        db.execute("BEGIN IMMEDIATE")

    def rest(self, db: Connection) -> None:
        """Nothing stays open outside of a transaction that was begun."""

    def insert_lines(
        self, db: Connection, lines: Sequence[bytes], times: Sequence[int], leaf: int, log: int, seq: int
    ) -> None:
        places = []
        start = 1
        for line, ts in zip(lines, times, strict=True):
            places.append(f"[{ts},{start},{len(line) - TAG_HEX - 1}]")
            start += len(line)
        values = {"leaf": leaf, "log": log, "seq": seq, "lines": b"".join(lines), "places": f"[{','.join(places)}]"}
        db.execute(_INSERT_LINES, values)

    def joined(self, db: Connection, start: int, most: int) -> tuple[str, int, int] | None:
        # One value instead of many rows: each row fetched would pass the interpreter lock to and fro.
        found, count, last = db.execute(
            "SELECT group_concat(CAST(bytes AS TEXT), char(10)), count(*), max(leaf) FROM "
            "(SELECT leaf, bytes FROM events WHERE leaf >= ? ORDER BY leaf LIMIT ?)",
            (start, most),
        ).fetchone()
        return (str(found), count, last) if count else None

    def has(self, db: Connection, table: str) -> bool:
        return db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None

    def size(self, db: Connection) -> int:
        (pages,), (each,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
        return int(pages) * int(each)

    def problems(self, db: Connection) -> list[str]:
        try:
            found = [str(row[0]) for row in db.execute("PRAGMA integrity_check(100)")]
        except sqlite3.DatabaseError:
            return ["unreadable"]
        return [] if found == ["ok"] else found

    def shrink(self, db: Connection) -> None:
        with contextlib.suppress(
            sqlite3.OperationalError
        ):  # a reader, or no room for a copy: pages that are free are used again
            db.execute("VACUUM")

    def settle(self, db: Connection) -> bool:
        """Moves the write-ahead log into the main file."""
        return not db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]


SQLITE: Final = _Sqlite()


@contextlib.contextmanager
def open_sqlite(path: Path) -> Iterator[Store]:
    """Opens the store for writing, making it if there is none. Holds up a fork meanwhile.

    Raises:
        StoreError: it is of another version, or cannot be opened, read or written.
    """
    with forks.quiet(), _told():
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        db = _Connection(os.fspath(path), timeout=_TIMEOUT, isolation_level=None)
        try:
            made, version = _made(db)
            if not made:
                _create(db)
            elif version != VERSION:
                raise _another(version)
            # A commit must be on the disk before a spool is removed on the strength of it.
            db.execute("PRAGMA synchronous = FULL")
            yield Store(db, SQLITE)
        finally:
            db.close()


def _made(db: sqlite3.Connection) -> tuple[bool, int]:
    """Whether the store has been made, and its version.

    The tables are looked for first: somebody may make them between the two questions, and then the version is there, too.
    """
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    return bool(tables or version), version


def _another(version: int) -> StoreVersionError:
    return StoreVersionError(f"the store is of version {version}, this guardai reads version {VERSION}")


def _create(db: sqlite3.Connection) -> None:
    # Events are about a kilobyte: a larger page wastes less at its end.
    db.execute("PRAGMA page_size = 8192")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        for statement in schema(SQLITE):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


@contextlib.contextmanager
def read_sqlite(path: Path, *, gated: bool = True) -> Iterator[Store | None]:
    """A consistent view of the store, through which nothing can be changed; None if there is none.

    Where the folder cannot be written SQLite could not make the files that its log needs: then the file is read as it is,
    or, if a write-ahead log lies beside it, a private copy of both.

    Args:
        path: the store.
        gated: hold up a fork meanwhile (see `forks`). Not where the caller takes its time.

    Raises:
        StoreError: it is of another version, or cannot be opened or read.
    """
    if not path.exists():
        yield None
        return
    wal = path.with_name(path.name + "-wal")
    with _told(), contextlib.ExitStack() as stack:
        if gated:
            stack.enter_context(forks.quiet())
        if os.access(path.parent, os.W_OK):
            db = _connect(path, "mode=rw", _TIMEOUT if gated else _PATIENCE)
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
            raise _another(version)
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM checkpoints").fetchone()  # takes the snapshot
        yield Store(db, SQLITE)


def scratch() -> Store:
    """A database of its own, on the disk only if it grows large, that nobody else sees. It is empty."""
    return Store(_Connection("", isolation_level=None), SQLITE)


#: What SQLite says of a store that somebody else holds, and of one that cannot be opened.
_HELD: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_AWAY: Final = frozenset({sqlite3.SQLITE_CANTOPEN})


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tells SQLite's exceptions in the words of a store."""
    try:
        yield
    except sqlite3.Error as error:
        # An error that the module itself finds has no code.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        kind = StoreHeldError if code in _HELD else StoreAwayError if code in _AWAY else StoreError
        raise kind(str(error)) from error


def _connect(path: Path, how: str, timeout: float = _TIMEOUT) -> sqlite3.Connection:
    return _Connection(f"file:{quote(os.fspath(path))}?{how}", timeout=timeout, isolation_level=None, uri=True)
