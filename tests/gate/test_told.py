"""What people read of a statement that was refused or waits: plain words, and the statement without its values."""

import pickle
import sqlite3

import pytest

import guardai

STATEMENT = "delete from customers where email = 'ada@example.com' or 1=1"


@pytest.fixture
def shop(home):
    guardai.init(home=home, integrations=["dbapi"])
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE customers (id, email)")
    return connection


@pytest.fixture
def refused(shop):
    with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied) as caught:
        shop.execute(STATEMENT)
    return caught.value


def test_refusal_says_in_plain_words_what_the_statement_would_do(refused):
    assert refused.about.startswith("deletes from customers, not bounded")
    assert refused.about in str(refused)


def test_refusal_carries_the_statement_laid_out_without_its_values(refused):
    assert refused.statement.splitlines()[0] == "DELETE"
    assert "customers" in refused.statement
    for text in (refused.statement, str(refused), repr(refused)):
        assert "ada@" not in text


def test_refusal_of_a_worker_arrives_whole(refused):
    arrived = pickle.loads(pickle.dumps(refused))
    assert (arrived.about, arrived.statement, arrived.event) == (refused.about, refused.statement, refused.event)
    assert str(arrived) == str(refused)


def test_record_of_a_refusal_says_what_was_refused(refused, events):
    intent = events(id=refused.event)[0]
    assert intent["body"] == {"does": refused.about}


def test_whoever_is_asked_to_agree_reads_the_same(home, policy):
    asked = (
        '@id("ask") @approval("dba") forbid (principal, action == Action::"db.destroy", resource)'
        ' unless { context.approvals.contains("dba") };'
    )
    guardai.init(home=home, integrations=["dbapi"], policy=policy("permit (principal, action, resource);" + asked))
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE customers (id, email)")
    with guardai.session(agent="a"), pytest.raises(guardai.ApprovalPending, match="deletes from customers") as caught:
        connection.execute(STATEMENT)
    assert caught.value.statement
