"""The rows that an UPDATE or DELETE is about to change, and the query that finds them.

The query is the statement's own text, cut where the condition begins: no parser writes the condition anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from guardai.errors import GuardError
from guardai.model import LiveSchema
from guardai.sql import lexicon as lx
from guardai.sql.literals import MYSQL, listed, string
from guardai.sql.names import own_name
from guardai.sql.phrases import assigned
from guardai.sql.prescan import Refused, Token, prescan
from guardai.sql.split import statements

__all__ = ["SETTINGS", "Before", "NotKept", "before"]

_DIALECTS: Final = frozenset({"sqlite", "postgres", "mysql", "mariadb"})
#: They have other values when the rows are looked for than when they are changed.
_RANDOM: Final = frozenset(
    {"clock_timestamp", "gen_random_uuid", "newid", "nextval", "rand", "random", "randomblob", "timeofday", "txid_current",
     "uuid", "uuid_generate_v4", "uuid_short", "sysdate"}
)  # fmt: skip
_MODIFIERS: Final = frozenset({"low_priority", "quick", "ignore"})
_ON_CONFLICT: Final = frozenset({"abort", "fail", "ignore", "rollback"})
#: Verbs that leave every row that there is as it was, without one of these words.
_LEAVE: Final = frozenset(
    {"analyze", "begin", "commit", "create", "end", "insert", "release", "rollback", "savepoint", "start"}
)
_BUT: Final = frozenset({"conflict", "duplicate", "or", "overwrite", "replace"})
#: Settings that decide how PostgreSQL writes a value as text.
SETTINGS: Final = ("DateStyle", "IntervalStyle", "TimeZone", "bytea_output", "extra_float_digits", "lc_monetary")
#: The whole name of a table that is there for others, too.
_TABLE: Final = """(
    SELECT pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = pg_catalog.to_regclass(:table) AND c.relpersistence <> 't')"""


class NotKept(GuardError):
    """The rows cannot be kept; the argument says why, in plain words."""


class Before(NamedTuple):
    """How the rows are found.

    Attributes:
        verb: `update` or `delete`.
        dialect: the engine's.
        table: as the statement names it.
        name: the last part of that, lower-case.
        key: the columns of its primary key, lower-case.
        triggers: whether the engine may do more than the statement says when the table changes.
        tail: the query for the rows, after the list of its expressions: text and marks of parameters in turn.
        positions: which of the statement's parameters the query takes; None if they have names, and it takes all.
        limited: the statement itself says how many rows at most.
    """

    verb: str
    dialect: str
    table: str
    name: str
    key: tuple[str, ...]
    triggers: bool
    tail: tuple[str, ...]
    positions: tuple[int, ...] | None
    limited: bool = False

    @property
    def shape(self) -> str:
        """A query without rows, which tells the columns as the engine spells them."""
        return f"SELECT * FROM {self.table} WHERE 1 = 0"  # noqa: S608 - as the statement has it

    @property
    def place(self) -> str:
        """A query whose one row says what the table's name stands for here, and how the engine writes values now.

        Another connection may look for a plain name in another schema.
        """
        if self.dialect == "postgres":
            told = ", ".join(f"pg_catalog.current_setting('{name}')" for name in SETTINGS)
            return f"SELECT {_TABLE.replace(':table', string(self.table))}, {told}"
        if self.dialect in MYSQL:
            return "SELECT DATABASE()"
        return f"SELECT NOT EXISTS (SELECT 1 FROM temp.sqlite_master WHERE lower(name) = {string(self.name)})"  # noqa: S608

    def rows(self, columns: Sequence[tuple[str, object]], most: int) -> tuple[str, ...]:
        """The query for the rows, each cell as a literal: text and marks of parameters in turn.

        Of more rows than `most` there is one more.

        Args:
            columns: name and the driver's code of the type, as `shape` told them.
            most: how many rows are wanted.
        """
        lock = "" if self.dialect == "sqlite" else " FOR UPDATE"
        limit = "" if self.limited else f" LIMIT {most + 1}"
        first, *rest = self.tail
        parts = [f"SELECT {listed(columns, self.dialect)} {first}", *rest]
        parts[-1] += limit + lock
        return tuple(parts)

    def bound(self, parameters: object) -> object:
        """The parameters of that query, out of the statement's; None if it has none."""
        if self.positions == ():
            return None
        if self.positions is None:
            return parameters
        if not isinstance(parameters, list | tuple) or len(parameters) <= max(self.positions):
            raise NotKept("its parameters are not those that it is written for")
        return tuple(parameters[at] for at in self.positions)


def before(sql: str, dialect: str, schema: LiveSchema | None) -> Before | None:
    """How the rows are found that the statement is about to change. None if it changes none that are there.

    Raises:
        NotKept: they cannot be found for certain; the argument says why.
    """
    try:
        scan = prescan(sql, dialect)
    except Refused as refused:
        raise NotKept(f"the statement is not understood ({refused})") from None
    found = statements(scan, dialect)
    if scan.versioned or len(found) != 1:
        raise NotKept("only a single statement's rows can be kept")
    tokens = found[0]
    verb = tokens[0][1]
    if verb in _LEAVE and _BUT.isdisjoint(token[1] for token in tokens if token[0] == lx.WORD):
        return None
    if verb not in ("update", "delete"):
        raise NotKept("only the rows of an UPDATE or a DELETE can be kept")
    if dialect not in _DIALECTS:
        raise NotKept(f"rows of {dialect} cannot be kept")
    if schema is None:
        raise NotKept("what tables there are could not be read")
    start, end, condition = _parts(tokens, dialect)
    name = ".".join(token[1] for token in tokens[start:end] if token[1] != ".")
    table = own_name(name, schema.path, schema.tables)
    if table is None:
        raise NotKept(f"{name} is no table of its own")
    key = tuple(schema.keys.get(table, ()))
    if not key:
        raise NotKept(f"{name} has no primary key")
    changed = assigned(tokens[end:condition]).intersection(key) if verb == "update" else set()
    if changed:  # the row would not be found again
        raise NotKept(f"it changes {min(changed)}, which is of the primary key")
    stop = next((at for at in _outer(tokens, condition) if tokens[at][1] == "returning"), len(tokens))
    for at in range(condition, stop - 1):
        if tokens[at][1] in _RANDOM and tokens[at + 1][1] == "(":
            raise NotKept(f"{tokens[at][1]}() would find other rows when they are changed")
        if tokens[at][1] == "current" and tokens[at + 1][1] == "of":
            raise NotKept("where a cursor stands cannot be asked")
    positions, (text, *rest) = _bound(sql, tokens, condition, stop)
    only = "ONLY " if tokens[start - 1][1] == "only" else ""
    named = sql[tokens[start][3] : tokens[end - 1][4]]
    aliased = sql[tokens[start][3] : tokens[_alias_end(tokens, end, verb) - 1][4]]
    return Before(
        verb,
        dialect,
        named,
        tokens[end - 1][1],
        key,
        bool(schema.triggers.get(table) or schema.cascades.get(table)),
        (f"FROM {only}{aliased} {text}", *rest),
        positions,
        any(tokens[at][1] == "limit" for at in _outer(tokens[:stop], condition)),
    )


def _parts(tokens: list[Token], dialect: str) -> tuple[int, int, int]:
    """Where the table's name begins and ends, and where the condition does begin."""
    verb, at = tokens[0][1], 1
    while dialect in MYSQL and at < len(tokens) and tokens[at][1] in _MODIFIERS:
        at += 1
    if dialect == "sqlite" and verb == "update" and _words(tokens, at)[:1] == ["or"]:
        if _words(tokens, at)[1:] not in [[word] for word in _ON_CONFLICT]:
            raise NotKept("OR REPLACE removes rows that it does not name")
        at += 2
    if verb == "delete":
        if at >= len(tokens) or tokens[at][1] != "from":
            raise NotKept("it is not one table's rows that it deletes")
        at += 1
    if dialect == "postgres" and at < len(tokens) and tokens[at][1] == "only" and tokens[at][0] == lx.WORD:
        at += 1
    start = at
    while at < len(tokens) and tokens[at][0] in (lx.WORD, lx.QUOTED):
        at += 1
        if at < len(tokens) and tokens[at][1] == "." and tokens[at][0] == lx.OP:
            at += 1
            continue
        break
    end = at
    if end == start:
        raise NotKept("it is not one table's rows that it changes")
    at = _alias_end(tokens, end, verb)
    if verb == "update":
        if at >= len(tokens) or tokens[at][1] != "set":
            raise NotKept("it is not one table's rows that it changes")
    elif at < len(tokens) and tokens[at][1] not in ("where", "returning", "order", "limit"):
        raise NotKept("it is not one table's rows that it deletes")
    for index in _outer(tokens, at):
        if tokens[index][1] == "from" and tokens[index - 1][1] != "distinct":
            raise NotKept("which rows it changes depends on another table")
        if tokens[index][1] in ("where", "returning", "order", "limit"):
            return start, end, index
    return start, end, len(tokens)


def _alias_end(tokens: list[Token], end: int, verb: str) -> int:
    """Where what may stand between a table's name and what follows it ends."""
    at = end
    if at < len(tokens) and tokens[at][0] == lx.WORD and tokens[at][1] == "as":
        at += 1
    stops = (
        ("set",)
        if verb == "update"
        else ("where", "returning", "order", "limit", "using", "partition", "indexed", "not")
    )
    if at < len(tokens) and tokens[at][0] in (lx.WORD, lx.QUOTED) and tokens[at][1] not in stops:
        at += 1
    return at


def _words(tokens: list[Token], at: int) -> list[str]:
    return [token[1] for token in tokens[at : at + 2]]


def _outer(tokens: list[Token], start: int) -> Iterator[int]:
    """The positions of words outside of brackets."""
    depth = 0
    for at in range(start, len(tokens)):
        if tokens[at][0] == lx.OP:
            depth += (tokens[at][1] in "([{") - (tokens[at][1] in ")]}")
        elif tokens[at][0] == lx.WORD and depth == 0:
            yield at


def _bound(sql: str, tokens: list[Token], start: int, stop: int) -> tuple[tuple[int, ...] | None, list[str]]:
    """Which parameters the condition takes, and its text: what stands between the marks, and the marks, in turn."""
    if start >= stop:
        return (), [""]
    marks = [
        (at, sql[token[3] : token[4]]) for at, token in enumerate(tokens) if token[0] == lx.PARAM and token[1] == "?"
    ]
    places: dict[int, int] = {}
    styles: set[str] = set()
    parts, end = [], tokens[start][3]
    for at, mark in marks:
        style = "in order" if mark in ("?", "%s") else "number" if mark[1:].isdigit() else "name"
        styles.add(style)
        if start <= at < stop:
            if style == "number":
                mark = f"{mark[0]}{places.setdefault(int(mark[1:]) - 1, len(places) + 1)}"  # noqa: PLW2901
            parts += [sql[end : tokens[at][3]], mark]
            end = tokens[at][4]
    parts.append(sql[end : tokens[stop - 1][4]])
    if len(parts) == 1:
        return (), parts
    if len(styles) > 1:
        raise NotKept("its parameters are written in two ways")
    if styles == {"name"}:
        return None, parts
    if styles == {"number"}:
        return tuple(places), parts
    return tuple(n for n, (at, _) in enumerate(marks) if start <= at < stop), parts
