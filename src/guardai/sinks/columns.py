"""An event as a row of a table: its exact bytes, and what one searches by. A pure function of the stored bytes."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["row"]


class _Principal(msgspec.Struct):
    agent: str = ""
    user: str = ""


class _Decision(msgspec.Struct):
    effect: str = ""


class _Event(msgspec.Struct):
    id: str
    kind: str
    log: str
    seq: int
    ts: int
    action: str = ""
    call: str = ""
    session: str = ""
    status: str = ""
    principal: _Principal = msgspec.field(default_factory=_Principal)
    decision: _Decision = msgspec.field(default_factory=_Decision)


_decode: Final = msgspec.json.Decoder(_Event).decode


def row(data: bytes) -> dict[str, Any]:
    """The columns, `ts` in µs since 1970; "" where the event has none of that."""
    event = _decode(data)
    return {
        "id": event.id,
        "log": event.log,
        "seq": event.seq,
        "ts": event.ts,
        "kind": event.kind,
        "action": event.action,
        "session": event.session,
        "call": event.call,
        "person": event.principal.user,
        "agent": event.principal.agent,
        "effect": event.decision.effect,
        "status": event.status,
        "event": data.decode(),
    }
