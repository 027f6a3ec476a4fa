"""A call as policy is asked about it, and the answer to all of its questions: the gate's, or one made again later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgspec import structs

from guardai.model import REVEAL, Decision, Destination, Principal, Resource, Reveal, strictest
from guardai.policy.bundle import Bundle
from guardai.policy.engine import Engine
from guardai.policy.question import label_entity, principal_entity, resource_entity, uids
from guardai.policy.tally import Tally
from guardai.policy.vocabulary import OWN

__all__ = ["Asked", "counts", "decide", "judge", "reveals", "uncounted"]

_NOT_OWN: Final[dict[str, Any]] = dict.fromkeys(OWN, ())


class Asked(NamedTuple):
    """All that an answer depends on, besides the bundle.

    Attributes:
        principal: who acts.
        verbs: what is asked about: one action, or for a list of statements several.
        resources: what is acted on.
        context: flat, with dotted names: what calls of this kind share.
        own: what this call adds for the act: labels found, opaque parts, approvals, the numbers of counters.
        labels: of what would leave.
        to: where it would go.
        opaque: labels of parts of it that cannot be masked.
        returns: the same of the result.
        back: where the result goes.
    """

    principal: Principal
    verbs: tuple[str, ...]
    resources: tuple[Resource, ...]
    context: Mapping[str, Any]
    own: Mapping[str, Any] = {}
    labels: tuple[str, ...] = ()
    to: Destination | None = None
    opaque: tuple[str, ...] = ()
    returns: tuple[str, ...] = ()
    back: Destination | None = None

    @property
    def whole(self) -> dict[str, Any]:
        """The context of the act."""
        return {**self.context, **self.own}

    @property
    def shared(self) -> dict[str, Any]:
        """The context of reveals.

        INVARIANT: what is one call's own is empty in it, as the gate has it, whatever a made-up request says.
        """
        return {**self.context, **_NOT_OWN}


def decide(
    engine: Engine,
    principal: Principal,
    verbs: tuple[str, ...],
    resources: tuple[Resource, ...],
    context: Mapping[str, Any],
    tally: Tally | None = None,
) -> Decision:
    """May it be done? Where there are several verbs, the strictest answer counts."""
    answers = [engine.act(principal, verb, resources, context, tally) for verb in verbs]
    if len(answers) == 1:
        return answers[0]
    worst = max(answers, key=_strictness)
    if worst.effect != "allow":
        return worst
    return structs.replace(worst, obligations=strictest(answer.obligations for answer in answers))


def _strictness(decision: Decision) -> int:
    return ("allow", "pause", "deny").index(decision.effect)


def judge(engine: Engine, asked: Asked) -> Decision:
    """The decision about a call, as the gate would take it.

    INVARIANT: what cannot be masked and may not be revealed does not pass, in either direction.
    """
    decision = decide(engine, asked.principal, asked.verbs, asked.resources, asked.whole)
    if decision.effect == "deny":
        return decision
    for labels, to, where in (
        (asked.opaque, asked.to, "there"),
        (asked.returns, asked.back, "to whoever reads the result"),
    ):
        for label in labels:
            reveal = engine.reveal(asked.principal, label, to or Destination("unknown"), asked.shared)
            if reveal.mask is not None:
                return Decision("deny", reveal.policies, f"{label} cannot be masked and may not go {where}")
    return decision


def reveals(engine: Engine, asked: Asked) -> dict[str, Reveal]:
    """The fate of each label of what would leave."""
    if asked.to is None:
        return {}
    shared = asked.shared
    return {label: engine.reveal(asked.principal, label, asked.to, shared) for label in asked.labels}


def uncounted(bundle: Bundle, asked: Asked) -> bool:
    """Whether an answer depends on counters whose numbers the call does not hold; without them they count as nothing yet."""
    who = uids(principal_entity(asked.principal))
    read = {
        name
        for verb in asked.verbs
        for one in asked.resources
        for name in bundle.index.find(verb, who, uids(resource_entity(one))).lens.counted
    }
    return not read <= asked.own.keys()


def counts(bundle: Bundle, principal: Principal, label: str) -> bool:
    """Whether the answer about a label depends on counters."""
    return bool(bundle.index.find(REVEAL, uids(principal_entity(principal)), uids(label_entity(label))).lens.counted)
