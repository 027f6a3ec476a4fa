"""What fed a call, by session: `possible` edges, which claim no more than that the data was within reach.

A call is fed by everything that its session read since the model last answered, and by that answer. The answer itself
was fed by what came before it, so that following edges backwards reaches everything that was in the prompt.
"""

from __future__ import annotations

import threading
from typing import Final

__all__ = ["Fed"]

#: Edges of one event. An agent that reads more between two model calls gets one edge `more` that says so.
_MOST: Final = 64


class Fed:
    """The sources within reach of one session. Safe to use from several threads."""

    __slots__ = ("_answer", "_edges", "_lock", "_read", "_skipped")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer = ""
        self._read: list[str] = []
        self._skipped = 0
        self._edges: list[dict[str, str]] | None = []

    def read(self, event: str) -> None:
        """The session received data by this outcome: rows, documents, a tool's result."""
        with self._lock:
            if len(self._read) < _MOST:
                self._read.append(event)
            else:
                self._skipped += 1
            self._edges = None

    def answered(self, event: str) -> None:
        """The model answered: what was read before is within that answer's own edges."""
        with self._lock:
            self._answer = event
            self._read.clear()
            self._skipped = 0
            self._edges = None

    def edges(self) -> list[dict[str, str]]:
        """The edges of a call that happens now, as they stand in its event. Shared: not to be changed."""
        edges = self._edges
        if edges is None:
            with self._lock:
                sources = [self._answer, *self._read] if self._answer else self._read
                edges = [{"evidence": "possible", "from": source} for source in sources]
                if self._skipped:
                    edges.append({"evidence": "possible", "from": "more", "count": str(self._skipped)})
                self._edges = edges
        return edges
