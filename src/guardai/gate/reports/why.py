"""Why a recorded call was answered as it was: the event read back into questions, and policy asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from guardai.errors import GuardError
from guardai.gate.reports.recast import recast
from guardai.gate.reports.recorded import Reader, Recorded, Scene
from guardai.ledger import find
from guardai.policy import Bundle, Engine, counts, examine, uncounted

__all__ = ["MISSING", "EventError", "UndecidedError", "why"]

#: Why a call cannot be decided again, in words.
MISSING: Final = {
    "own": "it is the application's own call, which was recorded and not decided",
    "version": "it was recorded by another version of guardai",
    "unjudged": "guardai could not judge it, so policy was not asked",
    "before": "what policy was asked is not in the ledger: it was recorded by an earlier guardai, or was too large",
    "counted": "the policy reads counters (`context.count…`) whose numbers at that time are not in the ledger, or were another for "
    "each thing that the call was on",
    "broken": "it is not what was recorded, or its scene is missing; guardai verify tells",
}


class EventError(GuardError):
    """This event cannot be explained; the message says why and what to do."""


class UndecidedError(EventError):
    """The event is a call's, and does not hold all that policy was asked."""


class _Link(msgspec.Struct):
    kind: str
    lineage: list[dict[str, str]] = []


def why(home: Path, event: str, bundle: Bundle) -> dict[str, Any]:
    """What `guardai.policy.examine` finds about a recorded call, and `recorded`: what was decided then.

    Args:
        home: whose ledger.
        event: the id of an intent or an outcome.
        bundle: which policy is asked; its catalog says where things stand, if it is another than decided then.

    Raises:
        EventError: there is no such event, or it is no call's.
        UndecidedError: the call cannot be decided again.
        StoreError: the store cannot be read.
    """
    reader = Reader(home)
    intent, outcome = _call(home, reader, event)
    if intent.scene is None:
        raise UndecidedError(f"event {intent.id} cannot be decided again: {MISSING[intent.why]}")
    same = intent.bundle == bundle.digest
    scene = intent.scene if same else recast(intent.scene, bundle.catalog)
    asked = intent.asked(scene)
    if uncounted(bundle, asked):
        raise UndecidedError(f"event {intent.id} cannot be decided again: {MISSING['counted']}")
    answer = examine(bundle, asked)
    unknown = [label for label in asked.labels if counts(bundle, intent.principal, label)]
    for label in unknown:
        answer["reveals"][label] = _as_recorded(intent.masks.get(label))
    answer["masks"] = {label: fate["mask"] for label, fate in answer["reveals"].items() if fate["mask"] is not None}
    answer["event"] = intent.id
    answer["recorded"] = {
        "decision": intent.effect,
        "policies": list(intent.policies),
        "masks": intent.masks,
        "bundle": intent.bundle,
        "same_bundle": same,
    }
    if outcome is not None and outcome.returned:
        # What came back was judged by what the session had seen by then.
        then = outcome.scene or intent.scene
        answer["returned"] = _returned(bundle, intent, outcome, then if same else recast(then, bundle.catalog))
    return answer


def _returned(bundle: Bundle, intent: Recorded, outcome: Recorded, scene: Scene) -> dict[str, dict[str, object]]:
    engine = Engine(bundle)
    found: dict[str, dict[str, object]] = {}
    for label, recorded in outcome.returned.items():
        if counts(bundle, intent.principal, label):
            found[label] = {"recorded": recorded or None, **_as_recorded(recorded)}
            continue
        reveal = engine.reveal(intent.principal, label, scene.back, scene.context)
        found[label] = {
            "recorded": recorded or None,
            "mask": reveal.mask,
            "policies": list(reveal.policies),
            "reason": reveal.reason,
        }
    return found


def _as_recorded(mask: str | None) -> dict[str, object]:
    """The fate of a label that depends on counters: asked again without their numbers, policy would say something else."""
    return {"mask": mask or None, "policies": [], "reason": f"as recorded: {MISSING['counted']}", "changes": []}


def _call(home: Path, reader: Reader, event: str) -> tuple[Recorded, Recorded | None]:
    """The intent of an event, and the outcome if that was named."""
    data = find(home, event)
    if data is None:
        raise EventError(f"there is no event {event} under {home}; guardai log lists them")
    found = reader.read(data)
    if found is None:
        kind = next(iter(reader.others), "record")
        raise EventError(
            f"event {event} is a {kind!r} and no call; name a call's intent or outcome: guardai log --kind call.intent"
        )
    if found.kind == "call.intent":
        return found, None
    links = msgspec.json.decode(data, type=_Link).lineage if found.why != "broken" else []
    intent = find(home, links[0].get("from", "")) if links else None
    read = reader.read(intent) if intent is not None else None
    if read is None:
        raise EventError(f"the intent of event {event} is not in the ledger; guardai verify tells what is missing")
    return read, found
