"""Suggest: every allowed call is allowed by the suggestion, and nothing that was not done is."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import guardai
from guardai.approvals import Verdict
from guardai.gate import current
from guardai.gate.reports.recorded import Recorded, Scene
from guardai.gate.reports.replay import replay
from guardai.gate.reports.suggest import _Used, _Writer, suggest
from guardai.hooks import Call, Target, opened
from guardai.model import ACTIONS, Destination, Principal, Resource
from guardai.policy import Bundle, Engine, check, judge
from guardai.policy.vocabulary import RESOURCES
from tests.gate.test_recorded import everything, read


@pytest.fixture
def put(tmp_path):
    """Puts a suggestion into a folder of its own, with a catalog."""
    made = itertools.count()

    def write(cedar, catalog=""):
        root = tmp_path / f"suggested-{next(made)}"
        (root / "policies").mkdir(parents=True)
        (root / "policies" / "suggested.cedar").write_text(cedar, encoding="utf-8")
        (root / "catalog.toml").write_text(catalog)
        return root

    return write


def test_every_allowed_call_is_allowed_and_no_label_is_treated_otherwise(home, put):
    bundle = everything(home)
    folder = put(suggest(home).cedar, (bundle.path / "catalog.toml").read_text())
    assert [str(one) for one in check(folder) if one.severity == "error"] == []
    found = replay(home, Bundle.load(folder))
    assert found.decided > 30
    assert [one.then for one in found.acts if one.then == "allow"] == []
    assert found.reveals == {}


def test_nothing_that_was_not_done_is_permitted(home, put):
    everything(home)
    engine = Engine(Bundle.load(put(suggest(home).cedar)))
    allowed = [one for one in read(home) if one.effect == "allow" and one.kind == "call.intent" and one.scene]
    done = {
        (one.principal.agent, verb, thing.type, thing.id)
        for one in allowed
        for verb in one.scene.verbs
        for thing in one.scene.resources
    }
    things = {thing for one in read(home) if one.scene for thing in one.scene.resources} | {
        Resource("Table", "memory.other")
    }
    context = dict(allowed[0].scene.context)
    tried = 0
    for verb, thing, agent in itertools.product(ACTIONS, things, ("report-bot", "other-bot")):
        if thing.type in RESOURCES[verb] and (agent, verb, thing.type, thing.id) not in done:
            tried += 1
            asked = (
                allowed[0]
                .asked()
                ._replace(principal=Principal("Agent", agent, "u"), verbs=(verb,), resources=(thing,), context=context)
            )
            assert judge(engine, asked).effect != "allow", (agent, verb, thing)
    assert tried > 30


def test_model_at_another_host_is_another_model(home, put):
    everything(home)
    engine = Engine(Bundle.load(put(suggest(home).cedar)))
    call = next(one for one in read(home) if one.action == "llm.generate" and one.kind == "call.intent")
    [model] = call.scene.resources
    elsewhere = model._replace(attrs=tuple({**dict(model.attrs), "host": "evil.example"}.items()))
    assert judge(engine, call.asked()).effect == "allow"
    assert judge(engine, call.asked()._replace(resources=(elsewhere,))).effect == "deny"


def test_what_was_always_approved_still_waits_for_approval(home, policy, put):
    cedar = (
        "permit (principal, action, resource);"
        '@id("ask") @approval("dba") forbid (principal, action == Action::"tool.call", resource)'
        ' unless { context.approvals.contains("dba") };'
    )
    guardai.init(home=home, integrations=[], policy=policy(cedar))
    with guardai.session(user="u", agent="a"):
        ticket = current().gate.open(Call("tool.call", Target("tool", "", "lookup"), payload={}))
        ticket.resume(Verdict("boss", "dba", True))
    guardai.shutdown()
    folder = put(suggest(home).cedar)
    assert [str(one) for one in check(folder) if one.severity == "error"] == []
    found = replay(home, Bundle.load(folder))
    assert (found.decided, found.changed) == (2, 0)


def test_refused_calls_and_calls_that_cannot_be_read_are_counted_and_not_covered(home):
    everything(home)
    found = suggest(home)
    assert found.refused > 0
    assert f"// Refused calls are not covered; there were {found.refused:,}." in found.cedar
    assert "db.destroy" not in found.cedar
    assert "process.exec" not in found.cedar


def test_ledger_without_a_call_suggests_nothing(home):
    guardai.init(home=home, integrations=[])
    with guardai.session(user="u", agent="a"):
        pass
    guardai.shutdown()
    assert suggest(home).cedar == ""


def test_names_cannot_end_the_string_or_the_comment_that_they_stand_in(home, put):
    name = 'x"); permit (principal, action, resource);\n@id("y") //\\'
    guardai.init(home=home, integrations=[])
    with guardai.session(user=name, agent=name):
        opened(Call("tool.call", Target("tool", "", name), payload={})).close()
    guardai.shutdown()
    bundle = Bundle.load(put(suggest(home).cedar))
    assert len(bundle.policies) == 1
    assert replay(home, bundle).changed == 0


NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6)


@st.composite
def used(draw):
    """Recorded calls of a few agents on a few things, some of them refused."""
    agents = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    found = []
    for number in range(draw(st.integers(1, 12))):
        verb = draw(st.sampled_from(sorted(ACTIONS)))
        kind = draw(st.sampled_from(RESOURCES[verb]))
        context = {"environment": draw(st.sampled_from(("", "dev", "prod"))), "labels": (), "approvals": ()}
        attrs = (("host", draw(st.sampled_from(("h", "i")))),) if kind == "Model" else ()
        to, back = (Destination(draw(st.sampled_from(("model", "tool"))), "p", "eu", "listed"), Destination("process"))
        things = tuple(
            Resource(kind, one, None, attrs) for one in draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        )
        scene = Scene(str(number), (verb,), things, context, to, back, "", "tool", "", "")
        labels = tuple(draw(st.lists(st.sampled_from(("pii.email", "secret.x")), unique=True)))
        groups = draw(st.sampled_from(((), ("dba",), ("dba", "boss"))))
        own = {"labels": labels, **({"approvals": groups} if groups else {})}
        masks = {label: "token" for label in labels if draw(st.booleans())}
        opaque = draw(st.sampled_from(((), ("opaque.image",))))
        effect = draw(st.sampled_from(("allow", "allow", "deny")))
        who = Principal("Agent", draw(st.sampled_from(agents)), "u")
        found.append(
            Recorded(f"e{number}", "call.intent", 1, "", verb, "s", "", who, scene, own, labels, opaque, (), {}, effect, (),
                     masks, "", "")
        )  # fmt: skip
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls=used())
def test_whatever_was_used_is_permitted_and_what_was_not_is_not(tmp_path_factory, calls):
    collected = _Used()
    for one in calls:
        collected.take(one)
    cedar = "\n".join(_Writer(collected).policies())
    if not cedar:
        return
    root = tmp_path_factory.mktemp("suggested")
    (root / "policies").mkdir()
    (root / "policies" / "s.cedar").write_text(cedar, encoding="utf-8")
    assert [str(one) for one in check(root) if one.severity == "error"] == []
    engine = Engine(Bundle.load(root))
    allowed = [one for one in calls if one.effect == "allow"]
    done = set()
    for one in allowed:
        assert judge(engine, one.asked()).effect == "allow"
        done |= {
            (one.principal, verb, thing, one.scene.context["environment"])
            for verb in one.scene.verbs
            for thing in one.scene.resources
        }
    agreed = {"approvals": ("dba", "boss")}
    for one, other in itertools.product(calls, calls):
        asked = one.asked()._replace(
            principal=other.principal, resources=other.scene.resources[:1], opaque=(), own=agreed
        )
        key = (asked.principal, asked.verbs[0], asked.resources[0], asked.context["environment"])
        if asked.resources[0].type in RESOURCES[asked.verbs[0]]:
            assert (judge(engine, asked).effect == "allow") is (key in done)
