"""A folder's own `schema.cedarschema`: what it adds to the schema of guardai, and the refusal of what contradicts it.

The file may be the printed schema with additions, or the additions alone::

    entity Ticket { queue: String };                       // a type of its own, for conditions and integrations
    type Call = { crm?: { ticket: String } };              // more context, handed over by an integration of your own
    action "tool.call" appliesTo { resource: [Ticket] };   // a type of its own as resource of an action

INVARIANT: nothing of guardai's own is changed or taken away: a policy that is valid without the file is valid with it.
New context is optional, because guardai cannot promise that somebody hands it over; a policy has to ask with `has`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from guardai.model import ACTIONS, GROUPS, REVEAL
from guardai.policy.source import Fault, position
from guardai.policy.vocabulary import ENTITIES, PARENTS, RESOURCES

__all__ = ["NOTHING", "Extension", "Field", "Record", "merged", "read"]

#: What a value of the context can be: all that reaches Cedar.
_KINDS: Final = ("String", "Bool", "Long", "Set<String>")
_TOKEN: Final = re.compile(
    r'(?P<skip>\s+|//[^\r\n]*)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*)|(?P<sign>[@()\[\]{}<>:,;=?])|(?P<bad>.)',
    re.DOTALL,
)
_OPEN, _CLOSE = frozenset("{[(<"), frozenset("}])>")
_DEEPEST: Final = 12
_PRINCIPALS: Final = ["Agent", "App"]


class Field(NamedTuple):
    """One attribute of a record: whether it may be missing, and its type or its own attributes."""

    optional: bool
    kind: str | Record


Record = dict[str, Field]


class Extension(NamedTuple):
    """What a folder adds.

    Attributes:
        declarations: entity types and named types, as written.
        call, reveal: attributes of the context, of both questions and of `reveal` alone.
        resources: action → more types that it can be done to.
        types: the entity types among the declarations.
    """

    declarations: tuple[str, ...] = ()
    call: Mapping[str, Field] = MappingProxyType({})
    reveal: Mapping[str, Field] = MappingProxyType({})
    resources: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    types: frozenset[str] = frozenset()


NOTHING: Final = Extension()


def merged(ours: Record, more: Mapping[str, Field]) -> Record:
    """A record with additions that `read` has found to contradict nothing."""
    made = dict(ours)
    for name, field in more.items():
        there = made.get(name)
        if there is not None and isinstance(there.kind, dict) and isinstance(field.kind, dict):
            made[name] = Field(there.optional, merged(there.kind, field.kind))
        elif there is None:
            made[name] = field
    return made


def read(text: str, ours: Record) -> Extension:
    """Reads a folder's schema.

    Args:
        text: the file.
        ours: the context of guardai, `to` included.

    Raises:
        Fault: it is not a schema, or contradicts guardai's; knows line and column.
    """
    return _Reader(text, ours).read()


def _beyond(theirs: Record, ours: Record) -> Record:
    """What of a record is not in ours."""
    found: Record = {}
    for name, field in theirs.items():
        known = ours.get(name)
        if known is None:
            found[name] = field
        elif isinstance(field.kind, dict) and isinstance(known.kind, dict):
            more = _beyond(field.kind, known.kind)
            if more:
                found[name] = Field(field.optional, more)
    return found


class _Reader:
    def __init__(self, text: str, ours: Record) -> None:
        self._text, self._ours = text, ours
        self._tokens = [(m.lastgroup, m[0], m.start()) for m in _TOKEN.finditer(text) if m.lastgroup != "skip"]
        self._at = 0
        self._named: dict[str, str | Record] = {}
        self._own: set[str] = set()
        self._declarations: list[str] = []
        self._contexts: dict[str, Record] = {"Call": {}, "Reveal": {}}
        self._resources: dict[str, list[tuple[str, int]]] = {}

    def read(self) -> Extension:
        self._shallow()
        while self._at < len(self._tokens):
            while self._peek() == "@":
                self._skip_annotation()
            begin = self._tokens[self._at][2] if self._at < len(self._tokens) else len(self._text)
            match self._take():
                case "entity":
                    self._entity(begin)
                case "type":
                    self._type(begin)
                case "action":
                    self._action(begin)
                case "namespace":
                    raise self._fault("namespaces are not supported: policies name guardai's types without one", begin)
                case other:
                    raise self._fault(f"{other!r} begins no declaration; known: entity, type, action", begin)
        for types in self._resources.values():
            for name, at in types:
                if name not in self._own:
                    raise self._fault(f"{name} is not an entity type of this file: only such can be added", at)
        for name, record in self._contexts.items():
            if name == "Call" and "to" in record:
                raise self._fault("context.to cannot be added here: only `reveal` has it", self._place("to"))
            self._check(record, self._ours, "context")
        resources = {
            action: tuple(dict.fromkeys(n for n, _ in types)) for action, types in self._resources.items() if types
        }
        call, reveal = (_beyond(self._contexts[name], self._ours) for name in ("Call", "Reveal"))
        reveal = {name: field for name, field in reveal.items() if field != call.get(name)}
        return Extension(tuple(self._declarations), call, reveal, resources, frozenset(self._own))

    def _shallow(self) -> None:
        """SECURITY INVARIANT: no text reaches Cedar's parser, which recurses on the native stack, with deep brackets."""
        depth = 0
        for _, token, at in self._tokens:
            depth += (token in _OPEN) - (token in _CLOSE)
            if depth > _DEEPEST:
                raise self._fault(f"more than {_DEEPEST} nested brackets", at)

    # ---- declarations ----

    def _entity(self, begin: int) -> None:
        names = self._names()
        parents: list[str] = []
        attributes: Record = {}
        if self._accept("in"):
            parents = self._list() if self._peek() == "[" else [self._word()]
        if self._accept("enum"):
            self._list()
        elif self._peek() in ("=", "{"):
            self._accept("=")
            attributes = self._record()
        if self._accept("tags"):
            self._kind()
        self._expect(";")
        ours = [name for name in names if name in ENTITIES]
        for name in ours:
            said = tuple((key, field.kind) for key, field in attributes.items())
            above = [PARENTS[name]] if name in PARENTS else []
            if (attributes and dict(said) != dict(ENTITIES[name])) or (parents and parents != above):
                raise self._fault(
                    f"entity {name} is guardai's, which fills its attributes and parents; it can neither lose nor gain one",
                    begin,
                )
        if ours and len(ours) < len(names):
            raise self._fault("declare types of your own apart from guardai's", begin)
        if not ours:
            self._own.update(names)
            self._declarations.append(self._written(begin))

    def _type(self, begin: int) -> None:
        name = self._word()
        self._expect("=")
        kind = self._kind()
        self._expect(";")
        if name in self._contexts:
            if not isinstance(kind, dict):
                raise self._fault(f"type {name} has to be a record: {{ name?: Type }}", begin)
            self._contexts[name] = merged(self._contexts[name], kind)
        else:
            self._named[name] = kind
            self._declarations.append(self._written(begin))

    def _action(self, begin: int) -> None:
        names = self._names()
        said: dict[str, tuple[list[str], int]] = {}
        if self._accept("in"):
            said["in"] = (self._list() if self._peek() == "[" else [self._word()], begin)
        if self._accept("appliesTo"):
            self._expect("{")
            while not self._accept("}"):
                at, key = self._tokens[self._at][2] if self._at < len(self._tokens) else 0, self._word()
                self._expect(":")
                said[key] = (self._list() if self._peek() == "[" else [self._word()], at)
                self._accept(",")
        self._expect(";")
        for name in names:
            if name in GROUPS and name not in ACTIONS and not said:
                continue
            if name not in RESOURCES:
                raise self._fault(
                    f'action "{name}" is not one of guardai\'s, which asks about no other; known: {", ".join(RESOURCES)}',
                    begin,
                )
            self._applies(name, said)

    def _applies(self, name: str, said: dict[str, tuple[list[str], int]]) -> None:
        expected = {
            "in": [ACTIONS[name]] if name in ACTIONS else [],
            "principal": _PRINCIPALS,
            "context": ["Reveal" if name == REVEAL else "Call"],
        }
        for key, (values, at) in said.items():
            if key == "resource":
                more = [(value, at) for value in values if value not in RESOURCES[name]]
                self._resources.setdefault(name, []).extend(more)
            elif key not in expected:
                raise self._fault(f"{key} cannot be said of an action; known: principal, resource, context", at)
            elif sorted(values) != sorted(expected[key]):
                raise self._fault(
                    f'{key} of action "{name}" is {", ".join(expected[key])} and cannot be changed; leave it out', at
                )

    def _place(self, name: str) -> int:
        *_, last = re.finditer(rf"\b{re.escape(name)}\b", self._text)
        return last.start()

    def _check(self, theirs: Record, ours: Record, path: str) -> None:
        for name, field in theirs.items():
            where = f"{path}.{name}"
            at = self._place(name)
            known = ours.get(name)
            if name.startswith("__"):
                raise self._fault(f"{where} cannot be added: Cedar reserves such names", at)
            kind = self._resolved(field.kind)
            if known is None:
                self._fillable(kind, where, at)
                if not field.optional:
                    raise self._fault(
                        f"{where} has to be optional ({name}?: …): nobody can promise that every call has it", at
                    )
            elif field.optional != known.optional or isinstance(kind, dict) != isinstance(known.kind, dict):
                raise self._fault(f"{where} is guardai's and cannot be changed", at)
            elif isinstance(kind, dict) and isinstance(known.kind, dict):
                self._check(kind, known.kind, where)
            elif kind != known.kind:
                raise self._fault(f"{where} is a {known.kind} of guardai's and cannot be changed", at)

    def _resolved(self, kind: str | Record) -> str | Record:
        seen: set[str] = set()
        while isinstance(kind, str) and kind in self._named and kind not in seen:
            seen.add(kind)
            kind = self._named[kind]
        return kind

    def _fillable(self, kind: str | Record, where: str, at: int) -> None:
        if where.count(".") > _DEEPEST:
            raise self._fault(f"{where.partition('.')[2].partition('.')[0]} is a record without end", at)
        if isinstance(kind, dict):
            for name, field in kind.items():
                self._fillable(self._resolved(field.kind), f"{where}.{name}", at)
        elif kind not in _KINDS:
            raise self._fault(f"{where} is a {kind}; what reaches a policy is {', '.join(_KINDS)} or a record", at)

    # ---- the grammar ----

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        if self._at >= len(self._tokens):
            raise self._fault("the file ends in the middle of a declaration", len(self._text))
        kind, token, at = self._tokens[self._at]
        if kind == "bad":
            raise self._fault(f"{token!r} cannot stand in a schema", at)
        self._at += 1
        return token

    def _accept(self, token: str) -> bool:
        if self._peek() == token:
            self._at += 1
            return True
        return False

    def _expect(self, token: str) -> None:
        at = self._tokens[self._at][2] if self._at < len(self._tokens) else len(self._text)
        if (found := self._take()) != token:
            raise self._fault(f"{token!r} is expected here, not {found!r}", at)

    def _word(self) -> str:
        at = self._tokens[self._at][2] if self._at < len(self._tokens) else len(self._text)
        token = self._take()
        if token.startswith('"'):
            return token[1:-1]
        if not (token[0].isalpha() or token[0] == "_"):
            raise self._fault(f"a name is expected here, not {token!r}", at)
        return token

    def _names(self) -> list[str]:
        names = [self._word()]
        while self._accept(","):
            names.append(self._word())
        return names

    def _list(self) -> list[str]:
        self._expect("[")
        names = []
        while not self._accept("]"):
            names.append(self._word())
            if not self._accept(",") and self._peek() != "]":
                self._expect(",")
        return names

    def _kind(self) -> str | Record:
        if self._peek() == "{":
            return self._record()
        word = self._word()
        if word == "Set":
            self._expect("<")
            inner = self._kind()
            self._expect(">")
            return f"Set<{inner}>" if isinstance(inner, str) else "Set of records"
        return word

    def _record(self) -> Record:
        self._expect("{")
        found: Record = {}
        while not self._accept("}"):
            while self._peek() == "@":
                self._skip_annotation()
            name = self._word()
            optional = self._accept("?")
            self._expect(":")
            found[name] = Field(optional, self._kind())
            if not self._accept(",") and self._peek() != "}":
                self._expect(",")
        return found

    def _skip_annotation(self) -> None:
        self._expect("@")
        self._word()
        if self._accept("("):
            self._take()
            self._expect(")")

    def _written(self, begin: int) -> str:
        _, token, at = self._tokens[self._at - 1]
        return self._text[begin : at + len(token)]

    def _fault(self, message: str, at: int) -> Fault:
        return Fault(message, *position(self._text, at))
