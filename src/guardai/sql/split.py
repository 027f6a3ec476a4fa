"""Where one statement ends and the next begins, and a second opinion on how many there are."""

from __future__ import annotations

from typing import Final

from guardai.sql import lexicon as lx
from guardai.sql.prescan import Scan, Token, render

__all__ = ["agreed", "statements"]

#: Reserved in T-SQL, which needs no semicolon: outside brackets each begins a statement, but where `_GOES_ON` says.
_BEGINS: Final = frozenset(
    """alter backup begin break bulk checkpoint close commit continue create dbcc deallocate declare delete deny disable
    drop dump enable exec execute fetch go goto grant if insert kill load merge open print raiserror readtext
    receive reconfigure restore return revert revoke rollback save select send set setuser shutdown truncate throw
    update updatetext use waitfor while writetext""".split()  # noqa: SIM905
)
#: Word → the words after which it goes on with the statement before.
_GOES_ON: Final = {
    "select": frozenset({"all", "as", "except", "for", "intersect", "union"}),
    "delete": frozenset({"then", "on"}),
    "update": frozenset({"then", "on", "for"}),
    "insert": frozenset({"then"}),
    "merge": frozenset({"inner", "left", "outer", "full", "right", "union", "option"}),
    "fetch": frozenset({"rows", "row"}),
    "open": frozenset({"with"}),
}
_ROWS: Final = frozenset({"select", "exec", "execute"})
_BODY: Final = frozenset({"select", "insert", "update", "delete", "merge"})
#: Not reserved: they begin a statement only where a word follows that makes them one.
_WITH_NEXT: Final = {
    "disable": frozenset({"trigger"}),
    "enable": frozenset({"trigger"}),
    "receive": frozenset({"top", "*"}),
    "send": frozenset({"on"}),
    "throw": frozenset(),
    "go": frozenset(),
    "load": frozenset({"database", "transaction"}),
    "dump": frozenset({"database", "transaction"}),
}
_BODIES: Final = frozenset({"trigger", "procedure", "function", "event", "package", "proc"})


def statements(scan: Scan, dialect: str) -> list[list[Token]]:
    """The tokens of each statement; an empty one counts for nothing."""
    found: list[list[Token]] = []
    current: list[Token] = []
    blocks = 0  # BEGIN … END within a CREATE TRIGGER and the like, whose semicolons do not end it
    for token in scan.tokens:
        kind, low = token[0], token[1]
        if kind == lx.OP and low == ";" and blocks <= 0:
            found.append(current)
            current, blocks = [], 0
            continue
        current.append(token)
        if kind == lx.WORD and low in {"begin", "case", "end"} and current[0][1] == "create" and _has_body(current):
            blocks += -1 if low == "end" else 1
    found.append(current)
    found = [tokens for tokens in found if tokens]
    return [part for tokens in found for part in _unseparated(tokens)] if dialect == "tsql" else found


def _has_body(tokens: list[Token]) -> bool:
    return any(token[1] in _BODIES for token in tokens[1:7])


def _unseparated(tokens: list[Token]) -> list[list[Token]]:
    """T-SQL: cuts before each word that must begin a statement."""
    if tokens[0][1] in {"create", "alter"} and _has_body(tokens):
        return [tokens]  # all the rest is its body
    parts: list[list[Token]] = []
    start = depth = 0
    # What the statement that began at `start` still takes: one SET of an UPDATE (a MERGE takes several), the rows of an
    # INSERT, the statement after the CTEs of a WITH.
    takes_set, takes_rows, takes_body = _takes(tokens[0][1])
    for index, (kind, low, *_) in enumerate(tokens):
        if kind == lx.OP:
            depth += (low == "(") - (low == ")")
        if kind != lx.WORD or depth or index == start:
            continue
        if low in _BEGINS and _may_begin(tokens, index, low):
            if low == "set" and takes_set:
                takes_set = tokens[start][1] == "merge"
            elif low in _ROWS and takes_rows:
                takes_rows = False
            elif takes_body and low in _BODY and tokens[index - 1][1] == ")":
                takes_body, (takes_set, takes_rows, _) = False, _takes(low)
            elif tokens[index - 1][1] not in _GOES_ON.get(low, ()):
                parts.append(tokens[start:index])
                start = index
                takes_set, takes_rows, takes_body = _takes(low)
        elif low == "values":
            takes_rows = False
    parts.append(tokens[start:])
    return parts


def _takes(first: str) -> tuple[bool, bool, bool]:
    return first in {"update", "merge"}, first == "insert", first == "with"


def _may_begin(tokens: list[Token], index: int, low: str) -> bool:
    """Whether a word could begin a statement where it stands."""
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    if tokens[index - 1][1] == "." or (after is not None and after[1] == "."):
        return False  # part of a name
    wanted = _WITH_NEXT.get(low)
    if wanted is None:
        return True
    if wanted:
        return after is not None and after[1] in wanted
    return low == "go" or after is None or after[0] in {lx.NUMBER, lx.PARAM}


def agreed(sql: str, scan: Scan, found: list[list[Token]]) -> bool:
    """Whether sqlparse, too, sees one statement in a text that we take for one.

    Only a text with a semicolon before its end can be cut differently. Where it holds literals or comments of a form
    that sqlparse does not know, sqlparse is asked of the text that the parser gets.
    """
    if len(found) != 1:
        return True  # more than one is never taken for harmless, whatever the second opinion
    tokens = found[0]
    last = tokens[-1][4]
    if (
        ";" not in sql[:last]
        and ";" not in sql[last:].strip("; \t\r\n\f")
        and "go" not in {token[1] for token in tokens}
    ):
        return True
    import sqlparse

    text = render(sql, tokens) if scan.foreign else sql
    try:
        pieces = sqlparse.split(text)
    except Exception:  # it gives up on long texts; then there is no second opinion
        return False
    return sum(1 for piece in pieces if not _empty(piece)) <= 1


def _empty(piece: str) -> bool:
    """Whether a piece holds no statement: nothing, semicolons, comments."""
    text = piece.strip()
    while text:
        if text[0] == ";":
            text = text[1:].lstrip()
        elif text.startswith("--"):
            text = text.partition("\n")[2].lstrip()
        elif text.startswith("/*"):
            text = text.partition("*/")[2].lstrip()
        else:
            return False
    return True
