"""Small questions about runs of tokens: the name that stands somewhere, where a bracket closes, where a statement begins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from guardai.sql import lexicon as lx

if TYPE_CHECKING:
    from guardai.sql.prescan import Token

__all__ = ["NAMES", "QUERIES", "STARTS", "assigned", "closing", "has_url", "name_at", "start_of"]

_URL: Final = re.compile(r"'[a-z0-9]{2,}://", re.IGNORECASE)
QUERIES: Final = frozenset({"select", "with", "values", "from", "table"})
#: Words that begin a statement within EXPLAIN.
STARTS: Final = QUERIES | frozenset(
    """insert update delete merge replace create drop alter truncate copy execute exec call pragma attach detach vacuum
    reindex set load summarize pivot unpivot declare refresh explain""".split()  # noqa: SIM905
)
NAMES: Final = frozenset({lx.WORD, lx.QUOTED})


def has_url(tokens: list[Token]) -> bool:
    """Whether a literal begins as a URL."""
    return any(token[0] == lx.STRING and _URL.match(token[1]) for token in tokens)


def assigned(tokens: list[Token]) -> set[str]:
    """The names that stand before each `=` of an UPDATE's SET, lower-case, with their qualifiers one by one."""
    found: set[str] = set()
    depth, target = 0, False
    for kind, low, *_ in tokens:
        if kind == lx.OP:
            depth += (low in "([{") - (low in ")]}")
            if depth == 0:
                target = low == "," or (target and low != "=")
        elif kind == lx.WORD and depth == 0 and low in {"set", "where", "from", "returning"}:
            target = low == "set"
        elif target and kind in NAMES:
            found.add(low)
        elif target and kind == lx.STRING:  # SQLite takes a literal for a name there
            found.add(low.strip("'").lower())
    return found


def start_of(tokens: list[Token], index: int, starts: frozenset[str]) -> int:
    """Where a statement begins within another, 0 if nowhere."""
    for position in range(index, len(tokens)):
        kind, low, *_ = tokens[position]
        if kind == lx.WORD and low in starts:
            before = position
            while before > index and tokens[before - 1][1] == "(":
                before -= 1
            return before
    return 0


def closing(tokens: list[Token], index: int) -> int:
    """Where the bracket that opens at a position closes."""
    depth = 0
    for position in range(index, len(tokens)):
        depth += (tokens[position][1] == "(") - (tokens[position][1] == ")") if tokens[position][0] == lx.OP else 0
        if depth == 0:
            return position
    return len(tokens)


def name_at(tokens: list[Token], index: int) -> str:
    """The name that stands at a position, with its qualifiers."""
    parts: list[str] = []
    while index < len(tokens) and (tokens[index][0] in NAMES or tokens[index][0] == lx.STRING):
        parts.append(tokens[index][1].strip("'"))
        if index + 1 < len(tokens) and tokens[index + 1][1] == ".":
            index += 2
            continue
        break
    return ".".join(parts)
