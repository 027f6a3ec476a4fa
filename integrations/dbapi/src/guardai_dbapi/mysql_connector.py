"""MySQL Connector/Python in pure Python: judged where a text is sent, masked where rows are read.

Every text goes through `MySQLConnection.cmd_query`, `cmd_query_iter` or `cmd_stmt_execute`, every row comes through
`MySQLConnection.get_rows`, whatever cursor class a program uses. The cursors' own methods are wrapped besides, so that a
statement is judged as it was written, with its parameters as data.

`mysql.connector.aio` is the same library with `await` before whatever sends or reads. So what is done here is written once:
a method's `Plan` says None (the application's own, left alone) or gives a generator that yields what the library's calls
return. `waited` drives it here, `mysql_connector_aio` awaits each.

What has no seam in Python is not let through unseen: an agent's statement is refused on connections of the C extension.

INVARIANT: a row of an agent's is masked before any cursor class sees it.

INVARIANT: no agent's statement follows one whose answer is still to come, or was given up: it would be read as the answer to
another. Nor does what another task sends on a connection pass as a part of the statement that runs there.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import secrets
from collections.abc import Callable, Generator, Iterator
from threading import get_ident
from typing import Any, Final

from guardai.hooks import Answer, Ask, Hooks, Run, acting
from guardai_dbapi.mysql import ASK, SESSION, Session, dialect_of, is_apart, is_lost, passes
from guardai_dbapi.mysql_connector_watch import distrust, drop, loses, misread, unanswered, watch
from guardai_dbapi.statement import Statement, begin, gperform
from guardai_dbapi.subclasses import governed_class

__all__ = ["CONNECTION", "CURSORS", "MysqlConnectorDriver", "Plan", "Steps", "governed", "iterated"]

#: Yields what a call of the library returned, and is sent the same, awaited where it has to be.
Steps = Generator[Any, Any, Any]
#: `plan(wrapped, instance, args, kwargs)`: what is done instead of the call; None: nothing.
Plan = Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Steps | None]

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
        for kind, methods in CURSORS.items():
            for name, plan in methods.items():
                hooks.wrap(f"mysql.connector.cursor:{kind}.{name}", _waited(plan))
        for name, wrapper in _WAITED.items():
            hooks.wrap(f"mysql.connector.connection:MySQLConnection.{name}", wrapper)
        for name in ("cmd_query", "cmd_stmt_prepare"):
            hooks.wrap(f"mysql.connector.connection_cext:CMySQLConnection.{name}", _refused)

    def wrap(self, obj: Any) -> Any | None:
        """One open connection, of a governed subclass from now on, without patching the library."""
        if not any(kind.__module__ == "mysql.connector.connection" for kind in type(obj).__mro__):
            return None
        kind: Any = type(obj)
        if not hasattr(kind, "_guardai_governed"):
            obj.__class__ = _subclass(kind)
        return obj


def _waited(plan: Plan) -> Any:
    """The face that waits: what the library's calls return is what they came to."""

    def wrapper(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        steps = plan(wrapped, instance, args, kwargs)
        return wrapped(*args, **kwargs) if steps is None else _run(steps)

    return wrapper


def _run(steps: Steps) -> Any:
    try:
        got = next(steps)
        while True:
            got = steps.send(got)
    except StopIteration as end:
        return end.value


# ---------------------------------------------------------------------- one connection


def _session(connection: Any) -> Session:
    session: Session | None = connection.__dict__.get(SESSION)
    if session is None or session.socket is not connection._socket:
        if session is not None and session.statement is not None:  # it has connected again
            session.statement.ticket.abandon()
        host = "localhost" if connection._unix_socket else connection._host
        session = Session(host, connection._port, connection._database, connection._user, connection.server_info or "")
        session.socket = connection._socket
        connection.__dict__[SESSION] = session
        watch(connection)
    return session


def _whose(connection: Any, text: str) -> Run | None:
    return acting(text, dialect_of(connection.server_info or ""))


def _me() -> int:
    """The task that runs now, or else the thread; by number, so that no connection keeps what a task came to."""
    # 0.06 µs where no loop runs, against 0.3: `current_task` alone raises there.
    task = asyncio.current_task() if asyncio._get_running_loop() is not None else None
    return get_ident() if task is None else id(task)


def _passes(connection: Any) -> bool:
    """Whether what is sent now is a part of a statement that was judged, or a text of ours."""
    return passes(connection) and connection.__dict__[SESSION].owner == _me()


def _elsewhere(session: Session) -> bool:
    """Whether another task is at work on the connection."""
    return (session.asking or session.inside is not None) and session.owner != _me()


def _text(connection: Any, query: Any) -> str | None:
    if isinstance(query, str):
        return query
    if isinstance(query, (bytes, bytearray)):
        return bytes(query).decode(connection.python_charset, "surrogateescape")
    return None


# ---------------------------------------------------------------------- what is sent


def _execute(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps | None:
    connection = _connected(cursor)
    if connection is None or _passes(connection):
        return None
    query, given, more = _asked(*args, **kwargs)
    text = _text(connection, query)
    run = _whose(connection, text) if text else None
    if run is None or not text:
        return None
    whole = isinstance(given, (list, tuple, dict))
    if given and whole and not cursor._binary and not is_apart(text):
        # The values are put into the text, and can change how the rest of it reads. What it will be is not told here.
        text = "-- a place of a value within quotes\n" + text
        return governed(connection, run, text, given, lambda _: None, dialect="unknown")
    return governed(
        connection,
        run,
        text,
        given if whole else None,
        lambda bound: wrapped(query, bound if whole else given, **more),
        lambda _: cursor._rowcount,
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


def _executemany(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps | None:
    connection = _connected(cursor)
    if connection is None or _passes(connection):
        return None
    query, given, _ = _many(*args, **kwargs)
    text = _text(connection, query)
    run = _whose(connection, text) if text and given else None
    if run is None or not text or not (cursor._binary or is_apart(text)) or not isinstance(given, (list, tuple)):
        return None  # each statement that comes of it is judged by itself
    return governed(connection, run, text, given, lambda bound: wrapped(query, bound), lambda _: cursor._rowcount)


def _many(operation: Any, seq_params: Any) -> tuple[Any, Any, None]:
    return operation, seq_params, None


def _callproc(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps | None:
    connection = _connected(cursor)
    if connection is None or _passes(connection):
        return None
    name, given = _procedure(*args, **kwargs)
    text = f"CALL {name}({', '.join(['%s'] * len(given))})"
    run = _whose(connection, text)
    return None if run is None else governed(connection, run, text, given, lambda bound: wrapped(name, bound))


def _procedure(procname: Any, args: Any = ()) -> tuple[Any, Any]:
    return procname, args


def _cmd_query(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps | None:
    query = args[0] if args else kwargs["query"]
    text = None if _passes(connection) else _text(connection, query)
    if text is None:
        return None
    session: Session | None = connection.__dict__.get(SESSION)
    run = None if _its_own(text, session) else _whose(connection, text)
    if run is None:
        if session is not None:
            _over(connection, session)
            session.own(text, several=True)
        return None
    return governed(connection, run, text, None, lambda _: wrapped(*args, **kwargs), _told)


def _its_own(text: str, session: Session | None) -> bool:
    # After a reset it sets anew the mode that guardai or a cursor has asked for.
    again = session is not None and session.heard and text == f"SET @@session.sql_mode = '{session.modes}'"
    return again or _ITS_OWN.fullmatch(text) is not None


def _cmd_init_db(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps | None:
    """`USE` by a command of its own; also how the library goes to the database that a connection was opened with."""
    name = args[0] if args else kwargs["database"]
    text = f"USE `{str(name).replace('`', '``')}`"
    run = None if name == connection._database else _whose(connection, text)
    if run is None:
        session: Session | None = connection.__dict__.get(SESSION)
        if session is not None:
            session.stale = True
        return None
    return governed(connection, run, text, None, lambda _: wrapped(*args, **kwargs))


def _anew(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps | None:
    """Another user, or all that was set is gone."""
    session: Session | None = connection.__dict__.get(SESSION)
    return None if session is None else _forgotten(connection, session, functools.partial(wrapped, *args, **kwargs))


def _forgotten(connection: Any, session: Session, call: Callable[[], Any]) -> Steps:
    try:
        return (yield call())
    finally:
        session.changed()
        if not _pending(connection) and not _elsewhere(session):
            connection.__dict__.pop(SESSION, None)


def _told(result: Any) -> int | None:
    """How many rows a statement changed; of one with a result nothing is told."""
    return result.get("affected_rows") if isinstance(result, dict) else None


def iterated(connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Run, str] | None:
    """Whose `cmd_query_iter` this is, and its text; None if it is to be left alone."""
    text = None if _passes(connection) else _text(connection, args[0] if args else kwargs["statements"])
    run = None if text is None else _whose(connection, text)
    return None if run is None or text is None else (run, text)


def _cmd_query_iter(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = iterated(connection, args, kwargs)
    results = wrapped(*args, **kwargs)
    return results if found is None else _each(results, connection, *found)


def _each(results: Iterator[Any], connection: Any, run: Run, text: str) -> Iterator[Any]:
    yield _run(governed(connection, run, text, None, lambda _: next(results)))
    yield from results


def _cmd_stmt_prepare(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps:
    made = yield wrapped(*args, **kwargs)
    query = args[0] if args else kwargs["statement"]
    connection.__dict__.setdefault(_PREPARED, {})[made["statement_id"]] = _text(connection, query) or ""
    return made


def _cmd_stmt_close(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    connection.__dict__.get(_PREPARED, {}).pop(args[0] if args else kwargs["statement_id"], None)


def _cmd_stmt_execute(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps | None:
    if _passes(connection):
        return None
    # INVARIANT: what was prepared before anybody looked is not understood, and no harmless statement.
    text = connection.__dict__.get(_PREPARED, {}).get(args[0] if args else kwargs["statement_id"], "EXECUTE unknown")
    run = _whose(connection, text)
    if run is None:
        session: Session | None = connection.__dict__.get(SESSION)
        if session is not None:
            _over(connection, session)
        return None
    return governed(connection, run, text, None, lambda _: wrapped(*args, **kwargs), _told)


def governed(
    connection: Any,
    run: Run,
    text: str,
    parameters: Any,
    effect: Callable[[Any], Any],
    affected: Callable[[Any], int | None] = lambda _: None,
    dialect: str = "",
    *,
    asks: bool = False,
) -> Steps:
    """One statement of an agent, from the decision to its first result.

    Args:
        connection: the library's.
        run: whose statement it is.
        text: the statement, as it was written.
        parameters: what is bound to it.
        effect: runs it, given its parameters.
        affected: how many rows it changed, given what the effect returned.
        dialect: another than the server's, for what is not understood.
        asks: it is one statement with one set of parameters.
    """
    session = _session(connection)
    taken = _elsewhere(session) or loses(connection)
    if not taken and connection._unread_result and connection.can_consume_results:
        yield from _release(connection, session)
    # The library refuses to send before a result is read, not before the next of several is.
    taken = taken or misread(connection) or (connection._have_next_result and not connection._unread_result)
    if not taken:
        session.owner = _me()
        taken = not _pending(connection) and not (yield from _learn(connection, session))
    statement = begin(run, session.target, text, dialect or session.reads(text), parameters, session.schema())
    ticket = statement.ticket
    if taken:
        return (yield from _unsure(connection, statement, effect))
    if dialect and ticket.enforcing:
        ticket.impossible("a value would be put within quotes of the statement; leave the quotes to the driver")
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
    found: list[Any] = []

    def counted() -> int | None:
        return affected(found[0]) if found else None

    def performed(bound: Any) -> Steps:
        found.append((yield effect(bound)))
        return found[0]

    try:
        result = yield from gperform(
            functools.partial(_own, connection, session), statement, performed, counted,
            functools.partial(_means, connection), ask=functools.partial(_asks, connection, session),
        )  # fmt: skip
    except BaseException as exc:
        drop(connection, exc)
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
        yield from _ended(connection, session, statement, counted() if statement.rows is None else None)
    return result


def _unsure(connection: Any, statement: Statement, effect: Callable[[Any], Any]) -> Steps:
    """What is read may not be the answer: that to another is still to come, or may come although it was given up."""
    if statement.ticket.enforcing and loses(connection):
        statement.ticket.impossible(
            "mysql.connector.aio loses parts of answers where it compresses; use compress=False"
        )
    if statement.ticket.enforcing:
        statement.ticket.impossible(
            "an answer to another statement is still to come on this connection, or was given up; read all its results, "
            "and open a connection for each task"
        )
    try:
        result = yield effect(statement.parameters)
    except BaseException as exc:
        statement.failed(exc, lost=True)
        raise
    statement.ticket.abandon()
    return result


def _means(connection: Any, exc: BaseException) -> dict[str, bool]:
    """What an error says: that nobody knows what the server did, or that the engine was locked against this."""
    from mysql.connector.errors import ReadTimeoutError, WriteTimeoutError

    code = getattr(exc, "errno", None)
    lost = is_lost(code) or isinstance(exc, (ReadTimeoutError, WriteTimeoutError)) or unanswered(connection)
    return {"lost": lost, "barred": code == 1792}


# ---------------------------------------------------------------------- texts of ours


def _pending(connection: Any) -> bool:
    """Whether results wait to be read: nothing else may be sent before they are."""
    return bool(connection._unread_result or connection._have_next_result)


def _unseen(connection: Any, session: Session, call: Callable[[], Any]) -> Steps:
    """What the library sends and reads meanwhile is ours."""
    session.asking, session.owner = True, _me()
    try:
        return (yield call())
    except BaseException as exc:
        drop(connection, exc)
        raise
    finally:
        session.asking = False


def _ask(connection: Any, session: Session, text: str) -> Steps:
    if misread(connection):
        raise ConnectionError("nothing can be asked: an answer is still to come")
    told = yield from _unseen(connection, session, lambda: connection.cmd_query(text))
    if "columns" not in told:
        return []
    rows, _ = yield from _unseen(connection, session, lambda: connection.get_rows(raw=False))
    return rows


def _asks(connection: Any, session: Session, ask: Ask) -> Steps:
    """Runs a query of ours with parameters."""
    plain = functools.partial(connection.cursor, buffered=False, raw=False, prepared=False, dictionary=False)
    cursor = yield from _unseen(connection, session, plain)
    yield from _unseen(connection, session, lambda: cursor.execute(ask.sql, ask.parameters or ()))
    rows = yield from _unseen(connection, session, cursor.fetchall)
    return Answer([column[:2] for column in cursor.description], rows)


def _own(connection: Any, session: Session, text: str) -> Steps:
    if _pending(connection):
        session.deferred.append(text)
    else:
        yield from _ask(connection, session, text)


def _learn(connection: Any, session: Session) -> Steps:
    """Asks the server what is not known. What it does not tell is taken for the worst.

    Returns:
        Whether what comes on this connection is the answer to what was asked.
    """
    from mysql.connector.errors import Error

    try:
        if session.stale:
            number = str(secrets.randbits(62))
            rows = yield from _ask(connection, session, f"{ASK}, @@SESSION.autocommit, {number}")
            if len(rows) != 1 or len(rows[0]) != 5 or str(rows[0][4]) != number:
                distrust(connection)
                return False
            session.heard = True
            session.told([rows[0][:3]])
            session.autocommit = bool(rows[0][3])
            # The cursors ask for it while they put values into a statement; then it would be a result of the statement's.
            connection._sql_mode = session.modes
        if session.schema() is None:
            learning = session.learning()
            with contextlib.suppress(StopIteration):
                text = next(learning)
                while True:
                    text = learning.send(list((yield from _ask(connection, session, text))))
    except ConnectionError:  # somebody else has sent something meanwhile
        return False
    except Error as exc:
        return session.heard or _means(connection, exc)["lost"]  # which the library will say again
    return True


def _flush(connection: Any, session: Session) -> Steps:
    texts, session.deferred = session.deferred, []
    for text in texts:
        with contextlib.suppress(Exception):
            yield from _ask(connection, session, text)


# ---------------------------------------------------------------------- what comes back


def _release(connection: Any, session: Session) -> Steps:
    """Nobody reads the rest of the last statement's results."""
    statement, session.statement = session.statement, None
    try:
        yield from _unseen(connection, session, connection.consume_results)
    finally:
        if statement is not None:
            statement.ticket.abandon()
    if not _pending(connection):
        yield from _flush(connection, session)


def _consume(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps | None:
    """The library reads away what nobody wants."""
    session: Session | None = connection.__dict__.get(SESSION)
    if session is None or session.asking or session.statement is None or not connection._unread_result:
        return None
    return _consumed(connection, session, session.statement, functools.partial(wrapped, *args, **kwargs))


def _consumed(connection: Any, session: Session, statement: Statement, call: Callable[[], Any]) -> Steps:
    result = yield from _unseen(connection, session, call)
    if not _pending(connection) and statement is not session.inside:
        session.statement = None
        statement.ticket.abandon()
        yield from _flush(connection, session)
    return result


def _ended(connection: Any, session: Session, statement: Statement, affected: int | None) -> Steps:
    """The last result has been read."""
    session.statement = None
    if statement.rows is not None:
        statement.rows.end()
    else:
        statement.wrote(affected)
    yield from _flush(connection, session)


def _over(connection: Any, session: Session) -> None:
    """The application's own statement comes: what was an agent's is over, if nothing of it is left to be read."""
    if session.statement not in (None, session.inside) and not _pending(connection):
        session.statement.ticket.abandon()
        session.statement = None


def _reads(connection: Any) -> tuple[Session, Statement] | None:
    """The agent's statement whose results are read now; None if they are the application's, or ours."""
    session: Session | None = connection.__dict__.get(SESSION)
    if session is None:
        return None
    if _elsewhere(session):
        raise RuntimeError("another task awaits an answer on this connection")
    return None if session.asking or session.statement is None else (session, session.statement)


def _result(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps | None:
    """A result begins: of a text (a dictionary) or of a prepared statement (a tuple)."""
    reads = _reads(connection)
    return None if reads is None else _begun(connection, *reads, functools.partial(wrapped, *args, **kwargs))


def _begun(connection: Any, session: Session, statement: Statement, call: Callable[[], Any]) -> Steps:
    try:
        told = yield call()
    except BaseException as exc:
        if statement is not session.inside:
            session.statement = None
            statement.failed(exc, **_means(connection, exc))
            drop(connection, exc)
        raise
    columns = told[1] if isinstance(told, tuple) else told.get("columns")
    if columns:
        connection.unread_result = True
        statement.began([column[0] for column in columns])
    elif statement is not session.inside and not _pending(connection):
        yield from _ended(connection, session, statement, None)
    return told


def _get_rows(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps | None:
    reads = _reads(connection)
    if reads is None or reads[1].rows is None:
        return None
    return _passed(connection, *reads, functools.partial(wrapped, *args, **kwargs))


def _passed(connection: Any, session: Session, statement: Statement, call: Callable[[], Any]) -> Steps:
    try:
        rows, eof = yield call()
    except BaseException as exc:
        statement.failed(exc, **_means(connection, exc))
        drop(connection, exc)
        if statement is not session.inside and not _pending(connection):
            session.statement = None
            yield from _flush(connection, session)
        raise
    assert statement.rows is not None, "they began"
    if unanswered(connection):
        statement.rows.withhold(RuntimeError("another task was at work on this connection: these may be its rows"))
    passed = statement.rows.many(rows)
    if eof is not None and statement is not session.inside and not _pending(connection):
        yield from _ended(connection, session, statement, None)
    return passed, eof


def _fetch_warnings(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Steps | None:
    """The library asks for warnings while it ends a statement: a statement of its own, judged as one."""
    connection = _connected(cursor)
    session: Session | None = None if connection is None else connection.__dict__.get(SESSION)
    return None if session is None else _warned(session, functools.partial(wrapped, *args, **kwargs))


def _warned(session: Session, call: Callable[[], Any]) -> Steps:
    kept = session.inside, session.statement
    session.inside = session.statement = None
    try:
        return (yield call())
    finally:
        session.inside, session.statement = kept


def _close(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    session: Session | None = connection.__dict__.get(SESSION)
    # One that still runs has the library close the connection: its outcome is told by what it raises.
    if session is not None and session.statement not in (None, session.inside) and not unanswered(connection):
        session.statement.ticket.abandon()
        session.statement = None


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


# ---------------------------------------------------------------------- what is wrapped


CURSORS: Final[dict[str, dict[str, Plan]]] = {
    "MySQLCursor": {
        "execute": _execute,
        "executemany": _executemany,
        "callproc": _callproc,
        "_fetch_warnings": _fetch_warnings,
    },
    "MySQLCursorPrepared": {"execute": _execute, "executemany": _executemany},
}
CONNECTION: Final[dict[str, Plan]] = {
    "cmd_query": _cmd_query,
    "cmd_init_db": _cmd_init_db,
    "cmd_change_user": _anew,
    "cmd_reset_connection": _anew,
    "cmd_stmt_prepare": _cmd_stmt_prepare,
    "cmd_stmt_execute": _cmd_stmt_execute,
    "cmd_stmt_close": _cmd_stmt_close,
    "_handle_result": _result,
    "_handle_binary_result": _result,
    "get_rows": _get_rows,
    "consume_results": _consume,
    "close": _close,
    "disconnect": _close,
}
_WAITED: Final[dict[str, Any]] = {
    **{name: _waited(plan) for name, plan in CONNECTION.items()},
    "cmd_query_iter": _cmd_query_iter,
}


@functools.cache
def _subclass(kind: Any) -> Any:
    """The governed subclass of a connection's class. Its cursors are judged and masked by what they send and read."""
    return governed_class(kind, _WAITED, _guardai_governed=True)
