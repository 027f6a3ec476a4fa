"""What is gathered about a statement while it is judged."""

from __future__ import annotations

__all__ = ["Facts"]


class Facts:
    """Grows while a statement is judged; everything in it is the union over what is reachable.

    Attributes:
        effects, reads, writes, functions, columns, unbounded: as in `Inspection`.
        called: effects that come from functions and odd tables: they happen even where the statement is only explained.
        strangers: functions of which the dialect's tables know nothing, as they are called → the reason code to give if
            nobody else knows them either.
        spelled: words of the grammar that stand before a bracket; a database may have a function of such a name.
        reasons: the reason codes that were given, in order.
    """

    __slots__ = (
        "called",
        "columns",
        "effects",
        "functions",
        "reads",
        "reasons",
        "spelled",
        "strangers",
        "unbounded",
        "writes",
    )

    def __init__(self, effects: set[str] | None = None) -> None:
        self.effects: set[str] = effects if effects is not None else set()
        self.called: set[str] = set()
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.functions: set[str] = set()
        self.columns: set[str] = set()
        self.unbounded = False
        self.spelled: set[str] = set()
        self.strangers: dict[str, str] = {}
        self.reasons: list[str] = []

    @property
    def reason(self) -> str | None:
        """The first reason code that was given."""
        return self.reasons[0] if self.reasons else None

    def give(self, reason: str) -> None:
        """Remembers why."""
        if reason not in self.reasons:
            self.reasons.append(reason)

    def stranger(self, name: str) -> None:
        """A function is called of which nothing is known yet."""
        reason = f"unknown-function:{name.rpartition('.')[2]}"
        self.strangers[name] = reason
        self.give(reason)

    def unknown(self, reason: str) -> None:
        """Something is not proven."""
        self.effects.add("unknown")
        self.give(reason)

    def add(self, other: Facts) -> None:
        """Takes over what another one gathered."""
        self.effects |= other.effects
        self.called |= other.called
        self.reads |= other.reads
        self.writes |= other.writes
        self.functions |= other.functions
        self.columns |= other.columns
        self.unbounded |= other.unbounded
        self.spelled |= other.spelled
        self.strangers |= other.strangers
        for reason in other.reasons:
            self.give(reason)
