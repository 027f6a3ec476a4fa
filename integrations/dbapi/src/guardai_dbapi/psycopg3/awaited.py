"""The public methods of psycopg's asynchronous cursors; they differ from those in `sync.py` in nothing but `await`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from types import CellType
from typing import Any

from guardai.hooks import Run
from guardai_dbapi.psycopg3.asked import arguments, begun, parameters_of, query_of, rest, run_of, told_of
from guardai_dbapi.psycopg3.copying import Copying
from guardai_dbapi.psycopg3.governed import Governed, Refusal
from guardai_dbapi.psycopg3.makers import Holding, Slot, borne_by, passing_of
from guardai_dbapi.psycopg3.pipelines import has_been_sent, kept, left, replaced
from guardai_dbapi.psycopg3.sync import countable, fetched, stream_ended
from guardai_dbapi.psycopg3.tables import known_of, reading, unread

__all__ = ["acopy_block", "aexecute", "aexecutemany", "afetch", "anext_row", "astream"]


async def aexecute(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One statement."""
    return await _aexecuted(wrapped, cursor, args, kwargs, many=False)


async def aexecutemany(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One statement, many times."""
    return await _aexecuted(wrapped, cursor, args, kwargs, many=True)


async def _aexecuted(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, many: bool) -> Any:
    query = query_of(args, kwargs)
    found = run_of(cursor, query)
    if found is None:
        return await _aapplication(wrapped, cursor, args, kwargs)
    await _ahave_tables(cursor._conn, found[1])
    governed = begun(cursor, *found, query, parameters_of(args, kwargs), many=many)
    try:
        result = await wrapped(*arguments(governed, args, kwargs), **rest(kwargs))
    except BaseException as exc:
        await _afailed(cursor, governed, exc)
        raise
    has_been_sent(cursor, governed)
    return result


async def _aapplication(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    before = left(cursor)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException:
        kept(cursor, before)
        raise
    replaced(before)
    told_of(cursor, query_of(args, kwargs))
    return result


async def _ahave_tables(conn: Any, text: str) -> None:
    known = known_of(conn)
    if unread(conn, known):
        async with conn.lock:
            with contextlib.suppress(Exception):
                await conn.wait(reading(conn, known, text))


async def _afailed(cursor: Any, governed: Governed, exc: BaseException) -> None:
    governed.failed(cursor, exc)
    if governed.guarding:
        conn = cursor._conn
        async with conn.lock:
            with contextlib.suppress(Exception):
                await conn.wait(governed.undo(conn))
    if isinstance(exc, Refusal):
        raise exc.refused from None


def astream(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One statement, its rows one by one."""
    found = run_of(cursor, query_of(args, kwargs))
    if found is None:
        return (
            _astreamed_by_application(wrapped, cursor, args, kwargs) if borne_by(cursor) else wrapped(*args, **kwargs)
        )
    return _astreamed(wrapped, cursor, found, args, kwargs)


async def _astreamed_by_application(wrapped: Any, cursor: Any, args: Any, kwargs: Any) -> AsyncIterator[Any]:
    replaced(left(cursor))
    async with contextlib.aclosing(wrapped(*args, **kwargs)) as rows:
        async for row in rows:
            yield row


async def _astreamed(wrapped: Any, cursor: Any, found: tuple[Run, str], args: Any, kwargs: Any) -> AsyncIterator[Any]:
    await _ahave_tables(cursor._conn, found[1])
    governed = begun(cursor, *found, query_of(args, kwargs), parameters_of(args, kwargs))
    countable(governed)
    try:
        async with contextlib.aclosing(wrapped(*arguments(governed, args, kwargs), **rest(kwargs))) as rows:
            async for row in rows:
                yield row
    except GeneratorExit:
        governed.release()
        raise
    except BaseException as exc:
        await _afailed(cursor, governed, exc)
        raise
    stream_ended(cursor, governed)


async def afetch(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`fetchone`, `fetchmany`, `fetchall`."""
    if cursor._conn._pipeline:
        await cursor._fetch_pipeline()
    passing = passing_of(cursor)
    if passing is None:
        return await wrapped(*args, **kwargs)
    start = cursor._pos
    holding = Holding(CellType)
    holding.governed = passing.governed
    Slot.set(cursor, holding)
    try:
        got = await wrapped(*args, **kwargs)  # the rows are there: nothing is waited for
    finally:
        if Slot.get(cursor) is holding:
            Slot.set(cursor, passing)
    return fetched(cursor, passing, start, got)


async def anext_row(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Iteration."""
    try:
        return await afetch(wrapped, cursor, args, kwargs)
    except StopAsyncIteration:
        governed = borne_by(cursor)
        if governed is not None:
            governed.reached(cursor)
        raise


def acopy_block(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`copy`, until its block is left."""
    found = run_of(cursor, query_of(args, kwargs))
    if found is None:
        replaced(left(cursor))
        return wrapped(*args, **kwargs)
    return _acopying(wrapped, cursor, found, args, kwargs)


@contextlib.asynccontextmanager
async def _acopying(wrapped: Any, cursor: Any, found: tuple[Run, str], args: Any, kwargs: Any) -> AsyncIterator[Any]:
    await _ahave_tables(cursor._conn, found[1])
    governed = begun(cursor, *found, query_of(args, kwargs), parameters_of(args, kwargs), copy=True)
    try:
        async with wrapped(governed.query, **rest(kwargs)) as copy:
            Copying(governed, copy).install()
            yield copy
    except BaseException as exc:
        await _afailed(cursor, governed, exc)
        raise
