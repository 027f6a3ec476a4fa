"""Names the events of a spool that were touched, from the first line that does not fit.

A fault must name the event that was altered and not its neighbours, although altering one breaks the link to the next:

- a tag, where the host key is at hand, vouches for one event by itself;
- otherwise an event is vouched for by the `prev` of the one after it, or by a signed head;
- an unreadable line counts as one event at its place until the next readable line says otherwise.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from guardai.ledger.heads import holds
from guardai.ledger.ratchet import step
from guardai.ledger.reading import Link, decode_link
from guardai.ledger.report import Code, Fault
from guardai.model import READS

if TYPE_CHECKING:
    from guardai.ledger.opening import Opening
    from guardai.ledger.reading import LogView
    from guardai.ledger.trust import Trust

__all__ = ["Diagnosis"]

_LEAF: Final = hashlib.sha256(b"\0")


class Diagnosis:
    """Goes through the rest of a log.

    Args:
        view, opening: the log.
        start: position of the first line that does not fit.
        prev, key, last: hash of the event before it, key of its tag, time of the event before it.
    """

    def __init__(
        self, view: LogView, opening: Opening, trust: Trust, *, start: int, prev: str, key: bytes | None, last: int
    ) -> None:
        self.log = view.log
        self.expect = start
        self.prev: str | None = prev
        self.key = key
        self.last = last
        self.found: dict[int, Fault] = {}
        self.garbled = 0
        self.attested = {
            head.seq: head.hash
            for head in view.heads
            if (public := opening.signer(head, trust)) is not None and holds(head, self.log, public)
        }
        self.parsed = [_parse(line) for line in view.lines[start:]]

    def run(self) -> tuple[list[Fault], int]:
        """The faults, and how many events the log had."""
        for index, parsed in enumerate(self.parsed):
            if parsed is None:
                self.garbled += 1
            else:
                self._place(index, *parsed)
        for seq in range(self.expect, self.expect + self.garbled):
            self._fault("changed", seq)
        self.expect += self.garbled
        return [self.found[seq] for seq in sorted(self.found)], self.expect

    def _fault(self, code: Code, seq: int) -> None:
        self.found.setdefault(seq, Fault.at(code, self.log, seq))

    def _next(self, index: int) -> tuple[Link, bytes, str] | None:
        return self.parsed[index + 1] if index + 1 < len(self.parsed) else None

    def _place(self, index: int, link: Link, leaf: bytes, tag: str) -> None:
        """Decides at which position this line stands, and reports what lies between."""
        due = self.expect + self.garbled
        follower = self._next(index)
        if link.seq == due or (self.garbled == 0 and link.prev == self.prev):
            seq = due
        elif follower is not None and follower[0].seq == due + 1 and not (self.expect <= link.seq < due):
            # The next line continues where this one should stand: it is this line's number that was altered.
            seq = due
        elif link.seq < self.expect:
            if link.seq in self.found and self.found[link.seq].code == "missing":
                del self.found[link.seq]
                self._fault("order", link.seq)
            else:
                self._fault("inserted", link.seq)
            return
        else:
            seq = link.seq
        between = range(self.expect, seq)
        for position, lost in enumerate(between):
            # A line that was cut in two leaves more pieces than events, one that was glued to its neighbour fewer.
            self._fault("changed" if position < self.garbled else "missing", lost)
        if self.garbled and not between:
            self._fault("inserted", seq)
        if between:
            # Of one lost event this one's `prev` is the hash, which carries the tags across.
            self.key = (
                step(self.key, bytes.fromhex(link.prev))[1] if self.key is not None and _is_one(between, link) else None
            )
            self.prev = None
        self.garbled = 0
        self._judge(index, seq, link, leaf, tag)
        self.expect = seq + 1

    def _judge(self, index: int, seq: int, link: Link, leaf: bytes, tag: str) -> None:
        """Whether the event at this position is what was recorded there."""
        follower = self._next(index)
        claimed = follower[0].prev if follower is not None and follower[0].seq == seq + 1 else self.attested.get(seq)
        addressed = link.seq == seq and link.log == self.log and link.id == f"{self.log}-{seq:x}" and link.v in READS
        true = leaf
        following: bytes | None
        if self.key is not None:
            expected, following = step(self.key, leaf)
            if expected != tag:
                other = _hash(claimed)
                if self._is_vouched_for(index, seq, leaf, following):
                    self._fault("tag", seq)
                elif claimed == leaf.hex():
                    # The chain was mended after the change, as far as it could be without the key.
                    self._fault("changed", seq)
                    following = None
                elif other is not None and step(self.key, other)[0] == tag:
                    self._fault("changed", seq)
                    true, following = other, step(self.key, other)[1]
                else:
                    self._fault("changed", seq)
                    following = None if other is None else step(self.key, other)[1]
                    true = other or leaf
            self.key = following
        elif not addressed or (claimed is not None and claimed != leaf.hex() and self._follower_stands(index, seq)):
            self._fault("changed", seq)
            true = _hash(claimed) or leaf
        unlinked = self.prev is not None and link.prev != self.prev and seq - 1 not in self.found
        if not addressed or unlinked:
            self._fault("changed", seq)
        elif link.ts < self.last:
            self._fault("back_dated", seq)
        if seq not in self.found:
            self.last = link.ts
        self.prev = true.hex()

    def _is_vouched_for(self, index: int, seq: int, leaf: bytes, following: bytes) -> bool:
        """Whether only the tag is wrong: a head names this very event, or the next one's tag follows from it."""
        follower = self._next(index)
        if follower is None or follower[0].seq != seq + 1:
            return self.attested.get(seq) == leaf.hex()
        return follower[0].prev == leaf.hex() and step(following, follower[1])[0] == follower[2]

    def _follower_stands(self, index: int, seq: int) -> bool:
        """Whether the event after this one is vouched for, so that a wrong link between them is this one's fault."""
        follower = self._next(index)
        if follower is None:
            return True
        after = self._next(index + 1)
        vouched = after[0].prev if after is not None and after[0].seq == seq + 2 else self.attested.get(seq + 1)
        return vouched is None or vouched == follower[1].hex()


def _parse(line: bytes) -> tuple[Link, bytes, str] | None:
    data, _, tag = line.rpartition(b"\t")
    try:
        link = decode_link(data)
        text = tag.decode("ascii")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    hasher = _LEAF.copy()
    hasher.update(data)
    return link, hasher.digest(), text


def _hash(text: str | None) -> bytes | None:
    try:
        value = bytes.fromhex(text or "")
    except ValueError:
        return None
    return value if len(value) == 32 else None


def _is_one(between: range, link: Link) -> bool:
    return len(between) == 1 and _hash(link.prev) is not None
