"""MySQL and MariaDB: the information schema, which shows a user what that user has rights on.

Text is asked for as bytes, which are UTF-8 there, because a connection's character set could not hold every name. A view's
query names every table with its database; so does `LiveSchema.path`. What a routine says of itself is a promise that
neither engine checks, as `LiveFunction.volatility` says. Loadable functions are in no place that every user may read.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from guardai.model import LiveFunction, LiveSchema
from guardai.model.live import Volatility
from guardai.sql.live.found import EVENTS, Found, quoted, text

__all__ = ["mysql"]

Rows = list[tuple[Any, ...]]


def _query(table: str, schema: str, columns: str, rest: str = "") -> str:
    told = ", ".join(f"CAST({column} AS BINARY)" for column in columns.split())
    return (
        f"SELECT {told} FROM information_schema.{table} "  # noqa: S608 - no value of anybody's stands in it
        f"WHERE {schema} NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') {rest}"
    )


_COLUMNS: Final = _query(
    "COLUMNS",
    "TABLE_SCHEMA",
    "TABLE_SCHEMA TABLE_NAME COLUMN_NAME",
    "ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION",
)
_VIEWS: Final = _query("VIEWS", "TABLE_SCHEMA", "TABLE_SCHEMA TABLE_NAME VIEW_DEFINITION")
_KEYS: Final = _query(
    "STATISTICS", "TABLE_SCHEMA", "TABLE_SCHEMA TABLE_NAME COLUMN_NAME",
    "AND INDEX_NAME = 'PRIMARY' ORDER BY TABLE_SCHEMA, TABLE_NAME, SEQ_IN_INDEX",
)  # fmt: skip
_TRIGGERS: Final = _query(
    "TRIGGERS", "EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_SCHEMA EVENT_OBJECT_TABLE EVENT_MANIPULATION ACTION_STATEMENT"
)
_FOREIGN: Final = """
SELECT CAST(k.CONSTRAINT_SCHEMA AS BINARY), CAST(k.CONSTRAINT_NAME AS BINARY), CAST(k.TABLE_SCHEMA AS BINARY),
  CAST(k.TABLE_NAME AS BINARY), CAST(k.COLUMN_NAME AS BINARY), CAST(k.REFERENCED_TABLE_SCHEMA AS BINARY),
  CAST(k.REFERENCED_TABLE_NAME AS BINARY), CAST(k.REFERENCED_COLUMN_NAME AS BINARY), CAST(r.UPDATE_RULE AS BINARY),
  CAST(r.DELETE_RULE AS BINARY)
FROM information_schema.KEY_COLUMN_USAGE AS k JOIN information_schema.REFERENTIAL_CONSTRAINTS AS r
  ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
WHERE k.REFERENCED_TABLE_NAME IS NOT NULL AND (r.UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
  OR r.DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))
ORDER BY 1, 4, 2, k.ORDINAL_POSITION"""
_ROUTINES: Final = _query(
    "ROUTINES", "ROUTINE_SCHEMA",
    "ROUTINE_SCHEMA ROUTINE_NAME SQL_DATA_ACCESS IS_DETERMINISTIC ROUTINE_BODY EXTERNAL_LANGUAGE ROUTINE_DEFINITION SECURITY_TYPE",
)  # fmt: skip


def mysql() -> Generator[str, Rows, LiveSchema]:
    """Yields queries, is sent their rows; returns the schema."""
    found = Found()
    [(current,)] = yield "SELECT CAST(CONVERT(DATABASE() USING utf8mb4) AS BINARY)"
    database = text(current)

    def named(schema: Any, name: Any) -> str:
        return text(name) if text(schema) == database else f"{text(schema)}.{text(name)}"

    columns = _grouped((yield _COLUMNS))
    queries = {(text(schema), text(name)): text(query) for schema, name, query in (yield _VIEWS)}
    keys = _grouped((yield _KEYS))
    for place, listed in columns.items():
        if place in queries:
            found.view(named(*place), listed, queries[place])
        else:
            found.table(named(*place), listed, keys.get(place, ()))
    # A view whose columns may not be seen, or that is broken.
    for place in queries.keys() - columns.keys():
        found.view(named(*place), (), queries[place])

    for schema, table, event, body in (yield _TRIGGERS):
        what = text(event).lower()
        found.trigger(named(schema, table), (what,) if what in EVENTS else EVENTS, text(body))
    keyed: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
    for space, constraint, schema, table, column, other, parent, key, updates, deletes in (yield _FOREIGN):
        named_so = (text(schema), text(table), text(other), text(parent), text(updates).upper(), text(deletes).upper())
        columns_of, keys_of = keyed.setdefault((text(space), text(constraint), *named_so), ([], []))
        columns_of.append(quoted(text(column), mark="`"))
        keys_of.append(text(key))
    for (_, _, schema, table, other, parent, updates, deletes), (columns_of, keys_of) in keyed.items():
        child = quoted(schema, table, mark="`")
        found.cascade(named(other, parent), child, columns_of, keys_of, deletes, updates)
    for schema, name, access, deterministic, kind, language, body, security in (yield _ROUTINES):
        spoken = "sql" if text(kind).upper() == "SQL" else text(language).lower()
        promised = _volatility(text(access).upper(), text(deterministic).upper())
        found.function(
            named(schema, name), LiveFunction(promised, spoken, text(body), text(security).upper() == "DEFINER")
        )
    return found.schema([database] if database else [])


def _grouped(rows: Rows) -> dict[tuple[str, str], list[str]]:
    """{(schema, table): [columns]}, in the order of the rows."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in rows:
        grouped.setdefault((text(schema), text(table)), []).append(text(column))
    return grouped


def _volatility(access: str, deterministic: str) -> Volatility:
    """`CONTAINS SQL` is what stands there if nothing was said."""
    if access == "NO SQL" and deterministic == "YES":
        return "immutable"
    return "stable" if access in ("NO SQL", "READS SQL DATA") else "volatile"
