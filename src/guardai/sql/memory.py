"""Answers remembered by exact text, within bounds; and what is made once for each live schema, for as long as it lives."""

from __future__ import annotations

import weakref
from threading import Lock
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardai.model import LiveSchema
    from guardai.sql.inspection import Inspection

__all__ = ["ENTRIES", "Memory", "PerSchema"]

#: A statement longer than this is judged anew each time: bulk inserts do not repeat.
LENGTH: Final = 16_384
ENTRIES: Final = 4_096
CHARACTERS: Final = 4_000_000

Made = TypeVar("Made")


class Memory:
    """Inspections by (text, dialect). A reader takes no lock: the dictionary changes only by single, atomic operations.

    Attributes:
        get: looks up what is remembered of (text, dialect).
        entries, characters: how much is remembered at most.
        held: how many characters of statements are.
    """

    __slots__ = ("_lock", "answers", "characters", "entries", "get", "held")

    def __init__(self, entries: int = ENTRIES, characters: int = CHARACTERS) -> None:
        self.entries, self.characters = entries, characters
        self.answers: dict[tuple[str, str], Inspection] = {}
        self.get = self.answers.get
        self.held = 0
        self._lock = Lock()

    def put(self, sql: str, dialect: str, found: Inspection) -> None:
        """Remembers an answer, and forgets the oldest where there are too many."""
        if len(sql) > LENGTH:
            return
        with self._lock:
            if (sql, dialect) not in self.answers:
                self.held += len(sql)
            self.answers[sql, dialect] = found
            while len(self.answers) > self.entries or self.held > self.characters:
                oldest = next(iter(self.answers))
                del self.answers[oldest]
                self.held -= len(oldest[0])


class PerSchema(Generic[Made]):
    """Something made once for each live schema. It goes when the schema goes, so it must not hold the schema itself.

    A schema is told by identity: it is frozen, and a new epoch is a new object. Comparing two large schemas by their
    content would cost more than inspecting a statement.
    """

    __slots__ = ("_held", "_lock", "_make", "get")

    def __init__(self, make: Callable[[LiveSchema], Made]) -> None:
        self._make = make
        self._held: dict[int, tuple[weakref.ref[LiveSchema], Made]] = {}
        #: looks up a schema's identity: what tells whether it is still that schema, and what was made for it
        self.get = self._held.get
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._held)

    def of(self, schema: LiveSchema) -> Made:
        """What was made for a schema."""
        key = id(schema)
        held = self._held.get(key)
        if held is not None and held[0]() is schema:  # an address is used again once its object is gone
            return held[1]
        with self._lock:
            held = self._held.get(key)
            if held is None or held[0]() is not schema:
                entries = self._held

                def forget(gone: weakref.ref[LiveSchema]) -> None:
                    # Without the lock: this may run anywhere, within `of` itself. A newer entry of that address stays.
                    kept = entries.get(key)
                    if kept is not None and kept[0] is gone:
                        entries.pop(key, None)

                held = entries[key] = (weakref.ref(schema, forget), self._make(schema))
        return held[1]
