"""Which entry of a live schema a name stands for, as a statement writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

__all__ = ["candidates", "own_name"]


def candidates(name: str, path: Sequence[str]) -> list[str]:
    """The names under which a live schema may hold what a statement calls `name`, most likely first.

    A table of the default schema stands under its plain name, which any name qualified with that schema means, too; an
    engine that tells no path has one schema, or tells its schemas apart by databases.
    """
    parts = name.split(".")
    if len(parts) == 1:
        return [name, *(f"{schema}.{name}" for schema in path)]
    full = ".".join(parts[-2:])
    return [name, full, parts[-1]] if not path or parts[-2] in path else [name, full]


def own_name(name: str, path: Sequence[str], *held: Container[str]) -> str | None:
    """The first candidate that one of several holds, None if none does."""
    for candidate in candidates(name, path):
        if any(candidate in names for names in held):
            return candidate
    return None
