"""Who acts, in which session."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Audience", "OnDenied", "Principal", "Session"]

Audience = Literal["process", "person"]
OnDenied = Literal["raise", "abort"]


class Principal(NamedTuple):
    """An agent on behalf of a user, possibly through other agents; or the application itself.

    Attributes:
        kind: `Agent` or `App`, the entity type that policies see.
        agent: the agent's name (for `App` the program's).
        user: on whose behalf.
        chain: the agents in between, outermost first.
        assurance: `asserted` (the program said so) or `verified` (a token proved it).
    """

    kind: Literal["Agent", "App"]
    agent: str
    user: str
    chain: tuple[str, ...] = ()
    assurance: Literal["asserted", "verified"] = "asserted"


class Session(NamedTuple):
    """One run of work. What it has seen so far is kept by the gate, not here.

    Attributes:
        id: random and unique, or what `guardai.session` was given to go on with.
        audience: who reads the answers: the process, or a person.
        on_denied: whether a denial is an ordinary exception or aborts the session.
        implicit: nobody opened it; guardai did, at the first model request of a context.
    """

    id: str
    principal: Principal
    purpose: str = ""
    audience: Audience = "process"
    on_denied: OnDenied = "raise"
    implicit: bool = False
