"""The starter policy does what the design says, row by row."""

import pytest

from guardai.model import ACTIONS, Destination, Principal, Resource
from guardai.policy import STARTER, Bundle, Engine, check

ENGINE = Engine(Bundle.load())
BOT = Principal("Agent", "bot", "u")
APP = Principal("App", "web", "u")
CONTEXT = {"environment": "prod", "region": "", "mode": "enforce"}
TABLE = Resource("Table", "shop.customers", ("Database", "shop"), (("environment", "prod"), ("region", "eu")))

MODEL = Destination("model", "openai", "us", "listed")
LOCAL = Destination("model", "local", "local", "internal")
UNLISTED = Destination("model")
TOOL = Destination("tool", "acme", "us", "listed")
FUNCTION = Destination("tool", "local", "local", "internal")
HOST = Destination("host", "", "us", "unlisted")
PROCESS = Destination("process", "local", "local", "internal")
PERSON = Destination("person", "local", "local", "internal")
DATABASE = Destination("database", "shop", "eu", "listed")
INDEX = Destination("index", "local", "local", "internal")
AWAY = (MODEL, LOCAL, UNLISTED, TOOL, HOST)
HOME = (PROCESS, DATABASE, INDEX, FUNCTION)


def mask(label, to):
    return ENGINE.reveal(BOT, label, to, CONTEXT).mask


def test_it_has_no_problems():
    assert check(STARTER) == []


def test_every_policy_has_an_id_and_every_forbid_a_reason():
    assert not ENGINE.bundle.warnings
    assert all("reason" in p.annotations for p in ENGINE.bundle.policies.values() if p.effect == "forbid")


@pytest.mark.parametrize(
    "action",
    ["llm.generate", "llm.embed", "tool.call", "mcp.call", "retrieval.query", "http.request", "data.export"],
)
def test_an_agent_may(action):
    assert ENGINE.act(BOT, action, (TABLE,), {}).effect == "allow"


@pytest.mark.parametrize("action", ["db.read", "db.write"])
def test_reads_and_bounded_writes_are_permitted(action):
    assert ENGINE.act(BOT, action, (TABLE,), CONTEXT).effect == "allow"


@pytest.mark.parametrize(
    ("action", "policy"),
    [("db.destroy", "no-destruction"), ("db.admin", "no-administration"), ("db.unknown", "no-unknown-sql")],
)
def test_destruction_administration_and_the_unknown_are_denied_with_a_reason(action, policy):
    decision = ENGINE.act(BOT, action, (TABLE,), CONTEXT)
    assert (decision.effect, decision.policies) == ("deny", (policy,))
    assert decision.reason


def test_an_agent_may_not_start_programs():
    assert ENGINE.act(BOT, "process.exec", (Resource("Host", "x"),), {}).policies == ()
    assert ENGINE.act(BOT, "process.exec", (Resource("Host", "x"),), {}).effect == "deny"


@pytest.mark.parametrize("action", [action for action, group in ACTIONS.items() if group in ("db", "http", "process")])
def test_the_application_around_the_agent_is_not_broken(action):
    assert ENGINE.act(APP, action, (TABLE,), {}).effect == "allow"


@pytest.mark.parametrize("to", AWAY)
def test_personal_data_leaves_as_a_token(to):
    assert mask("pii.email", to) == "token"


@pytest.mark.parametrize("to", HOME)
def test_personal_data_is_revealed_at_home(to):
    assert mask("pii.email", to) is None


def test_people_see_personal_data_in_part():
    assert mask("pii.email", PERSON) == "partial"


@pytest.mark.parametrize("to", [*AWAY, PROCESS, PERSON, FUNCTION])
def test_secrets_are_shown_to_nobody(to):
    assert mask("secret.aws_key", to) == "redact"


@pytest.mark.parametrize("to", [DATABASE, INDEX])
def test_an_application_may_keep_its_secrets(to):
    assert mask("secret.aws_key", to) is None


@pytest.mark.parametrize("to", [MODEL, LOCAL, UNLISTED, TOOL, HOST])
def test_data_of_a_region_does_not_go_to_another(to):
    assert mask("origin.eu", to) == "token"


@pytest.mark.parametrize("to", [MODEL, TOOL, HOST])
def test_data_of_a_region_goes_to_the_same(to):
    assert mask("origin.us", to) is None
    assert mask("origin.eu", to._replace(region="eu")) is None


@pytest.mark.parametrize("to", [*HOME, PERSON])
def test_data_of_a_region_is_revealed_at_home(to):
    assert mask("origin.eu", to) is None


@pytest.mark.parametrize("label", ["trust.untrusted", "dataset.customers"])
def test_provenance_is_revealed(label):
    for to in (*HOME, PERSON, MODEL, TOOL, HOST):
        assert mask(label, to) is None


@pytest.mark.parametrize(
    "label", ["pii.email", "secret.x", "origin.us", "trust.untrusted", "dataset.x", "opaque.image"]
)
def test_an_unlisted_model_may_be_asked_and_sees_nothing(label):
    model = Resource("Model", "m", ("Provider", "?"), (("host", "h"), ("region", "unknown"), ("trust", "unlisted")))
    assert ENGINE.act(BOT, "llm.generate", (model,), {}).effect == "allow"
    assert mask(label, UNLISTED) is not None


def test_what_nobody_can_name_stays_at_home():
    assert mask("opaque.raw", PROCESS) is None
    assert None not in [mask("opaque.raw", to) for to in (MODEL, LOCAL, UNLISTED, PERSON, TOOL, HOST)]


@pytest.mark.parametrize("label", ["opaque.image", "opaque.audio", "opaque.file"])
def test_what_cannot_be_scanned_goes_to_known_models_and_stays_at_home(label):
    assert [mask(label, to) for to in (MODEL, LOCAL, PROCESS)] == [None] * 3
    assert None not in [mask(label, to) for to in (UNLISTED, PERSON, TOOL, HOST)]


def test_an_unknown_label_is_redacted_everywhere():
    assert {mask("pii.shoe_size", to) for to in (*AWAY, *HOME, PERSON)} == {"redact"}


def test_a_label_of_ones_own_is_revealed_at_home_and_masked_elsewhere(folder):
    catalog = (STARTER / "catalog.toml").read_text().replace("[labels]", '[labels]\n"hr.salary" = "hash"')
    engine = Engine(Bundle.load(folder((STARTER / "policies" / "starter.cedar").read_text(), catalog)))
    assert engine.reveal(BOT, "hr.salary", PROCESS, {}).mask is None
    assert engine.reveal(BOT, "hr.salary", MODEL, {}).mask == "hash"
    assert engine.reveal(BOT, "hr.salary", PERSON, {}).mask == "hash"


def test_its_answers_need_nothing_of_the_context():
    """Whatever an integration leaves out of the context, the starter policy never fails for want of it."""
    for action in ACTIONS:
        for principal in (BOT, APP):
            assert ENGINE.act(principal, action, (TABLE,), {}).errors == ()
    for to in (*AWAY, *HOME, PERSON):
        assert "evaluated" not in ENGINE.reveal(BOT, "origin.eu", to, {}).reason


def test_the_comments_examples_work(folder):
    """What a comment teaches is tried: every commented-out policy, uncommented, in place of the forbid it replaces."""
    text = (STARTER / "policies" / "starter.cedar").read_text()
    begins = ("@", "forbid", "permit", "unless")
    code = [line.removeprefix("//   ") for line in text.splitlines() if line.startswith("//   ")]
    taught = "\n".join(line for line in code if line.startswith(begins))
    assert taught.count("@id") == 4
    replaced = text.index('\n@id("no-destruction")'), text.index('\n@id("no-administration")')
    own = text[: replaced[0]] + "\n" + taught + text[replaced[1] :]
    root = folder(own, (STARTER / "catalog.toml").read_text())
    assert check(root) == []
    engine = Engine(Bundle.load(root))
    decision = engine.act(BOT, "db.destroy", (TABLE,), CONTEXT)
    assert (decision.effect, decision.obligations.approvals) == ("pause", ("dba",))
    assert engine.act(BOT, "db.destroy", (TABLE,), {**CONTEXT, "approvals": ("dba",)}).effect == "allow"
    assert engine.act(BOT, "process.exec", (Resource("Tool", "git"),), {}).effect == "allow"
    assert engine.act(BOT, "process.exec", (Resource("Tool", "rm"),), {}).effect == "deny"


def test_the_starter_catalog_knows_the_usual_endpoints():
    catalog = ENGINE.bundle.catalog
    assert catalog.model("api.openai.com", "gpt-4o") == ("openai", "us", "listed")
    assert catalog.model("127.0.0.1:8080", "x") == ("local", "local", "internal")
    assert catalog.model("example.com", "x") == ("", "unknown", "unlisted")
    assert catalog.mask("pii.email") == "token"
    assert catalog.mask("secret.aws") == "redact"
