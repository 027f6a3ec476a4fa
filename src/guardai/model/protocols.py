"""What rooms of floor 2 hand one another, as protocols that the gate joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from guardai.model.event import Event

__all__ = ["Emit", "Sink"]


class Emit(Protocol):
    """Records an event. In the ledger; given to whatever has to leave a record."""

    def __call__(self, event: Event, /, *, outcome: bool = False) -> str:
        """Appends the event and returns its id; it is on its way to the disk when this returns.

        Args:
            event: without `id`, `key`, `log`, `prev`, `seq`, `ts`, which are filled here.
            outcome: the effect has happened already, so a record that cannot be written must not raise.

        Raises:
            LedgerError: it could not be recorded (never if `outcome`).
        """
        ...


class Sink(Protocol):
    """Where sealed events go besides the store. The pump in the ledger calls it, from one thread at a time."""

    def deliver(self, events: Sequence[bytes]) -> None:
        """Takes the exact bytes of sealed events, in order. Whatever it raises, the same events come again."""
        ...
