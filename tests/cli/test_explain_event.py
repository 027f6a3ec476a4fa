"""`guardai policy explain EVENT` on the command line, and the refusal that ends with it."""

import json
import re

import pytest
from typer.testing import CliRunner

import guardai
from guardai.cli import app
from guardai.hooks import Call, Target, opened

STRICT = (
    '@id("reads") permit (principal, action == Action::"tool.call", resource) when { context.environment == "prod" };'
)


@pytest.fixture
def run(home):
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments), "--home", str(home)])


@pytest.fixture
def denial(home, policy):
    """A refusal as a developer sees it."""
    folder = policy(STRICT)
    guardai.init(home=home, integrations=[], policy=folder)
    with guardai.session(user="u", agent="a"), pytest.raises(guardai.PolicyDenied) as told:
        opened(Call("tool.call", Target("tool", "", "lookup"), payload={}))
    guardai.shutdown()
    return str(told.value), folder


def test_refusal_ends_with_the_command_that_explains_it(denial, run):
    text, folder = denial
    command = re.search(r"; why: guardai (policy explain \S+)$", text)[1]
    result = run(*command.split(), "--policy", folder)
    assert result.exit_code == 0
    assert result.stdout.startswith('deny Agent::"a" tool.call on Tool::"lookup" is denied.')
    assert 'context.environment is "dev"; it would have to be "prod".' in result.stdout
    assert 'It would be allowed if context.environment is "prod" instead of "dev".' in result.stdout


def test_json_says_the_same_with_the_fixed_names(denial, run):
    text, folder = denial
    answer = json.loads(run("policy", "explain", text.split()[-1], "--policy", folder, "--json").stdout)
    assert (answer["decision"], answer["policies"], answer["masks"], answer["approvals"], answer["errors"]) == (
        "deny", [], {}, [], [],
    )  # fmt: skip
    assert answer["recorded"]["same_bundle"]
    assert answer["changes"] == [
        [
            {
                "kind": "environment",
                "says": 'context.environment is "prod" instead of "dev"',
                "attribute": "context.environment",
                "becomes": "prod",
                "is": "dev",
            }
        ]
    ]


def test_another_policy_is_asked_and_it_is_said_that_it_is_another(denial, run):
    result = run("policy", "explain", denial[0].split()[-1])
    assert result.exit_code == 0
    assert result.stdout.startswith("allow")
    assert "Another policy decided then" in result.stdout


def test_event_that_is_not_there_or_no_call_is_wrong_usage(denial, run):
    assert run("policy", "explain", "0123456789abcdef-1").exit_code == 2
    log = [json.loads(line) for line in run("log", "--json").stdout.splitlines()]
    result = run("policy", "explain", next(one["id"] for one in log if one["kind"] == "session.open"))
    assert result.exit_code == 2
    assert "no call" in result.stderr


def test_without_a_ledger_or_without_anything_to_explain_it_says_what_to_name(run, tmp_path):
    assert "there is no ledger" in run("policy", "explain", "0123456789abcdef-1").stderr
    for arguments in ((), ("0123456789abcdef-1", "--request", tmp_path / "r.json")):
        result = run("policy", "explain", *arguments)
        assert result.exit_code == 2
        assert "name an event" in result.stderr


def test_broken_store_is_said_to_be_broken(denial, run, home):
    for path in (home / "ledger").glob("store.db*"):
        path.write_bytes(b"not a database" * 1000)
    result = run("policy", "explain", denial[0].split()[-1])
    assert result.exit_code == 2
    assert "guardai verify" in result.stderr


def test_refused_policy_is_refused_here_too(denial, run, policy):
    result = run("policy", "explain", denial[0].split()[-1], "--policy", policy("permit (foo);"))
    assert result.exit_code == 1
    assert "guardai policy check" in result.stderr


def test_call_of_before_is_not_decided_again(home, run):
    from guardai.ledger import Ledger
    from guardai.model import Event

    ledger = Ledger.open(home)
    who = {"kind": "Agent", "agent": "a", "user": "u", "chain": [], "assurance": "asserted"}
    name = ledger.append(
        Event(id="", key="", kind="call.intent", log="", prev="", seq=0, ts=0, v=1, principal=who,
              decision={"effect": "allow", "policies": ["p"]})
    )  # fmt: skip
    ledger.close()
    result = run("policy", "explain", name)
    assert result.exit_code == 1
    assert "cannot be decided again" in result.stderr
