"""What the record tells of a statement's data: sources with columns, labels and keys; what a write carried."""

import sqlite3

import pytest

import guardai

PERMIT = "permit (principal, action, resource);"
CATALOG = '[columns]\n"customers.email" = ["pii.email"]\n"customers.name" = ["pii.name"]\n'


@pytest.fixture
def shop(home, policy):
    guardai.init(home=home, integrations=["dbapi"], policy=policy(PERMIT, CATALOG))
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT);"
        "CREATE TABLE archive (id INTEGER, address TEXT);"
        "CREATE VIEW mails AS SELECT email FROM customers;"
        "INSERT INTO customers VALUES (1, 'Ada', 'ada@example.com');"
    )
    return connection


@pytest.fixture
def outcome(shop, events):
    def run(statement, *parameters):
        with guardai.session(agent="a"):
            shop.execute(statement, parameters).fetchall()
        return events(kind="call.outcome")[-1]

    return run


def source(event, table):
    return next(one for one in event["resource"] if one["uri"].endswith(f"#{table}"))


def test_outcome_names_columns_and_labels_of_what_was_read(outcome):
    read = source(outcome("SELECT name FROM customers WHERE email LIKE 'a%'"), "customers")
    assert read["columns"] == ["email", "name"]
    assert read["labels"] == ["pii.email", "pii.name"]
    assert read["dir"] == "read"


def test_star_is_every_column_of_the_table(outcome):
    assert source(outcome("SELECT * FROM customers"), "customers")["columns"] == ["email", "id", "name"]


def test_key_stands_there_where_the_statement_selects_the_whole_of_it(outcome):
    assert source(outcome("SELECT id, name FROM customers"), "customers")["key"] == ["id"]
    assert "key" not in source(outcome("SELECT name FROM customers"), "customers")


def test_table_below_a_view_is_a_source(outcome):
    event = outcome("SELECT * FROM mails")
    assert source(event, "customers")["labels"] == ["pii.email"]


def test_write_tells_what_it_carried(outcome):
    event = outcome("INSERT INTO archive (id, address) SELECT id, email FROM customers")
    assert event["body"]["carried"] == {"archive.address": ["customers.email"], "archive.id": ["customers.id"]}
    assert source(event, "archive")["dir"] == "write"


def test_update_from_constants_carries_nothing(outcome):
    assert "carried" not in outcome("UPDATE customers SET name = ? WHERE id = ?", "Bob", 1)["body"]


def test_policy_sees_the_labels_that_a_filter_touches(home, policy):
    forbid = '@id("no") forbid (principal, action == Action::"db.read", resource) when { context.sql.labels.contains("pii.email") };'
    guardai.init(home=home, integrations=["dbapi"], policy=policy(PERMIT + forbid, CATALOG))
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT)")
    with guardai.session(agent="a"):
        connection.execute("SELECT id FROM customers")
        for statement in (
            "SELECT id FROM customers WHERE email LIKE 'a%'",
            "SELECT id FROM customers ORDER BY email",
            "SELECT * FROM customers",
            "SELECT count(*) FROM customers GROUP BY substr(email, 1, 1)",
        ):
            with pytest.raises(guardai.PolicyDenied):
                connection.execute(statement)


def test_refusal_counts_the_labelled_columns(home, policy):
    forbid = '@id("no") forbid (principal, action == Action::"db.destroy", resource);'
    guardai.init(home=home, integrations=["dbapi"], policy=policy(PERMIT + forbid, CATALOG))
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT)")
    with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied) as caught:
        connection.execute("DELETE FROM customers")
    assert caught.value.about == "deletes from customers, not bounded, 2 columns labelled pii"
