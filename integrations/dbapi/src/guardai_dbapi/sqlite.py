"""sqlite3: connections and cursors of an agent's statements are real subclasses of what the program asked for.

`sqlite3.Connection` and `Cursor` are immutable C types, so `sqlite3.connect` is given a factory: a subclass, made once
for each class that a program asks for. `isinstance` holds, row factories and `Cursor(conn)` work, and nothing is proxied.
The gate stands between a program's own subclass and the C type: a subclass that rewrites statements is judged by what
it makes of them, and what it overrides is called as before. What goes round it: the C types' own constructors and
methods called by name, `sqlite3.Connection(...)`, `sqlite3.Cursor.execute(cursor, …)`.
"""

from __future__ import annotations

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

#: Connection methods that read, write or replace the database without a statement: method → (action, result's label).
_WITHOUT_STATEMENT: Final = {
    "backup": ("data.export", ()),
    "blobopen": ("db.write", ("opaque.raw",)),
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
    if uri and name.startswith("file:"):
        name = unquote(name.removeprefix("file:").partition("?")[0])
        name = "/" + name.lstrip("/") if name.startswith("//") else name
    if name in ("", ":memory:") or name.startswith(":memory:"):
        return "sqlite:///:memory:"
    # A path need not be text; an event is.
    text = os.path.abspath(name).encode("utf-8", "backslashreplace").decode()  # noqa: PTH100 - no link is followed
    return "sqlite:///" + text.replace(os.sep, "/").lstrip("/")


def _schema(connection: Any) -> dict[str, list[str]]:
    """{table: [columns]} of the real tables, asked of the engine itself."""
    cursor = sqlite3.Cursor(connection)
    cursor.row_factory = None
    tables = [
        (schema, name)
        for schema, name, kind in cursor.execute("SELECT schema, name, type FROM pragma_table_list")
        if kind in ("table", "virtual") and not name.startswith("sqlite_")
    ]
    return {
        name.lower(): [
            row[0].lower() for row in cursor.execute("SELECT name FROM pragma_table_xinfo(?, ?)", (name, schema))
        ]
        for schema, name in tables
    }


def _without_statement(name: str) -> Callable[..., Any]:
    action, returns = _WITHOUT_STATEMENT[name]

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        plain = getattr(super(_Connection, self), name)
        return _governed(self, action, returns, functools.partial(plain, *args, **kwargs))

    method.__name__ = name
    return method


def _governed(owner: Any, action: str, returns: tuple[str, ...], effect: Callable[[], Any]) -> Any:
    run = acting("", _DIALECT)
    if run is None:
        return effect()
    ticket = opened(Call(action, owner._guardai_target, returns=returns), run)
    try:
        result = effect()
    except BaseException as exc:
        ticket.fail(exc)
        raise
    ticket.close(None)
    return result


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


for _name in _WITHOUT_STATEMENT:
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


#: The C level's own row factory slot.
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
        if self._rows is not None:
            self._release()
        run = acting(sql, _DIALECT) if isinstance(sql, str) else None
        if run is None:
            return _c_execute(self, sql, parameters)
        ticket = opened(self._call(sql), run)
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
        self._release()
        run = acting(sql, _DIALECT) if isinstance(sql, str) else None
        if run is None:
            return effect()
        ticket = opened(self._call(sql), run)
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
        factory = _RAW_FACTORY.__get__(self)
        self._rows = ticket.result_rows([column[0] for column in described], lambda: _schema(connection))
        self._factory = factory
        _RAW_FACTORY.__set__(self, None)

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
        cursor = sqlite3.Cursor(connection)
        cursor.row_factory = None
        files = {name: file for _, name, file in cursor.execute("PRAGMA database_list")}
        self._self_target = Target("database", _url(files.get("main", ""), uri=False))

    @property
    def _guardai_target(self) -> Target:
        return self._self_target

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        cursor = _cursor(self.__wrapped__.cursor, factory, self.__wrapped__)
        cursor._guardai_target = self._self_target
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

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name in _WITHOUT_STATEMENT:
            action, returns = _WITHOUT_STATEMENT[name]
            return lambda *args, **kwargs: _governed(self, action, returns, functools.partial(found, *args, **kwargs))
        return found
