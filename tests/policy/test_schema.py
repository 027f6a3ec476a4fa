"""The schema with what a folder adds: what is merged, and what is refused because it contradicts guardai's own."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from guardai.cli.policy import app
from guardai.errors import BundleError
from guardai.policy import Bundle, Engine, check, schema_of, schema_text
from guardai.policy.extension import Extension
from guardai.policy.schema import extension, parsed
from guardai.policy.source import Fault

PERMIT = '@id("p") permit (principal, action, resource);'
OWN = """
// what our integration of the ticket system hands over
entity Ticket in [Queue] { queue: String }; entity Queue;
type Crm = { ticket: String, urgent: Bool };
type Call = { crm?: Crm, sql?: { planner?: String } };
action "tool.call" appliesTo { resource: [Ticket] };
"""


@pytest.fixture
def with_schema(folder):
    def write(schema, cedar=PERMIT):
        root = folder(cedar)
        (root / "schema.cedarschema").write_text(schema)
        return root

    return write


def test_the_printed_schema_is_a_schema_of_a_folder_that_adds_nothing():
    assert extension(schema_text()) == Extension()
    assert schema_text(extension(schema_text())) == schema_text()


def test_additions_can_be_added_again(with_schema):
    """The merged schema, printed and put into the folder, gives itself."""
    once = schema_of(with_schema(OWN))
    assert schema_of(with_schema(once)) == once
    assert "crm?: Crm" in once and "planner?: String" in once and "entity Queue;" in once
    assert "[Tool, Ticket]" in once


def test_a_policy_may_read_what_is_added_if_it_asks_first(with_schema):
    asks = '@id("p") permit (principal, action, resource) when { context has crm && context.crm.urgent };'
    assert check(with_schema(OWN, asks)) == []
    assert "attribute `crm`" in check(with_schema("", asks.replace("context has crm && ", "")))[0].message
    forgets = asks.replace("context has crm && ", "")
    assert "`crm`" in check(with_schema(OWN, forgets))[0].message
    engine = Engine(Bundle.load(with_schema(OWN, asks)))
    from guardai.model import Principal, Resource

    who, what = Principal("Agent", "a", "u"), (Resource("Tool", "t"),)
    assert engine.act(who, "tool.call", what, {"crm.urgent": True, "crm.ticket": "7"}).effect == "allow"
    assert engine.act(who, "tool.call", what, {}).effect == "deny"


def test_an_added_type_can_be_acted_on_and_its_group_is_not_called_silent(with_schema):
    cedar = PERMIT + '\n@id("f") forbid (principal, action == Action::"tool.call", resource in Queue::"legal");'
    assert check(with_schema(OWN, cedar)) == []


def test_the_schema_is_part_of_the_digest(with_schema):
    assert Bundle.load(with_schema("")).digest != Bundle.load(with_schema(OWN)).digest


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("entity Agent { user: String, age: Long };", "1:1: entity Agent is guardai's"),
        ("entity Agent { user: String };", "neither lose nor gain"),
        ("entity User in [Team]; entity Team;", "neither lose nor gain"),
        ("entity Mine, Agent;", "apart from guardai's"),
        ("\ntype Call = { environment: Long };", "2:15: context.environment is a String of guardai's"),
        ("type Call = { environment?: String };", "context.environment is guardai's"),
        ("type Call = { session: { id: Long } };", "context.session.id is a String"),
        ("type Call = { session: String };", "context.session is guardai's"),
        ("type Call = { to?: { kind: String } };", "context.to cannot be added here"),
        ("type Call = { crm: String };", "has to be optional"),
        ("type Call = { crm?: decimal };", "is a decimal; what reaches a policy is"),
        ("type Call = { crm?: Set<Long> };", "is a Set<Long>"),
        ("type Call = { crm?: { when: datetime } };", "context.crm.when is a datetime"),
        ("type Call = { __entity?: String };", "1:15: '__entity' cannot be an attribute"),
        ('type Call = { "a.b"?: String };', "'a.b' cannot be an attribute"),
        ('type Call = { "!"?: String };', "'!' cannot be an attribute"),
        ("type Long = String; type Call = { n?: Long };", "not a Cedar schema"),
        ("type Call = String;", "has to be a record"),
        ('action "fly" appliesTo { resource: [X] };', 'action "fly" is not one of guardai\'s'),
        ('action "tool.call" appliesTo { resource: [Table] };', "Table is not an entity type of this file"),
        ('action "db.read" in ["llm"];', "in of action"),
        ('entity T; action "db.read" appliesTo { principal: [T], resource: [T] };', "principal of action"),
        ('action "reveal" appliesTo { context: Call };', "context of action"),
        ("namespace A {}", "namespaces are not supported"),
        ("entity X in [Nope];", "not a Cedar schema: failed to resolve type: Nope"),
        ("entity X; entity X;", "declared twice"),
        ("type T = { a?: T }; type Call = { x?: T };", "x is a record without end"),
        ("type Call = " + "{a?:" * 10_000, "nested brackets"),
        ("entity X\n  $;", "2:3: '$' cannot stand in a schema"),
        ("entity", "1:7: the file ends in the middle"),
        ("foo", "begins no declaration"),
        ("entity X {a: };", "1:14: a name is expected"),
    ],
)
def test_what_contradicts_guardais_own_is_refused_with_its_place(with_schema, schema, says):
    root = with_schema(schema)
    with pytest.raises(BundleError) as caught:
        Bundle.load(root)
    assert "schema.cedarschema" in str(caught.value)
    assert says in str(caught.value)
    with pytest.raises(BundleError, match="schema.cedarschema"):
        schema_of(root)
    assert check(root)[0].file == "schema.cedarschema"


WORDS = st.sampled_from(
    "entity type action namespace Call Reveal Agent Own in appliesTo resource context tags enum Set String Long @doc "
    '"x" "db.read" { } [ ] < > ( ) : ; , ? = // \n $'.split(" ")
)


@given(st.lists(WORDS, max_size=30).map(" ".join))
def test_no_text_does_worse_than_a_fault_with_a_line(text):
    try:
        made = extension(text)
    except Fault as fault:
        assert fault.line >= 1
    else:
        assert parsed(schema_text(made))


@given(st.lists(st.sampled_from(OWN.strip().split("\n")[1:]), unique=True))
def test_whatever_is_added_a_policy_that_was_valid_stays_valid(lines):
    from guardai.policy import STARTER

    import cedarpy

    try:
        schema = parsed(schema_text(extension("\n".join(lines))))
    except Fault:
        return
    starter = (STARTER / "policies" / "starter.cedar").read_text()
    assert cedarpy.validate_policies(starter, schema).validation_passed


# ---- the command ----


def run(*arguments):
    return CliRunner().invoke(app, ["schema", *map(str, arguments)])


def test_schema_prints_the_schema_and_nothing_else(with_schema):
    assert run().stdout == schema_text()
    assert run(with_schema(OWN)).stdout == schema_of(with_schema(OWN))
    assert json.loads(run("--json").stdout) == {"schema": schema_text()}


def test_schema_of_a_folder_without_one_is_guardais(folder):
    assert run(folder(PERMIT)).stdout == schema_text()


def test_schema_that_contradicts_is_refused(with_schema):
    done = run(with_schema("type Call = { mode: Long };"))
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "schema.cedarschema:1:15:" in done.stderr


def test_schema_of_no_folder_is_wrong_usage(tmp_path):
    assert run(tmp_path / "none").exit_code == 2
