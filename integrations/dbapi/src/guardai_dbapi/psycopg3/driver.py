"""Which methods of psycopg 3 are wrapped, and the subclasses for one connection that is governed without that."""

from __future__ import annotations

import functools
from typing import Any, Final

from guardai.hooks import Hooks, Patch
from guardai_dbapi.psycopg3.awaited import acopy_block, aexecute, aexecutemany, afetch, anext_row, astream
from guardai_dbapi.psycopg3.makers import MAKER, everywhere, have_slot, watch_makers
from guardai_dbapi.psycopg3.sync import close, copy_block, execute, executemany, fetch, next_row, stream
from guardai_dbapi.psycopg3.waiting import around, committed, fetch_from_server, first, part

__all__ = ["METHODS", "Psycopg3Driver", "subclass"]


class Psycopg3Driver:
    """psycopg 3: `Cursor`, `ServerCursor`, `ClientCursor`, `RawCursor`, their async twins, and what programs derive."""

    library = "psycopg"
    targets: tuple[str, ...] = ("psycopg",)
    versions = ">=3.2,<4"

    def install(self, hooks: Hooks) -> None:
        """Wraps the methods by which statements leave and rows come."""
        for module, methods in METHODS.items():
            for method, wrapper in methods.items():
                hooks.wrap(f"{module}:{method}", wrapper)
        patch = Patch("psycopg._cursor_base:BaseCursor._make_row")
        hooks.patches.append(patch)
        hooks.when_imported("psycopg._cursor_base", functools.partial(watch_makers, hooks, patch))

    def wrap(self, obj: Any) -> Any | None:
        """The same connection: the cursors that it makes from now on are governed."""
        import sys

        psycopg = sys.modules.get("psycopg")
        if psycopg is None or not isinstance(obj, psycopg.Connection | psycopg.AsyncConnection):
            return None
        if not everywhere():
            obj.cursor_factory = subclass(obj.cursor_factory)
            obj.server_cursor_factory = subclass(obj.server_cursor_factory)
        return obj


#: module → method → wrapper.
METHODS: Final[dict[str, dict[str, Any]]] = {
    "psycopg.cursor": {
        "Cursor.execute": execute,
        "Cursor.executemany": executemany,
        "Cursor.stream": stream,
        "Cursor.copy": copy_block,
        "Cursor.fetchone": fetch,
        "Cursor.fetchmany": fetch,
        "Cursor.fetchall": fetch,
        "Cursor.__next__": next_row,
    },
    "psycopg.cursor_async": {
        "AsyncCursor.execute": aexecute,
        "AsyncCursor.executemany": aexecutemany,
        "AsyncCursor.stream": astream,
        "AsyncCursor.copy": acopy_block,
        "AsyncCursor.fetchone": afetch,
        "AsyncCursor.fetchmany": afetch,
        "AsyncCursor.fetchall": afetch,
        "AsyncCursor.__anext__": anext_row,
    },
    "psycopg._server_cursor": {"ServerCursor.execute": execute},
    "psycopg._server_cursor_async": {"AsyncServerCursor.execute": aexecute},
    "psycopg._server_cursor_base": {
        "ServerCursorMixin._declare_gen": around,
        "ServerCursorMixin._fetch_gen": fetch_from_server,
    },
    "psycopg._connection_base": {"BaseConnection._commit_gen": committed},
    "psycopg._cursor_base": {
        "BaseCursor._execute_gen": around,
        "BaseCursor._executemany_gen_pipeline": around,
        "BaseCursor._executemany_gen_no_pipeline": around,
        "BaseCursor._stream_send_gen": first,
        "BaseCursor._stream_fetchone_gen": part,
        "BaseCursor._start_copy_gen": first,
        "BaseCursor._close": close,
    },
}


@functools.cache
def subclass(asked: Any) -> Any:
    """The governed subclass of a cursor class: ours → asked → governed → psycopg's own."""
    own = next(kind for kind in asked.__mro__ if kind.__module__.partition(".")[0] == "psycopg")
    names = {"__module__": asked.__module__, "__qualname__": asked.__qualname__, "__doc__": asked.__doc__}
    if asked is not own:
        return type(asked.__name__, (asked, subclass(own)), names)
    from psycopg._cursor_base import BaseCursor

    have_slot(BaseCursor)
    kinds = {kind.__name__: kind for kind in own.__mro__}
    methods: dict[str, Any] = {"__slots__": (), "_make_row": MAKER}
    for paths in METHODS.values():
        for path, wrapper in paths.items():
            of, _, name = path.partition(".")
            # What a class of psycopg's overrides is not the method that is wrapped.
            if of in kinds and getattr(own, name) is vars(kinds[of]).get(name):
                methods[name] = _method(getattr(own, name), wrapper)
    return type(own.__name__, (own,), {**names, **methods})


def _method(plain: Any, wrapper: Any) -> Any:
    @functools.wraps(plain)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = plain.__get__(self)
        return bound(*args, **kwargs) if everywhere() else wrapper(bound, self, args, kwargs)

    return method
