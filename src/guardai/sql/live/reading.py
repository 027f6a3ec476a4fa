"""The readers of all engines, and what drives them: one loop for drivers that wait, one for those that are awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final

from guardai.model import LiveSchema
from guardai.sql.live.duckdb import duckdb
from guardai.sql.live.mysql import mysql
from guardai.sql.live.postgres import postgres
from guardai.sql.live.sqlite import sqlite

__all__ = ["READERS", "Rows", "aread", "read", "reader"]

Rows = list[tuple[Any, ...]]

#: Dialect → the reader of its catalog.
READERS: Final[dict[str, Callable[[], Generator[str, Rows, LiveSchema]]]] = {
    "duckdb": duckdb,
    "mariadb": mysql,
    "mysql": mysql,
    "postgres": postgres,
    "sqlite": sqlite,
}


def reader(dialect: str) -> Generator[str, Rows, LiveSchema]:
    """A reader of the live schema that does no I/O itself.

    It yields the text of queries without parameters, is sent the rows of each (all of them, as tuples of str, int, bytes
    or None), and returns the `LiveSchema`. An error of a query is to be thrown into it: SQLite's reader goes on without
    what an authorizer forbids and what is broken, and raises any other again, as the other readers do all. `read` and
    `aread` do all this.

    Raises:
        ValueError: nothing can read a schema in this dialect.
    """
    make = READERS.get(dialect)
    if make is None:
        raise ValueError(f"no live schema can be read in dialect {dialect!r}; it can in {', '.join(READERS)}")
    return make()


def read(dialect: str, query: Callable[[str], Rows]) -> LiveSchema:
    """The live schema, by a function that runs a query and returns its rows.

    The queries change nothing, but they are part of whatever transaction the connection is in, and begin one where the
    driver begins one for a SELECT. PostgreSQL tells a view's query under the lock of a reader on the view and on its
    tables, and keeps it to the end of the transaction. The reader does not wait for such a lock: a view over a table that
    is just being altered by another connection has the query "".

    Raises:
        ValueError: nothing can read a schema in this dialect.
        Exception: what `query` raises, as it is. Want of rights is no reason: what may not be read is left out.
    """
    reading = reader(dialect)
    try:
        sql = next(reading)
        while True:
            try:
                rows = query(sql)
            except Exception as error:  # the reader says whether it can do without
                sql = reading.throw(error)
            else:
                sql = reading.send(rows)
    except StopIteration as end:
        schema: LiveSchema = end.value
        return schema
    finally:
        reading.close()


async def aread(dialect: str, query: Callable[[str], Awaitable[Rows]]) -> LiveSchema:
    """As `read`, with a coroutine function."""
    reading = reader(dialect)
    try:
        sql = next(reading)
        while True:
            try:
                rows = await query(sql)
            except Exception as error:  # as in `read`
                sql = reading.throw(error)
            else:
                sql = reading.send(rows)
    except StopIteration as end:
        schema: LiveSchema = end.value
        return schema
    finally:
        reading.close()
