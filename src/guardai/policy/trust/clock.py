"""A time that does not go back: whoever sets the machine's clock back must not bring an expired bundle back to life."""

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
    """The machine's clock, but never earlier than what it said before, nor than `since` and what has passed from then on.

    The earlier of two processes is no witness against the other: what both have seen is kept with the cache, see `client.py`.
    """

    def __init__(self, since: datetime | None = None) -> None:
        self._least = max(wall(), since) if since is not None else wall()
        self._began = time.monotonic()

    def now(self) -> datetime:
        """The time."""
        return max(wall(), self._least + timedelta(seconds=time.monotonic() - self._began))

    def notice(self, since: datetime | None) -> None:
        """It was this late already."""
        if since is not None and since > self.now():
            self._least, self._began = since, time.monotonic()


class Limit:
    """Seconds for several things, one after the other: what the first takes, the next does not get."""

    __slots__ = ("_until",)

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; 0 and no less once they are over."""
        return max(0.0, self._until - time.monotonic())


class Until:
    """The end of something, which no setting of the machine's clock puts off.

    Args:
        end: when.
        now: the time now, if somebody knows better than the machine's clock.
    """

    __slots__ = ("_end", "_monotonic", "end")

    def __init__(self, end: datetime, now: datetime | None = None) -> None:
        self.end = end
        self._end = end.timestamp()
        self._monotonic = time.monotonic() + (end - (now or wall())).total_seconds()

    def passed(self) -> bool:
        """Whether it is over. The machine's clock counts sleep, the other one cannot be set."""
        return seconds() >= self._end or time.monotonic() >= self._monotonic
