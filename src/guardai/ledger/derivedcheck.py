"""Checks a derived table: fills another one from the same events, and compares the two row by row."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from guardai.ledger.projection import create_table, insert_rows
from guardai.ledger.report import Fault
from guardai.ledger.sqlitestore import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardai.ledger.projection import Projection
    from guardai.ledger.store import Store

__all__ = ["check_derived", "unchecked_tables"]

#: Differing rows that are named.
_MOST: Final = 100
_Row = tuple[object, ...]
_EVENT: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{1,14})")


def unchecked_tables(store: Store, projection: Projection | None) -> list[str]:
    """Derived tables of the store that this projection does not derive."""
    names = [row[0] for row in store.db.execute("SELECT name FROM derived ORDER BY name")]
    return [str(name) for name in names if projection is None or name != projection.name]


def check_derived(store: Store, projection: Projection) -> list[Fault]:
    """The rows that do not follow from the events, or are missing.

    Raises:
        StoreError: the table cannot be read.
    """
    row = store.db.execute("SELECT upto FROM derived WHERE name = ?", (projection.name,)).fetchone()
    exists = store.has(projection.name)
    if row is None and not exists:
        return []
    if row is None or not exists or not isinstance(row[0], int):
        return [Fault("derived")]
    again = scratch()
    try:
        create_table(again, projection)
        again.db.execute("BEGIN")
        scanned = store.dialect.scanned
        events = store.db.execute(f"SELECT bytes FROM events{scanned} WHERE leaf < ? ORDER BY leaf", (row[0],))  # noqa: S608 - our words
        insert_rows(again, projection, (data for (data,) in events))
        order = ", ".join(projection.columns)
        sql = f"SELECT {order} FROM {projection.name} ORDER BY {order}"  # noqa: S608 - names checked by create_table
        differing = _differing(store.db.execute(sql), again.db.execute(sql))
        return [_name(row) for row in islice(differing, _MOST)]
    finally:
        again.db.close()


def _differing(stored: Iterator[_Row], derived: Iterator[_Row]) -> Iterator[_Row]:
    """Rows that are in one of two sorted sequences only."""
    one, other = next(stored, None), next(derived, None)
    while one is not None or other is not None:
        if one == other:
            one, other = next(stored, None), next(derived, None)
        elif other is None or (one is not None and _order(one) < _order(other)):
            yield one or ()
            one = next(stored, None)
        else:
            yield other
            other = next(derived, None)


def _order(row: _Row) -> list[tuple[int, object]]:
    """SQLite's order of values: nothing, numbers, text, bytes."""
    ranks = {type(None): 0, int: 1, float: 1, str: 2}
    return [(ranks.get(type(value), 3), "" if value is None else value) for value in row]


def _name(row: _Row) -> Fault:
    ids = [found for value in row if isinstance(value, str) and (found := _EVENT.fullmatch(value))]
    if not ids:
        return Fault("derived")
    log, seq = ids[-1].groups()
    return Fault.at("derived", log, int(seq, 16))
