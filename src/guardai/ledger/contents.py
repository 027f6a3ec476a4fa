"""The replay vault: what calls carried, where policy asked that it is kept, encrypted in one SQLite file that expires.

Under `<home>/vault/`, folder 0700: `contents.db`; in `subjects/` a file of 32 random bytes for each person on whose behalf
something was kept; in `keys/` the keys of the hours (`epochs.py`). A session's contents stand under a key (AES-256-GCM) that
follows from three others: that of the session, random, which lies in the database under the key of the hour in which the
session expires; that of the person; and the home's secret. Whichever of them is gone, nothing can read them any more.

A nonce is random and used once; a key encrypts one person's contents of one session, which is far from the 2^32 messages
that NIST SP 800-38D permits a key with random nonces. What is encrypted is bound to its session, call, side and part, and what
an event says of it (`Kept.commit`) is a keyed digest (BLAKE2b) of the whole, under a key that is destroyed with the others: when
it is gone, nobody can try out what may have stood there.

SECURITY INVARIANT: the key of a person is destroyed within a transaction, as it is read within one. What another process keeps
at that moment is kept before, and cannot be read any more, or after, under another key.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from guardai.ledger.epochs import Epochs
from guardai.ledger.layout import erase, replace
from guardai.ledger.vaultfile import Form, VaultError, VaultFile

__all__ = ["Found", "Held", "ReplayVault", "Writer"]

_FORM: Final = Form(
    "replay vault",
    """
CREATE TABLE sessions (n INTEGER PRIMARY KEY, scope BLOB NOT NULL UNIQUE, subject TEXT NOT NULL, until INTEGER NOT NULL,
    epoch INTEGER NOT NULL, key BLOB NOT NULL);
CREATE INDEX sessions_by_until ON sessions (until);
CREATE INDEX sessions_by_subject ON sessions (subject);
CREATE TABLE contents (session INTEGER NOT NULL, call TEXT NOT NULL, side TEXT NOT NULL, part INTEGER NOT NULL,
    box BLOB NOT NULL);
CREATE UNIQUE INDEX contents_by_call ON contents (session, call, side, part);
""",
    0x47414952,  # "GAIR"
    1,
    "what calls carried until then is lost",
)
#: Bytes of one part, and of all parts of one content.
_PART: Final = 256 * 1024
_MOST: Final = 64 * 1024 * 1024
#: Seconds between two looks for what has expired; sessions that are forgotten in one transaction.
_SWEEP: Final = 600.0
_AT_ONCE: Final = 64
#: A session's expiry is put off when an eighth of its life is over, not at every use.
_OFTEN: Final = 8
#: Sessions whose keys are kept at hand.
_OPEN: Final = 256
_NONCE: Final = 12
_SIZE: Final = 32


class Held(NamedTuple):
    """What an event says of a content that is kept.

    Attributes:
        bytes: its length.
        commit: a keyed digest of it, hex.
        until: seconds since 1970 until which it is kept at least, unless it is erased.
    """

    bytes: int
    commit: str
    until: int


class Found(NamedTuple):
    """What the vault has of a content.

    Attributes:
        state: `kept`: it is as the event says; `gone`: it is not there, or its keys are not; `altered`: something else is there.
        content: where it is kept.
    """

    state: Literal["kept", "gone", "altered"]
    content: bytes = b""

    def __repr__(self) -> str:
        return f"<Found: {self.state}>"


class ReplayVault:
    """The replay vault of a home. No file is made or opened before the first content.

    Safe for threads, processes and forks, as `VaultFile` is.

    Args:
        home: the folder that holds everything of this home.
        secret: 32 bytes, constant for the home.
        life: seconds after the last content of a session until its contents are forgotten.
        durable: what is kept is on the disk, not only with the operating system.
    """

    def __init__(self, home: Path, secret: bytes, *, life: float, durable: bool = False) -> None:
        self.path = home / "vault" / "contents.db"
        self._secret = secret
        self._life = life
        self._epochs = Epochs(self.path.parent / "keys", secret)
        self._subjects = self.path.parent / "subjects"
        self._at_hand: OrderedDict[bytes, _Session] = OrderedDict()
        self._file = VaultFile(self.path, _FORM, self._at_hand.clear, durable=durable)
        self._next_sweep = 0.0

    def __repr__(self) -> str:
        return f"<ReplayVault: {self.path}>"

    def subject(self, user: str) -> str:
        """A person as the vault, and what is recorded of an erasure, calls them: a keyed digest, 32 hex digits."""
        named = user.encode("utf-8", "surrogatepass")
        return blake2b(named, key=self._secret, digest_size=16, person=b"guardai-subject").hexdigest()

    def writer(self, session: str, user: str, call: str, side: str) -> Writer:
        """What keeps one content.

        Args:
            session: the session's id.
            user: on whose behalf.
            call: the call's id.
            side: which content of the call, `in` say.
        """
        return Writer(self, self._scope(session, user), self.subject(user), call, side)

    def read(self, session: str, user: str, call: str, side: str, commit: str) -> Found:
        """A content that an event tells of, by what it says.

        Raises:
            VaultError: the vault cannot be read.
        """
        if not self.path.exists():
            return Found("gone")
        scope, subject = self._scope(session, user), self.subject(user)
        return self._file.read(lambda db: self._found(db, scope, subject, call, side, commit))

    def holds(self, user: str) -> int:
        """How many contents are kept on somebody's behalf.

        Raises:
            VaultError: the vault cannot be read.
        """
        if not self.path.exists():
            return 0
        counted = "SELECT count(*) FROM contents JOIN sessions ON n = session WHERE subject = ? AND part = 0"
        return int(self._file.read(lambda db: db.execute(counted, (self.subject(user),)).fetchone()[0]))

    def erase(self, user: str) -> int:
        """Destroys a person's key, and with it everything that was kept on their behalf; how many contents.

        May be called again: what a kill has left half done is done then.

        Raises:
            VaultError: it could not be done, or not wholly.
        """
        if not self.path.exists():
            return 0
        subject = self.subject(user)
        erased = self._file.write(lambda db: self._erased(db, subject))
        self._file.truncate()
        return erased

    def expire(self) -> int:
        """Forgets the sessions that are over for long enough, and erases the keys of the hours; how many sessions.

        Raises:
            VaultError: it cannot be written.
        """
        forgotten, now = 0, time.time()
        self._next_sweep = now + _SWEEP
        if self.path.exists():
            while count := self._file.write(lambda db: self._swept(db, int(now))):
                forgotten += count
            if forgotten:
                self._file.truncate()
        self._epochs.erase(now)
        return forgotten

    def release(self) -> None:
        """Closes the file and expires nothing."""
        self._file.close()

    def close(self) -> None:
        """Expires what is due and closes the file; whoever uses the vault after that opens it again."""
        with contextlib.suppress(VaultError):
            self.expire()
        self._file.close()

    def keep(self, scope: bytes, subject: str, known: _Session | None, boxes: list[_Part]) -> _Session:
        """Keeps parts of a content, all or none; the session under whose key they stand.

        Args:
            scope: whose.
            subject: the person.
            known: under whose key its earlier parts stand.
            boxes: the parts.

        Raises:
            VaultError: none of them is kept.
        """
        if time.time() >= self._next_sweep:
            self.expire()

        def work(db: sqlite3.Connection) -> _Session:
            session = self._begun(db, scope, subject)
            if known is not None and known.mark != session.mark:
                raise VaultError("what was kept of it before has been erased meanwhile")
            for call, side, part, content in boxes:
                nonce = os.urandom(_NONCE)
                box = nonce + session.box.encrypt(nonce, content, _bound(scope, call, side, part))
                db.execute("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?)", (session.n, call, side, part, box))
            return session

        return self._file.write(work)

    # ---- inside of one transaction ----

    def _found(self, db: sqlite3.Connection, scope: bytes, subject: str, call: str, side: str, commit: str) -> Found:
        session = self._known(db, scope, subject)
        if session is None:
            return Found("gone")
        rows = db.execute(
            "SELECT part, CAST(box AS BLOB) FROM contents WHERE session = ? AND call = ? AND side = ? ORDER BY part",
            (session.n, call, side),
        ).fetchall()
        if not rows:
            return Found("gone")
        try:
            content = b"".join(
                session.box.decrypt(box[:_NONCE], box[_NONCE:], _bound(scope, call, side, part)) for part, box in rows
            )
        except (InvalidTag, ValueError):
            return Found("altered")
        digest = session.digest(call, side)
        digest.update(content)
        return Found("kept", content) if digest.hexdigest() == commit else Found("altered")

    def _known(self, db: sqlite3.Connection, scope: bytes, subject: str) -> _Session | None:
        """The session's keys; None if it was never begun, is forgotten, or cannot be read any more."""
        row = db.execute("SELECT n, until, epoch, key FROM sessions WHERE scope = ?", (scope,)).fetchone()
        drawn = self._drawn(subject)
        if row is None or drawn is None or row[1] <= time.time():
            return None
        n, until, epoch, wrapped = row
        session = self._at_hand.get(scope)
        if session is None or session.wrapped != wrapped or session.drawn != drawn:
            hours = self._epochs.key(epoch)
            if hours is None:
                return None
            key = AESGCM(hours).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _wrapping(scope, epoch))
            session = self._remember(scope, _Session(n, until, wrapped, key, drawn, self._secret))
        return session

    def _begun(self, db: sqlite3.Connection, scope: bytes, subject: str) -> _Session:
        """The session's keys, its expiry put off; a new session if there is none that can be read."""
        session = self._known(db, scope, subject)
        until = int(time.time() + self._life) + 1
        if session is not None:
            if until - session.until < self._life / _OFTEN:
                return session
            key, until = session.key, max(until, session.until)
        else:
            for (n,) in db.execute("SELECT n FROM sessions WHERE scope = ?", (scope,)).fetchall():
                _remove(db, n)
            key = os.urandom(_SIZE)
        drawn = self._drawn(subject, create=True)
        epoch = self._epochs.of(until)
        hours = self._epochs.key(epoch, create=True)
        assert drawn is not None, "it was made if it was missing"
        assert hours is not None, "it was made if it was missing"
        nonce = os.urandom(_NONCE)
        wrapped = nonce + AESGCM(hours).encrypt(nonce, key, _wrapping(scope, epoch))
        db.execute(
            "INSERT INTO sessions (scope, subject, until, epoch, key) VALUES (?, ?, ?, ?, ?) ON CONFLICT (scope) DO UPDATE "
            "SET until = excluded.until, epoch = excluded.epoch, key = excluded.key",
            (scope, subject, until, epoch, wrapped),
        )
        (n,) = db.execute("SELECT n FROM sessions WHERE scope = ?", (scope,)).fetchone()
        return self._remember(scope, _Session(n, until, wrapped, key, drawn, self._secret))

    def _erased(self, db: sqlite3.Connection, subject: str) -> int:
        self._at_hand.clear()
        with contextlib.suppress(FileNotFoundError):
            erase(self._subjects / subject)
        return sum(
            _remove(db, n) for (n,) in db.execute("SELECT n FROM sessions WHERE subject = ?", (subject,)).fetchall()
        )

    def _swept(self, db: sqlite3.Connection, now: int) -> int:
        due = db.execute("SELECT n, subject FROM sessions WHERE until <= ? LIMIT ?", (now, _AT_ONCE)).fetchall()
        for n, _ in due:
            _remove(db, n)
        for subject in {subject for _, subject in due}:
            if db.execute("SELECT 1 FROM sessions WHERE subject = ?", (subject,)).fetchone() is None:
                with contextlib.suppress(FileNotFoundError):
                    erase(self._subjects / subject)
        return len(due)

    def _drawn(self, subject: str, *, create: bool = False) -> bytes | None:
        """A person's 32 bytes; None if there are none. Read each time: another process may have destroyed them."""
        path = self._subjects / subject
        try:
            drawn = path.read_bytes()
        except FileNotFoundError:
            drawn = b""
        else:
            if len(drawn) != _SIZE:
                raise ValueError(f"{path} is damaged")
        if any(drawn):
            return drawn
        if not create:
            return None
        # Zeros are what is left where an erasure was killed before the file was removed.
        self._subjects.mkdir(parents=True, exist_ok=True, mode=0o700)
        drawn = os.urandom(_SIZE)
        replace(path, drawn, 0o600)
        return drawn

    def _remember(self, scope: bytes, session: _Session) -> _Session:
        self._at_hand[scope] = session
        self._at_hand.move_to_end(scope)
        if len(self._at_hand) > _OPEN:
            self._at_hand.popitem(last=False)
        return session

    def _scope(self, session: str, user: str) -> bytes:
        named = f"{session}\x00{user}".encode("utf-8", "surrogatepass")
        return blake2b(named, key=self._secret, digest_size=16, person=b"guardai-content").digest()


#: Call, side, number, content.
_Part = tuple[str, str, int, bytes]


class Writer:
    """Keeps one content, as it comes. What is not whole is told of by no event, and expires."""

    __slots__ = ("_call", "_digest", "_parts", "_pending", "_scope", "_session", "_side", "_size", "_subject", "_vault")

    def __init__(self, vault: ReplayVault, scope: bytes, subject: str, call: str, side: str) -> None:
        self._vault = vault
        self._scope = scope
        self._subject = subject
        self._call = call
        self._side = side
        self._session: _Session | None = None
        self._digest: blake2b | None = None
        self._pending = bytearray()
        self._parts = 0
        self._size = 0

    def __repr__(self) -> str:
        return f"<Writer: {self._size} bytes>"

    def add(self, data: bytes) -> None:
        """More of it; kept when there is enough of it for a part.

        Raises:
            VaultError: it cannot be kept, or is too large.
        """
        self._size += len(data)
        if self._size > _MOST:
            raise VaultError(
                f"it is larger than the {_MOST // 1024 // 1024} MiB of one call that the replay vault keeps"
            )
        self._pending += data
        if len(self._pending) >= _PART:
            self._flush()

    def end(self) -> Held:
        """The whole is kept when this returns.

        Raises:
            VaultError: it is not.
        """
        # Also where nothing is left of it: what was kept may have been erased meanwhile.
        self._flush()
        assert self._session is not None, "a part was kept under its key"
        assert self._digest is not None, "a part was counted in"
        return Held(self._size, self._digest.hexdigest(), self._session.until)

    def _flush(self) -> None:
        content = bytes(self._pending)
        pieces = [content[at : at + _PART] for at in range(0, len(content), _PART)] or [b""] * (not self._parts)
        parts = [(self._call, self._side, self._parts + at, piece) for at, piece in enumerate(pieces)]
        session = self._vault.keep(self._scope, self._subject, self._session, parts)
        if self._digest is None:
            self._digest = session.digest(self._call, self._side)
        self._digest.update(content)
        self._session = session
        self._parts += len(parts)
        self._pending.clear()


class _Session:
    """A session whose keys are at hand. `wrapped` is its own key as the database held it when it was opened."""

    __slots__ = ("box", "drawn", "key", "mark", "n", "until", "wrapped")

    def __init__(self, n: int, until: int, wrapped: bytes, key: bytes, drawn: bytes, secret: bytes) -> None:
        self.n = n
        self.until = until
        self.wrapped = wrapped
        self.key = key
        self.drawn = drawn
        both = HKDF(algorithm=hashes.SHA256(), length=2 * _SIZE, salt=secret, info=b"guardai content v1").derive(
            key + drawn
        )
        self.box = AESGCM(both[:_SIZE])
        self.mark = both[_SIZE:]

    def digest(self, call: str, side: str) -> blake2b:
        """What a commitment is made with. Equal contents of two calls have different ones."""
        return blake2b(f"{call}|{side}|".encode(), key=self.mark, digest_size=16, person=b"guardai-kept")


def _remove(db: sqlite3.Connection, n: int) -> int:
    """Deletes a session; how many contents it had."""
    (count,) = db.execute("SELECT count(*) FROM contents WHERE session = ? AND part = 0", (n,)).fetchone()
    db.execute("DELETE FROM contents WHERE session = ?", (n,))
    db.execute("DELETE FROM sessions WHERE n = ?", (n,))
    return int(count)


def _bound(scope: bytes, call: str, side: str, part: int) -> bytes:
    return scope + f"|content|{call}|{side}|{part}".encode()


def _wrapping(scope: bytes, epoch: int) -> bytes:
    return scope + b"|content key|%d" % epoch
