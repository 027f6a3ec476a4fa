"""What several processes find in a large store is what one would have found, and what becomes of one of them is no fault of the ledger's."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from guardai.ledger import Ledger, sealed, shares, verify

EVENTS = 600


class Within:
    """The shares of a store, looked through in this process: what the processes tell, without the processes."""

    def __init__(self, store, share):
        self.store, self.share, self.told = store, share, []

    def __iter__(self):
        try:
            for start in range(0, self.store.size(), self.share):
                for run in shares.runs(self.store, start, min(start + self.share, self.store.size())):
                    self.told.append(run)
                    yield run
        except Exception:  # a process would have ended
            return

    def close(self):
        pass


@pytest.fixture(scope="module")
def sealed_home(tmp_path_factory, event):
    """Four logs that took turns, each with heads."""
    home = tmp_path_factory.mktemp("shares") / "home"
    ledgers = [Ledger.open(home, seal=False) for _ in range(4)]
    for n in range(EVENTS):
        ledgers[n // 7 % 4].append(event(kind="call.intent" if n % 2 else "call.outcome", call=f"c-{n}"))
        if not n % 50:
            for one in ledgers:
                one.flush(10)
    for one in ledgers:
        one.close()
    Ledger.open(home).flush(10)
    return home


@pytest.fixture
def copy_of(sealed_home, tmp_path):
    def copied(name="copy"):
        shutil.copytree(sealed_home, tmp_path / name)
        return tmp_path / name

    return copied


def both(home, monkeypatch, share=37):
    """What one process finds, what shares do, and how many events were told of in runs."""
    alone = verify(home, adopt=False)
    made = []

    def begun(store):
        made.append(Within(store, share))
        return made[-1]

    monkeypatch.setattr(sealed, "begun", begun)
    shared = verify(home, adopt=False)
    monkeypatch.undo()
    return alone, shared, sum(run.events for one in made for run in one.told)


def change(home, *statements):
    db = sqlite3.connect(home / "ledger" / "store.db")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


@pytest.mark.parametrize("share", [1, 2, 37, 256, 10_000])
def test_untouched_store_is_whole_and_nearly_all_of_it_is_told_in_runs(copy_of, monkeypatch, share):
    alone, shared, told = both(copy_of(), monkeypatch, share)
    assert alone == shared
    assert alone.verdict == 0
    assert told > 0.8 * alone.events


SET = "UPDATE events SET {} WHERE leaf = {}"
TAMPERINGS = [
    (SET.format("bytes = CAST(replace(CAST(bytes AS TEXT), 'db.read', 'db.raed') AS BLOB)", 311),),
    (SET.format("bytes = CAST(replace(CAST(bytes AS TEXT), ',', ', ') AS BLOB)", 311),),
    (SET.format("bytes = ''", 200),),
    (SET.format("bytes = 17", 200),),
    (SET.format("ts = ts + 1", 311),),
    (SET.format("ts = 'later'", 311),),
    (SET.format("tag = x'00'", 311),),
    (SET.format("seq = 100000", 311),),
    (SET.format("log = 77", 311),),
    (SET.format("log = 'x'", 311),),
    ("DELETE FROM events WHERE leaf = 311",),
    ("DELETE FROM events WHERE leaf BETWEEN 100 AND 400",),
    ("DELETE FROM events WHERE leaf >= 500",),
    ("DELETE FROM events",),
    ("INSERT INTO events SELECT leaf + 100000, log, seq + 100000, ts, bytes, tag FROM events WHERE leaf = 300",),
    ("UPDATE events SET leaf = -1 WHERE leaf = 300", "UPDATE events SET leaf = 300 WHERE leaf = 301", "UPDATE events SET leaf = 301 WHERE leaf = -1"),
    ("DELETE FROM heads",),
    ("UPDATE heads SET seq = seq + 1 WHERE seq = (SELECT max(seq) FROM heads)",),
    ("UPDATE heads SET sig = substr(sig, 2) || '0'",),
    ("DELETE FROM logs WHERE n = 2",),
    ("UPDATE logs SET log = 'ffffffffffffffff' WHERE n = 2",),
    ("UPDATE logs SET events = events - 1",),
    ("UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0 AND idx = 1",),
    ("DELETE FROM tiles WHERE level = 0 AND idx = 1",),
    ("DELETE FROM checkpoints WHERE size = (SELECT max(size) FROM checkpoints)",),
    ("DELETE FROM checkpoints",),
]  # fmt: skip


@pytest.mark.parametrize("statements", TAMPERINGS, ids=lambda statements: statements[0][:60])
def test_whatever_is_altered_is_found_and_named_as_by_one_process(copy_of, monkeypatch, statements):
    home = copy_of()
    change(home, *statements)
    alone, shared, _ = both(home, monkeypatch)
    assert shared == alone
    assert alone.verdict == 1


@pytest.mark.parametrize("seed", range(40))
def test_whatever_bytes_are_flipped_is_found_and_named_as_by_one_process(copy_of, monkeypatch, seed):
    home, chance = copy_of(), random.Random(seed)
    path = home / "ledger" / "store.db"
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 5, 50))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    alone, shared, _ = both(home, monkeypatch)
    assert shared == alone


def test_runs_that_lie_are_not_believed(copy_of, monkeypatch):
    """Not that anybody could make a process lie; but what it says is compared with all that can be known without reading the events."""
    home = copy_of()
    true = verify(home, adopt=False)
    lies = (
        {"seq": 5}, {"prev": "0" * 64}, {"ts": 0}, {"log": 3}, {"log": 99}, {"leaf": 0}, {"leaf": 10**9}, {"leaf": -5}, {"events": 0},
        {"events": 10**6}, {"events": -3},
    )  # fmt: skip

    for lie in lies:

        class Lying(Within):
            def __iter__(self, lie=lie):
                for n, run in enumerate(super().__iter__()):
                    yield run if n != 6 else run._replace(**lie)

        monkeypatch.setattr(sealed, "begun", lambda store, kind=Lying: kind(store, 37))
        assert verify(home, adopt=False) == true, lie


# --- with real processes


@pytest.fixture
def small(monkeypatch):
    """Small stores are looked through in several processes, too; the processes that were begun."""
    began = []

    class Watched(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            began.append(self)

    monkeypatch.setattr(shares, "LEAST", 1)
    monkeypatch.setattr(shares.subprocess, "Popen", Watched)
    monkeypatch.setattr(shares.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    return began


def test_processes_find_what_one_does_and_are_gone_afterwards(copy_of, small, monkeypatch):
    home = copy_of()
    told = []
    real = sealed.SealedAudit._take
    monkeypatch.setattr(sealed.SealedAudit, "_take", lambda self, run: told.append(run) or real(self, run))
    shared = verify(home, adopt=False)
    assert len(small) == 3
    assert all(process.returncode is not None for process in small)
    assert sum(run.events for run in told) > 0.8 * shared.events
    monkeypatch.setattr(shares, "LEAST", 10**9)
    assert verify(home, adopt=False) == shared


def test_killed_processes_cost_time_and_no_fault(copy_of, small, monkeypatch):
    home = copy_of()
    real = sealed.SealedAudit.check_pages

    def killing(self):
        for process in small:
            process.send_signal(signal.SIGKILL)
            process.wait()
        real(self)

    monkeypatch.setattr(sealed.SealedAudit, "check_pages", killing)
    report = verify(home, adopt=False)
    assert len(small) == 3
    assert (report.verdict, report.faults) == (0, [])


@pytest.mark.parametrize("program", [None, "true", "cat"])
def test_python_that_is_none_is_no_fault(copy_of, small, tmp_path, monkeypatch, program):
    home, python = copy_of(), tmp_path / "python"
    if program is not None:
        python.symlink_to(shutil.which(program))
    monkeypatch.setattr(sys, "executable", str(python))
    report = verify(home, adopt=False)
    assert len(small) == (3 if program else 0)
    assert (report.verdict, report.faults) == (0, [])


@pytest.mark.parametrize(
    ("executable", "frozen"), [("", False), (None, False), ("/usr/bin/uwsgi", False), (sys.executable, True)]
)
def test_application_that_holds_an_interpreter_is_not_begun_anew(copy_of, small, monkeypatch, executable, frozen):
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    assert verify(copy_of(), adopt=False).verdict == 0
    assert small == []


def test_process_imports_nothing_from_where_somebody_happens_to_be(copy_of, small, tmp_path, monkeypatch):
    home = copy_of()
    (tmp_path / "msgspec.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", os.curdir)])
    assert verify(home, adopt=False).verdict == 0
    assert len(small) == 3
    assert not (tmp_path / "imported").exists()


def test_exception_in_a_verification_ends_the_processes(copy_of, small, monkeypatch):
    home = copy_of()

    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(sealed.SealedAudit, "check_events", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verify(home, adopt=False)
    assert len(small) == 3
    assert all(process.returncode is not None for process in small)


def test_small_store_is_looked_through_by_one_process(copy_of, monkeypatch):
    def no_process(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(shares.subprocess, "Popen", no_process)
    assert verify(copy_of(), adopt=False).verdict == 0
