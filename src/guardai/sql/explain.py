"""EXPLAIN, DESCRIBE and SHOW: what is only explained is not done, and what is told of things is a read."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from guardai.sql import lexicon as lx
from guardai.sql.calls import judge_calls
from guardai.sql.facts import Facts
from guardai.sql.phrases import STARTS, has_url, name_at, start_of
from guardai.sql.tables import named

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardai.sql.prescan import Token

__all__ = ["EXPLAIN", "judge_explain", "judge_metadata"]

_DESCRIBED: Final = frozenset({"select", "with", "values", "insert", "update", "delete", "replace", "merge"})
_EXPLAIN_WORDS: Final = frozenset(
    """analyze analyse ast buffers codegen connection cost costs distributed estimate estimated extended false for
    format formatted generic_plan graph graphviz header html io json logical memory mermaid none off on optimizer
    partitions physical pipeline plan query raw schema serialize settings statement_id summary syntax tabular text timing
    traditional tree true type using validate verbose wal xml yaml""".split()  # noqa: SIM905
)
EXPLAIN: Final = frozenset({"explain", "describe", "desc"})
_NO_TABLES: Final = frozenset({"", "table", "view", "extended", "formatted"})


def judge_explain(tokens: list[Token], dialect: str, inner: Callable[[list[Token]], Facts]) -> Facts:
    """EXPLAIN, DESCRIBE, MariaDB's ANALYZE, SUMMARIZE: what is only explained is not done."""
    first = tokens[0][1]
    start = 1
    if len(tokens) > 1 and tokens[1][1] == "(" and not (len(tokens) > 2 and tokens[2][1] in STARTS | {"("}):
        start = next((i for i, token in enumerate(tokens) if token[1] == ")"), len(tokens) - 1) + 1
    begin = start_of(
        tokens, start, STARTS if first == "explain" else _DESCRIBED | ({"from"} if dialect == "duckdb" else set())
    )
    if not begin:
        return judge_metadata(tokens, dialect)
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
    facts.effects |= (
        {"read"} | (found.called - {"write"}) | (found.effects & {"unknown", "file", "network", "session", "exec"})
    )
    if dialect != "sqlite" or tokens[begin][1] == "pragma":
        facts.effects |= found.effects & {"admin", "destroy"}
        facts.reads |= found.reads if "write" not in found.effects else set()
    elif "write" not in found.effects:
        facts.reads |= found.reads
    if dialect == "sqlite" and tokens[begin][1] in {"attach", "detach", "vacuum", "reindex"}:
        facts.effects = {"read"}  # sqlite explains everything but pragmas without running it
    facts.functions |= found.functions
    facts.columns |= found.columns
    facts.strangers |= found.strangers
    facts.spelled |= found.spelled
    if facts.strangers or facts.effects - {"read"}:
        for reason in found.reasons:
            facts.give(reason)
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


def judge_metadata(tokens: list[Token], dialect: str) -> Facts:
    """SHOW and DESCRIBE: read what is known about things, unless a query or a call hides in them."""
    facts = Facts(effects={"read"})
    words = {token[1] for token in tokens[1:] if token[0] == lx.WORD}
    if words & {"select", "into", "insert", "update", "delete", "with", "values"} - (
        {"update"} if "create" in words else set()
    ):
        facts.unknown("unknown-statement")
    if any(token[0] == lx.VARIABLE and not token[1].startswith("@@") for token in tokens):
        facts.effects.add("session")
    if has_url(tokens):
        facts.effects.add("network")
    for before, token in pairwise(tokens):
        if token[0] in {lx.STRING, lx.QUOTED} and before[1] in {"describe", "desc", "show", "summarize"}:
            facts.effects |= named(token[1].strip("'"), dialect)
    judge_calls(tokens, dialect, facts)
    facts.effects |= facts.called
    names = name_at(tokens, 2 if len(tokens) > 2 and tokens[1][1] == "table" else 1)
    if dialect == "duckdb":
        facts.effects |= named(names, dialect)  # which looks into a file to tell of it
    if tokens[0][1] in {"describe", "desc", "summarize"} and names not in _NO_TABLES:
        facts.reads.add(names)
    return facts
