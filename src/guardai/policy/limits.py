"""Counters in a question, and which of them has reached its limit, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from guardai.policy.source import Policy
from guardai.policy.tally import Tally, What
from guardai.policy.tree import ceilings

__all__ = ["Limits"]


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
        return {**values, **self._counts(self._names, what)} if self._names else values

    def _counts(self, names: Iterable[str], what: What) -> dict[str, object]:
        if self._tally is not None:
            return self._tally.values(names, self._action, what)
        return {name: self._context.get(name, 0) for name in names}

    def reached(self, policies: Iterable[Policy], what: What) -> list[str]:
        """Which limits of these policies are exceeded, and when that ends: `count.calls.minute is 61 of 60, until …`."""
        said: dict[str, int] = {}
        for policy in policies:
            for name, most in ceilings(policy.tree):
                if name in self._names:
                    said[name] = min(most, said.get(name, most))
        counts = self._counts(said, what)
        return [
            f"{name} is {counts[name]}, the limit {most}{self._until(name, what)}"
            for name, most in sorted(said.items())
            if type(count := counts[name]) is int and count > most
        ]

    def _until(self, name: str, what: What) -> str:
        window = name.rpartition(".")[2]
        if window == "session":
            return " for the session"
        if self._tally is None:
            return f" for the {window}"
        return f"; the {window} ends in {math.ceil(self._tally.left(name, self._action, what))} s"
