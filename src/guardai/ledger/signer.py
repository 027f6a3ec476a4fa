"""The thread that signs heads and seals: started by the first append, asleep when there is nothing to do.

It signs the newest head every 100 ms or 256 events, whichever is first, and always the newest: however fast events come,
it never falls behind. (Signing each event from a thread was tried: the backlog grew without bound.) About once a second
it seals what is signed, if no other process is sealing, and bounds its share of the interpreter while it does.

The thread is started through `_thread` and not `threading`: `threading.Thread.start` takes a lock that is not re-entrant,
and a first append may come from a signal handler that interrupted just that.
"""

from __future__ import annotations

import _thread
import contextlib
import time
from typing import TYPE_CHECKING, Final

from guardai.ledger.spool import HEAD_EVERY

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardai.ledger.spool import Spool

__all__ = ["Signer"]

_TICK: Final = 0.1
#: Ticks without a new event after which the thread sleeps until one comes.
_PATIENCE: Final = 20
#: Sealing waits so long after the first event that is not sealed, or four times as long as the last sealing took.
_SEAL_EVERY: Final = 1.0
_SEAL_SHARE: Final = 4.0


class Signer:
    """Signs the heads of the spools given to it.

    Args:
        housekeeping: called about once a second while events come; does what must not be done in a caller's append.
        seal: folds what is signed into the store; None switches sealing off.
    """

    def __init__(self, housekeeping: Callable[[], None], seal: Callable[[], None] | None) -> None:
        self._housekeeping = housekeeping
        self._seal = seal
        self._spools: list[Spool] = []
        self._retired: list[Spool] = []
        self._wake = _thread.allocate_lock()
        self._wake.acquire()
        self._signing = _thread.allocate_lock()
        self._done = _thread.allocate_lock()
        self._started = False
        self._stopping = False
        self._seen = 0
        self._unsealed_since = 0.0
        self._seal_pause = _SEAL_EVERY

    @property
    def stopping(self) -> bool:
        """Whether the thread has been told to end; sealing looks at it between two batches."""
        return self._stopping

    def add(self, spool: Spool) -> None:
        """From now on this spool's heads are signed."""
        spool.ring = self.ring
        spool.ring_at(0)
        self._spools.append(spool)
        if not self._started:
            self._started = True
            self._done.acquire(blocking=False)
            try:
                _thread.start_new_thread(self._run, ())
            except RuntimeError:
                # The interpreter is shutting down. The tail stays unsigned until it is recovered.
                self._started = False
                self._stopping = True

    def retire(self, spool: Spool) -> None:
        """The spool has had its last event: signs its head once more and closes it, soon and not here."""
        self._retired.append(spool)
        self.ring()

    def ring(self) -> None:
        """Wakes the thread. Called in an append: one flag and one lock operation."""
        for spool in self._spools:
            spool.ring_at(spool.last + 1 + HEAD_EVERY)
        with contextlib.suppress(RuntimeError):
            self._wake.release()

    def sign_now(self, timeout: float = 1.0) -> bool:
        """Signs all heads in the calling thread; False if that was not possible in time."""
        if not self._signing.acquire(timeout=timeout):
            return False
        try:
            return self._sign_all()
        finally:
            self._signing.release()

    def stop(self, timeout: float) -> bool:
        """Signs what is left in the calling thread and ends the signer's; whether both were done in time."""
        self._stopping = True
        whole = self.sign_now(timeout)
        if self._started:
            with contextlib.suppress(RuntimeError):
                self._wake.release()
            if not self._done.acquire(timeout=timeout):
                return False
            self._done.release()
        return whole

    def _run(self) -> None:
        quiet = 0
        try:
            while not self._stopping:
                if quiet >= _PATIENCE and self._may_sleep():
                    self._wake.acquire()
                    quiet = 0
                if not self._stopping:
                    self._wake.acquire(timeout=_TICK)
                    quiet = 0 if self._turn() else quiet + 1
        except BaseException:  # noqa: S110 - interpreter shutdown; nothing is lost, the tail will be recovered
            pass
        finally:
            with contextlib.suppress(BaseException):
                self._done.release()

    def _may_sleep(self) -> bool:
        """Asks the next append to ring, and then makes sure that none came in before it could know."""
        for spool in self._spools:
            spool.ring_at(0)
        return self._progress() == self._seen and not self._retired

    def _progress(self) -> int:
        return sum(spool.last + 1 for spool in list(self._spools))

    def _turn(self) -> bool:
        """Signs, and seals if it is time; whether there was anything to do."""
        progress = self._progress()
        busy = progress != self._seen or bool(self._retired)
        if busy and self._signing.acquire(timeout=_TICK):
            try:
                self._sign_all()
            finally:
                self._signing.release()
            self._seen = progress
        now = time.monotonic()
        if busy and not self._unsealed_since:
            self._unsealed_since = now
        if self._unsealed_since and now - self._unsealed_since >= self._seal_pause and not self._stopping:
            self._unsealed_since = 0.0
            with contextlib.suppress(Exception):
                self._housekeeping()
            if self._seal is not None:
                with contextlib.suppress(Exception):
                    # What goes wrong here (a full disk, a damaged store) loses nothing: the spool is still there, and
                    # `verify` will name it.
                    self._seal()
                self._seal_pause = max(_SEAL_EVERY, (time.monotonic() - now) * _SEAL_SHARE)
        return busy or bool(self._unsealed_since)

    def _sign_all(self) -> bool:
        whole = True
        for spool in list(self._spools):
            try:
                if not spool.signs_itself:
                    spool.sign()
            except OSError:
                whole = False
        while self._retired:
            spool = self._retired.pop()
            with contextlib.suppress(OSError):
                spool.sign()
            with contextlib.suppress(ValueError):
                self._spools.remove(spool)
            spool.abandon()
        return whole
