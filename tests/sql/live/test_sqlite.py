"""The live schema of a real SQLite connection."""

import sqlite3
import time

import pytest

from guardai.model import LiveFunction
from guardai.sql import inspect, live


def read(connection):
    def query(sql):
        cursor = sqlite3.Cursor(connection)
        cursor.row_factory = None
        return cursor.execute(sql).fetchall()

    return live.read("sqlite", query)


@pytest.fixture
def connection():
    with sqlite3.connect(":memory:") as connection:
        yield connection
    connection.close()


def test_tables_with_columns_and_keys(connection):
    connection.executescript("""
        CREATE TABLE Users (ID integer PRIMARY KEY, Email text);
        CREATE TABLE pairs (a, b, c, PRIMARY KEY (c, a)) WITHOUT ROWID;
        CREATE TABLE bare (a);
        CREATE TABLE made (a, b AS (a + 1), c AS (a + 2) STORED);
        CREATE TEMP TABLE mine (x);
    """)
    schema = read(connection)
    assert schema.tables == {
        "users": ("id", "email"), "pairs": ("a", "b", "c"), "bare": ("a",), "made": ("a", "b", "c"), "mine": ("x",),
    }  # fmt: skip
    assert schema.keys == {"users": ("id",), "pairs": ("c", "a")}
    assert schema.path == ("temp", "main")


def test_name_means_the_first_file_that_has_it(connection):
    connection.executescript("""
        ATTACH ':memory:' AS "The ""other"" ";
        CREATE TABLE t (main_t);
        CREATE TEMP TABLE t (temp_t);
        CREATE TABLE "The ""other"" ".t (other_t);
        CREATE TABLE "The ""other"" ".only_there (a);
    """)
    schema = read(connection)
    assert schema.tables == {
        "t": ("temp_t",), "main.t": ("main_t",), 'the "other" .t': ("other_t",), "only_there": ("a",),
    }  # fmt: skip
    assert schema.path == ("temp", "main", 'the "other" ')


@pytest.mark.parametrize(
    ("sql", "columns", "query"),
    [
        ("CREATE VIEW v AS SELECT ssn FROM users", ("ssn",), "SELECT ssn FROM users"),
        ("create view if not exists v(A, b) as select ssn, id from users;", ("a", "b"), "select ssn, id from users"),
        ('CREATE VIEW main.v("as", [b) as c]) /* as x */ AS SELECT 1, 2', ("as", "b) as c"), "SELECT 1, 2"),
        ("CREATE VIEW v -- as\n AS\nWITH x AS (SELECT 1 AS y) SELECT y FROM x", ("y",), "WITH x AS (SELECT 1 AS y) SELECT y FROM x"),
    ],
)  # fmt: skip
def test_view_tells_its_query_and_columns(connection, sql, columns, query):
    connection.execute("CREATE TABLE users (id, ssn)")
    connection.execute(sql)
    schema = read(connection)
    assert (schema.views, schema.columns) == ({"v": query}, {"v": columns})


@pytest.mark.parametrize("name", ['"a as b"', "[x as]", "`as`", "'as'", '"a "" as b"'])
def test_view_whose_name_holds_a_keyword(connection, name):
    connection.execute(f"CREATE VIEW {name} AS SELECT 1 AS a")
    assert list(read(connection).views.values()) == ["SELECT 1 AS a"]


def test_triggers_tell_event_and_statements(connection):
    connection.executescript("""
        CREATE TABLE t (a, begin); CREATE TABLE log (a); CREATE VIEW v AS SELECT a FROM t;
        CREATE TRIGGER "insert into" AFTER UPDATE OF a ON t WHEN new.a > 1 BEGIN
            INSERT INTO log VALUES (CASE WHEN new.a THEN 1 END); DELETE FROM log WHERE a = 1;
        END;
        CREATE TRIGGER d BEFORE /* insert */ DELETE ON t BEGIN SELECT 1; END;
        CREATE TRIGGER i INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES (new.a, 1); END;
    """)
    triggers = read(connection).triggers
    assert {tuple(trigger.events): trigger.body for trigger in triggers["t"]} == {
        ("update",): "INSERT INTO log VALUES (CASE WHEN new.a THEN 1 END); DELETE FROM log WHERE a = 1;",
        ("delete",): "SELECT 1;",
    }
    assert [trigger.events for trigger in triggers["v"]] == [{"insert"}]


def test_temporary_trigger_counts_for_the_table_in_every_file(connection):
    connection.executescript("""
        ATTACH ':memory:' AS other; CREATE TABLE t (a); CREATE TABLE other.t (a);
        CREATE TEMP TRIGGER x AFTER INSERT ON other.t BEGIN SELECT 1; END;
    """)
    triggers = read(connection).triggers
    assert triggers["t"] and triggers["other.t"]


def test_virtual_table_has_the_columns_of_star(connection):
    connection.execute("CREATE VIRTUAL TABLE docs USING fts5(title, body)")
    schema = read(connection)
    assert schema.tables["docs"] == ("title", "body")
    assert "docs_content" in schema.tables  # what it keeps its text in can be read as well


def test_broken_view_hides_nothing_but_itself(connection):
    connection.executescript("""
        CREATE TABLE t (a); CREATE VIEW broken AS SELECT * FROM nowhere; CREATE VIEW fine AS SELECT a FROM t;
        CREATE VIRTUAL TABLE docs USING fts5(title);
    """)
    schema = read(connection)
    assert schema.views.keys() == {"fine"}
    assert schema.tables["t"] == ("a",) and schema.tables["docs"] == ("title",)


def test_virtual_table_without_its_module_hides_nothing_but_itself(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as made:
        made.executescript("CREATE TABLE t (a); CREATE VIRTUAL TABLE gone USING fts5(title);")
        made.execute("PRAGMA writable_schema = ON")
        made.execute("UPDATE sqlite_master SET sql = replace(sql, 'fts5', 'nosuchmodule') WHERE name = 'gone'")
    made.close()
    with sqlite3.connect(tmp_path / "a.db") as connection:
        schema = read(connection)
    assert "t" in schema.tables and "gone" not in schema.tables


def test_functions_of_the_program_are_told_and_the_engines_are_not(connection):
    assert read(connection).functions == {}
    connection.create_function("Mine", 1, str, deterministic=True)
    connection.create_function("lower", 1, str)
    assert read(connection).functions == {"mine": LiveFunction("immutable"), "lower": LiveFunction("volatile")}


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("factory", [str, bytes, lambda raw: raw.decode()[::-1]])
def test_odd_names_in_every_encoding_and_with_every_text_factory(connection, encoding, factory):
    odd = ["a.b", 'quo"te', "it's", "Ünïcode Ж 表", "percent %s", ":colon ?", "new\nline"]
    connection.execute(f"PRAGMA encoding = '{encoding}'")
    for name in odd:
        quoted = name.replace('"', '""')
        connection.execute(f'CREATE TABLE "{quoted}" ("C {quoted}" PRIMARY KEY)')
    connection.text_factory = factory
    connection.row_factory = sqlite3.Row
    assert read(connection).tables == {name.lower(): (f"c {name}".lower(),) for name in odd}


def test_name_that_is_no_text_does_not_raise(connection):
    connection.execute("CREATE TABLE t (a); ")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "INSERT INTO sqlite_master VALUES ('table', CAST(x'ff' AS TEXT), CAST(x'ff' AS TEXT), 2, "
        "CAST(x'435245415445205441424c452022ff222028fe29' AS TEXT))"
    )
    assert {"t": ("a",)}.items() <= read(connection).tables.items()


def test_forbidden_file_is_left_empty(connection):
    connection.execute("CREATE TABLE t (a)")
    connection.set_authorizer(
        lambda action, table, *_: sqlite3.SQLITE_DENY if table == "sqlite_master" else sqlite3.SQLITE_OK
    )
    assert read(connection).tables == {}


def test_locked_file_is_not_taken_for_an_empty_one(tmp_path):
    with sqlite3.connect(tmp_path / "a.db", isolation_level=None) as other:
        other.execute("CREATE TABLE t (a)")
        other.execute("BEGIN EXCLUSIVE")
        with sqlite3.connect(tmp_path / "a.db", timeout=0) as connection:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                read(connection)
            other.execute("ROLLBACK")
            assert read(connection).tables == {"t": ("a",)}
    connection.close()
    other.close()


def test_temporary_view_over_an_attached_file(connection):
    connection.executescript("""
        ATTACH ':memory:' AS other; CREATE TABLE other.t (a, b); CREATE TEMP VIEW v (x) AS SELECT b FROM other.t;
    """)
    schema = read(connection)
    assert (schema.views, schema.columns) == ({"v": "SELECT b FROM other.t"}, {"v": ("x",)})


@pytest.mark.parametrize(
    "denied", [sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_PRAGMA]
)
def test_whatever_an_authorizer_denies_is_left_out(connection, denied):
    connection.execute("CREATE TABLE t (a)")
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == denied else sqlite3.SQLITE_OK)
    assert read(connection).tables in ({}, {"t": ("a",)})


def test_many_tables_take_a_second_or_two(connection):
    for n in range(2_000):
        connection.execute(f"CREATE TABLE t{n} (id integer PRIMARY KEY, a, b, c)")
    began = time.process_time()
    schema = read(connection)
    assert len(schema.tables) == 2_000
    assert time.process_time() - began < 5  # 0.2 s, and 0.9 s for 10,000; a machine may be slow


FOREIGN = """
    CREATE TABLE p (id integer PRIMARY KEY, a int UNIQUE);
    CREATE TABLE "Chi""ld" (id integer PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE);
    CREATE TABLE grand (c int REFERENCES "Chi""ld" (id) ON DELETE SET NULL);
    CREATE TABLE up (a int REFERENCES p (a) ON UPDATE CASCADE);
    CREATE TABLE log (id int);
    CREATE TRIGGER told AFTER DELETE ON "Chi""ld" BEGIN INSERT INTO log VALUES (old.id); END;
"""


def test_foreign_keys_tell_what_follows_and_what_follows_that(connection):
    connection.executescript("PRAGMA foreign_keys = ON;" + FOREIGN)
    schema = read(connection)

    def writes(sql):
        return inspect(sql, "sqlite", schema=schema).writes

    assert writes("DELETE FROM p WHERE id = 1") == {"p", 'chi"ld', "grand", "log"}
    assert writes("UPDATE p SET a = 2 WHERE id = 1") == {"p", "up"}
    assert writes("UPDATE p SET id = 2 WHERE a = 1") == {"p"}
    assert writes("INSERT INTO p VALUES (1, 2)") == {"p"}
    assert writes("INSERT INTO p VALUES (1, 2) ON CONFLICT DO UPDATE SET a = 3") == {"p", "up"}


def test_foreign_keys_that_are_switched_off_do_nothing(connection):
    connection.executescript(FOREIGN)
    assert read(connection).cascades == {}


def test_foreign_keys_in_a_circle_end(connection):
    connection.executescript("""
        PRAGMA foreign_keys = ON;
        CREATE TABLE a (id integer PRIMARY KEY, b int REFERENCES b ON DELETE CASCADE);
        CREATE TABLE b (id integer PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE, own int REFERENCES b ON DELETE CASCADE);
    """)
    assert inspect("DELETE FROM a WHERE id = 1", "sqlite", schema=read(connection)).writes == {"a", "b"}
