"""`guardai seal`, `prove`, `verify-proof`, `ledger export`, `verify --export`: what they do, say, and end with."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from guardai.ledger import Ledger, events, sealed_size
from guardai.model import VERSION, Event

GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]


def event(**fields):
    given = {"action": "db.read", "principal": {"agent": "a", "user": "u"}, **fields}
    return Event(id="", key="", kind="call.intent", log="", prev="", seq=0, ts=0, v=VERSION, **given)


@pytest.fixture
def recorded(home):
    """A home with seven events, still in a spool; the id of one."""
    ledger = Ledger.open(home, seal=False)
    names = [ledger.append(event(call=f"c-{n}")) for n in range(5)]
    ledger.close()
    return names[2]


def test_seal_brings_everything_into_the_store(guardai_command, home, recorded):
    done = guardai_command("seal")
    assert (done.returncode, done.stdout) == (0, "sealed 7 events; 7 are in the store\n")
    assert json.loads(guardai_command("seal", "--json").stdout) == {"ok": True, "new": 0, "events": 7}


def test_seal_as_a_sidecar_goes_on_until_it_is_stopped(guardai_command, home, recorded, tmp_path):
    environment = {**os.environ, "GUARDAI_HOME": str(home), "NO_COLOR": "1"}
    process = subprocess.Popen(
        [*GUARDAI, "seal", "--every", "1s"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE
    )
    try:
        until = time.monotonic() + 30
        while sealed_size(home) < 7 and time.monotonic() < until:
            time.sleep(0.05)
        assert sealed_size(home) == 7
        other = Ledger.open(home, seal=False)
        other.append(event())
        other.close()
        while sealed_size(home) < 10 and time.monotonic() < until:
            time.sleep(0.05)
        assert sealed_size(home) == 10
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.decode().startswith("sealed 7 events; 7 are in the store\nsealed 3 events; 10 are")


@pytest.mark.parametrize("every", ["x", "0", "-1s"])
def test_interval_that_is_none_is_wrong_usage(guardai_command, recorded, every):
    done = guardai_command("seal", f"--every={every}")
    assert (done.returncode, f"--every {every}" in done.stderr) == (2, True)


def test_seal_says_what_is_wrong_with_a_store_that_was_tampered_with(guardai_command, home, recorded):
    import sqlite3

    guardai_command("seal")
    db = sqlite3.connect(home / "ledger" / "store.db")
    db.execute("UPDATE tiles SET hashes = zeroblob(length(hashes))")
    db.commit()
    db.close()
    other = Ledger.open(home, seal=False)
    other.append(event())
    other.close()
    done = guardai_command("seal")
    assert (done.returncode, "the tree is not what its checkpoint says; nothing was added" in done.stderr) == (1, True)


@pytest.mark.parametrize("command", [["seal"], ["prove", "x-1"], ["ledger", "export", "-o", "x"]])
def test_home_that_is_none_is_told(guardai_command, command):
    done = guardai_command(*command)
    assert (done.returncode, "there is no ledger under" in done.stderr) == (2, True)


def test_event_is_proven_to_somebody_with_the_public_key_alone(guardai_command, home, recorded, tmp_path):
    done = guardai_command("prove", recorded)
    assert done.returncode == 0, done.stderr
    assert f"proven {recorded}: {recorded}.tlog-proof" in done.stdout
    key = shutil.copy(home / "keys" / "root.pub", tmp_path / "root.pub")
    checked = guardai_command("verify-proof", f"{recorded}.tlog-proof", "--key", key, GUARDAI_HOME="nowhere")
    assert checked.returncode == 0, checked.stderr
    [first, *_, last] = checked.stdout.splitlines()
    assert first == f"✓ recorded  {recorded}  call.intent"
    assert last.encode() == next(data for data in events(home) if json.loads(data)["id"] == recorded)
    told = json.loads(guardai_command("verify-proof", f"{recorded}.tlog-proof", "--key", key, "--json").stdout)
    assert (told["ok"], told["id"], told["leaf"], told["size"], told["event"]["call"]) == (True, recorded, 3, 7, "c-2")


def test_proof_by_a_trust_policy(guardai_command, recorded):
    assert guardai_command("prove", recorded, "-o", "p").returncode == 0
    assert guardai_command("ledger", "export", "-o", "x").returncode == 0
    assert guardai_command("verify-proof", "p", "--policy", "x/trust.policy").returncode == 0


def test_proof_that_proves_nothing_is_refused_and_says_why(guardai_command, home, recorded, tmp_path):
    guardai_command("prove", recorded, "-o", "p")
    (tmp_path / "p").write_bytes((tmp_path / "p").read_bytes().replace(b"index 3", b"index 4"))
    done = guardai_command("verify-proof", "p", "--key", home / "keys" / "root.pub")
    assert (done.returncode, done.stderr) == (
        1,
        "✗ p proves nothing: the event is not in the tree whose head was signed\n",
    )
    told = guardai_command("verify-proof", "p", "--key", home / "keys" / "root.pub", "--json")
    assert (told.returncode, json.loads(told.stdout)["ok"]) == (1, False)


def test_unknown_event_and_unreadable_files_are_told(guardai_command, home, recorded, tmp_path):
    done = guardai_command("prove", f"{recorded}0")
    assert (done.returncode, "there is no event" in done.stderr) == (1, True)
    assert guardai_command("prove", recorded, "-o", "no/where").returncode == 2
    key = home / "keys" / "root.pub"
    assert guardai_command("verify-proof", "nothing", "--key", key).returncode == 2
    guardai_command("prove", recorded, "-o", "p")
    (tmp_path / "policy").write_text("quorum w\n")
    for wrong in (
        ["--key", "nothing"],
        ["--policy", "nothing"],
        ["--policy", "policy"],
        [],
        ["--key", key, "--policy", "policy"],
    ):
        done = guardai_command("verify-proof", "p", *wrong)
        assert done.returncode == 2 and done.stderr.startswith("✗ "), done.stderr


def test_export_is_written_checked_and_not_written_over(guardai_command, home, recorded, tmp_path):
    done = guardai_command("ledger", "export", "-o", "x")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("exported 7 events of guardai/") and "verify.py --key root.pub" in done.stdout
    checked = guardai_command("verify", "--export", "x", "--key", home / "keys" / "root.pub", GUARDAI_HOME="nowhere")
    assert checked.returncode == 0, checked.stdout
    assert "✓ whole" in checked.stdout and "7 signed by the key of their own log" in checked.stdout
    again = guardai_command("ledger", "export", "-o", "x")
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    told = json.loads(guardai_command("ledger", "export", "-o", "y", "--json").stdout)
    assert (told["ok"], told["events"], told["folder"]) == (True, 7, "y")


def test_broken_export_is_told_as_a_broken_home_is(guardai_command, home, recorded, tmp_path):
    guardai_command("ledger", "export", "-o", "x")
    [bundle] = (tmp_path / "x" / "tile" / "entries").rglob("7")
    bundle.write_bytes(bundle.read_bytes().replace(b'"call":"c-2"', b'"call":"c-9"'))
    done = guardai_command("verify", "--export", "x", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["verdict"]) == (1, "broken")
    assert {fault["code"] for fault in told["faults"]} == {"tree", "inserted"}
    shutil.rmtree(tmp_path / "x" / "tile")
    done = guardai_command("verify", "--export", "x")
    assert (done.returncode, "? cannot tell" in done.stdout) == (2, True)
    assert guardai_command("verify", "--export", "nowhere").returncode == 2


def test_old_logs_are_pruned_after_they_were_exported_and_people_are_told(guardai_command, home, recorded, tmp_path):
    done = guardai_command("ledger", "prune", "--older-than", "0", "--export", "out", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pruned 7 events of 1 logs; the store took ")
    assert "They are in out alone, with all that was sealed: keep it." in done.stdout
    assert "7 more were pruned" in guardai_command("ledger", "stats").stdout
    checked = guardai_command("verify")
    assert (checked.returncode, "7 more were pruned, as sealed events say" in checked.stdout) == (0, True), (
        checked.stdout
    )
    assert json.loads(guardai_command("verify", "--json").stdout)["pruned"] == 7
    assert guardai_command("verify", "--export", "out").returncode == 0
    gone = guardai_command("prove", recorded)
    assert (gone.returncode, "its log was pruned, and an export has it" in gone.stderr) == (1, True)


def test_programs_are_told_of_a_pruning(guardai_command, home, recorded):
    done = guardai_command("ledger", "prune", "--older-than", "90d", "--export", "out", "--yes", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["folder"], told["logs"], told["events"]) == (0, None, 0, 0)
    told = json.loads(
        guardai_command("ledger", "prune", "--older-than", "0", "--export", "out", "--yes", "--json").stdout
    )
    assert (told["ok"], told["folder"], told["logs"], told["events"], told["exported"]) == (True, "out", 1, 7, 7)


def test_pruning_that_nobody_agrees_to_changes_nothing(guardai_command, home, recorded, tmp_path):
    done = guardai_command("ledger", "prune", "--older-than", "0", "--export", "out")
    assert (done.returncode, "nothing was pruned" in done.stderr) == (1, True)
    asked = guardai_command("ledger", "prune", "--older-than", "0", "--export", "out", "--json")
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("time", ["90", "x", "-1d", "400000000000d"])
def test_age_that_is_none_is_wrong_usage(guardai_command, recorded, time):
    done = guardai_command("ledger", "prune", f"--older-than={time}", "--export", "out", "--yes")
    assert (done.returncode, f"--older-than {time}" in done.stderr) == (2, True), done.stderr


def test_pruning_into_a_folder_that_holds_something_is_refused(guardai_command, home, recorded, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    done = guardai_command("ledger", "prune", "--older-than", "0", "--export", "out", "--yes")
    assert (done.returncode, "✗" in done.stderr) == (1, True)
    assert (tmp_path / "out" / "mine").read_text() == "x"


def test_pruning_waits_for_a_sink_and_says_so(guardai_command, home, recorded, tmp_path):
    url = f"jsonl://{tmp_path}/sink.jsonl"
    done = guardai_command("ledger", "prune", "--older-than", "0", "--export", "out", "--yes", GUARDAI_SINKS=url)
    assert (done.returncode, "because a sink has not had all of them: 1 (guardai sinks status)" in done.stdout) == (
        0,
        True,
    ), done.stdout
    assert guardai_command("sinks", "run", GUARDAI_SINKS=url).returncode == 0
    done = guardai_command("ledger", "prune", "--older-than", "0", "--export", "out", "--yes", GUARDAI_SINKS=url)
    assert (done.returncode, "pruned 7 events" in done.stdout) == (0, True), done.stdout
    later = f"jsonl://{tmp_path}/later.jsonl"
    assert guardai_command("sinks", "run", GUARDAI_SINKS=later).returncode == 0
    (told,) = [
        one
        for one in json.loads(guardai_command("sinks", "status", "--json", GUARDAI_SINKS=later).stdout)["sinks"]
        if one["configured"]
    ]
    assert (told["pruned"], told["waiting"], told["delivered"]) == (7, 0, told["sealed"] - 7)
    assert "pruned" in guardai_command("sinks", "status", GUARDAI_SINKS=later).stdout
