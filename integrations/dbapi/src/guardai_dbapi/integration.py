"""The integration `dbapi`: one driver a file, none imported before the program imports it."""

from __future__ import annotations

from typing import Any, Final, Protocol

from guardai.hooks import Hooks
from guardai_dbapi.aiosqlite import AiosqliteDriver
from guardai_dbapi.asyncpg import AsyncpgDriver
from guardai_dbapi.duckdb import DuckdbDriver
from guardai_dbapi.mariadb import MariadbDriver
from guardai_dbapi.mysql_connector import MysqlConnectorDriver
from guardai_dbapi.mysql_connector_aio import MysqlConnectorAioDriver
from guardai_dbapi.oracledb import OracledbDriver
from guardai_dbapi.psycopg2 import Psycopg2Driver
from guardai_dbapi.psycopg3 import Psycopg3Driver
from guardai_dbapi.pymssql import PymssqlDriver
from guardai_dbapi.pymysql import PymysqlDriver
from guardai_dbapi.sqlite import SqliteDriver

__all__ = ["DbapiIntegration", "Driver"]


class Driver(Protocol):
    """What is done for one library.

    Attributes:
        library: its distribution; "" for the standard library.
        targets: modules whose import triggers it.
        versions: the PEP 440 range it is tested against.
    """

    library: str
    targets: tuple[str, ...]
    versions: str

    def install(self, hooks: Hooks) -> None:
        """Wraps what has to be wrapped."""

    def wrap(self, obj: Any) -> Any | None:
        """One open connection, governed without patching its library; None if it is none of this library's."""


#: In the order in which `guardai.wrap` asks them.
_DRIVERS: Final[tuple[Driver, ...]] = (
    SqliteDriver(),
    AiosqliteDriver(),
    AsyncpgDriver(),
    Psycopg3Driver(),
    Psycopg2Driver(),
    PymysqlDriver(),
    MysqlConnectorDriver(),
    MysqlConnectorAioDriver(),
    MariadbDriver(),
    DuckdbDriver(),
    PymssqlDriver(),
    OracledbDriver(),
)


class DbapiIntegration:
    """All drivers of databases."""

    name = "dbapi"
    library = ""
    targets: tuple[str, ...] = tuple(target for driver in _DRIVERS for target in driver.targets)
    versions = ">=3.11"

    def install(self, hooks: Hooks) -> None:
        """Waits for the import of each library."""
        for driver in _DRIVERS:
            driver.install(hooks)

    def uninstall(self, hooks: Hooks) -> None:
        """Nothing besides the patches: connections that are open pass through, because no gate is started."""

    def wrap(self, obj: Any, hooks: Hooks) -> Any | None:  # noqa: ARG002 - the protocol's signature
        """A governed view of one open connection, without patching its library."""
        for driver in _DRIVERS:
            wrapped = driver.wrap(obj)
            if wrapped is not None:
                return wrapped
        return None
