"""One log, being written: a file that only grows, each event chained to the one before.

A line is the event's bytes, a tab, the tag in hex, a newline; one `os.write` each, in the thread of the caller, so that a
killed process has lost nothing that it had begun.

SECURITY INVARIANT: when `append` returns, the whole line is in the file; when it raises anything at all, the chain can
be continued. A naive "lock, seq, prev, write" breaks under interrupts: an exception may arrive between the write and
the bookkeeping. So the state that would follow is set as `_pending` *before* the write, and whoever comes next compares
`_pending` with the file's size and learns whether the write took place (`_reconcile`, which may itself be interrupted
and repeated). The state is one tuple, replaced by one assignment.

A spool has no lock of its own and must not be re-entered: `Ledger` sees to both.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import socket
import sys
from binascii import hexlify
from hashlib import blake2b
from time import time_ns
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardai.ledger import liveness
from guardai.ledger.canonical import MAX_EVENT, encode, encode_plain, is_plain, keys_are_ascii
from guardai.ledger.certs import key_id
from guardai.ledger.heads import sign_head
from guardai.ledger.layout import Layout
from guardai.ledger.ratchet import KEY_SIZE
from guardai.ledger.sealedbox import seal_box
from guardai.model import VERSION, Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from guardai.ledger.keys import Keys

__all__ = ["GENESIS", "LEASE", "LEDGER_PRINCIPAL", "NewLogNeeded", "Spool", "SpoolLost", "record"]

#: `prev` of a log's first event.
GENESIS: Final = "0" * 64
#: Who acts where the ledger records something about itself.
LEDGER_PRINCIPAL: Final = msgspec.Raw(b'{"agent":"guardai","assurance":"asserted","chain":[],"kind":"App","user":""}')

#: A clock that steps back further than this starts a new log; less is smoothed over (microseconds).
_STEP: Final = 5_000_000
#: A head is signed at the latest after so many events (or 100 ms, see `signer`).
HEAD_EVERY: Final = 256
_NEVER: Final = 1 << 62
#: So long (µs) a log is written on after another host has taken over from the one that vouches for it.
LEASE: Final = 1_000_000

_LEAF: Final = hashlib.sha256(b"\0")
_sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)

#: end of the file, next seq, hash of the event before (hex), key of the next tag, time of the event before
_State = tuple[int, int, str, bytes, int]


class NewLogNeeded(Exception):
    """The log cannot take this event and another must be opened: the clock stepped back, its key expired, or its host did."""


class SpoolLost(Exception):
    """Someone else changed the file: it is not what this process wrote."""


def _never() -> bool:
    return False


def record(kind: str, body: dict[str, object], by: str = "") -> Event:
    """An event that the ledger writes about itself; `by` is the user who had it do so, if one did."""
    who: msgspec.Raw | dict[str, object] = LEDGER_PRINCIPAL
    if by:
        who = {**msgspec.json.decode(LEDGER_PRINCIPAL), "user": by}
    return Event(body=body, id="", key="", kind=kind, log="", prev="", principal=who, seq=0, ts=0, v=VERSION)


class Spool:
    """A log that this process writes. Made by `Spool.create`; `append` until `close`."""

    __slots__ = (
        "_alarm", "_bell", "_each_signed", "_expiry", "_fd", "_key", "_named", "_pending", "_prefix", "_sig_end", "_sig_fd", "_state",
        "_superseded", "_sync", "_until", "key", "log", "opened", "path", "ring", "sig_path", "signed",
    )  # fmt: skip

    def __init__(self, layout: Layout, log: str, key: Ed25519PrivateKey, mode: str, since: int, until: int) -> None:
        self.log = log
        self.path: Path = layout.spool(log)
        self.sig_path: Path = layout.heads(log)
        self.key = key_id(key.public_key().public_bytes_raw())
        self._each_signed = mode == "signed"
        self._sync = mode == "strict"
        #: Whether the file's name is on the disk, too.
        self._named = os.name == "nt"
        self.opened = 0
        #: The last event under a signed head.
        self.signed = -1
        self.ring: Callable[[], None] | None = None
        self._key: Ed25519PrivateKey | None = key
        self.ring_at(_NEVER)
        self._fd = -1
        self._sig_fd = -1
        self._sig_end = 0
        self._until = until
        self._expiry = until
        self._superseded: Callable[[], bool] = _never
        self._prefix = log + "-"
        # No event is earlier than the certificate of the log's key, even if the clock steps back in between.
        self._state: _State = (0, 0, GENESIS, os.urandom(KEY_SIZE), since)
        self._pending = self._state

    @classmethod
    def create(
        cls, layout: Layout, keys: Keys, *, mode: str, parent: tuple[str, int] | None = None, about: dict[str, object]
    ) -> Spool:
        """Opens a new log and writes its `log.open`. The file gets its name when it is locked and not empty.

        Raises:
            OSError: the file cannot be made or written.
        """
        log = os.urandom(8).hex()
        private = Ed25519PrivateKey.generate()
        now = time_ns() // 1000
        certificate = keys.certify_log(private.public_key().public_bytes_raw(), log, now)
        self = cls(layout, log, private, mode, now, now + (keys.claims.until - now) // 2)
        # Windows does not rename an open file.
        draft = self.path if os.name == "nt" else self.path.with_name(f".{log}.draft")
        try:
            self._fd = liveness.open_tracked(draft, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)
            if not liveness.try_lock(self._fd):
                raise OSError(f"the new spool {draft} cannot be locked")
            self._sig_fd = liveness.open_tracked(self.sig_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)
            body: dict[str, object] = {
                **about,
                "certificate": msgspec.to_builtins(certificate),
                "host": msgspec.to_builtins(keys.certificate),
                "machine": socket.gethostname(),
                "mode": mode,
                "pid": os.getpid(),
                "python": platform.python_version(),
                "ratchet": seal_box(bytes.fromhex(keys.claims.seal), self._state[3], log.encode()).hex(),
                "system": sys.platform,
            }
            if parent is not None:
                body["parent"] = {"log": parent[0], "seq": parent[1]}
            self.append(record("log.open", body))
            self.opened = self._state[4]
            if draft != self.path:
                draft.rename(self.path)
            # From here on others see which host this log names, and the next event looks whether that is still current: so
            # either whoever rotates finds this log, or this log finds that it was rotated.
            if self._sync:
                self._name()
            self._superseded = keys.superseded
            self._until = 0
        except BaseException:
            self.abandon()
            draft.unlink(missing_ok=True)
            self.sig_path.unlink(missing_ok=True)
            raise
        return self

    @property
    def signs_itself(self) -> bool:
        """Whether each append signs its event, so that nobody else may sign while the log is open."""
        return self._each_signed

    @property
    def last(self) -> int:
        """The position of the last event that is surely in the file."""
        return self._state[1] - 1

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._state[0]

    def append(self, event: Event) -> str:
        """Writes the event and returns its id. Fills `id`, `key`, `log`, `prev`, `seq`, `ts`, `v`.

        Raises:
            LedgerError: the event has no bytes (see `canonical.encode`).
            NewLogNeeded: this log cannot take it.
            SpoolLost: the file is not what was written.
            OSError: it could not be written, and nothing of it is in the file.
        """
        if self._pending is not self._state:
            self._reconcile()
        end, seq, prev, key, last = self._state
        ts = time_ns() // 1000
        if not last <= ts < self._until:
            ts = self._odd_time(ts, last)
        event.id = name = f"{self._prefix}{seq:x}"
        event.key = self.key
        event.log = self.log
        event.prev = prev
        event.seq = seq
        event.ts = ts
        event.v = VERSION
        try:
            data = encode_plain(event) if is_plain(event) else encode(event)
        except (AttributeError, TypeError, ValueError, RecursionError):
            data = encode(event)
        if len(data) > MAX_EVENT or not (data.isascii() or keys_are_ascii(event)):
            data = encode(event)
        hasher = _LEAF.copy()
        hasher.update(data)
        leaf = hasher.digest()
        tag = blake2b(key + leaf).digest()
        line = b"".join((data, b"\t", hexlify(tag[:16]), b"\n"))
        size = len(line)
        self._pending = new = (end + size, seq + 1, leaf.hex(), tag[32:], ts)
        try:
            if os.write(self._fd, line) != size:
                self._reconcile()
                raise OSError(28, "the disk took only a part of the event")  # ENOSPC, or a file size limit
        except BaseException:
            self._reconcile()
            raise
        self._state = new
        if seq >= self._alarm:
            self._after(seq)
        return name

    def _after(self, seq: int) -> None:
        """What the mode asks for at each event, and the signer now and then."""
        if self._sync:
            self.sync()
        if self._each_signed:
            self.sign()
        if seq >= self._bell and self.ring is not None:
            self.ring()

    def sync(self, *, heads: bool = False) -> None:
        """All that was appended is on the disk when this returns; with `heads` all that was signed, too.

        Raises:
            OSError: it is not.
        """
        _sync(self._fd)
        if heads:
            _sync(self._sig_fd)
        self._name()

    def _name(self) -> None:
        """Sees to it that a power cut leaves the file its name: that stands in the folder, not in the file."""
        if self._named:
            return
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._named = True

    def ring_at(self, seq: int) -> None:
        """From event `seq` on `append` calls `ring`, which wakes the signer."""
        self._bell = seq
        self._alarm = 0 if self._sync or self._each_signed else seq

    def sign(self) -> bool:
        """Signs the head; False if it was already signed. One caller at a time.

        Raises:
            OSError: the head could not be written; nothing of it is in the file.
        """
        _, count, leaf, _, ts = self._state
        if count - 1 <= self.signed or self._key is None:
            return False
        line = sign_head(self._key, self.key, log=self.log, seq=count - 1, leaf=leaf, ts=ts).line()
        try:
            written = os.write(self._sig_fd, line)
        except BaseException:
            self._cut_heads(len(line))
            raise
        if written != len(line):
            self._cut_heads(len(line))
            raise OSError(28, "the disk took only a part of the head")
        self._sig_end += written
        self.signed = count - 1
        return True

    def finish(self, reason: str) -> None:
        """Appends `log.close`; the final head is still to be signed.

        Raises:
            OSError, NewLogNeeded, SpoolLost: it could not be written; the log stays open-ended and will be recovered.
        """
        self.append(record("log.close", {"events": self._state[1] + 1, "reason": reason}))

    def abandon(self) -> None:
        """Closes the files, which frees the lock, and forgets the keys."""
        for fd in (self._sig_fd, self._fd):
            if fd >= 0:
                liveness.close(fd)
        self.forget()

    def forget(self) -> None:
        """Drops keys and descriptors without closing anything: in a forked child they are closed already."""
        self._fd = self._sig_fd = -1
        self._key = None

    def _odd_time(self, ts: int, last: int) -> int:
        if ts >= self._until:
            if ts >= self._expiry:
                raise NewLogNeeded("expired")
            if self._superseded():
                raise NewLogNeeded("rotated")
            self._until = min(self._expiry, ts + LEASE)
        if last - ts > _STEP and self._state[1] > 0:
            raise NewLogNeeded("clock")
        return max(ts, last)

    def _reconcile(self) -> None:
        """Learns from the file whether the write that was interrupted took place."""
        pending, state = self._pending, self._state
        if pending is state:
            return
        size = os.fstat(self._fd).st_size
        if size == pending[0]:
            self._state = pending
            return
        if not state[0] <= size < pending[0]:
            raise SpoolLost(f"{self.path.name} has {size} bytes where {state[0]} were written")
        if size != state[0]:
            os.ftruncate(self._fd, state[0])
        self._pending = state

    def _cut_heads(self, length: int) -> None:
        with contextlib.suppress(OSError):
            size = os.fstat(self._sig_fd).st_size
            if size == self._sig_end + length:
                # Interrupted after a whole write: the head stands.
                self._sig_end = size
            elif size > self._sig_end:
                os.ftruncate(self._sig_fd, self._sig_end)
