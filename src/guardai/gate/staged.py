"""What policy is asked about a call, as events of their own, so that it can be asked again.

A statement is not in the ledger, and what policy saw of it cannot be found again without it. So what is the same for many
calls is recorded once, before the first of them, and their intents name it, 31 bytes each:

- `scene`: what calls of one kind are asked about, whoever makes them: verbs, resources, facts, where their data goes;
- `session.open` or, where a session was not opened or has seen another label, `session.state`: what policies read of it.

INVARIANT: what stands in the events is exactly what policy was asked. What canonical JSON would have to rewrite, or what is
too large for an event, is not recorded at all: a call without a scene is one that nobody can decide again.

INVARIANT: no literal, parameter, argument or text of a statement: names, labels and numbers that policies can read, all of
them found before the payload was looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardai.errors import LedgerError
from guardai.ledger import raw
from guardai.model import VERSION, Event

if TYPE_CHECKING:
    from guardai.gate.questions import Scene
    from guardai.gate.run import Run
    from guardai.model import Resource

__all__ = ["SESSION", "Staged", "event_of", "session_of", "staged"]

#: What of the context is the session's.
SESSION: Final = "session."
#: An event has at most 60,000 bytes; its other fields have long had theirs.
_MOST: Final = 50_000
#: A scene is no agent's: it stands for the calls of many.
_NOBODY: Final = msgspec.Raw(b'{"agent":"guardai","assurance":"asserted","chain":[],"kind":"App","user":""}')
_encode: Final = msgspec.json.Encoder(order="deterministic").encode

#: The ids of the two events; empty strings where one of them cannot be told.
Staged = tuple[str, str]


def staged(scene: Scene, environment: str) -> msgspec.Raw | None:
    """The scene without its session, as the `body` of an event; None if it cannot be told exactly.

    Args:
        scene: what the calls share.
        environment: of the process, which stands for a database's where the catalog has none.
    """
    plan = scene.plan
    if plan.target is None:
        return None
    return _exact(
        {
            "asked": plan.asked,
            "context": {name: value for name, value in scene.context.items() if not name.startswith(SESSION)},
            "environment": environment,
            "region": scene.back.to.region,
            "resources": [_thing(one) for one in plan.resources],
            "said": plan.said,
            "target": plan.target._asdict(),
            "to": scene.owed.to._asdict(),
        }
    )


def session_of(context: Mapping[str, Any], **more: object) -> msgspec.Raw | None:
    """What policies read of a session, as the `body` of an event; None if it cannot be told exactly."""
    names = ("audience", "implicit", "labels", "purpose")
    return _exact({name: context[f"{SESSION}{name}"] for name in names} | more)


def event_of(kind: str, body: msgspec.Raw, run: Run | None = None) -> Event:
    """The event that holds it; of a session, or of none."""
    return Event(
        body=body,
        id="",
        key="",
        kind=kind,
        log="",
        prev="",
        principal=run.principal if run is not None else _NOBODY,
        seq=0,
        session=run.session.id if run is not None else "",
        ts=0,
        v=VERSION,
    )


def _exact(body: dict[str, Any]) -> msgspec.Raw | None:
    try:
        told = raw(body)
        exact = len(bytes(told)) <= _MOST and _encode(body) == bytes(told)
    except (LedgerError, TypeError, ValueError, OverflowError):
        return None
    return told if exact else None


def _thing(one: Resource) -> dict[str, object]:
    return {"attrs": dict(one.attrs), "id": one.id, "parent": one.parent, "type": one.type}
