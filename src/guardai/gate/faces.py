"""The thin faces of the road: run a call now, or await it.

They differ in nothing but `await`; `tests/gate/test_faces.py` holds them together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from guardai.errors import ApprovalPending, GuardError
from guardai.gate.gate import Gate
from guardai.gate.road import Phase, Ticket
from guardai.gate.run import HERE, Here, Run

if TYPE_CHECKING:
    from guardai.model import Call

__all__ = ["agoverned", "governed", "inside", "opened"]


def opened(gate: Gate, call: Call, run: Run | None = None) -> Ticket:
    """Opens a call that cannot wait: a pause raises, because no channel is there on which a human could be asked.

    Raises:
        ApprovalPending: a human has to agree first; nothing happened.
    """
    ticket = gate.open(call, run)
    if ticket.phase is Phase.PAUSED:
        ticket.cancel()
        ticket.refuse(ApprovalPending)
    return ticket


class inside:  # noqa: N801 - reads as `with inside(ticket):`
    """What happens within is a child of the call, and its agent's doing."""

    __slots__ = ("_before", "_here")

    def __init__(self, ticket: Ticket) -> None:
        self._here = Here(ticket.run, explicit=False, call=ticket.id)

    def __enter__(self) -> None:
        self._before = HERE.get()
        if self._before is not None and self._before.run is self._here.run:
            self._here = self._before._replace(call=self._here.call)
        HERE.set(self._here)

    def __exit__(self, *_: object) -> None:
        HERE.set(self._before)


def governed(gate: Gate, call: Call, effect: Callable[[Any], Any], results: bool = True) -> Any:  # noqa: FBT001, FBT002
    """Runs `effect(masked payload)` between intent and outcome.

    Args:
        gate: the process's gate.
        call: what is about to happen.
        effect: does it, given the payload as policy lets it leave.
        results: whether the result is data that can be inspected.
    """
    ticket = opened(gate, call)
    try:
        with inside(ticket):
            result = effect(ticket.payload) if gate.player is None else gate.player.result(ticket)
    except BaseException as exc:
        ticket.fail(exc)
        raise
    return _closed(ticket, result, results)


async def agoverned(
    gate: Gate,
    call: Call,
    effect: Callable[[Any], Awaitable[Any]],
    results: bool = True,  # noqa: FBT001, FBT002
) -> Any:
    """Awaits `effect(masked payload)` between intent and outcome; otherwise as `governed`."""
    ticket = opened(gate, call)
    try:
        with inside(ticket):
            result = await effect(ticket.payload) if gate.player is None else gate.player.result(ticket)
    except BaseException as exc:
        ticket.fail(exc)
        raise
    return _closed(ticket, result, results)


class _Lazy(GuardError, TypeError):
    """A result that cannot be inspected because it is not there yet."""


#: INVARIANT: nothing that a governed call does happens after its outcome is recorded.
_LAZY = (Iterator, AsyncIterator, Awaitable)


def _closed(ticket: Ticket, result: Any, results: bool) -> Any:  # noqa: FBT001
    if results:
        if isinstance(result, _LAZY):
            ticket.withhold(_Lazy("what it returned would only come later, outside the call; return a list"))
        return ticket.close(result)
    ticket.close(None)
    return result
