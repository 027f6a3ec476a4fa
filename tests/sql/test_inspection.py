"""What `inspect` returns, remembers, and costs to import."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from guardai.sql import describe, inspect, whole
from guardai.sql.inspection import EFFECTS, Inspection
from guardai.sql.lexicon import DIALECTS
from guardai.sql.memory import Memory
from guardai.sql.words import functions


def test_parser_is_not_imported_before_the_first_inspection():
    program = "import sys, guardai.sql; assert not {'sqlglot', 'sqlparse'} & set(sys.modules); guardai.sql.inspect('SELECT 1', 'sqlite'); assert 'sqlglot' in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_unknown_dialect_is_unknown():
    found = inspect("SELECT 1", "cobol")
    assert (found.effects, found.reason, found.action) == ({"unknown"}, "unknown-dialect", "db.unknown")


def test_answer_is_frozen():
    with pytest.raises(AttributeError):
        inspect("SELECT 1", "sqlite").statements = 2


def test_repeat_is_the_same_object():
    assert inspect("SELECT 'remembered'", "sqlite") is inspect("SELECT 'remembered'", "sqlite")
    assert inspect("SELECT 'remembered'", "sqlite") is not inspect("SELECT 'remembered'", "postgres")


def test_long_statement_is_not_remembered():
    sql = f"SELECT '{'x' * 20_000}'"
    assert inspect(sql, "sqlite") == inspect(sql, "sqlite")
    assert (sql, "sqlite") not in whole._memory.answers


def test_memory_of_statements_is_bounded():
    memory = Memory(entries=10, characters=2_000)
    for number in range(40):
        memory.put(f"SELECT {number}", "sqlite", inspect(f"SELECT {number}", "sqlite"))
    assert len(memory.answers) == 10
    assert memory.held == sum(len(sql) for sql, _ in memory.answers)
    memory.put("x" * 1_999, "sqlite", inspect("SELECT 1", "sqlite"))
    assert memory.held <= 2_000
    assert memory.held == sum(len(sql) for sql, _ in memory.answers)


def test_threads_get_the_same_answers():
    statements = [f"SELECT {n} FROM t WHERE id = {n % 7}" if n % 3 else f"DELETE FROM t{n}" for n in range(300)]
    alone = [inspect(sql, "postgres") for sql in statements]
    whole._memory.answers.clear()
    whole._memory.held = 0
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda sql: inspect(sql, "postgres"), statements * 4))
    assert together == alone * 4


def test_columns_read_hold_filters_under_the_real_table():
    found = inspect(
        "SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id WHERE u.ssn LIKE '1%' ORDER BY total", "postgres"
    )
    assert found.columns_read == {"users.name", "users.ssn", "users.id", "orders.user_id", "total"}


def test_star_and_whole_rows_read_every_column():
    assert inspect("SELECT * FROM users", "sqlite").columns_read == {"users.*"}
    assert inspect("SELECT u FROM users u", "postgres").columns_read == {"users.*"}
    assert inspect("SELECT count(*) FROM users", "sqlite").columns_read == set()


def test_column_named_by_its_number_reads_any():
    assert inspect("SELECT #3 || 'x' FROM users", "duckdb").columns_read == {"users.*"}


def test_written_column_is_not_read():
    assert inspect("UPDATE users SET name = 'x' WHERE id = 5", "sqlite").columns_read == {"users.id"}


def test_cte_is_no_table():
    found = inspect("WITH x AS (SELECT * FROM users) SELECT * FROM x JOIN y ON true", "postgres")
    assert found.reads == {"users", "y"}
    found = inspect("WITH users AS (SELECT * FROM users) SELECT * FROM users", "postgres")
    assert found.reads == {"users"}


def test_names_keep_their_schema():
    assert inspect("SELECT * FROM Main.Users", "sqlite").reads == {"main.users"}
    assert inspect("DELETE FROM [dbo].[Users] WHERE id = 1", "tsql").writes == {"dbo.users"}


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("DELETE FROM customers", "deletes from customers, not bounded"),
        ("DELETE FROM customers WHERE id = 1", "deletes from customers"),
        ("SELECT * FROM a JOIN b ON true", "reads a, b"),
        ("SELECT 1", "reads no table"),
        ("INSERT INTO a SELECT * FROM b", "inserts into a, reads b"),
        ("UPDATE a SET x = 1", "changes a, not bounded"),
        ("DROP TABLE a", "drops a"),
        ("TRUNCATE a", "empties a"),
        ("SELECT pg_read_file('secret-path')", "reads no table, touches files"),
        ("SELECT evil('secret')", "reads no table, not understood (unknown-function:evil)"),
        ("SELECT 1; DROP TABLE a", "runs 2 statements (select, drop), writes a, destroys data"),
        ("VACUUM", "runs VACUUM, administers the server"),
        ("", "no statement"),
        ("SELECT 'secret", "not understood (unterminated)"),
    ],
)
def test_statement_is_told_in_plain_words_without_its_values(sql, told):
    line = describe(inspect(sql, "postgres"))
    assert line == told
    assert "secret" not in line


@pytest.mark.parametrize(
    ("labelled", "told"),
    [
        ({}, "deletes from customers, not bounded"),
        ({"customers.email": {"pii.email"}}, "deletes from customers, not bounded, 1 column labelled pii"),
        (
            {
                "customers.email": {"pii.email", "pii.contact"},
                "customers.iban": ["pii.iban", "origin.eu"],
                "customers.id": (),
            },
            "deletes from customers, not bounded, 1 column labelled origin, 2 columns labelled pii",
        ),
    ],
)
def test_labelled_columns_are_counted_by_kind(labelled, told):
    assert describe(inspect("DELETE FROM customers", "postgres"), labelled) == told


def test_every_effect_is_known():
    assert set(EFFECTS) == {"read", "write", "destroy", "admin", "exec", "file", "network", "session", "unknown"}
    assert Inspection(statements=1, effects=frozenset()).action == "db.unknown"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_function_with_an_effect_is_listed_as_harmless(dialect):
    table = functions(dialect)
    assert len(table.harmless) > 100
    assert not table.harmless & set(table.effects)
    assert [name for name in table.harmless if name.startswith(tuple(prefix for prefix, _ in table.prefixes))] == []
    assert "count" in table.harmless


def test_lists_of_functions_name_their_script_and_engine():
    from importlib.resources import files

    for dialect in DIALECTS:
        lines = (files("guardai.sql") / "functions" / f"{dialect}.txt").read_text("utf-8").splitlines()
        assert lines[0].startswith(f"# Harmless functions of {dialect}. Made by tools/sql_functions.py from ")
        assert lines[1:] == sorted(set(lines[1:]))
