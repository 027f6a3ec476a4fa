"""Counters in a question, and which of them has reached its limit, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final, cast

from guardai.model import REVEAL, Destination
from guardai.policy.ask import Answer, Question, ask
from guardai.policy.counters import PARTS
from guardai.policy.question import context_document
from guardai.policy.source import Policy
from guardai.policy.tally import Tally, What
from guardai.policy.tree import ceilings
from guardai.policy.vocabulary import WINDOWS

__all__ = ["Limits"]

#: What a question is asked with: values, records that are there, and where data would go.
_Asked = tuple[dict[str, object], list[str], Destination | None]
#: Windows, those that end last first.
_LAST: Final = tuple(reversed(WINDOWS))


class Limits:
    """The counters that a slice reads, for the questions about one action."""

    __slots__ = ("_action", "_context", "_names", "_tally")

    def __init__(self, names: tuple[str, ...], action: str, context: Mapping[str, Any], tally: Tally | None) -> None:
        self._names = names
        self._action = action
        self._context = context
        self._tally = tally

    def added(self, values: dict[str, object], what: What) -> dict[str, object]:
        """The values of a question with its counters; the same object if there are none."""
        if not self._names:
            return values
        if self._tally is not None:
            return {**values, **self._tally.values(self._names, self._action, what)}
        return {**values, **{name: self._context.get(name, 0) for name in self._names}}

    def reached(
        self, question: Question, answer: Answer, policies: Mapping[str, Policy], asked: _Asked
    ) -> list[str] | None:
        """Which limits denied, and when that ends: `count.calls.minute is 61, the limit 60; the minute ends in 23 s`.

        Args:
            question: what was denied.
            answer: how.
            policies: `@id` → policy.
            asked: what the question was asked with.

        Returns:
            A line for each.

            INVARIANT: with all of them at their limits it would be allowed, or only wait for an approval, which lifts no mask.
            None if it would not.
        """
        values, records, to = asked
        found: dict[str, int] = {}
        for forbid in answer.reasons:
            for name, most in self._deciding([policies[forbid]], question, asked, forbid).items():
                found[name] = min(most, found.get(name, most))
        then = {**values, **found}
        after = _again(question, (then, records, to))
        groups = [policies[name].annotations.get("approval", "") for name in after.reasons]
        if self._action != REVEAL and groups and all(groups):
            given = cast("Iterable[str]", values.get("approvals") or ())
            then["approvals"] = tuple(sorted({*given, *groups}))
            after = _again(question, (then, records, to))
        if not after.allowed and not after.reasons:
            permits = [one for name in question.ids if (one := policies[name]).effect == "permit"]
            more = self._deciding(permits, question, (then, records, to), "")
            found |= more
            after = _again(question, ({**then, **more}, records, to))
        if not after.allowed:
            return None
        return [
            f"{name} is {values[name]}, the limit {most}{self._until(name, question.what)}"
            for name, most in sorted(found.items())
        ]

    def _deciding(self, group: list[Policy], question: Question, asked: _Asked, forbid: str) -> dict[str, int]:
        """The limits without which a forbid, or the permits together, would not deny: counter → limit.

        INVARIANT: no limit is named whose end would change nothing: it can be exceeded in an alternative of an `||` whose other
        conditions do not hold. Where one of several would do, those are named whose windows end first.
        """
        denies = partial(_denies, question, asked, forbid)
        counts = asked[0]
        found = {one for policy in group for one in ceilings(policy.tree) if one[0] in self._names}
        over = [(name, most) for name, most in found if type(count := counts[name]) is int and count > most]
        if not over or denies(_at(over)):
            return {}
        # What can be left out is, those that end last first; of one counter that is the lowest limit.
        for one in sorted(over, key=lambda one: (_LAST.index(PARTS[one[0]][2]), one)):
            others = [other for other in over if other != one]
            if others and not denies(_at(others)):
                over = others
        return _at(over)

    def _until(self, name: str, what: What) -> str:
        window = name.rpartition(".")[2]
        if window == "session":
            return " for the session"
        if self._tally is None:
            return f" for the {window}"
        return f"; the {window} ends in {math.ceil(self._tally.left(name, self._action, what))} s"


def _at(limits: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The counters at their limits; at the lowest where there are several."""
    found: dict[str, int] = {}
    for name, most in limits:
        found[name] = min(most, found.get(name, most))
    return found


def _again(question: Question, asked: _Asked) -> Answer:
    values, records, to = asked
    return ask(question, context_document(values.items(), records, to))


def _denies(question: Question, asked: _Asked, forbid: str, numbers: Mapping[str, int]) -> bool:
    """Whether it would still be denied with these numbers: by this forbid, or if none is named for want of a permit."""
    values, records, to = asked
    answer = _again(question, ({**values, **numbers}, records, to))
    if answer.allowed or answer.errors:
        return not answer.allowed
    return not forbid or forbid in answer.reasons
