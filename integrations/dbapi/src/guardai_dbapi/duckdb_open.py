"""What is known of an open DuckDB connection: its database, what it reads of the program's own, the rows it still owes."""

from __future__ import annotations

import contextlib
import re
import sys
import weakref
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import msgspec

from guardai.hooks import (
    Call,
    LiveSchema,
    LiveSchemas,
    Rows,
    Run,
    Target,
    foreseen,
    read_schema,
    redefines,
)

__all__ = [
    "DIALECT",
    "SCAN",
    "Database",
    "Open",
    "Taken",
    "columns_of",
    "database",
    "engine",
    "frames",
    "known",
    "opened_of",
    "opens",
    "quoted",
    "results",
    "variables",
]

DIALECT: Final = "duckdb"
#: Lets the engine look for DataFrames among the variables of all callers, beyond the frames of ours.
SCAN: Final = "python_scan_all_frames"
#: Sets of frames whose schemas are kept.
_EXTENDED: Final = 256
_COMMIT: Final = re.compile(r"\s*(?:commit|end)\b", re.IGNORECASE)
_NAME: Final = re.compile(r"[^\W\d]\w*")
#: What stands in a statement for an object of the program's that the engine has been given.
_SOURCE: Final = re.compile(r"__duckdb_source_\w+")
#: Whose objects the engine reads as tables.
_FRAMES: Final = frozenset(("pandas", "polars", "pyarrow"))
_OURS: Final = ("guardai", "guardai_dbapi", "duckdb", "wrapt")


class Engine:
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
            setattr(self, name.lstrip("_"), module.DuckDBPyConnection.__dict__.get(name))
        self.connect, self.text_of = module.connect, module.Statement.query.__get__
        result = getattr(sys.modules["_duckdb"], "RelationResult", None) if self.submit is not None else None
        if result is not None:
            self.rows_of, self.box_of = result.__dict__["fetchall"], result.__dict__["to_box"]

    @property
    def one(self) -> bool:
        """Whether it is DuckDB 1, whose engine tells less."""
        return self.submit is None

    def governs(self, connection: Any) -> bool:
        return self.installed and (self.only is None or connection in self.only)

    def __getattr__(self, name: str) -> Any:  # for the type checker: `load` sets them
        raise AttributeError(name)


engine: Final = Engine()


class Database:
    """What connections to one database share.

    Attributes:
        target: as the catalog's patterns are written.
    """

    __slots__ = ("__weakref__", "_extended", "_key", "target")

    def __init__(self, url: str = "") -> None:
        self.target = Target("database", url or "duckdb:///:memory:")
        # One in memory is no other's, whatever it is called.
        self._key: Hashable = url or object()
        self._extended: tuple[LiveSchema, dict[Hashable, LiveSchema]] | None = None

    def schema(self, connection: Any, frames: dict[str, tuple[str, ...]]) -> LiveSchema | None:
        """What the engine tells of its tables, and what the program's own frames are made of. None if it cannot tell."""
        schema = _schemas.get(self._key)
        if schema is None:
            epoch = _schemas.epoch(self._key)
            try:
                schema = _read(connection)
            except engine.module.Error:
                return None
            _schemas.put(self._key, schema, epoch)
        if not frames:
            return schema
        # One schema is one plan: the same frames have to give the same object.
        if self._extended is None or self._extended[0] is not schema or len(self._extended[1]) > _EXTENDED:
            self._extended = (schema, {})
        key = tuple(sorted(frames.items()))
        made = self._extended[1].get(key)
        if made is None:
            made = msgspec.structs.replace(schema, tables={**frames, **schema.tables})
            self._extended[1][key] = made
        return made

    def changed(self) -> None:
        """Tables may have changed."""
        _schemas.changed(self._key)


def _read(connection: Any) -> LiveSchema:
    # On a cursor of its own, so that the program's pending rows are not disturbed. It does not see temporary tables.
    cursor = engine.cursor(connection)
    try:
        return read_schema(DIALECT, lambda sql: engine.fetchall(engine.execute(cursor, sql)))
    finally:
        engine.close(cursor)


_schemas: Final = LiveSchemas()
_databases: Final[weakref.WeakValueDictionary[str, Database]] = weakref.WeakValueDictionary()


class Taken:
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

    def __exit__(self, *about: Any) -> None:  # noqa: PYI036 - handed on as they are
        self._clock.__exit__(*about)

    def __del__(self) -> None:
        self.rows.abandon()


class Open:
    """What is known of one open connection.

    Attributes:
        database: what it shares with others.
        taken: the rows that its cursor has still to hand out; None if they are nobody's or the application's.
        frames: the program's objects that it registered by name → their columns.
        redefined: it has changed what tables there are, and others may not see it before a commit.
    """

    __slots__ = ("database", "frames", "redefined", "taken")

    def __init__(self, database: Database) -> None:
        self.database = database
        self.taken: Taken | None = None
        self.frames: dict[str, tuple[str, ...]] = {}
        self.redefined = False

    def own(self, sql: str) -> None:
        """The application's own statement runs here: tables may change, for others when it is committed."""
        if redefines(sql):
            self.redefined = True
            self.database.changed()
        elif self.redefined and _COMMIT.match(sql):
            self.redefined = False
            self.database.changed()


opens: Final[weakref.WeakKeyDictionary[Any, Open]] = weakref.WeakKeyDictionary()
#: Results that relations are reading.
results: Final[weakref.WeakKeyDictionary[Any, Taken]] = weakref.WeakKeyDictionary()
#: The engine's name for an object of the program's → its columns.
_sources: Final[dict[str, tuple[str, ...]]] = {}


def opened_of(connection: Any) -> Open:
    """What is known of it; found out at the first call."""
    open_ = opens.get(connection)
    if open_ is None:
        open_ = opens[connection] = Open(_first_seen(connection))
    return open_


def _first_seen(connection: Any) -> Database:
    """Which database it is, and that the engine looks for DataFrames beyond our frames."""
    path = None
    with contextlib.suppress(engine.module.Error):
        # On a cursor of its own, so that the program's pending rows are not disturbed.
        cursor = engine.cursor(connection)
        try:
            engine.execute(cursor, "SELECT path FROM duckdb_databases() WHERE database_name = current_database()")
            ((path,),) = engine.fetchall(cursor)
            # Where the configuration is locked, this is no longer possible.
            engine.execute(cursor, f"SET GLOBAL {SCAN} = true")
        finally:
            engine.close(cursor)
    return database(path)


def database(path: str | None) -> Database:
    """The database in a file; without one, a new one in memory."""
    if not path:
        return Database()
    url = "duckdb:///" + path.replace("\\", "/").lstrip("/")
    found = _databases.get(url)
    if found is None:
        found = _databases[url] = Database(url)
    return found


def quoted(name: Any) -> str:
    """A name, or the parts of one, as an identifier."""
    parts = name if isinstance(name, list | tuple) else [str(name)]
    return ".".join('"' + str(part).replace('"', '""') + '"' for part in parts)


# ------------------------------------------------------------------ the program's own frames


def frames(open_: Open, connection: Any, sql: str, run: Run) -> dict[str, tuple[str, ...]]:
    """The program's objects that a statement reads by name, and their columns.

    A relation among them is a query of its own, and is judged as one.
    """
    found = {name: columns for name, columns in open_.frames.items() if name in sql.lower()}
    for source in _SOURCE.findall(sql):
        if source in _sources:
            found[source.lower()] = _sources[source]
    for name, obj in variables(sql):
        if name.lower() in found or not (columns_of(obj) or isinstance(obj, engine.module.DuckDBPyRelation)):
            continue
        try:
            if not engine.one and engine.table_kind(connection, name) != "none":
                continue  # the catalog counts before the program's variables
        except engine.module.Error:
            continue
        if engine.one and columns_of(obj):
            continue  # it does not tell whether a temporary table is meant, so it may be any table
        columns = columns_of(obj)
        if columns:
            found[name.lower()] = columns
        else:
            text = obj.sql_query()
            foreseen(Call("db", open_.database.target, statement=text, dialect=DIALECT), run)
    return found


def variables(sql: str) -> Iterator[tuple[str, Any]]:
    """What the names in a statement mean to its caller, nearest first, as the engine will look them up."""
    names = set(_NAME.findall(sql))
    frame = sys._getframe(1)
    above: Any = frame
    while above is not None and names:
        if above.f_globals.get("__name__", "").partition(".")[0] not in _OURS:
            for scope in (above.f_locals, above.f_globals):
                for name in names.intersection(scope.keys()):  # the keys of a frame are a list since Python 3.13
                    names.discard(name)
                    yield name, scope[name]
        above = above.f_back


def columns_of(obj: Any) -> tuple[str, ...]:
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


def known(handle: Any, columns: tuple[str, ...]) -> None:
    """The engine has been given an object of the program's."""
    if columns:
        _sources[handle.name] = columns
        weakref.finalize(handle, _sources.pop, handle.name, None)
