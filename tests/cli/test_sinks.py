"""`guardai sinks status|run|retry`: what they do, say, and end with."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import guardai
from guardai.ledger import events, sink_name

GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]

#: A sink of somebody else's, found by its entry point: it refuses what is marked while a file is there.
THEIRS = """
import os
from guardai import SinkError, SinkRefused

class Picky:
    def __init__(self, url):
        self.folder = os.environ["PICKY"]

    def deliver(self, events, *, seconds):
        if os.path.exists(self.folder + "/down"):
            raise SinkError("no room for hush")
        if os.path.exists(self.folder + "/picky") and any(b'"n":1' in event for event in events):
            raise SinkRefused("not to my taste")
        with open(self.folder + "/taken", "ab") as file:
            file.write(b"".join(event + b"\\n" for event in events))
"""


@pytest.fixture
def theirs(tmp_path):
    """A folder for the path of Python, with a sink in it, and where it keeps what it takes."""
    folder = tmp_path / "theirs"
    info = folder / "picky-1.dist-info"
    info.mkdir(parents=True)
    (folder / "picky.py").write_text(THEIRS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: picky\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[guardai.sinks]\npicky = picky:Picky\n")
    return folder


@pytest.fixture
def command(tmp_path, home, theirs):
    def run(*arguments, sinks="picky://u:hush@host/place?key=hush", start=False):
        make = subprocess.Popen if start else subprocess.run
        return make(
            [*GUARDAI, "sinks", *arguments], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **({} if start else {"timeout": 120}),
            env={
                **os.environ, "GUARDAI_HOME": str(home), "GUARDAI_SINKS": sinks, "NO_COLOR": "1", "COLUMNS": "200",
                "PICKY": str(theirs), "PYTHONPATH": os.pathsep.join([str(theirs), os.environ.get("PYTHONPATH", "")]),
            },
        )  # fmt: skip

    return run


@pytest.fixture
def sealed(home):
    guardai.init(home=home, integrations=[])
    with guardai.session(agent="a"):
        for n in range(3):
            guardai.record("test.note", n=n)
    guardai.shutdown()
    return len(list(events(home)))


def told(done):
    [one] = json.loads(done.stdout)["sinks"]
    assert one["delivered"] + one["quarantined"] + one["waiting"] == one["sealed"]
    return one


def test_status_of_a_ledger_without_sinks_says_so(command, sealed):
    done = command("status", sinks="")
    assert (done.returncode, done.stdout) == (0, "no sink is configured, and none ever was\n")
    assert json.loads(command("status", "--json", sinks="").stdout) == {"ok": True, "sinks": []}


def test_life_of_a_sink(command, sealed, theirs):
    assert told(command("status", "--json"))["waiting"] == sealed
    (theirs / "down").touch()
    failed = command("run")
    assert failed.returncode == 1
    assert "picky://host/place: no room for …, 1 times in a row" in failed.stdout
    status = command("status", "--json")
    assert status.returncode == 1
    one = told(status)
    assert (one["url"], one["waiting"], one["failures"], one["last_success"]) == ("picky://host/place", sealed, 1, None)
    assert one["last_error"]["what"] == "no room for …"
    assert one["next_try"] >= one["last_error"]["at"]

    (theirs / "down").unlink()
    (theirs / "picky").touch()
    refused = command("run")
    assert refused.returncode == 1
    assert "picky://host/place refused 1 events" in refused.stdout
    assert told(command("status", "--json"))["quarantined"] == 1

    name = sink_name("picky://host/place")
    again = command("retry", name)
    assert (again.returncode, again.stdout) == (1, "taken 0 events; 1 stay in quarantine\n")
    (theirs / "picky").unlink()
    taken = command("retry", "picky://host/place", "--json")
    assert (taken.returncode, json.loads(taken.stdout)) == (0, {"ok": True, "taken": 1, "quarantined": 0})
    good = command("status", "--json")
    assert (good.returncode, told(good)["delivered"]) == (0, sealed)
    for done in (failed, status, refused, again, taken, good):
        assert "hush" not in done.stdout + done.stderr


def test_sink_that_is_configured_no_more_is_still_accounted_for(command, sealed):
    assert command("run").returncode == 0
    done = command("status", "--json", sinks="")
    assert done.returncode == 0
    one = told(done)
    assert (one["url"], one["configured"], one["delivered"]) == ("picky://host/place", False, sealed)
    assert "not configured" in command("status", sinks="").stdout


def test_sidecar_delivers_until_it_is_stopped(command, sealed, theirs):
    process = command("run", "--every", "1s", start=True)
    try:
        until = time.monotonic() + 60
        taken = theirs / "taken"
        while not (taken.exists() and taken.read_bytes().count(b"\n") == sealed) and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, ("", ""))
    assert told(command("status", "--json"))["delivered"] == sealed


@pytest.mark.parametrize(
    ("arguments", "sinks", "says"),
    [
        (["run"], "", "no sink is configured"),
        (["run"], "pigeon://u:hush@loft/topic", "no sink for 'pigeon'"),
        (["run", "--every", "x"], "picky://a", "--every x"),
        (["retry", "nobody"], "picky://a", "no sink that is configured has this name or URL"),
    ],
)
def test_wrong_usage_says_what_is_wrong(command, sealed, arguments, sinks, says):
    done = command(*arguments, sinks=sinks)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    assert "hush" not in done.stderr


def test_quarantine_that_was_tampered_with_is_not_guessed_at(command, sealed, home, theirs):
    (theirs / "picky").touch()
    command("run")
    [path] = (home / "ledger" / "sinks").glob("*.quarantine.jsonl")
    path.write_bytes(b"{}\n" + path.read_bytes())
    done = command("status")
    assert (done.returncode, "a sink's files cannot be read" in done.stderr) == (2, True)


def test_settings_do_not_tell_what_stands_in_a_sinks_url(home):
    from guardai.settings import load

    assert "hush" not in repr(load({"sinks": ["nats://u:hush@h/a"]}))
    with pytest.raises(guardai.ConfigError) as error:
        load({"sinks": "nats://u:hush@h/a"})
    assert "hush" not in str(error.value)
