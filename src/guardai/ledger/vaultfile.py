"""A database of the vault: one SQLite file that processes, threads and forks share. What stands in it is its owner's business.

A transaction takes SQLite's write lock, so that of two processes one is first. It is with the operating system when it
returns and survives kill -9; a power failure may take the last of it, unless the file is `durable`. A connection stays open
between transactions, which cost the tenth of opening one, and is closed for each fork.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from _sqlite3 import Connection as _Connection  # the C type itself: see store.py
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from cryptography.exceptions import InvalidTag

from guardai.errors import GuardError
from guardai.ledger.layout import publish

__all__ = ["Form", "VaultError", "VaultFile"]

#: Seconds to wait for another process, whose transaction takes microseconds, and for one's own before a fork.
_TIMEOUT: Final = 5.0

T = TypeVar("T")


class VaultError(GuardError):
    """The vault cannot be read or written. What should have been kept was not; no message holds a value."""


class Form(NamedTuple):
    """What kind of database it is.

    Attributes:
        name: for people, `token vault`.
        schema: its tables, statements separated by semicolons.
        application: four bytes as a number, so that `file` can tell what it is.
        version: of the schema.
        lost: what it means that it is gone, for people.
    """

    name: str
    schema: str
    application: int
    version: int
    lost: str


class VaultFile:
    """One database. No file is made or opened before the first transaction.

    Safe for threads, processes and forks. A signal handler that needs it while it interrupts its own work is refused: there
    would be nothing to wait for.

    Args:
        path: where; its folder is made.
        form: what kind.
        rolled_back: called when a transaction has come to nothing, or another file lies there.
        durable: a transaction is on the disk when it returns.
    """

    def __init__(self, path: Path, form: Form, rolled_back: Callable[[], None], *, durable: bool = False) -> None:
        self.path = path
        self._form = form
        self._rolled_back = rolled_back
        self._durable = durable
        self._lock = threading.RLock()
        self._busy = False
        self._db: sqlite3.Connection | None = None
        #: Of the file that is open: another one may have been put in its place.
        self._inode = 0
        _files.add(self)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Does `work` in one transaction, or none of it.

        Raises:
            VaultError: none of it.
        """
        return self._within(work, writing=True)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Does `work`, which changes nothing.

        Raises:
            VaultError: it cannot be read.
        """
        return self._within(work, writing=False)

    def truncate(self) -> None:
        """Empties the write-ahead log, which still holds what pages held.

        Raises:
            VaultError: it cannot be written.
        """
        self.read(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())

    def close(self) -> None:
        """Closes the file; whoever uses it after that opens it again."""
        with self._lock:
            if not self._busy:
                self.drop()

    def _within(self, work: Callable[[sqlite3.Connection], T], *, writing: bool) -> T:
        name = self._form.name
        with self._lock:
            if self._busy:
                raise VaultError(f"the {name} is needed by what interrupted the {name}'s own work")
            self._busy = True
            try:
                db = self._opened()
                if not writing:
                    return work(db)
                db.execute("BEGIN IMMEDIATE")
                made = work(db)
                db.execute("COMMIT")
                return made
            except BaseException as error:
                self.drop()  # which rolls back
                self._rolled_back()
                if isinstance(error, sqlite3.Error | OSError | InvalidTag | ValueError):
                    raise self._told(error) from error
                raise
            finally:
                self._busy = False

    def _opened(self) -> sqlite3.Connection:
        form = self._form
        try:
            inode = os.stat(self.path).st_ino  # noqa: PTH116 - on every transaction: the half of Path's price
        except FileNotFoundError:
            self.drop()
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            publish(self.path, _empty(self.path, form), 0o600)
            inode = self.path.stat().st_ino
        if self._db is not None:
            if inode == self._inode:
                return self._db
            self.drop()
            self._rolled_back()
        # Autocommit: transactions are begun and ended above. For any thread: the lock lets one in at a time.
        db = _Connection(os.fspath(self.path), timeout=_TIMEOUT, isolation_level=None, check_same_thread=False)
        self._db, self._inode = db, inode
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != form.version:
            raise VaultError(f"the {form.name} {self.path} is of version {version}, this guardai reads {form.version}")
        db.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
        db.execute("PRAGMA secure_delete = ON")
        return db

    def drop(self) -> None:
        """Closes the connection, whoever uses it. What a transaction has begun never was."""
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _told(self, error: Exception) -> VaultError:
        form = self._form
        code = getattr(error, "sqlite_errorcode", None)
        damaged = code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        if isinstance(error, sqlite3.OperationalError | OSError) and not damaged:
            why = (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
            return VaultError(
                f"the {form.name} {self.path} cannot be used: {why}; "
                "check that the home can be written and that there is space"
            )
        return VaultError(
            f"the {form.name} {self.path} is damaged, or not of this home; move {self.path.parent} away to begin anew: "
            f"{form.lost}"
        )

    # ---- forks: no connection is open, and none of its locks held, at the moment of one (see forks.py) ----

    def _before_fork(self) -> bool:
        if not self._lock.acquire(timeout=_TIMEOUT):
            return False
        if not self._busy:
            self.drop()
        return True

    def _in_parent(self) -> None:
        self._lock.release()

    def _in_child(self) -> None:
        self._lock = threading.RLock()
        self._busy = False
        db, self._db = self._db, None
        if db is not None:
            _abandoned.append(db)  # it was in use: here it must not be touched, not even to close it


def _empty(path: Path, form: Form) -> bytes:
    """A new database, whole: what many processes make at once only one of them publishes."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        db = _Connection(os.fspath(draft), isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            for statement in form.schema.split(";"):
                if statement.strip():
                    db.execute(statement)
            db.execute(f"PRAGMA application_id = {form.application}")
            db.execute(f"PRAGMA user_version = {form.version}")
        finally:
            db.close()
        return draft.read_bytes()
    finally:
        draft.unlink(missing_ok=True)


_files: Final[weakref.WeakSet[VaultFile]] = weakref.WeakSet()
#: (thread that forks, file that it holds)
_held: Final[list[tuple[int, VaultFile]]] = []
_abandoned: Final[list[sqlite3.Connection]] = []


def _before() -> None:
    me = threading.get_ident()
    for file in list(_files):
        if file._before_fork():
            _held.append((me, file))


def _in_parent() -> None:
    me = threading.get_ident()
    for one in [one for one in _held if one[0] == me]:
        _held.remove(one)
        one[1]._in_parent()


def _in_child() -> None:
    _held.clear()
    for file in list(_files):
        file._in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
