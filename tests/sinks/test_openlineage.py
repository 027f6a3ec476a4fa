"""OpenLineage: what a receiver gets, checked against what the specification asks for."""

import json
import uuid
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from services import served

import guardai
from guardai import ConfigError, SinkError, SinkRefused
from guardai.sinks.openlineage import OpenLineageSink, run_event

SAMPLES = (Path(__file__).parents[1] / "ledger" / "events-v1.jsonl").read_bytes().splitlines()
CALLS = [data for data in SAMPLES if json.loads(data)["kind"].startswith("call.")]


def facet(value):
    """BaseFacet: two URIs are required."""
    assert urlsplit(value["_producer"]).scheme
    assert urlsplit(value["_schemaURL"]).scheme


def dataset(value):
    assert value.keys() <= {"namespace", "name", "facets"}
    assert isinstance(value["namespace"], str)
    assert value["name"]
    for name, one in value.get("facets", {}).items():
        facet(one)
        if name == "schema":
            assert all(field["name"] for field in one["fields"])


def validate(event):
    """RunEvent of the specification 2-0-2."""
    assert event.keys() <= {"eventType", "eventTime", "producer", "schemaURL", "run", "job", "inputs", "outputs"}
    assert event["eventType"] in {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    assert urlsplit(event["producer"]).scheme
    assert event["schemaURL"].endswith("OpenLineage.json#/$defs/RunEvent")
    uuid.UUID(event["run"]["runId"])
    assert event["job"]["namespace"]
    assert event["job"]["name"]
    for name, one in event["run"]["facets"].items():
        facet(one)
        if name == "parent":
            uuid.UUID(one["run"]["runId"])
            assert one["job"]["namespace"]
            assert one["job"]["name"]
        if name == "errorMessage":
            assert one["message"]
            assert one["programmingLanguage"]
    for one in (*event["inputs"], *event["outputs"]):
        dataset(one)


@pytest.mark.parametrize("data", CALLS)
def test_every_call_is_what_the_specification_asks_for(data):
    validate(run_event(data))


def test_events_of_no_call_are_not_told():
    assert [run_event(data) for data in SAMPLES if data not in CALLS] == [None] * (len(SAMPLES) - len(CALLS))


def of(kind, **more):
    return json.dumps(
        {
            "id": "a-1", "log": "a", "seq": 1, "ts": 1_700_000_000_123_456, "kind": kind, "action": "db.read", "call": "c", "session": "s",
            "principal": {"agent": "bot", "user": "ann"},
            "resource": [{"uri": "sqlite:///shop.db#people", "dir": "read", "columns": ["email"]}, {"uri": "model://api.example/m", "dir": "out"}],
            **more,
        }
    ).encode()  # fmt: skip


@pytest.mark.parametrize(
    ("status", "told"), [("ok", "COMPLETE"), ("error", "FAIL"), ("unknown", "FAIL"), ("denied", "ABORT"), ("withheld", "ABORT"), ("cancelled", "ABORT")]
)  # fmt: skip
def test_intent_and_outcome_are_one_run_that_begins_and_ends(status, told):
    first, last = run_event(of("call.intent")), run_event(of("call.outcome", status=status, body={"error": "E"}))
    assert (first["eventType"], last["eventType"]) == ("START", told)
    assert first["run"]["runId"] == last["run"]["runId"]
    assert first["inputs"][0]["name"] == "people"
    assert first["inputs"][0]["namespace"] == "sqlite:///shop.db"
    assert first["inputs"][0]["facets"]["schema"]["fields"] == [{"name": "email"}]
    assert first["outputs"] == [{"namespace": "model://api.example", "name": "m"}]
    assert (last["job"]["name"], last["run"]["facets"]["errorMessage"]["message"]) == ("bot.db.read", "E")
    assert run_event(of("call.intent", call="d"))["run"]["runId"] != first["run"]["runId"]


@pytest.fixture
def receiver():
    class Made:
        events, status, keys = [], 201, []

    made = Made()
    made.events, made.keys = [], []

    def answer(path, headers, body):
        status = made.status if path == "/api/v1/lineage" else 404
        made.keys.append(headers.get("authorization"))
        if status == 201:
            event = json.loads(body)
            validate(event)
            made.events.append(event)
        return status, {}, b""

    with served(answer) as place:
        made.url = f"openlineage+{place}"
        yield made


def test_calls_of_a_batch_are_posted_in_order(receiver, monkeypatch):
    OpenLineageSink(receiver.url).deliver(SAMPLES)
    assert receiver.events == [run_event(data) for data in CALLS]
    assert set(receiver.keys) == {None}
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "s3cret")
    OpenLineageSink(f"{receiver.url}/api/v1/lineage").deliver(CALLS[:1])
    assert receiver.keys[-1] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("status", "error"), [(400, SinkRefused), (422, SinkRefused), (500, SinkError), (401, SinkError)]
)
def test_failure_is_told_and_the_events_wait(receiver, status, error):
    receiver.status = status
    with pytest.raises(SinkError) as told:
        OpenLineageSink(receiver.url).deliver(CALLS[:1])
    assert (type(told.value), str(told.value)) == (error, f"the receiver answers {status}")


@pytest.mark.parametrize("rest", ["user:secret@host", "host/x?token=secret", "host#secret", "/x"])
def test_url_that_names_no_receiver_is_refused_without_its_secrets(rest):
    with pytest.raises(ConfigError) as told:
        OpenLineageSink(f"openlineage+https://{rest}")
    assert "secret" not in str(told.value)
