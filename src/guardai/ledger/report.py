"""What a verification found."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

__all__ = ["CODES", "Code", "Fault", "Report", "Vouching"]

Code = Literal[
    "back_dated", "certificate", "changed", "checkpoint", "derived", "differs", "forked", "index", "inserted", "missing", "order",
    "recovered", "revoked", "rolled_back", "signature", "store", "tag", "tree", "truncated", "unsealed", "version",
]  # fmt: skip

#: What each kind of fault means, for people.
CODES: Final[dict[Code, str]] = {
    "back_dated": "the event claims to be earlier than the one before it in its log",
    "certificate": "the log's key is not vouched for by this root, or not for that time",
    "changed": "the event is not what was recorded",
    "checkpoint": "a signed tree head does not hold",
    "derived": "a derived table does not follow from the events",
    "differs": "two copies of the log disagree",
    "forked": "the tree does not go on from a tree head that somebody else vouches for",
    "index": "an index of the store does not agree with its table",
    "inserted": "there is something here that the log's writer did not write",
    "missing": "an event that must exist is not there",
    "order": "the event stands in another place than it was written at",
    "recovered": "the record that countersigns the tail of a dead process does not hold",
    "revoked": "this stands under the key of a host that was revoked before that time",
    "rolled_back": "the store is older than a tree head of it that was signed",
    "signature": "a signed head does not hold",
    "store": "a part of the store cannot be read",
    "tag": "the event's tag does not fit it",
    "tree": "the stored tree does not follow from the events",
    "truncated": "the log ends before its last signed event",
    "unsealed": "the log has no end and its spool is gone",
    "version": "written by a version of guardai that this one cannot read",
}


class Fault(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong, and where.

    Attributes:
        code: which kind, see `CODES`.
        log, seq: where; "" and -1 if it concerns no single log or event.
        event: the id of the event concerned, or "".
    """

    code: Code
    log: str = ""
    seq: int = -1
    event: str = ""

    @classmethod
    def at(cls, code: Code, log: str, seq: int) -> Fault:
        """A fault of one event."""
        return cls(code, log, seq, f"{log}-{seq:x}")


class Vouching(msgspec.Struct, frozen=True):
    """What somebody else vouches for.

    Attributes:
        who: an anchor's URL as it may be shown, or the name of a file that held a tree head.
        size: how many events are under the newest tree head that it vouches for.
        time: when it had that, seconds since 1970; 0 if that is not known.
        error: why it vouches for nothing here; "" if it does.
    """

    who: str
    size: int
    time: int
    error: str = ""


class Report(msgspec.Struct, kw_only=True):
    """The result of `verify`.

    Attributes:
        events: how many were found, each counted once.
        logs: from how many logs.
        checkpoints: signed tree heads that were checked.
        signed: events under a head signed by their own log's key.
        recovered: events of processes that died before signing, checked by tag and countersigned by the host.
        recovered_since, recovered_until: between which times (µs) those lie; 0 if there are none.
        unsigned: events under no signature yet; `live` of them are in logs that are still being written.
        pruned: events that were taken out, as sealed events say; their hashes are in the tree. They are in none of the other counts.
        elsewhere: logs of other hosts that share the store and have no end there: what is not sealed of them yet is on those hosts.
        faults: what is wrong; empty is good.
        unanchored: events since the last tree head that somebody else vouches for. Whoever owns the machine could cut these
            from the end unseen.
        anchors: who vouches for what.
        notes: why the answer is "cannot tell", if it is.
    """

    events: int = 0
    logs: int = 0
    checkpoints: int = 0
    signed: int = 0
    recovered: int = 0
    recovered_since: int = 0
    recovered_until: int = 0
    unsigned: int = 0
    live: int = 0
    pruned: int = 0
    elsewhere: int = 0
    faults: list[Fault] = []
    unanchored: int = 0
    anchors: list[Vouching] = []
    notes: list[str] = []

    @property
    def verdict(self) -> int:
        """0 whole, 1 broken, 2 cannot tell."""
        if any(fault.code != "version" for fault in self.faults):
            return 1
        return 2 if self.faults or self.notes or self.unsigned > self.live else 0
