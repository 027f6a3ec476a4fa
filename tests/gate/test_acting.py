"""Who is acting: one import governs the agent's statements and leaves the application's alone."""

import sqlite3
import threading

import pytest

import guardai
from guardai.hooks import Call, Target, opened

MODEL = Target("model", "api.openai.com", "gpt-4o")
SQL = "SELECT name, email FROM customers WHERE region = 'north'"
DESTROY = "DELETE FROM customers WHERE name LIKE 'a%'"


@pytest.fixture
def started(home):
    guardai.init(home=home, integrations=["dbapi"])


@pytest.fixture
def database(started):
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("CREATE TABLE customers (name TEXT, email TEXT, region TEXT)")
    return connection


def answered(answer, *, tool_calls=False):
    opened(Call("llm.generate", MODEL, payload={"m": "hello there"})).close(answer, tool_calls=tool_calls)


class Elsewhere(threading.Thread):
    """Runs in a context in which nothing has been answered: a worker that was there before."""

    def __init__(self):
        super().__init__(daemon=True)
        self.jobs, self.done = [], []
        self.ready, self.finished = threading.Event(), threading.Event()
        self.start()

    def run(self):
        self.ready.wait(10)
        for job in self.jobs:
            try:
                self.done.append(job())
            except guardai.PolicyDenied as exc:
                self.done.append(exc)
        self.finished.set()

    def do(self, *jobs):
        self.jobs = jobs
        self.ready.set()
        self.finished.wait(10)
        return self.done


class TestTurn:
    def test_after_an_answer_with_tool_calls_the_contexts_statements_are_the_agents(self, database):
        answered({"content": "x"}, tool_calls=True)
        with pytest.raises(guardai.PolicyDenied):
            database.execute("DROP TABLE customers")

    def test_the_next_model_request_ends_the_turn(self, database):
        answered({"content": "x"}, tool_calls=True)
        answered({"content": "done, nothing more to do"})
        database.execute("DROP TABLE customers")

    def test_answer_without_tool_calls_begins_no_turn(self, database):
        answered({"content": "fine"})
        database.execute("DROP TABLE customers")


class TestText:
    @pytest.mark.parametrize(
        "answer",
        [
            {"content": DESTROY},
            {"content": f"Run this:\n```sql\n{DESTROY};\n```\nand tell me."},
            {"content": f"Run `{DESTROY}` please."},
            {"tool_calls": [{"function": {"arguments": '{"query": "' + DESTROY + '"}'}}]},
            {"arguments": '{"steps": [{"sql": "DELETE FROM customers\\n  WHERE name LIKE \'a%\'"}]}'},
        ],
        ids=["whole", "block", "inline", "argument", "nested and reformatted"],
    )
    def test_models_own_statement_is_recognised_where_nobody_opened_a_session(self, database, answer, calls):
        elsewhere = Elsewhere()
        answered(answer)
        [denied] = elsewhere.do(lambda: database.execute(DESTROY))
        assert isinstance(denied, guardai.PolicyDenied)
        assert calls("db.destroy")[0][0]["principal"]["kind"] == "Agent"

    def test_statement_in_a_stream_is_known_before_its_last_piece_is_handed_out(self, database):
        elsewhere = Elsewhere()
        flow = opened(Call("llm.generate", MODEL, payload={"m": "hello there"})).stream()
        flow.feed("0", DESTROY[:20])
        flow.feed("0", DESTROY[20:])
        flow.end("0")
        [denied] = elsewhere.do(lambda: database.execute(DESTROY))
        assert isinstance(denied, guardai.PolicyDenied)

    def test_statement_of_the_application_that_only_resembles_it_is_left_alone(self, database):
        elsewhere = Elsewhere()
        answered({"content": DESTROY})
        [cursor] = elsewhere.do(lambda: database.execute("DELETE FROM customers WHERE name LIKE 'b%'"))
        assert isinstance(cursor, sqlite3.Cursor)

    def test_statement_that_any_application_could_have_written_is_no_sign(self, database):
        elsewhere = Elsewhere()
        answered({"content": "DELETE FROM   customers"})
        [cursor] = elsewhere.do(lambda: database.execute("DELETE FROM customers"))
        assert isinstance(cursor, sqlite3.Cursor)

    def test_text_that_two_sessions_received_is_attributed_to_neither(self, database, calls):
        elsewhere = Elsewhere()
        for name in ("a", "b"):
            with guardai.session(agent=name):
                answered({"content": SQL})
        elsewhere.do(lambda: database.execute(SQL).fetchall())
        [(intent, _)] = calls("db.read")
        assert (intent["session"], intent["principal"]["agent"]) == ("ambiguous", "ambiguous")

    def test_statement_is_attributed_to_the_session_that_received_it(self, database, calls):
        elsewhere = Elsewhere()
        with guardai.session(agent="reader", user="ann") as session:
            answered({"content": SQL})
        elsewhere.do(lambda: database.execute(SQL).fetchall())
        assert calls("db.read")[0][0]["session"] == session.id


class TestApplication:
    def test_before_any_answer_the_applications_writes_are_not_recorded(self, database, events):
        database.execute("DELETE FROM customers")
        assert events(action="db.destroy") == []

    def test_once_a_model_has_answered_the_applications_writes_are_recorded_and_run(self, database, calls):
        elsewhere = Elsewhere()
        answered({"content": "fine"})
        elsewhere.do(lambda: database.execute("DELETE FROM customers"), lambda: database.execute("SELECT 1").fetchall())
        [(intent, outcome)] = calls("db.destroy")
        assert intent["principal"]["kind"] == "App"
        assert outcome["status"] == "ok"
        assert calls("db.read") == []
