"""What the store's events say of one log, and the events of which nothing is to be remarked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardai.ledger.chain import ENDS, Recovered
from guardai.ledger.heads import Head
from guardai.ledger.opening import Opening
from guardai.ledger.pruned import KIND
from guardai.ledger.reading import Link, decode_link
from guardai.ledger.revocations import Judgement, Revocation, judge
from guardai.ledger.spelling import SpellingError, read_canonical
from guardai.ledger.spool import GENESIS
from guardai.model import READS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LogState", "is_plain", "read"]

#: Kinds of events that say something about others.
_NOTED: Final = ENDS | {"key.revoked", KIND}


@dataclass
class LogState:
    """What the store's events say of one log."""

    name: str
    events: int = 0
    hash: str = GENESIS
    last: int = 0
    own_last: int = 0
    last_kind: str = ""
    closed: bool = False
    #: Last event under a head of the log's own key; under any.
    signed: int = -1
    covered: int = -1
    opening: Opening | None = None
    heads: dict[int, Head] = field(default_factory=dict)
    at_heads: dict[int, str] = field(default_factory=dict)
    recovered: list[Recovered] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    countersigned: list[Head] = field(default_factory=list)
    #: Events that have a tag, as runs from a position to another (exclusive).
    tagged: list[tuple[int, int]] = field(default_factory=list)

    def go_on(self, events: int, hashed: str, last: int, kind: str) -> None:
        """Takes in an event of which nothing is to be remarked, or several: what the last of them is."""
        self.events, self.hash, self.last, self.own_last, self.last_kind = events, hashed, last, last, kind

    @property
    def ended(self) -> bool:
        """Whether its last event ends it, and is signed."""
        return self.last_kind in ENDS and self.covered >= self.events - 1

    def judged(self, revoked: Mapping[str, Revocation]) -> Judgement:
        """What revocations make of it."""
        return judge(
            revoked,
            host=self.opening.host_id if self.opening is not None else "",
            events=self.events,
            last=self.events - 1 - len(self.recovered),
            own_last=self.own_last,
            recovered=sum(found.last - found.first + 1 for found in self.recovered),
            countersigned=self.countersigned,
        )


def is_plain(state: LogState, link: Link, seq: Any, ts: Any, tag: Any) -> bool:
    """Whether nothing is to be remarked of an event but that it goes on from the one before, if it hashes to its leaf and is canonical.

    Args:
        state: of the log as which it is filed.
        link: what it says.
        seq: its position, by its columns.
        ts: its time, likewise.
        tag: its tag, likewise.
    """
    return (
        link.seq == seq == state.events
        and seq not in state.heads
        and link.prev == state.hash
        and state.last <= link.ts == ts
        and link.log == state.name
        and link.v in READS
        and link.id == f"{state.name}-{seq:x}"
        and seq > 0
        and tag is None
        and link.kind not in _NOTED
        and not state.closed
    )


def read(data: Any) -> tuple[Link | None, bool]:
    """What an event says, if it is one, and whether it is canonical."""
    try:
        return (read_canonical(data), True) if isinstance(data, bytes) else (None, False)
    except SpellingError:
        return decode_link(data), False
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None, False
