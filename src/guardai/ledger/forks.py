"""Keeps SQLite out of forks: no connection of ours is open, and none of its locks held, at the moment of a fork.

PostgreSQL's client is kept out while it connects. A child inherits SQLite's bookkeeping of locks but not the locks, and a mutex that another thread held stays locked in it
for ever; that would hit the application's own databases, too. So whoever opens the store in the background does so inside
`quiet()`, and a fork waits until that is over: 50 ms, a second at the most.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["before", "in_child", "in_parent", "quiet"]

_LONGEST: Final = 1.0

#: Of a store in SQLite one is moved into PostgreSQL while it is read: by one thread.
_lock = threading.RLock()
#: Threads that are about to fork, and those of them that hold the lock.
_waiting: list[int] = []
_forking: list[int] = []


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """While this is held, a fork waits. A fork that waits already comes first."""
    patience = 1000
    while _waiting and patience:
        patience -= 1
        time.sleep(_LONGEST / 1000)
    with _lock:
        yield


def before() -> None:
    """Before a fork."""
    me = threading.get_ident()
    _waiting.append(me)
    try:
        if _lock.acquire(timeout=_LONGEST):
            _forking.append(me)
    finally:
        _waiting.remove(me)


def in_parent() -> None:
    """After a fork, in the parent."""
    me = threading.get_ident()
    if me in _forking:
        _forking.remove(me)
        _lock.release()


def in_child() -> None:
    """After a fork, in the child."""
    global _lock
    _lock = threading.RLock()
    _waiting.clear()
    _forking.clear()
