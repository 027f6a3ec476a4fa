"""What has been let through so far: the numbers that policies compare, in windows that begin with their first count.

INVARIANT: a limit of N lets at most N calls through in a window, however many threads ask at once. A call takes its number in
one step under one lock, before policy is asked, and policy sees that number: two calls never see the same one. Within its
window a counter only loses what was never let through: a call that is denied gives its number back.

INVARIANT: windows end by the monotonic clock, which nobody can set back. Memory is bounded; a counter that there is no room
for cannot be read, which denies the call.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from guardai.errors import GuardError
from guardai.policy.vocabulary import COUNTERS, WINDOWS

__all__ = ["PARTS", "Counters", "Entry", "Key"]

#: Counters at one time: about 30 MB.
_MOST: Final = 65_536

#: The counter's name, then whose it is.
Key = tuple[str, ...]
#: Name → (record, measure, window).
PARTS: Final = {name: tuple(name.split(".")) for name in COUNTERS}


class Entry:
    """One counter in its window.

    Attributes:
        count: what policies see.
        reserved: of these, taken by calls that have not been let through yet.
        unpushed: of these, let through, and not yet told to the shared store.
        ends: when its window ends, by the monotonic clock.
        touched: when it was last counted or read.
    """

    __slots__ = ("count", "ends", "reserved", "touched", "unpushed", "window")

    def __init__(self, window: str, now: float) -> None:
        self.count = 0
        self.reserved = 0
        self.unpushed = 0
        self.window = window
        self.ends = now + WINDOWS[window]
        self.touched = now

    def without_reserved(self) -> Entry:
        """The same counter with only what has been let through."""
        made = Entry(self.window, self.touched)
        made.count, made.ends = self.count - self.reserved, self.ends
        return made


class Counters:
    """All counters of this process. A forked child goes on from its parent's numbers."""

    __slots__ = ("__weakref__", "_clock", "_most", "lock", "rows", "woken")

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        # Reentrant: a call can be made from a signal handler, in the middle of another's step.
        self.lock = threading.RLock()
        #: Window → key → entry, in the order in which they end.
        self.rows: dict[str, dict[Key, Entry]] = {window: {} for window in WINDOWS}
        #: What there is to be told of what was let through; the shared store's thread sets it.
        self.woken: Callable[[], None] | None = None
        _ALL.add(self)

    def now(self) -> float:
        """The monotonic clock."""
        return self._clock()

    def take(self, keys: Iterable[Key]) -> list[tuple[Key, Entry, int]]:
        """Takes the next number of each, all in one step.

        Raises:
            GuardError: there is no room for another counter. Nothing was taken.
        """
        taken: list[tuple[Key, Entry, int]] = []
        with self.lock:
            now = self._clock()
            try:
                for key in keys:
                    entry = self._entry(key, now)
                    entry.count += 1
                    entry.reserved += 1
                    taken.append((key, entry, entry.count))
            except GuardError:
                self._give_back((key, entry) for key, entry, _ in taken)
                raise
        return taken

    def keep(self, entries: Iterable[Entry]) -> None:
        """What was taken has been let through."""
        with self.lock:
            for entry in entries:
                entry.reserved -= 1
                entry.unpushed += 1
        if self.woken is not None:
            self.woken()

    def give_back(self, taken: Iterable[tuple[Key, Entry]]) -> None:
        """What was taken has not been let through. Where the window has ended meanwhile, nobody sees the difference."""
        with self.lock:
            self._give_back(taken)

    def _give_back(self, taken: Iterable[tuple[Key, Entry]]) -> None:
        for key, entry in taken:
            entry.reserved -= 1  # first: a fork between the two leaves a child with one too many, not one too few
            entry.count -= 1
            if not (entry.count or entry.reserved or entry.unpushed) and self._rows(key).get(key) is entry:
                del self._rows(key)[key]  # or whoever is denied a thousand made-up names would take everybody's room

    def add(self, keys: Iterable[Key], number: int) -> None:
        """So many more have come. They have come, whether or not there is room to count them."""
        with self.lock:
            now = self._clock()
            for key in keys:
                entry = self._entry(key, now, full=False)
                entry.count += number
                entry.unpushed += number
        if self.woken is not None:
            self.woken()

    def read(self, key: Key) -> int:
        """The count so far."""
        now = self._clock()
        entry = self._rows(key).get(key)
        if entry is None or entry.ends <= now:
            # So that what others have counted is heard of, where there is a shared store.
            if self.woken is not None:
                with self.lock:
                    self._entry(key, now)
            return 0
        entry.touched = now
        if entry.window == "session":
            entry.ends = now + WINDOWS["session"]  # the session goes on, whatever of it is counted here
        return entry.count

    def left(self, key: Key) -> float:
        """Seconds until its window ends; 0 if it has."""
        entry = self._rows(key).get(key)
        return max(0.0, entry.ends - self._clock()) if entry is not None else 0.0

    def size(self) -> int:
        """How many counters there are."""
        return sum(map(len, self.rows.values()))

    def _rows(self, key: Key) -> dict[Key, Entry]:
        return self.rows[PARTS[key[0]][2]]

    def _entry(self, key: Key, now: float, *, full: bool = True) -> Entry:
        row = self._rows(key)
        entry = row.get(key)
        if entry is None or entry.ends <= now:
            self._forget(row, now, 2)
            if full and self.size() >= self._most:
                for one in self.rows.values():
                    self._forget(one, now, 64)
                if self.size() >= self._most:
                    raise GuardError(
                        f"policy limits it by a counter, {self._most} run already, and there is no room for another"
                    )
            if key in row and row[key].ends <= now:
                del row[key]  # so that the new one stands at the end
            # Another may stand there by now: a signal's handler can make a call in the middle of this one.
            entry = row.setdefault(key, Entry(PARTS[key[0]][2], now))
        elif entry.window == "session":
            entry.ends = now + WINDOWS["session"]
        entry.touched = now
        return entry

    @staticmethod
    def _forget(row: dict[Key, Entry], now: float, most: int) -> None:
        """Drops some of the oldest that have ended. Few at a time, so that no call waits for many."""
        for key in list(islice(row, most)):
            # Without a call from look to change, so that no signal's handler comes between.
            if key in row:
                entry = row[key]
                if entry.ends <= now:
                    del row[key]
                elif entry.window == "session":  # renewed since it was put there
                    del row[key]
                    row[key] = entry

    def in_child(self) -> None:
        """In a forked child: the numbers stay, what was not told to others yet is the parent's to tell.

        INVARIANT: what a call of the parent's holds is not counted here, however it ends: it is let through there or nowhere.
        Its tally may be in the child's memory, so its entries are replaced: what that one gives back changes no number here.
        """
        self.lock = threading.RLock()
        self.woken = None
        for row in self.rows.values():
            for key, entry in list(row.items()):
                if entry.reserved:
                    row[key] = entry.without_reserved()
                row[key].unpushed = 0


_ALL: weakref.WeakSet[Counters] = weakref.WeakSet()


def _in_child() -> None:
    for counters in list(_ALL):
        counters.in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
