"""Verifies a home: every copy of every event, and everything that vouches for it.

The steps, each a function below or a room of its own:

1. adopt: the tails of dead processes are checked and countersigned, as the sealer does anyway (unless `adopt=False`, or
   the home cannot be written);
2. trust: the root key, the hosts that it certified, and what it revoked;
3. spools: each log that is not yet wholly in the store (`spoolcheck`, `chain`);
4. store: tree, checkpoints, events, heads, indexes (`sealed`), the derived table (`derivedcheck`);
5. agreement: the copies of a log do not differ, no log ends early, no parent of a log is missing;
6. anchors: whether the tree goes on from what somebody else vouches for (`vouching`);
7. revocations: what stands under a key that is not believed any more (`revocations`).

Of each log a summary is kept, of each event nothing: memory grows with the number of logs, of their faults, and of recovered
ranges, and with the length of a spool that is at fault.

What is read first is what may only lag behind: checkpoint on file, heads, spools, then the store. So a process that
writes meanwhile is no fault.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from guardai.errors import LedgerError
from guardai.ledger import auditor, liveness
from guardai.ledger.certs import key_id
from guardai.ledger.derivedcheck import check_derived, unchecked_tables
from guardai.ledger.keys import open_keys
from guardai.ledger.layout import Layout
from guardai.ledger.logstate import LogState
from guardai.ledger.note import Checkpoint, NoteError, open_checkpoint
from guardai.ledger.place import forget, has_store, read_store, use
from guardai.ledger.reading import count_lines
from guardai.ledger.report import Fault, Report, Vouching
from guardai.ledger.revocations import add
from guardai.ledger.root import public_key
from guardai.ledger.sealed import SealedAudit
from guardai.ledger.sealer import SealError, seal
from guardai.ledger.spoolcheck import Spooled, check_spool
from guardai.ledger.statements import joined
from guardai.ledger.store import StoreAwayError, StoreError, StoreHeldError, StoreVersionError
from guardai.ledger.trust import Trust, trust
from guardai.ledger.vouching import Anchors, claims, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guardai.ledger.projection import Projection
    from guardai.ledger.pruned import Gone
    from guardai.ledger.revocations import Revocation
    from guardai.ledger.store import Store
    from guardai.ledger.vouching import Claim

__all__ = ["verify", "verify_export", "verify_store"]

NO_ANCHORS: Final = Anchors()


def verify(
    home: Path,
    *,
    key: Path | None = None,
    adopt: bool = True,
    projection: Projection | None = None,
    progress: Callable[[int], None] | None = None,
    revoked: Sequence[Path] = (),
    anchors: Anchors = NO_ANCHORS,
) -> Report:
    """Checks everything under a home.

    A home in which nothing has been recorded yet is whole, with 0 events. One that is not there, or is no home, cannot be
    told anything of.

    Args:
        home: the home; nothing in it is changed if it cannot be written or `adopt` is False.
        key: the root's public key (PEM). Without it the home's own is trusted, which proves only that nobody without
            that home's private keys has altered anything.
        adopt: end the logs of dead processes first, and seal.
        projection: derives the derived table again, to compare.
        progress: called with the number of events checked since the last call.
        revoked: revocations that count beside the home's own: whoever stole a key would have left them out.
        anchors: whose word counts for what was there when.

    Returns:
        The report; its `verdict` is 0 for whole, 1 for broken, 2 for "cannot tell".
    """
    report = Report()
    layout = Layout(home)
    if not layout.ledger.is_dir():
        report.notes.append(f"there is no ledger under {home}")
        return report
    progress = progress or (lambda _: None)
    return _Verification(layout, report, projection, progress, anchors).run(key, revoked, adopt=adopt)


def verify_store(
    url: str,
    *,
    key: Path,
    projection: Projection | None = None,
    progress: Callable[[int], None] | None = None,
    revoked: Sequence[Path] = (),
    anchors: Anchors = NO_ANCHORS,
) -> Report:
    """Checks a store that hosts share, from a machine that is none of them: what is sealed, but no spool.

    Args:
        url: of the store.
        key: the root's public key (PEM).
        projection: derives the derived table again, to compare.
        progress: called with the number of events checked since the last call.
        revoked: revocations that count beside those in the store.
        anchors: whose word counts; there are no receipts here, so they are asked, or it is tree heads in files.

    Raises:
        LedgerError: the key cannot be read.
        ConfigError: the URL is none of a store.
    """
    public_key(key)
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        layout.ledger.mkdir()
        use(layout.home, url)
        try:
            return verify(
                layout.home,
                key=key,
                adopt=False,
                projection=projection,
                progress=progress,
                revoked=revoked,
                anchors=anchors,
            )
        finally:
            forget(layout.home)


def verify_export(
    folder: Path,
    *,
    key: Path | None = None,
    progress: Callable[[int], None] | None = None,
    revoked: Sequence[Path] = (),
    held: Sequence[Path] = (),
) -> Report:
    """Checks an export by the program that comes with every export (`auditor`).

    Args:
        folder: the export.
        key: the root's public key (PEM). Without it the export's own is trusted, which proves little.
        progress: called with the number of events checked since the last call.
        revoked: revocations that count beside the export's own.
        held: tree heads that somebody has kept, which it has to go on from.

    Raises:
        LedgerError: the key cannot be read.
    """
    report = Report()
    root = public_key(key or folder / "keys" / "root.pub")
    try:
        found = auditor.Audit(folder, root, progress or (lambda _: None), revoked, held).run()
    except (auditor.Unreadable, OSError, ValueError) as error:
        report.notes.append(str(error))
        return report
    report.logs, report.checkpoints = found.logs, int(found.size > 0)
    report.signed, report.recovered, report.unsigned = found.signed, found.recovered, found.unsigned
    report.events, report.pruned = found.size - found.pruned, found.pruned
    report.recovered_since, report.recovered_until = found.since, found.until
    report.unanchored = found.unanchored
    report.anchors = [Vouching(name, size, 0, why) for name, size, why in found.held]
    report.notes.extend(found.notes)
    named = [(*one, f"{one[1]}-{one[2]:x}" if one[2] >= 0 else "") for one in set(found.faults)]
    names = ("code", "log", "seq", "event")
    report.faults = sorted(msgspec.convert(dict(zip(names, one, strict=True)), Fault) for one in named)
    return report


class _Verification:
    def __init__(
        self,
        layout: Layout,
        report: Report,
        projection: Projection | None,
        progress: Callable[[int], None],
        anchors: Anchors,
    ) -> None:
        self.layout = layout
        self.report = report
        self.projection = projection
        self.progress = progress
        self.anchors = anchors
        self.claims: list[Claim] = []
        #: Sealed events, and those of them that nobody else vouches for.
        self.in_store = self.unanchored = 0
        #: Log and revoked host → how many of its events somebody else vouched for before the revocation.
        self.certain: dict[tuple[str, str], int] = {}
        self.spools: dict[str, Spooled] = {}
        self.live: set[str] = set()
        self.sealed: dict[str, LogState] = {}
        #: Logs that were pruned.
        self.gone: dict[str, Gone] = {}
        self.no_checkpoint = False
        #: What has been revoked, by host: by files, and by what the events tell.
        self.revoked: dict[str, Revocation] = {}
        #: Hosts of this home; and those whose logs can have been sealed from here, None if there are no others.
        self.own: frozenset[str] = frozenset()
        self.ours: frozenset[str] | None = None
        #: Hosts that signed the newest tree head.
        self.signed_by: list[str] = []

    def run(self, key: Path | None, revoked: Sequence[Path], *, adopt: bool) -> Report:
        report = self.report
        try:
            trusted = trust(self.layout.home, key, revoked)
        except LedgerError as error:
            report.notes.append(str(error))
            if self._has_events():
                report.faults.append(Fault("certificate"))
            return report
        # Before anything is read that they may be ahead of; and before a tree head is made that only a copy of a home would have.
        self.claims = claims(self.layout, trusted, self.anchors)
        if adopt:
            self._adopt()
            trusted = trust(self.layout.home, key, revoked)
        report.notes.extend(trusted.notes)
        self.own = frozenset(trusted.hosts)
        on_file = self._checkpoint_on_file(trusted)
        self.revoked.update(trusted.revoked)
        self._examine_spools(trusted)
        self._audit_store(replace(trusted, revoked=self.revoked), on_file)
        self._compare()
        self._judge()
        self._count()
        report.faults = sorted(set(report.faults))
        return report

    def _adopt(self) -> None:
        if not all(os.access(path, os.W_OK) for path in (self.layout.ledger, self.layout.spools) if path.exists()):
            return
        try:
            if self._has_events():
                seal(self.layout.home, open_keys(self.layout.home, create=False), self.projection)
        except (LedgerError, SealError, StoreError, OSError):
            return  # what kept the sealer from it is found, and named, by the steps that follow

    def _has_events(self) -> bool:
        return self.layout.store.exists() or any(self.layout.spools.glob("*.jsonl"))

    def _checkpoint_on_file(self, trusted: Trust) -> Checkpoint | None:
        try:
            note = self.layout.checkpoint.read_text("utf-8")
            return open_checkpoint(note, trusted.origin, trusted.publics)
        except FileNotFoundError:
            # It may lag behind the store, but only as long as the spools are there.
            if has_store(self.layout) and not any(self.layout.spools.glob("*.jsonl")):
                self.no_checkpoint = True
        except (NoteError, UnicodeDecodeError):
            self.report.faults.append(Fault("checkpoint"))
        return None

    def _examine_spools(self, trusted: Trust) -> None:
        for path in sorted(self.layout.spools.glob("*.jsonl")):
            log = path.name.removesuffix(".jsonl")
            if liveness.is_held(path):
                self.live.add(log)
            examined = check_spool(self.layout, log, trusted, self.progress)
            if examined is None:
                continue  # sealed and removed meanwhile: it is in the store
            self.spools[log] = examined
            self.report.faults.extend(examined.faults)
            for one in examined.revocations:
                add(self.revoked, one)
            if any(fault.code == "version" for fault in examined.faults):
                self.report.notes.append(f"log {log} was written by another version of guardai")

    def _audit_store(self, trusted: Trust, on_file: Checkpoint | None) -> None:
        report = self.report
        try:
            with read_store(self.layout, gated=False) as store:
                if store is None:
                    if on_file is not None:
                        report.faults.append(Fault("rolled_back"))
                    self._anchor(None, trusted, None)
                    return
                if store.dialect.shared:
                    self.ours = self.own
                shared = joined(store, trusted)
                report.notes.extend(shared.notes[len(trusted.notes) :])
                audit = SealedAudit(store, shared, on_file, self.progress)
                audit.run()
                report.faults.extend(audit.faults)
                report.checkpoints = len(audit.checkpoints)
                self.gone = audit.gone
                try:
                    self._anchor(store, shared, audit)
                except store.dialect.damage:
                    report.faults.append(Fault("store"))
                self.sealed = {log: state for log, state in audit.logs.items() if log not in audit.gone}
                if self.no_checkpoint and audit.events and (self.ours is None or self._have_sealed()):
                    report.faults.append(Fault("checkpoint"))
                self.revoked.update(audit.revoked)
                if audit.checkpoints:
                    self.signed_by = [key_id(public) for public in audit.checkpoints[-1].by]
                unchecked = unchecked_tables(store, self.projection)
                if unchecked:
                    report.notes.append(f"derived tables were not checked: {', '.join(unchecked)}")
                if self.projection is not None and not audit.faults:
                    # From events that are not what was recorded, a table cannot be derived again.
                    report.faults.extend(check_derived(store, self.projection))
        except StoreVersionError as error:
            report.faults.append(Fault("version"))
            report.notes.append(str(error))
        except (StoreHeldError, StoreAwayError) as error:
            report.notes.append(f"the store cannot be read now: {error}")
        except (StoreError, TypeError, ValueError, OverflowError):
            report.faults.append(Fault("store"))

    def _anchor(self, store: Store | None, trusted: Trust, audit: SealedAudit | None) -> None:
        """What somebody else vouches for, and what follows from it."""
        newest = audit.checkpoints[-1].size if audit is not None and audit.checkpoints else 0
        found = judged(self.claims, store, trusted, newest)
        self.report.anchors = found.lines
        self.report.notes.extend(found.notes)
        self.report.faults.extend(Fault(code) for code in dict.fromkeys(found.faults))
        if store is None or audit is None:
            return
        self.in_store = self.unanchored = audit.events
        if not found.size:
            return
        self.unanchored = store.count(found.size)
        for log, state in audit.logs.items() if audit.revoked else ():
            own = state.opening.host_id if state.opening is not None else ""
            for host in {own, *(head.by for head in state.countersigned)} & audit.revoked.keys():
                events = state.events - store.count(found.before(audit.revoked[host].since), log)
                # Which of its events a host countersigned is not looked up: all of them, or none.
                self.certain[log, host] = events if host == own or events == state.events else 0

    def _compare(self) -> None:
        """The copies of a log agree, and no log lacks its end or its parent."""
        faults = self.report.faults
        for log, state in self.sealed.items():
            examined = self.spools.get(log)
            if examined is None:
                if not state.ended and state.events:
                    self._name_end(log, state)
                continue
            if state.events > examined.events:
                # Sealed further while this ran, or cut: the spool as it is now tells.
                lines = count_lines(self.layout, log)
                if lines is not None and lines < state.events and not examined.faults:
                    faults.append(Fault.at("truncated", log, lines))
            elif state.events and examined.sound >= state.events:
                hashed = examined.hash_at(self.layout, state.events - 1)
                if hashed is not None and hashed != state.hash:
                    faults.append(Fault.at("differs", log, state.events - 1))
        copies: list[Spooled | LogState] = [*self.spools.values(), *self.sealed.values()]
        for one in copies:
            parent = one.opening.parent if one.opening is not None else None
            if parent is None or self._exists(*parent):
                continue
            if isinstance(one, LogState) and not self._is_ours(one) and not self._has_ended(parent[0]):
                continue  # of another host, which has not sealed it as far yet
            faults.append(Fault.at("missing", parent[0], max(parent[1], 0)))

    def _judge(self) -> None:
        """What stands under the key of a host that was revoked."""
        doubtful: dict[str, int] = {}
        for log in self.spools.keys() | self.sealed.keys() if self.revoked else ():
            examined, state = self.spools.get(log), self.sealed.get(log)
            one: Spooled | LogState | None = state
            if examined is not None and (state is None or examined.events >= state.events):
                one = examined
            if one is not None:
                judged = one.judged(self.revoked)
                if judged.fault >= 0:
                    self.report.faults.append(Fault.at("revoked", log, judged.fault))
                for host, events in judged.doubtful.items():
                    doubtful[host] = doubtful.get(host, 0) + events - min(events, self.certain.get((log, host), 0))
        doubtful = {host: events for host, events in doubtful.items() if events}
        self.report.notes.extend(auditor.doubts(doubtful, {host: one.since for host, one in self.revoked.items()}))
        if self.signed_by and all(host in self.revoked for host in self.signed_by):
            self.report.notes.append(auditor.HEAD_REVOKED)

    def _name_end(self, log: str, state: LogState) -> None:
        if self.layout.spool(log).exists():
            return  # appeared meanwhile: a fold in progress
        if not self._is_ours(state):
            self.report.elsewhere += 1  # its spool is on another host
            return
        if not any(fault.log == log for fault in self.report.faults):
            self.report.faults.append(Fault.at("unsealed", log, state.events))

    def _is_ours(self, state: LogState) -> bool:
        """Whether a log in the store was sealed from this home. Who vouches for it is not known: then it is."""
        host = state.opening.host_id if state.opening is not None else ""
        return self.ours is None or not host or host in self.ours

    def _have_sealed(self) -> bool:
        """Whether anything in the store was sealed from this home."""
        return any(state.events and self._is_ours(state) for state in self.sealed.values())

    def _has_ended(self, log: str) -> bool:
        state = self.sealed.get(log)
        return state is not None and state.ended

    def _exists(self, log: str, seq: int) -> bool:
        """Whether a log is here and reaches that far. A log that is here but damaged has been named already."""
        examined, state = self.spools.get(log), self.sealed.get(log)
        if examined is not None and (examined.faults or examined.events > seq):
            return True
        if state is not None and state.events > seq:
            return True
        if log in self.gone and self.gone[log].events > seq:
            return True
        return any(fault.log == log for fault in self.report.faults) or self.layout.spool(log).exists()

    def _count(self) -> None:
        report = self.report
        report.pruned = sum(one.events for one in self.gone.values())
        for log in self.spools.keys() | self.sealed.keys():
            examined, state = self.spools.get(log), self.sealed.get(log)
            events = max(examined.events if examined else 0, state.events if state else 0)
            covered = max(examined.signed if examined else -1, state.covered if state else -1) + 1
            ranges = examined.recovered if examined and len(examined.recovered) else state.recovered if state else []
            recovered = counted = 0
            for found in sorted(ranges, key=lambda found: found.first):
                if 0 <= found.first <= found.last < covered:
                    recovered += max(0, found.last + 1 - max(found.first, counted))
                    counted = max(counted, found.last + 1)
                    if found.since:
                        since = report.recovered_since
                        report.recovered_since = min(since, found.since) if since else found.since
                        report.recovered_until = max(report.recovered_until, found.until)
            report.logs += 1
            report.events += events
            report.recovered += recovered
            report.signed += covered - recovered
            report.unsigned += events - covered
            if log in self.live and examined is not None and examined.tagged:
                report.live += events - covered
            elif examined is None and state is not None and not self._is_ours(state) and not state.ended:
                report.live += events - covered  # folded in part so far
        # What is in a spool alone is under no tree head.
        report.unanchored = self.unanchored + report.events - self.in_store
