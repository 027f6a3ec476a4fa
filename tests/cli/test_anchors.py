"""`guardai anchors` and what `guardai verify` says of anchors: what they do, say, and end with."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import guardai
from guardai.ledger import sealed_size

GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]

#: An anchor of somebody else's, found by its entry point: a file, in which it keeps the largest tree head that it was handed.
THEIRS = """
import os, time
from guardai import AnchorAhead, AnchorError
from guardai.model import Vouched

class Shelf:
    def __init__(self, url):
        self.file = os.environ["SHELF"] + "/shelf"

    def submit(self, head, *, seconds):
        if os.path.exists(self.file + ".closed"):
            raise AnchorError("closed for hush")
        held = self._held()
        if held and int(held.split("\\n")[1]) > head.size:
            raise AnchorAhead("I have a larger one")
        open(self.file, "w").write(head.note)
        return head.note

    def check(self, receipt):
        return Vouched(receipt, 1_700_000_000)

    def ask(self, head, *, seconds):
        held = self._held()
        return [Vouched(held, 1_700_000_000)] if held else []

    def _held(self):
        return open(self.file).read() if os.path.exists(self.file) else ""
"""


@pytest.fixture
def theirs(tmp_path):
    folder = tmp_path / "theirs"
    info = folder / "shelf-1.dist-info"
    info.mkdir(parents=True)
    (folder / "shelf.py").write_text(THEIRS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[guardai.anchors]\nshelf = shelf:Shelf\n")
    return folder


@pytest.fixture
def command(tmp_path, home, theirs):
    def run(*arguments, anchors="shelf://u:hush@host/place?key=hush", start=False):
        make = subprocess.Popen if start else subprocess.run
        return make(
            [*GUARDAI, *map(str, arguments)], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **({} if start else {"timeout": 120}),
            env={
                **os.environ, "GUARDAI_HOME": str(home), "GUARDAI_ANCHORS": anchors, "NO_COLOR": "1", "COLUMNS": "200",
                "SHELF": str(theirs), "PYTHONPATH": os.pathsep.join([str(theirs), os.environ.get("PYTHONPATH", "")]),
            },
        )  # fmt: skip

    return run


@pytest.fixture
def recorded(home):
    def record(count=3, where=home):
        guardai.init(home=where, integrations=[])
        for n in range(count):
            guardai.record("test.made", n=n)
        guardai.shutdown()
        return sealed_size(where)

    return record


def test_without_an_anchor_nothing_is_asked_and_status_says_what_that_means(command, recorded):
    recorded()
    done = command("anchors", "status", anchors="")
    assert (done.returncode, "could cut events from the end" in done.stdout) == (0, True)
    assert command("anchors", "run", anchors="").returncode == 2
    assert "no anchor is configured" in command("anchors", "run", anchors="").stderr
    assert command("verify", "--ask", anchors="").returncode == 2
    assert command("anchors", "run", anchors="nothing://x").returncode == 2
    assert command("anchors", "status", "--home", "nowhere").returncode == 2


def test_run_hands_over_what_is_sealed_and_status_and_verify_count_what_is_not(command, recorded):
    size = recorded()
    done = command("anchors", "run")
    assert (done.returncode, "hush" in done.stdout) == (0, False)
    told = json.loads(command("anchors", "status", "--json").stdout)
    assert (told["ok"], told["sealed"], told["anchors"][0]["events"]) == (True, size, size)
    larger = recorded()
    told = json.loads(command("anchors", "status", "--json").stdout)
    assert told["anchors"][0]["unanchored"] == larger - size
    for more in ((), ("--ask",)):
        done = command("verify", "--json", *more)
        assert done.returncode == 0
        found = json.loads(done.stdout)
        assert (found["unanchored"], found["anchors"][0]["events"]) == (larger - size, size)
    done = command("verify")
    assert f"the first {size} vouched for by shelf://host/place at 2023-11-14" in done.stdout
    assert f"{larger - size} not anchored" in done.stdout


def test_anchor_that_fails_is_told_and_ends_with_1(command, recorded, theirs):
    recorded()
    (theirs / "shelf.closed").touch()
    done = command("anchors", "run")
    assert (done.returncode, "closed for …" in done.stdout) == (1, True)
    assert command("anchors", "status").returncode == 1
    told = json.loads(command("anchors", "status", "--json").stdout)
    assert (told["ok"], told["anchors"][0]["error"]["what"]) == (False, "closed for …")
    (theirs / "shelf.closed").unlink()
    assert command("anchors", "run").returncode == 0
    assert command("anchors", "status").returncode == 0


def test_ledger_that_was_set_back_is_told_by_the_anchor(command, recorded, home, tmp_path):
    import shutil

    recorded()
    shutil.copytree(home, tmp_path / "yesterday")
    recorded()
    assert command("anchors", "run").returncode == 0
    shutil.rmtree(home)
    (tmp_path / "yesterday").rename(home)
    assert command("verify").returncode == 0
    done = command("verify", "--ask")
    assert (done.returncode, "rolled_back" in done.stdout) == (1, True)
    done = command("anchors", "run")
    assert (done.returncode, "was cut, set back or forked" in done.stdout) == (1, True)


def test_auditor_brings_a_tree_head_and_anchors_of_his_own(command, recorded, home, tmp_path):
    size = recorded()
    kept = tmp_path / "tree-head"
    kept.write_bytes((home / "ledger" / "checkpoint").read_bytes())
    more = recorded()
    done = command("verify", "--held", kept, "--json", anchors="")
    assert (done.returncode, json.loads(done.stdout)["unanchored"]) == (0, more - size)
    assert command("ledger", "export", "-o", tmp_path / "export", anchors="").returncode == 0
    for verifying in (
        [*GUARDAI, "verify", "--export", tmp_path / "export"],
        [sys.executable, tmp_path / "export" / "verify.py"],
    ):
        done = subprocess.run([*map(str, verifying), "--held", str(kept), "--key", str(home / "keys" / "root.pub")],
                              capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"the first {size}" in done.stdout
    receipts = tmp_path / "receipts.jsonl"
    receipts.write_text(f"{json.dumps({'receipt': kept.read_text()})}\n{json.dumps({'receipt': 7})}\n")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "export" / "verify.py"), "--held", str(receipts), "--key", str(home / "keys" / "root.pub")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2  # it says something that nobody can read
    assert command("verify", "--export", tmp_path / "export", "--ask").returncode == 2
    assert command("verify", "--held", tmp_path / "nothing").returncode == 2
    done = command("verify", "--anchor", "shelf://mine/x", "--ask", "--json", anchors="")
    assert json.loads(done.stdout)["anchors"][0]["who"] == "shelf://mine/x"


def test_sidecar_hands_over_until_it_is_told_to_stop(command, recorded, theirs):
    recorded()
    process = command("anchors", "run", "--every", "1s", start=True)
    try:
        until = time.monotonic() + 60
        while not (theirs / "shelf").exists():
            assert time.monotonic() < until
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    process.communicate()


def test_another_ledger_holds_a_tree_head_and_hands_it_out(command, recorded, home, tmp_path):
    size = recorded()
    assert command("keys", "export-public", "-o", tmp_path / "given").returncode == 0
    head, policy, other = home / "ledger" / "checkpoint", tmp_path / "given" / "trust.policy", tmp_path / "other"
    origin = head.read_text().partition("\n")[0]
    assert command("anchors", "held", origin, "-o", "x.jsonl", "--home", other).returncode == 1
    assert command("anchors", "held", origin, "-o", "x", "--home", other).returncode == 2
    done = command("anchors", "hold", head, "--policy", policy, "--home", other, "--json")
    told = json.loads(done.stdout)
    assert (told["origin"], told["size"], bool(told["event"])) == (origin, size, True)
    done = command("anchors", "hold", head, "--policy", policy, "--home", other)
    assert (done.returncode, "as before" in done.stdout) == (0, True)
    assert command("anchors", "held", origin, "-o", "kept.jsonl", "--home", other).returncode == 0
    assert json.loads((tmp_path / "kept.jsonl").read_text()) == {"size": size, "receipt": head.read_text()}
    assert command("verify", "--held", "kept.jsonl").returncode == 0
    assert command("verify", "--home", other, anchors="").returncode == 0
    (tmp_path / "no-head").write_text("what?")
    assert command("anchors", "hold", tmp_path / "no-head", "--policy", policy, "--home", other).returncode == 1
    for arguments in (
        (tmp_path / "nothing", "--policy", policy),
        (head, "--policy", tmp_path / "nothing"),
        (head, "--policy", head),
    ):
        assert command("anchors", "hold", *arguments, "--home", other).returncode == 2


def test_program_hands_over_its_tree_head_when_it_ends(command, home, theirs, tmp_path):
    code = "import guardai; guardai.init(integrations=[]); guardai.record('test.made', n=1); guardai.shutdown()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "GUARDAI_HOME": str(home), "GUARDAI_ANCHORS": "shelf://host/place", "SHELF": str(theirs),
             "PYTHONPATH": os.pathsep.join([str(theirs), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (theirs / "shelf").read_text().split("\n")[1] == str(sealed_size(home))


def test_run_that_finds_another_process_at_it_does_not_say_that_all_is_well(command, recorded, home):
    from guardai.ledger import anchored, liveness

    recorded()
    files = anchored._Files(home, "shelf://u:hush@host/place?key=hush")
    files.folder.mkdir(exist_ok=True)
    with liveness.held(files.lock) as mine:
        assert mine
        done = command("anchors", "run")
        assert (done.returncode, "another process is at it" in done.stdout) == (1, True)
        told = command("anchors", "run", "--json")
        assert (told.returncode, json.loads(told.stdout)["anchors"][0]["error"]["what"]) == (
            1,
            "another process is at it",
        )
    assert command("anchors", "run").returncode == 0


def test_sidecar_says_once_what_is_wrong(command, recorded, theirs):
    (theirs / "shelf.closed").write_text("")
    recorded()
    sidecar = command("anchors", "run", "--every", "1s", start=True)
    try:
        line = sidecar.stdout.readline()
        assert ("closed for" in line, "hush" in line, "tried again" in line) == (True, False, True)
        time.sleep(2.5)
    finally:
        sidecar.terminate()
        rest, _ = sidecar.communicate(timeout=60)
    assert (sidecar.returncode, rest) == (0, "")
