"""The ledger of one process: opens logs when they are needed, keeps appends apart, survives forks, closes at the end.

Appends of several threads take turns under one lock. SECURITY INVARIANT: an append that interrupts another append of the
same thread (from a signal handler or a finalizer) neither waits for it nor touches its chain: it goes to a second log,
which exists only for that and names the first as its parent. So its record, too, is on its way to the disk when it
returns, before the effect it announces.

A forked child gives the parent's files up without unlocking them and opens a log that names its parent at its next append.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args

from guardai.errors import ConfigError, LedgerError
from guardai.ledger import forks, liveness, place, reserve
from guardai.ledger.canonical import reduced
from guardai.ledger.keys import Keys, load_keys, open_keys
from guardai.ledger.layout import Layout
from guardai.ledger.sealer import SealError, forget_in_child, seal
from guardai.ledger.signer import Signer
from guardai.ledger.spool import NewLogNeeded, Spool, SpoolLost, record
from guardai.ledger.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from guardai.ledger.projection import Projection
    from guardai.model import Event

__all__ = ["Ledger", "Mode", "OnFull"]

_log: Final = logging.getLogger("guardai")

Mode = Literal["spool", "signed", "strict"]
OnFull = Literal["fail_closed", "block", "shed"]

#: A log is closed and another opened at this size or age, so that spools can be folded away and keys stay short-lived.
_ROLL_SIZE: Final = 32 * 1024 * 1024
_ROLL_AGE: Final = 30 * 86_400_000_000
#: Seconds that closing may take altogether. Nothing is lost beyond it: what is not sealed then is sealed later.
_CLOSE: Final = 2.0
#: Seconds between two looks whether there is room again.
_ROOM: Final = 0.1
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if hasattr(errno, "EDQUOT") else {errno.ENOSPC})


class Ledger:
    """Records events under a home. Made by `Ledger.open`; safe to use from any thread."""

    def __init__(
        self,
        layout: Layout,
        keys: Keys,
        mode: Mode,
        about: dict[str, object],
        projection: Projection | None,
        *,
        sealing: bool,
        on_full: OnFull = "fail_closed",
        chores: Callable[[], None] | None = None,
    ) -> None:
        self._layout = layout
        self._keys = keys
        self._mode: Mode = mode
        self._about = about
        self._projection = projection
        self._sealing = sealing
        self._on_full: OnFull = on_full
        self._chores = chores
        self._lock = threading.RLock()
        self._busy = False
        #: The open log, if it can take an event as it is; None sends the next append through `_attend`.
        self._ready: Spool | None = None
        self._spool: Spool | None = None
        self._signer: Signer | None = None
        self._aside: Ledger | None = None
        self._parent: tuple[str, int] | None = None
        self._gap: dict[str, Any] | None = None
        self._short = 0.0
        self._told = ""
        _register(self)

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        mode: Mode = "spool",
        on_full: OnFull = "fail_closed",
        seal: bool = True,
        environment: str = "",
        projection: Projection | None = None,
        chores: Callable[[], None] | None = None,
        store: str = "",
    ) -> Self:
        """The ledger under `home`, whose keys are made if there are none. No thread starts and no log opens yet.

        Args:
            home: the folder that holds keys and ledger; made if it is not there.
            mode: `spool`: heads are signed by a thread; `signed`: every event is signed before `append` returns;
                `strict`: every event is on the disk, not only with the operating system, before `append` returns.
            on_full: what happens to an event for which there is no room: `fail_closed` raises, unless it is an outcome; `block` waits
                until there is, and so does every other thread that records; `shed` lets what was to be recorded happen, and counts the
                event in a signed `gap` record once there is room, unless it has to be signed or on the disk.
            seal: fold events into the store in the background and at close; otherwise only when told to.
            environment: recorded in each `log.open`.
            projection: the tables that the sealer derives from events.
            chores: called from the signer's thread about once a second while events come, in every process that appends.
            store: address of a store in PostgreSQL that hosts share; "": the one that the home has, `store.db` at first.

        Raises:
            LedgerError: the home cannot be written, its keys cannot be used, or it has another store.
            ConfigError: `store` is no such address.
        """
        if mode not in get_args(Mode):
            raise LedgerError(f"there is no ledger mode {mode!r}; choose one of {', '.join(get_args(Mode))}")
        if on_full not in get_args(OnFull):
            raise LedgerError(f"on_full can be one of {', '.join(get_args(OnFull))}, not {on_full!r}")
        home = home.absolute()
        layout = Layout(home)
        place.use(home, store)
        keys = open_keys(home)
        try:
            for folder in (layout.ledger, layout.spools):
                folder.mkdir(exist_ok=True, mode=0o700)
            place.remember(layout)
            place.prepare(layout)
        except OSError as error:
            raise LedgerError(f"the ledger {layout.spools} cannot be made: {error.strerror or error}") from error
        if not os.access(layout.spools, os.W_OK | os.X_OK):
            raise LedgerError(
                f"the ledger {layout.spools} cannot be written by this user; choose another home (GUARDAI_HOME)"
            )
        return cls(
            layout,
            keys,
            mode,
            {"environment": environment} if environment else {},
            projection,
            sealing=seal,
            on_full=on_full,
            chores=chores,
        )

    @property
    def home(self) -> Path:
        """The folder that holds keys and ledger."""
        return self._layout.home

    @property
    def commitment_key(self) -> bytes:
        """32 secret bytes, constant for a home, under which commitments to content are made."""
        return self._keys.commitment

    @property
    def vault_key(self) -> bytes:
        """32 secret bytes, constant for a home, without which its token vault cannot be read."""
        return self._keys.vault

    def append(self, event: Event, /, *, outcome: bool = False, mode: Literal["", "signed", "strict"] = "") -> str:
        """Records the event and returns its id: it survives the death of this process from here on.

        Fills the event's `id`, `key`, `log`, `prev`, `seq`, `ts` and `v`.

        Args:
            event: what happens, or has happened.
            outcome: the effect has happened, so nothing may be raised: space is freed for the record, it is cut down to
                what can be written, or, if all that fails, it is counted in a `gap` record, and the id is "".
            mode: `signed`: this one event is signed when this returns; `strict`: it is on the disk, too.

        Raises:
            LedgerError: it could not be recorded, and nothing of it was; or it could, but not as `mode` asks.
        """
        with self._lock:
            if self._busy:
                return self._append_aside(event, outcome=outcome, mode=mode)
            self._busy = True
            try:
                spool = self._ready
                if spool is None:
                    spool = self._attend()
                name = spool.append(event)
                if mode:
                    self._assure(mode, outcome=outcome)
                return name
            except Exception as error:  # every failure ends as LedgerError or as a gap, none is swallowed
                name = self._rescue(event, error, outcome=outcome, shed=self._on_full == "shed" and not mode)
                if mode:
                    self._assure(mode, outcome=outcome)
                return name
            finally:
                self._busy = False

    def _assure(self, mode: str, *, outcome: bool) -> None:
        """Sees to it that the event that was recorded last is signed, and in the mode `strict` on the disk."""
        spool, signer, why = self._spool, self._signer, ""
        try:
            if spool is not None and not spool.signs_itself and not (signer is not None and signer.sign_now()):
                why = "it could not be signed, or not in time"
            if spool is not None and mode == "strict":
                spool.sync(heads=True)
        except OSError as error:
            why = error.strerror or type(error).__name__
        if why and not outcome:
            raise LedgerError(
                f"the event could not be recorded as policy asks (@ledger {mode}): {why}; nothing was done"
            )

    def flush(self, timeout: float = 10.0) -> bool:
        """Signs the head and folds everything that is signed into the store; False if that was not possible in time."""
        deadline = time.monotonic() + timeout
        signer = self._signer
        if signer is not None and not signer.sign_now(timeout):
            return False
        while not seal(self._layout.home, self._keys, self._projection, deadline=deadline):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    seal = flush

    def close(self, reason: str = "close", timeout: float = _CLOSE) -> None:
        """Ends the log with a signed `log.close` and seals. May be called again; an append after it opens a new log."""
        deadline = time.monotonic() + timeout
        if self._aside is not None:
            self._aside.close(reason, timeout)
        # Not `with`: a thread stuck in a write must not keep the process from ending.
        if not self._lock.acquire(timeout=timeout):
            return
        try:
            if self._busy:
                # Called by a signal handler that interrupted an append: the log is still that append's.
                return
            self._busy = True
            try:
                spool, self._ready, self._spool = self._spool, None, None
                if spool is not None:
                    self._parent = (spool.log, spool.last)
                    with contextlib.suppress(Exception):
                        if self._gap is not None:
                            spool = self._close_with_gap(spool, self._gap)
                            self._gap = None
                        spool.finish(reason)
                        self._parent = (spool.log, spool.last)
                signer, self._signer = self._signer, None
            finally:
                self._busy = False
        finally:
            self._lock.release()
        if signer is not None and spool is not None:
            signer.retire(spool)
            if signer.stop(max(0.1, deadline - time.monotonic())) and self._sealing:
                with contextlib.suppress(Exception):
                    # Nothing is lost if this does not work: the spool is there for the next process.
                    seal(self._layout.home, self._keys, self._projection, deadline=deadline)

    def _close_with_gap(self, spool: Spool, gap: dict[str, Any]) -> Spool:
        """Records a gap at the end of the log, or in another one if this takes nothing more; the log that has it."""
        try:
            spool.append(record("gap", gap))
        except NewLogNeeded as needed:
            self._spool = spool
            spool, self._spool = self._roll(str(needed)), None
            spool.append(record("gap", gap))
        return spool

    def _append_aside(self, event: Event, *, outcome: bool, mode: Literal["", "signed", "strict"]) -> str:
        aside = self._aside
        if aside is None:
            about = {**self._about, "aside": True}
            aside = type(self)(self._layout, self._keys, self._mode, about, None, sealing=False, on_full=self._on_full)
            if self._spool is not None:
                aside._parent = (self._spool.log, self._spool.last)
            self._aside = aside
        return aside.append(event, outcome=outcome, mode=mode)

    def _attend(self) -> Spool:
        """Does what has to be done before the next event: opens a log, records a gap."""
        spool = self._spool
        if spool is None:
            spool = self._open()
        if self._gap is not None:
            spool.append(record("gap", self._gap))
            self._gap = None
        self._ready = spool
        return spool

    def _open(self, reason: str = "start") -> Spool:
        about = {**self._about, "reason": reason}
        if self._keys.superseded():
            self._keys = load_keys(self._layout.home)
        spool = Spool.create(self._layout, self._keys, mode=self._mode, parent=self._parent, about=about)
        self._spool = spool
        self._parent = None
        if self._signer is None:
            # The thread must not keep a forgotten ledger alive.
            me = weakref.ref(self)
            self._signer = Signer(
                housekeeping=lambda: _housekeep(me),
                seal=(lambda: _seal_in_background(me)) if self._sealing else None,
            )
            reserve.set_aside(self._layout.reserve)
        self._signer.add(spool)
        return spool

    def _roll(self, reason: str) -> Spool:
        """Ends the log, in good order if it can be, and opens one that names it as its parent."""
        former, self._ready, self._spool = self._spool, None, None
        if former is not None:
            self._parent = (former.log, former.last)
            with contextlib.suppress(OSError, NewLogNeeded, SpoolLost):
                former.finish(reason)
                self._parent = (former.log, former.last)
            if self._signer is not None:
                self._signer.retire(former)
        return self._open(reason)

    def _rescue(self, event: Event, error: Exception, *, outcome: bool, shed: bool) -> str:
        """An append failed: what can be done about it is done, the rest is raised or counted."""
        spool = self._spool
        if outcome and spool is not None and event.id == f"{spool.log}-{spool.last:x}":
            return event.id  # it is in the file; only its signature or its sync failed
        try:
            if isinstance(error, NewLogNeeded | SpoolLost):
                # The file is not what was written (SpoolLost): its log ends here and `verify` will say so.
                self._roll(str(error) if isinstance(error, NewLogNeeded) else "lost")
                return self._attend().append(event)
            if isinstance(error, LedgerError):
                if not outcome:
                    raise error
                return self._attend().append(reduced(event, str(error)))
            if outcome and isinstance(error, OSError):
                return self._append_on_full_disk(event, error)
        except Exception as again:  # told or counted below
            error = again
        full = isinstance(error, OSError) and error.errno in _FULL
        if isinstance(error, OSError) and full and self._on_full == "block":
            return self._wait_for_room(event, error, outcome=outcome)
        if outcome or (full and shed):
            self._count_gap(event, error)
            return ""
        if isinstance(error, LedgerError):
            raise error
        where = f"{self._layout.home}/ledger"
        told = (error.strerror or str(error)) if isinstance(error, OSError) else type(error).__name__
        hint = "check that the home can be written"
        if full:
            hint = "free some space"
        elif isinstance(error, NewLogNeeded):
            told = "the certificate of this host's key is not for the time that the clock shows"
            hint = "check the clock; if it is right, start again with keys/root.key in its place, which renews it"
        raise LedgerError(f"the event could not be recorded under {where}: {told}; nothing was done; {hint}") from error

    def _wait_for_room(self, event: Event, error: OSError, *, outcome: bool) -> str:
        """Tries again until there is room. Who holds the lock waits, and so does whoever wants it: they would find no room either."""
        _log.warning("there is no room for events under %s: what has to be recorded waits", self._layout.ledger)
        while error.errno in _FULL:
            try:
                if error.errno == errno.EFBIG:
                    self._roll("full")  # a limit on the size of one file: another file has room
                else:
                    time.sleep(_ROOM)
                return self._attend().append(event)
            except OSError as again:
                error = again
            except Exception as other:  # another log is needed, say
                return self._rescue(event, other, outcome=outcome, shed=False)
        return self._rescue(event, error, outcome=outcome, shed=False)

    def _append_on_full_disk(self, event: Event, error: OSError) -> str:
        if reserve.free(self._layout.reserve):
            self._short = time.monotonic()
            with contextlib.suppress(OSError):
                return self._attend().append(event)
        if error.errno == errno.EFBIG:
            # A limit on the size of one file: another file has room.
            return self._roll("full").append(event)
        raise error

    def _count_gap(self, event: Event, error: Exception) -> None:
        now = time.time_ns() // 1000
        gap = self._gap
        if gap is None:
            gap = self._gap = {"cause": type(error).__name__, "count": 0, "kinds": {}, "since": now, "until": now}
            self._ready = None
        kind = event.kind if isinstance(event.kind, str) and event.kind.isascii() else "other"
        gap["count"] += 1
        gap["kinds"][kind] = gap["kinds"].get(kind, 0) + 1
        gap["until"] = now

    def _housekeep(self) -> None:
        spool = self._spool
        if spool is not None and (spool.size > _ROLL_SIZE or time.time_ns() // 1000 - spool.opened > _ROLL_AGE):
            with self._lock:
                if not self._busy and self._spool is spool:
                    self._busy = True
                    try:
                        self._roll("size" if spool.size > _ROLL_SIZE else "age")
                    finally:
                        self._busy = False
        if self._chores is not None:
            self._chores()
        if self._short and time.monotonic() - self._short > 10 and reserve.set_aside(self._layout.reserve):
            self._short = 0.0

    def _tell(self, why: str) -> None:
        """Says in the log why sealing does not work: once, until it works again or fails in another way."""
        if why and why != self._told:
            where = self._layout.spools
            _log.warning("events cannot be sealed (%s); they wait in %s, and it is tried again", why, where)
        self._told = why

    def _after_fork(self) -> None:
        """In the child: everything that was the parent's is given up; the descriptors are closed already."""
        if self._aside is not None:
            self._aside._after_fork()
        spool = self._spool
        if spool is not None:
            self._parent = (spool.log, spool.last)
            spool.forget()
        self._lock = threading.RLock()
        self._busy = False
        self._ready = self._spool = None
        self._signer = self._aside = self._gap = None

    def __del__(self) -> None:
        # Forgotten without close: the thread may end. The log stays open-ended and is recovered by the next sealer.
        signer = getattr(self, "_signer", None)
        if signer is not None:
            if self._spool is not None:
                signer.retire(self._spool)
            signer.stop(0.0)


_ledgers: list[weakref.ref[Ledger]] = []
_hooked = False


def _register(ledger: Ledger) -> None:
    global _hooked
    if not _hooked:
        _hooked = True
        atexit.register(_close_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=forks.before, after_in_parent=forks.in_parent, after_in_child=_in_child)
    _ledgers[:] = [ref for ref in _ledgers if ref() is not None]
    _ledgers.append(weakref.ref(ledger))


def _in_child() -> None:
    forks.in_child()
    forget_in_child()
    liveness.close_inherited()
    for ref in tuple(_ledgers):
        ledger = ref()
        if ledger is not None:
            ledger._after_fork()


def _close_all() -> None:
    for ref in tuple(_ledgers):
        ledger = ref()
        if ledger is not None:
            with contextlib.suppress(Exception):
                ledger.close("exit")


def _housekeep(me: weakref.ref[Ledger]) -> None:
    ledger = me()
    if ledger is not None:
        ledger._housekeep()


def _seal_in_background(me: weakref.ref[Ledger]) -> None:
    ledger = me()
    if ledger is not None:
        signer = ledger._signer
        stop = (lambda: signer.stopping) if signer is not None else None
        try:
            seal(ledger._layout.home, ledger._keys, ledger._projection, courteous=True, stop=stop)
        except (StoreError, SealError, ConfigError) as error:
            ledger._tell(str(error))
            raise
        ledger._tell("")
