"""DuckDB files, opened for reading, cut off from everything outside of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

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

__all__ = ["MAGIC", "OFFSET", "Duck"]

#: What stands at `OFFSET` in the file.
MAGIC: Final = b"DUCK"
OFFSET: Final = 8
#: Rows from which some are drawn besides the first ones: DuckDB draws vectors of 2,048.
_DRAWN: Final = 16 * 2048
_PLAIN: Final = ("DATE", "TIME", "INTERVAL", "BOOLEAN", "FLOAT", "DOUBLE", "UUID", "BIT", "GEOMETRY")
_CONFIG: Final = {
    # A view may name a file or an address: an untrusted database must not make anybody read or call it.
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "threads": "2",
}


class Duck:
    """A DuckDB file.

    Args:
        path: the file.
        timeout: seconds that one statement may take.

    Raises:
        SourceError: duckdb is not installed, or the file cannot be opened.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._driver = driver("duckdb", "duckdb")
        self._timeout = timeout
        if not path.is_file():
            raise SourceError("there is no such file")
        try:
            self._connection = self._driver.connect(str(path), read_only=True, config=_CONFIG)
            # Its own bar would be on stdout.
            self._connection.execute("SET enable_progress_bar = false")
        except (self._driver.Error, OSError) as error:
            raise SourceError(_reason(error)) from None

    def _run(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._connection.interrupt()

        timer = threading.Timer(self._timeout, stop)
        timer.daemon = True
        timer.start()
        try:
            rows: list[tuple[Any, ...]] = self._connection.execute(statement, parameters).fetchall()
            return rows
        except (self._driver.Error, UnicodeError) as error:
            if type(error).__name__ == "InterruptException" and not late.is_set():
                raise KeyboardInterrupt from None
            raise SourceError("took longer than the timeout" if late.is_set() else _reason(error)) from None
        finally:
            timer.cancel()

    def relations(self) -> list[Relation]:
        """Tables and views of the file."""
        found: dict[tuple[str, str], Relation] = {}
        for kind, schema, name, rows in self._run(
            "SELECT 'table', schema_name, table_name, estimated_size FROM duckdb_tables() "
            "WHERE NOT internal AND database_name = current_database() "
            "UNION ALL SELECT 'view', schema_name, view_name, 0 FROM duckdb_views() "
            "WHERE NOT internal AND database_name = current_database() ORDER BY 2, 3"
        ):
            found[schema, name] = Relation(name, "" if schema == "main" else schema, kind, (), (schema, rows))
        for schema, name, column, says in self._run(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE NOT internal AND database_name = current_database() ORDER BY 1, 2, column_index"
        ):
            one = found.get((schema, name))
            if one is not None:
                found[schema, name] = one._replace(fields=(*one.fields, Field(column, _plain(says), _kind(says))))
        return list(found.values())

    def sample(self, relation: Relation, fields: Sequence[Field], count: int) -> Sample:
        """See `Database`."""
        schema, size = relation.key
        chosen = ", ".join(f"left(CAST({quoted(field.name)} AS VARCHAR), {CELL})" for field in fields)
        table = f"{quoted(schema)}.{quoted(relation.name)}"
        head = self._run(f"SELECT {chosen} FROM {table} LIMIT {count + 1}")  # noqa: S608 -- names are quoted
        if len(head) <= count:
            return Sample(head)
        head.pop()
        if relation.kind == "view":
            return Sample(head, larger=True)
        half = count // 2
        share = min(100.0, 100.0 * _DRAWN / max(1, size))
        drawn = self._run(
            f"SELECT {chosen} FROM {table} TABLESAMPLE system({share:.9f} PERCENT) REPEATABLE (0) LIMIT {_DRAWN}"  # noqa: S608
        )
        if len(drawn) > half:
            drawn = chance().sample(drawn, half)
        return Sample(head[: count - len(drawn)] + drawn, larger=True)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


def _kind(says: str) -> Any:
    if says.startswith("BLOB"):
        return "binary"
    return "plain" if says.startswith(_PLAIN) and not says.endswith("]") else "text"


def _plain(says: str) -> str:
    # The choices of an ENUM are values, and so may be the names in a STRUCT.
    return says.partition("(")[0]


def _reason(error: BaseException) -> str:
    """What happened, by its kind: DuckDB's words may hold values."""
    return {
        "IOException": "cannot be opened: locked by another program, or not a DuckDB file",
        "SerializationException": "damaged, or made by another version of DuckDB",
        "PermissionException": "a view that reaches out of the file, which is not followed",
    }.get(type(error).__name__, f"DuckDB says {type(error).__name__}")
