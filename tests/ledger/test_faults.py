"""What goes wrong around a writer: death, interrupts, forks, full disks, unwritable homes. Nothing is lost, nothing hangs."""

import errno
import json
import os
import signal
import sys
import threading
import time

import pytest
from stores import alter, is_postgres

from guardai.errors import LedgerError
from guardai.ledger import Ledger, events, find, verify

posix = pytest.mark.skipif(os.name == "nt", reason="signals, forks and resource limits of POSIX")


def ids(home):
    return [json.loads(data)["id"] for data in events(home)]


def kinds(home):
    return [json.loads(data)["kind"] for data in events(home)]


# --- death


@pytest.mark.usefixtures("either_store")
@posix
def test_kill_at_random_points_of_sealing_loses_nothing_and_is_no_fault(home, run_python):
    run_python(
        """
        import random
        chance = random.Random(8)

        def work():
            ledger = Ledger.open(home, seal=False)
            while True:
                for n in range(30): ledger.append(event())
                ledger.flush()

        for n in range(20):
            pid = os.fork()
            if not pid:
                try: work()
                finally: os._exit(1)
            time.sleep(0.02 + chance.random() * 0.1)
            os.kill(pid, signal.SIGKILL)
            assert os.waitpid(pid, 0)[1] == signal.SIGKILL
            from guardai.ledger import verify
            report = verify(home, adopt=bool(n % 2))
            assert not report.faults, report.faults
        """
    )
    report = verify(home)
    assert (report.verdict, report.faults) == (0, [])
    assert report.events == len(list(events(home))) > 300


@pytest.mark.usefixtures("either_store")
@pytest.mark.parametrize(
    "end",
    [
        "sys.exit(0)",
        "os._exit(0)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "pass",
    ],
)
@posix
def test_however_a_process_ends_its_events_are_there(home, run_python, end):
    run_python(f"ledger = Ledger.open(home)\nfor n in range(100): ledger.append(event())\n{end}", check=False)
    assert kinds(home).count("call.intent") == 100
    report = verify(home)
    assert report.verdict == 0
    assert ("log.close" in kinds(home)) == (end in ("sys.exit(0)", "pass"))
    assert (report.recovered > 0) == (end not in ("sys.exit(0)", "pass"))


@pytest.mark.usefixtures("either_store")
def test_exit_closes_and_seals(home, run_python):
    run_python("ledger = Ledger.open(home)\nledger.append(event())")
    assert list((home / "ledger" / "spool").iterdir()) == []
    assert kinds(home) == ["log.open", "call.intent", "log.close"]


@pytest.mark.usefixtures("either_store")
def test_recovered_tail_says_from_where_to_where(home, run_python):
    run_python("no_heads()\nledger = Ledger.open(home)\nfor n in range(10): ledger.append(event())\nos._exit(0)")
    report = verify(home)
    assert (report.verdict, report.signed, report.recovered, report.unsigned) == (0, 1, 11, 0)
    assert 0 < report.recovered_since <= report.recovered_until
    record = json.loads(list(events(home))[-1])
    assert record["kind"] == "recovered"
    assert (record["body"]["from"], record["body"]["to"], record["body"]["count"]) == (0, 10, 11)


def test_tail_that_is_not_adopted_cannot_be_told(home, run_python):
    run_python("no_heads()\nledger = Ledger.open(home)\nfor n in range(10): ledger.append(event())\nos._exit(0)")
    report = verify(home, adopt=False)
    assert (report.verdict, report.unsigned, report.faults) == (2, 11, [])


@pytest.mark.usefixtures("either_store")
def test_next_process_adopts_what_a_dead_one_left(home, run_python):
    run_python("no_heads()\nledger = Ledger.open(home)\nfor n in range(10): ledger.append(event())\nos._exit(0)")
    run_python("ledger = Ledger.open(home)\nledger.append(event())")
    assert list((home / "ledger" / "spool").iterdir()) == []
    assert verify(home).recovered == 11


def test_half_written_line_is_no_event(home, run_python):
    run_python("no_heads()\nledger = Ledger.open(home)\nfor n in range(10): ledger.append(event())\nos._exit(0)")
    (spool,) = (home / "ledger" / "spool").glob("*.jsonl")
    lines = spool.read_bytes().split(b"\n")
    for cut in (1, len(lines[9]) // 2, len(lines[9]) - 33, len(lines[9]) - 1, len(lines[9])):
        spool.write_bytes(b"\n".join(lines[:9]) + b"\n" + lines[9][:cut])
        assert len(list(events(home))) == 9
        report = verify(home, adopt=False)
        assert (report.faults, report.events) == ([], 9)
    assert verify(home).verdict == 0
    assert json.loads(list(events(home))[-1])["body"]["torn"] == len(lines[9])


def test_adopter_that_died_half_way_is_followed_by_another(home, run_python):
    run_python("no_heads()\nledger = Ledger.open(home)\nfor n in range(10): ledger.append(event())\nos._exit(0)")
    run_python(
        """
        from guardai.ledger import adopt, sealer
        from guardai.ledger.keys import open_keys
        adopt._append_head = lambda *_: os._exit(0)
        sealer.seal(home, open_keys(home))
        """
    )
    report = verify(home)
    assert (report.verdict, report.events, report.recovered, report.signed) == (0, 13, 12, 1)


@pytest.mark.made_up_events
def test_spool_of_another_version_cannot_be_told_and_is_left_alone(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    ledger.append(event())
    ledger.close()
    (spool,) = (home / "ledger" / "spool").glob("*.jsonl")
    content = spool.read_bytes().replace(b'"v":1}', b'"v":7}')
    spool.write_bytes(content)
    report = verify(home)
    assert report.verdict == 2
    assert [fault.code for fault in report.faults] == ["version"]
    assert "another version" in report.notes[0]
    assert spool.read_bytes() == content


@pytest.mark.made_up_events
@pytest.mark.usefixtures("either_store")
def test_store_of_another_version_cannot_be_told(sealed_home):
    alter(sealed_home, "UPDATE store SET version = 7" if is_postgres(sealed_home) else "PRAGMA user_version = 7")
    report = verify(sealed_home)
    assert (report.verdict, [fault.code for fault in report.faults]) == (2, ["version"])


def test_missing_home_cannot_be_told(tmp_path):
    report = verify(tmp_path / "nowhere")
    assert (report.verdict, report.events) == (2, 0)
    assert "no ledger" in report.notes[0]
    assert not (tmp_path / "nowhere").exists()


# --- interrupts


@posix
def test_interrupts_in_the_middle_of_appends_break_nothing(home, run_python):
    """SIGINT at random points of a loop that appends, thousands of them landing inside the append."""
    done = run_python(
        """
        import random
        ledger = Ledger.open(home, seal=False)
        ledger.append(event())
        chance = random.Random(7)
        stop = threading.Event()
        caught, returned = 0, []
        go = threading.Event()
        def disturb():
            go.wait()
            while not stop.is_set():
                time.sleep(chance.random() * 0.0015)
                os.kill(os.getpid(), signal.SIGINT)
        thread = threading.Thread(target=disturb)
        thread.start()
        n = 0
        armed = False
        def interrupted(*_):
            # Once for each time that it is armed: a second one would land in the handler of the first.
            global armed
            if armed:
                armed = False
                raise KeyboardInterrupt
        signal.signal(signal.SIGINT, interrupted)
        end = time.monotonic() + 0.6
        def going(): return time.monotonic() < (end if caught >= 20 else end + 15)
        while going():
            try:
                armed = True
                go.set()
                while going():
                    returned.append(ledger.append(event(call=f"c-{n}")))
                    n += 1
                armed = False
            except KeyboardInterrupt:
                caught += 1
        stop.set()
        thread.join()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        ledger.append(event())
        ledger.close()
        print(json.dumps({"caught": caught, "returned": returned}))
        """
    )
    said = json.loads(done.stdout)
    assert said["caught"] >= 20
    assert set(said["returned"]) <= set(ids(home))
    report = verify(home)
    assert (report.verdict, report.faults, report.unsigned) == (0, [], 0)


def test_asynchronous_exceptions_break_nothing(home, run_python):
    """What a supervising thread throws into a worker (PyThreadState_SetAsyncExc) may land between any two bytecodes."""
    done = run_python(
        """
        import ctypes, random
        throw = ctypes.pythonapi.PyThreadState_SetAsyncExc
        class Stop(BaseException): pass
        ledger = Ledger.open(home, seal=False)
        returned, caught, over = [], 0, False
        def work():
            global caught
            while not over:
                try:
                    while not over:
                        returned.append(ledger.append(event()))
                except Stop:
                    caught += 1
        def started():
            worker = threading.Thread(target=work)
            worker.start()
            return worker
        threading.excepthook = lambda args: None  # said below: a worker may end between two handlers
        sys.setswitchinterval(1e-5)
        worker = started()
        chance = random.Random(3)
        end = time.monotonic() + 0.6
        while time.monotonic() < (end if caught >= 20 else end + 40):  # a busy machine takes long
            time.sleep(chance.random() * 0.001)
            throw(ctypes.c_ulong(worker.ident), ctypes.py_object(Stop))
            if not worker.is_alive():  # one that landed in the handler of another ends the thread
                worker = started()
        over = True
        while worker.is_alive():
            worker.join(0.1)
        ledger.append(event())
        ledger.close()
        print(json.dumps({"caught": caught, "returned": returned}))
        """
    )
    said = json.loads(done.stdout)
    assert said["caught"] >= 20
    assert set(said["returned"]) <= set(ids(home))
    report = verify(home)
    assert (report.verdict, report.faults, report.unsigned) == (0, [], 0)


@posix
def test_interrupt_between_write_and_bookkeeping_is_reconciled(home, open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    ledger = open_ledger(seal=False)
    ledger.append(event(call="before"))
    real = os.write

    def interrupted(fd, data):
        real(fd, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(spool.os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ledger.append(event(call="interrupted"))
    monkeypatch.setattr(spool.os, "write", real)
    ledger.append(event(call="after"))
    ledger.close()
    calls = [json.loads(data).get("call") for data in events(home)]
    assert calls == [None, "before", "interrupted", "after", None]
    assert verify(home).verdict == 0


def test_interrupt_before_the_write_leaves_no_trace(home, open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    ledger = open_ledger(seal=False)
    ledger.append(event(call="before"))

    def interrupted(fd, data):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(spool.os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.append(event(call="interrupted"))
    ledger.append(event(call="after"))
    ledger.close()
    assert [json.loads(data).get("call") for data in events(home)] == [None, "before", "after", None]
    assert verify(home).verdict == 0


@posix
def test_append_from_a_signal_handler_inside_an_append_is_on_the_disk_when_it_returns(home, run_python):
    """The handler's effect follows its intent at once, so its record cannot wait for the append it interrupted."""
    done = run_python(
        """
        ledger = Ledger.open(home, seal=False)
        ledger.append(event())
        seen, missing = [], []
        def handler(*_):
            name = ledger.append(event(call="handler"))
            with (home / "ledger" / "spool" / (name.partition("-")[0] + ".jsonl")).open("rb") as file:
                file.seek(-min(2000, file.seek(0, 2)), 2)
                if b'"id":"%s"' % name.encode() not in file.read():
                    missing.append(name)
            seen.append(name)
            signal.setitimer(signal.ITIMER_REAL, 0.0004)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0004)
        end = time.monotonic() + 0.6
        own = []
        def logs(): return len({name.partition("-")[0] for name in seen})
        while time.monotonic() < end or (logs() < 2 and time.monotonic() < end + 15):
            own.append(ledger.append(event(call="main")))
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        ledger.close()
        print(json.dumps({"seen": seen, "missing": missing, "own": own}))
        """
    )
    said = json.loads(done.stdout)
    assert said["missing"] == []
    logs = {name.partition("-")[0] for name in said["seen"]}
    assert len(logs) >= 2  # some landed inside an append, some between two
    assert set(said["seen"]) | set(said["own"]) <= set(ids(home))
    report = verify(home)
    assert (report.verdict, report.faults) == (0, [])


def test_append_from_a_finalizer_inside_an_append_neither_hangs_nor_breaks_the_chain(
    home, open_ledger, event, monkeypatch
):
    from guardai.ledger import spool

    ledger = open_ledger(seal=False)
    ledger.append(event())
    real = spool.time_ns
    names = []

    class Dropped:
        def __del__(self):
            names.append(ledger.append(event(call="finalizer")))

    once = [Dropped()]

    def clock():
        once.clear()
        return real()

    monkeypatch.setattr(spool, "time_ns", clock)
    outer = ledger.append(event(call="outer"))
    monkeypatch.undo()
    ledger.close()
    assert names[0].partition("-")[0] != outer.partition("-")[0]
    assert {names[0], outer} <= set(ids(home))
    opened = json.loads(find(home, names[0].partition("-")[0] + "-0"))
    assert opened["body"]["aside"] is True
    assert opened["body"]["parent"]["log"] == outer.partition("-")[0]
    assert verify(home).verdict == 0


@posix
def test_first_append_from_a_signal_handler_does_not_hang_on_the_thread_machinery(home, run_python):
    """threading.Thread.start holds a lock that is not re-entrant; the first append starts the signer."""
    run_python(
        """
        ledger = Ledger.open(home, seal=False)
        signal.signal(signal.SIGALRM, lambda *_: ledger.append(event(call="handler")))
        with threading._active_limbo_lock:
            os.kill(os.getpid(), signal.SIGALRM)
            time.sleep(0.01)
        ledger.close()
        """,
        timeout=20,
    )
    assert verify(home).verdict == 0
    assert kinds(home).count("call.intent") == 1


# --- forks


@posix
def test_forked_child_opens_a_log_that_names_its_parent(home, run_python):
    run_python(
        """
        ledger = Ledger.open(home)
        for n in range(10): ledger.append(event(call="parent"))
        child = os.fork()
        for n in range(50): ledger.append(event(call="child" if not child else "parent"))
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        """
    )
    found = [json.loads(data) for data in events(home)]
    assert [e.get("call") for e in found].count("child") == 50
    assert [e.get("call") for e in found].count("parent") == 60
    opens = {e["log"]: e["body"].get("parent") for e in found if e["kind"] == "log.open"}
    (parent,) = (log for log, of in opens.items() if of is None)
    assert [of["log"] for of in opens.values() if of] == [parent]
    assert verify(home).verdict == 0


@posix
def test_child_does_not_free_its_parents_lock(home, run_python):
    run_python(
        """
        from guardai.ledger import liveness
        ledger = Ledger.open(home, seal=False)
        ledger.append(event())
        (spool,) = (home / "ledger" / "spool").glob("*.jsonl")
        child = os.fork()
        if not child:
            ledger.append(event())
            ledger.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert liveness.is_held(spool)
        """
    )


@posix
def test_parents_death_frees_its_lock_though_the_child_lives_on(home, run_python):
    done = run_python(
        """
        from guardai.ledger import liveness
        ledger = Ledger.open(home, seal=False)
        ledger.append(event())
        (spool,) = (home / "ledger" / "spool").glob("*.jsonl")
        parent = os.getpid()
        if not os.fork():
            os.setsid()
            while os.getppid() == parent: time.sleep(0.01)
            time.sleep(0.05)
            print("held" if liveness.is_held(spool) else "free", flush=True)
        os._exit(0)
        """
    )
    assert done.stdout.split() == ["free"]


@posix
def test_fork_while_another_thread_is_inside_an_append(home, run_python):
    run_python(
        """
        ledger = Ledger.open(home)
        stop = False
        def write():
            while not stop: ledger.append(event(call="thread"))
        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads: thread.start()
        children = []
        for n in range(40):
            child = os.fork()
            if not child:
                for n in range(5): ledger.append(event(call="child"))
                os._exit(0)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        stop = True
        for thread in threads: thread.join()
        """,
        timeout=60,
    )
    assert [json.loads(data).get("call") for data in events(home)].count("child") == 200
    report = verify(home)
    assert (report.verdict, report.faults, report.logs) == (0, [], 41)


@pytest.mark.usefixtures("either_store")
@posix
def test_child_seals_although_its_parent_was_sealing(home, run_python):
    """SQLite's locks must not be carried into a child, where nobody would ever free them."""
    run_python(
        """
        from guardai.ledger.sealer import seal
        from guardai.ledger.keys import open_keys
        keys = open_keys(home)
        ledger = Ledger.open(home, seal=False)
        stop = False
        def sealing():
            while not stop: seal(home, keys); time.sleep(0.003)
        def write():
            while not stop: ledger.append(event()); time.sleep(0.0005)
        threads = [threading.Thread(target=sealing, daemon=True), threading.Thread(target=write, daemon=True)]
        for thread in threads: thread.start()
        for n in range(15):
            child = os.fork()
            if not child:
                ledger.append(event(call="child"))
                ok = ledger.flush(8)
                os._exit(0 if ok else 3)
            status = os.waitpid(child, 0)[1]
            assert status == 0, status
        stop = True
        for thread in threads: thread.join()
        """,
        timeout=60,
    )
    assert verify(home).verdict == 0


# --- disks


@posix
def test_full_disk_refuses_an_intent_and_keeps_the_chain(home, run_python):
    """A limit on the file's size first cuts a write short and then fails the next: what a full disk does."""
    done = run_python(
        """
        import resource
        ledger = Ledger.open(home, seal=False)
        ledger.append(event())
        (spool,) = (home / "ledger" / "spool").glob("*.jsonl")
        resource.setrlimit(resource.RLIMIT_FSIZE, (spool.stat().st_size + 2000, resource.RLIM_INFINITY))
        done, refused = [], 0
        for n in range(40):
            try:
                done.append(ledger.append(event(call=f"c-{n}")))
            except LedgerError as error:
                refused += 1
                assert "nothing was done" in str(error), error
        assert spool.read_bytes().endswith(b"\\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        done.append(ledger.append(event(call="after")))
        print(json.dumps([done, refused]))
        """
    )
    returned, refused = json.loads(done.stdout)
    assert refused > 30
    assert set(returned) <= set(ids(home))
    assert kinds(home).count("call.intent") == len(returned) + 1
    report = verify(home)
    assert (report.verdict, report.faults) == (0, [])


@posix
def test_outcome_never_raises_on_a_full_disk_and_the_gap_is_recorded(home, run_python):
    run_python(
        """
        import resource
        ledger = Ledger.open(home, seal=False)
        ledger.append(event())
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
        for n in range(7):
            assert ledger.append(event("call.outcome"), outcome=True) == ""
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert ledger.append(event("call.outcome"), outcome=True)
        """
    )
    (gap,) = (json.loads(data) for data in events(home) if json.loads(data)["kind"] == "gap")
    assert gap["body"]["count"] == 7
    assert gap["body"]["kinds"] == {"call.outcome": 7}
    assert verify(home).verdict == 0


def test_outcome_is_written_into_the_space_that_was_set_aside(home, open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    ledger = open_ledger(seal=False)
    ledger.append(event())
    reserved = home / "ledger" / "reserve"
    assert reserved.stat().st_size > 60_000
    real = os.write

    def full(fd, data):
        if reserved.stat().st_size:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(spool.os, "write", full)
    with pytest.raises(LedgerError, match="free some space"):
        ledger.append(event())
    name = ledger.append(event("call.outcome"), outcome=True)
    assert name in ids(home)
    monkeypatch.undo()


def test_outcome_whose_signature_could_not_be_written_is_recorded_once(home, open_ledger, event, monkeypatch):
    from guardai.ledger.spool import Spool

    ledger = open_ledger(mode="signed", seal=False)
    ledger.append(event())
    with monkeypatch.context() as patch:

        def full(self):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(Spool, "sign", full)
        name = ledger.append(event("call.outcome"), outcome=True)
        with pytest.raises(LedgerError):
            ledger.append(event())
    assert kinds(home) == ["log.open", "call.intent", "call.outcome", "call.intent"]
    assert name in ids(home)
    ledger.close()
    assert verify(home).verdict == 0


def test_short_write_is_cut_back(home, open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    ledger = open_ledger(seal=False)
    ledger.append(event())
    (path,) = (home / "ledger" / "spool").glob("*.jsonl")
    size = path.stat().st_size
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(spool.os, "write", lambda fd, data: real(fd, data[:100]))
        with pytest.raises(LedgerError):
            ledger.append(event())
    assert path.stat().st_size == size
    ledger.append(event())
    ledger.close()
    assert verify(home).verdict == 0


def test_real_full_disk(tmp_path, event):
    """A file system of 1 MB of its own, where the tests may mount one."""
    import subprocess

    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], capture_output=True, check=False
    ).returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        ledger = Ledger.open(mount / "home", seal=False)
        done = []
        with pytest.raises(LedgerError, match="free some space"):
            for n in range(10_000):
                done.append(ledger.append(event(call=f"c-{n}")))
        assert len(done) > 100
        name = ledger.append(event("call.outcome"), outcome=True)
        assert name, "the space set aside was there for it"
        ledger.close()
        (mount / "home" / "ledger" / "reserve").unlink()
        report = verify(mount / "home", adopt=False)
        assert report.faults == []
        assert set(done) | {name} <= set(ids(mount / "home"))
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_spool_changed_by_someone_else_meanwhile_is_found_and_left(home, open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    ledger = open_ledger(seal=False)
    ledger.append(event())
    (path,) = (home / "ledger" / "spool").glob("*.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(spool.os, "write", lambda fd, data: 0)
        with path.open("ab") as file:
            file.write(b"rubbish\n" * 1000)
        with pytest.raises(LedgerError):
            ledger.append(event())
    name = ledger.append(event())
    assert name.partition("-")[0] != path.stem
    ledger.close()
    assert verify(home).verdict == 1


# --- homes


def test_home_below_a_file_is_refused_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="GUARDAI_HOME"):
        Ledger.open(tmp_path / "file" / "home")


@posix
def test_unwritable_home_is_refused_with_the_reason(home, run_python):
    run_python("Ledger.open(home)")
    done = run_python(
        """
        if os.getuid() == 0:
            import subprocess
            subprocess.run(["chmod", "-R", "a+rX", str(home)], check=True)
            for parent in home.parents: os.chmod(parent, os.stat(parent).st_mode | 0o5) if len(parent.parts) > 2 else None
            os.setgid(65534); os.setuid(65534)
        else:
            for path in [home, *home.rglob("*")]: path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            Ledger.open(home)
        except LedgerError as error:
            print(error)
        """
    )
    assert "cannot be written" in done.stdout or "cannot be created" in done.stdout


@posix
def test_read_only_home_is_verified_and_not_changed(home, run_python):
    run_python("no_heads()\nledger = Ledger.open(home)\nfor n in range(10): ledger.append(event())\nos._exit(0)")
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    done = run_python(
        """
        from guardai.ledger import verify
        if os.getuid() == 0:
            import subprocess
            subprocess.run(["chmod", "-R", "a+rX", str(home)], check=True)
            for parent in home.parents: os.chmod(parent, os.stat(parent).st_mode | 0o5) if len(parent.parts) > 2 else None
            os.setgid(65534); os.setuid(65534)
        else:
            for path in [home, *home.rglob("*")]: path.chmod(0o555 if path.is_dir() else 0o444)
        report = verify(home)
        print(report.verdict, report.events, report.unsigned, len(report.faults))
        """
    )
    assert done.stdout.split() == ["2", "11", "11", "0"]
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_processes_that_start_on_an_empty_home_at_once_agree_on_its_keys(home, start_python):
    program = """
    ledger = Ledger.open(home)
    ledger.append(event())
    print(ledger.commitment_key.hex(), ledger._keys.root.hex(), ledger._keys.host_id)
    """
    processes = [start_python(program) for _ in range(8)]
    said = {process.communicate(timeout=60)[0] for process in processes}
    assert len(said) == 1
    report = verify(home)
    assert (report.verdict, report.logs) == (0, 8)


@pytest.mark.parametrize("missing", ["host.key", "secret"])
def test_lost_private_key_is_not_quietly_replaced(home, open_ledger, event, missing):
    ledger = open_ledger()
    ledger.append(event())
    ledger.close()
    (home / "keys" / missing).unlink()
    with pytest.raises(LedgerError, match=f"{missing} is missing"):
        Ledger.open(home)
    assert not (home / "keys" / missing).exists()
    assert verify(home).verdict == 0


def test_expired_host_certificate_is_renewed_by_the_root_or_refused(home, open_ledger, event, monkeypatch):
    from guardai.ledger import keys

    with monkeypatch.context() as patch:
        patch.setattr(keys, "_HOST_LIFE", 1)
        Ledger.open(home)
    saved = (home / "keys" / "root.key").read_bytes()
    (home / "keys" / "root.key").unlink()
    with pytest.raises(LedgerError, match="expired"):
        Ledger.open(home)
    (home / "keys" / "root.key").write_bytes(saved)
    ledger = open_ledger()
    ledger.append(event())
    ledger.close()
    assert verify(home).verdict == 0


@posix
def test_private_keys_are_for_their_owner_only(home):
    Ledger.open(home)
    assert (home / "keys").stat().st_mode & 0o777 == 0o700
    for name in ("root.key", "host.key", "secret"):
        assert (home / "keys" / name).stat().st_mode & 0o777 == 0o600


@posix
def test_what_is_recorded_is_for_its_owner_only(sealed_home, open_ledger, event):
    open_ledger(sealed_home).append(event())
    for path in (sealed_home / "ledger").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_importing_the_room_opens_nothing_and_starts_nothing(home, run_python):
    done = run_python(
        """
        print(threading.active_count(), home.exists(), "sqlite3.dbapi2" in sys.modules and "openai" in sys.modules)
        """
    )
    assert done.stdout.split() == ["1", "False", "False"]


def test_forgotten_ledger_ends_its_thread_and_is_recovered(home, run_python):
    run_python(
        """
        import gc
        from guardai.ledger import verify
        ledger = Ledger.open(home)
        ledger.append(event())
        time.sleep(0.2)
        threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
        del ledger
        gc.collect()
        end = time.monotonic() + 10
        while threads and len(os.listdir("/proc/self/task")) >= threads and time.monotonic() < end: time.sleep(0.01)
        assert not threads or len(os.listdir("/proc/self/task")) < threads
        report = verify(home)
        assert (report.verdict, report.unsigned, report.events) == (0, 0, 3), report
        """
    )


# --- others at work


@pytest.mark.usefixtures("either_store")
def test_verify_beside_a_writing_process_finds_no_fault(home, start_python):
    process = start_python(
        """
        ledger = Ledger.open(home)
        print("ready", flush=True)
        while True:
            for n in range(20): ledger.append(event())
            time.sleep(0.001)
        """
    )
    process.stdout.readline()
    for _ in range(12):
        report = verify(home)
        assert report.faults == []
        assert report.verdict == 0
    process.kill()
    process.wait()
    report = verify(home)
    assert (report.verdict, report.unsigned) == (0, 0)


@pytest.mark.usefixtures("either_store")
def test_processes_seal_into_one_tree(home, start_python):
    program = """
    ledger = Ledger.open(home)
    for n in range(300): ledger.append(event())
    """
    processes = [start_python(program) for _ in range(6)]
    for process in processes:
        assert process.wait(60) == 0
    report = verify(home)
    assert (report.verdict, report.logs, report.events, report.signed) == (0, 6, 6 * 302, 6 * 302)
    assert list((home / "ledger" / "spool").iterdir()) == []


def test_locked_store_delays_nobody_and_loses_nothing(home, open_ledger, event):
    import sqlite3

    ledger = open_ledger()
    ledger.append(event())
    ledger.flush()
    db = sqlite3.connect(home / "ledger" / "store.db", isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    for _ in range(100):
        ledger.append(event())
    ledger.close(timeout=1.0)
    took = time.monotonic() - began
    db.execute("ROLLBACK")
    db.close()
    assert took < 30  # no hang; what could not be sealed waits in the spool
    report = verify(home)
    assert (report.verdict, report.events) == (0, 103)


def test_reader_of_the_store_does_not_make_a_spool_disappear(home, open_ledger, event):
    """As long as a reader keeps the write-ahead log from being emptied, the spool is the copy that counts."""
    from guardai.ledger.sqlitestore import read_sqlite

    ledger = open_ledger()
    ledger.append(event())
    ledger.flush()
    with read_sqlite(home / "ledger" / "store.db", gated=False) as store:
        store.db.execute("SELECT count(*) FROM events").fetchone()
        ledger.append(event())
        ledger.close()
        assert list((home / "ledger" / "spool").glob("*.jsonl"))
        assert len(list(events(home))) == 4
    report = verify(home)
    assert (report.verdict, report.events) == (0, 4)
    assert not list((home / "ledger" / "spool").glob("*.jsonl"))
