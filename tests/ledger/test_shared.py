"""One store in PostgreSQL for several hosts: they take turns, each remembers what it signed, and none loses what the store did not take."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import stores
from stores import alter, store_of

from guardai.errors import ConfigError, LedgerError
from guardai.ledger import (
    Ledger,
    ProofError,
    SealError,
    StoreError,
    events,
    export,
    find,
    known_keys,
    open_keys,
    prove,
    revoke,
    rotate,
    seal,
    sealed_size,
    verify,
    verify_export,
    verify_store,
)
from guardai.ledger import forks, postgresstore
from guardai.ledger.layout import Layout
from guardai.ledger.place import open_store
from guardai.ledger.root import root_on_file
from guardai.ledger.rotation import init_keys
from guardai.ledger.store import StoreAwayError, StoreHeldError
from guardai.lineage import EdgeTable

pytestmark = pytest.mark.made_up_events


@pytest.fixture
def hosts(home, in_postgres, tmp_path):
    """Two homes under one root, whose store is the same."""
    open_keys(home)
    other = tmp_path / "other"
    init_keys(other, root_on_file(Layout(home)))
    (other / "ledger").mkdir()
    shutil.copy(home / "ledger" / "store.url", other / "ledger" / "store.url")
    return home, other


@pytest.fixture
def fill(event):
    """Records so many events at a home, and closes its log."""

    def fill(home, count=8, **options):
        ledger = Ledger.open(home, **options)
        names = [ledger.append(event(call=f"c-{n}")) for n in range(count)]
        ledger.close(timeout=20)
        return names

    return fill


def codes(report):
    return {fault.code for fault in report.faults}


def check_spools(home):
    """The events in the home's spools, the store left alone."""
    return [line.rpartition(b"\t")[0] for path in spools_of(home) for line in path.read_bytes().splitlines()]


def spools_of(home):
    return sorted((home / "ledger" / "spool").glob("*.jsonl"))


# --- one tree


def test_hosts_seal_into_one_tree_and_each_verifies_all_of_it(hosts, fill):
    one, other = hosts
    names = fill(one) + fill(other) + fill(one)
    for home in hosts:
        assert not spools_of(home)
        report = verify(home, projection=EdgeTable())
        assert (report.verdict, report.logs, report.events, report.signed) == (0, 3, 30, 30), report
        assert report.elsewhere == 0
        assert set(names) <= {json.loads(data)["id"] for data in events(home)}
        assert json.loads(find(home, names[9]))["id"] == names[9]
    note = (one / "ledger" / "checkpoint").read_text()
    assert note.split("\n")[:2] == [f"guardai/{known_keys(one).root}", "30"]


def test_event_of_one_host_is_proven_and_exported_by_the_other(hosts, fill, tmp_path):
    one, other = hosts
    names = fill(one) + fill(other)
    for home in hosts:
        for name in (names[0], names[-1]):
            assert prove(home, name)
    export(one, tmp_path / "export")
    report = verify_export(tmp_path / "export", key=other / "keys" / "root.pub")
    assert (report.verdict, report.events) == (0, 20)
    done = subprocess.run(
        [sys.executable, tmp_path / "export" / "verify.py", "--key", other / "keys" / "root.pub"],
        capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_log_that_goes_on_at_another_host_is_no_fault_here(hosts, open_ledger, fill, event):
    one, other = hosts
    fill(one)
    ledger = open_ledger(other)
    ledger.append(event())
    assert ledger.flush()
    ledger.append(event())  # known there alone
    here, there = verify(one), verify(other)
    assert (here.verdict, here.elsewhere, here.events) == (0, 1, 12)
    assert (there.verdict, there.elsewhere, there.events) == (0, 0, 13)


def test_host_that_has_sealed_nothing_yet_verifies_what_others_have(hosts, fill):
    one, other = hosts
    fill(other)
    assert (verify(one).verdict, verify(one, adopt=False).events) == (0, 10)


def test_verify_beside_a_host_that_seals_finds_no_fault(hosts, fill, start_python):
    one, other = hosts
    fill(one)
    process = start_python(
        f"""
        ledger = Ledger.open(Path({str(other)!r}))
        print("ready", flush=True)
        while True:
            for n in range(20): ledger.append(event())
            ledger.flush()
        """
    )
    process.stdout.readline()
    seen, deadline = [0], time.monotonic() + 60
    while seen[-1] < 600 and time.monotonic() < deadline:
        report = verify(one, adopt=bool(len(seen) % 2))
        assert (report.verdict, report.faults, report.notes) == (0, [], []), report
        seen.append(report.events)
    assert seen == sorted(seen)
    assert seen[-1] >= 600


def test_store_alone_is_verified_with_the_roots_key(hosts, fill, tmp_path):
    one, other = hosts
    fill(one), fill(other)
    url = stores.address_of(one)
    report = verify_store(url, key=one / "keys" / "root.pub", projection=EdgeTable())
    assert (report.verdict, report.events) == (0, 20)
    Ledger.open(tmp_path / "stranger").close()
    assert verify_store(url, key=tmp_path / "stranger" / "keys" / "root.pub").verdict == 1


def test_home_under_another_root_adds_nothing(hosts, fill, tmp_path, in_postgres):
    one, _ = hosts
    fill(one)
    stranger = tmp_path / "stranger"
    (stranger / "ledger").mkdir(parents=True)
    shutil.copy(one / "ledger" / "store.url", stranger / "ledger" / "store.url")
    fill(stranger)
    assert len(spools_of(stranger)) == 1
    with pytest.raises(SealError, match="not signed by a key of this ledger"):
        seal(stranger, open_keys(stranger))
    assert (verify(one).verdict, verify(one).events) == (0, 10)


def test_hosts_that_seal_at_once_take_turns(hosts, start_python):
    one, other = hosts
    program = """
        from guardai.lineage import EdgeTable
        ledger = Ledger.open(home, projection=EdgeTable())
        names = []
        for n in range(1500):
            names.append(ledger.append(event(call=f"c-{n}")))
            if n % 30 == 0:
                ledger.flush(60)
        ledger.close(timeout=60)
        print(*names)
    """
    processes = [start_python(program.replace("(home,", f"(Path({str(home)!r}),")) for home in (one, other) * 2]
    names = [name for process in processes for name in process.communicate(timeout=200)[0].split()]
    assert [process.returncode for process in processes] == [0] * 4
    for home in hosts:
        while not seal(home, open_keys(home), EdgeTable()):
            time.sleep(0.05)
    for home in hosts:
        report = verify(home, projection=EdgeTable())
        assert (report.verdict, report.logs, report.events) == (0, 4, 4 * 1502), report
    assert set(names) <= {json.loads(data)["id"] for data in events(one)}
    assert len(set(names)) == 6000


def test_sealer_waits_for_its_turn_and_not_for_long(hosts, fill):
    one, other = hosts
    fill(one)
    fill(other, seal=False)
    with open_store(Layout(one)) as store, store.writing():
        began = time.monotonic()
        assert not seal(other, open_keys(other))
        assert time.monotonic() - began < 30
        assert len(spools_of(other)) == 1
    assert seal(other, open_keys(other))
    assert (verify(one).verdict, verify(one).events) == (0, 20)


def test_two_sealers_never_hold_the_tree_together(hosts, fill):
    one, other = hosts
    fill(one)
    with open_store(Layout(one)) as store, store.writing():  # noqa: SIM117 - one of them holds it meanwhile
        with pytest.raises(StoreHeldError), open_store(Layout(other)) as second, second.writing():
            pytest.fail("two at once")


# --- what the sealer dies of


class Between:
    """Stands between a sealer and the server: passes on, cuts off, or says nothing more."""

    def __init__(self, server):
        self.server = server
        self.passing = True
        self.limit = None
        self.seen = 0
        self.open = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection((self.server.host, self.server.port))
                self.open += [near, far]
                for one, two, counted in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._pass, args=(one, two, counted), daemon=True).start()

    def _pass(self, one, two, counted):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                while not self.passing:
                    time.sleep(0.01)
                if counted:
                    self.seen += len(data)
                    if self.limit is not None and self.seen > self.limit:
                        break
                two.sendall(data)
        self._end(one, two)

    def _end(self, *sockets):
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self):
        self.passing = True
        self.listener.close()
        self._end(*self.open)


@pytest.fixture
def between(hosts, postgres_server):
    """The first home reaches the store through this."""
    proxy = Between(postgres_server)
    one, _ = hosts
    path = one / "ledger" / "store.url"
    path.write_text(path.read_text().replace(f":{postgres_server.port}/", f":{proxy.port}/"))
    yield proxy
    proxy.close()


@pytest.mark.parametrize("limit", [600, 1_500, 2_500, 4_000, 8_000, 16_000, 24_000, 40_000])
def test_connection_that_is_lost_in_the_middle_of_a_fold_loses_nothing(hosts, fill, between, limit):
    one, other = hosts
    names = fill(one, 40, seal=False)
    between.limit = limit
    try:
        done = seal(one, open_keys(one))
    except StoreAwayError:
        done = False
    if not done:
        assert len(spools_of(one)) == 1
    between.limit = None
    assert {json.loads(data)["id"] for data in events(one)} >= set(names)
    report = verify(one, adopt=False)
    assert (report.faults, report.events) == ([], 42)
    fill(other)
    assert seal(one, open_keys(one))
    assert not spools_of(one)
    assert [(verify(home).verdict, verify(home).events) for home in hosts] == [(0, 52), (0, 52)]


def test_store_that_is_away_delays_no_call_and_loses_nothing(hosts, between, event, caplog):
    one, _ = hosts
    between.close()
    ledger = Ledger.open(one)
    longest, names = 0.0, []
    until = time.monotonic() + 5
    while time.monotonic() < until:
        began = time.monotonic()
        names.append(ledger.append(event()))
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.002)
    assert longest < 1
    ledger.close()
    assert len(spools_of(one)) == 1
    assert {json.loads(data)["id"] for data in check_spools(one)} >= set(names)
    assert len([entry for entry in caplog.records if "cannot be sealed" in entry.getMessage()]) == 1
    report = verify(one)
    assert (report.verdict, report.faults) == (2, [])
    assert any("cannot be read now" in note for note in report.notes)


def test_store_that_says_nothing_any_more_delays_no_call(hosts, between, event):
    one, _ = hosts
    ledger = Ledger.open(one)
    ledger.append(event())
    assert ledger.flush()
    between.passing = False
    longest = 0.0
    until = time.monotonic() + 5
    while time.monotonic() < until:
        began = time.monotonic()
        ledger.append(event())
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.002)
    assert longest < 1
    between.passing = True
    ledger.close(timeout=30)
    while not seal(one, open_keys(one)):
        time.sleep(0.05)
    assert verify(one).verdict == 0


def test_server_that_does_not_answer_is_not_waited_for_without_end(hosts, between, monkeypatch):
    from guardai.ledger import postgresstore

    one, _ = hosts
    monkeypatch.setattr(postgresstore, "_WRITING", 1.0)
    with pytest.raises(StoreAwayError, match="no answer for 1 s"), open_store(Layout(one)) as store, store.writing():
        between.passing = False
        store.size()


def test_killed_sealer_lets_the_next_one_on_and_loses_nothing(hosts, fill, start_python):
    one, other = hosts
    fill(other)
    names = fill(one, 30, seal=False)
    process = start_python(
        """
        from guardai.ledger import open_keys, seal, sealer
        real = sealer.sign_checkpoint
        def stop(*given):
            print("signing", flush=True)
            time.sleep(600)
        sealer.sign_checkpoint = stop
        seal(home, open_keys(home))
        """
    )
    assert process.stdout.readline() == "signing\n"
    with pytest.raises(StoreHeldError), open_store(Layout(other)) as store, store.writing():
        pytest.fail("the sealer holds the tree")
    process.kill()
    process.wait()
    assert {json.loads(data)["id"] for data in events(one)} >= set(names)
    assert fill(other)
    deadline = time.monotonic() + 60
    while not (seal(one, open_keys(one)) and seal(other, open_keys(other))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [(verify(home).verdict, verify(home).events) for home in hosts] == [(0, 52), (0, 52)]


def test_writers_that_are_killed_on_two_hosts_lose_nothing_that_they_had_recorded(hosts, start_python):
    chance = random.Random(11)
    names = set()
    for _ in range(6):
        processes = []
        for home in (*hosts, *hosts):
            program = """
                ledger = Ledger.open(home)
                print("ready", flush=True)
                while True:
                    os.write(1, (ledger.append(event()) + "\\n").encode())
                    if chance.random() < 0.05: ledger.flush(1)
            """
            setup = f"import random; chance = random.Random({chance.random()}); home = Path({str(home)!r})\n"
            processes.append(start_python(setup + textwrap.dedent(program)))
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        time.sleep(chance.random() * 1.5)
        for process in processes:
            process.kill()
        for process in processes:
            # Not by `communicate`, which reads past what `readline` has read ahead.
            lines = process.stdout.read().split("\n")
            names |= set(lines[:-1])  # what follows the last newline was cut off
    assert len(names) > 24
    for home in hosts:
        while not seal(home, open_keys(home)):
            time.sleep(0.05)
    for home in hosts:
        report = verify(home)
        assert (report.verdict, report.faults, report.unsigned) == (0, [], 0), report
        assert names <= {json.loads(data)["id"] for data in events(home)}
        assert not spools_of(home)


def test_fork_never_finds_the_driver_half_imported(hosts, run_python):
    """The background thread would import it at its first seal, and a child forked meanwhile could not use it for ever."""
    run_python("Ledger.open(home); assert sys.modules['psycopg'].connect")


def test_fork_waits_while_a_connection_is_made(hosts, monkeypatch):
    """Names and keys are looked up under locks of libc and OpenSSL, which a child would find taken for ever."""
    held = []
    real = postgresstore._connected
    monkeypatch.setattr(
        postgresstore, "_connected", lambda *given: held.append(forks._lock._is_owned()) or real(*given)
    )
    with open_store(Layout(hosts[0])):
        assert not forks._lock._is_owned()
    assert held == [True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks of POSIX")
def test_forked_child_does_not_keep_its_parents_turn(hosts, fill, start_python):
    one, other = hosts
    fill(one, 5, seal=False)
    process = start_python(
        """
        from guardai.ledger import open_keys, seal, sealer
        def stop(*given):
            Ledger.open(home / "elsewhere")  # registers what a fork needs
            child = os.fork()
            if child == 0:
                time.sleep(600)
            print(child, flush=True)
            time.sleep(600)
        sealer.sign_checkpoint = stop
        seal(home, open_keys(home))
        """
    )
    child = int(process.stdout.readline())
    try:
        process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        taken = False
        while not taken and time.monotonic() < deadline:
            with contextlib.suppress(StoreHeldError), open_store(Layout(other)) as store, store.writing():
                taken = True
        assert taken
    finally:
        os.kill(child, 9)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="signals of POSIX")
def test_stopped_sealer_loses_its_turn_and_what_it_had_begun(hosts, fill, start_python):
    one, other = hosts
    names = fill(one, 30, seal=False)
    process = start_python(
        """
        from guardai.ledger import StoreError, open_keys, postgresstore, seal, sealer
        postgresstore._WRITING = 2.0
        real = sealer.sign_checkpoint
        def stop(*given):
            print("signing", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
            return real(*given)
        sealer.sign_checkpoint = stop
        try:
            print(seal(home, open_keys(home)))
        except StoreError as error:
            print(type(error).__name__)
        """
    )
    assert process.stdout.readline() == "signing\n"
    deadline = time.monotonic() + 60
    fill(other, seal=False)
    while not seal(other, open_keys(other)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert sealed_size(other) == 10
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=60)[0] == "StoreAwayError\n"
    assert {json.loads(data)["id"] for data in events(one)} >= set(names)
    assert seal(one, open_keys(one))
    assert [(verify(home).verdict, verify(home).events) for home in hosts] == [(0, 42), (0, 42)]


def test_sealer_that_died_between_commit_and_checkpoint_is_followed_by_another(hosts, fill, monkeypatch):
    from guardai.ledger import sealer

    one, other = hosts
    fill(one, seal=False)

    def fail(*_):
        raise OSError(28, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(sealer, "replace", fail)
        with pytest.raises(OSError, match="no space"):
            seal(one, open_keys(one))
    assert len(spools_of(one)) == 1
    assert not (one / "ledger" / "checkpoint").exists()
    fill(other)
    assert seal(one, open_keys(one))
    assert not spools_of(one)
    assert (one / "ledger" / "checkpoint").read_text().split("\n")[1] == "20"
    assert verify(one).verdict == 0


# --- who may do anything with the database


def test_tree_that_does_not_go_on_from_what_this_host_signed_is_found_and_refused(hosts, fill, event):
    """Another host's key and the database: a tree without this host's events, signed, and longer."""
    one, other = hosts
    fill(one)
    earlier = (one / "ledger" / "checkpoint").read_text()
    with store_of(one) as db:
        for table in ("logs", "events", "heads", "tiles", "checkpoints", "derived"):
            db.execute(f"DELETE FROM {table}")
    (other / "ledger" / "checkpoint").unlink(missing_ok=True)
    fill(other, 20)
    assert (verify(other).verdict, verify(other).events) == (0, 22)
    report = verify(one, adopt=False)
    assert report.verdict == 1
    assert codes(report) == {"rolled_back"}
    ledger = Ledger.open(one)
    ledger.append(event())
    with pytest.raises(SealError, match="does not go on from"):
        ledger.flush()
    ledger.close()
    assert len(spools_of(one)) == 1
    assert (one / "ledger" / "checkpoint").read_text() == earlier


def test_removed_tree_head_of_a_host_that_has_sealed_is_found_and_of_one_that_has_not_is_no_fault(hosts, fill):
    one, other = hosts
    fill(one)
    assert verify(other).verdict == 0
    (one / "ledger" / "checkpoint").unlink()
    assert codes(verify(one, adopt=False)) == {"checkpoint"}


def test_store_set_back_to_before_this_hosts_last_seal_is_found(hosts, fill, copy):
    one, other = hosts
    fill(one), fill(other)
    earlier = copy(one)
    fill(one)
    stores.put_back(earlier, one)
    assert codes(verify(one)) == {"rolled_back"}


def test_removed_certificate_of_another_host_is_found(hosts, fill):
    one, other = hosts
    fill(one), fill(other)
    alter(one, "DELETE FROM statements WHERE host = ?", known_keys(other).hosts[-1].id)
    report = verify(one)
    assert report.verdict == 1
    assert "checkpoint" in codes(report)


@pytest.mark.parametrize("change", ["payload = replace(payload, '\"host\"', '\"hist\"')", "sig = '00'", "payload = ''"])
def test_altered_certificate_of_another_host_counts_for_nothing(hosts, fill, change):
    one, other = hosts
    fill(one), fill(other)
    mine = known_keys(one)
    other_id = next(host.id for host in mine.hosts if host.state == "other")
    alter(one, f"UPDATE statements SET {change} WHERE host = ?", other_id)
    report = verify(one)
    assert report.verdict == 1
    assert "checkpoint" in codes(report)
    assert any(other_id in note for note in report.notes)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE events ALTER COLUMN seq TYPE text",
        "ALTER TABLE events ALTER COLUMN leaf TYPE double precision",
        "ALTER TABLE events RENAME COLUMN bytes TO data",
        "ALTER TABLE heads RENAME TO tails",
        "ALTER TABLE checkpoints ALTER COLUMN note TYPE bytea USING convert_to(note, 'UTF8')",
        "ALTER TABLE logs ALTER COLUMN events TYPE text",
        "DROP TABLE tiles",
        "DROP TABLE derived",
    ],
)
def test_tables_that_were_changed_are_a_fault(hosts, fill, change):
    one, _ = hosts
    fill(one)
    alter(one, change)
    report = verify(one, adopt=False)
    assert report.verdict == 1, report


def test_event_that_a_trigger_keeps_out_stays_in_its_spool(hosts, fill):
    one, _ = hosts
    fill(one)
    alter(one, "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    alter(one, "CREATE TRIGGER skip BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.seq = 5) EXECUTE FUNCTION skip()")
    fill(one)
    assert len(spools_of(one)) == 1
    with pytest.raises(StoreError, match="did not take"):
        seal(one, open_keys(one))
    assert (verify(one, adopt=False).faults, sealed_size(one)) == ([], 10)


def test_event_that_a_trigger_alters_is_named(hosts, fill):
    one, _ = hosts
    fill(one)
    alter(
        one,
        "CREATE FUNCTION lie() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "NEW.bytes = replace(NEW.bytes, 'db.read', 'db.raed'); RETURN NEW; END $$",
    )
    alter(one, "CREATE TRIGGER lie BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.seq = 5) EXECUTE FUNCTION lie()")
    fill(one)
    report = verify(one)
    assert report.verdict == 1
    assert {(fault.code, fault.seq) for fault in report.faults} == {("changed", 5)}


def test_who_wrote_past_the_lock_is_found(hosts, fill):
    one, _ = hosts
    fill(one)
    with store_of(one) as db:
        (data,) = db.execute("SELECT bytes FROM events WHERE seq = 5").fetchone()
    alter(one, "INSERT INTO events VALUES (10, 1, 10, 1, ?, NULL)", data)
    fill(one)
    assert len(spools_of(one)) == 1
    assert verify(one).verdict == 1


# --- a host's key


def test_host_that_another_one_revokes_adds_nothing_more(hosts, fill):
    one, other = hosts
    fill(one), fill(other)
    stolen = known_keys(other).hosts[-1].id
    assert {host.state for host in known_keys(one).hosts} == {"current", "other"}
    revoke(one, stolen)
    size = sealed_size(one)
    fill(other)
    with pytest.raises(SealError, match="was revoked"):
        seal(other, open_keys(other))
    assert sealed_size(one) == size
    assert {host.id: host.state for host in known_keys(other).hosts}[stolen] == "revoked"
    for home in hosts:
        report = verify(home)
        assert report.verdict == 2, report
        assert any(f"host {stolen}" in note for note in report.notes)


def test_revocation_goes_into_the_export_of_every_host(hosts, fill, tmp_path):
    one, other = hosts
    fill(one), fill(other)
    stolen = next(host.id for host in known_keys(one).hosts if host.state == "other")
    revoke(one, stolen)
    rotate(other, root_on_file(Layout(one)))
    fill(other)
    export(other, tmp_path / "export")
    assert (tmp_path / "export" / "keys" / "revoked" / f"{stolen}.json").exists()
    report = verify_export(tmp_path / "export", key=one / "keys" / "root.pub")
    assert report.verdict == 2
    assert any(stolen in note for note in report.notes)


def test_host_that_rotates_goes_on_in_the_same_tree(hosts, fill):
    one, other = hosts
    fill(one), fill(other)
    rotate(one)
    fill(other), fill(one)
    for home in hosts:
        report = verify(home)
        assert (report.verdict, report.unsigned) == (0, 0), report


# --- rights


def test_roles_of_the_page_can_do_their_work_and_change_no_event(hosts, fill, postgres_server, home):
    psycopg = pytest.importorskip("psycopg")
    one, other = hosts
    fill(one, projection=EdgeTable())
    page = (Path(__file__).parents[2] / "docs" / "stores.md").read_text("utf-8")
    [grants] = re.findall(r"^```sql\n(.*?)^```", page, re.M | re.S)
    base, schema = stores.parts_of(one)
    sealers, auditors = f"s_{schema}", f"a_{schema}"
    with psycopg.connect(base, autocommit=True) as connection:
        for role in (sealers, auditors):
            connection.execute(f"CREATE ROLE {role} LOGIN")
        try:
            for old, new in (("guardai", schema), ("sealers", sealers), ("auditors", auditors)):
                grants = re.sub(rf"\b{old}\b", new, grants)
            connection.execute(grants)

            def as_role(role, home):
                path = home / "ledger" / "store.url"
                path.write_text(re.sub(r"//[^@]*@", f"//{role}@", path.read_text()))

            as_role(sealers, other)
            fill(other, projection=EdgeTable())
            assert seal(other, open_keys(other), EdgeTable())
            report = verify(other, projection=EdgeTable())
            assert (report.verdict, report.events) == (0, 20), report
            with stores.store_of(other, functions=False) as db:
                for refused in (
                    "UPDATE events SET seq = 1",
                    "DELETE FROM events",
                    "DELETE FROM tiles",
                    "DROP TABLE logs",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        db.execute(refused)
            as_role(auditors, other)
            url = stores.address_of(other)
            assert verify_store(url, key=one / "keys" / "root.pub", projection=EdgeTable()).verdict == 0
            with stores.store_of(other, functions=False) as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute("INSERT INTO checkpoints VALUES (99, '')")
            connection.execute(f"REVOKE SELECT ON {schema}.heads FROM {auditors}")
            report = verify_store(url, key=one / "keys" / "root.pub")
            assert (report.verdict, report.faults) == (2, [])
        finally:
            for role in (sealers, auditors):
                connection.execute(f"DROP OWNED BY {role}")
                connection.execute(f"DROP ROLE {role}")


# --- addresses


def test_password_is_written_nowhere_and_shown_nowhere(home, postgres_server, _database, event, capfd):
    secret = "sesame" + "-opens"
    who = stores.secrets.token_hex(4)
    url = _database.replace(f"{postgres_server.user}@", f"u_{who}:{secret}@") + f"?schema=s_{who}"
    ledger = Ledger.open(home, store=url)
    ledger.append(event())
    with pytest.raises(StoreError) as told:
        ledger.flush()
    ledger.close()
    report = verify(home)
    words = f"{told.value}{told.value!r}{told.value.__cause__}{report}{capfd.readouterr()}{Layout(home)}"
    assert secret not in words
    for path in home.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    from guardai import settings

    assert secret not in repr(settings.load({"ledger": url}))
    from guardai.ledger.address import Address

    assert secret not in f"{Address(url)}{Address(url)!r}"
    assert (home / "ledger" / "store.url").read_text().startswith(f"postgresql://u_{who}@")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hidden@h:nonsense/db",
        "postgresql://u:hidden@[h/db",
        "postgresql://u:hidden@h/db?schema=a;b",
        "mysql://u:hidden@h/db",
    ],
)
def test_address_that_is_none_is_refused_without_being_shown(home, url):
    import guardai

    with pytest.raises((ConfigError, StoreError)) as told:
        guardai.init(home=home, ledger=url)
        seal(home, open_keys(home))
        sealed_size(home)
    assert "hidden" not in f"{told.value}{told.value!r}{told.value.__cause__}"


@pytest.mark.parametrize(
    ("url", "conninfo", "written"),
    [
        ("postgresql:///audit", "postgresql:///audit?", "postgresql:///audit"),
        ("postgresql://u:p%40q@h:5433/d", "postgresql://u:p%40q@h:5433/d?", "postgresql://u@h:5433/d"),
        ("postgresql://h/d?options=-c%20a%3Db+c&schema=x", "postgresql://h/d?options=-c%20a%3Db+c&", "postgresql://h/d?options=-c%20a%3Db+c&schema=x"),
        ("postgres://h/d?password=no&user=u&sslpassword=no", "postgres://h/d?password=no&user=u&sslpassword=no&", "postgres://h/d?user=u"),
        ("postgresql://[::1]:5432/d?connect_timeout=9&application_name=me", "postgresql://[::1]:5432/d?connect_timeout=9&application_name=me&", "postgresql://[::1]:5432/d?connect_timeout=9&application_name=me"),
    ],
)  # fmt: skip
def test_address_reaches_libpq_as_it_stands_and_is_written_without_a_password(url, conninfo, written):
    from guardai.ledger.address import Address

    found = Address(url)
    more = "" if "connect_timeout" in url else "connect_timeout=3&"
    assert (found.conninfo, found.written) == (f"{conninfo}{more}fallback_application_name=guardai", written)
    assert found.schema == ("x" if "schema=x" in url else "guardai")
    assert "p%40q" not in f"{found}{found!r}"


def test_store_without_its_driver_is_refused_at_once(home, monkeypatch):
    import guardai
    from guardai.ledger import place

    monkeypatch.setattr(place, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install"):
        guardai.init(home=home, ledger="postgresql://h/d")


def test_parameters_of_libpq_reach_it(home, _database, event):
    ledger = Ledger.open(home, store=f"{_database}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem")
    ledger.append(event())
    with pytest.raises(StoreAwayError, match="ca.pem|SSL|root certificate"):
        ledger.flush()
    ledger.close()


def test_home_that_has_a_store_is_not_moved_by_a_setting(sealed_home, _database):
    with pytest.raises(LedgerError, match="guardai ledger migrate"):
        Ledger.open(sealed_home, store=_database)
    assert verify(sealed_home).verdict == 0


def test_store_of_another_name_in_the_same_database_is_another_tree(hosts, fill, tmp_path, home_like):
    one, _ = hosts
    fill(one)
    third = home_like(tmp_path / "third")
    fill(third)
    assert (verify(third).verdict, verify(third).events) == (0, 10)
    assert (verify(one).verdict, verify(one).events) == (0, 10)


# --- within a governed process


def test_ledger_does_not_record_its_own_statements(home, postgres, monkeypatch, tmp_path):
    """psycopg's cursors are wrapped for everybody; what an agent does is recorded, what the ledger does for it is not."""
    pytest.importorskip("guardai_dbapi")
    psycopg = pytest.importorskip("psycopg")
    import guardai

    guardai.init(home=home, ledger=f"{postgres}?schema=audit", app_calls="record")
    with guardai.session(user="u-1042", agent="bot"), psycopg.connect(postgres) as connection:
        connection.execute("SELECT 1").fetchall()
        from guardai.gate.runtime import require

        assert require().ledger.flush()  # in the session's own context
        assert seal(home, open_keys(home), EdgeTable())
    guardai.shutdown()
    recorded = [json.loads(data) for data in events(home)]
    assert verify(home, projection=EdgeTable()).verdict == 0
    assert [event["kind"] for event in recorded if event.get("action") == "db.read"] == ["call.intent", "call.outcome"]
    assert not [event for event in recorded if event["kind"].startswith("call.") and event.get("action") != "db.read"]


def test_commands_find_the_store_by_the_home(hosts, fill, monkeypatch):
    from typer.testing import CliRunner

    from guardai.cli import app

    one, other = hosts
    names = fill(one) + fill(other)
    fill(one, seal=False)

    def run(*arguments):
        done = CliRunner().invoke(app, [*arguments])
        assert done.exit_code == 0, done.output
        return done.output

    at = ("--home", str(one))
    assert json.loads(run("seal", *at, "--json")) == {"ok": True, "new": 10, "events": 30}
    assert json.loads(run("verify", *at, "--json"))["events"] == 30
    assert len(run("log", *at, "--json").splitlines()) == 30
    assert names[12] in run("log", "show", names[12], *at, "--json")
    run("prove", names[12], *at, "-o", "proof")
    run("verify-proof", "proof", "--key", str(other / "keys" / "root.pub"))
    run("ledger", "export", "-o", "export", *at)
    run("verify", "--export", "export", "--key", str(other / "keys" / "root.pub"))
    run("verify", "--ledger", stores.address_of(one), "--key", str(other / "keys" / "root.pub"))
    assert "other" in run("keys", "list", *at)
    monkeypatch.setenv("GUARDAI_SINKS", f"jsonl://{one / 'out.jsonl'}")
    run("sinks", "run", *at)
    assert len((one / "out.jsonl").read_text().splitlines()) == 30
    assert json.loads(run("sinks", "status", *at, "--json"))


def test_commands_take_the_address_of_the_settings_which_may_have_a_password(hosts, fill, monkeypatch):
    from typer.testing import CliRunner

    from guardai.cli import app

    one, _ = hosts
    fill(one)
    url = stores.address_of(one)
    (one / "ledger" / "store.url").write_text(
        url.replace("//", "//nobody_of_this_name@").replace("postgres@", "") + "\n"
    )
    refused = CliRunner().invoke(app, ["log", "--home", str(one), "--json"])
    assert refused.exit_code == 2
    monkeypatch.setenv("GUARDAI_LEDGER", url)
    done = CliRunner().invoke(app, ["log", "--home", str(one), "--json"])
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == 10


def test_proof_of_an_event_that_is_not_there_is_refused(hosts, fill):
    one, _ = hosts
    fill(one)
    with pytest.raises(ProofError, match="no event"):
        prove(one, "0123456789abcdef-0")
