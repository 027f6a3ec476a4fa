"""A ledger as the anchor of another: tree heads that are held, handed out and proven."""

import json

import pytest

from guardai.errors import LedgerError
from guardai.ledger import (
    Anchors,
    Ledger,
    NoteError,
    OlderHeadError,
    TrustPolicy,
    check_proof,
    events,
    export_public,
    held_file,
    hold,
    prove,
    verify,
)
from guardai.ledger.anchored import newest_head, read_receipts
from guardai.ledger.layout import Layout
from guardai.ledger.trust import trust

pytestmark = pytest.mark.usefixtures("either_store")


@pytest.fixture
def other(tmp_path):
    return tmp_path / "another-host"


@pytest.fixture
def logs(sealed_home, tmp_path):
    export_public(sealed_home, tmp_path / "public")
    return TrustPolicy.read((tmp_path / "public" / "trust.policy").read_text())


def more(home, event):
    ledger = Ledger.open(home)
    ledger.append(event())
    ledger.close(timeout=60)


def note_of(home):
    return newest_head(Layout(home), trust(home).origin).note


def held_head(home, origin):
    return next((one.receipt for one in read_receipts(held_file(home, origin))), None)


def test_tree_head_is_recorded_held_and_handed_out(sealed_home, other, logs, event, tmp_path):
    assert held_head(other, trust(sealed_home).origin) is None
    held = hold(other, note_of(sealed_home), logs, by="eve")
    assert (held.head.size, held_head(other, held.head.origin)) == (30, note_of(sealed_home))
    recorded = {one["id"]: one for one in map(json.loads, events(other))}[held.event]
    assert recorded["body"] == {"note": note_of(sealed_home), "origin": held.head.origin, "size": 30}
    assert recorded["principal"]["user"] == "eve"
    proven = check_proof(prove(other, held.event), trust(other).root)
    assert json.loads(proven.event)["body"]["note"] == note_of(sealed_home)
    more(sealed_home, event)
    assert hold(other, note_of(sealed_home), logs, by="eve").head.size == 33
    assert verify(other).verdict == 0


def test_the_same_tree_head_is_held_once(sealed_home, other, logs):
    first = hold(other, note_of(sealed_home), logs, by="eve")
    before = len(list(events(other)))
    again = hold(other, note_of(sealed_home), logs, by="eve")
    assert (again.head, again.event) == (first.head, "")
    assert len(list(events(other))) == before


def test_ledger_that_was_cut_or_forked_is_refused_and_found_by_what_is_held(
    sealed_home, other, logs, event, copy, tmp_path
):
    cut = copy(sealed_home)
    more(sealed_home, event)
    head = hold(other, note_of(sealed_home), logs, by="eve").head
    with pytest.raises(OlderHeadError, match="30 events, and one of 33 is held"):
        hold(other, note_of(cut), logs, by="eve")
    more(cut, event)
    with pytest.raises(OlderHeadError, match="another tree"):
        hold(other, note_of(cut), logs, by="eve")
    assert held_head(other, head.origin) == note_of(sealed_home)
    kept = tmp_path / "kept.jsonl"
    kept.write_bytes(held_file(other, head.origin).read_bytes())
    assert verify(sealed_home, anchors=Anchors(held=[kept])).verdict == 0
    report = verify(cut, anchors=Anchors(held=[kept]))
    assert (report.verdict, [fault.code for fault in report.faults]) == (1, ["forked"])


def test_tree_head_that_nobody_of_the_policy_signed_is_refused(sealed_home, other, logs, tmp_path, event):
    stranger = tmp_path / "stranger"
    more(stranger, event)
    for note in (note_of(stranger), note_of(sealed_home).replace("\n30\n", "\n31\n"), "what?", ""):
        with pytest.raises(NoteError):
            hold(other, note, logs, by="eve")
    assert not list((other / "ledger" / "held").glob("*.jsonl")) if (other / "ledger" / "held").exists() else True


def test_what_cannot_be_recorded_is_not_held(sealed_home, other, logs, monkeypatch):
    def full(*_, **__):
        raise LedgerError("no space")

    monkeypatch.setattr(Ledger, "append", full)
    with pytest.raises(LedgerError):
        hold(other, note_of(sealed_home), logs, by="eve")
    assert held_head(other, trust(sealed_home).origin) is None
