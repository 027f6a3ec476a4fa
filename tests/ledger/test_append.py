"""The append: what is on the disk when it returns, and how the log hangs together."""

import hashlib
import json
import os
import stat
import threading
import time

import msgspec
import pytest

from guardai.errors import LedgerError
from guardai.ledger import Ledger, events, find, raw, verify
from guardai.ledger.ratchet import step


def spool_of(home):
    (path,) = (home / "ledger" / "spool").glob("*.jsonl")
    return path


def lines_of(home):
    return [line.rpartition(b"\t") for line in spool_of(home).read_bytes().split(b"\n")[:-1]]


def test_opening_a_ledger_starts_no_thread_and_opens_no_log(home):
    before = threading.active_count()
    Ledger.open(home)
    assert threading.active_count() == before
    assert list((home / "ledger" / "spool").iterdir()) == []


def test_event_is_in_the_spool_when_append_returns(home, open_ledger, event):
    ledger = open_ledger()
    name = ledger.append(event())
    last = json.loads(lines_of(home)[-1][0])
    assert last["id"] == name
    assert last["kind"] == "call.intent"


def test_first_event_of_a_log_says_who_writes_it(home, open_ledger, event):
    open_ledger(environment="prod").append(event())
    first = json.loads(lines_of(home)[0][0])
    assert first["kind"] == "log.open"
    assert first["body"]["environment"] == "prod"
    assert {"certificate", "host", "pid", "ratchet"} <= first["body"].keys()


def test_each_event_names_the_leaf_hash_of_the_one_before(home, open_ledger, event):
    ledger = open_ledger()
    for _ in range(20):
        ledger.append(event())
    prev = "0" * 64
    for seq, (data, _, _) in enumerate(lines_of(home)):
        read = json.loads(data)
        assert (read["prev"], read["seq"], read["id"]) == (prev, seq, f"{read['log']}-{seq:x}")
        prev = hashlib.sha256(b"\0" + data).hexdigest()


def test_tags_are_those_of_the_plain_ratchet(home, open_ledger, event):
    from guardai.ledger.trust import trust
    from guardai.ledger.opening import read_opening

    ledger = open_ledger()
    for _ in range(10):
        ledger.append(event())
    lines = lines_of(home)
    key = read_opening(lines[0][0], spool_of(home).stem, trust(home)).ratchet
    for data, _, tag in lines:
        expected, key = step(key, hashlib.sha256(b"\0" + data).digest())
        assert tag.decode() == expected


def test_ratchet_start_is_nowhere_in_the_clear(home, open_ledger, event):
    from guardai.ledger.trust import trust
    from guardai.ledger.opening import read_opening

    open_ledger().append(event())
    content = spool_of(home).read_bytes()
    key = read_opening(lines_of(home)[0][0], spool_of(home).stem, trust(home)).ratchet
    assert key not in content
    assert key.hex().encode() not in content


def test_ledger_object_forgets_the_keys_of_earlier_tags(open_ledger, event):
    ledger = open_ledger()
    ledger.append(event())
    key = ledger._spool._state[3]
    ledger.append(event())
    assert ledger._spool._state[3] != key
    assert ledger._spool._pending is ledger._spool._state


def test_constant_parts_may_come_encoded(home, open_ledger, event):
    principal = raw({"user": "u", "agent": "a"})
    ledger = open_ledger()
    name = ledger.append(event(principal=principal))
    assert b'"principal":{"agent":"a","user":"u"}' in find(home, name)


def test_threads_share_one_log_and_lose_nothing(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    names = [[] for _ in range(32)]

    def write(mine):
        for n in range(50):
            mine.append(ledger.append(event(call=f"{id(mine)}-{n}")))

    threads = [threading.Thread(target=write, args=(mine,)) for mine in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
    every = [name for mine in names for name in mine]
    assert len(set(every)) == 32 * 50
    assert {json.loads(data)["id"] for data in events(home)} >= set(every)
    report = verify(home)
    assert (report.verdict, report.logs, report.events) == (0, 1, 32 * 50 + 2)


def test_close_is_signed_and_may_be_repeated(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    ledger.append(event())
    ledger.close()
    ledger.close()
    kinds = [json.loads(data)["kind"] for data in events(home)]
    assert kinds == ["log.open", "call.intent", "log.close"]
    report = verify(home, adopt=False)
    assert (report.signed, report.recovered, report.unsigned) == (3, 0, 0)


def test_append_after_close_opens_a_log_that_names_the_closed_one(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    first = ledger.append(event())
    ledger.close()
    second = ledger.append(event())
    ledger.close()
    opened = json.loads(find(home, second.rpartition("-")[0] + "-0"))
    assert opened["body"]["parent"] == {"log": first.rpartition("-")[0], "seq": 2}
    assert verify(home).verdict == 0


def test_closing_an_unused_ledger_leaves_no_log(home, open_ledger):
    open_ledger().close()
    assert list(events(home)) == []
    assert verify(home).verdict == 0


def test_heads_are_signed_without_close(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    ledger.append(event())
    deadline = time.monotonic() + 10
    while verify(home, adopt=False).unsigned and time.monotonic() < deadline:
        time.sleep(0.02)
    report = verify(home, adopt=False)
    assert (report.signed, report.unsigned, report.verdict) == (2, 0, 0)


def test_events_after_a_long_pause_are_signed_too(home, open_ledger, event, monkeypatch):
    from guardai.ledger import signer

    monkeypatch.setattr(signer, "_PATIENCE", 1)
    ledger = open_ledger(seal=False)
    ledger.append(event())
    time.sleep(0.6)  # the thread has gone to sleep for good meanwhile
    ledger.append(event())
    deadline = time.monotonic() + 10
    while verify(home, adopt=False).unsigned and time.monotonic() < deadline:
        time.sleep(0.02)
    assert verify(home, adopt=False).unsigned == 0


def test_background_seals_while_the_log_is_being_written(home, open_ledger, event):
    ledger = open_ledger()
    ledger.append(event())
    deadline = time.monotonic() + 15
    while not (home / "ledger" / "store.db").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    ledger.append(event())
    ledger.close()
    report = verify(home)
    assert (report.verdict, report.events, report.logs) == (0, 4, 1)


def test_flush_folds_the_signed_part_of_a_live_log(home, open_ledger, event):
    ledger = open_ledger()
    ledger.append(event())
    assert ledger.flush()
    first = verify(home, adopt=False)
    assert (first.verdict, first.events, first.checkpoints) == (0, 2, 1)
    ledger.append(event())
    assert ledger.flush()
    second = verify(home, adopt=False)
    assert (second.verdict, second.events) == (0, 3)


@pytest.mark.parametrize("mode", ["spool", "signed", "strict"])
def test_every_mode_leaves_a_whole_ledger(home, open_ledger, event, mode):
    ledger = open_ledger(mode=mode)
    for _ in range(20):
        ledger.append(event())
    ledger.close()
    report = verify(home)
    assert (report.verdict, report.signed) == (0, 22)


def test_signed_mode_signs_each_event_before_it_returns(home, open_ledger, event):
    ledger = open_ledger(mode="signed", seal=False)
    for n in range(5):
        ledger.append(event())
        assert verify(home, adopt=False).unsigned == 0
        heads = (home / "ledger" / "spool").glob("*.sig")
        assert next(heads).read_bytes().count(b"\n") == n + 2


def test_strict_mode_syncs_before_it_returns(open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    synced = []
    real = spool._sync
    monkeypatch.setattr(spool, "_sync", lambda fd: synced.append(real(fd)))
    ledger = open_ledger(mode="strict")
    ledger.append(event())
    assert len(synced) == 2  # log.open and the event


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="Windows syncs no folder")
def test_name_of_a_log_is_on_the_disk_where_its_events_are_to_be(home, open_ledger, event, monkeypatch):
    synced, real = [], os.fsync

    def noted(fd):
        synced.append(stat.S_ISDIR(os.fstat(fd).st_mode))
        real(fd)

    monkeypatch.setattr(os, "fsync", noted)
    ledger = open_ledger(seal=False)
    ledger.append(event())
    assert True not in synced
    for _ in range(2):
        ledger.append(event(), mode="strict")
    assert synced.count(True) == 1
    synced.clear()
    open_ledger(seal=False, mode="strict").append(event())
    assert synced.count(True) == 1


def test_single_event_is_on_the_disk_or_signed_where_that_is_asked_for(open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    synced = []
    real = spool._sync
    monkeypatch.setattr(spool, "_sync", lambda fd: synced.append(real(fd)))
    ledger = open_ledger(seal=False)
    ledger.append(event())
    assert not synced
    ledger.append(event(), mode="strict")
    assert len(synced) == 2  # what was written and its signature
    assert ledger._spool.signed == ledger._spool.last
    for mode in ("signed", "signed", "strict"):
        name = ledger.append(event(), mode=mode)
    ledger.append(event(), mode="signed")
    assert ledger._spool.signed == ledger._spool.last == int(name.rpartition("-")[2], 16) + 1
    assert len(synced) == 4


def test_event_that_does_not_reach_the_disk_is_refused_where_that_is_asked_for(home, open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    def broken(_):
        raise OSError(5, "Input/output error")

    ledger = open_ledger(seal=False)
    ledger.append(event())
    monkeypatch.setattr(spool, "_sync", broken)
    with pytest.raises(LedgerError, match=r"\(@ledger strict\): Input/output error; nothing was done"):
        ledger.append(event(), mode="strict")
    assert ledger.append(event(), outcome=True, mode="strict")
    assert ledger.append(event())
    monkeypatch.undo()
    ledger.close()
    assert verify(home).verdict == 0


def test_event_that_begins_another_log_is_on_the_disk_there(open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    synced = []
    real = spool._sync
    monkeypatch.setattr(spool, "_sync", lambda fd: synced.append(real(fd)))
    ledger = open_ledger(seal=False)
    first = ledger.append(event(), mode="strict")
    ledger._spool._until = ledger._spool._expiry = 0
    second = ledger.append(event(), mode="strict")
    assert first[:16] != second[:16]
    assert len(synced) == 4


@pytest.mark.parametrize("options", [{"mode": "paper"}, {"on_full": "shrug"}])
def test_unknown_choice_is_refused_with_the_choices(home, options):
    with pytest.raises(LedgerError, match="mode|on_full"):
        Ledger.open(home, **options)


def test_clock_that_steps_back_a_little_keeps_the_order(home, open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    ledger = open_ledger(seal=False)
    ledger.append(event())
    now = time.time_ns()
    monkeypatch.setattr(spool, "time_ns", lambda: now - 1_000_000_000)
    ledger.append(event())
    monkeypatch.undo()
    ledger.close()
    times = [json.loads(data)["ts"] for data in events(home)]
    assert times == sorted(times)
    report = verify(home)
    assert (report.verdict, report.logs) == (0, 1)


def test_clock_that_steps_back_far_starts_a_new_log(home, open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    ledger = open_ledger(seal=False)
    first = ledger.append(event())
    now = time.time_ns()
    monkeypatch.setattr(spool, "time_ns", lambda: now - 3600 * 10**9)
    second = ledger.append(event())
    ledger.append(event())
    monkeypatch.undo()
    ledger.close()
    assert first.partition("-")[0] != second.partition("-")[0]
    report = verify(home)
    assert (report.verdict, report.logs) == (0, 2)


def test_log_whose_key_expires_is_followed_by_another(home, open_ledger, event, monkeypatch):
    from guardai.ledger import spool

    ledger = open_ledger(seal=False)
    first = ledger.append(event())
    now = time.time_ns()
    monkeypatch.setattr(spool, "time_ns", lambda: now + 400 * 86_400 * 10**9)
    second = ledger.append(event())
    monkeypatch.undo()
    assert first.partition("-")[0] != second.partition("-")[0]


def test_log_that_grew_large_is_followed_by_another(home, open_ledger, event, monkeypatch):
    from guardai.ledger import ledger as room

    monkeypatch.setattr(room, "_ROLL_SIZE", 10_000)
    ledger = open_ledger(seal=False)
    for _ in range(50):
        ledger.append(event())
    ledger._housekeep()
    ledger.append(event())
    ledger.close()
    report = verify(home)
    assert (report.verdict, report.logs, report.events) == (0, 2, 51 + 4)


def test_commitment_key_is_constant_for_a_home_and_differs_between_homes(tmp_path):
    one, again, other = (Ledger.open(tmp_path / name).commitment_key for name in ("a", "a", "b"))
    assert one == again
    assert one != other
    assert len(one) == 32


def test_home_can_be_moved(home, open_ledger, event, tmp_path):
    ledger = open_ledger()
    ledger.append(event())
    ledger.close()
    moved = tmp_path / "elsewhere"
    home.rename(moved)
    ledger = open_ledger(moved)
    ledger.append(event())
    ledger.close()
    report = verify(moved)
    assert (report.verdict, report.events) == (0, 6)
    assert str(home).encode() not in (moved / "ledger" / "store.db").read_bytes()


def test_parts_are_checked_once_even_if_thousands_differ(open_ledger, event):
    ledger = open_ledger(seal=False)
    for n in range(5000):
        ledger.append(event(decision=msgspec.Raw(b'{"n":%d}' % n)))
