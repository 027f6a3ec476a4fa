"""MySQL Connector/Python in pure Python: judged where a text is sent, masked where rows are read.

Every text goes through `MySQLConnection.cmd_query`, `cmd_query_iter` or `cmd_stmt_execute`, every row comes through
`MySQLConnection.get_rows`, whatever cursor class a program uses. The cursors' own methods are wrapped besides, so that a
statement is judged as it was written, with its parameters as data.

What has no seam in Python is not let through unseen: an agent's statement is refused on connections of the C extension
and of `mysql.connector.aio`.

INVARIANT: a row of an agent's is masked before any cursor class sees it.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from guardai.hooks import Answer, Ask, Hooks, Run, acting
from guardai_dbapi.mysql import ASK, SESSION, Session, dialect_of, is_apart, is_lost, passes
from guardai_dbapi.statement import Statement, begin, perform
from guardai_dbapi.subclasses import governed_class

__all__ = ["MysqlConnectorDriver"]

_PREPARED: Final = "_guardai_prepared"
#: What the library itself sends for `commit`, `rollback`, `autocommit = …` and while it connects.
_ITS_OWN: Final = re.compile(
    r"COMMIT|ROLLBACK|SET @@session\.autocommit = (?:ON|OFF)|SET NAMES '\w+'(?: COLLATE '\w+')?|SET CHARACTER SET \w+"
)


class MysqlConnectorDriver:
    """mysql-connector-python, for MySQL and MariaDB."""

    library = "mysql-connector-python"
    targets: tuple[str, ...] = ("mysql.connector.connection", "mysql.connector.cursor")
    versions = ">=26.10,<27"

    def install(self, hooks: Hooks) -> None:
        """Wraps what sends and what reads; connections that are open already are governed too."""
        for kind, methods in _CURSORS.items():
            for name, wrapper in methods.items():
                hooks.wrap(f"mysql.connector.cursor:{kind}.{name}", wrapper)
        for name, wrapper in _CONNECTION.items():
            hooks.wrap(f"mysql.connector.connection:MySQLConnection.{name}", wrapper)
        for name in ("cmd_query", "cmd_stmt_prepare"):
            hooks.wrap(f"mysql.connector.connection_cext:CMySQLConnection.{name}", _refused)
            hooks.wrap(f"mysql.connector.aio.connection:MySQLConnection.{name}", _arefused)
        hooks.wrap("mysql.connector.aio.connection:MySQLConnection.cmd_query_iter", _refused)

    def wrap(self, obj: Any) -> Any | None:
        """One open connection, of a governed subclass from now on, without patching the library."""
        if not any(kind.__module__ == "mysql.connector.connection" for kind in type(obj).__mro__):
            return None
        kind: Any = type(obj)
        if not hasattr(kind, "_guardai_governed"):
            obj.__class__ = _subclass(kind)
        return obj


def _session(connection: Any) -> Session:
    session: Session | None = connection.__dict__.get(SESSION)
    if session is None:
        host = "localhost" if connection._unix_socket else connection._host
        session = Session(host, connection._port, connection._database, connection._user, connection.server_info or "")
        connection.__dict__[SESSION] = session
    return session


def _text(connection: Any, query: Any) -> str | None:
    if isinstance(query, str):
        return query
    if isinstance(query, (bytes, bytearray)):
        return bytes(query).decode(connection.python_charset, "surrogateescape")
    return None


# ---------------------------------------------------------------------- what is sent


def _execute(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection = _connected(cursor)
    if connection is None or passes(connection):
        return wrapped(*args, **kwargs)
    query, given, more = _asked(*args, **kwargs)
    text = _text(connection, query)
    run = acting(text, dialect_of(connection.server_info or "")) if text else None
    if run is None or not text:
        return wrapped(*args, **kwargs)
    whole = isinstance(given, (list, tuple, dict))
    if given and whole and not cursor._binary and not is_apart(text):
        # The values are put into the text, and can change how the rest of it reads. What it will be is not told here.
        text = "-- a place of a value within quotes\n" + text
        return _governed(connection, run, text, given, lambda _: None, lambda: None, dialect="unknown")
    return _governed(
        connection,
        run,
        text,
        given if whole else None,
        lambda bound: wrapped(query, bound if whole else given, **more),
        lambda: cursor._rowcount,
        asks=not cursor._binary,
    )


def _asked(operation: Any, params: Any = None, *rest: Any, **kwargs: Any) -> tuple[Any, Any, dict[str, Any]]:
    if rest:
        kwargs["map_results"] = rest[0]
    return operation, params, kwargs


def _connected(cursor: Any) -> Any | None:
    try:
        connection = cursor._connection
        return connection if connection is not None and connection._socket is not None else None
    except ReferenceError:
        return None


def _executemany(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection = _connected(cursor)
    if connection is None or passes(connection):
        return wrapped(*args, **kwargs)
    query, given, _ = _many(*args, **kwargs)
    text = _text(connection, query)
    run = acting(text, dialect_of(connection.server_info or "")) if text and given else None
    if run is None or not text or not (cursor._binary or is_apart(text)) or not isinstance(given, (list, tuple)):
        return wrapped(*args, **kwargs)  # each statement that comes of it is judged by itself
    return _governed(connection, run, text, given, lambda bound: wrapped(query, bound), lambda: cursor._rowcount)


def _many(operation: Any, seq_params: Any) -> tuple[Any, Any, None]:
    return operation, seq_params, None


def _callproc(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection = _connected(cursor)
    if connection is None or passes(connection):
        return wrapped(*args, **kwargs)
    name, given = _procedure(*args, **kwargs)
    text = f"CALL {name}({', '.join(['%s'] * len(given))})"
    run = acting(text, dialect_of(connection.server_info or ""))
    if run is None:
        return wrapped(*args, **kwargs)
    return _governed(connection, run, text, given, lambda bound: wrapped(name, bound), lambda: None)


def _procedure(procname: Any, args: Any = ()) -> tuple[Any, Any]:
    return procname, args


def _cmd_query(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    query = args[0] if args else kwargs["query"]
    text = None if passes(connection) else _text(connection, query)
    if text is None or _ITS_OWN.fullmatch(text):
        return wrapped(*args, **kwargs)
    run = acting(text, dialect_of(connection.server_info or ""))
    if run is None:
        session: Session | None = connection.__dict__.get(SESSION)
        if session is not None:
            _over(connection, session)
            session.own(text, several=True)
        return wrapped(*args, **kwargs)
    found: list[Any] = []

    def effect(_: Any) -> Any:
        found.append(wrapped(*args, **kwargs))
        return found[0]

    return _governed(connection, run, text, None, effect, lambda: found[0].get("affected_rows"))


def _cmd_query_iter(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    query = args[0] if args else kwargs["statements"]
    text = None if passes(connection) else _text(connection, query)
    run = None if text is None else acting(text, dialect_of(connection.server_info or ""))
    if run is None or text is None:
        return wrapped(*args, **kwargs)
    return _each(wrapped(*args, **kwargs), connection, run, text)


def _each(results: Iterator[Any], connection: Any, run: Run, text: str) -> Iterator[Any]:
    yield _governed(connection, run, text, None, lambda _: next(results), lambda: None)
    yield from results


def _cmd_stmt_prepare(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    made = wrapped(*args, **kwargs)
    query = args[0] if args else kwargs["statement"]
    connection.__dict__.setdefault(_PREPARED, {})[made["statement_id"]] = _text(connection, query) or ""
    return made


def _cmd_stmt_close(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection.__dict__.get(_PREPARED, {}).pop(args[0] if args else kwargs["statement_id"], None)
    return wrapped(*args, **kwargs)


def _cmd_stmt_execute(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if passes(connection):
        return wrapped(*args, **kwargs)
    # INVARIANT: what was prepared before anybody looked is not understood, and no harmless statement.
    text = connection.__dict__.get(_PREPARED, {}).get(args[0] if args else kwargs["statement_id"], "EXECUTE unknown")
    run = acting(text, dialect_of(connection.server_info or ""))
    if run is None:
        session: Session | None = connection.__dict__.get(SESSION)
        if session is not None:
            _over(connection, session)
        return wrapped(*args, **kwargs)
    found: list[Any] = []

    def effect(_: Any) -> Any:
        found.append(wrapped(*args, **kwargs))
        return found[0]

    def affected() -> int | None:
        return found[0].get("affected_rows") if isinstance(found[0], dict) else None

    return _governed(connection, run, text, None, effect, affected)


def _governed(
    connection: Any,
    run: Run,
    text: str,
    parameters: Any,
    effect: Callable[[Any], Any],
    affected: Callable[[], int | None],
    dialect: str = "",
    *,
    asks: bool = False,
) -> Any:
    session = _session(connection)
    if not _pending(connection):
        _learn(connection, session)
    statement = begin(run, session.target, text, dialect or session.reads(text), parameters, session.schema())
    ticket = statement.ticket
    if dialect and ticket.enforcing:
        ticket.impossible("a value would be put within quotes of the statement; leave the quotes to the driver")
    if _pending(connection) and session.statement is not None and connection.can_consume_results:
        _release(connection, session)
    transaction = bool(connection.in_transaction)
    alone = session.autocommit or (ticket.reads_only and not transaction)
    if _pending(connection):
        # The library refuses whatever is sent now; nothing has to stand around it.
        alone, transaction = False, True
    else:
        statement.guarded(session.dialect, autocommit=alone, transaction=transaction, asks=asks)
    if statement.guard.back and "returning" in text.lower():
        ticket.impossible("the driver does not tell how many rows a statement with RETURNING changes")
    former, session.statement, session.inside = session.statement, statement, statement
    try:
        result = perform(
            functools.partial(_own, connection, session), statement, effect, affected,
            functools.partial(_means, connection), ask=functools.partial(_asks, connection, session),
        )  # fmt: skip
    except BaseException:
        if not _pending(connection):
            session.statement = None
        elif statement.rows is None:
            session.statement = former  # the library refused: the former rows are still to be read
        raise
    finally:
        session.inside = None
        if ticket.plan.redefines:
            session.ran(text)
    if _pending(connection):
        statement.pending()
    else:
        _ended(connection, session, statement, affected() if statement.rows is None else None)
    return result


def _means(connection: Any, exc: BaseException) -> dict[str, bool]:
    """What an error says: that the connection is gone, or that the engine was locked against this."""
    code = getattr(exc, "errno", None)
    return {"lost": is_lost(code), "barred": code == 1792}


# ---------------------------------------------------------------------- texts of ours


def _pending(connection: Any) -> bool:
    """Whether results wait to be read: nothing else may be sent before they are."""
    return bool(connection._unread_result or connection._have_next_result)


def _ask(connection: Any, session: Session, text: str) -> list[Any]:
    session.asking = True
    try:
        told = connection.cmd_query(text)
        return connection.get_rows(raw=False)[0] if "columns" in told else []
    finally:
        session.asking = False


def _asks(connection: Any, session: Session, ask: Ask) -> Answer:
    """Runs a query of ours with parameters."""
    from mysql.connector.cursor import MySQLCursor

    session.asking = True
    try:
        cursor = connection.cursor(cursor_class=MySQLCursor)
        cursor.execute(ask.sql, ask.parameters or ())
        rows = cursor.fetchall()
        return Answer([column[:2] for column in cursor.description], rows)
    finally:
        session.asking = False


def _own(connection: Any, session: Session, text: str) -> None:
    if _pending(connection):
        session.deferred.append(text)
    else:
        _ask(connection, session, text)


def _learn(connection: Any, session: Session) -> None:
    """Asks the server what is not known. What it does not tell is taken for the worst."""
    from mysql.connector.errors import Error

    with contextlib.suppress(Error):
        if session.stale:
            ((*told, autocommit),) = _ask(connection, session, f"{ASK}, @@SESSION.autocommit")
            session.told([told])
            session.autocommit = bool(autocommit)
            # The cursors ask for it while they put values into a statement; then it would be a result of the statement's.
            connection._sql_mode = session.modes
        if session.schema() is None:
            session.learn(lambda text: list(_ask(connection, session, text)))


def _flush(connection: Any, session: Session) -> None:
    texts, session.deferred = session.deferred, []
    for text in texts:
        with contextlib.suppress(Exception):
            _ask(connection, session, text)


# ---------------------------------------------------------------------- what comes back


def _release(connection: Any, session: Session) -> None:
    """Nobody reads the rest of the last statement's results."""
    statement, session.statement = session.statement, None
    session.asking = True
    try:
        connection.consume_results()
    finally:
        session.asking = False
        if statement is not None:
            statement.ticket.abandon()
    if not _pending(connection):
        _flush(connection, session)


def _consume(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The library reads away what nobody wants."""
    session: Session | None = connection.__dict__.get(SESSION)
    if session is None or session.asking or session.statement is None or not connection._unread_result:
        return wrapped(*args, **kwargs)
    statement = session.statement
    session.asking = True
    try:
        result = wrapped(*args, **kwargs)
    finally:
        session.asking = False
    if not _pending(connection) and statement is not session.inside:
        session.statement = None
        statement.ticket.abandon()
        _flush(connection, session)
    return result


def _ended(connection: Any, session: Session, statement: Statement, affected: int | None) -> None:
    """The last result has been read."""
    session.statement = None
    if statement.rows is not None:
        statement.rows.end()
    else:
        statement.wrote(affected)
    _flush(connection, session)


def _over(connection: Any, session: Session) -> None:
    """The application's own statement comes: what was an agent's is over, if nothing of it is left to be read."""
    if session.statement is not None and not _pending(connection):
        session.statement.ticket.abandon()
        session.statement = None


def _result(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A result begins: of a text (a dictionary) or of a prepared statement (a tuple)."""
    session: Session | None = connection.__dict__.get(SESSION)
    statement = None if session is None or session.asking else session.statement
    if session is None or statement is None:
        return wrapped(*args, **kwargs)
    try:
        told = wrapped(*args, **kwargs)
    except BaseException as exc:
        if statement is not session.inside:
            session.statement = None
            statement.failed(exc, **_means(connection, exc))
        raise
    columns = told[1] if isinstance(told, tuple) else told.get("columns")
    if columns:
        connection.unread_result = True
        statement.began([column[0] for column in columns])
    elif statement is not session.inside and not _pending(connection):
        _ended(connection, session, statement, None)
    return told


def _get_rows(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    session: Session | None = connection.__dict__.get(SESSION)
    statement = None if session is None or session.asking else session.statement
    if session is None or statement is None or statement.rows is None:
        return wrapped(*args, **kwargs)
    try:
        rows, eof = wrapped(*args, **kwargs)
    except BaseException as exc:
        statement.failed(exc, **_means(connection, exc))
        if statement is not session.inside and not _pending(connection):
            session.statement = None
            _flush(connection, session)
        raise
    passed = statement.rows.many(rows)
    if eof is not None and statement is not session.inside and not _pending(connection):
        _ended(connection, session, statement, None)
    return passed, eof


def _fetch_warnings(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The library asks for warnings while it ends a statement: a statement of its own, judged as one."""
    connection = _connected(cursor)
    session: Session | None = None if connection is None else connection.__dict__.get(SESSION)
    if session is None:
        return wrapped(*args, **kwargs)
    kept = session.inside, session.statement
    session.inside = session.statement = None
    try:
        return wrapped(*args, **kwargs)
    finally:
        session.inside, session.statement = kept


def _close(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    session: Session | None = connection.__dict__.get(SESSION)
    if session is not None and session.statement is not None:
        session.statement.ticket.abandon()
        session.statement = None
    return wrapped(*args, **kwargs)


# ---------------------------------------------------------------------- what is refused


def _not_let_through(connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    query = args[0] if args else next(iter(kwargs.values()), "")
    text = query.decode("utf-8", "surrogateescape") if isinstance(query, (bytes, bytearray)) else str(query)
    run = None if _ITS_OWN.fullmatch(text) else acting(text, "mysql")
    if run is None:
        return
    told = vars(connection)
    host, port = told.get("_host", ""), told.get("_port", 0)
    session = Session(host, port, told.get("_database", ""), told.get("_user", ""), "")
    statement = begin(run, session.target, text, "mysql", returns=("opaque.raw",))
    if statement.ticket.enforcing:
        statement.ticket.impossible(
            "rows of this connection cannot be masked; open it with mysql.connector.connect(use_pure=True)"
        )
    statement.ticket.close(None)


def _refused(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _not_let_through(connection, args, kwargs)
    return wrapped(*args, **kwargs)


async def _arefused(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _not_let_through(connection, args, kwargs)
    return await wrapped(*args, **kwargs)


# ---------------------------------------------------------------------- one connection


_CURSORS: Final[dict[str, dict[str, Any]]] = {
    "MySQLCursor": {
        "execute": _execute,
        "executemany": _executemany,
        "callproc": _callproc,
        "_fetch_warnings": _fetch_warnings,
    },
    "MySQLCursorPrepared": {"execute": _execute, "executemany": _executemany},
}
_CONNECTION: Final[dict[str, Any]] = {
    "cmd_query": _cmd_query,
    "cmd_query_iter": _cmd_query_iter,
    "cmd_stmt_prepare": _cmd_stmt_prepare,
    "cmd_stmt_execute": _cmd_stmt_execute,
    "cmd_stmt_close": _cmd_stmt_close,
    "_handle_result": _result,
    "_handle_binary_result": _result,
    "get_rows": _get_rows,
    "consume_results": _consume,
    "close": _close,
}


@functools.cache
def _subclass(kind: Any) -> Any:
    """The governed subclass of a connection's class. Its cursors are judged and masked by what they send and read."""
    return governed_class(kind, _CONNECTION, _guardai_governed=True)
