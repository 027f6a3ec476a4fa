"""What happened in the demo, as data: what `--json` prints and what the pages show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

__all__ = [
    "Act",
    "CallTold",
    "Check",
    "FaultTold",
    "ModelTold",
    "Story",
    "Tampered",
    "ToolTold",
    "Verified",
    "calls",
    "leaks",
]

_ADDRESS: Final = re.compile(rb"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z]")


class ModelTold(msgspec.Struct, frozen=True, kw_only=True):
    """Which model answered. `stand_in`: a server on loopback that follows a script, no model at all."""

    stand_in: bool
    name: str
    base_url: str


class ToolTold(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the model had called: the statement or arguments, and what the agent's process got."""

    tool: str
    wrote: str
    result: str
    denied: bool


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """A scene as it was played.

    Attributes:
        model_received: the conversation as it arrived at the model; None where a real endpoint keeps that to itself.
        model_sent: the pieces of the last answer as the model wrote them; None likewise.
        pieces: the pieces in which the answer was handed to the person; None if it was not streamed.
        note: what one should know about it.
    """

    scene: str
    title: str
    session: str
    user: str
    agent: str
    purpose: str
    audience: str
    question: str
    tools: list[ToolTold]
    model_received: list[dict[str, str]] | None
    model_sent: list[str] | None
    pieces: list[str] | None
    answer: str
    note: str


class CallTold(msgspec.Struct, frozen=True, kw_only=True):
    """One governed call, from its two events."""

    scene: str
    user: str
    agent: str
    purpose: str
    action: str
    data: list[str]
    findings: dict[str, int]
    masks: dict[str, str]
    policies: list[str]
    effect: str
    status: str
    reason: str
    intent: str
    outcome: str


class FaultTold(msgspec.Struct, frozen=True, kw_only=True):
    """What verification found wrong, and with which event ("" if with none in particular)."""

    code: str
    event: str
    meaning: str


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What `guardai verify` says of a home. `verdict`: `whole`, `broken` or `cannot tell` (and `notes` say why)."""

    home: str
    events: int
    signed: int
    verdict: str
    faults: list[FaultTold]
    notes: list[str]


class Tampered(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of the home in which one byte of one event is another."""

    event: str
    file: str
    offset: int
    before: str
    after: str
    verified: Verified


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the demo promises, and whether it held."""

    what: str
    held: bool


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `folder` holds shop and tampered copy; `home` only what guardai keeps."""

    model: ModelTold
    home: str
    folder: str
    acts: list[Act]
    calls: list[CallTold]
    verification: Verified
    tampered: Tampered
    checks: list[Check]
    milliseconds: int

    @property
    def held(self) -> bool:
        """Whether everything was as promised."""
        return all(check.held for check in self.checks)


def calls(events: Iterable[Mapping[str, Any]], acts: Iterable[Act], purposes: Mapping[str, str]) -> list[CallTold]:
    """The calls of these acts, in the order in which they were made: each intent with its outcome.

    Args:
        events: all events, oldest first.
        acts: the scenes, for their sessions.
        purposes: the purpose of each session.
    """
    scenes = {act.session: act.scene for act in acts}
    begun: dict[str, Mapping[str, Any]] = {}
    ended: dict[str, Mapping[str, Any]] = {}
    for event in events:
        if event.get("session") in scenes:
            if event["kind"] == "call.intent":
                begun.setdefault(event["call"], event)
            elif event["kind"] == "call.outcome":
                ended[event["call"]] = event
    return [_told(scenes, purposes, intent, ended.get(call, {})) for call, intent in begun.items()]


def _told(
    scenes: Mapping[str, str], purposes: Mapping[str, str], intent: Mapping[str, Any], outcome: Mapping[str, Any]
) -> CallTold:
    decision = {**intent.get("decision", {}), **outcome.get("decision", {})}
    before, after = intent.get("decision", {}), outcome.get("decision", {})
    return CallTold(
        scene=scenes[intent["session"]],
        user=intent["principal"]["user"],
        agent=intent["principal"]["agent"],
        purpose=purposes.get(intent["session"], ""),
        action=intent["action"],
        data=[str(resource["uri"]) for resource in intent.get("resource") or ()],
        findings={**intent.get("findings", {}), **outcome.get("findings", {})},
        masks={**before.get("masks", {}), **after.get("masks", {})},
        policies=sorted({*before.get("policies", ()), *after.get("policies", ())}),
        effect=str(decision.get("effect", "")),
        status=str(outcome.get("status", "")),
        reason=str(decision.get("reason", "")),
        intent=str(intent["id"]),
        outcome=str(outcome.get("id", "")),
    )


def leaks(events: Iterable[bytes]) -> list[str]:
    """Ids of events that hold an e-mail address anywhere but in `principal`."""
    found = []
    for raw in events:
        if _ADDRESS.search(raw):
            event = json.loads(raw)
            event.pop("principal", None)
            if _ADDRESS.search(json.dumps(event).encode()):
                found.append(str(event["id"]))
    return found
