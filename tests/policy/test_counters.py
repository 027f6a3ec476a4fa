"""Counters: a number is taken once, windows end by a clock that nobody sets back, memory is bounded."""

import os
import signal
import threading
import time

import pytest

from guardai.errors import GuardError
from guardai.model import Destination, Principal, Resource
from guardai.policy import Bundle, Counters, Engine, Tally
from guardai.policy.counters import Entry
from guardai.policy.tally import Counted
from guardai.policy.vocabulary import COUNTERS

BOT = Principal("Agent", "bot", "u-1")
OTHER = Principal("Agent", "bot", "u-2")
T1, T2 = (Resource("Table", f"shop.t{n}", ("Database", "shop")) for n in (1, 2))
MODEL = Destination("model", "openai", "us", "listed")
PERMIT = '@id("p") permit (principal, action, resource); '
MINUTE = ("count.calls.minute", "Agent", "bot", "u-1")
HOUR = ("count.same_action.hour", "Agent", "bot", "u-1", "db.read")


class Clock:
    def __init__(self):
        self.time = 1_000.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


def limit(name, most, action="action", effect="forbid", more="", note=""):
    return f'@id("limit") {note} {effect} (principal, {action}, resource) when {{ context.{name} > {most} {more} }};'


@pytest.fixture
def asking(engine, clock):
    """`ask(text)` gives a function that makes one call after another and says how each was decided."""

    def of(text):
        one, counters = engine(text), Counters(clock)

        def ask(who=BOT, verb="db.read", what=(T1,), session="s", keep=True):
            tally = Tally(counters, one.bundle.counted, who, session)
            tally.act((verb,), what)
            decision = one.act(who, verb, what, {"environment": "dev"}, tally)
            (tally.keep if keep and decision.effect == "allow" else tally.give_back)()
            return decision

        ask.counters, ask.engine = counters, one
        return ask

    return of


def passed(ask, times, **rest):
    return sum(ask(**rest).effect == "allow" for _ in range(times))


# ---- what is counted ----


def test_a_limit_of_n_lets_n_calls_through_in_a_minute_and_n_in_the_next(asking, clock):
    ask = asking(PERMIT + limit("count.calls.minute", 5))
    assert passed(ask, 20) == 5
    clock.time += 59.9
    assert passed(ask, 20) == 0
    clock.time += 0.2
    assert passed(ask, 20) == 5


def test_a_permit_up_to_a_number_is_the_same_limit(asking):
    ask = asking('@id("p") permit (principal, action, resource) when { context.count.calls.hour <= 3 };')
    assert passed(ask, 9) == 3


@pytest.mark.parametrize(
    ("name", "other", "apart"),
    [
        ("count.calls.day", {"who": OTHER}, True),
        ("count.calls.day", {"verb": "db.write"}, False),
        ("count.calls.day", {"session": "t"}, False),
        ("count.calls.session", {"session": "t"}, True),
        ("count.same_action.day", {"verb": "db.write"}, True),
        ("count.same_action.day", {"what": (T2,)}, False),
        ("count.same_resource.day", {"what": (T2,)}, True),
        ("count.same_resource.day", {"verb": "db.write"}, False),
        ("count.same_resource.day", {"who": OTHER}, True),
        ("resource_count.calls.day", {"who": OTHER}, False),
        ("resource_count.calls.day", {"what": (T2,)}, True),
    ],
)
def test_whose_a_counter_is(asking, name, other, apart):
    ask = asking(PERMIT + limit(name, 2))
    assert passed(ask, 5) == 2
    assert passed(ask, 5, **other) == (2 if apart else 0)


def test_a_statement_on_two_tables_is_one_call_and_one_on_each(asking):
    ask = asking(PERMIT + limit("count.same_resource.day", 2))
    assert passed(ask, 5, what=(T1, T2)) == 2
    assert passed(ask, 5, what=(T2,)) == 0
    one = asking(PERMIT + limit("count.calls.day", 2))
    assert passed(one, 5, what=(T1, T2)) == 2


@pytest.mark.parametrize("name", sorted(COUNTERS))
def test_every_counter_is_a_number_that_a_policy_can_compare(engine, name):
    one = engine(PERMIT + limit(name, 0))
    assert one.bundle.counted is not None
    tally = Tally(Counters(), one.bundle.counted, BOT, "s")
    tally.act(("db.read",), (T1,))
    tally.rows(7)
    tally.tokens(7)
    assert one.act(BOT, "db.read", (T1,), {}, tally).policies == ("limit",)
    assert one.act(BOT, "db.read", (T1,), {}).policies == ("p",)
    assert one.act(BOT, "db.read", (T1,), {name: 1}).policies == ("limit",)


@pytest.mark.parametrize("measure", ["rows", "tokens"])
def test_rows_and_tokens_are_those_of_the_calls_before(asking, measure):
    ask = asking(
        PERMIT
        + limit(f"count.{measure}.day", 99)
        + limit(f"resource_count.{measure}.day", 199).replace('"limit"', '"all"')
    )

    def spent(number, who=BOT):
        tally = Tally(ask.counters, ask.engine.bundle.counted, who, "s")
        tally.act(("db.read",), (T1,))
        tally.keep()
        getattr(tally, measure)(number)

    spent(99)
    assert ask().effect == "allow"
    spent(1)
    assert ask().policies == ("limit",)
    assert ask(who=OTHER).effect == "allow"
    spent(100, OTHER)
    assert ask(who=OTHER).policies == ("all", "limit")
    assert ask(who=OTHER, what=(T2,)).policies == ("limit",)


def test_labels_are_counted_by_label_and_by_kind_of_destination(engine):
    one = engine(PERMIT + limit("count.same_resource.day", 2, 'action == Action::"reveal"'))
    counters = Counters()

    def revealed(label, to):
        tally = Tally(counters, one.bundle.counted, BOT, "s")
        tally.reveal(label, to.kind)
        answer = one.reveal(BOT, label, to, {}, tally)
        if answer.mask is not None:
            tally.masked(label, to.kind)
        tally.keep()
        return answer

    assert [revealed("pii.email", MODEL).mask for _ in range(4)] == [None, None, "redact", "redact"]
    assert revealed("pii.phone", MODEL).mask is None
    assert revealed("pii.email", MODEL._replace(kind="process")).mask is None
    assert "count.same_resource.day is 3, the limit 2; the day ends in 86400 s" in revealed("pii.email", MODEL).reason


# ---- what is given back ----


def test_what_was_denied_has_not_been_counted(asking):
    ask = asking(
        PERMIT + limit("count.calls.day", 3) + '@id("no") forbid (principal, action == Action::"db.admin", resource);'
    )
    for _ in range(9):
        assert ask(verb="db.admin").policies == ("no",)
    assert passed(ask, 9) == 3


def test_within_its_window_a_counter_only_loses_what_was_never_let_through(clock):
    counters = Counters(clock)
    kept = counters.take([MINUTE])
    refused = counters.take([MINUTE])
    assert [number for _, _, number in (*kept, *refused)] == [1, 2]
    counters.keep(entry for _, entry, _ in kept)
    counters.give_back((key, entry) for key, entry, _ in refused)
    assert counters.read(MINUTE) == 1


def test_what_is_given_back_after_its_window_ended_takes_nothing_from_the_next(clock):
    counters = Counters(clock)
    late = counters.take([MINUTE])
    clock.time += 61
    counters.take([MINUTE])
    counters.give_back((key, entry) for key, entry, _ in late)
    assert counters.read(MINUTE) == 1


def test_a_call_sees_one_number_however_often_it_is_asked_about(engine):
    one = engine(PERMIT + limit("count.calls.day", 1))
    tally = Tally(Counters(), one.bundle.counted, BOT, "s")
    for _ in range(3):
        tally.act(("db.read",), (T1,))
        assert one.act(BOT, "db.read", (T1,), {}, tally).effect == "allow"


def test_an_answer_without_an_effect_takes_no_number(engine):
    one, counters = engine(PERMIT + limit("count.calls.day", 1)), Counters()
    for _ in range(3):
        tally = Tally(counters, one.bundle.counted, BOT, "s", taking=False)
        tally.act(("db.read",), (T1,))
        assert one.act(BOT, "db.read", (T1,), {}, tally).effect == "allow"
    assert counters.size() == 0


# ---- threads, signals, forks ----


def test_32_threads_get_n_calls_through_a_limit_of_n(engine):
    one, counters, allowed = engine(PERMIT + limit("count.calls.day", 500)), Counters(), []
    start = threading.Barrier(32)

    def work(tries=40):
        for number in range(tries):
            tally = Tally(counters, one.bundle.counted, BOT, "s")
            tally.act(("db.read",), (T1,))
            # Every eighth would be denied by something else: it gives back what another can have.
            if one.act(BOT, "db.read", (T1,), {}, tally).effect == "allow" and number % 8:
                tally.keep()
                allowed.append(1)
            else:
                tally.give_back()

    def together():
        start.wait()
        work()

    threads = [threading.Thread(target=together) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Never more; a few less, where a thread that gave its number back held it while the last others asked.
    assert len(allowed) <= 500
    work(tries=1_000)
    assert len(allowed) == 500
    assert counters.read(("count.calls.day", "Agent", "bot", "u-1")) == 500


def test_a_call_from_a_signal_handler_neither_waits_nor_loses_a_number(clock):
    counters, taken = Counters(clock), 0

    def handler(*_):
        nonlocal taken
        counters.keep(entry for _, entry, _ in counters.take([MINUTE]))
        taken += 1

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    mine = 0
    try:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            counters.keep(entry for _, entry, _ in counters.take([MINUTE]))
            mine += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert taken > 20
    assert counters.read(MINUTE) == mine + taken


def test_a_forked_child_goes_on_from_its_parents_numbers(clock):
    counters = Counters(clock)
    counters.add([MINUTE], 41)
    with counters.lock:  # held by the parent, by whichever of its threads
        child = os.fork()
        if not child:
            good = counters.take([MINUTE])[0][2] == 42 and all(
                e.unpushed == 0 for e in counters.rows["minute"].values()
            )
            os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert counters.read(MINUTE) == 41


@pytest.mark.parametrize("after", ["give_back", "keep"])
def test_a_forked_child_drops_what_its_parent_s_open_calls_hold(clock, after):
    counters = Counters(clock)
    counters.add([MINUTE], 3)
    held = counters.take([MINUTE, HOUR])
    child = os.fork()
    if not child:
        before = counters.read(MINUTE), counters.read(HOUR), [e.reserved for e in counters.rows["minute"].values()]
        # The parent's call is in the child's memory too, and whatever becomes of it there is none of the child's numbers.
        if after == "keep":
            counters.keep(entry for _, entry, _ in held)
        else:
            counters.give_back((key, entry) for key, entry, _ in held)
        good = before == (3, 0, [0]) and counters.read(MINUTE) == 3 and counters.take([MINUTE])[0][2] == 4
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert counters.read(MINUTE) == 4


# ---- windows and memory ----


def test_a_clock_set_back_begins_no_window_anew(asking, monkeypatch):
    ask = asking(PERMIT + limit("count.calls.day", 2))
    real = Counters()  # by the clock that it has in a process
    ask.counters._clock = real._clock
    assert passed(ask, 5) == 2
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert passed(ask, 5) == 0


def test_rows_of_a_session_are_known_as_long_as_it_goes_on(clock):
    counters = Counters(clock)
    key = ("count.rows.session", "Agent", "bot", "u-1", "s")
    counters.add([key], 5)
    for _ in range(30):
        clock.time += 3_600
        assert counters.read(key) == 5
    clock.time += 2 * 86_400
    assert counters.read(key) == 0


def test_a_session_is_forgotten_a_day_after_its_last_call(asking, clock):
    ask = asking(PERMIT + limit("count.calls.session", 2))
    assert passed(ask, 1) == 1
    clock.time += 86_000
    assert passed(ask, 1) == 1
    clock.time += 86_000
    assert passed(ask, 1) == 0
    clock.time += 86_401
    assert passed(ask, 1) == 1


def test_counters_that_ended_leave_the_memory(clock):
    counters = Counters(clock)
    for minute in range(50):
        for number in range(100):
            counters.add([("count.calls.minute", "Agent", f"bot-{minute}-{number}", "u")], 1)
        clock.time += 61
    assert counters.size() <= 200


def test_a_counter_that_there_is_no_room_for_denies(engine, clock):
    one, counters = engine(PERMIT + limit("count.same_resource.day", 9)), Counters(clock, most=8)

    def take(number):
        tally = Tally(counters, one.bundle.counted, BOT, "s")
        tally.act(("tool.call",), (Resource("Tool", f"t{number}"),))

    for number in range(8):
        take(number)
    with pytest.raises(GuardError, match="no room"):
        take(9)
    take(1)
    clock.time += 86_401
    take(9)


def test_a_step_that_finds_no_room_takes_nothing(clock):
    counters = Counters(clock, most=1)
    counters.take([MINUTE])
    with pytest.raises(GuardError):
        counters.take([MINUTE, ("count.calls.hour", "Agent", "bot", "u-1")])
    assert counters.read(MINUTE) == 1


def test_a_counter_takes_less_than_half_a_kilobyte():
    import tracemalloc

    counters = Counters()
    tracemalloc.start()
    for number in range(2_000):
        counters.add(
            [("count.same_resource.day", "Agent", f"bot{number}", f"user{number}", "Table", f"shop.table{number}")], 1
        )
    size = tracemalloc.get_traced_memory()[0] / 2_000
    tracemalloc.stop()
    assert size < 800
    assert Entry.__slots__


# ---- what policies read, and what is remembered ----


def test_a_bundle_without_limits_counts_nothing(engine):
    assert engine(PERMIT).bundle.counted is None
    assert (
        engine(PERMIT + '// context.count.calls.minute\n@id("q") permit (principal, action, resource);').bundle.counted
        is None
    )


def test_only_the_counters_that_are_read_are_kept(engine):
    counted = engine(PERMIT + limit("count.calls.minute", 5)).bundle.counted
    assert counted == Counted(("count.calls.minute",), (), (), (), ("count.calls.minute",))


@pytest.mark.parametrize(
    "path",
    ["context.count.calls.minute", 'context["count"]["calls"]["minute"]', 'context["c\\u{6f}unt"].calls.minute'],
)
def test_a_counter_is_found_however_it_is_written(asking, path):
    assert passed(asking(f'{PERMIT} @id("l") forbid (principal, action, resource) when {{ {path} > 2 }};'), 5) == 2


def test_a_record_of_counters_is_there_when_it_is_asked_for(asking):
    for condition in ("context has count", "context has count.calls.minute", "context.count.calls has minute"):
        ask = asking(PERMIT + f'@id("f") forbid (principal, action, resource) when {{ {condition} }};')
        assert ask().policies == ("f",), condition


def test_no_answer_that_depends_on_a_counter_is_remembered(asking):
    ask = asking(PERMIT + limit("count.calls.minute", 1_000))
    for _ in range(5):
        ask()
    assert not any(plan.answers for plan in ask.engine._plans.young.values())


def test_answers_of_a_slice_without_counters_are_remembered_beside_one_with(asking):
    ask = asking(PERMIT + limit("count.calls.minute", 2, 'action == Action::"db.write"'))
    for _ in range(5):
        assert ask().effect == "allow"
    assert sum(len(plan.answers) for plan in ask.engine._plans.young.values()) == 1
    # And its calls are counted all the same, for the slice that reads them.
    assert ask(verb="db.write").policies == ("limit",)


# ---- words ----


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("context.count.calls.minute > 1", "count.calls.minute is 2, the limit 1; the minute ends in 50 s"),
        ("context.count.calls.minute >= 2", "count.calls.minute is 2, the limit 1; the minute ends in 50 s"),
        ("1 < context.count.calls.minute", "count.calls.minute is 2, the limit 1; the minute ends in 50 s"),
        ("2 <= context.count.calls.minute", "count.calls.minute is 2, the limit 1; the minute ends in 50 s"),
        ("!(context.count.calls.minute <= 1)", "count.calls.minute is 2, the limit 1; the minute ends in 50 s"),
        ("context.count.calls.session > 1", "count.calls.session is 2, the limit 1 for the session"),
    ],
)
def test_a_denial_says_which_limit_and_when_the_window_ends(asking, clock, condition, said):
    ask = asking(PERMIT + f'@id("l") @reason("Too fast") forbid (principal, action, resource) when {{ {condition} }};')
    ask()
    clock.time += 10
    assert ask().reason == f"Too fast; {said}"


def test_a_denial_by_a_permit_that_no_longer_applies_says_so_too(asking):
    ask = asking('@id("p") permit (principal, action, resource) when { context.count.calls.day <= 1 };')
    ask()
    assert (
        ask().reason
        == "no policy permits db.read on this Table; count.calls.day is 2, the limit 1; the day ends in 86400 s"
    )


BOTH = "context.count.calls.minute > 1"
SAID = "count.calls.minute is 2, the limit 1; the minute ends in 60 s"


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        # `asking` asks with the environment `dev`. What is exceeded in an alternative that does not hold has not decided.
        (f'when {{ {BOTH} && context.environment == "prod" || context.environment == "dev" }}', ""),
        (f'when {{ {BOTH} && context.environment == "prod" || context.count.same_action.hour > 1 }}',
         "count.same_action.hour is 2, the limit 1; the hour ends in 3600 s"),
        (f'when {{ {BOTH} && context.environment == "dev" || context.count.same_action.hour > 9 }}', SAID),
        # Neither the one nor the other alone would lift it: both have to end.
        (f"when {{ {BOTH} || context.count.same_action.hour > 1 }}",
         f"{SAID}; count.same_action.hour is 2, the limit 1; the hour ends in 3600 s"),
        # The end of either would do: the one that ends first.
        (f"when {{ {BOTH} && context.count.same_action.hour > 1 }}", SAID),
        # Of two limits of one counter the one that is in the way here.
        (f'when {{ {BOTH} && context.environment == "dev" || context.count.calls.minute > 0 && context.environment == "prod" }}',
         SAID),
        (f'when {{ if context.environment == "dev" then {BOTH} else context.count.same_action.hour > 0 }}', SAID),
        ("unless { context.count.calls.minute <= 1 || context.environment == \"prod\" }", SAID),
        ("unless { context.count.calls.minute <= 1 && context.environment == \"prod\" }", ""),
    ],
)  # fmt: skip
def test_a_denial_names_no_limit_whose_end_would_change_nothing(asking, policy, said):
    ask = asking(f'{PERMIT} @id("l") @reason("Too fast") forbid (principal, action, resource) {policy};')
    ask.counters.add([MINUTE, HOUR], 1)
    assert ask().reason == "; ".join(filter(None, ("Too fast", said)))


def test_of_permits_only_the_limits_that_are_in_the_way_are_named(asking):
    ask = asking(
        '@id("a") permit (principal, action, resource) when { context.environment == "prod" && context.count.calls.minute <= 1 };'
        '@id("b") permit (principal, action, resource) when { context.environment == "dev" && context.count.same_action.hour <= 1 };'
    )
    ask.counters.add([MINUTE, HOUR], 1)
    assert (
        ask().reason == "no policy permits db.read on this Table; "
        "count.same_action.hour is 2, the limit 1; the hour ends in 3600 s"
    )


def test_a_denial_names_no_limit_while_something_else_denies_too(asking):
    over = (
        PERMIT
        + '@id("l") @reason("Too fast") forbid (principal, action, resource) when { context.count.calls.minute > 1 };'
    )
    never = '@id("n") @reason("Never") forbid (principal, action, resource) when { context.environment == "dev" };'
    both = (
        '@id("m") @reason("Too many") forbid (principal, action, resource) when { context.count.same_action.hour > 1 };'
    )
    for more, said in (
        (never, "Too fast; Never"),
        (both, f"Too fast; Too many; {SAID}; count.same_action.hour is 2, the limit 1; the hour ends in 3600 s"),
        (never + both, "Too fast; Too many; Never"),
    ):
        ask = asking(over + more)
        ask.counters.add([MINUTE, HOUR], 1)
        assert ask().reason == said


def test_a_denial_names_its_limit_if_it_would_wait_for_an_approval_then(asking):
    over = '@id("l") @reason("Too fast") forbid (principal, action, resource) when { context.count.calls.minute > 1 };'
    ask_dba = '@id("n") @reason("Ask") @approval("dba") forbid (principal, action, resource) unless { context.approvals.contains("dba") };'
    for permit, said in ((PERMIT, f"Too fast; Ask; {SAID}"), ("", "Too fast; Ask")):
        ask = asking(permit + over + ask_dba)
        ask.counters.add([MINUTE], 1)
        assert (ask().effect, ask().reason) == ("deny", said)


def test_the_limit_of_a_forbid_is_named_with_that_of_the_permits_below_it(asking):
    over = '@id("l") @reason("Too fast") forbid (principal, action, resource) when { context.count.calls.minute > 1 };'
    permit = '@id("p") permit (principal, action, resource) when {{ context.count.same_action.hour <= {} }};'
    for most, more in ((1, "; count.same_action.hour is 2, the limit 1; the hour ends in 3600 s"), (2, "")):
        ask = asking(permit.format(most) + over)
        ask.counters.add([MINUTE, HOUR], 1)
        assert ask().reason == f"Too fast; {SAID}{more}"
    ask = asking(over)
    ask.counters.add([MINUTE], 1)
    assert ask().reason == "Too fast"


def test_no_limit_on_one_resource_is_named_where_another_may_never_be_touched(asking):
    over = '@id("l") @reason("Too fast") forbid (principal, action, resource == Table::"shop.t1") when { context.count.calls.minute > 1 };'
    never = '@id("n") @reason("Never") forbid (principal, action, resource == Table::"shop.t2");'
    ask = asking(PERMIT + over + never)
    ask.counters.add([MINUTE], 1)
    assert ask().reason == f"Too fast; {SAID}"
    assert ask(what=(T1, T2)).reason == "Too fast; Never"


def test_no_limit_on_a_reveal_is_named_that_an_approval_would_still_mask(engine, clock):
    one, counters = (
        engine(
            PERMIT
            + '@id("l") forbid (principal, action == Action::"reveal", resource) when { context.count.calls.minute > 1 };'
            '@id("n") @approval("dba") forbid (principal, action, resource) unless { context.approvals.contains("dba") };'
        ),
        Counters(clock),
    )
    counters.add([MINUTE], 1)
    tally = Tally(counters, one.bundle.counted, BOT, "s")
    tally.act(("db.read",), (T1,))
    tally.reveal("pii.email", "model")
    assert "the limit" not in one.reveal(BOT, "pii.email", MODEL, {"environment": "dev"}, tally).reason


def test_a_limit_that_an_approval_lifts_pauses_and_is_lifted_by_it(engine):
    one = engine(
        PERMIT + '@id("l") @approval("dba") forbid (principal, action, resource) when { context.count.calls.day > 0 } '
        'unless { context.approvals.contains("dba") };'
    )
    tally = Tally(Counters(), one.bundle.counted, BOT, "s")
    tally.act(("db.read",), (T1,))
    paused = one.act(BOT, "db.read", (T1,), {}, tally)
    assert (paused.effect, paused.obligations.approvals) == ("pause", ("dba",))
    assert one.act(BOT, "db.read", (T1,), {"approvals": ("dba",)}, tally).effect == "allow"


@pytest.mark.parametrize("measure", ["rows", "tokens"])
def test_check_refuses_a_reveal_that_reads_what_is_never_counted_of_a_label(folder, measure):
    from guardai.policy import check

    name = f"resource_count.{measure}.day"
    alone = limit(name, 9, 'action == Action::"reveal"')
    [problem] = [one for one in check(folder(f"{PERMIT}\n{alone}")) if one.severity == "error"]
    assert (problem.line, problem.column) == (2, alone.index("context.") + 1)
    assert problem.message.startswith(f"context.{name} is always 0 in a policy of reveal")
    # Of whatever else a policy covers it is counted, and so are the principal's own rows and tokens.
    for good in (limit(name, 9), limit(f"count.{measure}.day", 9, 'action == Action::"reveal"')):
        assert not [one for one in check(folder(PERMIT + good)) if one.severity == "error"]


def test_check_knows_the_counters_and_what_is_none(folder):
    from guardai.policy import check

    assert not [one for one in check(folder(PERMIT + limit("count.calls.minute", 5))) if one.severity == "error"]
    problems = [one for one in check(folder(PERMIT + limit("count.calls.week", 5))) if one.severity == "error"]
    assert problems
    assert all("week" in one.message for one in problems)
