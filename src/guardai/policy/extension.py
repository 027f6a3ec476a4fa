"""A folder's own `schema.cedarschema`: what it adds to the schema of guardai, and the refusal of what contradicts it.

The file may be the printed schema with additions, or the additions alone::

    entity Ticket { queue: String };                       // a type of its own, for conditions and integrations
    type Call = { crm?: { ticket: String } };              // more context, handed over by an integration of your own
    action "tool.call" appliesTo { resource: [Ticket] };   // a type of its own as resource of an action

INVARIANT: nothing of guardai's own is changed or taken away: a policy that is valid without the file is valid with it.
New context is optional, because guardai cannot promise that somebody hands it over; a policy has to ask with `has`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from guardai.model import ACTIONS, GROUPS, REVEAL
from guardai.policy.declarations import DEEPEST, Field, Reading, Record
from guardai.policy.vocabulary import ENTITIES, PARENTS, PRINCIPALS, RESOURCES

__all__ = ["NOTHING", "Extension", "merged", "read"]

#: What a value of the context can be: all that reaches Cedar.
_KINDS: Final = ("String", "Bool", "Long", "Set<String>")


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
        self._reading, self._ours = Reading(text), ours
        self._named: dict[str, str | Record] = {}
        self._own: set[str] = set()
        self._declarations: list[str] = []
        self._contexts: dict[str, Record] = {"Call": {}, "Reveal": {}}
        self._resources: dict[str, list[tuple[str, int]]] = {}

    def read(self) -> Extension:
        while not self._reading.at_end:
            while self._reading.peek() == "@":
                self._reading.skip_annotation()
            begin = self._reading.offset
            match self._reading.take():
                case "entity":
                    self._entity(begin)
                case "type":
                    self._type(begin)
                case "action":
                    self._action(begin)
                case "namespace":
                    raise self._reading.fault(
                        "namespaces are not supported: policies name guardai's types without one", begin
                    )
                case other:
                    raise self._reading.fault(f"{other!r} begins no declaration; known: entity, type, action", begin)
        for types in self._resources.values():
            for name, at in types:
                if name not in self._own:
                    raise self._reading.fault(f"{name} is not an entity type of this file: only such can be added", at)
        for name, record in self._contexts.items():
            if name == "Call" and "to" in record:
                raise self._reading.fault(
                    "context.to cannot be added here: only `reveal` has it", self._reading.places["to"]
                )
            self._check(record, self._ours, "context")
        resources = {
            action: tuple(dict.fromkeys(n for n, _ in types)) for action, types in self._resources.items() if types
        }
        call, reveal = (_beyond(self._contexts[name], self._ours) for name in ("Call", "Reveal"))
        reveal = {name: field for name, field in reveal.items() if field != call.get(name)}
        return Extension(tuple(self._declarations), call, reveal, resources, frozenset(self._own))

    # ---- declarations ----

    def _entity(self, begin: int) -> None:
        names = self._reading.names()
        parents: list[str] = []
        attributes: Record = {}
        if self._reading.accept("in"):
            parents = self._reading.several()
        if self._reading.accept("enum"):
            self._reading.several()
        elif self._reading.peek() in ("=", "{"):
            self._reading.accept("=")
            attributes = self._reading.record()
        if self._reading.accept("tags"):
            self._reading.kind()
        self._reading.expect(";")
        ours = [name for name in names if name in ENTITIES]
        for name in ours:
            said = tuple((key, field.kind) for key, field in attributes.items())
            above = [PARENTS[name]] if name in PARENTS else []
            if (attributes and dict(said) != dict(ENTITIES[name])) or (parents and parents != above):
                raise self._reading.fault(
                    f"entity {name} is guardai's, which fills its attributes and parents; it can neither lose nor gain one",
                    begin,
                )
        if ours and len(ours) < len(names):
            raise self._reading.fault("declare types of your own apart from guardai's", begin)
        if not ours:
            self._own.update(names)
            self._declarations.append(self._reading.written(begin))

    def _type(self, begin: int) -> None:
        name = self._reading.word()
        self._reading.expect("=")
        kind = self._reading.kind()
        self._reading.expect(";")
        if name in self._contexts:
            if not isinstance(kind, dict):
                raise self._reading.fault(f"type {name} has to be a record: {{ name?: Type }}", begin)
            self._contexts[name] = merged(self._contexts[name], kind)
        else:
            self._named[name] = kind
            self._declarations.append(self._reading.written(begin))

    def _action(self, begin: int) -> None:
        names = self._reading.names()
        said: dict[str, tuple[list[str], int]] = {}
        if self._reading.accept("in"):
            said["in"] = (self._reading.several(), begin)
        if self._reading.accept("appliesTo"):
            self._reading.expect("{")
            while not self._reading.accept("}"):
                at, key = self._reading.offset, self._reading.word()
                self._reading.expect(":")
                said[key] = (self._reading.several(), at)
                self._reading.accept(",")
        self._reading.expect(";")
        for name in names:
            if name in GROUPS and name not in ACTIONS and not said:
                continue
            if name not in RESOURCES:
                raise self._reading.fault(
                    f'action "{name}" is not one of guardai\'s, which asks about no other; known: {", ".join(RESOURCES)}',
                    begin,
                )
            self._applies(name, said)

    def _applies(self, name: str, said: dict[str, tuple[list[str], int]]) -> None:
        expected = {
            "in": [ACTIONS[name]] if name in ACTIONS else [],
            "principal": [*PRINCIPALS],
            "context": ["Reveal" if name == REVEAL else "Call"],
        }
        for key, (values, at) in said.items():
            if key == "resource":
                more = [(value, at) for value in values if value not in RESOURCES[name]]
                self._resources.setdefault(name, []).extend(more)
            elif key not in expected:
                raise self._reading.fault(f"{key} cannot be said of an action; known: principal, resource, context", at)
            elif sorted(values) != sorted(expected[key]):
                raise self._reading.fault(
                    f'{key} of action "{name}" is {", ".join(expected[key])} and cannot be changed; leave it out', at
                )

    def _check(self, theirs: Record, ours: Record, path: str) -> None:
        for name, field in theirs.items():
            where = f"{path}.{name}"
            at = self._reading.places[name]
            known = ours.get(name)
            kind = self._resolved(field.kind)
            if known is None:
                self._fillable(kind, where, at)
                if not field.optional:
                    raise self._reading.fault(
                        f"{where} has to be optional ({name}?: …): nobody can promise that every call has it", at
                    )
            elif field.optional != known.optional or isinstance(kind, dict) != isinstance(known.kind, dict):
                raise self._reading.fault(f"{where} is guardai's and cannot be changed", at)
            elif isinstance(kind, dict) and isinstance(known.kind, dict):
                self._check(kind, known.kind, where)
            elif kind != known.kind:
                raise self._reading.fault(f"{where} is a {known.kind} of guardai's and cannot be changed", at)

    def _resolved(self, kind: str | Record) -> str | Record:
        seen: set[str] = set()
        while isinstance(kind, str) and kind in self._named and kind not in seen:
            seen.add(kind)
            kind = self._named[kind]
        return kind

    def _fillable(self, kind: str | Record, where: str, at: int) -> None:
        if where.count(".") > DEEPEST:
            raise self._reading.fault(f"{where.partition('.')[2].partition('.')[0]} is a record without end", at)
        if isinstance(kind, dict):
            for name, field in kind.items():
                self._fillable(self._resolved(field.kind), f"{where}.{name}", at)
        elif kind not in _KINDS:
            raise self._reading.fault(
                f"{where} is a {kind}; what reaches a policy is {', '.join(_KINDS)} or a record", at
            )
