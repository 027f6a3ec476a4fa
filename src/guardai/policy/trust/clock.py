"""A time that does not go back behind the last good answer: what had expired then, no clock that is set back brings back to life."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

__all__ = ["Clock", "Limit", "Until", "seconds", "wall"]

#: The same as `wall`, since 1970: for those who look with every call.
seconds = time.time


def wall() -> datetime:
    """What the machine's clock says."""
    return datetime.now(UTC)


class Clock:
    """The machine's clock, but never earlier than the last good answer, and what has passed from then on.

    The machine's clock alone is no witness: a process may begin while it is ahead, and has to go on where it is put right. When
    the last good answer was is kept with the cache, see `client.py`: all processes of it go by the same one.
    """

    def __init__(self) -> None:
        # What the time would have been when `time.monotonic` was 0: one value, which a thread changes while others look.
        self._zero: datetime | None = None

    def now(self) -> datetime:
        """The time."""
        machine, least = wall(), self.least()
        return machine if least is None else max(machine, least)

    def least(self) -> datetime | None:
        """How late it is for certain; None as long as nothing is."""
        return None if self._zero is None else self._zero + timedelta(seconds=time.monotonic())

    def machine(self) -> datetime:
        """What the machine's clock says alone."""
        return wall()

    def notice(self, answered: datetime | None) -> None:
        """There was a good answer at that time."""
        least = self.least()
        if answered is not None and (least is None or answered > least):
            self._zero = answered - timedelta(seconds=time.monotonic())


class Limit:
    """Seconds for several things, one after the other: what the first takes, the next does not get."""

    __slots__ = ("_until",)

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; 0 and no less once they are over."""
        return max(0.0, self._until - time.monotonic())


class Until:
    """The end of something, which setting the machine's clock back does not put off.

    Args:
        end: when.
        least: how late it is for certain, which that is counted from. None if nothing is: what the machine's clock says now, then.
    """

    __slots__ = ("_end", "_monotonic", "end")

    def __init__(self, end: datetime, least: datetime | None = None) -> None:
        self.end = end
        self._end = end.timestamp()
        self._monotonic = time.monotonic() + (end - (least or wall())).total_seconds()

    def passed(self) -> bool:
        """Whether it is over. The machine's clock counts sleep, the other one cannot be set."""
        return seconds() >= self._end or time.monotonic() >= self._monotonic
