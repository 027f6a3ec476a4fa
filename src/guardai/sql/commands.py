"""Statements that are neither queries nor plain DML, judged by their words: DDL, EXPLAIN, SHOW, PRAGMA, COPY and the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from guardai.sql import lexicon as lx
from guardai.sql.calls import judge_calls
from guardai.sql.facts import Facts
from guardai.sql.pragmas import judge_pragma
from guardai.sql.tables import named
from guardai.sql.words import statement_effects

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardai.sql.prescan import Token

__all__ = ["judge_command"]

_URL: Final = re.compile(r"'[a-z0-9]{2,}://", re.IGNORECASE)
_QUERIES: Final = frozenset({"select", "with", "values", "from", "table"})
#: Words that begin a statement within EXPLAIN.
_STARTS: Final = _QUERIES | frozenset(
    """insert update delete merge replace create drop alter truncate copy execute exec call pragma attach detach vacuum
    reindex set load summarize pivot unpivot declare refresh explain""".split()  # noqa: SIM905
)
_DESCRIBED: Final = frozenset({"select", "with", "values", "insert", "update", "delete", "replace", "merge"})
_EXPLAIN_WORDS: Final = frozenset(
    """analyze analyse ast buffers codegen connection cost costs distributed estimate estimated extended false for
    format formatted generic_plan graph graphviz header html io json logical memory mermaid none off on optimizer
    partitions physical pipeline plan query raw schema serialize settings statement_id summary syntax tabular text timing
    traditional tree true type using validate verbose wal xml yaml""".split()  # noqa: SIM905
)
_EXPLAIN: Final = frozenset({"explain", "describe", "desc"})
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
    """aggregate cascaded catalog column constraint database domain dynamic event extension external false_ foreign
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
_NAMES: Final = frozenset({lx.WORD, lx.QUOTED})


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
    if first in _EXPLAIN or first == "summarize" or (first == "analyze" and second in _ANALYZED and dialect in {"mariadb", "mysql"}):
        return _explain(tokens, dialect, inner)
    if first == "show" or (first == "help" and dialect in {"mysql", "mariadb"}) or (first == "exists" and dialect == "clickhouse"):
        return _metadata(tokens, dialect)
    if first == "pragma" and dialect in {"sqlite", "duckdb"}:
        judge_pragma(tokens, dialect, facts)
        return facts
    if first == "alter" and dialect == "clickhouse":
        mutation = _mutation(tokens)
        if mutation is not None:
            return inner(mutation)
    facts.effects |= statement_effects(first, second, dialect)
    if facts.effects == {"unknown"}:
        if dialect == "tsql" and not second.startswith(("=", ".")) and first not in {"print", "waitfor", "raiserror", "throw"}:
            facts.effects = {"exec"}  # a procedure's name alone runs it
        facts.give("unknown-statement")
    if first in _TRANSACTIONS:
        _transaction(tokens, facts)
    elif first == "copy":
        _copy(tokens, dialect, inner, facts)
    elif first in {"drop", "truncate", "rename", "optimize", "analyze", "vacuum", "reindex", "refresh", "lock", "comment", "grant", "revoke"}:
        _objects(tokens, facts)
    elif first in {"create", "alter"}:
        _definition(tokens, inner, facts)
    elif "exec" in facts.effects:
        facts.functions |= {_name_at(tokens, 0 if first not in {"exec", "execute", "call"} else 1).rpartition(".")[2]} - {""}
    elif facts.effects & {"file", "network"}:
        if _urls(tokens):
            facts.effects.add("network")
        _query_after_as(tokens, inner, facts)
    if first == "vacuum" and "into" in {token[1] for token in tokens}:
        facts.effects.add("file")
    return facts


def _urls(tokens: list[Token]) -> bool:
    return any(token[0] == lx.STRING and _URL.match(token[1]) for token in tokens)


def _start(tokens: list[Token], index: int, starts: frozenset[str]) -> int:
    """Where a statement begins within another, 0 if nowhere."""
    for position in range(index, len(tokens)):
        kind, low, *_ = tokens[position]
        if kind == lx.WORD and low in starts:
            while position > index and tokens[position - 1][1] == "(":
                position -= 1
            return position
    return 0


def _explain(tokens: list[Token], dialect: str, inner: Callable[[list[Token]], Facts]) -> Facts:
    """EXPLAIN, DESCRIBE, MariaDB's ANALYZE, SUMMARIZE: what is only explained is not done."""
    first = tokens[0][1]
    start = 1
    if len(tokens) > 1 and tokens[1][1] == "(" and not (len(tokens) > 2 and tokens[2][1] in _STARTS | {"("}):
        start = next((i for i, token in enumerate(tokens) if token[1] == ")"), len(tokens) - 1) + 1
    begin = _start(tokens, start, _STARTS if first == "explain" else _DESCRIBED | ({"from"} if dialect == "duckdb" else set()))
    if not begin:
        return _metadata(tokens, dialect)
    facts = Facts()
    options = tokens[1:begin]
    words = [token[1] for token in options if token[0] == lx.WORD]
    if any(word not in _EXPLAIN_WORDS for word in words) and not _oracle_plan(tokens, begin):
        facts.unknown("unknown-statement")
        return facts
    found = inner(tokens[begin:])
    if first in {"analyze", "summarize"} or _executed(options):
        found.effects.add("read")
        return found
    if any(token[0] == lx.VARIABLE for token in options):
        facts.effects.add("session")
    # Not run, but bound and planned: functions of constants may be computed, files may be looked into.
    facts.effects |= {"read"} | (found.called - {"write"}) | (found.effects & {"unknown", "file", "network", "session", "exec"})
    if dialect != "sqlite" or tokens[begin][1] == "pragma":
        facts.effects |= found.effects & {"admin", "destroy"}
        facts.reads |= found.reads if "write" not in found.effects else set()
    elif "write" not in found.effects:
        facts.reads |= found.reads
    if dialect == "sqlite" and tokens[begin][1] in {"attach", "detach", "vacuum", "reindex"}:
        facts.effects = {"read"}  # sqlite explains everything but pragmas without running it
    facts.functions |= found.functions
    facts.columns |= found.columns
    if found.reason and facts.effects - {"read"}:
        facts.give(found.reason)
    if "into" in words and dialect == "oracle":
        facts.effects.add("write")
    return facts


def _oracle_plan(tokens: list[Token], begin: int) -> bool:
    return tokens[1][1] == "plan" and tokens[begin - 1][1] == "for"


def _executed(options: list[Token]) -> bool:
    """Whether the options of an EXPLAIN have ANALYZE on."""
    for index, token in enumerate(options):
        if token[1] in {"analyze", "analyse"}:
            after = options[index + 1][1] if index + 1 < len(options) else ""
            if after == "=" and index + 2 < len(options):
                after = options[index + 2][1]
            if after.strip("'") not in {"off", "false", "0"}:
                return True
    return False


def _metadata(tokens: list[Token], dialect: str) -> Facts:
    """SHOW and DESCRIBE: read what is known about things, unless a query or a call hides in them."""
    facts = Facts(effects={"read"})
    words = {token[1] for token in tokens[1:] if token[0] == lx.WORD}
    if words & {"select", "into", "insert", "update", "delete", "with", "values"} - ({"update"} if "create" in words else set()):
        facts.unknown("unknown-statement")
    if any(token[0] == lx.VARIABLE and not token[1].startswith("@@") for token in tokens):
        facts.effects.add("session")
    if any(token[0] == lx.STRING and _URL.match(token[1]) for token in tokens):
        facts.effects.add("network")
    for before, token in zip(tokens, tokens[1:], strict=False):
        if token[0] in {lx.STRING, lx.QUOTED} and before[1] in {"describe", "desc", "show", "summarize"}:
            facts.effects |= named(token[1].strip("'"), dialect)
    judge_calls(tokens, dialect, facts)
    facts.effects |= facts.called
    if tokens[0][1] in {"describe", "desc", "summarize"} and len(tokens) > 1:
        names = _name_at(tokens, 1)
        if names and names not in {"table", "view", "extended", "formatted"}:
            facts.reads.add(names)
    return facts


def _transaction(tokens: list[Token], facts: Facts) -> None:
    """BEGIN, COMMIT and the like; a BEGIN with more than modes begins a block of code."""
    words = [token[1] for token in tokens[1:]]
    if tokens[0][1] in {"begin", "start"} and any(word not in _MODES and word not in {",", "with", "consistent"} for word in words):
        if tokens[0][1] == "begin" and tokens[1][0] == lx.WORD and tokens[1][1] not in {"transaction", "tran", "work"}:
            facts.effects = {"exec"}
            return
    if "session" in facts.effects:
        facts.give("transaction-control")


def _copy(tokens: list[Token], dialect: str, inner: Callable[[list[Token]], Facts], facts: Facts) -> None:
    words = {token[1] for token in tokens if token[0] == lx.WORD}
    if "program" in words:
        facts.effects.add("exec")
    if _urls(tokens):
        facts.effects.add("network")
    depth = 0
    for index, token in enumerate(tokens):
        if token[1] == "(" and depth == 0 and index + 1 < len(tokens) and tokens[index + 1][1] in _STARTS:
            end = _closing(tokens, index)
            found = inner(tokens[index + 1 : end])
            facts.add(found)
        depth += (token[1] == "(") - (token[1] == ")") if token[0] == lx.OP else 0
    name = _name_at(tokens, 2 if len(tokens) > 1 and tokens[1][1] == "into" else 1)
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


def _closing(tokens: list[Token], index: int) -> int:
    depth = 0
    for position in range(index, len(tokens)):
        depth += (tokens[position][1] == "(") - (tokens[position][1] == ")") if tokens[position][0] == lx.OP else 0
        if depth == 0:
            return position
    return len(tokens)


def _name_at(tokens: list[Token], index: int) -> str:
    """The name that stands at a position, with its qualifiers."""
    parts: list[str] = []
    while index < len(tokens) and (tokens[index][0] in _NAMES or tokens[index][0] == lx.STRING):
        parts.append(tokens[index][1].strip("'"))
        if index + 1 < len(tokens) and tokens[index + 1][1] == ".":
            index += 2
            continue
        break
    return ".".join(parts)


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
        name = _name_at(tokens, index)
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
        if token[1] == "as" and token[0] == lx.WORD and tokens[index + 1][1] in _QUERIES | {"("} and index > 1:
            facts.add(inner(tokens[index + 1 :]))
            return


def _mutation(tokens: list[Token]) -> list[Token] | None:
    """ClickHouse's `ALTER TABLE t DELETE WHERE …` and `ALTER TABLE t UPDATE … WHERE …`, as the DML that they are."""
    if len(tokens) < 5 or tokens[1][1] != "table":
        return None
    end = 2
    while end < len(tokens) and (tokens[end][0] in _NAMES or tokens[end][1] == ".") and tokens[end][1] not in {"delete", "update", "on"}:
        end += 1
    name, rest = tokens[2:end], tokens[end:]
    if not name or not rest or rest[0][1] not in {"delete", "update"} or rest[0][0] != lx.WORD:
        return None
    from guardai.sql.rewrite import word

    if rest[0][1] == "delete":
        return [word("DELETE", rest[0]), word("FROM", rest[0]), *name, *rest[1:]]
    return [word("UPDATE", rest[0]), *name, word("SET", rest[0]), *rest[1:]]
