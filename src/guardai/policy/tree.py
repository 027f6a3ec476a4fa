"""What a policy's syntax tree says: its scope, what it reads of the context, the literals that it names.

Every expression in Cedar's JSON format is an object with one member, the operator; `children` knows the few shapes of
its operands, so that a record literal with a key named `Var` is not mistaken for a variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from guardai.model import ACTIONS, REVEAL
from guardai.policy.vocabulary import verbs

__all__ = [
    "Head",
    "Reads",
    "Scope",
    "Tree",
    "Uid",
    "approvals",
    "ceilings",
    "children",
    "compared",
    "entity_literals",
    "looks_at_resource",
    "merge",
    "nodes",
    "path_of",
    "reads",
    "scope",
]

Tree = Any
Uid = tuple[str, str]

#: What one side of a scope names: an entity by `==` or `in`, a type by `is`, or nothing. Three kinds of Python value, so
#: that no name of an entity, however odd, can be taken for one of the others.
Head = Uid | str | None
_CONTEXT: Final = {"Var": "context"}
#: Operators that ask for the attributes, the tags or the groups of what stands left of them.
_OF_THE_LEFT: Final = frozenset({".", "has", "in", "is", "hasTag", "getTag"})


class Scope(NamedTuple):
    """Which requests a policy can apply to, as far as its head says.

    Attributes:
        actions: the verbs, groups resolved.
        principal, resource: what each side is filed under.
        groups: whether it is matched through a group: an action's, or an `in`.
    """

    actions: tuple[str, ...]
    principal: Head
    resource: Head
    groups: bool


class Reads(NamedTuple):
    """What of the context can change a policy's answer.

    Attributes:
        values: dotted paths whose value is read, everything below a path included.
        present: dotted paths of which it is asked whether they are there.
        all: the context is used as a whole.
    """

    values: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    all: bool = False


def scope(policy: Tree) -> Scope:
    """The head of a policy."""
    action = policy["action"]
    through_group = False
    if action["op"] == "All":
        actions: tuple[str, ...] = (*ACTIONS, REVEAL)
    elif action["op"] == "==":
        # `== Action::"db"` is true of the group itself only, which nobody does.
        name = action["entity"]["id"]
        actions = (name,) if verbs(name) == (name,) else ()
    else:
        named = action["entities"] if "entities" in action else [action["entity"]]
        actions = tuple(sorted({verb for uid in named for verb in verbs(uid["id"])}))
        through_group = any(verbs(uid["id"]) != (uid["id"],) for uid in named)
    principal, in_principal = _side(policy["principal"])
    resource, in_resource = _side(policy["resource"])
    return Scope(actions, principal, resource, through_group or in_principal or in_resource)


def _side(constraint: Tree) -> tuple[Head, bool]:
    if "entity" in constraint:
        return (constraint["entity"]["type"], constraint["entity"]["id"]), constraint["op"] == "in"
    if "in" in constraint:
        return (constraint["in"]["entity"]["type"], constraint["in"]["entity"]["id"]), True
    if constraint["op"] == "is":
        return str(constraint["entity_type"]), False
    return None, False


def reads(policy: Tree) -> Reads:
    """What of the context the conditions read.

    A use of `context` that is neither `context.a.b` nor `context has a` reads all of it: to read too much costs a
    remembered answer, to read too little would give a wrong one.
    """
    values: set[str] = set()
    present: set[str] = set()
    everything = False
    stack = [clause["body"] for clause in policy.get("conditions", ())]
    while stack:
        node = stack.pop()
        if node == _CONTEXT:
            everything = True
        elif "." in node and (path := _path(node)) is not None:
            values.add(path)
        elif "has" in node and (path := _path(node["has"]["left"])) is not None:
            attribute = node["has"]["attr"]
            present.update((path, f"{path}.{attribute}") if path else (attribute,))
        else:
            stack.extend(children(node))
    return Reads(frozenset(values), frozenset(present), everything)


def looks_at_resource(policy: Tree) -> bool:
    """Whether the policy needs to know more of the resource than its type and id: its attributes, or what it is in.

    A condition can name it as a literal, too: `Table::"shop.x" in Database::"shop"` is false of a table that Cedar was not given.
    """
    if _side(policy["resource"])[1]:
        return True
    stack = [(clause["body"], False) for clause in policy.get("conditions", ())]
    while stack:
        node, known = stack.pop()
        if node == {"Var": "resource"}:
            return True
        ((operator, body),) = node.items()
        if known and isinstance(body, dict) and "__entity" in body:
            return True
        # What stands left of one of these has to be known; whatever is within that can be what stands there.
        subject = body["left"] if operator in _OF_THE_LEFT else None
        stack += [(child, known or child is subject) for child in children(node)]
    return False


def merge(several: Iterable[Reads]) -> Reads:
    """What any of them reads."""
    found = list(several)
    return Reads(
        frozenset().union(*(one.values for one in found)),
        frozenset().union(*(one.present for one in found)),
        any(one.all for one in found),
    )


def entity_literals(policy: Tree) -> Iterator[tuple[str, str, str]]:
    """Every entity that a policy names, as (type, id, how): `==` or `in` for the scope, `when` for a condition."""
    for side in ("principal", "action", "resource"):
        constraint = policy[side]
        how = "==" if constraint["op"] == "==" else "in"
        named = list(constraint.get("entities", ()))
        named += [constraint["entity"]] if "entity" in constraint else []
        named += [constraint["in"]["entity"]] if "in" in constraint else []
        for uid in named:
            yield uid["type"], uid["id"], how
    for node, _ in nodes(policy.get("conditions", ())):
        value = node.get("Value")
        if isinstance(value, dict) and "__entity" in value:
            yield value["__entity"]["type"], value["__entity"]["id"], "when"


def compared(conditions: Iterable[Tree]) -> Iterator[tuple[tuple[str, str], Tree]]:
    """((variable, path), literal) for every string that an attribute is compared with or searched for."""
    for node, _ in nodes(conditions):
        for operator in ("==", "!=", "contains", "containsAny", "containsAll"):
            if operator not in node:
                continue
            left, right = node[operator]["left"], node[operator]["right"]
            for one, other in ((left, right), (right, left)):
                if (path := path_of(one)) and path[1]:
                    yield from ((path, member) for member in _strings(other))


def ceilings(policy: Tree) -> Iterator[tuple[str, int]]:
    """(path, greatest number) for every attribute of the context that is compared with a number by order."""
    for node, _ in nodes(policy.get("conditions", ())):
        for operator, more in ((">", 0), ("<=", 0), (">=", -1), ("<", -1)):
            if operator not in node:
                continue
            left, right = node[operator]["left"], node[operator]["right"]
            if type(bound := right.get("Value")) is int and (path := _path(left)):
                yield path, bound + more
            elif type(bound := left.get("Value")) is int and (path := _path(right)):
                # `60 < context.n` is `context.n > 60`
                yield path, bound + (-1 - more)


def approvals(policy: Tree) -> tuple[frozenset[str], frozenset[str]]:
    """The groups whose approval makes an `unless` true, as `context.approvals.contains("…")` says, and those that make it false."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    stack = [(clause["body"], True) for clause in policy.get("conditions", ()) if clause["kind"] == "unless"]
    while stack:
        node, wanted = stack.pop()
        ((operator, body),) = node.items()
        if operator in ("contains", "containsAny", "containsAll") and _path(body["left"]) == "approvals":
            found[wanted].update(member["Value"] for member in _strings(body["right"]))
        elif operator == "if-then-else":
            turned = body["then"] == {"Value": False} or body["else"] == {"Value": True}
            stack += [(body["then"], wanted), (body["else"], wanted), (body["if"], wanted is not turned)]
        elif operator in ("==", "!="):
            for one, other in ((body["left"], body["right"]), (body["right"], body["left"])):
                turned = other == {"Value": operator != "=="}  # `== false`, `!= true`
                stack.append((one, wanted is not turned))
        else:
            stack += [(child, wanted is not (operator == "!")) for child in children(node)]
    return frozenset(found[True]), frozenset(found[False])


def nodes(conditions: Iterable[Tree]) -> Iterator[tuple[Tree, str]]:
    """Every expression of the conditions, with the kind of its clause; without recursion, for depth is the author's."""
    for clause in conditions:
        stack = [clause["body"]]
        while stack:
            node = stack.pop()
            yield node, clause["kind"]
            stack.extend(children(node))


def children(node: Tree) -> list[Tree]:
    """The operands of an expression, in the order of the text."""
    ((operator, body),) = node.items()
    if operator in ("Value", "Var"):
        return []
    if isinstance(body, list):
        return body
    if operator == "Record":
        return list(body.values())
    return [body[key] for key in ("left", "right", "arg", "if", "then", "else", "in") if key in body]


def _path(node: Tree) -> str | None:
    """`context.a.b` → `a.b`, `context` → "", anything else → None."""
    parts: list[str] = []
    while "." in node:
        parts.append(node["."]["attr"])
        node = node["."]["left"]
    return ".".join(reversed(parts)) if node == _CONTEXT else None


def path_of(node: Tree) -> tuple[str, str] | None:
    """`context.a.b`, `resource.region`, `principal` as (variable, dotted path); None for anything else."""
    parts: list[str] = []
    while "." in node:
        parts.append(node["."]["attr"])
        node = node["."]["left"]
    variable = node.get("Var")
    if not isinstance(variable, str) or any("." in part for part in parts):
        return None
    return variable, ".".join(reversed(parts))


def _strings(node: Tree) -> list[Tree]:
    members = node.get("Set", [node])
    return [member for member in members if isinstance(member.get("Value"), str)]
