"""Moves what is sealed in a home into a store that hosts share: the same tree, byte for byte, and the home goes on there.

What was made here is told there by the same tree head. So the store there must be empty: two trees cannot become one.

INVARIANT: at each moment one of the two is the home's store, whole. The address is written down last, at once; who is killed before has
the former store as it was, and does it again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from guardai.errors import LedgerError
from guardai.ledger import liveness, place
from guardai.ledger.address import Address
from guardai.ledger.keys import load_keys
from guardai.ledger.layout import Layout
from guardai.ledger.merkle import Tree
from guardai.ledger.note import NoteError, open_checkpoint
from guardai.ledger.postgresstore import open_postgres
from guardai.ledger.sealer import seal
from guardai.ledger.sqlitestore import read_sqlite
from guardai.ledger.statements import publish
from guardai.ledger.trust import trust_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from guardai.ledger.store import Store
    from guardai.ledger.trust import Trust

__all__ = ["Migrated", "migrate"]

#: Seconds to wait for another process that is sealing.
_PATIENCE: Final = 10.0
#: Rows of one statement.
_ROWS: Final = 1_000
#: Table → its columns and order. What is derived is derived there again.
_TABLES: Final = {
    "logs": ("n, log, events, hash, ended", "n"),
    "events": ("leaf, log, seq, ts, bytes, tag", "leaf"),
    "heads": ("log, seq, hash, by, ts, sig", "log, seq"),
    "tiles": ("level, idx, hashes", "level, idx"),
    "checkpoints": ("size, note", "size"),
}


class Migrated:
    """What became of it.

    Attributes:
        events: that are in the new store.
        former: the file that was the store; it is not looked at any more.
    """

    def __init__(self, events: int, former: Path) -> None:
        self.events = events
        self.former = former


def migrate(home: Path, url: str, progress: Callable[[int, int], None] = lambda _, __: None) -> Migrated:
    """Moves a home's store into PostgreSQL. Programs of the home go on recording, and seal there from then on.

    Args:
        home: the home.
        url: of the store there, in which there is nothing yet.
        progress: called with how many events have been copied, and of how many.

    Raises:
        LedgerError: the home has no store of its own, or cannot be sealed; or something is in the store there.
        ConfigError: the URL is none of a store.
        StoreError, OSError: a store cannot be read or written.
    """
    layout, address = Layout(home), Address(url)
    if layout.address.exists() or not layout.store.exists():
        raise LedgerError(f"{home} has no store of its own that could be moved")
    keys, until = load_keys(home), time.monotonic() + _PATIENCE
    while not seal(home, keys) and time.monotonic() < until:
        time.sleep(0.05)
    with liveness.held(layout.seal_lock, _PATIENCE) as mine:
        if not mine:
            raise LedgerError("another process has been sealing all the time; nothing was changed; try again")
        trusted = trust_in(layout, keys.root)
        with read_sqlite(layout.store) as source, open_postgres(address) as target:
            if source is None:
                raise LedgerError(f"{home} has no store of its own that could be moved")
            size, events = source.size(), source.size() - source.pruned()
            with target.writing():
                if not _is_there(source, target):
                    _copy(source, target, progress)
                _check(target, trusted, size)
                publish(target, layout, trusted)
        place.move(layout, url)
        former = layout.store.with_name("store.db.moved")
        for suffix in ("-wal", "-shm"):
            layout.store.with_name(f"{layout.store.name}{suffix}").unlink(missing_ok=True)
        layout.store.replace(former)
    return Migrated(events, former)


def _is_there(source: Store, target: Store) -> bool:
    """Whether it is there already, of a migration that was killed before the home knew.

    Raises:
        LedgerError: something else is.
    """
    if not target.size() and target.newest() is None:
        return False
    if target.size() == source.size() and target.newest() == source.newest():
        return True
    raise LedgerError("the store there is not empty, and two trees cannot become one; name another schema (schema=…)")


def _copy(source: Store, target: Store, progress: Callable[[int, int], None]) -> None:
    size = source.size() - source.pruned()
    for table, (columns, order) in _TABLES.items():
        marks = ", ".join("?" * len(columns.split(", ")))
        asked = source.db.execute(f"SELECT {columns} FROM {table} ORDER BY {order}")  # noqa: S608 - our words
        rows: list[tuple[object, ...]] = []
        copied = 0
        for row in asked:
            rows.append(row)
            if len(rows) == _ROWS:
                target.db.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - our words
                copied += len(rows)
                rows.clear()
                if table == "events":
                    progress(copied, size)
        target.db.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - our words


def _check(target: Store, trusted: Trust, size: int) -> None:
    """What is there now is what the tree head says.

    Raises:
        LedgerError: it is not.
    """
    note = target.newest()
    try:
        checkpoint = open_checkpoint(note or "", trusted.origin, trusted.publics)
        whole = (target.size(), checkpoint.size) == (size, size) and Tree(target, size).root() == checkpoint.root
    except (NoteError, ValueError):
        whole = False
    if not whole:
        raise LedgerError("the store is not what its tree head says, and was left where it is: `guardai verify`")
