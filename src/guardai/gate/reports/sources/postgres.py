"""PostgreSQL, through psycopg, in transactions that can only read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from guardai.gate.reports.sources.address import told
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

__all__ = ["Postgres"]

#: Pages that are drawn from a table besides its first rows: a page has up to some hundred rows.
_PAGES: Final = 32
_LOCK_MS: Final = 2000
_RELATIONS: Final = """
SELECT c.oid, n.nspname, c.relname, c.relkind,
       a.attname, format_type(a.atttypid, a.atttypmod), t.typname, t.typcategory,
       has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY n.nspname, c.relname, a.attnum
"""
_SIZE: Final = """
SELECT CASE WHEN c.relkind = 'p' THEN (SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(c.oid))
            ELSE pg_relation_size(c.oid) END / current_setting('block_size')::bigint
FROM pg_class c WHERE c.oid = %s
"""
#: Categories of pg_type whose values are dates, spans, truth values, shapes, ranges, bits.
_PLAIN: Final = frozenset("DTBGRV")
_MEASURES: Final = frozenset({"uuid", "float4", "float8", "money"})


class Postgres:
    """A PostgreSQL database.

    Args:
        url: `postgresql://user:password@host:port/database?parameters`, as libpq takes it.
        timeout: seconds that one statement may take.

    Raises:
        SourceError: psycopg is not installed, or there is no connection.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._psycopg = driver("psycopg", "psycopg[binary]")
        try:
            self._connection = self._psycopg.connect(url, connect_timeout=10, application_name="guardai scan")
        except self._psycopg.Error as error:
            raise SourceError(told(error, url)) from None
        self._connection.read_only = True
        self._timeout = f"{max(1, round(timeout * 1000))}ms"
        # Such a database holds bytes of any encoding; every byte is a character in this one.
        odd = self._connection.info.parameter_status("server_encoding") == "SQL_ASCII"
        self._encoding = "LATIN1" if odd else "UTF8"

    def _run(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Runs one statement in a transaction of its own."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true), "
                    "set_config('client_encoding', %s, true)",
                    (self._timeout, f"{_LOCK_MS}ms", self._encoding),
                )
                # Without parameters a percent sign is one: it may stand in a column's name.
                cursor.execute(statement, parameters or None)
                rows: list[tuple[Any, ...]] = cursor.fetchall()
                return rows
        except (self._psycopg.Error, UnicodeError) as error:
            raise SourceError(_reason(error)) from None
        finally:
            if not self._connection.closed:
                self._connection.rollback()

    def relations(self) -> list[Relation]:
        """Tables, views, materialised views and foreign tables of all schemas but the system's."""
        found: dict[int, Relation] = {}
        for oid, schema, name, relkind, column, says, typname, category, readable in self._run(_RELATIONS):
            kind = _letter(relkind)
            if oid not in found:
                told_schema = "" if schema == "public" else schema
                found[oid] = Relation(name, told_schema, "view" if kind == "v" else "table", (), (oid, schema, kind))
            if column is None:
                continue
            if not readable:
                found[oid] = found[oid]._replace(error="no permission to read all of its columns")
                continue
            plain = _letter(category) in _PLAIN or typname in _MEASURES
            field = Field(column, says, "binary" if typname == "bytea" else "plain" if plain else "text")
            found[oid] = found[oid]._replace(fields=(*found[oid].fields, field))
        return list(found.values())

    def sample(self, relation: Relation, fields: Sequence[Field], count: int) -> Sample:
        """See `Database`."""
        oid, schema, kind = relation.key
        # As text: a date before our era, an amount of money, an array all have one.
        chosen = ", ".join(f"left({_as_text(field)}, {CELL})" for field in fields)
        table = f"{quoted(schema)}.{quoted(relation.name)}"
        head = self._run(f"SELECT {chosen} FROM {table} LIMIT {count + 1}")  # noqa: S608 -- names are quoted
        if len(head) <= count:
            return Sample(head)
        head.pop()
        if kind not in "rpm":
            return Sample(head, larger=True)
        half = count // 2
        pages = int(self._run(_SIZE, oid)[0][0] or 0)
        share = 100.0 if pages <= _PAGES else 100.0 * _PAGES / pages
        drawn = self._run(
            f"SELECT {chosen} FROM {table} TABLESAMPLE SYSTEM ({share:.12f}) REPEATABLE (0) LIMIT {count * 16}"  # noqa: S608
        )
        if len(drawn) > half:
            drawn = chance().sample(drawn, half)
        return Sample(head[: count - len(drawn)] + drawn, larger=True)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


def _as_text(field: Field) -> str:
    # An address of one machine, not of a net of one.
    return f"abbrev({quoted(field.name)})" if field.type == "inet" else f"{quoted(field.name)}::text"


def _letter(value: str | bytes) -> str:
    """A value of the type "char", which comes as bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _reason(error: BaseException) -> str:
    """What happened, by its code: the server's words may hold values."""
    state = getattr(error, "sqlstate", None) or type(error).__name__
    return {
        "57014": "took longer than the timeout",
        "55P03": "locked by another session",
        "42501": "no permission",
        "25006": "would have written something",
    }.get(state, f"PostgreSQL says {state}")
