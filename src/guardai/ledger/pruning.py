"""Retention: takes old logs out of the store, once they are in an export that holds. Their hashes stay, and so does the tree.

INVARIANTS
- Nothing is removed that is not in an export which the auditor's own program has found without fault, beside the home, just before.
- Before a log is removed, an event `log.pruned` that names it is sealed: a leaf of the same tree. Only by such an event may a log be
  missing, whole and as long as it says; so who removes anything else, or without a trace, is found.
- A log leaves as a whole, in one transaction. What a kill leaves undone the next pruning does.
- What others are judged by stays: logs that have not ended, keys' certificates and revocations, what tells of a pruning. What a sink
  has not had yet stays, too.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final, NamedTuple

from guardai.errors import LedgerError
from guardai.ledger import liveness
from guardai.ledger.account import first_waiting
from guardai.ledger.export import export
from guardai.ledger.layout import Layout
from guardai.ledger.ledger import Ledger
from guardai.ledger.place import open_store, read_store
from guardai.ledger.projection import delete_rows
from guardai.ledger.pruned import KIND, Gone, lasting, read_pruned
from guardai.ledger.reading import address
from guardai.ledger.spool import record
from guardai.ledger.verify import verify_export

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from guardai.ledger.projection import Projection
    from guardai.ledger.store import Store

__all__ = ["Pruned", "prune"]

#: Logs that one event names: it stays small, and so does a transaction.
_LOGS: Final = 64
#: Seconds to wait for another process that is sealing.
_PATIENCE: Final = 10.0


class Pruned(NamedTuple):
    """What became of it.

    Attributes:
        logs: that were removed.
        events: that were in them.
        exported: events in the export; 0 if there was nothing to prune, and none was made.
        waiting: logs that are old enough, and of which a sink has not had all.
        before, after: bytes that the store took.
    """

    logs: int = 0
    events: int = 0
    exported: int = 0
    waiting: int = 0
    before: int = 0
    after: int = 0


class _Plan(NamedTuple):
    """Logs that may leave, those that were to leave already, and how many must wait for a sink."""

    due: list[Gone]
    begun: list[Gone]
    waiting: int


def prune(
    home: Path,
    folder: Path,
    *,
    until: int,
    by: str = "",
    sinks: Sequence[str] = (),
    projection: Projection | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Pruned:
    """Exports all that is sealed, and removes the logs from the store that ended before a time.

    Args:
        home: the home. What it has recorded should be sealed.
        folder: of the export; made, and it must not be there, or be empty. Nobody else has these events afterwards.
        until: microseconds since 1970.
        by: who wants it.
        sinks: URLs of those that are to have all events, besides those that have an account in the home.
        projection: the table that was derived from events.
        progress: called with what is being done, how much of it has been, and of how much.

    Raises:
        LedgerError: the folder holds something, the export does not hold, or it cannot be recorded; nothing more was removed.
        SealError: the store is not what was sealed; likewise.
        StoreError, OSError: the store cannot be read or written, or the folder cannot be.
    """
    layout = Layout(home)
    plan, before = _plan(layout, until, sinks)
    if not plan.due and not plan.begun:
        return Pruned(waiting=plan.waiting, before=before, after=before)
    exported = export(home, folder, lambda done, of: progress("exporting", done, of))
    checked = 0

    def advance(events: int) -> None:
        nonlocal checked
        checked += events
        progress("verifying the export", checked, exported.size)

    report = verify_export(folder, progress=advance)
    if report.faults or report.events + report.pruned != exported.size:
        raise LedgerError(
            f"the export {folder} does not hold, so nothing is pruned: `guardai verify` tells what is wrong"
        )
    size, root = _head_of(folder)
    told = []
    for part in _parts(plan.due):
        body = {"before": until, "logs": [one._asdict() for one in part], "root": root, "size": size}
        told.append(_record(home, by, body, projection))
    with liveness.held(layout.seal_lock, _PATIENCE) as mine:
        if not mine:
            raise LedgerError("another process has been sealing all the time; prune once more")
        removed = _remove(layout, [*plan.begun, *plan.due], told, projection, progress)
        with open_store(layout) as store:
            store.dialect.shrink(store.db)
            store.dialect.settle(store.db)
            after = store.dialect.size(store.db)
    return Pruned(len(removed), sum(one.events for one in removed), exported.events, plan.waiting, before, after)


def _plan(layout: Layout, until: int, sinks: Iterable[str]) -> tuple[_Plan, int]:
    """Which logs may leave, and the bytes that the store takes."""
    # Also of those that a program was given by itself, or once was: nobody here can know that they are done with.
    had = first_waiting(layout.home, sinks)
    with read_store(layout, gated=False) as store:
        if store is None:
            raise LedgerError("nothing is sealed yet: `guardai seal`")
        names = {
            n: Gone(log, events, hashed)
            for n, log, events, hashed in store.db.execute("SELECT n, log, events, hash FROM logs WHERE ended = 1")
        }
        newest: dict[int, int] = {}
        stays: set[int] = set()
        behind: set[int] = set()
        told: dict[str, Gone] = {}
        for leaf, n, ts, data in store.db.execute("SELECT leaf, log, ts, bytes FROM events ORDER BY leaf"):
            if not isinstance(data, bytes):
                raise LedgerError("the store does not hold, so nothing is pruned: `guardai verify` tells what is wrong")
            newest[n] = max(newest.get(n, 0), ts)
            if lasting(data):
                stays.add(n)
                told.update((one.log, one) for one in read_pruned(data))
            if had is not None and leaf >= had:
                behind.add(n)
        old = {n for n, ts in newest.items() if n in names and n not in stays and ts < until}
        begun = [names[n] for n in sorted(newest.keys() & names.keys()) if told.get(names[n].log) == names[n]]
        due = [names[n] for n in sorted(old - behind) if names[n] not in begun]
        return _Plan(due, begun, len(old & behind)), store.dialect.size(store.db)


def _head_of(folder: Path) -> tuple[int, str]:
    """Size and root, in hex, of the tree that was exported; the auditor has checked its signature."""
    _, size, root, *_ = (folder / "checkpoint").read_text("utf-8").split("\n")
    return int(size), base64.b64decode(root).hex()


def _record(home: Path, by: str, body: dict[str, object], projection: Projection | None) -> str:
    """Records what is to leave, and seals that; the event's id.

    Raises:
        LedgerError: it could not be recorded or sealed.
    """
    ledger = Ledger.open(home, projection=projection)
    try:
        name = ledger.append(record(KIND, body, by))
        if not ledger.flush(_PATIENCE):
            raise LedgerError("another process has been sealing all the time; nothing more was pruned; try again")
    finally:
        ledger.close("close", _PATIENCE)
    return name


def _remove(
    layout: Layout,
    logs: Sequence[Gone],
    told: Sequence[str],
    projection: Projection | None,
    progress: Callable[[str, int, int], None],
) -> list[Gone]:
    """Removes what the sealed events name, which have to be there; what is gone already is left out."""
    removed: list[Gone] = []
    with open_store(layout) as store:
        with store.reading():
            missing = [name for name in told if not _is_sealed(store, name)]
        if missing:
            raise LedgerError(f"the event {missing[0]} is not sealed, so nothing is removed; prune once more")
        for done, part in enumerate(_parts(logs)):
            progress("removing", done * _LOGS, len(logs))
            with store.writing():
                removed.extend(one for one in part if _remove_log(store, one, projection))
    return removed


def _is_sealed(store: Store, event: str) -> bool:
    asked = "SELECT 1 FROM events JOIN logs ON logs.n = events.log WHERE logs.log = ? AND seq = ?"
    return store.db.execute(asked, address(event)).fetchone() is not None


def _remove_log(store: Store, gone: Gone, projection: Projection | None) -> bool:
    row = store.db.execute("SELECT n, events, hash, ended FROM logs WHERE log = ?", (gone.log,)).fetchone()
    if row is None or tuple(row[1:]) != (gone.events, gone.hash, 1):
        return False
    n = row[0]
    if projection is not None:
        events = store.db.execute("SELECT bytes FROM events WHERE log = ?", (n,)).fetchall()
        delete_rows(store, projection, (data for (data,) in events))
    if store.db.execute("DELETE FROM events WHERE log = ?", (n,)).rowcount != gone.events:
        raise LedgerError(f"the log {gone.log} is not whole, and was not removed: `guardai verify` tells more")
    store.db.execute("DELETE FROM heads WHERE log = ?", (n,))
    store.db.execute("UPDATE logs SET ended = 2 WHERE n = ?", (n,))
    return True


def _parts(logs: Sequence[Gone]) -> Iterator[Sequence[Gone]]:
    for start in range(0, len(logs), _LOGS):
        yield logs[start : start + _LOGS]
