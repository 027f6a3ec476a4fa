"""Live schemas, kept until they may have changed."""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Hashable
from time import monotonic
from typing import Final

from msgspec.structs import astuple

from guardai.model import LiveSchema

__all__ = ["LiveSchemas", "redefines"]

#: The first letters of statements that may change what tables there are, and of comments.
_FIRST: Final = frozenset("acdprtuACDPRTU-/(")
_WORD: Final = re.compile(
    r"(?:create|alter|drop|attach|detach|rename|truncate|use|comment|call|do|declare|pragma)\b|[-/(]", re.IGNORECASE
)


def redefines(statement: str) -> bool:
    """Whether a statement of the application's own may change what tables there are. Quick; rather true than false."""
    text = statement.lstrip()
    return text[:1] in _FIRST and _WORD.match(text) is not None


class LiveSchemas:
    """The schema of each connection target: what names stand for depends on the server, the database and the user.

    Two things end a schema, because neither alone does. An *epoch*: a statement of this process that changes the schema
    (`changed`) must count for the very next statement, on whichever connection to the target. An *age*: another process,
    or another user's migration, tells nobody.

    The epoch also settles the race between a read and a change. Who reads takes the epoch first; what was read before a
    change and is put after it is not kept::

        schema = schemas.get(key)
        if schema is None:
            epoch = schemas.epoch(key)
            schema = read(dialect, query)
            schemas.put(key, schema, epoch)

    A change that is not committed yet is not seen by other connections: call `changed` after the statement, and again
    after the commit. Every method may be called from any thread, from a signal handler and from `__del__`; a forked child
    goes on with what its parent knew.

    Args:
        age: seconds after which a schema is read again.
        most: how many targets are kept; beyond that the one that was put the longest ago goes.
    """

    def __init__(self, age: float = 60.0, most: int = 256) -> None:
        self._age = age
        self._most = most
        # key → (schema, when it ends). Read without the lock: one look-up of an immutable pair.
        self._kept: dict[Hashable, tuple[LiveSchema, float]] = {}
        # key → the count at its last change. A key that is not here changed at `_floor`, if not earlier.
        self._epochs: dict[Hashable, int] = {}
        self._count = self._floor = 0
        # A signal handler may come while its own thread holds it.
        self._lock = threading.RLock()
        _all.add(self)

    def get(self, key: Hashable) -> LiveSchema | None:
        """The schema of a target; None if it has to be read."""
        kept = self._kept.get(key)
        return kept[0] if kept is not None and monotonic() < kept[1] else None

    def epoch(self, key: Hashable) -> int:
        """A number that is another after each change: taken before the schema is read, handed to `put` afterwards."""
        with self._lock:
            return self._epochs.get(key, self._floor)

    def put(self, key: Hashable, schema: LiveSchema, epoch: int | None = None) -> None:
        """Keeps a schema that was read; not if it changed since `epoch` was taken."""
        with self._lock:
            if epoch is not None and epoch != self._epochs.get(key, self._floor):
                return
            former = self._kept.pop(key, None)
            # Read anew and found the same: what is remembered of the former reading still holds.
            if former is not None and astuple(former[0]) == astuple(schema):
                schema = former[0]
            self._kept[key] = (schema, monotonic() + self._age)
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]

    def changed(self, key: Hashable) -> None:
        """A statement changed the target's schema, or may have."""
        with self._lock:
            self._kept.pop(key, None)
            self._count += 1
            self._epochs.pop(key, None)
            self._epochs[key] = self._count
            while len(self._epochs) > self._most:
                del self._epochs[next(iter(self._epochs))]
                # Whoever is reading a forgotten target's schema now has to read it again.
                self._floor = self._count

    def clear(self) -> None:
        """Forgets every schema, and those that are being read now."""
        with self._lock:
            self._kept.clear()
            self._epochs.clear()
            self._count += 1
            self._floor = self._count


_all: Final[weakref.WeakSet[LiveSchemas]] = weakref.WeakSet()


def _renew() -> None:
    """The parent's other threads are not here to release a lock."""
    for schemas in list(_all):
        schemas._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
