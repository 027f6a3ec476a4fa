"""Tokens on the road: what a session has given out is known again, in its other processes and after a restart."""

import json
import os
import subprocess
import sys

import pytest

import guardai
from guardai.gate import HERE, current
from guardai.hooks import Call, Target, opened

MODEL = Target("model", "api.openai.com", "gpt-4o")
MAIL = "alice@example.com"


def ask(text):
    return opened(Call("llm.generate", MODEL, payload={"m": text}))


@pytest.fixture
def begin(home):
    """Starts guardai as a new process would."""

    def start(**more):
        guardai.shutdown()
        HERE.set(None)
        guardai.init(home=home, integrations=[], **more)

    return start


class TestRestart:
    def test_answer_that_comes_after_a_restart_is_reidentified(self, begin):
        begin()
        with guardai.session(id="conversation-7", user="ann"):
            assert ask(f"write to {MAIL}").payload == {"m": "write to <EMAIL_1>"}
        begin()
        with guardai.session(id="conversation-7", user="ann") as session:
            assert session.id == "conversation-7"
            assert ask("and now?").close({"content": "dear <EMAIL_1>"}) == {"content": f"dear {MAIL}"}

    def test_session_goes_on_by_the_id_that_it_was_given(self, begin):
        begin()
        with guardai.session(user="ann") as session:
            ask(f"write to {MAIL}")
        begin()
        with guardai.session(user="ann", id=session.id):
            assert ask("and now?").close({"content": "<EMAIL_1>"}) == {"content": MAIL}

    def test_new_value_after_a_restart_gets_a_new_number(self, begin):
        begin()
        with guardai.session(id="c", user="ann"):
            ask(f"write to {MAIL}")
        begin()
        with guardai.session(id="c", user="ann"):
            assert ask(f"bob@example.com, not {MAIL}").payload == {"m": "<EMAIL_2>, not <EMAIL_1>"}

    def test_another_user_who_knows_the_id_learns_nothing(self, begin):
        begin()
        with guardai.session(id="c", user="ann"):
            ask(f"write to {MAIL}")
        with guardai.session(id="c", user="bob"):
            assert ask("who is it?").close({"content": "<EMAIL_1>"}) == {"content": "<EMAIL_1>"}

    def test_what_may_not_be_revealed_is_not_revealed_after_a_restart_either(self, begin):
        begin()
        with guardai.session(id="c", user="ann"):
            ask(f"write to {MAIL}")
        begin()
        with guardai.session(id="c", user="ann", audience="person"):
            assert MAIL not in str(ask("who is it?").close({"content": "<EMAIL_1>"}))

    def test_in_memory_alone_nothing_is_kept(self, begin, home):
        begin(token_life="0")
        with guardai.session(id="c", user="ann"):
            ticket = ask(f"write to {MAIL}")
            assert ticket.close({"content": "<EMAIL_1>"}) == {"content": MAIL}
        assert not (home / "vault").exists()
        begin(token_life="0")
        with guardai.session(id="c", user="ann"):
            assert ask("who is it?").close({"content": "<EMAIL_1>"}) == {"content": "<EMAIL_1>"}

    @pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ann@example.com", "ambiguous", 7, "é"])
    def test_id_that_could_be_anything_is_refused(self, begin, given):
        begin()
        with pytest.raises(ValueError, match="an id is"):
            guardai.session(id=given)

    @pytest.mark.parametrize("given", ["1 day", "24", "-1h", "h", ""])
    def test_life_that_is_none_is_refused(self, begin, given):
        with pytest.raises(guardai.ConfigError, match="token_life"):
            begin(token_life=given)

    def test_values_leave_the_vault_when_nobody_used_the_session(self, begin, home, monkeypatch):
        import time

        begin(token_life="90s")
        with guardai.session(id="c", user="ann"):
            ask(f"write to {MAIL}")
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 120)
        begin(token_life="90s")
        with guardai.session(id="c", user="ann"):
            assert ask("who is it?").close({"content": "<EMAIL_1>"}) == {"content": "<EMAIL_1>"}


OTHER = """
import sys
import guardai
from guardai.hooks import Call, Target, opened
guardai.init(home=sys.argv[1], integrations=[])
with guardai.session(id="shared", user="ann"):
    call = Call("llm.generate", Target("model", "api.openai.com", "gpt-4o"), payload={"m": sys.argv[2]})
    ticket = opened(call)
    print(ticket.payload["m"])
    print(ticket.close({"content": sys.argv[3]})["content"])
"""


class TestProcesses:
    def other(self, home, text, answer):
        done = subprocess.run(
            [sys.executable, "-c", OTHER, str(home), text, answer], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def test_processes_of_a_session_agree_while_both_run(self, begin, home):
        begin()
        with guardai.session(id="shared", user="ann"):
            ask(f"write to {MAIL}")
            assert self.other(home, f"bob@example.com or {MAIL}", "to <EMAIL_1>") == [
                "<EMAIL_2> or <EMAIL_1>",
                f"to {MAIL}",
            ]
            assert ask("eve@example.com").payload == {"m": "<EMAIL_3>"}
            assert ask("who?").close({"content": "<EMAIL_2>"}) == {"content": "bob@example.com"}

    def test_lookalike_that_another_process_saw_is_not_issued(self, begin, home):
        begin()
        with guardai.session(id="shared", user="ann"):
            self.other(home, "I call myself <EMAIL_1>, mail me at bob@example.com", "")
            assert ask(f"write to {MAIL}").payload == {"m": "write to <EMAIL_3>"}

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    def test_forked_child_shares_the_session(self, begin):
        begin()
        with guardai.session(user="ann"):
            ask(f"write to {MAIL}")
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    os.write(writing, ask("bob@example.com").payload["m"].encode())
                finally:
                    os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert os.read(reading, 100) == b"<EMAIL_2>"
            assert ask("who?").close({"content": "<EMAIL_2>"}) == {"content": "bob@example.com"}


class TestFailure:
    def damage(self, home):
        current().vault.close()
        path = home / "vault" / "tokens.db"
        path.write_bytes(b"\xff" * path.stat().st_size)

    def test_new_value_that_cannot_be_kept_denies_the_call(self, begin, home, calls):
        begin()
        with guardai.session(id="c", user="ann"):
            ask(f"write to {MAIL}")
            self.damage(home)
            with pytest.raises(guardai.PolicyDenied, match="vault") as told:
                ask("write to bob@example.com")
        assert "example.com" not in str(told.value)
        assert calls()[-1][-1]["status"] == "denied"

    def test_value_that_is_known_in_memory_goes_on(self, begin, home):
        begin()
        with guardai.session(id="c", user="ann"):
            ask(f"write to {MAIL}")
            self.damage(home)
            assert ask(f"write to {MAIL}").close({"content": "dear <EMAIL_1>"}) == {"content": f"dear {MAIL}"}

    def test_answer_whose_tokens_cannot_be_looked_up_is_withheld(self, begin, home, calls):
        begin()
        with guardai.session(id="c", user="ann"):
            ask(f"write to {MAIL}")
        self.damage(home)
        begin()
        with guardai.session(id="c", user="ann"), pytest.raises(guardai.ResultWithheld, match="vault"):
            ask("hello there").close({"content": "dear <EMAIL_1>"})
        assert calls()[-1][-1]["status"] == "withheld"


class TestArguments:
    """Arguments of a tool call, which come as JSON in pieces."""

    KEY = '-----BEGIN "KEY"-----\nabc\\def\n'

    @pytest.fixture
    def session(self, begin, policy):
        begin(policy=policy("permit (principal, action, resource);"))
        with guardai.session(user="ann"):
            here = HERE.get()
            assert here.run.tokens.token("pii.email", MAIL) == "<EMAIL_1>"
            assert here.run.tokens.token("secret.private_key", self.KEY) == "<SECRET_1>"
            yield

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 200])
    def test_they_are_reidentified_wherever_they_are_cut_and_stay_json(self, session, size):
        text = '{"to": "<EMAIL_1>", "key": "<SECRET_1>", "n": "<b> < EMAIL_1 >", "other": "<EMAIL_9>"}'
        flow = ask("hello there").stream()
        out = "".join(flow.feed("arguments", text[at : at + size], quoted=True) for at in range(0, len(text), size))
        out += flow.end("arguments")
        flow.finish()
        assert json.loads(out) == {"to": MAIL, "key": self.KEY, "n": f"<b> {MAIL}", "other": "<EMAIL_9>"}

    @pytest.mark.parametrize("size", [1, 4, 200])
    def test_in_a_text_the_same_value_is_written_as_it_is(self, session, size):
        text = "the key is <SECRET_1>."
        flow = ask("hello there").stream()
        out = "".join(flow.feed("content", text[at : at + size]) for at in range(0, len(text), size))
        out += flow.end("content")
        flow.finish()
        assert out == f"the key is {self.KEY}."


class TestRows:
    """What becomes of the cells of labelled columns."""

    POLICY = (
        "permit (principal, action, resource);"
        '@id("hide") @mask("{}") forbid (principal, action == Action::"reveal", resource in Label::"pii");'
    )
    CATALOG = '[columns]\n"people.number" = ["pii.number"]\n"people.born" = ["pii.born"]\n"people.raw" = ["pii.raw"]\n'

    @pytest.fixture
    def row(self, begin, home, policy, tmp_path):
        import datetime as dt
        import sqlite3

        sqlite3.register_adapter(dt.date, dt.date.isoformat)
        sqlite3.register_converter("DAY", lambda raw: dt.date.fromisoformat(raw.decode()))

        def read(mask):
            guardai.shutdown()
            HERE.set(None)
            guardai.init(home=home, integrations=["dbapi"], policy=policy(self.POLICY.format(mask), self.CATALOG))
            with sqlite3.connect(tmp_path / "people.db", detect_types=sqlite3.PARSE_DECLTYPES) as connection:
                connection.execute("DROP TABLE IF EXISTS people")
                connection.execute("CREATE TABLE people (number INTEGER, born DAY, raw BLOB, note TEXT)")
                connection.execute(
                    "INSERT INTO people VALUES (?, ?, ?, ?)", (5551234567, dt.date(1976, 7, 4), b"\xff\xd8", "fine")
                )
            with guardai.session(agent="a"):
                return connection.execute("SELECT number, born, raw, note FROM people").fetchone()

        return read

    @pytest.mark.parametrize("mask", ["drop", "null"])
    def test_nothing_is_left(self, row, mask):
        assert row(mask) == (None, None, None, "fine")

    def test_dates_move_and_stay_dates(self, row):
        import datetime as dt

        number, born, raw, note = row("shift")
        assert (number, raw, note) == ("[NUMBER]", b"[RAW]", "fine")
        assert type(born) is dt.date
        assert 0 < abs((born - dt.date(1976, 7, 4)).days) <= 365

    def test_numbers_become_others_and_stay_numbers(self, row):
        number, born, raw, note = row("fpe")
        assert type(number) is int
        assert len(str(number)) == 10
        assert number != 5551234567
        assert (born, raw, note) == ("[BORN]", b"[RAW]", "fine")

    def test_number_that_looks_real_is_not_found_and_masked_once_more(self, begin, home, policy, tmp_path):
        import sqlite3

        from guardai.text.masks.fpe import preserved

        card = "4111 1111 1111 1111"
        begin()
        guardai.shutdown()
        catalog = '[columns]\n"people.card" = ["pii.card"]\n"people.note" = ["pii.note"]\n'
        guardai.init(home=home, integrations=["dbapi"], policy=policy(self.POLICY.format("fpe"), catalog))
        with sqlite3.connect(tmp_path / "people.db") as connection:
            connection.execute("CREATE TABLE people (id INTEGER, card TEXT, note TEXT, free TEXT)")
            connection.executemany(
                "INSERT INTO people VALUES (?, ?, 'x', ?)", [(1, card, f"card {card}"), (2, None, "fine")]
            )
        with guardai.session(agent="a"):
            rows = connection.execute("SELECT id, card, note, free FROM people ORDER BY id").fetchall()
        made = preserved("pii.card", card, current().gate.key)
        assert rows == [(1, made, "[NOTE]", f"card {made}"), (2, None, "[NOTE]", "fine")]

    def test_observing_keeps_nothing(self, begin, home):
        begin(mode="observe")
        with guardai.session(id="c", user="ann"):
            ask(f"write to {MAIL}")
        assert not (home / "vault").exists()

    def test_every_other_mask_writes_a_text(self, row):
        assert row("redact") == ("[NUMBER]", "[BORN]", b"[RAW]", "fine")
        assert row("token")[:2] == ("<NUMBER_1>", "<BORN_1>")
