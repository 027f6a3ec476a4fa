"""A plugin of pytest: everything that the tests do is an agent's, and policy permits all of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

POLICY = '@id("all") permit (principal, action, resource);'


def pytest_configure(config: Any) -> None:
    import guardai

    folder = Path(tempfile.mkdtemp(prefix="guardai-upstream-"))
    (folder / "policy" / "policies").mkdir(parents=True)
    (folder / "policy" / "policies" / "all.cedar").write_text(POLICY)
    (folder / "policy" / "catalog.toml").touch()
    guardai.init(home=folder / "home", policy=folder / "policy", integrations=["dbapi"])
    config.guardai_home = folder / "home"
    config.guardai_session = guardai.session(agent="upstream")
    config.guardai_session.__enter__()


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    """That the tests were governed indeed."""
    from guardai.ledger import events

    calls = sum(b'"kind":"call.outcome"' in event for event in events(config.guardai_home))
    terminalreporter.write_line(f"guardai: {calls} statements were governed")


def pytest_unconfigure(config: Any) -> None:
    import guardai

    config.guardai_session.__exit__(None, None, None)
    guardai.shutdown()
