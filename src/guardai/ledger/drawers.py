"""What is in a session's drawer, and the keys under which it is there: reading and writing inside of one transaction.

Each session has a random key of its own, under which its values are encrypted (AES-256-GCM; session, label and token are
the associated data) and by which equal ones are found (BLAKE2b). That key stands in the database, encrypted under the home's
secret and the key of the hour in which the session expires. A session that is used lives on: its key is encrypted anew
under a later hour. So when a session expires its rows are deleted, and within the hour what is left of them anywhere
cannot be read any more.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from guardai.ledger.epochs import Epochs
from guardai.model import Kept
from guardai.model.vault import GAP

__all__ = ["SCHEMA", "Drawers"]

#: Sessions whose keys are kept at hand; drawers that are emptied in one transaction.
_OPEN: Final = 1024
_AT_ONCE: Final = 256
#: A session's expiry is put off when an eighth of its life is over, not at every use.
_OFTEN: Final = 8
#: For so long after it expired a session that may come back is remembered by its numbers.
_REMEMBERED: Final = 90 * 86_400
_NONCE: Final = 12
#: The label of a number that is reserved so far above the others that these go on below it.
_APART: Final = "?"

SCHEMA: Final = """
CREATE TABLE sessions (n INTEGER PRIMARY KEY, scope BLOB NOT NULL UNIQUE, until INTEGER NOT NULL, epoch INTEGER NOT NULL,
    key BLOB, lasting INTEGER NOT NULL);
CREATE INDEX sessions_by_until ON sessions (until);
CREATE TABLE entries (session INTEGER NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, label TEXT NOT NULL,
    identity BLOB, box BLOB, PRIMARY KEY (session, name, number)) WITHOUT ROWID;
CREATE UNIQUE INDEX entries_by_value ON entries (session, identity);
"""


class Drawers:
    """The drawers of one vault. Each method is called inside of a transaction; not for several threads at once.

    Args:
        epochs: the keys of the hours.
        life: seconds after a session's last use until it is forgotten.
    """

    __slots__ = ("_epochs", "_life", "_sessions")

    def __init__(self, epochs: Epochs, life: float) -> None:
        self._epochs = epochs
        self._life = life
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    def rolled_back(self) -> None:
        """What a transaction has begun never was, so what is remembered of it is not true."""
        self._sessions.clear()

    def allocate(
        self, db: sqlite3.Connection, scope: bytes, wanted: Sequence[Kept], floor: Mapping[str, int], *, lasting: bool
    ) -> list[int]:
        """As `Drawer.allocate`."""
        session = self.begun(db, scope, lasting=lasting)
        numbers: list[int] = []
        upcoming: dict[str, int] = {}
        for kept in wanted:
            identity = _identity(session, kept)
            row = db.execute(
                "SELECT number FROM entries WHERE session = ? AND identity = ?", (session.n, identity)
            ).fetchone()
            if row is not None:
                numbers.append(row[0])
                continue
            name = kept.name
            number = upcoming.get(name) or max(_lowest(db, session.n, name), floor.get(name, 1))
            number = _free(db, session.n, name, number)
            upcoming[name] = number + 1
            nonce = os.urandom(_NONCE)
            text = kept.value.encode("utf-8", "surrogatepass")
            box = nonce + session.box.encrypt(nonce, text, _bound(scope, kept.label, name, number))
            db.execute(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", (session.n, name, number, kept.label, identity, box)
            )
            numbers.append(number)
        return numbers

    def get(
        self, db: sqlite3.Connection, scope: bytes, tokens: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], tuple[str, str]]:
        """As `Drawer.get`.

        Raises:
            InvalidTag: what is there was not written by this vault, or stands where something else stood.
        """
        session = self._known(db, scope)
        found: dict[tuple[str, int], tuple[str, str]] = {}
        if session is None:
            return found
        for name, number in tokens:
            row = db.execute(
                "SELECT label, box FROM entries WHERE session = ? AND name = ? AND number = ? AND box IS NOT NULL",
                (session.n, name, number),
            ).fetchone()
            if row is not None:
                label, box = row
                text = session.box.decrypt(box[:_NONCE], box[_NONCE:], _bound(scope, label, name, number))
                found[name, number] = label, text.decode("utf-8", "surrogatepass")
        return found

    def reserve(self, db: sqlite3.Connection, scope: bytes, name: str, number: int, *, lasting: bool) -> int:
        """As `Drawer.reserve`."""
        session = self.begun(db, scope, lasting=lasting)
        lowest = _lowest(db, session.n, name)
        if number >= lowest + GAP:
            db.execute(
                "INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, NULL, NULL)", (session.n, name, number, _APART)
            )
        elif number >= lowest:
            db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, '', NULL, NULL)", (session.n, name, number))
            lowest = number + 1
        return lowest

    def _known(self, db: sqlite3.Connection, scope: bytes) -> _Session | None:
        """The session's keys; None if it was never begun, or is forgotten."""
        row = db.execute("SELECT n, until, epoch, key, lasting FROM sessions WHERE scope = ?", (scope,)).fetchone()
        if row is None or row[3] is None or row[1] <= time.time():
            return None
        n, until, epoch, wrapped, lasting = row
        session = self._sessions.get(scope)
        if session is None or session.wrapped != wrapped:
            hours = self._epochs.key(epoch)
            if hours is None:
                return None  # erased: by the clock, or by somebody who wants it forgotten
            key = AESGCM(hours).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _wrapping(scope, epoch))
            session = self._remember(scope, _Session(n, until, wrapped, key, lasting=bool(lasting)))
        return session

    def begun(self, db: sqlite3.Connection, scope: bytes, *, lasting: bool) -> _Session:
        """The session's keys, its expiry put off; a new session if there is none or it is forgotten."""
        session = self._known(db, scope)
        until = int(time.time() + self._life) + 1
        if session is not None:
            if until - session.until < self._life / _OFTEN and session.lasting >= lasting:
                return session
            until = max(until, session.until)
            key = session.key
        else:
            row = db.execute("SELECT n FROM sessions WHERE scope = ?", (scope,)).fetchone()
            if row is not None:
                _forget(db, row[0])
            key = os.urandom(32)
        epoch = self._epochs.of(until)
        hours = self._epochs.key(epoch, create=True)
        assert hours is not None, "it was made if it was missing"
        nonce = os.urandom(_NONCE)
        wrapped = nonce + AESGCM(hours).encrypt(nonce, key, _wrapping(scope, epoch))
        db.execute(
            "INSERT INTO sessions (scope, until, epoch, key, lasting) VALUES (?, ?, ?, ?, ?) ON CONFLICT (scope) DO UPDATE "
            "SET until = excluded.until, epoch = excluded.epoch, key = excluded.key, "
            "lasting = max(lasting, excluded.lasting)",
            (scope, until, epoch, wrapped, int(lasting)),
        )
        n, kept = db.execute("SELECT n, lasting FROM sessions WHERE scope = ?", (scope,)).fetchone()
        return self._remember(scope, _Session(n, until, wrapped, key, lasting=bool(kept)))

    def _remember(self, scope: bytes, session: _Session) -> _Session:
        self._sessions[scope] = session
        self._sessions.move_to_end(scope)
        if len(self._sessions) > _OPEN:
            self._sessions.popitem(last=False)
        return session

    def sweep(self, db: sqlite3.Connection, now: float) -> int:
        """Forgets some of the sessions that have expired; how many."""
        due = db.execute(
            "SELECT n, lasting FROM sessions WHERE until <= ? AND key IS NOT NULL LIMIT ?", (int(now), _AT_ONCE)
        ).fetchall()
        for n, lasting in due:
            if lasting:
                _forget(db, n)
                db.execute("UPDATE sessions SET key = NULL WHERE n = ?", (n,))
            else:
                _remove(db, n)
        for (n,) in db.execute(
            "SELECT n FROM sessions WHERE until <= ? AND key IS NULL LIMIT ?", (int(now) - _REMEMBERED, _AT_ONCE)
        ).fetchall():
            _remove(db, n)
        return len(due)


class _Session:
    """A session whose key is at hand. `wrapped` is that key as the database held it when it was opened."""

    __slots__ = ("box", "key", "lasting", "mark", "n", "until", "wrapped")

    def __init__(self, n: int, until: int, wrapped: bytes, key: bytes, *, lasting: bool) -> None:
        self.n = n
        self.until = until
        self.wrapped = wrapped
        self.key = key
        self.lasting = lasting
        self.box = AESGCM(blake2b(key=key, digest_size=32, person=b"guardai-box").digest())
        self.mark = blake2b(key=key, digest_size=32, person=b"guardai-mark").digest()


def _remove(db: sqlite3.Connection, n: int) -> None:
    db.execute("DELETE FROM entries WHERE session = ?", (n,))
    db.execute("DELETE FROM sessions WHERE n = ?", (n,))


def _forget(db: sqlite3.Connection, n: int) -> None:
    """Deletes a session's values. Its highest number of each name stays taken."""
    counted = "FROM entries WHERE session = ? AND label <> ?"
    highest = db.execute(f"SELECT name, max(number) {counted} GROUP BY name", (n, _APART)).fetchall()
    db.execute(f"DELETE {counted}", (n, _APART))
    db.executemany("INSERT INTO entries VALUES (?, ?, ?, '', NULL, NULL)", [(n, *one) for one in highest])


def _lowest(db: sqlite3.Connection, n: int, name: str) -> int:
    """Below it no number is issued any more."""
    counted = "SELECT max(number) FROM entries WHERE session = ? AND name = ? AND label <> ?"
    row = db.execute(counted, (n, name, _APART)).fetchone()
    return 1 if row[0] is None else int(row[0]) + 1


def _free(db: sqlite3.Connection, n: int, name: str, number: int) -> int:
    """That number, or the next that nothing reserves."""
    taken = "SELECT 1 FROM entries WHERE session = ? AND name = ? AND number = ?"
    while db.execute(taken, (n, name, number)).fetchone() is not None:
        number += 1
    return number


def _identity(session: _Session, kept: Kept) -> bytes:
    told = f"{kept.label}\x00{kept.compared}".encode("utf-8", "surrogatepass")
    return blake2b(told, key=session.mark, digest_size=16).digest()


def _bound(scope: bytes, label: str, name: str, number: int) -> bytes:
    return scope + f"|{label}|<{name}_{number}>".encode()


def _wrapping(scope: bytes, epoch: int) -> bytes:
    return scope + b"|key|%d" % epoch
