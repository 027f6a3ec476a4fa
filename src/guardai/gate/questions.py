"""What the gate asks of policy on behalf of one session, and what it keeps of the answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from guardai.model import Decision, Destination, Mask, Principal, Reveal

if TYPE_CHECKING:
    from guardai.policy import Engine

__all__ = ["Owed", "decision_raw"]

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Owed:
    """Which mask data of a label owes on its way to one destination; asked once per label.

    INVARIANT: a question that fails is answered with the strongest mask, never with "reveal".
    """

    __slots__ = ("_answers", "_context", "_engine", "_principal", "_to")

    def __init__(
        self,
        engine: Engine,
        principal: Principal,
        to: Destination,
        context: dict[str, str | int | bool | tuple[str, ...]],
    ) -> None:
        self._engine = engine
        self._principal = principal
        self._to = to
        self._context = context
        self._answers: dict[str, Reveal] = {}

    def __call__(self, label: str) -> Mask | None:
        """The mask owed, None if the label may be revealed."""
        answer = self._answers.get(label)
        if answer is None:
            answer = self._answers[label] = self._engine.reveal(self._principal, label, self._to, self._context)
        return answer.mask

    def permitted(self, label: str) -> bool:
        """Whether data of this label may reach the destination as it is."""
        return self(label) is None

    def policies(self, labels: Iterable[str]) -> tuple[str, ...]:
        """The `@id`s that decided about these labels."""
        return tuple(sorted({p for label in labels if label in self._answers for p in self._answers[label].policies}))


_RAW: dict[tuple[Decision, str, str], msgspec.Raw] = {}


def decision_raw(decision: Decision, bundle: str, mode: str, masks: dict[str, str], by: tuple[str, ...]) -> msgspec.Raw:
    """The `decision` of an event, encoded; kept where nothing was masked, because then it is the same every time."""
    if not masks:
        raw = _RAW.get((decision, bundle, mode))
        if raw is not None:
            return raw
    fields: dict[str, object] = {
        "bundle": bundle,
        "effect": decision.effect,
        "masks": masks,
        "mode": mode,
        "policies": sorted({*decision.policies, *by}),
    }
    if decision.reason:
        fields["reason"] = decision.reason
    if decision.errors:
        fields["errors"] = decision.errors
    raw = msgspec.Raw(_encode(fields))
    if not masks:
        if len(_RAW) > 4096:
            _RAW.clear()
        _RAW[(decision, bundle, mode)] = raw
    return raw
