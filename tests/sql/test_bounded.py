"""Which conditions bound an UPDATE or DELETE."""

import pytest

from guardai.sql import inspect

BOUND = [
    "id = 5", "5 = id", "id = ?", "(id = 5)", "id IN (1, 2)", "id = -5", "id = 5 AND name LIKE '%'", "name LIKE '%' AND (id = 5 AND 1 = 1)",
    "users.id = 5", "id = '5'", "active = true", "id = 5 AND (a = 1 OR 1 = 1)", "(a, b) = (1, 2)", "(a, b) IN ((1, 2), (3, 4))",
]  # fmt: skip
UNBOUND = [
    "1 = 1", "true", "1", "id", "id = id", "id = 5 OR 1 = 1", "NOT id = 5", "id <> 5", "id > 0", "id BETWEEN 1 AND 9", "id IS NOT NULL",
    "id LIKE '%'", "id IN (SELECT id FROM users)", "id NOT IN (1)", "id IN (1, id)", "id = (SELECT 5)", "id = abs(5)", "abs(id) = 5",
    "EXISTS (SELECT 1)", "'a' = 'a'", "? = ?", "5 IN (5)", "(id = 5) = true", "coalesce(id, 5) = 5", "id + 0 = 5", "other.id = 5",
    "CASE WHEN id = 5 THEN true ELSE true END", "(SELECT true)", "id = 5 IS NOT NULL", "-id = id", "id || '' = id",
]  # fmt: skip


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "duckdb", "oracle", "snowflake"])
@pytest.mark.parametrize("condition", BOUND)
def test_column_equal_to_a_constant_bounds(condition, dialect):
    for sql in (f"DELETE FROM users WHERE {condition}", f"UPDATE users SET a = 1 WHERE {condition}"):
        found = inspect(sql, dialect)
        assert not found.unbounded, (sql, found)


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql", "tsql"])
@pytest.mark.parametrize("condition", UNBOUND)
def test_nothing_else_bounds(condition, dialect):
    for sql in (f"DELETE FROM users WHERE {condition}", f"UPDATE users SET a = 1 WHERE {condition}"):
        found = inspect(sql, dialect)
        assert found.action == "db.destroy" or "unknown" in found.effects, (sql, found)


@pytest.mark.parametrize(
    ("sql", "dialect", "unbounded"),
    [
        ("DELETE FROM a USING b WHERE a.id = b.id AND b.x = 5", "postgres", False),
        ("DELETE FROM a USING b WHERE a.id = b.id", "postgres", True),
        ("DELETE FROM a USING b WHERE b.x = 5", "postgres", True),
        ("DELETE FROM a USING b WHERE x = 5", "postgres", True),
        ("UPDATE a SET x = b.x FROM b WHERE a.id = b.id AND a.id = 5", "postgres", False),
        ("UPDATE u SET a = 1 FROM users u WHERE u.id = 5", "tsql", False),
        ("UPDATE u SET a = 1 FROM users u JOIN o ON o.id = u.id", "tsql", True),
        ("DELETE a, b FROM a JOIN b ON a.id = b.id WHERE a.id = 5", "mysql", False),
        ("DELETE a FROM a, b WHERE b.id = 5", "mysql", True),
        ("UPDATE a, b SET a.x = 1 WHERE a.id = 5", "mysql", False),
        ("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE", "postgres", False),
        ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", "postgres", True),
        ("MERGE t USING s ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE;", "tsql", True),
        ("MERGE INTO t USING s ON false WHEN NOT MATCHED THEN INSERT (a) VALUES (1)", "postgres", False),
        ("WITH d AS (DELETE FROM a RETURNING *) SELECT * FROM d", "postgres", True),
        ("WITH c AS (SELECT * FROM users) DELETE FROM c", "tsql", True),
        ("DELETE FROM a WHERE id = ANY(%s)", "postgres", False),
        ("DELETE FROM a WHERE id = ANY(ARRAY[1, 2])", "postgres", False),
        ("DELETE FROM a WHERE id IN %s", "postgres", False),
        ("DELETE FROM a WHERE id = %(id)s", "mysql", False),
        ("DELETE FROM a WHERE id = :id", "oracle", False),
        ("DELETE FROM a WHERE id = @id", "tsql", False),
        ("ALTER TABLE a DELETE WHERE id = 5", "clickhouse", False),
        ("ALTER TABLE a DELETE WHERE 1", "clickhouse", True),
        ("ALTER TABLE a UPDATE x = 1 WHERE 1", "clickhouse", True),
        ("INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET x = 2", "postgres", False),
        ("EXPLAIN DELETE FROM a", "postgres", False),
    ],
)
def test_bounds_through_joins_and_other_forms(sql, dialect, unbounded):
    found = inspect(sql, dialect)
    assert found.unbounded is unbounded
    assert "unknown" not in found.effects
