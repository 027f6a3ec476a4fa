"""Explain: the exact shape for programs, and words for people."""

import json

import pytest
from typer.testing import CliRunner

import guardai
from guardai.hooks import Call, Target, opened
from guardai.policy import Bundle, explain, words
from guardai.policy.cases import Case, Expected, Run
from guardai.policy.parts import text
from guardai.policy.request import Request
from guardai.policy.source import parse
from guardai.policy.trial import tried
from guardai.policy.vocabulary import OWN

PERMIT = '@id("p") permit (principal, action, resource);'


def request(**changes):
    return {
        "principal": {"type": "Agent", "id": "a"},
        "action": "db.read",
        "resource": {"type": "Table", "id": "shop.customers"},
        "context": {"environment": "dev"},
        "labels": ["pii.email"],
        "to": {"kind": "model", "region": "us"},
    } | changes


NOTHING = Expected(None, None, None, None, None, None)
FIXED = ("decision", "policies", "masks", "approvals", "errors")


def test_the_fixed_names_are_there():
    answer = explain(Bundle.load(), request())
    assert {name: answer[name] for name in FIXED} == {
        "decision": "allow",
        "policies": ["database-reads"],
        "masks": {"pii.email": "token"},
        "approvals": [],
        "errors": [],
    }


def test_a_denial():
    answer = explain(Bundle.load(), request(action="db.destroy"))
    assert (answer["decision"], answer["policies"]) == ("deny", ["no-destruction"])


def test_a_pause(bundle):
    cedar = (
        PERMIT + '@id("f") @approval("dba") forbid (principal, action, resource)'
        ' unless { context.approvals.contains("dba") };'
    )
    answer = explain(bundle(cedar), request(labels=[]))
    assert (answer["decision"], answer["policies"], answer["approvals"]) == ("pause", ["f"], ["dba"])
    approved = request(context={"approvals": ["dba"]})
    assert explain(bundle(cedar), approved)["decision"] == "allow"


def test_an_error(bundle):
    cedar = PERMIT + '@id("f") forbid (principal, action, resource) when { context.sensitivity > 3 };'
    answer = explain(bundle(cedar), request())
    assert (answer["decision"], answer["errors"]) == ("deny", ["f: attribute sensitivity is missing"])
    assert answer["masks"] == {"pii.email": "redact"}


@pytest.mark.parametrize("value", [1.5, None, 2**63, [1], [None], {"x": None}])
def test_a_context_that_cedar_cannot_hold_denies_although_no_policy_reads_it(bundle, value):
    answer = explain(bundle(PERMIT), request(context={"n": value}))
    assert (answer["decision"], len(answer["errors"])) == ("deny", 1)
    assert answer["masks"] == {"pii.email": "redact"}


@pytest.mark.parametrize("context", [{"session": {"purpose": "x"}}, {"session.purpose": "x"}])
def test_a_context_may_be_nested_or_dotted(bundle, context):
    cedar = '@id("p") permit (principal, action, resource) when { context.session.purpose == "x" };'
    assert explain(bundle(cedar), request(context=context))["decision"] == "allow"


def test_a_table_is_in_the_database_that_its_name_says(bundle):
    cedar = '@id("p") permit (principal, action, resource in Database::"shop");'
    assert explain(bundle(cedar), request())["decision"] == "allow"
    elsewhere = {"type": "Table", "id": "shop.t", "parent": {"type": "Database", "id": "other"}}
    assert explain(bundle(cedar), request(resource=elsewhere))["decision"] == "deny"


def test_attributes_can_be_given(bundle):
    cedar = '@id("p") permit (principal, action, resource) when { resource.region == "eu" && principal.user == "u" };'
    answer = explain(
        bundle(cedar),
        request(
            resource={"type": "Table", "id": "t", "attrs": {"region": "eu"}},
            principal={"type": "Agent", "id": "a", "user": "u"},
        ),
    )
    assert answer["decision"] == "allow"


def test_labels_are_in_the_context_too(bundle):
    cedar = '@id("p") permit (principal, action, resource) when { context.labels.contains("pii.email") };'
    assert explain(bundle(cedar), request())["decision"] == "allow"


@pytest.mark.parametrize(
    ("own", "atom"),
    [
        ({"labels": ["pii.email"]}, 'context.labels.contains("pii.email")'),
        ({"labels": ["pii.email"], "context": {"approvals": ["dba"]}}, 'context.approvals.contains("dba")'),
        ({"labels": ["pii.email"], "context": {"opaque": ["opaque.image"]}}, 'context.opaque.contains("opaque.image")'),
    ],
)
def test_a_reveal_is_asked_without_what_is_the_acts_own_in_all_that_asks_again(folder, own, atom):
    """The gate has none of it: what explain said to be masked would have left as it is."""
    forbids = PERMIT + f'@id("f") forbid (principal, action == Action::"reveal", resource) when {{ {atom} }};'
    permits = PERMIT.replace("action", 'action == Action::"db.read"')
    permits += f'@id("r") permit (principal, action == Action::"reveal", resource) when {{ {atom} }};'
    for cedar, mask in ((forbids, None), (permits, "redact")):
        bundle = Bundle.load(folder(cedar))
        answer = explain(bundle, request(**own))
        fate = answer["reveals"]["pii.email"]
        assert (answer["decision"], fate["mask"], fate["changes"]) == ("allow", mask, [])
        case = Case("t.toml", 1, "c", (Run("", Request.read(request(**own))),), NOTHING._replace(masks={}))
        [result] = tried(bundle, [case])
        assert bool(result.failures) is (mask is not None)


def test_a_reveal_is_explained_as_the_gate_answers_it(home, policy):
    """Every attribute that the vocabulary calls a call's own, in each way a policy can look at it."""
    for atom in (
        f"{how}context{what}" for name in OWN for how, what in (("", f" has {name}"), ("!", f".{name}.isEmpty()"))
    ):
        cedar = PERMIT + f'@id("f") forbid (principal, action == Action::"reveal", resource) when {{ {atom} }};'
        place = policy(cedar)
        guardai.init(home=home, policy=place, integrations=[])
        sent = opened(Call("tool.call", Target("tool", "", "send"), payload={"q": "alice@example.com"})).payload["q"]
        guardai.shutdown()
        asked = request(action="tool.call", resource={"type": "Tool", "id": "send"}, to={"kind": "tool"})
        mask = explain(Bundle.load(place), asked)["masks"].get("pii.email")
        assert (sent == "alice@example.com") is (mask is None), atom


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"action": "db.raed"}, "action 'db.raed' is unknown; known: llm.generate"),
        ({"action": "reveal"}, "unknown"),
        ({"to": None}, 'add "to"'),
        ({"principal": "a"}, "not a request"),
        ({"resuorce": {}}, "not a request"),
        ({"labels": "pii"}, "not a request"),
        ({"to": {"kind": "model", "regoin": "us"}}, "regoin"),
    ],
)
def test_what_is_no_request_says_what_one_is(changes, says):
    for face in (explain, words):
        with pytest.raises(ValueError, match="request|action|to") as caught:
            face(Bundle.load(), request(**changes))
        assert says in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"resource": {"type": "Tabel", "id": "shop.customers"}},
            "resource.type 'Tabel' is unknown; known: Database, Host, Index, Model, Table, Tool",
        ),
        ({"principal": {"type": "Agnet", "id": "a"}}, "principal.type 'Agnet' is unknown; known: Agent, App"),
        (
            {"resource": {"type": "Table", "id": "t", "parent": {"type": "Databse", "id": "shop"}}},
            "resource.parent.type 'Databse' is unknown; known: Agent, App, Database",
        ),
        ({"resource": {"type": "Label", "id": "pii.email"}}, "resource.type 'Label' is unknown"),
        (
            {"resource": {"type": "Table", "id": "t", "parent": {"type": "", "id": "shop"}}},
            "resource.parent.type '' is unknown; known: Agent, App, Database",
        ),
        (
            {"to": {"kind": "modle"}},
            "to.kind 'modle' is unknown; known: database, host, index, model, person, process, tool",
        ),
    ],
)
def test_a_type_that_no_policy_can_know_is_not_taken_for_granted(run, file, changes, says):
    for face in (explain, words):
        with pytest.raises(ValueError, match="is unknown") as caught:
            face(Bundle.load(), request(**changes))
        assert str(caught.value).startswith(says)
    file.write_text(json.dumps(request(**changes)))
    result = run("explain", "--request", file, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in " ".join(result.stderr.split())


def test_a_type_that_the_folder_s_own_schema_adds_is_known(folder):
    own = 'entity Ticket in [Queue]; entity Queue; action "tool.call" appliesTo { resource: [Ticket] };'
    ticket = request(
        action="tool.call", resource={"type": "Ticket", "id": "7", "parent": {"type": "Queue", "id": "legal"}}
    )
    cedar = '@id("p") permit (principal, action, resource in Queue::"legal");'
    assert explain(Bundle.load(folder(cedar, schema_cedarschema=own)), ticket)["policies"] == ["p"]
    with pytest.raises(ValueError, match="resource.type 'Ticket' is unknown"):
        explain(Bundle.load(folder(PERMIT)), ticket)


def told(bundle, **changes):
    return "\n".join(words(bundle, request(**changes)))


def test_words_name_policy_place_and_reason():
    text = told(Bundle.load(), action="db.destroy")
    assert "no-destruction (policies/starter.cedar:" in text
    assert "Agents do not destroy data" in text
    assert "has no condition that could change" in text


def test_words_say_which_condition_failed(bundle):
    cedar = (
        '@id("p") permit (principal, action, resource)'
        ' when { context.environment == "prod" && context.region == "eu" } unless { context.grants.contains("g") };'
    )
    text = told(bundle(cedar), context={"environment": "dev", "region": "eu"})
    assert 'would permit it if: context.environment == "prod".' in text


def test_words_say_which_condition_made_a_forbid_apply(bundle):
    cedar = PERMIT + '@id("f") forbid (principal, action, resource) when { context.environment == "dev" };'
    assert 'f would not deny if one of these were otherwise: context.environment == "dev".' in told(bundle(cedar))


def test_words_say_that_a_permit_is_missing(bundle):
    text = told(bundle('@id("p") permit (principal, action in Action::"llm", resource);'))
    assert "No permit covers db.read on this Table" in text


def test_words_say_who_could_agree(bundle):
    cedar = (
        PERMIT + '@id("f") @approval("dba") forbid (principal, action, resource)'
        ' unless { context.approvals.contains("dba") };'
    )
    assert "It would be allowed if a human of each of these agrees: dba." in told(bundle(cedar))


def test_a_set_that_should_not_be_there_at_all_is_told(bundle):
    cedar = PERMIT + '@id("f") forbid (principal, action, resource) when { context has labels };'
    answer = explain(bundle(cedar), request())
    [[change]] = answer["changes"]
    assert (change["says"], change["becomes"]) == ("context.labels is not there", None)


def test_words_say_what_cannot_be_evaluated(bundle):
    cedar = PERMIT + '@id("f") forbid (principal, action, resource) when { context.n > 3 };'
    assert "Error: f: attribute n is missing." in told(bundle(cedar))


def test_words_tell_each_labels_fate():
    text = told(Bundle.load(), labels=["pii.email", "pii.unheard"], to={"kind": "process"})
    assert "pii.email, on its way to the process, is revealed by reveal-at-home." in text
    assert "pii.unheard, on its way to the process, is masked with redact (the label is not in the vocabulary)." in text


# ---- the command ----


@pytest.fixture
def run():
    from guardai.cli.policy import app

    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "request.json"
    path.write_text(json.dumps(request()))
    return path


def test_explain_prints_data_and_nothing_else(run, file, folder):
    result = run("explain", "--policy", folder(PERMIT, ""), "--request", file, "--json", "--home", file.parent)
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert {name: answer[name] for name in FIXED} == {
        "decision": "allow",
        "policies": ["p"],
        "masks": {},
        "approvals": [],
        "errors": [],
    }


def test_explain_speaks_to_people(run, file):
    result = run("explain", "--request", file)
    assert result.exit_code == 0
    assert result.stdout.startswith("allow Agent")
    assert "pii.email" in result.stdout


def test_explain_of_a_denial_is_a_success(run, file):
    file.write_text(json.dumps(request(action="db.destroy")))
    assert run("explain", "--request", file, "--json").exit_code == 0


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"action": "x"}', "[" * 100_000, "\x00"])
def test_a_request_that_cannot_be_read_is_wrong_usage(run, file, text):
    file.write_text(text)
    result = run("explain", "--request", file, "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "request.json" in result.stderr


def test_a_missing_request_is_wrong_usage(run, tmp_path):
    assert run("explain", "--request", tmp_path / "none.json").exit_code == 2
    assert run("explain").exit_code == 2


def test_a_bundle_that_cannot_be_used_is_refused(run, file, folder):
    result = run("explain", "--policy", folder("permit (foo);"), "--request", file, "--json")
    assert result.exit_code == 1
    assert "policies/test.cedar:1" in result.stderr


def test_check_of_a_good_folder(run, folder):
    result = run("check", folder(PERMIT))
    assert result.exit_code == 0
    assert "1 policy" in result.stdout
    assert json.loads(run("check", folder(PERMIT), "--json").stdout) == {"ok": True, "problems": []}


def test_check_of_a_bad_folder(run, folder):
    bad = folder(PERMIT + '\n@raeson("x") ' + PERMIT)
    result = run("check", bad)
    assert result.exit_code == 1
    assert "policies/test.cedar:2" in result.stdout
    data = run("check", bad, "--json")
    assert data.exit_code == 1
    assert {problem["line"] for problem in json.loads(data.stdout)["problems"]} == {2}


def test_check_of_no_folder_is_wrong_usage(run, tmp_path):
    result = run("check", tmp_path / "none")
    assert result.exit_code == 2
    assert "guardai init" in result.stderr


def test_a_permit_is_told_of_however_many_forbids_do_not_apply(tmp_path):
    forbids = "\n".join(
        f'@id("f{n}") forbid (principal, action == Action::"db.read", resource) when {{ context.environment == "e{n}" }};'
        for n in range(250)
    )
    permit = '@id("near") permit (principal, action, resource) when { context.environment == "staging" };'
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.cedar").write_text(f"{forbids}\n{permit}")
    told = "\n".join(words(Bundle.load(tmp_path), request(labels=[])))
    assert "near (policies/p.cedar:251) would permit it if" in told
    assert "one has to be written" not in told


def test_a_condition_is_told_with_the_brackets_of_its_calls():
    condition = '[Table::"a.b"].contains(resource) && context.n.isEmpty()'
    policy = parse(f"permit (principal, action, resource) when {{ {condition} }};", "p.cedar", 1)
    [clause] = policy.tree["conditions"]
    assert text(clause["body"]) == '([Table::"a.b"].contains(resource)) && (context.n.isEmpty())'
