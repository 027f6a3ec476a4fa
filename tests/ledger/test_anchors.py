"""Anchors: tree heads that somebody else vouches for, what they prove, and what is found once somebody cuts or forks a ledger."""

import base64
import errno
import json
import logging
import os
import random
import secrets
import shutil
import threading
import time

import boto3
import msgspec
import pytest
from anchors import Authority, Witness, goes_on, served
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
import stores
from stores import address_of, alter, is_postgres

from guardai import AnchorAhead, AnchorError, ConfigError
from guardai.ledger import (
    Anchoring,
    Anchors,
    Ledger,
    TrustPolicy,
    anchor,
    check_proof,
    events,
    export,
    export_public,
    held_file,
    hold,
    known_keys,
    open_anchor,
    prove,
    revoke,
    rotate,
    seal,
    standings,
    verify,
    verify_export,
    verify_store,
)
from guardai.ledger import anchored, vouching
from guardai.ledger.anchored import newest_head, receipts
from guardai.ledger.keys import open_keys
from guardai.ledger.layout import Layout
from guardai.ledger.merkle import Tree, consistency, leaf_hash
from guardai.ledger.merkle import root_at as tree_root_at
from guardai.ledger.note import verifier_key
from guardai.ledger.trust import trust
from guardai.model import Vouched, shown

pytestmark = pytest.mark.usefixtures("either_store")


class Tiles(dict):
    def get_tile(self, level, index):
        return self.get((level, index), b"")

    def put_tile(self, level, index, hashes):
        self[level, index] = hashes


def tree_of(size):
    tiles = Tiles()
    Tree(tiles).extend(leaf_hash(b"%d" % n) for n in range(size))
    return tiles


BIG = tree_of(70_000)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_consistency_proof_is_the_one_that_the_rfc_verifies(data):
    size = data.draw(st.one_of(st.integers(1, 600), st.integers(1, 70_000)))
    old = data.draw(st.integers(0, size))
    proof = consistency(BIG, old, size)
    before, after = tree_root_at(BIG, old) if old else b"", tree_root_at(BIG, size)
    if old == size:
        assert proof == []
        return
    assert goes_on(old, before, size, after, proof)
    if proof:
        broken = [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]]
        assert not goes_on(old, before, size, after, broken)


@pytest.mark.parametrize(("old", "size"), [(-1, 3), (4, 3)])
def test_tree_that_is_larger_is_not_the_beginning_of_another(old, size):
    with pytest.raises(ValueError, match="does not begin"):
        consistency(BIG, old, size)


# ---- a witness ----


@pytest.fixture
def witness(home, sealed_home):
    one = Witness()
    trusted = trust(home)
    one.knows(trusted.origin, *trusted.publics)
    with one.serving() as one.url:
        yield one


def more(home, event, count=3):
    ledger = Ledger.open(home)
    for _ in range(count):
        ledger.append(event())
    ledger.close(timeout=60)


def handed(home, url, one=None):
    return anchor(home, {url: one or open_anchor(url)})[url]


def checked(home, *urls, ask=False, held=(), **options):
    return verify(home, anchors=Anchors({url: open_anchor(url) for url in urls}, ask, held), **options)


def note_of(home):
    return newest_head(Layout(home), trust(home).origin).note


def codes(report):
    return [fault.code for fault in report.faults]


def test_nothing_is_anchored_without_an_anchor(sealed_home):
    report = verify(sealed_home)
    assert (report.verdict, report.unanchored, report.anchors) == (0, 30, [])


def test_witness_cosigns_the_newest_tree_head_and_what_goes_on_from_it(home, witness, event):
    assert handed(home, witness.url).size == 30
    more(home, event, 3)
    stands = handed(home, witness.url)
    assert (stands.size, stands.error) == (35, "")
    assert witness.heads[trust(home).origin][0] == 35
    assert [kept.size for kept in receipts(home, witness.url)] == [35, 30]
    more(home, event, 4)
    report = checked(home, witness.url)
    assert (report.verdict, report.unanchored) == (0, 6)
    [line] = report.anchors
    assert (line.size, line.error) == (35, "")
    assert abs(line.time - time.time()) < 60
    assert "#" not in line.who


def test_nobody_is_asked_twice_about_one_tree_head(home, witness):
    handed(home, witness.url)
    asked = len(witness.asked)
    handed(home, witness.url)
    assert len(witness.asked) == asked


def test_witness_that_forgot_or_knows_more_of_the_same_tree_is_told_so(home, witness, event):
    one = open_anchor(witness.url)
    anchor(home, {witness.url: one})
    more(home, event)
    other = open_anchor(witness.url)  # another process, which does not know what the witness has seen
    assert anchor(home, {witness.url: other})[witness.url].error == ""
    more(home, event)
    witness.heads.clear()
    assert anchor(home, {witness.url: other})[witness.url].error == ""


def test_proof_carries_the_cosignature_and_counts_for_a_quorum(home, witness, event, sealed_home):
    more(home, event)
    handed(home, witness.url)
    more(home, event)  # the newest head is not cosigned
    names = [json.loads(one)["id"] for one in events(home)]
    trusted = trust(home)
    policy = TrustPolicy.read(
        "".join(f"log {verifier_key(trusted.origin, key)}\n" for key in trusted.publics)
        + f"witness w {witness.vkey}\nquorum w\n"
    )
    proven = check_proof(prove(home, names[0]), policy)
    assert list(proven.witnesses) == ["w"]
    assert check_proof(prove(home, names[0]), trusted.root).id == names[0]
    # What is under no cosigned head is proven by the host's word, as before.
    assert check_proof(prove(home, names[-1]), trusted.root).id == names[-1]


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda witness: witness.logs.clear(), "does not know the ledger guardai/"),
        (lambda witness: witness.logs.update(dict.fromkeys(witness.logs, ())), "does not trust the key of this host"),
        (lambda witness: setattr(witness, "answer", lambda *_: (500, "text/plain", b"secret")), "the witness answers 500"),
        (lambda witness: setattr(witness, "answer", lambda *_: (200, "text/plain", b"<html>")), "no cosignature"),
        (lambda witness: setattr(witness, "answer", lambda *_: (200, "text/plain", b"\xff")), "no cosignature"),
        (lambda witness: setattr(witness, "key", Witness().key), "does not hold, or is another's"),
        (lambda witness: setattr(witness, "answer", lambda *_: (409, "text/plain", b"7\n")), "not of which size"),
        (lambda witness: setattr(witness, "answer", lambda *_: (409, "text/x.tlog.size", b"007\n")), "not of which size"),
        (lambda witness: setattr(witness, "answer", lambda *_: (409, "text/x.tlog.size", b"7\n")), "each time"),
    ],
    ids=["unknown log", "unknown key", "500", "a page", "no text", "another key", "no type", "zeros", "endless"],
)  # fmt: skip
def test_witness_that_does_not_do_its_part_is_told_and_tried_again(home, witness, break_it, says):
    kept = dict(vars(witness))
    break_it(witness)
    stands = handed(home, witness.url)
    assert says in stands.error
    assert not stands.ahead
    assert "secret" not in stands.error
    assert stands.size == 0
    assert list(receipts(home, witness.url)) == []
    vars(witness).pop("answer", None)
    vars(witness).update(kept)
    witness.knows(trust(home).origin, *trust(home).publics)
    assert handed(home, witness.url).error == ""


def test_witness_that_is_gone_is_told_and_holds_up_no_other(home, witness):
    with served(lambda *_: (200, "text/plain", b"")) as place:
        pass
    gone = f"witness+{place}/w#{Witness().vkey}"
    found = anchor(home, {gone: open_anchor(gone), witness.url: open_anchor(witness.url)})
    assert "no connection" in found[gone].error
    assert found[witness.url].size == 30


def test_witness_that_never_answers_is_given_up(home, sealed_home):
    stop = threading.Event()
    try:
        with served(lambda *_: (stop.wait(20), (200, "text/plain", b""))[1]) as place:
            url = f"witness+{place}/w#{Witness().vkey}"
            found = anchor(home, {url: open_anchor(url)}, seconds=0.3)[url]
            stop.set()
        assert found.error == "no answer in time"
    finally:
        stop.set()


@pytest.mark.parametrize(
    "url",
    [
        "witness+https://witness.example/",
        "witness+https://witness.example/#w1+00000000+BAAA",
        "witness+ftp://witness.example/#{}",
        "witness+http://witness.example/#{}",
        "witness+https://user:secret@witness.example/#{}",
        "witness+https://witness.example/?a=secret#{}",
        "nothing://witness.example",
    ],
)
def test_url_that_names_no_anchor_is_refused_without_its_secrets(url):
    with pytest.raises(ConfigError) as told:
        open_anchor(url.format(Witness().vkey))
    assert "secret" not in str(told.value)


# ---- what somebody finds who has been vouched for ----


def regrown(home, event, copy, hand, count=3):
    """What an owner of the machine does: cuts, grows beyond what was, and has the new one vouched for."""
    cut = copy(home)
    more(home, event, count)
    hand(home)
    more(cut, event, count + 15)
    hand(cut)
    return cut


def test_ledger_that_was_cut_grown_again_and_anchored_again_is_found_by_the_bucket(
    home, sealed_home, held, event, copy
):
    cut = regrown(home, event, copy, lambda one: handed(one, held))
    assert codes(checked(cut, held, ask=True)) == ["forked"]


def test_ledger_that_was_cut_grown_again_and_held_again_is_found_by_the_other_ledger(
    home, sealed_home, event, copy, tmp_path
):
    export_public(home, tmp_path / "public")
    logs = TrustPolicy.read((tmp_path / "public" / "trust.policy").read_text())
    other = tmp_path / "other"
    cut = regrown(home, event, copy, lambda one: hold(other, note_of(one), logs, by="eve"))
    kept = tmp_path / "kept.jsonl"
    kept.write_bytes(held_file(other, trust(home).origin).read_bytes())
    assert codes(checked(cut, held=[kept])) == ["forked"]
    export(cut, tmp_path / "export")
    report = verify_export(tmp_path / "export", key=home / "keys" / "root.pub", held=[kept])
    assert (report.verdict, codes(report)) == (1, ["forked"])


def test_store_that_was_set_back_is_found_by_the_receipts_that_are_left(home, sealed_home, authority, event, copy):
    cut = copy(home)
    more(home, event)
    handed(home, authority.url)
    shutil.copytree(home / "ledger" / "anchors", cut / "ledger" / "anchors")
    assert codes(checked(cut, authority.url)) == ["rolled_back"]
    stands = handed(cut, authority.url)
    assert (stands.ahead, stands.error) == (True, "it was handed a tree head of 35 events; here are 30")
    more(cut, event, 10)
    assert handed(cut, authority.url).error == ""
    assert codes(checked(cut, authority.url)) == ["forked"]


def test_ledger_that_was_emptied_is_found(home, witness, tmp_path, event):
    handed(home, witness.url)
    kept = tmp_path / "kept"
    kept.write_text(note_of(home))
    stores.remove(home)
    shutil.rmtree(home / "ledger" / "spool")
    (home / "ledger" / "checkpoint").unlink()
    report = checked(home, held=[kept])
    assert (report.verdict, codes(report)) == (1, ["rolled_back"])
    shutil.rmtree(home / "ledger" / "anchors")
    report = checked(home, witness.url, ask=True)
    assert (report.verdict, report.notes[-1].endswith("nothing is sealed here, so it cannot be asked")) == (2, True)


def test_program_that_seals_and_anchors_meanwhile_is_no_fault(home, witness, event, monkeypatch):
    handed(home, witness.url)
    real, count = vouching.ask_within, [0]

    def meanwhile(seconds, work):
        if not count[0]:
            count[0] += 1
            more(home, event)
            handed(home, witness.url)
        return real(seconds, work)

    monkeypatch.setattr(vouching, "ask_within", meanwhile)
    report = checked(home, witness.url, ask=True)
    assert (report.verdict, codes(report), count) == (0, [], [1])


def test_anchor_that_was_asked_and_does_not_answer_is_no_yes(home, witness, tmp_path):
    handed(home, witness.url)
    witness.answer = lambda *_: (500, "text/plain", b"")
    assert checked(home, witness.url).verdict == 0
    report = checked(home, witness.url, ask=True)
    assert (report.verdict, report.unanchored) == (2, 0)
    assert report.notes == [f"{shown(witness.url)}: the witness answers 500"]
    garbage = tmp_path / "garbage"
    garbage.write_text("garbage")
    assert checked(home, held=[garbage]).verdict == 2


def test_witness_that_is_asked_vouches_for_no_more_than_it_had_seen(home, witness, event):
    handed(home, witness.url)
    more(home, event)
    shutil.rmtree(home / "ledger" / "anchors")
    report = checked(home, witness.url, ask=True)
    assert (report.verdict, report.unanchored, report.anchors[0].size) == (0, 5, 30)


def test_witness_that_is_asked_about_a_copy_cosigns_nothing_that_it_had_not_seen(home, witness, event, copy):
    handed(home, witness.url)
    copied = copy(home)
    more(copied, event)
    for _ in range(2):
        report = checked(copied, witness.url, ask=True)
        assert (report.verdict, report.unanchored) == (0, 5)
    assert witness.heads[trust(home).origin][0] == 30
    more(home, event, 9)
    assert handed(home, witness.url).error == ""
    assert checked(home, witness.url, ask=True).verdict == 0


def test_time_that_no_calendar_has_is_refused(home, witness):
    text = note_of(home).rpartition("\n\n")[0] + "\n"
    with pytest.raises(AnchorError):
        open_anchor(witness.url).check(note_of(home) + witness.cosign(text, when=1 << 62))
    real = witness.cosign
    witness.cosign = lambda text: real(text, when=1 << 40)
    stands = handed(home, witness.url)
    assert (stands.size, "does not hold" in stands.error) == (0, True)


def test_proof_falls_back_where_the_cosigned_head_does_not_hold_any_more(home, witness, event):
    first = json.loads(next(iter(events(home))))["id"]
    handed(home, witness.url)
    [path] = (home / "ledger" / "anchors").glob("*.receipts.jsonl")
    with path.open("a") as file:
        file.write(json.dumps({"size": 31, "receipt": "junk\n\n— junk\n"}) + "\n")
    assert check_proof(prove(home, first), trust(home).root).id == first
    thief = known_keys(home).hosts[0].id
    rotate(home)
    revoke(home, thief)
    seal(home, open_keys(home, create=False))
    assert check_proof(prove(home, first), trust(home).root, trust(home).revoked).id == first


def test_receipts_that_were_kept_elsewhere_are_taken_as_they_are(home, authority, sealed_home, event, tmp_path):
    handed(home, authority.url)
    [path] = (home / "ledger" / "anchors").glob("*.receipts.jsonl")
    kept = tmp_path / "kept.jsonl"
    path.rename(kept)
    report = checked(home, authority.url, held=[kept])
    assert (report.verdict, report.unanchored, report.anchors[0].size) == (0, 0, 30)
    assert abs(report.anchors[0].time - time.time()) < 60
    assert checked(home, held=[kept]).verdict == 2  # nobody here can say what they are


def test_thief_s_tree_head_that_came_after_the_revocation_counts_for_nothing(
    home, sealed_home, held, buckets, event, copy
):
    stolen = copy(home)
    thief = known_keys(home).hosts[0].id
    rotate(home)
    revoke(home, thief, since=time.time_ns() // 1000)
    seal(home, open_keys(home, create=False))
    more(stolen, event, 40)
    handed(stolen, held)
    report = checked(home, held, ask=True)
    assert codes(report) == []


def test_disk_that_is_full_holds_up_no_other_anchor(home, witness, monkeypatch):
    other = Witness("witness.example/w2")
    other.knows(trust(home).origin, *trust(home).publics)
    real = anchored.append

    def full(path, one):
        raise OSError(errno.ENOSPC, "No space left on device")

    with other.serving() as url:
        monkeypatch.setattr(anchored, "append", full)
        found = anchor(home, {one: open_anchor(one) for one in (witness.url, url)})
        assert [one.error for one in found.values()] == ["OSError: No space left on device"] * 2
        monkeypatch.setattr(anchored, "append", real)
        assert [handed(home, one).error for one in (witness.url, url)] == ["", ""]


def test_anchor_that_hangs_whatever_it_is_told_is_given_up(home, sealed_home, monkeypatch):
    monkeypatch.setattr(anchored, "_GRACE", 0.1)
    monkeypatch.setattr(vouching, "LIMIT", 0.1)
    stop = threading.Event()

    class Deaf:
        def submit(self, head, *, seconds):
            stop.wait(30)
            return ""

        def ask(self, head, *, seconds):
            stop.wait(30)
            return ()

        def check(self, receipt):
            raise AnchorError("no")

    try:
        assert anchor(home, {"test://h/p": Deaf()}, seconds=0.1)["test://h/p"].error == "no answer in time"
        report = verify(home, anchors=Anchors({"test://h/p": Deaf()}, ask=True))
        assert (report.verdict, report.notes) == (2, ["test://h/p: no answer in time"])
    finally:
        stop.set()


@pytest.fixture
def cut(home, event, witness, copy):
    """What an owner of the machine does: the ledger as it was before the last events, with all of its keys, sealed on elsewhere."""
    more(home, event)
    before = copy(home)
    more(home, event, 5)
    handed(home, witness.url)
    return before


def test_tail_that_was_cut_is_found_by_a_tree_head_that_somebody_kept(home, cut, witness, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text(next(receipts(home, witness.url)).receipt)
    assert checked(home, held=[kept]).verdict == 0
    assert verify(cut).verdict == 0  # by itself it is whole
    report = checked(cut, held=[kept])
    assert (report.verdict, codes(report)) == (1, ["rolled_back"])
    [line] = report.anchors
    assert (line.who, line.size, line.error) == ("kept", 0, "a tree head is of more events than are here")


def test_tail_that_was_cut_is_found_by_asking_the_witness(home, cut, witness):
    assert checked(home, witness.url, ask=True).verdict == 0
    report = checked(cut, witness.url, ask=True)
    assert (report.verdict, codes(report)) == (1, ["rolled_back"])
    assert "has seen a tree head of 42 events; here are 35" in report.anchors[0].error


def test_tail_that_was_cut_and_grown_again_is_found(home, cut, witness, event, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text(next(receipts(home, witness.url)).receipt)
    more(cut, event, 20)
    report = checked(cut, held=[kept])
    assert (report.verdict, codes(report)) == (1, ["forked"])
    report = checked(cut, witness.url, ask=True)
    assert (report.verdict, codes(report)) == (1, ["forked"])
    stands = handed(cut, witness.url)
    assert stands.ahead
    assert "does not go on from" in stands.error
    assert stands.size == 0


def test_what_was_cut_is_found_in_an_export_too(home, cut, witness, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text(next(receipts(home, witness.url)).receipt)
    export(home, tmp_path / "whole")
    export(cut, tmp_path / "less")
    key = home / "keys" / "root.pub"
    report = verify_export(tmp_path / "whole", key=key, held=[kept])
    assert (report.verdict, report.unanchored, report.anchors[0].size) == (0, 0, 42)
    report = verify_export(tmp_path / "less", key=key, held=[kept])
    assert (report.verdict, codes(report)) == (1, ["rolled_back"])
    assert report.unanchored == report.events == 35


def test_file_that_is_no_tree_head_of_this_ledger_vouches_for_nothing(home, witness, tmp_path, copy, event):
    other = Ledger.open(tmp_path / "home-of-another")
    other.append(event())
    other.close(timeout=60)
    for name, text in (
        ("text", "what?"),
        ("bytes", b"\xff\xfe"),
        ("other", note_of(tmp_path / "home-of-another")),
    ):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        report = checked(home, held=[path])
        assert (report.verdict, report.unanchored) == (2, 30)
        assert report.anchors[0].error
        assert len(report.notes) == 1


def test_receipt_that_was_altered_vouches_for_nothing(home, witness, event):
    handed(home, witness.url)
    more(home, event)
    handed(home, witness.url)
    [path] = (home / "ledger" / "anchors").glob("*.receipts.jsonl")
    first, second = path.read_text().splitlines()
    path.write_text(first + "\n" + second.replace("\\n35\\n", "\\n36\\n") + "\n{torn")
    report = checked(home, witness.url)
    assert (report.verdict, report.anchors[0].size, report.unanchored) == (0, 30, 5)
    path.write_text("{torn")
    report = checked(home, witness.url)
    assert (report.anchors[0].size, report.unanchored) == (0, 35)
    assert report.anchors[0].error.startswith("it vouches for nothing of this ledger")


def test_receipt_behind_one_that_a_death_cut_short_is_kept(home, witness, event):
    handed(home, witness.url)
    [path] = (home / "ledger" / "anchors").glob("*.receipts.jsonl")
    with path.open("a") as file:
        file.write('{"size":31,"ti')
    more(home, event)
    handed(home, witness.url)
    assert [kept.size for kept in receipts(home, witness.url)] == [35, 30]


def test_receipts_are_read_newest_first_however_long_they_are(home, sealed_home):
    class Wordy:
        def submit(self, head, *, seconds):
            return f"{head.size} " + "x" * random.randrange(60_000)

    for size in range(40):
        anchored.append(home / "receipts", anchored.Receipt(size, "é" * random.randrange(20_000)))
    assert [one.size for one in anchored.read_receipts(home / "receipts")] == list(range(39, -1, -1))
    assert handed(home, "test://h/p", Wordy()).size == 30
    assert next(receipts(home, "test://h/p")).receipt.startswith("30 ")


def test_fork_under_the_same_keys_is_refused_by_the_witness(home, witness, event, copy):
    other = copy(home)
    more(home, event, 3)
    more(other, event, 3)
    assert handed(home, witness.url).size == 35
    stands = handed(other, witness.url)
    assert stands.ahead
    assert checked(home, witness.url, ask=True).verdict == 0


def test_what_was_anchored_before_a_host_was_revoked_is_beyond_doubt(home, witness, event):
    handed(home, witness.url)
    time.sleep(1.1)  # a witness tells seconds
    since = time.time_ns() // 1000
    thief = known_keys(home).hosts[0].id
    rotate(home)
    revoke(home, thief, since=since, reason="stolen")
    seal(home, open_keys(home, create=False))
    doubted = verify(home)
    assert doubted.verdict == 2
    assert any("30 events stand under the key" in note for note in doubted.notes)
    sure = checked(home, witness.url)
    assert (sure.verdict, sure.notes) == (0, [])
    witness.knows(trust(home).origin, *trust(home).publics)
    handed(home, witness.url)  # what comes later takes nothing back
    assert checked(home, witness.url).verdict == checked(home, witness.url, ask=True).verdict == 0


def test_store_that_hosts_share_is_checked_from_a_machine_that_is_none_of_them(home, witness, event, tmp_path):
    if not is_postgres(home):
        return
    more(home, event)
    handed(home, witness.url)
    public = tmp_path / "root.pub"
    public.write_bytes((home / "keys" / "root.pub").read_bytes())
    anchors = Anchors({witness.url: open_anchor(witness.url)}, ask=True)
    report = verify_store(address_of(home), key=public, anchors=anchors)
    assert (report.faults, report.unanchored, report.anchors[0].size) == ([], 0, 35)


def test_copy_that_is_only_verified_makes_no_tree_head_that_the_true_ledger_does_not_have(
    home, witness, event, copy, run_python
):
    handed(home, witness.url)
    run_python(
        "ledger = Ledger.open(home, seal=False); ledger.append(event()); os._exit(0)"
    )  # a tail that waits for its sealer
    backup = copy(home)
    assert checked(backup, witness.url, ask=True).verdict == 0
    more(home, event)
    assert handed(home, witness.url).error == ""
    assert checked(home, witness.url, ask=True).verdict == 0


def test_receipts_that_nobody_here_can_read_are_no_yes(home, witness, authority, event, tmp_path, copy):
    handed(home, witness.url)
    cut = copy(home)
    more(home, event)
    handed(home, authority.url)
    kept = tmp_path / "kept.jsonl"
    kept.write_bytes(
        b"".join(path.read_bytes() for path in sorted((home / "ledger" / "anchors").glob("*.receipts.jsonl")))
    )
    report = checked(cut, held=[kept])
    assert (report.verdict, report.notes) == (2, ["kept.jsonl: nobody here can say what 1 of its receipts prove"])
    assert codes(checked(cut, authority.url, held=[kept])) == ["rolled_back"]
    export(cut, tmp_path / "export")
    assert verify_export(tmp_path / "export", key=home / "keys" / "root.pub", held=[kept]).verdict == 1


def test_what_a_bucket_had_before_a_revocation_stays_beyond_doubt(home, sealed_home, held, event):
    handed(home, held)
    time.sleep(2.1)
    since = time.time_ns() // 1000
    thief = known_keys(home).hosts[0].id
    rotate(home)
    revoke(home, thief, since=since)
    seal(home, open_keys(home, create=False))
    for _ in range(2):
        assert handed(home, held).error == ""
        report = checked(home, held, ask=True)
        assert (report.verdict, report.notes) == (0, [])
        more(home, event)


def test_many_tree_heads_in_a_bucket_are_compared_without_reading_them(
    home, sealed_home, held, buckets, event, monkeypatch
):
    handed(home, held)
    head = newest_head(Layout(home), trust(home).origin)
    for size in range(1, 30):
        put(buckets, home, size, head.root(size), "x")
    one, reads = open_anchor(held), []
    real = one._read
    monkeypatch.setattr(one, "_read", lambda *given: reads.append(1) or real(*given))
    report = verify(home, anchors=Anchors({held: one}, ask=True))
    assert (report.verdict, report.unanchored, len(reads) <= 16) == (0, 0, True)


def test_answer_that_breaks_off_counts_as_far_as_it_went(home, sealed_home, event, copy):
    cut = copy(home)
    more(home, event)
    note = note_of(home)

    class Broken:
        def check(self, receipt):
            raise AnchorError("no")

        def ask(self, head, *, seconds):
            yield Vouched(note, 7)
            raise AnchorError("the line is dead")

    report = verify(cut, anchors=Anchors({"test://h/p": Broken()}, ask=True))
    assert (report.verdict, codes(report)) == (1, ["rolled_back"])


def test_bucket_whose_locks_may_not_be_seen_says_why_it_vouches_for_nothing(home, sealed_home, held, monkeypatch):
    from guardai.ledger.anchors import bucket

    handed(home, held)
    monkeypatch.setattr(bucket, "_is_locked", lambda *_: False)
    report = checked(home, held, ask=True)
    assert (report.verdict, report.unanchored, "does not keep it" in report.anchors[0].error) == (0, 30, True)


def test_tree_head_of_a_revoked_host_that_is_of_this_tree_is_no_doubt(home, witness, event, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text(note_of(home))
    thief = known_keys(home).hosts[0].id
    handed(home, witness.url)
    time.sleep(1.1)
    since = time.time_ns() // 1000
    rotate(home)
    revoke(home, thief, since=since)
    seal(home, open_keys(home, create=False))
    assert checked(home, witness.url).verdict == checked(home, witness.url, held=[kept]).verdict == 0


def test_anchor_that_is_always_ahead_is_asked_three_times(home, sealed_home, event):
    asked = []

    class Liar:
        def check(self, receipt):
            raise AnchorError("no")

        def ask(self, head, *, seconds):
            asked.append(head.size)
            more(home, event, 1)
            raise AnchorAhead("I have more", size=10**9)

    report = verify(home, anchors=Anchors({"test://h/p": Liar()}, ask=True))
    assert (len(asked), codes(report)) == (3, ["rolled_back"])


def test_quorum_of_witnesses_is_met_by_a_head_that_all_of_them_cosigned(home, witness, event):
    other = Witness("witness.example/w2")
    other.knows(trust(home).origin, *trust(home).publics)
    with other.serving() as url:
        for one in (witness.url, url):
            handed(home, one)
        more(home, event)
        handed(home, witness.url)  # the second is away
    trusted = trust(home)
    policy = TrustPolicy.read(
        "".join(f"log {verifier_key(trusted.origin, key)}\n" for key in trusted.publics)
        + f"witness a {witness.vkey}\nwitness b {other.vkey}\ngroup both all a b\nquorum both\n"
    )
    first = json.loads(next(iter(events(home))))["id"]
    assert set(check_proof(prove(home, first), policy).witnesses) == {"a", "b"}


def test_tree_head_that_is_none_ends_no_thread(home, witness):
    alter(home, "UPDATE checkpoints SET note = ?", "garbage")
    anchoring = Anchoring(home, {witness.url: open_anchor(witness.url)}, every=0.01)
    anchoring.start()
    time.sleep(0.2)
    assert anchoring._threads[0].is_alive()
    anchoring.stop()


def test_bucket_is_handed_the_same_tree_head_again_before_its_lock_runs_out(
    home, sealed_home, held, buckets, monkeypatch
):
    one = open_anchor(held)
    anchor(home, {held: one})
    anchor(home, {held: one})
    assert len(keys_in(buckets)) == 1
    one.renew = 1e-6
    anchor(home, {held: one})
    assert len(keys_in(buckets)) == 2


# ---- a time-stamping authority ----


@pytest.fixture
def authority(tmp_path):
    one = Authority(tmp_path / "authority")
    with one.serving() as one.url:
        yield one


def test_authority_stamps_the_tree_head(home, sealed_home, authority, event):
    assert handed(home, authority.url).error == ""
    more(home, event)
    report = checked(home, authority.url)
    assert (report.verdict, report.unanchored, report.anchors[0].size) == (0, 5, 30)
    assert abs(report.anchors[0].time - time.time()) < 60
    assert (
        checked(home, authority.url, ask=True).anchors[0].size == 30
    )  # it keeps nothing: its receipts are what counts


def test_stamp_is_of_the_latest_time_that_its_accuracy_allows(home, sealed_home, authority):
    with (authority.folder / "tsa.cnf").open("a") as file:
        file.write("accuracy = secs:3600, millisecs:500\n")
    assert handed(home, authority.url).error == ""
    assert 3500 < checked(home, authority.url).anchors[0].time - time.time() < 3700


def test_stamp_of_another_root_vouches_for_nothing(home, sealed_home, authority, tmp_path):
    handed(home, authority.url)
    other = Authority(tmp_path / "other")
    url = authority.url.replace(str(authority.folder), str(other.folder))
    [kept] = receipts(home, authority.url)
    with pytest.raises(AnchorError, match="does not hold"):
        open_anchor(url).check(kept.receipt)
    stands = handed(home, url)  # asked of the first, which the second's root does not vouch for
    assert "does not hold" in stands.error


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((200, "application/timestamp-reply", b"0\x03\x02\x01\x00"), "does not hold"),
        ((200, "text/html", b"<html>"), "with no time stamp"),
        ((403, "application/timestamp-reply", b""), "answers 403"),
    ],
)
def test_authority_that_gives_no_stamp_is_told(home, sealed_home, authority, answer, says):
    authority.answer = lambda *_: answer
    assert says in handed(home, authority.url).error


def test_stamp_of_another_tree_head_is_refused(home, sealed_home, authority, event):
    handed(home, authority.url)
    old = base64.b64decode(json.loads(next(receipts(home, authority.url)).receipt)["reply"])
    more(home, event)
    authority.answer = lambda *_: (200, "application/timestamp-reply", old)
    assert "does not hold" in handed(home, authority.url).error


# ---- from within a program ----


def test_program_hands_over_what_it_sealed_and_once_more_at_its_end(home, witness, event):
    anchoring = Anchoring(home, {witness.url: open_anchor(witness.url)}, every=0.05)
    anchoring.start()
    until = time.monotonic() + 20
    while witness.heads.get(trust(home).origin, (0,))[0] < 30:
        assert time.monotonic() < until
        time.sleep(0.01)
    slow = Anchoring(home, {witness.url: open_anchor(witness.url)}, every=3600)
    slow.start()
    anchoring.stop()
    more(home, event)
    slow.stop()
    assert witness.heads[trust(home).origin][0] == 35


def test_program_without_an_anchor_has_no_thread(home):
    before = threading.active_count()
    anchoring = Anchoring(home, {}, every=1)
    anchoring.start()
    assert threading.active_count() == before
    anchoring.stop()


def test_forked_child_begins_anew(home, witness, event):
    anchoring = Anchoring(home, {witness.url: open_anchor(witness.url)}, every=3600)
    anchoring.start()
    pid = os.fork()
    if not pid:
        anchoring.start()
        anchoring.stop()
        os._exit(0 if list(receipts(home, witness.url)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    anchoring.stop()


def test_two_anchors_at_one_place_are_refused(home):
    with pytest.raises(ConfigError, match="same place"):
        Anchoring(home, {"test://h/p?a=1": None, "test://h/p?a=2": None}, every=1)


def test_anchor_that_raises_whatever_it_likes_is_told_without_its_words(home, sealed_home):
    class Loud:
        def submit(self, head, *, seconds):
            raise RuntimeError("the key is s3cret")

    stands = anchor(home, {"test://h/p": Loud()})["test://h/p"]
    assert stands.error == "RuntimeError"
    assert [one.account.error for one in standings(home, ["test://h/p"])] == ["RuntimeError"]


def test_anchor_of_another_make_is_believed_by_what_it_checks(home, sealed_home):
    class Friend:
        def submit(self, head, *, seconds):
            return head.note

        def check(self, receipt):
            return Vouched(receipt, 7)

        def ask(self, head, *, seconds):
            raise AnchorAhead("I know better", size=1000)

    friend = Friend()
    anchor(home, {"test://h/p": friend})
    report = verify(home, anchors=Anchors({"test://h/p": friend}))
    assert (report.verdict, report.unanchored, report.anchors[0].time) == (0, 0, 7)
    report = verify(home, anchors=Anchors({"test://h/p": friend}, ask=True))
    assert codes(report) == ["rolled_back"]


# ---- a bucket whose objects are locked ----


@pytest.fixture(scope="session")
def _s3():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def buckets(_s3, monkeypatch):
    """A client of the store, in which there are two buckets: `held`, with object lock, and `plain`."""
    for name, value in (("ENDPOINT_URL_S3", _s3), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "eu-west-1")):  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    client = boto3.client("s3")
    there = {"LocationConstraint": "eu-west-1"}
    name = secrets.token_hex(6)
    client.create_bucket(Bucket=f"held-{name}", ObjectLockEnabledForBucket=True, CreateBucketConfiguration=there)
    client.create_bucket(Bucket=f"plain-{name}", CreateBucketConfiguration=there)
    client.named = name
    yield client
    client.close()


@pytest.fixture
def held(buckets):
    return f"s3://held-{buckets.named}/ledgers?retention=30d"


def keys_in(buckets):
    found = buckets.list_object_versions(Bucket=f"held-{buckets.named}")
    return [(one["Key"], one["VersionId"]) for one in found.get("Versions", ())]


def test_bucket_keeps_each_tree_head_and_says_so_when_asked(home, sealed_home, held, buckets, event):
    assert handed(home, held).error == ""
    more(home, event)
    assert handed(home, held).error == ""
    origin = trust(home).origin
    assert {key.rpartition("-")[0] for key, _ in keys_in(buckets)} == {f"ledgers/{origin}/{n:016d}" for n in (30, 35)}
    report = checked(home, held)
    assert (report.unanchored, report.anchors[0].error) == (35, "what a bucket holds has to be asked for (--ask)")
    report = checked(home, held, ask=True)
    assert (report.verdict, report.unanchored, report.anchors[0].size) == (0, 0, 35)
    assert abs(report.anchors[0].time - time.time()) < 60


def test_nobody_removes_a_tree_head_from_the_bucket(home, sealed_home, held, buckets, event, copy):
    before = copy(home)
    more(home, event)
    handed(home, held)
    [(key, version)] = keys_in(buckets)
    with pytest.raises(ClientError, match="AccessDenied"):
        buckets.delete_object(Bucket=f"held-{buckets.named}", Key=key, VersionId=version)
    buckets.delete_object(Bucket=f"held-{buckets.named}", Key=key)  # hides it from a list of objects
    buckets.put_object(Bucket=f"held-{buckets.named}", Key=key, Body=b"nothing to see")
    report = checked(before, held, ask=True)
    assert (report.verdict, codes(report)) == (1, ["rolled_back"])
    assert checked(home, held, ask=True).verdict == 0


def put(buckets, home, size, root, note, **lock):
    name = f"ledgers/{trust(home).origin}/{size:016d}-{root.hex()}"
    buckets.put_object(
        Bucket=f"held-{buckets.named}", Key=name, Body=note if isinstance(note, bytes) else note.encode(), **lock
    )


def test_what_somebody_else_put_into_the_bucket_vouches_for_nothing(home, sealed_home, held, buckets, event, copy):
    handed(home, held)
    before, note = copy(home), note_of(home)
    put(buckets, home, 10**15, b"x" * 32, b"\xff\xfe")
    put(buckets, home, 10**15, b"x" * 32, note)  # a true head under another's name
    buckets.put_object(Bucket=f"held-{buckets.named}", Key=f"ledgers/{trust(home).origin}/readme", Body=b"hello")
    report = checked(home, held, ask=True)
    assert (report.verdict, report.unanchored, report.anchors[0].size) == (0, 0, 30)
    more(home, event)
    handed(home, held)
    report = checked(before, held, ask=True)
    assert (report.verdict, codes(report)) == (1, ["rolled_back"])


def test_true_tree_head_is_found_behind_any_number_of_objects_that_are_none(
    home, sealed_home, held, buckets, event, copy
):
    before = copy(home)
    more(home, event)
    handed(home, held)
    for size in range(20):
        put(buckets, home, 10**15 + size, b"x" * 32, b"junk")
    report = checked(before, held, ask=True)
    assert (report.verdict, codes(report)) == (1, ["rolled_back"])


def test_tree_head_that_nobody_locked_vouches_for_nothing_and_may_accuse(home, sealed_home, held, buckets, event, copy):
    before = copy(home)
    more(home, event)
    head = newest_head(Layout(home), trust(home).origin)
    put(buckets, home, head.size, head.root(head.size), head.note)
    report = checked(home, held, ask=True)
    assert (report.verdict, report.unanchored) == (0, 35)
    assert codes(checked(before, held, ask=True)) == ["rolled_back"]


def test_tree_head_of_a_signer_that_is_not_known_here_is_no_yes(
    home, sealed_home, held, buckets, tmp_path, copy, event
):
    before = copy(home)
    rotate(home)
    more(home, event)
    handed(home, held)
    kept = tmp_path / "kept"
    kept.write_text(note_of(home))
    for report in (checked(before, held, ask=True), checked(before, held=[kept])):
        assert (report.verdict, codes(report)) == (2, [])
        assert any("not signed by a key of this ledger" in note for note in report.notes)
    export(before, tmp_path / "export")
    assert verify_export(tmp_path / "export", key=home / "keys" / "root.pub", held=[kept]).verdict == 2


def test_bucket_without_a_lock_is_refused(home, sealed_home, buckets):
    stands = handed(home, f"s3://plain-{buckets.named}/x?retention=30d")
    assert (stands.size, stands.error) == (0, "the bucket answers InvalidRequest")


def test_bucket_that_is_not_there_or_refuses_the_key_is_told_without_secrets(home, sealed_home, buckets, monkeypatch):
    url = f"s3://none-{buckets.named}/x?retention=30d"
    assert handed(home, url).error == "the bucket answers NoSuchBucket"
    assert checked(home, url, ask=True).anchors[0].error == "the bucket answers NoSuchBucket"
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(home))
    assert handed(home, url).error == "the bucket cannot be asked (NoCredentialsError)"


@pytest.mark.parametrize(
    "url",
    ["s3://held/x", "s3://held/x?retention=0", "s3://held/x?retention=ever", "s3:///x?retention=1d", "s3://Held/x?retention=1d",
     "s3://held/x?retention=1d&secret=1", "s3://key:secret@held/x?retention=1d"],
)  # fmt: skip
def test_url_that_names_no_bucket_is_refused(url):
    with pytest.raises(ConfigError) as told:
        open_anchor(url)
    assert "secret" not in str(told.value)


# ---- what stands in one's way


def test_anchor_that_never_answers_starves_no_other_and_stands_there_with_its_failure(home, witness, caplog):
    """At the end of a program, too, where there are two seconds for all of them."""
    release = threading.Event()

    def deaf(path, kind, body):
        release.wait(60)
        return 500, "text/plain", b""

    with served(deaf) as place:
        silent = f"witness+{place}/w#{Witness('deaf.example/w').vkey}"
        anchoring = Anchoring(home, {url: open_anchor(url) for url in (silent, witness.url)}, every=600)
        anchoring.start()
        anchoring.stop()
        release.set()
    stands = {one.url: one.account for one in standings(home, [silent, witness.url])}
    assert (stands[shown(witness.url)].size, stands[shown(witness.url)].error) == (30, "")
    assert stands[shown(silent)].error
    assert "has not taken the tree head" in caplog.text


def test_object_with_a_junk_signature_does_not_hide_the_true_one(home, sealed_home, held, buckets):
    assert handed(home, held).error == ""
    head = newest_head(Layout(home), trust(home).origin)
    text, _, signatures = head.note.partition("\n\n")
    whose, _, blob = signatures.rpartition(" ")
    junk = base64.b64decode(blob)
    junk = base64.b64encode(junk[:-1] + bytes([junk[-1] ^ 1])).decode()
    for _ in range(3):
        put(buckets, home, head.size, head.root(head.size), f"{text}\n\n{whose} {junk}\n")
    report = checked(home, held, ask=True)
    assert (report.verdict, report.unanchored, report.notes) == (0, 0, [])


@pytest.mark.parametrize(
    "broken", [b'{"receipt": 7, "size": 17}', b'{"size": 17}', b'"receipt": "x"}', b'{"size": 17, "rec', b"\xff\xfe"]
)
def test_line_of_a_file_of_tree_heads_that_cannot_be_read_is_no_yes(home, sealed_home, tmp_path, broken):
    kept = tmp_path / "kept.jsonl"
    good = json.dumps({"size": 30, "receipt": note_of(home)}).encode()
    kept.write_bytes(good + b"\n\n")
    assert checked(home, held=[kept]).verdict == 0
    kept.write_bytes(good + b"\n" + broken + b"\n")
    report = checked(home, held=[kept])
    assert (report.verdict, report.unanchored) == (2, 0)
    export(home, tmp_path / "export")
    assert verify_export(tmp_path / "export", key=home / "keys" / "root.pub", held=[kept]).verdict == 2


@pytest.mark.parametrize(
    "answer",
    [Vouched(5, 0), Vouched(b"x", 0), Vouched("x", "3"), Vouched("\ud800", 0), Vouched("x", 0, "1"), None, "x", 7],
)
def test_anchor_that_says_what_nobody_understands_is_named_and_no_fault_of_the_store(home, sealed_home, answer):
    class Odd:
        def check(self, receipt):
            return answer

        def ask(self, head, *, seconds):
            yield answer

    (home / "ledger" / "anchors").mkdir(exist_ok=True)
    anchored.append(anchored._Files(home, "odd://x").receipts, anchored.Receipt(30, "r"))
    report = verify(home, anchors=Anchors({"odd://x": Odd()}, ask=True))
    assert (report.verdict, codes(report)) == (2, [])
    assert any("odd://x: it says what nobody understands" in note for note in report.notes)
    report = verify(home, anchors=Anchors({"odd://x": Odd()}))
    assert (report.verdict, codes(report), report.unanchored) == (0, [], 30)


def test_anchor_that_is_ahead_by_nobody_knows_what_is_believed(home, sealed_home):
    class Ahead:
        def check(self, receipt):
            raise AnchorError("no")

        def ask(self, head, *, seconds):
            error = AnchorAhead("I have another")
            error.size = None
            raise error

    assert codes(verify(home, anchors=Anchors({"odd://x": Ahead()}, ask=True))) == ["forked"]


def test_ledger_that_was_set_back_and_has_grown_to_the_same_size_is_no_good_standing(home, witness, event, copy):
    old = copy(home)
    more(home, event)
    assert handed(home, witness.url).error == ""
    shutil.copytree(home / "ledger" / "anchors", old / "ledger" / "anchors")
    more(old, event)
    stands = handed(old, witness.url)
    assert (stands.ahead, "another tree head" in stands.error) == (True, True)


def test_anchor_with_another_key_at_the_same_place_has_had_nothing_yet(home, sealed_home, event):
    url = ""
    for n in range(2):
        one = Witness()
        one.knows(trust(home).origin, *trust(home).publics)
        if not url:
            with one.serving() as url:
                assert handed(home, url).error == ""
            continue
        with one.serving() as other:
            # At the place of the first, as far as its account is concerned.
            account = anchored._Files(home, url).account
            account.rename(anchored._Files(home, other).account)
            assert (handed(home, other).error, len(one.asked) > 0) == ("", True)
