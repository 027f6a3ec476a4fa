"""MariaDB Connector/Python: judged and masked at its cursor class, which is Python around a C type.

Not governed are the C types' own methods called by name (`mariadb._mariadb.cursor.fetchone(cursor)`) and the private
`Connection._execute_command`, by which the library commits. A `converter` of the program's is called in C: it sees what is
in the database.

INVARIANT: rows of an agent's leave the cursor masked, in whatever form it was asked to make them.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Final

from guardai.hooks import Answer, Ask, Hooks, Run, acting
from guardai_dbapi.mysql import ASK, SESSION, Session, dialect_of, is_apart, is_lost, origin, passes
from guardai_dbapi.statement import Statement, begin, perform
from guardai_dbapi.subclasses import governed_class

__all__ = ["MariadbDriver"]

#: Under this name a cursor keeps the statement whose rows it has.
_STATEMENT: Final = "_guardai"
_BUFFERED: Final = "_guardai_buffered"
_IN_TRANSACTION: Final = 1
_MORE_RESULTS: Final = 8
_AS_TUPLE: Final = 0
_AS_DICTIONARY: Final = 2


class MariadbDriver:
    """MariaDB Connector/Python 1.1, the C extension."""

    library = "mariadb"
    targets: tuple[str, ...] = ("mariadb.cursors",)
    versions = ">=1.1.10,<2"

    def install(self, hooks: Hooks) -> None:
        """Wraps the cursor class; cursors that are open already are governed too."""
        for name, wrapper in _METHODS.items():
            hooks.wrap(f"mariadb.cursors:Cursor.{name}", wrapper)

    def wrap(self, obj: Any) -> Any | None:
        """One open connection, of a governed subclass from now on, without patching the library."""
        if not any(kind.__module__ == "mariadb.connections" for kind in type(obj).__mro__):
            return None
        kind: Any = type(obj)
        if not hasattr(kind, "_guardai_governed"):
            obj.__class__ = _connection_class(kind)
        return obj


def _session(connection: Any) -> Session:
    session: Session | None = connection.__dict__.get(SESSION)
    if session is None:
        host = "localhost" if connection.unix_socket else connection.server_name
        session = Session(
            host, connection.server_port, connection.database, connection.user, connection.server_info or ""
        )
        connection.__dict__[SESSION] = session
    return session


# ---------------------------------------------------------------------- what is sent


def _execute(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection = cursor._connection
    if connection._closed or passes(connection):
        return wrapped(*args, **kwargs)
    query, given, buffered = _asked(*args, **kwargs)
    if cursor._prepared and cursor.statement:
        query = cursor.statement  # the library runs this one, whatever it is given
    run = acting(query, dialect_of(connection.server_info or "")) if isinstance(query, str) else None
    if run is None:
        _own_statement(connection, cursor, query)
        return wrapped(*args, **kwargs)
    whole = isinstance(given, (list, tuple, dict))

    def effect(bound: Any) -> Any:
        session = _session(connection)
        # What stands around the statement can only end once its rows are here.
        more = True if session.inside is not None and session.inside.guard.before else buffered
        return wrapped(query, bound if whole else given, more)

    return _governed(cursor, run, query, given if whole else None, effect, asks=True)


def _asked(statement: Any, data: Any = (), buffered: Any = None) -> tuple[Any, Any, Any]:
    return statement, data, buffered


def _executemany(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection = cursor._connection
    if connection._closed or passes(connection):
        return wrapped(*args, **kwargs)
    query, given = _many(*args, **kwargs)
    run = acting(query, dialect_of(connection.server_info or "")) if isinstance(query, str) else None
    if run is None or not isinstance(given, (list, tuple)):
        _own_statement(connection, cursor, query)
        return wrapped(*args, **kwargs)  # the library takes nothing but lists and tuples
    return _governed(cursor, run, query, given, lambda bound: wrapped(query, bound))


def _many(statement: Any, parameters: Any) -> tuple[Any, Any]:
    return statement, parameters


def _own_statement(connection: Any, cursor: Any, query: Any) -> None:
    """The application's own statement is sent."""
    _release(cursor)
    session: Session | None = connection.__dict__.get(SESSION)
    if session is not None:
        _flush(connection, session)
        session.own(str(query), several=True)


def _governed(
    cursor: Any, run: Run, text: str, parameters: Any, effect: Callable[[Any], Any], *, asks: bool = False
) -> Any:
    connection = cursor._connection
    session = _session(connection)
    _flush(connection, session)
    _learn(connection, session)
    dialect = session.reads(text) if not parameters or is_apart(text) else "unknown"
    statement = begin(run, session.target, text, dialect, parameters, session.schema())
    ticket = statement.ticket
    transaction = bool(connection.server_status & _IN_TRANSACTION)
    alone = connection.autocommit or (ticket.reads_only and not transaction)
    statement.guarded(session.dialect, autocommit=alone, transaction=transaction, asks=asks)
    _release(cursor)
    cursor.__dict__[_BUFFERED] = cursor.buffered
    session.inside = statement
    try:
        result = perform(
            functools.partial(_own, connection, session), statement, effect, lambda: _affected(cursor), _means,
            ask=functools.partial(_asks, connection, session),
        )  # fmt: skip
    finally:
        session.inside = None
        if ticket.plan.redefines:
            session.ran(text)
    if cursor.field_count:
        _begin(cursor, session, statement)
    elif connection.server_status & _MORE_RESULTS:
        cursor.__dict__[_STATEMENT] = statement
        statement.pending()
    else:
        statement.wrote(_affected(cursor))
    return result


def _affected(cursor: Any) -> int | None:
    count = cursor.rowcount
    return count if isinstance(count, int) and 0 <= count < 1 << 63 else None


def _begin(cursor: Any, session: Session, statement: Statement) -> None:
    # In place before anything that can fail: a cursor with rows is never without what masks them.
    cursor.__dict__[_STATEMENT] = statement
    told = cursor.metadata
    statement.began(
        told["field"],
        [
            origin(schema, session.database, table, column)
            for schema, table, column in zip(told["schema"], told["org_table"], told["org_field"], strict=True)
        ],
    )


def _means(exc: BaseException) -> dict[str, bool]:
    """What an error says: that the connection is gone, or that the engine was locked against this."""
    code = getattr(exc, "errno", None)
    return {"lost": is_lost(code), "barred": code == 1792}


# ---------------------------------------------------------------------- texts of ours


@contextlib.contextmanager
def _asking(connection: Any, session: Session) -> Iterator[Any]:
    """A plain cursor for texts of ours. What the program sees of its own last statement stays as it is."""
    from mariadb.cursors import Cursor

    kept, session.asking = connection._last_executed_statement, True
    cursor = Cursor(connection)
    try:
        yield cursor
    finally:
        cursor.close()
        session.asking = False
        connection._last_executed_statement = kept


def _ask(connection: Any, session: Session, text: str) -> list[Any]:
    with _asking(connection, session) as cursor:
        cursor.execute(text)
        return list(cursor.fetchall()) if cursor.field_count else []


def _asks(connection: Any, session: Session, ask: Ask) -> Answer:
    """Runs a query of ours with parameters."""
    with _asking(connection, session) as cursor:
        cursor.execute(ask.sql, ask.parameters or ())
        return Answer([column[:2] for column in cursor.description], cursor.fetchall())


def _own(connection: Any, session: Session, text: str) -> None:
    if connection.server_status & _MORE_RESULTS:
        session.deferred.append(text)
    else:
        _ask(connection, session, text)


def _learn(connection: Any, session: Session) -> None:
    """Asks the server what is not known. What it does not tell, results that wait say, is taken for the worst."""
    from mariadb import Error

    with contextlib.suppress(Error):
        if session.stale:
            session.told(_ask(connection, session, ASK))
        if session.schema() is None:
            session.learn(functools.partial(_ask, connection, session))


def _flush(connection: Any, session: Session) -> None:
    texts, session.deferred = session.deferred, []
    for text in texts:
        with contextlib.suppress(Exception):
            _ask(connection, session, text)


# ---------------------------------------------------------------------- what comes back


def _release(cursor: Any) -> None:
    """Nobody reads the rest of the last statement's rows."""
    statement: Statement | None = cursor.__dict__.pop(_STATEMENT, None)
    if statement is not None:
        statement.ticket.abandon()
    buffered = cursor.__dict__.pop(_BUFFERED, None)
    if buffered is not None:
        cursor.buffered = buffered


@contextlib.contextmanager
def _as_tuples(cursor: Any) -> Iterator[bool]:
    """Dictionaries are made here, of masked rows: two columns of one name are one key, but have two labels."""
    asked = cursor._resulttype
    if asked != _AS_DICTIONARY:
        yield False
        return
    cursor._resulttype = _AS_TUPLE
    try:
        yield True
    finally:
        cursor._resulttype = asked


def _fetched(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, one: bool) -> Any:
    statement: Statement | None = cursor.__dict__.get(_STATEMENT)
    if statement is None or statement.rows is None:
        return wrapped(*args, **kwargs)
    rows = statement.rows
    try:
        with _as_tuples(cursor) as dictionaries:
            got = wrapped(*args, **kwargs)
    except BaseException as exc:
        statement.failed(exc, **_means(exc))
        raise
    found = [got] if one and got is not None else got or []
    kinds = [type(row) for row in found]
    passed = rows.many([tuple(row) for row in found])
    names = cursor.metadata["field"] if dictionaries else ()
    made = [
        dict(zip(names, row, strict=True)) if dictionaries else row if kind is tuple else kind(row)
        for kind, row in zip(kinds, passed, strict=True)
    ]
    if not found and not cursor._connection.server_status & _MORE_RESULTS:
        rows.end()
    if one:
        return made[0] if made else None
    return made


def _fetch_one(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _fetched(wrapped, cursor, args, kwargs, one=True)


def _fetch_some(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _fetched(wrapped, cursor, args, kwargs, one=False)


def _fetch_all(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = _fetched(wrapped, cursor, args, kwargs, one=False)
    statement: Statement | None = cursor.__dict__.get(_STATEMENT)
    if statement is not None and statement.rows is not None and not cursor._connection.server_status & _MORE_RESULTS:
        statement.rows.end()
    return found


def _nextset(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    statement: Statement | None = cursor.__dict__.get(_STATEMENT)
    if statement is None:
        return wrapped(*args, **kwargs)
    try:
        more = wrapped(*args, **kwargs)
    except BaseException as exc:
        statement.failed(exc, **_means(exc))
        raise
    if more and cursor.field_count:
        _begin(cursor, _session(cursor._connection), statement)
    elif not more or not cursor._connection.server_status & _MORE_RESULTS:
        statement.ticket.close(None)
    return more


def _close(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _release(cursor)
    return wrapped(*args, **kwargs)


# ---------------------------------------------------------------------- one connection


_METHODS: Final[dict[str, Any]] = {
    "execute": _execute,  # `callproc` calls it
    "executemany": _executemany,
    "_fetch_row": _fetch_one,  # `fetchone` and iteration call it
    "next": _fetch_one,
    "fetchmany": _fetch_some,
    "fetchrows": _fetch_some,
    "fetchall": _fetch_all,
    "nextset": _nextset,
    "close": _close,
}


@functools.cache
def _cursor_class(kind: Any) -> Any:
    return governed_class(kind, _METHODS)


@functools.cache
def _connection_class(kind: Any) -> Any:
    from mariadb.cursors import Cursor

    plain: Any = Cursor

    def cursor(self: Any, cursorclass: Any = plain, **kwargs: Any) -> Any:
        return kind.cursor(self, _cursor_class(cursorclass), **kwargs)

    return governed_class(kind, {}, cursor=cursor, _guardai_governed=True)
