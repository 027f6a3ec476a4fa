"""What is gathered about a statement while it is judged."""

from __future__ import annotations

__all__ = ["Facts"]


class Facts:
    """Grows while a statement is judged; everything in it is the union over what is reachable.

    Attributes:
        effects, reads, writes, functions, columns, unbounded: as in `Inspection`.
        called: effects that come from functions and odd tables: they happen even where the statement is only explained.
        reason: the first reason code that was given.
    """

    __slots__ = ("called", "columns", "effects", "functions", "reads", "reason", "unbounded", "writes")

    def __init__(self, effects: set[str] | None = None) -> None:
        self.effects: set[str] = effects if effects is not None else set()
        self.called: set[str] = set()
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.functions: set[str] = set()
        self.columns: set[str] = set()
        self.unbounded = False
        self.reason: str | None = None

    def give(self, reason: str) -> None:
        """Remembers why, unless an earlier reason stands."""
        if self.reason is None:
            self.reason = reason

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
        if other.reason is not None:
            self.give(other.reason)
