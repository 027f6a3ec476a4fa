"""One flipped bit, anywhere in any file that holds events: found, and the event named, or nothing an auditor sees is touched."""

import json
import random
import shutil

import pytest

from guardai.ledger import Ledger, events, verify
from guardai.lineage import EdgeTable


def files_of(home):
    ignored = {"reserve", "seal.lock"}
    paths = (path for path in (home / "ledger").rglob("*") if path.is_file() and path.name not in ignored)
    return sorted(path.relative_to(home) for path in paths if path.stat().st_size)


class Original:
    """A home, and a copy of it in which one bit at a time is flipped."""

    def __init__(self, home, copy):
        self.home, self.copy = home, copy
        shutil.copytree(home, copy)
        self.events = [data for data in events(home) if json.loads(data)["kind"] != "recovered"]
        self.contents = {name: (home / name).read_bytes() for name in files_of(home)}
        self.places = {
            name: [
                (at, at + len(data), json.loads(data)["id"]) for data in events(home) if (at := content.find(data)) >= 0
            ]
            for name, content in self.contents.items()
        }

    def event_at(self, name, at):
        return next((event for start, end, event in self.places[name] if start <= at < end), None)

    def flip(self, name, at, bit=0x01):
        """Flips it, verifies, and flips it back."""
        content = bytearray(self.contents[name])
        content[at] ^= bit
        (self.copy / name).write_bytes(bytes(content))
        report = verify(self.copy, projection=EdgeTable())
        where = f"{name} at {at}"
        if report.verdict == 0:
            assert self.event_at(name, at) is None, where
            left = [data for data in events(self.copy) if json.loads(data)["kind"] != "recovered"]
            assert left == self.events, where
            # What was whole has been sealed, and removed from where it was.
            shutil.rmtree(self.copy)
            shutil.copytree(self.home, self.copy)
        else:
            if (event := self.event_at(name, at)) is not None:
                assert {fault.event for fault in report.faults} == {event}, (where, report.faults)
            (self.copy / name).write_bytes(self.contents[name])
        return report


@pytest.fixture(params=["spooled", "sealed", "dead", "recovered"])
def original_home(request, home, event, run_python):
    edge = [{"evidence": "possible", "from": "0123456789abcdef-1"}]
    if request.param in ("spooled", "sealed"):
        ledger = Ledger.open(home, seal=request.param == "sealed", projection=EdgeTable())
        for n in range(12):
            ledger.append(event(call=f"c-{n}", lineage=edge))
        ledger.close()
    else:
        run_python(
            """
            no_heads()
            ledger = Ledger.open(home, seal=False)
            for n in range(12):
                ledger.append(event(call=f"c-{n}", lineage=[{"evidence": "possible", "from": "0123456789abcdef-1"}]))
            os._exit(0)
            """
        )
        if request.param == "recovered":
            assert verify(home, projection=EdgeTable()).recovered == 13
    return home


def test_flipped_bits_anywhere(original_home, tmp_path):
    original = Original(original_home, tmp_path / "copy")
    chance = random.Random(20_26)
    names = list(original.contents)
    for _ in range(180):
        name = chance.choice(names)
        original.flip(name, chance.randrange(len(original.contents[name])), 1 << chance.randrange(8))


@pytest.mark.parametrize("original_home", ["spooled", "dead"], indirect=True)
def test_every_byte_of_a_line_in_a_spool(original_home, tmp_path):
    original = Original(original_home, tmp_path / "copy")
    (name,) = (name for name in original.contents if name.suffix == ".jsonl")
    lines = original.contents[name].split(b"\n")
    for which, bit, stride in ((5, 0x01, 2), (len(lines) - 2, 0x04, 1)):
        start = sum(len(line) + 1 for line in lines[:which])
        for at in range(start, start + len(lines[which]) + 1, stride):
            assert original.flip(name, at, bit).verdict == 1


@pytest.mark.parametrize("original_home", ["sealed", "recovered"], indirect=True)
def test_every_byte_of_an_event_in_the_store(original_home, tmp_path):
    original = Original(original_home, tmp_path / "copy")
    (name,) = (name for name in original.contents if name.name == "store.db")
    start, end, _ = original.places[name][5]
    for at in range(start, end, 2):
        assert original.flip(name, at, 0x02).verdict == 1


@pytest.mark.parametrize(
    ("original_home", "suffix"), [("sealed", "checkpoint"), ("spooled", ".sig")], indirect=["original_home"]
)
def test_every_byte_of_what_is_signed(original_home, tmp_path, suffix):
    original = Original(original_home, tmp_path / "copy")
    (name,) = (name for name in original.contents if name.name.endswith(suffix))
    for at in range(len(original.contents[name])):
        assert original.flip(name, at).verdict == 1


@pytest.mark.parametrize("original_home", ["sealed"], indirect=True)
@pytest.mark.parametrize("name", ["root.pub", "host.cert"])
def test_every_byte_of_a_public_key_or_certificate(original_home, tmp_path, name):
    content = (original_home / "keys" / name).read_bytes()
    shutil.copytree(original_home, tmp_path / "copy")
    same = []
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 0x01
        (tmp_path / "copy" / "keys" / name).write_bytes(bytes(changed))
        if verify(tmp_path / "copy").verdict == 0:
            same.append(at)
    # PEM has line ends and dashes that say nothing.
    assert len(same) <= 4, same
