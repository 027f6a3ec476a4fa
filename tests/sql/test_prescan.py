"""The look before any parser: what is comment, literal and statement."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.sql import inspect
from guardai.sql.lexicon import DIALECTS
from guardai.sql.prescan import MAX_DEPTH, MAX_LENGTH, Refused, prescan, render
from guardai.sql.split import agreed, statements


def cut(sql, dialect):
    scan = prescan(sql, dialect)
    return [render(sql, tokens) for tokens in statements(scan, dialect)]


@pytest.mark.parametrize(
    ("sql", "dialect", "reason"),
    [
        ("SELECT 1\0", "sqlite", "nul"),
        ("\ufeffSELECT 1", "postgres", "odd-character"),
        ("SELECT\u200b1", "postgres", "odd-character"),
        ("SELECT\u00a01", "tsql", "odd-character"),
        ("SELECT\u30001", "mysql", "odd-character"),
        ("SELECT \uff44rop", "mysql", "odd-character"),
        ("SELECT \x0b1", "postgres", "odd-character"),
        ("SELECT \\ 1", "postgres", "odd-character"),
        ("SELECT 'a", "postgres", "unterminated"),
        ('SELECT "a', "postgres", "unterminated"),
        ("SELECT /* a", "sqlite", "unterminated"),
        ("SELECT $a$ x", "postgres", "unterminated"),
        ("SELECT q'[ x", "oracle", "unterminated"),
        ("/*! SELECT 1", "mysql", "unterminated"),
        ("SELECT 1 -- a\r; DROP TABLE x", "postgres", "ambiguous-comment"),
        ("SELECT /* a /* b */ 1", "clickhouse", "ambiguous-comment"),
        ("/*!123456 SELECT 1 */", "mysql", "ambiguous-comment"),
        ("SELECT 'a\\'b'", "redshift", "ambiguous-literal"),
        ("SELECT 1abc", "mysql", "odd-number"),
        ('SELECT U&"a"', "trino", "unicode-identifier"),
        ("SELECT {{ x }}", "sqlite", "template"),
        ("SELECT " + "(" * 101 + "1" + ")" * 101, "sqlite", "too-deep"),
        ("SELECT '" + "x" * 1_000_000 + "'", "sqlite", "too-long"),
        ("SELECT '\ud800'", "sqlite", "odd-character"),
    ],
)
def test_text_that_cannot_be_trusted_is_refused_with_its_reason(sql, dialect, reason):
    with pytest.raises(Refused) as refused:
        prescan(sql, dialect)
    assert str(refused.value) == reason
    found = inspect(sql, dialect)
    assert found.effects == {"unknown"}
    assert found.reason == reason
    assert found.action == "db.unknown"


def test_depth_of_a_hundred_is_judged():
    assert MAX_DEPTH == 100
    assert inspect("SELECT " + "(" * 100 + "1" + ")" * 100, "postgres").effects == {"read"}


def test_longest_statement_is_judged():
    sql = "SELECT '" + "x" * (MAX_LENGTH - 9) + "'"
    assert len(sql) == MAX_LENGTH
    assert inspect(sql, "sqlite").effects == {"read"}


@pytest.mark.parametrize(
    ("sql", "dialect", "count"),
    [
        ("SELECT $a$ $$; DROP TABLE users; $$ $a$", "postgres", 1),
        ("SELECT $$'$$; DROP TABLE users; --'", "postgres", 2),
        ("SELECT E'a\\'; DROP TABLE users; --'", "postgres", 1),
        ("SELECT '\\'; DROP TABLE users; --'", "postgres", 2),
        ("SELECT '\\'; DROP TABLE users; --'", "mysql", 1),
        ("SELECT '\\'; DROP TABLE users; --'", "sqlite", 2),
        ("SELECT 1 /* a /* b */ */ ; DROP TABLE users --", "postgres", 2),
        ("SELECT /* outer /* inner */ 1; DROP TABLE users; -- */", "mysql", 2),
        ('SELECT "a; DROP TABLE users"', "mysql", 1),
        ("SELECT `a;b` FROM t", "mysql", 1),
        ("SELECT [a;b] FROM t", "tsql", 1),
        ("SELECT [a]];b] FROM t", "tsql", 1),
        ("SELECT 1 # ; DROP", "mysql", 1),
        ("SELECT 1 # ; DROP TABLE t", "postgres", 2),
        ("SELECT 1 // ; DROP", "snowflake", 1),
        ("SELECT '''a;b''', r'\\d', \"\"\"c;\"d\"\"\"", "bigquery", 1),
        ("SELECT q'[a;b']c]' FROM dual", "oracle", 1),
        ("SELECT q'(it's;)' FROM dual", "oracle", 1),
        ("SELECT 1;;; ; SELECT 2", "sqlite", 2),
        ("SELECT 1; -- end", "sqlite", 1),
        ("-- only\n/* comments */", "sqlite", 0),
        ("CREATE TRIGGER t AFTER INSERT ON u BEGIN DELETE FROM a; DELETE FROM b; END", "sqlite", 1),
        ("CREATE TRIGGER t AFTER INSERT ON u BEGIN SELECT CASE WHEN 1 THEN 2 END; END; DROP TABLE u", "sqlite", 2),
        ("INSERT INTO t SELECT 1", "tsql", 1),
        ("WITH c AS (SELECT 1 a) INSERT INTO t SELECT * FROM c", "tsql", 1),
        (
            "MERGE t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = 1 WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
            "tsql",
            1,
        ),
        ("UPDATE t SET a = 1 SET NOCOUNT ON", "tsql", 2),
    ],
)
def test_statements_are_counted_as_the_engine_counts(sql, dialect, count):
    assert len(cut(sql, dialect)) == count
    assert inspect(sql, dialect).statements == count


def test_comments_leave_the_text_that_the_parser_gets():
    assert cut("SELECT/**/1 -- x\n+ 2", "sqlite") == ["SELECT 1 + 2"]


def test_literals_that_parsers_read_differently_are_replaced():
    assert cut("SELECT 'it''s', 'plain'", "sqlite") == ["SELECT '/s1', 'plain'"]


def test_two_splitters_that_disagree_make_the_statement_unknown(monkeypatch):
    import sqlparse

    sql = "SELECT 'a;b' AS only_here"
    scan = prescan(sql, "sqlite")
    assert agreed(sql, scan, statements(scan, "sqlite"))
    monkeypatch.setattr(sqlparse, "split", lambda text: [text, "SELECT 2"])
    assert not agreed(sql, scan, statements(scan, "sqlite"))
    found = inspect(sql, "sqlite")
    assert found.effects == {"read", "unknown"}
    assert found.reason == "split-disagreement"


pieces = st.sampled_from(
    ["SELECT", "DELETE FROM", "users", "WHERE", "id", "=", "1", "'a'", '"b"', "`c`", "[d]", ";", "--", "/*", "*/", "/*!", "$$", "$t$",
     "E'", "'", '"', "\\", "(", ")", "[", "]", "{", "}", ",", "::", "@", "#", "\n", "\r", "\0", "\u00a0", "%s", "?", ":a", "q'[", "]'",
     "U&\"", "EXPLAIN", "WITH", "AS", "DROP TABLE", "INSERT INTO", "VALUES", "CASE", "END", "0x1", "1e", "N'", "\u200b", "é", "GO", "EXEC",
     "CREATE TRIGGER", "BEGIN", "/*!50000", "''", "{#", "REPLACE", "UPDATE", "SET", "INDEXED BY", "NOT INDEXED", "COPY", "PRAGMA", "."]
)  # fmt: skip


@settings(max_examples=400)
@given(
    text=st.one_of(
        st.text(max_size=60), st.lists(pieces, max_size=14).map(" ".join), st.lists(pieces, max_size=10).map("".join)
    ),
    dialect=st.sampled_from(DIALECTS),
)
def test_any_text_gets_an_answer(text, dialect):
    found = inspect(text, dialect)
    assert found.effects
    assert found.reason != "internal-error"
    assert found.action.startswith("db.")


@settings(max_examples=200)
@given(
    inner=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
    dialect=st.sampled_from(DIALECTS),
)
def test_no_content_of_a_literal_makes_a_second_statement(inner, dialect):
    quoted = inner.replace("\\", "").replace("'", "''")
    assert inspect(f"SELECT '{quoted}' AS a", dialect).statements == 1
