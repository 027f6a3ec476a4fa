"""pymssql's driver: what makes low-level connections is wrapped, and one connection without patching."""

from __future__ import annotations

import sys
from typing import Any

from guardai.hooks import Hooks
from guardai_dbapi.pymssql.methods import connection_class
from guardai_dbapi.pymssql.one import ConnectionView

__all__ = ["PymssqlDriver"]


class PymssqlDriver:
    """pymssql: `connect`, and so its pools and SQLAlchemy."""

    library = "pymssql"
    targets: tuple[str, ...] = ("pymssql._mssql",)
    versions = ">=2.4,<3"

    def install(self, hooks: Hooks) -> None:
        """Wraps what makes low-level connections: `pymssql.connect` looks it up each time."""
        hooks.wrap("pymssql._mssql:connect", _connect)

    def wrap(self, obj: Any) -> Any | None:
        """A governed view of one open connection, without patching pymssql."""
        library = sys.modules.get("pymssql")
        if library is None or not isinstance(obj, library.Connection):
            return None
        return obj if hasattr(obj._conn, "_guardai") else ConnectionView(obj)


def _connect(_wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from pymssql import _mssql

    return connection_class(_mssql.MSSQLConnection)(*args, **kwargs)
