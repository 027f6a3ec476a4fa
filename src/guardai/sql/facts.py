"""What is gathered about a statement while it is judged."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Facts"]


@dataclass(slots=True)
class Facts:
    """Grows while a statement is judged; everything in it is the union over what is reachable.

    Attributes:
        called: effects that come from functions and odd tables: they happen even where the statement is only explained.
        reason: the first reason code that was given.
    """

    effects: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    unbounded: bool = False
    reason: str | None = None

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
