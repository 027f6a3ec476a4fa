"""How much there is in a home's ledger, and where. It counts and judges nothing: `verify` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from guardai.ledger.certs import key_id
from guardai.ledger.layout import Layout
from guardai.ledger.note import NoteError, open_checkpoint
from guardai.ledger.place import address_of, read_store
from guardai.ledger.statements import joined
from guardai.ledger.trust import trust

if TYPE_CHECKING:
    from pathlib import Path

    from guardai.ledger.store import Store
    from guardai.ledger.trust import Trust

__all__ = ["Stats", "stats"]


class Stats(NamedTuple):
    """What there is.

    Attributes:
        store: where the store is, as it may be shown.
        events: in the store.
        pruned: that are not there any more; their hashes are in the tree.
        logs: whose they are; `open` of them have no end there yet.
        since, until: times of the oldest and the newest event there, microseconds since 1970; 0 if there is none.
        size: bytes that the store takes.
        head: events under the newest tree head.
        signed_by: ids of the hosts that signed it; empty if nobody that the root vouches for has.
        spools: logs that are still in a spool of this home, or partly.
        waiting: bytes of those spools.
    """

    store: str
    events: int = 0
    pruned: int = 0
    logs: int = 0
    open: int = 0
    since: int = 0
    until: int = 0
    size: int = 0
    head: int = 0
    signed_by: tuple[str, ...] = ()
    spools: int = 0
    waiting: int = 0


def stats(home: Path) -> Stats:
    """How much there is.

    Raises:
        LedgerError: the home's public key cannot be read.
        StoreError: the store cannot be read.
    """
    layout = Layout(home)
    trusted = trust(home)
    waiting = [path.stat().st_size for path in layout.spools.glob("*.jsonl")]
    address = address_of(layout)
    found = Stats(str(address or layout.store), spools=len(waiting), waiting=sum(waiting))
    with read_store(layout, gated=False) as store:
        return found if store is None else _counted(store, trusted, found)


def _counted(store: Store, trusted: Trust, found: Stats) -> Stats:
    logs, ended = store.db.execute("SELECT count(*), coalesce(sum(ended), 0) FROM logs WHERE ended < 2").fetchone()
    pruned = store.pruned()
    since, until = store.db.execute("SELECT min(ts), max(ts) FROM events").fetchone()
    head = 0
    signed_by: tuple[str, ...] = ()
    note = store.newest()
    if note is not None:
        shared = joined(store, trusted)
        try:
            checkpoint = open_checkpoint(note, shared.origin, shared.publics)
        except NoteError:
            pass
        else:
            head, signed_by = checkpoint.size, tuple(map(key_id, checkpoint.by))
    return found._replace(
        events=store.size() - pruned,
        pruned=pruned,
        logs=logs,
        open=logs - int(ended),
        since=since or 0,
        until=until or 0,
        size=store.dialect.size(store.db),
        head=head,
        signed_by=signed_by,
    )
