"""The token vault: what the tokens of a home's sessions stand for, encrypted, in one SQLite file that expires.

Under `<home>/vault/`, folder 0700: `tokens.db`, and in `keys/` the keys of the hours (`epochs.py`). What stands in the
database, and under which keys, says `drawers.py`.

A transaction takes SQLite's write lock, so that of two processes one is first, and that numbers are unique is the
database's doing. It is with the operating system when it returns and survives kill -9; a power failure may take the last
of it. A connection stays open between transactions, which cost the tenth of opening one, and is closed for each fork.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from _sqlite3 import Connection as _Connection  # the C type itself: see store.py
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar

from cryptography.exceptions import InvalidTag

from guardai.errors import GuardError
from guardai.ledger.drawers import SCHEMA, Drawers
from guardai.ledger.epochs import Epochs
from guardai.ledger.layout import publish
from guardai.model import Kept

__all__ = ["TokenVault", "VaultError"]

_VERSION: Final = 1
#: "GAIV", so that `file` can tell what it is.
_APPLICATION: Final = 0x47414956
#: Seconds to wait for another process, whose transaction takes microseconds, and for one's own before a fork.
_TIMEOUT: Final = 5.0
#: Seconds between two looks for what has expired.
_SWEEP: Final = 600.0

T = TypeVar("T")


class VaultError(GuardError):
    """The vault cannot be read or written. What should have been kept was not; no message holds a value."""


class TokenVault:
    """The vault of a home; implements `guardai.model.Vault`. No file is made or opened before the first token.

    Safe for threads, processes and forks. A signal handler that needs the vault while it interrupts the vault's own work
    is refused: there would be nothing to wait for.

    Args:
        home: the folder that holds everything of this home.
        secret: 32 bytes, constant for the home.
        life: seconds after a session's last use until it is forgotten.
    """

    def __init__(self, home: Path, secret: bytes, *, life: float) -> None:
        self.life = life
        #: The database.
        self.path = home / "vault" / "tokens.db"
        self._secret = secret
        self._epochs = Epochs(self.path.parent / "keys", secret)
        self._drawers = Drawers(self._epochs, life)
        self._lock = threading.RLock()
        self._busy = False
        self._db: sqlite3.Connection | None = None
        #: Of the file that is open: another one may have been put in its place.
        self._inode = 0
        self._next_sweep = 0.0
        _vaults.add(self)

    def __repr__(self) -> str:
        return f"<TokenVault: {self.path}>"

    def drawer(self, session: str, owner: str, *, lasting: bool = False) -> _Drawer:
        """A session's part of it; see `guardai.model.Vault`."""
        named = f"{session}\x00{owner}".encode("utf-8", "surrogatepass")
        scope = blake2b(named, key=self._secret, digest_size=16, person=b"guardai-scope").digest()
        return _Drawer(self, scope, lasting=lasting)

    def expire(self) -> int:
        """Forgets the sessions that have not been used for too long, and erases the keys of the hours that are over.

        Raises:
            VaultError: it cannot be written.
        """
        forgotten = 0
        now = time.time()
        self._next_sweep = now + _SWEEP
        if self.path.exists():
            while count := self.write(lambda db, drawers: drawers.sweep(db, now)):
                forgotten += count
            if forgotten:
                # The write-ahead log still holds what the pages held.
                self.read(lambda db, _: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        self._epochs.erase(now)
        return forgotten

    def close(self) -> None:
        """Expires what is due and closes the file; whoever uses the vault after that opens it again."""
        with contextlib.suppress(VaultError):
            self.expire()
        with self._lock:
            if not self._busy:
                self._drop()

    def write(self, work: Callable[[sqlite3.Connection, Drawers], T]) -> T:
        """Does `work` in one transaction, or none of it.

        Raises:
            VaultError: none of it.
        """
        if time.time() >= self._next_sweep:
            self.expire()
        return self._within(work, writing=True)

    def read(self, work: Callable[[sqlite3.Connection, Drawers], T]) -> T:
        """Does `work`, which changes nothing.

        Raises:
            VaultError: it cannot be read.
        """
        return self._within(work, writing=False)

    def _within(self, work: Callable[[sqlite3.Connection, Drawers], T], *, writing: bool) -> T:
        with self._lock:
            if self._busy:
                raise VaultError("the token vault is needed by what interrupted the token vault's own work")
            self._busy = True
            try:
                db = self._opened()
                if not writing:
                    return work(db, self._drawers)
                db.execute("BEGIN IMMEDIATE")
                made = work(db, self._drawers)
                db.execute("COMMIT")
                return made
            except BaseException as error:
                self._drop()  # which rolls back
                self._drawers.rolled_back()
                if isinstance(error, sqlite3.Error | OSError | InvalidTag | ValueError):
                    raise self._told(error) from error
                raise
            finally:
                self._busy = False

    def _opened(self) -> sqlite3.Connection:
        try:
            inode = os.stat(self.path).st_ino  # noqa: PTH116 - on every transaction: the half of Path's price
        except FileNotFoundError:
            self._drop()
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            publish(self.path, _empty(self.path), 0o600)
            inode = self.path.stat().st_ino
        if self._db is not None:
            if inode == self._inode:
                return self._db
            self._drop()
            self._drawers.rolled_back()
        # Autocommit: transactions are begun and ended above. For any thread: the lock lets one in at a time.
        db = _Connection(os.fspath(self.path), timeout=_TIMEOUT, isolation_level=None, check_same_thread=False)
        self._db, self._inode = db, inode
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            raise VaultError(f"the token vault {self.path} is of version {version}, this guardai reads {_VERSION}")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA secure_delete = ON")
        return db

    def _drop(self) -> None:
        """Closes the file. What a transaction has begun never was."""
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _told(self, error: Exception) -> VaultError:
        code = getattr(error, "sqlite_errorcode", None)
        damaged = code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        if isinstance(error, sqlite3.OperationalError | OSError) and not damaged:
            why = (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
            return VaultError(
                f"the token vault {self.path} cannot be used: {why}; "
                "check that the home can be written and that there is space"
            )
        return VaultError(
            f"the token vault {self.path} is damaged, or not of this home; move {self.path.parent} away to begin anew: "
            "the tokens that were given out before then stand for nothing"
        )

    # ---- forks: no connection is open, and none of its locks held, at the moment of one (see forks.py) ----

    def _before_fork(self) -> bool:
        if not self._lock.acquire(timeout=_TIMEOUT):
            return False
        if not self._busy:
            self._drop()
        return True

    def _in_parent(self) -> None:
        self._lock.release()

    def _in_child(self) -> None:
        self._lock = threading.RLock()
        self._busy = False
        db, self._db = self._db, None
        if db is not None:
            _abandoned.append(db)  # it was in use: here it must not be touched, not even to close it


class _Drawer:
    """Implements `guardai.model.Drawer`."""

    __slots__ = ("_lasting", "_scope", "_vault")

    def __init__(self, vault: TokenVault, scope: bytes, *, lasting: bool) -> None:
        self._vault = vault
        self._scope = scope
        self._lasting = lasting

    @property
    def life(self) -> float:
        return self._vault.life

    def allocate(self, wanted: Sequence[Kept], floor: Mapping[str, int]) -> list[int]:
        return self._vault.write(
            lambda db, drawers: drawers.allocate(db, self._scope, wanted, floor, lasting=self._lasting)
        )

    def get(self, tokens: Collection[tuple[str, int]]) -> dict[tuple[str, int], tuple[str, str]]:
        if not self._vault.path.exists():
            return {}
        return self._vault.read(lambda db, drawers: drawers.get(db, self._scope, tokens))

    def reserve(self, name: str, number: int) -> int:
        return self._vault.write(
            lambda db, drawers: drawers.reserve(db, self._scope, name, number, lasting=self._lasting)
        )

    def renew(self) -> None:
        self._vault.write(lambda db, drawers: drawers.begun(db, self._scope, lasting=self._lasting))


def _empty(path: Path) -> bytes:
    """A new database, whole: what many processes make at once only one of them publishes."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        db = _Connection(os.fspath(draft), isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            for statement in SCHEMA.split(";"):
                if statement.strip():
                    db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {_VERSION}")
        finally:
            db.close()
        return draft.read_bytes()
    finally:
        draft.unlink(missing_ok=True)


_vaults: Final[weakref.WeakSet[TokenVault]] = weakref.WeakSet()
#: (thread that forks, vault that it holds)
_held: Final[list[tuple[int, TokenVault]]] = []
_abandoned: Final[list[sqlite3.Connection]] = []


def _before() -> None:
    me = threading.get_ident()
    for vault in list(_vaults):
        if vault._before_fork():
            _held.append((me, vault))


def _in_parent() -> None:
    me = threading.get_ident()
    for one in [one for one in _held if one[0] == me]:
        _held.remove(one)
        one[1]._in_parent()


def _in_child() -> None:
    _held.clear()
    for vault in list(_vaults):
        vault._in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
