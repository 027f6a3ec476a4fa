"""The state machine of one pause.

::

    PENDING ──all groups agreed──▶ APPROVED
       ├──────one refused────────▶ REFUSED
       └──────the call went away─▶ CANCELLED

INVARIANT: nobody approves what they asked for themselves, and one person counts once.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["Approval", "State", "Verdict"]


class State(Enum):
    """Where a pause stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class Verdict(NamedTuple):
    """What a human said.

    Attributes:
        by: who, by name.
        group: for which of the asked groups they speak.
        agreed: yes or no.
        reason: in their words.
    """

    by: str
    group: str
    agreed: bool
    reason: str = ""


class Approval:
    """One pause: which groups have to agree, who asked, and who said what. Not thread-safe: its call owns it.

    Attributes:
        groups, asked_by, state, verdicts: as above.
        about: what the call would do, in plain words without any value; "" where there is no more to say than its action.
        statement: a SQL statement laid out for people, its literals replaced; "" for other calls.
    """

    __slots__ = ("about", "asked_by", "groups", "state", "statement", "verdicts")

    def __init__(self, groups: tuple[str, ...], asked_by: str, about: str = "", statement: str = "") -> None:
        if not groups:
            raise ValueError("an approval needs at least one group to ask")
        self.groups = groups
        self.asked_by = asked_by
        self.about = about
        self.statement = statement
        self.state = State.PENDING
        self.verdicts: list[Verdict] = []

    def hear(self, verdict: Verdict) -> State:
        """Takes a verdict into account.

        Raises:
            ValueError: it does not count: not pending any more, a group that was not asked, the requester's own
                word, or somebody who has spoken already.
        """
        if self.state is not State.PENDING:
            raise ValueError(f"this approval is {self.state.value} already")
        if verdict.group not in self.groups:
            raise ValueError(f"group {verdict.group!r} was not asked; asked were {', '.join(self.groups)}")
        if not verdict.by or verdict.by == self.asked_by:
            raise ValueError("whoever asked for a call cannot approve it")
        if any(verdict.by == heard.by for heard in self.verdicts):
            raise ValueError(f"{verdict.by} has spoken already; one person counts once")
        self.verdicts.append(verdict)
        if not verdict.agreed:
            self.state = State.REFUSED
        elif {heard.group for heard in self.verdicts} == set(self.groups):
            self.state = State.APPROVED
        return self.state

    def cancel(self) -> None:
        """The call went away. Nothing changes if a verdict stands."""
        if self.state is State.PENDING:
            self.state = State.CANCELLED
