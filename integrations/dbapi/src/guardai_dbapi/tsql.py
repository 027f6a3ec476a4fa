"""How pymssql puts values into a text of Transact-SQL, without I/O: which statements read the same whatever the values are."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
import uuid
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

__all__ = ["is_name", "numbered", "plain"]

#: What the library replaces, wherever it stands: within quotes and comments, too.
_PLACE: Final = re.compile(r"%[sd]")
_NAMED: Final = re.compile(r"%\([^)]+\)[sd]")
#: A string, a quoted name, a comment.
_QUOTED: Final = re.compile(r"""'[^']*'|"[^"]*"|\[[^\]]*\]|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_OPEN: Final = ("'", '"', "[", "/*", "*/")
#: A place between these stays apart: a negative number behind a minus would begin a comment, a string behind a string
#: would go on with it.
_APART: Final = re.compile(r"(?<![^\s(,=<>!+*])%(?:\([^)]+\))?[sd](?![^\s),;=<>+*/-])")
_REMEMBERED: Final = 65536
#: Types of values that the library writes as one literal; of theirs alone, because a subclass writes what it likes.
_LITERALS: Final = frozenset({type(None), bool, int, bytes, bytearray, uuid.UUID, dt.date})
_NAME: Final = re.compile(r"(?:[\w#$@]+|\[[^\]]+\])(?:\.(?:[\w#$@]+|\[[^\]]+\])?)*")


def numbered(query: str, *, named: bool) -> str | None:
    """The statement with its places numbered, `@p1`; None if a value could change how the rest of it reads.

    INVARIANT: a text that is put together from parameters is judged as a template only if no value can change how the
    rest of it reads; otherwise the whole of it is judged.

    Args:
        query: as the program wrote it.
        named: its places are `%(name)s`.
    """
    return _numbered(query, named) if len(query) < _REMEMBERED else _numbered.__wrapped__(query, named)


@lru_cache(maxsize=1024)
def _numbered(query: str, named: bool) -> str | None:  # noqa: FBT001 - behind a cache
    places = _NAMED if named else _PLACE
    found = len(places.findall(query))
    if not found:
        return query
    bare = _QUOTED.sub(_blank, query)
    if any(mark in bare for mark in _OPEN) or len(places.findall(bare)) != found:
        return None
    if any(not _APART.match(bare, place.start()) for place in places.finditer(bare)):
        return None
    names: dict[str, int] = {}

    def number(place: re.Match[str]) -> str:
        name = place[0] if named else str(len(names))
        return f"@p{names.setdefault(name, len(names) + 1)}"

    return places.sub(number, query)


def _blank(quoted: re.Match[str]) -> str:
    """A comment keeps apart what stands around it; nothing may stand right beside a string."""
    return " " if quoted[0].startswith(("--", "/*")) else "\1"


def plain(params: Any) -> bool:
    """Whether each value becomes one literal. A list becomes several."""
    values: Iterable[Any] = (
        params.values() if isinstance(params, dict) else params if isinstance(params, (list, tuple)) else (params,)
    )
    return all(_is_literal(value) for value in values)


def _is_literal(value: Any) -> bool:
    kind = type(value)
    if kind is str:
        return "\0" not in value  # the text ends there
    if kind is float:
        return math.isfinite(value)  # else it is written as a name
    if kind is decimal.Decimal:
        return bool(value.is_finite())
    if kind is dt.datetime or kind is dt.time:
        return value.tzinfo is None  # a zone writes its own name
    return kind in _LITERALS


def is_name(name: str) -> bool:
    """Whether it is the name of a table or a procedure, and may stand in a text as it is."""
    return bool(_NAME.fullmatch(name))
