"""python-oracledb: judged and masked in the generators that its waiting and its awaited faces share.

Each operation of a cursor or a connection is a generator, `_execute`, `_fetchall`, …, driven by the sync classes and the
async ones alike; so the wrappers are generators, and there is one of each. REF cursors, implicit results and cursors
within rows belong to the statement that made them, and so do variables that it filled.

What goes round it: the C types of `cursor._impl` called by name, variables that an output type handler of the program's
made (it and converters are called before anything else), and what is read and written through a LOB once policy has let
it pass.

INVARIANT: rows of an agent's leave the cursor masked, and a row factory sees none before that.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Generator
from typing import Any, Final
from urllib.parse import quote

from guardai import GuardError
from guardai.hooks import Hooks, Patch, Rows, Run, Target, acting
from guardai_dbapi.oracledb_bound import Bound
from guardai_dbapi.statement import Statement, begin, gperform
from guardai_dbapi.subclasses import governed_class

__all__ = ["OracledbDriver"]

_DIALECT: Final = "oracle"
#: Under this name a cursor keeps the statement whose rows it has.
_HELD: Final = "_guardai"
_RAW: Final = ("opaque.raw",)
_NAME: Final = re.compile(r"[A-Za-z][\w$#]*")
#: The connection is gone.
_LOST: Final = frozenset({"DPY-1001", "DPY-4011", "DPY-6005"})

#: What both faces drive.
_Steps = Generator[Any, Any, Any]


class OracledbDriver:
    """python-oracledb: connections, pools, sync and async. Thick mode goes the same way, and was not tried."""

    library = "oracledb"
    targets: tuple[str, ...] = ("oracledb.cursor", "oracledb.connection", "oracledb.aq")
    versions = ">=26,<27"

    def install(self, hooks: Hooks) -> None:
        """Wraps the shared generators; connections that are open already are governed too."""
        for name, wrapper in _CURSOR.items():
            hooks.wrap(f"oracledb.cursor:BaseCursor.{name}", wrapper)
        for name, wrapper in _CONNECTION.items():
            hooks.wrap(f"oracledb.connection:BaseConnection.{name}", wrapper)
        for name, wrapper in _QUEUE.items():
            hooks.wrap(f"oracledb.aq:BaseQueue.{name}", wrapper)
        hooks.wrap("oracledb.connection:Connection.getSodaDatabase", _documents)
        _replace_fetchvars(hooks)

    def wrap(self, obj: Any) -> Any | None:
        """One open connection, of a governed subclass from now on, without patching the library."""
        if not any(kind.__module__ == "oracledb.connection" for kind in type(obj).__mro__):
            return None
        kind: Any = type(obj)
        if not hasattr(kind, "_guardai_governed"):
            obj.__class__ = _connection_class(kind)
        return obj


class Held:
    """A statement of an agent's, as one of the cursors that have rows of it knows it.

    Attributes:
        statement: of which they are.
        rows: what passes them; None before the first is asked for.
        child: the cursor came out of the statement, so its end is not the statement's.
        nested: positions of the columns that are cursors themselves.
    """

    __slots__ = ("child", "nested", "rows", "statement")

    def __init__(self, statement: Statement, *, child: bool = False) -> None:
        self.statement = statement
        self.rows: Rows | None = None
        self.child = child
        self.nested: tuple[int, ...] = ()


def _target(connection: Any) -> Target:
    from oracledb import Error

    try:
        service = connection.service_name or connection.instance_name or ""
        address = f"{connection.host}:{connection.port}/{quote(service, safe='')}".lower()
    except Error:
        address = "unknown"
    return Target("database", f"oracle://{address}")


# ---------------------------------------------------------------------- what is sent


def _execute(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Steps:
    return _executed(wrapped, cursor, *args, **kwargs)


def _executed(
    wrapped: Any,
    cursor: Any,
    statement: Any,
    parameters: Any = None,
    *,
    suspend_on_success: bool = False,
    fetch_lobs: bool | None = None,
    fetch_decimals: bool | None = None,
    **keyword_parameters: Any,
) -> _Steps:
    options: dict[str, Any] = {
        "suspend_on_success": suspend_on_success,
        "fetch_lobs": fetch_lobs,
        "fetch_decimals": fetch_decimals,
    }
    sent, text, given = _text(cursor, statement, parameters)
    run = None if text is None else acting(text, _DIALECT)
    if run is None or text is None or (given and keyword_parameters):
        _release(cursor)
        return (yield from wrapped(statement, parameters, **options, **keyword_parameters))
    bound = Bound(keyword_parameters or given)
    # A frame holds what was fetched as the server sent it.
    returns = _RAW if cursor._impl.fetching_arrow else ()

    def effect(values: Any) -> Any:
        return wrapped(sent, bound.put_back(values), **options)

    return (yield from _governed(cursor, run, text, bound, effect, returns=returns))


def _text(cursor: Any, statement: Any, parameters: Any) -> tuple[Any, str | None, Any]:
    """What is sent, how it reads, and with which parameters. INVARIANT: what was judged is what is sent."""
    from oracledb import cursor as library

    if statement is None:
        return None, cursor.statement, parameters
    if isinstance(statement, str):
        return statement, statement, parameters
    if not isinstance(statement, vars(library)["Template"]) or parameters:
        return statement, None, parameters  # the library refuses it
    values: list[Any] = []
    text = cursor._process_template(statement, values)
    return text, text, values


def _executemany(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Steps:
    return _executed_many(wrapped, cursor, *args, **kwargs)


def _executed_many(wrapped: Any, cursor: Any, statement: Any, parameters: Any, **options: Any) -> _Steps:
    text = cursor.statement if statement is None else statement
    run = acting(text, _DIALECT) if isinstance(text, str) else None
    if run is None:
        _release(cursor)
        return (yield from wrapped(statement, parameters, **options))
    seen = isinstance(parameters, list)
    bound = Bound(parameters if seen else None, many=True)

    def effect(values: Any) -> Any:
        return wrapped(statement, bound.put_back(values) if seen else parameters, **options)

    # Frames, and variables that were filled before, are not looked into.
    opaque = () if seen else _RAW
    return (yield from _governed(cursor, run, text, bound, effect, opaque=opaque))


def _parse(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Steps:
    return _parsed(wrapped, cursor, *args, **kwargs)


def _parsed(wrapped: Any, cursor: Any, statement: Any) -> _Steps:
    run = acting(statement, _DIALECT) if isinstance(statement, str) else None
    if run is None:
        _release(cursor)
        return (yield from wrapped(statement))
    # The server runs what changes its tables as it parses it.
    return (yield from _governed(cursor, run, statement, Bound(None), lambda _: wrapped(statement), parsed=True))


def _governed(
    cursor: Any,
    run: Run,
    text: str,
    bound: Bound,
    effect: Callable[[Any], _Steps],
    *,
    opaque: tuple[str, ...] = (),
    returns: tuple[str, ...] = (),
    parsed: bool = False,
) -> _Steps:
    connection = cursor.connection
    opaque = opaque or (_RAW if bound.opaque else ())
    statement = begin(run, _target(connection), text, _DIALECT, bound.values, opaque=opaque, returns=returns)
    ticket = statement.ticket
    if bound.fixed(statement.parameters):
        ticket.impossible("a value that a variable holds would have to be masked; give it as a parameter")
    statement.guarded(_DIALECT, autocommit=False, transaction=True)
    _release(cursor)
    # In place before anything that can fail: a cursor with rows is never without what masks them.
    held = cursor.__dict__[_HELD] = Held(statement)
    result = yield from _performed(cursor, statement, effect)
    if parsed or returns:
        statement.wrote(None)
        return result
    if cursor._impl.fetch_vars is not None:
        _begin(cursor, held)
        return result
    children = [*bound.mask_outputs(cursor, statement), *_implicit(cursor)]
    for child in children:
        _adopt(child, statement)
    if children:
        statement.pending()
    else:
        statement.wrote(_affected(cursor))
    return result


def _performed(cursor: Any, statement: Statement, effect: Callable[[Any], _Steps]) -> _Steps:
    connection = cursor.connection
    # What the server commits at once it cannot take back: it commits when the count is known.
    commits = bool(statement.guard.before) and connection.autocommit
    if commits:
        connection.autocommit = False
    try:
        result = yield from gperform(
            functools.partial(_own, connection),
            statement,
            lambda values: _timed(connection, statement, effect(values)),
            lambda: _affected(cursor),
            functools.partial(_means, connection),
        )
        if commits:
            try:
                yield from connection._commit()
            except BaseException as exc:
                statement.failed(exc, lost=True)
                raise
    finally:
        if commits:
            connection.autocommit = True
    return result


def _own(connection: Any, text: str) -> _Steps:
    """Runs a text of ours, below what is governed."""
    cursor = connection.cursor()
    cursor._impl._prepare_for_execute(cursor, text, None, None)
    yield from cursor._impl.execute(cursor)
    cursor.close()


def _timed(connection: Any, statement: Statement, steps: _Steps) -> _Steps:
    """Under policy's limit of time, which is one for each turn to the server."""
    limit = statement.ticket.obligations.timeout
    if limit is None:
        return (yield from steps)
    impl = connection._impl
    before, ours = impl.get_call_timeout(), int(limit * 1000)
    impl.set_call_timeout(min(before, ours) if before else ours)
    try:
        return (yield from steps)
    finally:
        impl.set_call_timeout(before)


def _affected(cursor: Any) -> int | None:
    count = cursor.rowcount
    return count if isinstance(count, int) and count >= 0 else None


def _means(connection: Any, exc: BaseException) -> dict[str, bool]:
    """What an error says: that the connection is gone."""
    from oracledb import Error

    told = exc.args[0] if isinstance(exc, Error) and exc.args else None
    code = getattr(told, "full_code", "")
    gone = code in _LOST or bool(getattr(told, "is_session_dead", False)) or isinstance(exc, OSError)
    # DPY-1001: it was gone before anything was sent.
    return {"lost": code != "DPY-1001" and (gone or not connection.is_healthy())}


# ---------------------------------------------------------------------- what comes back


def _begin(cursor: Any, held: Held) -> Rows:
    from oracledb import DB_TYPE_CURSOR

    described = cursor.description or []
    held.nested = tuple(at for at, column in enumerate(described) if column.type_code is DB_TYPE_CURSOR)
    held.rows = held.statement.began([column.name for column in described])
    if held.nested:
        held.statement.pending()
    return held.rows


def _adopt(child: Any, statement: Statement) -> None:
    """A cursor that a statement made: its rows are that statement's."""
    child.__dict__[_HELD] = Held(statement, child=True)


def _implicit(cursor: Any) -> list[Any]:
    from oracledb import Error

    with contextlib.suppress(Error):
        return list(cursor._impl.get_implicit_results(cursor.connection))
    return []


def _implicit_results(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    held: Held | None = cursor.__dict__.get(_HELD)
    found = wrapped(*args, **kwargs)
    if held is not None:
        for child in found:
            if _HELD not in child.__dict__:
                _adopt(child, held.statement)
    return found


def _release(cursor: Any) -> None:
    """Nobody reads the rest of the last statement's rows."""
    held: Held | None = cursor.__dict__.pop(_HELD, None)
    if held is not None and not held.child:
        if held.rows is None:
            held.statement.ticket.close(None)
        else:
            held.statement.ticket.abandon()


def _fetched(cursor: Any, held: Held, steps: _Steps, size: int | None, *, one: bool = False) -> _Steps:
    """Rows: masked before the program's row factory sees them.

    Args:
        cursor: the cursor.
        held: the statement.
        steps: the library's own way.
        size: how many were asked for; None for all.
        one: it is one row, or None.
    """
    statement = held.statement
    rows = held.rows or _begin(cursor, held)
    impl = cursor._impl
    factory, impl.rowfactory = impl.rowfactory, None
    try:
        got = yield from _timed(cursor.connection, statement, steps)
    except BaseException as exc:
        statement.failed(exc, **_means(cursor.connection, exc))
        raise
    finally:
        impl.rowfactory = factory
    found: list[Any] = got if not one else [] if got is None else [got]
    passed = _passed(rows, held, found)
    if (size is None or len(found) < size) and not held.child and not held.nested:
        rows.end()
    made = passed if factory is None else [factory(*row) for row in passed]
    return made if not one else made[0] if made else None


def _passed(rows: Rows, held: Held, found: list[Any]) -> list[Any]:
    if not held.nested or not found:
        return rows.many(found)
    inner = [{at: row[at] for at in held.nested} for row in found]
    passed = rows.many([tuple(None if at in held.nested else cell for at, cell in enumerate(row)) for row in found])
    for cursors in inner:
        for child in cursors.values():
            if child is not None:
                _adopt(child, held.statement)
    return [
        tuple(cursors.get(at, cell) for at, cell in enumerate(row)) for row, cursors in zip(passed, inner, strict=True)
    ]


def _fetch_one(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Steps:
    held: Held | None = cursor.__dict__.get(_HELD)
    steps: _Steps = wrapped(*args, **kwargs)
    return steps if held is None else _fetched(cursor, held, steps, 1, one=True)


def _fetch_many(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Steps:
    held: Held | None = cursor.__dict__.get(_HELD)
    steps: _Steps = wrapped(*args, **kwargs)
    if held is None:
        return steps
    size = args[0] if args else kwargs.get("size")
    size = kwargs.get("numRows") if size is None else size
    return _fetched(cursor, held, steps, cursor.arraysize if size is None else size)


def _fetch_all(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Steps:
    held: Held | None = cursor.__dict__.get(_HELD)
    steps: _Steps = wrapped(*args, **kwargs)
    return steps if held is None else _fetched(cursor, held, steps, None)


def _close(wrapped: Any, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _release(cursor)
    return wrapped(*args, **kwargs)


def _withheld(original: property) -> property:
    """Variables of a query hold what was fetched as the server sent it."""

    def fetchvars(self: Any) -> Any:
        held: Held | None = self.__dict__.get(_HELD)
        if held is not None:
            rows = held.rows or _begin(self, held)
            rows.withhold(GuardError("fetch variables hold rows that nothing has masked; fetch the rows"))
        return original.__get__(self)

    return property(fetchvars, doc=original.__doc__)


def _replace_fetchvars(hooks: Hooks) -> None:
    patch = Patch("oracledb.cursor:BaseCursor.fetchvars")
    hooks.patches.append(patch)

    def now(module: Any) -> None:
        kind = module.BaseCursor
        original = kind.__dict__.get("fetchvars")
        if not isinstance(original, property):
            patch.status, patch.why = "absent", "BaseCursor has no property fetchvars"
            return
        kind.fetchvars = _withheld(original)
        patch.status = "patched"
        hooks.undo_with(lambda: setattr(kind, "fetchvars", original))

    hooks.when_imported("oracledb.cursor", now)


# ---------------------------------------------------------------------- besides cursors


def _run_pipeline(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Steps:
    return _run_one_by_one(wrapped, connection, *args, **kwargs)


def _run_one_by_one(wrapped: Any, connection: Any, pipeline: Any, continue_on_error: bool = False) -> _Steps:  # noqa: FBT001, FBT002 - the library's signature
    """An agent's operations run one after the other, as they do on servers without pipelining: each is a call."""
    texts = [op.statement or f"begin {op.name}; end;" for op in pipeline.operations]
    if not any(acting(text, _DIALECT) for text in texts):
        return (yield from wrapped(pipeline, continue_on_error))
    results = [op._create_result() for op in pipeline.operations]
    yield from connection._impl.run_pipeline_without_pipelining(connection, results, continue_on_error)
    return results


def _direct_path_load(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Steps:
    return _loaded(wrapped, connection, *args, **kwargs)


def _loaded(
    wrapped: Any,
    connection: Any,
    schema_name: str,
    table_name: str,
    column_names: list[str],
    data: Any,
    **options: Any,
) -> _Steps:
    places = ", ".join(f":{at}" for at in range(1, len(column_names) + 1))
    text = f"INSERT INTO {schema_name}.{table_name} ({', '.join(column_names)}) VALUES ({places})"  # noqa: S608 - judged, never run
    run = acting(text, _DIALECT)
    if run is None:
        return (yield from wrapped(schema_name, table_name, column_names, data, **options))
    named = all(isinstance(name, str) and _NAME.fullmatch(name) for name in (schema_name, table_name, *column_names))
    seen = isinstance(data, list)
    dialect = _DIALECT if named else "unknown"
    statement = begin(run, _target(connection), text, dialect, data if seen else None, opaque=() if seen else _RAW)
    ticket = statement.ticket
    cap = ticket.obligations.affected_cap
    if cap is not None and not (seen and len(data) <= cap):
        ticket.impossible("policy limits how many rows may change, and these are more, or nobody knows how many")
    rows = statement.parameters if seen else data
    try:
        steps = wrapped(schema_name, table_name, column_names, rows, **options)
        result = yield from _timed(connection, statement, steps)
    except BaseException as exc:
        statement.failed(exc, **_means(connection, exc))
        raise
    statement.wrote(len(data) if seen else None)
    return result


def _queued(wrapped: Any, queue: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Steps:
    """Messages are not looked into: one call, of which nothing is understood."""
    run = acting("advanced queuing", _DIALECT)
    if run is None:
        return (yield from wrapped(*args, **kwargs))
    connection = queue._connection
    statement = begin(run, _target(connection), "advanced queuing", "unknown", opaque=_RAW, returns=_RAW)
    try:
        result = yield from wrapped(*args, **kwargs)
    except BaseException as exc:
        statement.failed(exc, **_means(connection, exc))
        raise
    statement.ticket.close(None)
    return result


def _documents(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A store of documents: what is read and written through it is not looked into."""
    text = "simple oracle document access"
    run = acting(text, _DIALECT)
    if run is None:
        return wrapped(*args, **kwargs)
    statement = begin(run, _target(connection), text, "unknown", opaque=_RAW, returns=_RAW)
    try:
        found = wrapped(*args, **kwargs)
    except BaseException as exc:
        statement.failed(exc)
        raise
    statement.ticket.close(None)
    return found


# ---------------------------------------------------------------------- one connection


_CURSOR: Final[dict[str, Any]] = {
    "_execute": _execute,  # `_callproc` and `_callfunc` call it
    "_executemany": _executemany,
    "_parse": _parse,
    "_fetchone": _fetch_one,
    "_fetchmany": _fetch_many,
    "_fetchall": _fetch_all,
    "getimplicitresults": _implicit_results,
    "close": _close,
}
_QUEUE: Final[dict[str, Any]] = dict.fromkeys(("_deqone", "_deqmany", "_enqone", "_enqmany"), _queued)
_CONNECTION: Final[dict[str, Any]] = {"_run_pipeline": _run_pipeline, "_direct_path_load": _direct_path_load}


@functools.cache
def _cursor_class(kind: Any) -> Any:
    return governed_class(kind, _CURSOR, fetchvars=_withheld(kind.fetchvars), _guardai_governed=True)


@functools.cache
def _queue_class(kind: Any) -> Any:
    return governed_class(kind, _QUEUE)


@functools.cache
def _connection_class(kind: Any) -> Any:
    def cursor(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = kind.cursor(self, *args, **kwargs)
        made_of: Any = type(made)
        made.__class__ = _cursor_class(made_of)
        return made

    def queue(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = kind.queue(self, *args, **kwargs)
        made_of: Any = type(made)
        made.__class__ = _queue_class(made_of)
        return made

    wrappers = {**_CONNECTION, **({"getSodaDatabase": _documents} if hasattr(kind, "getSodaDatabase") else {})}
    return governed_class(kind, wrappers, cursor=cursor, queue=queue, _guardai_governed=True)
