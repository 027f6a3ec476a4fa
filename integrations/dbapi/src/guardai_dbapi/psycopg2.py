"""psycopg2: connections and cursors of an agent's statements are real subclasses of what the program asked for.

Its connection and cursor are immutable C types, so `psycopg2.connect` is given a connection factory: a subclass, made
once for each class that a program asks for, whose cursors are subclasses of the classes asked for. The classes stand in
`psycopg2_cursor.py`, which imports psycopg2 and is imported only once the program has done so.

What goes round it: the C types' own constructors and methods called by name.
"""

from __future__ import annotations

import sys
from typing import Any

from guardai.hooks import Hooks

__all__ = ["Psycopg2Driver"]


class Psycopg2Driver:
    """psycopg2: `connect`, and so its pools; every connection and cursor class of a program's."""

    library = "psycopg2"
    targets: tuple[str, ...] = ("psycopg2",)
    versions = ">=2.9,<3"

    def install(self, hooks: Hooks) -> None:
        """Wraps `connect`."""
        hooks.wrap("psycopg2:connect", _connect)

    def wrap(self, obj: Any) -> Any | None:
        """A governed view of one open connection, without patching psycopg2."""
        psycopg2 = sys.modules.get("psycopg2")
        if psycopg2 is None or not isinstance(obj, psycopg2.extensions.connection):
            return None
        from guardai_dbapi import psycopg2_cursor

        return obj if isinstance(obj, psycopg2_cursor.GovernedConnection) else psycopg2_cursor.ConnectionProxy(obj)


def _connect(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from guardai_dbapi import psycopg2_cursor

    position = 1  # connect(dsn, connection_factory, cursor_factory, **kwargs)
    asked = args[position] if len(args) > position else kwargs.get("connection_factory")
    governed = psycopg2_cursor.connection_factory(asked)
    if len(args) > position:
        args = (*args[:position], governed, *args[position + 1 :])
    else:
        kwargs = {**kwargs, "connection_factory": governed}
    return wrapped(*args, **kwargs)
