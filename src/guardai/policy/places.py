"""Where each expression of a policy stands: Cedar's parser gives no position, so the conditions are read once more here.

INVARIANT: a place is told only where this reading gives exactly the tree that Cedar's does. Otherwise every expression is
said to stand where its policy begins: vague, never wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from guardai.policy.source import Policy, position
from guardai.policy.tree import Tree

__all__ = ["Places"]

_TOKEN: Final = re.compile(
    r'(?P<skip>\s+|//[^\r\n]*)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<int>[0-9]+)|(?P<word>[A-Za-z_]\w*)'
    r"|(?P<sign>::|&&|\|\||[=!<>]=|[-+*.<>!@;:,(){}\[\]])",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(?:u\{([0-9a-fA-F]+)\}|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PLAIN: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_VARIABLES: Final = ("principal", "action", "resource", "context")
_COMPARE: Final = ("==", "!=", "<", "<=", ">", ">=", "in")
_BINARY: Final = frozenset({"contains", "containsAll", "containsAny", "getTag", "hasTag"})


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _LostError(Exception):
    """The text is not what is expected here; its policy's expressions have no places."""


class Places:
    """A policy's conditions, and where what is in them stands.

    Attributes:
        conditions: as in the policy's tree; nodes of this very object can be asked about.
    """

    __slots__ = ("_policy", "_spans", "_tokens", "conditions")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._tokens = [
            _Token(str(found.lastgroup), found[0], found.start(), found.end())
            for found in _TOKEN.finditer(policy.source)
            if found.lastgroup != "skip"
        ]
        reader = _Reader(self._tokens)
        theirs = policy.tree.get("conditions", [])
        try:
            mine: Any = reader.conditions()
        except (_LostError, IndexError, ValueError):
            mine = None
        same = mine == theirs
        self.conditions: list[Tree] = mine if same else theirs
        self._spans = reader.spans if same else {}

    @property
    def begin(self) -> tuple[int, int]:
        """Line and column of the policy."""
        return self._policy.line, self._policy.column

    def of(self, node: Tree) -> tuple[int, int]:
        """Line and column of an expression; of the policy where it is not known."""
        span = self._spans.get(id(node))
        return self._at(span[0]) if span else self.begin

    def text(self, node: Tree) -> str:
        """An expression as its author wrote it, in one line; "" where it is not known."""
        span = self._spans.get(id(node))
        return " ".join(self._policy.source[span[0] : span[1]].split()) if span else ""

    def word(self, *tokens: str) -> tuple[int, int]:
        """Line and column of the first place where these tokens follow one another; of the policy if there is none.

        A token in quotes is compared by what it says.
        """
        for at in range(len(self._tokens) - len(tokens) + 1):
            if all(_same(self._tokens[at + n], token) for n, token in enumerate(tokens)):
                return self._at(self._tokens[at].start)
        return self.begin

    def _at(self, offset: int) -> tuple[int, int]:
        return position(self._policy.source, offset, self._policy.line, self._policy.column)


def _same(token: _Token, wanted: str) -> bool:
    if token.kind == "text" and wanted.startswith('"'):
        return _unescaped(token.text[1:-1]) == wanted[1:-1]
    return token.text == wanted


class _Reader:
    """Cedar's grammar of conditions, for text that Cedar has found to be right."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        #: id(node) → (start, end) in the policy's source.
        self.spans: dict[int, tuple[int, int]] = {}

    def conditions(self) -> list[Tree]:
        while not (self._peek() == "(" and self._tokens[self._at - 1].text in ("permit", "forbid")):
            self._at += 1
        depth = 0
        while True:
            depth += (self._peek() == "(") - (self._peek() == ")")
            self._at += 1
            if not depth:
                break
        found = []
        while self._peek() in ("when", "unless"):
            kind = self._take()
            self._expect("{")
            found.append({"kind": kind, "body": self._expression()})
            self._expect("}")
        self._expect(";")
        return found

    # ---- expressions, loosest first ----

    def _expression(self) -> Tree:
        start = self._start()
        if not self._accept("if"):
            return self._chain("||", lambda: self._chain("&&", self._relation))
        when = self._expression()
        self._expect("then")
        then = self._expression()
        self._expect("else")
        return self._node({"if-then-else": {"if": when, "then": then, "else": self._expression()}}, start)

    def _chain(self, operator: str, operand: Callable[[], Tree]) -> Tree:
        start = self._start()
        left = operand()
        while self._accept(operator):
            left = self._node({operator: {"left": left, "right": operand()}}, start)
        return left

    def _relation(self) -> Tree:
        start = self._start()
        left = self._sum()
        if self._peek() in _COMPARE:
            operator = self._take()
            return self._node({operator: {"left": left, "right": self._sum()}}, start)
        if self._accept("has"):
            return self._has(left, start)
        if self._accept("like"):
            return self._node({"like": {"left": left, "pattern": _pattern(self._take()[1:-1])}}, start)
        if self._accept("is"):
            body = {"left": left, "entity_type": self._path()}
            if self._accept("in"):
                body["in"] = self._sum()
            return self._node({"is": body}, start)
        return left

    def _has(self, left: Tree, start: int) -> Tree:
        attribute = self._name()
        made = self._node({"has": {"left": left, "attr": attribute}}, start)
        while self._accept("."):  # `has a.b` is `has a && .a has b`
            left = self._node({".": {"left": left, "attr": attribute}}, start)
            attribute = self._name()
            right = self._node({"has": {"left": left, "attr": attribute}}, start)
            made = self._node({"&&": {"left": made, "right": right}}, start)
        return made

    def _sum(self) -> Tree:
        start = self._start()
        left = self._product()
        while self._peek() in ("+", "-"):
            operator = self._take()
            left = self._node({operator: {"left": left, "right": self._product()}}, start)
        return left

    def _product(self) -> Tree:
        return self._chain("*", self._unary)

    def _unary(self) -> Tree:
        start = self._start()
        if self._accept("!"):
            return self._node({"!": {"arg": self._unary()}}, start)
        if self._accept("-"):
            if self._tokens[self._at].kind == "int":
                return self._access(self._node({"Value": -int(self._take())}, start), start)
            return self._node({"neg": {"arg": self._unary()}}, start)
        return self._access(self._primary(), start)

    def _access(self, left: Tree, start: int) -> Tree:
        while True:
            if self._accept("["):
                left = self._node({".": {"left": left, "attr": self._name()}}, start, more=1)
                self._expect("]")
            elif self._accept("."):
                name = self._take()
                if not self._accept("("):
                    left = self._node({".": {"left": left, "attr": name}}, start)
                    continue
                given = self._list(")")
                if name in _BINARY:
                    left = self._node({name: {"left": left, "right": given[0]}}, start)
                elif name == "isEmpty":
                    left = self._node({name: {"arg": left}}, start)
                else:
                    left = self._node({name: [left, *given]}, start)
            else:
                return left

    def _primary(self) -> Tree:
        start = self._start()
        token = self._tokens[self._at]
        if self._accept("("):
            inside = self._expression()
            self._expect(")")
            return inside
        if self._accept("["):
            return self._node({"Set": self._list("]")}, start)
        if self._accept("{"):
            return self._record(start)
        self._at += 1
        if token.kind == "int":
            return self._node({"Value": int(token.text)}, start)
        if token.kind == "text":
            return self._node({"Value": _unescaped(token.text[1:-1])}, start)
        if token.text in ("true", "false"):
            return self._node({"Value": token.text == "true"}, start)
        if token.text in _VARIABLES and self._peek() != "::":
            return self._node({"Var": token.text}, start)
        if self._accept("("):
            return self._node({token.text: self._list(")")}, start)
        self._at -= 1
        return self._entity(start)

    def _entity(self, start: int) -> Tree:
        parts = [self._take()]
        while self._accept("::"):
            token = self._tokens[self._at]
            if token.kind == "text":
                self._at += 1
                uid = {"type": "::".join(parts), "id": _unescaped(token.text[1:-1])}
                return self._node({"Value": {"__entity": uid}}, start)
            parts.append(self._take())
        raise _LostError

    def _record(self, start: int) -> Tree:
        members = {}
        while not self._accept("}"):
            name = self._name()
            self._expect(":")
            members[name] = self._expression()
            self._accept(",")
        return self._node({"Record": members}, start)

    def _list(self, end: str) -> list[Tree]:
        found = []
        while not self._accept(end):
            found.append(self._expression())
            self._accept(",")
        return found

    def _path(self) -> str:
        path = self._take()
        while self._accept("::"):
            path += f"::{self._take()}"
        return path

    def _name(self) -> str:
        token = self._tokens[self._at]
        self._at += 1
        return _unescaped(token.text[1:-1]) if token.kind == "text" else token.text

    # ---- tokens ----

    def _node(self, node: Tree, start: int, more: int = 0) -> Tree:
        self.spans[id(node)] = (start, self._tokens[self._at - 1 + more].end)
        return node

    def _start(self) -> int:
        return self._tokens[self._at].start

    def _peek(self) -> str:
        return self._tokens[self._at].text

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1].text

    def _accept(self, text: str) -> bool:
        # A string that says `when` is no keyword: strings begin with a quote.
        if self._tokens[self._at].text == text:
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise _LostError


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else _PLAIN.get(found[3], found[3])


def _pattern(text: str) -> list[Any]:
    made: list[Any] = []
    at = 0
    while at < len(text):
        if text[at] == "*":
            made.append("Wildcard")
            at += 1
        elif text.startswith("\\*", at):
            made.append({"Literal": "*"})
            at += 2
        elif escape := _ESCAPE.match(text, at):
            made.append({"Literal": _character(escape)})
            at = escape.end()
        else:
            made.append({"Literal": text[at]})
            at += 1
    return made
