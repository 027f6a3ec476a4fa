"""What every source of rows is: named columns of which a sample can be read."""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

from guardai.errors import GuardError
from guardai.text.classify import CELL

__all__ = ["CELL", "Database", "Field", "Relation", "Sample", "SourceError", "chance", "driver", "quoted"]


class SourceError(GuardError):
    """A source cannot be read. The message tells what and why, and holds neither a value nor a password."""


class Field(NamedTuple):
    """A column.

    Attributes:
        name: as it is.
        type: what the source calls its type; "" where it has none.
        kind: `text` may hold anything, `plain` is a date, a truth value, a measure; `binary` is no text.
        at: its place, where names alone do not tell columns apart.
    """

    name: str
    type: str = ""
    kind: Literal["text", "plain", "binary"] = "text"
    at: int = 0


class Relation(NamedTuple):
    """A table, a view, or a file that is one.

    Attributes:
        name: as it is called where the schema goes without saying; for the catalog.
        schema: "" where there is none, or it is the usual one.
        kind: `table`, `view` or `file`.
        fields: its columns.
        key: what the source needs to find it again.
        error: why it, or some of it, cannot be read, if that is known beforehand.
    """

    name: str
    schema: str
    kind: Literal["table", "view", "file"]
    fields: tuple[Field, ...]
    key: Any = None
    error: str = ""


class Sample(NamedTuple):
    """Some rows of a relation, or all of them.

    Attributes:
        rows: each with the fields that were asked for.
        broken: how many could not be read.
        larger: whether the relation has more rows than these.
    """

    rows: Sequence[Sequence[object]]
    broken: int = 0
    larger: bool = False


class Database(Protocol):
    """Something with relations. Nothing that it does writes."""

    def relations(self) -> list[Relation]:
        """All that may be read, views included.

        Raises:
            SourceError: they cannot be listed.
        """
        ...

    def sample(self, relation: Relation, fields: Sequence[Field], count: int) -> Sample:
        """The first rows and rows from anywhere, half and half; all of them where there are fewer than `count`.

        Raises:
            SourceError: they cannot be read.
        """
        ...

    def close(self) -> None:
        """Ends the connection."""
        ...


def driver(module: str, package: str) -> Any:
    """A driver, imported.

    Raises:
        SourceError: it is not installed; tells which package to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise SourceError(f"needs the package {package}: python -m pip install '{package}'") from None


def quoted(name: str, mark: str = '"') -> str:
    """An identifier for a statement: whatever is in the name is part of the name."""
    return f"{mark}{name.replace(mark, mark * 2)}{mark}"


#: Seed of what is drawn.
_SEED: Final = 0


def chance() -> random.Random:
    """Draws rows, the same ones every time: a report can be compared with the one of yesterday."""
    return random.Random(_SEED)  # noqa: S311 -- it draws a sample, it guards nothing
