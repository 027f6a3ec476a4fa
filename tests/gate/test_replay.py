"""Replay: what another bundle would have answered to everything that was recorded."""

import json
import os
import resource
import sqlite3
import time

import pytest

import guardai
from guardai.gate.reports.replay import replay
from guardai.gate.reports.why import EventError, UndecidedError, why
from guardai.hooks import Call, Target, opened
from guardai.ledger import Ledger, events
from guardai.model import Event
from guardai.policy import Bundle
from tests.gate.test_recorded import everything

MAIL = "alice@example.com"


def test_under_the_bundle_that_decided_nothing_changes(home):
    bundle = everything(home)
    found = replay(home, bundle)
    assert found.decided > 30
    assert found.labels > 5
    assert (found.changed, found.masked) == (0, 0)
    assert not found.cannot
    assert set(found.bundles) == {bundle.digest}


def test_same_policies_under_another_digest_change_nothing_either(home, tmp_path):
    bundle = everything(home)
    copy = tmp_path / "copy"
    (copy / "policies").mkdir(parents=True)
    (copy / "policies" / "p.cedar").write_text("// the same\n" + (bundle.path / "policies/starter.cedar").read_text())
    (copy / "catalog.toml").write_text((bundle.path / "catalog.toml").read_text())
    other = Bundle.load(copy)
    assert other.digest != bundle.digest
    found = replay(home, other)
    assert (found.changed, found.masked) == (0, 0)


def test_what_would_change_is_told_by_policy_principal_and_resource_with_examples(home, policy):
    everything(home)
    new = Bundle.load(
        policy(
            '@id("reads") permit (principal, action == Action::"db.read", resource);'
            '@id("bern") @reason("no writes") forbid (principal, action == Action::"db.write", resource);'
        )
    )
    found = replay(home, new)
    data = found.data()
    [write] = [one for one in data["decisions"] if one["action"] == "db.write"]
    assert (write["then"], write["now"], write["policies"], write["former"]) == (
        "allow", "deny", ["bern"], ["database-writes"],
    )  # fmt: skip
    recorded = {json.loads(one)["id"]: json.loads(one) for one in events(home)}
    assert 0 < len(write["examples"]) <= 3
    assert all(recorded[one]["action"] == "db.write" for one in write["examples"])
    writes = [one for one in recorded.values() if one["kind"] == "call.intent" and one["action"] == "db.write"]
    assert data["by_policy"]["bern"] == write["count"] == len(writes)
    assert set(data["by_principal"]) == {"report-bot for u"}
    assert 'Table::"memory.customers"' in data["by_resource"]


def test_labels_that_would_be_masked_otherwise_are_told_for_both_ways(home, policy):
    everything(home)
    open_ = Bundle.load(policy('@id("all") permit (principal, action, resource);'))
    told = {(one["way"], one["kind"], one["then"], one["now"]) for one in replay(home, open_).data()["reveals"]}
    assert ("to", "model", "token", None) in told
    assert ("back", "person", "partial", None) in told


def test_of_a_call_that_would_be_denied_no_label_is_counted(home, policy):
    everything(home)
    found = replay(
        home, Bundle.load(policy('@id("x") permit (principal, action == Action::"process.exec", resource);'))
    )
    assert found.changed > 10
    assert (found.labels, found.masked) == (0, 0)


def test_call_that_neither_was_nor_would_be_made_moves_no_data(home, policy):
    guardai.init(
        home=home, integrations=[], policy=policy('@id("l") permit (principal, action in Action::"llm", resource);')
    )
    with pytest.raises(guardai.PolicyDenied):
        opened(Call("tool.call", Target("tool", "", "lookup"), payload={"q": MAIL}))
    guardai.shutdown()
    cedar = (
        '@id("l") permit (principal, action in Action::"llm", resource);'
        '@id("r") permit (principal, action == Action::"reveal", resource);'
    )
    found = replay(home, Bundle.load(policy(cedar)))
    assert (found.decided, found.labels) == (1, 0)


@pytest.mark.made_up_events
def test_calls_that_cannot_be_decided_again_are_counted_with_the_reason(home):
    bundle = everything(home)
    ledger = Ledger.open(home)
    who = {"kind": "Agent", "agent": "a", "user": "u", "chain": [], "assurance": "asserted"}
    shared = {"id": "", "key": "", "kind": "call.intent", "log": "", "prev": "", "seq": 0, "ts": 0, "v": 1}
    allowed = {"effect": "allow", "policies": ["p"]}
    ledger.append(Event(**shared, principal=who, decision=allowed))
    ledger.append(Event(**shared, principal=who, decision=allowed, scene="0123456789abcdef-1"))
    ledger.append(Event(**shared, principal={**who, "kind": "App"}, decision={"effect": "allow", "policies": []}))
    ledger.close()
    found = replay(home, bundle)
    assert dict(found.cannot) == {"before": 1, "broken": 1}
    assert found.own == 1


@pytest.mark.skipif(os.name == "nt", reason="no measure of memory")
@pytest.mark.made_up_events
def test_hundred_thousand_events_are_replayed_in_time_and_in_bounded_memory(home, policy):
    everything(home)
    ledger = Ledger.open(home, seal=False)
    scenes = [json.loads(one) for one in events(home) if json.loads(one)["kind"] == "scene"]
    # Each session asks about its own scenes, as sessions do.
    for session in range(2_000):
        told = scenes[session % len(scenes)]
        fields = {"id": "", "key": "", "log": "", "prev": "", "seq": 0, "ts": 0, "v": 1, "principal": told["principal"]}
        scene = ledger.append(Event(kind="scene", body=told["body"], **fields))
        body = {"audience": "process", "implicit": True, "labels": [], "purpose": ""}
        state = ledger.append(Event(kind="session.state", session=f"s{session}", body=body, **fields))
        for _ in range(50):
            ledger.append(
                Event(
                    kind="call.intent", session=f"s{session}", scene=scene, state=state, action="db.read", findings={"pii.email": 1},
                    decision={"effect": "allow", "policies": ["database-reads"], "masks": {}, "bundle": "x"}, **fields,
                )
            )  # fmt: skip
    ledger.close()
    new = Bundle.load(policy('@id("none") permit (principal, action in Action::"llm", resource);'))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = replay(home, new)
    assert found.decided > 100_000
    assert found.changed > 50_000
    assert time.process_time() - began < 30
    # The spools themselves are read whole: 60 MB of them here.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


class TestCounters:
    """Limits: a decision that depended on a number is asked again with that number, and with no other."""

    LIMIT = (
        '@id("all") permit (principal, action, resource);'
        '@id("limit") forbid (principal, action == Action::"tool.call", resource) when {{ context.count.calls.{} > {} }};'
    )

    @pytest.fixture
    def limited(self, home, policy):
        folder = policy(self.LIMIT.format("minute", 2))
        guardai.init(home=home, integrations=[], policy=folder)
        with guardai.session(user="u", agent="a"):
            for _ in range(4):
                try:
                    opened(Call("tool.call", Target("tool", "", "lookup"), payload={})).close()
                except guardai.PolicyDenied:
                    continue
        guardai.shutdown()
        return Bundle.load(folder)

    def test_number_that_policy_saw_stands_in_the_intent(self, limited, home):
        intents = [json.loads(one) for one in events(home) if b'"call.intent"' in one]
        assert [one["decision"]["effect"] for one in intents] == ["allow", "allow", "deny", "deny"]
        assert [one["body"]["counts"] for one in intents] == [{"count.calls.minute": n} for n in (1, 2, 3, 3)]

    def test_same_limit_gives_the_same_decisions(self, limited, home):
        found = replay(home, limited)
        assert (found.decided, found.changed, dict(found.cannot)) == (4, 0, {})

    def test_lower_limit_is_tried_with_the_numbers_of_then(self, limited, home, tmp_path):
        folder = tmp_path / "lower"
        (folder / "policies").mkdir(parents=True)
        (folder / "policies" / "p.cedar").write_text(self.LIMIT.format("minute", 1))
        found = replay(home, Bundle.load(folder))
        assert [(act.then, act.now, group.count) for act, group in found.acts.items()] == [("allow", "deny", 1)]

    def test_counter_that_was_not_kept_is_not_guessed(self, limited, home, tmp_path):
        folder = tmp_path / "daily"
        (folder / "policies").mkdir(parents=True)
        (folder / "policies" / "p.cedar").write_text(self.LIMIT.format("day", 1))
        found = replay(home, Bundle.load(folder))
        assert (found.decided, dict(found.cannot)) == (0, {"counted": 4})
        intent = next(json.loads(one) for one in events(home) if b'"call.intent"' in one)
        with pytest.raises(EventError, match="counters"):
            why(home, intent["id"], Bundle.load(folder))

    def test_join_of_tables_with_numbers_of_their_own_is_not_decided_again_with_one_of_them(
        self, home, policy, tmp_path
    ):
        folder = policy(
            self.LIMIT.replace("tool.call", "db.read").replace("count.calls", "count.same_resource").format("day", 3)
        )
        with sqlite3.connect(tmp_path / "shop.db") as shop:
            shop.execute("CREATE TABLE a (n)")
            shop.execute("CREATE TABLE b (n)")
        shop.close()
        guardai.init(home=home, integrations=["dbapi"], policy=folder)
        shop = sqlite3.connect(tmp_path / "shop.db")
        join = "SELECT a.n FROM a JOIN b ON a.n = b.n"
        with guardai.session(user="u", agent="a"):
            for statement in (join, "SELECT n FROM a", join):
                shop.execute(statement).fetchall()
        shop.close()
        guardai.shutdown()
        intents = [json.loads(one) for one in events(home) if b'"call.intent"' in one]
        told = [one["body"].get("counts") for one in intents]
        assert told == [{"count.same_resource.day": 1}, {"count.same_resource.day": 2}, {}]
        found = replay(home, Bundle.load(folder))
        assert (found.decided, found.changed, dict(found.cannot)) == (2, 0, {"counted": 1})
        with pytest.raises(UndecidedError, match="another for each thing that the call was on"):
            why(home, intents[-1]["id"], Bundle.load(folder))

    def test_explanation_tells_by_how_much_the_limit_was_exceeded(self, limited, home):
        denied = next(json.loads(one) for one in events(home) if b'"effect":"deny"' in one)
        answer = why(home, denied["id"], limited)
        assert (answer["decision"], answer["policies"]) == ("deny", ["limit"])
        assert answer["request"]["context"]["count.calls.minute"] == 3
        assert [[one["becomes"] for one in several] for several in answer["changes"]] == [[2]]


class TestLabelsThatDependOnCounters:
    LIMIT = (
        '@id("all") permit (principal, action, resource);'
        '@id("often") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii")'
        "when {{ context.count.same_resource.day > {} }};"
    )

    def recorded(self, home, root):
        guardai.init(home=home, integrations=[], policy=root)
        with guardai.session(user="u", agent="a"):
            for _ in range(3):
                opened(Call("tool.call", Target("tool", "", "mail"), payload={"to": MAIL})).close(f"sent to {MAIL}")
        guardai.shutdown()
        kinds = ("call.intent", "call.outcome")
        return [one for one in map(json.loads, events(home)) if one["kind"] in kinds]

    def test_replay_counts_them_and_guesses_nothing(self, home, policy, tmp_path):
        self.recorded(home, policy('@id("all") permit (principal, action, resource);'))
        found = replay(home, Bundle.load(policy(self.LIMIT.format(0))))
        assert (found.decided, found.labels, found.uncounted) == (3, 0, 6)
        assert found.data()["uncounted"] == 6

    def test_explain_tells_what_was_recorded(self, home, policy):
        root = policy(self.LIMIT.format(1))
        seen = self.recorded(home, root)
        last = [one["id"] for one in seen if one["kind"] == "call.intent"][-1]
        answer = why(home, last, Bundle.load(root))
        assert answer["masks"] == answer["recorded"]["masks"] == {"pii.email": "redact"}
        assert "counters" in answer["reveals"]["pii.email"]["reason"]
        outcome = why(home, [one["id"] for one in seen if one["kind"] == "call.outcome"][-1], Bundle.load(root))
        assert outcome["returned"]["pii.email"]["mask"] == outcome["returned"]["pii.email"]["recorded"]


@pytest.mark.parametrize(("said", "changed"), [({}, 1), ({"tool.effects": "read"}, 0)])
def test_what_a_tool_does_is_told_by_the_tried_catalog_unless_its_author_did(home, tmp_path, said, changed):
    def folder(name, effects):
        root = tmp_path / name
        (root / "policies").mkdir(parents=True)
        (root / "policies" / "p.cedar").write_text(
            '@id("all") permit (principal, action, resource);'
            '@id("reads") forbid (principal, action == Action::"tool.call", resource)'
            'when { context has tool && context.tool.effects == "write" };'
        )
        (root / "catalog.toml").write_text(f'[tools."mail"]\neffects = "{effects}"\n')
        return root

    guardai.init(home=home, integrations=[], policy=folder("old", "read"))
    with guardai.session(user="u", agent="a"):
        opened(Call("tool.call", Target("tool", "", "mail"), payload={}, facts=said)).close("x")
    guardai.shutdown()
    assert replay(home, Bundle.load(folder("new", "write"))).changed == changed
