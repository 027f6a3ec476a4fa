"""What was found by trying Cedar on exactly our two questions: each finding, first in bare Cedar, then kept out of ours."""

import json

import cedarpy
import pytest

from guardai.model import ACTIONS, Destination, Principal, Resource
from guardai.policy import Bundle, Engine
from guardai.policy import question as questions
from guardai.policy import source
from guardai.policy import selftest
from guardai.policy.source import parse
from guardai.policy.tree import scope

BOT = Principal("Agent", "bot", "u-1")
TABLE = Resource("Table", "shop.customers", ("Database", "shop"), (("region", "eu"),))
MODEL = Destination("model", "openai", "us", "listed")
ALLOW_ALL = '@id("all") permit (principal, action, resource);'


def bare(policies, context=None, *, entities=(), action="db.read", resource=("Table", "shop.customers")):
    request = {
        "principal": {"type": "Agent", "id": "bot"},
        "action": {"type": "Action", "id": action},
        "resource": {"type": resource[0], "id": resource[1]},
        "context": context or {},
    }
    return cedarpy.is_authorized(request, policies, list(entities))


GROUP_FORBID = ALLOW_ALL + '@id("no-db") forbid (principal, action in Action::"db", resource);'


def test_bare_cedar_silently_misses_a_group_forbid_when_it_is_not_given_the_action():
    assert bare(GROUP_FORBID).allowed


@pytest.mark.parametrize("action", [verb for verb, group in ACTIONS.items() if group == "db"])
def test_a_group_forbid_covers_every_action_of_its_group(engine, action):
    decision = engine(GROUP_FORBID).act(BOT, action, (TABLE,), {})
    assert (decision.effect, decision.policies) == ("deny", ("no-db",))


def test_a_group_forbid_leaves_other_groups_alone(engine):
    assert engine(GROUP_FORBID).act(BOT, "tool.call", (Resource("Tool", "t"),), {}).effect == "allow"


def test_the_self_test_refuses_a_bundle_whose_group_forbid_would_not_fire(folder, monkeypatch):
    """Were the entities built without their groups, no bundle with a group forbid could be loaded."""
    groupless = lambda action: questions._entity(("Action", action), [], {})
    monkeypatch.setattr(questions, "_action_entity", groupless)
    with pytest.raises(Exception, match="self-test: its head does not match a call of db"):
        Bundle.load(folder(GROUP_FORBID))


def test_the_self_test_refuses_a_bundle_whose_labels_would_be_in_no_group(folder, monkeypatch):
    monkeypatch.setattr(selftest, "label_entity", lambda label: questions._entity(("Label", label), [], {}))
    with pytest.raises(Exception, match="self-test"):
        Bundle.load(folder('@id("f") forbid (principal, action == Action::"reveal", resource in Label::"pii");'))


def test_the_self_test_warns_of_a_forbid_on_a_group_that_nothing_is_in(bundle):
    (warning,) = bundle('@id("f") forbid (principal in Team::"x", action, resource);').warnings
    assert "self-test: no call can match its head" in warning.message


@pytest.mark.parametrize(
    "head",
    [
        'principal, action in Action::"llm", resource',
        'principal in User::"u", action, resource',
        'principal is App in User::"u", action in Action::"db", resource',
        'principal, action, resource in Database::"shop"',
        'principal, action, resource is Table in Database::"shop"',
        'principal, action, resource in Provider::"openai"',
        'principal, action == Action::"reveal", resource in Label::"pii"',
        'principal in Agent::"bot", action in [Action::"db", Action::"tool.call"], resource',
        'principal, action, resource in Host::"example.com"',
    ],
)
def test_the_self_test_passes_every_group_that_calls_can_be_in(folder, head):
    assert Bundle.load(folder(f'@id("f") forbid ({head}) when {{ context.environment == "prod" }};'))


LABEL_FORBID = ALLOW_ALL + '@id("no-pii") forbid (principal, action == Action::"reveal", resource in Label::"pii");'


def test_bare_cedar_has_an_unlisted_label_in_no_group():
    assert bare(LABEL_FORBID, action="reveal", resource=("Label", "pii.shoe_size")).allowed


def test_a_label_is_in_the_groups_that_its_dots_name(engine):
    answers = engine(LABEL_FORBID, '[labels]\n"pii.shoe_size.number" = "hash"\n')
    assert answers.reveal(BOT, "pii.shoe_size.number", MODEL, {}).policies == ("no-pii",)


def test_a_label_outside_the_vocabulary_is_redacted_whatever_is_permitted(engine):
    answer = engine(ALLOW_ALL).reveal(BOT, "pii.shoe_size", MODEL, {})
    assert (answer.mask, answer.policies) == ("redact", ())


def test_a_label_of_the_catalog_is_asked_about(engine):
    assert (
        engine(ALLOW_ALL, '[columns]\n"t.c" = ["pii.shoe_size"]\n').reveal(BOT, "pii.shoe_size", MODEL, {}).mask is None
    )


ERRING = ALLOW_ALL + '@id("careful") forbid (principal, action, resource) when { context.sensitivity > 3 };'


@pytest.mark.parametrize(
    "condition",
    [
        'Table::"shop.x" in Database::"shop"',
        'Table::"shop.x" has environment',
        '(if context.environment == "dev" then Table::"shop.x" else Table::"shop.y") in [Database::"shop"]',
        '{it: Table::"shop.x"}.it is Table in Database::"shop"',
        '!!(Table::"shop.x" has region) && Table::"shop.x".region == "eu"',
    ],
)
def test_a_resource_that_a_condition_names_as_a_literal_is_among_the_entities(engine, condition):
    forbid = (
        f'@id("f") forbid (principal, action == Action::"db.read", resource == Table::"shop.x") when {{ {condition} }};'
    )
    what = Resource("Table", "shop.x", ("Database", "shop"), (("environment", "prod"), ("region", "eu")))
    asked = engine(f'@id("p") permit (principal, action, resource);{forbid}')
    assert asked.act(BOT, "db.read", (what,), {"environment": "dev"}).policies == ("f",)


def test_a_label_that_a_condition_names_as_a_literal_is_in_its_groups(engine):
    forbid = (
        '@id("f") @mask("drop") forbid (principal, action == Action::"reveal", resource == Label::"pii.email") '
        'when { Label::"pii.email" in Label::"pii" };'
    )
    asked = engine(f'@id("p") permit (principal, action, resource);{forbid}')
    assert asked.reveal(BOT, "pii.email", Destination("model"), {}).mask == "drop"


def test_bare_cedar_skips_a_forbid_that_fails():
    answer = bare(ERRING)
    assert answer.allowed
    assert answer.diagnostics.errors


def test_a_failing_forbid_denies(engine):
    decision = engine(ERRING).act(BOT, "db.read", (TABLE,), {})
    assert decision.effect == "deny"
    assert decision.errors == ("careful: attribute sensitivity is missing",)


def test_a_failing_permit_denies_although_another_permits(engine):
    erring = ALLOW_ALL + '@id("odd") permit (principal, action, resource) when { context.sensitivity > 3 };'
    assert engine(erring).act(BOT, "db.read", (TABLE,), {}).effect == "deny"


def test_a_failing_policy_masks_a_reveal_as_strongly_as_can_be(engine):
    catalog = '[labels]\npii = "partial"\n'
    assert engine(ERRING, catalog).reveal(BOT, "pii.email", MODEL, {}).mask == "redact"


def test_an_error_is_not_remembered(engine):
    answers = engine(ERRING)
    assert answers.act(BOT, "db.read", (TABLE,), {}).errors
    assert answers.act(BOT, "db.read", (TABLE,), {"sensitivity": 1}).effect == "allow"
    assert all(not plan.answers or None not in plan.answers for plan in answers._plans.young.values())


def test_no_error_tells_a_value(engine):
    answers = engine(
        ALLOW_ALL + '@id("net") forbid (principal, action, resource) when { ip(context.where).isLoopback() };'
    )
    decision = answers.act(BOT, "db.read", (TABLE,), {"where": "jane@example.com"})
    assert decision.errors == ("net: could not be evaluated",)
    assert "jane" not in repr(decision)


@pytest.mark.parametrize("value", [1.5, None, 2**63, -(2**63) - 1, ["a"], {"a"}, {"a": 1}, (1,), b"x", object()])
def test_a_value_that_cedar_has_no_type_for_denies(engine, value):
    answers = engine(ALLOW_ALL + '@id("f") forbid (principal, action, resource) when { context.n == 3 };')
    decision = answers.act(BOT, "db.read", (TABLE,), {"n": value})
    assert decision.effect == "deny"
    assert len(decision.errors) == 1
    assert answers.reveal(BOT, "pii.email", MODEL, {"n": value}).mask == "redact"


@pytest.mark.parametrize("value", [1.5, None, 2**63])
def test_bare_cedar_gives_no_decision_for_such_a_value(value):
    assert bare(ALLOW_ALL, {"n": value}).decision is cedarpy.Decision.NoDecision


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), True, "", "x", (), ("a",), frozenset({"a"})])
def test_every_other_value_can_be_asked_with(engine, value):
    answers = engine(ALLOW_ALL + '@id("f") forbid (principal, action, resource) when { context.n == "no" };')
    assert answers.act(BOT, "db.read", (TABLE,), {"n": value}).effect == "allow"


def test_text_that_cannot_be_written_down_denies(engine):
    answers = engine(ALLOW_ALL + '@id("f") forbid (principal, action, resource) when { context.n == "no" };')
    assert answers.act(BOT, "db.read", (TABLE,), {"n": "\ud800"}).errors


@pytest.mark.parametrize("kind", ["Foo Bar", "", "Tab\nle", 'T"'])
def test_a_resource_of_an_impossible_type_is_denied(engine, kind):
    decision = engine(ALLOW_ALL).act(BOT, "db.read", (Resource(kind, "x"),), {})
    assert decision.effect == "deny"
    assert decision.errors


def test_names_that_are_hard_to_write_are_asked_about_as_they_are(engine):
    name = 'a"b\\c\n\x00é💥'
    cedar = ALLOW_ALL + f'@id("f") forbid (principal, action, resource == Tool::{json.dumps("plain")});'
    answers = engine(cedar)
    assert answers.act(BOT, "tool.call", (Resource("Tool", name),), {}).effect == "allow"
    assert answers.act(Principal("Agent", name, name), "tool.call", (Resource("Tool", "plain"),), {}).policies == ("f",)


def test_answers_name_policies_by_their_own_ids(engine):
    """Cedar calls them policy0, policy1, … by position, and a slice has other positions than the bundle."""
    many = "\n".join(f'@id("rule-{n}") permit (principal, action, resource == Tool::"t{n}");' for n in range(12))
    answers = engine(many)
    for number in range(12):
        assert answers.act(BOT, "tool.call", (Resource("Tool", f"t{number}"),), {}).policies == (f"rule-{number}",)


def test_a_policy_is_filed_under_the_entity_that_its_scope_names():
    def heads(head):
        return scope(parse(f"permit ({head});", "f", 1).tree)

    assert heads('principal, action, resource == Table::"a"').resource == ("Table", "a")
    assert heads('principal, action, resource in Database::"a"').resource == ("Database", "a")
    assert heads('principal is Agent in User::"u", action, resource').principal == ("User", "u")
    assert heads("principal is Agent, action, resource").principal == "Agent"
    assert heads("principal, action, resource").resource is None


def test_a_question_looks_at_its_slice_only(bundle):
    cedar = "\n".join(f'@id("p{n}") permit (principal, action, resource == Table::"shop.t{n}");' for n in range(500))
    index = bundle(cedar + ALLOW_ALL + '@id("typed") permit (principal is App, action, resource);').index
    found = index.find("db.read", (("Agent", "bot"), ("User", "u")), (("Table", "shop.t7"), ("Database", "shop")))
    assert found.ids == ("p7", "all")


def test_the_same_slice_is_parsed_once(bundle):
    index = bundle(ALLOW_ALL).index
    who, what = (("Agent", "bot"),), (("Table", "a"),)
    assert index.find("db.read", who, what) is index.find("db.read", who, (("Table", "b"),))


def test_the_engine_has_no_way_to_ask_without_the_entities(engine):
    """A table that no policy looks at beyond its name may be left out; one that a policy looks into may not."""
    answers = engine('@id("p") permit (principal, action, resource) when { resource.region == "eu" };')
    assert answers.act(BOT, "db.read", (TABLE,), {}).effect == "allow"
    inside = engine('@id("p") permit (principal, action, resource) when { resource in Database::"shop" };')
    assert inside.act(BOT, "db.read", (TABLE,), {}).effect == "allow"
    head = engine('@id("p") permit (principal, action, resource in Database::"shop");')
    assert head.act(BOT, "db.read", (TABLE,), {}).effect == "allow"


def test_an_engine_can_be_made_of_every_bundle():
    assert Engine(Bundle.load()).bundle.name == "starter"


@pytest.mark.parametrize(
    "nested",
    [
        lambda n: "&&".join(["true"] * n),
        lambda n: "context" + ".a" * n,
        lambda n: "context" + '["a"]' * n,
        lambda n: "context has " + ".".join(["a"] * n),
        lambda n: "[" * n + "1" + "]" * n + " == 1",
        lambda n: "{a:" * n + "1" + "}" * n + " == 1",
        lambda n: "if true then 1 else " * n + "1 == 1",
        lambda n: "+".join(["1"] * n) + " == 1",
        lambda n: "[1]" + ".contains(1)" * n,
        lambda n: "!(!(" * n + "true" + "))" * n,
        lambda n: "-(-(" * n + "1" + "))" * n + " == 1",
    ],
)
def test_what_is_nested_too_deeply_for_a_set_is_refused_when_it_is_read(nested):
    """Only what comes near the limit is tried; nothing gets past that a slice could not be made of."""
    refused = 0
    for depth in range(1, 70):
        text = f"permit (principal, action, resource) when {{ {nested(depth)} }};"
        try:
            read = source.parse(text, "p.cedar", 1)
        except source.Fault:
            refused += 1
        else:
            cedarpy.PolicySet.from_json_str(source.document([("p", read.json)]))
    assert 0 < refused < 60
