"""Connections to take something back on: one transaction each, with the rights of whoever runs the command."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from guardai.errors import GuardError
from guardai.gate.reports.sources.address import kind_of, server, shown, told
from guardai.gate.reports.sources.relation import SourceError, driver

__all__ = ["Engine", "RollbackError", "connect"]

#: Seconds to wait for a lock.
_WAIT: Final = 10
_SQLITE_NAME: Final = re.compile(r"""(?:(.+)\.)?("(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|\w+)""", re.DOTALL)


class RollbackError(GuardError):
    """Nothing was taken back; no message holds a value."""


class Engine:
    """A transaction on an open connection. What it raises says what happened by a code: a server's words may hold values.

    Args:
        dialect: the engine's.
        connection: any of DB-API, which begins no transaction in autocommit.
        errors: what its driver raises.
    """

    def __init__(self, dialect: str, connection: Any, errors: type[Exception]) -> None:
        self.dialect = dialect
        self._connection = connection
        self._errors = errors

    def begin(self, settings: Mapping[str, str]) -> None:
        """A transaction in which values are written as they were when the rows were kept."""
        if self.dialect == "sqlite":
            self.query("BEGIN IMMEDIATE")
        elif self.dialect == "postgres":
            self.query(f"SET LOCAL lock_timeout = '{_WAIT}s'")
        else:
            self.query(f"SET SESSION innodb_lock_wait_timeout = {_WAIT}")
        for name, value in settings.items():
            text = value.replace("'", "''")
            if self.dialect == "postgres":
                self.query(f"SELECT pg_catalog.set_config('{name}', '{text}', true)")
            else:
                self.query(f"SET SESSION {name} = '{text}'")

    def holds(self, uri: str) -> bool:
        """Whether this is the database that an address names, as far as it can tell: a server may have many names."""
        if self.dialect == "sqlite":
            path = _path(uri)
            return path.exists() and path.samefile(self.query("PRAGMA database_list")[0][2])
        name = unquote(uri.rpartition("/")[2])
        if self.dialect == "postgres":
            return bool(self.query("SELECT pg_catalog.current_database()")[0][0] == name)
        return True  # a table's name there has the database's before it

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query; none of what has none."""
        cursor = self._executed(sql)
        return list(cursor.fetchall()) if cursor.description is not None else []

    def run(self, sql: str) -> int:
        """How many rows a statement changed."""
        return int(self._executed(sql).rowcount)

    def writable(self, table: str) -> dict[str, bool]:
        """Column → whether a value can be given for it; the engine computes the others."""
        if self.dialect == "sqlite":
            match = _SQLITE_NAME.fullmatch(table)
            schema = f"{match[1]}." if match and match[1] else ""
            name = match[2] if match else table
            rows = self.query(f"PRAGMA {schema}table_xinfo({name})")
            return {_text(row[1]): row[6] not in (2, 3) for row in rows}
        if self.dialect == "postgres":
            literal = table.replace("'", "''")
            rows = self.query(
                "SELECT attname, attgenerated = '' FROM pg_catalog.pg_attribute "  # noqa: S608 - as the server quoted it
                f"WHERE attrelid = pg_catalog.to_regclass('{literal}') AND attnum > 0"
            )
            return {_text(name): bool(plain) for name, plain in rows}
        rows = self.query(f"SHOW COLUMNS FROM {table}")
        return {_text(row[0]): "GENERATED" not in _text(row[5]).upper() for row in rows}

    def commit(self) -> None:
        """Keeps it."""
        try:
            if self.dialect == "sqlite":
                self._executed("COMMIT")
            else:
                self._connection.commit()
        except self._errors as error:
            raise RollbackError(f"it could not be committed ({_code(error)})") from None

    def back(self) -> None:
        """Keeps nothing."""
        with suppress(self._errors):
            self._connection.rollback()

    def close(self) -> None:
        """Ends the connection."""
        with suppress(self._errors):
            self._connection.close()

    def _executed(self, sql: str) -> Any:
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql)
        except self._errors as error:
            raise RollbackError(f"the database refuses it ({_code(error)})") from None
        return cursor


def connect(url: str) -> Engine:
    """A connection to a database of which rows can be put back.

    Args:
        url: `sqlite:///path`, `postgresql://user@host/database`, `mysql://…`, `mariadb://…`.

    Raises:
        RollbackError: there is none.
    """
    try:
        kind, address = kind_of(url)
        match kind:
            case "sqlite":
                return _sqlite(address)
            case "postgres":
                psycopg = driver("psycopg", "psycopg[binary]")
                try:
                    made = psycopg.connect(address, connect_timeout=10, application_name="guardai rollback")
                    made.execute("SET client_encoding TO 'UTF8'")
                except psycopg.Error as error:
                    raise SourceError(told(error, address)) from None
                made.commit()
                return Engine("postgres", made, psycopg.Error)
            case "mysql":
                return _mysql(address)
    except SourceError as error:
        raise RollbackError(f"{shown(url)}: {error}") from None
    raise RollbackError(f"{shown(url)}: no address of a database whose rows can be put back")


def _sqlite(address: str) -> Engine:
    path = _path(address)
    if not path.is_file():
        raise SourceError("there is no such file")
    made = sqlite3.connect(path, isolation_level=None, timeout=_WAIT)
    # What would be left without its parent is not put back, whatever the program's own connections allow.
    made.execute("PRAGMA foreign_keys = ON")
    return Engine("sqlite", made, sqlite3.Error)


def _path(address: str) -> Path:
    name = address.partition("://")[2].removeprefix("/")
    path = Path(name) if re.match(r"[A-Za-z]:", name) else Path("/" + name)
    return path if path.is_file() else Path(unquote(str(path)))


def _mysql(address: str) -> Engine:
    pymysql = driver("pymysql", "pymysql")
    parts = server(address)
    password = parts.password or os.environ.get("MYSQL_PWD", "")
    try:
        made = pymysql.connect(
            host=parts.host,
            port=parts.port or 3306,
            user=parts.user or None,
            password=password,
            database=parts.database or None,
            unix_socket=parts.options.get("unix_socket"),
            charset="utf8mb4",
            connect_timeout=10,
        )
        maria = "mariadb" in made.get_server_info().lower()
    except (pymysql.Error, OSError) as error:
        words = error.args[-1] if error.args and isinstance(error.args[-1], str) else error
        raise SourceError(told(words, address, password)) from None
    return Engine("mariadb" if maria else "mysql", made, pymysql.Error)


def _text(cell: Any) -> str:
    return cell.decode() if isinstance(cell, bytes | bytearray) else str(cell)


def _code(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    return str(state or number or type(error).__name__)
