"""MariaDB and MySQL, through PyMySQL, in transactions that can only read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from guardai.gate.reports.sources.address import server, told
from guardai.gate.reports.sources.relation import (
    CELL,
    Field,
    Relation,
    Sample,
    SourceError,
    chance,
    driver,
    quoted,
)

__all__ = ["Mysql"]

#: Where rows are read besides the first ones.
_BLOCKS: Final = 32
#: Rows of a table that is read from end to end to draw some, if its key is no number.
_SMALL: Final = 100_000
_SYSTEM: Final = "('information_schema', 'mysql', 'performance_schema', 'sys')"
_WHOLE: Final = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_PLAIN: Final = frozenset({"float", "double", "date", "time", "datetime", "timestamp", "year", "uuid"})
_BINARY: Final = frozenset(
    {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "bit", "vector", "geometry", "point"}
    | {"linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection"}
)
_OPTIONS: Final = {"charset": "charset", "unix_socket": "unix_socket", "ssl_ca": "ssl_ca"}


class Mysql:
    """A database of a MariaDB or MySQL server, or all of them.

    Args:
        url: `mysql://user:password@host:port/database?charset=…&unix_socket=…&ssl_ca=…`. Without a database, all that
            the user can see. Without a password, `MYSQL_PWD` is it.
        timeout: seconds that one statement may take.

    Raises:
        SourceError: PyMySQL is not installed, or there is no connection.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._driver = driver("pymysql", "pymysql")
        parts = server(url)
        if unknown := parts.options.keys() - _OPTIONS.keys():
            raise SourceError(f"unknown parameters: {len(unknown)}; known are {', '.join(sorted(_OPTIONS))}")
        password = parts.password or os.environ.get("MYSQL_PWD", "")
        self._database = parts.database
        try:
            self._connection = self._driver.connect(
                host=parts.host,
                port=parts.port or 3306,
                user=parts.user or None,
                password=password,
                database=parts.database or None,
                connect_timeout=10,
                read_timeout=timeout + 10,
                **{"charset": "utf8mb4"} | {_OPTIONS[name]: value for name, value in parts.options.items()},
            )
            maria = "mariadb" in self._connection.get_server_info().lower()
            limit = f"max_statement_time = {timeout}" if maria else f"max_execution_time = {round(timeout * 1000)}"
            with self._connection.cursor() as cursor:
                cursor.execute(f"SET SESSION {limit}, lock_wait_timeout = 2")
        except (self._driver.Error, OSError, UnicodeError) as error:
            words = error.args[-1] if error.args and isinstance(error.args[-1], str) else error
            raise SourceError(told(words, url, password)) from None

    def _run(
        self, statement: str, *parameters: object, within: str = "START TRANSACTION READ ONLY"
    ) -> list[tuple[Any, ...]]:
        """Runs one statement in a transaction of its own."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(within)
                # Without parameters a percent sign is one: it may stand in a column's name.
                cursor.execute(statement, parameters or None)
                rows = list(cursor.fetchall())
        except (self._driver.Error, OSError, UnicodeError) as error:
            with suppress(self._driver.Error, OSError):
                self._connection.rollback()
            raise SourceError(_reason(error)) from None
        self._connection.rollback()
        return rows

    def _listed(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the server tells of its tables. In a transaction that can only read, it hides the columns of some views."""
        return self._run(statement, *parameters, within="START TRANSACTION")

    def relations(self) -> list[Relation]:
        """Tables and views of the database, or of all but the system's."""
        within = "= %s" if self._database else f"NOT IN {_SYSTEM}"
        named = (self._database,) if self._database else ()
        found = {
            (schema, name): Relation(
                name,
                "" if schema == self._database else schema,
                "view" if kind == "VIEW" else "table",
                (),
                (schema, rows),
            )
            for schema, name, kind, rows in self._listed(
                "SELECT table_schema, table_name, table_type, table_rows FROM information_schema.tables "  # noqa: S608
                f"WHERE table_schema {within} ORDER BY table_schema, table_name",
                *named,
            )
        }
        for schema, name, column, says, type_, key in self._listed(
            "SELECT table_schema, table_name, column_name, column_type, data_type, column_key "  # noqa: S608
            f"FROM information_schema.columns WHERE table_schema {within} "
            "ORDER BY table_schema, table_name, ordinal_position",
            *named,
        ):
            one = found.get((schema, name))
            if one is None:
                continue
            kind = type_.lower()
            field = Field(column, _plain(says), "binary" if kind in _BINARY else "plain" if kind in _PLAIN else "text")
            keys = (*one.key[2:], column) if key == "PRI" and kind in _WHOLE else one.key[2:]
            many = one.key[:2] + keys
            found[schema, name] = one._replace(fields=(*one.fields, field), key=many)
        return [
            one if one.fields else one._replace(error="the server does not tell its columns") for one in found.values()
        ]

    def sample(self, relation: Relation, fields: Sequence[Field], count: int) -> Sample:
        """See `Database`."""
        schema, rows, *keys = relation.key
        chosen = ", ".join(f"LEFT(CAST({quoted(field.name, '`')} AS CHAR), {CELL})" for field in fields)
        table = f"{quoted(schema, '`')}.{quoted(relation.name, '`')}"
        head = self._run(f"SELECT {chosen} FROM {table} LIMIT {count + 1}")  # noqa: S608 -- names are quoted
        if len(head) <= count:
            return Sample(head)
        head.pop()
        if relation.kind == "view":
            return Sample(head, larger=True)
        half = count // 2
        drawn: list[tuple[Any, ...]] = []
        if keys:
            key = quoted(keys[0], "`")
            ((low, high),) = self._run(f"SELECT MIN({key}), MAX({key}) FROM {table}")  # noqa: S608
            draw = chance()
            for _ in range(min(_BLOCKS, half)):
                drawn += self._run(
                    f"SELECT {chosen} FROM {table} WHERE {key} >= {draw.randint(low, high)} ORDER BY {key} "  # noqa: S608
                    f"LIMIT {max(1, half // _BLOCKS)}"
                )
        elif rows and rows <= _SMALL:
            share = min(1.0, 2 * half / rows)
            drawn = self._run(f"SELECT {chosen} FROM {table} WHERE RAND(0) < {share:.9f} LIMIT {half * 3}")  # noqa: S608
            drawn = chance().sample(drawn, half) if len(drawn) > half else drawn
        return Sample(head[: count - len(drawn)] + drawn, larger=True)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


def _plain(says: str | bytes) -> str:
    text = says.decode("utf-8", "replace") if isinstance(says, bytes) else says
    # The choices of an enum are values.
    return text.partition("(")[0] if text.startswith(("enum", "set")) else text


def _reason(error: BaseException) -> str:
    """What happened, by its number: the server's words may hold values."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    reasons = {
        1044: "no permission",
        1142: "no permission",
        1143: "no permission",
        1205: "locked by another session",
        1290: "would have written something",
        1356: "a view that refers to what is not there",
        1792: "would have written something",
        1969: "took longer than the timeout",
        2013: "the connection was lost",
        3024: "took longer than the timeout",
    }
    return reasons.get(number, f"the server says {number or type(error).__name__}")
