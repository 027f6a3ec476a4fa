"""One statement at asyncpg: whose it is, what has to stand around it, and its records as their reader may see them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from guardai.hooks import Answer, Ask, LiveSchema, Run, acting, aread_schema, redefines
from guardai_dbapi import postgres
from guardai_dbapi.postgres import DIALECT, READING, SAVEPOINT, UNMOVED, Known, controls, known_at, schemas
from guardai_dbapi.records import masked_record, plain
from guardai_dbapi.statement import Statement, aperform, begin

__all__ = [
    "Outcome",
    "affected",
    "as_own",
    "begun",
    "known_of",
    "means",
    "performed",
    "schema_of",
    "shown",
    "whole",
    "whose",
]

#: Where the library, or a governed statement of ours, is at work in this context: the connection, and nothing once it is
#: done. A task that was begun meanwhile has the same list.
_own: Final[ContextVar[list[Any]]] = ContextVar("guardai_asyncpg")
_IDLE: Final[list[Any]] = []


# ---------------------------------------------------------------------- whose, where


@functools.lru_cache(maxsize=256)
def _known(address: Any, database: str, user: str, options: str) -> Known:
    if isinstance(address, str):  # a socket of this machine: /run/postgresql/.s.PGSQL.5432
        folder, _, port = address.rpartition("/.s.PGSQL.")
        return known_at(folder or "/", int(port) if port.isdigit() else 5432, database, user, options)
    return known_at(address[0], address[1], database, user, options)


def known_of(connection: Any) -> Known:
    asked, address = connection._params, connection._addr
    user = asked.user or ""
    options = repr(sorted(asked.server_settings.items())) if asked.server_settings else ""
    return _known(address if isinstance(address, str) else tuple(address[:2]), asked.database or user, user, options)


def whose(connection: Any, sql: Any) -> Run | None:
    """The session whose statement this is; None for the application's and for the library's own."""
    if connection in _own.get(_IDLE) or not isinstance(sql, str) or connection.is_closed():
        return None
    run = acting(sql, DIALECT)
    if run is None and redefines(sql):
        schemas.changed(known_of(connection).key)
    return None if run is not None and not sql.strip("; \t\r\n") else run  # nothing: it is how pools see if it lives


async def as_own(connection: Any, call: Callable[[], Awaitable[Any]]) -> Any:
    """Awaits what runs statements on this connection that are nobody's."""
    before, working = _own.get(_IDLE), [connection]
    _own.set(working)
    try:
        return await call()
    finally:
        working.clear()
        _own.set(before)


async def schema_of(connection: Any, key: Any, sql: str) -> LiveSchema | None:
    """What the server tells of its tables. None if it cannot tell now: a transaction that has failed, say."""
    schema = schemas.get(key)
    # In a transaction `SET TRANSACTION` has to be the first.
    if schema is not None or (controls(sql) and connection.is_in_transaction()):
        return schema
    epoch = schemas.epoch(key)
    # A question that fails must not fail the program's transaction.
    inside = connection.is_in_transaction()

    async def rows(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(record) for record in await connection._execute(sql, (), 0, None, ignore_custom_codec=True)]

    async def asked() -> LiveSchema:
        if not inside:
            return await aread_schema(DIALECT, rows)
        query = connection._protocol.query
        mark, release = READING
        await query(mark, None)
        try:
            read = await aread_schema(DIALECT, rows)
        except BaseException:
            for text in UNMOVED:
                await query(text, None)
            raise
        await query(release, None)
        return read

    try:
        read: LiveSchema = await as_own(connection, asked)
    except Exception:
        return None
    schemas.put(key, read, epoch)
    return read


# ---------------------------------------------------------------------- one statement


async def begun(
    connection: Any,
    run: Run,
    sql: str,
    parameters: Any,
    returns: tuple[str, ...] = (),
    opaque: tuple[str, ...] = (),
    *,
    asks: bool = False,
) -> Statement:
    """Decided, recorded; what has to stand around it is known.

    Args:
        connection: the library's.
        run: whose statement it is.
        sql: the statement.
        parameters: what is bound to it.
        returns: as in `statement.begin`.
        opaque: the same.
        asks: it is one statement with one set of parameters, whose rows come when it has run.

    Raises:
        PolicyDenied: nothing happened.
    """
    where = known_of(connection)
    schema = await schema_of(connection, where.key, sql)
    statement = begin(run, where.target, sql, DIALECT, parameters, schema, returns, opaque)
    if not controls(sql):
        statement.guarded(DIALECT, autocommit=True, transaction=connection.is_in_transaction(), asks=asks)
    return statement


async def performed(
    connection: Any,
    statement: Statement,
    effect: Callable[[Any], Awaitable[Any]],
    changed: Callable[[], int | None] = lambda: None,
) -> Any:
    """Runs the effect with what has to stand around it."""
    query = connection._protocol.query
    marked = SAVEPOINT in statement.guard.before

    async def marking(bound: Any) -> Any:
        try:
            return await as_own(connection, lambda: effect(bound))
        except Exception as exc:
            # Nothing that the server said: it has not seen it, so the transaction is sound and becomes what it was.
            if (
                marked
                and not isinstance(exc, ConnectionError | TimeoutError)
                and getattr(exc, "severity", None) is None
            ):
                for text in UNMOVED if not connection.is_closed() else ():
                    with contextlib.suppress(Exception):
                        await query(text, None)
            raise

    async def asked(ask: Ask) -> Answer:
        found = ask.sql, ask.parameters or ()
        state = await as_own(connection, lambda: connection._get_statement(found[0], None, ignore_custom_codec=True))
        records = await as_own(connection, lambda: connection._execute(*found, 0, None, ignore_custom_codec=True))
        return Answer([(column.name, column.type.oid) for column in state._get_attributes()], plain(records))

    result = await aperform(
        lambda text: query(text, None), statement, marking, changed, lambda exc: means(connection, exc), ask=asked
    )
    if statement.ticket.plan.redefines:
        schemas.changed(known_of(connection).key)
    return result


def means(connection: Any, exc: BaseException) -> dict[str, bool]:
    """What an error says: it is not known whether the statement happened, or the engine was locked against it."""
    # What asyncpg gives up waiting for may have happened all the same. Other errors of the system's are those of files.
    gone = connection.is_closed() or isinstance(exc, ConnectionError | TimeoutError)
    return postgres.means(exc, getattr(exc, "sqlstate", None), closed=gone)


def affected(status: Any) -> int | None:
    """The number of rows that the server says it changed: `UPDATE 3`, `INSERT 0 3`."""
    told = status.decode() if isinstance(status, bytes) else status
    if not isinstance(told, str):
        return None
    verb, _, count = told.rpartition(" ")
    return int(count) if count.isdigit() and verb and not verb.startswith("SELECT") else None


def shown(statement: Statement, records: list[Any]) -> list[Any]:
    """Records as their reader may see them; the same objects if nothing was masked.

    Raises:
        ResultWithheld: they could not be inspected.
    """
    if not records:
        return records
    rows = statement.rows or statement.began(tuple(records[0].keys()))
    given = plain(records)
    passed = rows.many(given)
    if passed is given:
        return records
    return [
        record if after is before else masked_record(record, after)
        for record, before, after in zip(records, given, passed, strict=True)
    ]


def whole(statement: Statement, records: list[Any], status: Any) -> list[Any]:
    """All rows of a statement that has ended."""
    changed = affected(status)
    if not records and changed is None:
        statement.began(())
    passed = shown(statement, records)
    statement.wrote(changed)
    return passed


class Outcome:
    """What the server said when the statement was done."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        self.status: Any = None

    def changed(self) -> int | None:
        return affected(self.status)
