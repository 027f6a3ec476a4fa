"""The body of a routine or trigger, cut into statements that are judged one by one.

SECURITY INVARIANT: each piece of a body is a word of control flow that is listed here, an expression, or a statement;
expressions and statements are judged like any other, and whatever else stands there makes the body `unknown`: dynamic
statements, cursors, handlers, nested routines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardai.sql import lexicon as lx
from guardai.sql.bounded import column_of
from guardai.sql.calls import judge_calls
from guardai.sql.facts import Facts
from guardai.sql.judge import NotParsed, judge, parsed
from guardai.sql.phrases import NAMES
from guardai.sql.prescan import PARAMETER, Refused, prescan
from guardai.sql.rewrite import word

if TYPE_CHECKING:
    from guardai.sql.prescan import Token

__all__ = ["called_routine", "judge_body", "judge_view", "made_columns"]

_ROWS: Final = frozenset({"new", "old"})
_STRIPPED: Final = frozenset({"begin", "atomic", "else", "loop", "exception"})
#: Word → the words that end its condition.
_CONDITIONS: Final = {
    "if": frozenset({"then"}),
    "elsif": frozenset({"then"}),
    "elseif": frozenset({"then"}),
    "when": frozenset({"then"}),
    "while": frozenset({"loop", "do"}),
    "until": frozenset({"end"}),
}
_LEAVING: Final = frozenset({"exit", "continue", "leave", "iterate"})
_REFUSED: Final = frozenset({"execute", "open", "fetch", "close", "move", "case", "repeat", "foreach"})
_STATEMENTS: Final = frozenset(
    """select with values table insert update delete merge replace truncate call execute perform return raise set
    get assert null signal resignal""".split()  # noqa: SIM905
)
_READING: Final = frozenset({"select", "with", "values", "table"})
_BEFORE_TABLE: Final = frozenset({".", "from", "join", "into", "update", "using", "table"})
#: The parts of a CREATE TRIGGER before its body end at one of these.
_BODY_BEGINS: Final = frozenset({"begin", "execute"})


def judge_view(definition: str, dialect: str) -> Facts:
    """What reading a view does, by its definition.

    What the parser does not understand is still a query, for the engine takes nothing else for a view: its calls are
    judged by their words, and it is a read with the reason `unreadable-view`.
    """
    facts = Facts(effects={"read"})
    try:
        scan = prescan(definition, dialect) if definition else None
    except Refused:
        scan = None
    tokens = scan.tokens if scan is not None else []
    if tokens and tokens[0][1] == "create":
        start = next((i for i, token in enumerate(tokens) if token[1] == "as" and token[0] == lx.WORD), len(tokens))
        tokens = tokens[start + 1 :]
    while tokens and tokens[-1][1] == ";":
        tokens = tokens[:-1]
    if scan is None or scan.versioned or not tokens or any(token[1] == ";" for token in tokens):
        facts.give("unreadable-view")
        return facts
    facts.add(judge(definition, tokens, dialect, odd=True))
    if "unknown" in facts.effects and "unknown" not in facts.called:
        facts.effects.discard("unknown")
        facts.reasons = ["unreadable-view"]
        facts.reasons += facts.strangers.values()
    return facts


def made_columns(definition: str, dialect: str) -> frozenset[str]:
    """The columns of a view that its query makes, and does not take from a table as they are."""
    try:
        tokens = prescan(definition, dialect).tokens
        start = next((i for i, token in enumerate(tokens) if token[1] in {"select", "with"}), 0)
        tree = parsed(definition, [token for token in tokens[start:] if token[1] != ";"], dialect, odd=True)
    except (Refused, NotParsed, IndexError):
        return frozenset()  # a write through it is unknown anyway
    return frozenset(
        item.alias_or_name.lower()
        for item in getattr(tree, "selects", ())
        if not item.is_star and column_of(item.unalias(), dialect) is None
    )


def called_routine(body: str, dialect: str) -> str:
    """The routine that a trigger runs, where its body is no more than that name; "" if it is anything else."""
    try:
        tokens = prescan(body, dialect).tokens
    except Refused:
        return ""
    start = 0
    for index, token in enumerate(tokens[:-2]):
        if token[1] == "execute" and tokens[index + 1][1] in {"function", "procedure"}:
            start = index + 2
    if start == 0 and tokens and tokens[0][1] in {"create", "begin"}:
        return ""
    rest = tokens[start:]
    end = next((i for i, token in enumerate(rest) if token[1] == "("), len(rest))
    name = rest[:end]
    after = rest[end:]
    # Arguments of a trigger's function are constants.
    if any(token[0] not in {lx.STRING, lx.NUMBER, lx.WORD} and token[1] not in {"(", ")", ",", ";"} for token in after):
        return ""
    well_formed = bool(name) and len(name) % 2 == 1
    for index, token in enumerate(name):
        well_formed = well_formed and (token[1] == "." if index % 2 else token[0] in NAMES and "." not in token[1])
    return ".".join(token[1] for token in name[::2]) if well_formed else ""


def judge_body(body: str, dialect: str, *, trigger: bool) -> Facts:
    """What a body does.

    Args:
        body: its statements, with or without BEGIN and END; or a whole CREATE TRIGGER.
        dialect: a known dialect.
        trigger: of a trigger, which knows the rows NEW and OLD, and not of a function in SQL.
    """
    total = Facts()
    try:
        scan = prescan(body, dialect)
    except Refused as why:
        total.unknown(str(why))
        return total
    if not scan.tokens or scan.versioned or dialect in {"tsql", "oracle"}:
        total.unknown("unknown-statement")
        return total
    _Body(body, dialect, total, trigger=trigger).run(scan.tokens)
    total.columns = {name for name in total.columns if name.partition(".")[0] not in _ROWS}
    if trigger and dialect == "sqlite" and "raise" in total.strangers:  # it ends the statement, and does no more
        total.reasons.remove(total.strangers.pop("raise"))
    if not total.reads:
        total.effects.discard("read")
    return total


class _Body:
    """One body."""

    def __init__(self, body: str, dialect: str, total: Facts, *, trigger: bool) -> None:
        self.body = body
        self.dialect = dialect
        self.total = total
        self.trigger = trigger
        #: has variables and control flow; elsewhere a function in SQL is a list of statements
        self.procedural = trigger or dialect in {"mysql", "mariadb"}
        self.declaring = False
        self.declared: set[str] = set()

    def run(self, tokens: list[Token]) -> None:
        if tokens[0][1] == "create":
            start = next((i for i, t in enumerate(tokens) if t[1] in _BODY_BEGINS and t[0] == lx.WORD), len(tokens))
            header = tokens[:start]
            when = next((i for i, t in enumerate(header) if t[1] == "when" and t[0] == lx.WORD), len(header))
            self.expression(header[when + 1 :])
            tokens = tokens[start:]
            if not tokens or tokens[0][1] != "begin":
                self.total.unknown("unknown-statement")
                return
        piece: list[Token] = []
        depth = 0
        for token in [*tokens, (lx.OP, ";", ";", 0, 0)]:
            if token[0] == lx.OP:
                depth += (token[1] == "(") - (token[1] == ")")
                if token[1] == ";" and depth <= 0:
                    self.piece(piece)
                    piece = []
                    continue
            piece.append(token)

    def plain(self, tokens: list[Token]) -> None:
        """A statement of a function in SQL, whose body may stand in BEGIN ATOMIC … END, or be RETURN and an expression."""
        if tokens and tokens[0][1] == "begin":
            tokens = tokens[2:] if len(tokens) > 1 and tokens[1][1] == "atomic" else tokens[1:]
        if not tokens or (len(tokens) == 1 and tokens[0][1] == "end"):
            return
        if tokens[0][1] == "return":
            self.expression(tokens[1:])
        elif self.dialect == "duckdb" and tokens[0][1] not in _READING | {"from"}:
            self.expression(tokens)  # a macro
        else:
            self.judged(tokens)

    def piece(self, tokens: list[Token]) -> None:
        """What stands between two semicolons: words of control flow, then at most one statement."""
        if not self.procedural:
            self.plain(tokens)
            return
        while tokens:
            kind, first, *_ = tokens[0]
            second = tokens[1][1] if len(tokens) > 1 else ""
            if kind == lx.WORD and first == "declare":
                self.declaring = True
                tokens = tokens[1:]
                continue
            if kind == lx.WORD and first in _STRIPPED and second not in {".", ":=", "="}:
                self.declaring = False
                tokens = tokens[1:]
                continue
            if self.declaring:
                self.declaration(tokens)
                return
            if kind != lx.WORD:
                self.statement(tokens)
                return
            ends = _CONDITIONS.get(first)
            if ends is not None and second not in {".", ":=", "="}:
                end = self.reach(tokens, ends)
                self.expression(tokens[1:end])
                tokens = tokens[end:] if first == "until" else tokens[end + 1 :]
                continue
            if first == "for" and second not in {".", ":=", "="}:
                end = self.reach(tokens, frozenset({"loop"}))
                start = next((i for i, token in enumerate(tokens[:end]) if token[1] == "in"), end)
                query = tokens[start + 1 : end]
                if not query or query[0][1] not in _READING:
                    self.total.unknown("unknown-statement")
                else:
                    self.judged(query)
                tokens = tokens[end + 1 :]
                continue
            self.simple(tokens, first, second)
            return

    def reach(self, tokens: list[Token], words: frozenset[str]) -> int:
        """Where one of the words stands, outside brackets and CASE."""
        depth = 0
        for index, (kind, low, *_) in enumerate(tokens):
            if index == 0:
                continue
            if kind == lx.OP:
                depth += (low == "(") - (low == ")")
            elif kind == lx.WORD and low == "case":
                depth += 1
            elif kind == lx.WORD and low == "end" and depth:
                depth -= 1
            elif kind == lx.WORD and low in words and not depth:
                return index
        self.total.unknown("unknown-statement")
        return len(tokens)

    def simple(self, tokens: list[Token], first: str, second: str) -> None:
        """A statement of the body's own language, or of SQL."""
        rest = tokens[1:]
        if second not in {".", ":=", "="}:
            if first == "end":
                if len(rest) > 2 or any(token[0] not in NAMES for token in rest):
                    self.total.unknown("unknown-statement")
                return
            if first in _LEAVING:
                when = next((i for i, token in enumerate(rest) if token[1] == "when"), len(rest))
                self.expression(rest[when + 1 :])
                return
            if first == "null" and not rest:
                return
            if first in _REFUSED:
                self.total.unknown("unknown-statement")
                return
            if first == "return":
                if second == "query":
                    self.judged(rest[1:])
                else:
                    self.expression(rest[1:] if second == "next" else rest)
                return
            if first in {"raise", "signal", "resignal"}:
                self.calls(rest)
                return
            if first in {"perform", "assert", "do"} and (first != "do" or self.dialect in {"mysql", "mariadb"}):
                self.expression(rest)
                return
            if first == "get" and ("diagnostics" in {second, rest[1][1] if len(rest) > 1 else ""}):
                return
            if first == "set" and (second in _ROWS or second in self.declared):
                self.expression(rest)  # `a = x, b = y` reads as a select list
                return
        target = self.target(tokens)
        if target and (first not in _STATEMENTS or second in {".", ":=", "="}):
            self.expression(tokens[target + 1 :])
            return
        self.statement(tokens)

    def target(self, tokens: list[Token]) -> int:
        """Where the sign of an assignment stands, 0 if it is none."""
        for index, (kind, low, *_) in enumerate(tokens):
            if index and low in {":=", "="} and kind == lx.OP:
                return index
            if kind not in {*NAMES, lx.NUMBER} and low not in {".", "[", "]"}:
                return 0
        return 0

    def declaration(self, tokens: list[Token]) -> None:
        """`name type := expression`."""
        if self.dialect in {"mysql", "mariadb"}:
            self.declaring = False
        words = {token[1] for token in tokens if token[0] == lx.WORD}
        if words & {"cursor", "handler", "condition"}:
            self.total.unknown("unknown-statement")
            return
        self.declared.add(tokens[0][1])
        start = next((i for i, token in enumerate(tokens) if token[1] in {":=", "=", "default"} and i), len(tokens))
        self.calls(tokens[:start])
        self.expression(tokens[start + 1 :])

    def calls(self, tokens: list[Token]) -> None:
        """Tokens in which nothing but calls could do anything."""
        if any(token[0] == lx.WORD and token[1] in _READING - {"values", "table"} for token in tokens):
            self.total.unknown("unknown-statement")
        judge_calls(tokens, self.dialect, self.total)
        self.total.effects |= self.total.called

    def expression(self, tokens: list[Token]) -> None:
        if tokens and not (len(tokens) == 1 and tokens[0][1] in _ROWS | {"null"}):
            self.judged([word("SELECT", tokens[0]), *tokens])

    def statement(self, tokens: list[Token]) -> None:
        if tokens[0][1] in _READING or tokens[0][1] in {"insert", "update", "delete"}:
            tokens = self.without_targets(tokens)
        self.judged(tokens)

    def without_targets(self, tokens: list[Token]) -> list[Token]:
        """`SELECT … INTO a, b …` of a body sets variables, and creates no table."""
        reads = tokens[0][1] in _READING
        after = 1 if reads else next((i for i, t in enumerate(tokens) if t[1] == "returning"), len(tokens))
        depth = 0
        for index in range(after, len(tokens)):
            kind, low, *_ = tokens[index]
            depth += (low == "(") - (low == ")") if kind == lx.OP else 0
            if depth or kind != lx.WORD or low != "into" or tokens[index - 1][1] in {"insert", "merge", "replace"}:
                continue
            if index + 1 < len(tokens) and tokens[index + 1][1] in {"outfile", "dumpfile"}:
                break
            end = index + 1
            if end < len(tokens) and tokens[end][1] == "strict":
                end += 1
            wants_name = True
            while end < len(tokens) and (tokens[end][0] in NAMES if wants_name else tokens[end][1] in {",", "."}):
                wants_name = not wants_name
                end += 1
            if wants_name:
                break  # not a list of variables: a file, or a variable of the session
            return tokens[:index] + tokens[end:]
        return tokens

    def judged(self, tokens: list[Token]) -> None:
        if not tokens:
            self.total.unknown("unknown-statement")
            return
        self.total.add(judge(self.body, self.with_rows(tokens) if self.trigger else tokens, self.dialect, odd=True))

    def with_rows(self, tokens: list[Token]) -> list[Token]:
        """`NEW.a` and `OLD.a` are values, the same for a whole statement, as a parameter is."""
        found: list[Token] = []
        index = 0
        while index < len(tokens):
            kind, low, _, start, _ = tokens[index]
            if (
                kind == lx.WORD
                and low in _ROWS
                and index + 2 < len(tokens)
                and tokens[index + 1][1] == "."
                and tokens[index + 2][0] in NAMES
                and not (index + 3 < len(tokens) and tokens[index + 3][1] in {"(", "."})
                and not (index and tokens[index - 1][1] in _BEFORE_TABLE)
            ):
                found.append((lx.PARAM, "?", f" {PARAMETER.get(self.dialect, '?')} ", start, tokens[index + 2][4]))
                index += 3
            else:
                found.append(tokens[index])
                index += 1
        return found
