"""Deciding: strictest over resources, pauses, obligations, and what is remembered."""

import threading

import pytest

from guardai.model import Decision, Destination, Obligations, Principal, Resource
from guardai.policy import ask as ask_module
from guardai.policy import engine as engine_module
from guardai.policy.recent import Recent

BOT = Principal("Agent", "bot", "u-1", ("planner",), "verified")
APP = Principal("App", "web", "u-1")
TOOL = (Resource("Tool", "t"),)
MODEL = Destination("model", "openai", "us", "listed")


def table(name, database="shop"):
    return Resource("Table", f"{database}.{name}", ("Database", database), (("environment", "prod"), ("region", "eu")))


PERMIT = '@id("p") permit (principal, action, resource);'


def test_what_nothing_permits_is_denied_and_names_no_policy(engine):
    decision = engine('@id("p") permit (principal is App, action, resource);').act(BOT, "tool.call", TOOL, {})
    assert decision == Decision("deny", (), "no policy permits tool.call on this Tool")


def test_an_allowed_call_names_the_permits(engine):
    assert engine(PERMIT).act(BOT, "tool.call", TOOL, {}) == Decision("allow", ("p",))


def test_forbid_beats_permit(engine):
    answers = engine(PERMIT + '@id("f") @reason("Never") forbid (principal, action, resource);')
    assert answers.act(BOT, "tool.call", TOOL, {}) == Decision("deny", ("f",), "Never")


def test_a_forbid_without_a_reason_still_gives_one(engine):
    answers = engine(PERMIT + '@id("f") forbid (principal, action, resource);')
    assert answers.act(BOT, "tool.call", TOOL, {}).reason == "f forbids it"


def test_an_unknown_action_is_denied(engine):
    for action in ("db.raed", "db", "reveal", ""):
        decision = engine(PERMIT).act(BOT, action, TOOL, {})
        assert (decision.effect, bool(decision.errors)) == ("deny", True)


def test_a_call_on_nothing_is_denied(engine):
    assert engine(PERMIT).act(BOT, "tool.call", (), {}).errors == ("no resource is named",)


def test_one_denied_table_denies_a_statement_that_reads_two(engine):
    answers = engine(PERMIT + '@id("f") @reason("Private") forbid (principal, action, resource == Table::"shop.b");')
    assert answers.act(BOT, "db.read", (table("a"),), {}).effect == "allow"
    assert answers.act(BOT, "db.read", (table("a"), table("b")), {}) == Decision("deny", ("f",), "Private")


def test_an_allowed_statement_names_the_permits_of_all_its_tables(engine):
    answers = engine(
        '@id("a") permit (principal, action, resource == Table::"shop.a");'
        '@id("b") permit (principal, action, resource == Table::"shop.b");'
    )
    assert answers.act(BOT, "db.read", (table("a"), table("b")), {}).policies == ("a", "b")
    decision = answers.act(BOT, "db.read", (table("a"), table("c")), {})
    assert (decision.effect, decision.policies, decision.reason) == (
        "deny",
        (),
        "no policy permits db.read on this Table",
    )


PAUSING = PERMIT + (
    '@id("f") @reason("Ask the DBA") @approval("dba") forbid (principal, action, resource == Table::"shop.a")'
    ' unless { context.approvals.contains("dba") };'
)


def test_a_forbid_that_an_approval_lifts_pauses(engine):
    decision = engine(PAUSING).act(BOT, "db.read", (table("a"),), {})
    assert decision == Decision("pause", ("f",), "Ask the DBA", Obligations(("dba",)))


def test_the_approval_lifts_it(engine):
    assert engine(PAUSING).act(BOT, "db.read", (table("a"),), {"approvals": ("dba",)}) == Decision("allow", ("p",))


def test_another_groups_approval_does_not(engine):
    assert engine(PAUSING).act(BOT, "db.read", (table("a"),), {"approvals": ("owner",)}).effect == "pause"


def test_an_approval_does_not_stand_in_for_a_permit(engine):
    answers = engine(PAUSING.replace(PERMIT, ""))
    assert answers.act(BOT, "db.read", (table("a"),), {}).effect == "deny"


def test_one_forbid_that_no_approval_lifts_denies_at_once(engine):
    answers = engine(PAUSING + '@id("g") forbid (principal, action == Action::"db.read", resource);')
    decision = answers.act(BOT, "db.read", (table("a"),), {})
    assert (decision.effect, decision.policies, decision.obligations.approvals) == ("deny", ("f", "g"), ())


def test_a_pause_that_the_approval_itself_would_turn_into_a_denial_is_a_denial(engine):
    answers = engine(
        PAUSING + '@id("h") forbid (principal, action, resource) when { context.approvals.contains("dba") };'
    )
    assert answers.act(BOT, "db.read", (table("a"),), {}).effect == "deny"


def test_a_statement_pauses_for_all_the_groups_of_its_tables(engine):
    answers = engine(
        PAUSING + '@id("g") @approval("owner") forbid (principal, action, resource == Table::"shop.b")'
        ' unless { context.approvals.contains("owner") };'
    )
    both = (table("a"), table("b"), table("c"))
    assert answers.act(BOT, "db.read", both, {}).obligations.approvals == ("dba", "owner")
    assert answers.act(BOT, "db.read", both, {"approvals": ("dba",)}).obligations.approvals == ("owner",)
    assert answers.act(BOT, "db.read", both, {"approvals": ("dba", "owner")}).effect == "allow"


def test_a_statement_with_one_table_that_nobody_permits_does_not_pause(engine):
    answers = engine(PAUSING.replace("resource);", 'resource == Table::"shop.a");', 1))
    assert answers.act(BOT, "db.read", (table("a"), table("b")), {}).effect == "deny"


def test_a_grant_lifts_what_is_written_unless_granted(engine):
    answers = engine(PERMIT + '@id("f") forbid (principal, action, resource) unless { context.grants.contains("g") };')
    assert answers.act(BOT, "tool.call", TOOL, {}).effect == "deny"
    assert answers.act(BOT, "tool.call", TOOL, {"grants": ("g",)}).effect == "allow"


def test_a_denial_can_abort_the_session(engine):
    answers = engine(
        PERMIT + '@id("f") @on_denied("abort") forbid (principal, action, resource);'
        '@id("g") @on_denied("raise") forbid (principal, action, resource);'
    )
    assert answers.act(BOT, "tool.call", TOOL, {}).obligations.abort


@pytest.mark.parametrize(
    ("condition", "context"),
    [
        ('principal.user == "u-1"', {}),
        ('principal.chain.contains("planner")', {}),
        ('principal.assurance == "verified"', {}),
        ('principal in User::"u-1"', {}),
        ('principal == Agent::"bot"', {}),
        ('resource in Database::"shop"', {}),
        ('resource.region == "eu"', {}),
        ('context.session.purpose == "report"', {"session.purpose": "report"}),
        ("context.session.implicit", {"session.implicit": True}),
        ('context has sql && context.sql.effects.contains("read")', {"sql.effects": ("read",)}),
        ("!(context has sql)", {"session.id": "s"}),
        ("context has sql", {"sql.dialect": "sqlite"}),
        ("context.sql.statements == 2", {"sql.statements": 2}),
        ('context.own.name == "x"', {"own.name": "x"}),
        ('context.own == {name: "x"}', {"own.name": "x"}),
        ("context has own && context.own has name", {"own.name": "x"}),
        ("context.approvals.isEmpty() && context.grants.isEmpty()", {}),
    ],
)
def test_a_policy_sees(engine, condition, context):
    answers = engine(f'@id("p") permit (principal, action, resource) when {{ {condition} }};')
    assert answers.act(BOT, "db.read", (table("a"),), context) == Decision("allow", ("p",))


COUNTED = '@id("p") permit (principal, action, resource) when { context.environment == "dev" };'


@pytest.fixture
def asked(monkeypatch):
    """How often Cedar was asked."""
    calls = []
    real = engine_module.ask
    monkeypatch.setattr(engine_module, "ask", lambda *given: (calls.append(1), real(*given))[1])
    return calls


def test_a_question_is_asked_once(engine, asked):
    answers = engine(COUNTED)
    for _ in range(5):
        assert answers.act(BOT, "tool.call", TOOL, {"environment": "dev"}).effect == "allow"
        assert answers.reveal(BOT, "pii.email", MODEL, {"environment": "dev"}).mask is None
    assert len(asked) == 2


def test_what_no_policy_reads_does_not_ask_again(engine, asked):
    answers = engine(COUNTED)
    for number in range(5):
        answers.act(
            BOT, "tool.call", TOOL, {"environment": "dev", "session.id": f"s{number}", "sql.statements": number}
        )
    assert len(asked) == 1


def test_what_a_policy_reads_does(engine, asked):
    answers = engine(COUNTED)
    assert answers.act(BOT, "tool.call", TOOL, {"environment": "dev"}).effect == "allow"
    assert answers.act(BOT, "tool.call", TOOL, {"environment": "prod"}).effect == "deny"
    assert len(asked) == 2


def test_approvals_are_part_of_what_is_remembered(engine, asked):
    answers = engine(PAUSING)
    assert answers.act(BOT, "db.read", (table("a"),), {}).effect == "pause"
    assert answers.act(BOT, "db.read", (table("a"),), {"approvals": ("dba",)}).effect == "allow"
    assert answers.act(BOT, "db.read", (table("a"),), {}).effect == "pause"


@pytest.mark.parametrize("path", ["sql.unbounded", "n"])
def test_true_is_not_remembered_as_one(engine, path):
    answers = engine(f'@id("p") permit (principal, action, resource) when {{ context.{path} == 1 }};')
    assert answers.act(BOT, "tool.call", TOOL, {path: "x"}).effect == "deny"
    assert answers.act(BOT, "tool.call", TOOL, {path: True}).effect == "deny"
    assert answers.act(BOT, "tool.call", TOOL, {path: 1}).effect == "allow"
    assert answers.act(BOT, "tool.call", TOOL, {path: True}).effect == "deny"
    assert answers.act(BOT, "tool.call", TOOL, {path: 1.0}).errors


def test_a_null_is_not_taken_for_something_missing_from_memory(engine):
    answers = engine(PERMIT + '@id("f") forbid (principal, action, resource) when { context has mode };')
    for _ in range(2):
        assert answers.act(BOT, "tool.call", TOOL, {}).effect == "allow"
        assert answers.act(BOT, "tool.call", TOOL, {"mode": None}).errors


def test_the_destination_is_part_of_what_is_remembered(engine):
    answers = engine('@id("p") permit (principal, action, resource) when { context.to.region == "eu" };')
    for _ in range(2):
        assert answers.reveal(BOT, "pii.email", MODEL, {}).mask == "redact"
        assert answers.reveal(BOT, "pii.email", MODEL._replace(region="eu"), {}).mask is None


def test_a_context_cannot_pretend_to_be_the_destination(engine):
    answers = engine('@id("p") permit (principal, action, resource) when { context.to.region == "eu" };')
    assert answers.reveal(BOT, "pii.email", MODEL, {"to.region": "eu"}).mask == "redact"
    whole = engine('@id("p") permit (principal, action, resource) when { context == {approvals: []} };')
    assert whole.reveal(BOT, "pii.email", MODEL, {"to.region": "eu", "to": "x"}).mask == "redact"


def test_memory_is_bounded(engine, monkeypatch):
    monkeypatch.setattr(engine_module, "_CONTEXTS", 10)
    monkeypatch.setattr(engine_module, "_ANSWERS", 50)
    answers = engine(COUNTED)
    answers._plans = Recent(20)
    for number in range(500):
        answers.act(BOT, "tool.call", (Resource("Tool", f"t{number % 70}"),), {"environment": f"e{number}"})
    plans = [*answers._plans.young.values(), *answers._plans.old.values()]
    assert len(plans) <= 40
    assert max(len(plan.answers) for plan in plans) <= 10


def test_what_is_used_is_not_forgotten():
    kept = Recent(4)
    kept.put("a", 1)
    for number in range(40):
        assert kept.get("a") == 1
        kept.put(number, number)
    assert kept.get(0) is None


def test_threads_get_the_answers_that_one_would_get(engine):
    answers = engine(PAUSING + '@id("s") forbid (principal, action, resource) when { context.sql.unbounded };')
    expected = {}
    wrong = []
    questions = [
        (table(name), {"sql.unbounded": unbounded, "approvals": approvals})
        for name in "abcdef"
        for unbounded in (True, False)
        for approvals in ((), ("dba",))
    ]
    for number, (one, context) in enumerate(questions):
        expected[number] = engine(
            PAUSING + '@id("s") forbid (principal, action, resource) when { context.sql.unbounded };'
        ).act(BOT, "db.read", (one,), context)
    start = threading.Barrier(8)

    def work(seed):
        start.wait()
        for step in range(300):
            number = (seed * 7 + step) % len(questions)
            one, context = questions[number]
            if answers.act(BOT, "db.read", (one,), context) != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


def test_a_failure_of_cedar_itself_denies(engine, monkeypatch):
    def broken(*_):
        raise RuntimeError("value 4711")

    answers = engine(PERMIT)
    monkeypatch.setattr(ask_module.cedarpy, "is_authorized", broken)
    monkeypatch.setattr(ask_module, "_batch", broken)
    decision = answers.act(BOT, "tool.call", TOOL, {})
    assert decision.effect == "deny"
    assert decision.errors == ("the question could not be put to Cedar",)
    assert answers.reveal(BOT, "pii.email", MODEL, {}).mask == "redact"


@pytest.mark.parametrize("inner", [None, lambda *_: ["{}"], lambda *_: 1 / 0])
def test_a_cedarpy_that_is_built_otherwise_is_asked_by_its_public_face(engine, monkeypatch, inner):
    answers = engine(
        f'{PERMIT} @id("f") forbid (principal, action == Action::"db.read", resource) when {{ context.x }};'
    )
    monkeypatch.setattr(ask_module, "_batch", inner)
    assert answers.act(BOT, "tool.call", TOOL, {}) == Decision("allow", ("p",))
    assert answers.act(BOT, "db.read", TOOL, {"x": True}).policies == ("f",)
    assert answers.act(BOT, "db.read", TOOL, {}).errors == ("f: attribute x is missing",)


def test_annotations_are_those_of_the_policy(engine):
    answers = engine('@id("p") @reason("r") permit (principal, action, resource);')
    assert answers.annotations("p") == {"id": "p", "reason": "r"}
    assert answers.annotations("q") == {}


# ---- reveal ----


def test_a_permitted_reveal_owes_nothing(engine):
    answer = engine(PERMIT).reveal(BOT, "pii.email", MODEL, {})
    assert (answer.mask, answer.policies) == (None, ("p",))


def test_what_nothing_permits_owes_the_catalogs_mask(engine):
    catalog = '[labels]\npii = "token"\n"pii.card" = "partial"\n'
    answers = engine('@id("p") permit (principal is App, action, resource);', catalog)
    assert answers.reveal(BOT, "pii.email", MODEL, {}).mask == "token"
    assert answers.reveal(BOT, "pii.card", MODEL, {}).mask == "partial"
    assert answers.reveal(BOT, "secret.aws", MODEL, {}).mask == "redact"
    assert answers.reveal(APP, "secret.aws", MODEL, {}).mask is None


def test_the_mask_of_the_deciding_forbid_wins_over_the_catalogs(engine):
    answers = engine(
        PERMIT + '@id("f") @mask("hash") @reason("No") forbid (principal, action, resource in Label::"pii");',
        '[labels]\npii = "token"\n',
    )
    answer = answers.reveal(BOT, "pii.email", MODEL, {})
    assert (answer.mask, answer.policies, answer.reason) == ("hash", ("f",), "No")


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        (("token", "partial"), "partial"),
        (("token", "hash", "partial"), "hash"),
        (("partial", "redact"), "redact"),
        (("token", None), "partial"),
        (("hash", None), "hash"),
        (("redact", "null"), "null"),
        (("null", "drop", "redact"), "drop"),
        (("token", "fpe", "shift"), "shift"),
        (("fpe", None), "fpe"),
        (("shift", "hash"), "hash"),
    ],
)
def test_the_strongest_mask_of_all_deciding_forbids_wins(engine, masks, expected):
    """A forbid without @mask owes the catalog's, here `partial`."""
    forbids = "".join(
        f'@id("f{n}") {f"""@mask("{mask}")""" if mask else ""} forbid (principal, action == Action::"reveal", resource);'
        for n, mask in enumerate(masks)
    )
    assert engine(PERMIT + forbids, '[labels]\npii = "partial"\n').reveal(BOT, "pii.email", MODEL, {}).mask == expected


def test_an_approval_lifts_a_forbidden_reveal(engine):
    answers = engine(
        PERMIT + '@id("f") @approval("dpo") forbid (principal, action == Action::"reveal", resource in Label::"pii")'
        ' unless { context.approvals.contains("dpo") };'
    )
    assert answers.reveal(BOT, "pii.email", MODEL, {}).mask == "redact"
    assert answers.reveal(BOT, "pii.email", MODEL, {"approvals": ("dpo",)}).mask is None


def test_a_label_of_an_open_family_is_known_without_a_catalog(engine):
    for label in ("secret.anything", "origin.xx", "dataset.my_table"):
        assert engine(PERMIT).reveal(BOT, label, MODEL, {}).mask is None
    for label in ("secret", "secret.", "pii", "pii.emial", "own.thing", ""):
        assert engine(PERMIT).reveal(BOT, label, MODEL, {}).mask == "redact"


def test_a_label_subclass_of_str_is_a_label(engine):
    from guardai.model import Label

    assert engine(PERMIT).reveal(BOT, Label("pii.email"), MODEL, {}).mask is None
    assert engine(PERMIT + '@id("f") forbid (principal, action, resource) when { resource in Label::"pii" };').reveal(
        BOT, Label("pii.email"), MODEL, {}
    ).policies == ("f",)
