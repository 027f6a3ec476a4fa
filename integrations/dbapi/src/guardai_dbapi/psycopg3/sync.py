"""The public methods of psycopg's cursors; `awaited.py` has the same for its asynchronous ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from guardai.hooks import Run
from guardai_dbapi.psycopg3.asked import arguments, begun, parameters_of, query_of, rest, run_of, told_of
from guardai_dbapi.psycopg3.copying import Copying
from guardai_dbapi.psycopg3.governed import Governed, Refusal, redefined
from guardai_dbapi.psycopg3.makers import Passing, borne_by, held, passing_of
from guardai_dbapi.psycopg3.pipelines import has_been_sent, kept, left, replaced
from guardai_dbapi.psycopg3.tables import known_of, reading, unread

__all__ = [
    "close",
    "copy_block",
    "countable",
    "execute",
    "executemany",
    "fetch",
    "fetched",
    "next_row",
    "stream",
    "stream_ended",
]


def execute(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One statement."""
    return _executed(wrapped, cursor, args, kwargs, many=False)


def executemany(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One statement, many times."""
    return _executed(wrapped, cursor, args, kwargs, many=True)


def _executed(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, many: bool) -> Any:
    query = query_of(args, kwargs)
    found = run_of(cursor, query)
    if found is None:
        return _application(wrapped, cursor, args, kwargs)
    conn = cursor._conn
    _have_tables(conn, found[1])
    governed = begun(cursor, *found, query, parameters_of(args, kwargs), many=many)
    try:
        result = wrapped(*arguments(governed, args, kwargs), **rest(kwargs))
    except BaseException as exc:
        _failed(cursor, governed, exc)
        raise
    has_been_sent(cursor, governed)
    return result


def _application(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    before = left(cursor)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException:
        kept(cursor, before)
        raise
    replaced(before)
    told_of(cursor, query_of(args, kwargs))
    return result


def _have_tables(conn: Any, text: str) -> None:
    known = known_of(conn)
    if unread(conn, known):
        with conn.lock, contextlib.suppress(Exception):
            conn.wait(reading(conn, known, text))


def _failed(cursor: Any, governed: Governed, exc: BaseException) -> None:
    governed.failed(cursor, exc)
    if governed.guarding:
        conn = cursor._conn
        with conn.lock, contextlib.suppress(Exception):
            conn.wait(governed.undo(conn))
    if isinstance(exc, Refusal):
        raise exc.refused from None


def stream(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One statement, its rows one by one. Nothing happens before the first is asked for."""
    query = query_of(args, kwargs)
    found = run_of(cursor, query)
    if found is None:
        return _streamed_by_application(wrapped, cursor, args, kwargs) if borne_by(cursor) else wrapped(*args, **kwargs)
    return _streamed(wrapped, cursor, found, args, kwargs)


def _streamed_by_application(wrapped: Any, cursor: Any, args: Any, kwargs: Any) -> Iterator[Any]:
    replaced(left(cursor))
    yield from wrapped(*args, **kwargs)


def _streamed(wrapped: Any, cursor: Any, found: tuple[Run, str], args: Any, kwargs: Any) -> Iterator[Any]:
    _have_tables(cursor._conn, found[1])
    governed = begun(cursor, *found, query_of(args, kwargs), parameters_of(args, kwargs))
    countable(governed)
    try:
        yield from wrapped(*arguments(governed, args, kwargs), **rest(kwargs))
    except GeneratorExit:
        governed.release()
        raise
    except BaseException as exc:
        _failed(cursor, governed, exc)
        raise
    stream_ended(cursor, governed)


def countable(governed: Governed) -> None:
    """Refuses what could not be taken back in time."""
    governed.single = False
    ticket = governed.statement.ticket
    if ticket.obligations.affected_cap is not None and ticket.plan.changes:
        ticket.impossible("policy limits how many rows may change, and a stream's rows pass before they are counted")


def stream_ended(cursor: Any, governed: Governed) -> None:
    """The last row of a stream has passed."""
    if governed.statement.ticket.plan.redefines:
        redefined(cursor._conn, governed.known)
    if governed.statement.rows is None:
        governed.statement.wrote(None)
    else:
        governed.last()


def fetch(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`fetchone`, `fetchmany`, `fetchall`."""
    if cursor._conn._pipeline:
        cursor._fetch_pipeline()
    passing = passing_of(cursor)
    if passing is None:
        return wrapped(*args, **kwargs)
    start = cursor._pos
    return fetched(cursor, passing, start, held(cursor, passing, lambda: wrapped(*args, **kwargs)))


def next_row(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Iteration."""
    try:
        return fetch(wrapped, cursor, args, kwargs)
    except StopIteration:
        governed = borne_by(cursor)
        if governed is not None:
            governed.reached(cursor)
        raise


def fetched(cursor: Any, passing: Passing, start: int, got: Any) -> Any:
    """Cells, or one, or none: as rows."""
    if got is None:
        passing.governed.reached(cursor)
        return None
    cells = got if isinstance(got, list) else [got]
    made = passing.many(cursor._iresult, start, [tuple(cell.cell_contents) for cell in cells])
    passing.governed.reached(cursor)
    return made if isinstance(got, list) else made[0]


def close(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Nobody reads what is left."""
    result = wrapped(*args, **kwargs)
    governed = borne_by(cursor)
    if governed is not None:
        governed.release()
    return result


def copy_block(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`copy`, until its block is left."""
    found = run_of(cursor, query_of(args, kwargs))
    if found is None:
        replaced(left(cursor))
        return wrapped(*args, **kwargs)
    return _copying(wrapped, cursor, found, args, kwargs)


@contextlib.contextmanager
def _copying(wrapped: Any, cursor: Any, found: tuple[Run, str], args: Any, kwargs: Any) -> Iterator[Any]:
    _have_tables(cursor._conn, found[1])
    governed = begun(cursor, *found, query_of(args, kwargs), parameters_of(args, kwargs), copy=True)
    try:
        with wrapped(governed.query, **rest(kwargs)) as copy:
            Copying(governed, copy).install()
            yield copy
    except BaseException as exc:
        _failed(cursor, governed, exc)
        raise
