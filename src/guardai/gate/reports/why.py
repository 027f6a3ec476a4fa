"""Why a recorded call was answered as it was: the event read back into questions, and policy asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from guardai.errors import GuardError
from guardai.gate.reports.recast import recast
from guardai.gate.reports.recorded import Reader, Recorded
from guardai.ledger import find
from guardai.policy import Bundle, Engine, examine, uncounted

__all__ = ["MISSING", "EventError", "UndecidedError", "why"]

#: Why a call cannot be decided again, in words.
MISSING: Final = {
    "own": "it is the application's own call, which was recorded and not decided",
    "version": "it was recorded by another version of guardai",
    "unjudged": "guardai could not judge it, so policy was not asked",
    "before": "what policy was asked is not in the ledger: it was recorded by an earlier guardai, or was too large",
    "counted": "the policy reads counters (`context.count…`) whose numbers at that time are not in the ledger",
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
        sqlite3.Error: the store cannot be read.
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
    answer["event"] = intent.id
    answer["recorded"] = {
        "decision": intent.effect,
        "policies": list(intent.policies),
        "masks": intent.masks,
        "bundle": intent.bundle,
        "same_bundle": same,
    }
    if outcome is not None and outcome.returned:
        engine = Engine(bundle)
        answer["returned"] = {
            label: {
                "recorded": mask or None,
                "mask": reveal.mask,
                "policies": list(reveal.policies),
                "reason": reveal.reason,
            }
            for label, mask in outcome.returned.items()
            for reveal in [engine.reveal(intent.principal, label, scene.back, scene.context)]
        }
    return answer


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
