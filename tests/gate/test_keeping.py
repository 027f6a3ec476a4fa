"""What calls carry is kept where policy asks for it, as far as policy lets it, and nowhere else."""

import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

import guardai
from guardai.approvals import Verdict
from guardai.gate import HERE, current
from guardai.gate.reports.session import replayed
from guardai.hooks import Call, LiveSchema, Target, acting, opened
from guardai.ledger import verify
from guardai.lineage import EdgeTable

MAIL = "alice@example.com"
TOOL = Target("tool", "", "lookup")
MODEL = Target("model", "api.openai.com", "gpt-4o")
KEPT = '@id("kept") @capture("content") permit (principal, action, resource);'
HIDDEN = (
    '@id("hide") @mask("{}") forbid (principal, action == Action::"reveal", resource in Label::"pii") '
    'when {{ context.to.kind == "vault" }};'
)


@pytest.fixture
def begin(home, policy):
    def start(cedar=KEPT, catalog="", integrations=(), **more):
        guardai.shutdown()
        HERE.set(None)
        guardai.init(home=home, policy=policy(cedar, catalog), integrations=integrations, **more)

    return start


@pytest.fixture
def kept(home):
    """(side, value or state) of each content of the session `s`, in their order."""

    def read():
        guardai.shutdown()
        found = replayed(home, "s")
        assert found.report.verdict == 0
        return [
            (one.side, one.value if one.state == "kept" else one.state) for step in found.steps for one in step.contents
        ]

    return read


def session(**more):
    return guardai.session(user="ann", agent="bot", id="s", **more)


def tool(payload, result):
    ticket = opened(Call("tool.call", TOOL, payload=payload))
    return ticket.close(result)


def no_vault(home):
    """The vault cannot be written any more."""
    current().contents.release()
    path = home / "vault" / "contents.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff" * 8192)


class TestAsItHappened:
    def test_tool_with_its_arguments_and_its_result(self, begin, kept):
        begin()
        with session():
            tool({"to": MAIL, "n": 1, "deep": [{"x": None}, True, 1.5]}, {"ok": [MAIL]})
        assert kept() == [("in", {"to": MAIL, "n": 1, "deep": [{"x": None}, True, 1.5]}), ("out", {"ok": [MAIL]})]

    def test_statement_with_parameters_and_rows(self, begin, kept, tmp_path):
        begin(integrations=["dbapi"])
        with session():
            connection = sqlite3.connect(tmp_path / "shop.db")
            connection.execute("CREATE TABLE t (id INTEGER, mail TEXT, raw BLOB)")
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(1, MAIL, b"\xff"), (2, None, b"text")])
            found = connection.execute("SELECT * FROM t WHERE id < ? ORDER BY id", (9,))
            assert found.fetchone() == (1, MAIL, b"\xff")
            assert found.fetchall() == [(2, None, b"text")]
            connection.close()
        assert kept() == [
            ("in", "CREATE TABLE t (id INTEGER, mail TEXT, raw BLOB)"),
            ("in", "INSERT INTO t VALUES (?, ?, ?)"),
            ("parameters", [[1, MAIL, "/w=="], [2, None, "text"]]),
            ("in", "SELECT * FROM t WHERE id < ? ORDER BY id"),
            ("parameters", [9]),
            ("rows", [{"columns": ["id", "mail", "raw"]}, [1, MAIL, "/w=="], [2, None, "text"]]),
        ]

    def test_sets_of_parameters_that_are_made_while_the_statement_runs(self, begin, kept):
        begin(integrations=["dbapi"])
        with session():
            connection = sqlite3.connect(":memory:")
            connection.execute("CREATE TABLE t (mail TEXT)")
            connection.executemany("INSERT INTO t VALUES (?)", ((f"u{n}@example.com",) for n in range(3)))
            connection.close()
        assert kept()[1:] == [("in", "INSERT INTO t VALUES (?)"), ("more", [[f"u{n}@example.com"] for n in range(3)])]

    def test_columns_of_a_result_that_comes_column_by_column(self, begin, kept):
        begin()
        sql, columns = "SELECT id, mail FROM t", [[1, 2], [MAIL, None]]
        with session():
            run = acting(sql, "duckdb")
            call = Call(
                "db", Target("database", "duckdb:///:memory:"), statement=sql, dialect="duckdb", schema=LiveSchema()
            )
            rows = opened(call, run).result_rows(["id", "mail"])
            rows.label()
            rows.columns(2, [1], columns.__getitem__)
            rows.columns(2, [1], columns.__getitem__)
            rows.end()
        assert kept()[1] == ("rows", [{"columns": ["id", "mail"]}, *[[1, MAIL], [2, None]] * 2])

    @pytest.mark.parametrize("end", ["finish", "abandon", "session", "fail"])
    def test_stream_as_far_as_it_left_however_it_ends(self, begin, kept, end):
        begin()
        with session():
            flow = opened(Call("llm.generate", MODEL, payload={"m": "hi"})).stream()
            left = flow.feed("0/content", "To reach her: ") + flow.feed("0/content", "write to alice@exa")
            if end == "finish":
                left += flow.feed("0/content", "mple.com.") + flow.end("0/content")
                assert flow.snapshot("lookup", at="0/tool/name") == "lookup"
                flow.finish()
            elif end == "fail":
                flow.fail(OSError())
            elif end == "abandon":
                flow.abandon()
        told = {"0/content": left} | ({"0/tool/name": "lookup"} if end == "finish" else {})
        assert kept() == [("in", {"m": "hi"}), ("out", told)]
        assert (MAIL in left) is (end == "finish")

    def test_calls_stand_within_the_calls_that_made_them(self, begin, home):
        begin(integrations=["dbapi"])

        @guardai.tool
        def count():
            return sqlite3.connect(":memory:").execute("SELECT 1").fetchall()

        with session():
            count()
        guardai.shutdown()
        steps = replayed(home, "s").steps
        assert [(step.action, step.depth) for step in steps if step.action] == [
            ("tool.call", 0), ("db.read", 1), ("db.read", 1), ("tool.call", 0),
        ]  # fmt: skip

    def test_forked_child_keeps_what_it_does(self, begin, kept):
        if not hasattr(os, "fork"):
            pytest.skip("this platform has no fork")
        begin()
        with session():
            tool({"n": 1}, None)
            child = os.fork()
            if child == 0:
                try:
                    tool({"n": 2}, None)
                    guardai.shutdown()
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            tool({"n": 3}, None)
        assert sorted(value["n"] for _, value in kept()) == [1, 2, 3]


class TestPolicy:
    def test_nothing_is_kept_where_no_policy_asks_for_it(self, begin, home, calls):
        begin("permit (principal, action, resource);")
        with session():
            tool({"to": MAIL}, MAIL)
        assert calls()[0][0]["content"].keys() == {"in"}
        assert calls()[0][0]["content"]["in"].keys() == {"bytes", "commit"}
        guardai.shutdown()
        assert not (home / "vault" / "contents.db").exists()

    def test_only_the_actions_that_policy_names_are_kept(self, begin, kept):
        begin(
            '@id("all") permit (principal, action, resource);'
            '@id("models") @capture("content") permit (principal, action in Action::"llm", resource);'
        )
        with session():
            tool({"n": 1}, {"n": 2})
            opened(Call("llm.generate", MODEL, payload={"m": "hi"})).close({"content": "ho"})
        assert kept() == [
            ("in", "not captured"), ("out", "not captured"), ("in", {"m": "hi"}), ("out", {"content": "ho"}),
        ]  # fmt: skip

    def test_what_bears_a_label_can_be_left_out(self, begin, kept):
        begin(
            '@id("all") permit (principal, action, resource);'
            '@id("clean") @capture("content") permit (principal, action, resource) '
            'unless { context has labels && context.labels.contains("pii.email") };'
        )
        with session():
            tool({"to": MAIL}, None)
            tool({"to": "nobody"}, None)
        assert kept() == [("in", "not captured"), ("in", {"to": "nobody"})]

    def test_what_may_not_be_revealed_to_the_vault_is_masked_there_and_nowhere_else(self, begin, kept, home):
        begin(KEPT + HIDDEN.format("partial"), integrations=["dbapi"])
        with session():
            assert tool({"to": MAIL}, [MAIL]) == [MAIL]
            connection = sqlite3.connect(":memory:")
            row = connection.execute(f"SELECT '{MAIL}' AS mail, 7").fetchone()
            assert row == (MAIL, 7)
            connection.close()
            flow = opened(Call("llm.generate", MODEL, payload={"m": MAIL})).stream()
            assert flow.feed("c", f"to {MAIL}, ") + flow.end("c") == f"to {MAIL}, "
            flow.finish()
        part = "a***@e***.com"
        assert kept() == [
            ("in", {"to": part}), ("out", [part]),
            ("in", f"SELECT '{part}' AS mail, 7"), ("rows", [{"columns": ["mail", "7"]}, [part, 7]]),
            ("in", {"m": part}), ("out", {"c": f"to {part}, "}),
        ]  # fmt: skip

    def test_column_is_masked_by_its_label_in_the_vault_too(self, begin, kept):
        begin(KEPT + HIDDEN.format("redact"), '[columns]\n"t.born" = ["pii.born"]\n', integrations=["dbapi"])
        with session():
            connection = sqlite3.connect(":memory:")
            connection.execute("CREATE TABLE t (id INTEGER, born INTEGER)")
            connection.execute("INSERT INTO t VALUES (1, 1976)")
            for _ in range(2):  # the second time what is known of the columns is remembered
                assert connection.execute("SELECT id, born FROM t").fetchall() == [(1, 1976)]
            connection.close()
        assert [value[1:] for side, value in kept() if side == "rows"] == [[[1, "[BORN]"]]] * 2

    def test_under_the_starter_policy_and_a_permit_of_its_own_only_tokens_are_kept(self, home, tmp_path, kept):
        from importlib.resources import files

        folder = tmp_path / "own" / "policies"
        folder.mkdir(parents=True)
        for one in (files("guardai.policy") / "starter" / "policies").iterdir():
            (folder / one.name).write_text(one.read_text())
        (folder / "own.cedar").write_text(KEPT.replace("action,", 'action in [Action::"llm", Action::"tool.call"],'))
        (folder.parent / "catalog.toml").write_text((files("guardai.policy") / "starter" / "catalog.toml").read_text())
        guardai.init(home=home, policy=folder.parent, integrations=[])
        with session():
            ticket = opened(Call("llm.generate", MODEL, payload={"m": f"write to {MAIL}"}))
            assert ticket.close({"content": "dear <EMAIL_1>"}) == {"content": f"dear {MAIL}"}
        assert kept() == [("in", {"m": "write to <EMAIL_1>"}), ("out", {"content": "dear <EMAIL_1>"})]

    def test_what_limits_count_of_the_vault_is_settled_with_the_call(self, begin, kept):
        begin(
            KEPT
            + '@id("two") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii") '
            'when { context.to.kind == "vault" && context.count.same_resource.session > 2 };'
        )
        with session():
            for _ in range(4):
                flow = opened(Call("llm.generate", MODEL, payload={"m": "hi"})).stream()
                flow.feed("c", f"to {MAIL}.") + flow.end("c")
                flow.finish()
            entries = [entry for row in current().gate.counters.rows.values() for entry in row.values()]
            assert entries
            assert [entry.reserved for entry in entries] == [0] * len(entries)
        assert [value["c"] for side, value in kept() if side == "out"] == [f"to {MAIL}."] * 2 + ["to [EMAIL]."] * 2

    def test_what_json_has_no_form_for_is_kept_as_text_or_number(self, begin, kept):
        import datetime as dt
        import decimal
        import enum
        import fractions
        import uuid

        class Named(str):
            pass

        class Level(enum.IntEnum):
            HIGH = 7

        given = {
            "date": dt.date(2024, 1, 2), "time": dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.UTC), "span": dt.timedelta(hours=30),
            "price": decimal.Decimal("1.50"), "id": uuid.UUID(int=7), "named": Named("x"), "level": Level.HIGH,
            "third": fractions.Fraction(1, 4), "large": 2**70, "set": frozenset(["a"]), "nothing": None,
        }  # fmt: skip
        begin()
        with session():
            tool(given, None)
        assert kept() == [(
            "in",
            {
                "date": "2024-01-02", "time": "2024-01-02T03:04:00+00:00", "span": "1 day, 6:00:00", "price": "1.50",
                "id": "00000000-0000-0000-0000-000000000007", "named": "x", "level": 7, "third": 0.25, "large": 2**70,
                "set": ["a"], "nothing": None,
            },
        )]  # fmt: skip

    def test_objects_are_kept_by_the_names_of_their_types(self, begin, kept):
        @dataclasses.dataclass
        class Customer:
            mail: str

        begin()
        with session():
            tool({"who": Customer(MAIL), "raw": b"text", 5: {"x"}}, None)
        assert kept() == [("in", {"who": "<Customer>", "raw": "text", "5": ["x"]})]

    def test_bytes_that_nobody_can_look_into_are_kept_only_if_policy_reveals_them(self, begin, kept):
        begin(
            KEPT
            + '@id("raw") forbid (principal, action == Action::"reveal", resource == Label::"opaque.raw") '
            + 'when { context.to.kind == "vault" };'
        )
        with session():
            tool({"raw": b"\xff\xfe"}, None)
        assert kept() == [("in", {"raw": "<bytes: 2 bytes>"})]

    def test_paused_call_is_kept_when_it_is_approved(self, begin, kept, home):
        begin(
            KEPT + '@id("ask") @approval("dba") forbid (principal, action == Action::"tool.call", resource) '
            'unless { context.approvals.contains("dba") };'
        )
        with session():
            ticket = current().gate.open(Call("tool.call", TOOL, payload={"n": 1}))
            assert not (home / "vault").exists()
            ticket.resume(Verdict("eve", "dba", agreed=True))
            ticket.close({"n": 2})
        assert kept() == [("in", "not captured"), ("in", {"n": 1}), ("out", {"n": 2})]

    def test_observing_keeps_nothing(self, begin, home):
        begin(mode="observe")
        with session():
            tool({"to": MAIL}, MAIL)
        guardai.shutdown()
        assert not (home / "vault").exists()

    def test_what_is_denied_is_not_kept(self, begin, home):
        begin(KEPT + '@id("no") forbid (principal, action == Action::"tool.call", resource);')
        with session(), pytest.raises(guardai.PolicyDenied):
            tool({"to": MAIL}, MAIL)
        assert not (home / "vault").exists()


class TestFailure:
    def test_request_is_kept_before_it_leaves(self, begin, home):
        begin()
        seen = []

        @guardai.tool(name="t")
        def look(n):
            seen.extend(content for step in replayed(home, "s").steps for content in step.contents)

        with session():
            look(7)
        assert [(one.side, one.value) for one in seen] == [("in", {"n": 7})]

    def test_request_that_cannot_be_kept_does_not_leave(self, begin, home, calls):
        begin()
        ran = []

        @guardai.tool(name="t")
        def send(to):
            ran.append(to)

        with session():
            no_vault(home)
            with pytest.raises(guardai.PolicyDenied, match="kept for replay; the replay vault .* is damaged") as told:
                send(MAIL)
        assert ran == []
        assert MAIL not in str(told.value)
        assert calls()[-1][0]["decision"]["effect"] == "deny"
        assert calls()[-1][1]["status"] == "denied"

    def test_interrupt_while_it_is_kept_leaves_a_call_that_did_not_happen(self, begin, kept, monkeypatch):
        begin()

        def interrupted(*_):
            raise KeyboardInterrupt

        with session():
            with monkeypatch.context() as patch:
                patch.setattr("guardai.ledger.contents.ReplayVault._begun", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    tool({"n": 1}, None)
            tool({"n": 2}, None)
        assert kept() == [("in", {"n": 2})]

    def test_where_events_are_on_the_disk_before_the_effect_contents_are_too(self, begin):
        begin(ledger_mode="strict")
        with session():
            tool({"n": 1}, None)
            assert current().contents._file.read(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (2,)

    def test_without_a_vault_nothing_that_has_to_be_kept_happens(self, begin):
        begin(content_life="0")
        with session(), pytest.raises(guardai.PolicyDenied, match="content_life is 0"):
            tool({}, None) and tool({"n": 1}, None)

    def test_what_may_be_any_of_several_peoples_cannot_be_kept(self, begin, tmp_path):
        begin(integrations=["dbapi"])
        connection = sqlite3.connect(tmp_path / "shop.db")
        connection.execute("CREATE TABLE orders_2026 (customer, turnover)")
        statement = "SELECT customer, turnover FROM orders_2026"
        for user in ("ann", "bob"):
            with guardai.session(user=user):
                opened(Call("llm.generate", MODEL, payload={"m": "hi"})).close({"content": statement})
        with pytest.raises(guardai.PolicyDenied, match="not known whose it is"):
            connection.execute(statement)
        connection.close()

    def test_what_may_be_of_several_sessions_of_one_person_is_theirs(self, begin, home, tmp_path):
        begin(integrations=["dbapi"])
        connection = sqlite3.connect(tmp_path / "shop.db")
        connection.execute("CREATE TABLE orders_2026 (customer, turnover)")
        statement = "SELECT customer, turnover FROM orders_2026"
        for _ in range(2):
            with guardai.session(user="ann"):
                opened(Call("llm.generate", MODEL, payload={"m": "hi"})).close({"content": statement})
        assert connection.execute(statement).fetchall() == []
        connection.close()
        guardai.shutdown()
        [intent, *_] = replayed(home, "ambiguous").steps
        assert (intent.user, [one.value for one in intent.contents]) == ("ann", [statement])

    def test_result_that_cannot_be_kept_is_handed_over_and_the_record_says_so(self, begin, home, calls, caplog):
        begin()
        with session():
            ticket = opened(Call("tool.call", TOOL, payload={"n": 1}))
            no_vault(home)
            assert ticket.close({"to": MAIL}) == {"to": MAIL}
        outcome = calls()[-1][1]
        assert outcome["status"] == "ok"
        assert outcome["body"]["unkept"] == ["out"]
        assert "could not be kept for replay" in caplog.text
        assert MAIL not in caplog.text

    def test_rows_that_cannot_be_kept_are_handed_over(self, begin, home, calls):
        begin(integrations=["dbapi"])
        with session():
            connection = sqlite3.connect(":memory:")
            found = connection.execute("SELECT value FROM json_each('[1, 2, 3]')")
            assert found.fetchone() == (1,)
            no_vault(home)
            assert found.fetchall() == [(2,), (3,)]
            connection.close()
        assert calls()[-1][1]["body"]["unkept"] == ["rows"]
        assert "content" not in calls()[-1][1] or "rows" not in calls()[-1][1]["content"]

    def test_columns_that_cannot_be_read_are_no_reason_to_hand_out_nothing(self, begin, calls):
        begin()
        sql = "SELECT id, odd FROM t"

        def cells(at):
            return [1] if at == 0 else 1 / 0

        with session():
            run = acting(sql, "duckdb")
            call = Call(
                "db", Target("database", "duckdb:///:memory:"), statement=sql, dialect="duckdb", schema=LiveSchema()
            )
            rows = opened(call, run).result_rows(["id", "odd"])
            rows.label()
            assert rows.columns(1, [], cells) == {}
            rows.end()
        assert calls()[-1][1]["body"] == {"rows": 1, "unkept": ["rows"]}

    def test_parameters_that_cannot_be_kept_do_not_reach_the_database(self, begin, home, monkeypatch):
        begin(integrations=["dbapi"])
        monkeypatch.setattr("guardai.ledger.contents._PART", 100)
        with session():
            connection = sqlite3.connect(":memory:", isolation_level=None)
            connection.execute("CREATE TABLE t (n TEXT)")

            def many():
                yield ("x" * 200,)
                no_vault(home)
                yield ("y" * 200,)

            with pytest.raises(guardai.GuardError, match="replay vault"):
                connection.executemany("INSERT INTO t VALUES (?)", many())
        guardai.shutdown()
        assert connection.execute("SELECT count(*) FROM t WHERE n LIKE 'y%'").fetchone() == (0,)
        connection.close()

    def test_intent_that_cannot_be_written_leaves_a_content_that_nobody_tells_of(self, begin, home, monkeypatch):
        begin()
        with session():
            monkeypatch.setattr(current().gate, "emit", _refusing)
            with pytest.raises(guardai.LedgerError):
                tool({"n": 1}, None)
        monkeypatch.undo()
        guardai.shutdown()
        found = replayed(home, "s")
        assert found.faults == []
        assert [step.kind for step in found.steps] == ["session.open", "session.close"]

    def test_programs_cannot_say_that_something_was_erased(self, begin):
        begin()
        with session(), pytest.raises(ValueError, match="written by guardai itself"):
            guardai.record("vault.erased", subject="x")


def _refusing(event, **_):
    raise guardai.LedgerError("no")


AGENT = """
import sqlite3, sys
import guardai
guardai.init(home=sys.argv[1], policy=sys.argv[2], integrations=["dbapi"])
connection = sqlite3.connect(":memory:")
@guardai.tool
def look(n):
    return connection.execute("SELECT ?", (n,)).fetchall()
with guardai.session(user="ann", agent="bot", id="s"):
    n = 0
    while True:
        look(f"{n} " * 100)
        n += 1
        print(n, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no SIGKILL")
def test_kill_9_leaves_no_event_whose_content_is_missing(home, policy):
    folder = policy(KEPT)
    for round_ in range(3):
        both = [
            subprocess.Popen([sys.executable, "-c", AGENT, str(home), str(folder)], stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for one in both:
            for _ in range(3 + 4 * round_):
                one.stdout.readline()
        for one in both:
            one.send_signal(signal.SIGKILL)
            one.wait(timeout=60)
            one.stdout.close()
    assert verify(home, projection=EdgeTable()).verdict == 0
    found = replayed(home, "s")
    assert found.faults == []
    states = [content.state for step in found.steps for content in step.contents]
    assert len(states) > 100
    assert set(states) == {"kept"}
    for path in (path for path in home.rglob("*") if path.is_file()):
        assert b"0 0 0 0 0" not in path.read_bytes()
    assert json.dumps([step.contents[0].value for step in found.steps if step.contents][:1])
