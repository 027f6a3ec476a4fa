"""CloudEvents: what a web hook gets, and what comes of what it answers."""

import http.server
import json
import threading
from datetime import datetime

import pytest

import guardai
from guardai import ConfigError, SinkError, SinkRefused
from guardai.ledger import Pump, accounts, delivery
from guardai.ledger import events as stored
from guardai.sinks import open_sink
from guardai.sinks.cloudevents import CloudEventsSink, batch

EVENT = {
    "id": "5f0c1a2b3c4d5e6f-1a", "kind": "call.outcome", "log": "5f0c1a2b3c4d5e6f", "seq": 26, "session": "s1",
    "trace": {"span_id": "00f067aa0ba902b7", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}, "ts": 1_700_000_000_000_001, "v": 1,
}  # fmt: skip


def encoded(**changes):
    return json.dumps({**EVENT, **changes}, separators=(",", ":"), sort_keys=True).encode()


class Receiver:
    """A web hook that checks what CloudEvents 1.0 asks of a batch, and answers what it is told to."""

    def __init__(self, answer=lambda events: 204, **headers):
        self.taken, self.headers, self.faults = [], [], []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.headers.append({name.lower(): text for name, text in self.headers.items()})
                events = json.loads(body)
                receiver.faults += [fault for event in events for fault in faults(event)]
                status = answer(events)
                if status < 300:
                    receiver.taken += events
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name.replace("_", "-"), text)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self):
        return f"cloudevents+http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def faults(event):
    """What CloudEvents 1.0 forbids: attributes that are missing or empty, names and times of another form."""
    for name in ("specversion", "id", "source", "type"):
        if not isinstance(event.get(name), str) or not event[name]:
            yield f"no {name}"
    if event.get("specversion") != "1.0":
        yield "another version"
    for name in event:
        if not name.isascii() or not name.isalnum() or name.lower() != name or len(name) > 20:
            yield f"no name: {name}"
    if not event["time"].endswith("Z") or datetime.fromisoformat(event["time"]).tzinfo is None:
        yield "no time"


def test_receiver_gets_each_event_with_its_bytes_as_they_are():
    with Receiver() as receiver:
        open_sink(receiver.url).deliver([encoded(), encoded(seq=27, session="", trace=None)])
    assert receiver.faults == []
    assert receiver.headers[0]["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    first, second = receiver.taken
    assert first.pop("data") == EVENT
    assert first == {
        "specversion": "1.0",
        "id": "5f0c1a2b3c4d5e6f-1a",
        "source": "urn:guardai:log:5f0c1a2b3c4d5e6f",
        "type": "dev.guardai.call.outcome.v1",
        "subject": "s1",
        "time": "2023-11-14T22:13:20.000001Z",
        "datacontenttype": "application/json",
        "sequence": "0000000000000026",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    }
    assert {"subject", "traceparent"} & second.keys() == set()
    assert encoded() in batch([encoded()])  # the signed bytes


def test_whole_ledger_reaches_the_receiver_around_what_it_refuses(home, monkeypatch):
    monkeypatch.setattr(delivery, "_AGAIN", (0.0, 0.0))
    guardai.init(home=home, integrations=[])
    with guardai.session(agent="a"):
        for n in range(5):
            guardai.record("test.note", n=n)
    guardai.shutdown()

    def picky(events):
        return 422 if any(event["data"].get("body") == {"n": 3} for event in events) else 200

    with Receiver(picky) as receiver:
        Pump(home, {receiver.url: CloudEventsSink(receiver.url)}).once()
        [one] = accounts(home, [receiver.url])
    assert receiver.faults == []
    assert (one.quarantined, one.waiting) == (1, 0)
    wanted = [json.loads(event) for event in stored(home)]
    assert [event["data"] for event in receiver.taken] == [event for event in wanted if event.get("body") != {"n": 3}]


@pytest.mark.parametrize(
    "trace", [{}, {"trace_id": "0" * 32, "span_id": "1" * 16}, {"trace_id": "x" * 32, "span_id": 5}]
)
def test_trace_that_is_none_is_left_out(trace):
    assert "traceparent" not in json.loads(batch([encoded(trace=trace)]))[0]


def test_receiver_that_is_busy_is_asked_when_it_says():
    with Receiver(lambda events: 429, retry_after="9") as receiver, pytest.raises(SinkError, match="429") as told:
        CloudEventsSink(receiver.url).deliver([encoded()])
    assert (type(told.value), told.value.after) == (SinkError, 9.0)


@pytest.mark.parametrize("status", [301, 401, 404, 410, 415, 500])
def test_answers_that_are_not_about_the_events_leave_them_waiting(status):
    with Receiver(lambda events: status, location="http://127.0.0.1:1/") as receiver, pytest.raises(SinkError) as told:
        CloudEventsSink(receiver.url).deliver([encoded()])
    assert type(told.value) is SinkError


@pytest.mark.parametrize("status", [400, 413, 422])
def test_answers_that_are_about_the_events_refuse_them(status):
    with Receiver(lambda events: status) as receiver, pytest.raises(SinkRefused):
        CloudEventsSink(receiver.url).deliver([encoded()])


def test_key_comes_from_the_environment(monkeypatch, home):
    monkeypatch.setenv("GUARDAI_CLOUDEVENTS_HEADERS", "authorization=Bearer%20s3cret")
    with Receiver() as receiver:
        guardai.init(home=home, integrations=[])  # the variable is no setting
        CloudEventsSink(receiver.url).deliver([encoded()])
    assert receiver.headers[0]["authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    "url", ["cloudevents+https://u:hush@h/", "cloudevents+https://h/?access_token=hush", "cloudevents+https:///", "cloudevents+ftp://h/"]
)  # fmt: skip
def test_url_that_is_no_web_hook_is_refused_without_its_secrets(url):
    with pytest.raises(ConfigError, match="is no web hook") as told:
        CloudEventsSink(url)
    assert "hush" not in str(told.value)
