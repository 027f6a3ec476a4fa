"""Brings one sink what it has not had yet: in order, at least once, around what it refuses.

A failure leaves everything where it is, and the sink is tried again, slower and slower. A refusal is for good: the batch
is parted until the event that is refused stands alone; it goes into quarantine, and what is behind it goes on.

One process at a time delivers to a sink: it holds the lock of the sink's files.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from pathlib import Path
from typing import Final

import msgspec

from guardai.errors import SinkError, SinkRefused
from guardai.ledger import liveness
from guardai.ledger.account import Account, SinkFiles, sink_name
from guardai.ledger.layout import Layout
from guardai.ledger.place import read_store
from guardai.ledger.quarantine import Refused
from guardai.ledger.store import StoreError
from guardai.model import OWN, Sink, shown, without_secrets

__all__ = ["BusyError", "Delivery", "Ending"]

_log: Final = logging.getLogger("guardai")

#: A batch ends at this many events or bytes. After a failure the next has half as many, down to one: a sink may be too slow
#: for a whole one.
_BATCH: Final = 500
_BYTES: Final = 1024 * 1024
#: Seconds that a sink is given for a batch.
_LIMIT: Final = 30.0
#: Seconds between tries of a sink that fails: 1, 2, 4, … up to five minutes; an hour if the sink itself asks for it.
_SLOWEST: Final = 300.0
_LONGEST: Final = 3600.0
#: After so many failures in a row (a quarter of an hour) batches are of one event, and the next one is tried instead.
_STUBBORN: Final = 10
#: Pauses between tries of an event that was refused on its own; then it is put aside.
_AGAIN: Final = (0.1, 0.2)
_WORDS: Final = 300


class BusyError(Exception):
    """Another process is delivering to this sink."""


class Ending:
    """Tells deliveries when they have to be over."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._until = float("inf")

    def within(self, seconds: float) -> None:
        """They have so long from now on."""
        self._until = time.monotonic() + seconds
        self._told.set()

    def wait(self, seconds: float) -> bool:
        """Sleeps; True at once when an end has been set."""
        return self._told.wait(seconds)

    def left(self) -> float:
        """Seconds that the next delivery may take; 0 if there must be none."""
        return max(0.0, min(_LIMIT, self._until - time.monotonic()))


class Delivery:
    """Delivers to one sink.

    Args:
        home: whose store is read.
        url: of the sink; it names the account, and stands in no message as it is.
        sink: takes the events.
        ending: when it has to be over.
    """

    def __init__(self, home: Path, url: str, sink: Sink, ending: Ending) -> None:
        self._layout = Layout(home)
        self._url = url
        self._sink = sink
        self._files = SinkFiles(home, sink_name(url))
        self._ending = ending
        #: When it is tried again, by this process's clock: holds also if the account cannot be kept.
        self._resting = 0.0

    def in_child(self, ending: Ending) -> None:
        """In a forked child: another process delivers, so it begins afresh."""
        self._ending = ending
        self._resting = 0.0

    def once(self, *, patient: bool = True) -> None:
        """Delivers what is sealed by now. Raises nothing: what went wrong is in the account, and in the log.

        Args:
            patient: leave a sink alone that failed a short while ago.
        """
        if patient and time.monotonic() < self._resting:
            return
        account = Account()
        try:
            self._files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._alone():
                account = self._files.read()
                now = _now()
                # A time that is further off than any that we set is one of a clock that was wrong.
                if patient and now < account.again <= now + _LONGEST * 1e6:
                    return
                account.url = shown(self._url)
                try:
                    self._files.quarantine.forget_from(account.next)
                    self._deliver(account)
                except Exception as exc:  # a sink may raise anything; the events stay where they are
                    self._failed(account, exc)
                    with contextlib.suppress(OSError):  # a full disk; what could not be noted is delivered again
                        self._files.write(account)
        except BusyError:
            return
        except Exception as exc:  # not even the lock can be had: a home that is gone
            self._failed(account, exc)

    def retry(self) -> tuple[int, int]:
        """Offers the sink once more what is in quarantine.

        Returns:
            How many it took, and how many stay: because they were refused again, or because the sink failed.

        Raises:
            BusyError: another process is delivering to it.
            SinkError: it failed, and why; what it took before that counts as delivered.
            OSError, msgspec.DecodeError: its files cannot be read or written.
        """
        with self._alone():
            account = self._files.read()
            self._files.quarantine.forget_from(account.next)
            refused = self._files.quarantine.read()
            taken, again = 0, []
            offered = iter(refused)

            def dealt(part: Sequence[bytes], reason: str) -> None:
                nonlocal taken
                for one in itertools.islice(offered, len(part)):
                    if reason:
                        again.append(Refused(one.event, one.leaf, reason, _now()))
                    else:
                        taken += 1

            try:
                for start in range(0, len(refused), _BATCH):
                    self._offer([bytes(one.event) for one in refused[start : start + _BATCH]], dealt)
            except Exception as exc:
                raise SinkError(self._told(exc)) from None
            finally:
                self._files.quarantine.replace([*again, *offered])
            return taken, len(again)

    def _deliver(self, account: Account) -> None:
        refused = 0

        def dealt(part: Sequence[bytes], reason: str) -> None:
            nonlocal refused
            if reason:
                self._files.quarantine.put(Refused(msgspec.Raw(part[0]), account.next, reason, _now()))
                account.failure, account.error = _now(), reason
                refused += 1
            else:
                account.success = _now()
            account.failures, account.again = 0, 0
            account.next += len(part)
            account.last = _id(part[-1])
            self._files.write(account)

        try:
            while self._ending.left() and (events := self._waiting(account)):
                try:
                    self._offer(events, dealt)
                except Exception as exc:
                    if not self._takes_the_next(account):
                        raise
                    why = f"failed {account.failures + 1} times in a row, while the event behind it was taken"
                    dealt(events[:1], f"{why}: {self._told(exc)}")
        finally:
            if refused:
                _log.warning(
                    "the sink %s refused %d events for good, the last because: %s; guardai sinks retry %s offers them again",
                    account.url, refused, account.error, sink_name(self._url),
                )  # fmt: skip

    def _takes_the_next(self, account: Account) -> bool:
        """Whether a sink that has been failing on one event for long takes the one behind it: then it is not the sink.

        That one is delivered once more in its turn.
        """
        if account.failures < _STUBBORN:
            return False
        behind, _ = self._sealed(account.next + 1, 1)
        if not behind:
            return False
        try:
            self._hand([behind[0][1]])
        except Exception:
            return False
        return True

    def _offer(self, events: Sequence[bytes], dealt: Callable[[Sequence[bytes], str], None]) -> None:
        """Gives the sink the events. What it took, and what it refused and why, is told to `dealt`, in order."""
        parts = [events]
        while parts and self._ending.left():
            part = parts.pop()
            try:
                self._hand(part)
            except SinkRefused as exc:
                if len(part) > 1:
                    middle = len(part) // 2
                    parts += part[middle:], part[:middle]
                else:
                    dealt(part, self._refused_again(part, exc))
            else:
                dealt(part, "")

    def _refused_again(self, part: Sequence[bytes], exc: SinkRefused) -> str:
        """Why a single event is refused, also when it is offered again; "" if it was taken then."""
        for pause in _AGAIN:
            if self._ending.wait(pause):
                raise exc  # there is no time to find out: it waits
            try:
                self._hand(part)
            except SinkRefused as again:
                exc = again
            else:
                return ""
        return self._told(exc) or "refused"

    def _hand(self, part: Sequence[bytes]) -> None:
        # A context of its own: whatever session this thread may be in has nothing to do with it.
        context = Context()
        context.run(OWN.set, True)
        context.run(self._sink.deliver, part, seconds=max(0.1, self._ending.left()))

    def _waiting(self, account: Account) -> list[bytes]:
        """The next batch, in order."""
        limit = max(1, _BATCH >> min(account.failures, 16))
        before = max(0, account.next - 1)
        rows, size = self._sealed(before, limit + 1)
        another = 0 < size < account.next
        if rows and account.last and rows[0][0] == before:
            another = another or _id(rows[0][1]) != account.last
        if another:
            # Not the store that was delivered from: it was set back, or replaced. The account first: from then on what is
            # in quarantine is not counted.
            account.next, account.pruned, account.last = 0, 0, ""
            self._files.write(account)
            self._files.quarantine.forget_from(0)
            return self._waiting(account)
        rows = [row for row in rows if row[0] >= account.next][:limit]
        if rows and rows[0][0] > account.next:  # what was between is kept with the next write of the account
            account.pruned += rows[0][0] - account.next
            account.next = rows[0][0]
        return _bounded([data for nth, (leaf, data) in enumerate(rows) if leaf == account.next + nth])

    def _sealed(self, start: int, limit: int) -> tuple[list[tuple[int, bytes]], int]:
        """Leaves and their events, from one on; and how many there are altogether, 0 if that cannot be told now."""
        query = "SELECT leaf, bytes FROM events WHERE leaf >= ? ORDER BY leaf LIMIT ?"
        try:
            with read_store(self._layout) as store:
                if store is not None:
                    return store.db.execute(query, (start, limit)).fetchall(), store.size()
        except StoreError:
            pass  # locked, or broken, which `verify` will say: another time
        return [], 0

    def _failed(self, account: Account, exc: Exception) -> None:
        account.failures += 1
        account.failure = _now()
        account.error = self._told(exc)
        pause = min(2.0 ** min(account.failures - 1, 16), _SLOWEST)
        if isinstance(exc, SinkError) and exc.after is not None:
            pause = min(max(1.0, exc.after), _LONGEST)
        account.again = account.failure + int(pause * 1e6)
        self._resting = time.monotonic() + pause
        _log.warning("the sink %s failed (%s); it is tried again in %d s", shown(self._url), account.error, pause)

    def _told(self, exc: Exception) -> str:
        """What may be said of it. Of an exception that is not meant for it no word: a key or an event may be among them."""
        if isinstance(exc, SinkError):
            text = str(exc)
        elif isinstance(exc, OSError) and exc.strerror:
            text = f"{type(exc).__name__}: {exc.strerror}"
        else:
            text = type(exc).__name__
        text = without_secrets(text, self._url)
        return "".join(sign if sign.isprintable() else " " for sign in text)[:_WORDS]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        fd = liveness.open_tracked(self._files.lock, os.O_RDWR | os.O_CREAT)
        try:
            if not liveness.try_lock(fd):
                raise BusyError
            yield
        finally:
            liveness.close(fd)


class _Named(msgspec.Struct):
    id: str


_named: Final = msgspec.json.Decoder(_Named).decode


def _id(event: bytes) -> str:
    return _named(event).id


def _bounded(events: list[bytes]) -> list[bytes]:
    size = 0
    for count, event in enumerate(events):
        size += len(event)
        if size > _BYTES and count:
            return events[:count]
    return events


def _now() -> int:
    return time.time_ns() // 1000
