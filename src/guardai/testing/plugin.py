"""A pytest fixture for programs that use guardai: a gate with a ledger of its own, and what it recorded.

::

    def test_agent_cannot_delete(guardai_ledger):
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            my_agent.run("delete everything")
        assert guardai_ledger.events(action="db.destroy", status="denied")
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["RecordedLedger", "guardai_ledger"]


class RecordedLedger:
    """The ledger of one test."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def events(self, **fields: object) -> list[dict[str, Any]]:
        """The events so far, oldest first: those whose top-level fields have these values."""
        from guardai.ledger import events

        found = (json.loads(event) for event in events(self.home))
        return [event for event in found if all(event.get(name) == value for name, value in fields.items())]


@pytest.fixture
def guardai_ledger(tmp_path: Path) -> Iterator[RecordedLedger]:
    """Starts guardai with a home of its own and takes it down again. Settings come from the files and `GUARDAI_*`."""
    import guardai

    home = tmp_path / "guardai-home"
    guardai.init(home=home)
    try:
        yield RecordedLedger(home)
    finally:
        guardai.shutdown()
