"""Every kind of event, by really doing what leaves it: as its struct says, byte by byte, and as the published schema says."""

import copy
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import msgspec
import pytest

import guardai
from guardai.approvals import Verdict
from guardai.gate import HERE, current
from guardai.gate.supply import Supplied
from guardai.gate.vault import erase, record_look
from guardai.hooks import Call, Target, opened
from guardai.ledger import EventError, Ledger, TrustPolicy, export_public, hold, prune, read_event, revoke, rotate
from guardai.ledger import events as stored
from guardai.ledger.spool import record
from guardai.lineage import EdgeTable
from guardai.model import RESERVED
from guardai.model.kinds import KINDS, ProgramsOwn, Recorded
from guardai.policy import Bundle

ROOT = Path(__file__).parents[2]
TOOL = Target("tool", "", "lookup")
MODEL = Target("model", "api.openai.com", "gpt-4o")
MAIL = "alice@example.com"
POLICY = """
@id("all") @capture("before") permit (principal, action, resource);
@id("kept") @capture("content") permit (principal, action in [Action::"tool.call", Action::"db.read", Action::"db.write"], resource);
@id("ask") @reason("ask first") @approval("dba") forbid (principal, action == Action::"db.destroy", resource)
unless { context.approvals.contains("dba") };
@id("never") @reason("not here") forbid (principal, action == Action::"db.admin", resource);
@id("mails") @mask("token") forbid (principal, action == Action::"reveal", resource in Label::"pii")
when { context.to.kind == "model" };
@id("few") forbid (principal, action == Action::"tool.call", resource) when { context.count.calls.minute > 50 };
"""
KILLED = """
import os, guardai
guardai.init(integrations=[])
with guardai.session(agent="killed"):
    guardai.record("review.begun", by="nobody")
    os._exit(0)
"""


@pytest.fixture(scope="module")
def validator():
    """An implementation of JSON Schema that is not ours, with what is published."""
    schema = json.loads((ROOT / "docs" / "event-schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def calls_of_each_status():
    with guardai.session(agent="bot", user="ann", purpose="month", id="s-1"):
        ask = {"messages": [{"role": "user", "content": f"write to {MAIL}"}]}
        usage = {"total_tokens": 7, "details.cached": 2, "odd": None, "half": 0.5}
        opened(Call("llm.generate", MODEL, payload=ask)).close(
            {"content": "to <EMAIL_1>"}, responded="gpt", usage=usage
        )
        flow = opened(Call("llm.generate", MODEL, payload=ask, opaque=("opaque.image",))).stream()
        flow.feed("0", "dear <EMAIL_1>")
        flow.rests()
        flow.finish(responded="gpt")
        tool = Call(
            "tool.call", TOOL, payload={"q": "é", "to": MAIL}, returns=("opaque.raw",), facts={"tool.effects": "read"}
        )
        opened(tool).close({"answer": MAIL}, responded="the tool")
        opened(tool).fail(ValueError())
        opened(tool).fail(KeyboardInterrupt())
        opened(tool).abandon()
        doubled = opened(tool)
        doubled.played()
        doubled.close({"answer": "recorded"})
        unkept = opened(tool)
        with pytest.MonkeyPatch.context() as full:
            full.setattr("guardai.ledger.contents._MOST", 10)
            unkept.close({"answer": "longer than that"})
        circle = []
        circle.append(circle)
        with pytest.raises(guardai.ResultWithheld):
            opened(tool).close(circle)
        opened(Call("http.request", Target("host", "example.org", "/x"), payload="hi")).close("yes")
        opened(Call("retrieval.query", Target("index", "", "docs"), payload="hi")).close(["one"])
        opened(Call("data.export", Target("database", "sqlite:///:memory:"))).close()
        guardai.record("review.done", score=3, more={"a": [1, None, True, "x"], "half": 0.5, "naïve": 2**60})


def statements(path):
    with guardai.session(agent="bot", audience="person"):
        connection = sqlite3.connect(path)
        connection.execute("INSERT INTO copies SELECT email FROM people WHERE id = 1")
        assert len(connection.execute("SELECT id, email FROM people").fetchall()) == 2
        connection.executemany("INSERT INTO copies VALUES (?)", ((f"c{n}",) for n in range(2)))
        connection.execute("UPDATE people SET email = ? WHERE id = 2", ("c@example.com",))
        connection.commit()
        with pytest.raises(guardai.ApprovalPending):
            connection.execute("DELETE FROM people")
        with pytest.raises(guardai.PolicyDenied):
            connection.execute("ATTACH 'other.db' AS other")
        with pytest.raises(guardai.PolicyDenied):
            connection.execute("SELEKT *")
        statement = {"statement": "DROP TABLE copies", "dialect": "sqlite"}
        ticket = current().gate.open(Call("db", Target("database", f"sqlite:///{path}"), payload=(MAIL,), **statement))
        ticket.resume(Verdict("bob", "dba", agreed=True))
        ticket.close()
        current().gate.open(Call("db", Target("database", f"sqlite:///{path}"), **statement)).cancel()
        connection.close()


def a_gap(monkeypatch):
    ticket = opened(Call("tool.call", TOOL, payload={}))
    with monkeypatch.context() as full:
        full.setattr(
            "guardai.ledger.spool.os.write", lambda *_: (_ for _ in ()).throw(OSError(5, "input/output error"))
        )
        ticket.close("x")
    guardai.record("review.after", n=1)


def another_bundle(folder):
    (folder / "policies" / "more.cedar").write_text('@id("more") permit (principal, action, resource);')
    current().adopt(Supplied(Bundle.load(folder)))
    current()._tell("bundle.refused", {"why": "the server cannot be reached"})


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The bytes of all events of a home in which each kind of event has been recorded at least once."""
    folder = tmp_path_factory.mktemp("everything")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [name for name in os.environ if name.startswith("GUARDAI_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("GUARDAI_HOME", str(folder / "home"))
        monkeypatch.chdir(folder)
        try:
            return recorded(folder, monkeypatch)
        finally:
            guardai.shutdown()
            HERE.set(None)


def another_ledger(home, other):
    """Its tree head is held in this one."""
    ledger = Ledger.open(other)
    ledger.append(record("review.done", {}))
    ledger.close(timeout=60)
    export_public(other, other / "public")
    policy = TrustPolicy.read((other / "public" / "trust.policy").read_text())
    hold(home, (other / "ledger" / "checkpoint").read_text(), policy, by="eve", projection=EdgeTable())


def recorded(tmp_path, monkeypatch):
    home, path = tmp_path / "home", tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT); CREATE TABLE copies (email TEXT);"
            "INSERT INTO people VALUES (1, 'a@example.com'), (2, 'b@example.com');"
        )
    folder = tmp_path / "policy"
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "test.cedar").write_text(POLICY)
    (folder / "catalog.toml").write_text('[columns]\n"people.email" = ["pii.email"]\n')
    guardai.init(home=home, integrations=["dbapi"], policy=folder, app_calls="record")
    sqlite3.connect(path).execute("SELECT count(*) FROM people").fetchall()
    calls_of_each_status()
    statements(path)
    if hasattr(os, "fork"):
        child = os.fork()
        if not child:
            guardai.record("review.forked", n=1)
            guardai.shutdown()
            os._exit(0)
        os.waitpid(child, 0)
    a_gap(monkeypatch)
    another_bundle(folder)
    guardai.shutdown()
    subprocess.run([sys.executable, "-c", KILLED], check=True, timeout=60)
    [changed] = (e["id"] for e in map(json.loads, stored(home)) if e.get("body", {}).get("captured"))
    command = "from guardai.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", command, "rollback", changed, "--home", home, "--policy", folder, "--values"],
        capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=60,
    )  # fmt: skip
    record_look(home, "s-1", 3, by="eve")
    erase(home, "ann", by="eve")
    former = rotate(home, projection=EdgeTable()).former
    revoke(home, former, projection=EdgeTable())
    another_ledger(home, tmp_path / "another")
    recorded = list(stored(home))
    prune(home, home.parent / "pruned", until=time.time_ns() // 1000, by="eve", projection=EdgeTable())
    return list(dict.fromkeys([*recorded, *stored(home)]))


def test_every_kind_is_written_as_its_struct_and_the_published_schema_say(everything, validator):
    for data in everything:
        event = read_event(data)
        assert msgspec.json.Encoder(order="sorted").encode(event) == data
        validator.validate(json.loads(data))
    kinds = {read_event(data).kind for data in everything}
    assert kinds >= KINDS.keys()
    own = {kind for kind in kinds - KINDS.keys()}
    assert own == {"review.done", "review.begun", "review.after", *(["review.forked"] if hasattr(os, "fork") else [])}
    outcomes = {event.status for event in map(read_event, everything) if event.kind == "call.outcome"}
    assert outcomes == {"ok", "error", "denied", "withheld", "cancelled", "unknown", "abandoned"}


def test_of_what_a_provider_reports_as_usage_only_whole_numbers_are_recorded(everything):
    told = [json.loads(data) for data in everything if b'"usage"' in data]
    assert [event["usage"] for event in told] == [{"details.cached": 2, "total_tokens": 7}]


def test_what_is_no_event_is_refused_by_struct_and_schema_alike(everything, validator):
    """One field gone, one too many, or of another type, anywhere in an event of each kind."""
    tried, chance = 0, random.Random(8785)
    longest = {event["kind"]: event for event in map(json.loads, sorted(everything, key=len))}
    for event in longest.values():
        for spoilt in chance.sample(list(spoilt_of(event)), 30):
            data = msgspec.json.Encoder(order="deterministic").encode(spoilt)
            refused = False
            try:
                read_event(data)
            except EventError:
                refused = True
            assert refused is not validator.is_valid(spoilt), spoilt
            tried += refused
    assert tried > 300


def spoilt_of(event):
    """Copies of an event, each changed in one place."""

    def places(value, path=()):
        if isinstance(value, dict):
            yield path
            for name, inner in value.items():
                yield from places(inner, (*path, name))
        elif isinstance(value, list):
            yield path
            for at, inner in enumerate(value[:2]):
                yield from places(inner, (*path, at))
        else:
            yield path

    def at(value, path):
        for step in path:
            value = value[step]
        return value

    for path in places(event):
        if path:
            for other in (None, 1, "x", True, [], {}, -1, 2**53, 1.5):
                spoilt = copy.deepcopy(event)
                at(spoilt, path[:-1])[path[-1]] = other
                yield spoilt
            if isinstance(path[-1], str):
                spoilt = copy.deepcopy(event)
                del at(spoilt, path[:-1])[path[-1]]
                yield spoilt
        if isinstance(at(event, path), dict):
            spoilt = copy.deepcopy(event)
            at(spoilt, path)["extra"] = 1
            yield spoilt


def test_refusal_says_where_and_quotes_no_value(everything):
    event = next(event for event in map(json.loads, everything) if event["kind"] == "call.intent")
    event["decision"]["effect"] = MAIL
    with pytest.raises(EventError, match=r"'call.intent' are not written like that \(\$\.decision\.effect\)") as told:
        read_event(msgspec.json.encode(event, order="deterministic"))
    assert MAIL not in str(told.value)


def test_second_spelling_of_an_event_is_refused(everything):
    data = everything[0]
    for other in (data + b" ", data.replace(b'"id":', b'"id": ', 1), data.replace(b'"v":1', b'"v":1,"v":1')):
        with pytest.raises(EventError):
            read_event(other)


def test_program_records_nothing_under_a_first_word_of_ours(validator, everything):
    own = next(event for event in map(json.loads, everything) if event["kind"] == "review.done")
    for word in RESERVED:
        with pytest.raises(ValueError, match="written by guardai itself"):
            guardai.record(f"{word}.mine", n=1)
        own["kind"] = f"{word}.mine"
        assert not validator.is_valid(own)
        with pytest.raises(EventError, match="has no events of the kind"):
            read_event(msgspec.json.encode(own, order="deterministic"))


def test_every_kind_of_ours_begins_with_a_reserved_word():
    assert {kind.partition(".")[0] for kind in KINDS} <= set(RESERVED)


def test_every_field_is_spelt_in_ascii_and_every_kind_has_what_all_have():
    for kind, struct in KINDS.items():
        assert issubclass(struct, Recorded)
        assert all(name.isascii() for name in struct.__struct_encode_fields__)
        assert msgspec.inspect.type_info(struct).fields[2].encode_name == "kind", kind
    assert issubclass(ProgramsOwn, Recorded)
