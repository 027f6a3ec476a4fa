"""A bounded dictionary that forgets what was not used lately, without a lock."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Recent"]

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Two generations, the older one dropped when the younger is full.

    Every step is one operation of a `dict`, so threads can at worst fill in the same entry twice.
    """

    __slots__ = ("_limit", "old", "young")

    def __init__(self, limit: int) -> None:
        self.young: dict[K, V] = {}
        self.old: dict[K, V] = {}
        self._limit = limit

    def get(self, key: K) -> V | None:
        """The value, and it is young again."""
        value = self.young.get(key)
        if value is None and (value := self.old.get(key)) is not None:
            self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keeps the value for at least half the limit of further ones."""
        if len(self.young) >= self._limit:
            self.age()
        self.young[key] = value

    def age(self) -> None:
        """Drops the older generation."""
        self.old, self.young = self.young, {}
