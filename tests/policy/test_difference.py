"""Diff: what it reports is so for bare Cedar on the whole sets, and what is the same has no difference."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardai.model import Destination, Principal, Resource
from guardai.policy import Asked, Bundle
from guardai.policy.difference import between
from guardai.policy.explain import Request, examine, explain
from tests.policy import test_oracle as oracle

READS = '@id("reads") permit (principal, action == Action::"db.read", resource);'


@pytest.fixture
def diff(bundle):
    return lambda a, b: between(bundle(a, ""), bundle(b, "")).differences


def told(found):
    return [(one.which, one.a.effect, one.b.effect) for one in found]


def test_bundle_that_permits_more_is_told_with_the_action(diff):
    [found] = diff(
        READS, READS + '@id("writes") permit (principal, action == Action::"db.write", resource == Table::"shop.log");'
    )
    assert (found.which, found.a.effect, found.b.effect) == ("more", "deny", "allow")
    assert found.b.policies == ("writes",)
    assert found.what == ("db.write on Table",)
    assert found.asked.resources[0].id == "shop.log"


def test_and_the_reverse(diff):
    [found] = diff(READS + '@id("llm") permit (principal, action in Action::"llm", resource);', READS)
    assert (found.which, set(found.what)) == ("less", {"llm.generate on Model", "llm.embed on Model"})


@pytest.mark.parametrize(
    ("a", "b", "path", "shown"),
    [
        ("context.sql.statements <= 5", "context.sql.statements <= 7", "sql.statements", {6, 7}),
        ("context.sql.statements < 5", "context.sql.statements <= 5", "sql.statements", {5}),
        ("10 > context.sql.statements", "context.sql.statements < 9", "sql.statements", {9}),
        ('context.environment == "dev"', '["dev", "test"].contains(context.environment)', "environment", {"test"}),
        ('context.session.purpose like "re*"', 'context.session.purpose like "rep*"', "session.purpose", {"re"}),
        ("context.sql.unbounded", "true", "sql.unbounded", {False}),
        (
            'context.session.labels.contains("pii.email")', 'context.session.labels.containsAny(["pii.email", "pii.phone"])',
            "session.labels", {("pii.phone",)},
        ),
        ('context.grants.contains("g")', "true", "grants", {()}),
    ],
)  # fmt: skip
def test_bound_that_moved_is_found_where_it_moved(diff, a, b, path, shown):
    cedar = '@id("p") permit (principal, action == Action::"db.read", resource) when {{ {} }};'
    found = diff(cedar.format(a), cedar.format(b))
    assert len(found) >= 1
    assert any(one.asked.context.get(path, ()) in shown for one in found), found


def test_two_conditions_that_are_needed_together_are_found(diff):
    cedar = '@id("p") permit (principal, action == Action::"db.read", resource) when {{ {} }};'
    one = 'context.environment == "dev" && resource.region == "eu"'
    found = diff(cedar.format("false"), cedar.format(one))
    assert told(found) == [("more", "deny", "allow")]
    assert found[0].asked.context["environment"] == "dev"


def test_permit_that_an_unchanged_forbid_takes_back_is_no_difference(diff):
    forbid = '@id("f") forbid (principal, action == Action::"db.write", resource);'
    assert (
        diff(READS + forbid, READS + forbid + '@id("w") permit (principal, action == Action::"db.write", resource);')
        == []
    )


def test_smallest_request_holds_only_what_matters(diff):
    b = (
        READS
        + '@id("w") permit (principal, action == Action::"db.write", resource) when { context.environment == "dev" };'
    )
    [found] = diff(READS, b)
    assert dict(found.asked.context) == {"environment": "dev"}


def test_pause_approval_limit_and_mask_are_differences(diff):
    pause = (
        'permit (principal, action, resource); @id("f") @approval("{}") forbid (principal, action == Action::"db.write", resource)'
        ' unless {{ context.approvals.contains("{}") }};'
    )
    assert ("other", "pause", "pause") in told(diff(pause.format("dba", "dba"), pause.format("boss", "boss")))
    cap = '@id("p") @row_cap("{}") permit (principal, action == Action::"db.read", resource);'
    [found] = diff(cap.format(5), cap.format(7))
    assert (found.which, dict(found.a.owed), dict(found.b.owed)) == ("other", {"row_cap": 5}, {"row_cap": 7})
    [found] = diff(cap.format(0), READS.replace("reads", "p"))
    assert (dict(found.a.owed), dict(found.b.owed)) == ({"row_cap": 0}, {})
    mask = READS + '@id("m") @mask("{}") forbid (principal, action == Action::"reveal", resource in Label::"pii");'
    [found] = diff(mask.format("token"), mask.format("drop"))
    assert (found.which, found.a.effect, found.b.effect) == ("less", "token", "drop")
    assert all(what.startswith("pii.") for what in found.what)


def test_mask_of_a_catalog_is_a_difference(bundle):
    found, *_ = between(bundle(READS, '[labels]\n"pii" = "token"\n'), bundle(READS, '[labels]\n"pii" = "hash"\n'))
    assert ("token", "hash") in {(one.a.effect, one.b.effect) for one in found}
    more = READS + '@id("w") permit (principal, action == Action::"db.write", resource);'
    found, *_ = between(bundle(READS, '[labels]\n"pii" = "token"\n'), bundle(more, '[labels]\n"pii" = "hash"\n'))
    assert {("token", "hash"), ("deny", "allow")} <= {(one.a.effect, one.b.effect) for one in found}


def test_of_very_many_policies_so_many_are_asked_and_it_is_said(bundle):
    many = "".join(
        f'@id("n{n}") permit (principal, action == Action::"db.read", resource) when {{ context.sql.statements < {n} }};'
        for n in range(1_200)
    )
    found = between(bundle(many, ""), bundle(many.replace(" < ", " <= "), ""))
    assert not found.whole
    assert found.tried > 100


def test_recorded_request_is_tried_and_names_its_event(bundle):
    call = Asked(Principal("Agent", "a", "u"), ("db.read",), (Resource("Table", "d.t", ("Database", "d")),), {})
    other = READS.replace("permit", "forbid")
    found, tried, _ = between(bundle(READS, ""), bundle(other, ""), [(call, call, "0123456789abcdef-1")])
    assert "0123456789abcdef-1" in {one.event for one in found}
    assert tried > 1


def test_request_that_is_shown_is_one_that_explain_takes(diff, bundle):
    b = (
        READS
        + '@id("w") permit (principal, action == Action::"db.write", resource) when { context.environment == "dev" };'
    )
    [found] = diff(READS, b)
    assert examine(bundle(READS), Request.read(found.data()["request"]).asked())["decision"] == "deny"
    assert examine(bundle(b), Request.read(found.data()["request"]).asked())["decision"] == "allow"


def explained(bundle, one):
    """What explain says to the request of a difference, as it is printed."""
    answer = explain(bundle, json.loads(json.dumps(one.data()["request"])))
    if one.asked.verbs:
        return answer["decision"], tuple(answer["policies"])
    fate = answer["reveals"][one.asked.labels[0]]
    return fate["mask"] or "revealed", tuple(fate["policies"])


@pytest.mark.parametrize(
    ("action", "condition"),
    [
        ("db.write", 'when { principal.assurance == "verified" }'),
        ("db.write", 'when { principal.chain.contains("planner") && principal.user == "ann" }'),
        ("db.write", 'when { resource.region == "eu" && context.sql.statements < 3 }'),
        ("llm.generate", 'unless { context has labels && context.labels.contains("pii.email") }'),
        ("reveal", 'unless { context has labels && context.labels.contains("pii.email") }'),
        ("reveal", 'when { context.to.kind == "person" && context.to.region == "eu" }'),
        ("reveal", 'when { context.to.kind != "model" }'),
        ("reveal", 'when { context.to.kind like "data*" }'),
    ],
)
def test_every_request_that_is_shown_is_answered_by_explain_as_diff_says(bundle, action, condition):
    a = bundle(READS)
    b = bundle(READS + f'@id("b") permit (principal, action == Action::"{action}", resource) {condition};')
    found = between(a, b).differences
    assert found
    for one in found:
        assert explained(a, one) == (one.a.effect, one.a.policies)
        assert explained(b, one) == (one.b.effect, one.b.policies)


def test_a_reveal_that_asks_for_what_is_the_acts_own_is_no_difference_and_one_that_does_without_is(bundle):
    reveal = '@id("b") permit (principal, action == Action::"reveal", resource) {};'
    for never in (
        'when { context.labels.contains("pii.phone") }',
        'when { context.approvals.contains("dba") }',
        "unless { context has labels }",
    ):
        assert between(bundle(READS), bundle(READS + reveal.format(never))).differences == []
    for always in ('unless { context.labels.contains("pii.email") }', "when { context.opaque.isEmpty() }"):
        found = between(bundle(READS), bundle(READS + reveal.format(always))).differences
        assert {(one.which, one.b.effect) for one in found} == {("more", "revealed")}
        assert all(one.data()["request"]["context"] == {} for one in found)


def test_what_a_reveal_never_has_costs_no_requests(bundle):
    reveal = '@id("b") permit (principal, action == Action::"reveal", resource) when {{ {} }};'
    plain, own = (
        between(bundle(READS), bundle(READS + reveal.format(f'{more}context.environment == "prod"'))).tried
        for more in ("", 'context.labels.contains("pii.dob") && ')
    )
    assert own <= plain


def test_what_no_file_for_explain_can_hold_is_told_by_its_event_alone(bundle):
    a, b = bundle(READS), bundle(READS + '@id("w") permit (principal, action == Action::"db.write", resource);')
    table = Resource("Table", "d.t", ("Database", "d"))
    for verbs, told in ((("db.read", "db.write"), False), (("db.write",), True)):
        call = Asked(Principal("Agent", "a", "u"), verbs, (table,), {})
        [one] = [one for one in between(a, b, [(call, call, "0123456789abcdef-1")]).differences if one.event]
        assert (one.a.effect, one.b.effect) == ("deny", "allow")
        assert (one.data()["request"] is not None) is told


def nested(flat):
    root = {}
    for name, value in flat.items():
        *above, leaf = name.split(".")
        record = root
        for part in above:
            record = record.setdefault(part, {})
        record[leaf] = list(value) if isinstance(value, tuple) else value
    return root


def says(whole, notes, asked):
    if asked.verbs:
        return whole.act(asked.principal, asked.verbs[0], asked.resources, nested(asked.whole), notes)[0]
    mask, _ = whole.reveal(asked.principal, asked.labels[0], asked.to or Destination("x"), nested(asked.shared), notes)
    return mask or "revealed"


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), safe=st.booleans())
def test_whatever_is_reported_is_true_for_cedar_on_the_whole_sets(tmp_path_factory, seed, safe):
    r = random.Random(seed)
    ours = [oracle.policy(r, number, safe=safe) for number in range(r.randrange(1, 8))]
    theirs = [one for one in ours if r.random() < 0.8]
    theirs += [oracle.policy(r, 100 + number, safe=safe) for number in range(r.randrange(3))]
    theirs = theirs or [READS]
    bundles, wholes = [], []
    for texts in (ours, theirs):
        root = tmp_path_factory.mktemp("diff")
        (root / "policies").mkdir()
        (root / "policies" / "p.cedar").write_text("\n".join(texts))
        bundles.append(Bundle.load(root))
        wholes.append(oracle.Oracle("\n".join(texts)))
    notes = [{name: one.annotations for name, one in bundle.policies.items()} for bundle in bundles]
    found, *_ = between(*bundles)
    for one in found:
        assert says(wholes[0], notes[0], one.asked) == one.a.effect
        assert says(wholes[1], notes[1], one.asked) == one.b.effect
        assert (one.a.effect, one.a.owed) != (one.b.effect, one.b.owed)
        assert explained(bundles[0], one) == (one.a.effect, one.a.policies)
        assert explained(bundles[1], one) == (one.b.effect, one.b.policies)
    same, tried, _ = between(bundles[0], bundles[0])
    assert (same, tried) == ([], 0)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_bundles_that_differ_in_order_names_and_reasons_alone_have_no_difference_in_what_they_permit(
    tmp_path_factory, seed
):
    r = random.Random(seed)
    texts = [oracle.policy(r, number, safe=True) for number in range(6)]
    bundles = []
    for some in (texts, [one.replace('@reason("because")', '@reason("why not")') for one in reversed(texts)]):
        root = tmp_path_factory.mktemp("diff")
        (root / "policies").mkdir()
        (root / "policies" / "p.cedar").write_text("\n".join(some))
        bundles.append(Bundle.load(root))
    found, tried, _ = between(*bundles)
    assert found == []
    assert tried > 0
