"""A reader of version n reads n and n-1, and says of any other that it cannot tell."""

import json
from pathlib import Path

import msgspec
import pytest

from guardai.ledger import EventVersionError, auditor, events, read_event, verify
from guardai.model import READS, VERSION
from guardai.model.kinds import KINDS, VERSIONS

#: Recorded by version 1, one event a kind and more of calls; host, user and paths were replaced. Not to be changed.
FIRST = (Path(__file__).parent / "events-v1.jsonl").read_bytes().splitlines()


def of_version(data, version):
    return msgspec.json.encode({**json.loads(data), "v": version}, order="deterministic")


@pytest.mark.skipif(1 not in READS, reason="version 1 is older than the one before this")
def test_what_version_1_recorded_is_read_byte_by_byte():
    read = [read_event(data) for data in FIRST]
    assert {event.v for event in read} == {1}
    assert {event.kind for event in read} >= set(VERSIONS[1])
    assert [msgspec.json.Encoder(order="sorted").encode(event) for event in read] == FIRST


def test_this_version_and_the_one_before_are_read_and_no_other():
    assert set(READS) == {version for version in (VERSION - 1, VERSION) if version > 0}
    assert set(VERSIONS) == set(READS) == set(auditor.VERSIONS)
    assert VERSIONS[VERSION] is KINDS


@pytest.mark.parametrize("version", [0, -1, VERSION + 1, 2**40])
def test_event_of_another_version_is_refused_by_name_and_not_guessed_at(version):
    for data in FIRST:
        with pytest.raises(EventVersionError, match=rf"of version {version}, this guardai reads 1$"):
            read_event(of_version(data, version))


@pytest.mark.made_up_events
def test_verify_cannot_tell_what_the_next_version_wrote_and_leaves_it_alone(home, open_ledger, event, monkeypatch):
    monkeypatch.setattr("guardai.ledger.spool.VERSION", VERSION + 1)
    ledger = open_ledger()
    ledger.append(event())
    ledger.close()
    assert {json.loads(data)["v"] for data in events(home)} == {VERSION + 1}
    report = verify(home)
    assert (report.verdict, [fault.code for fault in report.faults]) == (2, ["version"])
    assert "another version" in report.notes[0]
    assert len(list((home / "ledger" / "spool").glob("*.jsonl"))) == 1


@pytest.mark.made_up_events
def test_the_next_version_verifies_and_seals_what_this_one_wrote_beside_its_own(home, open_ledger, event, monkeypatch):
    ledger = open_ledger(seal=False)
    ledger.append(event())
    ledger.close()
    for room in ("chain", "diagnosis", "sealed"):
        monkeypatch.setattr(f"guardai.ledger.{room}.READS", frozenset({VERSION, VERSION + 1}))
    monkeypatch.setattr("guardai.ledger.spool.VERSION", VERSION + 1)
    ledger = open_ledger()
    ledger.append(event())
    assert verify(home).verdict == 0
    ledger.close()
    report = verify(home)
    assert (report.verdict, report.events, report.faults) == (0, 6, [])
    assert {json.loads(data)["v"] for data in events(home)} == {VERSION, VERSION + 1}
    assert not list((home / "ledger" / "spool").glob("*.jsonl"))
