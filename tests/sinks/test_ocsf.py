"""OCSF: what a receiver gets, checked against what the schema asks for; Splunk's collector as its documentation has it."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from services import served

from guardai import ConfigError, SinkError, SinkRefused
from guardai.sinks import open_sink
from guardai.sinks.ocsf import OcsfSink, SplunkSink
from guardai.sinks.ocsf_record import record

SAMPLES = (Path(__file__).parents[1] / "ledger" / "events-v1.jsonl").read_bytes().splitlines()

#: From the schema of OCSF 1.9: attribute → its type, or the object that it is; "!" is required; "+" one of these is. Closed: no other may be there.
OBJECTS = {
    "event": {
        "activity_id!": int, "category_uid!": int, "class_uid!": int, "type_uid!": int, "severity_id!": int, "time!": int,
        "metadata!": "metadata", "activity_name": str, "message": str, "raw_data": str, "raw_data_size": int, "status": str,
        "status_id": int, "status_code": str, "status_detail": str, "actor": "actor", "attestation_list": ["attestation"],
        "action": str, "action_id": int, "disposition_id": int, "is_alert": bool, "policy": "policy", "ai_agent": "ai_agent",
        "ai_model": "ai_model", "message_context": "message_context", "src_endpoint": "endpoint", "api": "api",
        "resources": ["resource"], "database": "database", "table": "entity",
    },
    "metadata": {
        "version!": str, "product!": "product", "uid": str, "log_name": str, "sequence": int, "original_time": str, "event_code": str,
        "profiles": [str], "correlation_uid": str,
    },
    "product": {"name+": str, "uid+": str, "vendor_name": str, "version": str},
    "actor": {"user+": "user", "session+": "session", "app_name+": str},
    "user": {"name+": str, "uid+": str},
    "session": {"uid": str},
    "attestation": {
        "fingerprint+": "fingerprint", "uid": str, "authority_uid": str, "chain_uid": str, "prev_event": "prev_event",
    },
    "prev_event": {"uid!": str, "fingerprint": "fingerprint"},
    "fingerprint": {"algorithm_id!": int, "value!": str, "algorithm": str, "encoding_id": int, "serialization_id": int},
    "policy": {"name+": str, "uid+": str, "desc": str, "is_applied": bool},
    "ai_agent": {"name+": str, "uid+": str},
    "ai_model": {"ai_provider!": str, "name!": str, "version": str},
    "message_context": {
        "application+": str, "uid": str, "prompt_tokens": int, "completion_tokens": int, "total_tokens": int,
    },
    "endpoint": {"uid+": str, "name+": str},
    "api": {"operation!": str, "response": "response"},
    "response": {"error": str},
    "resource": {"name+": str, "uid+": str},
    "database": {"name+": str, "uid+": str, "type_id!": int},
    "entity": {"name+": str, "uid+": str},
}  # fmt: skip
#: Class → what it requires besides, and its activities.
CLASSES = {
    0: (0, (), {0, 99}),
    6003: (6, ("actor", "api", "src_endpoint"), {0, 1, 2, 3, 4, 99}),
    6005: (6, ("actor", "src_endpoint", "database"), {*range(11), 99}),
}
IDS = {
    "severity_id": {0, 1, 2, 3, 4, 5, 6, 99}, "status_id": {0, 1, 2, 99}, "action_id": {0, 1, 2, 3, 4, 99},
    "disposition_id": {*range(28), 99}, "encoding_id": {0, 1, 2, 3, 99}, "serialization_id": {*range(9), 99},
}  # fmt: skip


def validate(value, kind="event", path="event"):
    """Fails where a value is not what the schema says."""
    spec = OBJECTS[kind]
    names = {name.rstrip("!+"): name for name in spec}
    assert not value.keys() - names.keys(), f"{path}: {value.keys() - names.keys()}"
    one_of = [name for name in spec if name.endswith("+")]
    assert not one_of or any(name[:-1] in value for name in one_of), path
    for name, spelt in names.items():
        here = f"{path}.{name}"
        if name not in value:
            assert not spelt.endswith("!"), f"{here} is required"
            continue
        wanted = spec[spelt]
        for one, type_ in (
            [(one, wanted[0]) for one in value[name]] if isinstance(wanted, list) else [(value[name], wanted)]
        ):
            if isinstance(type_, str):
                validate(one, type_, here)
            else:
                assert type(one) is type_, here
                assert one != "", here
        if name in IDS:
            assert value[name] in IDS[name], here
    if kind == "event":
        category, required, activities = CLASSES[value["class_uid"]]
        assert (value["category_uid"], value["activity_id"] in activities) == (category, True)
        assert value["type_uid"] == value["class_uid"] * 100 + value["activity_id"]
        assert all(name in value for name in required), path
        assert 1e12 < value["time"] < 1e13, "milliseconds"
        if value.get("action_id") == 99:
            assert value["action"]


@pytest.mark.parametrize("data", SAMPLES, ids=lambda data: json.loads(data)["kind"])
def test_every_kind_of_event_is_what_the_schema_asks_for(data):
    made = record(data)
    validate(made)
    assert made["raw_data"].encode() == data
    assert made["metadata"]["uid"] == json.loads(data)["id"]
    [attestation] = made["attestation_list"]
    assert attestation["fingerprint"]["value"] == hashlib.sha256(b"\0" + data).hexdigest()
    if json.loads(data)["seq"]:
        assert attestation["prev_event"]["fingerprint"]["value"] == json.loads(data)["prev"]


def of(kind, action, **more):
    return json.dumps(
        {
            "id": "a-1", "log": "a", "seq": 1, "prev": "0" * 64, "ts": 1_700_000_000_123_456, "v": 1, "key": "k", "kind": kind, "action": action,
            "call": "c", "session": "s", "principal": {"agent": "bot", "user": "ann"},
            "resource": [{"uri": "sqlite:///shop.db#people", "dir": "read"}], **more,
        }
    ).encode()  # fmt: skip


@pytest.mark.parametrize(
    ("effect", "mode", "masks", "action"),
    [("allow", "enforce", {}, 1), ("allow", "enforce", {"pii.email": "token"}, 4), ("deny", "enforce", {}, 2), ("pause", "enforce", {}, 99),
     ("deny", "observe", {}, 3)],
)  # fmt: skip
def test_what_policy_answered_is_told_in_the_schema_s_words(effect, mode, masks, action):
    decision = {"effect": effect, "mode": mode, "masks": masks, "bundle": "b" * 64, "policies": ["p"], "reason": "why"}
    made = record(of("call.intent", "db.read", decision=decision))
    validate(made)
    assert (made["action_id"], made["is_alert"]) == (action, action == 2)
    assert made["policy"] == {"uid": "b" * 64, "name": "p", "is_applied": True, "desc": "why"}
    assert (made["class_uid"], made["activity_id"], made["table"]["name"]) == (6005, 4, "people")


@pytest.mark.parametrize(
    ("status", "told"), [("ok", 1), ("error", 2), ("denied", 2), ("withheld", 2), ("unknown", 0), ("abandoned", 0)]
)
def test_how_a_call_ended_is_told_in_the_schema_s_words(status, told):
    made = record(of("call.outcome", "llm.generate", status=status, body={"error": "TimeoutError"}, model={"requested": "m"}, usage={"input_tokens": 3}))  # fmt: skip
    validate(made)
    assert (made["class_uid"], made["status_id"], made["status_code"], made["status_detail"]) == (
        6003,
        told,
        status,
        "TimeoutError",
    )
    assert (made["ai_model"], made["message_context"]["prompt_tokens"]) == ({"ai_provider": "unknown", "name": "m"}, 3)


class Collector:
    """A receiver: of OCSF under `/ocsf`, of Splunk under its own path, with the answers that Splunk documents."""

    def __init__(self):
        self.events, self.broken, self.seen = [], None, []

    def answer(self, path, headers, body):
        self.seen.append(dict(headers))
        if self.broken:
            return self.broken
        if path == "/ocsf":
            events = json.loads(body)
            for event in events:
                validate(event)
            self.events += events
            return 200, b""
        if path != "/services/collector/event":
            return 404, b'{"text":"The requested URL was not found on this server.","code":404}'
        if headers.get("authorization") != "Splunk t0ken":
            return 403, b'{"text":"Invalid token","code":4}'
        decoder, place, text = json.JSONDecoder(), 0, body.decode()
        while place < len(text):
            one, place = decoder.raw_decode(text, place)
            if "event" not in one:
                return 400, b'{"text":"Event field is required","code":12,"invalid-event-number":0}'
            assert re.fullmatch(r"\d{10}\.\d{6}", one["time"])
            assert (one["source"], one["sourcetype"]) == ("guardai", "guardai:ocsf")
            validate(one["event"])
            if "refuse me" in one["event"]["raw_data"]:
                return 400, b'{"text":"Invalid data format","code":6,"invalid-event-number":0}'
            self.events.append(one["event"])
        return 200, b'{"text":"Success","code":0}'


@pytest.fixture
def collector(monkeypatch):
    made = Collector()

    def answer(path, headers, body):
        status, content = made.answer(path, headers, body)
        return status, {}, content

    with served(answer) as place:
        made.ocsf = f"ocsf+{place}/ocsf"
        made.splunk = f"splunk+{place}"
        monkeypatch.setenv("GUARDAI_SPLUNK_TOKEN", "t0ken")
        yield made


@pytest.mark.parametrize("which", ["ocsf", "splunk"])
def test_whole_ledger_goes_through_the_pump(collector, whole_ledger, which):
    events = whole_ledger(getattr(collector, which))
    assert {event["raw_data"].encode() for event in collector.events} == events


def test_keys_come_from_the_environment_and_not_from_the_url(collector, monkeypatch):
    monkeypatch.setenv("GUARDAI_OCSF_HEADERS", "authorization=Bearer%20s3cret")
    open_sink(collector.ocsf).deliver([SAMPLES[0]])
    assert collector.seen[-1]["authorization"] == "Bearer s3cret"
    monkeypatch.setenv("GUARDAI_SPLUNK_TOKEN", "another")
    with pytest.raises(SinkError, match="403, code 4"):
        open_sink(collector.splunk).deliver([SAMPLES[0]])
    monkeypatch.delenv("GUARDAI_SPLUNK_TOKEN")
    with pytest.raises(ConfigError, match="GUARDAI_SPLUNK_TOKEN"):
        SplunkSink(collector.splunk)


def test_event_that_splunk_cannot_read_is_refused(collector):
    sink = open_sink(collector.splunk)
    with pytest.raises(SinkRefused, match="400, code 6"):
        sink.deliver([of("test.note", "", body={"x": "refuse me"})])


@pytest.mark.parametrize(
    ("which", "broken", "says"),
    [
        ("splunk", (503, b'{"text":"Server is busy","code":9}'), "the collector answers 503, code 9"),
        ("splunk", (400, b'{"text":"Incorrect index: s3cret","code":7}'), "the collector answers 400, code 7"),
        ("splunk", (200, b"<html>log in</html>"), "what answers is no collector of Splunk"),
        ("splunk", (200, b'{"code":8}'), "the collector answers 200, code 8"),
        ("splunk", (500, b""), "the collector answers 500"),
        ("ocsf", (500, b"s3cret"), "the receiver answers 500"),
    ],
)
def test_failure_leaves_the_events_waiting_and_tells_no_word_of_the_server(collector, which, broken, says):
    collector.broken = broken
    with pytest.raises(SinkError) as told:
        open_sink(getattr(collector, which)).deliver([SAMPLES[0]])
    assert (type(told.value), str(told.value)) == (SinkError, says)


@pytest.mark.parametrize("sink", [OcsfSink, SplunkSink])
@pytest.mark.parametrize("rest", ["user:secret@host/x", "host/x?token=secret", "host/x#secret", "/x"])
def test_url_that_names_no_receiver_is_refused_without_its_secrets(sink, rest, monkeypatch):
    monkeypatch.setenv("GUARDAI_SPLUNK_TOKEN", "t0ken")
    with pytest.raises(ConfigError) as told:
        sink(f"{'ocsf' if sink is OcsfSink else 'splunk'}+https://{rest}")
    assert "secret" not in str(told.value)
