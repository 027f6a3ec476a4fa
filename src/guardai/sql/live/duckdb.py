"""DuckDB: its table functions, over every database that is attached.

Of the current database a table of the search path stands under its plain name, any other under `schema.table`; of another
database under `database.table` where the schema is `main`, otherwise under `database.schema.table`. Macros are told;
functions that the program registered are not, because DuckDB counts them among its own.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from guardai.model import LiveFunction, LiveSchema
from guardai.model.live import Volatility
from guardai.sql.live.found import EVENTS, Found, query_of, text, tokens

__all__ = ["duckdb"]

Rows = list[tuple[Any, ...]]
Place = tuple[str, str, str]

_VOLATILITY: Final[dict[str, Volatility]] = {"CONSISTENT": "immutable", "CONSISTENT_WITHIN_QUERY": "stable"}
_CATALOGS: Final = "('system', 'pg_catalog', 'information_schema')"
_OURS: Final = f"NOT internal AND database_name <> 'system' AND schema_name NOT IN {_CATALOGS}"
_COLUMNS: Final = f"""
SELECT database_name, schema_name, table_name, column_name FROM duckdb_columns() WHERE {_OURS}
ORDER BY database_name, schema_name, table_name, column_index"""  # noqa: S608 - no value of anybody's stands in it
_VIEWS: Final = f"SELECT database_name, schema_name, view_name, sql FROM duckdb_views() WHERE {_OURS}"  # noqa: S608
_KEYS: Final = """
SELECT database_name, schema_name, table_name, unnest(constraint_column_names) FROM duckdb_constraints()
WHERE constraint_type = 'PRIMARY KEY'"""
_FUNCTIONS: Final = """
SELECT database_name, schema_name, function_name, function_type, stability, macro_definition FROM duckdb_functions()
WHERE NOT internal"""
_TRIGGERS: Final = "SELECT database_name, schema_name, table_name, event_manipulation, sql FROM duckdb_triggers()"


def duckdb() -> Generator[str, Rows, LiveSchema]:
    """Yields queries, is sent their rows; returns the schema."""
    found = Found()
    rows = yield (
        "SELECT current_database(), unnest(current_schemas(true)), "
        "(SELECT count(*) FROM duckdb_functions() WHERE function_name = 'duckdb_triggers')"
    )
    database = text(rows[0][0]) if rows else ""
    # The first is temp's; `main` of the current database comes after those that were set.
    schemas = [schema for schema in dict.fromkeys(text(row[1]) for row in rows[1:]) if schema != "pg_catalog"]
    homes = [("temp", "main"), *((database, schema) for schema in schemas)]
    ranks = {home: rank for rank, home in reversed(list(enumerate(homes)))}
    columns = _grouped((yield _COLUMNS))
    queries: dict[Place, str] = {(text(d), text(s), text(v)): text(sql) for d, s, v, sql in (yield _VIEWS)}
    keys = _grouped((yield _KEYS))

    first: dict[str, tuple[str, str]] = {}
    for catalog, schema, name in columns.keys() | queries.keys():
        rank, lower = ranks.get((catalog, schema)), name.lower()
        if rank is not None and (lower not in first or rank < ranks[first[lower]]):
            first[lower] = (catalog, schema)

    def qualified(place: Place) -> str:
        catalog, schema, name = place
        if catalog == database:
            return f"{schema}.{name}"
        return f"{catalog}.{name}" if schema == "main" else f"{catalog}.{schema}.{name}"

    def named(place: Place) -> str:
        return place[2] if first.get(place[2].lower()) == place[:2] else qualified(place)

    for place, listed in columns.items():
        if place in queries:
            found.view(named(place), listed, query_of(queries[place]))
        else:
            found.table(named(place), listed, keys.get(place, ()))
    for place in queries.keys() - columns.keys():
        found.view(named(place), (), query_of(queries[place]))

    for catalog, schema, name, kind, stability, body in (yield _FUNCTIONS):
        place = (text(catalog), text(schema), text(name))
        visible = place[:2] in ranks
        macro = text(kind) in ("macro", "table_macro")
        function = LiveFunction(_VOLATILITY.get(text(stability), "volatile"), "sql" if macro else "", text(body))
        found.function(place[2] if visible else qualified(place), function)
    if rows and rows[0][2]:
        for catalog, schema, table, event, sql in (yield _TRIGGERS):
            what = text(event).lower()
            place = (text(catalog), text(schema), text(table))
            found.trigger(named(place), (what,) if what in EVENTS else EVENTS, _statement(text(sql)))
    return found.schema(["temp", *schemas])


def _grouped(rows: Rows) -> dict[Place, list[str]]:
    """{(database, schema, table): [columns]}, in the order of the rows."""
    grouped: dict[Place, list[str]] = {}
    for database, schema, table, column in rows:
        grouped.setdefault((text(database), text(schema), text(table)), []).append(text(column))
    return grouped


def _statement(sql: str) -> str:
    """What a `CREATE TRIGGER … FOR EACH ROW|STATEMENT statement` runs; "" if there is more to it."""
    before = ""
    for word, _, end in tokens(sql):
        if before == "each":
            rest = sql[end:].strip().removesuffix(";").rstrip()
            return "" if rest[:4].lower() == "when" else rest
        before = word
    return ""
