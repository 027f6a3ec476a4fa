"""Asks Cedar about one policy, or one part of it, in the situation of one question."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import cedarpy
import msgspec

from guardai.model import REVEAL, Destination, Resource
from guardai.policy.asked import Asked
from guardai.policy.leaves import conditions
from guardai.policy.question import (
    Entity,
    action_uid,
    context_document,
    label_entity,
    principal_entity,
    resource_entity,
    scene,
    uids,
    with_entity,
)
from guardai.policy.source import Policy, document
from guardai.policy.tree import Tree, Uid
from guardai.policy.vocabulary import COUNTERS

__all__ = ["Part", "Situation", "reveal_situation", "situations", "text"]

#: Cedar's printer brackets every operand; people do not. The brackets of a call are its own.
_BRACKETED: Final = re.compile(r"(?<!\w)\(((?:context|principal|action|resource)(?:\.\w+)*)\)")
#: What a policy can read although nobody gave it, as the engine has it.
_NOTHING_YET: Final[dict[str, Any]] = {"approvals": (), "grants": (), **dict.fromkeys(COUNTERS, 0)}
_ANYONE: Final = {"effect": "permit", "principal": {"op": "All"}, "action": {"op": "All"}, "resource": {"op": "All"}}


class Part(NamedTuple):
    """One condition of a policy.

    Attributes:
        kind: `when` or `unless`.
        node: its expression.
        holds: whether it is as the policy needs it to apply; None if it cannot be evaluated.
    """

    kind: str
    node: Tree
    holds: bool | None


class Situation:
    """One question: a principal, a verb, one resource or label, a context."""

    def __init__(self, asked: Asked, verb: str, what: Resource | str, to: Destination | None = None) -> None:
        self.who = principal_entity(asked.principal)
        self.what: Entity = label_entity(what) if isinstance(what, str) else resource_entity(what)
        self.verb = verb
        context = asked.shared if isinstance(what, str) else asked.whole
        self._entities = with_entity(scene(self.who, verb), self.what)
        self._request = {
            "principal": self.who["uid"],
            "action": action_uid(verb),
            "resource": self.what["uid"],
            "context": context_document({**_NOTHING_YET, **context}.items(), (), to),
        }

    @property
    def head(self) -> tuple[str, tuple[Uid, ...], tuple[Uid, ...]]:
        """What an index of policies is asked with."""
        return self.verb, uids(self.who), uids(self.what)

    def applies(self, policy: Policy) -> bool | None:
        """Whether a policy applies; None if it cannot be evaluated."""
        return self.holds(policy.tree)

    def parts(self, policy: Policy) -> Iterator[Part]:
        """Each condition of a policy, and whether it is as the policy needs it."""
        tree = policy.tree
        for kind, node in conditions(tree):
            yield Part(kind, node, self.holds({**tree, "conditions": [{"kind": kind, "body": node}]}))

    def true(self, node: Tree) -> bool | None:
        """Whether an expression is true here; None if it cannot be evaluated."""
        return self.holds({**_ANYONE, "conditions": [{"kind": "when", "body": node}]})

    def holds(self, tree: Tree) -> bool | None:
        """Whether a policy with this tree applies, whatever its effect."""
        # As a permit, whatever it is: a permit that applies allows, and there is nothing else in the set.
        return self.permitted([("alone", msgspec.json.encode({**tree, "effect": "permit"}))])

    def permitted(self, policies: list[tuple[str, bytes]]) -> bool | None:
        """What Cedar answers from these policies; None if one of them fails."""
        answer = cedarpy.is_authorized(
            self._request, cedarpy.PolicySet.from_json_str(document(policies)), self._entities
        )
        return None if answer.diagnostics.errors else bool(answer.allowed)


def situations(asked: Asked) -> Iterator[Situation]:
    """The questions of the act."""
    for verb in asked.verbs:
        for resource in asked.resources:
            yield Situation(asked, verb, resource)


def reveal_situation(asked: Asked, label: str, to: Destination) -> Situation:
    """The question whether a label may be revealed."""
    return Situation(asked, REVEAL, label, to)


def text(node: Tree, *, negated: bool = False) -> str:
    """A condition as its author could have written it: `context.environment == "prod"`, or `not (…)` for an `unless`."""
    encoded = msgspec.json.encode({**_ANYONE, "conditions": [{"kind": "when", "body": node}]})
    cedar = " ".join(cedarpy.policies_from_json_str(document([("alone", encoded)])).split())
    before = ""
    while cedar != before:  # a path is bracketed once for each of its dots
        before, cedar = cedar, _BRACKETED.sub(r"\1", cedar)
    written = cedar.partition("when {")[2].rpartition("}")[0].strip()
    while written.startswith("(") and written.endswith(")") and _closes(written):
        written = written[1:-1].strip()
    return f"not ({written})" if negated else written


def _closes(written: str) -> bool:
    """Whether the first bracket is closed by the last; a string with brackets in it is left as it is."""
    depth = 0
    for at, character in enumerate(written):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return at == len(written) - 1
    return False
