"""Policies that do nothing. What is claimed is proved: bare Cedar is asked with every kind of call that guardai makes."""

import itertools
import json
import random
import re

import cedarpy
import pytest

from guardai.model import ACTIONS, REVEAL, Destination, Principal, Resource
from guardai.policy import STARTER, check
from guardai.policy.question import action_uid, context_document, label_entity, principal_entity, resource_entity
from guardai.policy.question import scene, with_entity
from guardai.policy.vocabulary import BEARERS, CONTEXT, ENTITIES, ENTITY_CHOICES, PARENTS, RESOURCES

NEVER, UNREACHED, SHADOWED = "it never applies", "no call reaches it", "it adds nothing"
DEAD, VAIN = "part of it never holds: ", "no permit covers"


def said(folder, cedar, catalog=None):
    return [one for one in check(folder(cedar, catalog)) if "no @id" not in one.message]


# ---- single findings ----

ANY = "permit (principal, action, resource)"
REVEALED = 'forbid (principal, action == Action::"reveal", resource in Label::"pii")'


@pytest.mark.parametrize(
    ("cedar", "at", "why"),
    [
        (ANY + ' when { context.mode == "enforce" && context.mode == "observe" };', 'context.mode == "o', "exclude"),
        (
            ANY + ' when { context.environment == "a" } unless { context.environment == "a" };',
            "context.env",
            "not (con",
        ),
        (ANY + ' when { context.environment == "a" && ["b"].contains(context.environment) };', "[", "exclude"),
        (ANY + ' when { context.environment like "prod*" && context.environment == "dev" };', "context.env", "exclude"),
        (
            ANY + ' when { context.environment == "prod" && !(context.environment like "*r*") };',
            "context.env",
            "exclude",
        ),
        (
            ANY + " when { context.session.implicit && context.session.implicit == false };",
            "context.session",
            "exclude",
        ),
        (
            ANY + ' when { context.labels.contains("pii.email") && context.labels.isEmpty() };',
            "context.labels.i",
            "exclude",
        ),
        (
            ANY
            + ' when { context.labels.containsAll(["pii.email","pii.dob"]) && !context.labels.contains("pii.dob") };',
            "context.labels.contains(",
            "exclude",
        ),
        (
            'permit (principal, action in Action::"db", resource)'
            " when { context has sql && context.sql.statements > 3 && context.sql.statements <= 3 };",
            "context.sql.statements <=",
            "context.sql.statements > 3 and context.sql.statements <= 3",
        ),
        (
            'permit (principal, action in Action::"llm", resource) when { context has sql };',
            "context has",
            "for the calls in its head, context has sql is never true",
        ),
        (
            'permit (principal, action in Action::"llm", resource) when { resource in Database::"shop" };',
            "resource in",
            "never true",
        ),
        (
            'permit (principal, action in Action::"llm", resource) when { action == Action::"db.read" };',
            "action ==",
            "never true",
        ),
        (ANY + ' unless { context.mode == "enforce" || context.mode != "enforce" };', "context.mode !=", "exclude"),
        (
            "permit (principal is Agent, action, resource) when { principal is App };",
            "principal is App",
            "its head and",
        ),
        (
            'forbid (principal, action in Action::"db", resource == Table::"a.b") when { resource == Table::"a.c" };',
            'resource == Table::"a.c"',
            "its head and resource",
        ),
        (REVEALED + ' when { resource in Label::"secret" };', 'resource in Label::"secret"', "exclude"),
        (REVEALED + ' when { resource == Label::"secret.x" };', "resource ==", "exclude"),
        (
            REVEALED + ' unless { resource in [Label::"pii", Label::"secret"] };',
            "resource in [",
            "its head and not (res",
        ),
        (REVEALED + ' when { resource.region == "eu" };', "resource.region", "its head and resource.region"),
        (
            'forbid (principal, action == Action::"reveal", resource == Label::"pii.email") when { resource.region != "" };',
            "resource.region",
            "its head and resource.region",
        ),
        (ANY + " when { context.count.calls.minute < 0 };", "context.count", "is never true"),
        (ANY + " when { false };", ANY, "false by themselves"),
        (
            ANY + ' when { if context.mode == "enforce" then false else context.mode == "enforce" };',
            'context.mode == "enforce" };',
            "exclude",
        ),
        (
            REVEALED
            + ' when { (context.to.trust == "listed" || context.to.trust == "internal") && context.to.trust == "unlisted" };',
            REVEALED,
            "no call passes",
        ),
        (
            ANY + '\nwhen {\n  context.mode == "enforce" &&\n  context.mode == "observe"\n};',
            'context.mode == "o',
            "exclude",
        ),
    ],
)
def test_a_policy_that_never_applies_is_an_error_with_its_place(folder, cedar, at, why):
    (problem,) = said(folder, cedar)
    assert problem.severity == "error"
    assert cedar.split("\n")[problem.line - 1][problem.column - 1 :].startswith(at), problem
    assert problem.message.startswith(NEVER)
    assert why in problem.message


@pytest.mark.parametrize(
    "cedar",
    [
        ANY + ' when { context.mode == "enforce" || context.mode == "observe" };',
        ANY + ' when { context.environment != "a" && context.environment != "b" };',
        ANY + ' when { context.environment like "a*" && context.environment like "*b" };',
        ANY + " when { context has sql && context.sql.statements > 3 && context.sql.statements < 5 };",
        ANY
        + ' when { context.labels.containsAny(["pii.email", "pii.dob"]) && !context.labels.contains("pii.email") };',
        ANY + ' when { action in [Action::"db", Action::"llm"] } unless { action == Action::"db.admin" };',
        ANY + ' unless { action in Action::"db" && context has sql && context.sql.unbounded };',
        REVEALED + ' when { resource == Label::"pii.email" };',
        REVEALED + ' unless { resource == Label::"pii.email" };',
        REVEALED + ' when { context.to.kind == "model" } unless { context.to.trust == "internal" };',
        'permit (principal in User::"u", action, resource) when { principal == Agent::"a" };',
        'permit (principal, action in Action::"db", resource in Database::"d") when { resource == Table::"d.t" };',
        'permit (principal, action == Action::"reveal", resource) when { context has sql && context has model };',
    ],
)
def test_what_some_call_passes_is_left_alone(folder, cedar):
    assert said(folder, cedar) == []


DB = 'forbid (principal, action in Action::"db", resource)'
READ = 'forbid (principal, action == Action::"db.read", resource)'
UNBOUNDED = "context has sql && context.sql.unbounded"


@pytest.mark.parametrize(
    ("cedar", "expected"),
    [
        ('@id("a") permit (principal, action in Action::"db", resource);@id("b") ' + DB + ";", [("a", UNREACHED)]),
        ('@id("a") ' + DB + ';@id("b") ' + READ + ";", [("b", SHADOWED)]),
        ('@id("a") ' + DB + ';@id("b") ' + DB + ";", [("b", SHADOWED)]),
        ('@id("a") ' + DB + ';@id("b") forbid (principal is Agent, action == Action::"db.read", resource in Database::"d");', [("b", SHADOWED)]),
        ('@id("a") ' + DB + f' when {{ {UNBOUNDED} }};@id("b") ' + READ + f' when {{ context.environment == "x" && {UNBOUNDED} }};', [("b", SHADOWED)]),
        ('@id("a") ' + DB + f' when {{ {UNBOUNDED} }};@id("b") ' + READ + ' when { context.environment == "x" };', []),
        # Without asking first the other would fail where this one applies: it is not the same.
        ('@id("a") ' + DB + ' when { context.environment == "x" };@id("b") ' + READ + ' when { ["x"].contains(context.environment) };', [("b", SHADOWED)]),
        ('@id("a") @approval("g") ' + DB + ' unless { context.approvals.contains("g") };@id("b") ' + READ + ";", []),
        ('@id("a") ' + DB + ';@id("b") @approval("g") ' + READ + ' unless { context.approvals.contains("g") };', [("b", SHADOWED)]),
        ('@id("a") @approval("g") ' + DB + ' unless { context.approvals.contains("g") };@id("b") @approval("g") ' + READ + ' unless { context.approvals.contains("g") };', [("b", SHADOWED)]),
        ('@id("a") @approval("g") ' + DB + ' unless { context.approvals.contains("g") };@id("b") permit (principal, action in Action::"db", resource);', []),
        ('@id("a") ' + DB + ' unless { context.grants.contains("g") };@id("b") permit (principal, action in Action::"db", resource);', []),
        ('@id("a") ' + DB + ';@id("b") @on_denied("abort") ' + READ + ";", []),
        ('@id("a") @mask("token") forbid (principal, action == Action::"reveal", resource);@id("b") @mask("redact") ' + REVEALED + ";", []),
        ('@id("a") @mask("redact") forbid (principal, action == Action::"reveal", resource);@id("b") @mask("token") ' + REVEALED + ";", [("b", SHADOWED)]),
        ('@id("a") forbid (principal, action == Action::"reveal", resource);@id("b") @mask("token") ' + REVEALED + ";", []),
        ('@id("a") @mask("drop") ' + REVEALED + ';@id("b") permit (principal, action == Action::"reveal", resource == Label::"pii.email");', [("b", UNREACHED)]),
        ('@id("a") @mask("drop") ' + REVEALED + ';@id("b") permit (principal, action == Action::"reveal", resource);', []),
        (
            '@id("a") ' + READ + ';@id("b") forbid (principal, action == Action::"db.write", resource);'
            '@id("c") permit (principal, action in [Action::"db.read", Action::"db.write"], resource);',
            [("c", UNREACHED)],
        ),
    ],
)  # fmt: skip
def test_what_another_policy_makes_superfluous_is_a_warning(folder, cedar, expected):
    # Most have no permit: what is said of that is another test's.
    found = [one for one in said(folder, cedar) if not one.message.startswith("no permit covers")]
    assert [(one.policy, one.message[: len(expected[0][1])] if expected else one) for one in found] == expected
    assert {one.severity for one in found} <= {"warning"}


@pytest.mark.parametrize(
    ("cedar", "part"),
    [
        (
            ANY + ' when { context.region == "eu" || (context.mode == "enforce" && context.mode == "observe") };',
            'context.mode == "enforce" && context.mode == "observe"',
        ),
        (
            'permit (principal, action in Action::"llm", resource) when { context.mode == "observe" || context has sql };',
            "context has sql",
        ),
        (
            'permit (principal is Agent, action, resource) unless { principal is App || context.mode == "observe" };',
            "principal is App",
        ),
        (
            f'@id("p") {ANY}; @id("q") @approval("dba") forbid (principal, action in Action::"db", resource) unless '
            '{ context.environment == "a" && context.environment == "b" && context.approvals.contains("dba") };',
            'context.environment == "a" && context.environment == "b" && context.approvals.contains("dba")',
        ),
        (REVEALED + ' unless { resource in Label::"secret" };', 'resource in Label::"secret"'),
        (ANY + ' when { context.mode == "observe" || ["observe", "enforce"].contains(context.mode) };', None),
        (ANY + ' when { context has sql && context.sql.unbounded || context has model && context.model.trust == "listed" };', None),
        (ANY + ' unless { principal in User::"u" || resource has region };', None),
        (ANY + ' when { action in Action::"db" || action in Action::"llm" || action in Action::"tool" };', None),
    ],
)  # fmt: skip
def test_an_alternative_that_never_holds_is_a_warning_with_its_place(folder, cedar, part):
    found = said(folder, cedar)
    if part is None:
        assert found == []
        return
    (problem,) = found
    assert (problem.severity, problem.message) == ("warning", DEAD + part)
    assert cedar[problem.column - 1 :].startswith(part)


@pytest.mark.parametrize("path", [STARTER])
def test_no_alarm_on_the_starter(path):
    assert check(path) == []


@pytest.mark.parametrize(
    ("permit", "warned"),
    [
        ("", True),
        ('permit (principal, action == Action::"db.read", resource);', True),
        ('permit (principal is App, action == Action::"db.write", resource);', True),
        ('permit (principal, action == Action::"db.write", resource) when { context.environment == "dev" };', True),
        ('permit (principal, action == Action::"db.write", resource == Table::"shop.b");', True),
        ('permit (principal, action in Action::"db", resource);', False),
        ('permit (principal, action, resource) when { context.environment like "p*" };', False),
        (
            'permit (principal, action == Action::"db.write", resource) when { context.approvals.contains("dba") };',
            False,
        ),
        ('permit (principal, action == Action::"db.write", resource in Database::"shop");', False),
    ],
)
def test_an_approval_of_what_nothing_permits_is_warned_of(folder, permit, warned):
    forbid = (
        '@id("f") @approval("dba") forbid (principal is Agent, action == Action::"db.write", resource == Table::"shop.a")'
        ' when { context.environment == "prod" } unless { context.approvals.contains("dba") };'
    )
    found = said(folder, forbid + "\n" + permit)
    assert [(one.policy, one.severity) for one in found] == ([("f", "warning")] if warned else []), found
    if warned:
        assert "no permit covers what it forbids" in found[0].message


def test_a_policy_that_never_applies_is_no_permit_for_what_waits(folder):
    forbid = '@id("f") @approval("dba") forbid (principal, action == Action::"db.admin", resource) unless { context.approvals.contains("dba") };'
    never = (
        '@id("n") permit (principal, action, resource) when { context.mode == "enforce" && context.mode == "observe" };'
    )
    assert {one.policy: one.severity for one in said(folder, forbid + never)} == {"f": "warning", "n": "error"}


def test_what_a_policy_with_a_fault_would_permit_is_not_called_missing(folder):
    forbid = '@id("f") @approval("dba") forbid (principal, action == Action::"db.admin", resource) unless { context.approvals.contains("dba") };'
    assert {
        one.policy
        for one in said(folder, forbid + '@id("p") permit (principal, action, resource) when { context.zone };')
    } == {"p"}


def test_what_is_too_much_to_decide_is_not_reported(folder):
    """Two to the ninth alternatives: more than are looked at. That none of them can hold is not said."""
    pairs = " && ".join(f'(context.region == "a{n}" || context.region == "b{n}")' for n in range(9))
    much = '@id("much") permit (principal, action in Action::"db", resource) when { ' + pairs + " };"
    asks = '@id("f") @approval("dba") forbid (principal, action == Action::"db.admin", resource) unless { context.approvals.contains("dba") };'
    assert said(folder, much + asks) == []


def test_many_approvals_and_no_permit_for_them_do_not_take_for_ever(folder):
    forbids = "\n".join(
        f'@id("f{n}") @approval("dba") forbid (principal, action == Action::"db.write", resource == Table::"shop.t{n}")'
        ' unless { context.approvals.contains("dba") };'
        for n in range(300)
    )
    permits = "\n".join(
        f'@id("p{n}") permit (principal, action == Action::"db.read", resource == Table::"shop.t{n}");'
        for n in range(300)
    )
    found = said(folder, forbids + permits)
    assert 0 < len(found) < 300
    assert all("no permit covers" in one.message for one in found)


def test_many_policies_do_not_take_for_ever(folder):
    many = "\n".join(
        f'@id("p{n}") {effect} (principal, action in Action::"db", resource) when {{ context.environment == "e{n}" }};'
        for n, effect in zip(range(600), itertools.cycle(("permit", "forbid")))
    )
    assert said(folder, many) == []


# ---- groups ----


def asks(number, group):
    return (
        f'@id("f{number}") @approval("{group}") forbid (principal, action == Action::"{list(ACTIONS)[number]}", resource)'
        f' unless {{ context.approvals.contains("{group}") }};'
    )


@pytest.mark.parametrize(
    ("groups", "suspected"),
    [
        (("dba", "dba", "DBA"), "DBA"),
        (("dba", "dba", "dbas"), "dbas"),
        (("data-owner", "data-owner", "data_owner"), "data_owner"),
        (("security", "security", "secruity"), "secruity"),
        (("finance", "finanse", "finance"), "finanse"),
        (("team-a", "team-b", "team-a"), None),
        (("shift1", "shift2", "shift1"), None),
        (("dba", "dpo", "cto"), None),
        (("legal", "regal-hotels", "legal"), None),
        (("owner", "data-owner", "owner"), None),
    ],
)
def test_a_group_that_is_all_but_another_is_suspected_once(folder, groups, suspected):
    text = "\n".join(asks(number, group) for number, group in enumerate(groups))
    found = said(folder, f"{text}\npermit (principal, action, resource);")
    assert [one.severity for one in found] == (["warning"] if suspected else [])
    if suspected:
        assert f"group {suspected!r} is asked here" in found[0].message
        assert found[0].line == groups.index(suspected) + 1
        assert found[0].column == asks(0, "x").index('"x"') + 1


# ---- the properties ----

USERS, AGENTS, NAMES = ("u0", "u1"), ("a0", "a1"), ("d0.t0", "d0.t1", "d1.t0")
LABELS = ("pii.email", "pii.phone", "secret.aws", "origin.eu", "trust.trusted")
STRINGS = ("", "eu", "us", "dev", "prod", "x")


def atoms(r, reveal):
    text = r.choice(STRINGS)
    out = [
        f'context.environment == "{text}"',
        f'context.region != "{text}"',
        f'["{text}", "dev"].contains(context.environment)',
        f'context.environment like "{r.choice(("d*", "*d", "p*", "*"))}"',
        f'context.mode == "{r.choice(("enforce", "observe"))}"',
        f'context.session.audience != "{r.choice(("process", "person"))}"',
        "context.session.implicit",
        f'context.session.labels.contains("{r.choice(LABELS)}")',
        f'context.labels.containsAny(["{r.choice(LABELS)}", "pii.email"])',
        f'context.labels.containsAll(["{r.choice(LABELS)}", "pii.email"])',
        "context.labels.isEmpty()",
        f'context.approvals.contains("{r.choice("gh")}")',
        "context has sql",
        f"context has sql && context.sql.unbounded == {r.choice(('true', 'false'))}",
        f"context has sql && context.sql.statements {r.choice(('<', '<=', '>', '>=', '=='))} {r.randrange(4)}",
        f"context has sql && {r.randrange(4)} {r.choice(('<', '<=', '>', '>='))} context.sql.statements",
        f'context has sql && context.sql.effects.contains("{r.choice(("read", "write"))}")',
        f'context has model && context.model.trust == "{r.choice(("listed", "unlisted"))}"',
        "context has to",
        f'principal.user == "{r.choice(USERS)}"',
        f'principal == Agent::"{r.choice(AGENTS)}"',
        f'principal in User::"{r.choice(USERS)}"',
        f'principal in [User::"{r.choice(USERS)}", User::"u0"]',
        "principal is App",
        f'action in Action::"{r.choice(("db", "llm"))}"',
        f'action == Action::"{r.choice(("db.read", "db"))}"',
        f'resource in Database::"{r.choice(("d0", "d1"))}"',
        f'resource == Table::"{r.choice(NAMES)}"',
        f"resource is {r.choice(('Table', 'Label', 'Model'))}",
        "resource has region",
        f'resource has region && resource.region == "{text}"',
        f'resource in Label::"{r.choice(("pii", "secret", "pii.email"))}"',
        r.choice(("true", "false")),
    ]
    if reveal:
        out += [
            f'context.to.kind == "{r.choice(("model", "tool", "process"))}"',
            f'context.to.trust != "{r.choice(("listed", "internal"))}"',
            f'["model", "tool"].contains(context.to.kind)',
            "context.to.region == resource.region",
        ]
    return out


def expression(r, reveal, depth):
    if depth == 0 or r.random() < 0.3:
        return r.choice(atoms(r, reveal))
    one, other = expression(r, reveal, depth - 1), expression(r, reveal, depth - 1)
    shape = r.choice(("({a}) && ({b})", "({a}) && ({b})", "({a}) || ({b})", "!({a})", "if ({a}) then ({b}) else ({a})"))
    return shape.format(a=one, b=other)


def policy(r, number):
    reveal = r.random() < 0.4
    who = r.choice(
        (
            "principal",
            "principal",
            "principal is Agent",
            f'principal in User::"{r.choice(USERS)}"',
            'principal == Agent::"a0"',
        )
    )
    if reveal:
        what = r.choice(
            (
                "resource",
                f'resource in Label::"{r.choice(("pii", "pii.email"))}"',
                f'resource == Label::"{r.choice(LABELS)}"',
            )
        )
        head = f'{who}, action == Action::"reveal", {what}'
    else:
        act = r.choice(
            (
                "action",
                'action in Action::"db"',
                'action == Action::"db.read"',
                'action in [Action::"llm", Action::"db.read"]',
            )
        )
        what = r.choice(
            (
                "resource",
                "resource",
                "resource is Table",
                'resource in Database::"d0"',
                f'resource == Table::"{r.choice(NAMES)}"',
            )
        )
        head = f"{who}, {act}, {what if 'llm' not in act else 'resource'}"
    clauses = [
        f"{r.choice(('when', 'unless'))} {{ {expression(r, reveal, r.choice((0, 1, 2)))} }}"
        for _ in range(r.choice((0, 0, 1, 1, 2)))
    ]
    effect, group = r.choice(("permit", "forbid")), r.choice("gh")
    if effect == "forbid" and not reveal and r.random() < 0.3:
        clauses.append(f'unless {{ context.approvals.contains("{group}") }}')
        # The only group that the policy may ask for is the one that it names.
        clauses = [
            clause.replace('contains("g")', f'contains("{group}")').replace('contains("h")', f'contains("{group}")')
            for clause in clauses
        ]
        return f'@id("p{number}") @approval("{group}") {effect} ({head}) {" ".join(clauses)};'
    return f'@id("p{number}") {effect} ({head}) {" ".join(clauses)};'


def value(r, attribute):
    if attribute.type == "Bool":
        return r.random() < 0.5
    if attribute.type == "Long":
        return r.randrange(5)
    pool = attribute.choices or (
        ("g", "h") if attribute.name == "approvals" else LABELS if "labels" in attribute.name else STRINGS
    )
    if attribute.type == "String":
        return r.choice(pool)
    return tuple(r.sample(pool, r.randrange(min(3, len(pool)) + 1)))


def call(r):
    """A call as guardai makes it: what the vocabulary says is there is there."""
    action = r.choice((*ACTIONS, "db.read", "db.read", *[REVEAL] * 8))
    principal = Principal(
        r.choice(("Agent", "App")), r.choice(AGENTS), r.choice(USERS), (), r.choice(ENTITY_CHOICES["assurance"])
    )
    flat = {}
    present = {record for record in ("sql", "model", "tool") if action in BEARERS[record] and r.random() < 0.7}
    for one in CONTEXT:
        record = one.name.partition(".")[0] if "." in one.name else ""
        if record != "to" and (record not in BEARERS or record in present):
            flat[one.name] = value(r, one)
    to = None
    if action == REVEAL:
        entity = label_entity(r.choice(LABELS))
        to = Destination(
            r.choice(("model", "tool", "process")), "", r.choice(STRINGS), r.choice(ENTITY_CHOICES["trust"])
        )
    else:
        kind = r.choice(RESOURCES[action])
        attrs = tuple((name, r.choice(ENTITY_CHOICES.get(name, STRINGS))) for name, _ in ENTITIES[kind])
        name = r.choice(NAMES)
        parent = (PARENTS[kind], name.partition(".")[0]) if kind in PARENTS else None
        entity = resource_entity(Resource(kind, name, parent, attrs))
    who = principal_entity(principal)
    request = {
        "principal": who["uid"],
        "action": action_uid(action),
        "resource": entity["uid"],
        "context": context_document(flat.items(), (), to),
    }
    return request, with_entity(scene(who, action), entity)


def answered(text, request, entities):
    answer = cedarpy.is_authorized(request, cedarpy.PolicySet.from_str(text), entities)
    names = answer.diagnostics.id_annotations_by_reason
    return answer, {names[reason] for reason in answer.diagnostics.reasons}


def test_whatever_is_said_to_do_nothing_does_nothing_in_any_call(tmp_path):
    """Never applies: never among those that decide. Not reached: never permits. Adds nothing: never denies alone.
    A part never holds: with nothing but that part it would never apply. In vain: no approval allows what it denies.
    """
    (tmp_path / "policies").mkdir()
    tried = dict.fromkeys((NEVER, UNREACHED, SHADOWED, DEAD, VAIN), 0)
    for seed in range(250):
        r = random.Random(seed)
        policies = {f"p{n}": policy(r, n) for n in range(r.choice((1, 3, 6)))}
        whole = "\n".join(policies.values())
        (tmp_path / "policies" / "p.cedar").write_text(whole)
        found = [(one, kind) for one in check(tmp_path) for kind in tried if one.message.startswith(kind)]
        for problem, kind in found:
            name = problem.policy
            tried[kind] += 1
            for _ in range(40):
                request, entities = call(r)
                answer, reasons = answered(whole, request, entities)
                if kind in (NEVER, DEAD):
                    # Of an alternative: its policy's head with nothing but the alternative.
                    head = re.split(r" (?:when|unless) \{", policies[name])[0]
                    part = f"{head} when {{ {problem.message.removeprefix(DEAD)} }};"
                    _, alone = answered(part if kind == DEAD else policies[name], request, entities)
                    assert not alone, policies[name]
                elif kind == VAIN:
                    approved = {**json.loads(request["context"]), "approvals": ["g", "h"]}
                    agreed, _ = answered(whole, {**request, "context": json.dumps(approved)}, entities)
                    assert not (name in reasons and agreed.allowed), whole
                elif kind == UNREACHED:
                    assert not (answer.allowed and name in reasons), whole
                else:
                    assert reasons != {name}, whole
    # A claim that was never made would prove nothing.
    assert all(count >= 15 for count in tried.values()), tried
