"""Which entry of a live schema a name stands for, as a statement writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

__all__ = ["ROWID", "candidates", "own_name"]

#: Names of SQLite's for the key that each row has.
ROWID: Final = frozenset({"rowid", "oid", "_rowid_"})

_DEFAULTS: Final = ("main", "public", "dbo")


def candidates(name: str, path: Sequence[str]) -> list[str]:
    """The names under which a live schema may hold what a statement calls `name`, most likely first.

    A table of the default schema stands under its plain name, which a name that is qualified with that schema means,
    too. Where no path is told, the default schema is the one that the engine makes itself.
    """
    parts = name.split(".")
    if len(parts) == 1:
        return [name, *(f"{schema}.{name}" for schema in path)]
    full = ".".join(parts[-2:])
    return [name, full, parts[-1]] if parts[-2] in (path or _DEFAULTS) else [name, full]


def own_name(name: str, path: Sequence[str], *held: Container[str]) -> str | None:
    """The first candidate that one of several holds, None if none does."""
    for candidate in candidates(name, path):
        if any(candidate in names for names in held):
            return candidate
    return None
