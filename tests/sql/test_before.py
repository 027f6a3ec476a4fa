"""The query for the rows that a statement is about to change: exactly its own condition, or a refusal."""

import sqlite3

import pytest

from guardai.model import LiveSchema
from guardai.sql import NotKept, before

SCHEMA = LiveSchema(
    tables={"t": ("id", "a", "b"), "u": ("id", "x"), "bare": ("a",), "pair": ("k", "l", "v")},
    views={"v": "SELECT * FROM t"},
    keys={"t": ("id",), "u": ("id",), "pair": ("k", "l")},
)


@pytest.mark.parametrize(
    ("dialect", "sql", "tail", "positions"),
    [
        ("sqlite", "UPDATE t SET a = ?, b = ? WHERE id = ? AND a > ?", "FROM t WHERE id = ? AND a > ?", (2, 3)),
        ("sqlite", "DELETE FROM t", "FROM t", ()),
        ("sqlite", "UPDATE t SET a = '?' WHERE b = '?'", "FROM t WHERE b = '?'", ()),
        ("sqlite", "UPDATE t SET a = ?2 WHERE id = ?1", "FROM t WHERE id = ?1", (0,)),
        ("sqlite", "UPDATE t SET a = :a WHERE id = :id", "FROM t WHERE id = :id", None),
        ("sqlite", "UPDATE t SET a = :2 WHERE id = :1", "FROM t WHERE id = :1", None),
        ("sqlite", "UPDATE t SET a = replace(a, 'x', 'y') WHERE b = 1 OR b = 2", "FROM t WHERE b = 1 OR b = 2", ()),
        ("sqlite", "update or ignore t as x set a = 1 where x.id = 2", "FROM t as x where x.id = 2", ()),
        ("postgres", "DELETE FROM ONLY t x WHERE x.id IN (%s, %s) RETURNING a", "FROM ONLY t x WHERE x.id IN (%s, %s)", (0, 1)),
        ("postgres", "UPDATE t SET a = $1 WHERE id = $3 OR id = $2 OR a = $3", "FROM t WHERE id = $1 OR id = $2 OR a = $1", (2, 1)),
        ("postgres", "UPDATE t SET a = a IS DISTINCT FROM 3 WHERE b = 1", "FROM t WHERE b = 1", ()),
        ("postgres", "UPDATE t SET a = (SELECT x FROM u WHERE id = 1) WHERE b = 1", "FROM t WHERE b = 1", ()),
        ("postgres", "UPDATE t SET (a, b) = (1, 2) WHERE a = 'RETURNING' AND (b = 1 OR lower(a) LIKE '% LIMIT')", "FROM t WHERE a = 'RETURNING' AND (b = 1 OR lower(a) LIKE '% LIMIT')", ()),
        ("postgres", "DELETE FROM t WHERE a < now() - interval '30 days'", "FROM t WHERE a < now() - interval '30 days'", ()),
        ("mariadb", "DELETE LOW_PRIORITY FROM t WHERE a = 1", "FROM t WHERE a = 1", ()),
        ("mysql", "UPDATE `t` SET a = '%s' -- WHERE\n WHERE b LIKE 'x%' AND a = %s", "FROM `t` WHERE b LIKE 'x%' AND a = %s", (0,)),
    ],
)  # fmt: skip
def test_rows_are_found_by_the_statements_own_condition(dialect, sql, tail, positions):
    found = before(sql, dialect, SCHEMA)
    assert "".join(found.tail).strip() == tail
    assert found.positions == positions


@pytest.mark.parametrize(
    ("dialect", "sql", "why"),
    [
        ("sqlite", "UPDATE t SET id = 3 WHERE a = 1", "primary key"),
        ("sqlite", 'UPDATE t SET a = 1, "ID" = 3 WHERE a = 1', "primary key"),
        ("postgres", "UPDATE pair SET (v, l) = (1, 2) WHERE v = 1", "primary key"),
        ("mysql", "UPDATE t x SET x.a = 1, x.id = 2 WHERE x.a = 1", "primary key"),
        ("sqlite", "UPDATE bare SET a = 1 WHERE a = 2", "no primary key"),
        ("sqlite", "DELETE FROM v WHERE id = 1", "no table"),
        ("sqlite", "DELETE FROM gone WHERE id = 1", "no table"),
        ("sqlite", "REPLACE INTO t VALUES (1, 2, 3)", "UPDATE or a DELETE"),
        ("sqlite", "INSERT OR REPLACE INTO t VALUES (1, 2, 3)", "UPDATE or a DELETE"),
        ("sqlite", "INSERT INTO t VALUES (1, 2, 3) ON CONFLICT DO UPDATE SET a = 1", "UPDATE or a DELETE"),
        ("mysql", "INSERT INTO t VALUES (1, 2, 3) ON DUPLICATE KEY UPDATE a = 1", "UPDATE or a DELETE"),
        ("sqlite", "UPDATE OR REPLACE t SET a = 1 WHERE id = 1", "OR REPLACE"),
        ("postgres", "UPDATE t SET a = 1 FROM u WHERE u.id = t.id", "another table"),
        ("postgres", "DELETE FROM t USING u WHERE u.id = t.id", "one table"),
        ("mysql", "UPDATE t, u SET t.a = 1 WHERE t.id = u.id", "one table"),
        ("mysql", "DELETE t FROM t JOIN u ON t.id = u.id", "one table"),
        ("postgres", "WITH c AS (SELECT 1) DELETE FROM t WHERE id = 1", "UPDATE or a DELETE"),
        ("postgres", "WITH c AS (DELETE FROM t RETURNING 1) SELECT 1", "UPDATE or a DELETE"),
        ("postgres", "TRUNCATE t", "UPDATE or a DELETE"),
        ("postgres", "DROP TABLE t", "UPDATE or a DELETE"),
        ("postgres", "CREATE OR REPLACE TABLE t (a int)", "UPDATE or a DELETE"),
        ("postgres", "DELETE FROM t WHERE CURRENT OF c", "cursor"),
        ("postgres", "DELETE FROM t WHERE a = random()", "random"),
        ("postgres", "DELETE FROM t WHERE own(a) = 1", "own"),
        ("postgres", 'DELETE FROM t WHERE "own"(a) = 1', "function"),
        ("postgres", "DELETE FROM t WHERE id IN (SELECT id FROM u)", "SELECT"),
        ("postgres", "UPDATE t SET a = 1 WHERE EXISTS (SELECT 1 FROM u)", "SELECT"),
        ("mysql", "UPDATE t SET a = 1 ORDER BY b LIMIT 1", "ORDER"),
        ("mysql", "DELETE FROM t WHERE a = 1 LIMIT 1", "LIMIT"),
        ("mysql", "UPDATE t SET a = 1 WHERE (@i := @i + 1) = 4", "variable"),
        ("mysql", "UPDATE t SET a = 1 WHERE b < now()", "moment"),
        ("sqlite", "UPDATE t SET 'ID' = 3 WHERE a = 1", "primary key"),
        ("sqlite", "UPDATE t SET rowid = 3 WHERE a = 1", "primary key"),
        ("mysql", "DELETE FROM t WHERE a < rand()", "rand"),
        ("sqlite", "DELETE FROM t WHERE id = 1; DELETE FROM t WHERE id = 2", "single statement"),
        ("mysql", "DELETE FROM t WHERE id = 1 /*!50000 OR 1 */", "single statement"),
        ("sqlite", "UPDATE t SET a = ? WHERE id = :id", "two ways"),
        ("sqlite", "DELETE FROM t WHERE a = 'x", "not understood"),
        ("duckdb", "DELETE FROM t WHERE id = 1", "duckdb"),
        ("tsql", "DELETE FROM t WHERE id = 1", "tsql"),
    ],
)  # fmt: skip
def test_what_is_not_certain_is_refused(dialect, sql, why):
    with pytest.raises(NotKept, match=why):
        before(sql, dialect, SCHEMA)


def test_without_a_live_schema_nothing_is_certain():
    with pytest.raises(NotKept, match="could not be read"):
        before("DELETE FROM t WHERE id = 1", "sqlite", None)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1, 2, 3)",
        "INSERT INTO t SELECT * FROM u WHERE id = 1 OR replace(x, 'a', 'b') = 'c'",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "CREATE TABLE x (a int)",
    ],
)
def test_what_changes_no_row_that_is_there_needs_nothing_kept(sql):
    assert before(sql, "sqlite", SCHEMA) is None


def test_query_and_statement_meet_the_same_rows_in_a_real_engine():
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INT)")
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, f"a{n}", n % 3) for n in range(30)])
    for sql, parameters in [
        ("DELETE FROM t WHERE b = ? AND id > ?", (1, 4)),
        ("UPDATE t SET a = ? WHERE id BETWEEN ? AND ? OR a IN (?, ?)", ("x", 6, 9, "a1", "a2")),
        ("UPDATE t AS q SET b = 9 WHERE q.id % 7 = ? AND upper(q.a) <> 'A5'", (2,)),
    ]:
        found = before(sql, "sqlite", SCHEMA)
        query = "".join(found.rows([("id", None)], 100))
        ids = {int(row[0]) for row in db.execute(query, found.bound(parameters) or ())}
        was = dict(db.execute("SELECT id, a || b FROM t").fetchall())
        db.execute(sql, parameters)
        now = dict(db.execute("SELECT id, a || b FROM t").fetchall())
        assert ids == {key for key, value in was.items() if now.get(key) != value}
