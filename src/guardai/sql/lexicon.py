"""How each dialect writes comments, literals, names and parameters: one regular expression a dialect."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = [
    "BLOCK",
    "COMMENT",
    "DIALECTS",
    "DOLLAR",
    "EXECUTABLE",
    "FOLDS",
    "MYSQL",
    "NUMBER",
    "OP",
    "PARAM",
    "QUOTED",
    "Q_QUOTE",
    "REFUSED",
    "STRING",
    "STRING_ODD",
    "VARIABLE",
    "WORD",
    "Lexicon",
    "lexicon",
]

DIALECTS: Final = (
    "bigquery",
    "clickhouse",
    "databricks",
    "duckdb",
    "mariadb",
    "mysql",
    "oracle",
    "postgres",
    "redshift",
    "snowflake",
    "sqlite",
    "trino",
    "tsql",
)

# The kinds of tokens, numbered in the order in which they are tried; the number is the group's.
COMMENT: Final = 1
EXECUTABLE: Final = 2  # `/*!` of MySQL
BLOCK: Final = 3  # `/*`
Q_QUOTE: Final = 4  # `q'` of Oracle
STRING: Final = 5  # a literal that every parser reads alike
STRING_ODD: Final = 6  # any other literal: backslashes, prefixes, doubled quotes
_REFUSED_EARLY: Final = 7
WORD: Final = 8
DOLLAR: Final = 9  # `$tag$`
PARAM: Final = 10  # bound by the driver
VARIABLE: Final = 11  # lives in the session
NUMBER: Final = 12
QUOTED: Final = 13  # a quoted name
OP: Final = 14
REFUSED: Final = 15

#: A group that never matches, for what a dialect does not have.
_NEVER: Final = r"(?!)"
MYSQL: Final = frozenset({"mysql", "mariadb"})
#: How an engine takes a name that is not quoted; a quoted one of another case is another name.
FOLDS: Final = {"postgres": str.lower, "redshift": str.lower, "oracle": str.upper, "snowflake": str.upper}
#: A comment within a comment ends with its own `*/`. Where no manual says so or otherwise, such a comment is refused.
_NESTING: Final = frozenset({"postgres", "duckdb", "tsql", "redshift", "databricks"})
_FLAT: Final = frozenset({"sqlite", "mysql", "mariadb", "oracle", "bigquery", "snowflake", "trino"})
_BACKSLASH: Final = frozenset({"mysql", "mariadb", "bigquery", "snowflake", "clickhouse", "databricks"})
#: Drivers of these dialects write parameters as `%s` and `%(name)s`.
_PYFORMAT: Final = frozenset(DIALECTS) - {"sqlite", "duckdb", "oracle"}
_DOUBLE_QUOTED_STRING: Final = MYSQL | {"bigquery", "databricks"}
_BACKTICK: Final = MYSQL | {"sqlite", "bigquery", "databricks", "clickhouse", "duckdb"}

_STANDARD: Final = r"'[^']*(?:''[^']*)*'"
_PREFIXED: Final = {
    "postgres": "bBxXnN",
    "duckdb": "bBxX",
    "redshift": "bBxXnN",
    "oracle": "nN",
    "trino": "xX",
    "snowflake": "xX",
    "mysql": "xXbB",
    "mariadb": "xXbB",
    "tsql": "nN",
    "sqlite": "xX",
    "databricks": "xX",
}


def _escaped(quote: str) -> str:
    """A literal in which a backslash takes the next character along and a doubled quote stands for one."""
    return rf"{quote}[^{quote}\\]*(?:(?:\\.|{quote}{quote})[^{quote}\\]*)*{quote}"


class Lexicon(NamedTuple):
    """What the pre-scan must know of a dialect.

    Attributes:
        pattern: matches one token at a position; `lastindex` is its kind, None is white space.
        nests: whether comments nest; None where nobody says.
    """

    pattern: re.Pattern[str]
    nests: bool | None


def _odd_strings(dialect: str) -> str:
    odd = []
    if dialect in {"postgres", "duckdb", "redshift"}:
        odd.append(rf"[eE]{_escaped(chr(39))}")
    if dialect in {"postgres", "redshift", "trino"}:
        odd.append(rf"[uU]&{_STANDARD}")
    if dialect in MYSQL:
        odd.append(rf"[nN]{_escaped(chr(39))}")
    if dialect == "bigquery":
        prefix = r"(?:[rR][bB]?|[bB][rR]?)"
        odd.append(prefix + r"?(?:'''(?:[^\\']|\\.|'(?!''))*'''" + r'|"""(?:[^\\"]|\\.|"(?!""))*""")')
        odd.append(rf"{prefix}(?:{_escaped(chr(39))}|{_escaped(chr(34))})")
    if dialect == "databricks":
        odd.append(r"""[rR](?:'[^']*'|"[^"]*")""")
    if dialect in _PREFIXED:
        odd.append(rf"[{_PREFIXED[dialect]}]{_STANDARD}")
    odd.append(_escaped("'") if dialect in _BACKSLASH else _STANDARD)
    if dialect in _DOUBLE_QUOTED_STRING:
        odd.append(_escaped('"'))
    return "|".join(odd)


def _names(dialect: str) -> str:
    quoted = [] if dialect in _DOUBLE_QUOTED_STRING else [r'"[^"]*(?:""[^"]*)*"']
    if dialect in _BACKTICK:
        quoted.append(r"`[^`]*(?:``[^`]*)*`")
    if dialect == "tsql":
        quoted.append(r"\[[^\]]*(?:\]\][^\]]*)*\]")
    elif dialect == "sqlite":  # which has no way to write a closing bracket
        quoted.append(r"\[[^\]]*\]")
    return "|".join(quoted)


def _parameters(dialect: str) -> str:
    found = []
    if dialect in _PYFORMAT:
        found += [r"%\(\w+\)[sb]", r"%[sbt](?!\w)", "%%"]
    if dialect == "sqlite":
        found += [r"\?[0-9]*", r"[:@$#]\w+"]
    elif dialect == "oracle":
        found.append(r":\w+")
    elif dialect == "duckdb":
        found.append(r"\$\w+")
    elif dialect in {"postgres", "redshift"}:
        found.append(r"\$[0-9]+")
    elif dialect == "bigquery":
        found.append(r"@(?!@)\w+")
    elif dialect == "tsql":
        found.append(r"@(?!@)[\w@#$]+")
    return "|".join(found) or _NEVER


def _variables(dialect: str) -> str:
    if dialect in MYSQL:
        return r"""@@?[\w.$]+|@'[^']*'|@"[^"]*"|@`[^`]*`"""
    return {"bigquery": r"@@[\w.]+", "tsql": r"@@\w+", "snowflake": r"\$\w+"}.get(dialect, _NEVER)


def _comments(dialect: str) -> str:
    if dialect in MYSQL:  # `--x` is two minus signs there: only white space makes it a comment
        return r"--(?=[\s\x00-\x1f]|\Z)[^\n]*|\#[^\n]*"
    more = {"snowflake": r"|//[^\n]*", "clickhouse": r"|\#(?:[ !][^\n]*|(?=\n|\Z))", "bigquery": r"|\#[^\n]*"}
    return r"--[^\n]*" + more.get(dialect, "")


def _numbers(dialect: str) -> str:
    if dialect == "tsql":  # a number ends where its digits end, and the next word begins: `1DROP`, `1eDROP`
        return r"0[xX][0-9a-fA-F]*|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]*)?"
    suffix = {"databricks": r"(?:(?:[lLsSyYdDfF]|[bB][dD])\b)?", "oracle": r"(?:[fFdD]\b)?"}.get(dialect, "")
    plain = r"(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
    return rf"0[xX][0-9a-fA-F_]+|0[bBoO][0-7_]+|{plain}{suffix}"


def _operators(dialect: str) -> str:
    single = r"(){},;.+\-*/%<>=!~^&|?:@"
    if dialect not in {"tsql", "sqlite"}:  # where a bracket quotes a name
        single += r"\[\]"
    if dialect in {"postgres", "duckdb", "redshift"}:
        single += "#"
    return rf"::|<=|>=|<>|!=|\|\||->>|->|:=|=>|[{single}]"


def _build(dialect: str) -> Lexicon:
    dollar = {"snowflake": r"\$\$"}.get(dialect, _NEVER)
    if dialect in {"postgres", "duckdb", "redshift", "clickhouse"}:
        dollar = r"\$(?:[^\W\d]\w*)?\$"
    more = {"tsql": "@#$", "oracle": "$#"}.get(dialect, "$")
    groups = (
        _comments(dialect),
        r"/\*M?!" if dialect in MYSQL else _NEVER,
        r"/\*",
        r"[nN]?[qQ]'" if dialect == "oracle" else _NEVER,
        # A triple-quoted literal of BigQuery begins like an empty plain one.
        r"'(?!'')[^'\\\n]*'(?!')" if dialect == "bigquery" else r"'[^'\\]*'(?!')",
        _odd_strings(dialect),
        # Names written in escapes hide what they name; sqlglot would drop `{# … #}` as a comment that no engine knows.
        r'[uU]&"|\{[%#{]',
        rf"[^\W\d][\w{more}]*" if dialect != "tsql" else r"(?:[^\W\d]|\#)[\w@#$]*",
        dollar,
        _parameters(dialect),
        _variables(dialect),
        _numbers(dialect),
        _names(dialect),
        _operators(dialect),
        r"[\s\S]",
    )
    pattern = re.compile(r"[ \t\r\n\f]+|" + "|".join(f"({group})" for group in groups), re.DOTALL)
    nests = True if dialect in _NESTING else False if dialect in _FLAT else None
    return Lexicon(pattern, nests)


_BUILT: dict[str, Lexicon] = {}


def lexicon(dialect: str) -> Lexicon:
    """The lexicon of a known dialect, compiled at its first use."""
    found = _BUILT.get(dialect)
    if found is None:
        found = _BUILT[dialect] = _build(dialect)
    return found
