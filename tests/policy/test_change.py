"""What would have to change: the smallest sets, each of which Cedar itself answers as was said."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardai.model import Destination, Principal, Resource
from guardai.policy import Asked, Bundle, Engine, examine, judge, told
from guardai.policy.change import apply, candidates, can_allow, smallest
from guardai.policy.explain import _policies
from guardai.policy.parts import situations
from tests.policy import test_oracle as oracle

PERMIT = '@id("p") permit (principal, action, resource);'


def asked(**changes):
    given = Asked(
        Principal("Agent", "a", "u"),
        ("db.read",),
        (Resource("Table", "shop.customers", ("Database", "shop"), (("environment", "prod"), ("region", "us"))),),
        {
            "environment": "prod",
            "sql.statements": 7,
            "sql.unbounded": True,
            "labels": (),
            "session.labels": ("pii.email",),
        },
        to=Destination("model", "openai", "us", "listed"),
    )
    return given._replace(**changes)


def says(bundle, **changes):
    return [[one["says"] for one in several] for several in examine(bundle, asked(**changes))["changes"]]


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ('context.environment == "dev"', 'context.environment is "dev" instead of "prod"'),
        ("context.sql.statements < 5", "context.sql.statements is 4 instead of 7"),
        ("5 >= context.sql.statements", "context.sql.statements is 5 instead of 7"),
        ("!context.sql.unbounded", "context.sql.unbounded is false instead of true"),
        ('!context.session.labels.contains("pii.email")', 'context.session.labels does not hold "pii.email"'),
        ('context.grants.contains("g")', "a grant 'g' covers it"),
        ('["dev", "test"].contains(context.environment)', 'context.environment is "dev" instead of "prod"'),
        ('resource.region == "eu"', 'resource.region is "eu" instead of "us"'),
        ('principal.user == "ann"', 'principal.user is "ann" instead of "u"'),
        ('context.environment like "d*"', 'context.environment is "d" instead of "prod"'),
    ],
)
def test_condition_of_a_permit_that_fails_is_told_with_the_value_that_it_needs(bundle, condition, wanted):
    found = says(bundle(f'@id("p") permit (principal, action, resource) when {{ {condition} }};'))
    assert [wanted] in found
    assert all(len(several) == 1 for several in found)


def test_approval_lifts_a_forbid_before_anything_else_is_changed(bundle):
    cedar = PERMIT + (
        '@id("f") @approval("dba") forbid (principal, action, resource)'
        ' when { context.environment == "prod" } unless { context.approvals.contains("dba") };'
    )
    assert says(bundle(cedar)) == [["a human of dba agrees"], ['context.environment is another than "prod"']]


def test_two_things_that_have_to_change_together_are_told_together(bundle):
    cedar = '@id("p") permit (principal, action, resource) when { context.environment == "dev" && context.grants.contains("g") };'
    assert says(bundle(cedar)) == [["a grant 'g' covers it", 'context.environment is "dev" instead of "prod"']]


def test_change_that_makes_another_forbid_apply_is_not_told(bundle):
    cedar = PERMIT + (
        '@id("f") forbid (principal, action, resource) when { context.environment == "prod" };'
        '@id("g") forbid (principal, action, resource) when { context.environment like "another*" };'
        '@id("h") forbid (principal, action, resource) when { ["dev"].contains(context.environment) };'
    )
    assert says(bundle(cedar)) == []


def test_where_nothing_permits_a_permit_is_what_lacks(bundle):
    [[change]] = examine(bundle('@id("p") permit (principal, action in Action::"llm", resource);'), asked())["changes"]
    assert change["kind"] == "permit"


def test_permit_is_no_way_out_of_a_forbid(bundle):
    answer = examine(bundle('@id("f") forbid (principal, action, resource);'), asked())
    assert answer["changes"] == []
    assert "f would have to say otherwise" in told(answer)[-1]


def test_how_little_was_missing_is_told(bundle):
    cedar = '@id("p") permit (principal, action, resource) when { context.sql.statements <= 5 };'
    answer = examine(bundle(cedar), asked())
    [need] = answer["considered"][0]["conditions"][0]["needs"]
    assert need == {"attribute": "context.sql.statements", "is": 7, "must": "be 5 or less", "by": 2}
    assert "  context.sql.statements is 7; it would have to be 5 or less (by 2)." in told(answer)


def test_condition_that_cannot_be_evaluated_neither_holds_nor_fails(bundle):
    cedar = '@id("p") permit (principal, action, resource) when { context has model && context.model.region == "eu" };'
    parts = examine(bundle(cedar), asked())["considered"][0]["conditions"]
    assert [(part["text"], part["holds"]) for part in parts] == [
        ("context has model", False),
        ('context.model.region == "eu"', None),
    ]


def test_what_would_let_a_label_through_is_told(bundle):
    cedar = PERMIT + (
        '@id("f") @mask("token") forbid (principal, action == Action::"reveal", resource in Label::"pii")'
        ' unless { context.to.region == "eu" };'
    )
    fate = examine(bundle(cedar), asked(labels=("pii.email",)))["reveals"]["pii.email"]
    assert (fate["mask"], fate["policies"]) == ("token", ["f"])
    assert [[one["says"] for one in several] for several in fate["changes"]] == [
        ['context.to.region is "eu" instead of "us"']
    ]


def test_every_verb_of_a_statement_is_looked_into(bundle):
    cedar = (
        PERMIT
        + '@id("f") forbid (principal, action == Action::"db.admin", resource) when { context.environment == "prod" };'
    )
    answer = examine(bundle(cedar), asked(verbs=("db.destroy", "db.admin")))
    assert [(one["policy"], one["action"]) for one in answer["considered"] if one["applies"]] == [("f", "db.admin")]
    assert answer["changes"][0][0]["attribute"] == "context.environment"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_every_change_that_is_told_is_answered_so_by_cedar_on_the_whole_set(folder, seed):
    r = random.Random(seed)
    text = "\n".join(oracle.policy(r, number, safe=True) for number in range(r.randrange(1, 12)))
    bundle, whole = Bundle.load(folder(text)), oracle.Oracle(text)
    engine = Engine(bundle)
    database = r.choice(oracle.DATABASES)
    call = asked(
        resources=(
            Resource("Table", f"{database}.{r.choice(oracle.TABLES)}", ("Database", database), (("region", "us"),)),
        ),
        context=oracle.flat(oracle.context(r)),
    )
    if judge(engine, call).effect == "allow":
        return
    asking = [(one, _policies(bundle, one, judge(engine, call))) for one in situations(call)]
    for several in smallest(call, candidates(call, asking), can_allow(engine)):
        changed = apply(call, several)
        assert whole_allows(whole, changed), several
        assert not whole_allows(whole, call)


def whole_allows(whole, call):
    [resource], [verb] = call.resources, call.verbs
    nested = {}
    for name, value in call.whole.items():
        *above, leaf = name.split(".")
        record = nested
        for part in above:
            record = record.setdefault(part, {})
        record[leaf] = list(value) if isinstance(value, tuple) else value
    nested = {"approvals": [], "grants": [], **nested}
    answer = whole.ask(
        call.principal,
        verb,
        oracle.uid(resource.type, resource.id),
        [oracle.uid(*resource.parent)],
        dict(resource.attrs),
        nested,
    )
    return bool(answer[0]) if isinstance(answer, tuple) else bool(answer.allowed)


def test_part_that_cannot_be_masked_is_explained_by_the_policies_of_its_reveal(bundle):
    cedar = PERMIT + (
        '@id("f") forbid (principal, action == Action::"reveal", resource in Label::"opaque")'
        ' unless { context.to.trust == "internal" };'
    )
    answer = examine(bundle(cedar), asked(opaque=("opaque.image",)))
    assert (answer["decision"], answer["policies"]) == ("deny", ["f"])
    assert "opaque.image cannot be masked" in answer["reason"]
    assert [(one["policy"], one["action"]) for one in answer["considered"]] == [("f", "reveal")]
    assert [[one["says"] for one in several] for several in answer["changes"]] == [
        ['context.to.trust is "internal" instead of "listed"']
    ]


def test_policy_that_decided_is_looked_into_among_any_number_of_others(bundle):
    cedar = PERMIT + "".join(f'@id("n{n}") forbid (principal, action, resource) when {{ false }};' for n in range(400))
    cedar += '@id("z") forbid (principal, action, resource) when { context.environment == "prod" };'
    answer = examine(bundle(cedar), asked())
    assert [one["policy"] for one in answer["considered"]] == ["z"]
    assert answer["changes"][0][0]["kind"] == "environment"
