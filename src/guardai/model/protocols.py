"""What rooms of floor 2 hand one another, as protocols that the gate joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from guardai.model.event import Event

__all__ = ["Emit", "Sink"]


class Emit(Protocol):
    """Records an event. In the ledger; given to whatever has to leave a record."""

    def __call__(self, event: Event, /, *, outcome: bool = False, mode: Literal["", "signed", "strict"] = "") -> str:
        """Appends the event and returns its id; it is on its way to the disk when this returns.

        Args:
            event: without `id`, `key`, `log`, `prev`, `seq`, `ts`, which are filled here.
            outcome: the effect has happened already, so a record that cannot be written must not raise.
            mode: `signed`: it is signed when this returns; `strict`: it is on the disk, too.

        Raises:
            LedgerError: it could not be recorded, or not like that (never if `outcome`).
        """
        ...


class Sink(Protocol):
    """Where sealed events go besides the store. The pump in the ledger calls it, from one thread at a time.

    A sink keeps no connection between two deliveries, or finds out by itself that it is in another process: a process may
    fork between them.
    """

    def deliver(self, events: Sequence[bytes], *, seconds: float) -> None:
        """Takes the exact bytes of sealed events, in order, and returns once they are where they are to be.

        Every event bears an `id`; one that comes again is the same event.

        Args:
            events: at least one.
            seconds: when that long has passed it should raise. Nobody else waits for a sink that does not.

        Raises:
            SinkRefused: one of them will never be taken. They come again in halves, until it is found and put aside.
            SinkError: they were not all taken; all of them come again, after `after` seconds if it says so.
            Exception: the same.
        """
        ...
