"""Proof that every forbid over a group fires: asked of Cedar, with the engine's own entities and index.

The worst thing that can happen to a policy is a group that matches nothing, for then a forbid is silent and the answer is
"allow". Whether a group matches depends on the entities that the engine hands over, so that is what is tried: a call in
the group is made up, and the forbid, without its conditions, has to deny it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cedarpy
import msgspec

from guardai.model import REVEAL, Principal, Resource
from guardai.policy.problem import Problem
from guardai.policy.question import (
    Entity,
    action_uid,
    label_entity,
    principal_entity,
    resource_entity,
    scene,
    uids,
    with_entity,
)
from guardai.policy.slices import Index
from guardai.policy.source import Policy, document
from guardai.policy.tree import Scope, Tree
from guardai.policy.vocabulary import PARENTS, RESOURCES

__all__ = ["silent"]

_PROBE = "guardai-self-test"


def silent(
    policies: dict[str, Policy], scopes: dict[str, Scope], index: Index, own: frozenset[str] = frozenset()
) -> Iterator[Problem]:
    """The group forbids that do not fire. Forbids with the same head are tried once.

    One that does not deny a call that is in its group is an error of ours or of Cedar's, and the bundle is refused. One that
    no call can be in the group of is its author's, and harmless to the others: a warning. `own` are resource types that the
    folder's schema adds: what is in them only its author knows.
    """
    tried: set[bytes] = set()
    for policy in policies.values():
        head = scopes[policy.id]
        if policy.effect != "forbid" or not head.groups:
            continue
        tree = policy.tree
        bare = {key: tree[key] for key in ("effect", "principal", "action", "resource")} | {"conditions": []}
        encoded = msgspec.json.encode(bare)
        if encoded in tried:
            continue
        tried.add(encoded)
        alone = cedarpy.PolicySet.from_json_str(document([(policy.id, encoded)]))
        proofs = [_fires(policy.id, tree, action, alone, index) for action in head.actions]
        if False in proofs:
            action = head.actions[proofs.index(False)]
            message = f"self-test: its head does not match a call of {action}, so it would never deny one"
            yield Problem("error", policy.file, policy.line, policy.id, message)
        elif True not in proofs and own.isdisjoint(_types(tree["resource"])):
            message = "self-test: no call can match its head, so it never denies"
            yield Problem("warning", policy.file, policy.line, policy.id, message)


def _fires(name: str, tree: Tree, action: str, alone: Any, index: Index) -> bool | None:
    """Whether the forbid denies the calls that its head names; None if no call of this action is one."""
    calls = [(who, what) for who in _principals(tree["principal"]) for what in _resources(tree["resource"], action)]
    for who, what in calls:
        request = {"principal": who["uid"], "action": action_uid(action), "resource": what["uid"], "context": "{}"}
        answer = cedarpy.is_authorized(request, alone, with_entity(scene(who, action), what))
        if answer.diagnostics.reasons != [name] or name not in index.names(action, uids(who), uids(what)):
            return False
    return True if calls else None


def _types(head: Any) -> set[str]:
    entity = head["in"]["entity"] if "in" in head else head.get("entity")
    return {*([head["entity_type"]] if "entity_type" in head else []), *([entity["type"]] if entity else [])}


def _principals(head: Any) -> list[Entity]:
    return [
        principal_entity(Principal(kind, name, parent or _PROBE))  # type: ignore[arg-type]
        for kind, name, parent in _witnesses(head, ("Agent", "App"))
    ]


def _resources(head: Any, action: str) -> list[Entity]:
    found = _witnesses(head, RESOURCES[action])
    if action == REVEAL:
        return [label_entity(f"{parent}.{name}" if parent else name) for _, name, parent in found]
    return [
        resource_entity(Resource(kind, name, (PARENTS[kind], parent) if parent else None))
        for kind, name, parent in found
    ]


def _witnesses(head: Any, kinds: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """(type, id, id of what it is in) of made-up entities that one side of a head names.

    For `in` it is always something inside: everything is in itself, whether groups work or not.
    """
    allowed = [kind for kind in kinds if head.get("entity_type", kind) == kind]
    if head["op"] == "All" or (head["op"] == "is" and "in" not in head):
        return [(kind, _PROBE, "") for kind in allowed]
    named = head["in"]["entity"] if "in" in head else head["entity"]
    inside = [kind for kind in allowed if PARENTS.get(kind) == named["type"]] if head["op"] != "==" else []
    if inside:
        return [(kind, _PROBE, named["id"]) for kind in inside]
    return [(named["type"], named["id"], "")] if named["type"] in allowed else []
