"""Statements that are neither queries nor plain DML, judged by their words: DDL, EXPLAIN, SHOW, PRAGMA, COPY and the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardai.sql import lexicon as lx
from guardai.sql.explain import EXPLAIN, judge_explain, judge_metadata
from guardai.sql.facts import Facts
from guardai.sql.phrases import NAMES, QUERIES, STARTS, closing, has_url, name_at
from guardai.sql.pragmas import judge_pragma
from guardai.sql.tables import named
from guardai.sql.words import statement_effects

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardai.sql.prescan import Token

__all__ = ["judge_command"]

#: After ANALYZE they make it MariaDB's EXPLAIN that runs the statement.
_ANALYZED: Final = frozenset({"format", "select", "with", "values", "insert", "update", "delete", "replace"})
_TRANSACTIONS: Final = frozenset(
    {"begin", "commit", "rollback", "savepoint", "release", "start", "end", "abort", "save", "xa", "prepare"}
)
_MODES: Final = frozenset(
    """transaction tran work deferred immediate exclusive concurrent read write only isolation level serializable
    repeatable committed uncommitted not deferrable and chain no release to savepoint snapshot mode""".split()  # noqa: SIM905
)
_KINDS: Final = frozenset(
    """aggregate cascaded catalog column constraint database domain dynamic event extension external foreign
    fulltext function global hybrid iceberg index interactive keyspace live local macro materialized online or policy
    procedure public recursive replace role rule schema secret sequence server snapshot spatial stage statistics
    streaming session subscription synonym system language publication share table tables tablespace temp temporary transient trigger type undo unique unlogged
    user view virtual volatile warehouse algorithm definer secure concurrently if exists not only into full verbose
    freeze analyze""".split()  # noqa: SIM905
)
#: Of these kinds the names are no tables.
_NO_TABLES: Final = frozenset(
    """aggregate catalog database domain extension event function language macro procedure publication role schema secret
    sequence server session stage subscription system tablespace type user warehouse""".split()  # noqa: SIM905
)


def judge_command(tokens: list[Token], dialect: str, inner: Callable[[list[Token]], Facts]) -> Facts:
    """What a statement does that is judged by its words.

    Args:
        tokens: of the statement.
        dialect: a known dialect.
        inner: judges a part of it that is a statement itself.
    """
    first, second = tokens[0][1], tokens[1][1] if len(tokens) > 1 else ""
    facts = Facts()
    if tokens[0][0] != lx.WORD:
        facts.unknown("unknown-statement")
        return facts
    if (
        first in EXPLAIN
        or first == "summarize"
        or (first == "analyze" and second in _ANALYZED and dialect in {"mariadb", "mysql"})
    ):
        return judge_explain(tokens, dialect, inner)
    if (
        first == "show"
        or (first == "help" and dialect in {"mysql", "mariadb"})
        or (first == "exists" and dialect == "clickhouse")
    ):
        return judge_metadata(tokens, dialect)
    if first == "pragma" and dialect in {"sqlite", "duckdb"}:
        judge_pragma(tokens, dialect, facts)
        return facts
    if first == "alter" and dialect == "clickhouse":
        mutation = _mutation(tokens)
        if mutation is not None:
            return inner(mutation)
    facts.effects |= statement_effects(first, second, dialect)
    if facts.effects == {"unknown"}:
        if (
            dialect == "tsql"
            and not second.startswith(("=", "."))
            and first not in {"print", "waitfor", "raiserror", "throw"}
        ):
            facts.effects = {"exec"}  # a procedure's name alone runs it
        facts.give("unknown-statement")
    if first in _TRANSACTIONS:
        _transaction(tokens, facts)
    elif first == "copy":
        _copy(tokens, dialect, inner, facts)
    elif first in {
        "drop",
        "truncate",
        "rename",
        "optimize",
        "analyze",
        "vacuum",
        "reindex",
        "refresh",
        "lock",
        "comment",
        "grant",
        "revoke",
    }:
        _objects(tokens, facts)
    elif first in {"create", "alter"}:
        _definition(tokens, inner, facts)
    elif "exec" in facts.effects:
        facts.functions |= {
            name_at(tokens, 0 if first not in {"exec", "execute", "call"} else 1).rpartition(".")[2]
        } - {""}
    elif facts.effects & {"file", "network"}:
        if has_url(tokens):
            facts.effects.add("network")
        _query_after_as(tokens, inner, facts)
    if first == "vacuum" and "into" in {token[1] for token in tokens}:
        facts.effects.add("file")
    return facts


def _transaction(tokens: list[Token], facts: Facts) -> None:
    """BEGIN, COMMIT and the like; a BEGIN with more than modes begins a block of code."""
    first, words = tokens[0][1], [token[1] for token in tokens[1:]]
    block = first == "begin" and any(word not in _MODES and word not in {",", "with"} for word in words)
    if block and words[0] not in {"transaction", "tran", "work"}:
        facts.effects = {"exec"}
        return
    if "session" in facts.effects:
        facts.give("transaction-control")


def _copy(tokens: list[Token], dialect: str, inner: Callable[[list[Token]], Facts], facts: Facts) -> None:
    words = {token[1] for token in tokens if token[0] == lx.WORD}
    if "program" in words:
        facts.effects.add("exec")
    if has_url(tokens):
        facts.effects.add("network")
    depth = 0
    for index, token in enumerate(tokens):
        if token[1] == "(" and depth == 0 and index + 1 < len(tokens) and tokens[index + 1][1] in STARTS:
            end = closing(tokens, index)
            found = inner(tokens[index + 1 : end])
            facts.add(found)
        depth += (token[1] == "(") - (token[1] == ")") if token[0] == lx.OP else 0
    name = name_at(tokens, 2 if len(tokens) > 1 and tokens[1][1] == "into" else 1)
    if name and not named(name, dialect):
        to = next((t[1] for t in tokens if t[0] == lx.WORD and t[1] in {"to", "from"}), "")
        into = len(tokens) > 1 and tokens[1][1] == "into"
        if tokens[2 if into else 1][0] == lx.STRING:
            pass  # a place, not a table
        elif to == "from" or into:
            facts.effects.add("write")
            facts.writes.add(name)
        else:
            facts.effects.add("read")
            facts.reads.add(name)


def _objects(tokens: list[Token], facts: Facts) -> None:
    """The tables that DROP, TRUNCATE, RENAME, GRANT and the like are about."""
    first, index = tokens[0][1], 1
    if first in {"grant", "revoke", "comment"}:
        index = next((i for i, token in enumerate(tokens) if token[1] == "on"), len(tokens)) + 1
    kinds = set()
    while index < len(tokens) and tokens[index][0] == lx.WORD and tokens[index][1] in _KINDS:
        kinds.add(tokens[index][1])
        index += 1
    if kinds & {"index", "trigger", "rule", "policy"} and not kinds & {"table", "tables"}:
        index = next((i for i, token in enumerate(tokens) if token[1] in {"on", "to"} and i > index), len(tokens)) + 1
        if first == "create" and "rule" in kinds:
            index = next((i for i, token in enumerate(tokens) if token[1] == "to"), len(tokens)) + 1
    elif kinds & _NO_TABLES and not kinds & {"table", "tables", "view"}:
        return
    while index < len(tokens):
        name = name_at(tokens, index)
        if not name or tokens[index][0] == lx.STRING:
            return
        facts.writes.add(name)
        index += 2 * name.count(".") + 1
        if index < len(tokens) and (tokens[index][1] == "," or (first == "rename" and tokens[index][1] == "to")):
            index += 1
        else:
            return


def _definition(tokens: list[Token], inner: Callable[[list[Token]], Facts], facts: Facts) -> None:
    """CREATE and ALTER: what they are about, and the query of a CREATE … AS."""
    words = [token[1] for token in tokens if token[0] == lx.WORD]
    if tokens[0][1] == "alter":
        if "drop" in words[1:] and words[1:2] == ["table"]:
            facts.effects.add("destroy")
    elif words[1:3] == ["or", "replace"] and "table" in words[3:6]:
        facts.effects.add("destroy")
    _objects(tokens, facts)
    if tokens[0][1] == "create" and {"table", "view"} & set(words[1:6]):
        _query_after_as(tokens, inner, facts)


def _query_after_as(tokens: list[Token], inner: Callable[[list[Token]], Facts], facts: Facts) -> None:
    """The query of a CREATE … AS or EXPORT … AS."""
    for index, token in enumerate(tokens[:-1]):
        if token[1] == "as" and token[0] == lx.WORD and tokens[index + 1][1] in QUERIES | {"("} and index > 1:
            facts.add(inner(tokens[index + 1 :]))
            return


def _mutation(tokens: list[Token]) -> list[Token] | None:
    """ClickHouse's `ALTER TABLE t DELETE WHERE …` and `ALTER TABLE t UPDATE … WHERE …`, as the DML that they are."""
    if len(tokens) < 5 or tokens[1][1] != "table":
        return None
    end = 2
    while (
        end < len(tokens)
        and (tokens[end][0] in NAMES or tokens[end][1] == ".")
        and tokens[end][1] not in {"delete", "update", "on"}
    ):
        end += 1
    name, rest = tokens[2:end], tokens[end:]
    if not name or not rest or rest[0][1] not in {"delete", "update"} or rest[0][0] != lx.WORD:
        return None
    from guardai.sql.rewrite import word

    if rest[0][1] == "delete":
        return [word("DELETE", rest[0]), word("FROM", rest[0]), *name, *rest[1:]]
    return [word("UPDATE", rest[0]), *name, word("SET", rest[0]), *rest[1:]]
