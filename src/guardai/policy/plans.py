"""What a question needs before its context is known, and the answers to it so far."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final, NamedTuple

from guardai.policy.ask import Question
from guardai.policy.lens import Lens
from guardai.policy.question import Refused
from guardai.policy.tree import Uid
from guardai.policy.vocabulary import SCALARS

__all__ = ["Context", "Plan", "Scene", "null"]

Context = Mapping[str, Any]

_NUMBERS: Final = frozenset(name for name, attribute in SCALARS.items() if attribute.type in ("Bool", "Long"))


class Scene(NamedTuple):
    """What the questions about one principal and action share."""

    entities: Any
    principal: tuple[Uid, ...]
    request: dict[str, Any]


class Plan:
    """What a question needs before its context is known, and its answers so far."""

    __slots__ = ("answers", "lens", "names", "questions", "simple", "typed")

    def __init__(self, questions: tuple[Question, ...], lens: Lens, *, typed: bool = False) -> None:
        self.questions = questions
        self.lens = lens
        self.names = lens.names
        self.answers: dict[Hashable, Any] = {}
        self.simple = lens.simple
        # Strings and sets of strings equal nothing of another type; as soon as a number or a boolean is read, the key
        # has to tell 1 from True.
        self.typed = typed or not _NUMBERS.isdisjoint(lens.names)

    def with_types(self) -> Plan:
        return Plan(self.questions, self.lens, typed=True)

    def key(self, context: Context) -> Hashable:
        values = tuple(map(context.get, self.names))
        key: Hashable = (values, tuple(map(type, values))) if self.typed else values
        try:
            key = key if self.simple else self.lens.key(context)
            hash(key)
        except TypeError:
            raise Refused(_unknown_kind(context)) from None
        return key


def null(names: tuple[str, ...], context: Context) -> bool:
    """Whether one of the names is there and None, which is not the same as missing."""
    return any(name in context and context[name] is None for name in names)


def _unknown_kind(context: Context) -> str:
    for name, value in context.items():
        try:
            hash(value)
        except TypeError:
            return f"the context's {name} is a {type(value).__name__}; allowed: strings, booleans, integers, tuples"
    return "the context holds what policies have no type for"
