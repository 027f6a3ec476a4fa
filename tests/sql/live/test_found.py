"""What the catalogs tell is put together so that nothing is claimed that is not certain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.model import LiveFunction
from guardai.sql.live.found import Found, first_of, query_of, text

QUERY = "SELECT a AS b FROM (SELECT 1 AS a) AS t"
NAMES = st.text(st.sampled_from("as \"'`[](),;--/*\n表"), min_size=1, max_size=8)
GAPS = st.sampled_from([" ", "\n", " /* as ( */ ", " -- as ) \n"])


@given(NAMES, st.lists(NAMES, max_size=3), GAPS, GAPS, st.sampled_from(['""', "``"]))
def test_query_of_a_view_is_found_behind_any_name(name, columns, gap, other, marks):
    def quoted(name):
        return marks[0] + name.replace(marks[0], marks) + marks[0]

    listed = f"({','.join(map(quoted, columns))})" if columns else ""
    sql = f"CREATE TEMP VIEW{gap}main.{quoted(name)}{listed}{other}AS {QUERY}"
    assert query_of(sql) == QUERY


@pytest.mark.parametrize(
    "sql", ["", "SELECT 1 AS a", "CREATE TABLE t AS SELECT 1", "CREATE VIEW v", 'CREATE VIEW "v AS']
)
def test_what_is_no_view_has_no_query(sql):
    assert query_of(sql) == ""


@pytest.mark.parametrize("cell", ["é", "é".encode(), bytearray("é".encode()), memoryview("é".encode())])
def test_text_is_the_same_however_a_driver_gives_it(cell):
    assert text(cell) == "é"


def test_text_can_always_be_written_out():
    assert text(None) == ""
    assert text(b"a\xff") == "a\ufffd"
    assert text("a\udcff").encode() == b"a?"


def test_of_functions_with_one_name_only_what_is_common_is_told():
    found = Found()
    found.function("F", LiveFunction("immutable", "sql", "SELECT 1"))
    found.function("f", LiveFunction("stable", "sql", "SELECT 2", True))
    found.function("f", LiveFunction("immutable", "sql", "SELECT 1"))
    assert found.schema(()).functions == {"f": LiveFunction("stable", "sql", "", True)}


def test_relations_with_one_name_lose_what_is_not_certain():
    found = Found()
    found.table("T", ["A"], ["A"])
    found.table("t", ["b"], ["b"])
    found.view("t", ["c"], "SELECT 1 AS c")
    found.view("v", ["c"], "SELECT 1 AS c;")
    found.table("V", ["d"], ["d"])
    schema = found.schema(["Main", "main"])
    assert (schema.tables, schema.keys, schema.path) == ({}, {}, ("main",))
    assert schema.views == {"t": "", "v": ""}
    assert schema.columns == {"t": ("a", "b", "c"), "v": ("c", "d")}


def test_first_schema_of_the_path_has_the_name():
    relations = [("b", "t"), ("a", "T"), ("c", "u"), ("b", "u")]
    assert first_of(relations, ["a", "b", "a"]) == {"t": "a", "u": "b"}
