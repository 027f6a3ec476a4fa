"""sqlite3: connections and cursors of an agent's statements are real subclasses of what the program asked for.

`sqlite3.Connection` and `Cursor` are immutable C types, so `sqlite3.connect` is given a factory: a subclass, made once
for each class that a program asks for. `isinstance` holds, row factories and `Cursor(conn)` work, and nothing is proxied.
The gate stands between a program's own subclass and the C type: a subclass that rewrites statements is judged by what
it makes of them, and what it overrides is called as before. What goes round it: the C types' own constructors and
methods called by name, `sqlite3.Connection(...)`, `sqlite3.Cursor.execute(cursor, …)`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import unquote

import wrapt

from guardai.hooks import (
    Answer,
    Ask,
    Call,
    Hooks,
    LiveSchema,
    LiveSchemas,
    Rows,
    Run,
    Target,
    Ticket,
    acting,
    opened,
    read_schema,
    redefines,
)
from guardai_dbapi.statement import Guard, Statement, begin, perform

__all__ = ["SqliteDriver"]

_DIALECT: Final = "sqlite"
_NOTHING: Final = contextlib.nullcontext()
#: Before these the C level begins a transaction.
_BEGINNING: Final = re.compile(
    r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE | re.DOTALL
)

#: Connection methods that read or replace the database without a statement: method → (action, the result's label).
_WITHOUT_STATEMENT: Final = {
    "backup": ("data.export", ()),
    "deserialize": ("db.destroy", ()),
    "enable_load_extension": ("db.admin", ()),
    "load_extension": ("db.admin", ()),
    "serialize": ("data.export", ("opaque.raw",)),
}


class SqliteDriver:
    """The standard library's `sqlite3`."""

    library = ""
    targets: tuple[str, ...] = ("sqlite3",)
    versions = ">=3.11"

    def install(self, hooks: Hooks) -> None:
        """Wraps both names under which programs find `connect`."""
        for target in ("sqlite3:connect", "sqlite3.dbapi2:connect"):
            hooks.wrap(target, _connect)

    def wrap(self, obj: Any) -> Any | None:
        """A governed view of one open connection, without patching `sqlite3`."""
        if not isinstance(obj, sqlite3.Connection):
            return None
        return obj if isinstance(obj, _Connection) else _ConnectionProxy(obj)


def _connect(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    position = 5  # connect(database, timeout, detect_types, isolation_level, check_same_thread, factory, …)
    asked = args[position] if len(args) > position else kwargs.get("factory", sqlite3.Connection)
    if not (isinstance(asked, type) and issubclass(asked, sqlite3.Connection)):
        # A function makes the connection: what it returns is governed from outside.
        made = wrapped(*args, **kwargs)
        return made if isinstance(made, _Connection) else _ConnectionProxy(made)
    governed = _subclass(asked, _Connection)
    if len(args) > position:
        args = (*args[:position], governed, *args[position + 1 :])
    else:
        kwargs = {**kwargs, "factory": governed}
    return wrapped(*args, **kwargs)


_classes: dict[type, type] = {}
_classes_lock: Final = threading.Lock()


def _subclass(asked: type, governed: type) -> type:
    """The governed subclass of a class that a program asked for, made once: asked → ours → the C type."""
    if issubclass(asked, governed):
        return asked
    made = _classes.get(asked)
    if made is None:
        with _classes_lock:
            made = _classes.get(asked)
            if made is None:
                names = {"__module__": asked.__module__, "__qualname__": asked.__qualname__, "__doc__": asked.__doc__}
                bases: tuple[type, ...] = (governed,) if asked in governed.__mro__ else (asked, governed)
                if getattr(asked, "cursor", None) is not getattr(governed.__base__, "cursor", None):
                    bases = (_OwnCursors, *bases)
                made = _classes[asked] = type(asked.__name__, bases, names)
    return made


def _url(database: Any, *, uri: bool) -> str:
    """`sqlite:///absolute/path`, as the catalog's patterns are written."""
    name = os.fsdecode(database) if isinstance(database, (bytes, os.PathLike)) else str(database)
    memory = False
    if uri and name.startswith("file:"):
        name, _, query = name.removeprefix("file:").partition("?")
        memory = "mode=memory" in query.split("&")
        name = unquote(name.removeprefix("//localhost") if name.startswith("//localhost/") else name)
        name = "/" + name.lstrip("/") if name.startswith("//") else name
    if name in ("", ":memory:") or name.startswith(":memory:") or memory:
        return "sqlite:///:memory:"
    # A path need not be text; an event is.
    text = os.path.abspath(name).encode("utf-8", "backslashreplace").decode()  # noqa: PTH100 - no link is followed
    return "sqlite:///" + text.replace(os.sep, "/").lstrip("/")


class _Open:
    """What is known of one open connection.

    Attributes:
        target: the database.
        alone: no other thread uses the connection.
        trace: the program's own trace callback, which the engine does not tell.
    """

    __slots__ = ("_databases", "_replaced", "_schema", "_versions", "alone", "target", "trace")

    #: Equal schemas of one target are one object, however many connections read them: what is kept for it is kept once.
    known: ClassVar[LiveSchemas] = LiveSchemas(age=float("inf"))

    def __init__(self, target: Target, *, alone: bool) -> None:
        self.target = target
        self.alone = alone
        self.trace: Any = None
        self._schema: LiveSchema | None = None
        self._databases: tuple[str, ...] = ()
        self._versions: list[Any] = []
        self._replaced = False

    def schema(self, connection: Any) -> LiveSchema | None:
        """What the engine tells of its tables. None if it cannot tell now.

        The engine counts the changes of each file's schema, whoever makes them, and takes back what is rolled back.
        """
        if self._replaced:
            return None
        if self.trace is not None:
            _c_set_trace(connection, None)  # our questions are no statements of the program's
        try:
            ask = sqlite3.Cursor(connection)
            ask.row_factory = None
            versions = [_c_fetchone(_c_execute(ask, sql)) for sql in self._databases]
            if self._schema is None or versions != self._versions:
                # As a blob, because a program's text factory would change text.
                found = _c_execute(ask, "SELECT CAST(name AS BLOB) FROM pragma_database_list").fetchall()
                # What is temporary nobody changes but this connection, whose statements are seen: see `changed`.
                names = sorted({"main", *(name.decode().replace('"', '""') for (name,) in found)} - {"temp"})
                self._databases = tuple(f'PRAGMA "{name}".schema_version' for name in names)
                self._versions = [_c_fetchone(_c_execute(ask, sql)) for sql in self._databases]
                self.known.put(self.target.host, _read_schema(connection))
                self._schema = self.known.get(self.target.host)
        except (sqlite3.Error, TypeError, ValueError):
            return None
        finally:
            if self.trace is not None:
                _c_set_trace(connection, self.trace)
        return self._schema

    def quietly(self, connection: Any, sql: str) -> None:
        """Runs a text of ours, which the program does not see."""
        if self.trace is not None:
            _c_set_trace(connection, None)
        try:
            _c_execute(sqlite3.Cursor(connection), sql)
        finally:
            if self.trace is not None:
                _c_set_trace(connection, self.trace)

    def asked(self, connection: Any, ask: Ask) -> Answer:
        """Runs a query of ours, which the program does not see."""
        if self.trace is not None:
            _c_set_trace(connection, None)
        try:
            cursor = sqlite3.Cursor(connection)
            cursor.row_factory = None
            _c_execute(cursor, ask.sql, () if ask.parameters is None else ask.parameters)
            return Answer([(column[0], None) for column in cursor.description], _c_fetchall(cursor))
        finally:
            if self.trace is not None:
                _c_set_trace(connection, self.trace)

    def changed(self) -> None:
        """There may be other databases than before."""
        self._schema = None
        self._databases = ()

    def replaced(self) -> None:
        """The database is another one now (`deserialize`): from here on nothing is known of it.

        A pragma that was read as a table before crashes the engine afterwards (seen with SQLite 3.40), so it is not asked.
        """
        self._replaced = True

    def guard(self, statement: Statement, connection: Any, *, script: bool, single: bool) -> None:
        """What has to stand around the statement.

        Args:
            statement: what was begun.
            connection: the C level's.
            script: there may be several statements.
            single: it is one, with one set of parameters.

        Raises:
            PolicyDenied: policy limits what this engine cannot limit here.
        """
        ticket = statement.ticket
        owed = ticket.obligations
        if (owed.affected_cap is not None and ticket.plan.writes) or (owed.capture and not ticket.plan.reads):
            returns = "returning" in (ticket.call.statement or "").lower()
            if owed.affected_cap is not None and (script or not ticket.plan.changes or returns):
                ticket.impossible(
                    "policy limits how many rows may change, which can be counted for a single statement only"
                )
            # With RETURNING the engine goes on changing while the rows are read.
            statement.guarded(_DIALECT, autocommit=True, transaction=True, asks=single and not returns)
            if not statement.guard.before:
                return
            if statement.capture is not None and not connection.in_transaction and not _begins(connection):
                # Whoever reads first and writes then does not wait for another writer: SQLite says "locked" at once.
                statement.guard = Guard(("BEGIN IMMEDIATE",), ("COMMIT",), ("ROLLBACK",), ("ROLLBACK",))
                return
            if _begins(connection) and _BEGINNING.match(ticket.call.statement or ""):
                # As the C level would have done for a statement that writes; it does not once a savepoint is open.
                begin = f"BEGIN {connection.isolation_level if statement.capture is None else 'IMMEDIATE'}"
                statement.guard = statement.guard._replace(before=(begin, *statement.guard.before))
        elif ticket.reads_only and self.alone:
            ask = sqlite3.Cursor(connection)
            ask.row_factory = None
            if _c_fetchone(_c_execute(ask, "PRAGMA query_only")) == (0,):
                off = ("PRAGMA query_only = OFF",)
                statement.guard = Guard(before=("PRAGMA query_only = ON",), after=off, failed=off, locked=True)


def _begins(connection: Any) -> bool:
    """Whether the C level begins a transaction by itself before a statement that writes (PEP 249's implicit ones)."""
    legacy = getattr(sqlite3, "LEGACY_TRANSACTION_CONTROL", None)
    return (
        connection.isolation_level is not None
        and not connection.in_transaction
        and getattr(connection, "autocommit", legacy) == legacy
    )


class _Clock:
    """How long the engine may still work on one statement, its rows included.

    A thread interrupts it, not a handler: the engine calls handlers while it holds its lock, and another thread that waits
    for that lock may hold the interpreter's.
    """

    __slots__ = ("_left",)

    def __init__(self, seconds: int) -> None:
        self._left = float(seconds)

    @contextlib.contextmanager
    def running(self, connection: Any) -> Iterator[None]:
        """The engine works within; beyond the limit it is interrupted, which raises `sqlite3.OperationalError`."""
        began = time.monotonic()
        timer = threading.Timer(max(self._left, 0.0), _interrupt, (connection,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._left -= time.monotonic() - began


def _interrupt(connection: Any) -> None:
    with contextlib.suppress(sqlite3.Error):  # it may be closed
        connection.interrupt()


def _read_schema(connection: Any) -> LiveSchema:
    """Asked of the engine itself."""
    cursor = sqlite3.Cursor(connection)
    cursor.row_factory = None
    return read_schema(_DIALECT, lambda sql: _c_execute(cursor, sql).fetchall())


def _means(exc: BaseException) -> dict[str, bool]:
    """What an error of the engine's says: that it was locked against this."""
    told = str(exc) if isinstance(exc, sqlite3.OperationalError) else ""
    return {"barred": told.startswith("attempt to write a readonly database")}


def _without_statement(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        plain = getattr(super(_Connection, self), name)
        return _governed(self._guardai_open, name, args, kwargs, plain)

    method.__name__ = name
    return method


def _governed(open_: _Open, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], plain: Callable[..., Any]) -> Any:
    """A connection's method that does without a statement, between intent and outcome."""
    if name == "deserialize":
        open_.replaced()
    run = acting(f"-- {name}", _DIALECT)
    if run is None:
        return plain(*args, **kwargs)
    with contextlib.ExitStack() as calls:
        for call in _described(open_.target, name, args, kwargs):
            ticket = opened(call, run)
            calls.push(_Ending(ticket))
        return plain(*args, **kwargs)


class _Ending:
    """Ends a ticket as the block ends."""

    __slots__ = ("_ticket",)

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        if exc is None:
            self._ticket.close(None)
        else:
            self._ticket.fail(exc)


def _described(target: Target, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterable[Call]:
    if name == "blobopen":
        table, column = (str(part).replace('"', '""') for part in (*args[:2], *kwargs.values())[:2])
        if kwargs.get("readonly"):
            statement = f'SELECT "{column}" FROM "{table}" WHERE rowid = 1'  # noqa: S608 - judged, never run
        else:
            statement = f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = 1'  # noqa: S608
        yield Call("db", target, statement=statement, dialect=_DIALECT, returns=("opaque.raw",))
        return
    action, returns = _WITHOUT_STATEMENT[name]
    yield Call(action, target, returns=returns)
    if name == "backup" and args and isinstance(args[0], sqlite3.Connection):
        # What stood in the other database is gone afterwards.
        files = _files(args[0])
        empty = not sqlite3.Cursor(args[0]).execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        to = Target("database", _url(files.get("main", ""), uri=False))
        yield Call("db.write" if empty else "db.destroy", to)


def _files(connection: Any) -> dict[str, str]:
    cursor = sqlite3.Cursor(connection)
    cursor.row_factory = None
    # A program's text factory may have made bytes of them.
    return {os.fsdecode(name): os.fsdecode(file) for _, name, file in cursor.execute("PRAGMA database_list")}


# The C types' own methods. Ours stand right in front of them, so `super()` would find these: 0.1 µs later.
_c_cursor: Final[Any] = sqlite3.Connection.cursor
_c_execute: Final[Any] = sqlite3.Cursor.execute
_c_executemany: Final[Any] = sqlite3.Cursor.executemany
_c_executescript: Final[Any] = sqlite3.Cursor.executescript
_c_set_trace: Final[Any] = sqlite3.Connection.set_trace_callback
_c_fetchall: Final[Any] = sqlite3.Cursor.fetchall
_c_fetchone: Final[Any] = sqlite3.Cursor.fetchone


class _Connection(sqlite3.Connection):
    """Stands between a program's connection class and the C type.

    INVARIANT: every cursor that leaves a governed connection is a governed cursor.
    """

    _guardai_open: _Open

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        database = args[0] if args else kwargs.get("database", "")
        uri = args[7] if len(args) > 7 else kwargs.get("uri", False)
        shared = not (args[4] if len(args) > 4 else kwargs.get("check_same_thread", True))
        super().__init__(*args, **kwargs)
        self._guardai_open = _Open(Target("database", _url(database, uri=bool(uri))), alone=not shared)

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        if factory is sqlite3.Cursor:
            return _c_cursor(self, _Cursor)
        return _cursor(super().cursor, factory, self)

    def set_trace_callback(self, *args: Any, **kwargs: Any) -> None:
        super().set_trace_callback(*args, **kwargs)
        self._guardai_open.trace = args[0] if args else kwargs["trace_callback"]

    # The C shortcuts do not call an overridden `cursor` on every Python, so they are spelled out.

    def execute(self, sql: Any, parameters: Any = (), /) -> Any:
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: Any, parameters: Any, /) -> Any:
        return self.cursor().executemany(sql, parameters)

    def executescript(self, script: Any, /) -> Any:
        return self.cursor().executescript(script)


for _name in (*_WITHOUT_STATEMENT, "blobopen"):
    if hasattr(sqlite3.Connection, _name):  # some builds lack extensions or serialisation
        setattr(_Connection, _name, _without_statement(_name))


class _OwnCursors:
    """In front of a class that makes its cursors itself, by whatever means."""

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        return _recast(super().cursor(*args, **kwargs), self)  # type: ignore[misc]


def _cursor(make: Callable[..., Any], factory: Any, connection: Any) -> Any:
    """A governed cursor of the class, or from the function, that the program asked for."""
    if factory is sqlite3.Cursor:
        return make(_Cursor)
    if isinstance(factory, type) and issubclass(factory, sqlite3.Cursor):
        return make(_subclass(factory, _Cursor))
    return _recast(make(factory), connection)  # `make` raises TypeError itself for what is no sqlite3 cursor


def _recast(cursor: Any, connection: Any) -> Any:
    """A cursor that a program's own code made, governed."""
    if isinstance(cursor, _Cursor) or not isinstance(cursor, sqlite3.Cursor):
        return cursor
    if type(cursor) is sqlite3.Cursor:
        return _Cursor(connection)
    cursor.__class__ = _subclass(type(cursor), _Cursor)
    return cursor


#: The C level's own slots.
_C_CONNECTION: Final[Any] = sqlite3.Cursor.__dict__["connection"]
_RAW_FACTORY: Final[Any] = sqlite3.Cursor.__dict__["row_factory"]


class _Cursor(sqlite3.Cursor):
    """Stands between a program's cursor class and the C type.

    While an agent's rows pass, the C level makes plain tuples; they are masked, and only then the program's row factory
    sees them. INVARIANT: a row factory never sees an unmasked row of an agent.
    """

    _rows: Rows | None = None
    _factory: Any = None
    _clock: _Clock | None = None
    #: Set where the connection is not governed itself but was wrapped.
    _guardai_open: _Open | None = None
    _guardai_owner: Any = None

    @property
    def connection(self) -> Any:
        return self._guardai_owner or _C_CONNECTION.__get__(self)

    @property
    def row_factory(self) -> Any:
        return self._factory if self._rows is not None else _RAW_FACTORY.__get__(self)

    @row_factory.setter
    def row_factory(self, factory: Any) -> None:
        if self._rows is not None:
            self._factory = factory
        else:
            _RAW_FACTORY.__set__(self, factory)

    def execute(self, sql: Any, parameters: Any = (), /) -> Any:
        run = acting(sql, _DIALECT) if isinstance(sql, str) else None
        if run is None:
            if self._rows is not None:
                self._release()
            if isinstance(sql, str) and redefines(sql):
                self._about().changed()
            return _c_execute(self, sql, parameters)
        return self._governed(run, sql, parameters, _c_execute)

    def executemany(self, sql: Any, parameters: Iterable[Any], /) -> Any:
        run = acting(sql, _DIALECT) if isinstance(sql, str) else None
        if run is None:
            self._release()
            return _c_executemany(self, sql, parameters)
        return self._governed(run, sql, parameters, _c_executemany)

    def executescript(self, script: Any, /) -> Any:
        run = acting(script, _DIALECT) if isinstance(script, str) else None
        if run is None:
            self._release()
            self._about().changed()
            return _c_executescript(self, script)
        return self._governed(run, script, (), lambda cursor, sql, _: _c_executescript(cursor, sql), script=True)

    def _about(self) -> _Open:
        """What is known of the connection; of one that nobody governs, nothing that lasts."""
        open_: _Open | None = self._guardai_open
        if open_ is None:
            bare = _C_CONNECTION.__get__(self)
            open_ = getattr(bare, "_guardai_open", None) or _Open(Target("database", "sqlite:///:memory:"), alone=False)
        return open_

    def _governed(
        self, run: Run, sql: str, parameters: Any, effect: Callable[[Any, str, Any], Any], *, script: bool = False
    ) -> Any:
        bare = _C_CONNECTION.__get__(self)
        open_ = self._about()
        statement = begin(run, open_.target, sql, _DIALECT, parameters, open_.schema(bare))
        # The former statement's rows stay masked until the C level drops them: a refused call changes nothing.
        if self._rows is not None:
            self._release()
        self._clock = None
        try:
            if statement.ticket.limited:
                single = effect is _c_execute
                self._within_limits(
                    open_, statement, bare, lambda bound: effect(self, sql, bound), script=script, single=single
                )
            else:
                try:
                    effect(self, sql, statement.parameters)
                except BaseException as exc:
                    statement.failed(exc)
                    raise
        except BaseException:
            # Whatever the C level still has to give of it, nobody gets.
            self._hold(statement.ticket, ())
            raise
        finally:
            if statement.ticket.plan.redefines:
                open_.changed()
        described = self.description
        if described is None:
            statement.wrote(self.rowcount)
            return self
        # In place before anything that can fail: a cursor with rows is never without what masks them.
        self._hold(statement.ticket, [column[0] for column in described]).label()
        return self

    def _hold(self, ticket: Ticket, columns: Sequence[str]) -> Rows:
        self._factory = _RAW_FACTORY.__get__(self)
        _RAW_FACTORY.__set__(self, None)
        rows = self._rows = ticket.result_rows(columns)
        return rows

    def _within_limits(
        self,
        open_: _Open,
        statement: Statement,
        bare: Any,
        effect: Callable[[Any], Any],
        *,
        script: bool,
        single: bool,
    ) -> None:
        limit = statement.ticket.obligations.timeout
        if limit is not None:
            self._clock = _Clock(limit)
        open_.guard(statement, bare, script=script, single=single)
        before = bare.total_changes  # triggers and what follows foreign keys included
        with _NOTHING if self._clock is None else self._clock.running(bare):
            perform(
                functools.partial(open_.quietly, bare),
                statement,
                effect,
                lambda: bare.total_changes - before,
                _means,
                ask=functools.partial(open_.asked, bare),
                changed=lambda: self.rowcount,
            )

    def _release(self) -> None:
        """Nobody reads the rest of the rows."""
        rows = self._rows
        if rows is not None:
            rows.abandon()
            self._rows = None
            _RAW_FACTORY.__set__(self, self._factory)

    def _fetch(self, rows: Rows, fetch: Callable[[], Any]) -> Any:
        clock = self._clock
        try:
            if clock is None:
                return fetch()
            with clock.running(_C_CONNECTION.__get__(self)):
                return fetch()
        except StopIteration:
            rows.end()
            raise
        except BaseException as exc:
            rows.fail(exc)
            raise

    def _made(self, rows: Rows, fetched: list[Any]) -> list[Any]:
        passed = rows.many(fetched)
        factory = self._factory
        return passed if factory is None else [factory(self, row) for row in passed]

    def fetchone(self) -> Any:
        rows = self._rows
        if rows is None:
            return _c_fetchone(self)
        row = self._fetch(rows, super().fetchone)
        if row is None:
            rows.end()
            return None
        return self._made(rows, [row])[0]

    def fetchmany(self, size: int | None = None) -> Any:
        size = self.arraysize if size is None else size
        rows = self._rows
        if rows is None:
            return super().fetchmany(size)
        fetched = self._fetch(rows, functools.partial(super().fetchmany, size))
        made = self._made(rows, fetched)
        if len(fetched) < size or size < 0:
            rows.end()
        return made

    def fetchall(self) -> Any:
        rows = self._rows
        if rows is None:
            return _c_fetchall(self)
        room = rows.room
        # Not more than may pass and one, which says that there are more.
        fetch = super().fetchall if room is None else functools.partial(super().fetchmany, room + 1)
        made = self._made(rows, self._fetch(rows, fetch))
        rows.end()
        return made

    def __next__(self) -> Any:
        rows = self._rows
        if rows is None:
            return super().__next__()
        return self._made(rows, [self._fetch(rows, super().__next__)])[0]

    def close(self) -> None:
        super().close()
        self._release()

    def __del__(self) -> None:
        rows = self._rows
        if rows is not None:
            rows.abandon()


class _ConnectionProxy(wrapt.ObjectProxy[Any]):
    """An open connection that guardai did not make: the same object to the program, its cursors governed."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._self_open = _Open(Target("database", _url(_files(connection).get("main", ""), uri=False)), alone=False)

    @property
    def _guardai_open(self) -> _Open:
        return self._self_open

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        cursor = _cursor(self.__wrapped__.cursor, factory, self.__wrapped__)
        cursor._guardai_open = self._self_open
        cursor._guardai_owner = self
        return cursor

    def execute(self, sql: Any, parameters: Any = (), /) -> Any:
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: Any, parameters: Any, /) -> Any:
        return self.cursor().executemany(sql, parameters)

    def executescript(self, script: Any, /) -> Any:
        return self.cursor().executescript(script)

    def __enter__(self) -> Any:
        self.__wrapped__.__enter__()
        return self

    def iterdump(self, **kwargs: Any) -> Any:
        from sqlite3 import dump

        return dump._iterdump(self, **kwargs)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name in _WITHOUT_STATEMENT or name == "blobopen":
            return lambda *args, **kwargs: _governed(self._self_open, name, args, kwargs, found)
        return found
