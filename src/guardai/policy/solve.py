"""Can tests hold together, in a call as guardai makes them? A small solver that says no only where it is sure.

INVARIANT: `impossible` is said only of tests that no call can pass: of the action, the types of principal and resource,
and a context that holds what the vocabulary says. `True` and `1` are told apart everywhere, as Cedar does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from guardai.model import ancestors
from guardai.policy.logic import Path, Term
from guardai.policy.vocabulary import (
    BEARERS,
    COUNTERS,
    ENTITIES,
    ENTITY_CHOICES,
    PARENTS,
    RECORDS,
    SCALARS,
    verbs,
)

__all__ = ["Case", "impossible", "is_there"]

_REGION: Final = ("resource", "region")
_REGIONAL: Final = "origin"
_TYPES: Final = {"String": str, "Bool": bool, "Long": int}


class Case(NamedTuple):
    """A kind of call: the action and the types of who and what."""

    action: str
    principal: str
    resource: str

    def type_of(self, variable: str) -> str:
        return self.principal if variable == "principal" else self.resource


def is_there(path: Path, case: Case, tests: Iterable[Term] = ()) -> bool | None:
    """Whether such a call has this attribute: always, never (False), or nobody knows (None).

    `tests` have passed: what they read or found is there.
    """
    variable, name = path
    if not name:
        return True
    for test in tests:
        if path in test.reads or (test.kind == "has" and test.outcome and test.path == path):
            return True
        if any(read[0] == variable and read[1].startswith(f"{name}.") for read in test.reads):
            return True
    if variable == "context":
        return _in_context(name, case, tests)
    known = ENTITIES.get(case.type_of(variable))
    if variable == "action" or known is None:
        return None
    return any(attribute == name for attribute, _ in known)


def _in_context(name: str, case: Case, tests: Iterable[Term]) -> bool | None:
    record, dot, _ = name.partition(".")
    if record in RECORDS:
        if record in BEARERS and case.action not in BEARERS[record]:
            return False
        if dot and name not in SCALARS:
            return None
        if not RECORDS[record]:
            return True
        return True if dot and is_there(("context", record), case, tests) else None
    return True if name in SCALARS else None


def impossible(tests: Iterable[Term], case: Case) -> bool:
    """Whether no call of this kind passes all of these tests."""
    known = _Known(case)
    return not all(known.add(test) for test in tests) or not known.possible()


class _Known:
    """What follows from the tests so far. Every method is False as soon as something cannot be."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._values: dict[Path, _Value] = {}
        self._sets: dict[Path, _Set] = {}
        self._entities: dict[str, _Entity] = {}
        self._opaque: dict[Path, bool] = {}
        self._there: set[Path] = set()
        self._missing: set[Path] = set()

    def add(self, test: Term) -> bool:
        for path in test.reads:
            if is_there(path, self._case) is False:
                return False
            self._there.add(path)
        match test.kind:
            case "opaque":
                return self._opaque.setdefault(test.path, test.outcome) is test.outcome
            case "has":
                there = is_there(test.path, self._case)
                (self._there if test.outcome else self._missing).add(test.path)
                return there is None or there is test.outcome
            case "holds" | "empty":
                return self._sets.setdefault(test.path, _Set(self._choices(test.path))).add(test)
            case "is" | "in" if not test.path[1]:
                return self._entity(test)
            case "equal" if not test.path[1]:
                return self._entity(test._replace(kind="same"))
            case "equal" | "one_of" | "like" | "less":
                return self._value(test.path).add(test)
            case _:
                return True

    def possible(self) -> bool:
        for name in self._missing:
            # What is read below or at a path is there.
            if any(there[0] == name[0] and f"{there[1]}.".startswith(f"{name[1]}.") for there in self._there):
                return False
        region = self._values.get(_REGION)
        what = self._entities.get("resource")
        if region and what and self._case.resource == "Label" and what.outside(_REGIONAL) and not region.can_be(""):
            return False  # only what is in that family has one
        if region and what and self._case.resource == "Label" and (label := what.named()):
            family, _, word = label.partition(".")
            if not region.can_be(word if family == _REGIONAL else ""):
                return False  # its name says which
        return (
            all(value.possible() for value in self._values.values())
            and all(one.possible() for one in self._sets.values())
            and all(one.possible() for one in self._entities.values())
        )

    def _value(self, path: Path) -> _Value:
        found = self._values.get(path)
        if found is None:
            kind = self._type(path)
            choices: Any = (True, False) if kind == "Bool" else self._choices(path)
            counted = path[0] == "context" and path[1] in COUNTERS
            found = self._values[path] = _Value(choices or None, _TYPES.get(kind), low=0 if counted else None)
        return found

    def _type(self, path: Path) -> str:
        variable, name = path
        if variable == "context":
            return SCALARS[name].type if name in SCALARS else ""
        return dict(ENTITIES.get(self._case.type_of(variable), ())).get(name, "")

    def _choices(self, path: Path) -> tuple[str, ...]:
        variable, name = path
        if variable == "context":
            return SCALARS[name].choices if name in SCALARS else ()
        if self._case.type_of(variable) not in ENTITIES:
            return ()
        return ENTITY_CHOICES.get(name, ())

    def _entity(self, test: Term) -> bool:
        variable = test.path[0]
        if variable == "action":
            return self._action(test)
        if variable == "context":
            return True
        kind = self._case.type_of(variable)
        if test.kind == "is":
            return (test.value == kind) is test.outcome
        if kind not in ENTITIES:
            return True
        return self._entities.setdefault(variable, _Entity(kind)).add(test)

    def _action(self, test: Term) -> bool:
        action = self._case.action
        if test.kind == "is":
            return (test.value == "Action") is test.outcome
        if test.kind == "same":
            return (test.value == ("Action", action)) is test.outcome
        return any(kind == "Action" and action in verbs(name) for kind, name in test.value) is test.outcome


class _Value:
    """A string, a number or a boolean."""

    def __init__(self, choices: tuple[Any, ...] | None, kind: type | None, *, low: int | None = None) -> None:
        self._kind = kind
        self._allowed: list[Any] | None = list(choices) if choices else None
        self._tests: list[Term] = []
        self._low = low
        self._high: int | None = None

    def add(self, test: Term) -> bool:
        if test.kind == "less":
            if test.outcome:
                self._high = test.value if self._high is None else min(self._high, test.value)
            else:
                self._low = test.value if self._low is None else max(self._low, test.value)
            return self._low is None or self._high is None or self._low < self._high
        if test.kind in ("equal", "one_of") and test.outcome:
            wanted = [test.value] if test.kind == "equal" else list(test.value)
            if self._kind:
                wanted = [value for value in wanted if type(value) is self._kind]
            self._allowed = wanted if self._allowed is None else [one for one in self._allowed if _among(one, wanted)]
            return bool(self._allowed)
        self._tests.append(test)
        return True

    def can_be(self, value: Any) -> bool:
        """Whether it can have this value."""
        return (self._allowed is None or _among(value, self._allowed)) and self._passes(value)

    def possible(self) -> bool:
        if self._allowed is None:
            # Infinitely many strings are left, but of a pattern that is asked both ways.
            says: dict[Any, bool] = {}
            return all(
                says.setdefault(one.value, one.outcome) is one.outcome for one in self._tests if one.kind == "like"
            )
        return any(self._passes(value) for value in self._allowed)

    def _passes(self, value: Any) -> bool:
        if (self._low is not None or self._high is not None) and type(value) is not int:
            return False
        if self._low is not None and value < self._low:
            return False
        if self._high is not None and value >= self._high:
            return False
        for test in self._tests:
            if test.kind == "like":
                if not isinstance(value, str) or _like(value, test.value) is not test.outcome:
                    return False
            elif _among(value, [test.value] if test.kind == "equal" else test.value):
                return False
        return True


class _Set:
    """A set of strings."""

    def __init__(self, choices: tuple[str, ...]) -> None:
        self._choices = choices
        self._in: list[Any] = []
        self._out: list[Any] = []
        self._empty: bool | None = None

    def add(self, test: Term) -> bool:
        if test.kind == "empty":
            if self._empty is not None and self._empty is not test.outcome:
                return False
            self._empty = test.outcome
        else:
            (self._in if test.outcome else self._out).append(test.value)
        return True

    def possible(self) -> bool:
        if any(_among(value, self._out) for value in self._in) or (self._in and self._empty):
            return False
        if self._choices and any(not _among(value, self._choices) for value in self._in):
            return False
        return not (self._empty is False and self._choices and all(_among(one, self._out) for one in self._choices))


class _Entity:
    """Who acts, or what is acted on; of a type that guardai makes, so that it is known what it can be in."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._same: list[tuple[bool, str]] = []
        self._inside: list[tuple[bool, tuple[str, ...]]] = []
        self._parent: list[tuple[bool, tuple[str, ...]]] = []

    def add(self, test: Term) -> bool:
        if test.kind == "same":
            if not isinstance(test.value, tuple):
                return not test.outcome
            kind, name = test.value
            if kind != self._kind:
                return not test.outcome
            self._same.append((test.outcome, name))
            return True
        own = tuple(name for kind, name in test.value if kind == self._kind)
        above = tuple(name for kind, name in test.value if kind == PARENTS.get(self._kind) and kind != self._kind)
        if own and above:
            return True  # one or the other: not looked into
        if above:
            self._parent.append((test.outcome, above))
        elif own:
            self._inside.append((test.outcome, own))
        else:
            return not test.outcome
        return True

    def named(self) -> str:
        """The one that it is, if a test says so; "" if none does."""
        return next((name for outcome, name in self._same if outcome), "")

    def outside(self, group: str) -> bool:
        """Whether it cannot be in this group, by what it is or is in."""
        named: list[tuple[str, ...]] = [names for outcome, names in self._inside if outcome]
        named += [(name,) for outcome, name in self._same if outcome]
        return any(all(not self._is_in(one, group) and not self._is_in(group, one) for one in names) for names in named)

    def possible(self) -> bool:
        return self._parent_possible() and self._self_possible()

    def _parent_possible(self) -> bool:
        wanted = [set(names) for outcome, names in self._parent if outcome]
        if not wanted:
            return True
        refused = {name for outcome, names in self._parent if not outcome for name in names}
        return bool(set.intersection(*wanted) - refused)

    def _self_possible(self) -> bool:
        names = {name for outcome, name in self._same if outcome}
        if len(names) > 1:
            return False
        if names:
            (name,) = names
            return all(outcome or other != name for outcome, other in self._same) and all(
                any(self._is_in(name, one) for one in groups) is outcome for outcome, groups in self._inside
            )
        wanted = [groups for outcome, groups in self._inside if outcome]
        refused = [one for outcome, groups in self._inside if not outcome for one in groups]
        if not wanted:
            return True
        # The deepest groups that satisfy all: each candidate is one of those that are named.
        candidates = {one for groups in wanted for one in groups}
        return any(
            all(any(self._is_in(one, group) for group in groups) for groups in wanted)
            and not any(self._is_in(one, group) for group in refused)
            for one in candidates
        )

    def _is_in(self, name: str, group: str) -> bool:
        return name == group or (self._kind == "Label" and group in ancestors(name))


def _among(value: Any, values: Iterable[Any]) -> bool:
    return any(type(value) is type(one) and value == one for one in values)


def _like(text: str, pattern: tuple[str | None, ...]) -> bool:
    expression = "".join(".*" if piece is None else re.escape(piece) for piece in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None
