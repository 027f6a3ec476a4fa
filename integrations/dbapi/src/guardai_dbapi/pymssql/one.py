"""One open connection of pymssql's, governed without patching the library: a view whose cursors are real subclasses."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, Final
from urllib.parse import quote

import wrapt

from guardai.hooks import acting
from guardai_dbapi.pymssql.call import DIALECT, Open, target
from guardai_dbapi.pymssql.methods import METHODS
from guardai_dbapi.statement import begin

__all__ = ["ConnectionView"]


#: What the program connected to is not kept by the library, so the server is asked for its own name.
_ADDRESS: Final = "SELECT @@SERVERNAME, CONVERT(int, CONNECTIONPROPERTY('local_tcp_port'))"


def _address(low: Any) -> str:
    from pymssql._mssql import MSSQLException

    with contextlib.suppress(MSSQLException):
        told = low.execute_row(_ADDRESS)
        if told is not None and told[0]:
            return quote(f"{told[0]}:{told[1] or 1433}".lower(), safe=":")
    return "unknown"


class _Low(wrapt.ObjectProxy[Any]):
    """The low-level connection, as `connect` would have opened it."""

    def __init__(self, low: Any) -> None:
        super().__init__(low)
        self._self_open = Open(_address(low), quoted=False)

    @property
    def _guardai(self) -> Open:
        return self._self_open

    @property
    def _guardai_low(self) -> Any:
        return self.__wrapped__

    def _guardai_bare(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    @property
    def rows_affected(self) -> Any:
        ours = self._self_open.affected
        return self.__wrapped__.rows_affected if ours is None else ours

    @property
    def identity(self) -> Any:
        self.cancel()
        return self.__wrapped__.identity


def _method(name: str, wrapper: Any) -> Any:
    def method(self: _Low, *args: Any, **kwargs: Any) -> Any:
        return wrapper(getattr(self.__wrapped__, name), self, args, kwargs)

    method.__name__ = name
    return method


for _name, _wrapper in METHODS.items():
    setattr(_Low, _name, _method(_name, _wrapper))


@functools.cache
def _cursor_class() -> Any:
    from pymssql import Cursor

    cursor: Any = Cursor

    def source(self: Any) -> Any:
        cursor._source.__get__(self)  # raises if it is closed
        return self._guardai_view

    about = {name: getattr(cursor, name) for name in ("__module__", "__qualname__", "__doc__")}
    more = {"_source": property(source), "connection": property(lambda self: self._guardai_view)}
    return type(cursor.__name__, (cursor,), {**about, **more})


class ConnectionView(wrapt.ObjectProxy[Any]):
    """An open connection that guardai did not make: the same object to the program, its cursors governed."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._self_low = _Low(connection._conn)

    @property
    def _conn(self) -> Any:
        _ = self.__wrapped__._conn  # raises if it is closed
        return self._self_low

    def cursor(self, as_dict: Any = None, arraysize: Any = None) -> Any:
        """A governed cursor."""
        bare = self.__wrapped__
        cursor = _cursor_class()(bare, bare.as_dict if as_dict is None else as_dict, arraysize or bare.arraysize)
        cursor._guardai_view = self
        return cursor

    def bulk_copy(self, table_name: str, *args: Any, **kwargs: Any) -> Any:
        """As it is for the application; an agent's goes round the view, so it is refused."""
        text = f"INSERT INTO {table_name} VALUES (@p1)"  # noqa: S608 - judged, never run
        run = acting(text, DIALECT)
        if run is not None:
            statement = begin(run, target(self._self_low), text, "unknown", opaque=("opaque.raw",))
            if statement.ticket.enforcing:
                statement.ticket.impossible("its rows cannot be seen here; open the connection after guardai.init")
            statement.ticket.close(None)
        return self.__wrapped__.bulk_copy(table_name, *args, **kwargs)

    def __enter__(self) -> Any:
        self.__wrapped__.__enter__()
        return self
