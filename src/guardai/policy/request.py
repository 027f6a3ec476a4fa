"""A request that somebody made up, as a file holds it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

from guardai.model import REVEAL, Destination, Principal, Resource
from guardai.policy.asked import Asked
from guardai.policy.vocabulary import ENTITIES, PRINCIPALS, RESOURCES, SCALARS, verbs

__all__ = ["Request"]

_SHAPE: Final = (
    '{"principal": {"type": "Agent", "id": "a"}, "action": "db.read", "resource": {"type": "Table", "id": "shop.customers"}, '
    '"context": {"environment": "dev"}, "labels": ["pii.email"], "to": {"kind": "model", "region": "us"}}'
)
#: What an action can be done to; a label is only asked about.
_THINGS: Final = frozenset(kind for action, kinds in RESOURCES.items() if action != REVEAL for kind in kinds)


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    id: str


class _Who(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    id: str
    user: str = ""
    chain: tuple[str, ...] = ()
    assurance: str = "asserted"


class _What(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    id: str
    parent: _Named | None = None
    attrs: dict[str, str] = msgspec.field(default_factory=dict)


class _Where(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    provider: str = ""
    region: str = "unknown"
    trust: str = "unlisted"


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """A request that somebody made up, as a file holds it.

    Attributes:
        principal: `type`, `id`; also `user`, `chain`, `assurance`.
        action: the verb.
        resource: `type`, `id`; also `parent` (a table's database is taken from its name) and `attrs`.
        context: what policies read, nested or with dotted names; lists are sets.
        labels: what the data carries.
        to: where it would go; needed if there are labels.
    """

    principal: _Who
    action: str
    resource: _What
    context: dict[str, Any] = msgspec.field(default_factory=dict)
    labels: tuple[str, ...] = ()
    to: _Where | None = None

    @classmethod
    def read(cls, data: object) -> Request:
        """Reads a decoded JSON object.

        Raises:
            ValueError: it is no request; says which part, and what a request looks like.
        """
        try:
            request = msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"not a request: {error}; it looks like {_SHAPE}") from None
        if verbs(request.action) != (request.action,) or request.action == REVEAL:
            known = ", ".join(action for action in RESOURCES if action != REVEAL)
            raise ValueError(f"action {request.action!r} is unknown; known: {known}")
        if request.labels and request.to is None:
            raise ValueError('labels are given but not where the data would go; add "to": {"kind": "model", …}')
        return request

    def unknown(self, own: Collection[str]) -> str:
        """Which of its types and destinations no policy can know, and which there are; "" if all are known.

        Cedar takes any of them for granted: a misspelt one would be answered as something of which no policy speaks.

        Args:
            own: the entity types that the folder's own schema adds.
        """
        named: list[tuple[str, str, set[str]]] = [
            ("principal.type", self.principal.type, {*PRINCIPALS}),
            ("resource.type", self.resource.type, {*_THINGS, *own}),
        ]
        if self.resource.parent is not None:
            named.append(("resource.parent.type", self.resource.parent.type, {*ENTITIES, *own}))
        if self.to is not None:
            named.append(("to.kind", self.to.kind, {*SCALARS["to.kind"].choices}))
        for name, kind, known in named:
            if kind not in known:
                return f"{name} {kind!r} is unknown; known: {', '.join(sorted(known))}"
        return ""

    def who(self) -> Principal:
        """The principal, as the engine takes it."""
        one = self.principal
        return Principal(one.type, one.id, one.user, one.chain, one.assurance)  # type: ignore[arg-type]

    def what(self) -> Resource:
        """The resource, as the engine takes it."""
        one = self.resource
        parent = (one.parent.type, one.parent.id) if one.parent else None
        if parent is None and one.type == "Table" and "." in one.id:
            parent = ("Database", one.id.partition(".")[0])
        return Resource(one.type, one.id, parent, tuple(sorted(one.attrs.items())))

    def where(self) -> Destination | None:
        """The destination, as the engine takes it."""
        return Destination(self.to.kind, self.to.provider, self.to.region, self.to.trust) if self.to else None

    def flat(self) -> dict[str, Any]:
        """The context with dotted names. What was found in the data is part of it."""
        flat = dict(_flat(self.context))
        if self.labels:
            flat.setdefault("labels", self.labels)
        return flat

    def asked(self) -> Asked:
        """The questions that it asks."""
        return Asked(self.who(), (self.action,), (self.what(),), self.flat(), labels=self.labels, to=self.where())


def _flat(context: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in context.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", tuple(value) if isinstance(value, list) else value
