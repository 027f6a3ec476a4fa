"""PyMySQL: judged where a text is sent, masked where a result is read, before any cursor class sees a row.

Every text goes through `Connection.query` and every result comes through `Connection._read_query_result`, whatever
cursor class a program uses or makes. The cursors' own methods are wrapped besides, so that a statement is judged as it
was written, with its parameters as data.

INVARIANT: a row of an agent's is masked before it is in reach of the program's own cursor classes; an unbuffered one is
masked as it is read.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from guardai.hooks import Answer, Ask, Hooks, Run, acting
from guardai_dbapi.mysql import ASK, SESSION, Session, dialect_of, is_lost, is_template, origin
from guardai_dbapi.statement import Statement, begin, perform
from guardai_dbapi.subclasses import governed_class

__all__ = ["PymysqlDriver"]

_IN_TRANSACTION: Final = 1  # SERVER_STATUS_IN_TRANS
_COM_QUERY: Final = 3
_MULTI_STATEMENTS: Final = 1 << 16


class PymysqlDriver:
    """PyMySQL, for MySQL and MariaDB."""

    library = "pymysql"
    targets: tuple[str, ...] = ("pymysql.connections", "pymysql.cursors")
    versions = ">=1.2,<2"

    def install(self, hooks: Hooks) -> None:
        """Wraps what sends and what reads; connections that are open already are governed too."""
        for name, wrapper in _CURSOR.items():
            hooks.wrap(f"pymysql.cursors:Cursor.{name}", wrapper)
        for name, wrapper in _CONNECTION.items():
            hooks.wrap(f"pymysql.connections:Connection.{name}", wrapper)

    def wrap(self, obj: Any) -> Any | None:
        """One open connection, of a governed subclass from now on, without patching the library."""
        if not type(obj).__module__.startswith("pymysql") and "pymysql.connections" not in _modules(obj):
            return None
        from pymysql.connections import Connection

        if not isinstance(obj, Connection):
            return None
        kind: Any = type(obj)
        if not hasattr(kind, "_guardai_governed"):
            obj.__class__ = _subclass(kind, tuple(_CONNECTION))
        return obj


def _modules(obj: Any) -> set[str]:
    return {kind.__module__ for kind in type(obj).__mro__}


def _session(connection: Any) -> Session:
    session: Session | None = connection.__dict__.get(SESSION)
    if session is None:
        host = "localhost" if connection.unix_socket else connection.host
        session = Session(host, connection.port, connection.db, connection.user, connection.server_version)
        connection.__dict__[SESSION] = session
    return session


def _decoded(connection: Any, query: Any) -> str | None:
    if isinstance(query, str):
        return query
    if isinstance(query, (bytes, bytearray, memoryview)):
        return bytes(query).decode(connection.encoding, "surrogateescape")
    return None


# ---------------------------------------------------------------------- what is sent


def _execute(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection = cursor.connection
    if connection is None or not connection.open or _inside(connection):
        return wrapped(*args, **kwargs)
    query, given = _given(*args, **kwargs)
    text = _decoded(connection, query)
    run = None if text is None else acting(text, dialect_of(connection.server_version))
    if run is None or text is None:
        return wrapped(*args, **kwargs)
    whole = isinstance(given, (list, tuple, dict))
    if given is None:
        judged = text
    elif _is_template(connection, text):
        judged = text.replace("%%", "%")
    else:
        judged = cursor.mogrify(query, given)

    def effect(bound: Any) -> Any:
        return wrapped(query) if given is None else wrapped(query, bound if whole else bound[0])

    parameters = given if whole or given is None else [given]
    return _governed(
        connection,
        run,
        judged,
        parameters,
        effect,
        lambda: cursor.rowcount,
        unbuffered=_unbuffered(cursor),
        single=True,
    )


def _given(query: Any, args: Any = None) -> tuple[Any, Any]:
    return query, args


def _executemany(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection = cursor.connection
    if connection is None or not connection.open or _inside(connection):
        return wrapped(*args, **kwargs)
    query, given = _given(*args, **kwargs)
    text = _decoded(connection, query)
    run = None if text is None or not given else acting(text, dialect_of(connection.server_version))
    if run is None or text is None or not _is_template(connection, text):
        return wrapped(*args, **kwargs)  # each statement that comes of it is judged by itself
    session = _session(connection)

    def effect(bound: Any) -> Any:
        return wrapped(query, bound if isinstance(bound, (list, tuple, dict)) else _outside(session, bound))

    judged = text.replace("%%", "%")
    return _governed(connection, run, judged, given, effect, lambda: cursor.rowcount, unbuffered=_unbuffered(cursor))


def _outside(session: Session, rows: Iterable[Any]) -> Iterator[Any]:
    """Rows that the program makes while they are sent. What it does meanwhile is no part of the statement."""
    upcoming = iter(rows)
    while True:
        inside, session.inside = session.inside, None
        try:
            row = next(upcoming, _outside)
        finally:
            session.inside = inside
        if row is _outside:
            return
        yield row


def _callproc(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection = cursor.connection
    if connection is None or not connection.open or _inside(connection):
        return wrapped(*args, **kwargs)
    name, given = _procedure(*args, **kwargs)
    escaped = str(name).replace("`", "``")
    text = f"CALL `{escaped}`({', '.join(['%s'] * len(given))})"
    run = acting(text, dialect_of(connection.server_version))
    if run is None:
        return wrapped(*args, **kwargs)
    _governed(
        connection,
        run,
        text,
        given,
        lambda bound: wrapped(name, bound),
        lambda: cursor.rowcount,
        unbuffered=_unbuffered(cursor),
    )
    return given


def _procedure(procname: Any, args: Any = ()) -> tuple[Any, Any]:
    return procname, args


def _query(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not connection.open or _inside(connection):
        return wrapped(*args, **kwargs)
    sql, unbuffered = _asked(*args, **kwargs)
    text = _decoded(connection, sql)
    run = None if text is None else acting(text, dialect_of(connection.server_version))
    if run is None or text is None:
        session: Session | None = connection.__dict__.get(SESSION)
        if session is not None and text is not None:
            session.own(text, several=bool(connection.client_flag & _MULTI_STATEMENTS))
        return wrapped(*args, **kwargs)
    return _governed(
        connection,
        run,
        text,
        None,
        lambda _: wrapped(sql, unbuffered),
        lambda: connection._affected_rows,
        unbuffered=unbuffered,
        single=True,
    )


def _asked(sql: Any, unbuffered: Any = 0) -> tuple[Any, bool]:
    return sql, bool(unbuffered)


def _show_warnings(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    text = "SHOW WARNINGS"
    run = acting(text, "mysql") if connection.open and not _inside(connection) else None
    if run is None:
        return wrapped(*args, **kwargs)

    def effect(_: Any) -> Any:
        statement = _session(connection).inside
        assert statement is not None, "it runs inside a statement"
        found = wrapped()
        return tuple(statement.began(("Level", "Code", "Message")).many(list(found)))

    return _governed(connection, run, text, None, effect, lambda: None, unbuffered=False, asks=False)


def _select_db(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    session: Session | None = connection.__dict__.get(SESSION)
    if session is not None:
        session.stale = True
    return wrapped(*args, **kwargs)


def _inside(connection: Any) -> bool:
    session: Session | None = connection.__dict__.get(SESSION)
    return session is not None and session.inside is not None


def _is_template(connection: Any, text: str) -> bool:
    # A value may become any text at all where the program gave the connection encoders of its own.
    return connection.encoders == _encoders() and is_template(text)


@functools.cache
def _encoders() -> dict[Any, Any]:
    from pymysql.converters import encoders

    # The library's own alone: a program may have put others among them.
    return {kind: encode for kind, encode in encoders.items() if encode.__module__ == "pymysql.converters"}


def _unbuffered(cursor: Any) -> bool:
    from pymysql.cursors import SSCursor

    return isinstance(cursor, SSCursor)


def _governed(
    connection: Any,
    run: Run,
    text: str,
    parameters: Any,
    effect: Callable[[Any], Any],
    affected: Callable[[], int | None],
    *,
    unbuffered: bool,
    asks: bool = True,
    single: bool = False,
) -> Any:
    session = _session(connection)
    if asks and not _pending(connection):
        _learn(connection, session)
    schema = session.schema()
    statement = begin(run, session.target, text, session.reads(text), parameters, schema)
    ticket = statement.ticket
    transaction = bool(connection.server_status & _IN_TRANSACTION)
    # One read in a transaction of its own can be locked also where the program has not begun one.
    autocommit = connection.get_autocommit() or (ticket.reads_only and not transaction)
    alone = single and not _pending(connection)
    statement.guarded(session.dialect, autocommit=autocommit, transaction=transaction, asks=alone)
    if unbuffered and statement.guard.back and "returning" in text.lower():
        ticket.impossible("an unbuffered cursor does not tell how many rows a statement with RETURNING changes")
    _release(connection, session)
    session.statement = session.inside = statement
    try:
        result = perform(
            functools.partial(_own, connection, session), statement, effect, affected,
            functools.partial(_means, connection), ask=functools.partial(_asks, connection, session),
        )  # fmt: skip
    except BaseException:
        # Results that are not read yet stay an agent's.
        if not _pending(connection):
            session.statement = None
        raise
    finally:
        session.inside = None
        if ticket.plan.redefines:
            session.ran(text)
    if _pending(connection):
        statement.pending()
    else:
        _ended(connection, session, statement, affected())
    return result


def _means(connection: Any, exc: BaseException) -> dict[str, bool]:
    """What an error says: that the connection is gone, or that the engine was locked against this."""
    code = exc.args[0] if exc.args else None
    # InterfaceError(0): it was gone before anything was sent.
    return {"lost": is_lost(code) or (not connection.open and code != 0), "barred": code == 1792}


# ---------------------------------------------------------------------- texts of ours


def _pending(connection: Any) -> bool:
    """Whether results wait to be read: nothing else may be sent before they are."""
    result = connection._result
    return connection.open and result is not None and bool(result.unbuffered_active or result.has_next)


def _ask(connection: Any, session: Session, text: str) -> tuple[Any, ...]:
    """Runs a text of ours. What the program sees of its own last statement stays as it is."""
    from pymysql.connections import MySQLResult

    kept, session.asking = connection._result, True
    try:
        connection._execute_command(_COM_QUERY, text)
        result = MySQLResult(connection)
        result.read()
        if result.server_status is not None:
            connection.server_status = result.server_status
    finally:
        session.asking = False
        connection._result = kept
    return result.rows or ()


def _asks(connection: Any, session: Session, ask: Ask) -> Answer:
    """Runs a query of ours with parameters."""
    from pymysql.cursors import Cursor

    kept, session.asking = (connection._result, connection._affected_rows), True
    try:
        cursor = Cursor(connection)
        cursor.execute(ask.formatted, ask.parameters)
        return Answer([column[:2] for column in cursor.description], cursor.fetchall())
    finally:
        session.asking = False
        connection._result, connection._affected_rows = kept


def _own(connection: Any, session: Session, text: str) -> None:
    if _pending(connection):
        session.deferred.append(text)
    else:
        _ask(connection, session, text)


def _learn(connection: Any, session: Session) -> None:
    """Asks the server what is not known. What it does not tell is taken for the worst."""
    with contextlib.suppress(connection.Error):
        if session.stale:
            session.told(_ask(connection, session, ASK))
        if session.schema() is None:
            session.learn(lambda text: list(_ask(connection, session, text)))


def _flush(connection: Any, session: Session) -> None:
    texts, session.deferred = session.deferred, []
    for text in texts:
        with contextlib.suppress(connection.Error):
            _ask(connection, session, text)


def _command(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    session: Session | None = connection.__dict__.get(SESSION)
    if session is not None and not session.asking:
        if session.statement is not None and session.statement is not session.inside:
            _release(connection, session)
        elif session.deferred:
            _flush(connection, session)
    return wrapped(*args, **kwargs)


# ---------------------------------------------------------------------- what comes back


def _release(connection: Any, session: Session) -> None:
    """Nobody reads the rest of the last statement's results. They are read away as the library does it itself."""
    statement, session.statement = session.statement, None
    if statement is None:
        return
    try:
        result = connection._result
        if connection.open and result is not None:
            if result.unbuffered_active:
                warnings.warn("Previous unbuffered result was left incomplete", stacklevel=4)
                result._finish_unbuffered_query()
            while connection._result.has_next:
                connection.next_result()
            connection._result = None
    finally:
        statement.ticket.abandon()
    _flush(connection, session)


def _ended(connection: Any, session: Session, statement: Statement, affected: int | None) -> None:
    """The last result has been read."""
    session.statement = None
    if statement.rows is not None:
        statement.rows.end()
    else:
        statement.wrote(affected)
    _flush(connection, session)


def _read(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    session: Session | None = connection.__dict__.get(SESSION)
    statement = None if session is None else session.statement
    if session is None or statement is None:
        return wrapped(*args, **kwargs)
    later = statement is not session.inside
    try:
        affected = wrapped(*args, **kwargs)
    except BaseException as exc:
        if later:
            session.statement = None
            statement.failed(exc, **_means(connection, exc))
        raise
    result = connection._result
    if result.description is not None:
        raw, result.rows = result.rows, ()  # out of reach until they are masked
        streamed = result.unbuffered_active
        if streamed:
            kind: Any = type(result)
            result.__class__ = _result_class(kind)
            result._guardai = session, statement
        own = session.database
        rows = statement.began(
            [field.name for field in result.fields],
            [origin(_name(f.db), own, _name(f.org_table), _name(f.org_name)) for f in result.fields],
        )
        if not streamed:
            result.rows = tuple(rows.many(list(raw)))
    if later and not _pending(connection):
        _ended(connection, session, statement, affected)
    return affected


def _name(told: Any) -> str:
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else told or ""


@functools.cache
def _result_class(kind: Any) -> Any:
    """A result whose rows are masked as they are read."""

    class Result(kind):  # type: ignore[misc]
        _guardai: tuple[Session, Statement]
        unbuffered_active: bool
        rows: Any

        def _read_rowdata_packet_unbuffered(self) -> Any:
            connection, active = self.connection, self.unbuffered_active
            session, statement = self._guardai
            try:
                row = super()._read_rowdata_packet_unbuffered()
            except BaseException as exc:
                statement.failed(exc, **_means(connection, exc))
                raise
            if row is None:
                if active and not self.has_next and session.statement is statement:
                    _ended(connection, session, statement, None)
                return None
            self.rows = ()
            rows = statement.rows
            assert rows is not None, "they have begun"
            passed = rows.one(row)
            self.rows = (passed,)
            return passed

        def _finish_unbuffered_query(self) -> Any:
            if self.unbuffered_active:
                session, statement = self._guardai
                if self.connection is None or not self.connection.open:
                    self.unbuffered_active = False  # nothing is left to read away
                super()._finish_unbuffered_query()
                if not self.has_next:
                    statement.ticket.abandon()
                    if session.statement is statement:
                        session.statement = None  # texts of ours that wait go before the next command

    Result.__name__, Result.__qualname__, Result.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    return Result


def _close(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    session: Session | None = connection.__dict__.get(SESSION)
    if session is not None and session.statement is not None:
        session.statement.ticket.abandon()
        session.statement = None
    return wrapped(*args, **kwargs)


# ---------------------------------------------------------------------- one connection


_CURSOR: Final[dict[str, Any]] = {"execute": _execute, "executemany": _executemany, "callproc": _callproc}
_CONNECTION: Final[dict[str, Any]] = {
    "query": _query,
    "show_warnings": _show_warnings,
    "select_db": _select_db,
    "_execute_command": _command,
    "_read_query_result": _read,
    "close": _close,
}


@functools.cache
def _subclass(kind: Any, names: tuple[str, ...]) -> Any:
    """The governed subclass of a class, its methods wrapped as `install` wraps those of the library's own."""
    more: dict[str, Any] = {"_guardai_governed": True}
    if "query" in names:

        def cursor(self: Any, cursor: Any = None) -> Any:
            made = kind.cursor(self, cursor)
            made_of: Any = type(made)
            if not hasattr(made_of, "_guardai_governed"):
                made.__class__ = _subclass(made_of, tuple(_CURSOR))
            return made

        more["cursor"] = cursor
    wrappers = {**_CURSOR, **_CONNECTION}
    return governed_class(kind, {name: wrappers[name] for name in names}, **more)
