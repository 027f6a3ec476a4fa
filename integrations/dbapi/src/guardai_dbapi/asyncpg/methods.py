"""asyncpg: the few methods through which every statement and every record passes, patched on its own classes.

    execute("…")                       Connection.execute
    fetch*, execute("…", arguments)    Connection._execute
    executemany, fetchmany             Connection._executemany
    copy_*                             Connection._copy_out, _copy_in, copy_records_to_table
    prepare(…).fetch*                  PreparedStatement.__bind_execute, fetchmany, executemany
    cursor(…)                          CursorFactory.__aiter__, __await__, see `cursor`

Pools hand out proxies that call the same class. What the library runs by itself is nobody's statement: transactions, the
reset of a pool's connection, types it looks up; so are the functions with which the application sets up a pool's
connections. What is prepared is judged then, so that what is refused never reaches the server, and each time it is run.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final

from guardai.hooks import Call, foreseen
from guardai_dbapi.asyncpg.call import Outcome, affected, as_own, begun, known_of, performed, schema_of, whole, whose
from guardai_dbapi.asyncpg.cursor import governed_cursor, governed_iterator
from guardai_dbapi.postgres import DIALECT
from guardai_dbapi.statement import Statement

__all__ = ["PATCHES"]

_RAW: Final = ("opaque.raw",)


# ---------------------------------------------------------------------- Connection


async def _execute_text(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Without arguments a statement goes as plain text, and no row comes back; with some it comes by `_execute`."""
    sql: Any = args[0] if args else kwargs.get("query")
    run = whose(connection, sql) if len(args) < 2 else None
    if run is None:
        return await wrapped(*args, **kwargs)
    outcome = Outcome()

    async def effect(_: Any) -> Any:
        outcome.status = await wrapped(*args, **kwargs)
        return outcome.status

    statement = await begun(connection, run, sql, None, asks=True)
    status = await performed(connection, statement, effect, outcome.changed)
    statement.wrote(outcome.changed())
    return status


async def _execute(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs.get("ignore_custom_codec"):  # its own look-up of types
        return await wrapped(*args, **kwargs)
    sql, bound, limit, timeout = _four(args, kwargs)
    run = whose(connection, sql)
    if run is None:
        return await wrapped(*args, **kwargs)
    told = kwargs.pop("return_status", False)
    outcome = Outcome()
    statement = await begun(connection, run, sql, tuple(bound), asks=True)
    # With a limit the server does not say how many rows it changed.
    most = 0 if statement.guard.back else limit

    async def effect(given: Any) -> Any:
        result = await wrapped(sql, given, most, timeout, return_status=True, **kwargs)
        outcome.status = result[1]
        return result

    records, status, done = await performed(connection, statement, effect, outcome.changed)
    records = whole(statement, records[:limit] if limit else records, status)
    return (records, status, done) if told else records


def _four(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """`query, args, limit, timeout`, by position or by name; taken out of `kwargs`."""
    return [*args, *(kwargs.pop(name) for name in ("query", "args", "limit", "timeout")[len(args) :])]


async def _executemany(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    sql, bound, timeout = args[:3]
    run = whose(connection, sql)
    if run is None:
        return await wrapped(*args, **kwargs)
    outcome = Outcome()
    statement = await begun(connection, run, sql, bound)

    async def effect(given: Any) -> Any:
        if not statement.guard.back:
            return await wrapped(sql, given, timeout, *args[3:], **kwargs)

        async def one(parameters: Any) -> Any:
            return await connection._execute(
                sql, parameters, 0, timeout, return_status=True, record_class=kwargs.get("record_class")
            )

        return await _one_by_one(one, given, outcome)

    records = await performed(connection, statement, effect, outcome.changed)
    return _many(statement, records, outcome, rows=bool(kwargs.get("return_rows") or any(args[3:4])))


async def _one_by_one(one: Callable[[Any], Awaitable[Any]], given: Iterable[Any], outcome: Outcome) -> list[Any]:
    """What is done for many parameters, so that the rows it changes are counted; they stand or fall together."""
    found, count = [], 0
    for parameters in given:
        records, status, _ = await one(parameters)
        found += records
        count += affected(status) or 0
    outcome.status = f"ALL {count}"
    return found


def _many(statement: Statement, records: Any, outcome: Outcome, *, rows: bool) -> Any:
    if not rows:
        statement.wrote(outcome.changed())
        return None
    return whole(statement, records or [], outcome.status)


async def _copy_out(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Rows leave as bytes that nobody looks into: only where these may be revealed."""
    return await _copied(wrapped, connection, args, kwargs, returns=_RAW)


async def _copy_in(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await _copied(wrapped, connection, args, kwargs, opaque=_RAW)


async def _copied(
    wrapped: Any,
    connection: Any,
    args: Any,
    kwargs: Any,
    returns: tuple[str, ...] = (),
    opaque: tuple[str, ...] = (),
) -> Any:
    run = whose(connection, args[0])
    if run is None:
        return await wrapped(*args, **kwargs)
    statement = await begun(connection, run, args[0], None, returns, opaque)
    status = await performed(connection, statement, lambda _: wrapped(*args, **kwargs))
    statement.wrote(affected(status))
    return status


async def _copy_records(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Records enter as parameters do, one by one if they come one by one."""
    table, schema, columns = (
        args[0] if args else kwargs.get("table_name"),
        kwargs.get("schema_name"),
        kwargs.get("columns"),
    )
    names = ".".join(_quoted(name) for name in (schema, table) if name)
    listed = f" ({', '.join(map(_quoted, columns))})" if columns else ""
    condition = f" WHERE {kwargs['where']}" if kwargs.get("where") else ""
    sql = f"COPY {names}{listed} FROM STDIN (FORMAT binary){condition}"
    run = whose(connection, sql)
    if run is None:
        return await wrapped(*args, **kwargs)
    records = kwargs.get("records")
    later = hasattr(records, "__aiter__")
    statement = await begun(connection, run, sql, None if later else records)

    def effect(given: Any) -> Awaitable[Any]:
        leaving = _leaving(statement, records) if later else given
        return wrapped(*args, **{**kwargs, "records": leaving})  # type: ignore[no-any-return]

    outcome = Outcome()

    async def counted(given: Any) -> Any:
        outcome.status = await effect(given)
        return outcome.status

    status = await performed(connection, statement, counted, outcome.changed)
    statement.wrote(affected(status))
    return status


def _quoted(name: Any) -> str:
    return '"' + str(name).replace('"', '""') + '"'


async def _leaving(statement: Statement, records: Any) -> AsyncIterator[Any]:
    async for record in records:
        for masked in statement.ticket.leaving([record]):
            yield masked


# ---------------------------------------------------------------------- PreparedStatement


async def _prepare(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    sql: Any = args[0] if args else kwargs.get("query")
    run = whose(connection, sql)
    if run is not None:
        where = known_of(connection)
        schema = await schema_of(connection, where.key, sql)
        foreseen(Call("db", where.target, statement=sql, dialect=DIALECT, schema=schema), run)
    return await wrapped(*args, **kwargs)


async def _bind_execute(wrapped: Any, prepared: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    bound, limit, timeout = args
    connection, sql = prepared._connection, prepared._query
    run = whose(connection, sql)
    if run is None:
        return await wrapped(*args)
    statement = await begun(connection, run, sql, tuple(bound), asks=True)
    most = 0 if statement.guard.back else limit
    records = await performed(
        connection,
        statement,
        lambda given: wrapped(given, most, timeout),
        lambda: affected(prepared._last_status),
    )
    return whole(statement, records[:limit] if limit else records, prepared._last_status)


async def _prepared_many(wrapped: Any, prepared: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection, sql = prepared._connection, prepared._query
    run = whose(connection, sql)
    if run is None:
        return await wrapped(*args, **kwargs)
    outcome = Outcome()
    statement = await begun(connection, run, sql, args[0] if args else kwargs.pop("args"))

    async def effect(given: Any) -> Any:
        if not statement.guard.back:
            return await wrapped(given, **kwargs)

        async def one(parameters: Any) -> Any:
            records = await prepared.fetch(*parameters, timeout=kwargs.get("timeout"))
            return records, prepared._last_status, True

        return await _one_by_one(one, given, outcome)

    records = await performed(connection, statement, effect, outcome.changed)
    return _many(statement, records, outcome, rows=_name(wrapped) == "fetchmany")


def _name(wrapped: Any) -> str:
    return str(getattr(wrapped, "func", wrapped).__name__)


# ---------------------------------------------------------------------- cursors


def _iterated(wrapped: Any, factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    run = whose(factory._connection, factory._query)
    iterator = wrapped()
    if run is None:
        return iterator
    return governed_iterator(iterator, run)


def _awaited(wrapped: Any, factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    run = whose(factory._connection, factory._query)
    if run is None or factory._prefetch is not None:  # which it refuses
        return wrapped()
    return governed_cursor(factory, run).__await__()


# ---------------------------------------------------------------------- the library's own


async def _on_itself(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await as_own(connection, lambda: wrapped(*args, **kwargs))


async def _on_its_connection(wrapped: Any, resource: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await as_own(resource._connection, lambda: wrapped(*args, **kwargs))


async def _on_the_first(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await as_own(args[0] if args else None, lambda: wrapped(*args, **kwargs))


def _pool(wrapped: Any, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the application does to set up and to reset a connection is its own, whoever is the first to need one."""
    given = {name: kwargs.get(name) for name in ("setup", "init", "reset")}
    return wrapped(*args, **{**kwargs, **{name: _set_up(call) for name, call in given.items() if call is not None}})


def _set_up(call: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    @functools.wraps(call)
    async def owned(connection: Any) -> Any:
        return await as_own(getattr(connection, "_con", connection), lambda: call(connection))

    return owned


#: `module.Class.method` → what stands in front of it.
PATCHES: Final[dict[str, Any]] = {
    "connection.Connection.execute": _execute_text,
    "connection.Connection._execute": _execute,
    "connection.Connection._executemany": _executemany,
    "connection.Connection.prepare": _prepare,
    "connection.Connection._copy_out": _copy_out,
    "connection.Connection._copy_in": _copy_in,
    "connection.Connection.copy_records_to_table": _copy_records,
    "connection.Connection.reset": _on_itself,
    "connection.Connection._reset": _on_itself,
    "prepared_stmt.PreparedStatement._PreparedStatement__bind_execute": _bind_execute,
    "prepared_stmt.PreparedStatement.fetchmany": _prepared_many,
    "prepared_stmt.PreparedStatement.executemany": _prepared_many,
    "cursor.CursorFactory.__aiter__": _iterated,
    "cursor.CursorFactory.__await__": _awaited,
    "transaction.Transaction.start": _on_its_connection,
    "transaction.Transaction.commit": _on_its_connection,
    "transaction.Transaction.rollback": _on_its_connection,
    "transaction.Transaction.__aexit__": _on_its_connection,
    "pool.Pool.__init__": _pool,
    "connect_utils._can_use_connection": _on_the_first,
    "utils._mogrify": _on_the_first,
}
