"""The edge table that the sealer derives from events, and the questions asked of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["EdgeTable", "upstream"]


class EdgeTable:
    """Derives one row (source, event, evidence) from each edge of each event; verification derives it again."""

    name: Final = "edges"
    columns: Final = ("source", "event", "evidence")

    def rows(self, event: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """The rows that this event adds."""
        for edge in event.get("lineage") or ():
            yield edge["from"], event["id"], edge["evidence"]


def upstream(store: sqlite3.Connection, event: str) -> list[str]:
    """Every event from which data may have reached this one, in no particular order.

    Args:
        store: the sealed store.
        event: an event's id.
    """
    found = store.execute(
        "WITH RECURSIVE up(id) AS (SELECT source FROM edges WHERE event = ? "
        "UNION SELECT edges.source FROM edges JOIN up ON edges.event = up.id) SELECT id FROM up",
        (event,),
    )
    return [row[0] for row in found]
