import json
import logging

import pytest

import guardai
from guardai.gate import current
from guardai.ledger import Pump


class Sink:
    def __init__(self):
        self.events, self.down = [], False

    def deliver(self, events):
        if self.down:
            raise ConnectionError("down")
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


def ids(sink):
    return [json.loads(event)["id"] for event in sink.events]


def test_every_sealed_event_is_delivered_once_in_order(home, sealed):
    from guardai.ledger import events

    sink = Sink()
    pump = Pump(home, {"test:": sink})
    pump.once()
    pump.once()
    assert sink.events == list(events(home))


def test_next_process_goes_on_where_the_last_one_stopped(home, sealed):
    first, second = Sink(), Sink()
    Pump(home, {"test:": first}).once()
    sealed(2)
    Pump(home, {"test:": second}).once()
    assert second.events
    assert not set(ids(first)) & set(ids(second))


def test_sink_that_is_down_loses_nothing_and_is_given_time(home, sealed, caplog, monkeypatch):
    sink = Sink()
    sink.down = True
    pump = Pump(home, {"test://user:pass" + "word@host": sink})
    with caplog.at_level(logging.WARNING, logger="guardai"):
        pump.once()
        pump.once()
    assert caplog.text.count("a sink took nothing (ConnectionError)") == 1
    assert "password" not in caplog.text
    sink.down = False
    later = __import__("time").monotonic() + 10
    monkeypatch.setattr("guardai.ledger.pump.time.monotonic", lambda: later)
    pump.once()
    assert len(sink.events) >= 3


def test_unreadable_cursor_means_from_the_beginning(home, sealed):
    sink = Sink()
    pump = Pump(home, {"test:": sink})
    pump.once()
    count = len(sink.events)
    [cursor] = (home / "ledger" / "sinks").glob("*.json")
    cursor.write_bytes(b"not json")
    pump.once()
    assert len(sink.events) == 2 * count


def test_one_process_at_a_time_pumps_for_a_sink(home, sealed):
    one, two = Sink(), Sink()

    class Slow(Sink):
        def deliver(self, events):
            Pump(home, {"test:": two}).once()
            super().deliver(events)

    Pump(home, {"test:": (one := Slow())}).once()
    assert one.events
    assert two.events == []


def test_settings_name_sinks_and_shutdown_delivers(home, tmp_path):
    guardai.init(home=home, integrations=[], sinks=[f"jsonl://{tmp_path}/out.jsonl"])
    with guardai.session(agent="a"):
        guardai.record("test.note", n=1)
    assert current() is not None
    guardai.shutdown()
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert kinds == ["log.open", "session.open", "test.note", "session.close", "log.close"]


def test_unknown_sink_is_told_by_init(home):
    with pytest.raises(guardai.ConfigError, match="no sink for 'kafka'"):
        guardai.init(home=home, integrations=[], sinks=["kafka://broker/topic"])
