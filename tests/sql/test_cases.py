"""The labelled statements: those that were run on real engines, and our own of the same kind."""

import json
from pathlib import Path

import pytest

from guardai.sql import inspect

CASES = Path(__file__).parent / "cases"


def load(name):
    return [json.loads(line) for line in (CASES / name).read_text("utf-8").splitlines() if line]


def judged(statement):
    """X: to be stopped or asked about; W: a bounded write; R: a read."""
    found = inspect(statement["sql"], statement["dialect"])
    if found.statements != 1 or found.unbounded or found.effects - {"read", "write"}:
        return "X"
    return "W" if "write" in found.effects else "R"


ADVERSARIAL = load("sql_adversarial.jsonl")
OWN = load("own.jsonl")
DIALECTS = sorted({case["dialect"] for case in OWN})


def test_no_statement_that_must_be_stopped_is_judged_harmless():
    under = [case["id"] for case in ADVERSARIAL if case["label"]["cls"] == "X" and judged(case) != "X"]
    assert under == []


def test_no_harmless_statement_of_the_shared_cases_is_stopped():
    over = [case["id"] for case in ADVERSARIAL if case["label"]["cls"] != "X" and judged(case) == "X"]
    assert over == []


def test_reads_and_writes_of_the_shared_cases_are_told_apart():
    assert [case["id"] for case in ADVERSARIAL if judged(case) != case["label"]["cls"]] == []


def test_tables_and_bounds_of_the_shared_cases_are_as_labelled():
    # What dynamic SQL, a cursor or a refused text would touch cannot be told.
    hidden = {"postgres-012", "postgres-033", "mysql-026", "duckdb-023"}
    for case in ADVERSARIAL:
        found, label = inspect(case["sql"], case["dialect"]), case["label"]
        assert found.unbounded == label["unbounded"], case["id"]
        if case["id"] not in hidden:
            assert found.reads == frozenset(label["reads"]), case["id"]
            assert found.writes == frozenset(label["writes"]), case["id"]
            assert frozenset(label["functions"]) <= found.functions, case["id"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_own_statements_are_judged_as_labelled(dialect):
    wrong = [
        (case["sql"], case["label"]["cls"], judged(case))
        for case in OWN
        if case["dialect"] == dialect and judged(case) != case["label"]["cls"]
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("sql", "dialect", "effects"),
    [
        ("SELECT 1", "sqlite", {"read"}),
        ("INSERT INTO t SELECT * FROM u", "postgres", {"read", "write"}),
        ("DELETE FROM t WHERE id = 1", "mysql", {"write"}),
        ("DROP TABLE t", "sqlite", {"destroy"}),
        ("TRUNCATE t", "postgres", {"destroy"}),
        ("CREATE TABLE t (a int)", "sqlite", {"admin"}),
        ("GRANT ALL ON t TO x", "postgres", {"admin"}),
        ("CALL p()", "mysql", {"exec"}),
        ("EXEC xp_cmdshell 'dir'", "tsql", {"exec"}),
        ("COPY t TO STDOUT", "postgres", {"file", "read"}),
        ("COPY t FROM PROGRAM 'x'", "postgres", {"file", "exec", "write"}),
        ("ATTACH 'x' AS y", "sqlite", {"file"}),
        ("NOTIFY c", "postgres", {"network"}),
        ("SELECT * FROM 's3://b/x.csv'", "duckdb", {"read", "file", "network"}),
        ("SELECT * FROM OPENQUERY(s, 'x')", "tsql", {"read", "network"}),
        ("SET x = 1", "postgres", {"session"}),
        ("USE x", "mysql", {"session"}),
        ("SELECT @a", "mysql", {"read", "session"}),
        ("SELECT pg_sleep(1)", "postgres", {"read", "unknown"}),
        ("SELECT pg_advisory_lock(1)", "postgres", {"read", "unknown"}),
        ("SELECT nextval('s')", "postgres", {"read", "write"}),
        ("SELECT * FROM t FOR UPDATE", "postgres", {"read", "write"}),
        ("SHOW TABLES", "mysql", {"read"}),
        ("EXPLAIN DELETE FROM t", "postgres", {"read"}),
        ("EXPLAIN ANALYZE DELETE FROM t WHERE id = 1", "postgres", {"read", "write"}),
        ("", "sqlite", {"read"}),
        ("-- nothing", "postgres", {"read"}),
    ],
)
def test_effects_are_those_of_the_table(sql, dialect, effects):
    assert inspect(sql, dialect).effects == effects


@pytest.mark.parametrize(
    ("sql", "action"),
    [
        ("SELECT 1", "db.read"),
        ("", "db.read"),
        ("INSERT INTO t VALUES (1)", "db.write"),
        ("DELETE FROM t", "db.destroy"),
        ("UPDATE t SET a = 1", "db.destroy"),
        ("DROP TABLE t", "db.destroy"),
        ("CREATE TABLE t (a)", "db.admin"),
        ("ATTACH 'x' AS y", "db.admin"),
        ("SELECT evil(1)", "db.unknown"),
        ("nonsense", "db.unknown"),
        ("SELECT evil(1); CREATE TABLE t (a)", "db.admin"),
        ("SELECT evil(1); INSERT INTO t VALUES (1)", "db.unknown"),
        ("CREATE TABLE t (a); DROP TABLE t", "db.destroy"),
    ],
)
def test_action_is_the_worst_of_the_effects(sql, action):
    assert inspect(sql, "sqlite").action == action


@pytest.mark.parametrize(
    "change", ["DELETE FROM t WHERE id = 1", "UPDATE t SET a = 1 WHERE id = 1", "INSERT INTO t (a) SELECT 1"]
)
def test_what_is_changed_is_a_table_whatever_a_cte_is_called(change):
    sql = f"WITH t AS (SELECT * FROM audit) {change}"
    for dialect in ("postgres", "sqlite", "duckdb", "mysql"):
        assert inspect(sql, dialect).writes == {"t"}, dialect
    assert inspect(sql, "tsql").writes == {"audit"}  # which changes the table below


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "mariadb", "duckdb", "sqlite"])
def test_table_that_a_later_cte_is_called_like_counts_as_read(dialect):
    sql = "WITH RECURSIVE a AS (SELECT name FROM orgs), orgs AS (SELECT name FROM users) SELECT name FROM a"
    assert inspect(sql, dialect).reads == {"orgs", "users"}


@pytest.mark.parametrize(
    ("sql", "dialect", "writes"),
    [
        ("INSERT INTO t SELECT t.a FROM audit t", "postgres", {"t"}),
        ("REPLACE INTO t SELECT t.a FROM audit AS t", "sqlite", {"t"}),
        ("DELETE FROM t WHERE id = 1 AND EXISTS (SELECT 1 FROM audit t)", "postgres", {"t"}),
        ("MERGE INTO t USING (SELECT t.* FROM audit t) s ON t.id = s.id WHEN MATCHED THEN DELETE", "postgres", {"t"}),
        ("DELETE t FROM t JOIN (SELECT x FROM audit t) s ON s.x = t.id WHERE t.id = 1", "mysql", {"t"}),
        ("UPDATE t SET a = 1 FROM t WHERE id IN (SELECT id FROM audit t) AND id = 1", "tsql", {"t"}),
        ("DELETE t FROM users t WHERE t.id = 1", "mysql", {"users"}),
        ("UPDATE t SET a = 1 FROM users t WHERE t.id = 1", "tsql", {"users"}),
    ],
)
def test_table_that_is_changed_is_not_taken_for_one_whose_alias_is_the_same(sql, dialect, writes):
    assert inspect(sql, dialect).writes == writes


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT u.ssn FROM users u WHERE EXISTS (SELECT 1 FROM orders u)", {"users.ssn", "orders.ssn"}),
        ("SELECT users.ssn FROM users WHERE EXISTS (SELECT 1 FROM orders users)", {"users.ssn", "orders.ssn"}),
        ("DELETE FROM users WHERE ssn = 'x' AND EXISTS (SELECT 1 FROM orders)", {"ssn"}),
        ("INSERT INTO users SELECT 1 FROM orders RETURNING ssn", {"ssn"}),
        ("INSERT INTO users SELECT total FROM orders", {"orders.total"}),
        ("UPDATE users SET name = ssn WHERE id = 1", {"users.ssn", "users.id"}),
    ],
)
def test_column_counts_for_each_table_that_it_may_be_of(sql, columns):
    assert inspect(sql, "postgres").columns_read == columns


def test_table_is_read_whose_name_a_cte_has_in_another_case():
    assert inspect('WITH "Users" AS (SELECT 1) SELECT * FROM users', "postgres").reads == {"users"}
    assert inspect('WITH "users" AS (SELECT 1) SELECT * FROM users', "snowflake").reads == {"users"}
    assert inspect('WITH "users" AS (SELECT 1) SELECT * FROM users', "postgres").reads == frozenset()


@pytest.mark.parametrize(
    ("sql", "dialect", "reads"),
    [
        ("SELECT 1 IN users", "sqlite", {"users"}),
        ("DELETE FROM orgs WHERE id = 1 AND id IN main.users", "sqlite", {"main.users"}),
        ("SELECT a IN users FROM orgs", "clickhouse", {"orgs", "users"}),
        ("WITH x AS (SELECT id FROM users) SELECT id IN x FROM orgs", "sqlite", {"orgs", "users"}),
    ],
)
def test_table_that_is_searched_without_a_query_is_read(sql, dialect, reads):
    assert inspect(sql, dialect).reads == reads
