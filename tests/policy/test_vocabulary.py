"""The tables of what a policy can see agree with one another, with the model, and with Cedar."""

import cedarpy
import pytest

from guardai.model import ACTIONS, GROUPS, REVEAL, Label, Principal, Resource, ancestors
from guardai.policy import schema_text
from guardai.policy.question import label_entity, principal_entity, resource_entity
from guardai.policy.schema import schema
from guardai.policy.vocabulary import (
    CONTEXT,
    COUNTERS,
    ENTITIES,
    LABELS,
    OPEN_FAMILIES,
    PARENTS,
    RECORDS,
    RESOURCES,
    known_label,
    known_label_or_group,
    verbs,
)


def test_the_schema_is_cedar():
    assert cedarpy.Schema.from_str(schema_text())


def test_every_action_and_group_is_in_the_schema():
    for name in (*ACTIONS, *GROUPS, REVEAL):
        assert f'action "{name}"' in schema_text()
    assert set(RESOURCES) == {*ACTIONS, REVEAL}


@pytest.mark.parametrize("attribute", CONTEXT, ids=lambda one: one.name)
def test_a_policy_can_read_every_attribute_that_is_documented(attribute):
    record = attribute.name.partition(".")[0]
    guard = f"context has {record} && " if RECORDS.get(record) else ""
    path = f"context.{attribute.name}"
    use = {"Bool": path, "Long": f"{path} > 1", "String": f'{path} == ""', "Set<String>": f'{path}.contains("")'}
    action = f'action == Action::"{REVEAL}"' if record == "to" else "action"
    policy = f"permit (principal, {action}, resource) when {{ {guard}{use[attribute.type]} }};"
    assert cedarpy.validate_policies(policy, schema()).validation_passed


def test_there_is_no_time_in_the_context_and_no_counter_but_those_that_are_never_remembered():
    """Answers are remembered by what policies read: nothing that changes by itself may be among it."""
    words = ("time", "hour", "date", "count", "rate", "minute", "day")
    assert {one.name for one in CONTEXT if any(word in one.name for word in words)} | COUNTERS == COUNTERS


def test_only_declared_records_are_nested():
    assert {one.name.partition(".")[0] for one in CONTEXT if "." in one.name} == set(RECORDS)


def test_entities_have_the_attributes_that_the_schema_promises():
    schema_types = cedarpy.Schema.from_str(schema_text())
    import json

    entities = [
        principal_entity(Principal("Agent", "a", "u", ("b",))),
        principal_entity(Principal("App", "a", "u")),
        label_entity("origin.eu"),
        label_entity("pii.email"),
    ]
    for kind in RESOURCES["db.read"]:
        parent = ("Database", "d") if kind in PARENTS else None
        entities.append(resource_entity(Resource(kind, "x", parent, tuple((name, "v") for name, _ in ENTITIES[kind]))))
    assert cedarpy.Entities.from_json_str(json.dumps(entities), schema_types)


@pytest.mark.parametrize("label", sorted(LABELS))
def test_a_built_in_label_is_a_label_and_its_groups_are_known(label):
    assert Label(label) == label
    assert known_label(label, frozenset())
    assert all(
        known_label_or_group(group, frozenset()) and not known_label(group, frozenset()) for group in ancestors(label)
    )


def test_open_families_are_groups():
    for family in OPEN_FAMILIES:
        assert known_label_or_group(family, frozenset())
        assert known_label(f"{family}.x", frozenset())


def test_a_misspelt_group_is_not_one():
    for name in ("pi", "piii", "secrets", "origins", "", "."):
        assert not known_label_or_group(name, frozenset())


def test_verbs_of_a_group_are_its_members():
    assert verbs("db") == ("db.read", "db.write", "db.destroy", "db.admin", "db.unknown")
    assert verbs("db.read") == ("db.read",)
    assert verbs("reveal") == ("reveal",)
    assert verbs("nothing") == ()
