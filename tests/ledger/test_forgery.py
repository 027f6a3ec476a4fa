"""Attacks by somebody who holds a key, or another copy of the ledger: found and named, or within the window that is printed."""

import contextlib
import json
import shutil

import pytest
from stores import alter, content_of, put_back, store_of

from guardai.ledger import Ledger, events, export, seal, sealer, verify, verify_export
from guardai.ledger.heads import sign_head
from guardai.ledger.keys import open_keys
from guardai.ledger.layout import Layout
from guardai.ledger.merkle import leaf_hash
from guardai.ledger.note import Checkpoint, sign_checkpoint
from guardai.ledger.place import open_store, read_store
from guardai.ledger.ratchet import step
from guardai.ledger.treecheck import Leaves, StoredTree, read_checkpoints, read_tree
from guardai.ledger.trust import trust


pytestmark = [pytest.mark.made_up_events, pytest.mark.usefixtures("either_store")]


def canonical(event):
    return json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def spool_of(home, log=None):
    found = [path for path in (home / "ledger" / "spool").glob("*.jsonl") if log in (None, path.stem)]
    (path,) = found
    return path


def faults_of(report):
    return {(fault.code, fault.seq) for fault in report.faults}


def found(home, **options):
    report = verify(home, **options)
    return report.verdict, faults_of(report)


class Thief:
    """What somebody has who read a writing process's memory at one moment: the key of its log, and of the log's next tag."""

    def __init__(self, ledger, spool=None, key=None):
        spool = spool or ledger._spool
        self.log, self.key, self.by = spool.log, key or spool._key, spool.key
        end, self.seq, self.prev, self.ratchet, self.ts = spool._state
        self.before = spool.path.read_bytes()[:end]

    def event(self, seq, prev, **fields):
        return {
            "action": "db.read",
            "call": f"forged-{seq}",
            "id": f"{self.log}-{seq:x}",
            "key": self.by,
            "kind": "call.intent",
            "log": self.log,
            "prev": prev,
            "principal": {"agent": "forger"},
            "seq": seq,
            "ts": self.ts + seq,
            "v": 1,
            **fields,
        }

    def head(self, seq, leaf, ts):
        return sign_head(self.key, self.by, log=self.log, seq=seq, leaf=leaf, ts=ts).line()

    def go_on(self, home, *changes, spell=canonical):
        """Continues the log from the moment of the theft, in place of whatever follows in that home, and signs it."""
        seq, prev, ratchet, lines, event = self.seq, self.prev, self.ratchet, [], {"ts": self.ts}
        for change in changes:
            event = self.event(seq, prev, **change)
            data = spell(event)
            leaf = leaf_hash(data)
            tag, ratchet = step(ratchet, leaf)
            lines.append(data + b"\t" + tag.encode() + b"\n")
            prev, seq = leaf.hex(), seq + 1
        path = home / "ledger" / "spool" / f"{self.log}.jsonl"
        path.write_bytes(self.before + b"".join(lines))
        path.with_suffix(".sig").write_bytes(self.head(seq - 1, prev, event["ts"]))
        return path

    def cut(self, home, left):
        """Cuts the spool to so many events and signs its new end."""
        path = spool_of(home, self.log)
        lines = path.read_bytes().splitlines(keepends=True)[:left]
        path.write_bytes(b"".join(lines))
        last = lines[-1].rpartition(b"\t")[0]
        path.with_suffix(".sig").write_bytes(self.head(left - 1, leaf_hash(last).hex(), json.loads(last)["ts"]))


CLOSE = {"kind": "log.close"}


@pytest.fixture
def writing(home, open_ledger, event):
    """A ledger that has recorded five calls (events 0 to 5), and is not sealed."""
    ledger = open_ledger(seal=False)
    for n in range(5):
        ledger.append(event(call=f"c-{n}"))
    return ledger


# --- the log is forked: two continuations, both well made


@pytest.mark.parametrize("piece", [sealer._CHUNK, 1500])
def test_other_continuation_of_a_sealed_log_is_found_and_neither_folded_nor_countersigned(
    home, writing, event, copy, piece, monkeypatch
):
    monkeypatch.setattr(sealer, "_CHUNK", piece)
    thief = Thief(writing)
    for _ in range(5):
        writing.append(event())
    writing.flush()
    other = copy(home)
    path = thief.go_on(other, *[{}] * 8)
    forged = path.read_bytes()
    assert found(other) == (1, {("differs", 10)})
    assert path.read_bytes() == forged
    assert len(list(events(other))) > 0
    assert found(home, adopt=False) == (0, set())


def test_other_continuation_of_a_sealed_log_that_is_shorter_is_found(home, writing, event, copy):
    thief = Thief(writing)
    for _ in range(5):
        writing.append(event())
    writing.flush()
    other = copy(home)
    thief.go_on(other, {}, {})
    assert found(other) == (1, {("truncated", 8)})


@pytest.mark.parametrize("piece", [sealer._CHUNK, 1500])
@pytest.mark.parametrize("more", [2, 6, 9])
def test_other_continuation_of_a_log_that_is_wholly_in_the_store_is_found(
    home, writing, event, more, piece, monkeypatch
):
    monkeypatch.setattr(sealer, "_CHUNK", piece)
    thief = Thief(writing)
    for _ in range(5):
        writing.append(event())
    writing.close()
    assert seal(home, open_keys(home))
    sealed = list(events(home))
    thief.go_on(home, *[{}] * (more - 1), CLOSE)
    verdict, faults = found(home)
    assert verdict == 1
    assert {code for code, _ in faults} == {"truncated" if more < 6 else "differs"}
    assert export_of(home) == sealed


def export_of(home):
    with store_of(home) as db:
        return [data for (data,) in db.execute("SELECT bytes FROM events ORDER BY leaf")]


def test_second_spool_of_a_log_under_another_name_is_found(home, writing, copy):
    thief = Thief(writing)
    other = copy(home)
    path = thief.go_on(other, {}, {})
    path.rename(path.with_name("0123456789abcdef.jsonl"))
    path.with_suffix(".sig").rename(path.with_name("0123456789abcdef.sig"))
    shutil.copy(spool_of(home), path)
    report = verify(other)
    assert report.verdict == 1
    assert {fault.log for fault in report.faults} == {"0123456789abcdef"}


def test_second_log_of_one_name_in_the_store_is_found_though_the_host_signed_the_tree(home, writing, event):
    thief = Thief(writing)
    writing.append(event())
    writing.close()
    keys = open_keys(home)
    assert seal(home, keys)
    path = thief.go_on(home, {}, CLOSE)
    lines = [line.rpartition(b"\t")[0] for line in path.read_bytes().splitlines()]
    path.unlink()
    path.with_suffix(".sig").unlink()
    with altered(home, keys) as db:
        db.execute("ALTER TABLE logs RENAME TO old")
        db.execute("CREATE TABLE logs (n INTEGER PRIMARY KEY, log TEXT, events INTEGER, hash TEXT, ended INTEGER)")
        db.execute("INSERT INTO logs SELECT * FROM old")
        db.execute("DROP TABLE old")
        leaf = leaf_hash(lines[-1]).hex()
        db.execute("INSERT INTO logs VALUES (2, ?, ?, ?, 1)", (thief.log, len(lines), leaf))
        (size,) = db.execute("SELECT count(*) FROM events").fetchone()
        for seq, data in enumerate(lines):
            db.execute(
                "INSERT INTO events VALUES (?, 2, ?, ?, ?, NULL)", (size + seq, seq, json.loads(data)["ts"], data)
            )
    assert found(home)[0] == 1


@contextlib.contextmanager
def altered(home, keys):
    """The store, to be changed; afterwards its tree is made anew and signed: what the owner of the host key can do."""
    from guardai.ledger.merkle import Tree

    with open_store(Layout(home)) as store, store.writing():
        db = store.db
        yield db
        db.execute("DELETE FROM tiles")
        db.execute("DELETE FROM checkpoints")
        tree = Tree(store)
        tree.extend([leaf_hash(data) for (data,) in db.execute("SELECT bytes FROM events ORDER BY leaf").fetchall()])
        note = sign_checkpoint(Checkpoint(keys.origin, tree.size, tree.root()), keys.host)
        db.execute("INSERT INTO checkpoints VALUES (?, ?)", (tree.size, note))
    (home / "ledger" / "checkpoint").write_text(note, "utf-8")


# --- the log is continued after its end


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("kind", ["call.intent", "log.close"])
def test_event_behind_the_end_of_a_log_is_found_and_not_folded(home, writing, sealed, kind, tmp_path):
    spool, key = writing._spool, writing._spool._key
    writing.close()
    thief = Thief(writing, spool, key)  # who had the log's key from before, and knows where it ended
    if sealed:
        assert seal(home, open_keys(home))
    before = export_of(home) if sealed else []
    path = thief.go_on(home, {"kind": kind}, CLOSE)
    forged = path.read_bytes()
    assert found(home) == (1, {("inserted", 7), ("inserted", 8)})
    assert path.read_bytes() == forged
    assert (export_of(home) if sealed else []) == before


def test_record_of_a_recovery_that_the_logs_own_key_signed_is_found(home, writing):
    thief = Thief(writing)
    writing.close()
    for path in (home / "ledger" / "spool").iterdir():
        path.unlink()
    body = {
        "count": 0,
        "from": 6,
        "since": 0,
        "tags": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    thief.go_on(home, {"body": {**body, "to": 5, "torn": 0, "until": 0}, "kind": "recovered"}, {"kind": "recovered"})
    verdict, faults = found(home)
    assert verdict == 1
    assert ("recovered", 6) in faults


def test_event_behind_the_end_of_a_log_is_found_in_a_store_that_the_host_signed(home, writing, tmp_path):
    thief = Thief(writing)
    writing.close()
    keys = open_keys(home)
    for path in (home / "ledger" / "spool").iterdir():
        path.unlink()
    path = thief.go_on(home, CLOSE, {}, CLOSE)
    lines = [line.rpartition(b"\t")[0] for line in path.read_bytes().splitlines()]
    (head,) = [json.loads(line) for line in path.with_suffix(".sig").read_bytes().splitlines()]
    path.unlink()
    path.with_suffix(".sig").unlink()
    make_store(home, keys, thief.log, lines, head)
    verdict, faults = found(home, adopt=False)
    assert verdict == 1
    assert faults == {("inserted", 7), ("inserted", 8)}
    assert exported(home, tmp_path / "export") == {("inserted", 7), ("inserted", 8)}


def test_record_of_a_recovery_that_the_logs_own_key_signed_is_found_in_a_store_that_the_host_signed(
    home, writing, tmp_path
):
    thief = Thief(writing)
    writing.close()
    for path in (home / "ledger" / "spool").iterdir():
        path.unlink()
    none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    body = {"count": 0, "from": 7, "since": 0, "tags": none, "to": 6, "torn": 0, "until": 0}
    path = thief.go_on(home, CLOSE, {"body": body, "kind": "recovered"})
    lines = [line.rpartition(b"\t")[0] for line in path.read_bytes().splitlines()]
    (head,) = [json.loads(line) for line in path.with_suffix(".sig").read_bytes().splitlines()]
    path.unlink()
    path.with_suffix(".sig").unlink()
    make_store(home, open_keys(home), thief.log, lines, head)
    assert found(home, adopt=False) == (1, {("recovered", 7)})
    assert exported(home, tmp_path / "export") == {("recovered", 7)}


def make_store(home, keys, log, lines, head):
    """A store of one log as the sealer would have made it, had it looked at nothing."""
    with open_store(Layout(home)):
        pass
    with altered(home, keys) as db:
        db.execute("INSERT INTO logs VALUES (1, ?, ?, ?, 1)", (log, len(lines), leaf_hash(lines[-1]).hex()))
        for seq, data in enumerate(lines):
            db.execute("INSERT INTO events VALUES (?, 1, ?, ?, ?, NULL)", (seq, seq, json.loads(data)["ts"], data))
        row = tuple(head[name] for name in ("seq", "hash", "by", "ts", "sig"))
        db.execute("INSERT INTO heads VALUES (1, ?, ?, ?, ?, ?)", row)


def exported(home, folder):
    export(home, folder)
    report = verify_export(folder, key=home / "keys" / "root.pub")
    assert report.verdict == 1
    return faults_of(report)


# --- the tail is cut


def test_log_cut_below_what_was_sealed_is_found_although_its_end_is_signed(home, writing, event, copy):
    thief = Thief(writing)
    for _ in range(5):
        writing.append(event())
    writing.flush()
    other = copy(home)
    thief.cut(other, 7)
    assert found(other) == (1, {("truncated", 7)})


def test_log_cut_below_where_another_branched_off_is_found_although_its_end_is_signed(home, writing, event):
    thief = Thief(writing)
    writing.close()
    writing.append(event())
    writing.close()
    thief.cut(home, 4)
    assert found(home) == (1, {("missing", 6)})


def test_what_can_be_cut_by_the_logs_key_before_it_is_sealed_is_within_the_printed_window(home, writing, copy):
    thief = Thief(writing)
    writing.close()
    before = verify(copy(home), adopt=False)
    thief.cut(home, 3)
    after = verify(home)
    assert (after.verdict, after.faults) == (0, [])
    lost = before.events - 3
    assert 0 < lost <= before.unanchored
    # And it shows: a log that was closed would have ended with its own `log.close`.
    assert [json.loads(data)["kind"] for data in events(home)][-1] == "recovered"


def test_log_cut_by_the_owner_of_the_host_key_counts_as_recovered_and_is_within_the_printed_window(spooled_home, copy):
    home = copy(spooled_home)
    before = verify(copy(spooled_home), adopt=False)
    path = spool_of(home)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:20]))
    path.with_suffix(".sig").unlink()
    after = verify(home)
    assert (after.verdict, after.recovered) == (0, 20)
    assert before.recovered == 0
    assert before.events - 20 <= before.unanchored


@pytest.mark.parametrize("heads", ["kept", "removed"])
def test_store_cut_by_the_owner_of_the_host_key_lacks_its_end(sealed_home, copy, heads):
    home = copy(sealed_home)
    keys = open_keys(home)
    with altered(home, keys) as db:
        db.execute("DELETE FROM events WHERE seq >= 20")
        (last,) = db.execute("SELECT bytes FROM events WHERE seq = 19").fetchone()
        db.execute("UPDATE logs SET events = 20, ended = 0, hash = ?", (leaf_hash(last).hex(),))
        if heads == "removed":
            db.execute("DELETE FROM heads")
    assert found(home) == (1, {("unsealed", 20)})


def test_whole_logs_cut_from_the_store_by_the_owner_of_the_host_key_are_within_the_printed_window(home, event, copy):
    for _ in range(2):
        ledger = Ledger.open(home)
        for _ in range(4):
            ledger.append(event())
        ledger.close()
    before = verify(copy(home))
    with altered(home, open_keys(home)) as db:
        db.execute("DELETE FROM events WHERE log = 2")
        db.execute("DELETE FROM heads WHERE log = 2")
        db.execute("DELETE FROM logs WHERE n = 2")
    after = verify(home)
    assert (after.verdict, after.events) == (0, 6)
    assert 0 < before.events - after.events <= before.unanchored


def test_store_cut_without_the_host_key_is_found_by_its_tree_head(sealed_home, copy):
    home = copy(sealed_home)
    with store_of(home) as db:
        db.execute("DELETE FROM events WHERE seq >= 20")
    verdict, faults = found(home)
    assert verdict == 1
    assert {("missing", seq) for seq in range(20, 30)} <= faults


# --- what was rewritten with a stolen key


def test_key_out_of_a_process_rewrites_nothing_from_before_the_theft(home, writing, event):
    """The tags of earlier events are under keys that were erased; whoever holds the host's can still check them."""
    for _ in range(10):
        writing.append(event())
    thief = Thief(writing)
    writing.close()
    path = spool_of(home)
    lines = path.read_bytes().splitlines(keepends=True)[: thief.seq]
    prev = None
    for seq in range(7, len(lines)):
        data, _, tag = lines[seq].rpartition(b"\t")
        found_ = json.loads(data)
        found_ = {**found_, "action": "db.raed"} if seq == 7 else {**found_, "prev": prev}
        data = canonical(found_)
        prev = leaf_hash(data).hex()
        lines[seq] = data + b"\t" + tag
    thief.before, thief.prev = b"".join(lines), prev
    thief.go_on(home, CLOSE)
    verdict, faults = found(home)
    assert verdict == 1
    assert ("changed", 7) in faults


def test_stolen_log_key_signs_nothing_for_another_log(home, writing, event):
    thief = Thief(writing)
    writing.close()
    writing.append(event())
    victim = Thief(writing)
    writing.close()
    path = spool_of(home, victim.log)
    last = path.read_bytes().splitlines()[-1].rpartition(b"\t")[0]
    forged = sign_head(
        thief.key, thief.by, log=victim.log, seq=2, leaf=leaf_hash(last).hex(), ts=json.loads(last)["ts"]
    )
    path.with_suffix(".sig").write_bytes(forged.line())
    report = verify(home)
    assert report.verdict == 1
    assert {(fault.code, fault.log, fault.seq) for fault in report.faults} == {("signature", victim.log, 2)}


def test_certificate_of_another_log_is_found(home, writing, event):
    """The attacker opens a log of his own under a certificate that was given for another."""
    thief = Thief(writing)
    writing.close()
    opening = json.loads(thief.before.splitlines()[0].rpartition(b"\t")[0])
    thief.log, thief.seq, thief.prev, thief.before = "0123456789abcdef", 0, "0" * 64, b""
    thief.go_on(home, {"kind": "log.open", "body": opening["body"]}, {}, CLOSE)
    report = verify(home)
    assert report.verdict == 1
    assert {(fault.code, fault.log) for fault in report.faults} == {("certificate", "0123456789abcdef")}


# --- back-dating


def opened_at(thief):
    return json.loads(thief.before.splitlines()[0].rpartition(b"\t")[0])["ts"]


def test_event_before_its_predecessor_is_found_although_its_log_signed_it(home, writing):
    thief = Thief(writing)
    writing.close()
    path = thief.go_on(home, {}, {"ts": thief.ts - 1}, CLOSE)
    forged = path.read_bytes()
    assert found(home) == (1, {("back_dated", 7)})
    assert path.read_bytes() == forged
    assert content_of(home) == []


def test_event_before_its_log_was_opened_is_found_although_its_log_signed_it(home, writing):
    thief = Thief(writing)
    writing.close()
    thief.go_on(home, *[{"ts": opened_at(thief) - 1}] * 3, {**CLOSE, "ts": thief.ts + 9})
    verdict, faults = found(home)
    assert verdict == 1
    assert {("back_dated", 6)} <= faults <= {("back_dated", n) for n in (6, 7, 8)}


def test_event_after_the_certificate_of_its_log_is_found_although_its_log_signed_it(home, writing):
    thief = Thief(writing)
    writing.close()
    late = thief.ts + 4 * 365 * 86_400_000_000
    thief.go_on(home, {}, {"ts": late}, {**CLOSE, "ts": late})
    assert found(home) == (1, {("certificate", 8)})


@pytest.mark.parametrize("when", [-1, -86_400_000_000])
def test_log_opened_before_its_certificate_is_found_although_its_key_signed_it(home, writing, when):
    """With the log's key, and a ratchet of his own, the attacker can write the whole log anew as long as nothing is sealed."""
    from guardai.ledger.sealedbox import seal_box

    thief = Thief(writing)
    writing.close()
    opening = json.loads(thief.before.splitlines()[0].rpartition(b"\t")[0])
    since = json.loads(opening["body"]["certificate"]["payload"])["since"]
    host = json.loads(opening["body"]["host"]["payload"])
    start = b"\7" * 32
    body = {**opening["body"], "ratchet": seal_box(bytes.fromhex(host["seal"]), start, thief.log.encode()).hex()}
    thief.seq, thief.prev, thief.before, thief.ratchet = 0, "0" * 64, b"", start
    thief.go_on(home, {"kind": "log.open", "body": body, "ts": since + when}, {"ts": since}, {**CLOSE, "ts": since})
    assert found(home) == (1, {("certificate", 0)})


@pytest.mark.parametrize("which", [10, 29])
def test_back_dated_event_in_the_store_is_found_though_the_host_signed_the_tree(sealed_home, copy, which):
    home = copy(sealed_home)
    with altered(home, open_keys(home)) as db:
        (data,) = db.execute("SELECT bytes FROM events WHERE seq = ?", (which,)).fetchone()
        early = {**json.loads(data), "ts": 1_000_000}
        db.execute("UPDATE events SET bytes = ?, ts = ? WHERE seq = ?", (canonical(early), 1_000_000, which))
    verdict, faults = found(home)
    assert verdict == 1
    assert ("back_dated", which) in faults


# --- something older is put in the place of what is there


def test_older_head_in_the_place_of_the_newest_loses_nothing(home, open_ledger, event):
    ledger = open_ledger(mode="signed", seal=False)
    names = [ledger.append(event()) for _ in range(10)]
    ledger.close()
    heads = spool_of(home).with_suffix(".sig")
    heads.write_bytes(b"".join(heads.read_bytes().splitlines(keepends=True)[:4]))
    report = verify(home)
    assert (report.verdict, report.signed, report.recovered) == (0, 5, 8)
    assert set(names) <= {json.loads(data)["id"] for data in events(home)}


def test_older_head_behind_the_newest_changes_nothing(home, open_ledger, event):
    ledger = open_ledger(mode="signed", seal=False)
    for _ in range(10):
        ledger.append(event())
    ledger.close()
    heads = spool_of(home).with_suffix(".sig")
    lines = heads.read_bytes().splitlines(keepends=True)
    heads.write_bytes(b"".join([*lines, lines[2], lines[2]]))
    report = verify(home)
    assert (report.verdict, report.signed) == (0, 12)


def test_head_of_another_log_is_found(home, writing, event):
    first = writing._spool.log
    writing.close()
    writing.append(event())
    second = writing._spool.log
    writing.close()
    shutil.copy(spool_of(home, first).with_suffix(".sig"), spool_of(home, second).with_suffix(".sig"))
    report = verify(home)
    assert report.verdict == 1
    assert {(fault.code, fault.log) for fault in report.faults} == {("signature", second)}


@pytest.fixture
def two_states(home, open_ledger, event, copy):
    """A home with a log in the store and one being written, and a copy of it from before: home, copy, ids of all events."""
    ledger = open_ledger()
    names = [ledger.append(event()) for _ in range(5)]
    ledger.close()
    earlier = copy(home)
    names += [ledger.append(event()) for _ in range(5)]
    ledger.flush()
    return home, earlier, names


def recorded(home):
    return {json.loads(data)["id"] for data in events(home)}


def test_older_checkpoint_on_file_hides_nothing(two_states, copy):
    now, earlier, names = two_states
    home = copy(now)
    shutil.copy(earlier / "ledger" / "checkpoint", home / "ledger" / "checkpoint")
    report = verify(home)
    assert (report.verdict, report.faults) == (0, [])
    assert set(names) <= recorded(home)


def test_older_store_beside_a_newer_checkpoint_is_found_and_nothing_is_built_on_it(two_states, copy):
    now, earlier, names = two_states
    home = copy(now)
    put_back(earlier, home)
    before = content_of(home)
    verdict, faults = found(home)
    assert verdict == 1
    assert faults == {("rolled_back", -1)}
    assert content_of(home) == before
    assert set(names) <= recorded(home)


def test_older_store_and_checkpoint_with_the_newer_spool_lose_nothing(two_states, copy):
    now, earlier, names = two_states
    home = copy(now)
    put_back(earlier, home)
    shutil.copy(earlier / "ledger" / "checkpoint", home / "ledger" / "checkpoint")
    report = verify(home)
    assert (report.verdict, report.faults) == (0, [])
    assert set(names) <= recorded(home)


def test_older_store_and_checkpoint_lack_a_log_that_another_names(home, open_ledger, event, copy):
    ledger = open_ledger()
    ledger.append(event())
    ledger.close()
    earlier = copy(home)
    second = ledger.append(event()).partition("-")[0]
    ledger.close()
    ledger.append(event())
    ledger.flush()
    other = copy(home)
    put_back(earlier, other)
    shutil.copy(earlier / "ledger" / "checkpoint", other / "ledger" / "checkpoint")
    report = verify(other)
    assert report.verdict == 1
    assert [(fault.code, fault.log) for fault in report.faults] == [("missing", second)]


def test_home_set_back_as_a_whole_is_within_the_printed_window(two_states):
    now, earlier, _ = two_states
    before, after = verify(now, adopt=False), verify(earlier)
    assert after.verdict == 0
    assert 0 < before.events - after.events <= before.unanchored


# --- something of elsewhere is put in the place of what is there


@pytest.fixture
def stranger(tmp_path, event, home_like):
    """Another home, with another root, whose ledger is whole."""
    home = home_like(tmp_path / "stranger")
    ledger = Ledger.open(home)
    for n in range(28):
        ledger.append(event(call=f"c-{n}", content={"in": {"bytes": n, "commit": "ab" * 16}}))
    ledger.close()
    assert verify(home).verdict == 0
    return home


@pytest.mark.parametrize("what", ["the store", "store and checkpoint", "the whole ledger"])
def test_store_of_another_home_is_found(sealed_home, stranger, what):
    if what == "the whole ledger":
        shutil.rmtree(sealed_home / "ledger")
        shutil.copytree(stranger / "ledger", sealed_home / "ledger")
    else:
        put_back(stranger, sealed_home)
        if "checkpoint" in what:
            shutil.copy(stranger / "ledger" / "checkpoint", sealed_home / "ledger" / "checkpoint")
    verdict, faults = found(sealed_home)
    assert verdict == 1
    assert {"checkpoint", "certificate"} <= {code for code, _ in faults}


def test_ledger_under_the_keys_of_another_home_is_found(sealed_home, stranger):
    shutil.rmtree(sealed_home / "keys")
    shutil.copytree(stranger / "keys", sealed_home / "keys")
    verdict, faults = found(sealed_home)
    assert verdict == 1
    assert {"checkpoint", "certificate"} <= {code for code, _ in faults}


def test_checkpoint_of_another_origin_in_the_store_is_found(sealed_home, stranger):
    with store_of(stranger) as db:
        (note,) = db.execute("SELECT note FROM checkpoints").fetchone()
    with store_of(sealed_home) as db:
        db.execute("UPDATE checkpoints SET note = ?", (note,))
    assert "checkpoint" in {code for code, _ in found(sealed_home)[1]}


def test_checkpoint_of_another_origin_that_this_host_signed_is_found(sealed_home):
    keys = open_keys(sealed_home)
    path = sealed_home / "ledger" / "checkpoint"
    size, root = path.read_text().split("\n")[1:3]
    import base64

    other = sign_checkpoint(Checkpoint("guardai/0123456789abcdef", int(size), base64.b64decode(root)), keys.host)
    path.write_text(other, "utf-8")
    assert found(sealed_home) == (1, {("checkpoint", -1)})


def test_event_moved_to_another_log_in_the_store_is_found(home, open_ledger, event):
    ledger = open_ledger()
    for _ in range(2):
        for _ in range(4):
            ledger.append(event())
        ledger.close()
    with store_of(home) as db:
        db.execute("UPDATE events SET log = 2, seq = 6 WHERE log = 1 AND seq = 3")
        (log,) = db.execute("SELECT log FROM logs WHERE n = 1").fetchone()
    report = verify(home)
    assert report.verdict == 1
    assert (("changed", log, 3)) in {(fault.code, fault.log, fault.seq) for fault in report.faults}


def test_event_moved_to_another_log_in_a_spool_is_found(home, writing, event):
    first = writing._spool.log
    writing.close()
    writing.append(event())
    second = writing._spool.log
    writing.close()
    moved = spool_of(home, first).read_bytes().splitlines(keepends=True)[3]
    path = spool_of(home, second)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], moved, *lines[2:]]))
    report = verify(home)
    assert report.verdict == 1
    assert {fault.log for fault in report.faults} == {second}


# --- the tree


@pytest.fixture
def large(home, event):
    """A home with 700 events in its store: three tiles of leaves, and one above them."""
    ledger = Ledger.open(home, seal=False)
    for n in range(698):
        ledger.append(event(call=f"c-{n}"))
    ledger.close()
    assert seal(home, open_keys(home))
    return home


@pytest.mark.parametrize(
    ("one", "other"), [((0, 0), (0, 1)), ((0, 1), (0, 2)), ((0, 0), (1, 0))], ids=["full", "last", "levels"]
)
def test_swapped_tiles_are_found_and_no_event_is_blamed(large, one, other, tmp_path):
    export(large, tmp_path / "export")
    with store_of(large) as db:
        get = "SELECT hashes FROM tiles WHERE level = ? AND idx = ?"
        (a,), (b,) = db.execute(get, one).fetchone(), db.execute(get, other).fetchone()
        db.execute("UPDATE tiles SET hashes = ? WHERE level = ? AND idx = ?", (b, *one))
        db.execute("UPDATE tiles SET hashes = ? WHERE level = ? AND idx = ?", (a, *other))
    assert found(large) == (1, {("tree", -1)})


def test_swapped_tiles_of_an_export_are_found_and_no_event_is_blamed(large, tmp_path):
    export(large, tmp_path / "export")
    one, other = tmp_path / "export" / "tile" / "0" / "000", tmp_path / "export" / "tile" / "0" / "001"
    a, b = one.read_bytes(), other.read_bytes()
    one.write_bytes(b)
    other.write_bytes(a)
    report = verify_export(tmp_path / "export")
    assert (report.verdict, faults_of(report)) == (1, {("tree", -1)})


def test_tree_of_the_large_store_is_what_its_events_say(large):
    trusted = trust(large)
    with read_store(Layout(large)) as store:
        checkpoints, bad = read_checkpoints(store, trusted.origin, trusted.publics)
        assert (checkpoints[-1].size, bad) == (700, 0)
        assert read_tree(store, checkpoints) == StoredTree(agrees=True, consistent=True)
        leaves = Leaves(store)
        assert [leaves[n] for n in range(701)] == [*(leaf_hash(data) for data in export_of(large)), b""]


DAMAGE = {
    "too many": "INSERT INTO tiles VALUES (0, 3, zeroblob(1))",
    "a level too many": "INSERT INTO tiles SELECT 2, 0, hashes FROM tiles WHERE level = 1",
    "missing": "DELETE FROM tiles WHERE level = 1",
    "too long": "UPDATE tiles SET hashes = CAST(hashes || zeroblob(32) AS BLOB) WHERE level = 1",
    "too short": "UPDATE tiles SET hashes = substr(hashes, 1, 32) WHERE level = 1",
    "a text": "UPDATE tiles SET hashes = hex(hashes) WHERE level = 1",
    "a leaf too many": "UPDATE tiles SET hashes = CAST(hashes || zeroblob(32) AS BLOB) WHERE level = 0 AND idx = 2",
    "half a leaf too many": "UPDATE tiles SET hashes = CAST(hashes || zeroblob(16) AS BLOB) WHERE level = 0 AND idx = 2",
    "a leaf too few": "UPDATE tiles SET hashes = substr(hashes, 1, 8160) WHERE level = 0 AND idx = 0",
    "a gap": "UPDATE tiles SET idx = 3 WHERE level = 0 AND idx = 2",
    "none": "DELETE FROM tiles",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_tiles_that_are_not_the_tree_s_are_found_and_no_event_is_blamed(large, damage):
    alter(large, DAMAGE[damage])
    assert found(large, adopt=False) == (1, {("tree", -1)})


# --- second spellings


SPELLINGS = {
    "space": lambda data: data.replace(b'":"', b'": "', 1),
    "newline": lambda data: data.replace(b",", b",\r", 1),
    "escape": lambda data: data.replace(b"db.read", b"db.re\\u0061d"),
    "slash": lambda data: data.replace(b"db.read", b"db.read\\/"),
    "twice": lambda data: data.replace(b'"action":"db.read"', b'"action":"db.destroy","action":"db.read"'),
    "order": lambda data: b'{"v":1,' + data[1:].replace(b',"v":1}', b"}"),
    "number": lambda data: data.replace(b'"v":1}', b'"v":1,"w":1e2}'),
    "behind": lambda data: data + b" ",
    "before": lambda data: b" " + data,
    "mark": lambda data: b"\xef\xbb\xbf" + data,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("at", [7, 29])
def test_second_spelling_in_a_spool_is_named(spooled_home, copy, spelling, at):
    for keys in ("all", "public"):
        home = copy(spooled_home)
        if keys == "public":
            for name in ("host.key", "root.key", "secret"):
                (home / "keys" / name).unlink()
        path = spool_of(home)
        lines = path.read_bytes().splitlines(keepends=True)
        data, _, tag = lines[at].rpartition(b"\t")
        if at == 29:
            data = data.replace(b'"kind":', b'"action":"db.read","kind":')
        lines[at] = SPELLINGS[spelling](data) + b"\t" + tag
        path.write_bytes(b"".join(lines))
        assert found(home) == (1, {("changed", at)}), keys


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_second_spelling_in_the_store_is_named(sealed_home, spelling):
    with store_of(sealed_home) as db:
        (data,) = db.execute("SELECT bytes FROM events WHERE seq = 7").fetchone()
        db.execute("UPDATE events SET bytes = ? WHERE seq = 7", (SPELLINGS[spelling](data),))
    assert found(sealed_home) == (1, {("changed", 7)})


@pytest.mark.parametrize("spelling", [name for name in SPELLINGS if name != "mark"])
def test_second_spelling_is_named_although_its_log_chained_and_signed_it(home, writing, spelling):
    """By hash, tag and signature it is what was recorded; but two readers of it may read two things."""
    thief = Thief(writing)
    writing.close()
    change = SPELLINGS[spelling]
    thief.go_on(
        home,
        {},
        {"call": "spelt"},
        CLOSE,
        spell=lambda e: change(canonical(e)) if e["call"] == "spelt" else canonical(e),
    )
    assert found(home, adopt=False) == (1, {("changed", 7)})
    # The sealer does not look at the spelling; what it folded is named in the store, and by the program in an export.
    assert seal(home, open_keys(home))
    assert found(home) == (1, {("changed", 7)})
    assert ("changed", 7) in exported(home, home.parent / "export")
