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
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Final

from guardai.hooks import Call, Hooks, Run, acting, foreseen, opened
from guardai_dbapi import duckdb_one
from guardai_dbapi.duckdb_open import (
    DIALECT,
    SCAN,
    Open,
    Taken,
    columns_of,
    database,
    engine,
    frames,
    known,
    opened_of,
    opens,
    quoted,
    results,
    variables,
)
from guardai_dbapi.duckdb_rows import TAKING, of_connection, of_result, polars, taking
from guardai_dbapi.statement import Statement, begin, perform

__all__ = ["DuckdbDriver"]

_NOTHING: Final = contextlib.nullcontext()
#: The engine's own kinds of statements. What is taken for a read has to be of the first, for a write of either.
_READS: Final = frozenset(("SELECT", "EXPLAIN", "PRAGMA", "TRANSACTION", "MULTI"))
_WRITES: Final = frozenset(("INSERT", "UPDATE", "DELETE", "MERGE_INTO"))
#: A PRAGMA that sets something gives rows of nobody.
_ROWLESS: Final = (["Count"], ["Success"])
#: Where a query stands within another that the library has built, and how deep one is looked for.
_OPENS: Final = re.compile(r"\(\n(?=\s*(?:select|with|from|values|table)\b)()", re.IGNORECASE)
_CLOSES: Final = re.compile(r"\n\)")
_NESTED: Final = 16
_RETURNING: Final = re.compile(r"\breturning\b", re.IGNORECASE)
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
#: Methods that only DuckDB 2 has.
_TWO: Final = frozenset(
    (
        "_bind", "_create_view", "_prepare_script", "_register_collection", "_register_map", "_register_source",
        "_register_values", "_submit", "appender", "query_appender",
    )
)  # fmt: skip
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
    "get_table_names",
    "query_appender",
    "register",
    "tf",
    "torch",
)


class DuckdbDriver:
    """DuckDB's own Python library."""

    library = "duckdb"
    targets: tuple[str, ...] = ("duckdb",)
    versions = ">=1.3,<3"

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
        if not engine.governs(obj):
            if self._alone is None:
                self._alone = Hooks()
                _install(self._alone, module, weakref.WeakSet())
            assert engine.only is not None, "otherwise it would be governed"
            engine.only.add(obj)
        return obj


def _install(hooks: Hooks, module: Any, only: weakref.WeakSet[Any] | None) -> None:
    engine.load(module, only)
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
        if not (engine.one and name in _TWO):
            method(name, governed)
    for name in ("fetchone", "fetchall", "fetchmany", "fetchnumpy", "df", "fetch_df", "fetchdf", "fetch_df_chunk"):
        method(name, taking(TAKING[name], of_connection))
    for name in ("torch", "tf"):
        method(name, taking(TAKING[name], of_connection))
    functions = _MODULE
    if engine.one:
        duckdb_one.install(hooks, module, method)
        functions = tuple(name for name in (*_MODULE, *duckdb_one.MODULE) if hasattr(module, name))
    else:
        method("_result_as_arrow", taking(TAKING["_result_as_arrow"], of_connection))
        for name in (
            "fetchall", "fetchmany", "fetchnumpy", "df", "torch", "tf", "arrow_table", "arrow_reader", "arrow_capsule",
            "to_box",
        ):  # fmt: skip
            hooks.wrap(f"_duckdb:RelationResult.{name}", taking(TAKING[name], of_result))
        hooks.wrap("duckdb:DuckDBPyRelation.pl", polars)
        hooks.wrap("duckdb:DuckDBPyRelation.query", _lending)
    if only is None:
        hooks.wrap("duckdb:connect", _connect)
        hooks.wrap("duckdb:default_connection", _default)
        for name in functions:
            hooks.wrap(f"duckdb:{name}", _of_default(name))
        if not engine.one:
            hooks.wrap("_duckdb:default_connection", _default)
            for name in functions:
                hooks.wrap(f"_duckdb:{name}", _of_default(name))
            hooks.wrap("duckdb._relation:_FETCH_DF", _of_default("df"))


def _forget() -> None:
    engine.installed = False
    engine.default = None
    engine.only = None


def _of_default(name: str) -> Callable[..., Any]:
    """A function of the module is the method of its connection, which is governed."""

    def wrapper(_wrapped: Any, _: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
        _connection = _kwargs.pop("connection", None)
        if _connection is None:
            _connection = engine.module.default_connection()  # governed: see `_default`
        return getattr(_connection, name)(*_args, **_kwargs)

    return wrapper


def _default(_wrapped: Any, _: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    # The engine makes a new Python object of its default connection once nobody holds the old one, of which we know.
    engine.default = _wrapped(*_args, **_kwargs)
    return engine.default


# ------------------------------------------------------------------ what is known of a connection


# ------------------------------------------------------------------ the program's own frames


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
            engine.interrupt(connection)


def _text(query: Any) -> str | None:
    """The statement as the engine will read it: it asks a string's own `__str__`, so ours may be another's only once."""
    if isinstance(query, str):
        return query if type(query) is str else str(query)
    if isinstance(query, engine.module.Statement):
        return str(engine.text_of(query))
    return None


def _whose(sql: str) -> Run | None:
    """Whose statement this is, where the library may have built it around another: `SELECT * FROM (…) LIMIT 3`.

    What a model wrote is known by its text, and stays the model's when a relation is made of it.
    """
    run = acting(sql, DIALECT)
    if "(\n" not in sql or (run is not None and run.session.principal.kind == "Agent"):
        return run
    ends = [found.start() for found in _CLOSES.finditer(sql)][-_NESTED:]
    for opens_at in [found.start(1) for found in _OPENS.finditer(sql)][:_NESTED]:
        for end in reversed(ends):
            if end > opens_at:
                within = acting(sql[opens_at:end], DIALECT)
                if within is not None and within.session.principal.kind == "Agent":
                    return within
    return run


def _kinds(connection: Any, sql: str) -> list[str]:
    """What the engine takes a text for; nothing if it does not understand it, and will say so itself."""
    try:
        return [statement.type.name for statement in engine.extract_statements(connection, sql)]
    except ValueError:  # a kind that this version of the library has no name for
        return ["UNKNOWN"]
    except engine.module.Error:
        return []


def _begin(
    run: Run, connection: Any, sql: str, parameters: Any = None, returns: tuple[str, ...] = ()
) -> tuple[Statement, list[str]]:
    """Decides; what the engine takes for something else than the inspection did is not done.

    INVARIANT: what is taken for a read is one to the engine's parser and, where policy permits nothing but reading, to
    its binder.
    """
    open_ = opened_of(connection)
    schema = open_.database.schema(connection, frames(open_, connection, sql, run))
    statement = begin(run, open_.database.target, sql, DIALECT, parameters, schema, returns)
    ticket = statement.ticket
    kinds = _kinds(connection, sql)
    if not ticket.enforcing or not kinds:
        return statement, kinds
    allowed = _READS if ticket.plan.reads else _READS | _WRITES if ticket.plan.changes else None
    if (ticket.plan.statements and len(kinds) != ticket.plan.statements) or (
        allowed is not None and not allowed.issuperset(kinds)
    ):
        ticket.impossible("the engine takes this statement for something else than guardai does")
    if ticket.plan.reads and ("EXPLAIN" in kinds or ticket.reads_only) and _writes(connection, sql):
        ticket.impossible("the engine says that this statement writes, and guardai took it for a read")
    return statement, kinds


def _writes(connection: Any, sql: str) -> bool:
    """What the engine's binder says. Of what does not bind nothing can happen."""
    with contextlib.suppress(engine.module.Error):
        if engine.one:
            return False  # its binder does not tell; a statement of its that reads does not write
        for statement in engine.extract_statements(connection, sql):
            if engine.bind(connection, statement, with_writes=True)[-1]:
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
    if obligations.capture and not statement.ticket.plan.reads:
        statement.guarded(DIALECT, autocommit=True, transaction=False)  # what would have to be kept is refused
    if obligations.affected_cap is not None and statement.ticket.plan.changes:
        if engine.one:
            statement.ticket.impossible(
                "policy limits how many rows may change, and DuckDB 1 does not say how many did"
            )
        if _RETURNING.search(sql):
            statement.ticket.impossible(
                "policy limits how many rows may change, and with RETURNING this engine does not say how many did"
            )
        engine.abort(connection)  # as the statement itself would have done with rows that nobody has read
        statement.guarded(DIALECT, autocommit=True, transaction=_in_transaction(connection))
    with clock:
        result = perform(
            lambda text: engine.submit(connection, text, None).drain(),
            statement,
            effect,
            affected,
        )
    if statement.ticket.plan.redefines:
        opened_of(connection).database.changed()
    return result, clock


def _in_transaction(connection: Any) -> bool:
    """In a transaction every statement has the same number; outside each has its own."""
    asked = "SELECT txid_current()"
    first = engine.rows_of(engine.submit(connection, asked, None))
    return bool(first == engine.rows_of(engine.submit(connection, asked, None)))


def _execute(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """`execute` and `executemany`: the rows, if any, stay with the connection."""
    _sql = _text(_args[0] if _args else _kwargs.get("query"))
    _run_of = None if _sql is None else acting(_sql, DIALECT)
    _open_ = opened_of(_connection)
    if _run_of is None or _sql is None:
        if _open_.taken is not None:
            _open_.taken.rows.abandon()
        if _sql is not None:
            _open_.own(_sql)
        _result = _wrapped(*_args, **_kwargs)
        _open_.taken = None
        return _result
    _bound = _args[1] if len(_args) > 1 else _kwargs.get("parameters")
    if _bound is not None and not isinstance(_bound, list | tuple | dict):
        _bound = list(_bound)
    _statement, _kinds_of = _begin(_run_of, _connection, _sql, _bound)
    _given = _bound is not None
    # The former statement's rows stay masked until the engine has dropped them: a refused call changes nothing.
    if _open_.taken is not None:
        _open_.taken.rows.abandon()
    _result, _clock = _run(
        _connection,
        _statement,
        _sql,
        lambda _parameters: _wrapped(_sql, _parameters) if _given else _wrapped(_sql),
        lambda: _connection.rowcount,
    )
    _described = None if _result is None else _connection.description
    if _rowless(_described, _kinds_of, _connection.rowcount, _sql):
        _open_.taken = None
        _statement.wrote(_connection.rowcount)
        return _result
    # In place before anything that can fail: no row of an agent is without what masks it.
    _open_.taken = _taken(_statement, _described, _clock)
    _open_.taken.rows.label()
    return _result


def _rowless(described: Any, kinds: list[str], affected: int, sql: str) -> bool:
    if not described:
        return True
    if not kinds or kinds[-1] in _READS:
        return False
    if engine.one and kinds[-1] in _WRITES:
        return _RETURNING.search(sql) is None
    # Others answer with how many rows they changed, if they have no RETURNING.
    return affected >= 0 or (kinds[-1] not in _WRITES and [column[0] for column in described] in _ROWLESS)


def _taken(statement: Statement, described: Any, clock: AbstractContextManager[Any]) -> Taken:
    rows = statement.rows = statement.ticket.result_rows([column[0] for column in described])
    return Taken(rows, clock)


def _submit(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """A relation runs its query, or writes: the rows are a result of their own."""
    _sql = _text(_args[0])
    assert _sql is not None, "the library's own"
    _run_of = _whose(_sql)
    if _run_of is None:
        opened_of(_connection).own(_sql)
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
    """The temporary view by which `relation.query(name, sql)` lends the relation to its query.

    The library itself makes and drops it. INVARIANT: nothing is dropped by this but what has been made by it.
    """

    __slots__ = ("_create", "_created", "_drop")

    def __init__(self, name: str) -> None:
        self._create = f"CREATE TEMPORARY VIEW {quoted(name)} AS "
        self._drop = f"DROP VIEW IF EXISTS {quoted(name)}"
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
    with contextlib.suppress(engine.module.Error):
        free = engine.table_kind(_relation._con, name) == "none"
    _lent.set(_Lent(name) if free else None)
    try:
        return _wrapped(*_args, **_kwargs)
    finally:
        _lent.set(before)


def _result_of(statement: Statement, result: Any, clock: AbstractContextManager[Any]) -> Any:
    if result.return_type != "query_result":
        statement.wrote(result.rowcount)
        return result
    taken = results[result] = _taken(statement, result.description, clock)
    taken.rows.label()
    return result


def _prepare_script(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """`sql(…)`: all statements but the last run now; the last one is a relation's, or is submitted."""
    _sql = _text(_args[0])
    assert _sql is not None, "the library's own"
    _run_of = acting(_sql, DIALECT)
    if _run_of is None:
        opened_of(_connection).own(_sql)
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
    open_ = opened_of(connection)
    schema = open_.database.schema(connection, frames(open_, connection, sql, run))
    foreseen(Call("db", open_.database.target, statement=sql, dialect=DIALECT, schema=schema), run)


def _table_names(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """It binds, too."""
    _sql = _text(_args[0] if _args else _kwargs.get("query"))
    if _sql is not None and (_run_of := _whose(_sql)) is not None:
        _foreseen(_run_of, _connection, _sql)
    return _wrapped(*_args, **_kwargs)


def _bind(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """INVARIANT: nothing of an agent's is bound that policy would not permit to run."""
    _sql = _text(_args[0])
    opened_of(_connection)
    if _sql is not None and (_run_of := _whose(_sql)) is not None:
        _foreseen(_run_of, _connection, _sql)
    _signature = _wrapped(*_args, **_kwargs)
    if _kwargs.get("capture") and _signature[5]:
        _meant = dict(variables(_sql or ""))
        for _name, _handle in _signature[5]:
            known(_handle, columns_of(_meant.get(_name)))
    return _signature


# ------------------------------------------------------------------ what does without a statement


def _as_text(text: str) -> Callable[..., Any]:
    def governed(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
        _run_of = _whose(text)
        if _run_of is None:
            opened_of(_connection).own(text)
            return _wrapped(*_args, **_kwargs)
        _statement, _ = _begin(_run_of, _connection, text)
        _result, _ = _run(_connection, _statement, text, lambda _: _wrapped(*_args, **_kwargs), lambda: -1)
        _statement.wrote(None)
        return _result

    return governed


def _whole(action: str, name: str) -> Callable[..., Any]:
    """A call on the database itself. What a function of Python's sees there, cannot be masked."""

    def governed(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
        _run_of = acting(f"-- {name}", DIALECT)
        if _run_of is None:
            return _wrapped(*_args, **_kwargs)
        _ticket = opened(Call(action, opened_of(_connection).database.target, returns=("opaque.raw",)), _run_of)
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


def _create_view(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    words = [
        "CREATE",
        *(["OR REPLACE"] if _kwargs.get("replace") else []),
        *(["TEMPORARY"] if _kwargs.get("temporary") else []),
    ]
    return _as_text(f"{' '.join(words)} VIEW {quoted(_args[0])} AS {_args[1]}")(_wrapped, _connection, _args, _kwargs)


def _register(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """A frame of the program's own is no table's; but a name that is one's already would mean something else."""
    name = str(_args[0] if _args else _kwargs.get("view_name"))
    obj: Any = _args[1] if len(_args) > 1 else _kwargs.get("python_object")
    columns = columns_of(obj)
    _open_ = opened_of(_connection)
    if acting(f"-- register {name}", DIALECT) is not None:
        relation = isinstance(obj, engine.module.DuckDBPyRelation)
        if relation or not columns or (
            name.lower() not in _open_.frames and not engine.one and engine.table_kind(_connection, name) != "none"
        ):  # fmt: skip
            read = obj.sql_query() if relation else "SELECT 1"
            text = f"CREATE OR REPLACE TEMPORARY VIEW {quoted(name)} AS {read}"
            return _as_text(text)(_wrapped, _connection, _args, _kwargs)
    made = _wrapped(*_args, **_kwargs)
    if columns:
        _open_.frames[name.lower()] = columns
    else:
        _open_.frames.pop(name.lower(), None)
    return made


def _register_source(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    _handle = _wrapped(*_args, **_kwargs)
    known(_handle, columns_of(_args[0]))
    return _handle


def _register_values(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    _handle = _wrapped(*_args, **_kwargs)
    known(_handle, tuple(f"col{at}" for at in range(len(_args[0][0]))) if _args[0] else ())
    return _handle


def _register_collection(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """The engine keeps a result, for a relation: it is read, and masked, by another statement."""
    _handle = _wrapped(*_args, **_kwargs)
    _taken_of = results.pop(_args[0], None)
    if _taken_of is not None:
        _taken_of.rows.end()
    return _handle


def _append(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """`append(table, frame)`: an INSERT, whose parameters are the frame's rows."""
    table = _args[0] if _args else _kwargs.get("table_name")
    given: Any = _args[1] if len(_args) > 1 else _kwargs.get("df")
    marks = ", ".join("?" for _ in getattr(given, "columns", ()))
    text = f"INSERT INTO {_target(table)} VALUES ({marks})"  # noqa: S608 - judged, never run
    _run_of = acting(text, DIALECT)
    if _run_of is None:
        return _wrapped(*_args, **_kwargs)
    assert given is not None, "the library says so itself"
    rows = list(given.itertuples(index=False, name=None))
    _statement, _ = _begin(_run_of, _connection, text, rows)

    def _effect(_bound: Any) -> Any:
        frame = given
        if _bound is not rows:
            frame = type(given)(_bound, columns=given.columns)
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
        part if part.startswith('"') else quoted(part) for part in re.findall(r'"(?:[^"]|"")*"|[^.]+', str(table))
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
    _run_of = acting(text, DIALECT)
    if _run_of is None:
        return _wrapped(*_args, **_kwargs)
    target = opened_of(_connection).database.target
    _ticket = opened(
        Call("db", target, statement=text, dialect=DIALECT, opaque=("opaque.raw",)),
        _run_of,
    )
    if _ticket.obligations.affected_cap is not None:
        _ticket.impossible("policy limits how many rows may change, and an appender does not say how many it will")
    return _ending(_ticket, _wrapped, _args, _kwargs)


def _cursor(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """A cursor is another connection to the same database."""
    _made = _wrapped(*_args, **_kwargs)
    opens[_made] = Open(opened_of(_connection).database)
    if engine.only is not None:
        engine.only.add(_made)
    return _made


def _close(_wrapped: Any, _connection: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    _open_ = opens.get(_connection)
    if _open_ is not None:
        _open_.taken = None
    return _wrapped(*_args, **_kwargs)


def _connect(_wrapped: Any, _: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """`connect(database, read_only, config)`."""
    config = _args[2] if len(_args) > 2 else _kwargs.get("config")
    given = _kwargs.get("database", _args[0] if _args else ":memory:")
    if given == ":default:":
        return _default(_wrapped, None, _args, _kwargs)
    asked = dict(config) if isinstance(config, dict) else {}
    more: dict[str, Any] = {}
    _run_of = acting("-- connect", DIALECT)
    if _run_of is not None:
        path = str(given)
        target = database(None if not path or path.startswith(":memory:") else os.path.abspath(path)).target  # noqa: PTH100 - no link is followed
        if foreseen(Call("db", target, statement="SELECT 1", dialect=DIALECT), _run_of):
            more = _LOCKED
    if more or asked.get("lock_configuration"):
        # Afterwards it could no longer be set.
        rest = {key: value for key, value in _kwargs.items() if key != "config"}
        with contextlib.suppress(engine.module.ConnectionException):
            return _wrapped(*_args[:2], **rest, config={**asked, **more, SCAN: True})
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
    "get_table_names": _table_names,
    "query_appender": _appender,
    "register": _register,
}


# ------------------------------------------------------------------ rows
