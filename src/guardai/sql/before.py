"""The rows that an UPDATE or DELETE is about to change, and the query that finds them.

The query is the statement's own text, cut where the condition begins: no parser writes the condition anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from guardai.errors import GuardError
from guardai.model import LiveSchema
from guardai.sql import lexicon as lx
from guardai.sql.lexicon import MYSQL
from guardai.sql.literals import listed, locking, string, told
from guardai.sql.names import ROWID, own_name
from guardai.sql.phrases import assigned
from guardai.sql.prescan import Refused, Token, prescan
from guardai.sql.split import statements

__all__ = ["SETTINGS", "Before", "NotKept", "before"]

_DIALECTS: Final = frozenset({"sqlite", "postgres", "mysql", "mariadb"})
#: What a condition may hold besides columns, constants, parameters and operators: it must mean the same rows twice.
_PURE: Final = frozenset(
    """abs age cast ceil ceiling char_length coalesce concat concat_ws convert date date_add date_part date_sub date_trunc datediff
    datetime day dayofweek dayofyear extract floor greatest hour if ifnull iif instr isnull json_extract json_unquote
    json_value julianday least left length locate lower lpad ltrim make_date make_interval md5 minute mod month nullif
    octet_length position power quarter regexp_like replace right round rpad rtrim second sign split_part strftime strpos
    substr substring time timestampdiff to_char to_date to_timestamp trim trunc typeof unixepoch upper week weekday
    year""".split()  # noqa: SIM905
)
#: The same moment for a whole transaction of PostgreSQL's; another for each statement elsewhere.
_NOW: Final = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "now"})
#: Words that stand before a bracket and are no functions.
_BEFORE_BRACKET: Final = frozenset(
    "all and any array between by case decimal else exists ilike in interval is like not numeric on or row some then values varchar when where".split()  # noqa: SIM905
)
_PICKING: Final = frozenset({"select", "limit", "offset", "fetch", "order", "tablesample", "with", "table", "prior"})
_MODIFIERS: Final = frozenset({"low_priority", "quick", "ignore"})
_ON_CONFLICT: Final = frozenset({"abort", "fail", "ignore", "rollback"})
#: Verbs that leave every row that there is as it was, without one of these pairs of words.
_LEAVE: Final = frozenset(
    {"analyze", "begin", "commit", "create", "end", "insert", "release", "rollback", "savepoint", "start"}
)
_BUT: Final = frozenset({("on", "conflict"), ("on", "duplicate")})
#: The same of a second word: INSERT OR REPLACE, CREATE OR REPLACE.
_SECOND: Final = frozenset({"or", "overwrite"})
_ENGINE: Final = re.compile(r"\) ENGINE=(\w+)")
_TRANSACTIONAL: Final = frozenset({"innodb", "rocksdb", "tokudb", "ndbcluster"})
#: Settings that decide how PostgreSQL writes a value as text.
SETTINGS: Final = (
    "DateStyle", "IntervalStyle", "TimeZone", "bytea_output", "extra_float_digits", "lc_monetary", "search_path",
)  # fmt: skip
#: The whole name of a table that is there for others, too, and whose rows are its own.
_TABLE: Final = """(
    SELECT pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = pg_catalog.to_regclass(:table) AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p') AND NOT (
      c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = c.oid)))"""
#: Whether it is a table of the database's own file whose constraints remove no other row.
_OWN_FILE: Final = """SELECT EXISTS (
    SELECT 1 FROM main.sqlite_master AS m WHERE m.type = 'table' AND lower(m.name) = :table
    AND NOT (m.sql LIKE '%conflict%' AND m.sql LIKE '%replace%')
    AND NOT EXISTS (SELECT 1 FROM temp.sqlite_master AS t WHERE lower(t.name) = :table))"""


class NotKept(GuardError):
    """The rows cannot be kept; the argument says why, in plain words."""


class Before(NamedTuple):
    """How the rows are found.

    Attributes:
        verb: `update` or `delete`.
        dialect: the engine's.
        table: as the statement names it.
        name: the last part of that, lower-case.
        qualifier: what stands before it, lower-case; "" if nothing does.
        columns: those of the table, lower-case.
        key: the columns of its primary key, lower-case.
        triggers: whether the engine may do more than the statement says when the table changes.
        tail: the query for the rows, after the list of its expressions: text and marks of parameters in turn.
        positions: which of the statement's parameters the query takes; None if they have names, and it takes all.
    """

    verb: str
    dialect: str
    table: str
    name: str
    qualifier: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    triggers: bool
    tail: tuple[str, ...]
    positions: tuple[int, ...] | None

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
            settings = ", ".join(f"pg_catalog.current_setting('{name}')" for name in SETTINGS)
            return f"SELECT {_TABLE.replace(':table', string(self.table))}, {settings}"
        if self.dialect in MYSQL:
            isolation = "tx_isolation" if self.dialect == "mariadb" else "transaction_isolation"
            return f"SELECT DATABASE(), @@SESSION.time_zone, @@SESSION.sql_mode, @@SESSION.{isolation}"
        return _OWN_FILE.replace(":table", string(self.name))

    @property
    def made(self) -> str:
        """A query whose one row's second cell is how the table was made; "" where nothing of that matters."""
        return f"SHOW CREATE TABLE {self.table}" if self.dialect in MYSQL else ""

    def check(self, made: Sequence[object]) -> None:
        """What the row of `made` says.

        Raises:
            NotKept: the table is gone when the connection is, or its engine takes nothing back.
        """
        text = told(made[1])
        engine = _ENGINE.search(text)
        if text.startswith("CREATE TEMPORARY") or engine is None or engine[1].lower() not in _TRANSACTIONAL:
            raise NotKept("it is a temporary table, or of an engine that takes nothing back")

    def rows(self, columns: Sequence[tuple[str, object]], most: int) -> tuple[str, ...]:
        """The query for the rows, each cell as a literal: text and marks of parameters in turn.

        Of more rows than `most` there is one more.

        Args:
            columns: name and the driver's code of the type, as `shape` told them.
            most: how many rows are wanted.
        """
        first, *rest = self.tail
        parts = [f"SELECT {listed(columns, self.dialect)} {first}", *rest]
        parts[-1] += f" LIMIT {most + 1}{locking(self.dialect)}"
        return tuple(parts)

    def bound(self, parameters: object) -> object:
        """The parameters of that query, out of the statement's; None if it has none."""
        if self.positions == ():
            return None
        if self.positions is None:
            if not isinstance(parameters, dict):
                raise NotKept("its parameters have names, and are given without")
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
    words = [token[1] if token[0] == lx.WORD else "" for token in tokens]
    if verb in _LEAVE and _SECOND.isdisjoint(words[1:2]) and _BUT.isdisjoint(pairwise(words)):
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
    changed = assigned(tokens[end:condition]).intersection((*key, *(ROWID if dialect == "sqlite" else ())))
    if verb == "update" and changed:  # the row would not be found again
        raise NotKept(f"it changes {min(changed)}, which is of the primary key")
    stop = next((at for at in _outer(tokens, condition) if tokens[at][1] == "returning"), len(tokens))
    _means_the_same_twice(tokens[condition:stop], dialect, verb)
    positions, (text, *rest) = _bound(sql, tokens, condition, stop, dialect)
    only = "ONLY " if tokens[start - 1][1] == "only" else ""
    named = sql[tokens[start][3] : tokens[end - 1][4]]
    aliased = sql[tokens[start][3] : tokens[_alias_end(tokens, end, verb) - 1][4]]
    return Before(
        verb,
        dialect,
        named,
        tokens[end - 1][1],
        ".".join(token[1] for token in tokens[start : end - 1] if token[1] != "."),
        tuple(schema.tables[table]),
        key,
        bool(schema.triggers.get(table) or schema.cascades.get(table)),
        (f"FROM {only}{aliased} {text}", *rest),
        positions,
    )


def _means_the_same_twice(condition: list[Token], dialect: str, verb: str) -> None:
    """INVARIANT: a condition that is asked twice in one transaction means the same rows, but for what others commit meanwhile.

    Raises:
        NotKept: that is not certain.
    """
    following = [*(token[1] for token in condition[1:]), ""]
    for (kind, low, *_), after in zip(condition, following, strict=False):
        if kind == lx.VARIABLE:
            raise NotKept("its condition has a variable")
        if kind != lx.WORD:
            if kind == lx.QUOTED and after == "(":
                raise NotKept("its condition calls a function that may find other rows when they are changed")
            continue
        if low in _PICKING:
            raise NotKept(f"{low.upper()} in its condition may find other rows when they are changed")
        if low == "current" and after == "of":
            raise NotKept("where a cursor stands cannot be asked")
        if low in _NOW and dialect in MYSQL and verb == "update":
            raise NotKept(f"{low} is another moment when the rows are changed")
        if after == "(" and low not in _PURE and low not in _BEFORE_BRACKET and low not in _NOW:
            raise NotKept(f"{low}() may find other rows when they are changed")


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


def _bound(
    sql: str, tokens: list[Token], start: int, stop: int, dialect: str
) -> tuple[tuple[int, ...] | None, list[str]]:
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
        # In SQLite `:1` is a name that looks like a number.
        numbered = mark[1:].isdigit() and (mark[0] == "?" or dialect != "sqlite")
        style = "in order" if mark in ("?", "%s") else "number" if numbered else "name"
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
