"""A spool that is checked piece by piece is judged as one that is looked at as a whole, whatever was done to it."""

import os
import random

import pytest

from guardai.ledger import Ledger, spoolcheck
from guardai.ledger.adopt import adopt
from guardai.ledger.chain import check_spelling, examine
from guardai.ledger.keys import open_keys
from guardai.ledger.layout import Layout
from guardai.ledger.reading import read_log
from guardai.ledger.signer import Signer
from guardai.ledger.spoolcheck import check_spool
from guardai.ledger.trust import trust


@pytest.fixture
def small(monkeypatch):
    """Pieces of a few events."""
    monkeypatch.setattr(spoolcheck, "_PIECE", 2_500)
    monkeypatch.setattr(spoolcheck, "_HEADS", 400)


@pytest.fixture(params=["head at the end", "head at each event", "recovered"])
def spool(request, home, event, monkeypatch):
    """A log of some 40 events."""
    recovered, sign_all = request.param == "recovered", Signer._sign_all
    if recovered:
        monkeypatch.setattr(Signer, "_sign_all", lambda self: True)
    ledger = Ledger.open(home, seal=False, mode="signed" if request.param == "head at each event" else "spool")
    for n in range(38):
        if recovered and n == 36:
            assert sign_all(ledger._signer)
        ledger.append(event(call=f"c-{n}"))
    ledger.close()
    layout = Layout(home)
    (path,) = layout.spools.glob("*.jsonl")
    if recovered:
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:-1]))  # it died before it could close its log
        fd = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            assert adopt(layout, open_keys(home), examine(read_log(layout, path.stem), trust(home)), fd)
        finally:
            os.close(fd)
    return path


def as_a_whole(layout, log):
    """What the log is if all of it is looked at, without what only `ended` and `key` would tell."""
    examined = examine(read_log(layout, log), trust(layout.home))
    sound = len(examined.leaves)
    examined.faults.extend(check_spelling(examined))
    return {**told(examined), "sound": sound}


def told(examined):
    names = ("opening", "faults", "events", "signed", "recovered", "own_last", "countersigned", "revocations", "tagged")
    return {name: getattr(examined, name) for name in names}


def in_pieces(layout, log):
    counted = []
    spooled = check_spool(layout, log, trust(layout.home), counted.append)
    assert (spooled.leaves, spooled.times, spooled.view.lines) == ([], [], [])
    return {**told(spooled), "sound": spooled.sound}, spooled, sum(counted)


def test_whole_log_is_whole_in_pieces_too(spool, small):
    layout, log = Layout(spool.parent.parent.parent), spool.stem
    view = read_log(layout, log)
    found, spooled, counted = in_pieces(layout, log)
    assert found == as_a_whole(layout, log)
    assert found["faults"] == []
    assert len(spooled.places) > 5
    assert counted == found["events"] == len(view.lines)
    examined = examine(view, trust(layout.home))
    for seq in range(len(view.lines)):
        assert spooled.hash_at(layout, seq) == examined.leaf(seq).hex()
    assert spooled.hash_at(layout, len(view.lines)) is None


def damages(lines, heads, rng):
    """What could be done to a spool and its heads."""
    one, other = sorted(rng.sample(range(len(lines)), 2))
    at = rng.randrange(len(lines[one]))
    flipped = lines[one][:at] + bytes([lines[one][at] ^ 1]) + lines[one][at + 1 :]
    yield "flip", [*lines[:one], flipped, *lines[one + 1 :]], heads
    yield "delete", [*lines[:one], *lines[one + 1 :]], heads
    yield "delete several", [*lines[:one], *lines[other:]], heads
    yield "twice", [*lines[: one + 1], *lines[one:]], heads
    yield "swap", [*lines[:one], lines[other], *lines[one + 1 : other], lines[one], *lines[other + 1 :]], heads
    yield "cut", lines[:one], heads
    yield "cut with its heads", lines[:one], heads[: max(1, one // 2)]
    yield "cut in a line", [*lines[:one], lines[one][: rng.randrange(1, len(lines[one]))]], heads
    yield "no newline at the end", [*lines[:-1], lines[-1][:-1]], heads
    yield "more behind the end", [*lines, lines[-1][:-1] + b"00"], heads
    yield "a space", [*lines[:one], lines[one].replace(b":", b": ", 1), *lines[one + 1 :]], heads
    yield "one long line", [line.replace(b"\n", b" ") for line in lines], heads
    yield "no lines", [], heads
    yield "no heads", lines, []
    which = rng.randrange(len(heads))
    yield "head missing", lines, [*heads[:which], *heads[which + 1 :]]
    yield "head twice", lines, [*heads[: which + 1], *heads[which:]]
    yield "heads backwards", lines, heads[::-1]
    yield "head flipped", lines, [*heads[:which], heads[which].replace(b"1", b"2", 1), *heads[which + 1 :]]
    yield "head cut", lines, [*heads[:-1], heads[-1][:-20]]
    yield "head behind a head", lines, [*heads[:-1], heads[-1][:-1], heads[-1]]


@pytest.mark.parametrize("seed", range(12))
def test_damaged_log_is_judged_in_pieces_as_it_is_as_a_whole(spool, small, seed):
    layout, log = Layout(spool.parent.parent.parent), spool.stem
    lines = spool.read_bytes().splitlines(keepends=True)
    heads = layout.heads(log).read_bytes().splitlines(keepends=True)
    for damage, changed, changed_heads in damages(lines, heads, random.Random(seed)):
        spool.write_bytes(b"".join(changed))
        layout.heads(log).write_bytes(b"".join(changed_heads))
        assert in_pieces(layout, log)[0] == as_a_whole(layout, log), damage


def test_log_that_grows_while_it_is_read_is_whole(home, event, small, monkeypatch):
    ledger = Ledger.open(home, seal=False, mode="signed")
    for _ in range(20):
        ledger.append(event())
    (path,) = Layout(home).spools.glob("*.jsonl")
    read = spoolcheck.read_lines

    def and_write_on(*args, **kwargs):
        ledger.append(event())
        return read(*args, **kwargs)

    monkeypatch.setattr(spoolcheck, "read_lines", and_write_on)
    try:
        found, _, _ = in_pieces(Layout(home), path.stem)
    finally:
        ledger.close()
    assert found["faults"] == []
    assert found["events"] > 21
    assert found["signed"] == 20


def test_log_that_is_removed_while_it_is_read_is_none(spool, small, monkeypatch):
    layout, log = Layout(spool.parent.parent.parent), spool.stem
    read = spoolcheck.read_lines

    def once(*args, **kwargs):
        view = read(*args, **kwargs)
        spool.unlink(missing_ok=True)
        return view

    monkeypatch.setattr(spoolcheck, "read_lines", once)
    assert check_spool(layout, log, trust(layout.home), lambda _: None) is None
