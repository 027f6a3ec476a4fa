"""The verbs that a policy sees, each in a group."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

__all__ = ["ACTIONS", "GROUPS", "REVEAL"]

#: Verb → group. `reveal` stands apart: it is the second question of every call, asked of a label.
ACTIONS: Final = MappingProxyType(
    {
        "llm.generate": "llm",
        "llm.embed": "llm",
        "tool.call": "tool",
        "retrieval.query": "retrieval",
        "db.read": "db",
        "db.write": "db",
        "db.destroy": "db",
        "db.admin": "db",
        "db.unknown": "db",
        "mcp.call": "mcp",
        "http.request": "http",
        "process.exec": "process",
        "data.export": "data",
    }
)
GROUPS: Final = tuple(sorted(set(ACTIONS.values())))
REVEAL: Final = "reveal"
