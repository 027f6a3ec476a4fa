"""Holds tree heads of other ledgers: what is under one cannot be cut off there unseen, for here it is recorded.

Those of each ledger lie in `held/`, all of them, to be handed out; the event `checkpoint.held` is the evidence, and `prove` proves it.

INVARIANT: of one ledger only larger and larger trees are held. Whether one goes on from the other is for `verify --held` to say,
which has the tree, and to which therefore all are handed out: one that was cut and grown again has a larger one, too.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from guardai.errors import LedgerError
from guardai.ledger import liveness
from guardai.ledger.anchored import Receipt, append, read_receipts
from guardai.ledger.layout import Layout
from guardai.ledger.ledger import Ledger
from guardai.ledger.note import Checkpoint, NoteError, read_note
from guardai.ledger.spool import record

if TYPE_CHECKING:
    from pathlib import Path

    from guardai.ledger.projection import Projection
    from guardai.ledger.quorum import TrustPolicy

__all__ = ["Holding", "OlderHeadError", "held_file", "hold"]


class OlderHeadError(LedgerError):
    """A tree head is of fewer events than one that is held, or of as many others: that ledger was cut, set back or forked."""


class Holding(NamedTuple):
    """A tree head that is held, and the event that says so; "" if it was held before."""

    head: Checkpoint
    event: str


def hold(home: Path, note: str, logs: TrustPolicy, *, by: str, projection: Projection | None = None) -> Holding:
    """Holds a tree head of another ledger.

    Args:
        home: of this one.
        note: the head, as its own host signed it.
        logs: whose signatures count.
        by: who wants it.
        projection: the derived table that sealing brings up to date.

    Raises:
        NoteError: it is none, or not signed by one of those.
        OlderHeadError: it does not go on from the one that is held.
        LedgerError: it cannot be recorded.
        OSError: it cannot be kept, though it is recorded; the next time it is recorded again.
    """
    head = logs.check(note).checkpoint
    path = held_file(home, head.origin)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with liveness.held(path.with_suffix(".lock")) as mine:
        if not mine:
            raise LedgerError("another process is at it; try again")
        before = _newest(path, head.origin)
        if before is not None and head == before:
            return Holding(head, "")
        if before is not None and head.size <= before.size:
            raise OlderHeadError(
                f"{head.origin} comes with a tree head of {head.size:,} events, and one of {before.size:,} is held"
                + (": another tree" if head.size == before.size else "")
            )
        ledger = Ledger.open(home, mode="strict", projection=projection)
        try:
            event = ledger.append(
                record("checkpoint.held", {"note": note, "origin": head.origin, "size": head.size}, by)
            )
        finally:
            ledger.close()
        append(path, Receipt(head.size, note))
    return Holding(head, event)


def held_file(home: Path, origin: str) -> Path:
    """Where the tree heads of a ledger are held, if any are: in the form of an anchor's receipts, for `verify --held`."""
    return Layout(home).ledger / "held" / f"{hashlib.sha256(origin.encode()).hexdigest()[:16]}.jsonl"


def _newest(path: Path, origin: str) -> Checkpoint | None:
    """The newest that is held. It was checked when it came, so only its words are read."""
    for one in read_receipts(path):
        with contextlib.suppress(NoteError):
            return Checkpoint.read(read_note(one.receipt)[0], origin)
    return None
