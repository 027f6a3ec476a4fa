"""Checks the sealed store: every event, the tree over them, its checkpoints, the heads, the indexes.

A store whose pages are damaged is read as far as it can be, row by row, and what an index still knows of an unreadable
event is used to name it. SQLite's column types are a habit, not a promise: a value out of a damaged page may have any.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardai.ledger.certs import key_id
from guardai.ledger.chain import ENDS, Recovered, recovered_range
from guardai.ledger.heads import Head, holds
from guardai.ledger.logstate import LogState, is_plain, read
from guardai.ledger.merkle import leaf_hash, root_at
from guardai.ledger.opening import read_opening
from guardai.ledger.pruned import KIND, Gone, read_pruned
from guardai.ledger.ratchet import step
from guardai.ledger.reading import Link
from guardai.ledger.report import Code, Fault
from guardai.ledger.revocations import add, recorded
from guardai.ledger.shares import Run, Shares, begun
from guardai.ledger.treecheck import Leaves, adds_up, read_checkpoints, read_tree
from guardai.model import READS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from guardai.ledger.note import Checkpoint
    from guardai.ledger.store import Store
    from guardai.ledger.trust import Trust

__all__ = ["SealedAudit"]

#: Faults beyond which a store is simply broken; naming more would help nobody.
_ENOUGH: Final = 10_000
#: Events after which progress is told.
_TOLD: Final = 2000
#: No store has so many leaves.
_BEHIND_ALL: Final = 1 << 62
_ROWS: Final = "SELECT leaf, log, seq, ts, bytes, tag FROM events"


class SealedAudit:
    """One verification of one store: `run`, then read the attributes."""

    def __init__(self, store: Store, trust: Trust, on_file: Checkpoint | None, progress: Callable[[int], None]) -> None:
        self.db = store.db
        self.store = store
        self._unreadable: tuple[type[Exception], ...] = (*store.dialect.damage, TypeError, ValueError, OverflowError)
        self.trust = trust
        self.on_file = on_file
        self.progress = progress
        self.faults: list[Fault] = []
        #: What has been revoked: the trust's, and what the events tell.
        self.revoked = dict(trust.revoked)
        self.logs: dict[str, LogState] = {}
        self.events = 0
        #: Logs that may be missing, because a sealed event says so; and those that are, whole.
        self._may_be_gone: dict[str, Gone] = {}
        self.gone: dict[str, Gone] = {}
        self.checkpoints: list[Checkpoint] = []
        self._named: set[tuple[str, int]] = set()
        self._by_number: dict[object, LogState] = {}
        #: What a signed checkpoint vouches for: the tiles' leaf hashes, or else the events as they are, or nothing.
        self._attested: Leaves | None = None
        self._events_add_up = False
        self._shares: Shares | None = None

    def run(self) -> None:
        """Does every step. What cannot be read is a fault, and does not keep the other steps from being done."""
        # They begin first: pages and tree take a quarter of the time.
        self._shares = begun(self.store)
        try:
            self._run()
        finally:
            if self._shares is not None:
                self._shares.close()

    def _run(self) -> None:
        for check in (
            self.check_pages,
            self.read_logs,
            self.read_heads,
            self.check_tree,
            self.check_events,
            self.check_cursors,
            self.check_heads,
            self.check_recovered,
            self.check_signers,
        ):
            try:
                check()
            except self._unreadable:
                self.fault("store")

    def fault(self, code: Code, log: str = "", seq: int = -1) -> None:
        """Reports one; an event is named once."""
        if seq >= 0:
            if (log, seq) in self._named or len(self._named) > _ENOUGH:
                return
            self._named.add((log, seq))
            self.faults.append(Fault.at(code, log, seq))
        elif Fault(code, log) not in self.faults:
            self.faults.append(Fault(code, log))

    def check_pages(self) -> None:
        """The database's own check of its pages, and of every index against its table."""
        problems = self.store.dialect.problems(self.db)
        if problems:
            self.fault("index" if all("index" in problem for problem in problems) else "store")

    def read_logs(self) -> None:
        """Which number stands for which log."""
        for n, log in self.db.execute("SELECT n, log FROM logs"):
            if isinstance(log, str) and log not in self.logs:
                self._by_number[n] = self.logs[log] = LogState(log)
            else:
                self.fault("store")

    def read_heads(self) -> None:
        """The signed heads, by log."""
        for n, *rest in self.db.execute("SELECT log, by, hash, seq, sig, ts FROM heads"):
            state = self._by_number.get(n)
            try:
                head = msgspec.convert(dict(zip(("by", "hash", "seq", "sig", "ts"), rest, strict=True)), Head)
            except msgspec.ValidationError:
                head = None
            if state is None or head is None:
                self.fault("signature", state.name if state else "", 0 if state else -1)
            else:
                state.heads[head.seq] = head

    def check_tree(self) -> None:
        """Checkpoints and tiles, and which leaf hashes they vouch for."""
        self.checkpoints, bad = read_checkpoints(self.store, self.trust.origin, self.trust.publics)
        if bad:
            self.fault("checkpoint")
        newest = self.checkpoints[-1].size if self.checkpoints else 0
        if self.on_file is not None and (
            self.on_file.size > newest
            or any(one.size == self.on_file.size and one.root != self.on_file.root for one in self.checkpoints)
        ):
            self.fault("rolled_back")
        tree = read_tree(self.store, self.checkpoints)
        if tree.agrees:
            self._attested = Leaves(self.store)
            if not tree.consistent:
                self.fault("tree")
            elif self.on_file is not None and not self._goes_on(self.on_file):
                self.fault("rolled_back")
            return
        self.fault("tree")
        if not self.checkpoints:
            self.fault("checkpoint")
            return
        computed = (leaf_hash(row[4]) if isinstance(row[4], bytes) else b"" for row in self._rows(0, newest))
        self._events_add_up = adds_up(computed, self.checkpoints)

    def _goes_on(self, earlier: Checkpoint) -> bool:
        """Whether the tree goes on from this head."""
        newest = self.checkpoints[-1].size if self.checkpoints else 0
        return earlier.size > newest or root_at(self.store, earlier.size) == earlier.root

    def check_events(self) -> None:
        """Each event is its leaf, has its own address, and follows the one before it in its log."""
        size = self.checkpoints[-1].size if self.checkpoints else 0
        due = 0
        # Of a store with a fault so far each event is looked at here: what else is damaged might be seen from one side alone.
        trusted = self._attested is not None and not self.faults
        for run in self._shares or () if trusted else ():
            if not due <= run.leaf < run.leaf + run.events <= size:
                break
            self._check_rows(due, run.leaf)
            due = run.leaf + run.events
            if not self._take(run):
                self._check_rows(run.leaf, due)
        self._check_rows(due, size, to_the_end=True)
        self.gone = {log: one for log, one in self._may_be_gone.items() if self._is_gone(one)}
        if self.events + sum(one.events for one in self.gone.values()) != size:
            self.fault("tree")

    def _take(self, run: Run) -> bool:
        """Takes in events that another process has looked at; False if they do not go on from what was before them."""
        state = self._by_number.get(run.log)
        if state is None or state.closed or (run.seq, run.prev) != (state.events, state.hash) or run.ts < state.last:
            return False
        state.go_on(run.seq + run.events, run.hash, run.last, run.kind)
        self.events += run.events
        self.progress(run.events)
        return True

    def _check_rows(self, first: int, stop: int, *, to_the_end: bool = False) -> None:
        """Checks the events of these leaves, one by one."""
        if first >= stop and not to_the_end:
            return
        told = self.events
        for row in self._rows(first, stop, to_the_end=to_the_end):
            self._check_event(*row)
            self.events += 1
            if self.events - told == _TOLD:
                self.progress(_TOLD)
                told = self.events

    def _is_gone(self, one: Gone) -> bool:
        """Whether nothing is left of a log but its row."""
        state = self.logs.get(one.log)
        if state is None:
            self.fault("derived", one.log)
        return state is None or not state.events

    def _rows(self, first: int, stop: int, *, to_the_end: bool = True) -> Iterator[tuple[Any, ...]]:
        """Rows of these leaves, and of whatever is behind, in their order; one by one where a page is damaged."""
        leaf = first - 1
        end = _BEHIND_ALL if to_the_end else stop
        try:
            for row in self.db.execute(
                f"{_ROWS}{self.store.dialect.scanned} WHERE leaf >= ? AND leaf < ? ORDER BY leaf", (first, end)
            ):
                if not isinstance(row[0], int) or row[0] <= leaf:
                    raise ValueError("leaves out of order")
                leaf = row[0]
                yield row
        except self._unreadable:
            self.fault("store")
        else:
            return
        for later in range(leaf + 1, stop):
            try:
                row = self.db.execute(f"{_ROWS}{self.store.dialect.scanned} WHERE leaf = ?", (later,)).fetchone()
            except self._unreadable:
                row = None
            if row is None:
                self._name_by_index(later)
            elif row[0] == later:
                yield row

    def _name_by_index(self, leaf: int) -> None:
        """Names an event whose row cannot be read, from what an index knows of it."""
        try:
            sql = f"SELECT log, seq FROM events{self.store.dialect.by_log} WHERE +leaf = ?"  # noqa: S608 - our words
            found = self.db.execute(sql, (leaf,))
            for n, seq in found.fetchall():
                state = self._by_number.get(n)
                if state is not None and isinstance(seq, int):
                    self.fault("changed", state.name, seq)
        except self._unreadable:
            return

    def _check_event(self, leaf: int, n: Any, seq: Any, ts: Any, data: Any, tag: Any) -> None:
        hashed = leaf_hash(data) if isinstance(data, bytes) else b""
        attested = self._attested is not None or self._events_add_up
        if self._attested is not None:
            true = self._attested[leaf]
        else:
            true = hashed if not attested or leaf == self.events else b""
        link, canonical = read(data)
        state = self._by_number.get(n)
        if (
            state is not None
            and link is not None
            and canonical
            and hashed == true
            and is_plain(state, link, seq, ts, tag)
        ):
            # What the rest of this would do, in a third of the time.
            state.go_on(seq + 1, hashed.hex(), ts, link.kind)
            return
        if attested and hashed != true:
            # The bytes were changed, so it is the columns that say which event this was; or its place does.
            if state is not None:
                self._continue(state, seq if isinstance(seq, int) else state.events, "changed", true)
            elif link is not None and link.log in self.logs:
                self._continue(self.logs[link.log], link.seq, "changed", true)
            else:
                self.fault("store")
            return
        if link is None:
            if state is None:
                self.fault("store")
            else:
                self._continue(state, seq if isinstance(seq, int) else state.events, "changed", true)
            return
        fits = state is not None and (link.log, link.seq, link.ts) == (state.name, seq, ts)
        if attested:
            # The bytes are what was sealed: if they and the columns disagree, it is the columns that were altered.
            state = self.logs.get(link.log)
        if state is None:
            self.fault("changed", link.log, link.seq)
            return
        previous, missing = state.hash, link.seq > state.events
        # Behind what ends a log only a host stands, which countersigned what was left unsigned.
        late = state.closed and link.kind != "recovered"
        sound = fits and _is_addressed(link, state.name) and canonical
        placed = self._continue(state, link.seq, "" if sound else "changed", true)
        if placed and not missing:
            if late:
                self.fault("inserted", state.name, link.seq)
            elif previous and link.prev != previous:
                self.fault("inserted" if attested else "changed", state.name, link.seq)
            elif link.ts < state.last:
                self.fault("back_dated", state.name, link.seq)
        self._take_note(state, link, data, tag)

    def _continue(self, state: LogState, seq: int, code: Code | str, true: bytes) -> bool:
        """Puts an event at its place in its log, naming what is missing before it; False if that place is taken."""
        if code:
            self.fault("changed", state.name, seq)
        if seq < state.events:
            self.fault("order", state.name, seq)
            return False
        for lost in range(state.events, min(seq, state.events + _ENOUGH)):
            self.fault("missing", state.name, lost)
        state.events, state.hash, state.last_kind = seq + 1, true.hex(), ""
        if seq in state.heads:
            state.at_heads[seq] = state.hash
        return True

    def _take_note(self, state: LogState, link: Link, data: bytes, tag: Any) -> None:
        state.last, state.last_kind = max(state.last, link.ts), link.kind
        state.closed = state.closed or link.kind in ENDS
        if link.seq == 0:
            state.opening = read_opening(data, state.name, self.trust)
        if link.kind == "recovered":
            state.records.append(link.seq)
            if (found := recovered_range(data)) is not None:
                state.recovered.append(found)
        else:
            state.own_last = max(state.own_last, link.ts)
        if link.kind == "key.revoked" and (one := recorded(data, self.trust.root)) is not None:
            add(self.revoked, one)
        if link.kind == KIND:
            self._may_be_gone.update((one.log, one) for one in read_pruned(data))
        if tag is not None:
            first = state.tagged.pop()[0] if state.tagged and state.tagged[-1][1] == link.seq else link.seq
            state.tagged.append((first, link.seq + 1))

    def check_cursors(self) -> None:
        """The table of logs, which says how far each has been folded."""
        for n, events, hashed, ended in self.db.execute("SELECT n, events, hash, ended FROM logs"):
            state = self._by_number.get(n)
            if state is None:
                continue
            if gone := self.gone.get(state.name):
                if (events, hashed, ended) != (gone.events, gone.hash, 2):
                    self.fault("derived", state.name)
                continue
            if isinstance(events, int) and events > state.events:
                for seq in range(state.events, min(events, state.events + _ENOUGH)):
                    self.fault("missing", state.name, seq)
            elif (events, hashed) != (state.events, state.hash):
                self.fault("derived", state.name)
            ends = state.last_kind in ENDS or (state.name, state.events - 1) in self._named
            if ended not in (0, 1) or (ended and not ends):
                self.fault("derived", state.name)

    def check_heads(self) -> None:
        """Each log's key is vouched for, and its heads are signed by it over the events that are there."""
        for state in self.logs.values():
            opening = state.opening
            if state.name in self.gone:
                if state.heads:
                    self.fault("signature", state.name, 0)
                continue
            if opening is None or opening.process is None:
                self.fault("certificate", state.name, 0)
                continue
            if state.own_last >= opening.process.until:
                self.fault("certificate", state.name, state.events - 1)
            for seq, head in state.heads.items():
                public = opening.signer(head, self.trust)
                if public is None or not holds(head, state.name, public):
                    self.fault("signature", state.name, seq)
                    continue
                if seq >= state.events:
                    continue  # folded only in part so far: the spool has the rest, or its absence is a fault
                if state.at_heads.get(seq) != head.hash:
                    self.fault("signature", state.name, seq)
                    continue
                host = opening.host_by(head.by, self.trust)
                if host is not None and head.ts >= host.until:
                    self.fault("certificate", state.name, seq)
                    continue
                state.covered = max(state.covered, seq)
                if host is None:
                    state.signed = max(state.signed, seq)
                else:
                    state.countersigned.append(head)
            countersigned = max((head.seq for head in state.countersigned), default=-1)
            for seq in state.records:
                if countersigned < seq <= state.covered:
                    self.fault("recovered", state.name, seq)

    def check_recovered(self) -> None:
        """The tags of each countersigned range are the ones that were countersigned; no other event has one."""
        for state in self.logs.values():
            ranges = []
            for found in state.recovered:
                if not 0 <= found.first <= found.last + 1 <= state.events:
                    self.fault("recovered", state.name, max(found.last + 1, 0))
                    continue
                tags = hashlib.sha256()
                for tag in self._tags(state, found):
                    tags.update(tag)
                if tags.hexdigest() != found.tags:
                    self._name_tags(state, found)
                ranges.append((found.first, found.last + 1))
            if not any(log == state.name for log, _ in self._named):  # an altered record names no range any more
                for seq in _outside(state.tagged, sorted(ranges)):
                    self.fault("tag", state.name, seq)

    def check_signers(self) -> None:
        """No host signed a tree head over events later than its certificate, or, once it was revoked, over later ones than that.

        A tree head has no time of its own, but it was not there before any of its events.
        """
        largest: dict[bytes, int] = {}
        for checkpoint in self.checkpoints:
            for public in checkpoint.by:
                largest[public] = checkpoint.size
        for public, size in largest.items():
            host = key_id(public)
            if self._reaches(size, self.trust.hosts[host].claims.until):
                self.fault("certificate")
            if (one := self.revoked.get(host)) and self._reaches(size, one.since):
                self.fault("revoked")

    def _reaches(self, size: int, time: int) -> bool:
        """Whether one of the first events of the tree claims this time, or a later one."""
        by_time = self.store.dialect.by_time
        sql = f"SELECT 1 FROM events{by_time} WHERE ts >= ? AND leaf < ? LIMIT 1"  # noqa: S608 - our words
        return self.db.execute(sql, (time, size)).fetchone() is not None

    def _tags(self, state: LogState, found: Recovered) -> Iterator[bytes]:
        number = next(n for n, one in self._by_number.items() if one is state)
        rows = self.db.execute(
            "SELECT tag FROM events WHERE log = ? AND seq BETWEEN ? AND ? ORDER BY seq",
            (number, found.first, found.last),
        )
        return (tag if isinstance(tag, bytes) else b"" for (tag,) in rows)

    def _name_tags(self, state: LogState, found: Recovered) -> None:
        """Which tag was altered: the host's key tells, by making them again."""
        key = state.opening.ratchet if state.opening is not None else None
        if key is None:
            self.fault("recovered", state.name, found.last + 1)
            return
        number = next(n for n, one in self._by_number.items() if one is state)
        for seq, data, stored in self.db.execute(
            "SELECT seq, bytes, tag FROM events WHERE log = ? AND seq <= ? ORDER BY seq", (number, found.last)
        ):
            tag, key = step(key, leaf_hash(data))
            if seq >= found.first and stored != tag.encode():
                self.fault("tag", state.name, seq)
        if not any(one.log == state.name for one in self.faults):
            self.fault("recovered", state.name, found.last + 1)


def _is_addressed(link: Link, log: str) -> bool:
    return link.v in READS and link.log == log and link.id == f"{log}-{link.seq:x}"


def _outside(runs: Iterable[tuple[int, int]], ranges: Sequence[tuple[int, int]]) -> Iterator[int]:
    """The positions of `runs` that are in none of the ranges, which are sorted."""
    for first, stop in runs:
        start = first
        for begin, end in ranges:
            yield from range(start, min(stop, begin))
            start = max(start, end)
        yield from range(start, stop)
