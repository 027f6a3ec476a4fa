"""Why a request is answered as it is, and what would have to change.

The answer is the engine's own. The words are found by asking Cedar about parts: each policy of the slice alone, and of
a policy that does not apply each condition alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import cedarpy
import msgspec

from guardai.model import REVEAL, Decision, Destination, Principal, Resource, Reveal
from guardai.policy.bundle import Bundle
from guardai.policy.engine import Engine
from guardai.policy.question import (
    Refused,
    action_uid,
    context_document,
    principal_entity,
    resource_entity,
    scene,
    uids,
    with_entity,
)
from guardai.policy.source import Policy, document
from guardai.policy.vocabulary import RESOURCES, verbs

__all__ = ["Request", "answers", "explain", "words"]

_SHAPE: Final = (
    '{"principal": {"type": "Agent", "id": "a"}, "action": "db.read", "resource": {"type": "Table", "id": "shop.customers"}, '
    '"context": {"environment": "dev"}, "labels": ["pii.email"], "to": {"kind": "model", "region": "us"}}'
)
#: Permits that came near are worth telling; the hundredth is not.
_NEAR: Final = 3
#: Cedar's printer brackets every operand; people do not.
_BRACKETED: Final = re.compile(r"\(((?:context|principal|action|resource)(?:\.\w+)*)\)")


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


def explain(bundle: Bundle, request: dict[str, Any]) -> dict[str, Any]:
    """How a request is answered, as data.

    A context value that policies have no type for is an error here even where no policy reads it; the engine looks only
    at what is read.

    Args:
        bundle: whose policies.
        request: as `Request` describes it.

    Returns:
        `decision` (allow, deny, pause), `policies` (the ids that determined it), `masks` (label → mask, for each label
        that may not be revealed), `approvals` (groups that would lift a pause), `errors`.

    Raises:
        ValueError: it is no request.
    """
    asked = Request.read(request)
    decision, reveals = answers(Engine(bundle), asked)
    return {
        "decision": decision.effect,
        "policies": list(decision.policies),
        "masks": {label: reveal.mask for label, reveal in reveals.items() if reveal.mask is not None},
        "approvals": list(decision.obligations.approvals),
        "errors": list(decision.errors),
    }


def answers(engine: Engine, asked: Request) -> tuple[Decision, dict[str, Reveal]]:
    """The answers to a request: whether it may be done, and for each label whether it may be revealed."""
    flat, to = asked.flat(), asked.where()
    try:
        context_document(flat.items(), (), None)
    except Refused as refused:
        denied = Decision("deny", reason=str(refused), errors=(str(refused),))
        return denied, {label: Reveal("redact", reason=str(refused)) for label in asked.labels}
    decision = engine.act(asked.who(), asked.action, (asked.what(),), flat)
    reveals = {label: engine.reveal(asked.who(), label, to, flat) for label in asked.labels if to is not None}
    return decision, reveals


def words(bundle: Bundle, request: dict[str, Any]) -> list[str]:
    """The same in plain words: what was decided, by which policies, and what would have to change.

    Raises:
        ValueError: it is no request.
    """
    asked = Request.read(request)
    who, what = asked.who(), asked.what()
    decision, reveals = answers(Engine(bundle), asked)
    verdict = {"allow": "is allowed", "deny": "is denied", "pause": "waits for approval"}[decision.effect]
    told = [f'{who.kind}::"{who.agent}" {asked.action} on {what.type}::"{what.id}" {verdict}.']
    told += [f"Error: {error}. What cannot be evaluated is denied." for error in decision.errors]
    told += [_line(bundle.policies[name]) for name in decision.policies]
    if decision.effect == "pause":
        told.append(
            f"It would be allowed if a human of each of these agrees: {', '.join(decision.obligations.approvals)}."
        )
    elif decision.effect == "deny" and not decision.errors:
        told += _changes(bundle, asked, decision.policies)
    told += [_fate(label, asked.to.kind, reveal) for label, reveal in reveals.items() if asked.to is not None]
    return told


def _fate(label: str, kind: str, reveal: Reveal) -> str:
    by = f" by {', '.join(reveal.policies)}" if reveal.policies else ""
    because = f" ({reveal.reason})" if reveal.reason else ""
    fate = "is revealed" if reveal.mask is None else f"is masked with {reveal.mask}"
    return f"{label}, on its way to the {kind}, {fate}{by}{because}."


def _line(policy: Policy) -> str:
    reason = f": {policy.annotations['reason']}" if "reason" in policy.annotations else ""
    severity = f", severity {policy.annotations['severity']}" if "severity" in policy.annotations else ""
    return f"Decided by {policy.effect} {policy.id} ({policy.file}:{policy.line}{severity}){reason}."


def _changes(bundle: Bundle, asked: Request, deciding: tuple[str, ...]) -> Iterator[str]:
    """What would have to be otherwise for a denied request to be allowed."""
    alone = _Alone(asked)
    for name in deciding:
        policy = bundle.policies[name]
        fired = [text for text, held in alone.conditions(policy) if held]
        if fired:
            yield f"{name} would not deny if one of these were otherwise: {'; '.join(fired)}."
        else:
            yield f"{name} denies every such call: it has no condition that could change."
    names = bundle.index.names(asked.action, uids(alone.who), uids(alone.what))
    permits = [bundle.policies[name] for name in names if bundle.policies[name].effect == "permit"]
    if any(alone.applies(policy) for policy in permits):
        return
    if not permits:
        yield f"No permit covers {asked.action} on this {asked.resource.type} for this principal: one has to be written."
    for policy in permits[:_NEAR]:
        failed = [text for text, held in alone.conditions(policy) if not held]
        if failed:
            yield f"{policy.id} ({policy.file}:{policy.line}) would permit it if: {'; '.join(failed)}."


class _Alone:
    """Asks Cedar about one policy, or one condition of it, in the situation of a request."""

    def __init__(self, asked: Request) -> None:
        self.who = principal_entity(asked.who())
        self.what = resource_entity(asked.what())
        self._entities = with_entity(scene(self.who, asked.action), self.what)
        self._request = {
            "principal": self.who["uid"],
            "action": action_uid(asked.action),
            "resource": self.what["uid"],
            "context": context_document({"approvals": (), "grants": (), **asked.flat()}.items(), (), None),
        }

    def applies(self, policy: Policy) -> bool:
        return self._holds(policy.tree)

    def conditions(self, policy: Policy) -> Iterator[tuple[str, bool]]:
        """Each condition of a policy in Cedar, and whether it is as the policy needs it to apply."""
        for clause in policy.tree["conditions"]:
            parts = _conjuncts(clause["body"]) if clause["kind"] == "when" else [clause["body"]]
            for part in parts:
                one = {"kind": clause["kind"], "body": part}
                yield _text(one), self._holds({**policy.tree, "conditions": [one]})

    def _holds(self, tree: dict[str, Any]) -> bool:
        # As a permit, whatever it is: a permit that applies allows, and there is nothing else in the set.
        encoded = msgspec.json.encode({**tree, "effect": "permit"})
        alone = cedarpy.PolicySet.from_json_str(document([("alone", encoded)]))
        return bool(cedarpy.is_authorized(self._request, alone, self._entities).allowed)


def _conjuncts(body: Any) -> list[Any]:
    if "&&" in body:
        return [*_conjuncts(body["&&"]["left"]), *_conjuncts(body["&&"]["right"])]
    return [body]


def _text(clause: dict[str, Any]) -> str:
    """A condition as its author could have written it: `context.environment == "prod"`, or `not (…)` for an `unless`."""
    anyone = {"effect": "permit", "principal": {"op": "All"}, "action": {"op": "All"}, "resource": {"op": "All"}}
    encoded = msgspec.json.encode({**anyone, "conditions": [{"kind": "when", "body": clause["body"]}]})
    cedar = " ".join(cedarpy.policies_from_json_str(document([("alone", encoded)])).split())
    cedar = _BRACKETED.sub(r"\1", cedar)
    text = cedar.partition("when {")[2].rpartition("}")[0].strip()
    while text.startswith("(") and text.endswith(")") and _closes(text):
        text = text[1:-1].strip()
    return text if clause["kind"] == "when" else f"not ({text})"


def _closes(text: str) -> bool:
    """Whether the first bracket is closed by the last; a string with brackets in it is left as it is."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return at == len(text) - 1
    return False


def _flat(context: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in context.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", tuple(value) if isinstance(value, list) else value
