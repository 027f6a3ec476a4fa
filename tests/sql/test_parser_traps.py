"""Each dangerous behaviour of the parsers that was found, as a test that it does not get through."""

import logging
import subprocess
import sys

import pytest

from guardai.sql import inspect

HARMLESS = {"db.read", "db.write"}


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
@pytest.mark.parametrize(
    "sql",
    [
        "/*!50000 DROP TABLE users */",
        "/*!DROP*/ TABLE users",
        "/*! DROP TABLE users */",
        "SELECT 1 /*!50000 ; DROP TABLE users */",
    ],
)
def test_executable_comment_is_expanded_and_judged(sql, dialect):
    assert inspect(sql, dialect).action == "db.destroy"


def test_mariadb_executable_comment_is_expanded():
    assert inspect("/*M! DROP TABLE users */", "mariadb").action == "db.destroy"
    assert inspect("/*M! DROP TABLE users */", "mysql").action == "db.destroy"


def test_versioned_comment_that_may_be_skipped_does_not_bound():
    assert not inspect("DELETE FROM users /*! WHERE id = 1 */", "mysql").unbounded
    assert inspect("DELETE FROM users /*!99999 WHERE id = 1 */", "mysql").unbounded


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1\nDELETE FROM users",
        "SELECT 1 DROP TABLE users",
        "SELECT (1) DELETE FROM users",
        "SELECT 1DROP TABLE users",
    ],
)
def test_tsql_statements_without_semicolons_are_counted(sql):
    found = inspect(sql, "tsql")
    assert found.statements == 2
    assert found.action == "db.destroy"


def test_tsql_procedure_called_by_its_name_alone_is_exec():
    assert inspect("xp_cmdshell 'dir'", "tsql").effects == {"exec"}
    assert inspect("[xp_cmdshell] 'dir'", "tsql").action not in HARMLESS


@pytest.mark.parametrize(
    ("sql", "dialect"),
    [
        ("SHUTDOWN", "mysql"),
        ("CHECKPOINT", "postgres"),
        ("RECONFIGURE", "tsql"),
        ("LISTEN c", "postgres"),
        ("DISCARD ALL", "postgres"),
        ("RESET MASTER", "mysql"),
        ("REINDEX x", "sqlite"),
        ("DBCC x", "tsql"),
    ],
)
def test_command_that_the_parser_takes_for_a_column_or_alias_is_admin(sql, dialect):
    assert inspect(sql, dialect).action == "db.admin"


def test_function_name_in_unicode_escapes_is_refused():
    found = inspect("SELECT U&\"pg\\005fread\\005ffile\"('/etc/passwd')", "postgres")
    assert found.effects == {"unknown"}
    assert found.reason == "unicode-identifier"


@pytest.mark.parametrize(
    ("sql", "dialect", "action"),
    [
        ("REPLACE INTO users VALUES (1)", "mysql", "db.write"),
        ("EXPLAIN ANALYZE DELETE FROM users", "postgres", "db.destroy"),
        ("CALL p()", "postgres", "db.admin"),
        ("DO SLEEP(10)", "mysql", "db.admin"),
        ("SET ROLE admin", "postgres", "db.admin"),
        ("ALTER TABLE users DISABLE ROW LEVEL SECURITY", "postgres", "db.admin"),
        ("COPY (DELETE FROM users) TO STDOUT", "postgres", "db.destroy"),
        ("SELECT 1 INTO OUTFILE '/x'", "mysql", "db.admin"),
        ("SELECT 1 INTO DUMPFILE '/x'", "mysql", "db.admin"),
        ("LOAD DATA INFILE 'x' INTO TABLE t", "mysql", "db.admin"),
        ("HANDLER users OPEN", "mysql", "db.unknown"),
        ("EXPORT DATABASE 'x'", "duckdb", "db.admin"),
        ("UPDATE OR IGNORE users SET a = 1 WHERE id = 5", "sqlite", "db.write"),
        ("INSERT INTO t EXEC p", "tsql", "db.admin"),
    ],
)
def test_statement_that_the_parser_does_not_read_is_judged_by_its_words(sql, dialect, action):
    assert inspect(sql, dialect).action == action


@pytest.mark.parametrize(
    ("sql", "dialect", "effect"),
    [
        ("SELECT * FROM users@remote_link", "oracle", "network"),
        ("SELECT * FROM 'https://evil/x.parquet'", "duckdb", "network"),
        ('SELECT * FROM "/etc/passwd.csv"', "duckdb", "file"),
        ("SELECT * FROM data.csv", "duckdb", "file"),
        ("SELECT $1 FROM @stage/file", "snowflake", "file"),
        ("SELECT * FROM csv.`/etc/passwd`", "databricks", "file"),
        ("SELECT * FROM srv.db.dbo.users", "tsql", "network"),
    ],
)
def test_table_that_is_a_file_or_a_link_is_no_table(sql, dialect, effect):
    assert effect in inspect(sql, dialect).effects


def test_text_of_a_statement_never_reaches_a_log(caplog, capfd):
    marker = "hunter2-in-a-literal"
    with caplog.at_level(logging.DEBUG):
        for sql in (f"VACUUM '{marker}'", f"SELECT '{marker}", f"ALTER WEIRD '{marker}'", f"SELECT JSON_EXTRACT(a, '{marker}[') FROM t",
                    f"CREATE WEIRD '{marker}'", f"SELECT CAST(a AS '{marker}')", f"INSERT INTO t WEIRD '{marker}'"):  # fmt: skip
            inspect(sql, "postgres")
            inspect(sql, "mysql")
    assert marker not in caplog.text
    assert marker not in "".join(capfd.readouterr())


def test_logs_of_the_application_s_own_parsing_are_kept(caplog):
    import sqlglot

    inspect("VACUUM", "postgres")
    with caplog.at_level(logging.WARNING, logger="sqlglot"):
        sqlglot.parse_one("VACUUM its own", dialect="postgres")
    assert "its own" in caplog.text


def test_full_text_index_command_is_no_plain_insert():
    assert inspect("INSERT INTO ft(ft) VALUES('delete-all')", "sqlite").effects == {"write", "admin"}
    assert inspect("INSERT INTO ft(x) VALUES('delete-all')", "sqlite").effects == {"write"}


def test_template_comment_that_only_the_parser_knows_is_refused():
    assert inspect("DELETE FROM users {# WHERE id = 1 #}", "postgres").reason == "template"


def test_mysql_dashes_without_space_are_no_comment():
    assert inspect("SELECT 5--1; DROP TABLE users", "mysql").action == "db.destroy"
    assert inspect("SELECT 5--1", "mysql").effects == {"read"}
    assert inspect("SELECT 5 -- 1; DROP TABLE users", "mysql").effects == {"read"}


def test_sqlite_quoted_name_that_is_no_column_does_not_bound():
    assert inspect("DELETE FROM users WHERE \"a\" = 'a'", "sqlite").unbounded
    assert inspect('DELETE FROM users WHERE "a" = ?', "sqlite").unbounded
    assert not inspect('DELETE FROM users WHERE "users"."a" = ?', "sqlite").unbounded
    assert not inspect("DELETE FROM users WHERE \"a\" = 'b'", "sqlite").unbounded


def test_value_of_the_session_that_looks_like_a_column_does_not_bound():
    assert inspect("DELETE FROM users WHERE user = 'postgres'", "postgres").unbounded
    assert not inspect("DELETE FROM users WHERE user = 'bob'", "mysql").unbounded


def test_call_under_the_name_of_a_relation_is_still_a_call():
    found = inspect("WITH pg_read_file(a) AS (SELECT 1) SELECT pg_read_file('/etc/passwd')", "postgres")
    assert "file" in found.effects
    assert inspect("WITH evil(a) AS (SELECT 1) SELECT evil(a) FROM evil", "postgres").effects == {"read", "unknown"}


NESTED = {
    "brackets": "SELECT {} 1 {}|(|)",
    "subqueries": "SELECT * FROM {} t {}|(SELECT * FROM |) x",
    "not": "SELECT {} 1 {}|NOT |",
    "minus": "SELECT {} 1 {}|- |",
    "case": "SELECT {} 1 {}|CASE WHEN | THEN 1 END",
    "calls": "SELECT {} 1 {}|abs(|)",
    "casts": "SELECT a {} {}||::int",
    "or": "DELETE FROM t WHERE {} a = 1 {}|a = 1 OR |",
    "union": "SELECT 1 {} {}|| UNION SELECT 1",
    "joins": "SELECT * FROM t {} {}|| JOIN t",
    "crossed": "SELECT * FROM t {} {}|| CROSS JOIN t",
    "types": "SELECT CAST(a AS {} INT {})|ARRAY<|>",
    "over": "SELECT sum(a) {} {}|| OVER ()",
    "assigned": "SELECT a {} {}|| := a",
    "explain": "{} SELECT 1 {}|EXPLAIN |",
    "comments": "SELECT {} {} 1|/*|*/",
    "executable": "{} SELECT 1 {}|/*!|*/",
    "lambdas": "SELECT f({} 1 {})|x -> |",
    "intervals": "SELECT {} 1 {}|INTERVAL |",
    "table parts": "SELECT * FROM a{} t{}|.b|",
    "column parts": "SELECT a{} {}|.b|",
    "subscripts": "SELECT a{} {}|[1]|",
    "methods": "SELECT a{} {}|.f(1)|",
    "typed": "SELECT {} 1 {}|date(|)",
    "arrays": "SELECT {} 1 {}|ARRAY[|]",
    "zones": "SELECT a {} {}|| AT TIME ZONE b",
    "summed intervals": "SELECT {} 1 {}|INTERVAL 1 + |",
    "distinct": "SELECT {} 1 {}|a IS DISTINCT FROM NOT |",
    "ctes": "WITH a AS ({} SELECT 1 {}) SELECT * FROM a|(|)",
}


@pytest.mark.parametrize("shape", sorted(NESTED))
def test_nesting_ends_in_an_answer_on_a_small_stack(shape):
    """The compiled parser crashes the process at 800 levels in a thread of 512 KB."""
    form, opening, closing = NESTED[shape].split("|")
    program = f"""
import threading
from guardai.sql import column_lineage, inspect, SqlNotUnderstood
def run():
    for count in (50, 800, 6_000):
        sql = {form!r}.format({opening!r} * count, {closing!r} * count)
        for dialect in ("postgres", "duckdb"):
            assert inspect(sql, dialect).reason != "internal-error", count
            try:
                column_lineage(sql, dialect, {{"t": ["a"]}})
            except SqlNotUnderstood as why:
                assert str(why) != "internal-error", count
    print("answered")
threading.stack_size(512 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "answered", (done.returncode, done.stderr[-500:])


@pytest.mark.parametrize(
    "sql", ["INSERT INTO t VALUES ($1,$2)", "INSERT INTO t VALUES (%s,%s)", "SELECT id FROM t WHERE a=$1::text||$2"]
)
def test_parameters_side_by_side_are_no_dollar_quoted_string(sql):
    assert inspect(sql, "postgres").action in HARMLESS
