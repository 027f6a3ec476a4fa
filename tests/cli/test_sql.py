"""`guardai sql explain`: what a statement does, before anything runs it."""

import json

from typer.testing import CliRunner

from guardai.cli import app

run = CliRunner().invoke


def explained(sql, dialect="sqlite"):
    done = run(app, ["sql", "explain", sql, "--dialect", dialect, "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_destruction_is_told_in_plain_words():
    done = run(app, ["sql", "explain", "DELETE FROM customers"])
    assert done.exit_code == 0
    assert "db.destroy deletes from customers, not bounded" in done.stdout


def test_data_say_what_is_read_and_what_a_policy_is_asked():
    code, told = explained("SELECT name FROM people WHERE ssn = '078-05-1120'", "postgres")
    assert code == 0
    assert told["action"] == "db.read"
    assert told["reads"] == ["people"]
    assert told["columns_read"] == ["people.name", "people.ssn"]
    assert "078-05-1120" not in json.dumps(told)


def test_what_is_not_understood_exits_with_one_and_says_why():
    code, told = explained("SELECT frobnicate(1)", "postgres")
    assert code == 1
    assert told["reason"] == "unknown-function:frobnicate"


def test_dialect_that_is_not_known_is_wrong_usage_and_the_known_ones_are_named():
    done = run(app, ["sql", "explain", "SELECT 1", "--dialect", "cobol"])
    assert done.exit_code == 2
    assert "postgres" in done.stderr
