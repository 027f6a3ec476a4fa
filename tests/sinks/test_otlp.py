"""OTLP: what a collector gets, and what comes of what it answers. The collector is a loopback server that decodes the protocol's own messages."""

import email.utils
import gzip
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("opentelemetry.proto")

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber

import guardai
from guardai import ConfigError, SinkError, SinkRefused
from guardai.ledger import Pump, accounts, delivery
from guardai.ledger import events as stored
from guardai.sinks import open_sink
from guardai.http import Answer, retry_after
from guardai.sinks.http import post
from guardai.sinks.otlp import OtlpSink
from guardai.sinks.otlp_record import record, request

EVENT = {
    "action": "llm.generate",
    "body": {"error": "TimeoutError"},
    "call": "ab-1",
    "decision": {
        "bundle": "d1", "effect": "allow", "masks": {"pii.email": "token"}, "mode": "enforce", "policies": ["reads", "eu"]
    },
    "dur": 1200,
    "findings": {"pii.email": 2},
    "id": "5f0c1a2b3c4d5e6f-1a",
    "key": "k1",
    "kind": "call.outcome",
    "log": "5f0c1a2b3c4d5e6f",
    "model": {"host": "api.openai.com", "provider": "openai", "region": "us", "requested": "gpt-5", "responded": "gpt-5-1"},
    "prev": "00ff",
    "principal": {"agent": "report-bot", "assurance": "asserted", "kind": "agent", "user": "u-1042"},
    "resource": [{"dir": "out", "uri": "model://api.openai.com/gpt-5"}],
    "seq": 26,
    "session": "s1",
    "status": "error",
    "trace": {"span_id": "00f067aa0ba902b7", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"},
    "ts": 1_700_000_000_000_001,
    "usage": {"completion_tokens": 7, "prompt_tokens": 11, "total_tokens": 18},
    "v": 1,
}  # fmt: skip


def encoded(**changes):
    return json.dumps({**EVENT, **changes}, separators=(",", ":"), sort_keys=True).encode()


def value(one):
    kind = one.WhichOneof("value")
    found = getattr(one, kind)
    return [value(each) for each in found.values] if kind == "array_value" else found


def attributes(made):
    return {one.key: value(one.value) for one in made.attributes}


class Collector:
    """Answers each request with what is next in `answers`; the last one for good."""

    def __init__(self, *answers):
        self.answers = list(answers) or [ok()]
        self.requests, self.records = [], []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                got = ExportLogsServiceRequest.FromString(gzip.decompress(body))
                collector.requests.append((self.path, dict(self.headers), got))
                answer = collector.answers.pop(0) if len(collector.answers) > 1 else collector.answers[0]
                records = [one for r in got.resource_logs for s in r.scope_logs for one in s.log_records]
                if callable(answer):
                    answer = answer(records)
                status, headers, content = answer
                if status == 200:
                    collector.records += records
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name, text)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self):
        return f"otlp+http://127.0.0.1:{self._server.server_port}/v1/logs"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def ok(rejected=0, message=""):
    told = ExportLogsServiceResponse()
    if rejected:
        told.partial_success.rejected_log_records = rejected
        told.partial_success.error_message = message
    return 200, {"content-type": "application/x-protobuf"}, told.SerializeToString()


def failing(status, **headers):
    return status, {name.replace("_", "-"): text for name, text in headers.items()}, b"no"


def test_collector_gets_each_event_as_a_record_whose_body_is_its_exact_bytes():
    sent = [encoded(), encoded(id="5f0c1a2b3c4d5e6f-1b", kind="call.intent", status="", text="é")]
    with Collector() as collector:
        open_sink(collector.url).deliver(sent)
    [(path, headers, got)] = collector.requests
    headers = {name.lower(): text for name, text in headers.items()}
    assert path == "/v1/logs"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["content-encoding"] == "gzip"
    [resource] = got.resource_logs
    assert {one.key: value(one.value) for one in resource.resource.attributes} == {"service.name": "guardai"}
    assert [one.body.string_value.encode() for one in collector.records] == sent


def test_record_bears_the_names_of_the_conventions_for_generative_ai():
    made = record(encoded())
    found = attributes(made)
    assert {name: found[name] for name in found if not name.startswith("guardai.")} == {
        "error.type": "TimeoutError",
        "gen_ai.agent.name": "report-bot",
        "gen_ai.conversation.id": "s1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.model": "gpt-5-1",
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "log.record.uid": "5f0c1a2b3c4d5e6f-1a",
        "server.address": "api.openai.com",
        "user.id": "u-1042",
    }
    assert found["guardai.decision.policies"] == ["reads", "eu"]
    assert found["guardai.findings.pii.email"] == 2
    assert found["guardai.masks.pii.email"] == "token"
    assert found["guardai.resource"] == ["model://api.openai.com/gpt-5"]
    assert (found["guardai.log.id"], found["guardai.log.seq"]) == ("5f0c1a2b3c4d5e6f", 26)
    assert made.time_unix_nano == made.observed_time_unix_nano == 1_700_000_000_000_001_000
    assert made.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert made.span_id.hex() == "00f067aa0ba902b7"
    assert made.event_name == "guardai.call.outcome"


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"status": "ok"}, "INFO"),
        ({"status": "error"}, "ERROR"),
        ({"status": "denied"}, "WARN"),
        ({"status": "unknown"}, "WARN"),
        ({"status": "", "kind": "call.intent", "decision": {"effect": "deny"}}, "WARN"),
        ({"status": "", "kind": "call.intent", "decision": {"effect": "allow"}}, "INFO"),
        ({"status": "", "kind": "gap", "decision": None}, "ERROR"),
        ({"status": "", "kind": "log.open", "decision": None}, "INFO"),
    ],
)
def test_severity_follows_the_status(changes, severity):
    made = record(encoded(**changes))
    assert made.severity_text == severity
    assert made.severity_number == SeverityNumber.Value(f"SEVERITY_NUMBER_{severity}")


def test_tool_call_names_its_tool():
    found = attributes(record(encoded(action="tool.call", resource=[{"dir": "out", "uri": "tool://update_customer"}])))
    assert (found["gen_ai.operation.name"], found["gen_ai.tool.name"]) == ("execute_tool", "update_customer")


@pytest.mark.parametrize(
    "trace", [None, {}, {"trace_id": "0" * 32, "span_id": "0" * 16}, {"trace_id": "x" * 32, "span_id": 5}]
)
def test_trace_that_is_none_is_left_out(trace):
    made = record(encoded(trace=trace))
    assert (made.trace_id, made.span_id) == (b"", b"")


def test_every_kind_of_event_that_the_ledger_writes_can_be_mapped_and_always_to_the_same(home):
    guardai.init(home=home)
    with guardai.session(agent="a"):
        guardai.record("test.note", n=1)

        @guardai.tool(effects="read")
        def look(x):
            return x

        look("mail ann@example.com")
    guardai.shutdown()
    events = list(stored(home))
    assert {json.loads(event)["kind"] for event in events} >= {
        "log.open",
        "session.open",
        "call.intent",
        "call.outcome",
    }
    assert request(events) == request(events)
    assert len(ExportLogsServiceRequest.FromString(request(events)).resource_logs[0].scope_logs[0].log_records) == len(
        events
    )


@pytest.mark.parametrize("status", [429, 503])
def test_collector_that_is_busy_says_when_to_come_again(status):
    with Collector(failing(status, retry_after="17")) as collector, pytest.raises(SinkError) as told:
        OtlpSink(collector.url).deliver([encoded()])
    assert (told.value.after, type(told.value)) == (17.0, SinkError)


def test_retry_after_is_a_number_or_a_date_or_nothing():
    def after(text):
        return retry_after(Answer(503, {"retry-after": text}, b""))

    assert after("0") == 0
    assert 50 < after(email.utils.formatdate(time.time() + 60, usegmt=True)) <= 60
    assert after(email.utils.formatdate(0, usegmt=True)) == 0
    assert [after(text) for text in ("", "soon", "-5", "1e3", "²")] == [None] * 5
    assert retry_after(Answer(503, {}, b"")) is None


@pytest.mark.parametrize("status", [301, 401, 403, 404, 415, 500, 502])
def test_answers_that_are_not_about_the_records_leave_them_waiting(status):
    with Collector(failing(status, location="http://127.0.0.1:1/")) as collector, pytest.raises(SinkError) as told:
        OtlpSink(collector.url).deliver([encoded()])
    assert type(told.value) is SinkError
    assert str(status) in str(told.value)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_answers_that_are_about_the_records_refuse_them(status):
    with Collector(failing(status)) as collector, pytest.raises(SinkRefused, match=str(status)):
        OtlpSink(collector.url).deliver([encoded()])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((200, {"content-type": "text/html"}, b"<html>please log in"), "no collector: it sends text/html"),
        ((200, {}, b""), "no collector: it sends no type"),
        ((200, {"content-type": "application/x-protobuf"}, b"\xff\xff"), "no collector: its answer cannot be read"),
        ((200, {"content-type": "application/x-protobuf"}, b"x" * 1_100_000), "longer than an answer can be"),
    ],
)
def test_something_that_only_says_200_has_delivered_nothing(answer, why):
    with Collector(answer) as collector, pytest.raises(SinkError, match=why):
        OtlpSink(collector.url).deliver([encoded()])


def test_records_that_a_collector_rejects_in_part_are_found_and_put_aside(home, monkeypatch):
    monkeypatch.setattr(delivery, "_AGAIN", (0.0, 0.0))
    guardai.init(home=home, integrations=[])
    with guardai.session(agent="a"):
        for n in range(9):
            guardai.record("test.note", n=n)
    guardai.shutdown()

    def in_part(records):
        return ok(sum('"n":4' in one.body.string_value for one in records), "4 is not for us")

    with Collector(in_part) as collector:
        Pump(home, {collector.url: OtlpSink(collector.url)}).once()
        [one] = accounts(home, [collector.url])
    assert (one.quarantined, one.waiting) == (1, 0)
    assert one.delivered == one.sealed - 1
    assert one.account.error == "the collector rejected 1 records: 4 is not for us"
    assert {one.body.string_value.encode() for one in collector.records} == set(stored(home))


AT_EXIT = """
import sys, guardai
guardai.init(integrations=[], sinks=[sys.argv[1]])
with guardai.session(agent="a"):
    guardai.record("test.note", n=1)
"""


def test_program_that_simply_ends_delivers_its_last_events(home):
    """At the end of the interpreter, where no thread can be started; by a host's name, which has to be looked up."""
    with Collector() as collector:
        done = subprocess.run(
            [sys.executable, "-c", AT_EXIT, collector.url.replace("127.0.0.1", "localhost")], capture_output=True, text=True,
            env={**os.environ, "GUARDAI_HOME": str(home)}, timeout=120,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert {one.body.string_value.encode() for one in collector.records} == set(stored(home))


def test_keys_come_from_the_environment_and_are_told_to_nobody_else(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cret%20key, x-tenant = a")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-tenant=b")
    with Collector(ok(1, "who is s3cret key?")) as collector, pytest.raises(SinkRefused) as told:
        OtlpSink(collector.url).deliver([encoded()])
    headers = {name.lower(): text for name, text in collector.requests[0][1].items()}
    assert (headers["api-key"], headers["x-tenant"]) == ("s3cret key", "b")
    assert str(told.value).endswith("who is …?")
    assert "s3cret" not in repr(vars(told.value))


@pytest.mark.parametrize("bad", ["s3cret", "=s3cret", "a b=s3cret", "a=s3cret%0d%0ax: y", "a=s3cret%C3%A9"])
def test_header_that_is_none_is_refused_and_not_told(monkeypatch, bad):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", bad)
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_HEADERS is not of the form") as told:
        OtlpSink("otlp+http://127.0.0.1:4318")
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    "url", ["otlp+http://", "otlp+http:///v1/logs", "otlp+http://h:0/", "otlp+http://h:x/", "otlp+http://u:hush@h/",
            "otlp+http://h/?key=hush", "otlp+http://h/#hush", "otlp+http://[h/"],
)  # fmt: skip
def test_url_that_is_no_endpoint_is_refused_without_its_secrets(url):
    with pytest.raises(ConfigError, match="is no OTLP endpoint") as told:
        OtlpSink(url)
    assert "hush" not in str(told.value)


def test_endpoint_without_a_path_is_the_usual_one():
    with Collector() as collector:
        OtlpSink(collector.url.removesuffix("/v1/logs")).deliver([encoded()])
    assert collector.requests[0][0] == "/v1/logs"


def test_nobody_at_home_is_told_without_the_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SinkError, match="no connection: Connection refused$"):
        OtlpSink(f"otlp+http://127.0.0.1:{port}").deliver([encoded()])


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n\r\n"])
def test_server_that_sends_nothing_or_a_byte_now_and_then_is_given_its_time_and_no_more(said):
    """The second answer has no length: cut off, it looks like a whole and empty one. It must not count as success."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _ = server.accept()
            with connection:
                connection.sendall(said)
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"H" if not said else b"")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(SinkError, match="no answer in time"):
                OtlpSink(f"otlp+http://127.0.0.1:{server.getsockname()[1]}").deliver([encoded()], seconds=0.5)
        finally:
            stop.set()
            thread.join()


def test_post_follows_no_redirect():
    with Collector(failing(307, location="http://127.0.0.1:1/")) as collector:
        answer = post(collector.url.removeprefix("otlp+"), gzip.compress(b""), {}, 5.0)
    assert answer.status == 307


def test_certificate_that_nobody_vouches_for_is_refused(tmp_path, certificate):
    import ssl

    certificate(tmp_path)
    pem, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    with Collector() as collector:
        collector._server.socket = context.wrap_socket(collector._server.socket, server_side=True)
        url = collector.url.replace("otlp+http", "otlp+https")
        with pytest.raises(SinkError):
            OtlpSink(url).deliver([encoded()])
        assert collector.requests == []
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(pem))
            OtlpSink(url).deliver([encoded()])
        assert len(collector.records) == 1
