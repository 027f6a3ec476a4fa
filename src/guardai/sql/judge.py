"""One statement: what it does, by its first words, its calls, and its tree."""

from __future__ import annotations

import logging
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from guardai.sql import lexicon as lx
from guardai.sql.calls import judge_calls
from guardai.sql.commands import judge_command
from guardai.sql.facts import Facts
from guardai.sql.prescan import render
from guardai.sql.rewrite import rewritten

if TYPE_CHECKING:
    from guardai.sql.prescan import Token

__all__ = ["judge", "parsed", "verb"]

_PARSED: Final = frozenset({"select", "with", "values", "insert", "update", "delete", "merge", "replace"})
_PARSED_IN: Final = {
    "duckdb": frozenset({"from", "table", "pivot", "unpivot"}),
    "clickhouse": frozenset({"from"}),
    "databricks": frozenset({"from", "table"}),
    "postgres": frozenset({"table"}),
    "redshift": frozenset({"table"}),
    "mysql": frozenset({"table"}),
    "trino": frozenset({"table"}),
    "mariadb": frozenset({"table"}),
    "bigquery": frozenset({"from"}),
}


_TELLING: Final = ("@", "$", ":=", "infile")
_KEPT_LENGTH: Final = 16_384
#: The thread's last tree: lineage is mostly asked of the statement that was inspected just before. Nobody changes a tree.
_last = threading.local()


class _Quiet(logging.Filter):
    """Drops what sqlglot logs while we parse: the text of what it does not understand, literals included."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return not getattr(_last, "parsing", False)


_QUIET: Final = _Quiet()


class NotParsed(Exception):
    """The parser does not understand; the argument is the reason code."""


def verb(tokens: list[Token]) -> str:
    """The first word of a statement, past opening brackets."""
    for kind, low, *_ in tokens:
        if kind == lx.WORD:
            return low
        if low != "(":
            return low[:1]
    return ""


def parsed(sql: str, tokens: list[Token], dialect: str, *, odd: bool) -> Any:
    """The parser's tree of one statement.

    Raises:
        NotParsed: with a reason code.
    """
    import sqlglot

    kept, changed = rewritten(tokens, dialect)
    text = render(sql, kept) if odd or changed else sql[tokens[0][3] : tokens[-1][4]]
    key = (text, dialect)
    if getattr(_last, "key", None) == key:
        return _last.tree
    engine = sqlglot.Dialect.get_or_raise("mysql" if dialect == "mariadb" else dialect)
    logging.getLogger("sqlglot").addFilter(_QUIET)  # once: a filter is not added twice
    _last.parsing = True
    try:
        trees = engine.parser().parse(engine.tokenize(text), text)
    except Exception as error:  # whatever it raises, it did not understand
        raise NotParsed("parse-error") from error
    finally:
        _last.parsing = False
    if len(trees) != 1 or trees[0] is None:
        raise NotParsed("split-disagreement")
    if len(text) <= _KEPT_LENGTH:
        _last.key, _last.tree = key, trees[0]
    return trees[0]


def judge(sql: str, tokens: list[Token], dialect: str, *, odd: bool, depth: int = 0) -> Facts:
    """What one statement does."""
    first = verb(tokens)
    known = first in _PARSED or first in _PARSED_IN.get(dialect, ())
    if known and (tokens[0][1] != "(" or first in {"select", "with", "values", "from", "table"}):
        return _judge_parsed(sql, tokens, dialect, first, odd=odd)

    def inner(part: list[Token]) -> Facts:
        return judge(sql, part, dialect, odd=True, depth=depth + 1)

    if depth > 4:
        facts = Facts()
        facts.unknown("too-deep")
        return facts
    return judge_command(tokens, dialect, inner)


def _judge_parsed(sql: str, tokens: list[Token], dialect: str, first: str, *, odd: bool) -> Facts:
    from guardai.sql.tree import judge_tree

    facts = Facts()
    second = tokens[1][1] if len(tokens) > 1 else ""
    if f"{first}_{second}" in {"update_statistics", "insert_bulk"} or (
        first == "with" and second in {"function", "procedure"}
    ):
        return judge_command(tokens, dialect, lambda _part: Facts())
    tokens = _without_outfile(tokens, facts)
    try:
        tree = parsed(sql, tokens, dialect, odd=odd or "file" in facts.effects)
    except NotParsed as why:
        facts.unknown(str(why))
        judge_calls(tokens, dialect, facts)
        _guess(tokens, first, facts)
    else:
        judge_calls(tokens, dialect, facts, judge_tree(tree, dialect, facts, replacing=_replaces(tokens)))
    _judge_words(sql, tokens, dialect, facts)
    facts.effects |= facts.called
    return facts


def _replaces(tokens: list[Token]) -> bool:
    """REPLACE, or INSERT OR REPLACE."""
    words = [token[1] for token in tokens]
    return words[0] == "replace" or (
        "replace" in words
        and any(words[index : index + 3] == ["insert", "or", "replace"] for index in range(len(words) - 2))
    )


def _without_outfile(tokens: list[Token], facts: Facts) -> list[Token]:
    """MySQL and ClickHouse: `INTO OUTFILE 'path' …`, which sqlglot does not read, up to FROM or the end."""
    for index in range(1, len(tokens) - 1):
        if (
            tokens[index][1] == "into"
            and tokens[index + 1][1] in {"outfile", "dumpfile"}
            and tokens[index][0] == lx.WORD
        ):
            facts.effects.add("file")
            end = next(
                (i for i in range(index, len(tokens)) if tokens[i][1] == "from" and tokens[i][0] == lx.WORD),
                len(tokens),
            )
            return tokens[:index] + tokens[end:]
    return tokens


def _guess(tokens: list[Token], first: str, facts: Facts) -> None:
    """What is plain even of a statement that is not understood."""
    words = [token[1] for token in tokens if token[0] == lx.WORD]
    pairs = set(pairwise(words))
    if pairs & {
        ("into", "outfile"),
        ("into", "dumpfile"),
        ("from", "infile"),
        ("overwrite", "directory"),
        ("overwrite", "local"),
    }:
        facts.effects.add("file")
    name = next(
        (token[1] for token in tokens[1:] if token[1] not in {"into", "from", "low_priority", "ignore", "or"}), ""
    )
    if first in {"insert", "update", "delete", "merge", "replace"} and (name[:1].isalpha() or name[:1] == "_"):
        facts.writes.add(name)
    if first in {"update", "delete"}:
        facts.effects.add("write")
        facts.unbounded |= "where" not in words
    elif first in {"insert", "merge", "replace"}:
        facts.effects.add("write")
        if set(words) & {"exec", "execute"}:
            facts.effects.add("exec")


def _judge_words(sql: str, tokens: list[Token], dialect: str, facts: Facts) -> None:
    """What single words tell, whatever the parser makes of them."""
    text = sql.lower()
    telling = any(sign in text for sign in _TELLING)
    if not telling and not ("next" in text and "value" in text):
        return
    previous = ""
    for kind, low, *_ in tokens:
        if kind == lx.WORD:
            if low == "value" and previous == "next":
                facts.effects.add("write")
            elif low == "infile" and previous == "from":
                facts.effects.add("file")
            previous = low
            continue
        if kind == lx.VARIABLE:
            if dialect in {"mysql", "mariadb"}:
                user = not low.startswith("@@")
            elif dialect == "snowflake":
                user = not low[1:].isdigit()
            else:
                user = False
            if user:  # it carries data from one statement to the next, past any lineage
                facts.effects.add("session")
                facts.give("user-variable")
        elif kind == lx.OP and low == "@" and dialect == "snowflake":
            facts.effects.add("file")  # a stage
        elif kind == lx.OP and low == "@" and dialect == "oracle":
            facts.effects.add("network")  # a link to another database
        elif kind == lx.OP and low == ":=" and dialect in {"mysql", "mariadb"}:
            facts.effects.add("session")
