"""The smallest changes of a call that would change its answer, each tried before it is told.

What is worth trying stands in the policies themselves: the literals and bounds that their conditions compare with. A set
of changes is told only if the engine, asked again with it, answers as was wished, and no smaller set did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from typing import Any, Final, NamedTuple

from guardai.policy.asked import Asked, judge
from guardai.policy.bundle import Bundle
from guardai.policy.engine import Engine
from guardai.policy.leaves import ABSENT, ANOTHER, conditions, leaves, settings
from guardai.policy.parts import Situation, situations
from guardai.policy.question import Refused
from guardai.policy.source import Policy, parse
from guardai.policy.vocabulary import COUNTERS

__all__ = ["ABSENT", "Change", "Wish", "apply", "can_allow", "candidates", "put", "read", "smallest", "with_a_permit"]

#: Changes that are tried, sets of them that are tried, changes in a set, sets that are told.
_CANDIDATES: Final = 40
_TRIED: Final = 3_000
_SIZE: Final = 3
_TOLD: Final = 5
#: What is asked of a human comes before what is made otherwise, and that before a policy that has to be written.
_COST: Final = ("approval", "grant", "environment", "destination", "attribute", "label", "principal", "permit")
_PERMIT: Final = parse("permit (principal, action, resource);", "written", 1)

Wish = Callable[[Asked], bool]


class Change(NamedTuple):
    """One thing that is otherwise than it was.

    Attributes:
        kind: `approval`, `grant`, `environment`, `destination`, `attribute`, `label`, `principal`, or `permit`: a policy.
        path: `context.environment`; "" for a permit.
        value: what it is then; for a set what joins it, or leaves it, unless it is the whole set that goes: `ABSENT`.
        now: what it is; for a set None.
        leaves: the value leaves the set.
    """

    kind: str
    path: str
    value: Any
    now: Any = None
    leaves: bool = False

    def __str__(self) -> str:
        if self.kind == "permit":
            return "a permit that covers it is written; there is none that applies"
        if self.kind == "approval":
            return f"a human of {self.value} agrees"
        if self.kind == "grant":
            return f"a grant {self.value!r} covers it"
        if self.value is ABSENT:
            return f"{self.path} is not there"
        if self.now is None and isinstance(self.value, str) and self._of_set:
            return (
                f"{self.path} does not hold {quoted(self.value)}"
                if self.leaves
                else f"{self.path} holds {quoted(self.value)}"
            )
        if self.value == ANOTHER and self.now is None:
            return f"{self.path} is there, with a value that policies do not name"
        if self.value == ANOTHER:
            return f"{self.path} is another than {quoted(self.now)}"
        return f"{self.path} is {quoted(self.value)} instead of {'absent' if self.now is None else quoted(self.now)}"

    @property
    def _of_set(self) -> bool:
        return self.value is not ABSENT and self.path.removeprefix("context.") in _SETS

    def data(self) -> dict[str, Any]:
        """The same for programs."""
        told: dict[str, Any] = {"kind": self.kind, "says": str(self)}
        if self.path:
            how = "removes" if self.leaves else "adds" if self._of_set else "becomes"
            told |= {"attribute": self.path, how: None if self.value is ABSENT else self.value}
            if not self._of_set:
                told["is"] = self.now
        return told


#: What a call cannot have otherwise and still be this call.
_GIVEN: Final = frozenset({"context.to.kind", "context.mode", "context.session.id", "context.sql.dialect"})
_SETS: Final = frozenset(
    {
        "approvals",
        "grants",
        "labels",
        "opaque",
        "session.labels",
        "sql.effects",
        "sql.tables_read",
        "sql.tables_written",
    }
    | {"sql.columns_read", "sql.labels", "sql.functions"}
)


def quoted(value: Any) -> str:
    """A value as Cedar writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | frozenset):
        return f"[{', '.join(quoted(one) for one in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def read(asked: Asked, path: str) -> Any:
    """The value of a path in a call; None if it is not there."""
    root, _, name = path.partition(".")
    if root == "context":
        if name.startswith("to."):
            return getattr(asked.to, name[3:], None)
        return asked.whole.get(name, () if name in ("approvals", "grants") else 0 if name in COUNTERS else None)
    if root == "resource":
        return next((value for one in asked.resources for key, value in one.attrs if key == name), None)
    return getattr(asked.principal, name, None) if name in ("user", "assurance", "chain") else None


def apply(asked: Asked, changes: Iterable[Change]) -> Asked:
    """The call as it would be. Permits are no part of a call."""
    for change in changes:
        if change.kind == "permit":
            continue
        value = change.value
        if change._of_set:
            members = {*(read(asked, change.path) or ())}
            value = tuple(sorted(members - {value} if change.leaves else members | {value}))
        asked = put(asked, change.path, value)
    return asked


def put(asked: Asked, path: str, value: Any) -> Asked:
    """The call with another value at a path; `ABSENT` takes it away, with all that is below."""
    root, _, name = path.partition(".")
    if root == "resource":
        resources = tuple(
            one._replace(attrs=tuple({**dict(one.attrs), name: value}.items())) for one in asked.resources
        )
        return asked._replace(resources=resources)
    if root == "principal":
        return asked._replace(principal=asked.principal._replace(**{name: value}))
    if name.startswith("to.") and asked.to is not None:
        return asked._replace(to=asked.to._replace(**{name[3:]: value}))
    own = {key: one for key, one in asked.own.items() if key != name and not key.startswith(f"{name}.")}
    context = {
        key: one for key, one in asked.context.items() if value is not ABSENT or not f"{key}.".startswith(f"{name}.")
    }
    if value is not ABSENT:
        context[name] = value
    return asked._replace(own=own, context=context)


def candidates(asked: Asked, asking: list[tuple[Situation, list[Policy]]]) -> list[Change]:
    """Changes that are worth trying, cheapest first: what would unmake a forbid that applies, or make a permit apply.

    Of very many those of the policies that lack the least.
    """
    named: dict[str, dict[Any, None]] = {}
    for _, policies in asking:
        for policy in policies:
            for path, value in _literals(policy):
                named.setdefault(path, {})[value] = None
    levers: list[tuple[int, list[tuple[Any, bool]]]] = []
    for situation, policies in asking:
        for policy in policies:
            forbids = policy.effect == "forbid"
            if forbids is not (situation.applies(policy) is True):
                continue
            lacking = [(node, truth) for node, truth in _levers(policy) if situation.true(node) is not truth]
            levers.append((0 if forbids else len(lacking), lacking))
    found: dict[Change, None] = {}
    for _, lacking in sorted(levers, key=lambda one: one[0]):
        for node, truth in lacking:
            for path, value in settings(
                node, lambda path: read(asked, path), lambda path: named.get(path, ()), truth=truth
            ):
                found.update(dict.fromkeys(_changes(asked, path, value)))
    nearest = list(found)[:_CANDIDATES]
    return sorted(nearest, key=lambda one: _COST.index(one.kind))


def _literals(policy: Policy) -> Iterator[tuple[str, Any]]:
    for _, node in conditions(policy.tree):
        for leaf in leaves(node):
            yield from settings(leaf.node, lambda _: None, lambda _: (), truth=True)


def _levers(policy: Policy) -> Iterator[tuple[Any, bool]]:
    """The comparisons of a policy, and what each would have to be: for a permit to apply, for a forbid not to."""
    for kind, node in conditions(policy.tree):
        for leaf in leaves(node, wanted=kind == "when"):
            yield leaf.node, leaf.wanted is (policy.effect == "permit")


def _changes(asked: Asked, path: str, value: Any) -> Iterator[Change]:
    now = read(asked, path)
    kind = _kind(path)
    name = path.removeprefix("context.")
    if name in _SETS and isinstance(value, tuple):
        given = set(now or ())
        # Nobody takes an approval back so that a call may pass.
        for one in sorted(set(value) - given):
            yield Change(kind, path, one)
        if name not in ("approvals", "grants"):
            for one in sorted(given - set(value)):
                yield Change(kind, path, one, leaves=True)
    elif (
        path not in _GIVEN
        and (path.startswith(("context.", "resource.")) or path in ("principal.user", "principal.assurance"))
        and (value != now or type(value) is not type(now))
    ):
        yield Change(kind, path, value, now)


def _kind(path: str) -> str:
    name = path.removeprefix("context.")
    if name in ("approvals", "grants"):
        return name[:-1]
    if name in ("environment", "labels", "opaque", "session.labels"):
        return "environment" if name == "environment" else "label"
    if name.startswith("to."):
        return "destination"
    return "principal" if path.startswith("principal.") else "attribute"


def smallest(asked: Asked, tries: list[Change], wish: Wish, permit: Wish | None = None) -> list[tuple[Change, ...]]:
    """The smallest sets of changes after which the wish is granted, cheapest first.

    Args:
        asked: the call as it is.
        tries: what may be changed.
        wish: asks the engine again.
        permit: the same, with one more policy that permits everything: whether a permit is what lacks.
    """
    tried = 0
    for size in range(1, _SIZE + 1):
        found: list[tuple[Change, ...]] = []
        for chosen in combinations(tries, size):
            paths = [one.path for one in chosen if not one._of_set]
            if len(set(paths)) < len(paths):
                continue
            tried += 1
            if tried > _TRIED:
                return found[:_TOLD]
            if _granted(wish, asked, chosen):
                found.append(chosen)
        if found:
            return sorted(found, key=lambda one: sum(_COST.index(change.kind) for change in one))[:_TOLD]
    return [(Change("permit", "", None),)] if permit is not None and _granted(permit, asked, ()) else []


def _granted(wish: Wish, asked: Asked, changes: tuple[Change, ...]) -> bool:
    try:
        return wish(apply(asked, changes))
    except Refused:
        return False


def can_allow(engine: Engine) -> Wish:
    """Whether the call is allowed."""
    return lambda asked: judge(engine, asked).effect == "allow"


def with_a_permit(bundle: Bundle) -> Wish:
    """Whether the call would be, if there were one more permit."""

    def wish(asked: Asked) -> bool:
        for situation in situations(asked):
            names = bundle.index.names(*situation.head)
            policies = [(name, bundle.policies[name].json) for name in names]
            if situation.permitted([*policies, ("written", _PERMIT.json)]) is not True:
                return False
        return not asked.opaque and not asked.returns

    return wish
