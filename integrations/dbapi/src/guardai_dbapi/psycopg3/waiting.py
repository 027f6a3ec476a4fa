"""The generators in which psycopg waits for the server, under the connection's lock, for both faces."""

from __future__ import annotations

from collections.abc import Generator
from types import CellType
from typing import Any

from guardai_dbapi import postgres
from guardai_dbapi.psycopg3.asked import begun, run_of
from guardai_dbapi.psycopg3.governed import Governed
from guardai_dbapi.psycopg3.makers import Holding, Slot, borne_by
from guardai_dbapi.psycopg3.tables import known_of

__all__ = ["around", "committed", "fetch_from_server", "first", "part"]

PQGen = Generator[Any, Any, Any]


def around(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The whole effect of a statement."""
    effect = wrapped(*args, **kwargs)
    governed = borne_by(cursor)
    return effect if governed is None or governed.superseded else governed.around(cursor, effect)


def first(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The beginning of a stream or a COPY."""
    effect = wrapped(*args, **kwargs)
    governed = borne_by(cursor)
    return effect if governed is None or governed.superseded else _preceded(governed, cursor, effect)


def _preceded(governed: Governed, cursor: Any, effect: PQGen) -> PQGen:
    yield from governed.before(cursor)
    return (yield from effect)


def part(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Every further part of a stream."""
    effect = wrapped(*args, **kwargs)
    governed = borne_by(cursor)
    return effect if governed is None or not governed.guarding else governed.part(cursor, effect)


def fetch_from_server(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A page of a server's cursor."""
    effect = wrapped(*args, **kwargs)
    governed = borne_by(cursor)
    if governed is None and not cursor._described and not cursor._closed:
        # A cursor of the server's that something else declared: what is fetched from it is a statement of its own.
        text = f'FETCH FORWARD ALL FROM "{cursor._name.replace(chr(34), chr(34) * 2)}"'
        found = run_of(cursor, text)
        if found is not None:
            governed = begun(cursor, *found, text, None)
    if governed is None or governed.superseded:
        return effect
    return _page(cursor, governed, effect, args[0] if args else kwargs.get("num"))


def _page(cursor: Any, governed: Governed, effect: PQGen, size: int | None) -> PQGen:
    passing = Slot.get(cursor)
    holding = Holding(CellType)
    holding.governed = governed
    described = cursor._described
    if described:
        Slot.set(cursor, holding)
    try:
        got = yield from effect
    except BaseException as exc:
        if governed.statement.rows is not None:
            governed.failed(cursor, exc)
        raise
    finally:
        if Slot.get(cursor) is holding:
            Slot.set(cursor, passing)
    if not described:
        if governed.statement.rows is None:
            governed.rows(cursor.pgresult)
        made = got  # the maker in the cursor has masked each
    else:
        rows = governed.rows(passing.result)
        seen = rows.many([tuple(cell.cell_contents) for cell in got])
        make = passing.make
        made = seen if make is tuple else [make(row) for row in seen]
    if size is None or len(got) < size:
        # Where the program may scroll back, it is over when the cursor is.
        governed.gaps |= bool(cursor._scrollable)
        governed.last()
    return made


def committed(wrapped: Any, conn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A commit. What it changed of the tables is there for other connections."""
    effect = wrapped(*args, **kwargs)
    return _told(conn, effect) if vars(conn).pop("_guardai_redefined", False) else effect


def _told(conn: Any, effect: PQGen) -> PQGen:
    yield from effect
    postgres.schemas.changed(known_of(conn).key)
