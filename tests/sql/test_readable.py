"""A statement for people: laid out, nothing of its literals."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.sql import DIALECTS, readable

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "cases" / "sql_adversarial.jsonl").read_text(encoding="utf-8").splitlines()
]


@given(value=st.text(min_size=4), dialect=st.sampled_from(DIALECTS))
def test_no_string_literal_is_shown(value, dialect):
    marked = "zq9" + value.replace("'", "''") + "9qz"
    for sql in (f"SELECT '{marked}'", f"DELETE FROM t WHERE x = '{marked}'", f"SELECT 1 -- {marked}"):
        assert "zq9" not in readable(sql, dialect)


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("sqlite", 'SELECT * FROM t WHERE x = "ann smith@example.com"'),
        ("mysql", 'SELECT * FROM t WHERE x = "ann@example.com"'),
        ("postgres", "SELECT $tag$ann@example.com$tag$, $$ann@example.com$$, E'ann@\\'example.com'"),
        ("oracle", "SELECT q'[ann@example.com]' FROM dual"),
        ("postgres", "SELECT 4111111111111111, 1.5e10, 0x4111 /* ann@example.com */ -- ann@example.com"),
        ("sqlite", "SELECT 'ann@example.com"),
    ],
)
def test_values_in_whatever_quotes_are_not_shown(dialect, sql):
    shown = readable(sql, dialect)
    assert "example" not in shown
    assert "4111" not in shown


def test_names_keywords_and_parameters_are_kept_on_lines_of_their_own():
    assert readable('select name, "e" from people p where p.id = :id and x in (1,2)', "postgres").splitlines() == [
        "SELECT name,",
        '       "e"',
        "FROM people p",
        "WHERE p.id = :id",
        "  AND x IN (?, …)",
    ]


def test_statement_that_cannot_be_divided_is_not_shown_but_why():
    assert readable("SELECT 'secret", "postgres") == "(unterminated: cannot be shown)"


def test_of_a_long_statement_the_beginning_is_shown():
    shown = readable("SELECT " + ", ".join(f"column_{n}" for n in range(20_000)), "sqlite")
    assert len(shown) < 20_000
    assert shown.endswith("…")


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.get("id", ""))[:40])
def test_every_hostile_statement_is_laid_out_without_an_error(case):
    assert readable(case["sql"], case["dialect"])
