"""Requests made up from the conditions of policies: every literal and bound that they compare with, on both of its sides.

For each policy that is worth asking about a request is made to which it applies; then each of the things that any policy of
the same action reads is set otherwise, one by one and in pairs. So a difference that takes three things at once, none of
them in the policy itself, is not found: it is a search, no proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, islice, product
from typing import Any, Final

from guardai.model import REVEAL, Destination, Principal, Resource, ancestors
from guardai.policy.asked import Asked
from guardai.policy.change import ABSENT, put, read
from guardai.policy.leaves import conditions, leaves, settings
from guardai.policy.source import Policy
from guardai.policy.tree import Head, entity_literals, scope
from guardai.policy.vocabulary import CONTEXT, ENTITIES, LABELS, OPEN_FAMILIES, OWN, PARENTS, RECORDS, RESOURCES

__all__ = ["blank", "literals", "probes"]

#: Values of one attribute that are tried, requests to which one policy applies, variations of one request.
_VALUES: Final = 8
_SOLVED: Final = 6
_VARIED: Final = 600
#: Requests about one policy and action, however many policies there are.
_LEAST: Final = 12
#: Policies of one action that are looked at for what they read.
_NEIGHBOURS: Final = 200
#: Those of whom no policy speaks.
_AGENT: Final = "an-agent"
_USER: Final = "a-user"
_NAME: Final = "a-name"
_LABEL: Final = "pii.email"
#: Which action has which of the records that can be missing.
_HAVE: Final = {"sql": ("db",), "model": ("llm",), "tool": ("tool", "mcp")}
_DEFAULTS: Final[dict[str, Any]] = {"String": "", "Bool": False, "Long": 0, "Set<String>": ()}
_TO: Final = Destination("model", "", "unknown", "unlisted")

_Dims = dict[str, dict[Any, None]]


def probes(about: list[Policy], all_: Iterable[Policy], labels: Iterable[str], most: int) -> Iterator[Asked]:
    """Requests about these policies.

    Args:
        about: the policies that are asked about.
        all_: those that can answer, too.
        labels: more labels that are worth asking about.
        most: how many requests at most, of which each policy has its share.

    Returns:
        Questions of one action and one resource, or, without a verb, of one label's reveal.
    """
    by_action: dict[str, list[Policy]] = {}
    for policy in all_:
        for action in scope(policy.tree).actions:
            by_action.setdefault(action, []).append(policy)
    more = tuple(labels)
    for label in more:
        yield blank(REVEAL, Principal("Agent", _AGENT, _USER), label)
    for policy in about:
        actions = scope(policy.tree).actions
        share = max(_LEAST, most // (len(about) * max(1, len(actions))))
        for action in actions:
            yield from islice(_of(policy, action, by_action.get(action, [])[:_NEIGHBOURS], more), share)


def blank(verb: str, principal: Principal, what: Resource | str) -> Asked:
    """A request in which everything is there and nothing is said."""
    context: dict[str, Any] = {}
    family = verb.partition(".")[0]
    for one in CONTEXT:
        record = one.name.partition(".")[0] if "." in one.name else ""
        if record == "to" or (record and RECORDS[record] and family not in _HAVE.get(record, ())):
            continue
        context[one.name] = one.choices[0] if one.choices and one.type == "String" else _DEFAULTS[one.type]
    if isinstance(what, str):
        return Asked(principal, (), (), context, labels=(what,), to=_TO)
    return Asked(principal, (verb,), (what,), context)


def _of(policy: Policy, action: str, neighbours: list[Policy], labels: tuple[str, ...]) -> Iterator[Asked]:
    head = scope(policy.tree)
    whos = list(_principals([head.principal], policy.tree["principal"]))
    whats = list(_resources(action, [head.resource], labels if policy.tree["resource"]["op"] == "All" else ()))
    heads = [scope(one.tree) for one in neighbours]
    others = list(islice(_principals([one.principal for one in heads], None), _VALUES))
    things = list(islice(_resources(action, [one.resource for one in heads], labels), _VALUES))
    for who, what in product(whos, whats):
        for solved in islice(_solved(policy, blank(action, who, what)), _SOLVED):
            yield solved
            dims = _dims(neighbours, solved)
            yield from islice(_varied(solved, dims), _VARIED)
            for other in others:
                yield solved._replace(principal=other)
            for thing in things:
                other_thing = blank(action, who, thing)
                yield solved._replace(resources=other_thing.resources, labels=other_thing.labels)


def _solved(policy: Policy, base: Asked) -> Iterator[Asked]:
    """The request changed so that each comparison of the policy is as it needs it; several ways where there are several."""
    ways: list[list[tuple[str, Any]]] = []
    for kind, node in conditions(policy.tree):
        for leaf in leaves(node, wanted=kind == "when"):
            found = list(settings(leaf.node, lambda path: read(base, path), lambda _: (), truth=leaf.wanted))
            if found:
                ways.append(found[:3])
    for chosen in product(*ways):
        made = base
        for path, value in chosen:
            made = _put(made, path, value)
        yield made
    if ways:
        yield base


def _dims(policies: list[Policy], base: Asked) -> _Dims:
    """What these policies read → the values worth trying, on both sides of each comparison."""
    dims: _Dims = {}
    for policy in policies:
        for _, node in conditions(policy.tree):
            for leaf in leaves(node):
                for truth in (True, False):
                    for path, value in settings(leaf.node, lambda path: read(base, path), lambda _: (), truth=truth):
                        values = dims.setdefault(path, {})
                        if len(values) < _VALUES:
                            values[value] = None
    return dims


def _varied(base: Asked, dims: _Dims) -> Iterator[Asked]:
    singles = [(path, value) for path, values in dims.items() for value in values]
    for path, value in singles:
        yield _put(base, path, value)
    for (path, value), (other, another) in combinations(singles, 2):
        if path != other:
            yield _put(_put(base, path, value), other, another)


def _put(asked: Asked, path: str, value: Any) -> Asked:
    """The request with a value where it can have one; an attribute of a type that has none stays away."""
    root, _, name = path.partition(".")
    if root == "resource" and asked.resources:
        known = dict(ENTITIES.get(asked.resources[0].type, ()))
        return put(asked, path, value) if name in known and isinstance(value, str) else asked
    if root == "principal":
        return put(asked, path, value) if name in ("user", "assurance", "chain") else asked
    if name.startswith("to."):
        fits = asked.to is not None and name[3:] in Destination._fields and isinstance(value, str)
        return put(asked, path, value) if fits else asked
    if not asked.verbs and name in OWN:
        return asked
    if root != "context" or (value is not ABSENT and "." in name and not _has_record(asked, name)):
        return asked
    return put(asked, path, value)


def _has_record(asked: Asked, name: str) -> bool:
    record = name.partition(".")[0]
    return record not in RECORDS or any(one.startswith(f"{record}.") for one in asked.context)


def _principals(heads: Iterable[Head], side: Any) -> Iterator[Principal]:
    """Principals that these sides of a scope name, each once."""
    seen: dict[Principal, None] = {}
    for head in heads:
        match head:
            case (("Agent" | "App") as kind, name):
                seen[Principal(kind, name, _USER)] = None
            case ("User", name):
                kinds = [side["entity_type"]] if side is not None and "entity_type" in side else ["Agent", "App"]
                seen.update(dict.fromkeys(Principal(kind, _AGENT, name) for kind in kinds))  # type: ignore[arg-type]
            case "Agent" | "App":
                seen[Principal(head, _AGENT, _USER)] = None
            case None:
                seen.update(dict.fromkeys(Principal(kind, _AGENT, _USER) for kind in ("Agent", "App")))
            case _:
                continue
    yield from seen


def _resources(action: str, heads: Iterable[Head], labels: tuple[str, ...]) -> Iterator[Resource | str]:
    """What these sides of a scope name, or something that is in it, each once."""
    if action == REVEAL:
        yield from dict.fromkeys(label for head in heads for label in _labels(head, labels))
        return
    seen: dict[Resource, None] = {}
    for head in heads:
        kinds = RESOURCES[action]
        match head:
            case (kind, name) if kind in kinds:
                seen[_thing(kind, name)] = None
                if kind == "Database" and "Table" in kinds:
                    seen[_thing("Table", f"{name}.{_NAME}")] = None
            case (kind, name):
                inside = [one for one in kinds if PARENTS.get(one) == kind]
                seen.update(dict.fromkeys(_thing(one, f"{name}.{_NAME}", (kind, name)) for one in inside))
            case str() if head in kinds:
                seen[_thing(head, _NAME)] = None
            case None:
                seen.update(dict.fromkeys(_thing(one, _NAME) for one in kinds))
            case _:
                continue
    yield from seen


def _thing(kind: str, name: str, parent: tuple[str, str] | None = None) -> Resource:
    if parent is None and kind == "Table":
        parent = ("Database", name.partition(".")[0] if "." in name else _NAME)
    attrs = tuple((key, "unlisted" if key == "trust" else "") for key, _ in sorted(ENTITIES[kind]))
    return Resource(kind, name, parent, attrs)


def _labels(head: Head, more: tuple[str, ...]) -> Iterator[str]:
    if isinstance(head, tuple):
        name = head[1]
        known = sorted(LABELS | set(more))
        inside = [one for one in known if name == one or name in ancestors(one)]
        yield from inside[:2]
        if name in OPEN_FAMILIES:
            yield f"{name}.{'eu' if name == 'origin' else 'any'}"
        return
    yield from (_LABEL, "secret.any", "origin.eu", "dataset.any", "trust.untrusted", "opaque.image", *more[:_VALUES])


def literals(policies: Iterable[Policy]) -> Iterator[str]:
    """The labels that conditions name."""
    for policy in policies:
        for kind, name, _ in entity_literals(policy.tree):
            if kind == "Label" and "." in name:
                yield name
