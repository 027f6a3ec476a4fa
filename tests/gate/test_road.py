"""The road, through its narrowest door: `hooks.opened` and the tickets it gives."""

import logging
import os
import signal
import threading

import pytest

import guardai
from guardai.approvals import Verdict
from guardai.gate import HERE, Phase, current
from guardai.hooks import Call, Target, opened

TOOL = Target("tool", "", "lookup")
MODEL = Target("model", "api.openai.com", "gpt-4o")
MAIL = "alice@example.com"
PERMIT = "permit (principal, action, resource);"


def key():
    return "AKIA" + "IOSFODNN7" + "QWERTYU"


@pytest.fixture
def started(home):
    guardai.init(home=home, integrations=[])


class TestOpen:
    def test_permitted_call_is_open_and_its_intent_is_recorded(self, started, events):
        ticket = opened(Call("tool.call", TOOL, payload={"q": "x"}))
        assert ticket.phase is Phase.OPEN
        [intent] = events(kind="call.intent")
        assert intent["id"] == ticket.intent
        assert intent["decision"]["effect"] == "allow"
        assert intent["decision"]["bundle"]

    def test_what_leaves_for_a_model_is_masked_and_the_callers_own_data_is_not(self, started):
        payload = {"messages": [{"role": "user", "content": f"write to {MAIL}"}]}
        ticket = opened(Call("llm.generate", MODEL, payload=payload))
        assert ticket.payload["messages"][0]["content"] == "write to <EMAIL_1>"
        assert payload["messages"][0]["content"] == f"write to {MAIL}"

    def test_payload_without_anything_sensitive_is_the_same_object(self, started):
        payload = {"messages": [{"role": "user", "content": "good morning to you"}]}
        assert opened(Call("llm.generate", MODEL, payload=payload)).payload is payload

    def test_event_tells_label_and_mask_and_never_the_value(self, started, home, events):
        opened(Call("llm.generate", MODEL, payload={"messages": [{"role": "user", "content": f"{MAIL} and {key()}"}]}))
        [intent] = events(kind="call.intent")
        assert intent["findings"]["pii.email"] == 1
        assert intent["decision"]["masks"]["pii.email"] == "token"
        for path in home.rglob("*"):
            if path.is_file():
                assert MAIL.encode() not in path.read_bytes(), path
                assert key().encode() not in path.read_bytes(), path

    def test_call_that_no_policy_permits_is_denied(self, home, policy):
        guardai.init(
            home=home, integrations=[], policy=policy('permit (principal, action == Action::"llm.generate", resource);')
        )
        with pytest.raises(guardai.PolicyDenied):
            opened(Call("tool.call", TOOL, payload={}))

    def test_failure_of_ours_denies_with_the_cause_chained(self, started, calls):
        nested = []
        for _ in range(100_000):
            nested = [nested]
        with pytest.raises(guardai.PolicyDenied) as told:
            opened(Call("llm.generate", MODEL, payload={"messages": nested}))
        assert told.value.__cause__ is not None
        [(intent, outcome)] = calls()
        assert (intent["decision"]["effect"], outcome["status"]) == ("deny", "denied")

    def test_call_whose_intent_cannot_be_recorded_does_not_happen(self, started, monkeypatch):
        gate = current().gate

        def full(event, *, outcome=False):
            raise guardai.LedgerError("no space")

        monkeypatch.setattr(type(gate), "emit", property(lambda _: full), raising=False)
        with pytest.raises(guardai.LedgerError):
            opened(Call("tool.call", TOOL, payload={}))

    @pytest.mark.parametrize(
        "text", ["\x00\x01\x02", "a\udcffb", "\ufeff" + MAIL, "é" * 100 + MAIL, "x" * 10_000_000 + " " + MAIL]
    )
    def test_hostile_text_is_masked_or_refused_and_never_passes_unmasked(self, started, text):
        ticket = opened(Call("llm.generate", MODEL, payload={"messages": [{"role": "user", "content": text}]}))
        assert MAIL not in ticket.payload["messages"][0]["content"]

    def test_unlisted_model_endpoint_sees_every_reveal_masked(self, started):
        call = Call(
            "llm.generate",
            Target("model", "models.example.net", "m"),
            payload={"messages": [{"role": "user", "content": MAIL}]},
        )
        assert MAIL not in str(opened(call).payload)

    def test_what_cannot_be_masked_is_refused_where_it_may_not_be_revealed(self, started):
        with pytest.raises(guardai.PolicyDenied, match="cannot be masked"):
            opened(
                Call("llm.generate", Target("model", "models.example.net", "m"), payload={}, opaque=("opaque.image",))
            )


class TestEnd:
    def test_answer_is_reidentified_for_the_process(self, started):
        ticket = opened(Call("llm.generate", MODEL, payload={"messages": [{"role": "user", "content": MAIL}]}))
        assert ticket.close({"content": "dear <EMAIL_1>"}) == {"content": f"dear {MAIL}"}

    def test_tool_arguments_in_an_answer_are_reidentified_inside_their_json(self, started):
        ticket = opened(Call("llm.generate", MODEL, payload={"messages": [{"role": "user", "content": MAIL}]}))
        result = ticket.close({"arguments": '{"to": "<EMAIL_1>"}'})
        assert result == {"arguments": f'{{"to": "{MAIL}"}}'} or MAIL in result["arguments"]

    def test_token_of_one_session_means_nothing_in_another(self, started):
        with guardai.session(agent="a"):
            opened(Call("llm.generate", MODEL, payload={"m": f"write to {MAIL}"}))
        with guardai.session(agent="b"):
            ticket = opened(Call("llm.generate", MODEL, payload={"m": "hello there"}))
            assert ticket.close({"content": "dear <EMAIL_1>"}) == {"content": "dear <EMAIL_1>"}

    def test_answer_to_a_person_never_shows_the_value(self, started):
        with guardai.session(agent="a", audience="person"):
            ticket = opened(Call("llm.generate", MODEL, payload={"m": f"write to {MAIL}"}))
            assert MAIL not in str(ticket.close({"content": f"dear <EMAIL_1>, or {MAIL}"}))

    def test_result_that_cannot_be_inspected_is_withheld_and_recorded(self, started, calls):
        nested = []
        for _ in range(100_000):
            nested = [nested]
        ticket = opened(Call("tool.call", TOOL, payload={}))
        with pytest.raises(guardai.ResultWithheld):
            ticket.close(nested)
        [(_, outcome)] = calls()
        assert outcome["status"] == "withheld"

    @pytest.mark.parametrize(
        ("exc", "status"),
        [(ValueError("x"), "error"), (KeyboardInterrupt(), "unknown"), (GeneratorExit(), "unknown")],
    )
    def test_exception_is_recorded_by_its_type_alone(self, started, calls, exc, status):
        ticket = opened(Call("tool.call", TOOL, payload={}))
        ticket.fail(exc)
        [(_, outcome)] = calls()
        assert (outcome["status"], outcome["body"]["error"]) == (status, type(exc).__name__)

    def test_only_the_first_end_counts(self, started, calls):
        ticket = opened(Call("tool.call", TOOL, payload={}))
        ticket.close({"a": 1})
        ticket.fail(ValueError())
        ticket.abandon()
        ticket.close({"a": 2})
        [(_, outcome)] = calls()
        assert outcome["status"] == "ok"

    def test_result_that_comes_after_the_end_is_masked_all_the_same(self, started):
        with guardai.session(agent="a", audience="person"):
            ticket = opened(Call("llm.generate", MODEL, payload={"m": "hi there"}))
            ticket.abandon()
            assert MAIL not in str(ticket.close({"content": f"dear {MAIL}"}))

    def test_outcome_that_cannot_be_recorded_never_replaces_the_result(self, started, monkeypatch, caplog):
        ticket = opened(Call("tool.call", TOOL, payload={}))
        gate = current().gate

        def full(event, *, outcome=False):
            raise guardai.LedgerError("no space")

        monkeypatch.setattr(type(gate), "emit", property(lambda _: full), raising=False)
        with caplog.at_level(logging.WARNING, logger="guardai"):
            assert ticket.close({"a": 1}) == {"a": 1}
        assert "outcome could not be recorded" in caplog.text


class TestPause:
    POLICY = PERMIT + (
        '@id("ask") @reason("ask first") @approval("dba") forbid (principal, action == Action::"tool.call", resource) '
        'unless { context.approvals.contains("dba") };'
    )

    @pytest.fixture
    def paused(self, home, policy):
        guardai.init(home=home, integrations=[], policy=policy(self.POLICY))
        with guardai.session(agent="a", user="ann"):
            yield current().gate.open(Call("tool.call", TOOL, payload={"q": 1}))

    def test_pause_is_recorded_and_nothing_runs(self, paused, calls):
        assert paused.phase is Phase.PAUSED
        [[intent]] = calls()
        assert (intent["decision"]["effect"], intent["status"]) == ("pause", "paused")

    def test_agreement_of_the_group_opens_the_call(self, paused):
        paused.resume(Verdict("bob", "dba", True))
        assert paused.phase is Phase.OPEN
        assert paused.decision.effect == "allow"

    @pytest.mark.parametrize(("group", "passes"), [("dba", True), ("privacy", False)])
    def test_what_leaves_later_is_judged_with_what_was_agreed_to(self, home, policy, group, passes):
        late = (
            f'@id("late") @approval("{group}") forbid (principal, action == Action::"tool.call", resource) when '
            f'{{ context.labels.contains("pii.email") }} unless {{ context.approvals.contains("{group}") }};'
        )
        guardai.init(home=home, integrations=[], policy=policy(self.POLICY + late))
        with guardai.session(agent="a", user="ann"):
            ticket = current().gate.open(Call("tool.call", TOOL, payload={"q": 1}))
            ticket.resume(Verdict("bob", "dba", True))
            leaving = ticket.leaving([{"to": "nobody"}, {"to": MAIL}])
            assert next(leaving) == {"to": "nobody"}
            if passes:
                assert next(leaving)
            else:
                with pytest.raises(guardai.GuardError, match="may not go there, by late"):
                    next(leaving)

    def test_what_cannot_be_masked_and_may_not_be_revealed_any_more_does_not_pass_after_an_approval(self, home, policy):
        shut = (
            '@id("shut") forbid (principal, action == Action::"reveal", resource == Label::"opaque.image") '
            'when { context.session.labels.contains("pii.email") };'
        )
        guardai.init(home=home, integrations=[], policy=policy(self.POLICY + shut))
        with guardai.session(agent="a", user="ann"):
            ticket = current().gate.open(Call("tool.call", TOOL, payload={"q": 1}, opaque=("opaque.image",)))
            assert ticket.phase is Phase.PAUSED
            ticket.run.saw({"pii.email"})
            with pytest.raises(guardai.PolicyDenied, match=r"opaque\.image cannot be masked"):
                ticket.resume(Verdict("bob", "dba", True))

    def test_refusal_ends_the_call_with_the_humans_reason(self, paused, calls):
        with pytest.raises(guardai.ApprovalDenied, match="not on a Friday"):
            paused.resume(Verdict("bob", "dba", False, "not on a Friday"))
        assert calls()[0][-1]["status"] == "denied"

    def test_requester_cannot_approve_and_the_call_stays_paused(self, paused):
        with pytest.raises(ValueError, match="cannot approve it"):
            paused.resume(Verdict("ann", "dba", True))
        assert paused.phase is Phase.PAUSED

    def test_cancelled_pause_leaves_an_outcome(self, paused, calls):
        paused.cancel()
        assert calls()[0][-1]["status"] == "cancelled"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    def test_paused_call_goes_on_where_it_was_made_and_not_in_a_forked_child(self, paused, calls):
        child = os.fork()
        if not child:
            try:
                paused.resume(Verdict("bob", "dba", True))
            except ValueError:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        paused.resume(Verdict("bob", "dba", True))
        paused.close("x")
        assert [event.get("status") for event in calls()[0]] == ["paused", None, "ok"]

    def test_pause_that_nobody_ends_is_cancelled_when_the_process_ends_it(self, paused, calls):
        guardai.shutdown()
        assert calls()[0][-1]["status"] == "cancelled"
        with pytest.raises(ValueError, match="not paused"):
            paused.resume(Verdict("bob", "dba", True))

    def test_pause_that_cannot_be_recorded_is_no_call(self, home, policy, monkeypatch, events):
        guardai.init(home=home, integrations=[], policy=policy(self.POLICY))
        gate = current().gate
        with guardai.session(agent="a", user="ann"):
            run = HERE.get().run
            emit = gate.emit

            def full(event, *, outcome=False):
                raise guardai.LedgerError("no space")

            monkeypatch.setattr(gate, "emit", full)
            with pytest.raises(guardai.LedgerError):
                gate.open(Call("tool.call", TOOL, payload={"q": 1}))
            monkeypatch.setattr(gate, "emit", emit)
            assert run.open == set()
        assert events(kind="call.outcome") == []

    def test_where_nobody_can_be_asked_a_pause_raises_at_once_and_names_the_group(self, home, policy):
        guardai.init(home=home, integrations=[], policy=policy(self.POLICY))
        with pytest.raises(guardai.ApprovalPending) as told:
            opened(Call("tool.call", TOOL, payload={}))
        assert told.value.groups == ("dba",)
        assert told.value.policies == ("ask",)


class TestStream:
    def feed(self, ticket, text, size):
        flow = ticket.stream()
        out = "".join(flow.feed("0", text[i : i + size]) for i in range(0, len(text), size))
        out += flow.end("0")
        flow.finish()
        return out

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
    def test_value_split_over_chunks_is_masked_as_if_it_came_whole(self, started, size):
        with guardai.session(agent="a", audience="person"):
            whole = opened(Call("llm.generate", MODEL, payload={"m": "hi there"})).close(
                f"Write to {MAIL} today, please."
            )
            ticket = opened(Call("llm.generate", MODEL, payload={"m": "hi there"}))
            assert self.feed(ticket, f"Write to {MAIL} today, please.", size) == whole
        assert MAIL not in whole

    def test_stream_that_begins_like_a_token_passes(self, started):
        ticket = opened(Call("llm.generate", MODEL, payload={"m": f"write to {MAIL}"}))
        assert self.feed(ticket, "<b>bold</b>", 1) == "<b>bold</b>"

    @pytest.mark.parametrize("size", [1, 3, 100])
    def test_token_split_over_chunks_is_reidentified(self, started, size):
        ticket = opened(Call("llm.generate", MODEL, payload={"m": f"write to {MAIL}"}))
        assert self.feed(ticket, "Dear <EMAIL_1>, hello", size) == f"Dear {MAIL}, hello"

    def test_channels_do_not_flow_into_one_another(self, started):
        with guardai.session(agent="a", audience="person"):
            flow = opened(Call("llm.generate", MODEL, payload={"m": "hi there"})).stream()
            a = flow.feed("a", "alice@exa")
            b = flow.feed("b", "mple.com and more text here")
            assert (a + flow.end("a"), b + flow.end("b")) == ("alice@exa", "mple.com and more text here")

    def test_dropped_stream_is_recorded_as_abandoned(self, started, calls):
        flow = opened(Call("llm.generate", MODEL, payload={"m": "hi there"})).stream()
        flow.feed("0", "some text")
        flow.abandon()
        assert calls()[0][-1]["status"] == "abandoned"

    def test_nothing_leaves_after_the_end(self, started):
        flow = opened(Call("llm.generate", MODEL, payload={"m": "hi there"})).stream()
        flow.abandon()
        with pytest.raises(guardai.ResultWithheld):
            flow.feed("0", "more")


class TestObserve:
    @pytest.fixture
    def observing(self, home):
        guardai.init(home=home, integrations=[], mode="observe")

    def test_payload_and_result_are_untouched(self, observing):
        payload = {"messages": [{"role": "user", "content": MAIL}]}
        ticket = opened(Call("llm.generate", MODEL, payload=payload))
        assert ticket.payload is payload
        result = {"content": f"dear {MAIL}"}
        assert ticket.close(result) is result

    def test_stream_passes_chunk_by_chunk(self, observing):
        flow = opened(Call("llm.generate", MODEL, payload={"m": "x"})).stream()
        assert [flow.feed("0", part) for part in ("alice@", "example", ".com")] == ["alice@", "example", ".com"]
        assert flow.end("0") == ""

    def test_record_tells_what_would_have_been_masked(self, observing, events):
        opened(Call("llm.generate", MODEL, payload={"messages": [{"role": "user", "content": f"hi {MAIL}"}]}))
        [intent] = events(kind="call.intent")
        assert intent["decision"]["masks"] == {"pii.email": "token"}
        assert intent["decision"]["mode"] == "observe"

    def test_full_disk_raises_nothing(self, observing, monkeypatch):
        gate = current().gate

        def full(event, *, outcome=False):
            raise guardai.LedgerError("no space")

        monkeypatch.setattr(type(gate), "emit", property(lambda _: full), raising=False)
        opened(Call("tool.call", TOOL, payload={})).close({"a": 1})


class TestLineage:
    def test_prompt_is_fed_by_what_the_session_read_and_the_next_call_by_the_answer(self, started, events):
        with guardai.session(agent="a"):
            read = opened(Call("tool.call", TOOL, payload={}))
            read.close({"rows": 1})
            asked = opened(Call("llm.generate", MODEL, payload={"m": "hello there"}))
            asked.close({"content": "fine"})
            opened(Call("tool.call", TOOL, payload={})).close({})
        intents = events(kind="call.intent")
        assert [[edge["from"] for edge in i["lineage"]] for i in intents] == [[], [read.outcome], [asked.outcome]]

    def test_sessions_do_not_feed_one_another(self, started, events):
        with guardai.session(agent="a"):
            opened(Call("tool.call", TOOL, payload={})).close({"rows": 1})
        with guardai.session(agent="b"):
            opened(Call("llm.generate", MODEL, payload={"m": "hello there"}))
        assert events(kind="call.intent")[-1]["lineage"] == []


class TestProcess:
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    def test_fork_in_the_middle_of_a_session_loses_nothing(self, started, calls, home):
        with guardai.session(agent="a"):
            before = opened(Call("tool.call", TOOL, payload={}))
            child = os.fork()
            if child == 0:
                try:
                    opened(Call("tool.call", TOOL, payload={})).close({})
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            before.close({})
            opened(Call("tool.call", TOOL, payload={})).close({})
        pairs = calls("tool.call")
        assert len(pairs) == 3
        assert all(len(pair) == 2 for pair in pairs)
        from guardai.ledger import verify
        from guardai.lineage import EdgeTable

        guardai.shutdown()
        assert verify(home, projection=EdgeTable()).verdict == 0

    def test_call_from_a_signal_handler_neither_deadlocks_nor_is_lost(self, started, calls):
        def handler(*_):
            opened(Call("tool.call", TOOL, payload={})).close({})

        former = signal.signal(signal.SIGALRM, handler)
        try:
            mine = 0
            for _ in range(500):
                signal.setitimer(signal.ITIMER_REAL, 0.0002)
                opened(Call("tool.call", TOOL, payload={})).close({})
                mine += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, former)
        pairs = calls("tool.call")
        assert len(pairs) >= mine
        assert all(len(pair) == 2 for pair in pairs)

    def test_thirty_two_threads_lose_no_event(self, started, calls):
        def work():
            for _ in range(30):
                opened(Call("tool.call", TOOL, payload={"text": f"to {MAIL}"})).close({"a": 1})

        threads = [threading.Thread(target=work) for _ in range(32)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        pairs = calls("tool.call")
        assert len(pairs) == 32 * 30
        assert all(len(pair) == 2 for pair in pairs)


class TestLedgerMode:
    """`@ledger` on a permit: how surely the events of what it permits stand in the ledger."""

    POLICY = """
    @id("all") permit (principal, action, resource);
    @id("sure") @ledger("strict") permit (principal, action == Action::"tool.call", resource == Tool::"pay");
    """

    @pytest.fixture
    def synced(self, home, policy, monkeypatch):
        from guardai.ledger import spool

        done = []
        real = spool._sync
        monkeypatch.setattr(spool, "_sync", lambda fd: done.append(real(fd)))
        guardai.init(home=home, policy=policy(self.POLICY), integrations=[])
        return done

    def test_intent_is_on_the_disk_before_the_effect_and_the_outcome_after(self, synced):
        pay = Target("tool", "", "pay")
        ticket = opened(Call("tool.call", pay, payload={"sum": 1}))
        assert len(synced) == 2  # what was written and its signature
        ticket.close({})
        assert len(synced) == 4
        opened(Call("tool.call", TOOL, payload={"q": "x"})).close({})
        assert len(synced) == 4

    def test_call_whose_intent_does_not_reach_the_disk_does_not_happen(self, synced, monkeypatch):
        from guardai.ledger import spool

        def broken(_):
            raise OSError(5, "Input/output error")

        opened(Call("tool.call", TOOL, payload={"q": "x"})).close({})
        monkeypatch.setattr(spool, "_sync", broken)
        with pytest.raises(guardai.LedgerError, match="as policy asks"):
            opened(Call("tool.call", Target("tool", "", "pay"), payload={"sum": 1}))
        opened(Call("tool.call", TOOL, payload={"q": "x"})).close({})
