"""asyncpg's records with other cells: what is handed out in place of a row that had to be masked.

A `Record` is a C type that cannot be made from Python. INVARIANT: what stands in place of a record holds nothing of it,
at no level: it is a new record of the masked cells. A program's own record class gets a subclass of itself whose C part is
empty and which answers from such a new record.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

__all__ = ["masked_record", "plain"]

#: What `plain` has to look into.
_NESTED: Final = (list, tuple)


def plain(records: list[Any]) -> list[tuple[Any, ...]]:
    """Records as tuples; so are those of composite types within them, which nobody else could look into."""
    rows = [tuple(record) for record in records]
    record = _record()
    if any(issubclass(kind, (record, *_NESTED)) for kind in set(map(type, chain.from_iterable(rows)))):
        return [tuple(_plain(cell, record) for cell in row) for row in rows]
    return rows


def _plain(cell: Any, record: type) -> Any:
    if isinstance(cell, record):
        return tuple(_plain(part, record) for part in cell)  # type: ignore[attr-defined]
    if isinstance(cell, _NESTED):
        return type(cell)(_plain(part, record) for part in cell)
    return cell


def masked_record(record: Any, cells: Sequence[Any]) -> Any:
    """A record of the same class and names with other cells."""
    base = _record()
    again = [_again(before, cell, base) for before, cell in zip(record, cells, strict=True)]
    return _made(type(record), tuple(record.keys()), again)


def _again(before: Any, cell: Any, base: type) -> Any:
    """The cell in the shape that it had before `plain`."""
    if isinstance(before, base) and isinstance(cell, tuple) and len(cell) == len(before):  # type: ignore[arg-type]
        return masked_record(before, cell)
    if isinstance(before, _NESTED) and isinstance(cell, _NESTED) and len(cell) == len(before):
        return type(before)(_again(one, other, base) for one, other in zip(before, cell, strict=True))
    return cell


def _made(kind: type, names: tuple[str, ...], cells: Sequence[Any]) -> Any:
    from asyncpg.protocol.protocol import _create_record

    row = _create_record(_Names(names), tuple(cells))
    if kind is _record():
        return row
    from asyncpg.protocol.record import RecordDescriptor

    made = RecordDescriptor({}, ()).make_record(_subclass(kind), 0)
    object.__setattr__(made, "_guardai_row", row)
    return made


class _Names(dict[str, int]):
    """Name → position, and all names in order: several columns may be called the same."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__((name, position) for position, name in enumerate(names))
        self._names = names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)


@functools.cache
def _record() -> type:
    from asyncpg import Record

    return Record  # type: ignore[no-any-return]


@functools.cache
def _subclass(kind: type) -> type:
    """A program's record class in front of what answers for the C type."""
    bases: tuple[type, ...] = (kind,) if issubclass(kind, _empty()) else (kind, _empty())
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, bases, names)


@functools.cache
def _empty() -> type:
    def row(record: Any) -> Any:
        return object.__getattribute__(record, "_guardai_row")

    def answers(name: str) -> Any:
        def method(self: Any, *args: Any) -> Any:
            others = (row(other) if isinstance(other, empty) else other for other in args)
            return getattr(row(self), name)(*others)

        method.__name__ = name
        return method

    def told(self: Any) -> str:
        return f"<{type(self).__name__}{repr(row(self)).removeprefix('<Record')}"

    names = (
        "__contains__", "__eq__", "__ge__", "__getitem__", "__gt__", "__hash__", "__iter__", "__le__", "__len__",
        "__lt__", "__ne__", "get", "items", "keys", "values",
    )  # fmt: skip
    methods: dict[str, Any] = {name: answers(name) for name in names}
    empty = type("Masked", (_record(),), {**methods, "__repr__": told, "__slots__": ()})
    return empty
