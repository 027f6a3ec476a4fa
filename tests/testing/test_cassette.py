"""A recorded session as a test double: the same calls get what they got then, others are refused, and nothing is reached."""

import json
import os
import sqlite3
import stat

import pytest

import guardai
from guardai.gate import HERE
from guardai.testing.cassette import Cassette, CassetteError, RecordedError
from guardai.testing.model_server import ModelServer, error, text, tool_call

MAIL = "alice@example.com"
POLICY = (
    '@id("kept") @capture("content") permit (principal, action, resource);'
    '@id("token") @mask("token") forbid (principal, action == Action::"reveal", resource in Label::"pii") '
    'when { ["model", "vault"].contains(context.to.kind) };'
    '@id("no") forbid (principal, action == Action::"tool.call", resource == Tool::"forbidden");'
)


class World:
    """What the agent reaches; it counts."""

    def __init__(self):
        self.reached = []
        self.broken = False

    def tools(self):
        @guardai.tool(name="find")
        def find(name):
            self.reached.append(name)
            sqlite3.connect(":memory:").execute("SELECT 1").fetchall()
            return {"mail": MAIL}

        @guardai.tool(name="send")
        async def send(to, body):
            self.reached.append(to)
            if self.broken:
                raise TimeoutError("the server of mails is away")

        return find, send


@pytest.fixture
def start(tmp_path, policy):
    def run(name, **more):
        guardai.shutdown()
        HERE.set(None)
        guardai.init(home=tmp_path / name, policy=policy(POLICY), integrations=["dbapi", "openai"], **more)
        return tmp_path / name

    return run


def agent(world, **calls):
    """Asks the tools: `find="alice"`, `send=(to, body)`."""
    import asyncio

    find, send = world.tools()
    with guardai.session(user="ann", agent="bot", id="s"):
        found = find(calls["find"]) if "find" in calls else None
        if "send" in calls:
            asyncio.run(send(*calls["send"]))
        return found


@pytest.fixture
def tape(start):
    """What an agent did, on a cassette."""

    def record(world=None, **calls):
        home = start("recorded")
        try:
            agent(world or World(), **calls)
        except TimeoutError:
            pass
        guardai.shutdown()
        made = Cassette.of(home, "s")
        start("played")
        return made

    return record


class TestTools:
    def test_they_return_what_they_returned_and_do_not_run(self, tape):
        made, world = tape(find="alice", send=(MAIL, "hi")), World()
        with made.play() as playing:
            assert agent(world, find="alice", send=(MAIL, "hi")) == {"mail": "<EMAIL_1>"}
            assert playing.left == []
        assert world.reached == []

    def test_record_says_that_they_did_not_run(self, tape, tmp_path):
        from guardai.ledger import events

        made = tape(find="alice")
        with made.play():
            agent(World(), find="alice")
        guardai.shutdown()
        outcomes = [event for event in map(json.loads, events(tmp_path / "played")) if event["kind"] == "call.outcome"]
        assert [event["body"]["played"] for event in outcomes] == [True]

    def test_they_raise_where_they_raised(self, tape):
        broken = World()
        broken.broken = True
        made = tape(broken, send=(MAIL, "hi"))
        with made.play(), pytest.raises(RecordedError, match="^TimeoutError$"):
            agent(World(), send=(MAIL, "hi"))

    def test_one_that_is_called_otherwise_is_refused_with_the_place_and_without_a_value(self, tape, home, tmp_path):
        made, world = tape(send=(MAIL, "hi")), World()
        with pytest.raises(
            CassetteError, match=r"send differs from tool.call on tool://send \(event \S+\) at \$.in.body"
        ) as told:
            with made.play():
                agent(world, send=(MAIL, "something else"))
        assert world.reached == []
        assert MAIL not in str(told.value)
        assert "something" not in str(told.value)

    def test_one_that_was_not_called_is_refused_and_the_next_is_named(self, tape):
        made, world = tape(send=(MAIL, "hi")), World()
        with pytest.raises(
            CassetteError, match=r"tool://find was not recorded; the next recorded call is tool.call on tool://send"
        ):
            with made.play():
                agent(world, find="alice")
        assert world.reached == []

    def test_one_that_is_called_once_more_is_refused(self, tape):
        made = tape(find="alice")
        with pytest.raises(CassetteError, match="every recorded call has been made"), made.play():
            agent(World(), find="alice")
            agent(World(), find="alice")

    def test_calls_that_are_missing_at_the_end_are_told(self, tape):
        made = tape(find="alice", send=(MAIL, "hi"))
        with pytest.raises(
            CassetteError, match="1 of 2 recorded calls were not made; the first is tool.call on tool://send"
        ):
            with made.play():
                agent(World(), find="alice")

    def test_policy_still_decides(self, tape):
        made = tape(find="alice")

        @guardai.tool(name="forbidden")
        def forbidden():
            raise AssertionError

        with made.play(), guardai.session(id="s"):
            with pytest.raises(guardai.PolicyDenied):
                forbidden()
            agent(World(), find="alice")

    def test_statement_outside_of_a_tool_is_refused(self, tape, tmp_path):
        made = tape(find="alice")
        with pytest.raises(CassetteError, match="db.admin is not answered from a cassette"), made.play():
            with guardai.session(user="ann"):
                sqlite3.connect(tmp_path / "real.db").execute("CREATE TABLE t (a)")
        assert sqlite3.connect(tmp_path / "real.db").execute("SELECT * FROM sqlite_master").fetchall() == []

    @pytest.fixture
    def shop(self, tmp_path):
        """An agent that asks a database itself, and the statements that reached it."""

        def ask(statement, *parameters):
            connection = sqlite3.connect(tmp_path / "shop.db")
            with guardai.session(user="ann", agent="bot", id="s"):
                found = connection.execute(statement, parameters).fetchall()
            connection.close()
            return found

        with sqlite3.connect(tmp_path / "shop.db") as connection:
            connection.executescript(f"CREATE TABLE t (mail); INSERT INTO t VALUES ('{MAIL}');")
        connection.close()
        return ask

    def test_statements_that_may_happen_are_held_against_those_that_were_recorded(self, start, shop):
        home = start("recorded")
        assert shop("SELECT mail FROM t WHERE mail = ?", MAIL) == [(MAIL,)]
        guardai.shutdown()
        made = Cassette.of(home, "s")
        start("played")
        with made.play(run=["db"]):
            assert shop("SELECT mail FROM t WHERE mail = ?", MAIL) == [(MAIL,)]
        with (
            pytest.raises(CassetteError, match=r"differs from db.read .* at \$.parameters\[0\]"),
            made.play(run=["db"]),
        ):
            shop("SELECT mail FROM t WHERE mail = ?", "nobody")
        with pytest.raises(CassetteError, match=r'play\(run=\["db"\]\)'), made.play():
            shop("SELECT mail FROM t WHERE mail = ?", MAIL)

    def test_statements_may_happen_where_none_were_kept(self, tape, shop):
        made = tape(find="alice")
        with made.play(run=["db"]):
            agent(World(), find="alice")
            assert shop("SELECT mail FROM t") == [(MAIL,)]

    def test_afterwards_tools_run_again(self, tape):
        made, world = tape(find="alice"), World()
        with made.play():
            agent(world, find="alice")
        assert agent(world, find="alice") == {"mail": MAIL}
        assert world.reached == ["alice"]

    def test_gate_that_is_started_while_it_plays_is_played_to(self, tape, start):
        made, world = tape(find="alice"), World()
        with made.play():
            start("another")
            agent(world, find="alice")
        assert world.reached == []


class TestModel:
    @pytest.fixture
    def ask(self):
        openai = pytest.importorskip("openai")

        def run(stream=False, **more):
            """An agent's turn: the model asks for a tool, the tool is called, the model answers."""
            find, _ = World().tools()
            with openai.OpenAI(api_key="none", max_retries=0, **more) as client, guardai.session(user="ann", id="s"):
                messages = [{"role": "user", "content": f"who is {MAIL}?"}]
                called = self.turn(client, messages, stream=stream)
                messages.append({"role": "assistant", "tool_calls": [called]})
                found = find(**json.loads(called["function"]["arguments"]))
                messages.append({"role": "tool", "tool_call_id": called["id"], "content": json.dumps(found)})
                return self.turn(client, messages, stream=stream)

        return run

    @staticmethod
    def turn(client, messages, *, stream):
        made = client.chat.completions.create(model="gpt-4o", messages=messages, stream=stream)
        if not stream:
            message = made.choices[0].message
            return message.tool_calls[0].model_dump() if message.tool_calls else message.content
        said, call = "", {"type": "function", "function": {"arguments": ""}}
        for chunk in made:
            for delta in (choice.delta for choice in chunk.choices):
                said += delta.content or ""
                for part in delta.tool_calls or []:
                    call["id"] = part.id or call["id"]
                    call["function"]["name"] = part.function.name or call["function"]["name"]
                    call["function"]["arguments"] += part.function.arguments or ""
        return said or call

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_turns_of_an_agent_are_what_they_were(self, start, ask, stream, tmp_path):
        home = start("recorded")
        script = [tool_call("find", '{"name": "alice"}'), text("It is <EMAIL_1>, who else?")]
        with ModelServer(script) as server:
            assert ask(stream, base_url=server.base_url) == f"It is {MAIL}, who else?"
        guardai.shutdown()
        made = Cassette.of(home, "s")
        assert MAIL not in repr(made)
        made.save(tmp_path / "tape.json")
        start("played")
        with Cassette.load(tmp_path / "tape.json").play():
            assert ask(stream) == f"It is {MAIL}, who else?"
        assert "OPENAI_BASE_URL" not in os.environ

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_turns_of_the_responses_protocol_are_what_they_were(self, start, stream, tmp_path):
        openai = pytest.importorskip("openai")

        def answered(client, **more):
            made = client.responses.create(model="gpt-4o", stream=stream, **more)
            if not stream:
                return made
            [last] = [event.response for event in made if event.type == "response.completed"]
            return last

        def run(**more):
            find, _ = World().tools()
            with openai.OpenAI(api_key="none", max_retries=0, **more) as client, guardai.session(user="ann", id="s"):
                first = answered(client, input=f"who is {MAIL}?")
                [call] = [item for item in first.output if item.type == "function_call"]
                found = json.dumps(find(**json.loads(call.arguments)))
                told = [{"type": "function_call_output", "call_id": call.call_id, "output": found}]
                return answered(client, input=told, previous_response_id=first.id).output_text

        home = start("recorded")
        script = [text("I look. ") + tool_call("find", '{"name": "alice"}'), text("It is <EMAIL_1>, who else?")]
        with ModelServer(script) as server:
            assert run(base_url=server.base_url) == f"It is {MAIL}, who else?"
        guardai.shutdown()
        made = Cassette.of(home, "s")
        start("played")
        with made.play():
            assert run() == f"It is {MAIL}, who else?"

    def test_provider_that_refused_refuses(self, start, tmp_path):
        openai = pytest.importorskip("openai")

        def run(**more):
            with openai.OpenAI(api_key="none", max_retries=0, **more) as client, guardai.session(id="s"):
                with pytest.raises(openai.RateLimitError):
                    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

        home = start("recorded")
        with ModelServer([error(429)]) as server:
            run(base_url=server.base_url)
        guardai.shutdown()
        made = Cassette.of(home, "s")
        start("played")
        with made.play():
            run()

    def test_another_question_never_leaves(self, start, ask):
        openai = pytest.importorskip("openai")
        home = start("recorded")
        with ModelServer([tool_call("find", '{"name": "alice"}'), text("yes")]) as server:
            ask(base_url=server.base_url)
        guardai.shutdown()
        made = Cassette.of(home, "s")
        start("played")
        with pytest.raises(CassetteError, match=r"gpt-4o differs from .* at \$.in.messages\[0\].content"), made.play():
            with openai.OpenAI(api_key="none", max_retries=0) as client, guardai.session(user="ann", id="s"):
                client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    def test_client_that_asks_somebody_else_is_refused(self, start, ask):
        pytest.importorskip("openai")
        home = start("recorded")
        with ModelServer([tool_call("find", '{"name": "alice"}'), text("yes")]) as server:
            ask(base_url=server.base_url)
            guardai.shutdown()
            made = Cassette.of(home, "s")
            start("played")
            asked = len(server.requests)
            with pytest.raises(CassetteError, match="not the cassette"), made.play():
                ask(base_url=server.base_url)
            assert len(server.requests) == asked


class TestFile:
    def test_it_is_for_its_owner_and_says_nothing_by_itself(self, tape, tmp_path):
        made = tape(find="alice")
        made.save(tmp_path / "tape.json")
        assert stat.S_IMODE((tmp_path / "tape.json").stat().st_mode) == 0o600
        assert Cassette.load(tmp_path / "tape.json") == made
        assert "alice" not in f"{made!r}{made.calls!r}"

    def test_what_is_no_cassette_is_said_so(self, tmp_path):
        (tmp_path / "tape.json").write_text("{}")
        with pytest.raises(CassetteError, match="no cassette"):
            Cassette.load(tmp_path / "tape.json")

    def test_session_of_which_something_is_not_kept_is_refused(self, start, tmp_path):
        from guardai.gate.vault import erase

        home = start("recorded")
        agent(World(), find="alice")
        guardai.shutdown()
        with pytest.raises(CassetteError, match="no session 'other'"):
            Cassette.of(home, "other")
        erase(home, "ann", by="eve")
        with pytest.raises(CassetteError, match="in is erased"):
            Cassette.of(home, "s")

    def test_that_it_was_read_is_recorded(self, start):
        home = start("recorded")
        agent(World(), find="alice")
        guardai.shutdown()
        Cassette.of(home, "s")
        from guardai.ledger import events

        assert any(b'"kind":"vault.shown"' in event for event in events(home))
