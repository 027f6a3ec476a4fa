"""`guardai replay SESSION` and `guardai vault erase`: what a person sees, what a program gets, and what stays recorded."""

import json
import shutil
import sqlite3

import pytest

import guardai
from guardai.hooks import Call, Target, opened

MAIL = "alice@example.com"
KEPT = '@id("kept") @capture("content") permit (principal, action, resource);'


def answer(user, session, question, said):
    with guardai.session(user=user, agent="bot", purpose="help", id=session):
        ticket = opened(Call("llm.generate", Target("model", "api.openai.com", "gpt-4o"), payload={"ask": question}))
        ticket.close({"say": said})


@pytest.fixture
def recorded(home, policy):
    """Two sessions of ann's and one of bob's."""
    guardai.init(home=home, policy=policy(KEPT), integrations=[])
    answer("ann", "one", f"who is {MAIL}?", "Alice")
    answer("ann", "two", "and now?", "later")
    answer("bob", "three", "hello?", "yes")
    guardai.shutdown()


@pytest.fixture
def replay(guardai_command, recorded):
    """The data that a program gets, and the exit code."""

    def run(session, *more):
        done = guardai_command("replay", session, "--json", *more)
        assert done.stdout, done.stderr
        return json.loads(done.stdout), done.returncode

    return run


def states(told):
    return [content["state"] for step in told["steps"] for content in step["contents"]]


def change(home, sql):
    with sqlite3.connect(home / "vault" / "contents.db") as db:
        assert db.execute(sql).rowcount > 0
    db.close()


def test_session_is_told_step_by_step_with_what_was_kept(guardai_command, recorded, events):
    done = guardai_command("replay", "one")
    assert done.returncode == 0, done.stderr
    lines = [line.split("  ", 1)[-1] for line in done.stdout.splitlines()]
    ids = {event["kind"]: event["id"] for event in events(session="one")}
    assert [line.rpartition("  ")[0] for line in lines if line.endswith(tuple(ids.values()))] == [
        "session.open  bot for ann  purpose help",
        "→ llm.generate  model://api.openai.com/gpt-4o  bot for ann  allow by kept",
        *[line.rpartition("  ")[0] for line in lines if line.startswith("← llm.generate  ok  ")],
        'session.close  bot for ann  labels ["pii.email"]',
    ]
    assert f'in: {{"ask": "who is {MAIL}?"}}' in done.stdout
    assert 'out: {"say": "Alice"}' in done.stdout
    assert "and now?" not in done.stdout
    assert done.stdout.splitlines()[-1] == "4 events, 2 contents kept; the ledger: whole"


def test_program_gets_the_same(replay):
    told, code = replay("one")
    assert code == 0
    assert (told["session"], told["ledger"], told["faults"]) == ("one", "whole", [])
    [intent, outcome] = [step for step in told["steps"] if step["action"]]
    assert intent["contents"] == [
        {"side": "in", "state": "kept", "bytes": 35, "value": {"ask": f"who is {MAIL}?"}},
    ]
    assert outcome["contents"][0]["value"] == {"say": "Alice"}
    assert (intent["user"], intent["agent"], intent["effect"], outcome["status"]) == ("ann", "bot", "allow", "ok")


def test_that_somebody_looked_is_recorded_before_anything_is_shown(guardai_command, recorded, events, home):
    assert guardai_command("replay", "one").returncode == 0
    [shown] = events(kind="vault.shown")
    assert shown["body"] == {"contents": 2, "session": "one"}
    assert shown["principal"]["user"]
    # Where that cannot be written, nothing is shown.
    spool = home / "ledger" / "spool"
    spool.rmdir()
    spool.write_text("")
    done = guardai_command("replay", "one")
    assert done.returncode == 2
    assert "Alice" not in done.stdout


def test_without_contents_nothing_is_read_and_nothing_recorded(guardai_command, recorded, events):
    done = guardai_command("replay", "one", "--no-contents")
    assert done.returncode == 0, done.stderr
    assert "in: (kept, 35 bytes)" in done.stdout
    assert "Alice" not in done.stdout
    assert events(kind="vault.shown") == []


def test_another_root_is_not_taken_for_the_homes_own(replay, home, tmp_path):
    from guardai.ledger import Ledger

    assert replay("one", "--key", str(home / "keys" / "root.pub"))[1] == 0
    Ledger.open(tmp_path / "other").close()
    told, code = replay("one", "--key", str(tmp_path / "other" / "keys" / "root.pub"))
    assert (told["ledger"], code) == ("broken", 1)


def test_session_that_there_is_not_is_said_so(guardai_command, recorded):
    done = guardai_command("replay", "four")
    assert done.returncode == 2
    assert "there is no session 'four'" in done.stderr


def test_what_was_kept_cannot_move_the_cursor_of_whoever_reads_it(guardai_command, home, policy):
    guardai.init(home=home, policy=policy(KEPT), integrations=[])
    answer("ann", "one", "x", "a\x1b[2Jb\u202ec\x07")
    answer("ann", "one", "\x1b]0;title", "\r" * 3 + "[bold]markup[/bold]")
    guardai.shutdown()
    done = guardai_command("replay", "one")
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout) & {"\x1b", "\u202e", "\x07", "\r"}
    assert "[bold]markup[/bold]" in done.stdout


class TestAltered:
    @pytest.mark.parametrize(
        ("harm", "state"),
        [
            ("UPDATE contents SET box = x'00' WHERE side = 'out'", "altered"),
            ("DELETE FROM contents WHERE side = 'out'", "missing"),
        ],
    )
    def test_content_that_was_tampered_with_is_named_by_its_event(
        self, replay, guardai_command, home, events, harm, state
    ):
        change(home, harm)
        told, code = replay("one")
        event = events(kind="call.outcome", session="one")[0]["id"]
        assert code == 1
        assert told["faults"] == [{"event": event, "fault": f"out: {state}"}]
        assert states(told) == ["kept", state]
        done = guardai_command("replay", "one")
        assert done.returncode == 1
        assert f"✗ {event}  out: {state}" in done.stdout

    def test_contents_that_changed_places_are_found(self, replay, home):
        change(home, "UPDATE contents SET side = side || '-' WHERE side IN ('in', 'out')")
        change(home, "UPDATE contents SET side = CASE side WHEN 'in-' THEN 'out' ELSE 'in' END")
        told, code = replay("one")
        assert (states(told), code) == (["altered", "altered"], 1)

    def test_vault_that_is_gone_is_no_erasure(self, replay, home):
        for path in (home / "vault").glob("contents.db*"):
            path.unlink()
        told, code = replay("one")
        assert (states(told), code) == (["missing", "missing"], 1)

    def test_event_that_was_altered_is_named(self, replay, home):
        with sqlite3.connect(home / "ledger" / "store.db") as db:
            [(n, data)] = [
                row
                for row in db.execute("SELECT rowid, bytes FROM events")
                if b"outcome" in row[1] and b'"one"' in row[1]
            ]
            db.execute("UPDATE events SET bytes = ? WHERE rowid = ?", (data.replace(b'"ok"', b'"no"'), n))
        db.close()
        told, code = replay("one")
        assert (told["ledger"], code) == ("broken", 1)
        assert "changed" in [fault["fault"] for fault in told["faults"]]


class TestErased:
    def test_contents_of_one_person_are_gone_and_the_ledger_is_whole(self, replay, guardai_command, events, home):
        done = guardai_command("vault", "erase", "--subject", "ann", "--yes")
        assert done.returncode == 0, done.stderr
        assert "erased 4 contents of 'ann'" in done.stdout
        assert guardai_command("verify").returncode == 0
        for session in ("one", "two"):
            told, code = replay(session)
            assert (states(told), code, told["ledger"]) == (["erased", "erased"], 0, "whole")
        told, code = replay("three")
        assert (states(told), code) == (["kept", "kept"], 0)
        assert "in: (erased, 35 bytes)" in guardai_command("replay", "one").stdout

    def test_record_of_it_names_nobody(self, guardai_command, recorded, events):
        done = json.loads(guardai_command("vault", "erase", "--subject", "ann", "--yes", "--json").stdout)
        [asked], [erased] = events(kind="vault.erase"), events(kind="vault.erased")
        assert erased["body"] == {"contents": 4, "subject": done["subject"]}
        assert asked["body"] == {"subject": done["subject"]}
        assert erased["id"] == done["event"]
        assert "ann" not in json.dumps([asked, erased])

    def test_what_is_kept_after_it_can_be_replayed(self, guardai_command, replay, home, policy):
        assert guardai_command("vault", "erase", "--subject", "ann", "--yes").returncode == 0
        guardai.init(home=home, policy=policy(KEPT), integrations=[])
        answer("ann", "one", "again", "yes")
        guardai.shutdown()
        told, code = replay("one")
        assert (states(told), code) == (["erased", "erased", "kept", "kept"], 0)

    def test_what_was_erased_and_put_back_from_a_copy_is_named_and_not_shown(self, guardai_command, replay, home):
        copy = home.parent / "copy"
        shutil.copytree(home / "vault", copy)
        assert guardai_command("vault", "erase", "--subject", "ann", "--yes").returncode == 0
        shutil.rmtree(home / "vault")
        shutil.copytree(copy, home / "vault")
        told, code = replay("one")
        assert (states(told), code) == (["put back", "put back"], 1)
        assert MAIL not in json.dumps(told)
        assert states(replay("three")[0]) == ["kept", "kept"]
        assert guardai_command("vault", "erase", "--subject", "ann", "--yes").returncode == 0
        told, code = replay("one")
        assert (states(told), code) == (["erased", "erased"], 0)

    def test_nobody_who_does_not_agree_loses_anything(self, guardai_command, replay, events):
        assert guardai_command("vault", "erase", "--subject", "ann").returncode == 1
        assert guardai_command("vault", "erase", "--subject", "ann", "--json").returncode == 2
        assert states(replay("one")[0]) == ["kept", "kept"]
        assert events(kind="vault.erase") == []

    def test_person_of_whom_nothing_is_kept_is_said_so(self, guardai_command, recorded):
        done = guardai_command("vault", "erase", "--subject", "anne", "--yes")
        assert done.returncode == 0
        assert "nothing was kept of 'anne'" in done.stdout

    def test_erasure_that_cannot_be_recorded_does_not_happen(self, guardai_command, replay, home):
        spool = home / "ledger" / "spool"
        spool.rmdir()
        spool.write_text("")
        assert guardai_command("vault", "erase", "--subject", "ann", "--yes").returncode == 2
        spool.unlink()
        assert states(replay("one")[0]) == ["kept", "kept"]


def test_content_that_has_expired_is_no_fault(replay, home, monkeypatch):
    change(home, "DELETE FROM contents")
    assert replay("one")[1] == 1
    from guardai.gate.reports.session import replayed

    real = __import__("time").time
    monkeypatch.setattr("guardai.gate.reports.session.time.time", lambda: real() + 31 * 86_400)
    found = replayed(home, "one")
    assert [content.state for step in found.steps for content in step.contents] == ["expired", "expired"]
    assert found.faults == []


def test_store_that_cannot_be_read_is_said_so(guardai_command, recorded, home):
    (home / "ledger" / "store.db").write_bytes(b"\xff" * 8192)
    done = guardai_command("replay", "one")
    assert done.returncode == 2
    assert "the store cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
