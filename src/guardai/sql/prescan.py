"""The linear look at the text before any parser: tokens, or a reason to refuse.

SECURITY INVARIANT: what is comment, literal and statement is decided here alone. The parser later sees a text without
comments, in which every literal that parsers could read in two ways has been replaced by a plain one, so that a
disagreement between a parser's lexer and the engine's cannot hide a statement.

The compiled parser crashes the process on deep nesting (a few hundred levels on a small stack), so depth is limited
here, for everything that makes a recursive-descent parser recurse: brackets, CASE, runs of prefix operators, types in
angle brackets.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

from guardai.sql import lexicon as lx

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "PARAMETER", "Refused", "Scan", "Token", "prescan", "render"]

#: Characters. A statement of this length takes sqlglot about 0.3 s; more is not judged.
MAX_LENGTH: Final = 1_000_000
MAX_TOKENS: Final = 100_000
MAX_DEPTH: Final = 100
#: Versioned MySQL comments are judged both as run and as skipped, 2^n readings.
_MAX_VERSIONED: Final = 3
_MAX_RUN: Final = 40
#: Operators and suffixes that the parser reads by calling itself, between two commas.
_MAX_CHAIN: Final = 150
_CHAIN: Final = frozenset(
    {"at", "distinct", "interval", "not", "over", "filter", "within", ":=", "=>", "->", "escape", "between"}
)
#: Joins that wait for their ON: sqlglot tries 2^n ways to nest them.
_MAX_JOINS: Final = 8
_JOIN_WORDS: Final = frozenset({"join", "straight_join"})
_CONDITION_WORDS: Final = frozenset({"on", "using"})
_NO_CONDITION: Final = frozenset({"cross", "natural", "positional"})
_JOIN_KINDS: Final = frozenset({"left", "right", "full", "inner", "outer"})

#: kind, text for comparisons (lower-cased if a word, unquoted and lower-cased if a name), text for the parser, start, end
Token = tuple[int, str, str, int, int]

#: How the parser is shown a parameter where `?` would be an operator to it. The parser's lexer takes `$1,$` for the start
#: of a dollar-quoted string; a space is no part of its tag.
PARAMETER: Final = {"postgres": "$1 ", "redshift": "$1 ", "tsql": "@p"}
_OPENING: Final = frozenset("([{")
_GOES_ON: Final = frozenset("([{.")
_CLOSING: Final = frozenset(")]}")
_PREFIX: Final = frozenset("+-~!@") | frozenset(
    {"not", "prior", "binary", "distinct", "all", "lateral", "date", "time", "timestamp", "interval", "exists",
     "connect_by_root", "collate", "as", "any", "some", "select", "from", "if", "then", "else", "when", "explain"}
)  # fmt: skip
#: After these words `%s` is a parameter; after an operand it would be a modulo.
_BEFORE_PARAMETER: Final = frozenset(
    """all and any as between by else from having ilike in interval into is like limit not offset on or over regexp
    returning rlike select set similar some then to top using values when where with""".split()  # noqa: SIM905
)
#: sqlglot tries each bracket after such a word as a type and as a call, 2^n ways to read n within one another.
_MAX_TYPES: Final = 8
_TYPES: Final = frozenset(
    """aggregatefunction any array bigdecimal bigint bignum bignumeric bigserial binary binary_double binary_float bit
    bitstring blob bool boolean bpchar byte bytea byteint bytes char character clob cstring date date32 datemultirange
    daterange datetime datetime2 datetime64 datetimeoffset dec decfloat decimal decimal128 decimal256 decimal32
    decimal64 double dynamic enum enum16 enum8 file fixed fixedstring float float32 float4 float64 float8 geography
    geometry hllsketch hstore hugeint hyperloglog image inet int int1 int128 int16 int2 int256 int32 int4 int4multirange
    int4range int64 int8 int8multirange int8range integer interval ipaddress ipprefix ipv4 ipv6 json jsonb linestring
    list logical long longblob longtext longvarchar lowcardinality ls map mediumblob mediumint mediumtext money
    multilinestring multipolygon name national nchar nested nothing ntext null nullable number numeric nummultirange
    numrange nvarchar nvarchar2 object oid point polygon precision range real record ref regclass regcollation regconfig
    regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype ring row rowversion serial set
    short signed simpleaggregatefunction smalldatetime smallint smallmoney smallserial sql_double sql_varchar
    sql_variant str string struct super table tdigest text time time_ns timestamp timestamp_ltz timestamp_ms
    timestamp_ns timestamp_ntz timestamp_s timestamp_tz timestamp_us timestampltz timestampntz timestamptz timetz
    tinyblob tinyint tinytext tsmultirange tsrange tstzmultirange tstzrange tuple type ubigint uhugeint uint uint128
    uint16 uint256 uint32 uint64 uint8 uinteger union uniqueidentifier unknown unsigned usmallint utinyint uuid
    varbinary varbyte varchar varchar2 variant varying vector void xml year zone""".split()  # noqa: SIM905
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
#: A version is five digits, or six; MySQL and MariaDB read six differently, so six are refused.
_VERSION: Final = re.compile(r"[0-9]*")
_WORD: Final = re.compile("[A-Za-z_][A-Za-z0-9_]*")
#: Some engines end a line comment at these, others do not.
_LINE_ENDS: Final = re.compile("\r(?!$|\n)|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_Q_CLOSE: Final = {"[": "]", "{": "}", "(": ")", "<": ">"}


class Refused(Exception):
    """The text is not judged; the argument is the reason code."""


class Scan(NamedTuple):
    """What the look found.

    Attributes:
        tokens: in order, without comments and white space.
        odd: something was removed or replaced, so the parser's text must be put together from the tokens.
        foreign: a literal or comment has a form that sqlparse does not know.
        versioned: how many executable comments with a version there are.
    """

    tokens: list[Token]
    odd: bool
    foreign: bool
    versioned: int


def prescan(sql: str, dialect: str, skip: frozenset[int] = frozenset()) -> Scan:  # noqa: PLR0915 - one hot loop
    """Cuts the text into tokens.

    Args:
        sql: the text.
        dialect: a known dialect.
        skip: which versioned executable comments (by number) the server is taken to skip.

    Raises:
        Refused: with a reason code: `too-long`, `nul`, `odd-character`, `unterminated`, `ambiguous-comment`,
            `ambiguous-literal`, `odd-number`, `unicode-identifier`, `template`, `too-deep`.
    """
    if len(sql) > MAX_LENGTH:
        raise Refused("too-long")
    if "\0" in sql:
        raise Refused("nul")
    ascii_only = sql.isascii()
    if not ascii_only and _SURROGATE.search(sql):
        raise Refused("odd-character")
    pattern, nests = lx.lexicon(dialect)
    match = pattern.match
    tokens: list[Token] = []
    add = tokens.append
    odd = foreign = False
    position, end_of_text = 0, len(sql)
    depth = cases = run = chain = angles = joins = executable = versioned = 0
    previous = ""
    types: list[bool] = []  # of each open bracket, whether a type stands before it
    typed = 0
    while position < end_of_text:
        found = match(sql, position)
        assert found is not None  # the last group matches anything
        kind, start, position = found.lastindex, position, found.end()
        if kind is None:
            continue
        text = found.group()
        if kind == lx.WORD:
            low = text.lower()
            if not (ascii_only or text.isascii()) and unicodedata.normalize("NFKC", text) != text:
                raise Refused("odd-character")
            if low == "case":
                cases += 1
            elif low == "end":
                cases = max(0, cases - 1)
            elif low in _JOIN_WORDS:
                joins += _needs_condition(tokens)
            elif low in _CONDITION_WORDS:
                joins = max(0, joins - 1)
            run = run + 1 if low in _PREFIX or low == previous else 0
            chain += low in _CHAIN
            if run > _MAX_RUN or chain > _MAX_CHAIN or depth + cases > MAX_DEPTH or joins > _MAX_JOINS:
                raise Refused("too-deep")
            add((kind, low, text, start, position))
            previous = low
            continue
        if kind == lx.OP:
            if previous in _CLOSING and text in _GOES_ON:
                chain += 3  # a[1][1]…, f(1).g(1)…: the time grows with the square
            if text in _OPENING:
                depth += 1
                types.append(previous in _TYPES)
                typed += types[-1]
                if depth + cases > MAX_DEPTH or typed > _MAX_TYPES:
                    raise Refused("too-deep")
            elif text in _CLOSING:
                depth -= 1
                if types:
                    typed -= types.pop()
            elif text == "<" and previous in _TYPES:
                angles += 1
            elif text == ">":
                angles = max(0, angles - 1)
            elif text == "*" and executable and sql.startswith("/", position):
                executable -= 1
                position += 1
                continue
            run = run + 1 if text in _PREFIX else 0
            chain = 0 if text in ",;" else chain + (text in _CHAIN)
            if run > _MAX_RUN or chain > _MAX_CHAIN or angles > _MAX_TYPES:
                raise Refused("too-deep")
            add((kind, text, text, start, position))
            previous = text
            continue
        if kind not in (lx.COMMENT, lx.BLOCK):
            run = 0
        previous = ""
        if kind == lx.STRING:
            add((kind, text, text, start, position))
        elif kind == lx.NUMBER:
            if position < end_of_text and dialect != "tsql" and (sql[position].isalnum() or sql[position] == "_"):
                raise Refused("odd-number")
            add((kind, text, text, start, position))
        elif kind == lx.QUOTED:
            if not ascii_only and not text.isprintable():
                raise Refused("odd-character")
            if "\\" in text:
                raise Refused("ambiguous-literal")
            add((kind, _unquoted(text), text, start, position))
        elif kind == lx.COMMENT:
            if _LINE_ENDS.search(text):
                raise Refused("ambiguous-comment")
            odd = True
            foreign |= not text.startswith("--")
        elif kind == lx.BLOCK:
            position, flat = _comment_end(sql, position, nests=nests)
            if dialect in {"mysql", "mariadb"} and "set_var" in sql[start:position].lower() and sql[start + 2] == "+":
                add((lx.VARIABLE, "@", "@hint", start, position))
            odd, foreign = True, foreign or not flat
        elif kind == lx.STRING_ODD:
            if dialect == "redshift" and "\\'" in text and text[0] == "'":
                raise Refused("ambiguous-literal")
            odd, foreign = (
                True,
                foreign or "\\" in text or text[0] != "'" or (text[:3] == "'''" and dialect == "bigquery"),
            )
            # A word stays: where MySQL is told to take it for a name, it is one (see `bounded`).
            word = text[0] == '"' and _WORD.fullmatch(text, 1, len(text) - 1)
            add((lx.STRING, text, f"'{word.group()}'" if word else f"'/s{len(tokens)}'", start, position))
        elif kind in (lx.DOLLAR, lx.Q_QUOTE):
            position = _delimited_end(sql, kind, text, position)
            odd = foreign = True
            add((lx.STRING, sql[start:position], f"'/s{len(tokens)}'", start, position))
        elif kind == lx.PARAM:
            if text == "%%":  # the driver makes one of it
                odd = True
                add((lx.OP, "%", "%", start, position))
            elif text[0] == "%" and tokens and not _expects_operand(tokens[-1]):
                position = start + 1
                add((lx.OP, "%", "%", start, position))
            elif (
                dialect == "sqlite"
                and text[0] == "$"
                and (sql.startswith("::", position) or sql.startswith("(", position))
            ):
                raise Refused("ambiguous-literal")  # sqlite lets a name go on there
            else:
                shown = PARAMETER.get(dialect, "?")
                odd |= text != shown
                add((kind, "?", shown, start, position))
        elif kind == lx.VARIABLE:
            add((kind, text.lower(), text, start, position))
        elif kind == lx.EXECUTABLE:
            digits = _VERSION.match(sql, position).group()  # type: ignore[union-attr]
            if len(digits) not in (0, 5):
                raise Refused("ambiguous-comment")
            position += len(digits)
            odd = foreign = True
            if digits or (dialect == "mysql" and text == "/*M!"):
                versioned += 1
                if versioned > _MAX_VERSIONED:
                    raise Refused("ambiguous-comment")
                if versioned - 1 in skip:
                    position = _skipped_end(sql, position)
                    continue
            executable += 1
        else:
            _refuse(text)
    if executable:
        raise Refused("unterminated")
    if len(tokens) > MAX_TOKENS:
        raise Refused("too-long")
    return Scan(tokens, odd, foreign, versioned)


def _needs_condition(tokens: list[Token]) -> bool:
    """Whether a JOIN at the end of the tokens waits for its ON."""
    for kind, low, *_ in tokens[:-5:-1]:
        if kind == lx.WORD and low in _NO_CONDITION:
            return False
        if kind != lx.WORD or low not in _JOIN_KINDS:
            break
    return True


def _unquoted(text: str) -> str:
    quote = text[-1]
    inner = text[1:-1]
    return (inner.replace(quote * 2, quote) if quote in inner else inner).lower()


def _expects_operand(token: Token) -> bool:
    kind, low = token[0], token[1]
    return (kind == lx.WORD and low in _BEFORE_PARAMETER) or (kind == lx.OP and low not in _CLOSING)


def _comment_end(sql: str, position: int, *, nests: bool | None) -> tuple[int, bool]:
    """Where a block comment ends, and whether it holds no other."""
    first = sql.find("*/", position)
    if first < 0:
        raise Refused("unterminated")
    inner = sql.find("/*", position, first)
    if inner < 0 or nests is False:
        return first + 2, inner < 0
    if nests is None:
        raise Refused("ambiguous-comment")
    depth = 1
    for found in re.compile(r"/\*|\*/").finditer(sql, position):
        depth += 1 if found.group() == "/*" else -1
        if depth == 0:
            return found.end(), False
    raise Refused("unterminated")


def _delimited_end(sql: str, kind: int, opening: str, position: int) -> int:
    """Where a `$tag$` literal, or a `q'[…]'` of Oracle, ends."""
    if kind == lx.DOLLAR:
        closing = opening
    else:
        if position >= len(sql):
            raise Refused("unterminated")
        closing = _Q_CLOSE.get(sql[position], sql[position]) + "'"
        position += 1
    end = sql.find(closing, position)
    if end < 0:
        raise Refused("unterminated")
    return end + len(closing)


def _skipped_end(sql: str, position: int) -> int:
    """Where an executable comment ends for a server that skips it: at the next `*/`, whatever stands before."""
    end = sql.find("*/", position)
    if end < 0:
        raise Refused("unterminated")
    if "/*" in sql[position:end] or "'" in sql[position:end] or '"' in sql[position:end]:
        raise Refused("ambiguous-comment")
    return end + 2


def _refuse(text: str) -> None:
    if text[0] in "uU":
        raise Refused("unicode-identifier")
    if text[0] == "{":
        raise Refused("template")
    raise Refused("unterminated" if text in "'\"`[" else "odd-character")


def render(sql: str, tokens: list[Token]) -> str:
    """The parser's text of a run of tokens: comments gone, literals plain."""
    parts = []
    before = tokens[0][3] if tokens else 0
    for token in tokens:
        if token[3] > before:
            parts.append(" ")
        parts.append(token[2])
        before = token[4]
    return "".join(parts)
