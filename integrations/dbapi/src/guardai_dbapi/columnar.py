"""Results that come column by column: pandas, NumPy and Arrow, masked as rows are.

A column in which nothing is masked stays the array that it was. A cell whose mask does not fit its column's type is
null there, so that a type changes only where a whole column has to become text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from guardai.hooks import Rows

__all__ = ["arrow_reader", "arrow_table", "frame", "numpy_arrays"]

#: Masks that leave a type as it is: nothing is left, or what is left looks real.
_KEEPING: Final = frozenset(("drop", "null", "shift", "fpe"))
#: Rows that are made Python objects at a time.
_BATCH: Final = 16_384


# ------------------------------------------------------------------ pandas, NumPy


def frame(rows: Rows, made: Any) -> Any:
    """A pandas DataFrame that was made for this caller: changed in place."""
    texts = [at for at in range(made.shape[1]) if _may_hold_text(made.dtypes.iloc[at])]
    given: dict[int, _Cells] = {}

    def cells(at: int) -> list[Any]:
        given[at] = _Cells(_series(made.iloc[:, at]))
        return given[at].plain

    for at, masked in rows.columns(len(made), texts, cells).items():
        made.isetitem(at, _series_of(given[at].back(masked) if at in given else masked, made.iloc[:, at]))
    return made


class _Cells:
    """A column's cells, and what can be looked into of them: an array within a cell becomes a list, and back."""

    __slots__ = ("_given", "plain")

    def __init__(self, given: list[Any]) -> None:
        self._given = given
        self.plain = [_plain(cell) for cell in given]

    def back(self, masked: list[Any]) -> list[Any]:
        """The masked cells; those that did not change are those that were given."""
        import numpy as np

        made = []
        for cell, plain, given in zip(masked, self.plain, self._given, strict=True):
            if cell is plain:
                made.append(given)
            elif isinstance(given, np.ndarray) and isinstance(cell, list):
                array: Any = np.empty(len(cell), dtype=object)
                array[:] = cell
                made.append(array)
            else:
                made.append(cell)
        return made


def _plain(cell: Any) -> Any:
    kind = cell.__class__
    if kind is str or cell is None:
        return cell
    if kind is dict:
        return {key: _plain(value) for key, value in cell.items()}
    if kind is list or kind is tuple:
        return [_plain(value) for value in cell]
    dtype = getattr(cell, "dtype", None)
    if dtype is not None and hasattr(cell, "tolist"):
        # Of numbers there is nothing to be looked for.
        return [_plain(value) for value in cell.tolist()] if _may_hold_text(dtype) else None
    return cell


def _may_hold_text(dtype: Any) -> bool:
    # Numbers, dates and truth are of NumPy's own kinds, or of an extension's that says so.
    return getattr(dtype, "kind", "O") not in "biufcmM"


def _series(column: Any) -> list[Any]:
    if hasattr(column, "cat"):
        column = column.astype(object)
    cells = column.astype(object)
    return cells.where(column.notna(), None).tolist()  # type: ignore[no-any-return]


def _series_of(cells: list[Any], like: Any) -> Any:
    import pandas as pd

    if not hasattr(like, "cat"):
        try:
            made = pd.Series(cells, index=like.index, dtype=like.dtype)
        except (TypeError, ValueError, OverflowError):
            pass
        else:
            if _as_told(made, cells):
                return made
    try:
        return pd.Series(cells, index=like.index, dtype="str" if str(like.dtype) == "str" else None)
    except (TypeError, ValueError, OverflowError):
        return pd.Series(cells, index=like.index, dtype=object)


def _as_told(made: Any, cells: list[Any]) -> bool:
    """Whether the dtype took the cells as they are: `int` would make zero of nothing, and `bool` truth of a text."""
    missing = made.isna().tolist()
    return all((cell is None) == gone for cell, gone in zip(cells, missing, strict=True))


def numpy_arrays(rows: Rows, made: dict[str, Any]) -> dict[str, Any]:
    """NumPy arrays by name, masked arrays where there are nulls, categoricals of pandas for enumerations."""
    import numpy as np

    names = list(made)
    arrays = list(made.values())
    texts = [at for at, array in enumerate(arrays) if _may_hold_text(array.dtype)]
    given: dict[int, _Cells] = {}

    def cells(at: int) -> list[Any]:
        given[at] = _Cells(_array(arrays[at]))
        return given[at].plain

    for at, masked in rows.columns(len(arrays[0]) if arrays else 0, texts, cells).items():
        whole = given[at].back(masked) if at in given else masked
        array: Any = np.empty(len(whole), dtype=object)
        for place, cell in enumerate(whole):
            array[place] = cell
        gone = [cell is None for cell in whole]
        made[names[at]] = np.ma.MaskedArray(array, mask=gone) if any(gone) else array
    return made


def _array(array: Any) -> list[Any]:
    if hasattr(array, "codes"):  # a categorical: its missing cells are not of its values
        array = array.astype(object)
        return [None if cell != cell else cell for cell in array]  # noqa: PLR0124 - not a number
    return array.tolist()  # type: ignore[no-any-return]


# ------------------------------------------------------------------ Arrow


def arrow_table(rows: Rows, table: Any) -> Any:
    """A `pyarrow.Table`; in it the columns that do not change are the same."""
    import pyarrow as pa

    schema = _schema(rows, table.schema)
    texts = _arrow_texts(table.schema)
    parts: dict[int, list[Any]] = {}
    # In batches, because cells become Python objects.
    for start in range(0, table.num_rows, _BATCH):
        part = table.slice(start, _BATCH)
        changed = rows.columns(part.num_rows, texts, _cells(part))
        for at in changed.keys() | parts.keys() | rows.masked.keys():
            done = parts.setdefault(at, [table.column(at).slice(0, start)] if start else [])
            done.append(_built(changed[at], schema.field(at).type) if at in changed else part.column(at))
    for at, arrays in parts.items():
        chunks = [chunk for array in arrays for chunk in getattr(array, "chunks", [array])]
        table = table.set_column(at, schema.field(at), pa.chunked_array(chunks, type=schema.field(at).type))
    return table


def arrow_reader(rows: Rows, reader: Any, running: AbstractContextManager[Any]) -> Any:
    """A `pyarrow.RecordBatchReader` as lazy as the one that it reads; `running` is entered while that one works."""
    import pyarrow as pa

    schema = _schema(rows, reader.schema)
    return pa.RecordBatchReader.from_batches(schema, _batches(rows, reader, schema, running))


def _batches(rows: Rows, reader: Any, schema: Any, running: AbstractContextManager[Any]) -> Iterator[Any]:
    import pyarrow as pa

    texts = _arrow_texts(schema)
    try:
        while True:
            with running:
                batch = next(reader, None)
            if batch is None:
                break
            changed = rows.columns(batch.num_rows, texts, _cells(batch))
            if changed:
                yield pa.RecordBatch.from_arrays(
                    [
                        _built(changed[at], field.type) if at in changed else batch.column(at)
                        for at, field in enumerate(schema)
                    ],
                    schema=schema,
                )
            elif batch.schema.equals(schema):
                yield batch
        rows.end()
    except GeneratorExit:
        rows.abandon()
        raise
    except BaseException as exc:
        rows.fail(exc)
        raise
    finally:
        reader.close()


def _cells(batch: Any) -> Any:
    return lambda at: batch.column(at).to_pylist()


def _schema(rows: Rows, schema: Any) -> Any:
    """What the masked result's columns are: as they were, but that a column masked as a whole may have to be text."""
    import pyarrow as pa

    for at, mask in rows.masked.items():
        field = schema.field(at)
        if mask not in _KEEPING and not _is_text(field.type):
            schema = schema.set(at, pa.field(field.name, pa.string(), metadata=field.metadata))
        elif not field.nullable:
            schema = schema.set(at, field.with_nullable(True))
    return schema


def _is_text(type_: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_string(type_)
        or types.is_large_string(type_)
        or getattr(types, "is_string_view", lambda _: False)(type_)
        or types.is_binary(type_)
        or types.is_large_binary(type_)
    )


def _arrow_texts(schema: Any) -> list[int]:
    return [at for at, field in enumerate(schema) if _holds_text(field.type)]


def _holds_text(type_: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(type_):
        return _holds_text(type_.value_type)
    if types.is_nested(type_):
        return any(_holds_text(type_.field(at).type) for at in range(type_.num_fields))
    plain = (types.is_boolean, types.is_integer, types.is_floating, types.is_decimal, types.is_temporal, types.is_null)
    return not any(is_plain(type_) for is_plain in plain)


def _built(cells: list[Any], type_: Any) -> Any:
    """The cells as an array of this type; what does not fit is null."""
    import pyarrow as pa
    from pyarrow import types

    inner = type_.storage_type if isinstance(type_, pa.BaseExtensionType) else type_
    value = inner.value_type if types.is_dictionary(inner) else inner
    try:
        array = pa.array(cells, type=value)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        array = pa.array([_fitting(cell, value) for cell in cells], type=value)
    if types.is_dictionary(inner):
        try:
            array = array.dictionary_encode().cast(inner)
        except pa.ArrowException:  # more different cells than its indices count
            array = pa.nulls(len(cells), inner)
    return pa.ExtensionArray.from_storage(type_, array) if inner is not type_ else array


def _fitting(cell: Any, type_: Any) -> Any:
    import pyarrow as pa

    for attempt in (cell, str(cell)) if _is_text(type_) else (cell,):
        try:
            pa.array([attempt], type=type_)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            continue
        return attempt
    return None
