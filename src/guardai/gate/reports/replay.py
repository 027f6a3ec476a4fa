"""What another bundle would have answered to everything that a ledger recorded.

Each intent is asked again as it was asked, each label of what left or came back likewise. What cannot be asked again is
counted with the reason and never guessed. Memory is bounded: answers are remembered by scene, examples are few, and what is
counted by name is counted for so many names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from guardai.gate.reports.recast import recast
from guardai.gate.reports.recorded import Reader, Recorded, Scene
from guardai.gate.reports.why import MISSING
from guardai.ledger import events
from guardai.model import Decision, Reveal
from guardai.policy import Bundle, Engine, counts, judge, uncounted

__all__ = ["Group", "Replay", "replay"]

#: Answers that are remembered: one each for a scene, a principal and what a call added.
_ANSWERS: Final = 16_384
_SCENES: Final = 2_048
#: Names that are counted one by one, and kinds of change; what is beyond counts as `others`.
_NAMES: Final = 10_000
_EXAMPLES: Final = 3
_EVERY: Final = 500
_OTHERS: Final = "others"

#: The decision about a call, and the fate of each label of what would leave.
_Answer = tuple[Decision, tuple[tuple[str, Reveal], ...]]
#: Stands for an answer that depends on counters whose numbers are not known.
_COUNTED: Final[_Answer] = (Decision("deny"), ())


class Group:
    """Changes of one kind: how many, and the first of them."""

    __slots__ = ("count", "examples")

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[str] = []

    def add(self, event: str) -> None:
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(event)


class _Act(NamedTuple):
    """A kind of changed decision."""

    action: str
    then: str
    now: str
    by: tuple[str, ...]
    former: tuple[str, ...]
    reason: str


class _Reveal(NamedTuple):
    """A kind of changed mask: `way` is `to` or `back`, `kind` the destination's."""

    label: str
    way: str
    kind: str
    then: str
    now: str
    by: tuple[str, ...]
    reason: str


class Replay:
    """What a replay found.

    Attributes:
        events: how many were read.
        decided: decisions that were made again; `labels`: likewise of labels.
        uncounted: labels whose answer depends on counters, of which the ledger holds no number of the time.
        cannot: reason → calls that cannot be decided again.
        own: calls of the application's own, which nobody decided.
        bundles: digest of the bundle that decided then → calls.
        acts, reveals: kind of change → how many, and examples.
        by_policy, by_principal, by_resource: name → changes. Policies are those that decide now; where none does, it is "".
    """

    def __init__(self) -> None:
        self.events = 0
        self.decided = 0
        self.labels = 0
        self.uncounted = 0
        self.own = 0
        self.cannot: Counter[str] = Counter()
        self.bundles: Counter[str] = Counter()
        self.acts: dict[_Act, Group] = {}
        self.reveals: dict[_Reveal, Group] = {}
        self.by_policy: Counter[str] = Counter()
        self.by_principal: Counter[str] = Counter()
        self.by_resource: Counter[str] = Counter()

    @property
    def changed(self) -> int:
        """Decisions that would be otherwise."""
        return sum(group.count for group in self.acts.values())

    @property
    def masked(self) -> int:
        """Labels that would be masked otherwise."""
        return sum(group.count for group in self.reveals.values())

    def data(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "events": self.events,
            "decided": self.decided,
            "labels": self.labels,
            "uncounted": self.uncounted,
            "changed": self.changed,
            "masked": self.masked,
            "own": self.own,
            "cannot": {reason: {"count": count, "because": MISSING[reason]} for reason, count in self.cannot.items()},
            "bundles": dict(self.bundles),
            "decisions": [
                {
                    "action": one.action, "then": one.then, "now": one.now, "policies": list(one.by),
                    "former": list(one.former), "reason": one.reason, "count": group.count, "examples": group.examples,
                }
                for one, group in _most(self.acts)
            ],
            "reveals": [
                {
                    "label": one.label, "way": one.way, "kind": one.kind, "then": one.then or None,
                    "now": one.now or None, "policies": list(one.by), "reason": one.reason, "count": group.count,
                    "examples": group.examples,
                }
                for one, group in _most(self.reveals)
            ],
            "by_policy": dict(self.by_policy.most_common()),
            "by_principal": dict(self.by_principal.most_common()),
            "by_resource": dict(self.by_resource.most_common()),
        }  # fmt: skip


def _most(groups: dict[Any, Group]) -> list[tuple[Any, Group]]:
    return sorted(groups.items(), key=lambda one: -one[1].count)


def replay(home: Path, bundle: Bundle, progress: Callable[[int], None] = lambda _: None) -> Replay:
    """Decides every recorded call again.

    Args:
        home: whose ledger.
        bundle: by whose policies, and by whose catalog where another bundle decided then.
        progress: told now and then how many events have been read.

    Raises:
        StoreError: the store cannot be read.
    """
    made = _Replaying(home, bundle)
    for data in events(home):
        made.found.events += 1
        if made.found.events % _EVERY == 0:
            progress(made.found.events)
        made.take(data)
    return made.found


class _Replaying:
    def __init__(self, home: Path, bundle: Bundle) -> None:
        self.found = Replay()
        self._bundle = bundle
        self._engine = Engine(bundle)
        self._counting = bundle.counted is not None
        self._reader = Reader(home)
        self._scenes: dict[str, Scene] = {}
        #: Calls that are denied now and whose outcome is still to come.
        self._stopped: set[str] = set()
        self._answers: dict[tuple[Any, ...], _Answer] = {}

    def take(self, data: bytes) -> None:
        one = self._reader.read(data)
        if one is None:
            return
        if one.kind == "call.outcome":
            # What came back is judged; that the call itself cannot be has been counted with its intent.
            stopped = one.call in self._stopped
            self._stopped.discard(one.call)
            if one.scene is not None and one.returned and not stopped:
                self._back(one, self._scene(one, one.scene))
            return
        if one.scene is None:
            if one.why == "own":
                self.found.own += 1
            else:
                self.found.cannot[one.why] += 1
            return
        self._there(one, self._scene(one, one.scene))

    def _scene(self, one: Recorded, scene: Scene) -> Scene:
        """The scene as this bundle's catalog would have set it."""
        if one.bundle == self._bundle.digest:
            return scene
        made = self._scenes.get(scene.id)
        if made is None:
            if len(self._scenes) >= _SCENES:
                self._scenes.clear()
            made = self._scenes[scene.id] = recast(scene, self._bundle.catalog)
        return made

    def _there(self, one: Recorded, scene: Scene) -> None:
        found = self.found
        key = (scene.id, one.bundle == self._bundle.digest, one.principal, tuple(one.own.items()), one.returns)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answer(one, scene)
            if len(self._answers) >= _ANSWERS:
                self._answers.clear()
            self._answers[key] = answer
        if answer is _COUNTED:
            found.cannot["counted"] += 1
            return
        found.bundles[one.bundle] += 1
        decision, fates = answer
        found.decided += 1
        found.uncounted += len(one.labels) - len(fates)
        if decision.effect != one.effect:
            # A limit's words hold its number, another each time: where policies are named they say enough.
            reason = "" if decision.policies else decision.reason
            act = _Act(one.action, one.effect, decision.effect, decision.policies, one.policies, reason)
            _group(found.acts, act, act._replace(by=(), former=(), reason=_OTHERS)).add(one.id)
            self._count(one, scene, decision.policies)
        if "deny" not in (decision.effect, one.effect):
            for label, fate in fates:
                self._label(one, scene, (label, "to", scene.to.kind, one.masks.get(label, "")), fate)
        elif decision.effect == "deny":
            # Of a call that is not made no data leaves, and none comes back.
            if len(self._stopped) >= _NAMES:
                self._stopped.clear()  # calls that never ended
            self._stopped.add(one.call)

    def _answer(self, one: Recorded, scene: Scene) -> _Answer:
        asked, reveal = one.asked(scene), self._engine.reveal
        counted = [label for label in (*one.opaque, *one.returns) if self._counts(one, label)]
        if counted or (self._counting and uncounted(self._bundle, asked)):
            return _COUNTED
        fates = [
            (label, reveal(one.principal, label, scene.to, scene.context))
            for label in one.labels
            if not self._counts(one, label)
        ]
        return judge(self._engine, asked), tuple(fates)

    def _counts(self, one: Recorded, label: str) -> bool:
        """Whether the answer about a label depends on counters, of which the ledger does not hold the label's."""
        return self._counting and counts(self._bundle, one.principal, label)

    def _back(self, one: Recorded, scene: Scene) -> None:
        for label, then in one.returned.items():
            if self._counts(one, label):
                self.found.uncounted += 1
                continue
            fate = self._engine.reveal(one.principal, label, scene.back, scene.context)
            self._label(one, scene, (label, "back", scene.back.kind, then), fate)

    def _label(self, one: Recorded, scene: Scene, about: tuple[str, str, str, str], fate: Reveal) -> None:
        self.found.labels += 1
        *_, then = about
        if then != (fate.mask or ""):
            reason = "" if fate.policies else fate.reason
            change = _Reveal(*about, fate.mask or "", fate.policies, reason)
            _group(self.found.reveals, change, change._replace(by=(), reason=_OTHERS)).add(one.id)
            self._count(one, scene, fate.policies)

    def _count(self, one: Recorded, scene: Scene, by: tuple[str, ...]) -> None:
        found = self.found
        for policy in by or ("",):
            _tally(found.by_policy, policy)
        who = one.principal
        _tally(found.by_principal, f"{who.agent} for {who.user}" if who.user else who.agent)
        for resource in scene.resources:
            _tally(found.by_resource, f'{resource.type}::"{resource.id}"')


def _group(groups: dict[Any, Group], key: Any, coarse: Any) -> Group:
    found = groups.get(key)
    if found is None:
        if len(groups) >= _NAMES:
            key = coarse
        found = groups.setdefault(key, Group())
    return found


def _tally(counts: Counter[str], name: str) -> None:
    counts[name if name in counts or len(counts) < _NAMES else _OTHERS] += 1
