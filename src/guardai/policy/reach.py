"""Policies that do nothing: that never apply, that another forbid covers, that a forbid keeps every call from.

INVARIANT: what is said here is proved, for every call that guardai makes; what cannot be proved is not said. Only policies
that Cedar's validation passes are looked at, so that no expression has a type that it cannot have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final, NamedTuple

from guardai.model import MASKS, REVEAL, ancestors
from guardai.policy.logic import Alternatives, Path, Term, TooMany, applies, is_false, is_true, reads_of
from guardai.policy.places import Places
from guardai.policy.problem import Problem
from guardai.policy.solve import Case, impossible, is_there
from guardai.policy.source import Policy
from guardai.policy.tree import Head, Tree, children, nodes, scope
from guardai.policy.vocabulary import PARENTS, PRINCIPALS, RESOURCES

__all__ = ["idle"]

#: How many pairs of policies are compared. Beyond it nothing more is said: a warning is no guarantee.
_PAIRS: Final = 20_000
_APPROVALS: Final = ("context", "approvals")
#: Operators that can fail although their operands are there.
_CAN_FAIL: Final = frozenset({"+", "-", "*", "neg", "getTag"})


class _Known(NamedTuple):
    """A policy, taken apart.

    Attributes:
        nodes: what is all true if it applies.
        when: each kind of call in which it may apply, and when.
        otherwise: when one of the nodes is false; None where that is too much to decide, or where it may fail instead.
        reads: what has to be there so that it does not fail.
        principal, resource: what its head is filed under.
    """

    policy: Policy
    places: Places
    nodes: list[Tree]
    when: dict[Case, Alternatives]
    otherwise: Alternatives | None
    reads: frozenset[Path]
    principal: Head
    resource: Head


def idle(policies: Sequence[Policy], more: Mapping[str, tuple[str, ...]], *, complete: bool) -> Iterator[Problem]:
    """What is wrong with policies that are right by themselves.

    Args:
        policies: those that Cedar's validation passes, of one bundle.
        more: action → types of resource that the folder's schema adds.
        complete: these are all of the bundle's policies; otherwise nothing is said of what is missing.
    """
    known = []
    undecided = not complete
    for policy in policies:
        found = _taken_apart(policy, more)
        if isinstance(found, Problem):
            yield found
        elif found is None:
            # It may be the permit that another policy seems to lack.
            undecided = True
        else:
            known.append(found)
            yield from _dead(found, _cases(policy.tree, more))
    forbids: dict[tuple[Head, Head], list[_Known]] = {}
    for one in known:
        if one.policy.effect == "forbid":
            forbids.setdefault((one.principal, one.resource), []).append(one)
    yield from _covered(known, forbids)
    if not undecided:
        yield from _in_vain(known)


def _taken_apart(policy: Policy, more: Mapping[str, tuple[str, ...]]) -> _Known | Problem | None:
    """The policy, or that it never applies; None if it is too much to decide."""
    places = Places(policy)
    tree = policy.tree
    nodes = applies(tree, places.conditions)
    try:
        alternatives = is_true(nodes)
    except TooMany:
        return None
    cases = _cases(tree, more)
    when = {
        case: possible for case in cases if (possible := [one for one in alternatives if not impossible(one, case)])
    }
    head = scope(tree)
    if when:
        reads = frozenset().union(*map(reads_of, nodes))
        return _Known(policy, places, nodes, when, _otherwise(nodes), reads, head.principal, head.resource)
    line, column, why = _why_never(places, alternatives, cases)
    return Problem("error", policy.file, line, policy.id, f"it never applies: {why}", column)


def _cases(tree: Tree, more: Mapping[str, tuple[str, ...]]) -> list[Case]:
    return [
        Case(action, principal, resource)
        for action in scope(tree).actions
        for principal in PRINCIPALS
        for resource in (*RESOURCES[action], *more.get(action, ()))
    ]


def _why_never(places: Places, alternatives: Alternatives, cases: list[Case]) -> tuple[int, int, str]:
    """Where and why: the one test that no call passes, or the two that exclude each other."""
    if len(alternatives) == 1:
        for term in alternatives[0]:
            if places.text(term.node) and all(impossible((term,), case) for case in cases):
                never = "never true" if term.as_written else "always true"
                return *places.of(term.node), f"for the calls in its head, {places.text(term.node)} is {never}"
        for one, other in combinations(alternatives[0], 2):
            if all(impossible((one, other), case) for case in cases):
                said = f"{_said(one, places)} and {_said(other, places)} exclude each other"
                return *places.of(other.node), said
    if not alternatives:
        return *places.begin, "its conditions are false by themselves"
    return *places.begin, "no call passes its head and all of its conditions"


def _said(term: Term, places: Places) -> str:
    text = places.text(term.node) or "its head"
    return text if term.as_written else f"not ({text})"


def _dead(known: _Known, cases: list[Case]) -> Iterator[Problem]:
    """Alternatives, of those that are joined by `||`, that no call in the head passes, whatever else holds; and so an `unless`."""
    head = applies(known.policy.tree, ())
    for part in _choices(known.places.conditions):
        if "||" in part or not known.places.text(part):
            continue
        try:
            alternatives = is_true([*head, part])
        except TooMany:
            continue
        if all(impossible(one, case) for one in alternatives for case in cases):
            line, column = known.places.of(part)
            message = f"part of it never holds: {known.places.text(part)}"
            yield Problem("warning", known.policy.file, line, known.policy.id, message, column)


def _choices(conditions: list[Tree]) -> Iterator[Tree]:
    """What any one of is enough: the operands of each `||`, and each `unless`."""
    for clause in conditions:
        if clause["kind"] == "unless":
            yield clause["body"]
        for node, _ in nodes([clause]):
            if "||" in node:
                yield from (node["||"]["left"], node["||"]["right"])


def _covered(known: list[_Known], forbids: dict[tuple[Head, Head], list[_Known]]) -> Iterator[Problem]:
    left = _PAIRS
    order = {one.policy.id: number for number, one in enumerate(known)}
    for one in known:
        candidates = [
            other
            for who in _above(one.principal)
            for what in _above(one.resource)
            for other in forbids.get((who, what), ())
            if other is not one and _may_cover(one, other, order)
        ]
        left -= len(candidates)
        if left < 0:
            return
        if one.policy.effect == "permit":
            blocking = _all_covered(one, candidates)
            if blocking:
                names = " and ".join(_named(other) for other in blocking)
                yield _warning(one, f"no call reaches it: what it permits is denied by {names}")
            continue
        for other in candidates:
            if _all_covered(one, [other]):
                asked = "approval" in one.policy.annotations and "approval" not in other.policy.annotations
                vain = ", so nobody is ever asked for its approval" if asked else ""
                message = f"it adds nothing: all that it denies is denied by {_named(other)}{vain}"
                yield _warning(one, f"{message}; remove it, or narrow the other")
                break


def _in_vain(known: list[_Known]) -> Iterator[Problem]:
    """Forbids that wait for an approval of what no permit permits: it is denied at once, and nobody is asked."""
    permits = [one for one in known if one.policy.effect == "permit"]
    left = _PAIRS
    for one in known:
        if "approval" not in one.policy.annotations or any(case.action == REVEAL for case in one.when):
            continue  # a reveal is masked, it does not pause; what it can be lifted by is another question
        for permit in permits:
            left -= 1
            if left < 0:
                return
            if _together(one, permit):
                break
        else:
            message = "no permit covers what it forbids, so an approval would not allow it, and nobody is asked"
            yield _warning(one, f"{message}; an approval lifts a forbid, it does not replace a permit")


def _together(forbid: _Known, permit: _Known) -> bool:
    """Whether the permit may apply, once approved, to something that the forbid denies."""
    for case in forbid.when.keys() & permit.when.keys():
        for tests in forbid.when[case]:
            left = tuple(test for test in tests if test.path != _APPROVALS)
            if any(not impossible((*left, *more), case) for more in permit.when[case]):
                return True
    return False


def _may_cover(one: _Known, other: _Known, order: dict[str, int]) -> bool:
    """Whether the other is at least as strict. Of two that say the same the later one is superfluous."""
    if one.policy.effect == "permit":
        return True
    mine, theirs = one.policy.annotations, other.policy.annotations
    if "on_denied" in mine and mine["on_denied"] != theirs.get("on_denied"):
        return False
    if "approval" in theirs and theirs["approval"] != mine.get("approval"):
        return False
    if any(case.action == REVEAL for case in one.when):
        if ("mask" in mine) is not ("mask" in theirs):
            return False  # the catalog's mask, whichever it is, is one of the two
        if "mask" in mine and MASKS.index(theirs["mask"]) > MASKS.index(mine["mask"]):
            return False
    same = one.nodes == other.nodes and one.when.keys() == other.when.keys()
    return not same or order[other.policy.id] < order[one.policy.id]


def _above(head: Head) -> list[Head]:
    """What a policy's side of a head has to be filed under to cover this one."""
    found: list[Head] = [None]
    if isinstance(head, str):
        found.append(head)
    elif head is not None:
        kind, name = head
        found += [head, kind, *(child for child, parent in PARENTS.items() if parent == kind and child != kind)]
        if kind == "Label":
            found += [(kind, group) for group in ancestors(name)]
    return found


def _all_covered(one: _Known, others: list[_Known]) -> list[_Known]:
    """The policies that cover every case of the first; none if some case is left."""
    used: dict[str, _Known] = {}
    for case, alternatives in one.when.items():
        for tests in alternatives:
            for other in others:
                if _follows(other, tests, case):
                    used[other.policy.id] = other
                    break
            else:
                return []
    return list(used.values())


def _follows(other: _Known, tests: tuple[Term, ...], case: Case) -> bool:
    """Whether the other policy applies wherever these tests pass: it cannot be false, and it cannot fail."""
    if other.otherwise is None or case not in other.when:
        return False
    if any(is_there(path, case, tests) is not True for path in other.reads):
        return False
    return all(impossible((*tests, *more), case) for more in other.otherwise)


def _otherwise(nodes: list[Tree]) -> Alternatives | None:
    stack = list(nodes)
    while stack:
        one = stack.pop()
        ((operator, body),) = one.items()
        if operator in _CAN_FAIL or (isinstance(body, list) and operator != "Set"):
            return None
        stack.extend(children(one))
    try:
        return is_false(nodes)
    except TooMany:
        return None


def _named(known: _Known) -> str:
    return f"{known.policy.id} ({known.policy.file}:{known.policy.line})"


def _warning(known: _Known, message: str) -> Problem:
    line, column = known.places.begin
    return Problem("warning", known.policy.file, line, known.policy.id, message, column)
