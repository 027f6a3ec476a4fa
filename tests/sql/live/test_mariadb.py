"""The live schema of a real MariaDB server."""

import pymysql
import pytest
from services import unique

from guardai.model import LiveFunction
from guardai.sql import inspect, live


@pytest.fixture
def connection(mariadb, mariadb_server):
    with mariadb_server.connect(mariadb.rpartition("/")[2]) as connection:
        yield connection


def run(connection, *statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def read(connection):
    def query(sql):
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    return live.read("mariadb", query)


def of(schema, database):
    """What stands there under plain names: other tests have databases on the same server."""
    return {name: columns for name, columns in schema.tables.items() if "." not in name}


def test_tables_views_and_keys(connection, mariadb):
    database = mariadb.rpartition("/")[2]
    run(
        connection,
        "CREATE TABLE Users (ID int PRIMARY KEY, Email text)",
        "CREATE TABLE pairs (a int, b int, c int, PRIMARY KEY (c, a))",
        "CREATE TABLE bare (a int, UNIQUE (a))",
        "CREATE VIEW v (number) AS SELECT email FROM Users",
    )
    schema = read(connection)
    assert of(schema, database) == {"users": ("id", "email"), "pairs": ("a", "b", "c"), "bare": ("a",)}
    assert {name: key for name, key in schema.keys.items() if "." not in name} == {
        "users": ("id",),
        "pairs": ("c", "a"),
    }
    assert schema.columns["v"] == ("number",)
    assert f"from `{database}`.`Users`" in schema.views["v"]
    assert schema.path == (database,)


def test_other_databases_are_qualified(connection, mariadb_server):
    other = unique()
    run(connection, f"CREATE DATABASE {other}")
    try:
        run(connection, f"CREATE TABLE {other}.t (a int PRIMARY KEY)", "CREATE TABLE t (b int)")
        schema = read(connection)
        with mariadb_server.connect() as nowhere:
            no_default = read(nowhere)
    finally:
        run(connection, f"DROP DATABASE {other}")
    assert schema.tables["t"] == ("b",)
    assert schema.tables[f"{other}.t"] == ("a",) and schema.keys[f"{other}.t"] == ("a",)
    assert no_default.path == () and no_default.tables[f"{other}.t"] == ("a",)
    assert not any(name.startswith(("mysql.", "information_schema.", "sys.")) for name in schema.tables)


def test_routines_and_triggers(connection):
    run(
        connection,
        "CREATE TABLE t (a int)",
        "CREATE TABLE log (a int)",
        "CREATE FUNCTION counts() RETURNS int READS SQL DATA RETURN (SELECT count(*) FROM t)",
        "CREATE FUNCTION pure(a int) RETURNS int NO SQL DETERMINISTIC SQL SECURITY INVOKER RETURN a + 1",
        "CREATE PROCEDURE clean() DELETE FROM t",
        "CREATE TRIGGER x BEFORE DELETE ON t FOR EACH ROW INSERT INTO log VALUES (OLD.a)",
    )
    schema = read(connection)
    assert schema.functions["pure"] == LiveFunction("immutable", "sql", "RETURN a + 1", False)
    assert schema.functions["counts"] == LiveFunction("stable", "sql", "RETURN (SELECT count(*) FROM t)", True)
    assert schema.functions["clean"] == LiveFunction("volatile", "sql", "DELETE FROM t", True)
    [trigger] = schema.triggers["t"]
    assert (trigger.events, trigger.body) == ({"delete"}, "INSERT INTO log VALUES (OLD.a)")


@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
def test_odd_names_are_told_whatever_the_client_can_hold(mariadb, mariadb_server, charset):
    odd = ["a.b", "tick`", 'quo"te', "it's", "Ünïcode Ж 表", "percent %s", ":colon ?", "back\\slash"]
    database = mariadb.rpartition("/")[2]
    with mariadb_server.connect(database) as connection:
        for name in odd:
            quoted = name.replace("`", "``")
            run(connection, f"CREATE TABLE `{quoted}` (`C {quoted}` int PRIMARY KEY)")
        run(connection, f"SET NAMES {charset}")
        schema = read(connection)
    for name in odd:
        assert schema.tables[name.lower()] == schema.keys[name.lower()] == (f"c {name}".lower(),)


def test_tables_that_differ_in_case_alone_are_one_without_a_key(connection):
    try:
        run(connection, "CREATE TABLE t (a int PRIMARY KEY)", "CREATE TABLE T (b int PRIMARY KEY)")
    except pymysql.err.OperationalError:
        pytest.skip("this server's names have no case")
    schema = read(connection)
    assert sorted(schema.tables["t"]) == ["a", "b"]
    assert "t" not in schema.keys


def test_user_without_rights_reads_what_it_may(connection, mariadb, mariadb_server):
    user, database = unique("g"), mariadb.rpartition("/")[2]
    run(
        connection,
        "CREATE TABLE t (a int PRIMARY KEY, b int)",
        "CREATE TABLE hidden (a int)",
        "CREATE VIEW v AS SELECT a FROM t",
        "CREATE FUNCTION f() RETURNS int RETURN 1",
        "CREATE TRIGGER x BEFORE DELETE ON t FOR EACH ROW SET @a = 1",
        f"CREATE USER {user}@'%'",
        f"GRANT SELECT ON {database}.t TO {user}@'%'",
        f"GRANT SELECT ON {database}.v TO {user}@'%'",
        f"GRANT EXECUTE ON FUNCTION {database}.f TO {user}@'%'",
    )
    try:
        with mariadb_server.connect(database, user) as theirs:
            schema = read(theirs)
    finally:
        run(connection, f"DROP USER {user}@'%'")
    assert schema.tables == {"t": ("a", "b")}
    assert schema.views == {"v": ""}
    assert schema.functions["f"].body == ""
    assert schema.functions["f"].definer


def test_foreign_keys_tell_what_follows(connection):
    run(
        connection,
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE TABLE child (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
        "CREATE TABLE grand (c int, FOREIGN KEY (c) REFERENCES child (id) ON DELETE SET NULL ON UPDATE CASCADE)",
        "CREATE TABLE still (p int, FOREIGN KEY (p) REFERENCES parent (id))",
    )
    schema = read(connection)
    assert inspect("DELETE FROM parent WHERE id = 1", "mariadb", schema=schema).writes == {"parent", "child", "grand"}
    assert inspect("UPDATE child SET p = 2 WHERE id = 1", "mariadb", schema=schema).writes == {"child"}
    assert inspect("UPDATE child SET id = 2 WHERE p = 1", "mariadb", schema=schema).writes == {"child", "grand"}
