"""The grammar of Cedar's schemas, as far as a policy folder may use it: names, types and records, with their places."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from guardai.policy.source import Fault, position

__all__ = ["DEEPEST", "Field", "Reading", "Record"]

_TOKEN: Final = re.compile(
    r'(?P<skip>\s+|//[^\r\n]*)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*)'
    r"|(?P<sign>[@()\[\]{}<>:,;=?])|(?P<bad>.)",
    re.DOTALL,
)
_OPEN, _CLOSE = frozenset("{[(<"), frozenset("}])>")
#: Nested brackets; people write three.
DEEPEST: Final = 12


class Field(NamedTuple):
    """One attribute of a record: whether it may be missing, and its type or its own attributes."""

    optional: bool
    kind: str | Record


Record = dict[str, Field]


class Reading:
    """A text that is read from its beginning to its end.

    Attributes:
        places: name of an attribute → where it was read last.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [(m.lastgroup, m[0], m.start()) for m in _TOKEN.finditer(text) if m.lastgroup != "skip"]
        self._at = 0
        self.places: dict[str, int] = {}
        self._shallow()

    def _shallow(self) -> None:
        """SECURITY INVARIANT: no text reaches Cedar's parser, which recurses on the native stack, with deep brackets."""
        depth = 0
        for _, token, at in self._tokens:
            depth += (token in _OPEN) - (token in _CLOSE)
            if depth > DEEPEST:
                raise self.fault(f"more than {DEEPEST} nested brackets", at)

    @property
    def at_end(self) -> bool:
        """Whether everything was read."""
        return self._at >= len(self._tokens)

    @property
    def offset(self) -> int:
        """Where the next token begins."""
        return len(self._text) if self.at_end else self._tokens[self._at][2]

    def peek(self) -> str:
        """The next token; "" at the end."""
        return "" if self.at_end else self._tokens[self._at][1]

    def take(self) -> str:
        """The next token, which is read now."""
        if self.at_end:
            raise self.fault("the file ends in the middle of a declaration", len(self._text))
        kind, token, at = self._tokens[self._at]
        if kind == "bad":
            raise self.fault(f"{token!r} cannot stand in a schema", at)
        self._at += 1
        return token

    def accept(self, token: str) -> bool:
        """Reads the next token if it is this one."""
        if self.peek() == token:
            self._at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        """Reads this token."""
        at = self.offset
        if (found := self.take()) != token:
            raise self.fault(f"{token!r} is expected here, not {found!r}", at)

    def word(self) -> str:
        """Reads a name, quoted or not."""
        at = self.offset
        token = self.take()
        if token.startswith('"'):
            return token[1:-1]
        if not (token[0].isalpha() or token[0] == "_"):
            raise self.fault(f"a name is expected here, not {token!r}", at)
        return token

    def names(self) -> list[str]:
        """Reads names with commas between."""
        names = [self.word()]
        while self.accept(","):
            names.append(self.word())
        return names

    def several(self) -> list[str]:
        """Reads one name, or names in brackets."""
        if self.peek() != "[":
            return [self.word()]
        self.expect("[")
        names = []
        while not self.accept("]"):
            names.append(self.word())
            if not self.accept(",") and self.peek() != "]":
                self.expect(",")
        return names

    def kind(self) -> str | Record:
        """Reads a type."""
        if self.peek() == "{":
            return self.record()
        word = self.word()
        if word == "Set":
            self.expect("<")
            inner = self.kind()
            self.expect(">")
            return f"Set<{inner}>" if isinstance(inner, str) else "Set of records"
        return word

    def record(self) -> Record:
        """Reads a record's attributes."""
        self.expect("{")
        found: Record = {}
        while not self.accept("}"):
            while self.peek() == "@":
                self.skip_annotation()
            at, name = self.offset, self.word()
            if not name.isidentifier() or name.startswith("__"):
                raise self.fault(
                    f"{name!r} cannot be an attribute: dots, blanks and two underscores have other meanings", at
                )
            self.places[name] = at
            optional = self.accept("?")
            self.expect(":")
            found[name] = Field(optional, self.kind())
            if not self.accept(",") and self.peek() != "}":
                self.expect(",")
        return found

    def skip_annotation(self) -> None:
        """Reads an annotation, which says nothing to us."""
        self.expect("@")
        self.word()
        if self.accept("("):
            self.take()
            self.expect(")")

    def written(self, begin: int) -> str:
        """The text from an offset to what was read last."""
        _, token, at = self._tokens[self._at - 1]
        return self._text[begin : at + len(token)]

    def fault(self, message: str, at: int) -> Fault:
        """What is wrong at an offset."""
        return Fault(message, *position(self._text, at))
