"""Limits on the road: what is let through is counted, what is not gives its number back."""

import os
import sqlite3
import threading

import pytest

import guardai
from guardai.approvals import Verdict
from guardai.gate import Phase, current
from guardai.hooks import Call, Target, opened
from guardai.policy import Bundle, Counters

MAIL = "alice@example.com"
PERMIT = '@id("p") permit (principal, action, resource); '
MODEL = Target("model", "api.openai.com", "gpt-4o")


def limit(name, most, action="action", more="", note=""):
    return f'@id("limit") @reason("Enough") {note} forbid (principal, {action}, resource) when {{ context.{name} > {most} }} {more};'


@pytest.fixture
def limited(home, policy):
    def start(text, **settings):
        guardai.init(home=home, integrations=settings.pop("integrations", []), policy=policy(PERMIT + text), **settings)
        return current().gate

    return start


def tool(name="lookup"):
    ticket = opened(Call("tool.call", Target("tool", "", name), payload={}))
    ticket.close("x")
    return ticket


def passed(times, call=tool):
    count = 0
    for _ in range(times):
        try:
            call()
            count += 1
        except guardai.PolicyDenied:
            pass
    return count


def test_a_limit_of_calls_lets_that_many_through_and_its_denial_says_when_it_ends(limited, events):
    limited(limit("count.calls.minute", 3))
    assert passed(8) == 3
    denied = [one for one in events(kind="call.intent") if one["decision"]["effect"] == "deny"]
    assert len(denied) == 5
    assert denied[0]["decision"]["reason"].startswith(
        "Enough; count.calls.minute is 4, the limit 3; the minute ends in "
    )
    with pytest.raises(guardai.PolicyDenied, match="the minute ends in"):
        tool()


def test_32_threads_get_n_calls_through_the_gate_at_a_limit_of_n(limited, events):
    limited(limit("count.same_resource.day", 50))
    through, start = [], threading.Barrier(32)

    def work():
        start.wait()
        with guardai.session(user="u-1", agent="bot"):
            through.append(passed(5))

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(through) == 50
    allowed = [one for one in events(kind="call.intent") if one["decision"]["effect"] == "allow"]
    assert len(allowed) == 50


def test_a_session_has_numbers_of_its_own_and_a_user_has_them_in_all_sessions(limited):
    limited(limit("count.calls.session", 2))
    for _ in range(2):
        with guardai.session(user="u-1"):
            assert passed(4) == 2


def test_what_something_else_denies_takes_nothing_from_the_limit(limited):
    gate = limited(limit("count.calls.day", 3) + '@id("no") forbid (principal, action, resource == Tool::"bad");')
    with guardai.session(user="u"):
        assert passed(9, lambda: tool("bad")) == 0
        assert passed(9) == 3
    assert [entry.reserved for entry in gate.counters.rows["day"].values()] == [0]


def test_what_cannot_be_recorded_takes_nothing_from_the_limit(limited, monkeypatch):
    gate = limited(limit("count.calls.day", 3))
    emit = gate.emit

    def full(event, *, outcome=False):
        raise guardai.LedgerError("no space")

    monkeypatch.setattr(gate, "emit", full)
    for _ in range(5):
        with pytest.raises(guardai.LedgerError):
            tool()
    monkeypatch.setattr(gate, "emit", emit)
    assert passed(9) == 3


def test_a_failed_call_has_been_let_through_and_stays_counted(limited):
    limited(limit("count.calls.day", 2))
    for _ in range(2):
        opened(Call("tool.call", Target("tool", "", "x"), payload={})).fail(OSError("no"))
    assert passed(3) == 0


def test_what_cannot_be_done_as_policy_asks_has_been_let_through_and_stays_counted(limited):
    limited(limit("count.calls.day", 2))
    ticket = opened(Call("tool.call", Target("tool", "", "x"), payload={}))
    with pytest.raises(guardai.PolicyDenied, match="there is no room"):
        ticket.unkept("there is no room")
    assert passed(3) == 1


def test_observing_counts_what_happens_and_stops_nothing(limited, events):
    limited(limit("count.calls.day", 2), mode="observe")
    assert passed(5) == 5
    would = [one["decision"]["effect"] for one in events(kind="call.intent")]
    assert would == ["allow", "allow", "deny", "deny", "deny"]


def test_a_pause_holds_its_number_and_a_cancelled_one_gives_it_back(limited):
    text = '@id("ask") @approval("dba") forbid (principal, action, resource == Tool::"big") unless { context.approvals.contains("dba") };'
    gate = limited(limit("count.calls.day", 2) + text)
    paused = gate.open(Call("tool.call", Target("tool", "", "big"), payload={}))
    assert paused.phase is Phase.PAUSED
    assert passed(1) == 1
    assert passed(1) == 0
    paused.cancel()
    assert passed(1) == 1
    assert passed(1) == 0


def test_a_forked_child_does_not_hold_what_its_parent_s_paused_call_holds(limited):
    text = '@id("ask") @approval("dba") forbid (principal, action, resource == Tool::"big") unless { context.approvals.contains("dba") };'
    gate = limited(limit("count.calls.day", 2) + text)
    paused = gate.open(Call("tool.call", Target("tool", "", "big"), payload={}))
    child = os.fork()
    if not child:
        os._exit(passed(5))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert passed(5) == 1
    paused.cancel()


def test_what_is_handed_over_after_the_end_is_counted_and_held_by_nobody(limited):
    text = """@id("few") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii")
        when { context.count.same_resource.day > 1 };"""
    gate = limited(text)
    ticket = opened(Call("tool.call", Target("tool", "", "x"), payload={}))
    ticket.fail(OSError("no"))
    assert ticket.close("to ann@example.com") == "to ann@example.com"
    assert [entry.reserved for row in gate.counters.rows.values() for entry in row.values()] == [0]
    assert opened(Call("tool.call", Target("tool", "", "x"), payload={})).close("to bob@example.com") == "to [EMAIL]"


def test_an_approved_pause_goes_on_with_the_number_that_it_had(limited):
    text = '@id("ask") @approval("dba") forbid (principal, action, resource == Tool::"big") unless { context.approvals.contains("dba") };'
    gate = limited(limit("count.calls.day", 1) + text)
    paused = gate.open(Call("tool.call", Target("tool", "", "big"), payload={}))
    assert passed(3) == 0
    paused.resume(Verdict("somebody-else", "dba", agreed=True))
    paused.close("x")
    assert passed(3) == 0


def test_a_limit_that_waits_for_a_human_pauses(limited):
    gate = limited(
        limit("count.calls.day", 1, note='@approval("dba")', more='unless { context.approvals.contains("dba") }')
    )
    tool()
    ticket = gate.open(Call("tool.call", Target("tool", "", "lookup"), payload={}))
    assert ticket.phase is Phase.PAUSED


def test_a_swap_is_no_way_to_begin_anew(limited, tmp_path):
    limited(limit("count.calls.day", 2))
    assert passed(2) == 2
    folder = tmp_path / "second" / "policies"
    folder.mkdir(parents=True)
    (folder / "p.cedar").write_text(PERMIT + limit("count.calls.day", 3))
    current().swap(Bundle.load(folder.parent))
    assert passed(5) == 1


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (n)")
        connection.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(100)])
    connection.close()
    return path


def test_rows_are_counted_as_they_are_handed_out_and_stop_the_next_statement(limited, shop):
    gate = limited(limit("count.rows.session", 149, 'action in Action::"db"'), integrations=["dbapi"])
    with guardai.session(user="u-1"):
        connection = sqlite3.connect(shop)
        assert len(connection.execute("SELECT n FROM t").fetchall()) == 100
        assert len(connection.execute("SELECT n FROM t").fetchmany(49)) == 49
        assert len(connection.execute("SELECT n FROM t LIMIT 1").fetchall()) == 1
        with pytest.raises(guardai.PolicyDenied, match="count.rows.session is 150, the limit 149 for the session"):
            connection.execute("SELECT n FROM t")
    with guardai.session(user="u-1"):
        assert len(connection.execute("SELECT n FROM t").fetchall()) == 100
    connection.close()
    assert sum(entry.count for entry in gate.counters.rows["session"].values()) == 250


def generate(usage=None, answer="good morning"):
    ticket = opened(Call("llm.generate", MODEL, payload={"messages": [{"role": "user", "content": "hello"}]}))
    ticket.close({"content": answer}, usage=usage)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100},
        {"input_tokens": 60, "output_tokens": 40, "input_tokens_details.cached_tokens": 50},
    ],
)
def test_tokens_are_what_the_provider_counted(limited, usage):
    limited(limit("count.tokens.day", 299))
    assert passed(9, lambda: generate(usage)) == 3


def test_tokens_of_a_model_are_counted_for_everybody(limited):
    limited(limit("resource_count.tokens.day", 299))
    for user in ("a", "b", "c"):
        with guardai.session(user=user):
            generate({"total_tokens": 100})
    with guardai.session(user="d"), pytest.raises(guardai.PolicyDenied):
        generate()


def test_tokens_that_the_provider_did_not_count_are_estimated_not_forgotten(limited):
    limited(limit("count.tokens.day", 999))
    assert 2 <= passed(99, lambda: generate(None, "word " * 300)) <= 3


def test_a_streamed_answer_is_estimated_too(limited):
    limited(limit("count.tokens.day", 999))

    def streamed():
        ticket = opened(Call("llm.generate", MODEL, payload={"messages": []}))
        flow = ticket.stream()
        for _ in range(300):
            flow.feed("a", "word ")
        flow.end("a")
        flow.finish()

    assert 2 <= passed(99, streamed) <= 3


def test_a_label_is_masked_from_the_call_on_that_goes_beyond_its_limit(limited):
    limited(
        limit("count.same_resource.day", 2, 'action == Action::"reveal"', note='@mask("redact")').replace(
            "when { ", 'when { context.to.kind == "model" && '
        )
    )

    def sent(text):
        return opened(Call("llm.generate", MODEL, payload={"messages": [{"role": "user", "content": text}]})).payload[
            "messages"
        ][0]["content"]

    with guardai.session(user="u-1"):
        # Twice in one call is once, and what holds none of it is none.
        assert sent(f"{MAIL} and {MAIL}") == f"{MAIL} and {MAIL}"
        assert sent("good morning") == "good morning"
        assert sent(MAIL) == MAIL
        assert sent(MAIL) == "[EMAIL]"
        assert sent("+49 30 901820") != "[PHONE]"
    with guardai.session(user="u-2"):
        assert sent(MAIL) == MAIL


def test_calls_with_labelled_data_are_counted_whether_or_not_it_was_masked(limited):
    limited(
        '@id("no") @mask("redact") forbid (principal, action == Action::"reveal", resource == Label::"pii.phone");'
        + limit("count.same_action.day", 2, 'action == Action::"reveal"', note='@mask("redact")')
    )

    def sent(text):
        ticket = opened(Call("tool.call", Target("tool", "", "mail"), payload={"to": text}))
        ticket.close("x")
        return ticket.payload["to"]

    with guardai.session(user="u-1"):
        assert sent("+49 30 901820") == "[PHONE]"
        assert sent("good morning") == "good morning"
        assert sent(MAIL) == MAIL
        assert sent(MAIL) == "[EMAIL]"


@pytest.mark.parametrize("name", ["count.calls.minute", "count.rows.session", "count.tokens.day"])
def test_what_may_be_revealed_depends_on_the_call_s_own_counters_too(limited, name):
    gate = limited(limit(name, 2, 'action == Action::"reveal"', note='@mask("redact")'))
    with guardai.session(user="u-1"):
        seen = []
        for _ in range(4):
            ticket = opened(Call("tool.call", Target("tool", "", "mail"), payload={"to": MAIL}))
            seen.append(ticket.payload["to"])
            ticket.close("x")
            generate({"total_tokens": 2})
            ticket = opened(Call("tool.call", Target("tool", "", "rows"), payload={}))
            ticket.passing(2)
            ticket.close("x")
    assert seen[0] == MAIL
    assert seen[-1] == "[EMAIL]"
    assert gate.engine.bundle.counted.labels == (name,)


def test_what_was_denied_uses_no_tokens(limited):
    deny = '@id("mail") forbid (principal, action, resource) when { context.labels.contains("pii.email") }; '
    limited(deny + limit("count.tokens.day", 500))

    def sent(text):
        opened(Call("llm.generate", MODEL, payload={"text": text})).close("yes", usage={"total_tokens": 1})

    with pytest.raises(guardai.PolicyDenied):
        sent(f"{MAIL} " + "word " * 600)
    sent("good morning")


@pytest.mark.parametrize(
    "usage", [{"input_tokens": None, "output_tokens": 3}, {"total_tokens": "many"}, {"total_tokens": True}, {}]
)
def test_whatever_a_provider_says_of_tokens_the_call_ends(limited, usage, events):
    limited(limit("count.tokens.day", 9999))
    generate(usage)
    assert [one["status"] for one in events(kind="call.outcome")] == ["ok"]


def test_a_call_that_is_interrupted_while_it_is_judged_gives_its_number_back(limited, monkeypatch):
    gate = limited(limit("count.calls.session", 2))
    with guardai.session(user="u-1"):
        with monkeypatch.context() as patch:

            def interrupted(*_):
                raise KeyboardInterrupt

            patch.setattr(gate.engine.__class__, "act", interrupted)
            for _ in range(5):
                with pytest.raises(KeyboardInterrupt):
                    tool()
        assert passed(5) == 2


def test_an_approval_that_cannot_be_recorded_gives_its_number_back_and_ends_the_call(limited, monkeypatch):
    text = '@id("ask") @approval("dba") forbid (principal, action, resource == Tool::"big") unless { context.approvals.contains("dba") };'
    gate = limited(limit("count.calls.day", 1) + text)
    paused = gate.open(Call("tool.call", Target("tool", "", "big"), payload={}))
    with monkeypatch.context() as patch:

        def full(*_, **__):
            raise guardai.LedgerError("no room")

        patch.setattr(gate, "emit", full)
        with pytest.raises(guardai.LedgerError):
            paused.resume(Verdict("somebody-else", "dba", agreed=True))
    assert paused.phase is Phase.ENDED
    assert passed(3) == 1


def test_what_was_agreed_is_masked_by_what_the_session_has_seen_meanwhile(limited):
    gate = limited(
        '@id("ask") @approval("dba") forbid (principal, action, resource == Tool::"big") unless { context.approvals.contains("dba") };'
        '@id("mixed") @mask("redact") forbid (principal, action == Action::"reveal", resource == Label::"pii.email")'
        'when { context.session.labels.contains("pii.iban") };'
    )
    with guardai.session(user="u-1"):
        paused = gate.open(Call("tool.call", Target("tool", "", "big"), payload={"to": MAIL}))
        opened(Call("tool.call", Target("tool", "", "other"), payload={"iban": "DE89370400440532013000"})).close("x")
        paused.resume(Verdict("somebody-else", "dba", agreed=True))
        assert paused.payload == {"to": "[EMAIL]"}
        assert paused.close(f"sent to {MAIL}") == "sent to [EMAIL]"


def test_names_that_were_denied_take_nobody_s_room():
    counters = Counters(most=50)
    for number in range(500):
        taken = counters.take([("resource_count.calls.day", "Tool", f"made-up-{number}")])
        counters.give_back((key, entry) for key, entry, _ in taken)
    assert counters.size() == 0


def test_a_bundle_without_limits_counts_nothing(limited):
    gate = limited("")
    passed(5)
    assert gate.counters.size() == 0


def test_what_is_only_foreseen_is_not_counted(limited, shop):
    gate = limited(limit("count.same_action.day", 5), integrations=["dbapi"])
    with guardai.session(user="u-1"):
        connection = sqlite3.connect(shop)
        connection.execute("SELECT n FROM t").fetchall()
        connection.close()
    assert [entry.count for entry in gate.counters.rows["day"].values()] == [1]


def test_a_call_that_cannot_be_counted_does_not_happen(limited, monkeypatch, events):
    gate = limited(limit("count.same_resource.day", 9))
    gate.counters._most = 3
    assert [passed(1, lambda name=name: tool(name)) for name in "abcd"] == [1, 1, 1, 0]
    [denied] = [one for one in events(kind="call.intent") if one["decision"]["effect"] == "deny"]
    assert "no room" in denied["decision"]["reason"]
    assert events(kind="call.outcome")[-1]["status"] == "denied"


def test_what_cannot_be_looked_into_is_counted_by_its_label_where_there_is_some(limited):
    limited(limit("count.same_resource.day", 2, 'action == Action::"reveal"'))

    def sent(value):
        opened(Call("tool.call", Target("tool", "", "keep"), payload={"file": value})).close("x")

    with guardai.session(user="u-1"):
        assert passed(3, lambda: sent("words")) == 3
        assert passed(5, lambda: sent(object())) == 2
