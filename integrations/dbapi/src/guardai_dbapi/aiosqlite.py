"""aiosqlite: sqlite3 in a thread of its own. The statements are governed there; here the session goes along.

INVARIANT: each call runs in the context of whoever made it, not of whoever opened the connection.
"""

from __future__ import annotations

import contextvars
import functools
import sqlite3
from queue import SimpleQueue
from typing import Any

from guardai.hooks import Hooks
from guardai_dbapi.sqlite import SqliteDriver

__all__ = ["AiosqliteDriver"]


class AiosqliteDriver:
    """aiosqlite, whose connections are those of `sqlite3`."""

    library = "aiosqlite"
    targets: tuple[str, ...] = ("aiosqlite",)
    versions = ">=0.19,<1"

    def install(self, hooks: Hooks) -> None:
        """Wraps the one method by which work reaches the thread."""
        hooks.wrap("aiosqlite.core:Connection._execute", _carried)

    def wrap(self, obj: Any) -> Any | None:
        """One open connection: the same object, the connection within it governed."""
        if not any(kind.__module__ == "aiosqlite.core" and kind.__name__ == "Connection" for kind in type(obj).__mro__):
            return None
        connection: SimpleQueue[Any] = SimpleQueue()
        # What is asked of the connection has to be asked in its thread.
        obj._tx.put_nowait((None, lambda: connection.put(_wrapped(obj._connection))))
        obj._connection = connection.get()
        obj._execute = functools.partial(_again, obj._execute)
        return obj


def _wrapped(connection: Any) -> Any:
    try:
        return SqliteDriver().wrap(connection)
    except sqlite3.Error:  # it is closed: what it says of that is its own
        return connection


async def _carried(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not args:
        return await wrapped(*args, **kwargs)
    return await wrapped(contextvars.copy_context().run, *args, **kwargs)


async def _again(execute: Any, *args: Any, **kwargs: Any) -> Any:
    return await _carried(execute, None, args, kwargs)
