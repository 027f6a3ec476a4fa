"""Writes the lists of harmless functions, src/guardai/sql/functions/<dialect>.txt, from the engines' own catalogs.

Asked are: the sqlite of this Python, a PostgreSQL (libpq environment), a MariaDB (`MYSQL_HOST`, `MYSQL_USER`), duckdb if
it can be imported. For the engines that cannot be had the list is what sqlglot's parser knows and what their
documentation says (`sql_functions_known.txt`), less what functions/effects.txt names.

    python tools/sql_functions.py [DIALECT …]
"""

# ruff: noqa: INP001, S603, T201 - a script for developers: it asks local engines and tells what it wrote
from __future__ import annotations

import fnmatch
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src" / "guardai" / "sql" / "functions"
NAME = re.compile(r"[a-z_][a-z0-9_$]*")

#: What sqlglot's parser knows by name and an engine runs with more effect than computing a value.
NOT_FROM_SQLGLOT = set(
    """agg_func anonymous_agg_func ai_agg ai_classify ai_embed ai_generate ai_similarity ai_summarize_agg a_i_forecast
    combined_agg_func combined_parameterized_agg parameterized_agg directory dynamic_identifier embed external_query
    features_at_time forecast gap_fill generate generate_bool generate_double generate_embedding generate_int
    generate_table generate_text generate_text_embedding identifier merge m_l_forecast m_l_translate net_func
    next_value_for object_transform predict read_csv read_parquet safe_func scope_resolution secret semantic_view similarity
    table to_file try_to_file vector_search view x_m_l_table xmltable glob columns openxml""".split()  # noqa: SIM905
)


def known(dialect: str) -> set[str]:
    """What the documentation lists for a dialect."""
    section, names = "", set()
    for line in (HERE / "sql_functions_known.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif not line.startswith("#") and section == dialect:
            names.update(line.lower().split())
    return names


def harmful(dialect: str) -> list[str]:
    """The name patterns that effects.txt gives this dialect."""
    patterns = []
    for line in (TARGET / "effects.txt").read_text("utf-8").splitlines():
        dialects, _, rest = line.partition(" ")
        if rest and not line.startswith("#") and (dialects == "*" or dialect in dialects.split(",")):
            patterns += rest.split()[1:]
    return patterns


def sqlglot_names(dialect: str) -> tuple[set[str], str]:
    import sqlglot

    parser = sqlglot.Dialect.get_or_raise(dialect).parser_class
    names = {name.lower() for name in (*parser.FUNCTIONS, *parser.FUNCTION_PARSERS)}
    return names - NOT_FROM_SQLGLOT, f"sqlglot {sqlglot.__version__} and documentation"


def sqlite() -> tuple[set[str], str]:
    """The functions that sqlite itself marks innocuous, and the JSON ones, which it does not mark."""
    with sqlite3.connect(":memory:") as connection:
        rows = connection.execute("SELECT name, flags FROM pragma_function_list").fetchall()
    names = {name for name, flags in rows if flags & 0x200000 or name.startswith("json")}
    return names, f"SQLite {sqlite3.sqlite_version}"


def postgres() -> tuple[set[str], str]:
    """The functions of pg_catalog of which no variant is volatile."""
    query = (
        "SELECT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace "
        "GROUP BY proname HAVING bool_and(provolatile <> 'v')"
    )
    ask = ["psql", "-X", "-A", "-t", "-c"]
    names = subprocess.run([*ask, query], capture_output=True, text=True, check=True).stdout.split()
    version = subprocess.run([*ask, "SHOW server_version"], capture_output=True, text=True, check=True).stdout.split()[
        0
    ]
    return set(names), f"PostgreSQL {version}"


def mariadb() -> tuple[set[str], str]:
    """The functions that MariaDB lists in information_schema."""
    query = "SELECT version() UNION ALL SELECT function FROM information_schema.sql_functions"
    host, user = os.environ.get("MYSQL_HOST", "127.0.0.1"), os.environ.get("MYSQL_USER", "root")
    ask = ["mariadb", "-h", host, "-u", user, "-N", "-e", query]
    version, *names = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()
    return {name.lower() for name in names}, f"MariaDB {version.split('-')[0]}"


def duckdb() -> tuple[set[str], str]:
    """Scalars, aggregates, windows and scalar macros that DuckDB calls neither volatile nor with side effects."""
    import duckdb as engine

    rows = engine.connect().execute(
        "SELECT function_name FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'window', 'macro') "
        "GROUP BY 1 HAVING bool_and(coalesce(stability <> 'VOLATILE', true) AND NOT coalesce(has_side_effects, false))"
    )
    return {name for (name,) in rows.fetchall()}, f"DuckDB {engine.__version__}"


CATALOGS = {"sqlite": sqlite, "postgres": postgres, "mariadb": mariadb, "mysql": mariadb, "duckdb": duckdb}
OTHERS = ("tsql", "oracle", "snowflake", "bigquery", "clickhouse", "redshift", "databricks", "trino")


def write(dialect: str) -> None:
    """Writes one list."""
    names, source = CATALOGS[dialect]() if dialect in CATALOGS else sqlglot_names(dialect)
    names |= known(dialect)
    if dialect == "mariadb":
        names |= known("mysql")
    if dialect == "redshift":  # it grew out of PostgreSQL
        more, of = postgres()
        names, source = names | more | known("postgres"), f"{source}, {of}"
    refused = harmful(dialect)
    kept = sorted(
        name
        for name in {n.lower() for n in names}
        if NAME.fullmatch(name) and not any(fnmatch.fnmatchcase(name, pattern) for pattern in refused)
    )
    head = f"# Harmless functions of {dialect}. Made by tools/sql_functions.py from {source}. Do not edit.\n"
    (TARGET / f"{dialect}.txt").write_text(head + "\n".join(kept) + "\n", "utf-8")
    print(f"{dialect}: {len(kept)} from {source}")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or [*CATALOGS, *OTHERS]:
        write(wanted)
