"""Which functions a statement calls, judged by the words that stand before an opening bracket.

SECURITY INVARIANT: every word or quoted name before `(` is either a harmless function of the dialect, a word of the
grammar, or a name that the statement itself gives to a relation; anything else makes the statement `unknown`. The words
are taken from the pre-scan's tokens, not from the parser's tree, so a call that a parser takes for something else is
seen all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardai.sql import lexicon as lx
from guardai.sql.pragmas import tells
from guardai.sql.words import GRAMMAR, Functions, functions

if TYPE_CHECKING:
    from collections.abc import Container

    from guardai.sql.facts import Facts
    from guardai.sql.prescan import Token

__all__ = ["judge_calls", "known_call"]

#: What a harmless function may be qualified with. Elsewhere a qualified name is somebody's own function.
_QUALIFIERS: Final = {
    "postgres": frozenset({"pg_catalog"}),
    "redshift": frozenset({"pg_catalog"}),
    "tsql": frozenset({"sys"}),
    "bigquery": frozenset({"safe", "net", "hll_count", "range"}),
}
_NETWORK: Final = {"snowflake": frozenset({"snowflake"}), "bigquery": frozenset({"ml", "ai"})}
#: Methods of SQL Server's XML and spatial types; `modify` changes what it is called on and is not among them.
_METHODS: Final = {"tsql": frozenset({"value", "query", "exist", "nodes", "stastext", "stdistance", "tostring"})}
#: Packages of Oracle, with the members that only compute.
_MEMBERS: Final = {
    "dbms_lob": frozenset({"substr", "getlength", "instr", "compare"}),
    "dbms_random": frozenset({"value", "string", "normal"}),
    "dbms_metadata": frozenset({"get_ddl"}),
    "dbms_crypto": frozenset({"hash"}),
    "utl_raw": frozenset({"cast_to_varchar2", "cast_to_raw", "length", "substr"}),
}
#: These change the session if they are given something, and tell what it was if not.
_SET_BY_ARGUMENT: Final = {"mysql": frozenset({"last_insert_id"}), "mariadb": frozenset({"last_insert_id"})}
#: ClickHouse builds aggregates from others by these endings.
_COMBINATORS: Final = (
    "ornull",
    "ordefault",
    "distinct",
    "resample",
    "foreach",
    "simplestate",
    "array",
    "merge",
    "state",
    "map",
    "if",
)


def known_call(name: str, dialect: str, table: Functions) -> bool:
    """Whether an unqualified name only computes."""
    if name in table.harmless:
        return True
    if dialect == "sqlite" and name.startswith("pragma_"):
        return tells(name[7:])
    if dialect == "clickhouse":
        for ending in _COMBINATORS:
            if name.endswith(ending) and len(name) > len(ending):
                return known_call(name[: -len(ending)], dialect, table)
    return False


def judge_calls(tokens: list[Token], dialect: str, facts: Facts, relations: Container[str] = ()) -> None:
    """Adds the functions that are called, and what they do.

    Args:
        tokens: of one statement.
        dialect: a known dialect.
        facts: what is gathered.
        relations: names that the statement gives to relations with column lists; they call nothing.
    """
    table = functions(dialect)
    last = len(tokens) - 1
    for index, token in enumerate(tokens):
        if token[1] != "(" or token[0] != lx.OP or index == 0:
            continue
        kind, name, *_ = tokens[index - 1]
        if kind not in (lx.WORD, lx.QUOTED):
            continue
        if dialect == "oracle" and index + 1 < last and tokens[index + 1][1] == "+" and tokens[index + 2][1] == ")":
            continue  # the old sign of an outer join
        qualifier = tokens[index - 3][1] if index >= 3 and tokens[index - 2][1] == "." else ""
        effect = table.effect(name) or (_package(tokens, index - 1, table) if qualifier else None)
        if effect is not None:
            facts.functions.add(name)
            facts.called |= effect
            if "unknown" in effect:
                facts.give(f"unknown-function:{name}")
            continue
        if not qualifier and kind == lx.WORD and name in GRAMMAR:
            if name == "table" and index < last and tokens[index + 1][0] not in {lx.WORD, lx.QUOTED, lx.OP}:
                facts.called.add("unknown")
                facts.give("dynamic-table")
            elif name == "operator" and index + 2 < last and tokens[index + 2][1] == ".":
                if tokens[index + 1][1] not in _QUALIFIERS.get(dialect, ()):  # somebody's own, which calls a function
                    facts.called.add("unknown")
                    facts.give("unknown-function:operator")
            elif name in table.harmless:
                facts.functions.add(name)
            facts.spelled.add(name)
            continue
        if name in relations:
            continue
        facts.functions.add(name)
        if name in _SET_BY_ARGUMENT.get(dialect, ()) and index < last and tokens[index + 1][1] != ")":
            facts.called.add("session")
        if qualifier:
            _judge_qualified(name, tokens, index, dialect, facts, table)
        elif (
            not known_call(name, dialect, table)
            or (kind == lx.QUOTED and _of_another_case(tokens[index - 1][2], dialect))
        ) and not (name == "system" and index >= 2 and tokens[index - 2][1] in {"tablesample", "sample"}):
            _stranger([name], facts)


def _of_another_case(quoted: str, dialect: str) -> bool:
    fold = lx.FOLDS.get(dialect)
    return fold is not None and fold(quoted) != quoted


def _package(tokens: list[Token], index: int, table: Functions) -> frozenset[str] | None:
    """The effect of the package that a function stands in, `utl_http` of `sys.utl_http.request`."""
    while index >= 2 and tokens[index - 1][1] == ".":
        index -= 2
        found = table.effect(tokens[index][1]) if tokens[index][0] in {lx.WORD, lx.QUOTED} else None
        if found is not None:
            return found
    return None


def _judge_qualified(name: str, tokens: list[Token], index: int, dialect: str, facts: Facts, table: Functions) -> None:
    qualifier = tokens[index - 3][1]
    if qualifier in _NETWORK.get(dialect, ()):
        facts.called.add("network")
    elif not (
        (dialect == "oracle" and name in _MEMBERS.get(qualifier, ()))
        or name in _METHODS.get(dialect, ())
        # duckdb calls a function as a method of its first argument, too
        or (
            (qualifier in _QUALIFIERS.get(dialect, ()) or dialect == "duckdb")
            and (name in table.harmless or name in GRAMMAR)
        )
        or (qualifier == "hll_count" and name in {"init", "merge", "merge_partial", "extract"})
    ):
        start = index - 3
        while start >= 2 and tokens[start - 1][1] == ".":
            start -= 2
        _stranger([token[1] for token in tokens[start:index:2]], facts)


def _stranger(parts: list[str], facts: Facts) -> None:
    if any("." in part for part in parts):  # a quoted name that would pass for a qualified one
        facts.called.add("unknown")
        facts.give(f"unknown-function:{parts[-1]}")
    else:
        facts.stranger(".".join(parts))
