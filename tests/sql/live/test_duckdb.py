"""The live schema of a real DuckDB connection."""

import pytest

from guardai.model import LiveFunction
from guardai.sql import live

duckdb = pytest.importorskip("duckdb")


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        yield connection


def read(connection):
    return live.read("duckdb", lambda sql: connection.execute(sql).fetchall())


def test_tables_views_and_keys(connection):
    connection.execute("""
        CREATE TABLE Users (ID int PRIMARY KEY, Email text);
        CREATE TABLE pairs (a int, b int, c int, PRIMARY KEY (c, a));
        CREATE VIEW v (number, x) AS SELECT Email, 1 FROM Users;
        CREATE TEMP TABLE mine (x int);
        CREATE SCHEMA s; CREATE TABLE s.Users (other int); CREATE TABLE s.t (a int);
    """)
    schema = read(connection)
    assert schema.tables == {
        "users": ("id", "email"), "pairs": ("a", "b", "c"), "mine": ("x",), "s.users": ("other",), "s.t": ("a",),
    }  # fmt: skip
    assert schema.keys == {"users": ("id",), "pairs": ("c", "a")}
    assert schema.columns == {"v": ("number", "x")}
    assert schema.views == {"v": "SELECT Email, 1 FROM Users"}
    assert schema.path == ("temp", "main")


def test_names_are_plain_where_the_search_path_finds_them(connection):
    connection.execute("""
        CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE TABLE t (b int); CREATE TABLE main.only_main (c int);
        ATTACH ':memory:' AS other; CREATE TABLE other.t (d int); CREATE SCHEMA other.z; CREATE TABLE other.z.t (e int);
        USE memory.s;
    """)
    schema = read(connection)
    assert schema.tables == {
        "t": ("a",), "main.t": ("b",), "only_main": ("c",), "other.t": ("d",), "other.z.t": ("e",),
    }  # fmt: skip
    assert schema.path == ("temp", "s", "main")


def test_macros_tell_their_bodies(connection):
    connection.execute("CREATE TABLE t (a int)")
    connection.execute("CREATE MACRO plus(a) AS a + 1")
    connection.execute("CREATE MACRO rows_of(x) AS TABLE SELECT a FROM t WHERE a = x")
    connection.execute("CREATE SCHEMA s")
    connection.execute("CREATE MACRO s.minus(a) AS a - 1")
    schema = read(connection)
    assert schema.functions["plus"] == LiveFunction("volatile", "sql", "(a + 1)")
    assert schema.functions["rows_of"] == LiveFunction("volatile", "sql", "SELECT a FROM t WHERE (a = x)")
    assert schema.functions.keys() == {"plus", "rows_of", "s.minus"}


def test_triggers_tell_what_they_run(connection):
    connection.execute("CREATE TABLE t (a int); CREATE TABLE log (a int)")
    try:
        connection.execute("CREATE TRIGGER x AFTER UPDATE ON t FOR EACH STATEMENT INSERT INTO log VALUES (1)")
    except duckdb.Error as error:
        pytest.skip(f"this DuckDB has no triggers: {error}")
    [trigger] = read(connection).triggers["t"]
    assert trigger.events == {"update"}
    assert trigger.body.startswith("INSERT INTO log")


def test_odd_names(connection):
    odd = ["a.b", 'quo"te', "it's", "Ünïcode Ж 表", "percent %s", ":colon ?", "new\nline", "as"]
    for name in odd:
        quoted = name.replace('"', '""')
        connection.execute(f'CREATE TABLE "{quoted}" ("C {quoted}" int PRIMARY KEY)')
        connection.execute(f'CREATE VIEW "v {quoted}" ("as ""x""") AS SELECT 1')
    schema = read(connection)
    assert schema.tables == schema.keys == {name.lower(): (f"c {name}".lower(),) for name in odd}
    assert schema.views == {f"v {name}".lower(): "SELECT 1" for name in odd}


def test_reading_leaves_a_transaction_as_it_was(connection):
    connection.execute("CREATE TABLE t (a int)")
    connection.begin()
    connection.execute("CREATE TABLE u (a int)")
    assert read(connection).tables.keys() == {"t", "u"}
    connection.rollback()
    assert read(connection).tables.keys() == {"t"}
