"""Reading back: every event once, oldest first; derived tables; the commands."""

import gc
import json
import sqlite3
import sys
import threading

import pytest
from stores import alter, store_of
from typer.testing import CliRunner

from guardai.ledger import Ledger, events, find, verify
from guardai.lineage import EdgeTable


@pytest.mark.usefixtures("either_store")
def test_events_come_oldest_first_across_logs_store_and_spools(home, open_ledger, event):
    one, two = open_ledger(seal=False), open_ledger(seal=False)
    order = []
    for n in range(20):
        order.append((one, two)[n % 3 == 0].append(event(call=f"c-{n}")))
        if n == 10:
            one.flush()
    read = [json.loads(data) for data in events(home)]
    assert [e["id"] for e in read if e["kind"] == "call.intent"] == order
    assert [e["ts"] for e in read] == sorted(e["ts"] for e in read)
    assert len({e["id"] for e in read}) == len(read) == 22


@pytest.mark.usefixtures("either_store")
def test_events_are_the_exact_bytes_that_were_written(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    for n in range(5):
        ledger.append(event(call=f"é-{n}"))
    (spool,) = (home / "ledger" / "spool").glob("*.jsonl")
    written = [line.rpartition(b"\t")[0] for line in spool.read_bytes().split(b"\n")[:-1]]
    assert list(events(home)) == written
    ledger.close()
    ledger.flush()
    assert list(events(home))[:-1] == written


@pytest.mark.usefixtures("either_store")
def test_event_is_found_by_its_id_wherever_it_is(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    name = ledger.append(event(call="wanted"))
    assert json.loads(find(home, name))["call"] == "wanted"
    ledger.flush()
    assert json.loads(find(home, name))["call"] == "wanted"
    ledger.close()
    ledger.flush()
    assert json.loads(find(home, name))["call"] == "wanted"


@pytest.mark.usefixtures("either_store")
@pytest.mark.parametrize("name", ["", "nonsense", "0123456789abcdef-0", "../../etc/passwd-1", "0123456789abcdef-01"])
def test_unknown_id_finds_nothing(sealed_home, name):
    assert find(sealed_home, name) is None


def test_home_without_ledger_has_no_events(tmp_path):
    assert list(events(tmp_path)) == []


def edges_of(home):
    with store_of(home) as db:
        return db.execute("SELECT * FROM edges ORDER BY 1, 2").fetchall()


def with_edges(ledger, event, count=5):
    names = []
    for _ in range(count):
        edges = [{"evidence": "possible", "from": name} for name in names]
        names.append(ledger.append(event(lineage=edges)))
    return names


@pytest.mark.usefixtures("either_store")
def test_derived_table_follows_from_the_events(home, open_ledger, event):
    ledger = open_ledger(projection=EdgeTable())
    names = with_edges(ledger, event)
    ledger.close(timeout=60)
    assert len(edges_of(home)) == 10
    assert (names[0], names[1], "possible") in edges_of(home)
    assert verify(home, projection=EdgeTable()).verdict == 0


@pytest.mark.usefixtures("either_store")
def test_derived_table_that_nobody_can_check_cannot_be_told(home, open_ledger, event):
    ledger = open_ledger(projection=EdgeTable())
    with_edges(ledger, event)
    ledger.close(timeout=60)
    report = verify(home)
    assert report.verdict == 2
    assert "edges" in report.notes[0]


@pytest.mark.usefixtures("either_store")
def test_sealer_without_the_projection_leaves_it_behind_and_the_next_catches_up(home, open_ledger, event):
    plain = open_ledger()
    with_edges(plain, event)
    plain.close()
    other = open_ledger(projection=EdgeTable())
    with_edges(other, event)
    other.close()
    assert len(edges_of(home)) == 20
    again = open_ledger()
    with_edges(again, event)
    again.close()
    assert len(edges_of(home)) == 20
    assert verify(home, adopt=False, projection=EdgeTable()).verdict == 0


@pytest.mark.usefixtures("either_store")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE edges SET evidence = 'observed' WHERE rowid IN (SELECT 1)",
        "INSERT INTO edges VALUES ('a', 'b', 'c')",
        "UPDATE derived SET upto = 1",
        "DELETE FROM derived",
        "DELETE FROM edges",
        "DROP TABLE edges",
    ],
)
def test_derived_table_that_was_tampered_with_is_found(home, open_ledger, event, statement):
    ledger = open_ledger(projection=EdgeTable())
    with_edges(ledger, event)
    ledger.close(timeout=60)
    alter(home, statement.replace("WHERE rowid IN (SELECT 1)", ""))
    report = verify(home, adopt=False, projection=EdgeTable())
    assert report.verdict == 1
    assert {fault.code for fault in report.faults} == {"derived"}


@pytest.mark.usefixtures("either_store")
def test_derived_row_that_was_altered_names_its_event(home, open_ledger, event):
    ledger = open_ledger(projection=EdgeTable())
    names = with_edges(ledger, event)
    ledger.close(timeout=60)
    alter(home, "DELETE FROM edges WHERE event = ? AND source = ?", names[3], names[1])
    report = verify(home, projection=EdgeTable())
    assert [(fault.code, fault.event) for fault in report.faults] == [("derived", names[3])]


@pytest.mark.usefixtures("either_store")
def test_projection_that_fails_keeps_nobody_from_sealing(home, open_ledger, event):
    class Broken:
        name = "broken"
        columns = ("a", "b")

        def rows(self, event):
            raise ZeroDivisionError

    ledger = open_ledger(projection=Broken())
    ledger.append(event())
    ledger.close()
    assert not list((home / "ledger" / "spool").iterdir())
    assert verify(home, projection=Broken()).verdict == 0


# --- commands


@pytest.fixture
def run():
    from guardai.cli import app

    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_verify_says_whole(sealed_home, run):
    done = run("verify", "--home", sealed_home)
    assert done.exit_code == 0
    assert "whole" in done.output
    assert "30 events" in done.output
    assert "not anchored" in done.output


def test_verify_as_data_has_the_agreed_names(sealed_home, run):
    done = run("verify", "--home", sealed_home, "--json")
    said = json.loads(done.stdout)
    assert {"events", "logs", "checkpoints", "signed", "recovered", "unsigned", "faults", "unanchored"} <= said.keys()
    assert (said["events"], said["signed"], said["faults"]) == (30, 30, [])


def test_verify_names_the_changed_event(sealed_home, run):
    path = sealed_home / "ledger" / "store.db"
    content = path.read_bytes()
    at = content.index(b'"call":"c-9"')
    path.write_bytes(content[:at] + b'"call":"c-8"' + content[at + 12 :])
    name = json.loads(list(events(sealed_home))[10])["id"]
    done = run("verify", "--home", sealed_home, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["faults"] == [
        {"code": "changed", "log": name.partition("-")[0], "seq": 10, "event": name}
    ]
    done = run("verify", "--home", sealed_home)
    assert name in done.output
    assert "broken" in done.output


def test_verify_tells_what_recovery_does_not_prove(home, run_python, run):
    run_python("no_heads()\nledger = Ledger.open(home)\nledger.append(event())\nos._exit(0)")
    done = run("verify", "--home", home)
    assert done.exit_code == 0
    assert "2 recovered" in done.output
    assert "owner of the host key" in done.output


def test_verify_of_nothing_cannot_tell(tmp_path, run):
    done = run("verify", "--home", tmp_path / "nowhere")
    assert done.exit_code == 2
    assert "no ledger" in done.output
    done = run("verify", "--home", tmp_path, "--key", tmp_path / "no.pub")
    assert done.exit_code == 2


def test_verify_trusts_the_given_key(sealed_home, tmp_path, run):
    Ledger.open(tmp_path / "other")
    assert run("verify", "--home", sealed_home, "--key", sealed_home / "keys" / "root.pub").exit_code == 0
    assert run("verify", "--home", sealed_home, "--key", tmp_path / "other" / "keys" / "root.pub").exit_code == 1


def test_log_as_data_is_every_event_one_a_line_and_nothing_else(sealed_home, run):
    done = run("log", "--home", sealed_home, "--json")
    assert done.exit_code == 0
    assert done.stdout_bytes == b"".join(data + b"\n" for data in events(sealed_home))


def test_log_as_data_can_be_filtered(sealed_home, run):
    def lines(*options):
        return [json.loads(line) for line in run("log", "--home", sealed_home, "--json", *options).stdout.splitlines()]

    assert len(lines("--kind", "call.intent")) == 28
    assert len(lines("--action", "db")) == len(lines("--action", "db.read")) == 28
    assert lines("--action", "d") == []
    assert len(lines("--session", "s-1")) == 28
    assert lines("--session", "s-2") == []
    assert [e["kind"] for e in lines("--last", "2")] == ["call.intent", "log.close"]


def test_log_for_people_is_a_table(sealed_home, run):
    done = run("log", "--home", sealed_home)
    assert done.exit_code == 0
    assert "report-bot for u-1042" in done.output
    assert "db.read" in done.output


def test_log_show_prints_one_event(sealed_home, run):
    name = json.loads(list(events(sealed_home))[5])["id"]
    done = run("log", "--home", sealed_home, "show", name, "--json")
    assert done.stdout_bytes.strip() == find(sealed_home, name)
    assert run("log", "show", name, "--home", sealed_home).exit_code == 0
    assert run("log", "show", "0123456789abcdef-0", "--home", sealed_home).exit_code == 1


def test_log_of_nothing_says_so(tmp_path, run):
    done = run("log", "--home", tmp_path / "nowhere")
    assert done.exit_code == 2
    assert "no ledger" in done.output


def test_log_shows_what_is_still_in_a_spool(home, open_ledger, event, run):
    open_ledger(seal=False).append(event())
    assert len(run("log", "--home", home, "--json").stdout.splitlines()) == 2


def test_who_stops_reading_early_leaves_no_error_behind(home, open_ledger, event, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    ledger = open_ledger()
    for _ in range(5):
        ledger.append(event())
    ledger.close()
    reading = events(home)
    assert next(reading)
    reading.close()
    del reading
    gc.collect()
    assert told == []


def test_a_store_that_is_made_while_somebody_opens_it_is_of_this_version(tmp_path):
    """Between the two questions that tell whether there is a store another process may make it."""
    from guardai.ledger import sqlitestore, store

    path = tmp_path / "store.db"
    path.touch()
    mine, other = (sqlite3.connect(path, isolation_level=None) for _ in range(2))

    class Slow:
        def execute(self, sql):
            answer = mine.execute(sql).fetchall()
            if not other.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                sqlitestore._create(other)
            return Answer(answer)

    class Answer(list):
        def fetchone(self):
            return self[0]

    assert sqlitestore._made(Slow()) == (True, store.VERSION)
    mine.close()
    other.close()


def test_reader_waits_for_whoever_has_the_store_for_itself_a_moment(sealed_home):
    """As the last one does who closes it, while the write-ahead log goes into the file."""
    alone = sqlite3.connect(sealed_home / "ledger" / "store.db", isolation_level=None, check_same_thread=False)
    alone.execute("PRAGMA locking_mode = EXCLUSIVE")
    alone.execute("BEGIN IMMEDIATE")
    alone.execute("COMMIT")
    leaving = threading.Timer(0.8, alone.close)
    leaving.start()
    assert len(list(events(sealed_home))) == 30
    leaving.join()
