"""Stolen keys: what a thief can do with each, on copies of real ledgers, and what is found before and after the revocation."""

import json
import os
import shutil
import subprocess
import sys
import time

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stores import alter

from guardai.errors import LedgerError
from guardai.ledger import (
    Ledger,
    ProofError,
    chain,
    check_proof,
    events,
    export,
    known_keys,
    prove,
    read_all,
    revoke,
    root_at,
    rotate,
    seal,
    verify,
    verify_export,
)
from guardai.ledger.certs import certify, key_id
from guardai.ledger.heads import parse_heads, sign_head
from guardai.ledger.hostfiles import load_private
from guardai.ledger.keys import host_claims, load_keys, open_keys
from guardai.ledger.layout import Layout
from guardai.ledger.merkle import leaf_hash
from guardai.ledger.note import Checkpoint, open_checkpoint, sign_checkpoint
from guardai.ledger.ratchet import step
from guardai.ledger.root import root_on_file

pytestmark = pytest.mark.usefixtures("either_store")

HOUR = 3_600_000_000


def now():
    return time.time_ns() // 1000


def written(home, event, count=3, **options):
    ledger = Ledger.open(home, **options)
    names = [ledger.append(event()) for _ in range(count)]
    ledger.close()
    return names


def found(report):
    return report.verdict, {fault.code for fault in report.faults}


def current(home):
    return load_keys(home).host_id


def spools(home):
    return sorted((home / "ledger" / "spool").glob("*.jsonl"))


@pytest.fixture
def stolen(sealed_home, copy):
    """A copy of the home with every private key but the root's, as a thief takes it."""
    thiefs = copy(sealed_home)
    (thiefs / "keys" / "root.key").unlink()
    return thiefs


# ---- the key of one log ----


@pytest.fixture
def two_logs(home, event):
    """A home with two closed logs in spools, and the first one's private key and next ratchet key."""
    first = Ledger.open(home, seal=False)
    first.append(event())
    spool = first._spool
    key = spool._key
    spool.finish("close")
    ratchet = spool._state[3]
    first._spool = first._ready = None
    first._signer.sign_now()
    first._signer.retire(spool)
    first._signer.stop(5)
    written(home, event, seal=False)
    other = next(path for path in spools(home) if path.stem != spool.log)
    return home, spool.path, other, key, ratchet


def test_head_for_another_log_by_a_stolen_log_key_is_found(two_logs):
    home, _, other, key, _ = two_logs
    (*_, last), _ = parse_heads(other.with_suffix(".sig").read_bytes())
    name = key_id(key.public_key().public_bytes_raw())
    head = sign_head(key, name, log=other.stem, seq=last.seq, leaf=last.hash, ts=last.ts)
    assert found(verify(home, adopt=False)) == (0, set())
    other.with_suffix(".sig").write_bytes(head.line())
    report = verify(home, adopt=False)
    assert [(fault.code, fault.log) for fault in report.faults] == [("signature", other.stem)]


@pytest.mark.parametrize("sealed", [False, True])
def test_event_after_the_end_of_a_log_is_found_even_with_all_the_keys_of_its_process(
    two_logs, sealed, tmp_path, monkeypatch
):
    home, path, _, key, ratchet = two_logs
    *_, last, _ = path.read_bytes().split(b"\n")
    closing = msgspec.json.decode(last.rpartition(b"\t")[0])
    seq = closing["seq"] + 1
    added = {**closing, "id": f"{path.stem}-{seq:x}", "kind": "call.intent", "seq": seq, "body": {}}
    added["prev"] = leaf_hash(last.rpartition(b"\t")[0]).hex()
    data = json.dumps(added, sort_keys=True, separators=(",", ":")).encode()
    leaf = leaf_hash(data)
    tag, _ = step(ratchet, leaf)
    head = sign_head(key, closing["key"], log=path.stem, seq=seq, leaf=leaf.hex(), ts=added["ts"])
    with path.open("ab") as file:
        file.write(data + b"\t" + tag.encode() + b"\n")
    with path.with_suffix(".sig").open("ab") as file:
        file.write(head.line())
    if sealed:  # by a sealer that does not look
        with monkeypatch.context() as patch:
            patch.setattr(chain, "_NOTED", frozenset(("recovered", "key.revoked")))
            assert seal(home, open_keys(home))
        export(home, tmp_path / "x")
        assert ("inserted", seq) in {(fault.code, fault.seq) for fault in verify_export(tmp_path / "x").faults}
    report = verify(home)
    assert (report.verdict, {(fault.code, fault.seq) for fault in report.faults}) == (1, {("inserted", seq)})


def test_log_that_a_process_key_opened_without_a_host_is_found(two_logs, event, tmp_path):
    """The thief of a process key lets it play the host, for a log of his own."""
    home, _, _, key, _ = two_logs
    keys = open_keys(home)
    thiefs = msgspec.structs.replace(keys.claims, issuer=key_id(key.public_key().public_bytes_raw()))
    forged = Ledger.open(home, seal=False)
    forged._keys = type(keys)(
        keys.root, key, keys.box, certify(key.sign, thiefs), thiefs, b"", b"", keys.place, keys.seen
    )
    log = forged.append(event()).partition("-")[0]
    forged.close()
    assert [(fault.code, fault.log, fault.seq) for fault in verify(home).faults] == [("certificate", log, 0)]
    assert (home / "ledger" / "spool" / f"{log}.jsonl").exists()


# ---- the key of a host ----


def test_log_forged_with_a_stolen_host_key_after_the_revocation_is_found_and_not_sealed(sealed_home, stolen, event):
    since = now()
    (name, *_) = written(stolen, event, seal=False)
    revoke(sealed_home, current(stolen), since=since)
    (forged,) = spools(stolen)
    for path in (forged, forged.with_suffix(".sig")):
        shutil.copy(path, sealed_home / "ledger" / "spool")
    report = verify(sealed_home)
    assert [(fault.code, fault.log, fault.seq) for fault in report.faults] == [("revoked", forged.stem, 4)]
    assert report.verdict == 1 and (sealed_home / "ledger" / "spool" / forged.name).exists()
    with pytest.raises(ProofError):
        prove(sealed_home, name)


def test_what_a_host_vouched_for_before_it_was_revoked_cannot_be_told_and_is_counted(sealed_home, event):
    former = rotate(sealed_home).former
    written(sealed_home, event)
    revoke(sealed_home, former, reason="the laptop was stolen")
    report = verify(sealed_home)
    assert found(report) == (2, set())
    (note,) = report.notes
    assert note.startswith(f"30 events stand under the key of host {former}, which was revoked from ")
    assert "cannot be told from forged ones" in note
    assert [host.state for host in known_keys(sealed_home).hosts] == ["revoked", "current"]
    assert known_keys(sealed_home).hosts[0].revocation.reason == "the laptop was stolen"


def test_what_stands_under_a_host_that_is_not_revoked_stays_whole(sealed_home, event, tmp_path):
    former = rotate(sealed_home).former
    shutil.rmtree(sealed_home / "ledger")
    written(sealed_home, event)
    revoke(sealed_home, former, since=1)
    assert found(verify(sealed_home)) == (0, set())


def test_revoked_current_host_is_rotated_at_the_same_time(sealed_home, event):
    former = current(sealed_home)
    done = revoke(sealed_home, former)
    assert done.current == current(sealed_home) != former
    written(sealed_home, event)
    kinds = [json.loads(data)["kind"] for data in events(sealed_home)]
    assert kinds.count("key.certified") == kinds.count("key.revoked") == 1
    assert found(verify(sealed_home)) == (2, set())


def test_process_that_runs_through_a_revocation_writes_nothing_that_is_at_fault(sealed_home, event, open_ledger):
    ledger = open_ledger(sealed_home)
    ledger.append(event())
    done = revoke(sealed_home, current(sealed_home))
    while now() <= done.since:  # what is written before cannot be told; what is written from then on is good
        ledger.append(event())
        time.sleep(0.05)
    name = ledger.append(event())
    ledger.close()
    assert found(verify(sealed_home)) == (2, set())
    first = next(one for one in map(json.loads, events(sealed_home)) if one["id"] == name.partition("-")[0] + "-0")
    assert json.loads(first["body"]["certificate"]["payload"])["issuer"] == done.current


def test_tree_head_signed_by_a_stolen_host_key_over_later_events_is_found(sealed_home, stolen, event, tmp_path):
    since = now()
    written(stolen, event)
    export(stolen, tmp_path / "thiefs")
    statement = revoke(sealed_home, current(stolen), since=since).file
    key = sealed_home / "keys" / "root.pub"
    for report in (
        verify_export(tmp_path / "thiefs", key=key, revoked=[statement]),
        verify(stolen, key=key, revoked=[statement]),
    ):
        assert found(report) == (1, {"revoked"})
        assert {fault.log for fault in report.faults if not fault.log} == {""}  # the tree head itself
    assert verify_export(tmp_path / "thiefs", key=key).verdict == 0  # nobody has told this auditor


def test_back_dated_forgery_cannot_be_told_from_what_is_true(sealed_home, stolen, event, tmp_path):
    written(stolen, event)
    export(stolen, tmp_path / "thiefs")
    statement = revoke(sealed_home, current(stolen), since=now() + HOUR).file
    report = verify_export(tmp_path / "thiefs", revoked=[statement])
    assert found(report) == (2, set())
    assert any("35 events stand under the key" in note for note in report.notes)
    assert any("tree head is signed by a key that was revoked" in note for note in report.notes)


def test_tail_cut_off_with_a_stolen_host_key_cannot_be_told(sealed_home, copy, event, stolen):
    """The thief puts the store of before the rotation back, with its tree head: its key is revoked, so nobody is sure of it."""
    done = revoke(sealed_home, current(sealed_home))
    for name in ("ledger",):
        shutil.rmtree(sealed_home / name)
        shutil.copytree(stolen / name, sealed_home / name)
    report = verify(sealed_home)
    assert report.verdict == 2 and any("tree head" in note for note in report.notes)
    ledger = Ledger.open(sealed_home)
    ledger.append(event())
    ledger.close()
    # The sealer does not go on from there.
    assert len(spools(sealed_home)) == 1 and done.current == current(sealed_home)


def test_countersignature_by_a_revoked_host_is_found_or_told(home, run_python, event):
    run_python(
        "no_heads(); ledger = Ledger.open(home, seal=False); [ledger.append(event()) for _ in range(9)]; os._exit(0)"
    )
    rotate(home)  # adopts by the first host, so that host is the one that both opened and countersigned
    run_python(
        "no_heads(); ledger = Ledger.open(home, seal=False); [ledger.append(event()) for _ in range(9)]; os._exit(0)"
    )
    second = current(home)
    third = rotate(home).current
    assert verify(home).verdict == 0
    revoke(home, second, since=now() + HOUR)
    report = verify(home)
    assert found(report) == (2, set()) and third == current(home)


def test_log_of_a_good_host_that_a_revoked_one_countersigned_is_doubtful_in_that_part(home, run_python, start_python):
    process = start_python(
        "no_heads(); ledger = Ledger.open(home, seal=False); [ledger.append(event()) for _ in range(9)]\n"
        "print(ledger._spool.log, flush=True); time.sleep(60)"
    )
    log = process.stdout.readline().strip()
    second = rotate(home).current
    process.kill()
    process.wait()
    before = now()
    assert verify(home).recovered == 10
    rotate(home)
    revoke(home, second, since=now() + HOUR)
    assert any(note.startswith("1") and second in note for note in verify(home).notes)
    doubtful = sum(int(note.split()[0]) for note in verify(home).notes if second in note)
    assert doubtful >= 10
    revoke(home, second, since=before)
    assert log in {fault.log for fault in verify(home).faults if fault.code == "revoked"}


def test_proof_under_the_tree_head_of_a_revoked_host_proves_nothing(sealed_home):
    name = json.loads(next(events(sealed_home)))["id"]
    proof, root = prove(sealed_home, name), load_keys(sealed_home).root
    assert check_proof(proof, root).id == name
    done = revoke(sealed_home, current(sealed_home))
    revoked, notes = read_all([done.file], root)
    assert not notes
    with pytest.raises(ProofError, match="whose key was revoked"):
        check_proof(proof, root, revoked)
    assert check_proof(prove(sealed_home, name), root, revoked).id == name  # under the new host's


def test_revoked_host_that_a_thief_makes_current_again_records_nothing(sealed_home, stolen, event, open_ledger):
    running = open_ledger(sealed_home)
    revoke(sealed_home, current(sealed_home))
    running.append(event())
    for name in ("host.cert", "host.key"):
        shutil.copy(stolen / "keys" / name, sealed_home / "keys")
    with pytest.raises(LedgerError, match="was revoked"):
        Ledger.open(sealed_home)
    with pytest.raises(LedgerError, match="was revoked"):
        running._roll("rotated")
    rotate(sealed_home)
    written(sealed_home, event)
    assert not verify(sealed_home).faults


# ---- hosts that nobody vouches for, or no longer ----


def test_host_by_another_root_signs_nothing(sealed_home, copy, event, tmp_path):
    written(tmp_path / "other", event)
    home, other = copy(sealed_home), load_keys(tmp_path / "other")
    (home / "keys" / "hosts").mkdir()
    shutil.copy(other.place, home / "keys" / "hosts" / f"{other.host_id}.cert")
    keys = load_keys(home)
    note = (home / "ledger" / "checkpoint").read_text()
    checkpoint = open_checkpoint(note, keys.origin, [keys.host_public])
    (home / "ledger" / "checkpoint").write_text(sign_checkpoint(checkpoint, other.host))
    assert found(verify(home)) == (1, {"checkpoint"})
    assert [host.id for host in known_keys(home).hosts] == [keys.host_id]


def expired(home, until):
    """A host that the root certified until then, and its private key."""
    root = root_on_file(Layout(home))
    host = Ed25519PrivateKey.generate()
    claims = msgspec.structs.replace(host_claims(root.public, host, 1), until=until)
    (home / "keys" / "hosts").mkdir(exist_ok=True)
    place = home / "keys" / "hosts" / f"{claims.id}.cert"
    place.write_bytes(msgspec.json.encode(certify(root.sign, claims)))
    return claims, host


@pytest.mark.parametrize(("late", "code"), [(1, "certificate"), (0, None)])
def test_tree_head_by_a_host_whose_certificate_had_expired_is_found(sealed_home, copy, tmp_path, late, code):
    home = copy(sealed_home)
    keys = load_keys(home)
    newest = max(json.loads(data)["ts"] for data in events(home))
    _, host = expired(home, newest + 1 - late)
    note = (home / "ledger" / "checkpoint").read_text()
    forged = sign_checkpoint(open_checkpoint(note, keys.origin, [keys.host_public]), host)
    (home / "ledger" / "checkpoint").write_text(forged)
    alter(home, "UPDATE checkpoints SET note = ? WHERE size = 30", forged)
    assert {fault.code for fault in verify(home).faults} == ({code} if code else set())
    export(home, tmp_path / "x")
    assert {fault.code for fault in verify_export(tmp_path / "x").faults} == ({code} if code else set())


def test_countersignature_by_a_host_whose_certificate_had_expired_is_found(spooled_home, copy):
    home = copy(spooled_home)
    (path,) = spools(home)
    (*_, last), _ = parse_heads(path.with_suffix(".sig").read_bytes())
    claims, host = expired(home, last.ts)
    head = sign_head(host, claims.id, log=path.stem, seq=last.seq, leaf=last.hash, ts=last.ts)
    path.with_suffix(".sig").write_bytes(head.line())
    assert found(verify(home, adopt=False)) == (1, {"certificate"})


def test_proof_of_an_event_later_than_the_certificate_of_the_host_is_none(sealed_home):
    from guardai.ledger.proof import Proof

    data = list(events(sealed_home))[5]
    proof = Proof.read(prove(sealed_home, json.loads(data)["id"]))
    claims, host = expired(sealed_home, json.loads(data)["ts"])
    keys = load_keys(sealed_home)
    checkpoint = open_checkpoint(proof.checkpoint, keys.origin, [keys.host_public])
    certificate = json.loads((sealed_home / "keys" / "hosts" / f"{claims.id}.cert").read_bytes())
    extra = json.dumps({**json.loads(proof.extra), "host": certificate}, sort_keys=True, separators=(",", ":")).encode()
    forged = proof._replace(checkpoint=sign_checkpoint(checkpoint, host), extra=extra)
    with pytest.raises(ProofError, match="had expired"):
        check_proof(forged.text(), keys.root)


def test_sealer_whose_host_has_expired_seals_nothing(sealed_home, event):
    from dataclasses import replace

    from guardai.ledger import SealError

    keys = load_keys(sealed_home)
    late = replace(keys, claims=msgspec.structs.replace(keys.claims, until=1))
    with pytest.raises(SealError, match="has expired"):
        seal(sealed_home, late)


# ---- revocations that were removed, altered or forged ----


def test_revocation_that_was_removed_from_its_folder_is_still_read_from_the_events(sealed_home, event, tmp_path):
    since = now()
    former = current(sealed_home)
    written(sealed_home, event)
    done = revoke(sealed_home, former, since=since)
    export(sealed_home, tmp_path / "x")
    done.file.unlink()
    (tmp_path / "x" / "keys" / "revoked" / done.file.name).unlink()
    assert found(verify(sealed_home)) == (1, {"revoked"})
    assert found(verify_export(tmp_path / "x")) == (1, {"revoked"})


def test_revocation_that_a_thief_leaves_out_is_given_by_hand_to_the_program(sealed_home, stolen, event, tmp_path):
    since = now()
    written(stolen, event)
    export(stolen, tmp_path / "thiefs")
    statement = shutil.copy(revoke(sealed_home, current(stolen), since=since).file, tmp_path / "revocation.json")
    key = shutil.copy(sealed_home / "keys" / "root.pub", tmp_path / "root.pub")
    program = [sys.executable, str(tmp_path / "thiefs" / "verify.py"), "--key", str(key)]
    environment = {**{n: v for n, v in os.environ.items() if n != "PYTHONPATH"}, "PYTHONUTF8": "1"}

    def run(*more):
        return subprocess.run([*program, *more], capture_output=True, text=True, check=False, env=environment)

    assert run().returncode == 0
    told = run("--revoked", str(statement))
    assert (told.returncode, told.stderr) == (1, "") and "revoked: stands under the key of a host that" in told.stdout


def forge(home, host, tmp_path, event):
    """A revocation by another root."""
    open_keys(tmp_path / "other")
    root = root_at(str(tmp_path / "other" / "keys" / "root.key"), lambda _: "")
    from guardai.ledger.revocations import revoke_by

    statement = revoke_by(root, host=host, since=1, reason="", now=1)
    (home / "keys" / "revoked").mkdir(exist_ok=True)
    place = home / "keys" / "revoked" / f"{host}.json"
    place.write_bytes(msgspec.json.encode(statement))
    return place


def test_forged_revocation_revokes_nothing_and_is_told(sealed_home, event, tmp_path):
    host = current(sealed_home)
    forge(sealed_home, host, tmp_path, event)
    written(sealed_home, event)
    assert spools(sealed_home) == []  # sealed as ever
    report = verify(sealed_home)
    assert found(report) == (2, set()) and "is not signed by the root" in report.notes[0]
    assert [one.state for one in known_keys(sealed_home).hosts] == ["current"]
    export(sealed_home, tmp_path / "x")
    told = verify_export(tmp_path / "x")
    assert found(told) == (2, set()) and "not signed by the root" in told.notes[0]


def test_every_byte_of_a_revocation(sealed_home, event):
    done = revoke(sealed_home, current(sealed_home), since=1)
    root, content = load_keys(sealed_home).root, done.file.read_bytes()
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 0x01
        done.file.write_bytes(bytes(changed))
        assert not read_all([done.file], root)[0]


def test_host_that_this_root_never_certified_is_not_revoked(sealed_home):
    with pytest.raises(LedgerError, match="certified no host"):
        revoke(sealed_home, "0123456789abcdef")
    assert not (sealed_home / "keys" / "revoked").exists()


def test_revocation_is_made_earlier_and_never_later(sealed_home):
    host = current(sealed_home)
    first = revoke(sealed_home, host)
    with pytest.raises(LedgerError, match="revoked already"):
        revoke(sealed_home, host, since=first.since + 1)
    assert revoke(sealed_home, host, since=5).since == 5
    assert known_keys(sealed_home).hosts[0].revocation.since == 5


def test_nothing_is_revoked_while_the_new_host_cannot_seal(sealed_home, monkeypatch):
    from guardai.ledger import ledger, rotation

    former = rotate(sealed_home).former
    shutil.copy(sealed_home / "ledger" / "checkpoint", sealed_home / "was")
    monkeypatch.setattr(rotation, "_signs_the_tree", lambda *_: True)
    with pytest.raises(LedgerError, match="nothing is revoked yet"):
        revoke(sealed_home, former)
    assert ledger and [host.state for host in known_keys(sealed_home).hosts] == ["former", "current"]


def test_checkpoint_of_a_former_host_is_gone_on_from_and_of_a_revoked_one_not(sealed_home, stolen, event):
    keys = load_keys(stolen)
    rotate(sealed_home)
    written(sealed_home, event)  # the sealer went on from the former host's tree head
    assert verify(sealed_home).verdict == 0
    revoke(sealed_home, keys.host_id)
    newest = open_checkpoint(
        (sealed_home / "ledger" / "checkpoint").read_text(), keys.origin, [load_keys(sealed_home).host_public]
    )
    forged = sign_checkpoint(
        Checkpoint(keys.origin, newest.size, newest.root), load_private((stolen / "keys" / "host.key").read_bytes())
    )
    (sealed_home / "ledger" / "checkpoint").write_text(forged)
    from guardai.ledger import SealError

    ledger = Ledger.open(sealed_home, seal=False)
    ledger.append(event())
    with pytest.raises(SealError, match="a key that was revoked"):
        ledger.flush()
    ledger.close()
