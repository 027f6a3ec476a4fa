"""Events as rows, in a real PostgreSQL."""

import json
import os
import signal
import socket
import threading
import time

import psycopg
import pytest

import guardai
from guardai import ConfigError, SinkError, SinkRefused
from guardai.gate import current
from guardai.ledger import accounts
from guardai.ledger import events as stored
from guardai.sinks import open_sink


def event(n, **fields):
    given = {
        "action": "db.read",
        "decision": {"effect": "allow"},
        "id": f"0123456789abcdef-{n:x}",
        "kind": "call.intent",
        "log": "0123456789abcdef",
        "principal": {"agent": "bot", "user": "ann"},
        "seq": n,
        "session": "s-1",
        "ts": 1_700_000_000_000_000 + n,
        "v": 1,
        **fields,
    }
    return json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def rows(postgres, sql="SELECT event FROM guardai_events ORDER BY log, seq"):
    with psycopg.connect(postgres) as connection:
        return connection.execute(sql).fetchall()


def test_events_are_rows_with_their_exact_bytes_and_what_one_searches_by(postgres):
    given = [event(1), event(2, call="c", status="ok", kind="call.outcome", body={"x": "é\u2028'\"\\ \x00 🙂"})]
    open_sink(postgres).deliver(given)
    assert [row[0].encode() for row in rows(postgres)] == given
    named = "SELECT id, log, seq, kind, action, session, call, person, agent, effect, status FROM guardai_events WHERE seq = 2"
    assert rows(postgres, named) == [
        (
            "0123456789abcdef-2",
            "0123456789abcdef",
            2,
            "call.outcome",
            "db.read",
            "s-1",
            "c",
            "ann",
            "bot",
            "allow",
            "ok",
        )
    ]
    (when,) = rows(postgres, "SELECT extract(epoch FROM ts) * 1000000 FROM guardai_events WHERE seq = 1")
    assert int(when[0]) == 1_700_000_000_000_001


def test_event_that_comes_again_is_there_once(postgres):
    sink = open_sink(postgres)
    sink.deliver([event(1), event(2)])
    sink.deliver([event(2), event(3), event(3)])
    assert [row[0].encode() for row in rows(postgres)] == [event(1), event(2), event(3)]


def test_table_is_named_by_the_url_and_another_sink_than_another_table(postgres, home):
    open_sink(f"{postgres}/audit").deliver([event(1)])
    open_sink(f"{postgres}/other?application_name=x").deliver([event(2)])
    assert len(rows(postgres, "SELECT 1 FROM audit")) == len(rows(postgres, "SELECT 1 FROM other")) == 1
    assert len(accounts(home, [f"{postgres}/audit", f"{postgres}/other"])) == 2


@pytest.mark.parametrize("url", ["postgresql://host", "postgresql://host/", "postgresql://host/db/A", "postgresql://host/db/a;b",
                                 "postgresql://host:x/db", "postgresql://u:hush@host/db/a/b"])  # fmt: skip
def test_url_that_names_no_table_is_refused(url):
    with pytest.raises(ConfigError, match="write postgresql://USER@HOST/DATABASE/TABLE") as told:
        open_sink(url)
    assert "hush" not in str(told.value)


def test_batch_is_taken_whole_or_not_at_all(postgres):
    sink = open_sink(postgres)
    sink.deliver([event(1)])
    with psycopg.connect(postgres) as connection:
        connection.execute("ALTER TABLE guardai_events ADD CHECK (seq <> 3)")
    with pytest.raises(SinkRefused, match="the server answers 23514"):
        sink.deliver([event(2), event(3)])
    assert len(rows(postgres)) == 1


def test_what_the_server_says_of_a_refused_row_is_not_told(postgres):
    sink = open_sink(postgres)
    sink.deliver([event(1)])
    with psycopg.connect(postgres) as connection:
        connection.execute("ALTER TABLE guardai_events ALTER COLUMN action TYPE varchar(3) USING ''")
    with pytest.raises(SinkRefused) as told:
        sink.deliver([event(2, action="secret-word")])
    assert str(told.value) == "the server answers 22001"


def test_role_that_may_only_add_needs_no_more(postgres, postgres_server):
    open_sink(postgres).deliver([event(1)])
    database, role = postgres.rpartition("/")[2], f"r_{os.urandom(5).hex()}"
    with psycopg.connect(postgres) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'hush-hush'")
        connection.execute(f"GRANT INSERT, SELECT (id) ON guardai_events TO {role}")
    try:
        open_sink(postgres_server.address(database, role, "hush-hush")).deliver([event(2)])
        assert len(rows(postgres)) == 2
        with pytest.raises(SinkError, match="permission denied"):
            open_sink(postgres_server.address(f"{database}/another", role, "hush-hush")).deliver([event(3)])
    finally:
        with psycopg.connect(postgres) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def test_server_that_is_not_there_or_lets_nobody_in_is_told_without_a_password(postgres, postgres_server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"postgresql://u:hush-hush@127.0.0.1:{free.getsockname()[1]}/db"
        with pytest.raises(SinkError) as told:
            open_sink(url).deliver([event(1)], seconds=5)
    assert "hush" not in str(told.value)
    with pytest.raises(SinkError, match="does not exist"):
        open_sink(postgres_server.address("no_such_database")).deliver([event(1)])


def test_server_that_hangs_is_not_waited_for_longer_than_there_is_time(postgres):
    sink = open_sink(postgres)
    sink.deliver([event(1)])
    with psycopg.connect(postgres) as holder:
        holder.execute("LOCK TABLE guardai_events")
        began = time.monotonic()
        with pytest.raises(SinkError, match="no answer in time"):
            sink.deliver([event(2)], seconds=1.0)
        assert time.monotonic() - began < 20
    sink.deliver([event(2)])
    assert len(rows(postgres)) == 2


def test_connections_are_closed_also_those_that_fail(postgres):
    sink = open_sink(postgres)
    for _ in range(3):
        sink.deliver([event(1)])
    with psycopg.connect(postgres) as connection:
        connection.execute("ALTER TABLE guardai_events ADD CHECK (seq <> 3)")
    for _ in range(3):
        with pytest.raises(SinkRefused):
            sink.deliver([event(3)])
    until = time.monotonic() + 20
    counted = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while rows(postgres, counted) != [(0,)] and time.monotonic() < until:
        time.sleep(0.1)
    assert rows(postgres, counted) == [(0,)]


def test_everything_that_was_sealed_arrives_though_the_driver_is_governed(home, postgres):
    guardai.init(home=home, sinks=[postgres], integrations=["dbapi"], app_calls="record")
    with guardai.session(agent="bot"):
        for n in range(20):
            guardai.record("test.note", n=n)
    guardai.shutdown()
    from guardai.ledger import Pump

    Pump(home, {postgres: open_sink(postgres)}).once(patient=False)
    assert sorted(row[0].encode() for row in rows(postgres)) == sorted(stored(home))
    (one,) = accounts(home, [postgres])
    assert (one.delivered, one.waiting, one.quarantined) == (one.sealed, 0, 0)
    assert not [data for data in stored(home) if b'"kind":"call.intent"' in data]
