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
import sqlite3
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote

import wrapt

from guardai.hooks import Call, Hooks, Rows, Target, Ticket, acting, opened

__all__ = ["SqliteIntegration"]

_DIALECT: Final = "sqlite"

#: Connection methods that read or replace the database without a statement: method → (action, the result's label).
_WITHOUT_STATEMENT: Final = {
    "backup": ("data.export", ()),
    "deserialize": ("db.destroy", ()),
    "enable_load_extension": ("db.admin", ()),
    "load_extension": ("db.admin", ()),
    "serialize": ("data.export", ("opaque.raw",)),
}


class SqliteIntegration:
    """The integration `dbapi`, for the standard library's `sqlite3`."""

    name = "dbapi"
    library = ""
    targets = ("sqlite3",)
    versions = ">=3.11"

    def install(self, hooks: Hooks) -> None:
        """Wraps both names under which programs find `connect`."""
        for target in ("sqlite3:connect", "sqlite3.dbapi2:connect"):
            hooks.wrap(target, _connect)

    def uninstall(self, hooks: Hooks) -> None:
        """Nothing besides the patches: connections that are open pass through, because no gate is started."""

    def wrap(self, obj: Any, hooks: Hooks) -> Any | None:  # noqa: ARG002 - the protocol's signature
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


def _schema(connection: Any) -> dict[str, list[str]]:
    """{table: [columns]} of the real tables, asked of the engine itself. Tables of one name in several files are one."""
    cursor = sqlite3.Cursor(connection)
    cursor.row_factory = None
    # As blobs, because a program's text factory would change text.
    tables = cursor.execute(
        "SELECT schema, name, CAST(name AS BLOB), CAST(type AS BLOB) FROM pragma_table_list"
    ).fetchall()
    found: dict[str, list[str]] = {}
    for schema, table, name, kind in tables:
        if kind in (b"table", b"virtual") and not name.startswith(b"sqlite_"):
            columns = cursor.execute("SELECT CAST(name AS BLOB) FROM pragma_table_xinfo(?, ?)", (table, schema))
            found.setdefault(name.decode().lower(), []).extend(column.decode().lower() for (column,) in columns)
    return found


def _without_statement(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        plain = getattr(super(_Connection, self), name)
        return _governed(self._guardai_target, name, args, kwargs, plain)

    method.__name__ = name
    return method


def _governed(
    target: Target, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], plain: Callable[..., Any]
) -> Any:
    """A connection's method that does without a statement, between intent and outcome."""
    run = acting(f"-- {name}", _DIALECT)
    if run is None:
        return plain(*args, **kwargs)
    with contextlib.ExitStack() as calls:
        for call in _described(target, name, args, kwargs):
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
    return {name: file for _, name, file in cursor.execute("PRAGMA database_list")}


# The C types' own methods. Ours stand right in front of them, so `super()` would find these: 0.1 µs later.
_c_cursor: Final[Any] = sqlite3.Connection.cursor
_c_execute: Final[Any] = sqlite3.Cursor.execute
_c_fetchall: Final[Any] = sqlite3.Cursor.fetchall
_c_fetchone: Final[Any] = sqlite3.Cursor.fetchone


class _Connection(sqlite3.Connection):
    """Stands between a program's connection class and the C type.

    INVARIANT: every cursor that leaves a governed connection is a governed cursor.
    """

    _guardai_target: Target

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        database = args[0] if args else kwargs.get("database", "")
        uri = args[7] if len(args) > 7 else kwargs.get("uri", False)
        super().__init__(*args, **kwargs)
        self._guardai_target = Target("database", _url(database, uri=bool(uri)))

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        if factory is sqlite3.Cursor:
            return _c_cursor(self, _Cursor)
        return _cursor(super().cursor, factory, self)

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
    #: Set where the connection is not governed itself but was wrapped.
    _guardai_target: Target | None = None
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
            return _c_execute(self, sql, parameters)
        # The former statement's rows stay masked until the C level drops them: a refused call changes nothing.
        ticket = opened(self._call(sql), run)
        if self._rows is not None:
            self._release()
        try:
            _c_execute(self, sql, parameters)
        except BaseException as exc:
            ticket.fail(exc)
            raise
        self._began(ticket)
        return self

    def executemany(self, sql: Any, parameters: Iterable[Any], /) -> Any:
        return self._write(sql, lambda: super(_Cursor, self).executemany(sql, parameters))

    def executescript(self, script: Any, /) -> Any:
        return self._write(script, lambda: super(_Cursor, self).executescript(script))

    def _write(self, sql: Any, effect: Callable[[], Any]) -> Any:
        run = acting(sql, _DIALECT) if isinstance(sql, str) else None
        if run is None:
            self._release()
            return effect()
        ticket = opened(self._call(sql), run)
        self._release()
        try:
            effect()
        except BaseException as exc:
            ticket.fail(exc)
            raise
        self._began(ticket)
        return self

    def _call(self, sql: str) -> Call:
        connection: Any = self.connection
        target = self._guardai_target or connection._guardai_target
        return Call("db", target, statement=sql, dialect=_DIALECT)

    def _began(self, ticket: Ticket) -> None:
        """The effect has happened; rows, if there are any, come lazily."""
        described = self.description
        if described is None:
            ticket.close(None, affected=self.rowcount)
            return
        connection = self.connection
        # In place before anything that can fail: a cursor with rows is never without what masks them.
        self._factory = _RAW_FACTORY.__get__(self)
        _RAW_FACTORY.__set__(self, None)
        self._rows = ticket.result_rows([column[0] for column in described], lambda: _schema(connection))
        self._rows.label()

    def _release(self) -> None:
        """Nobody reads the rest of the rows."""
        rows = self._rows
        if rows is not None:
            rows.abandon()
            self._rows = None
            _RAW_FACTORY.__set__(self, self._factory)

    def _fetch(self, rows: Rows, fetch: Callable[[], Any]) -> Any:
        try:
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
        made = self._made(rows, self._fetch(rows, super().fetchall))
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
        self._self_target = Target("database", _url(_files(connection).get("main", ""), uri=False))

    @property
    def _guardai_target(self) -> Target:
        return self._self_target

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        cursor = _cursor(self.__wrapped__.cursor, factory, self.__wrapped__)
        cursor._guardai_target = self._self_target
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
            return lambda *args, **kwargs: _governed(self._self_target, name, args, kwargs, found)
        return found
