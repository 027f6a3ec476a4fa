"""Old logs leave the store once they are in an export; what is left is proven as before, and nothing else may be missing."""

import json
import shutil
import subprocess
import sys
import time

import pytest
import stores
from stores import alter, store_of

from guardai.errors import LedgerError
from guardai.ledger import (
    Ledger,
    ProofError,
    Pump,
    accounts,
    check_proof,
    events,
    export,
    find,
    open_keys,
    prove,
    prune,
    public_key,
    revoke,
    rotate,
    seal,
    sink_name,
    stats,
    verify,
    verify_export,
)
from guardai.ledger import pruning
from guardai.ledger.account import Account, SinkFiles
from guardai.ledger.layout import Layout
from guardai.ledger.place import read_store
from guardai.lineage import EdgeTable

pytestmark = [pytest.mark.made_up_events, pytest.mark.usefixtures("either_store")]

EDGE = [{"evidence": "exact", "from": "ab" * 8 + "-1"}]


def write(home, event, count, **options):
    """One log with so many calls; the ids of their events."""
    ledger = Ledger.open(home, projection=EdgeTable(), **options)
    ids = [ledger.append(event(call=f"c-{n}", lineage=EDGE)) for n in range(count)]
    assert ledger.flush()
    ledger.close()
    return ids


@pytest.fixture
def old(home, event):
    """A home with two logs (12 and 300 events) that ended before `now`, and one (7) that ended later."""
    first = write(home, event, 10)
    second = write(home, event, 298)
    time.sleep(0.01)
    now = time.time_ns() // 1000
    time.sleep(0.01)
    later = write(home, event, 5)
    return now, first, second, later


def pruned(home, now, folder, **options):
    return prune(home, folder, until=now, by="ops", projection=EdgeTable(), **options)


def codes(report):
    return {fault.code for fault in report.faults}


# ---- what is good ----


def test_old_logs_leave_the_store_and_the_rest_is_whole(home, old, tmp_path):
    now, first, second, later = old
    kept = list(events(home))
    done = pruned(home, now, tmp_path / "out")
    assert (done.logs, done.events, done.exported, done.waiting) == (2, 312, 319, 0)
    report = verify(home, projection=EdgeTable())
    assert (report.verdict, report.faults, report.pruned, report.events) == (0, [], 312, 10)
    left = [json.loads(one) for one in events(home)]
    assert [one["kind"] for one in left].count("log.pruned") == 1
    assert {one["log"] for one in left}.isdisjoint({first[0][:16], second[0][:16]})
    assert kept[-7:] == list(events(home))[:7]
    assert (find(home, first[3]), find(home, later[3])) == (None, kept[-3])


def test_export_has_all_that_was_pruned_and_holds(home, old, tmp_path):
    kept = list(events(home))
    pruned(home, old[0], tmp_path / "out")
    report = verify_export(tmp_path / "out", key=home / "keys" / "root.pub")
    assert (report.verdict, report.events, report.pruned) == (0, 319, 0)
    from guardai.ledger.auditor import entries

    assert sorted(entries(tmp_path / "out", 319)) == sorted(kept)


def test_event_tells_what_left_and_where_it_was_put(home, old, tmp_path):
    now, first, second, _ = old
    pruned(home, now, tmp_path / "out")
    (told,) = [one for one in map(json.loads, events(home)) if one["kind"] == "log.pruned"]
    assert told["principal"]["user"] == "ops"
    assert [(one["log"], one["events"]) for one in told["body"]["logs"]] == [(first[0][:16], 12), (second[0][:16], 300)]
    assert (told["body"]["before"], told["body"]["size"]) == (now, 319)
    checkpoint = (tmp_path / "out" / "checkpoint").read_text().split("\n")
    import base64

    assert told["body"]["root"] == base64.b64decode(checkpoint[2]).hex()


def test_what_is_left_is_proven_and_what_is_gone_is_said_to_be_pruned(home, old, tmp_path):
    now, first, _, later = old
    before = prove(home, first[3])
    pruned(home, now, tmp_path / "out")
    root = public_key(home / "keys" / "root.pub")
    assert check_proof(prove(home, later[2]), root).id == later[2]
    assert check_proof(before, root).id == first[3]
    with pytest.raises(ProofError, match="its log was pruned, and an export has it"):
        prove(home, first[3])
    with pytest.raises(ProofError, match="there is no event") as caught:
        prove(home, "ab" * 8 + "-1")
    assert "pruned" not in str(caught.value)


def test_programs_go_on_recording_and_sealing(home, event, old, tmp_path):
    pruned(home, old[0], tmp_path / "out")
    write(home, event, 400)
    report = verify(home, projection=EdgeTable())
    assert (report.verdict, report.faults, report.pruned, report.events) == (0, [], 312, 412)


def test_export_after_a_pruning_holds_and_names_what_is_missing(home, event, old, tmp_path):
    pruned(home, old[0], tmp_path / "out")
    write(home, event, 300)
    export(home, tmp_path / "again")
    report = verify_export(tmp_path / "again", key=home / "keys" / "root.pub")
    assert (report.verdict, report.faults, report.pruned, report.events) == (0, [], 312, 312)
    done = subprocess.run(
        [sys.executable, tmp_path / "again" / "verify.py"], capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, "312 more were pruned" in done.stdout) == (0, True), done.stdout


def test_second_pruning_takes_what_has_become_old_and_leaves_what_tells_of_the_first(home, event, old, tmp_path):
    pruned(home, old[0], tmp_path / "out")
    done = pruned(home, time.time_ns() // 1000, tmp_path / "second")
    assert (done.logs, done.events) == (1, 7)
    report = verify(home, projection=EdgeTable())
    assert (report.verdict, report.faults, report.pruned) == (0, [], 319)
    assert verify_export(tmp_path / "second").verdict == 0
    assert pruned(home, time.time_ns() // 1000, tmp_path / "third").exported == 0
    assert not (tmp_path / "third").exists()


def test_nothing_to_prune_makes_no_export_and_records_nothing(home, old, tmp_path):
    before = list(events(home))
    assert pruned(home, 1, tmp_path / "out").logs == 0
    assert not (tmp_path / "out").exists()
    assert list(events(home)) == before


def test_statistics_count_what_is_there(home, old, tmp_path):
    before = stats(home)
    assert (before.events, before.pruned, before.logs) == (319, 0, 3)
    pruned(home, old[0], tmp_path / "out")
    after = stats(home)
    assert (after.events, after.pruned, after.logs, after.open, after.head) == (10, 312, 2, 0, 322)


def test_derived_rows_leave_with_their_events(home, old, tmp_path):
    _, first, _, later = old
    pruned(home, old[0], tmp_path / "out")
    with read_store(Layout(home)) as store:
        named = {row[0] for row in store.db.execute("SELECT event FROM edges")}
    assert named == set(later)


def test_projection_that_comes_later_catches_up_over_the_holes(home, event, old, tmp_path):
    pruned(home, old[0], tmp_path / "out")
    alter(home, "DROP TABLE edges")
    alter(home, "DELETE FROM derived")
    seal(home, open_keys(home), EdgeTable())
    report = verify(home, projection=EdgeTable())
    assert (report.verdict, report.faults) == (0, [])


# ---- what stays ----


def test_log_that_is_being_written_stays(home, event, tmp_path, open_ledger):
    ledger = open_ledger(home)
    ledger.append(event())
    ledger.flush()
    assert pruned(home, time.time_ns() // 1000, tmp_path / "out").logs == 0


def test_log_with_a_certificate_or_a_revocation_stays(home, old, tmp_path):
    former = rotate(home).former
    revoke(home, former, since=time.time_ns() // 1000)
    done = pruned(home, time.time_ns() // 1000, tmp_path / "out")
    assert done.logs >= 3
    kinds = {json.loads(one)["kind"] for one in events(home)}
    assert {"key.certified", "key.revoked"} <= kinds
    assert not codes(verify(home))


def test_what_a_sink_has_not_had_stays_also_if_no_setting_here_names_it(home, old, tmp_path):
    url = f"jsonl://{tmp_path}/sink.jsonl"
    files = SinkFiles(home, sink_name(url))
    files.folder.mkdir(parents=True, exist_ok=True)
    files.write(Account(next=100))
    done = pruned(home, old[0], tmp_path / "out", sinks=[url])
    assert (done.logs, done.events, done.waiting) == (1, 12, 1)
    assert pruned(home, old[0], tmp_path / "more").waiting == 1
    assert pruned(home, old[0], tmp_path / "new", sinks=[url, "jsonl:///elsewhere"]).waiting == 1


class Collecting:
    """Takes everything."""

    def __init__(self):
        self.events = []

    def deliver(self, events, *, seconds):
        self.events += events

    def close(self):
        """Nothing is open."""


def test_sink_that_comes_later_gets_what_is_left_and_each_event_is_accounted_for(home, event, old, tmp_path):
    pruned(home, old[0], tmp_path / "out")
    sink = Collecting()
    Pump(home, {"jsonl:///later": sink}).once()
    assert sorted(sink.events) == sorted(events(home))
    (one,) = accounts(home, ["jsonl:///later"])
    assert (one.sealed, one.delivered, one.quarantined, one.pruned, one.waiting) == (322, 10, 0, 312, 0)
    write(home, event, 3)
    Pump(home, {"jsonl:///later": sink}).once()
    (one,) = accounts(home, ["jsonl:///later"])
    assert (one.delivered, one.pruned, one.waiting, len(sink.events)) == (15, 312, 0, 15)


def test_sink_goes_on_after_what_it_had_was_pruned(home, event, old, tmp_path):
    sink = Collecting()
    Pump(home, {"jsonl:///one": sink}).once()
    assert len(sink.events) == 319
    pruned(home, old[0], tmp_path / "out", sinks=["jsonl:///one"])
    Pump(home, {"jsonl:///one": sink}).once()
    (one,) = accounts(home, ["jsonl:///one"])
    assert (len(sink.events), one.delivered, one.pruned, one.waiting) == (322, 322, 0, 0)


# ---- what must be found ----


@pytest.fixture
def after(home, old, tmp_path):
    """A pruned home."""
    pruned(home, old[0], tmp_path / "out")
    return home


def number(home, log):
    with store_of(home) as db:
        return db.execute("SELECT n FROM logs WHERE log = ?", (log,)).fetchone()[0]


def test_log_that_was_removed_without_a_trace_is_found(after, old):
    n = number(after, old[3][0][:16])
    for table, column in (("events", "log"), ("heads", "log"), ("logs", "n")):
        alter(after, f"DELETE FROM {table} WHERE {column} = ?", n)  # noqa: S608
    assert codes(verify(after)) == {"tree"}


def test_log_that_only_the_store_says_was_pruned_is_found(after, old):
    n = number(after, old[3][0][:16])
    alter(after, "DELETE FROM events WHERE log = ?", n)
    alter(after, "DELETE FROM heads WHERE log = ?", n)
    alter(after, "UPDATE logs SET ended = 2 WHERE n = ?", n)
    assert {"missing", "tree"} <= codes(verify(after))


def test_removed_event_that_tells_of_a_pruning_is_found(after):
    alter(after, "DELETE FROM events WHERE log = (SELECT max(n) FROM logs)")
    assert "missing" in codes(verify(after))


def test_altered_event_that_tells_of_a_pruning_is_found(after, old):
    """So that it would name a log more."""
    later = old[3][0][:16]
    n = number(after, later)
    with store_of(after) as db:
        leaf, data = db.execute("SELECT max(leaf) - 1, NULL FROM events").fetchone()
        (data,) = db.execute("SELECT bytes FROM events WHERE leaf = ?", (leaf,)).fetchone()
    told = json.loads(bytes(data))
    assert told["kind"] == "log.pruned"
    told["body"]["logs"].append({"events": 7, "hash": "00" * 32, "log": later})
    forged = json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    alter(after, "UPDATE events SET bytes = ? WHERE leaf = ?", forged, leaf)
    assert "changed" in codes(verify(after))
    alter(after, "DELETE FROM events WHERE log = ?", n)
    alter(after, "DELETE FROM heads WHERE log = ?", n)
    alter(after, "UPDATE logs SET ended = 2 WHERE n = ?", n)
    assert "changed" in codes(verify(after))


@pytest.mark.parametrize(
    "change", ["events = events + 1", "events = events - 1", "hash = '00'", "ended = 1", "ended = 0"]
)
def test_row_of_a_pruned_log_that_was_altered_is_found(after, old, change):
    alter(after, f"UPDATE logs SET {change} WHERE n = ?", number(after, old[1][0][:16]))  # noqa: S608
    assert codes(verify(after)) == {"derived"}


def test_row_of_a_pruned_log_that_was_removed_is_found(after, old):
    alter(after, "DELETE FROM logs WHERE n = ?", number(after, old[1][0][:16]))
    assert codes(verify(after)) == {"derived"}


def test_head_of_a_pruned_log_is_found(after, old):
    n = number(after, old[1][0][:16])
    alter(
        after, "INSERT INTO heads SELECT ?, seq, hash, by, ts, sig FROM heads WHERE log <> ? ORDER BY log LIMIT 1", n, n
    )
    assert codes(verify(after)) == {"signature"}


def test_tile_of_pruned_events_that_was_altered_is_found(after):
    alter(after, "UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND idx = 0")
    assert "tree" in codes(verify(after))


def test_part_of_a_pruned_log_that_was_put_back_is_found(home, old, copy, tmp_path):
    with store_of(home) as db:
        row = db.execute("SELECT leaf, log, seq, ts, bytes FROM events WHERE leaf = 3").fetchone()
    pruned(home, old[0], tmp_path / "out")
    alter(home, "INSERT INTO events VALUES (?, ?, ?, ?, ?, NULL)", *row)
    assert {"missing", "tree"} <= codes(verify(home))


def test_store_set_back_to_before_a_pruning_is_found(home, old, copy, tmp_path):
    earlier = copy(home)
    pruned(home, old[0], tmp_path / "out")
    stores.put_back(earlier, home)
    assert "rolled_back" in codes(verify(home))


def hole(folder, index, width, place):
    """Takes one event out of an export's bundle."""
    from guardai.ledger.auditor import tile_path

    path = folder / tile_path("entries", index, width)
    data, parts, at = path.read_bytes(), [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2])
        parts.append(data[at : at + 2 + length])
        at += 2 + length
    parts[place] = b"\0\0"
    path.write_bytes(b"".join(parts))


def test_hole_in_an_export_that_no_event_tells_of_is_found(home, old, tmp_path):
    export(home, tmp_path / "out")
    hole(tmp_path / "out", 0, 256, 5)
    assert {"missing"} == codes(verify_export(tmp_path / "out"))


def test_log_that_is_missing_in_an_export_without_an_event_is_found(after, tmp_path):
    export(after, tmp_path / "again")
    for place in range(312 - 256, 319 - 256):  # the whole of the log that was left
        hole(tmp_path / "again", 1, 322 - 256, place)
    heads = tmp_path / "again" / "heads.jsonl"
    lines = heads.read_text().splitlines(keepends=True)
    assert "missing" in codes(verify_export(tmp_path / "again"))
    heads.write_text(lines[-1])
    assert "missing" in codes(verify_export(tmp_path / "again"))


def test_event_cut_out_of_the_store_is_not_exported_as_if_it_had_been_pruned(after, old, tmp_path):
    alter(after, "DELETE FROM events WHERE log = ? AND seq = 2", number(after, old[3][0][:16]))
    with pytest.raises(LedgerError, match="missing or damaged"):
        export(after, tmp_path / "again")


# ---- what goes wrong on the way ----


def test_ledger_that_does_not_hold_is_not_pruned(home, old, tmp_path):
    alter(home, "UPDATE events SET bytes = replace(bytes, 'db.read', 'db.rear') WHERE leaf = 20")
    with pytest.raises(LedgerError, match="hold, so nothing is pruned"):
        pruned(home, old[0], tmp_path / "out")
    with store_of(home) as db:
        assert db.execute("SELECT count(*) FROM events").fetchone()[0] == 319


def test_folder_that_holds_something_is_refused_before_anything_is_done(home, old, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    before = list(events(home))
    with pytest.raises(LedgerError):
        pruned(home, old[0], tmp_path / "out")
    assert list(events(home)) == before


def test_export_that_was_damaged_on_its_way_to_the_disk_stops_it(home, old, tmp_path, monkeypatch):
    def damaged(*given):
        done = export(*given)
        bundle = tmp_path / "out" / "tile" / "entries" / "000"
        bundle.write_bytes(bundle.read_bytes().replace(b"c-3", b"c-4"))
        return done

    monkeypatch.setattr(pruning, "export", damaged)
    before = list(events(home))
    with pytest.raises(LedgerError, match="does not hold"):
        pruned(home, old[0], tmp_path / "out")
    assert list(events(home)) == before


def test_nothing_is_removed_unless_what_tells_of_it_is_in_the_store(home, old, tmp_path, monkeypatch):
    monkeypatch.setattr(pruning, "_record", lambda *_: "ab" * 8 + "-1")
    with pytest.raises(LedgerError, match="is not sealed, so nothing is removed"):
        pruned(home, old[0], tmp_path / "out")
    assert (verify(home, projection=EdgeTable()).verdict, stats(home).pruned) == (0, 0)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["_record", "_remove", "_remove_log"])
def test_pruning_that_is_killed_leaves_a_whole_ledger_and_is_finished_by_the_next(
    home, old, tmp_path, monkeypatch, step
):
    real, calls = getattr(pruning, step), []

    def killed(*given):
        calls.append(step)
        if len(calls) == (2 if step == "_remove_log" else 1):
            raise Killed
        return real(*given)

    monkeypatch.setattr(pruning, step, killed)
    with pytest.raises(Killed):
        pruned(home, old[0], tmp_path / "out")
    monkeypatch.undo()
    report = verify(home, projection=EdgeTable())
    assert (report.verdict, report.faults, report.pruned) == (0, [], 0)
    done = pruned(home, old[0], tmp_path / "again")
    assert (done.logs, done.events) == (2, 312)
    report = verify(home, projection=EdgeTable())
    assert (report.verdict, report.faults, report.pruned) == (0, [], 312)
    assert [json.loads(one)["kind"] for one in events(home)].count("log.pruned") == 1


def test_pruning_killed_between_two_parts_is_finished_without_another_event(home, event, tmp_path, monkeypatch):
    for _ in range(5):
        write(home, event, 1)
    monkeypatch.setattr(pruning, "_LOGS", 2)
    real, calls = pruning._remove_log, []

    def killed(*given):
        calls.append(0)
        if len(calls) == 4:
            raise Killed
        return real(*given)

    monkeypatch.setattr(pruning, "_remove_log", killed)
    with pytest.raises(Killed):
        pruned(home, time.time_ns() // 1000, tmp_path / "out")
    report = verify(home, projection=EdgeTable())
    assert (report.verdict, report.faults, report.pruned) == (0, [], 6)
    monkeypatch.setattr(pruning, "_remove_log", real)
    before = sum(json.loads(one)["kind"] == "log.pruned" for one in events(home))
    assert pruned(home, 1, tmp_path / "again").logs == 3
    assert sum(json.loads(one)["kind"] == "log.pruned" for one in events(home)) == before == 3
    assert verify(home, projection=EdgeTable()).pruned == 15


def test_programs_that_record_while_it_prunes_lose_nothing(home, event, old, tmp_path, start_python):
    writer = start_python(
        """
        ledger = Ledger.open(home)
        print("ready", flush=True)
        for n in range(400):
            ledger.append(event(call=f"w-{n}"))
            time.sleep(0.002)
        ledger.close()
        """
    )
    assert writer.stdout.readline() == "ready\n"
    assert pruned(home, old[0], tmp_path / "out").events == 312
    assert writer.wait(60) == 0
    seal(home, open_keys(home))
    report = verify(home, projection=EdgeTable())
    assert (report.verdict, report.faults, report.pruned) == (0, [], 312)
    assert sum(json.loads(one).get("call", "").startswith("w-") for one in events(home)) == 400


def test_spool_of_a_pruned_log_that_comes_back_is_cleared_away(home, event, tmp_path):
    """A host that died after the commit still has it."""
    ledger = Ledger.open(home, seal=False)
    ledger.append(event())
    ledger.close()
    spools = Layout(home).spools
    shutil.copytree(spools, tmp_path / "spools")
    seal(home, open_keys(home), EdgeTable())
    pruned(home, time.time_ns() // 1000, tmp_path / "out")
    shutil.copytree(tmp_path / "spools", spools, dirs_exist_ok=True)
    assert list(spools.glob("*.jsonl"))
    seal(home, open_keys(home), EdgeTable())
    assert not list(spools.glob("*.jsonl"))
    report = verify(home, projection=EdgeTable())
    assert (report.verdict, report.faults, report.pruned) == (0, [], 3)


def test_child_of_a_pruned_log_is_not_missing_its_parent(home, event, tmp_path, run_python):
    run_python(
        """
        ledger = Ledger.open(home)
        ledger.append(event())
        child = os.fork()
        if not child:
            os.read(0, 1)
            ledger.append(event(call="child"))
            ledger.close()
            os._exit(0)
        ledger.close()
        """,
        stdin=subprocess.DEVNULL,
    )
    seal(home, open_keys(home), EdgeTable())
    with read_store(Layout(home)) as store:
        first = store.db.execute("SELECT log FROM logs WHERE n = 1").fetchone()[0]
        ends = store.db.execute(
            "SELECT max(ts) FROM events JOIN logs ON logs.n = events.log WHERE logs.log = ?", (first,)
        ).fetchone()[0]
    pruned(home, ends + 1, tmp_path / "out")
    report = verify(home, projection=EdgeTable())
    assert (report.verdict, report.faults, report.pruned > 0) == (0, [], True)
    export(home, tmp_path / "again")
    assert verify_export(tmp_path / "again").verdict == 0
