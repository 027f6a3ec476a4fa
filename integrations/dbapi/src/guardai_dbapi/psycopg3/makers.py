"""Row makers: the one way by which they get into a cursor of psycopg's, and ours that stands in it.

INVARIANT: no row of an agent's statement is made of unmasked values. All row makers get into a cursor through one
attribute, `BaseCursor._make_row`. While the cursor bears an agent's statement that attribute gives back ours, which masks
the values before the program's own sees them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CellType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from guardai.hooks import Hooks, Patch

if TYPE_CHECKING:
    from guardai_dbapi.psycopg3.governed import Governed

__all__ = [
    "MAKER",
    "Holding",
    "Passing",
    "Slot",
    "borne_by",
    "everywhere",
    "have_slot",
    "held",
    "nothing_made",
    "passing_of",
    "watch_makers",
]


class Slot:
    """psycopg's own `_make_row`, once it is imported."""

    get: Callable[[Any], Any]
    set: Callable[[Any, Any], None]


def watch_makers(hooks: Hooks, patch: Patch, module: ModuleType) -> None:
    """Puts our attribute in the place of psycopg's."""
    if not hooks.active:
        return
    base: Any = vars(module)["BaseCursor"]
    plain = vars(base).get("_make_row")
    if plain is None:
        patch.status, patch.why = "absent", "BaseCursor has no _make_row"
        return
    have_slot(base)
    base._make_row = MAKER
    patch.status = "patched"

    def undo() -> None:
        if vars(base).get("_make_row") is MAKER:
            base._make_row = plain

    hooks.undo_with(undo)


def have_slot(base: Any) -> None:
    """Keeps psycopg's own attribute."""
    plain = vars(base)["_make_row"]
    if plain is not MAKER:
        Slot.get, Slot.set = plain.__get__, plain.__set__


def everywhere() -> bool:
    """Whether all of psycopg is patched."""
    from psycopg._cursor_base import BaseCursor

    return vars(BaseCursor)["_make_row"] is MAKER


def _get_maker(cursor: Any) -> Any:
    return Slot.get(cursor)


def _set_maker(cursor: Any, make: Any) -> None:
    governed = borne_by(cursor)
    if governed is not None and not governed.superseded:
        make = Passing(governed, make, cursor)
    Slot.set(cursor, make)


MAKER: Final = property(_get_maker, _set_maker)


class Passing:
    """A row maker in front of the program's own: masks, counts, and only then makes."""

    __slots__ = ("governed", "make", "result")

    def __init__(self, governed: Governed, make: Any, cursor: Any) -> None:
        self.governed = governed
        self.make = make
        self.result = cursor.pgresult

    def __call__(self, values: Any) -> Any:
        return self.make(self.governed.rows(self.result).one(tuple(values)))

    def many(self, at: int, start: int, values: list[Any]) -> list[Any]:
        """The rows from position `start` of result `at`, made of what may be seen of these values."""
        governed, make = self.governed, self.make
        rows = governed.rows(self.result)
        passed = governed.passed.get(at, 0)
        again = max(0, min(passed - start, len(values)))
        # A program that scrolls back sees the same rows; they have been counted.
        seen = [*rows.again(values[:again]), *rows.many(values[again:])] if again else rows.many(values)
        governed.gaps |= start > passed
        governed.passed[at] = max(passed, start + len(values))
        return seen if make is tuple else [make(row) for row in seen]


class Holding(functools.partial[Any]):
    """Stands in for a row maker while many rows are loaded: makes what no program can take for a row."""

    governed: Governed


def borne_by(cursor: Any) -> Governed | None:
    """The agent's statement that a cursor bears."""
    try:
        maker = Slot.get(cursor)
    except AttributeError:  # a cursor that has had no statement
        return None
    return maker.governed if type(maker) in _OURS else None


_OURS: Final = frozenset({Passing, Holding})


def held(cursor: Any, passing: Passing, load: Callable[[], Any]) -> Any:
    """What `load` gives, each row in a cell."""
    holding = Holding(CellType)
    holding.governed = passing.governed
    Slot.set(cursor, holding)
    try:
        return load()
    finally:
        if Slot.get(cursor) is holding:
            Slot.set(cursor, passing)


def passing_of(cursor: Any) -> Passing | None:
    """Our row maker that stands in the cursor."""
    try:
        maker = Slot.get(cursor)
    except AttributeError:
        return None
    return maker if type(maker) is Passing else None


def nothing_made(values: Any) -> Any:
    """The row maker of a statement that has no result yet."""
    from psycopg import ProgrammingError

    raise ProgrammingError("no result available")
