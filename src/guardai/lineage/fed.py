"""What fed a call, by session: `possible` edges, which claim no more than that the data was within reach.

A model request is fed by everything that its session read since the model last answered, and by that answer. Any other
call names only the newest of these: that one was fed by what came before it. Following edges backwards reaches everything
that was within reach, and an event stays small.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Fed"]

#: Edges of one event. Where an agent reads more between two model calls, the newest source stands for the rest.
_MOST: Final = 64


class Fed:
    """The sources within reach of one session. Safe to use from several threads."""

    __slots__ = ("_answer", "_latest", "_read")

    # No lock: a call made from a signal handler or a finalizer may interrupt any line here. Each step is one assignment
    # or one append, after which the state is whole.

    def __init__(self) -> None:
        self._answer = ""
        self._read: list[str] = []
        self._latest: list[dict[str, str]] = []

    def read(self, event: str) -> None:
        """The session received data by this event: rows, documents, a tool's result."""
        if len(self._read) < _MOST:
            self._read.append(event)
        self._latest = [_edge(event)]

    def answered(self, event: str) -> None:
        """The model answered: what was read before is within that answer's own edges."""
        self._answer, self._read = event, []
        self._latest = [_edge(event)]

    def latest(self) -> list[dict[str, str]]:
        """The newest source, as it stands in an event. Shared: not to be changed."""
        return self._latest

    def edges(self) -> list[dict[str, str]]:
        """All sources since the last answer, and that answer."""
        sources = [self._answer, *self._read] if self._answer else list(self._read)
        edges = [_edge(source) for source in sources]
        latest = self._latest
        return edges + latest if latest and latest[0] not in edges else edges


def _edge(source: str) -> dict[str, str]:
    return {"evidence": "possible", "from": source}
