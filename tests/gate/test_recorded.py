"""Recorded calls are read back into the questions that policy was asked, or it is said why they cannot be."""

import sqlite3

import msgspec
import pytest

import guardai
from guardai.approvals import Verdict
from guardai.gate import current
from guardai.gate.reports.recast import recast
from guardai.gate.reports.recorded import Reader
from guardai.gate.reports.why import EventError, why
from guardai.hooks import Call, Target, opened
from guardai.ledger import Ledger, events
from guardai.model import Event
from guardai.policy import Bundle, Catalog, Engine, judge

MAIL = "alice@example.com"
STATEMENTS = (
    "INSERT INTO customers VALUES (1, 'alice@example.com', 'Bern')",
    "SELECT email FROM customers",
    "SELECT c.email, o.id FROM customers c JOIN orders o ON o.id = c.id",
    "UPDATE customers SET city = 'Basel' WHERE id = 1",
    "UPDATE customers SET city = 'Basel'",
    "DELETE FROM orders",
    "DROP TABLE orders",
    "ATTACH 'x.db' AS x",
    "SELECT frobnicate(",
)


def everything(home, **more):
    """Calls of many kinds, in two sessions; the bundle that decided them."""
    guardai.init(home=home, integrations=["dbapi"], **more)
    db = sqlite3.connect(":memory:")
    db.executescript(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT, city TEXT); CREATE TABLE orders (id INTEGER)"
    )
    for audience in ("process", "person"):
        with guardai.session(user="u", agent="report-bot", purpose="p", audience=audience):
            for statement in STATEMENTS * 2:
                try:
                    db.execute(statement).fetchall()
                except (guardai.GuardError, sqlite3.Error):
                    continue
            for call in (
                Call("llm.generate", Target("model", "api.openai.com", "gpt-4o"), payload={"m": f"to {MAIL}"}),
                Call("llm.generate", Target("model", "llm.example", "m"), payload={"m": MAIL}),
                Call("tool.call", Target("tool", "", "lookup"), payload={"q": MAIL}, facts={"tool.effects": "write"}),
                Call("http.request", Target("host", "elsewhere.test", "x"), payload={}, opaque=("opaque.file",)),
                Call("retrieval.query", Target("index", "", "docs"), payload={"q": "x"}),
                Call("process.exec", Target("tool", "", "rm"), payload={}),
            ):
                try:
                    opened(call).close({"answer": MAIL})
                except guardai.GuardError:
                    continue
    bundle = current().gate.engine.bundle
    guardai.shutdown()
    return bundle


def read(home):
    reader = Reader(home)
    return [found for data in events(home) if (found := reader.read(data)) is not None]


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_every_recorded_decision_is_given_again_by_the_bundle_that_gave_it(home, mode):
    bundle = everything(home, mode=mode)
    engine = Engine(bundle)
    found = read(home)
    decided = [one for one in found if one.scene is not None and one.kind == "call.intent"]
    assert len(decided) > 30
    assert {one.effect for one in decided} == {"allow", "deny"}
    for one in decided:
        again = judge(engine, one.asked())
        assert again.effect == one.effect, one
        assert set(again.policies) <= set(one.policies)
        assert one.bundle == bundle.digest
    for one in found:
        if one.scene is not None:
            where = one.scene.back if one.returned else one.scene.to
            for label in one.returned or one.labels:
                told = one.returned[label] if one.returned else one.masks.get(label, "")
                assert (engine.reveal(one.principal, label, where, one.scene.context).mask or "") == told


def test_same_catalog_sets_the_same_scene(home):
    bundle = everything(home)
    scenes = {one.scene.id: one.scene for one in read(home) if one.scene is not None}
    assert len(scenes) > 10
    for scene in scenes.values():
        assert recast(scene, bundle.catalog) == scene


def test_other_catalog_says_where_things_stand(home):
    everything(home)
    catalog = Catalog.parse(
        '[databases."sqlite://*"]\nname = "shop"\nenvironment = "prod"\nregion = "eu"\n'
        '[columns]\n"customers.city" = ["pii.address"]\n'
        '[[models]]\nhost = "llm.example"\nprovider = "own"\nregion = "eu"\ntrust = "internal"\n'
        '[tools.lookup]\nprovider = "acme"\nregion = "us"\n'
    )
    scenes = [one.scene for one in read(home) if one.scene is not None]
    by_kind = {(one.kind, one.name): recast(one, catalog) for one in scenes}
    model, tool = by_kind["model", "m"], by_kind["tool", "lookup"]
    assert (model.to.provider, model.to.region, model.to.trust) == ("own", "eu", "internal")
    assert model.context["model.region"] == "eu"
    assert dict(model.resources[0].attrs)["trust"] == "internal"
    assert (tool.to.provider, dict(tool.resources[0].attrs)["effects"]) == ("acme", "write")
    tables = [recast(one, catalog) for one in scenes if one.kind == "database" and one.context["sql.tables_read"]]
    assert {one.id.partition(".")[0] for scene in tables for one in scene.resources} == {"shop"}
    assert all(scene.context["environment"] == "prod" for scene in tables)


def test_approved_call_is_asked_with_its_approvals(home, policy):
    cedar = (
        "permit (principal, action, resource);"
        '@id("ask") @approval("dba") forbid (principal, action == Action::"tool.call", resource)'
        ' unless { context.approvals.contains("dba") };'
    )
    guardai.init(home=home, integrations=[], policy=policy(cedar))
    with guardai.session(user="u", agent="a"):
        ticket = current().gate.open(Call("tool.call", Target("tool", "", "lookup"), payload={}))
        ticket.resume(Verdict("boss", "dba", True))
    engine = current().gate.engine
    guardai.shutdown()
    assert [judge(engine, one.asked()).effect for one in read(home) if one.kind == "call.intent"] == ["pause", "allow"]


@pytest.mark.made_up_events
class TestWhatCannotBeDecidedAgain:
    @pytest.fixture
    def appended(self, home):
        """Writes one event into a ledger and reads it back."""

        def append(kind="call.intent", **fields):
            ledger = Ledger.open(home)
            given = {"kind": "Agent", "agent": "a", "user": "u", "chain": [], "assurance": "asserted"}
            event = Event(id="", key="", kind=kind, log="", prev="", seq=0, ts=0, v=1, **{"principal": given, **fields})
            name = ledger.append(event)
            ledger.close()
            [found] = [one for one in read(home) if one.id == name]
            return found

        return append

    def test_intent_without_a_scene_is_of_before(self, appended):
        found = appended(decision={"effect": "allow", "policies": ["p"]})
        assert (found.scene, found.why) == (None, "before")

    def test_scene_that_is_not_there_is_broken(self, appended):
        assert appended(scene="0123456789abcdef-1").why == "broken"

    def test_scene_that_is_no_scene_is_broken(self, appended, home):
        other = appended(decision={"effect": "allow", "policies": ["p"]})
        assert appended(scene=other.id).why == "broken"

    def test_fields_of_other_types_are_broken(self, appended):
        assert appended(decision={"effect": ["allow"]}).why == "broken"

    def test_application_of_its_own_was_never_asked_about(self, appended):
        app = {"kind": "App", "agent": "a", "user": "u", "chain": [], "assurance": "asserted"}
        assert appended(principal=app, decision={"effect": "allow", "policies": []}).why == "own"

    def test_call_that_could_not_be_judged_was_not_asked_about(self, appended):
        assert appended(decision={"effect": "deny", "errors": ["RecursionError"]}).why == "unjudged"

    def test_event_of_another_version_is_not_guessed_at(self, home):
        everything(home)
        intent = next(data for data in events(home) if b'"call.intent"' in data)
        later = msgspec.json.decode(intent) | {"v": 99}
        assert Reader(home).read(msgspec.json.encode(later)).why == "version"

    @pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"kind":1}', b'{"kind":"call.intent"}'])
    def test_what_is_no_event_is_counted_and_nothing_raised(self, home, data):
        reader = Reader(home)
        found = reader.read(data)
        assert (found is None and reader.others["broken"] == 1) or found.why == "broken"


class TestWhy:
    def test_denied_event_is_explained_with_what_was_recorded(self, home):
        bundle = everything(home)
        denied = next(one for one in read(home) if one.effect == "deny" and one.action == "db.destroy")
        answer = why(home, denied.id, bundle)
        assert (answer["decision"], answer["policies"]) == ("deny", ["no-destruction"])
        assert answer["recorded"]["decision"] == "deny"
        assert answer["recorded"]["same_bundle"]
        assert answer["request"]["context"]["sql.unbounded"] is True

    def test_outcome_is_explained_by_its_intent_and_by_what_came_back(self, home):
        bundle = everything(home)
        outcome = next(one for one in read(home) if one.returned)
        answer = why(home, outcome.id, bundle)
        assert answer["event"] != outcome.id
        assert answer["returned"]["pii.email"]["recorded"] == (outcome.returned["pii.email"] or None)

    def test_other_policy_answers_otherwise_and_it_is_said(self, home, policy):
        everything(home)
        denied = next(one for one in read(home) if one.effect == "deny" and one.action == "db.destroy")
        answer = why(home, denied.id, Bundle.load(policy("permit (principal, action, resource);")))
        assert (answer["decision"], answer["recorded"]["same_bundle"]) == ("allow", False)

    def test_event_that_is_no_call_is_named_by_its_kind(self, home):
        bundle = everything(home)
        opened_ = next(msgspec.json.decode(data) for data in events(home) if b'"session.open"' in data)
        with pytest.raises(EventError, match=r"is a 'session\.open' and no call"):
            why(home, opened_["id"], bundle)

    @pytest.mark.parametrize("event", ["x", "0123456789abcdef-1", ""])
    def test_unknown_event_says_where_events_are_listed(self, home, event):
        bundle = everything(home)
        with pytest.raises(EventError, match="guardai log lists them"):
            why(home, event, bundle)
