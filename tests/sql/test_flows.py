"""What a write carries from columns to columns."""

import pytest

from guardai.model import LiveFunction, LiveSchema, LiveTrigger
from guardai.sql import SqlNotUnderstood, column_lineage, flows

SCHEMA = {
    "users": ["id", "name", "ssn"],
    "orders": ["id", "user_id", "note"],
    "log": ["id", "what"],
    "v_orders": "SELECT id AS number, note AS remark FROM orders",
}
ALL = {f"{table}.{column}" for table, columns in SCHEMA.items() if isinstance(columns, list) for column in columns}
USERS = {"users.id", "users.name", "users.ssn"}
ORDERS = {"orders.id", "orders.user_id", "orders.note"}


def carried(sql, dialect="postgres", schema=SCHEMA):
    return {column: set(sources) for column, sources in flows(sql, dialect, schema).items()}


@pytest.mark.parametrize(
    ("sql", "dialect", "found"),
    [
        ("INSERT INTO orders (note) SELECT ssn FROM users", "postgres", {"orders.note": {"users.ssn"}}),
        ("INSERT INTO orders SELECT id, 5, ssn FROM users", "postgres", {"orders.id": {"users.id"}, "orders.note": {"users.ssn"}}),
        ("INSERT INTO orders SELECT * FROM users", "postgres", {"orders.id": {"users.id"}, "orders.user_id": {"users.name"}, "orders.note": {"users.ssn"}}),
        ("INSERT INTO orders (note, id) WITH x AS (SELECT ssn AS a FROM users) SELECT a, 1 FROM x", "postgres", {"orders.note": {"users.ssn"}}),
        ("WITH x AS (SELECT ssn AS a FROM users) INSERT INTO orders (note) SELECT a FROM x", "postgres", {"orders.note": {"users.ssn"}}),
        ("INSERT INTO orders VALUES (1, 2, 'x')", "postgres", {}),
        ("INSERT INTO orders DEFAULT VALUES", "postgres", {}),
        ("INSERT INTO orders VALUES (DEFAULT, 2, (SELECT max(ssn) FROM users))", "postgres", {"orders.note": {"users.ssn"}}),
        ("INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = (SELECT ssn FROM users)", "postgres", {"orders.note": {"users.ssn"}}),
        ("INSERT INTO orders (id, note) SELECT id, ssn FROM users ON CONFLICT (id) DO UPDATE SET user_id = excluded.note, note = orders.note", "postgres",
         {"orders.id": {"users.id"}, "orders.note": {"users.ssn", "orders.note"}, "orders.user_id": {"users.ssn"}}),
        ("INSERT INTO orders (id, note) SELECT id, ssn FROM users ON DUPLICATE KEY UPDATE user_id = VALUES(note)", "mysql",
         {"orders.id": {"users.id"}, "orders.note": {"users.ssn"}, "orders.user_id": {"users.ssn"}}),
        ("INSERT INTO orders SET note = (SELECT ssn FROM users LIMIT 1)", "mysql", {"orders.note": {"users.ssn"}}),
        ("REPLACE INTO orders (note) SELECT ssn FROM users", "mysql", {"orders.note": {"users.ssn"}}),
        ("INSERT OR REPLACE INTO orders (note) SELECT ssn FROM users", "sqlite", {"orders.note": {"users.ssn"}}),
        ("INSERT INTO orders BY NAME SELECT ssn AS note, 1 AS id FROM users", "duckdb", {"orders.note": {"users.ssn"}}),
        ("INSERT INTO elsewhere SELECT ssn FROM users", "postgres", {"elsewhere.*": {"users.ssn"}}),
        ("INSERT INTO elsewhere (a, b) SELECT ssn, name FROM users", "postgres", {"elsewhere.a": {"users.ssn"}, "elsewhere.b": {"users.name"}}),
        ("INSERT INTO orders (note) SELECT u FROM users u", "postgres", {"orders.note": USERS}),
        ("INSERT INTO v_orders (remark) SELECT ssn FROM users", "postgres", {"orders.note": {"users.ssn"}}),
        ("INSERT INTO v_orders SELECT id, ssn FROM users", "postgres", {"orders.id": {"users.id"}, "orders.note": {"users.ssn"}}),
        ("INSERT INTO public.orders (note) SELECT remark FROM v_orders", "postgres", {"orders.note": {"orders.note"}}),
        ("CREATE TABLE copy AS SELECT id, ssn AS x FROM users", "postgres", {"copy.id": {"users.id"}, "copy.x": {"users.ssn"}}),
        ("CREATE TABLE copy (a, b) AS SELECT id, ssn FROM users", "postgres", {"copy.a": {"users.id"}, "copy.b": {"users.ssn"}}),
        ("CREATE TABLE copy AS SELECT ssn || 'x' FROM users", "postgres", {"copy.*": {"users.ssn"}}),
        ("CREATE TABLE copy AS WITH x AS (SELECT ssn FROM users) SELECT * FROM x", "postgres", {"copy.ssn": {"users.ssn"}}),
        ("CREATE OR REPLACE TABLE copy AS FROM users", "duckdb", {"copy.id": {"users.id"}, "copy.name": {"users.name"}, "copy.ssn": {"users.ssn"}}),
        ("CREATE MATERIALIZED VIEW m AS SELECT ssn FROM users", "postgres", {"m.ssn": {"users.ssn"}}),
        ("CREATE VIEW v AS SELECT ssn FROM users", "postgres", {}),
        ("CREATE TABLE x (a int)", "postgres", {}),
        ("CREATE INDEX i ON users (ssn)", "postgres", {}),
        ("CREATE TABLE copy CLONE users", "snowflake", {"copy.id": {"users.id"}, "copy.name": {"users.name"}, "copy.ssn": {"users.ssn"}}),
        ("SELECT ssn INTO copy FROM users", "tsql", {"copy.ssn": {"users.ssn"}}),
        ("UPDATE orders SET note = 'x'", "postgres", {}),
        ("UPDATE orders SET note = note || user_id WHERE id = 1", "postgres", {"orders.note": {"orders.note", "orders.user_id"}}),
        ("UPDATE orders SET note = u.ssn FROM users u WHERE u.id = orders.user_id", "postgres", {"orders.note": {"users.ssn"}}),
        ("UPDATE orders o SET note = (SELECT ssn FROM users u WHERE u.id = o.user_id)", "postgres", {"orders.note": {"users.ssn", "users.id", "orders.user_id"}}),
        ("UPDATE orders SET (note, id) = (SELECT ssn, 1 FROM users)", "postgres", {"orders.note": {"users.ssn"}, "orders.id": {"users.ssn"}}),
        ("UPDATE orders SET (note, id) = (name, 1) FROM users", "postgres", {"orders.note": {"users.name"}}),
        ("UPDATE orders SET note = DEFAULT WHERE id = 1", "postgres", {}),
        ("UPDATE orders o JOIN users u ON u.id = o.user_id SET o.note = u.ssn, u.name = o.note", "mysql", {"orders.note": {"users.ssn"}, "users.name": {"orders.note"}}),
        ("UPDATE o SET o.note = u.ssn FROM orders o JOIN users u ON u.id = o.user_id", "tsql", {"orders.note": {"users.ssn"}}),
        ("UPDATE o SET note = u.ssn FROM orders o JOIN users u ON u.id = o.user_id", "tsql", {"orders.note": {"users.ssn"}}),
        ("UPDATE v_orders SET remark = (SELECT max(ssn) FROM users)", "postgres", {"orders.note": {"users.ssn"}}),
        ("MERGE INTO orders o USING users u ON u.id = o.user_id WHEN MATCHED AND u.name > 'a' THEN UPDATE SET note = u.ssn WHEN NOT MATCHED THEN INSERT (id, note) VALUES (u.id, u.name)", "postgres",
         {"orders.note": {"users.ssn", "users.name"}, "orders.id": {"users.id"}}),
        ("MERGE INTO orders o USING (SELECT ssn AS x, id FROM users) s ON s.id = o.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, 1, s.x)", "snowflake", {"orders.id": {"users.id"}, "orders.note": {"users.ssn"}}),
        ("MERGE INTO orders USING users ON orders.id = users.id WHEN MATCHED THEN UPDATE SET *", "databricks", dict.fromkeys(ORDERS, USERS | ORDERS)),
        ("MERGE INTO orders USING users ON orders.id = users.id WHEN MATCHED THEN DELETE", "postgres", {}),
        ("WITH x AS (INSERT INTO orders (note) SELECT ssn FROM users RETURNING id) SELECT * FROM x", "postgres", {"orders.note": {"users.ssn"}}),
        ("WITH gone AS (DELETE FROM users WHERE id = 1 RETURNING ssn) INSERT INTO log (what) SELECT ssn FROM gone", "postgres", {"log.what": {"users.ssn"}}),
        ("INSERT INTO log (what) SELECT nothing FROM users", "postgres", {"log.what": USERS | {"log.id", "log.what"}}),
        ("DELETE FROM users", "postgres", {}),
        ("TRUNCATE users", "postgres", {}),
        ("DROP TABLE users", "postgres", {}),
        ("SELECT ssn FROM users", "postgres", {}),
        ("SELECT ssn FROM users FOR UPDATE", "postgres", {}),
        ("EXPLAIN INSERT INTO orders (note) SELECT ssn FROM users", "postgres", {}),
        ("", "postgres", {}),
    ],
)  # fmt: skip
def test_written_columns_name_what_they_are_made_of(sql, dialect, found):
    assert carried(sql, dialect) == found


@pytest.mark.parametrize(
    ("sql", "dialect"),
    [
        ("INSERT INTO log (what) SELECT evil(ssn) FROM users", "postgres"),
        ("CALL p()", "mysql"),
        ("nonsense", "postgres"),
        ("SELECT 1; SELECT 2", "postgres"),
        ("EXPLAIN ANALYZE INSERT INTO orders (note) SELECT ssn FROM users", "postgres"),
        ("COPY (SELECT ssn FROM users) TO '/tmp/x'", "postgres"),
        ("ALTER TABLE a APPEND FROM users", "redshift"),
        ("INSERT ALL INTO log VALUES (id, ssn) INTO orders VALUES (id, id, ssn) SELECT * FROM users", "oracle"),
        ("INSERT INTO orders (note) OUTPUT inserted.note INTO log SELECT ssn FROM users", "tsql"),
        ("INSERT INTO log SELECT 'a", "postgres"),
        ("SELECT 1", "cobol"),
    ],
)
def test_what_cannot_be_told_is_said_so(sql, dialect):
    with pytest.raises(SqlNotUnderstood):
        flows(sql, dialect, SCHEMA)


LIVE = LiveSchema(
    tables={name: tuple(columns) for name, columns in SCHEMA.items() if isinstance(columns, list)} | {"plain": ("a",)},
    views={"v_orders": SCHEMA["v_orders"], "hidden": ""},
    columns={"v_orders": ("number", "remark"), "hidden": ("a",)},
    functions={
        "audit": LiveFunction("volatile", "plpgsql", "BEGIN INSERT INTO log (what) VALUES (OLD.ssn); RETURN OLD; END"),
        "writer": LiveFunction("volatile", "sql", "INSERT INTO log (what) VALUES ($1); SELECT 1"),
        "code": LiveFunction("volatile", "plpgsql", "BEGIN EXECUTE 'x'; END"),
    },
    triggers={
        "users": (LiveTrigger(frozenset({"delete"}), "audit"),),
        "plain": (LiveTrigger(frozenset({"insert"}), "code"),),
    },
)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("INSERT INTO orders (note) SELECT ssn FROM users", {"orders.note": {"users.ssn"}}),
        ("UPDATE v_orders SET remark = (SELECT max(ssn) FROM users)", {"orders.note": {"users.ssn"}}),
        ("DELETE FROM users WHERE id = 1", dict.fromkeys(["log.id", "log.what"], USERS | {"log.id", "log.what"})),
        ("SELECT writer(ssn) FROM users", dict.fromkeys(["log.id", "log.what"], USERS | {"log.id", "log.what"})),
        ("UPDATE users SET name = ssn", {"users.name": {"users.ssn"}}),
    ],
)
def test_what_triggers_and_functions_write_counts_with_a_live_schema(sql, found):
    assert carried(sql, schema=LIVE) == found


@pytest.mark.parametrize("sql", ["INSERT INTO plain SELECT ssn FROM users", "INSERT INTO hidden SELECT ssn FROM users"])
def test_what_an_unread_trigger_or_view_does_cannot_be_told(sql):
    with pytest.raises(SqlNotUnderstood):
        flows(sql, "postgres", LIVE)


def test_answer_is_the_caller_s_own():
    first = flows("INSERT INTO orders (note) SELECT ssn FROM users", "postgres", LIVE)
    first.clear()
    assert flows("INSERT INTO orders (note) SELECT ssn FROM users", "postgres", LIVE)


def test_lineage_of_what_returns_still_holds_the_column_itself():
    assert column_lineage("UPDATE orders SET note = u.ssn FROM users u RETURNING note", "postgres", SCHEMA) == [
        frozenset({"orders.note", "users.ssn"})
    ]
