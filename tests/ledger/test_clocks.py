"""Clocks that step back and forward under a writer: time never runs backwards in a log, and no event is lost."""

import itertools
import json
import random
import time

import pytest

from guardai.errors import LedgerError
from guardai.ledger import events, spool, verify

SECOND = 10**9
DAY = 86_400 * SECOND


@pytest.fixture
def clock(monkeypatch):
    """The writer's clock: what is added to `ahead` (nanoseconds) it is ahead of the real one."""

    class Clock:
        ahead = 0

        def __call__(self):
            return time.time_ns() + self.ahead

    clock = Clock()
    monkeypatch.setattr(spool, "time_ns", clock)
    return clock


def times_of(home):
    """The times of each log's events, in their order."""
    logs = {}
    for data in events(home):
        event = json.loads(data)
        logs.setdefault(event["log"], []).append((event["seq"], event["ts"]))
    return [[ts for _, ts in sorted(found)] for found in logs.values()]


@pytest.mark.parametrize("mode", ["spool", "signed"])
def test_clock_that_jumps_to_and_fro_loses_nothing_and_never_runs_back_within_a_log(
    home, open_ledger, event, clock, mode
):
    chance = random.Random(11)
    ledger = open_ledger(mode=mode, seal=False)
    names = []
    for n in range(300):
        if n % 5 == 0:
            clock.ahead += chance.choice([-2 * 3600, -6, -4, -1, 0, 1, 30, 3600]) * SECOND
        names.append(ledger.append(event(call=f"c-{n}")))
    ledger.close()
    recorded = [json.loads(data) for data in events(home)]
    assert sorted(e["call"] for e in recorded if e["kind"] == "call.intent") == sorted(f"c-{n}" for n in range(300))
    assert {e["id"] for e in recorded} >= set(names)
    for times in times_of(home):
        assert times == sorted(times)
    report = verify(home)
    assert (report.verdict, report.faults, report.unsigned) == (0, [], 0)
    # A small step is smoothed over, a large one starts a log that names the one before.
    steps = sum(e["kind"] == "log.open" and e["body"]["reason"] == "clock" for e in recorded)
    assert 0 < steps == report.logs - 1 < 60


def test_clock_that_steps_back_between_certificate_and_first_event_is_no_fault(home, open_ledger, event, monkeypatch):
    ledger = open_ledger(seal=False)
    now = time.time_ns()
    ticks = itertools.chain([now, now - 3 * SECOND], itertools.repeat(now + SECOND))
    monkeypatch.setattr(spool, "time_ns", lambda: next(ticks))
    ledger.append(event())
    ledger.close()
    report = verify(home)
    assert (report.verdict, report.faults) == (0, [])


def test_event_is_recorded_after_the_clock_was_set_forward_a_year_and_back(home, open_ledger, event, clock):
    ledger = open_ledger(seal=False)
    names = [ledger.append(event())]
    clock.ahead = 400 * DAY
    names.append(ledger.append(event()))
    clock.ahead = 0
    names.append(ledger.append(event()))
    ledger.close()
    assert len({name.partition("-")[0] for name in names}) == 3
    report = verify(home)
    assert (report.verdict, report.faults, report.logs) == (0, [], 3)


def test_clock_beyond_the_hosts_certificate_refuses_with_the_reason_and_leaves_no_trace(
    home, open_ledger, event, clock
):
    ledger = open_ledger(seal=False)
    ledger.append(event(call="before"))
    clock.ahead = 4000 * DAY
    for _ in range(3):
        with pytest.raises(LedgerError, match=r"certificate of this host's key .* nothing was done; check the clock"):
            ledger.append(event(call="beyond"))
    assert ledger.append(event("call.outcome", call="done"), outcome=True) == ""
    clock.ahead = 0
    ledger.append(event(call="after"))
    ledger.close()
    recorded = [json.loads(data) for data in events(home)]
    assert {e.get("call") for e in recorded if e["kind"] == "call.intent"} == {"before", "after"}
    (gap,) = (e["body"] for e in recorded if e["kind"] == "gap")
    assert (gap["count"], gap["kinds"]) == (1, {"call.outcome": 1})
    assert not [path.name for path in (home / "ledger" / "spool").iterdir() if path.name.startswith(".")]
    report = verify(home)
    assert (report.verdict, report.faults, report.unsigned) == (0, [], 0)


def test_log_of_a_dead_process_whose_clock_was_ahead_is_adopted(home, run_python):
    """What the host adds is not earlier than what it countersigns, whatever its own clock says."""
    run_python(
        """
        no_heads()
        from guardai.ledger import spool
        spool.time_ns = lambda: time.time_ns() + 86_400 * 10**9
        ledger = Ledger.open(home, seal=False)
        for n in range(10): ledger.append(event())
        os._exit(0)
        """
    )
    report = verify(home)
    assert (report.verdict, report.recovered) == (0, 11)
    (times,) = times_of(home)
    assert times == sorted(times)
