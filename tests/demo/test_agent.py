"""The demo's agent and its scenes without any guard: the dangers that the demo shows are real ones."""

import ast
import json
import sqlite3
from pathlib import Path

import openai
import pytest

from guardai.cli.demo import agent as agent_module
from guardai.cli.demo import script, shop
from guardai.cli.demo.agent import Agent
from guardai.testing.model_server import ModelServer, text, tool_call

SCENES = {scene.key: scene for scene in script.SCENES}


@pytest.fixture
def database(tmp_path):
    shop.build(tmp_path / "shop.db")
    return tmp_path / "shop.db"


@pytest.fixture
def unguarded(database):
    """The agent, its model and the server, with nothing in between."""
    with ModelServer(script.model) as server:
        with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
            agent = Agent(client, "stand-in", database)
            agent.server = server
            yield agent


def count(database, table="customers"):
    connection = sqlite3.connect(database)
    try:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    finally:
        connection.close()


def test_the_agent_knows_of_no_guard():
    source = Path(agent_module.__file__).read_text(encoding="utf-8")
    assert "guardai" not in source
    imported = {
        alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names
    }
    assert imported == {"json", "sqlite3"}


def test_unguarded_rows_reach_the_model_as_they_are(unguarded):
    answer = unguarded.ask(SCENES["rows"].question)
    rows = json.loads(unguarded.steps[0].result)
    assert len(rows) == 3
    for row in rows:
        for value in (row["email"], row["phone"], row["iban"]):
            assert value in unguarded.server.requests[1].tool_results[0]
            assert value in answer


def test_the_model_answers_from_what_it_received_and_nothing_else(unguarded):
    request = unguarded.server.requests
    unguarded.ask(SCENES["rows"].question)
    masked = json.loads(json.dumps(request[1].body))
    rows = json.loads(masked["messages"][-1]["content"])
    for n, row in enumerate(rows, start=1):
        row["email"] = f"<EMAIL_{n}>"
    masked["messages"][-1]["content"] = json.dumps(rows)
    reply = script.model(type(request[1])("POST", "/", {}, masked, b""))
    said = "".join(reply.choices[0].chunks)
    assert "<EMAIL_3>" in said
    assert "@" not in said


def test_an_unguarded_key_reaches_the_model(unguarded):
    answer = unguarded.ask(SCENES["key"].question)
    assert script.pasted_key() in unguarded.server.requests[0].text
    assert script.pasted_key() in answer


@pytest.mark.parametrize(("way", "tool", "statement"), script.ATTEMPTS, ids=[way for way, _, _ in script.ATTEMPTS])
def test_unguarded_each_attempt_empties_the_table(database, way, tool, statement):
    argument = "query" if tool == "run_sql" else "script"
    replies = [tool_call(tool, {argument: statement}), text("Done.")]
    with ModelServer(replies) as server, openai.OpenAI(base_url=server.base_url, api_key="none") as client:
        agent = Agent(client, "stand-in", database)
        agent.ask("x")
    assert not agent.steps[0].failed
    assert count(database) == 0


def test_the_model_goes_on_trying_until_it_has_tried_every_way(unguarded):
    unguarded.ask(SCENES["destruction"].question)
    assert [next(iter(step.arguments.values())) for step in unguarded.steps] == [sql for _, _, sql in script.ATTEMPTS]


def test_the_stream_holds_an_address_that_no_piece_holds(unguarded):
    pieces = list(unguarded.stream(SCENES["stream"].question))
    address = "".join(script.DESK_CHUNKS)
    assert address in "".join(pieces)
    assert len(script.DESK_CHUNKS) >= 3
    assert sum(piece in script.DESK_CHUNKS for piece in pieces) == len(script.DESK_CHUNKS)
    assert not any("@" in piece and "." in piece.partition("@")[2] for piece in pieces)


def test_a_streamed_tool_call_is_put_together(unguarded):
    list(unguarded.stream(SCENES["stream"].question))
    (step,) = unguarded.steps
    assert (step.tool, step.arguments, step.failed) == ("look_up_customer", {"order_id": 17}, False)


def test_the_bounded_update_changes_one_row(unguarded, database):
    unguarded.ask(SCENES["update"].question)
    connection = sqlite3.connect(database)
    changed = connection.execute("SELECT id FROM orders WHERE status = 'refunded'").fetchall()
    connection.close()
    assert changed == [(17,)]


def test_an_exception_in_a_tool_becomes_a_message_to_the_model(database):
    replies = [tool_call("run_sql", {"query": "SELEC 1"}), tool_call("run_sql", "{nope"), text("I see.")]
    with ModelServer(replies) as server, openai.OpenAI(base_url=server.base_url, api_key="none") as client:
        agent = Agent(client, "stand-in", database)
        assert agent.ask("x") == "I see."
    assert server.requests[1].tool_results[0].startswith("OperationalError: ")
    assert server.requests[2].tool_results[1].startswith("JSONDecodeError: ")


@pytest.mark.parametrize("way", ["ask", "stream"])
def test_a_model_that_never_stops_calling_tools_is_stopped(database, way):
    def endless(request):
        return tool_call("run_sql", {"query": "SELECT 1"})

    with ModelServer(endless) as server, openai.OpenAI(base_url=server.base_url, api_key="none") as client:
        agent = Agent(client, "stand-in", database)
        assert "".join(getattr(agent, way)("x")) == "I gave up."
    assert len(server.requests) == agent_module.MAX_ROUNDS


def test_an_unknown_question_is_answered_all_the_same(unguarded):
    assert unguarded.ask("What is the time?") == "I only know the scenes of the demo."


def test_no_source_of_the_demo_holds_something_that_looks_like_a_key():
    for source in Path(script.__file__).parent.glob("*.py"):
        assert script.pasted_key() not in source.read_text(encoding="utf-8")
