"""asyncpg: the few methods through which every statement and every record passes, patched on its own classes.

    execute("…")                       Connection.execute
    fetch*, execute("…", arguments)    Connection._execute
    executemany, fetchmany             Connection._executemany
    copy_*                             Connection._copy_out, _copy_in, copy_records_to_table
    prepare(…).fetch*                  PreparedStatement.__bind_execute, fetchmany, executemany
    cursor(…)                          CursorFactory.__aiter__, __await__, see `asyncpg_cursor`

Pools hand out proxies that call the same class. What the library runs by itself is nobody's statement: transactions, the
reset of a pool's connection, types it looks up; so are the functions with which the application sets up a pool's
connections. What is prepared is judged then, so that what is refused never reaches the server, and each time it is run.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final

from guardai.hooks import Answer, Ask, Call, Hooks, LiveSchema, Run, acting, aread_schema, foreseen, redefines
from guardai_dbapi import postgres
from guardai_dbapi.postgres import DIALECT, READING, SAVEPOINT, UNMOVED, Known, controls, known_at, schemas
from guardai_dbapi.records import masked_record, plain
from guardai_dbapi.statement import Statement, aperform, begin

__all__ = ["PATCHES", "AsyncpgDriver", "affected", "begun", "means", "performed", "shown", "whose"]

_RAW: Final = ("opaque.raw",)
#: Where the library, or a governed statement of ours, is at work in this context: the connection, and nothing once it is
#: done. A task that was begun meanwhile has the same list.
_own: Final[ContextVar[list[Any]]] = ContextVar("guardai_asyncpg")
_IDLE: Final[list[Any]] = []


class AsyncpgDriver:
    """asyncpg, with or without pools."""

    library = "asyncpg"
    targets: tuple[str, ...] = ("asyncpg",)
    versions = ">=0.29,<1"

    def install(self, hooks: Hooks) -> None:
        """Waits for the whole package: its pool copies the connection's methods when it is imported."""
        for name, wrapper in PATCHES.items():
            hooks.wrap(f"asyncpg:{name}", wrapper)

    def wrap(self, obj: Any) -> Any | None:
        """One open connection, or the one that a pool lent: the same object, its class a governed subclass."""
        if not any(kind.__module__ == "asyncpg.connection" for kind in type(obj).__mro__):
            return None
        from guardai_dbapi.asyncpg_wrap import governed

        connection = getattr(obj, "_con", obj)
        if hasattr(connection, "_executemany"):
            governed(connection)
        return obj


# ---------------------------------------------------------------------- whose, where


@functools.lru_cache(maxsize=256)
def _known(address: Any, database: str, user: str, options: str) -> Known:
    if isinstance(address, str):  # a socket of this machine: /run/postgresql/.s.PGSQL.5432
        folder, _, port = address.rpartition("/.s.PGSQL.")
        return known_at(folder or "/", int(port) if port.isdigit() else 5432, database, user, options)
    return known_at(address[0], address[1], database, user, options)


def _of(connection: Any) -> Known:
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
        schemas.changed(_of(connection).key)
    return None if run is not None and not sql.strip("; \t\r\n") else run  # nothing: it is how pools see if it lives


async def _as_own(connection: Any, call: Callable[[], Awaitable[Any]]) -> Any:
    """Awaits what runs statements on this connection that are nobody's."""
    before, working = _own.get(_IDLE), [connection]
    _own.set(working)
    try:
        return await call()
    finally:
        working.clear()
        _own.set(before)


async def _schema(connection: Any, key: Any, sql: str) -> LiveSchema | None:
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
        read: LiveSchema = await _as_own(connection, asked)
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
    where = _of(connection)
    schema = await _schema(connection, where.key, sql)
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
            return await _as_own(connection, lambda: effect(bound))
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
        state = await _as_own(connection, lambda: connection._get_statement(found[0], None, ignore_custom_codec=True))
        records = await _as_own(connection, lambda: connection._execute(*found, 0, None, ignore_custom_codec=True))
        return Answer([(column.name, column.type.oid) for column in state._get_attributes()], plain(records))

    result = await aperform(
        lambda text: query(text, None), statement, marking, changed, lambda exc: means(connection, exc), ask=asked
    )
    if statement.ticket.plan.redefines:
        schemas.changed(_of(connection).key)
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


def _whole(statement: Statement, records: list[Any], status: Any) -> list[Any]:
    """All rows of a statement that has ended."""
    changed = affected(status)
    if not records and changed is None:
        statement.began(())
    passed = shown(statement, records)
    statement.wrote(changed)
    return passed


class _Outcome:
    """What the server said when the statement was done."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        self.status: Any = None

    def changed(self) -> int | None:
        return affected(self.status)


# ---------------------------------------------------------------------- Connection


async def _execute_text(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Without arguments a statement goes as plain text, and no row comes back; with some it comes by `_execute`."""
    sql: Any = args[0] if args else kwargs.get("query")
    run = whose(connection, sql) if len(args) < 2 else None
    if run is None:
        return await wrapped(*args, **kwargs)
    outcome = _Outcome()

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
    whole = kwargs.pop("return_status", False)
    outcome = _Outcome()
    statement = await begun(connection, run, sql, tuple(bound), asks=True)
    # With a limit the server does not say how many rows it changed.
    most = 0 if statement.guard.back else limit

    async def effect(given: Any) -> Any:
        result = await wrapped(sql, given, most, timeout, return_status=True, **kwargs)
        outcome.status = result[1]
        return result

    records, status, done = await performed(connection, statement, effect, outcome.changed)
    records = _whole(statement, records[:limit] if limit else records, status)
    return (records, status, done) if whole else records


def _four(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """`query, args, limit, timeout`, by position or by name; taken out of `kwargs`."""
    return [*args, *(kwargs.pop(name) for name in ("query", "args", "limit", "timeout")[len(args) :])]


async def _executemany(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    sql, bound, timeout = args[:3]
    run = whose(connection, sql)
    if run is None:
        return await wrapped(*args, **kwargs)
    outcome = _Outcome()
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


async def _one_by_one(one: Callable[[Any], Awaitable[Any]], given: Iterable[Any], outcome: _Outcome) -> list[Any]:
    """What is done for many parameters, so that the rows it changes are counted; they stand or fall together."""
    found, count = [], 0
    for parameters in given:
        records, status, _ = await one(parameters)
        found += records
        count += affected(status) or 0
    outcome.status = f"ALL {count}"
    return found


def _many(statement: Statement, records: Any, outcome: _Outcome, *, rows: bool) -> Any:
    if not rows:
        statement.wrote(outcome.changed())
        return None
    return _whole(statement, records or [], outcome.status)


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

    outcome = _Outcome()

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
        where = _of(connection)
        schema = await _schema(connection, where.key, sql)
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
    return _whole(statement, records[:limit] if limit else records, prepared._last_status)


async def _prepared_many(wrapped: Any, prepared: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection, sql = prepared._connection, prepared._query
    run = whose(connection, sql)
    if run is None:
        return await wrapped(*args, **kwargs)
    outcome = _Outcome()
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
    from guardai_dbapi.asyncpg_cursor import governed_iterator

    return governed_iterator(iterator, run)


def _awaited(wrapped: Any, factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    run = whose(factory._connection, factory._query)
    if run is None or factory._prefetch is not None:  # which it refuses
        return wrapped()
    from guardai_dbapi.asyncpg_cursor import governed_cursor

    return governed_cursor(factory, run).__await__()


# ---------------------------------------------------------------------- the library's own


async def _on_itself(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await _as_own(connection, lambda: wrapped(*args, **kwargs))


async def _on_its_connection(wrapped: Any, resource: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await _as_own(resource._connection, lambda: wrapped(*args, **kwargs))


async def _on_the_first(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await _as_own(args[0] if args else None, lambda: wrapped(*args, **kwargs))


def _pool(wrapped: Any, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the application does to set up and to reset a connection is its own, whoever is the first to need one."""
    given = {name: kwargs.get(name) for name in ("setup", "init", "reset")}
    return wrapped(*args, **{**kwargs, **{name: _set_up(call) for name, call in given.items() if call is not None}})


def _set_up(call: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    @functools.wraps(call)
    async def owned(connection: Any) -> Any:
        return await _as_own(getattr(connection, "_con", connection), lambda: call(connection))

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
