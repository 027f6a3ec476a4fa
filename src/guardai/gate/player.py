"""Who answers calls in the place of what they would reach: a test double (`guardai.testing.cassette`), and nobody but in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from guardai.gate.road import Ticket
    from guardai.model import Call

__all__ = ["Player", "playing", "use"]


class Player(Protocol):
    """Answers calls from what was recorded. Policy decides on them, and they are recorded, as ever."""

    def described(self, call: Call) -> Call:
        """The call as it was when it was recorded: the other side is the player now, and policy is not to see that."""
        ...

    def opened(self, ticket: Ticket) -> bool:
        """A call was let through and is about to happen; whether the player answers it, so that it does not.

        Raises:
            GuardError: it is none that was recorded. It does not happen.
        """
        ...

    def result(self, ticket: Ticket) -> Any:
        """What a call that was let through returned then, where this process would have run it.

        Raises:
            Exception: it raised.
        """
        ...


_player: Player | None = None


def playing() -> Player | None:
    """The player of this process; None but in tests."""
    return _player


def use(player: Player | None) -> None:
    """Has a player answer from the next call on, in the gate that runs and in those that are started after it."""
    from guardai.gate.runtime import current

    global _player
    _player = player
    runtime = current()
    if runtime is not None:
        runtime.gate.player = player
