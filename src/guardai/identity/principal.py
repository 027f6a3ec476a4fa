"""Principals: the agent of a session, the application itself, and one agent acting for another.

Every identity here is `asserted`: the program or the operating system said so.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Final

from guardai.model import Principal

__all__ = ["acting_agent", "acting_app", "acting_user", "delegated"]

#: Names stand in every event of a session; longer ones are cut, visibly.
_LONGEST: Final = 200
#: A chain of agents longer than this is a loop, not a delegation.
_DEEPEST: Final = 16


def acting_agent(agent: str | None = None, user: str | None = None) -> Principal:
    """The agent that acts where a program does not say: `GUARDAI_AGENT` or the program's name, for the OS's user."""
    return Principal(
        "Agent", _name(agent or os.environ.get("GUARDAI_AGENT") or _program()), _name(user) if user else acting_user()
    )


def acting_app() -> Principal:
    """The application around the agents: what it does by itself is its own business, unless settings say otherwise."""
    return Principal("App", _name(_program()), acting_user())


def delegated(outer: Principal | None, inner: Principal) -> Principal:
    """`inner` as it acts inside a session of `outer`: the outer agents become its chain.

    Raises:
        ValueError: the chain is longer than 16 agents.
    """
    if outer is None or outer.kind != "Agent" or outer.agent == inner.agent:
        return inner._replace(chain=outer.chain) if outer is not None and outer.kind == "Agent" else inner
    chain = (*outer.chain, outer.agent)
    if len(chain) > _DEEPEST:
        raise ValueError(f"{len(chain)} agents act for one another here; more than {_DEEPEST} is taken for a loop")
    return inner._replace(chain=chain)


def _program() -> str:
    started = sys.argv[0] if sys.argv else ""
    if started in ("", "-c", "-m"):
        return "python"
    path = Path(started)
    # `python -m package` starts package/__main__.py.
    return path.parent.name if path.stem == "__main__" else path.stem or "python"


def acting_user() -> str:
    """Who runs this program, as the machine calls them, unless `GUARDAI_USER` says it."""
    try:
        return _name(os.environ.get("GUARDAI_USER") or getpass.getuser())
    except (OSError, KeyError, ImportError):  # no such entry in the user database, or no such: usual in containers
        return f"uid:{os.getuid()}" if hasattr(os, "getuid") else "unknown"


def _name(text: str) -> str:
    # A lone surrogate (an undecodable byte of argv) has no UTF-8 form, hence none in an event.
    clean = text.encode("utf-8", "replace").decode("utf-8").strip() or "unknown"
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"
