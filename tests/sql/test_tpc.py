"""The queries of TPC-H and TPC-DS: what analysts ask is never refused, and their lineage is told column by column."""

import json
import re
from pathlib import Path

import pytest

from guardai.sql import Lineage, inspect

CASES = Path(__file__).parent / "cases"
SCHEMAS = json.loads((CASES / "tpc_schema.json").read_text("utf-8"))
QUERIES = {name: re.split(r"(?m)^-- \d+\n", (CASES / f"{name}.sql").read_text("utf-8"))[1:] for name in SCHEMAS}
DIALECTS = ["postgres", "duckdb", "snowflake"]


def test_every_query_is_there():
    assert {name: len(queries) for name, queries in QUERIES.items()} == {"tpch": 22, "tpcds": 99}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", sorted(QUERIES))
def test_every_query_is_a_read_of_tables_that_exist(name, dialect):
    for number, sql in enumerate(QUERIES[name], 1):
        found = inspect(sql, dialect)
        assert (found.action, found.reason) == ("db.read", None), number
        assert found.reads <= set(SCHEMAS[name]), number


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", sorted(QUERIES))
def test_nearly_every_query_has_precise_lineage(name, dialect):
    """Precise: no output column stands for every column of every table that is read."""
    lineage = Lineage(SCHEMAS[name], dialect)
    precise = 0
    for sql in QUERIES[name]:
        reads = inspect(sql, dialect).reads
        everything = {f"{table}.{column}" for table in reads for column in SCHEMAS[name][table]}
        precise += not any(sources >= everything for sources in lineage.columns(sql))
    assert precise >= 0.98 * len(QUERIES[name])
