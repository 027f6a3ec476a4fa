"""What policy was asked stands in the ledger, once for each scene, exactly, and without any value."""

import os
import sqlite3
import subprocess
import sys

import pytest

import guardai
from guardai.approvals import Verdict
from guardai.gate import current
from guardai.gate.run import HERE
from guardai.hooks import Call, Target, opened

TOOL = Target("tool", "", "lookup")
MODEL = Target("model", "api.openai.com", "gpt-4o")
MAIL = "alice@example.com"
ASKS = (
    "permit (principal, action, resource);"
    '@id("ask") @approval("dba") forbid (principal, action == Action::"tool.call", resource)'
    ' unless { context.approvals.contains("dba") };'
)


@pytest.fixture
def started(home):
    guardai.init(home=home, integrations=[])


@pytest.fixture
def shop(home):
    guardai.init(home=home, integrations=["dbapi"])
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT)")
    return db


def scenes(events):
    return {event["id"]: event for event in events(kind="scene")}


def test_scene_stands_before_the_intents_that_name_it_and_in_their_log(started, events):
    with guardai.session(user="u", agent="a"):
        for _ in range(3):
            opened(Call("tool.call", TOOL, payload={"q": "x"})).close()
    found = events()
    [scene] = [event for event in found if event["kind"] == "scene"]
    intents = [event for event in found if event["kind"] == "call.intent"]
    assert [intent["scene"] for intent in intents] == [scene["id"]] * 3
    assert all((intent["log"], intent["seq"] > scene["seq"]) == (scene["log"], True) for intent in intents)
    assert "session" not in scene  # it stands for the calls of every session
    [session] = [event for event in found if event["kind"] == "session.open"]
    assert {intent["state"] for intent in intents} == {session["id"]}


def test_another_session_shares_the_scene_and_has_a_state_of_its_own(started, events):
    for user in ("ann", "bob"):
        with guardai.session(user=user, agent="a", purpose=f"for {user}"):
            opened(Call("tool.call", TOOL, payload={"q": "x"})).close()
    first, second = events(kind="call.intent")
    assert first["scene"] == second["scene"]
    assert first["state"] != second["state"]
    assert len(scenes(events)) == 1


def test_implicit_session_tells_its_state_once(started, events):
    for _ in range(2):
        opened(Call("tool.call", TOOL, payload={"q": "x"})).close()
    [state] = events(kind="session.state")
    assert state["body"] == {"audience": "process", "implicit": True, "labels": [], "purpose": ""}
    assert [intent["state"] for intent in events(kind="call.intent")] == [state["id"]] * 2


def test_scene_holds_verbs_resources_context_and_destination(started, events):
    opened(Call("llm.generate", MODEL, payload={"messages": []}))
    [scene] = events(kind="scene")
    body = scene["body"]
    assert body["asked"] == ["llm.generate"]
    assert body["target"] == {"host": "api.openai.com", "kind": "model", "name": "gpt-4o"}
    assert [(one["type"], one["id"], one["parent"]) for one in body["resources"]] == [
        ("Model", "gpt-4o", ["Provider", "openai"])
    ]
    assert (body["to"]["kind"], body["region"]) == ("model", "unknown")
    assert body["context"]["model.host"] == "api.openai.com"
    assert not any(name.startswith("session.") for name in body["context"])


def test_statements_that_differ_in_their_literals_share_a_scene_and_leave_none_of_them(shop, events, home):
    with guardai.session(user="u", agent="a"):
        for number in range(3):
            shop.execute(f"SELECT id FROM customers WHERE email = 'x{number}-{MAIL}'").fetchall()
            shop.execute("SELECT email FROM customers WHERE email = ?", (MAIL,)).fetchall()
    reads = [event for event in events(kind="call.intent") if event["action"] == "db.read"]
    assert len(reads) == 6
    assert len(scenes(events)) == len({read["scene"] for read in reads}) == 2
    for path in home.rglob("*"):
        if path.is_file():
            assert MAIL.encode() not in path.read_bytes(), path


def test_label_that_joins_the_session_makes_another_state_and_no_other_scene(started, events):
    with guardai.session(user="u", agent="a"):
        for text in (MAIL, "nothing", "nothing"):
            opened(Call("tool.call", TOOL, payload={"q": text})).close()
    first, second, third = events(kind="call.intent")
    assert first["scene"] == second["scene"] == third["scene"]
    assert first["state"] != second["state"] == third["state"]
    told = {event["id"]: event for event in events()}
    assert [told[one["state"]]["kind"] for one in (first, second)] == ["session.open", "session.state"]
    assert [told[one["state"]]["body"]["labels"] for one in (first, second)] == [[], ["pii.email"]]


def test_call_tells_what_it_adds_opaque_parts_and_approvals(home, policy, events):
    guardai.init(home=home, integrations=[], policy=policy(ASKS))
    with guardai.session(user="u", agent="a"):
        ticket = current().gate.open(Call("tool.call", TOOL, payload={}, opaque=("opaque.image",)))
        ticket.resume(Verdict("boss", "dba", True))
    asked, agreed = events(kind="call.intent")
    assert (asked["decision"]["effect"], agreed["decision"]["effect"]) == ("pause", "allow")
    assert asked["body"] == {"opaque": ["opaque.image"]}
    assert agreed["body"] == {"approvals": ["dba"], "opaque": ["opaque.image"]}
    assert asked["scene"] == agreed["scene"]


def test_outcome_tells_the_fate_of_what_came_back(started, events):
    with guardai.session(user="u", agent="a", audience="person"):
        opened(Call("tool.call", TOOL, payload={})).close({"who": MAIL})
    [outcome] = events(kind="call.outcome")
    assert outcome["body"]["returned"] == {"pii.email": "partial"}
    assert outcome["scene"] in scenes(events)


def test_call_that_could_not_be_judged_names_no_scene(started, events):
    nested = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(guardai.PolicyDenied):
        opened(Call("llm.generate", MODEL, payload={"messages": nested}))
    [intent] = events(kind="call.intent")
    assert "scene" not in intent


@pytest.mark.parametrize(
    "fact", [2**60, 1.5, "\udcff", tuple(f"table_{n:060}" for n in range(1000))], ids=["big", "float", "text", "large"]
)
def test_scene_that_cannot_be_told_exactly_is_not_told_and_the_call_takes_its_road(started, events, fact):
    opened(Call("tool.call", TOOL, payload={}, facts={"tool.extra": fact}))
    [intent] = events(kind="call.intent")
    assert intent["decision"]["effect"] == "allow"
    assert "scene" not in intent
    assert scenes(events) == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_after_a_fork_the_scene_is_told_anew_in_the_childs_log(started, events):
    with guardai.session(user="u", agent="a"):
        opened(Call("tool.call", TOOL, payload={})).close()
        child = os.fork()
        if child == 0:
            opened(Call("tool.call", TOOL, payload={})).close()
            guardai.shutdown()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        opened(Call("tool.call", TOOL, payload={})).close()
    told = scenes(events)
    intents = events(kind="call.intent")
    assert len(told) == 2
    assert len({intent["log"] for intent in intents}) == 2
    logs = {event["id"]: event["log"] for event in events()}
    assert all(logs[intent["scene"]] == logs[intent["state"]] == intent["log"] for intent in intents)


def test_when_a_log_ends_the_scene_is_told_anew_in_the_next(started, events):
    with guardai.session(user="u", agent="a"):
        for _ in range(3):
            opened(Call("tool.call", TOOL, payload={})).close()
            current().ledger._roll("size")
        opened(Call("tool.call", TOOL, payload={})).close()
        opened(Call("tool.call", TOOL, payload={})).close()
    logs = {event["id"]: event["log"] for event in events()}
    last = events(kind="call.intent")[-1]
    assert logs[last["scene"]] == logs[last["state"]] == last["log"]
    assert all(intent["scene"] in logs and intent["state"] in logs for intent in events(kind="call.intent"))


@pytest.mark.parametrize("purpose", ["\udcff", "p" * 60_000])
def test_session_that_cannot_be_told_exactly_is_not_told(started, events, purpose):
    with guardai.session(user="u", agent="a"), pytest.MonkeyPatch.context() as patch:
        run = HERE.get().run
        patch.setattr(run, "context", {**run.context, "session.purpose": purpose})
        opened(Call("tool.call", TOOL, payload={}))
    [intent] = events(kind="call.intent")
    assert "scene" not in intent
    assert "state" not in intent


def test_ledger_with_scenes_is_whole(started, home, events):
    with guardai.session(user="u", agent="a"):
        opened(Call("tool.call", TOOL, payload={"q": MAIL})).close()
    guardai.shutdown()
    assert scenes(events)
    command = [sys.executable, "-c", "from guardai.cli import main; main()", "verify", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
