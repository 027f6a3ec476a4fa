"""Attacks on a ledger at rest, each on a copy of a real one: found, and named; with the store in SQLite and in PostgreSQL."""

import json
import shutil

import pytest
from stores import alter, is_postgres, put_back, remove, store_of

from guardai.ledger import Ledger, events, verify

pytestmark = pytest.mark.usefixtures("either_store")


def spool_of(home):
    (path,) = (home / "ledger" / "spool").glob("*.jsonl")
    return path


def lines_of(home):
    return spool_of(home).read_bytes().split(b"\n")[:-1]


def write_lines(home, lines):
    spool_of(home).write_bytes(b"".join(line + b"\n" for line in lines))


def found(home, **options):
    report = verify(home, **options)
    return report.verdict, {(fault.code, fault.seq) for fault in report.faults}


# --- on the spool


def test_untouched_spool_is_whole(spooled_home, copy):
    assert found(copy(spooled_home)) == (0, set())


def test_changed_event_in_a_spool_is_named(spooled_home, copy):
    home = copy(spooled_home)
    lines = lines_of(home)
    lines[7] = lines[7].replace(b'"db.read"', b'"db.raed"')
    write_lines(home, lines)
    assert found(home) == (1, {("changed", 7)})


def test_changed_event_is_named_without_the_host_key_too(spooled_home, copy):
    home = copy(spooled_home)
    for name in ("host.key", "root.key", "secret"):
        (home / "keys" / name).unlink()
    lines = lines_of(home)
    lines[7] = lines[7].replace(b'"db.read"', b'"db.raed"')
    write_lines(home, lines)
    assert found(home) == (1, {("changed", 7)})


def test_every_changed_event_is_named(spooled_home, copy):
    home = copy(spooled_home)
    lines = lines_of(home)
    for n in (3, 4, 11, 28):
        lines[n] = lines[n].replace(b'"db.read"', b'"db.raed"')
    write_lines(home, lines)
    assert found(home) == (1, {("changed", n) for n in (3, 4, 11, 28)})


def test_changed_last_event_is_named(spooled_home, copy):
    home = copy(spooled_home)
    lines = lines_of(home)
    lines[29] = lines[29].replace(b'"reason":"close"', b'"reason":"clots"')
    write_lines(home, lines)
    assert found(home) == (1, {("changed", 29)})


def test_changed_event_with_mended_chain_is_named(spooled_home, copy):
    """The attacker recomputes every hash after the change, but has no key."""
    import hashlib

    home = copy(spooled_home)
    lines = lines_of(home)
    prev = None
    for n in range(7, 30):
        data, _, tag = lines[n].rpartition(b"\t")
        if n == 7:
            data = data.replace(b'"db.read"', b'"db.raed"')
        else:
            old = json.loads(data)["prev"].encode()
            data = data.replace(old, prev.encode())
        prev = hashlib.sha256(b"\0" + data).hexdigest()
        lines[n] = data + b"\t" + tag
    write_lines(home, lines)
    verdict, faults = found(home)
    assert verdict == 1
    assert ("changed", 7) in faults


@pytest.mark.parametrize("which", [0, 1, 13, 29])
def test_deleted_event_in_a_spool_is_named(spooled_home, copy, which):
    home = copy(spooled_home)
    lines = lines_of(home)
    del lines[which]
    write_lines(home, lines)
    verdict, faults = found(home)
    assert verdict == 1
    assert (("missing", which) if which != 29 else ("truncated", 29)) in faults
    if which:
        assert len(faults) == 1


def test_several_deleted_events_are_each_named(spooled_home, copy):
    home = copy(spooled_home)
    lines = lines_of(home)
    del lines[5:9]
    write_lines(home, lines)
    assert found(home) == (1, {("missing", n) for n in range(5, 9)})


def test_event_of_another_log_put_in_is_named(spooled_home, copy):
    home = copy(spooled_home)
    lines = lines_of(home)
    lines.insert(7, lines[3].replace(b'"db.read"', b'"db.raed"'))
    write_lines(home, lines)
    assert found(home) == (1, {("inserted", 3)})


def test_duplicated_event_is_named(spooled_home, copy):
    home = copy(spooled_home)
    lines = lines_of(home)
    lines.insert(8, lines[7])
    write_lines(home, lines)
    assert found(home) == (1, {("inserted", 7)})


def test_swapped_events_are_named(spooled_home, copy):
    home = copy(spooled_home)
    lines = lines_of(home)
    lines[7], lines[8] = lines[8], lines[7]
    write_lines(home, lines)
    assert found(home) == (1, {("order", 7)})


def test_rubbish_between_events_is_found(spooled_home, copy):
    home = copy(spooled_home)
    lines = lines_of(home)
    lines.insert(8, b"rubbish")
    write_lines(home, lines)
    assert found(home) == (1, {("inserted", 8)})


@pytest.mark.parametrize("left", [0, 1, 12, 29])
def test_truncated_closed_log_is_found(spooled_home, copy, left):
    home = copy(spooled_home)
    write_lines(home, lines_of(home)[:left])
    assert found(home) == (1, {("truncated", left)})


def test_emptied_spool_is_found(spooled_home, copy):
    home = copy(spooled_home)
    spool_of(home).write_bytes(b"")
    assert found(home)[0] == 1


def test_replaced_head_is_found(spooled_home, copy):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from guardai.ledger.heads import parse_heads, sign_head

    home = copy(spooled_home)
    path = spool_of(home).with_suffix(".sig")
    (*_, last), _ = parse_heads(path.read_bytes())
    forged = sign_head(Ed25519PrivateKey.generate(), last.by, log=path.stem, seq=last.seq, leaf=last.hash, ts=last.ts)
    path.write_bytes(forged.line())
    assert found(home) == (1, {("signature", 29)})


def test_head_moved_to_another_event_is_found(spooled_home, copy):
    import msgspec

    from guardai.ledger.heads import parse_heads

    home = copy(spooled_home)
    path = spool_of(home).with_suffix(".sig")
    (*_, last), _ = parse_heads(path.read_bytes())
    path.write_bytes(msgspec.structs.replace(last, seq=20).line())
    write_lines(home, lines_of(home)[:21])
    assert found(home)[0] == 1


def test_log_rewritten_under_another_key_is_found(spooled_home, copy, tmp_path, event):
    """The attacker writes a log of his own, with his own root, and puts it in place."""
    home, other = copy(spooled_home), tmp_path / "other"
    ledger = Ledger.open(other, seal=False)
    ledger.append(event())
    ledger.close()
    shutil.copytree(other / "ledger" / "spool", home / "ledger" / "spool", dirs_exist_ok=True)
    log = spool_of(other).stem
    report = verify(home)
    assert report.verdict == 1
    assert {(fault.code, fault.log) for fault in report.faults} == {("certificate", log)}


def test_whole_home_of_another_root_is_found_by_the_key(spooled_home, tmp_path, event):
    other = tmp_path / "other"
    Ledger.open(other).close()
    assert verify(spooled_home, key=other / "keys" / "root.pub").verdict == 1
    assert verify(spooled_home, key=spooled_home / "keys" / "root.pub").verdict == 0


def test_sealed_home_of_another_root_is_found_by_the_key(sealed_home, tmp_path):
    other = tmp_path / "other"
    Ledger.open(other).close()
    assert verify(sealed_home, key=other / "keys" / "root.pub").verdict == 1
    assert verify(sealed_home, key=sealed_home / "keys" / "root.pub").verdict == 0


def test_log_whose_parent_was_removed_is_found(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    first = ledger.append(event()).partition("-")[0]
    ledger.close()
    ledger.append(event())
    ledger.close()
    for suffix in (".jsonl", ".sig"):
        (home / "ledger" / "spool" / f"{first}{suffix}").unlink()
    report = verify(home)
    assert report.verdict == 1
    assert [(fault.code, fault.log) for fault in report.faults] == [("missing", first)]


def test_forged_tail_of_a_dead_process_is_not_adopted(run_python, home):
    """The tail was not signed, and the attacker has the disk but no key."""
    run_python(
        "no_heads()\nledger = Ledger.open(home, seal=False)\nfor n in range(20): ledger.append(event())\nos._exit(0)"
    )
    lines = lines_of(home)
    lines[15] = lines[15].replace(b'"db.read"', b'"db.raed"')
    write_lines(home, lines)
    assert found(home) == (1, {("changed", 15)})
    assert len(lines_of(home)) == len(lines)


@pytest.mark.made_up_events
def test_forged_recovered_record_is_found(run_python, home):
    run_python(
        "no_heads()\nledger = Ledger.open(home, seal=False)\nfor n in range(20): ledger.append(event())\nos._exit(0)"
    )
    lines = lines_of(home)
    data, _, tag = lines[-1].rpartition(b"\t")
    lines[-1] = data.replace(b'"kind":"call.intent"', b'"kind":"recovered"') + b"\t" + tag
    write_lines(home, lines)
    assert found(home)[0] == 1


# --- on the store


def test_untouched_store_is_whole(sealed_home, copy):
    assert found(copy(sealed_home)) == (0, set())


def test_changed_event_in_the_store_is_named(sealed_home, copy):
    home = copy(sealed_home)
    if is_postgres(home):
        alter(home, """UPDATE events SET bytes = replace(bytes, '"call":"c-9"', '"call":"c-8"')""")
    else:
        path = home / "ledger" / "store.db"
        content = path.read_bytes()
        at = content.index(b'"call":"c-9"')
        path.write_bytes(content[:at] + b'"call":"c-8"' + content[at + 12 :])
    assert found(home) == (1, {("changed", 10)})


def test_changed_event_is_named_if_the_sealer_never_looked(sealed_home, copy):
    home = copy(sealed_home)
    alter(home, "UPDATE events SET bytes = replace(bytes, 'db.read', 'db.raed') WHERE seq = 10")
    assert found(home, adopt=False) == (1, {("changed", 10)})


def test_deleted_event_in_the_store_is_named(sealed_home, copy):
    home = copy(sealed_home)
    alter(home, "DELETE FROM events WHERE seq = 10")
    verdict, faults = found(home)
    assert verdict == 1
    assert ("missing", 10) in faults


def test_deleted_last_event_in_the_store_is_named(sealed_home, copy):
    home = copy(sealed_home)
    alter(home, "DELETE FROM events WHERE seq = 29")
    verdict, faults = found(home)
    assert verdict == 1
    assert ("missing", 29) in faults


def test_swapped_events_in_the_store_are_named(sealed_home, copy):
    home = copy(sealed_home)
    with store_of(home) as db:
        (a,), (b,) = (db.execute("SELECT bytes FROM events WHERE seq = ?", (n,)).fetchone() for n in (10, 11))
    alter(home, "UPDATE events SET bytes = ? WHERE seq = 10", b)
    alter(home, "UPDATE events SET bytes = ? WHERE seq = 11", a)
    assert found(home) == (1, {("changed", 10), ("changed", 11)})


def test_event_put_into_the_store_is_found(sealed_home, copy):
    home = copy(sealed_home)
    with store_of(home) as db:
        (data,) = db.execute("SELECT bytes FROM events WHERE seq = 10").fetchone()
    alter(home, "INSERT INTO events VALUES (30, 1, 30, 1, ?, NULL)", data)
    assert found(home)[0] == 1


@pytest.mark.parametrize(
    ("column", "value"), [("log", 2), ("seq", 99), ("ts", 5), ("tag", b"0" * 32), ("bytes", None), ("bytes", 7)]
)
def test_changed_column_of_an_event_is_named(sealed_home, copy, column, value):
    home = copy(sealed_home)
    if is_postgres(home):
        if column == "bytes":
            alter(home, "ALTER TABLE events ALTER COLUMN bytes DROP NOT NULL")
        if value == 7:  # a column has one type there: that of all is changed
            alter(home, "ALTER TABLE events ALTER COLUMN bytes TYPE text USING convert_from(bytes, 'UTF8')")
            value = "7"
    elif value is None:
        with store_of(home) as db:
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'bytes BLOB NOT NULL', 'bytes BLOB')")
    alter(home, f"UPDATE events SET {column} = ? WHERE seq = 10", value)
    verdict, faults = found(home)
    assert verdict == 1
    assert 10 in {seq for _, seq in faults}


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DELETE FROM tiles", "tree"),
        ("UPDATE tiles SET hashes = zeroblob(length(hashes))", "tree"),
        ("INSERT INTO tiles VALUES (1, 0, zeroblob(32))", "tree"),
        ("DELETE FROM checkpoints", "rolled_back"),
        ("UPDATE checkpoints SET note = replace(note, 'guardai', 'guardia')", "checkpoint"),
        ("UPDATE checkpoints SET size = size + 1", "checkpoint"),
        ("UPDATE heads SET seq = seq - 1", "signature"),
        ("UPDATE heads SET sig = replace(sig, '0', '1')", "signature"),
        ("UPDATE heads SET log = 9", "signature"),
        ("DELETE FROM heads", "unsealed"),
        ("UPDATE logs SET hash = 'f'", "derived"),
        ("UPDATE logs SET events = 31", "missing"),
        ("UPDATE logs SET events = 29", "derived"),
        ("DELETE FROM logs", "changed"),
    ],
)
def test_damage_beside_the_events_is_found(sealed_home, copy, statement, code):
    home = copy(sealed_home)
    alter(home, statement)
    verdict, faults = found(home)
    assert verdict == 1
    assert code in {fault[0] for fault in faults}


def test_store_set_back_to_an_earlier_state_is_found(home, open_ledger, event, copy):
    ledger = open_ledger()
    ledger.append(event())
    ledger.close()
    earlier = copy(home)
    ledger.append(event())
    ledger.close()
    put_back(earlier, home)
    assert "rolled_back" in {fault[0] for fault in found(home)[1]}


def test_removed_store_is_found(sealed_home, copy):
    home = copy(sealed_home)
    remove(home)
    assert found(home) == (1, {("rolled_back", -1)})


def test_removed_spool_of_a_log_that_is_not_wholly_sealed_is_found(home, open_ledger, event, copy):
    ledger = open_ledger()
    ledger.append(event())
    ledger.flush()
    stolen = copy(home)
    for path in (stolen / "ledger" / "spool").iterdir():
        path.unlink()
    assert {fault[0] for fault in found(stolen)[1]} == {"unsealed"}


def test_spool_that_differs_from_what_was_sealed_of_it_is_found(home, open_ledger, event, copy):
    ledger = open_ledger()
    for _ in range(5):
        ledger.append(event())
    ledger.flush()
    other = copy(home)
    lines = lines_of(other)
    lines[3] = lines[3].replace(b'"db.read"', b'"db.raed"')
    write_lines(other, lines)
    assert found(other) == (1, {("changed", 3)})


def test_spool_cut_below_what_was_sealed_of_it_is_found(home, open_ledger, event, copy):
    ledger = open_ledger()
    for _ in range(5):
        ledger.append(event())
    ledger.flush()
    other = copy(home)
    write_lines(other, lines_of(other)[:3])
    for heads in (other / "ledger" / "spool").glob("*.sig"):
        heads.unlink()
    assert ("truncated", 3) in found(other)[1]


def test_sealer_refuses_to_build_on_a_store_that_was_tampered_with(sealed_home, open_ledger, event):
    alter(sealed_home, "UPDATE tiles SET hashes = zeroblob(length(hashes))")
    ledger = open_ledger(sealed_home)
    ledger.append(event())
    ledger.close()
    assert len(list((sealed_home / "ledger" / "spool").glob("*.jsonl"))) == 1
    assert len(list(events(sealed_home))) == 33


def test_checkpoint_of_another_origin_is_found(sealed_home, tmp_path, event):
    other = tmp_path / "other"
    ledger = Ledger.open(other)
    for _ in range(28):
        ledger.append(event())
    ledger.close()
    shutil.copy(other / "ledger" / "checkpoint", sealed_home / "ledger" / "checkpoint")
    assert "checkpoint" in {fault[0] for fault in found(sealed_home)[1]}
