"""What fed a call, by session: `possible` edges, which claim no more than that the data was within reach.

A model request is fed by everything that its session read since the model last answered, and by that answer. Any other
call names only the newest of these: that one was fed by what came before it. Following edges backwards reaches everything
that was within reach, and an event stays small.
"""

from __future__ import annotations

import threading
from typing import Final

__all__ = ["Fed"]

#: Edges of one event. Where an agent reads more between two model calls, the newest source stands for the rest.
_MOST: Final = 64


class Fed:
    """The sources within reach of one session. Safe to use from several threads."""

    __slots__ = ("_answer", "_edges", "_latest", "_lock", "_read")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer = ""
        self._read: list[str] = []
        self._edges: list[dict[str, str]] | None = []
        self._latest: list[dict[str, str]] = []

    def read(self, event: str) -> None:
        """The session received data by this outcome: rows, documents, a tool's result."""
        with self._lock:
            if len(self._read) < _MOST:
                self._read.append(event)
            self._edges = None
            self._latest = [_edge(event)]

    def answered(self, event: str) -> None:
        """The model answered: what was read before is within that answer's own edges."""
        with self._lock:
            self._answer = event
            self._read.clear()
            self._edges = None
            self._latest = [_edge(event)]

    def latest(self) -> list[dict[str, str]]:
        """The newest source, as it stands in an event. Shared: not to be changed."""
        return self._latest

    def edges(self) -> list[dict[str, str]]:
        """All sources since the last answer, and that answer. Shared: not to be changed."""
        edges = self._edges
        if edges is None:
            with self._lock:
                sources = [self._answer, *self._read] if self._answer else self._read
                edges = [_edge(source) for source in sources]
                if self._latest and self._latest[0] not in edges:
                    edges += self._latest
                self._edges = edges
        return edges


def _edge(source: str) -> dict[str, str]:
    return {"evidence": "possible", "from": source}
