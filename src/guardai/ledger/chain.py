"""Checks one spool from its first line to its last: order, chain, tags, signed heads.

The loop over an untouched log is short (2.5 µs an event). At the first thing that does not fit, `diagnosis` takes over,
which is slow and careful.
"""

from __future__ import annotations

import hashlib
from binascii import hexlify
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from guardai.ledger.canonical import is_canonical
from guardai.ledger.diagnosis import Diagnosis
from guardai.ledger.heads import Head, holds
from guardai.ledger.opening import Opening, read_opening
from guardai.ledger.ratchet import TAG_HEX
from guardai.ledger.reading import Link, LogView, decode_link
from guardai.ledger.report import Fault
from guardai.ledger.revocations import Judgement, Revocation, judge, recorded
from guardai.ledger.spool import GENESIS
from guardai.model import READS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guardai.ledger.trust import Trust

__all__ = ["BREATH", "ENDS", "Cursor", "Examined", "Recovered", "check_spelling", "examine", "recovered_range"]

#: Events between two breaths: about 100 µs of work.
BREATH: Final = 32
#: Kinds of the events that end a log. Behind the first of them only a host stands: it countersigned what was left unsigned.
ENDS: Final = frozenset({"log.close", "recovered"})

#: Kinds of events that say something about others, or end a log.
_NOTED: Final = ENDS | {"key.revoked"}
_LEAF: Final = hashlib.sha256(b"\0")


class Recovered(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """Body of a `recovered` record.

    Events `first` to `last`, from times `since` to `until`, were unsigned; their tags held, and hash to `tags`.
    """

    first: int
    last: int
    tags: str
    since: int
    until: int


class _RecoveredEvent(msgspec.Struct, frozen=True):
    body: Recovered


_decode_recovered: Final = msgspec.json.Decoder(_RecoveredEvent).decode


@dataclass(frozen=True)
class Cursor:
    """A place in a log up to which it has been examined and found whole: what is needed to go on from there."""

    opening: Opening
    events: int
    prev: str
    key: bytes | None
    last: int
    own_last: int
    closed: bool
    ended: bool
    offset: int
    heads_offset: int


@dataclass
class Examined:
    """What is known of a log after `examine`.

    Attributes:
        after: the place where `view` begins.
        events: how many the log has; the ones before `view.base` were examined earlier.
        leaves: leaf hash of each event from `view.base` up to the first fault, or of all.
        times: its `ts`, likewise.
        signed: last position under a head; -1 if none.
        head: that head.
        recovered: ranges that the host countersigned.
        records: positions of the records that say so.
        own_last: the time of the last event that the log's own writer wrote.
        countersigned: the heads that a host signed.
        revocations: what its events revoke.
        tagged: tags could be checked, and were.
        key: the key of the tag that comes next, if there is no fault and tags could be checked.
        closed: an event ends the log.
        end: the first that does; -1 if none does here.
        ended: the last event does, and is signed.
    """

    view: LogView
    after: Cursor
    leaves: list[bytes] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    events: int = 0
    signed: int = -1
    head: Head | None = None
    recovered: list[Recovered] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    own_last: int = 0
    countersigned: list[Head] = field(default_factory=list)
    revocations: list[Revocation] = field(default_factory=list)
    tagged: bool = False
    key: bytes | None = None
    closed: bool = False
    end: int = -1
    ended: bool = False

    @property
    def opening(self) -> Opening:
        """What the log's first event says."""
        return self.after.opening

    @property
    def tip(self) -> tuple[str, int]:
        """Hash (hex) and time of the last event of a log without faults."""
        return (self.leaves[-1].hex(), self.times[-1]) if self.leaves else (self.after.prev, self.after.last)

    def data(self, seq: int) -> bytes:
        """The bytes of an event of a log without faults."""
        return self.view.lines[seq - self.view.base].rpartition(b"\t")[0]

    def tag(self, seq: int) -> bytes:
        """The tag (hex) of an event of a log without faults."""
        return self.view.lines[seq - self.view.base].rpartition(b"\t")[2]

    def leaf(self, seq: int) -> bytes:
        """The leaf hash of an event before the first fault."""
        return self.leaves[seq - self.view.base]

    def time(self, seq: int) -> int:
        """The time of an event before the first fault."""
        return self.times[seq - self.view.base]

    def judged(self, revoked: Mapping[str, Revocation]) -> Judgement:
        """What revocations make of it."""
        return judge(
            revoked,
            host=self.opening.host_id,
            events=self.events,
            last=self.events - 1 - len(self.recovered),
            own_last=self.own_last,
            recovered=sum(found.last - found.first + 1 for found in self.recovered),
            countersigned=self.countersigned,
        )

    def cursor(self) -> Cursor | None:
        """Where to go on from; None if there is a fault."""
        if self.faults or not self.leaves:
            return None
        view, (prev, last) = self.view, self.tip
        return Cursor(
            self.opening,
            self.events,
            prev,
            self.key,
            last,
            self.own_last,
            self.closed,
            self.ended,
            view.end,
            view.heads_end,
        )


def recovered_range(event: bytes) -> Recovered | None:
    """The range that a `recovered` record names."""
    try:
        return _decode_recovered(event).body
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def examine(
    view: LogView,
    trust: Trust,
    after: Cursor | None = None,
    breathe: Callable[[], None] | None = None,
    read: Callable[[bytes], Link] = decode_link,
) -> Examined:
    """Checks everything about a spool that it says about itself.

    Args:
        view: what is to be examined.
        trust: the root key, and the host's where it is at hand.
        after: where `view` begins, if not at the first event.
        breathe: called every `BREATH` events, for who wants to give way to other threads.
        read: reads an event; what it refuses ends `leaves`, be it a fault or not.
    """
    if after is None:
        opening = read_opening(view.lines[0].rpartition(b"\t")[0] if view.lines else b"", view.log, trust)
        after = Cursor(opening, 0, GENESIS, opening.ratchet, 0, 0, closed=False, ended=False, offset=0, heads_offset=0)
        result = Examined(view, after)
        if not view.lines:
            # A spool gets its name when its first event is in it: an empty one was emptied.
            result.faults.append(Fault.at("truncated", view.log, 0))
            return result
        if _is_of_another_version(view):
            result.faults.append(Fault.at("version", view.log, 0))
            return result
    else:
        result = Examined(view, after)
    result.tagged = after.key is not None
    result.events = view.base + len(view.lines)
    result.own_last = _walk(result, after, trust, breathe, read)
    _check_certificate(result)
    _check_heads(result, trust)
    _check_end(result)
    _check_recovered(result)
    if not result.faults and view.lines and result.signed == result.events - 1:
        result.ended = decode_link(result.data(result.signed)).kind in ENDS
    return result


def check_spelling(examined: Examined) -> list[Fault]:
    """The events of a log without faults that are a second spelling of what they say. The sealer does not ask."""
    if examined.faults:
        return []
    view = examined.view
    lines = enumerate(view.lines, view.base)
    return [Fault.at("changed", view.log, seq) for seq, line in lines if not is_canonical(line.rpartition(b"\t")[0])]


def _is_of_another_version(view: LogView) -> bool:
    # Judged by several lines: one that differs from the others was altered.
    versions = set()
    for line in (*view.lines[:3], *view.lines[-3:]):
        try:
            versions.add(decode_link(line.rpartition(b"\t")[0]).v)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _claims_version(view.lines[0]) not in (None, *READS)
    return versions.isdisjoint(READS)


class _Version(msgspec.Struct):
    v: int


def _claims_version(line: bytes) -> int | None:
    try:
        return msgspec.json.decode(line.rpartition(b"\t")[0] or line, type=_Version).v
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _walk(
    result: Examined,
    after: Cursor,
    trust: Trust,
    breathe: Callable[[], None] | None,
    read: Callable[[bytes], Link],
) -> int:
    """Follows the log while everything fits, then has the rest diagnosed; returns the time of the writer's last event."""
    view = result.view
    log, prefix = view.log, view.log + "-"
    prev, key, last, own_last, closed = after.prev, after.key, after.last, after.own_last, after.closed
    leaves, times = result.leaves, result.times
    for seq, line in enumerate(view.lines, view.base):
        data, _, tag = line.rpartition(b"\t")
        hasher = _LEAF.copy()
        hasher.update(data)
        leaf = hasher.digest()
        try:
            link = read(data)
        except (msgspec.MsgspecError, ValueError):
            break
        if (
            link.seq != seq
            or link.prev != prev
            or link.ts < last
            or link.log != log
            or link.v not in READS
            or link.id != f"{prefix}{seq:x}"
            or len(tag) != TAG_HEX
        ):
            break
        if key is not None:
            out = blake2b(key + leaf).digest()
            if hexlify(out[:16]) != tag:
                break
            key = out[32:]
        prev, last = leaf.hex(), link.ts
        if link.kind != "recovered":  # a host writes that, perhaps years later: not under the log's own certificate
            own_last = last
            if closed:
                # Whoever still has the log's key after its end is not its writer.
                result.faults.append(Fault.at("inserted", log, seq))
        if link.kind in _NOTED:
            _take_note(result, link.kind, seq, data, trust)
            if not closed and link.kind in ENDS:
                closed, result.end = True, seq
        leaves.append(leaf)
        times.append(last)
        if breathe is not None and not seq % BREATH:
            breathe()
    else:
        result.key, result.closed = key, closed
        return own_last
    if key is None and leaves:
        # Nothing but its successor could have vouched for the last one that seemed to fit: it is looked at again.
        leaves.pop()
        times.pop()
        prev = leaves[-1].hex() if leaves else after.prev
        last = times[-1] if times else after.last
    diagnosis = Diagnosis(view, result.opening, trust, start=len(leaves), prev=prev, key=key, last=last)
    named, result.events = diagnosis.run()
    result.faults.extend(named)
    return own_last


def _take_note(result: Examined, kind: str, seq: int, data: bytes, trust: Trust) -> None:
    """Takes in an event that says something about others."""
    if kind == "recovered":
        result.records.append(seq)
        if (found := recovered_range(data)) is not None:
            result.recovered.append(found)
    elif kind == "key.revoked" and (one := recorded(data, trust.root)) is not None:
        result.revocations.append(one)


def _check_certificate(result: Examined) -> None:
    process = result.opening.process
    if process is None:
        if not any(fault.seq == 0 for fault in result.faults):
            result.faults.append(Fault.at("certificate", result.view.log, 0))
    elif result.own_last >= process.until:
        result.faults.append(Fault.at("certificate", result.view.log, result.events - 1))


def _check_heads(result: Examined, trust: Trust) -> None:
    view, log = result.view, result.view.log
    if view.bad_heads:
        # Which event an unreadable head was for is not known any more, so the log's first is named.
        result.faults.append(Fault.at("signature", log, 0))
    named = {fault.seq for fault in result.faults}
    for head in sorted(view.heads, key=lambda head: head.seq):
        public = result.opening.signer(head, trust)
        if public is None or not holds(head, log, public):
            if result.opening.process is not None:
                result.faults.append(Fault.at("signature", log, head.seq))
        elif (host := result.opening.host_by(head.by, trust)) is not None and head.ts >= host.until:
            result.faults.append(Fault.at("certificate", log, head.seq))
        elif head.seq >= result.events:
            result.faults.append(Fault.at("truncated", log, result.events))
            return
        elif view.base <= head.seq < view.base + len(result.leaves):
            if result.leaf(head.seq).hex() == head.hash:
                result.signed, result.head = head.seq, head
                if host is not None:
                    result.countersigned.append(head)
            elif not any(result.signed < seq <= head.seq for seq in named):
                result.faults.append(Fault.at("changed", log, head.seq))


def _check_end(result: Examined) -> None:
    """Nothing stands behind an end that is signed: a host ends a log only where nobody has."""
    if result.after.ended and result.view.lines:
        result.faults.append(Fault.at("inserted", result.view.log, result.view.base))
    elif 0 <= result.end <= result.signed < result.events - 1:
        result.faults.append(Fault.at("inserted", result.view.log, result.signed + 1))


def _check_recovered(result: Examined) -> None:
    if result.faults:
        return
    countersigned = max((head.seq for head in result.countersigned), default=-1)
    for seq in result.records:
        if countersigned < seq <= result.signed:
            # Signed by the log's own key: who says so is not the host.
            result.faults.append(Fault.at("recovered", result.view.log, seq))
    for found in result.recovered:
        tags = hashlib.sha256()
        if not result.view.base <= found.first <= found.last + 1 <= result.events:
            result.faults.append(Fault.at("recovered", result.view.log, max(found.last + 1, 0)))
            continue
        for seq in range(found.first, found.last + 1):
            tags.update(result.tag(seq))
        if tags.hexdigest() != found.tags:
            result.faults.append(Fault.at("recovered", result.view.log, found.last + 1))
