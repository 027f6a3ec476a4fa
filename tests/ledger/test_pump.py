"""The pump and a sink's account: what is delivered, what is refused, what waits; whatever the sink and the process do."""

import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from stores import away, is_postgres

import guardai
from guardai import ConfigError, SinkError, SinkRefused
from guardai.gate import current
from guardai.ledger import Delivery, Ending, Pump, accounts, delivery, sink_name
from guardai.ledger import events as stored

pytestmark = pytest.mark.usefixtures("either_store")

URL = "test://host/place"


class Sink:
    """Takes everything, unless it is told otherwise: an exception to raise, a predicate of events that it refuses."""

    def __init__(self, down=None, refuses=lambda event: False):
        self.events, self.batches, self.down, self.refuses = [], [], down, refuses

    def deliver(self, events, *, seconds):
        self.batches.append((len(events), seconds))
        if self.down:
            raise self.down
        if any(map(self.refuses, events)):
            raise SinkRefused("it is not to my taste")
        self.events += events


@pytest.fixture
def sealed(home):
    """A home with some sealed events."""

    def more(count=3):
        guardai.init(home=home, integrations=[])
        with guardai.session(agent="a"):
            for n in range(count):
                guardai.record("test.note", n=n)
        guardai.shutdown()

    more()
    return more


@pytest.fixture
def at_once(monkeypatch):
    """What is refused on its own is offered again without a pause."""
    monkeypatch.setattr(delivery, "_AGAIN", (0.0, 0.0))


def ids(events):
    return [json.loads(event)["id"] for event in events]


def note(n):
    """Whether an event is the n-th note of a run."""
    return lambda event: json.loads(event).get("body") == {"n": n}


def counts(home, url=URL):
    one = accounts(home, [url])[0]  # former sinks come behind
    assert one.delivered + one.quarantined + one.waiting == one.sealed
    return one.delivered, one.quarantined, one.waiting


def quarantine(home, url=URL):
    path = home / "ledger" / "sinks" / f"{sink_name(url)}.quarantine.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_every_sealed_event_is_delivered_once_in_order(home, sealed):
    sink = Sink()
    pump = Pump(home, {URL: sink})
    pump.once()
    pump.once()
    assert sink.events == list(stored(home))
    assert counts(home) == (len(sink.events), 0, 0)


def test_next_process_goes_on_where_the_last_one_stopped(home, sealed):
    first, second = Sink(), Sink()
    Pump(home, {URL: first}).once()
    sealed(2)
    Pump(home, {URL: second}).once()
    assert second.events
    assert first.events + second.events == list(stored(home))


def test_another_password_or_option_is_the_same_sink(home, sealed):
    Pump(home, {"test://u:one@host/place?key=1": Sink()}).once()
    again = Sink()
    Pump(home, {"test://u:two@host/place?key=2": again}).once()
    assert again.events == []
    with pytest.raises(ConfigError, match=r"two sinks are the same place: test://host/place$"):
        Pump(home, {"test://u:one@host/place": Sink(), "test://u:two@host/place": Sink()})


def test_sink_that_is_down_loses_nothing_and_is_given_time(home, sealed, caplog, monkeypatch):
    url = "test://user:pass" + "word@host/place?token=abcdef"
    sink = Sink(SinkError("no way for user:password to host, abcdef"))
    pump = Pump(home, {url: sink})
    with caplog.at_level(logging.WARNING, logger="guardai"):
        pump.once()
        pump.once()
        Pump(home, {url: sink}).once()  # nor does another process try at once
    assert caplog.text.count("the sink test://host/place failed") == len(sink.batches) == 1
    [one] = accounts(home, [url])
    assert one.account.error == "no way for …:… to host, …"
    for told in (caplog.text, *(path.read_text() for path in (home / "ledger" / "sinks").iterdir())):
        assert "password" not in told
        assert "abcdef" not in told
    sink.down = None
    pump.once(patient=False)
    assert counts(home, url) == (len(sink.events), 0, 0)
    assert sink.events == list(stored(home))
    assert accounts(home, [url])[0].account.failures == 0


def test_pauses_double_up_to_five_minutes_and_batches_halve_meanwhile(home, sealed):
    sink = Sink(OSError(5, "Input/output error"))
    pump = Pump(home, {URL: sink})
    pauses = []
    for _ in range(12):
        pump.once(patient=False)
        account = accounts(home, [URL])[0].account
        pauses.append(round((account.again - account.failure) / 1e6))
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert [count for count, _ in sink.batches][-3:] == [1, 1, 1]
    assert account.error == "OSError: Input/output error"
    sink.down = None
    pump.once(patient=False)
    assert counts(home)[2] == 0


@pytest.mark.parametrize(("asked", "pause"), [(0.0, 1), (17.0, 17), (1e9, 3600)])
def test_sink_that_says_when_to_come_again_is_asked_then(home, sealed, asked, pause):
    Pump(home, {URL: Sink(SinkError("later", after=asked))}).once()
    account = accounts(home, [URL])[0].account
    assert round((account.again - account.failure) / 1e6) == pause


def test_clock_that_was_far_ahead_does_not_silence_a_sink(home, sealed):
    Pump(home, {URL: Sink(SinkError("down"))}).once()
    [path] = (home / "ledger" / "sinks").glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "again": 2**52}))
    sink = Sink()
    Pump(home, {URL: sink}).once()
    assert sink.events


def test_words_of_an_exception_that_is_not_meant_for_it_are_not_told(home, sealed, caplog):
    with caplog.at_level(logging.WARNING, logger="guardai"):
        Pump(home, {URL: Sink(ValueError("Authorization: Bearer s3cret"))}).once()
    assert accounts(home, [URL])[0].account.error == "ValueError"
    assert "s3cret" not in caplog.text


def test_what_is_refused_goes_into_quarantine_and_the_rest_goes_on(home, sealed, at_once, caplog):
    url = "test://u:hush@host/place"
    sink = Sink(refuses=lambda event: note(1)(event) or note(2)(event))
    with caplog.at_level(logging.WARNING, logger="guardai"):
        Pump(home, {url: sink}).once()
    bad = [event for event in stored(home) if sink.refuses(event)]
    assert len(bad) == 2
    assert sink.events == [event for event in stored(home) if event not in bad]
    assert counts(home, url) == (len(sink.events), 2, 0)
    kept = quarantine(home, url)
    assert [one["event"] for one in kept] == [json.loads(event) for event in bad]
    assert {one["reason"] for one in kept} == {"it is not to my taste"}
    path = home / "ledger" / "sinks" / f"{sink_name(url)}.quarantine.jsonl"
    assert all(event in path.read_bytes() for event in bad)  # the exact bytes
    assert path.stat().st_mode & 0o777 == 0o600
    assert "hush" not in caplog.text + path.read_text()


@pytest.mark.parametrize(("refusals", "aside"), [(2, 0), (3, 1)])
def test_event_is_refused_three_times_on_its_own_before_it_is_put_aside(home, sealed, at_once, refusals, aside):
    class Moody(Sink):
        alone = 0

        def deliver(self, events, *, seconds):
            if any(map(note(1), events)):
                self.alone += len(events) == 1
                if self.alone <= refusals:
                    raise SinkRefused("not in this mood")
            super().deliver(events, seconds=seconds)

    sink = Moody()
    Pump(home, {URL: sink}).once()
    assert sink.alone == 3
    assert counts(home) == (len(sink.events), aside, 0)
    assert len(quarantine(home)) == aside


class Choking(Sink):
    """Does not refuse an event: it breaks on it."""

    def deliver(self, events, *, seconds):
        if any(map(note(1), events)):
            raise SinkError("500")
        super().deliver(events, seconds=seconds)


def test_event_on_which_a_sink_fails_for_long_is_put_aside_if_the_one_behind_it_is_taken(home, sealed):
    sink = Choking()
    pump = Pump(home, {URL: sink})
    for tried in range(20):
        pump.once(patient=False)
        if quarantine(home):
            break
    assert tried >= 10
    [kept] = quarantine(home)
    assert kept["event"]["body"] == {"n": 1}
    assert kept["reason"].startswith("failed 11 times in a row, while the event behind it was taken: 500")
    assert set(sink.events) == {event for event in stored(home) if not note(1)(event)}
    assert counts(home)[1:] == (1, 0)


def test_sink_that_is_down_for_long_has_nothing_put_aside(home, sealed):
    pump = Pump(home, {URL: Sink(SinkError("down"))})
    for _ in range(15):
        pump.once(patient=False)
    assert counts(home) == (0, 0, len(list(stored(home))))


def test_sink_that_refuses_everything_leaves_everything_in_quarantine(home, sealed, at_once):
    Pump(home, {URL: Sink(refuses=lambda event: True)}).once()
    assert counts(home) == (0, len(list(stored(home))), 0)
    assert [json.dumps(one["event"]) for one in quarantine(home)] == [json.dumps(json.loads(e)) for e in stored(home)]


def test_retry_takes_up_what_was_refused(home, sealed, at_once):
    sink = Sink(refuses=lambda event: note(0)(event) or note(2)(event))
    Pump(home, {URL: sink}).once()
    sink.refuses = note(2)
    assert Delivery(home, URL, sink, Ending()).retry() == (1, 1)
    assert [one["event"]["body"] for one in quarantine(home)] == [{"n": 2}]
    assert counts(home)[1:] == (1, 0)
    sink.refuses = lambda event: False
    assert Delivery(home, URL, sink, Ending()).retry() == (1, 0)
    assert sorted(sink.events) == sorted(stored(home))
    assert counts(home) == (len(sink.events), 0, 0)


def test_retry_at_a_sink_that_is_down_keeps_what_it_did_not_take(home, sealed, at_once):
    sink = Sink(refuses=lambda event: True)
    Pump(home, {URL: sink}).once()
    before = quarantine(home)
    with pytest.raises(SinkError, match="no way"):
        Delivery(home, URL, Sink(SinkError("no way")), Ending()).retry()
    assert quarantine(home) == before


def test_unreadable_account_means_from_the_beginning(home, sealed, at_once):
    sink = Sink(refuses=note(1))
    pump = Pump(home, {URL: sink})
    pump.once()
    [account] = (home / "ledger" / "sinks").glob("*.json")
    account.write_bytes(b"not json")
    sink.refuses = lambda event: False
    pump.once()
    assert set(sink.events) == set(stored(home))
    assert counts(home) == (len(list(stored(home))), 0, 0)
    assert quarantine(home) == []


def test_store_that_was_set_back_is_delivered_from_its_beginning(home, sealed, tmp_path):
    first = Sink()
    Pump(home, {URL: first}).once()
    other = tmp_path / "other"
    guardai.init(home=other, integrations=[])
    with guardai.session(agent="b"):
        for n in range(30):
            guardai.record("test.note", n=n)
    guardai.shutdown()
    (home / "ledger" / "sinks").rename(other / "ledger" / "sinks")
    second = Sink()
    Pump(other, {URL: second}).once()
    assert second.events == list(stored(other))


def test_store_that_is_away_for_a_while_changes_no_account(home, sealed, at_once):
    sink = Sink(refuses=note(1))
    pump = Pump(home, {URL: sink})
    pump.once()
    before, kept = counts(home), quarantine(home)
    sealed_events = len(sink.events)
    with away(home):
        pump.once()
    pump.once()
    assert (counts(home), quarantine(home), len(sink.events)) == (before, kept, sealed_events)


@pytest.mark.parametrize("rest", [b"", b'{"event":{"id":"torn'])
def test_death_after_an_event_was_put_aside_and_before_it_was_counted(home, sealed, at_once, rest):
    """The quarantine is written first: what is in it and not counted is offered again, and counted once."""
    sink = Sink(refuses=note(1))
    Pump(home, {URL: sink}).once()
    [path] = (home / "ledger" / "sinks").glob("*.quarantine.jsonl")
    [account] = (home / "ledger" / "sinks").glob("*.json")
    leaf = json.loads(path.read_text())["leaf"]
    path.write_bytes(path.read_bytes() + rest)
    account.write_text(json.dumps({"next": leaf}))
    assert counts(home)[1] == 0
    taken = Sink()
    Pump(home, {URL: taken}).once()
    assert any(map(note(1), taken.events))
    assert counts(home)[1:] == (0, 0)
    assert quarantine(home) == []


def test_full_disk_under_the_accounts_repeats_and_loses_nothing(home, sealed, at_once, monkeypatch):
    from guardai.ledger import account

    sink = Sink(refuses=note(1))
    pump = Pump(home, {URL: sink})
    with monkeypatch.context() as full:

        def no_space(*_):
            raise OSError(28, "No space left on device")

        full.setattr(account, "replace", no_space)
        pump.once()
        assert sink.events
        assert counts(home)[:2] == (0, 0)
        tried = len(sink.batches)
        pump.once()
        assert len(sink.batches) == tried  # it is given time, though that cannot be noted
    pump.once(patient=False)
    assert set(sink.events) == {event for event in stored(home) if not sink.refuses(event)}
    assert counts(home)[1:] == (1, 0)


def test_home_that_is_gone_stops_nothing(home, sealed, caplog):
    import shutil

    pump = Pump(home, {URL: Sink()})
    shutil.rmtree(home)
    home.write_text("in the way")
    pump.once()
    assert "failed (" in caplog.text


def test_one_process_at_a_time_pumps_for_a_sink(home, sealed):
    two = Sink()

    class Slow(Sink):
        def deliver(self, events, *, seconds):
            Pump(home, {URL: two}).once()
            super().deliver(events, seconds=seconds)

    Pump(home, {URL: (one := Slow())}).once()
    assert one.events
    assert two.events == []


class Hanging:
    """Takes no notice of its limit until it is let go."""

    def __init__(self):
        self.asked, self.go = threading.Event(), threading.Event()

    def deliver(self, events, *, seconds):
        self.asked.set()
        self.go.wait()


def test_sink_that_hangs_holds_up_no_call_no_other_sink_and_no_shutdown(home, monkeypatch):
    hanging, quick = Hanging(), Sink()
    made = {"a": hanging, "b": quick}
    monkeypatch.setattr("guardai.sinks.open_sink", lambda url: made[url[0]])
    try:
        guardai.init(home=home, integrations=[], sinks=["a://x", "b://x"])
        with guardai.session(agent="a"):
            guardai.record("test.note", n=0)
            assert hanging.asked.wait(60)
            guardai.record("test.note", n=1)  # while it hangs
        guardai.shutdown()
        until = time.monotonic() + 60
        while not any(map(note(1), quick.events)) and time.monotonic() < until:
            time.sleep(0.02)
        assert any(map(note(1), quick.events))
        assert not hanging.go.is_set()
        assert counts(home, "a://x")[:2] == (0, 0)
    finally:
        hanging.go.set()


def test_sink_is_told_how_long_it_may_take_and_less_at_the_end(home, sealed):
    sink = Sink()
    pump = Pump(home, {URL: sink})
    pump.once()
    sealed()
    pump._ending.within(20)
    pump.once()
    (_, first), (_, last) = sink.batches
    assert first == 30
    assert 0 < last <= 20


def test_nothing_of_the_gate_governs_or_records_what_a_sink_does(home, tmp_path, monkeypatch, events):
    class Database(Sink):
        """As a sink into a database would: through a driver that is governed."""

        def deliver(self, events, *, seconds):
            db = sqlite3.connect(tmp_path / "sink.db")
            db.execute("CREATE TABLE IF NOT EXISTS sink (event)")
            db.executemany("INSERT INTO sink VALUES (?)", [(event,) for event in events])
            db.commit()
            db.close()
            super().deliver(events, seconds=seconds)

    sink = Database()
    monkeypatch.setattr("guardai.sinks.open_sink", lambda url: sink)
    guardai.init(home=home, app_calls="record", integrations=["dbapi"], sinks=[URL])
    with guardai.session(agent="a"):
        current().pump.start()
        guardai.record("test.note", n=0)
        sqlite3.connect(":memory:").execute("SELECT 1").fetchall()
    guardai.shutdown()
    assert sink.events == list(stored(home))
    assert len(events(kind="call.intent")) == 1  # that of the session


CHILD = """
import os, sys, time, guardai
guardai.init(integrations=[], sinks=["jsonl://" + sys.argv[1]])
guardai.record("test.note", who="parent")
read, write = os.pipe()
if os.fork() == 0:
    os.close(write)
    os.read(read, 1)  # returns when the parent is gone
    guardai.record("test.note", who="child")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.05)
        if os.path.exists(sys.argv[1]) and '"who":"child"' in open(sys.argv[1]).read():
            os._exit(0)
    os._exit(1)
os.execv("/bin/true", ["true"])  # its threads are gone, and its end of the pipe
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_delivers_when_its_parent_is_gone(home, tmp_path):
    out = tmp_path / "out.jsonl"
    subprocess.run([sys.executable, "-c", CHILD, str(out)], check=True, timeout=120)
    until = time.monotonic() + 90
    while not (out.exists() and '"who":"child"' in out.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    assert '"who":"child"' in out.read_text()


KILLED = """
import sys, time
from pathlib import Path
from guardai import SinkRefused
from guardai.ledger import Pump, delivery

delivery._AGAIN, delivery._BATCH = (0.0, 0.0), 4
home, out, url = sys.argv[1:]

class Sink:
    def deliver(self, events, *, seconds):
        if any(b'"n":7' in event or b'"n":13' in event for event in events):
            raise SinkRefused("no")
        with open(out, "ab", buffering=0) as file:
            for event in events:
                file.write(event + b"\\n")

print("ready", flush=True)
pump = Pump(Path(home), {url: Sink()}, every=0.001)
pump.start()
time.sleep(600)
"""


def test_accounts_add_up_and_nothing_is_lost_whenever_the_process_is_killed(home, sealed, tmp_path):
    out = tmp_path / "out"
    chance = random.Random(3)
    sealed(40)
    wanted = set(stored(home))
    for _ in range(15):
        command = [sys.executable, "-c", KILLED, str(home), str(out), URL]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        try:
            for process in both:
                process.stdout.readline()
            time.sleep(chance.random() * (0.5 if is_postgres(home) else 0.03))
        finally:
            for process in both:
                process.send_signal(signal.SIGKILL)
                process.wait()
                process.stdout.close()
        counts(home)
        if counts(home)[2] == 0 and chance.random() < 0.5:
            sealed(40)
            wanted = set(stored(home))
    sink = Sink(refuses=lambda event: b'"n":7' in event or b'"n":13' in event)
    delivery_ = Pump(home, {URL: sink})
    delivery_.once()
    delivered = {line for line in out.read_bytes().split(b"\n") if line} | set(sink.events)
    refused = [json.dumps(one["event"]) for one in quarantine(home)]
    assert len(refused) == len(set(refused))
    bad = {event for event in wanted if sink.refuses(event)}
    assert delivered & wanted == wanted - bad
    assert counts(home) == (len(wanted) - len(bad), len(bad), 0)
    assert len(refused) == len(bad)


def test_settings_name_sinks_and_shutdown_delivers(home, tmp_path):
    guardai.init(home=home, integrations=[], sinks=[f"jsonl://{tmp_path}/out.jsonl"])
    with guardai.session(agent="a"):
        guardai.record("test.note", n=1)
    assert current() is not None
    guardai.shutdown()
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert kinds == ["log.open", "session.open", "test.note", "session.close", "log.close"]


def test_unknown_sink_is_told_by_init(home):
    with pytest.raises(guardai.ConfigError, match="no sink for 'pigeon'"):
        guardai.init(home=home, integrations=[], sinks=["pigeon://loft/topic"])
