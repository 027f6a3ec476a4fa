"""Server-sent events on their way through the gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardai_openai.events import Events

__all__ = ["last_events", "pass_events"]


class Event:
    """A server-sent event after the gate, as the client's streams read it: parsed already.

    Its text form is left out: the client looks there for `[DONE]` only, and writing it would take longer than all else.
    """

    __slots__ = ("_parsed", "event", "id", "retry")

    data = ""

    def __init__(self, sse: Any, parsed: Any, event: str | None) -> None:
        self._parsed = parsed
        self.event = event
        self.id = sse.id
        self.retry = sse.retry

    def json(self) -> Any:
        return self._parsed


class _Last:
    """Stands in for the event that a stream without `[DONE]` does not have."""

    event = id = retry = None


def pass_events(events: Events, sse: Any) -> Iterator[Any]:
    """What leaves in the place of one event. INVARIANT: nothing that arrived leaves but through `Events`."""
    if sse.data.startswith("[DONE]"):
        yield from _rest(events, sse)
        yield sse
        return
    before, passed = events.pass_(sse.json())
    for held in before:
        yield Event(sse, held, held.get("type") if sse.event else None)
    for data in passed:
        yield Event(sse, data, sse.event)


def last_events(events: Events) -> Iterator[Any]:
    """What leaves when the stream ends without saying so."""
    return _rest(events, _Last)


def _rest(events: Events, sse: Any) -> Iterator[Any]:
    for held in events.rest():
        yield Event(sse, held, held.get("type"))
