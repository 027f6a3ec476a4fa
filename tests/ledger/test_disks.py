"""A store that somebody else holds, a disk that is full, a home that cannot be written any more: no call waits, nothing is lost."""

import contextlib
import errno
import json
import os
import subprocess
import threading

import pytest

from guardai.errors import LedgerError
from guardai.ledger import Ledger, StoreError, events, verify

posix = pytest.mark.skipif(os.name == "nt", reason="forks and mounts of POSIX")


def ids(home):
    return [json.loads(data)["id"] for data in events(home)]


@posix
def test_store_that_a_stranger_holds_for_30_seconds_delays_nobody_and_loses_nothing(home, run_python, start_python):
    """Appends, forks, flushes and closes go on; what could not be sealed waits in the spools."""
    run_python("ledger = Ledger.open(home)\nledger.append(event(call='before'))")
    stranger = start_python(
        """
        import sqlite3
        db = sqlite3.connect(home / "ledger" / "store.db", isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        db.execute("UPDATE logs SET ended = ended")
        print("held", flush=True)
        time.sleep(30)
        db.execute("ROLLBACK")
        print("free", flush=True)
        """
    )
    assert stranger.stdout.readline() == "held\n"
    done = run_python(
        """
        ledger = Ledger.open(home)
        took = {"append": 0.0, "fork": 0.0, "flush": 0.0, "close": 0.0}
        def measured(what, call):
            began = time.perf_counter()
            result = call()
            took[what] = max(took[what], time.perf_counter() - began)
            return result
        count, forks, end = 0, 0, time.monotonic() + 26
        while time.monotonic() < end:
            for _ in range(20):
                measured("append", lambda: ledger.append(event(call=f"main-{count}")))
                count += 1
            if count % 1000 == 0:
                child = measured("fork", os.fork)
                if not child:
                    ledger.append(event(call=f"child-{forks}"))
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
                forks += 1
            if count % 4000 == 0:
                assert not measured("flush", lambda: ledger.flush(0.5))
            time.sleep(0.01)
        measured("close", ledger.close)
        print(json.dumps({"count": count, "forks": forks, "took": took}))
        """,
        timeout=90,
    )
    assert stranger.poll() is None, "the store was held all the while"
    said = json.loads(done.stdout)
    print(said)
    assert said["forks"] > 1
    # An append takes microseconds and a fork waits for a sealer's 0.25 s; these are for busy machines.
    assert max(said["took"].values()) < 8
    assert stranger.wait(60) == 0
    report = verify(home)
    assert (report.verdict, report.faults, report.unsigned) == (0, [], 0)
    calls = [json.loads(data).get("call") for data in events(home) if b'"kind":"call.intent"' in data]
    expected = ["before", *(f"main-{n}" for n in range(said["count"])), *(f"child-{n}" for n in range(said["forks"]))]
    assert sorted(calls) == sorted(expected)
    assert not list((home / "ledger" / "spool").glob("*.jsonl"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB of its own; needs the right to mount one."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    if os.name == "nt" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a small file system here")
    yield mount
    subprocess.run(["umount", "--lazy", str(mount)], check=True)


def test_full_disk_under_a_ledger_that_seals_loses_nothing_and_is_sealed_when_there_is_room(small_disk, event):
    """The store needs room beside the spool: here sealing fails first, and appending later."""
    home = small_disk / "home"
    ledger = Ledger.open(home)
    names = []
    with pytest.raises(LedgerError, match="nothing was done; free some space"):
        for n in range(10_000):
            names.append(ledger.append(event(call=f"c-{n}")))
            if n % 50 == 0:
                with contextlib.suppress(OSError, StoreError):
                    ledger.flush(1)
    assert len(names) > 100
    outcome = ledger.append(event("call.outcome", call="c-0"), outcome=True)
    assert outcome, "the space set aside was there for it"
    ledger.close()
    assert set(names) | {outcome} <= set(ids(home))
    report = verify(home, adopt=False)
    assert report.faults == []
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    names.append(Ledger.open(home).append(event(call="after")))
    report = verify(home)
    assert (report.verdict, report.faults) == (0, [])
    assert set(names) | {outcome} <= set(ids(home))
    assert len(set(ids(home))) == len(ids(home)) == report.events


@posix
def test_home_that_cannot_be_written_any_more_refuses_a_new_log_and_loses_nothing(home, run_python):
    done = run_python(
        """
        from guardai.ledger import ledger as room
        if os.getuid() == 0:
            import subprocess, tempfile
            home = Path(tempfile.mkdtemp()) / "home"
            os.chown(home.parent, 65534, 65534)
            os.setgid(65534); os.setuid(65534)
        ledger = Ledger.open(home, seal=False)
        done = [ledger.append(event())]
        spools = home / "ledger" / "spool"
        spools.chmod(0o500)
        done.append(ledger.append(event()))  # its file is open already
        room._ROLL_SIZE = 1
        refused = 0
        try: ledger._housekeep()
        except OSError: pass  # as in the thread that does it
        for _ in range(3):
            try: ledger.append(event())
            except LedgerError as error:
                refused += 1
                assert "nothing was done" in str(error), error
        spools.chmod(0o700)
        done.append(ledger.append(event()))
        ledger.close()
        from guardai.ledger import events, verify
        report = verify(home)
        found = [json.loads(data)["id"] for data in events(home)]
        print(json.dumps([refused, report.verdict, set(done) <= set(found), report.unsigned]))
        """
    )
    assert json.loads(done.stdout) == [3, 0, True, 0]


def test_short_write_of_a_head_is_cut_back_and_signed_later(home, open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    ledger = open_ledger(mode="signed", seal=False)
    name = ledger.append(event())
    (heads,) = (home / "ledger" / "spool").glob("*.sig")
    size, real = heads.stat().st_size, os.write
    with monkeypatch.context() as patch:
        patch.setattr(spool.os, "write", lambda fd, data: real(fd, data[:30] if data.startswith(b'{"by"') else data))
        with pytest.raises(LedgerError):
            ledger.append(event())
    assert heads.stat().st_size == size
    ledger.append(event())
    assert verify(home, adopt=False).unsigned == 0
    ledger.close()
    report = verify(home)
    assert (report.verdict, report.signed) == (0, 5)
    assert name in ids(home)


def test_write_that_fails_behind_a_part_is_cut_back(home, open_ledger, event, monkeypatch):
    """A full disk may take a part of a line and then say so."""
    from guardai.ledger import spool

    ledger = open_ledger(seal=False)
    ledger.append(event())
    (path,) = (home / "ledger" / "spool").glob("*.jsonl")
    size, real = path.stat().st_size, os.write

    def full(fd, data):
        real(fd, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(spool.os, "write", full)
        with pytest.raises(LedgerError, match="nothing was done"):
            ledger.append(event())
    assert path.stat().st_size == size
    ledger.append(event())
    ledger.close()
    assert verify(home).verdict == 0


class Full:
    """A disk that takes nothing for so many tries."""

    def __init__(self, monkeypatch, tries, code=errno.ENOSPC):
        from guardai.ledger import spool

        self.left, self.code, self.real = tries, code, os.write
        monkeypatch.setattr(spool.os, "write", self)

    def __call__(self, fd, data):
        if self.left > 0:
            self.left -= 1
            raise OSError(self.code, os.strerror(self.code))
        return self.real(fd, data)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG])
def test_ledger_that_blocks_waits_until_there_is_room_and_loses_nothing(home, open_ledger, event, monkeypatch, code):
    ledger = open_ledger(seal=False, on_full="block")
    first = ledger.append(event())
    disk = Full(monkeypatch, 3, code)
    behind = []
    thread = threading.Thread(target=lambda: behind.append(ledger.append(event())))
    thread.start()
    names = [ledger.append(event(call="waits"))]
    thread.join(60)
    assert len(behind) == 1
    disk.left = 2
    names.append(ledger.append(event("call.outcome"), outcome=True))
    ledger.close()
    assert {first, *names, *behind} <= set(ids(home))
    assert "" not in names
    assert verify(home).verdict == 0


def test_ledger_that_blocks_can_be_interrupted(home, run_python):
    done = run_python(
        """
        import errno, signal
        from guardai.ledger import spool
        ledger = Ledger.open(home, on_full="block")
        ledger.append(event())
        real = os.write
        def full(fd, data): raise OSError(errno.ENOSPC, "No space left on device")
        spool.os.write = full
        signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        try:
            ledger.append(event())
        except KeyboardInterrupt:
            spool.os.write = real
            print(ledger.append(event()))
        ledger.close()
        """
    )
    assert done.stdout.strip() in ids(home)
    assert verify(home).verdict == 0


def test_ledger_that_sheds_lets_it_happen_and_counts_it_in_a_signed_gap(home, open_ledger, event, monkeypatch):
    ledger = open_ledger(seal=False, on_full="shed")
    ledger.append(event())
    disk = Full(monkeypatch, 10**6)
    assert [ledger.append(event()), ledger.append(event("call.outcome"), outcome=True)] == ["", ""]
    with pytest.raises(LedgerError, match="free some space"):
        ledger.append(event(), mode="strict")  # policy asks for more than a count
    disk.left = 0
    name = ledger.append(event(call="after"))
    ledger.close()
    found = [json.loads(data) for data in events(home)]
    [gap] = [one["body"] for one in found if one["kind"] == "gap"]
    assert (gap["count"], gap["kinds"]) == (2, {"call.intent": 1, "call.outcome": 1})
    assert name in {one["id"] for one in found}
    report = verify(home)
    assert (report.verdict, report.unsigned) == (0, 0)


def test_small_disk_that_sheds_goes_on_and_tells_how_much_is_missing(small_disk, event):
    home = small_disk / "home"
    ledger = Ledger.open(home, on_full="shed", seal=False)
    names = [
        ledger.append(event(call=f"c-{n}", content={"in": {"bytes": n, "commit": "ab" * 16}})) for n in range(4_000)
    ]
    lost = names.count("")
    assert lost > 100
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    names.append(ledger.append(event(call="after")))
    ledger.close()
    assert {name for name in names if name} <= set(ids(home))
    assert sum(json.loads(data)["body"]["count"] for data in events(home) if b'"kind":"gap"' in data) == lost
    assert verify(home).verdict == 0
