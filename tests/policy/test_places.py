"""Every finding has its line and column, of exactly what it is about."""

import random
import runpy
from pathlib import Path

import pytest

from guardai.policy import check
from guardai.policy.places import Places
from guardai.policy.source import parse
from guardai.policy.tree import children

EXPRESSIONS = [
    "context has a.b.c",
    "1 > 2 && 1>=2",
    "-3 < --4",
    "-context.n == - 5",
    "!!true",
    "context.a*3+2-1 == 3",
    'ip("1.2.3.4").isInRange(ip("1.1.1.1/8"))',
    'context.d.lessThan(decimal("1.0"))',
    '{"a b": 1, c: 2}.c == 2',
    '["a", Agent::"x"].containsAll([])',
    r'principal in [User::"x", User::"y\n\u{41}\x41"]',
    r'context.x like "a\*b*c\\"',
    'principal is Agent in User::"x"',
    "if true then 1 == 1 else false",
    "context.a.isEmpty()",
    "-9223372036854775808 == 1",
    "(context.a || context.b) && context.c",
    'A::B::"x" == principal',
    'context["to"]["kind"] == "x // no comment"',
    "-(3) == 1",
    "context.n * 2 * 3 == 1",
    'context.a has "x y"',
    "(if true then context else context).a",
    'datetime("2020-01-01").toDate() == duration("1h")',
    'principal.hasTag("a") && principal.getTag("a") == 1',
    "!context.a == true",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_is_read_as_cedar_reads_it_and_told_where_it_stands(text):
    source = f'@id("when {{") permit (principal, action, resource)\n// when {{ false }}\nwhen {{ {text} }} unless {{ {text} }};'
    policy = parse(source, "f", 7, 5)
    places = Places(policy)
    assert places.conditions == policy.tree["conditions"]
    first, second = (clause["body"] for clause in places.conditions)
    assert places.of(first) == (9, 8)
    assert places.of(second) == (9, 8 + len(text) + len(" } unless { "))
    assert places.text(first) == places.text(second) == text


def test_every_part_of_random_policies_has_its_own_place():
    made = runpy.run_path(str(Path(__file__).with_name("test_oracle.py")))["policy"]
    r = random.Random(5)
    for number in range(300):
        policy = parse(made(r, number), "f", 1)
        places = Places(policy)
        assert places.conditions == policy.tree["conditions"]
        stack = [clause["body"] for clause in places.conditions]
        while stack:
            node = stack.pop()
            if "&&" not in node:  # of `has a.b` one part has no text of its own
                assert places.text(node), policy.source
            stack += children(node)


def test_what_is_read_otherwise_than_cedar_reads_it_has_the_policys_place(monkeypatch):
    from guardai.policy import places as module

    policy = parse('permit (principal, action, resource) when { context.a == "b" };', "f", 3, 9)
    monkeypatch.setattr(module, "_unescaped", lambda text: "something else")
    places = Places(policy)
    assert places.conditions == policy.tree["conditions"]
    body = places.conditions[0]["body"]
    assert (places.of(body), places.text(body)) == ((3, 9), "")


@pytest.mark.parametrize(
    ("cedar", "at"),
    [
        ('@id("x") @raeson("r") permit (principal, action, resource);', "@raeson"),
        ('@id("x")\n  @severity("hgih")\npermit (principal, action, resource);', "@severity"),
        ('@id("x") permit (principal, action in [Action::"db", Action::"lm"], resource);', 'Action::"lm"'),
        ('@id("x") permit (principal, action, resource in Label::"pi");', "Label"),
        (
            '@id("x") permit (principal, action, resource)\nwhen { resource in [Label::"pii", Label :: "sceret"] };',
            'Label :: "sceret"',
        ),
        ('@id("x") permit (principal, action, resource)\nwhen { context.zone == "x" };', "context.zone"),
        (
            '@id("x") permit (principal, action in Action::"db", resource)\n'
            '  when { context.environment == "x" } when { context has sql && context.sql.unbounded || context.sql.unbounded };',
            "context.sql.unbounded }",
        ),
        (
            '@id("x") permit (principal, action, resource)\nwhen { context.mode == "enforce" &&\n context.environment == 3 };',
            "context.environment == 3",
        ),
        (
            '@id("x") permit (principal, action == Action::"reveal", resource)\nwhen { ["model", "hots"].contains(context.to.kind) };',
            '"hots"',
        ),
        ('@id("x") permit (principal, action, resource) when { "verfied" == principal.assurance };', '"verfied"'),
        (
            '@id("x") permit (principal, action == Action::"tool.call", resource) when { resource.trust != "lsited" };',
            '"lsited"',
        ),
        (
            '@id("x") forbid (principal, action, resource) unless { context.approvals.contains("dba") };',
            "unless",
        ),
        (
            '@id("x") @approval("dba") forbid (principal, action, resource) unless { context.approvals.contains("dbo") };',
            "@approval",
        ),
        ('@id("x") permit (principal in Team::"a", action, resource);', "Team"),
    ],
)
def test_a_finding_stands_where_its_fault_is(folder, cedar, at):
    before = '@id("first") permit (principal, action, resource); '
    found = [one for one in check(folder(before + cedar)) if one.policy == "x"]
    lines = (before + cedar).split("\n")
    assert any(lines[one.line - 1][one.column - 1 :].startswith(at) for one in found), found
    assert all(str(one).startswith(f"policies/test.cedar:{one.line}:{one.column}: ") for one in found)


def test_what_cedar_says_once_for_each_action_is_said_once(folder):
    (problem,) = check(folder('@id("x") permit (principal, action, resource) when { context.zone == "x" };'))
    assert problem.message == "attribute `zone` in context not found"
    (problem,) = check(
        folder('@id("x") permit (principal, action in Action::"db", resource) when { context.sql.unbounded };')
    )
    assert "write `context has sql && …` before it" in problem.message
    (problem,) = check(folder('@id("x") permit (principal, action, resource) when { resource.region == "x" };'))
    assert problem.message == "attribute `region` not found, for Tool"
