"""DuckDB 1: its cursors are governed as those of DuckDB 2; its relations are C objects that cannot be looked into.

What a relation does is `db.unknown`, and what it hands out `opaque.raw`: the starter policy refuses it, and one that
permits it lets it pass unmasked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from guardai.hooks import Call, Hooks, Target, acting, opened
from guardai_dbapi import columnar
from guardai_dbapi.duckdb_open import DIALECT, Taken, opened_of
from guardai_dbapi.duckdb_rows import of_connection, taking

__all__ = ["MODULE", "install", "refused"]

#: Methods of a connection, and functions of the module, that make relations, or run at once.
RELATIONS: Final = (
    "from_arrow", "from_csv_auto", "from_df", "from_parquet", "from_query", "from_substrait", "from_substrait_json",
    "get_substrait", "get_substrait_json", "query", "read_csv", "read_json", "read_parquet", "sql", "table",
    "table_function", "values", "view",
)  # fmt: skip
#: Functions of the module that take a frame first.
_FRAMES: Final = (
    "aggregate", "alias", "distinct", "filter", "limit", "order", "project", "query_df", "write_csv",
)  # fmt: skip
#: Ways to take a cursor's rows that DuckDB 2 has not, or has by other means.
_ARROW: Final = ("arrow", "fetch_arrow_table", "fetch_record_batch", "to_arrow_reader", "to_arrow_table")
#: Functions of the module that are a method of the default connection.
MODULE: Final = (*RELATIONS, *_ARROW, "df", "pl")


def install(hooks: Hooks, module: Any, method: Callable[[str, Callable[..., Any]], None]) -> None:
    """Wraps what only this version has.

    Args:
        hooks: whose patches these are.
        module: the library.
        method: wraps a method of the connection.
    """
    connection, relation = module.DuckDBPyConnection, module.DuckDBPyRelation
    for name in RELATIONS:
        if hasattr(connection, name):
            method(name, refused(name))
    for name in _ARROW:
        if hasattr(connection, name):
            method(name, taking(_arrow, of_connection))
    method("pl", taking(_polars, of_connection))
    for name, value in vars(relation).items():
        shows = name in ("__len__", "__str__", "__repr__", "__arrow_c_stream__")
        if shows or (callable(value) and not name.startswith("_")):
            hooks.wrap(f"duckdb:DuckDBPyRelation.{name}", refused(name))
    for name in _FRAMES:
        if hasattr(module, name):
            hooks.wrap(f"duckdb:{name}", refused(name))


def refused(name: str) -> Callable[..., Any]:
    """Something that cannot be looked into."""

    def governed(_wrapped: Any, _instance: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
        _open = opened_of(_instance) if type(_instance).__name__ == "DuckDBPyConnection" else None
        _run = acting(f"-- {name}", DIALECT)
        if _run is None:
            return _wrapped(*_args, **_kwargs)
        # A relation does not tell whose it is.
        _target = _open.database.target if _open is not None else Target("database", "duckdb:///")
        _ticket = opened(Call("db.unknown", _target, returns=("opaque.raw",)), _run)
        try:
            _result = _wrapped(*_args, **_kwargs)
        except BaseException as exc:
            _ticket.fail(exc)
            raise
        _ticket.close(None)
        return _result

    return governed


def _arrow(_wrapped: Any, _taken: Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    """A table or a reader, as the version has it."""
    fetched = _wrapped(*_args, **_kwargs)
    if hasattr(fetched, "read_next_batch"):
        return columnar.arrow_reader(_taken.rows, fetched, _taken)
    made = None if fetched is None else columnar.arrow_table(_taken.rows, fetched)
    _taken.rows.end()
    return made


def _polars(_wrapped: Any, _taken: Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    import polars as pl

    # A lazy one would run without a session, in a thread of its own.
    fetched = _wrapped(*_args, **{key: value for key, value in _kwargs.items() if key != "lazy"})
    made: Any = pl.from_arrow(columnar.arrow_table(_taken.rows, fetched.to_arrow()))
    _taken.rows.end()
    return made.lazy() if _kwargs.get("lazy") else made
