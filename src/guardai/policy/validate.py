"""Cedar's own validation against the schema, told once for each fault, with its place and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import cedarpy
import msgspec

from guardai.policy.places import Places
from guardai.policy.problem import Problem
from guardai.policy.source import Policy
from guardai.policy.tree import Tree, children, scope

__all__ = ["validated"]

_WHOSE: Final = re.compile(r"^for policy `[^`]*`, ")
_ACTION: Final = re.compile(r' in context for Action::"([^"]+)"')
_TYPE: Final = re.compile(r" on entity type `([^`]+)`")
_OPTIONAL: Final = re.compile(r"optional attribute `([^`]+)`")
_NAMED: Final = re.compile(r"`([^`]+)`")


def validated(policies: Sequence[Policy], schema: Any) -> Iterator[Problem]:
    """What Cedar's validation finds. It says most things once for each action and names no place."""
    found: dict[tuple[int, str], list[str]] = {}
    # One text for all: Cedar calls its policies policy0, policy1, …
    result = cedarpy.validate_policies("\n".join(policy.source for policy in policies), schema)
    for error in result.errors:
        message = _WHOSE.sub("", error.error)
        where = _ACTION.search(message) or _TYPE.search(message)
        if where:
            message = message.replace(where[0], " in context" if where.re is _ACTION else "")
        kinds = found.setdefault((int(error.policy_id.removeprefix("policy")), message), [])
        kinds += [where[1]] if where else []
    for (number, message), kinds in found.items():
        policy = policies[number]
        line, column = _place(policy, message, schema)
        yield Problem("error", policy.file, line, policy.id, _told(policy, message, sorted(kinds)), column)


def _told(policy: Policy, message: str, kinds: list[str]) -> str:
    actions = scope(policy.tree).actions
    every = len(kinds) == len(actions) and set(kinds) == set(actions)
    told = message if every or not kinds else f"{message}, for {', '.join(kinds)}"
    if optional := _OPTIONAL.search(message):
        whose = "context" if " in context" in message else "…"  # of a resource of a folder's own type
        told += f"; a call that lacks it would be denied, as far as Cedar can see: write `{whose} has {optional[1]} && …` before it"
    return told


def _place(policy: Policy, message: str, schema: Any) -> tuple[int, int]:
    """Where the fault is: the first condition with which Cedar says it, and in it what the message names."""
    places = Places(policy)
    tree = policy.tree
    before: list[Tree] = []
    for clause in places.conditions:
        parts = _conjuncts(clause["body"]) if clause["kind"] == "when" else [clause["body"]]
        for part in parts:
            before.append({"kind": clause["kind"], "body": part})
            if _says({**tree, "conditions": before}, schema, message):
                return places.of(_reading(part, message) or part)
    named = _NAMED.search(message)
    return places.word(named[1]) if named else places.begin


def _says(tree: Tree, schema: Any, message: str) -> bool:
    document = {"staticPolicies": {"policy0": tree}, "templates": {}, "templateLinks": []}
    try:
        text = cedarpy.policies_from_json_str(msgspec.json.encode(document).decode())
        result = cedarpy.validate_policies(text, schema)
    except ValueError:
        return False
    said = {_TYPE.sub("", _ACTION.sub(" in context", _WHOSE.sub("", error.error))) for error in result.errors}
    # A head that no call matches is said with and without conditions: that is no fault of theirs.
    return message in said and "applicable action" not in message


def _conjuncts(body: Tree) -> list[Tree]:
    if "&&" in body:
        return [*_conjuncts(body["&&"]["left"]), *_conjuncts(body["&&"]["right"])]
    return [body]


def _reading(body: Tree, message: str) -> Tree | None:
    """The first expression that reads the attribute that the message names, without having asked for it."""
    named = _NAMED.search(message)
    return _unasked(body, named[1]) if named else None


def _unasked(node: Tree, name: str) -> Tree | None:
    if "." in node and node["."]["attr"] == name:
        return node
    for operand in children(node):
        if found := _unasked(operand, name):
            return found
        if "&&" in node and _asks(operand, name):
            return None  # what stands on the right is read only if it is there
    return None


def _asks(node: Tree, name: str) -> bool:
    if "&&" in node:
        return _asks(node["&&"]["left"], name) or _asks(node["&&"]["right"], name)
    return "has" in node and node["has"]["attr"] == name
