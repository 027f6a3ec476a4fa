"""What guardai does for its own sake: it is nobody's call, and no hook governs or records it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

__all__ = ["OWN"]

#: Set where a sink is called. Were its statements recorded, each delivery would make events for the next, without end.
OWN: Final[ContextVar[bool]] = ContextVar("guardai.own", default=False)
