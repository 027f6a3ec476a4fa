"""A long log of a process that is gone: sealed a piece at a time, up to its newest head, and what is left is adopted as ever."""

import hashlib
import json
import random
import tracemalloc

import pytest
import stores

from guardai.ledger import Ledger, events, open_keys, seal, sealed_size, sealer, verify
from guardai.ledger.spool import record

pytestmark = [pytest.mark.made_up_events, pytest.mark.usefixtures("either_store")]

#: Ten parts of ten events, each under a head, and a tail of seven that the process did not sign any more.
DEAD = """
ledger = Ledger.open(home, seal=False)
for _ in range(10):
    for n in range(10): ledger.append(event(call=f"c-{n}"))
    assert ledger._signer.sign_now(10)
no_heads()
for n in range(7): ledger.append(event(call="tail"))
os._exit(0)
"""
CLOSED = """
ledger = Ledger.open(home, seal=False)
for _ in range(10):
    for n in range(10): ledger.append(event(call=f"c-{n}"))
    assert ledger._signer.sign_now(10)
ledger.close()
"""


@pytest.fixture
def looked_at(monkeypatch):
    """Pieces are small; how many events were looked at together."""
    real, sizes = sealer.examine, []

    def counted(view, *given):
        sizes.append(len(view.lines))
        return real(view, *given)

    monkeypatch.setattr(sealer, "examine", counted)
    monkeypatch.setattr(sealer, "_CHUNK", 12_000)
    return sizes


def recovered(home):
    return [one["body"] for one in map(json.loads, events(home)) if one["kind"] == "recovered"]


def test_dead_log_is_sealed_in_pieces_and_its_tail_adopted_at_once(home, run_python, looked_at):
    run_python(DEAD)
    assert seal(home, open_keys(home))
    assert sealed_size(home) == 109
    assert max(looked_at) < 40, looked_at
    (told,) = recovered(home)
    assert (told["from"], told["to"], told["count"]) == (101, 107, 7)
    tail = [one["ts"] for one in map(json.loads, events(home)) if one.get("call") == "tail"]
    assert (told["since"], told["until"]) == (tail[0], tail[-1])
    report = verify(home)
    assert (report.verdict, report.faults, report.recovered) == (0, [], 7)
    assert not list((home / "ledger" / "spool").glob("*"))


def test_log_that_was_closed_is_sealed_in_pieces(home, run_python, looked_at):
    run_python(CLOSED)
    assert seal(home, open_keys(home))
    assert (sealed_size(home), recovered(home)) == (102, [])
    assert max(looked_at) < 40, looked_at
    assert verify(home).verdict == 0
    assert not list((home / "ledger" / "spool").glob("*"))


def test_dead_log_without_an_unsigned_tail_is_ended(home, run_python, looked_at):
    run_python(DEAD.replace('for n in range(7): ledger.append(event(call="tail"))', ""))
    assert seal(home, open_keys(home))
    (told,) = recovered(home)
    assert (told["from"], told["to"], told["count"], told["since"], told["until"]) == (101, 100, 0, 0, 0)
    report = verify(home)
    assert (report.verdict, report.faults) == (0, [])


def test_torn_line_at_the_end_is_cut_off_and_counted(home, run_python, looked_at):
    run_python(DEAD)
    (spool,) = (home / "ledger" / "spool").glob("*.jsonl")
    with spool.open("ab") as file:
        file.write(b'{"torn":')
    assert seal(home, open_keys(home))
    assert recovered(home)[0]["torn"] == 8
    assert verify(home).verdict == 0


def test_long_log_that_was_never_signed_is_recovered_whole(home, run_python, looked_at):
    run_python(
        "no_heads()\nledger = Ledger.open(home, seal=False)\nfor n in range(60): ledger.append(event())\nos._exit(0)"
    )
    assert seal(home, open_keys(home))
    assert recovered(home)[0]["count"] == 61
    assert verify(home).verdict == 0


def test_sealer_that_runs_out_of_time_goes_on_where_it_was(home, run_python, looked_at, monkeypatch):
    run_python(DEAD)
    keys = open_keys(home)
    steps, asked = 0, 0

    def stop():
        nonlocal asked
        asked += 1
        return asked > steps

    while steps < 60:
        steps, asked = steps + 1, 0
        if seal(home, keys, stop=stop):
            break
        report = verify(home, adopt=False)
        assert report.faults == [], (steps, report.faults)
    assert sealed_size(home) == 109
    report = verify(home)
    assert (report.verdict, report.faults, report.recovered) == (0, [], 7)


def test_altered_event_anywhere_is_named_and_nothing_from_it_on_is_sealed(home, run_python, looked_at, copy):
    run_python(DEAD)
    chance = random.Random(6962)
    (spool,) = (home / "ledger" / "spool").glob("*.jsonl")
    lines = spool.read_bytes().split(b"\n")
    for at in (0, *chance.sample(range(1, 107), 8), 107):
        other = copy(home)
        changed = list(lines)
        changed[at] = (
            changed[at].replace(b'"agent":"a"', b'"agent":"b"') if at else changed[at].replace(b'"pid":', b'"pid":1', 1)
        )
        assert changed[at] != lines[at]
        (other / "ledger" / "spool" / spool.name).write_bytes(b"\n".join(changed))
        assert seal(other, open_keys(other))
        assert len(stores.content_of(other)) == 0 or sealed_size(other) <= at, at
        report = verify(other)
        assert report.verdict == 1
        assert at in {fault.seq for fault in report.faults}, (at, report.faults)


@pytest.fixture
def closed_spool(home, event):
    """A log whose end is signed, in the hands of somebody who still has its key."""
    ledger = Ledger.open(home, seal=False)
    for _ in range(5):
        ledger.append(event())
    spool, ledger._spool, ledger._ready = ledger._spool, None, None
    signer, ledger._signer = ledger._signer, None
    signer._spools.clear()
    spool.sign()
    spool.finish("close")
    spool.sign()
    return spool


def named_in_any_pieces(home, end, copy, monkeypatch):
    for piece in (end - 1, end, end + 1, end + 700, end + 3_000, 4_000_000):
        other = copy(home)
        monkeypatch.setattr(sealer, "_CHUNK", piece)
        assert seal(other, open_keys(other))
        report = verify(other)
        assert (report.verdict, {fault.code for fault in report.faults}) == (1, {"inserted"}), piece
        assert list((other / "ledger" / "spool").glob("*.jsonl"))


def test_events_behind_the_end_of_a_log_are_named_in_whatever_pieces_it_is_read(
    home, event, closed_spool, monkeypatch, copy
):
    """Whoever still has the log's key after its end is not its writer."""
    end = closed_spool.size
    for _ in range(20):
        closed_spool.append(event())
    closed_spool.sign()
    closed_spool.abandon()
    named_in_any_pieces(home, end, copy, monkeypatch)


@pytest.mark.parametrize("calls", [0, 40])
def test_record_of_a_recovery_behind_an_end_that_is_signed_is_not_countersigned(
    home, event, closed_spool, monkeypatch, copy, calls
):
    """A host ends a log only where nobody has; who writes that there is a thief."""
    end, count = closed_spool.size, closed_spool.last + 1
    body = {
        "count": 0,
        "from": count,
        "since": 0,
        "tags": hashlib.sha256().hexdigest(),
        "to": count - 1,
        "torn": 0,
        "until": 0,
    }
    closed_spool.append(record("recovered", body | {"note": "a thief's own words" * calls}))
    closed_spool.abandon()
    named_in_any_pieces(home, end, copy, monkeypatch)


def test_copy_of_the_log_that_differs_from_what_was_sealed_is_not_gone_on_with(home, run_python, looked_at, copy):
    run_python(DEAD)
    earlier = copy(home)
    assert seal(home, open_keys(home))
    spool = next((earlier / "ledger" / "spool").glob("*.jsonl"))
    lines = spool.read_bytes().split(b"\n")
    (home / "ledger" / "spool" / spool.name).write_bytes(b"\n".join(lines[:50]) + b"\n")
    assert seal(home, open_keys(home))
    assert sealed_size(home) == 109
    assert verify(home).verdict == 1


def peak_of(home):
    keys = open_keys(home)
    tracemalloc.start()
    try:
        assert seal(home, keys)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_longer_log_takes_no_more_memory(tmp_path, event, monkeypatch, either_store, home_like):
    monkeypatch.setattr(sealer, "_CHUNK", 400_000)
    peaks = {}
    for count in (3_000, 12_000):
        home = home_like(tmp_path / str(count))
        ledger = Ledger.open(home, seal=False)
        for n in range(count):
            ledger.append(event(call=f"c-{n}"))
            if not n % 200:
                assert ledger._signer.sign_now(10)
        ledger.close(timeout=60)
        peaks[count] = peak_of(home)
        assert sealed_size(home) == count + 2
    # An event is half a kilobyte.
    assert peaks[12_000] - peaks[3_000] < 100 * 9_000, peaks
