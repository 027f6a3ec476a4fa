"""All events of a home, oldest first, as their exact bytes: the sealed ones and those still in a spool, each once."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import msgspec

from guardai.ledger.layout import Layout
from guardai.ledger.place import read_store
from guardai.ledger.reading import address, decode_link

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from guardai.ledger.store import Store

__all__ = ["events", "find", "sealed_size"]

#: ts, log, seq, bytes: sorts as events are to be shown.
_Keyed = tuple[int, str, int, bytes]


def events(home: Path) -> Iterator[bytes]:
    """Every event of the home, ordered by time, log and position.

    It shows what is there and judges nothing: `verify` does. A line of a spool that is no event is left out.

    Raises:
        StoreError: the store cannot be read.
    """
    layout = Layout(home)
    # Spools first: one that is folded and removed meanwhile is in the store by then.
    contents = _read_spools(layout)
    with read_store(layout, gated=False) as store:
        folded = _folded(store) if store is not None else {}
        spooled = [_in_spool(log, content, folded.get(log, 0)) for log, content in contents.items()]
        sealed = _in_store(store) if store is not None else iter(())
        for *_, data in heapq.merge(sealed, *spooled):
            yield data


def find(home: Path, event: str) -> bytes | None:
    """The event with this id; None if there is none.

    Raises:
        StoreError: the store cannot be read.
    """
    place = address(event)
    if place is None:
        return None
    log, seq = place
    layout = Layout(home)
    try:
        content = layout.spool(log).read_bytes()
    except FileNotFoundError:
        content = b""
    with read_store(layout, gated=False) as store:
        if store is not None:
            row = store.db.execute(
                "SELECT bytes FROM events JOIN logs ON logs.n = events.log WHERE logs.log = ? AND seq = ?", (log, seq)
            ).fetchone()
            if row is not None:
                return bytes(row[0])
    return next((data for *_, found, data in _in_spool(log, content, 0) if found == seq), None)


def sealed_size(home: Path) -> int:
    """How many events are in the store.

    Raises:
        StoreError: the store cannot be read.
    """
    with read_store(Layout(home)) as store:
        return store.size() if store is not None else 0


def _read_spools(layout: Layout) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for path in sorted(layout.spools.glob("*.jsonl")):
        try:
            contents[path.name.removesuffix(".jsonl")] = path.read_bytes()
        except FileNotFoundError:
            continue
    return contents


def _folded(store: Store) -> dict[str, int]:
    return dict(store.db.execute("SELECT log, events FROM logs").fetchall())


def _in_store(store: Store) -> Iterator[_Keyed]:
    rows = store.db.execute(
        "SELECT ts, logs.log, seq, bytes FROM events JOIN logs ON logs.n = events.log ORDER BY ts, logs.log, seq"
    )
    # Not `yield from`: that would close the cursor of whoever stops early, after its database was closed.
    for row in rows:  # noqa: UP028
        yield row


def _in_spool(log: str, content: bytes, start: int) -> Iterator[_Keyed]:
    for line in content.split(b"\n")[:-1]:
        data = line.rpartition(b"\t")[0]
        try:
            link = decode_link(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if link.seq >= start:
            yield link.ts, log, link.seq, data
