"""A condition taken apart: the comparisons that it is made of, what each reads, and what would make it true or false.

Paths here begin with the variable: `context.environment`, `context.to.region`, `resource.region`, `principal.user`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from guardai.policy.tree import Tree
from guardai.policy.vocabulary import SCALARS

__all__ = ["ABSENT", "ANOTHER", "Leaf", "attribute", "conditions", "conjuncts", "constants", "leaves", "settings"]

_ORDERED: Final = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_CONTRARY: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
#: Stands for a value that no policy names.
ANOTHER: Final = "another"


class _Absent:
    """Stands for an attribute that is not there."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()

Read = Callable[[str], Any]


class Leaf(NamedTuple):
    """One comparison, and whether the condition needs it to be true or false."""

    node: Tree
    wanted: bool


def conditions(policy: Tree) -> Iterator[tuple[str, Tree]]:
    """(kind, expression) of a policy's conditions: each conjunct of a `when`, each disjunct of an `unless`."""
    for clause in policy.get("conditions", ()):
        parts = conjuncts(clause["body"]) if clause["kind"] == "when" else _operands(clause["body"], "||")
        for part in parts:
            yield clause["kind"], part


def conjuncts(body: Tree) -> list[Tree]:
    """The parts of a chain of `&&`."""
    return _operands(body, "&&")


def _operands(body: Tree, operator: str) -> list[Tree]:
    found: list[Tree] = []
    stack = [body]
    while stack:
        node = stack.pop()
        if operator in node:
            stack += [node[operator]["right"], node[operator]["left"]]
        else:
            found.append(node)
    return found


def leaves(body: Tree, *, wanted: bool = True) -> Iterator[Leaf]:
    """The comparisons of an expression; each once for either way in which an `if` may need it."""
    stack = [(body, wanted)]
    while stack:
        node, want = stack.pop()
        ((operator, inner),) = node.items()
        if operator in ("&&", "||"):
            stack += [(inner["right"], want), (inner["left"], want)]
        elif operator == "!":
            stack.append((inner["arg"], not want))
        elif operator == "if-then-else":
            stack += [(inner["else"], want), (inner["then"], want), (inner["if"], False), (inner["if"], True)]
        elif operator not in ("Value", "Var"):
            yield Leaf(node, want)


def attribute(node: Tree) -> str | None:
    """`context.a.b`, `resource.region`, …; None for anything else, and for a variable alone."""
    parts: list[str] = []
    while "." in node:
        parts.append(node["."]["attr"])
        node = node["."]["left"]
    if "Var" not in node or not parts:
        return None
    return ".".join((node["Var"], *reversed(parts)))


def constants(node: Tree) -> list[Any]:
    """The literals of a value or a set of them; entities left out."""
    members = node.get("Set", [node])
    return [one["Value"] for one in members if isinstance(one.get("Value"), str | int)]


def settings(
    node: Tree, read: Read, known: Callable[[str], Iterable[Any]], *, truth: bool
) -> Iterator[tuple[str, Any]]:
    """(path, value) pairs each of which by itself could make a comparison true, or false.

    Whether it does is for Cedar to say: these are only the values worth trying.

    Args:
        node: the comparison.
        read: the present value of a path; None if it is not there.
        known: values of a path that policies name.
        truth: what it should become.
    """
    ((operator, body),) = node.items()
    if operator == "." and (path := attribute(node)):
        yield path, truth
    elif operator in ("==", "!="):
        yield from _equal(body, read, known, same=truth is (operator == "=="))
    elif operator in _ORDERED:
        yield from _ordered(operator if truth else _CONTRARY[operator], body, read)
    elif operator == "contains":
        yield from _contains(body, read, known, truth=truth)
    elif operator in ("containsAny", "containsAll") and (path := attribute(body["left"])):
        given, named = _members(read(path)), constants(body["right"])
        if truth:
            wanted = [(one,) for one in named] if operator == "containsAny" else [tuple(named)]
            yield from ((path, tuple(sorted({*given, *more}))) for more in wanted)
        else:
            yield path, tuple(one for one in given if one not in named)
    elif operator == "isEmpty" and (path := attribute(body["arg"])):
        yield path, () if truth else (ANOTHER,)
    elif operator == "like" and (path := attribute(body["left"])):
        if truth:
            yield path, "".join(part["Literal"] for part in body["pattern"] if part != "Wildcard")
        else:
            yield from ((path, value) for value in _others(path, (), known))
    elif operator == "has" and not truth:
        path = f"{attribute(body['left'])}.{body['attr']}" if attribute(body["left"]) else ""
        if "Var" in body["left"]:
            path = f"{body['left']['Var']}.{body['attr']}"
        if path.startswith("context."):
            yield path, ABSENT


def _equal(body: Any, read: Read, known: Callable[[str], Iterable[Any]], *, same: bool) -> Iterator[tuple[str, Any]]:
    for one, other in ((body["left"], body["right"]), (body["right"], body["left"])):
        path, against = attribute(one), attribute(other)
        if path is None:
            continue
        values = [read(against)] if against else constants(other) if "Value" in other else []
        values = [value for value in values if value is not None]
        if same:
            yield from ((path, value) for value in values)
        elif values:
            yield from ((path, value) for value in _others(path, values, known))


def _ordered(operator: str, body: Any, read: Read) -> Iterator[tuple[str, Any]]:
    for one, other, sign in (
        (body["left"], body["right"], operator),
        (body["right"], body["left"], _TURNED[operator]),
    ):
        path = attribute(one)
        bounds = [read(against)] if (against := attribute(other)) else constants(other)
        for bound in bounds:
            if path and type(bound) is int:
                yield path, bound + {"<": -1, "<=": 0, ">": 1, ">=": 0}[sign]


def _contains(
    body: Any, read: Read, known: Callable[[str], Iterable[Any]], *, truth: bool
) -> Iterator[tuple[str, Any]]:
    held, member = attribute(body["left"]), attribute(body["right"])
    if held:
        given = _members(read(held))
        for one in [read(member)] if member else constants(body["right"]):
            if truth:
                yield held, tuple(sorted({*given, one}))
            else:
                yield held, tuple(other for other in given if other != one)
    elif member:
        listed = constants(body["left"])
        yield from ((member, value) for value in (listed if truth else _others(member, listed, known)))


def _members(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list | frozenset) else ()


def _others(path: str, than: Iterable[Any], known: Callable[[str], Iterable[Any]]) -> list[Any]:
    """Values that are none of these: those that it can have, those that policies name, or one that nobody does."""
    values = list(than)
    if any(type(value) is bool for value in values):
        return [value for value in (True, False) if value not in values]
    if any(type(value) is int for value in values):
        return [max(values) + 1]
    choices = SCALARS[name].choices if (name := path.removeprefix("context.")) in SCALARS else ()
    found = [value for value in (choices or known(path)) if isinstance(value, str) and value not in values]
    return found or [ANOTHER]
