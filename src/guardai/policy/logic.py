"""When a policy applies, as alternatives: each a list of single tests that all have to hold.

The three outcomes of Cedar are kept apart. `a && b` is true if both are, and false if a is, or if a is true and b is false;
where a fails, the whole fails, and is neither. So every expression is turned into when it is *true* and when it is *false*,
and a test of either kind says besides that what it reads is there.

What is no simple test is `opaque`: nothing is known of it but that the same expression has the same outcome.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from guardai.policy.tree import Tree, children, path_of

__all__ = ["Alternatives", "Path", "Term", "TooMany", "applies", "is_false", "is_true", "reads_of"]

#: Alternatives of one policy; people write up to a dozen.
_MOST: Final = 256
_encode: Final = msgspec.json.Encoder(order="deterministic").encode

#: `context.sql.unbounded` → ("context", "sql.unbounded"); `resource` → ("resource", "").
Path = tuple[str, str]


class Term(NamedTuple):
    """One test, and the outcome that it has to have.

    Attributes:
        kind: `equal`, `one_of`, `like`, `less`, `most` (of a value); `holds`, `empty` (of a set); `has`; `is`, `in` (of an
            entity); `opaque`.
        path: what is tested; of an opaque one the expression itself.
        value: what it is tested for.
        outcome: true or false.
        reads: the paths that have to be there for it to have an outcome.
        node: the expression.
        as_written: the outcome that the expression itself has to have.
    """

    kind: str
    path: Path
    value: Any
    outcome: bool
    reads: frozenset[Path]
    node: Tree
    as_written: bool = True


Alternatives = list[tuple[Term, ...]]


class TooMany(Exception):
    """More alternatives than are looked at."""


def reads_of(node: Tree) -> frozenset[Path]:
    """Every path that an expression reads; what is only asked for with `has` is not read."""
    found: set[Path] = set()
    stack = [node]
    while stack:
        one = stack.pop()
        path = path_of(one)
        if path is None:
            stack.extend(children(one))
        elif path[1]:
            found.add(path)
    return frozenset(found)


def _head(policy: Tree) -> list[Tree]:
    """The head of a policy as conditions."""
    made: list[Tree] = []
    for side in ("principal", "action", "resource"):
        said = policy[side]
        variable: Tree = {"Var": side}
        if said["op"] == "==":
            made.append({"==": {"left": variable, "right": _literal(said["entity"])}})
        elif said["op"] == "in":
            named = said["entities"] if "entities" in said else [said["entity"]]
            right = {"Set": [_literal(one) for one in named]} if "entities" in said else _literal(named[0])
            made.append({"in": {"left": variable, "right": right}})
        elif said["op"] == "is":
            body: dict[str, Any] = {"left": variable, "entity_type": said["entity_type"]}
            if "in" in said:
                body["in"] = _literal(said["in"]["entity"])
            made.append({"is": body})
    return made


def applies(policy: Tree, conditions: Iterable[Tree]) -> list[Tree]:
    """The expressions that are all true if the policy applies, in the order in which Cedar evaluates them."""
    bodies = [one["body"] if one["kind"] == "when" else {"!": {"arg": one["body"]}} for one in conditions]
    return [*_head(policy), *bodies]


def _literal(uid: Tree) -> Tree:
    return {"Value": {"__entity": {"type": uid["type"], "id": uid["id"]}}}


def is_true(nodes: Iterable[Tree]) -> Alternatives:
    """When all of these are true.

    Raises:
        TooMany: there are too many alternatives.
    """
    found: Alternatives = [()]
    for node in nodes:
        found = _both(found, _outcome(node, outcome=True))
    return found


def is_false(nodes: list[Tree]) -> Alternatives:
    """When one of these is false and those before it are true.

    Raises:
        TooMany: there are too many alternatives.
    """
    found: Alternatives = []
    before: Alternatives = [()]
    for node in nodes:
        found = _limited([*found, *_both(before, _outcome(node, outcome=False))])
        before = _both(before, _outcome(node, outcome=True))
    return found


def _both(one: Alternatives, other: Alternatives) -> Alternatives:
    if len(one) * len(other) > _MOST:
        raise TooMany
    return [(*left, *right) for left in one for right in other]


def _limited(found: Alternatives) -> Alternatives:
    if len(found) > _MOST:
        raise TooMany
    return found


def _outcome(node: Tree, *, outcome: bool) -> Alternatives:
    ((operator, body),) = node.items()
    match operator:
        case "Value" if isinstance(body, bool):
            return [()] if body is outcome else []
        case "!":
            return _outcome(body["arg"], outcome=not outcome)
        case "&&" | "||":
            left, right = body["left"], body["right"]
            # Of `&&` false, of `||` true: the left alone decides.
            deciding = operator == "||"
            if outcome is deciding:
                goes_on = _both(_outcome(left, outcome=not deciding), _outcome(right, outcome=outcome))
                return _limited([*_outcome(left, outcome=deciding), *goes_on])
            return _both(_outcome(left, outcome=outcome), _outcome(right, outcome=outcome))
        case "if-then-else":
            then = _both(_outcome(body["if"], outcome=True), _outcome(body["then"], outcome=outcome))
            otherwise = _both(_outcome(body["if"], outcome=False), _outcome(body["else"], outcome=outcome))
            return _limited([*then, *otherwise])
        case "is" if "in" in body:
            alone = {"is": {"left": body["left"], "entity_type": body["entity_type"]}}
            inside = {"in": {"left": body["left"], "right": body["in"]}}
            return _outcome({"&&": {"left": alone, "right": inside}}, outcome=outcome)
        case _:
            return _test(node, operator, body, outcome=outcome)


def _test(node: Tree, operator: str, body: Any, *, outcome: bool) -> Alternatives:
    reads = reads_of(node)

    def one(kind: str, path: Path, value: Any, *, says: bool | None = None) -> Alternatives:
        return [(Term(kind, path, value, outcome if says is None else says, reads, node, outcome),)]

    opaque = one("opaque", ("", _encode(node).decode()), None)
    path = path_of(node)
    if path is not None:
        return one("equal", path, True) if path[1] else opaque
    match operator:
        case "==" | "!=":
            for this, that in ((body["left"], body["right"]), (body["right"], body["left"])):
                path, value = path_of(this), _value(that)
                if path and value is not None:
                    return one("equal", path, value, says=outcome is (operator == "=="))
            if operator == "!=":
                return _outcome({"==": body}, outcome=not outcome)
        case "contains" if (path := path_of(body["left"])) and (value := _value(body["right"])) is not None:
            return one("holds", path, value)
        case "contains" if (path := path_of(body["right"])) and (values := _values(body["left"])) is not None:
            return one("one_of", path, values)
        case "containsAny" | "containsAll" if (path := path_of(body["left"])) and (
            values := _values(body["right"])
        ) is not None:
            tests = [one("holds", path, value)[0][0] for value in values]
            # Any of them true, or all of them false: and the other way round.
            if outcome is (operator == "containsAny"):
                return _limited([(test,) for test in tests])
            return [tuple(tests)] if tests else opaque
        case "isEmpty" if path := path_of(body["arg"]):
            return one("empty", path, None)
        case "like" if path := path_of(body["left"]):
            return one("like", path, tuple(_piece(piece) for piece in body["pattern"]))
        case "has" if path := path_of(body["left"]):
            if "." not in body["attr"]:
                whole = (path[0], f"{path[1]}.{body['attr']}" if path[1] else body["attr"])
                return one("has", whole, None)
        case "is" if path := path_of(body["left"]):
            return one("is", path, body["entity_type"])
        case "in" if path := path_of(body["left"]):
            value = _value(body["right"])
            values = (value,) if isinstance(value, tuple) else _values(body["right"])
            if values is not None and all(isinstance(value, tuple) for value in values):
                return one("in", path, values)
        case "<" | "<=" | ">" | ">=":
            return _order(operator, body, one) or opaque
    return opaque


def _order(operator: str, body: Any, one: Any) -> Alternatives | None:
    """A comparison of numbers as `path < n` or its opposite."""
    left, right = path_of(body["left"]), path_of(body["right"])
    if left and type(number := _value(body["right"])) is int:
        limit, opposite = {
            "<": (number, False),
            "<=": (number + 1, False),
            ">": (number + 1, True),
            ">=": (number, True),
        }[operator]
        found: Alternatives = one("less", left, limit)
    elif right and type(number := _value(body["left"])) is int:
        limit, opposite = {
            "<": (number + 1, True),
            "<=": (number, True),
            ">": (number, False),
            ">=": (number + 1, False),
        }[operator]
        found = one("less", right, limit)
    else:
        return None
    ((test,),) = found
    return [(test._replace(outcome=test.outcome is not opposite),)]


def _value(node: Tree) -> Any:
    """A literal: a string, a number, a boolean, or an entity as (type, id); None for anything else."""
    value = node.get("Value")
    if isinstance(value, dict):
        return (value["__entity"]["type"], value["__entity"]["id"]) if "__entity" in value else None
    return value


def _values(node: Tree) -> tuple[Any, ...] | None:
    members = [_value(member) for member in node["Set"]] if "Set" in node else [None]
    return None if None in members else tuple(members)


def _piece(piece: Any) -> str | None:
    return piece["Literal"] if isinstance(piece, dict) else None
