"""DuckDB 2: connections, relations and results of an agent pass the gate; nothing is proxied.

Everything that DuckDB's Python library does comes through a few methods of the engine's own classes, which can be
patched: a relation binds its query (`_bind`), runs it (`_submit`), and takes its rows from a `RelationResult`. So it does
not matter by which of a relation's hundred verbs an agent builds a query, or who draws it.

Binding reaches outside by itself (`read_csv` opens its file, an address is fetched), so a query is judged before it is
bound, and recorded when it runs.

Frames of ours stand between a program and the engine, which looks for DataFrames among the variables of its caller:
`python_scan_all_frames` lets it look further.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Final

from guardai import GuardError
from guardai.hooks import Call, Hooks, LiveSchema, Rows, Run, Target, acting, foreseen, opened, redefines
from guardai_dbapi import columnar
from guardai_dbapi.statement import Statement, begin, perform

__all__ = ["DuckdbDriver"]

_DIALECT: Final = "duckdb"
#: Seconds after which the engine is asked again what its tables are: another process may have changed them.
_AGE: Final = 60.0
_NOTHING: Final = contextlib.nullcontext()
#: The engine's own kinds of statements. What is taken for a read has to be of the first, for a write of either.
_READS: Final = frozenset(("SELECT", "EXPLAIN", "PRAGMA", "TRANSACTION", "MULTI"))
_WRITES: Final = frozenset(("INSERT", "UPDATE", "DELETE", "MERGE_INTO"))
#: A PRAGMA that sets something gives rows of nobody.
_ROWLESS: Final = (["Count"], ["Success"])
_RETURNING: Final = re.compile(r"\breturning\b", re.IGNORECASE)
_NAME: Final = re.compile(r"[^\W\d]\w*")
#: What stands in a statement for an object of the program's that the engine has been given.
_SOURCE: Final = re.compile(r"__duckdb_source_\w+")
#: Whose objects the engine reads as tables.
_FRAMES: Final = frozenset(("pandas", "polars", "pyarrow"))
_OURS: Final = ("guardai", "guardai_dbapi", "duckdb", "wrapt")
_SCAN: Final = "python_scan_all_frames"
#: What an agent whose policy permits nothing but reading gets in its connections.
_LOCKED: Final = {"enable_external_access": False, "lock_configuration": True}

#: Connection methods that do without a statement, and their verbs.
_WITHOUT_STATEMENT: Final = {
    "create_function": "db.admin",
    "install_extension": "db.admin",
    "load_extension": "db.admin",
    "register_filesystem": "db.admin",
    "remove_function": "db.admin",
    "unregister_filesystem": "db.admin",
}
#: Those that are a statement by another name.
_TEXTS: Final = {
    "begin": "BEGIN TRANSACTION",
    "checkpoint": "CHECKPOINT",
    "commit": "COMMIT",
    "rollback": "ROLLBACK",
}
#: Functions of the module that are a method of the default connection, in C.
_MODULE: Final = (
    *_WITHOUT_STATEMENT,
    *_TEXTS,
    "append",
    "appender",
    "close",
    "cursor",
    "duplicate",
    "execute",
    "executemany",
    "fetch_df",
    "fetch_df_chunk",
    "fetchall",
    "fetchdf",
    "fetchmany",
    "fetchnumpy",
    "fetchone",
    "query_appender",
    "register",
    "tf",
    "torch",
)


class DuckdbDriver:
    """DuckDB's own Python library."""

    library = "duckdb"
    targets: tuple[str, ...] = ("duckdb",)
    versions = ">=2,<3"

    def __init__(self) -> None:
        self._alone: Hooks | None = None

    def install(self, hooks: Hooks) -> None:
        """Wraps the engine's classes, and the functions of the module that go round them."""
        if self._alone is not None:
            self._alone.undo()
            self._alone = None
        hooks.when_imported("duckdb", lambda module: _install(hooks, module, None))

    def wrap(self, obj: Any) -> Any | None:
        """One open connection. Its class is patched, for this connection and its cursors alone."""
        module = sys.modules.get("duckdb")
        if module is None or not isinstance(obj, module.DuckDBPyConnection):
            return None
        if not _engine.governs(obj):
            if self._alone is None:
                self._alone = Hooks()
                _install(self._alone, module, weakref.WeakSet())
            assert _engine.only is not None, "otherwise it would be governed"
            _engine.only.add(obj)
        return obj


class _Engine:
    """The library's own functions, as they were before they were wrapped.

    Attributes:
        only: the connections that are governed; None if all are.
        installed: whether anything is.
    """

    _NAMES: Final = (
        "_bind", "_register_values", "_submit", "_table_kind", "abort", "cursor", "execute", "extract_statements",
        "fetchall", "interrupt", "close",
    )  # fmt: skip

    def __init__(self) -> None:
        self.only: weakref.WeakSet[Any] | None = None
        self.installed = False
        self.module: Any = None
        self.default: Any = None

    def load(self, module: Any, only: weakref.WeakSet[Any] | None) -> None:
        self.module = module
        self.only = only
        self.installed = True
        for name in self._NAMES:
            setattr(self, name.lstrip("_"), module.DuckDBPyConnection.__dict__[name])
        result = sys.modules["_duckdb"].RelationResult
        self.rows_of, self.box_of = result.__dict__["fetchall"], result.__dict__["to_box"]
        self.connect, self.text_of = module.connect, module.Statement.query.__get__

    def governs(self, connection: Any) -> bool:
        return self.installed and (self.only is None or connection in self.only)

    def __getattr__(self, name: str) -> Any:  # for the type checker: `load` sets them
        raise AttributeError(name)


_engine: Final = _Engine()


def _install(hooks: Hooks, module: Any, only: weakref.WeakSet[Any] | None) -> None:
    if not hasattr(module.DuckDBPyConnection, "_submit"):
        # DuckDB 1 has its relations in C: without these methods nothing would be governed that is not a cursor's.
        hooks.wrap("duckdb:DuckDBPyConnection._submit", lambda wrapped, _, args, kwargs: wrapped(*args, **kwargs))
        return
    _engine.load(module, only)
    hooks.undo_with(_forget)

    def method(name: str, governed: Callable[..., Any]) -> None:
        def wrapper(_wrapped: Any, _instance: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
            if only is not None and _instance not in only:
                return _wrapped(*_args, **_kwargs)
            return governed(_wrapped, _instance, _args, _kwargs)

        hooks.wrap(f"duckdb:DuckDBPyConnection.{name}", wrapper)

    for name in ("execute", "executemany"):
        method(name, _execute)
    for name, governed in _METHODS.items():
        method(name, governed)
    for name in ("fetchall", "fetchmany", "fetchnumpy", "df", "torch", "tf"):
        method(name, _taking(_TAKING[name], _of_connection))
        hooks.wrap(f"_duckdb:RelationResult.{name}", _taking(_TAKING[name], _of_result))
    for name in ("fetchone", "fetch_df", "fetchdf", "fetch_df_chunk", "_result_as_arrow"):
        method(name, _taking(_TAKING[name], _of_connection))
    for name in ("arrow_table", "arrow_reader", "arrow_capsule", "to_box"):
        hooks.wrap(f"_duckdb:RelationResult.{name}", _taking(_TAKING[name], _of_result))
    hooks.wrap("duckdb:DuckDBPyRelation.pl", _polars)
    hooks.wrap("duckdb:DuckDBPyRelation.query", _lending)
    if only is None:
        hooks.wrap("duckdb:connect", _connect)
        hooks.wrap("duckdb:default_connection", _default)
        hooks.wrap("_duckdb:default_connection", _default)
        for name in _MODULE:
            hooks.wrap(f"duckdb:{name}", _of_default(name))
            hooks.wrap(f"_duckdb:{name}", _of_default(name))
        hooks.wrap("duckdb._relation:_FETCH_DF", _of_default("df"))


def _forget() -> None:
    _engine.installed = False
    _engine.default = None
    _engine.only = None


def _of_default(name: str) -> Callable[..., Any]:
    """A function of the module is the method of its connection, which is governed."""

    def wrapper(_wrapped: Any, _: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
        _connection = _kwargs.pop("connection", None)
        if _connection is None:
            _connection = _engine.module.default_connection()  # governed: see `_default`
        return getattr(_connection, name)(*_args, **_kwargs)

    return wrapper


def _default(_wrapped: Any, _: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    # The engine makes a new Python object of its default connection once nobody holds the old one, of which we know.
    _engine.default = _wrapped(*_args, **_kwargs)
    return _engine.default


# ------------------------------------------------------------------ what is known of a connection


class _Database:
    """What connections to one database share.

    Attributes:
        target: as the catalog's patterns are written.
    """

    __slots__ = ("__weakref__", "_extended", "_schema", "_until", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self._schema: LiveSchema | None = None
        self._until = 0.0
        self._extended: dict[tuple[Any, ...], LiveSchema] = {}

    def schema(self, connection: Any, frames: dict[str, tuple[str, ...]]) -> LiveSchema | None:
        """What the engine tells of its tables, and what the program's own frames are made of. None if it cannot tell."""
        now = time.monotonic()
        if self._schema is None or now > self._until:
            try:
                self._schema = _read_schema(connection)
            except _engine.module.Error:
                return None
            self._until = now + _AGE
            self._extended.clear()
        if not frames:
            return self._schema
        key = tuple(sorted(frames.items()))
        made = self._extended.get(key)
        if made is None:
            if len(self._extended) > 256:
                self._extended.clear()
            made = self._extended[key] = LiveSchema(
                tables={**frames, **self._schema.tables}, views=self._schema.views, columns=self._schema.columns
            )
        return made

    def changed(self) -> None:
        """Tables may have changed."""
        self._schema = None


_databases: Final[weakref.WeakValueDictionary[str, _Database]] = weakref.WeakValueDictionary()


class _Taken:
    """The rows of one statement, on their way: `rows` passes them. Entered while the engine works on them.

    Attributes:
        kept: those that have been drawn, and can still be taken.
    """

    __slots__ = ("__weakref__", "_clock", "kept", "rows")

    def __init__(self, rows: Rows, clock: AbstractContextManager[Any]) -> None:
        self.rows = rows
        self.kept: list[Any] | None = None
        self._clock = clock

    def __enter__(self) -> None:
        self._clock.__enter__()

    def __exit__(self, *about: Any) -> None:
        self._clock.__exit__(*about)

    def __del__(self) -> None:
        self.rows.abandon()


class _Open:
    """What is known of one open connection.

    Attributes:
        database: what it shares with others.
        taken: the rows that its cursor has still to hand out; None if they are nobody's or the application's.
        frames: the program's objects that it registered by name → their columns.
    """

    __slots__ = ("database", "frames", "taken")

    def __init__(self, database: _Database) -> None:
        self.database = database
        self.taken: _Taken | None = None
        self.frames: dict[str, tuple[str, ...]] = {}

    def release(self) -> None:
        """Nobody reads the rest of the rows."""
        if self.taken is not None:
            self.taken.rows.abandon()
            self.taken = None


_opens: Final[weakref.WeakKeyDictionary[Any, _Open]] = weakref.WeakKeyDictionary()
#: Results that relations are reading.
_results: Final[weakref.WeakKeyDictionary[Any, _Taken]] = weakref.WeakKeyDictionary()
#: The engine's name for an object of the program's → its columns.
_sources: Final[dict[str, tuple[str, ...]]] = {}


def _of(connection: Any) -> _Open:
    """What is known of it; found out at the first call."""
    open_ = _opens.get(connection)
    if open_ is None:
        open_ = _opens[connection] = _Open(_first_seen(connection))
    return open_


def _first_seen(connection: Any) -> _Database:
    """Which database it is, and that the engine looks for DataFrames beyond our frames."""
    path = None
    with contextlib.suppress(_engine.module.Error):
        # On a cursor of its own, so that the program's pending rows are not disturbed.
        cursor = _engine.cursor(connection)
        try:
            _engine.execute(cursor, "SELECT path FROM duckdb_databases() WHERE database_name = current_database()")
            ((path,),) = _engine.fetchall(cursor)
            # Where the configuration is locked, this is no longer possible.
            _engine.execute(cursor, f"SET GLOBAL {_SCAN} = true")
        finally:
            _engine.close(cursor)
    return _database(path)


def _database(path: str | None) -> _Database:
    if not path:
        return _Database(Target("database", "duckdb:///:memory:"))
    url = "duckdb:///" + path.replace("\\", "/").lstrip("/")
    found = _databases.get(url)
    if found is None:
        found = _databases[url] = _Database(Target("database", url))
    return found


def _read_schema(connection: Any) -> LiveSchema:
    cursor = _engine.cursor(connection)
    try:
        _engine.execute(
            cursor,
            "SELECT database_name = current_database(), database_name, schema_name, table_name, column_name "
            "FROM duckdb_columns() WHERE NOT internal ORDER BY table_oid, column_index",
        )
        columns = _engine.fetchall(cursor)
        _engine.execute(
            cursor,
            "SELECT database_name = current_database(), database_name, schema_name, view_name, sql "
            "FROM duckdb_views() WHERE NOT internal",
        )
        views = {name: sql or "" for *at, sql in _engine.fetchall(cursor) for name in _named(*at)}
    finally:
        _engine.close(cursor)
    found: dict[str, tuple[str, ...]] = {}
    for *at, column in columns:
        for name in _named(*at):
            found[name] = (*found.get(name, ()), column.lower())
    return LiveSchema(
        tables={name: told for name, told in found.items() if name not in views},
        views=views,
        columns={name: found.get(name, ()) for name in views},
    )


def _named(current: bool, database: str, schema: str, table: str) -> Iterator[str]:  # noqa: FBT001 - the engine's own answer
    """All names under which statements call a table."""
    name = table.lower()
    full = f"{database.lower()}.{schema.lower()}.{name}"
    yield full
    if current:
        yield f"{schema.lower()}.{name}"
    if schema == "main":
        yield f"{database.lower()}.{name}"
        if current:
            yield name


# ------------------------------------------------------------------ the program's own frames


def _frames(open_: _Open, connection: Any, sql: str, run: Run) -> dict[str, tuple[str, ...]]:
    """The program's objects that a statement reads by name, and their columns.

    A relation among them is a query of its own, and is judged as one.
    """
    found = {name: columns for name, columns in open_.frames.items() if name in sql.lower()}
    for source in _SOURCE.findall(sql):
        if source in _sources:
            found[source.lower()] = _sources[source]
    for name, obj in _variables(sql):
        if name.lower() in found or not (_columns(obj) or isinstance(obj, _engine.module.DuckDBPyRelation)):
            continue
        try:
            if _engine.table_kind(connection, name) != "none":
                continue  # the catalog counts before the program's variables
        except _engine.module.Error:
            continue
        columns = _columns(obj)
        if columns:
            found[name.lower()] = columns
        else:
            text = obj.sql_query()
            foreseen(Call("db", open_.database.target, statement=text, dialect=_DIALECT), run)
    return found


def _variables(sql: str) -> Iterator[tuple[str, Any]]:
    """What the names in a statement mean to its caller, nearest first, as the engine will look them up."""
    names = set(_NAME.findall(sql))
    frame = sys._getframe(1)
    above: Any = frame
    while above is not None and names:
        if above.f_globals.get("__name__", "").partition(".")[0] not in _OURS:
            for scope in (above.f_locals, above.f_globals):
                for name in names & scope.keys():
                    names.discard(name)
                    yield name, scope[name]
        above = above.f_back


def _columns(obj: Any) -> tuple[str, ...]:
    """The columns of a frame, an Arrow table, a data set; () if it is none."""
    if type(obj).__module__.partition(".")[0] not in _FRAMES:
        return ()
    names = getattr(obj, "column_names", None)
    if names is None and hasattr(obj, "collect_schema"):
        names = obj.collect_schema().names()
    if names is None:
        names = getattr(obj, "columns", None)
    if names is None:
        names = getattr(getattr(obj, "schema", None), "names", None)
    if names is None:
        return ()
    try:
        return tuple(str(name).lower() for name in names)
    except TypeError:
        return ()


def _known(handle: Any, columns: tuple[str, ...]) -> None:
    """The engine has been given an object of the program's."""
    if columns:
        _sources[handle.name] = columns
        weakref.finalize(handle, _sources.pop, handle.name, None)


# ------------------------------------------------------------------ statements


class _Clock:
    """How long the engine may still work on one statement, its rows included. Entered around each piece of work."""

    __slots__ = ("_began", "_connection", "_left", "_timer")

    def __init__(self, connection: Any, seconds: int) -> None:
        self._connection = weakref.ref(connection)
        self._left = float(seconds)
        self._began = 0.0
        self._timer: threading.Timer | None = None

    def __enter__(self) -> None:
        self._began = time.monotonic()
        timer = self._timer = threading.Timer(max(self._left, 0.001), self._interrupt)
        timer.daemon = True
        timer.start()

    def __exit__(self, *_: object) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._left -= time.monotonic() - self._began

    def _interrupt(self) -> None:
        connection = self._connection()
        if connection is not None and self._timer is not None:
            _engine.interrupt(connection)


def _text(query: Any) -> str | None:
    """The statement as the engine will read it: it asks a string's own `__str__`, so ours may be another's only once."""
    if isinstance(query, str):
        return query if type(query) is str else str(query)
    if isinstance(query, _engine.module.Statement):
        return str(_engine.text_of(query))
    return None


def _kinds(connection: Any, sql: str) -> list[str]:
    """What the engine takes a text for; nothing if it does not understand it, and will say so itself."""
    try:
        return [statement.type.name for statement in _engine.extract_statements(connection, sql)]
    except ValueError:  # a kind that this version of the library has no name for
        return ["UNKNOWN"]
    except _engine.module.Error:
        return []


def _begin(
    run: Run, connection: Any, sql: str, parameters: Any = None, returns: tuple[str, ...] = ()
) -> tuple[Statement, list[str]]:
    """Decides; what the engine takes for something else than the inspection did is not done.

    INVARIANT: what is taken for a read is one to the engine's parser and, where policy permits nothing but reading, to
    its binder.
    """
    open_ = _of(connection)
    schema = open_.database.schema(connection, _frames(open_, connection, sql, run))
    statement = begin(run, open_.database.target, sql, _DIALECT, parameters, schema, returns)
    ticket = statement.ticket
    kinds = _kinds(connection, sql)
    if not ticket.enforcing or not kinds:
        return statement, kinds
    allowed = _READS if ticket.reads else _READS | _WRITES if ticket.changes else None
    if (ticket.statements and len(kinds) != ticket.statements) or (
        allowed is not None and not allowed.issuperset(kinds)
    ):
        ticket.impossible("the engine takes this statement for something else than guardai does")
    if ticket.reads and ("EXPLAIN" in kinds or ticket.reads_only) and _writes(connection, sql):
        ticket.impossible("the engine says that this statement writes, and guardai took it for a read")
    return statement, kinds


def _writes(connection: Any, sql: str) -> bool:
    """What the engine's binder says. Of what does not bind nothing can happen."""
    with contextlib.suppress(_engine.module.Error):
        for statement in _engine.extract_statements(connection, sql):
            if _engine.bind(connection, statement, with_writes=True)[-1]:
                return True
    return False


def _run(
    connection: Any,
    statement: Statement,
    sql: str,
    effect: Callable[[Any], Any],
    affected: Callable[[], int],
) -> tuple[Any, AbstractContextManager[Any]]:
    """The effect, with what has to stand around it."""
    obligations = statement.ticket.obligations
    clock: AbstractContextManager[Any] = _NOTHING
    if obligations.timeout is not None:
        clock = _Clock(connection, obligations.timeout)
    if obligations.affected_cap is not None and statement.ticket.changes:
        if _RETURNING.search(sql):
            statement.ticket.impossible(
                "policy limits how many rows may change, and with RETURNING this engine does not say how many did"
            )
        _engine.abort(connection)  # as the statement itself would have done with rows that nobody has read
        statement.guarded(_DIALECT, autocommit=True, transaction=_in_transaction(connection))
    with clock:
        result = perform(
            lambda text: _engine.submit(connection, text, None).drain(),
            statement,
            effect,
            affected,
        )
    if statement.ticket.redefines:
        _of(connection).database.changed()
    return result, clock


def _in_transaction(connection: Any) -> bool:
    """In a transaction every statement has the same number; outside each has its own."""
    asked = "SELECT txid_current()"
    first = _engine.rows_of(_engine.submit(connection, asked, None))
    return bool(first == _engine.rows_of(_engine.submit(connection, asked, None)))


def _execute(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """`execute` and `executemany`: the rows, if any, stay with the connection."""
    _sql = _text(_args[0] if _args else _kwargs.get("query"))
    _run_of = None if _sql is None else acting(_sql, _DIALECT)
    _open_ = _of(_connection)
    if _run_of is None or _sql is None:
        if _open_.taken is not None:
            _open_.release()
        if _sql is not None and redefines(_sql):
            _open_.database.changed()
        return _wrapped(*_args, **_kwargs)
    _bound = _args[1] if len(_args) > 1 else _kwargs.get("parameters")
    if _bound is not None and not isinstance(_bound, list | tuple | dict):
        _bound = list(_bound)
    _statement, _kinds_of = _begin(_run_of, _connection, _sql, _bound)
    _given = _bound is not None
    # The former statement's rows stay masked until the engine drops them: a refused call changes nothing.
    _open_.release()
    _result, _clock = _run(
        _connection,
        _statement,
        _sql,
        lambda _parameters: _wrapped(_sql, _parameters) if _given else _wrapped(_sql),
        lambda: _connection.rowcount,
    )
    _described = None if _result is None else _connection.description
    if _rowless(_described, _kinds_of, _connection.rowcount):
        _statement.wrote(_connection.rowcount)
        return _result
    # In place before anything that can fail: no row of an agent is without what masks it.
    _open_.taken = _taken(_statement, _described, _clock)
    _open_.taken.rows.label()
    return _result


def _rowless(described: Any, kinds: list[str], affected: int) -> bool:
    if not described:
        return True
    if not kinds or kinds[-1] in _READS:
        return False
    # Others answer with how many rows they changed, if they have no RETURNING.
    return affected >= 0 or (kinds[-1] not in _WRITES and [column[0] for column in described] in _ROWLESS)


def _taken(statement: Statement, described: Any, clock: AbstractContextManager[Any]) -> _Taken:
    rows = statement.rows = statement.ticket.result_rows([column[0] for column in described])
    return _Taken(rows, clock)


def _submit(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """A relation runs its query, or writes: the rows are a result of their own."""
    _sql = _text(_args[0])
    assert _sql is not None, "the library's own"
    _run_of = acting(_sql, _DIALECT)
    if _run_of is None:
        if redefines(_sql):
            _of(_connection).database.changed()
        return _wrapped(*_args, **_kwargs)
    _view = _lent.get()
    if _view is not None and _view.its_own(_sql):
        _foreseen(_run_of, _connection, _sql.partition(" AS ")[2])
        return _wrapped(*_args, **_kwargs)
    _values = _args[1] if len(_args) > 1 else _kwargs.pop("values", None)
    _statement, _ = _begin(_run_of, _connection, _sql, _values)
    _made: list[Any] = []

    def _effect(_bound: Any) -> Any:
        _made.append(_wrapped(_sql, _bound, *_args[2:], **_kwargs))
        return _made[0]

    _result, _clock = _run(_connection, _statement, _sql, _effect, lambda: _made[0].rowcount)
    return _result_of(_statement, _result, _clock)


class _Lent:
    """The temporary view by which `relation.query(name, sql)` lends the relation to its query, made and dropped by the
    library itself.

    INVARIANT: nothing is dropped by this but what has been made by it.
    """

    __slots__ = ("_created", "_create", "_drop")

    def __init__(self, name: str) -> None:
        self._create = f"CREATE TEMPORARY VIEW {_quoted(name)} AS "
        self._drop = f"DROP VIEW IF EXISTS {_quoted(name)}"
        self._created = False

    def its_own(self, sql: str) -> bool:
        """Whether this is the library's own statement."""
        if sql.startswith(self._create) and not self._created:
            self._created = True
            return True
        return self._created and sql == self._drop


_lent: Final[ContextVar[_Lent | None]] = ContextVar("guardai_duckdb_lent", default=None)


def _lending(_wrapped: Any, _relation: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    before = _lent.get()
    name = str(_args[0] if _args else _kwargs.get("virtual_table_name"))
    free = False
    with contextlib.suppress(_engine.module.Error):
        free = _engine.table_kind(_relation._con, name) == "none"
    _lent.set(_Lent(name) if free else None)
    try:
        return _wrapped(*_args, **_kwargs)
    finally:
        _lent.set(before)


def _result_of(statement: Statement, result: Any, clock: AbstractContextManager[Any]) -> Any:
    if result.return_type != "query_result":
        statement.wrote(result.rowcount)
        return result
    taken = _results[result] = _taken(statement, result.description, clock)
    taken.rows.label()
    return result


def _prepare_script(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """`sql(…)`: all statements but the last run now; the last one is a relation's, or is submitted."""
    _sql = _text(_args[0])
    assert _sql is not None, "the library's own"
    _run_of = acting(_sql, _DIALECT)
    if _run_of is None:
        if redefines(_sql):
            _of(_connection).database.changed()
        return _wrapped(*_args, **_kwargs)
    if len(_kinds(_connection, _sql)) < 2:
        _foreseen(_run_of, _connection, _sql)
        return _wrapped(_sql, *_args[1:], **_kwargs)
    _statement, _ = _begin(_run_of, _connection, _sql, _args[1] if len(_args) > 1 else None)
    _found, _clock = _run(
        _connection, _statement, _sql, lambda _bound: _wrapped(_sql, _bound, *_args[2:], **_kwargs), lambda: -1
    )
    if _found[0] is None:
        _statement.wrote(None)
    else:
        _result_of(_statement, _found[0], _clock)
    return _found


def _foreseen(run: Run, connection: Any, sql: str) -> None:
    open_ = _of(connection)
    schema = open_.database.schema(connection, _frames(open_, connection, sql, run))
    foreseen(Call("db", open_.database.target, statement=sql, dialect=_DIALECT, schema=schema), run)


def _bind(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """INVARIANT: nothing of an agent's is bound that policy would not permit to run."""
    _sql = _text(_args[0])
    _of(_connection)
    if _sql is not None and (_run_of := acting(_sql, _DIALECT)) is not None:
        _foreseen(_run_of, _connection, _sql)
    _signature = _wrapped(*_args, **_kwargs)
    if _kwargs.get("capture") and _signature[5]:
        _meant = dict(_variables(_sql or ""))
        for _name, _handle in _signature[5]:
            _known(_handle, _columns(_meant.get(_name)))
    return _signature


# ------------------------------------------------------------------ what does without a statement


def _as_text(text: str) -> Callable[..., Any]:
    def governed(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
        _run_of = acting(text, _DIALECT)
        if _run_of is None:
            return _wrapped(*_args, **_kwargs)
        _statement, _ = _begin(_run_of, _connection, text)
        _result, _ = _run(_connection, _statement, text, lambda _: _wrapped(*_args, **_kwargs), lambda: -1)
        _statement.wrote(None)
        return _result

    return governed


def _whole(action: str, name: str) -> Callable[..., Any]:
    """A call on the database itself. What a function of Python's sees there, cannot be masked."""

    def governed(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
        _run_of = acting(f"-- {name}", _DIALECT)
        if _run_of is None:
            return _wrapped(*_args, **_kwargs)
        _ticket = opened(Call(action, _of(_connection).database.target, returns=("opaque.raw",)), _run_of)
        return _ending(_ticket, _wrapped, _args, _kwargs)

    return governed


def _ending(_ticket: Any, _wrapped: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    try:
        _result = _wrapped(*_args, **_kwargs)
    except BaseException as exc:
        _ticket.fail(exc)
        raise
    _ticket.close(None)
    return _result


def _quoted(name: Any) -> str:
    parts = name if isinstance(name, list | tuple) else [str(name)]
    return ".".join('"' + str(part).replace('"', '""') + '"' for part in parts)


def _create_view(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    words = [
        "CREATE",
        *(["OR REPLACE"] if _kwargs.get("replace") else []),
        *(["TEMPORARY"] if _kwargs.get("temporary") else []),
    ]
    _of(_connection).database.changed()
    return _as_text(f"{' '.join(words)} VIEW {_quoted(_args[0])} AS {_args[1]}")(_wrapped, _connection, _args, _kwargs)


def _register(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """A frame of the program's own is no table's; but a name that is one's already would mean something else."""
    name = str(_args[0] if _args else _kwargs.get("view_name"))
    obj = _args[1] if len(_args) > 1 else _kwargs.get("python_object")
    columns = _columns(obj)
    _open_ = _of(_connection)
    if acting(f"-- register {name}", _DIALECT) is not None:
        relation = isinstance(obj, _engine.module.DuckDBPyRelation)
        if relation or not columns or (
            name.lower() not in _open_.frames and _engine.table_kind(_connection, name) != "none"
        ):  # fmt: skip
            read = obj.sql_query() if relation else "SELECT 1"
            text = f"CREATE OR REPLACE TEMPORARY VIEW {_quoted(name)} AS {read}"
            return _as_text(text)(_wrapped, _connection, _args, _kwargs)
    made = _wrapped(*_args, **_kwargs)
    if columns:
        _open_.frames[name.lower()] = columns
    else:
        _open_.frames.pop(name.lower(), None)
    return made


def _register_source(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    _handle = _wrapped(*_args, **_kwargs)
    _known(_handle, _columns(_args[0]))
    return _handle


def _register_values(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    _handle = _wrapped(*_args, **_kwargs)
    _known(_handle, tuple(f"col{at}" for at in range(len(_args[0][0]))) if _args[0] else ())
    return _handle


def _register_collection(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """The engine keeps a result, for a relation: it is read, and masked, by another statement."""
    _handle = _wrapped(*_args, **_kwargs)
    _taken_of = _results.pop(_args[0], None)
    if _taken_of is not None:
        _taken_of.rows.end()
    return _handle


def _append(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """`append(table, frame)`: an INSERT, whose parameters are the frame's rows."""
    table = _args[0] if _args else _kwargs.get("table_name")
    given = _args[1] if len(_args) > 1 else _kwargs.get("df")
    marks = ", ".join("?" for _ in getattr(given, "columns", ()))
    text = f"INSERT INTO {_target(table)} VALUES ({marks})"  # noqa: S608 - judged, never run
    _run_of = acting(text, _DIALECT)
    if _run_of is None:
        return _wrapped(*_args, **_kwargs)
    rows = list(given.itertuples(index=False, name=None))  # type: ignore[union-attr]
    _statement, _ = _begin(_run_of, _connection, text, rows)

    def _effect(_bound: Any) -> Any:
        frame = given
        if _bound is not rows:
            frame = type(given)(_bound, columns=given.columns)  # type: ignore[union-attr]
        rest = {key: value for key, value in _kwargs.items() if key not in ("table_name", "df")}
        return _wrapped(table, frame, **rest)

    cap = _statement.ticket.obligations.affected_cap
    if cap is not None and len(rows) > cap:
        _statement.ticket.impossible(f"it would change {len(rows)} rows, policy permits {cap}")
    _result, _ = _run(_connection, _statement, text, _effect, lambda: len(rows))
    _statement.wrote(len(rows))
    return _result


def _target(table: Any) -> str:
    """A table's name as the library takes it: dotted, each part quoted or not."""
    return ".".join(
        part if part.startswith('"') else _quoted(part) for part in re.findall(r'"(?:[^"]|"")*"|[^.]+', str(table))
    )


def _appender(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """Rows that an appender takes go round every statement, so they cannot be looked into."""
    if _wrapped.__name__ == "query_appender":
        text = str(_args[0] if _args else _kwargs.get("dml"))
    else:
        table = _target(_args[0] if _args else _kwargs.get("table"))
        action = _kwargs.get("action", "insert")
        text = f"INSERT INTO {table} VALUES (?)"  # noqa: S608 - judged, never run
        if action != "insert":
            text = f"DELETE FROM {table} WHERE rowid = 1; {text}"  # noqa: S608
    _run_of = acting(text, _DIALECT)
    if _run_of is None:
        return _wrapped(*_args, **_kwargs)
    target = _of(_connection).database.target
    _ticket = opened(
        Call("db", target, statement=text, dialect=_DIALECT, opaque=("opaque.raw",)),
        _run_of,
    )
    if _ticket.obligations.affected_cap is not None:
        _ticket.impossible("policy limits how many rows may change, and an appender does not say how many it will")
    return _ending(_ticket, _wrapped, _args, _kwargs)


def _cursor(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """A cursor is another connection to the same database."""
    _made = _wrapped(*_args, **_kwargs)
    _opens[_made] = _Open(_of(_connection).database)
    if _engine.only is not None:
        _engine.only.add(_made)
    return _made


def _close(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    _open_ = _opens.get(_connection)
    if _open_ is not None:
        _open_.release()
    return _wrapped(*_args, **_kwargs)


def _connect(_wrapped: Any, _: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """`connect(database, read_only, config)`."""
    config = _args[2] if len(_args) > 2 else _kwargs.get("config")
    given = _kwargs.get("database", _args[0] if _args else ":memory:")
    if given == ":default:":
        return _default(_wrapped, None, _args, _kwargs)
    asked = dict(config) if isinstance(config, dict) else {}
    more: dict[str, Any] = {}
    _run_of = acting("-- connect", _DIALECT)
    if _run_of is not None:
        path = str(given)
        target = _database(None if not path or path.startswith(":memory:") else os.path.abspath(path)).target  # noqa: PTH100 - no link is followed
        if foreseen(Call("db", target, statement="SELECT 1", dialect=_DIALECT), _run_of):
            more = _LOCKED
    if more or asked.get("lock_configuration"):
        # Afterwards it could no longer be set.
        rest = {key: value for key, value in _kwargs.items() if key != "config"}
        with contextlib.suppress(_engine.module.ConnectionException):
            return _wrapped(*_args[:2], **rest, config={**asked, **more, _SCAN: True})
        # This process has the database open already, configured otherwise.
    return _wrapped(*_args, **_kwargs)


_METHODS: Final[dict[str, Callable[..., Any]]] = {
    **{name: _as_text(text) for name, text in _TEXTS.items()},
    **{name: _whole(action, name) for name, action in _WITHOUT_STATEMENT.items()},
    "__exit__": _close,
    "_bind": _bind,
    "_create_view": _create_view,
    "_prepare_script": _prepare_script,
    "_register_collection": _register_collection,
    "_register_map": _whole("db.admin", "map"),
    "_register_source": _register_source,
    "_register_values": _register_values,
    "_submit": _submit,
    "append": _append,
    "appender": _appender,
    "close": _close,
    "cursor": _cursor,
    "duplicate": _cursor,
    "query_appender": _appender,
    "register": _register,
}


# ------------------------------------------------------------------ rows


def _of_connection(connection: Any) -> _Taken | None:
    open_ = _opens.get(connection)
    return None if open_ is None else open_.taken


def _of_result(result: Any) -> _Taken | None:
    return _results.get(result)


def _taking(take: Callable[..., Any], whose: Callable[[Any], _Taken | None]) -> Callable[..., Any]:
    """A way to take rows, masked if they are an agent's."""

    def wrapper(_wrapped: Any, _instance: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
        taken = whose(_instance)
        if taken is None:
            return _wrapped(*_args, **_kwargs)
        try:
            return take(_wrapped, taken, _args, _kwargs, _instance)
        except BaseException as exc:
            taken.rows.fail(exc)  # if it has not ended already
            raise

    return wrapper


def _fetched(_wrapped: Any, _taken_of: _Taken, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    with _taken_of:
        return _wrapped(*_args, **_kwargs)


def _one(_wrapped: Any, _taken_of: _Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    row = _fetched(_wrapped, _taken_of, _args, _kwargs)
    if row is None:
        _taken_of.rows.end()
        return None
    return _taken_of.rows.one(row)


def _many(_wrapped: Any, _taken_of: _Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    size = int(_args[0] if _args else _kwargs.get("size", 1))
    fetched = _fetched(_wrapped, _taken_of, _args, _kwargs)
    made = _taken_of.rows.many(fetched)
    if len(fetched) < size:
        _taken_of.rows.end()
    return made


def _ended(mask: Callable[[Rows, Any], Any]) -> Callable[..., Any]:
    """The whole rest of a result."""

    def take(_wrapped: Any, _taken_of: _Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
        fetched = _fetched(_wrapped, _taken_of, _args, _kwargs)
        made = None if fetched is None else mask(_taken_of.rows, fetched)
        _taken_of.rows.end()
        return made

    return take


def _all(_wrapped: Any, _taken_of: _Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    if _taken_of.kept is not None:
        made, _taken_of.kept = _taken_of.kept, None
        return made
    made = _taken_of.rows.many(_fetched(_wrapped, _taken_of, _args, _kwargs))
    _taken_of.rows.end()
    return made


def _chunk(_wrapped: Any, _taken_of: _Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    fetched = _fetched(_wrapped, _taken_of, _args, _kwargs)
    if fetched is None or not len(fetched):
        _taken_of.rows.end()
        return fetched
    return columnar.frame(_taken_of.rows, fetched)


def _as_arrow(_wrapped: Any, _taken_of: _Taken, _args: Any, _kwargs: Any, _instance: Any) -> Any:
    if _kwargs.get("reader"):
        return _reader(_wrapped, _taken_of, _args, _kwargs, _instance)
    return _ended(columnar.arrow_table)(_wrapped, _taken_of, _args, _kwargs, _instance)


def _reader(_wrapped: Any, _taken_of: _Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    fetched = _wrapped(*_args, **_kwargs)
    if fetched is None:
        _taken_of.rows.end()
        return None
    return columnar.arrow_reader(_taken_of.rows, fetched, _taken_of)


def _capsule(_wrapped: Any, _taken_of: _Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    fetched = _wrapped(*_args, **_kwargs)
    try:
        import pyarrow
    except ImportError:
        _taken_of.rows.withhold(GuardError("a stream of Arrow's cannot be masked without pyarrow"))
        return fetched
    reader = pyarrow.RecordBatchReader._import_from_c_capsule(fetched)
    return columnar.arrow_reader(_taken_of.rows, reader, _taken_of).__arrow_c_stream__()


def _tensors(_wrapped: Any, _taken_of: _Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    _taken_of.rows.withhold(GuardError("tensors cannot be masked; fetchnumpy() gives arrays that can"))
    return _wrapped(*_args, **_kwargs)


def _box(_wrapped: Any, _taken_of: _Taken, _args: Any, _kwargs: Any, _result: Any) -> Any:
    """A table that is drawn for people. One in which something is masked is drawn anew, of the masked rows."""
    fetched = _engine.rows_of(_result)
    made = _taken_of.kept = _taken_of.rows.many(fetched)
    _taken_of.rows.end()
    if made is fetched:
        return _wrapped(*_args, **_kwargs)
    changed = {
        at
        for before, after in zip(fetched, made, strict=True)
        for at, (was, is_) in enumerate(zip(before, after, strict=True))
        if was is not is_
    }
    return _drawn(_result.description, made, changed, _args, _kwargs)


def _drawn(described: Any, rows: list[Any], changed: set[int], args: Any, kwargs: Any) -> Any:
    scratch = _engine.connect(":memory:")
    try:
        handle = _engine.register_values(scratch, rows)
        columns = ", ".join(
            f'CAST("{name}" AS {"VARCHAR" if at in changed else told[1]}) AS {_quoted([told[0]])}'
            for at, (name, told) in enumerate(
                zip(
                    _engine.bind(scratch, f'SELECT * FROM "{handle.name}"', with_writes=True)[0], described, strict=True
                )
            )
        )
        result = _engine.submit(scratch, f'SELECT {columns} FROM "{handle.name}"', None)  # noqa: S608 - ours
        return _engine.box_of(result, *args, **kwargs)
    finally:
        _engine.close(scratch)


_TAKING: Final[dict[str, Callable[..., Any]]] = {
    "_result_as_arrow": _as_arrow,
    "arrow_capsule": _capsule,
    "arrow_reader": _reader,
    "arrow_table": _ended(columnar.arrow_table),
    "df": _ended(columnar.frame),
    "fetch_df": _ended(columnar.frame),
    "fetch_df_chunk": _chunk,
    "fetchall": _all,
    "fetchdf": _ended(columnar.frame),
    "fetchmany": _many,
    "fetchnumpy": _ended(columnar.numpy_arrays),
    "fetchone": _one,
    "tf": _tensors,
    "to_box": _box,
    "torch": _tensors,
}


def _polars(_wrapped: Any, _relation: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """A lazy frame of polars runs its query in a thread without a session: an agent's is read now."""
    if not _kwargs.get("lazy") or acting("-- pl", _DIALECT) is None or not _engine.governs(_relation._con):
        return _wrapped(*_args, **_kwargs)
    return _wrapped(*_args, **{**_kwargs, "lazy": False}).lazy()
