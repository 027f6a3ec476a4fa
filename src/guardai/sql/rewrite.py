"""Turns spellings that sqlglot does not read into ones that it does and that mean the same to us."""

from __future__ import annotations

from typing import Final

from guardai.sql import lexicon as lx
from guardai.sql.prescan import Token

__all__ = ["rewritten", "word"]

#: Operators of PostgreSQL and its extensions that sqlglot does not know. All compute; none is an equality.
_OPERATORS: Final = frozenset(
    "<<= >>= <<| |>> &<| |&> %> %>> <<-> *<> ~= *= ## ?# ?|| ?-| <^ >^ ~>=~ ~<~ ~>~ ~<=~ <#> <+>".split()  # noqa: SIM905
)
_SIGNS: Final = frozenset("+-*/<>=~!@#%^&|?")

_MYSQL_DML: Final = frozenset({"low_priority", "high_priority", "delayed", "quick", "ignore"})
_MYSQL_SELECT: Final = frozenset(
    {"sql_calc_found_rows", "sql_no_cache", "sql_cache", "sql_buffer_result", "sql_big_result", "sql_small_result",
     "high_priority", "straight_join"}
)  # fmt: skip
_ON_CONFLICT: Final = frozenset({"rollback", "abort", "replace", "fail", "ignore"})
_DML: Final = frozenset({"insert", "update", "delete", "replace"})
_NO_FROM: Final = frozenset({"tsql", "oracle"})


def word(text: str, at: Token) -> Token:
    """A word that stands in for another, with room on both sides."""
    return (lx.WORD, text.lower(), f" {text} ", at[3], at[3])


def rewritten(tokens: list[Token], dialect: str) -> tuple[list[Token], bool]:
    """The tokens for the parser, and whether they differ."""
    found = list(tokens)
    changed = False
    if dialect in lx.MYSQL:
        changed |= _drop_modifiers(found)
        changed |= _next_value(found)
    elif dialect == "sqlite":
        changed |= _sqlite(found)
    elif dialect in {"postgres", "redshift"}:
        changed |= _drop_only(found)
        changed |= _postgres(found)
        changed |= _known_operators(found)
    elif dialect in _NO_FROM:
        changed |= _delete_from(found)
    if found[0][1] == "table" and found[0][0] == lx.WORD:
        found[:1] = [word("SELECT", found[0]), (lx.OP, "*", "*", found[0][3], found[0][3]), word("FROM", found[0])]
        changed = True
    if found[0][1] == "replace" and dialect in {*lx.MYSQL, "sqlite"}:
        found[0] = word("INSERT", found[0])
        if len(found) > 1 and found[1][1] != "into":
            found.insert(1, word("INTO", found[1]))
        changed = True
    if (
        found[0][1] == "insert"
        and len(found) > 1
        and dialect in {*lx.MYSQL, "tsql"}
        and found[1][1] not in {"into", "overwrite"}
    ):
        found.insert(1, word("INTO", found[1]))
        changed = True
    return found, changed


def _drop_modifiers(tokens: list[Token]) -> bool:
    """MySQL: hints about priority and caches between the verb and its object."""
    before = len(tokens)
    verb = tokens[0][1]
    if verb in _DML:
        while len(tokens) > 2 and tokens[1][0] == lx.WORD and tokens[1][1] in _MYSQL_DML:
            del tokens[1]
    for index in range(len(tokens) - 2, -1, -1):
        if tokens[index][1] == "select" and tokens[index][0] == lx.WORD:
            while len(tokens) > index + 2 and tokens[index + 1][0] == lx.WORD and tokens[index + 1][1] in _MYSQL_SELECT:
                del tokens[index + 1]
    return len(tokens) != before


def _next_value(tokens: list[Token]) -> bool:
    """MariaDB: `NEXT VALUE FOR s`, as a call."""
    changed = False
    for index in range(len(tokens) - 3):
        if [token[1] for token in tokens[index : index + 3]] == ["next", "value", "for"]:
            tokens[index : index + 4] = [word("NEXTVAL('s')", tokens[index])]
            return _next_value(tokens) or True
    return changed


def _sqlite(tokens: list[Token]) -> bool:
    """sqlite: `INSERT OR REPLACE`, `UPDATE OR IGNORE`, `INDEXED BY name`, `NOT INDEXED`."""
    before = len(tokens)
    for index in range(len(tokens) - 2, -1, -1):
        if tokens[index][0] != lx.WORD or index + 1 >= len(tokens):
            continue
        low, after = tokens[index][1], tokens[index + 1][1]
        if (
            low in {"insert", "update"}
            and after == "or"
            and index + 2 < len(tokens)
            and tokens[index + 2][1] in _ON_CONFLICT
        ):
            del tokens[index + 1 : index + 3]
        elif low == "indexed" and after == "by":
            del tokens[index : index + 3]
        elif low == "not" and after == "indexed":
            del tokens[index : index + 2]
    return len(tokens) != before


def _drop_only(tokens: list[Token]) -> bool:
    """PostgreSQL: `DELETE FROM ONLY t`, `UPDATE ONLY t`."""
    before = len(tokens)
    for index in range(len(tokens) - 2, 0, -1):
        if (
            tokens[index][0] == lx.WORD
            and tokens[index][1] == "only"
            and tokens[index - 1][1] in {"from", "update", "join"}
        ):
            del tokens[index]
    return len(tokens) != before


def _postgres(tokens: list[Token]) -> bool:
    """PostgreSQL: `INSERT … OVERRIDING SYSTEM VALUE …`, `ORDER BY a USING <`."""
    before = len(tokens)
    for index in range(len(tokens) - 2, 0, -1):
        kind, low, *_ = tokens[index]
        if kind != lx.WORD:
            continue
        after = tokens[index + 1][1]
        if low == "overriding" and after in {"system", "user"} and tokens[index + 2 : index + 3]:
            if tokens[index + 2][1] == "value":
                del tokens[index : index + 3]
        elif low == "using" and after in {"<", ">"}:
            tokens[index : index + 2] = [word("ASC", tokens[index])]
    return len(tokens) != before


def _output_last(tokens: list[Token]) -> bool:
    """SQL Server: `DELETE FROM t OUTPUT deleted.a WHERE …`, with OUTPUT where sqlglot looks for it."""
    depth, start = 0, 0
    for index, token in enumerate(tokens):
        depth += (token[1] == "(") - (token[1] == ")") if token[0] == lx.OP else 0
        if depth or token[0] != lx.WORD:
            continue
        if token[1] == "output":
            start = index
        elif start and token[1] in {"where", "from"}:
            moved = [(kind, low, f" {text} ", begin, end) for kind, low, text, begin, end in tokens[start:index]]
            del tokens[start:index]
            tokens.extend(moved)
            return True
    return False


def _known_operators(tokens: list[Token]) -> bool:
    """PostgreSQL: an operator that sqlglot does not know, as one that it does."""
    changed, index = False, 0
    while index < len(tokens):
        end = index
        while end < len(tokens) and tokens[end][0] == lx.OP and _SIGNS.issuperset(tokens[end][1]):
            if end > index and tokens[end][3] != tokens[end - 1][4]:
                break
            end += 1
        if end - index > 1 and "".join(token[1] for token in tokens[index:end]) in _OPERATORS:
            tokens[index:end] = [(lx.OP, "<", " < ", tokens[index][3], tokens[end - 1][4])]
            changed = True
        index = max(end, index + 1) if not changed else index + 1
    return changed


def _delete_from(tokens: list[Token]) -> bool:
    """SQL Server and Oracle: `DELETE TOP (5) t`, `UPDATE TOP (5) t`, `DELETE t WHERE …`."""
    changed = False
    verb = tokens[0][1]
    if verb in _DML and len(tokens) > 4 and tokens[1][1] == "top" and tokens[2][1] == "(":
        end = next((i for i, token in enumerate(tokens) if token[1] == ")" and i > 2), 2) + 1
        if end < len(tokens) and tokens[end][1] == "percent":
            end += 1
        del tokens[1:end]
        changed = True
    if verb == "delete" and len(tokens) > 1:
        depth, has_from = 0, False
        for token in tokens:
            depth += (token[1] == "(") - (token[1] == ")") if token[0] == lx.OP else 0
            has_from |= depth == 0 and token[0] == lx.WORD and token[1] == "from"
        if not has_from:
            tokens.insert(1, word("FROM", tokens[1]))
            changed = True
        changed |= _output_last(tokens)
    return changed
