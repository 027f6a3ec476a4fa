"""Tables that are derived from the sealed events: filled by the sealer, filled again by verify and compared.

Each has a cursor of its own, so a process that knows nothing of a projection can seal, and one that does catches up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from guardai.ledger.store import Store

__all__ = ["Projection", "catch_up", "create_table", "delete_rows", "insert_rows"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
#: Events between two breaths, rows of one statement.
_BREATH: Final = 32
_ROWS: Final = 1000
_Row = tuple[object, ...]
_TAKEN: Final = frozenset({"checkpoints", "derived", "events", "heads", "logs", "tiles"})


class Projection(Protocol):
    """A table that follows from the events alone.

    Attributes:
        name: of the table.
        columns: of the table; a row is unique, is of text, and can be looked up by its first or its second column. One of
            them names the event that the row comes from, so that it leaves with it.
    """

    @property
    def name(self) -> str:
        """The table's name."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns."""
        ...

    def rows(self, event: Mapping[str, Any], /) -> Iterable[tuple[object, ...]]:
        """The rows that an event adds."""
        ...


def create_table(store: Store, projection: Projection) -> None:
    """Makes the table, if it is not there."""
    for name in (projection.name, *projection.columns):
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise ValueError(f"{name!r} cannot be the name of a derived table or of its column")
    if store.has(projection.name):
        return  # not left to IF NOT EXISTS: PostgreSQL asks even then for the right to make it
    columns, words = ", ".join(projection.columns), store.dialect.words
    store.db.execute(
        f"CREATE TABLE {projection.name} "
        f"({', '.join(f'{column} {words.text} NOT NULL' for column in projection.columns)}, PRIMARY KEY ({columns})){words.clustered}"
    )
    if len(projection.columns) > 1:
        second = projection.columns[1]
        store.db.execute(f"CREATE INDEX {projection.name}_by_{second} ON {projection.name} ({second})")


def insert_rows(
    store: Store,
    projection: Projection,
    events: Iterable[bytes | str],
    *,
    breathe: Callable[[], None] | None = None,
) -> None:
    """Adds the rows of these events."""
    rows: list[_Row] = []
    sql = f"INSERT INTO {projection.name} VALUES ({', '.join('?' * len(projection.columns))}) ON CONFLICT DO NOTHING"  # noqa: S608 - checked
    for count, event in enumerate(events):
        rows.extend(_rows(projection, event))
        if breathe is not None and not count % _BREATH:
            breathe()
        if len(rows) >= _ROWS:
            store.db.executemany(sql, rows)
            rows.clear()
    store.db.executemany(sql, rows)


def delete_rows(store: Store, projection: Projection, events: Iterable[bytes]) -> None:
    """Within a transaction: removes the rows of these events, if there is such a table."""
    if store.has(projection.name):
        where = " AND ".join(f"{column} = ?" for column in projection.columns)
        rows = [row for event in events for row in _rows(projection, event)]
        store.db.executemany(f"DELETE FROM {projection.name} WHERE {where}", rows)  # noqa: S608 - names checked when it was made


def _rows(projection: Projection, event: bytes | str) -> list[_Row]:
    """An event that a projection cannot take adds nothing: it must keep neither the sealer nor verify from their work."""
    try:
        rows = list(projection.rows(msgspec.json.decode(event)))
    except Exception:  # whatever the projection's code does with an event that has been tampered with
        return []
    width = len(projection.columns)
    return [row for row in rows if len(row) == width and all(map(_is_text, row))]


def _is_text(value: object) -> bool:
    """Whether it is text that any store can keep: PostgreSQL keeps no NUL."""
    return isinstance(value, str) and "\0" not in value


def catch_up(store: Store, projection: Projection, most: int, breathe: Callable[[], None]) -> bool:
    """Within a transaction: brings the table up to the sealed events, at most so many; whether it is now."""
    create_table(store, projection)
    row = store.db.execute("SELECT upto FROM derived WHERE name = ?", (projection.name,)).fetchone()
    start = row[0] if row else 0
    found = store.dialect.joined(store.db, start, most)
    text, count, last = found or ("", 0, start - 1)
    if count or not row:
        insert_rows(store, projection, text.split("\n") if count else (), breathe=breathe)
        store.db.execute(
            "INSERT INTO derived VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET upto = excluded.upto",
            (projection.name, last + 1),
        )
    return count < most
