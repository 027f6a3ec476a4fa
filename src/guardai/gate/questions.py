"""What the gate asks of policy on behalf of one session, and what it keeps of the answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from guardai.ledger import raw
from guardai.model import Decision, Destination, Event, Mask, Principal, Reveal

if TYPE_CHECKING:
    import msgspec

    from guardai.gate.in_force import InForce
    from guardai.gate.plan import Context, Plan
    from guardai.gate.run import Run
    from guardai.gate.staged import Staged
    from guardai.policy import Engine, Tally
    from guardai.settings import Settings

__all__ = ["Columns", "Owed", "Scene", "told"]


class Owed:
    """Which mask data of a label owes on its way to one destination; asked once per label.

    INVARIANT: a question that fails is answered with `redact`, never with "reveal".
    """

    __slots__ = ("_answers", "_context", "_engine", "_observing", "_principal", "_tally", "_to")

    def __init__(
        self,
        engine: Engine,
        principal: Principal,
        to: Destination,
        context: Context,
        tally: Tally | None = None,
        *,
        observing: bool = False,
    ) -> None:
        """With a `tally` what is asked is counted, as the label's: it must be the call's own then.

        `observing`: what is masked reaches its destination all the same, and stays counted.
        """
        self._tally = tally
        self._observing = observing
        self._engine = engine
        self._principal = principal
        self._to = to
        self._context = context
        self._answers: dict[str, Reveal] = {}

    @property
    def to(self) -> Destination:
        """Where the data would go."""
        return self._to

    def __call__(self, label: str) -> Mask | None:
        """The mask owed, None if the label may be revealed."""
        answer = self._answers.get(label)
        if answer is None:
            answer = self._answers[label] = self._asked(label)
        return answer.mask

    def _asked(self, label: str) -> Reveal:
        tally, kind = self._tally, self._to.kind
        if tally is None:
            return self._engine.reveal(self._principal, label, self._to, self._context)
        tally.reveal(label, kind)
        answer = self._engine.reveal(self._principal, label, self._to, self._context, tally)
        if answer.mask is not None and not self._observing:
            tally.masked(label, kind)
        return answer

    def permitted(self, label: str) -> bool:
        """Whether data of this label may reach the destination as it is."""
        return self(label) is None

    def foreign(self) -> bool:
        """Whether objects, and bytes that are no text, may reach it: nobody can look into them. Asked where there are some."""
        return self.permitted("opaque.raw")

    def policies(self, labels: Iterable[str]) -> tuple[str, ...]:
        """The `@id`s that decided about these labels."""
        return tuple(sorted({p for label in labels if label in self._answers for p in self._answers[label].policies}))


class Columns(NamedTuple):
    """What is known of a result's columns before its first row.

    Attributes:
        labels: label → how many columns bear it.
        masked: (position, label) of those that are masked as wholes.
        partly: positions of those whose masked cells still show something of what they were.
        borne: what each column bears.
    """

    labels: dict[str, int]
    masked: tuple[tuple[int, str], ...]
    partly: frozenset[int]
    borne: tuple[frozenset[str], ...]


class Scene:
    """What the calls of one kind in one session share, until the session sees a new label.

    Attributes:
        plan, engine: what it was made from; another of either makes another scene.
        context: of the questions.
        owed, back, kept: the masks owed on the way there, on the way back, and on the way into the replay vault.
        decision: of a call in whose payload nothing was found; None until it is known.
        reads_only: whether policy permits nothing but reading there; None until it was asked.
        columns: what is known of a result's columns, by their names and origins.
        statement: the commitment to its text; None until it was made.
        events: kind → what the records of its calls have in common; to be copied.
        recorded: the ids of the events that hold it (see `staged`); None until it was told.
    """

    __slots__ = (
        "back",
        "columns",
        "context",
        "decision",
        "engine",
        "events",
        "kept",
        "owed",
        "plan",
        "reads_only",
        "recorded",
        "statement",
    )

    def __init__(self, engine: Engine, plan: Plan, run: Run, settings: Settings, tally: Tally | None = None) -> None:
        """With a `tally`, where labels are counted, it is one call's own."""
        session = run.session
        observing = settings.mode == "observe"
        self.engine = engine
        self.plan = plan
        self.context: Context = {**run.context, **plan.facts}
        self.owed = Owed(engine, session.principal, plan.to, self.context, tally, observing=observing)
        back = Destination(session.audience, "", settings.region or "unknown", "internal")
        self.back = Owed(engine, session.principal, back, self.context, tally, observing=observing)
        vault = Destination("vault", "", settings.region or "unknown", "internal")
        self.kept = Owed(engine, session.principal, vault, self.context, tally, observing=observing)
        self.recorded: Staged | None = None
        self.decision: Decision | None = None
        self.reads_only: bool | None = None
        self.statement: dict[str, object] | None = None
        self.events: dict[str, Event] = {}
        self.columns: dict[tuple[tuple[str, ...], tuple[str, ...]], Columns] = {}


#: id(decision) → the decision itself, which keeps the id taken, and its encoding.
_KEPT: dict[tuple[int, str, str, bool], tuple[Decision, msgspec.Raw]] = {}
_MOST: Final = 4096


def told(
    decision: Decision, force: InForce, mode: str, masks: dict[str, str], by: tuple[str, ...]
) -> dict[str, object] | msgspec.Raw:
    """The `decision` of an event: encoded once where nothing was masked, because then it is the same every time."""
    key = (id(decision), force.digest, mode, force.signed)
    if not masks:
        kept = _KEPT.get(key)
        if kept is not None:
            return kept[1]
    fields: dict[str, object] = {
        "bundle": force.digest,
        "effect": decision.effect,
        "masks": masks,
        "mode": mode,
        "policies": sorted({*decision.policies, *by}),
        "signed": force.signed,
    }
    if decision.reason:
        fields["reason"] = decision.reason
    if decision.errors:
        fields["errors"] = decision.errors
    if masks:
        return fields
    if len(_KEPT) > _MOST:
        _KEPT.clear()
    encoded = raw(fields)
    _KEPT[key] = (decision, encoded)
    return encoded
