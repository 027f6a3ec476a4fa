import sys

import pytest

from guardai.identity import acting_agent, acting_app, delegated


def test_agent_without_a_name_is_the_program(monkeypatch):
    monkeypatch.delenv("GUARDAI_AGENT", raising=False)
    monkeypatch.setattr(sys, "argv", ["/opt/bots/report_bot.py"])
    assert acting_agent().agent == "report_bot"


def test_module_started_with_m_is_named_after_its_package(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/bots/reporter/__main__.py"])
    assert acting_agent().agent == "reporter"


def test_variable_names_the_agent(monkeypatch):
    monkeypatch.setenv("GUARDAI_AGENT", "night-shift")
    assert acting_agent().agent == "night-shift"


def test_every_identity_that_nobody_proved_is_asserted():
    assert {acting_agent("a", "u").assurance, acting_app().assurance} == {"asserted"}


def test_undecodable_and_endless_names_become_text_that_an_event_can_hold():
    assert acting_agent("bot\udcff", "u").agent == "bot?"
    assert len(acting_agent("x" * 10_000, "u").agent) == 200


def test_agent_inside_an_agents_session_acts_for_it():
    outer = acting_agent("planner", "ann")
    middle = delegated(outer, acting_agent("researcher", "ann"))
    inner = delegated(middle, acting_agent("writer", "ann"))
    assert (middle.chain, inner.chain) == (("planner",), ("planner", "researcher"))


def test_same_agent_again_adds_nothing_to_the_chain():
    outer = delegated(acting_agent("planner", "ann"), acting_agent("researcher", "ann"))
    assert delegated(outer, acting_agent("researcher", "ann")).chain == ("planner",)


def test_endless_delegation_is_refused():
    principal = acting_agent("a0", "ann")
    with pytest.raises(ValueError, match="taken for a loop"):
        for n in range(1, 30):
            principal = delegated(principal, acting_agent(f"a{n}", "ann"))
