"""The parts of the demo's story that need no gate: joining events, finding leaks, changing a byte, printing."""

import json

import pytest

from guardai.cli.demo import show
from guardai.cli.demo.story import Act, Check, FaultTold, ModelTold, Story, Tampered, ToolTold, Verified, calls, leaks
from guardai.cli.demo.tamper import copy_and_change


def act(scene="rows", session="s1", **more):
    known = {
        "scene": scene,
        "title": "A scene",
        "session": session,
        "user": "u-1",
        "agent": "a",
        "purpose": "p",
        "audience": "process",
        "question": "who?",
        "tools": [],
        "model_received": None,
        "model_sent": None,
        "pieces": None,
        "answer": "nobody",
        "note": "",
    }
    return Act(**(known | more))


def event(**fields):
    known = {"id": "e1", "kind": "call.intent", "session": "s1", "call": "c1", "action": "db.read"}
    return known | {"principal": {"user": "u-1042", "agent": "a", "kind": "Agent"}} | fields


def encode(fields):
    return json.dumps(fields, separators=(",", ":"), sort_keys=True).encode()


def test_an_intent_and_its_outcome_are_one_call():
    before = event(decision={"effect": "allow", "policies": ["reads"], "masks": {}}, resource=[{"uri": "db#t"}])
    after = event(
        id="e2",
        kind="call.outcome",
        status="ok",
        findings={"pii.email": 3},
        decision={"effect": "allow", "policies": ["reads", "masks"], "masks": {"pii.email": "token"}},
    )
    (call,) = calls([before, after], [act()], {"s1": "care"})
    assert (call.intent, call.outcome, call.status, call.purpose) == ("e1", "e2", "ok", "care")
    assert (call.data, call.findings, call.masks) == (["db#t"], {"pii.email": 3}, {"pii.email": "token"})
    assert call.policies == ["masks", "reads"]


def test_a_call_without_an_outcome_is_told_without_one():
    (call,) = calls([event()], [act()], {})
    assert (call.status, call.outcome) == ("", "")


def test_calls_of_other_sessions_and_other_kinds_are_left_out():
    others = [event(session="s9"), event(kind="session.open", call=""), event(kind="log.open", session="", call="")]
    assert calls(others, [act()], {}) == []


def test_an_address_is_a_leak_anywhere_but_in_the_principal():
    clean = event(principal={"user": "ann@example.com", "agent": "a"})
    dirty = event(id="e7", body={"deep": ["write to ann@example.com"]})
    assert leaks([encode(clean), encode(dirty)]) == ["e7"]


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    (home / "spool").mkdir(parents=True)
    lines = [encode(event(id=f"e{n}")) for n in range(5)]
    (home / "spool" / "a.log").write_bytes(b"\n".join(lines))
    (home / "key").write_bytes(bytes(range(256)))
    return home, lines


def test_the_copy_differs_from_the_home_in_one_byte(home, tmp_path):
    home, lines = home
    before = (home / "spool" / "a.log").read_bytes()
    change = copy_and_change(home, tmp_path / "copy", lines[3])
    after = (tmp_path / "copy" / "spool" / "a.log").read_bytes()
    different = [n for n, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert different == [change.offset]
    assert (home / "spool" / "a.log").read_bytes() == before
    assert (tmp_path / "copy" / "key").read_bytes() == bytes(range(256))
    assert (change.event, change.file, change.before, change.after) == ("e3", "spool/a.log", "u-1042", "u-1043")


def test_the_changed_event_is_still_json_and_names_another(home, tmp_path):
    home, lines = home
    copy_and_change(home, tmp_path / "copy", lines[0])
    first = (tmp_path / "copy" / "spool" / "a.log").read_bytes().split(b"\n")[0]
    assert json.loads(first) == event(id="e0", principal={"user": "u-1043", "agent": "a", "kind": "Agent"})


@pytest.mark.parametrize(("user", "other"), [("u-9", "u-0"), ("ann", "anx"), ("max", "may")])
def test_the_other_user_differs_in_the_last_character(tmp_path, user, other):
    line = encode(event(principal={"user": user, "agent": "a"}))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "log").write_bytes(line)
    assert copy_and_change(tmp_path / "home", tmp_path / "copy", line).after == other


def test_an_event_that_is_nowhere_cannot_be_changed(home, tmp_path):
    with pytest.raises(LookupError, match="in no file"):
        copy_and_change(home[0], tmp_path / "copy", encode(event(id="e9")))


@pytest.fixture
def story():
    verified = Verified(home="/h", events=44, signed=44, verdict="whole", faults=[], notes=[])
    broken = Verified(
        home="/c",
        events=44,
        signed=40,
        verdict="broken",
        faults=[FaultTold(code="changed", event="e3", meaning="not as recorded")],
        notes=[],
    )
    tool = ToolTold(tool="run_sql", wrote="SELECT [bold]x[/bold]", result='[{"email": "a@b.example"}]', denied=False)
    denied = ToolTold(tool="run_sql", wrote="DROP", result="PolicyDenied: db.destroy denied by p: no", denied=True)
    received = [{"role": "user", "content": "who?"}, {"role": "tool", "content": '[{"email": "<EMAIL_1>"}]'}]
    return Story(
        model=ModelTold(stand_in=True, name="stand-in", base_url="http://127.0.0.1:1/v1"),
        home="/h",
        folder="/f",
        acts=[
            act(tools=[tool], model_received=received, model_sent=["x"], note="mark this"),
            act(scene="destruction", session="s2", tools=[denied]),
            act(scene="stream", session="s3", model_received=received, model_sent=["<EM", "AIL_1>"], pieces=["a***"]),
        ],
        calls=calls([event(resource=[{"uri": "sqlite:///x/shop.db#customers"}])], [act()], {}),
        verification=verified,
        tampered=Tampered(event="e3", file="log", offset=7, before="u-1", after="u-2", verified=broken),
        checks=[Check(what="all is well", held=True)],
        milliseconds=1500,
    )


def test_the_pages_say_what_happened(story, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    show.pages(story)
    said = capsys.readouterr().out
    for words in (
        "stand-in",
        "http://127.0.0.1:1/v1",
        "from a script",
        "SELECT [bold]x[/bold]",
        "a@b.example",
        "<EMAIL_1>",
        "PolicyDenied: db.destroy denied by p: no",
        "<EM│AIL_1>",
        "customers",
        "whole",
        "event e3 now says u-2 where it said u-1",
        "broken",
        "event e3: not as recorded (changed)",
        "mark this",
    ):
        assert words in said, words


def test_a_real_endpoint_is_named_as_one(story, capsys):
    import msgspec

    real = ModelTold(stand_in=False, name="gpt-4o", base_url="https://models.example/v1")
    show.pages(msgspec.structs.replace(story, model=real))
    said = capsys.readouterr().out
    assert "gpt-4o" in said
    assert "stand-in" not in said


def test_the_json_is_the_story(story, capsys):
    show.as_json(story)
    data = json.loads(capsys.readouterr().out)
    assert data["held"] is True
    assert data["acts"][0]["tools"][0]["wrote"] == "SELECT [bold]x[/bold]"
    assert data["tampered"]["verified"]["faults"] == [{"code": "changed", "event": "e3", "meaning": "not as recorded"}]


def test_one_broken_promise_is_a_broken_demo(story):
    import msgspec

    assert story.held
    assert not msgspec.structs.replace(story, checks=[*story.checks, Check(what="x", held=False)]).held
