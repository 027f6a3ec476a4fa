"""What we say of a statement against what sqlite's own authorizer says of it."""

import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.sql import inspect

CASES = Path(__file__).parent / "cases"
TABLES = {
    "users": "id, name, email, ssn, org_id, data, created_at, deleted, n, a, b",
    "orders": "id, user_id, total, note, x",
    "t": "a, b, c, d, id, name",
    "a": "id, a",
    "b": "id, b",
    "c": "id, c",
    "drop": "[delete]",
    "dropped_items": "deleted, updated_at, created, [update]",
    "staging": "id, name, email, ssn, org_id, data, created_at, deleted, n, a, b",
}
READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_PRAGMA,
}
WRITING = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}


@pytest.fixture
def connection():
    opened = sqlite3.connect(":memory:", isolation_level=None)
    for table, columns in TABLES.items():
        opened.execute(f"CREATE TABLE [{table}] ({columns})")
    opened.execute("CREATE INDEX i ON users (name)")
    opened.execute("CREATE VIRTUAL TABLE ft USING fts5(x)")
    opened.executemany("INSERT INTO users (id, name, a, b) VALUES (?, 'x', 1, 2)", [(n,) for n in range(20)])
    # The first use of a table-valued function or full-text index writes the schema; not the statements' doing.
    for warm in (
        "SELECT * FROM json_each('[1]')",
        "SELECT * FROM pragma_table_info('users')",
        "SELECT * FROM pragma_table_xinfo('users')",
        "SELECT * FROM ft WHERE ft MATCH 'x'",
    ):
        opened.execute(warm).fetchall()
    yield opened
    opened.close()


def watched(connection, sql):
    """Runs a statement and takes it back; the actions that it was authorised for, None if it does not run."""
    done = []
    connection.execute("SAVEPOINT watched")
    connection.set_authorizer(lambda action, one, *_rest: done.append((action, one)) or sqlite3.SQLITE_OK)
    try:
        connection.execute(
            sql,
            {"a": 1, "b": 1, "c": 1, "id": 1, "name": 1, "x": 1, "1": 1}
            if ":" in sql or "@" in sql or "$" in sql or "?1" in sql
            else [1] * sql.count("?"),
        ).fetchall()
    except sqlite3.Error as error:
        if "one statement" in str(error):
            raise
        return None
    finally:
        connection.set_authorizer(None)
        if connection.in_transaction:
            connection.execute("ROLLBACK TO watched")
            connection.execute("RELEASE watched")
    return {action for action, _ in done}


def labelled(cls):
    for name in ("sql_adversarial.jsonl", "own.jsonl"):
        for line in (CASES / name).read_text("utf-8").splitlines():
            case = json.loads(line)
            if case["dialect"] == "sqlite" and case["label"]["cls"] == cls:
                yield case["sql"]


def test_statements_labelled_reading_only_read_on_the_engine(connection):
    ran = 0
    for sql in labelled("R"):
        actions = watched(connection, sql)
        if actions is None:
            continue  # a version of sqlite that does not know it
        ran += 1
        if not sql.startswith("EXPLAIN"):  # prepared, and so authorised, but not run
            assert actions <= READING, sql
    assert ran >= 60


def test_statements_labelled_writing_only_write_on_the_engine(connection):
    ran = 0
    for sql in labelled("W"):
        actions = watched(connection, sql)
        if actions is not None:
            ran += 1
            assert actions <= READING | WRITING, sql
    assert ran >= 15


words = st.sampled_from(
    """SELECT|*|FROM users|FROM t|WHERE|id|=|1|'a'|"a"|;|--|-- x\n|/*|*/|(|)|,|DELETE FROM users|UPDATE users SET a = 1|INSERT INTO t (a)|
    REPLACE INTO t (a)|VALUES (1)|DROP TABLE users|CREATE TABLE z (a)|PRAGMA user_version|= 5|WITH x AS (SELECT 1)|AND|OR|NOT|IN (1, 2)|EXPLAIN|
    ATTACH ':memory:' AS e|'--'|'/*'|''''|"|'|\n|UNION|ORDER BY 1|LIMIT 1|RETURNING *|ON CONFLICT DO NOTHING|OR REPLACE|(SELECT 1)|
    count(*)|VACUUM|BEGIN|COMMIT|\\|--\r|sqlite_master|WHERE id = 5|WHERE 1|WHERE "a" = 'a'|WHERE id IN (5)|AS|JOIN t|USING (id)|INDEXED BY i|
    NOT INDEXED|x'41'|CASE WHEN 1 THEN 2 END|EXISTS (SELECT 1)|TEMP|REINDEX|;;|ft|(ft)|('delete-all')|WINDOW w AS ()|OVER ()|COLLATE NOCASE""".replace(
        "\n    ", ""
    ).split("|")
)


@settings(max_examples=800)
@given(parts=st.lists(words, min_size=1, max_size=9))
def test_whatever_we_call_a_read_changes_nothing_on_the_engine(parts):
    sql = " ".join(parts)
    found = inspect(sql, "sqlite")
    if found.statements != 1 or found.unbounded or found.effects - {"read", "write"}:
        return
    opened = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for table in ("users", "t", "orders"):
            opened.execute(f"CREATE TABLE {table} ({TABLES[table]})")
        opened.execute("CREATE INDEX i ON users (name)")
        opened.execute("CREATE VIRTUAL TABLE ft USING fts5(x)")
        opened.executemany("INSERT INTO users (id, name) VALUES (?, 'x')", [(n,) for n in range(20)])
        if sql.rstrip().endswith(";") or "EXPLAIN" in sql:
            return  # the module counts `;;` as a statement; what is explained is authorised and not run
        actions = watched(opened, sql)
        if actions is not None:
            assert actions <= (READING | WRITING if "write" in found.effects else READING)
    finally:
        opened.close()
