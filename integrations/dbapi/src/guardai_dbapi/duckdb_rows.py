"""The rows of a DuckDB result: by every way to take them, masked if they are an agent's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from guardai import GuardError
from guardai.hooks import Rows, acting
from guardai_dbapi import columnar
from guardai_dbapi.duckdb_open import DIALECT, Taken, engine, opens, quoted, results

__all__ = ["TAKING", "of_connection", "of_result", "polars", "taking"]


def of_connection(connection: Any) -> Taken | None:
    open_ = opens.get(connection)
    return None if open_ is None else open_.taken


def of_result(result: Any) -> Taken | None:
    return results.get(result)


def taking(take: Callable[..., Any], whose: Callable[[Any], Taken | None]) -> Callable[..., Any]:
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


def _fetched(_wrapped: Any, _taken_of: Taken, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    with _taken_of:
        return _wrapped(*_args, **_kwargs)


def _one(_wrapped: Any, _taken_of: Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    row = _fetched(_wrapped, _taken_of, _args, _kwargs)
    if row is None:
        _taken_of.rows.end()
        return None
    return _taken_of.rows.one(row)


def _many(_wrapped: Any, _taken_of: Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    size = int(_args[0] if _args else _kwargs.get("size", 1))
    fetched = _fetched(_wrapped, _taken_of, _args, _kwargs)
    made = _taken_of.rows.many(fetched)
    if len(fetched) < size:
        _taken_of.rows.end()
    return made


def _ended(mask: Callable[[Rows, Any], Any]) -> Callable[..., Any]:
    """The whole rest of a result."""

    def take(_wrapped: Any, _taken_of: Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
        fetched = _fetched(_wrapped, _taken_of, _args, _kwargs)
        made = None if fetched is None else mask(_taken_of.rows, fetched)
        _taken_of.rows.end()
        return made

    return take


def _all(_wrapped: Any, _taken_of: Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    if _taken_of.kept is not None:
        made, _taken_of.kept = _taken_of.kept, None
        return made
    made = _taken_of.rows.many(_fetched(_wrapped, _taken_of, _args, _kwargs))
    _taken_of.rows.end()
    return made


def _chunk(_wrapped: Any, _taken_of: Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    fetched = _fetched(_wrapped, _taken_of, _args, _kwargs)
    if fetched is None or not len(fetched):
        _taken_of.rows.end()
        return fetched
    return columnar.frame(_taken_of.rows, fetched)


def _as_arrow(_wrapped: Any, _taken_of: Taken, _args: Any, _kwargs: Any, _instance: Any) -> Any:
    if _kwargs.get("reader"):
        return _reader(_wrapped, _taken_of, _args, _kwargs, _instance)
    return _ended(columnar.arrow_table)(_wrapped, _taken_of, _args, _kwargs, _instance)


def _reader(_wrapped: Any, _taken_of: Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    fetched = _wrapped(*_args, **_kwargs)
    if fetched is None:
        _taken_of.rows.end()
        return None
    return columnar.arrow_reader(_taken_of.rows, fetched, _taken_of)


def _capsule(_wrapped: Any, _taken_of: Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    fetched = _wrapped(*_args, **_kwargs)
    try:
        import pyarrow as pa
    except ImportError:
        _taken_of.rows.withhold(GuardError("a stream of Arrow's cannot be masked without pyarrow"))
        return fetched
    reader = pa.RecordBatchReader._import_from_c_capsule(fetched)
    return columnar.arrow_reader(_taken_of.rows, reader, _taken_of).__arrow_c_stream__()


def _tensors(_wrapped: Any, _taken_of: Taken, _args: Any, _kwargs: Any, _: Any) -> Any:
    _taken_of.rows.withhold(GuardError("tensors cannot be masked; fetchnumpy() gives arrays that can"))
    return _wrapped(*_args, **_kwargs)


def _box(_wrapped: Any, _taken_of: Taken, _args: Any, _kwargs: Any, _result: Any) -> Any:
    """A table that is drawn for people. One in which something is masked is drawn anew, of the masked rows."""
    fetched = engine.rows_of(_result)
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
    scratch = engine.connect(":memory:")
    try:
        handle = engine.register_values(scratch, rows)
        columns = ", ".join(
            f'CAST("{name}" AS {"VARCHAR" if at in changed else told[1]}) AS {quoted([told[0]])}'
            for at, (name, told) in enumerate(
                zip(engine.bind(scratch, f"FROM {quoted(handle.name)}", with_writes=True)[0], described, strict=True)
            )
        )
        result = engine.submit(scratch, f'SELECT {columns} FROM "{handle.name}"', None)  # noqa: S608 - ours
        return engine.box_of(result, *args, **kwargs)
    finally:
        engine.close(scratch)


TAKING: Final[dict[str, Callable[..., Any]]] = {
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


def polars(_wrapped: Any, _relation: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
    """A lazy frame of polars runs its query in a thread without a session: an agent's is read now."""
    if not _kwargs.get("lazy") or acting("-- pl", DIALECT) is None or not engine.governs(_relation._con):
        return _wrapped(*_args, **_kwargs)
    return _wrapped(*_args, **{**_kwargs, "lazy": False}).lazy()
