"""How an integration reaches the gate."""

from __future__ import annotations

from guardai.gate import Run, Ticket, current, require, runtime
from guardai.gate import opened as _opened
from guardai.model import Call

__all__ = ["acting", "foreseen", "opened", "started"]


def started() -> bool:
    """Whether there is a gate. Without one, what is wrapped behaves as if it were not."""
    return current() is not None


def acting(statement: str, dialect: str) -> Run | None:
    """Whose statement this is; None if it is the application's own and has to be left alone."""
    started = runtime._runtime
    return None if started is None else started.acting.statement(statement, dialect)


def opened(call: Call, run: Run | None = None) -> Ticket:
    """Opens a call: decided, masked, its intent recorded.

    Args:
        call: what is about to happen.
        run: what `acting` found; calls that are an agent's by nature need none.

    Raises:
        PolicyDenied: nothing happened. `ApprovalPending`: a human has to agree first, and nothing can wait here.
        LedgerError: the intent cannot be recorded; nothing happened.
        GuardError: guardai is not started.
    """
    return _opened(require().gate, call, run)


def foreseen(call: Call, run: Run) -> bool:
    """Asks about a call that will only be made later, where preparing it already reaches outside: a lazy query, say.

    What is permitted leaves no record; `opened` follows when it is made.

    Returns:
        Whether it is a read, and policy permits nothing but reading there.

    Raises:
        PolicyDenied: it would be refused; that is recorded.
    """
    gate = require().gate
    found = gate.foresee(call, run)
    if found is None:
        _opened(gate, call, run).close(None)
    return bool(found)
