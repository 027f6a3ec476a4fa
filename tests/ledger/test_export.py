"""An export, and the program in it: what an auditor gets, checks without guardai, and must not be fooled by."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stores import alter

from guardai.errors import LedgerError
from guardai.ledger import Ledger, auditor, events, export, seal
from guardai.ledger.auditor import Audit, Unreadable, read_root, tile_path
from guardai.ledger.keys import open_keys
from guardai.ledger.merkle import leaf_hash


@pytest.fixture
def exported(sealed_home, tmp_path):
    export(sealed_home, tmp_path / "export")
    return tmp_path / "export"


def audited(folder, key=None):
    return Audit(folder, read_root(key or folder / "keys" / "root.pub")).run()


def found(folder, key=None):
    result = audited(folder, key)
    assert result.verdict == 1
    return {(code, f"{seq:x}" if seq >= 0 else "") for code, _, seq in result.faults}


def bundle_of(folder):
    return folder / tile_path("entries", 0, 30)


def rewrite(folder, change):
    """Changes the list of events of a small export, tiles and all but what is signed."""
    path = bundle_of(folder)
    data, found_, place = path.read_bytes(), [], 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 2])
        found_.append(data[place + 2 : place + 2 + length])
        place += 2 + length
    found_ = change(found_)
    assert len(found_) == 30
    path.write_bytes(b"".join(len(one).to_bytes(2) + one for one in found_))
    (folder / tile_path(0, 0, 30)).write_bytes(b"".join(map(leaf_hash, found_)))


# ---- what is good ----


@pytest.mark.usefixtures("either_store")
def test_export_holds_the_exact_bytes_and_is_whole(sealed_home, exported):
    result = audited(exported)
    assert (result.verdict, result.size, result.logs, result.signed, result.recovered, result.unsigned) == (
        0,
        30,
        1,
        30,
        0,
        0,
    )
    assert list(auditor.entries(exported, 30)) == list(events(sealed_home))


def test_program_in_the_export_needs_no_guardai(exported, tmp_path):
    key = shutil.copy(exported / "keys" / "root.pub", tmp_path / "root.pub")
    program = "import sys; sys.modules['guardai'] = None; import runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", program, str(exported / "verify.py"), *map(str, arguments)],
            capture_output=True, text=True, cwd=tmp_path, env={**environment, "PYTHONIOENCODING": "utf-8"}, check=False,
        )  # fmt: skip

    done = run("--key", key)
    assert (done.returncode, done.stderr) == (0, "")
    assert "✓ whole" in done.stdout and "30 events of 1 logs" in done.stdout and "30 signed, 0 recovered" in done.stdout
    assert "trusting the export's own key" in run().stdout
    assert "trusting the export's own key" not in done.stdout
    rewrite(exported, lambda all_: [*all_[:7], all_[7].replace(b"db.read", b"db.rear"), *all_[8:]])
    broken = run("--key", key)
    assert broken.returncode == 1 and "✗ the export  tree" in broken.stdout
    (exported / "heads.jsonl").unlink()
    assert run("--key", key).returncode == 2


@pytest.mark.usefixtures("either_store")
def test_tiles_and_entries_lie_where_the_specification_says(home, event, tmp_path):
    ledger = Ledger.open(home, seal=False)
    for n in range(700):
        ledger.append(event(call=f"c-{n}"))
    ledger.close()
    assert seal(home, open_keys(home))
    done = export(home, tmp_path / "x")
    assert done.events == 702
    there = {str(path.relative_to(tmp_path / "x")) for path in (tmp_path / "x" / "tile").rglob("*") if path.is_file()}
    assert there == {
        "tile/0/000", "tile/0/001", "tile/0/002.p/190", "tile/1/000.p/2",
        "tile/entries/000", "tile/entries/001", "tile/entries/002.p/190",
    }  # fmt: skip
    assert (tmp_path / "x" / "tile/0/000").stat().st_size == 8192
    assert tile_path(5, 1234067, 256) == "tile/5/x001/x234/067"
    assert audited(tmp_path / "x").verdict == 0


@pytest.mark.usefixtures("either_store")
def test_tail_of_a_process_that_died_is_recovered_in_the_export_too(run_python, home, tmp_path):
    run_python(
        "no_heads(); ledger = Ledger.open(home, seal=False); [ledger.append(event()) for _ in range(9)]; os._exit(0)"
    )
    assert seal(home, open_keys(home))
    export(home, tmp_path / "x")
    result = audited(tmp_path / "x")
    assert (result.verdict, result.signed, result.recovered, result.unsigned) == (0, 1, 10, 0)


@pytest.mark.usefixtures("either_store")
def test_log_that_is_being_written_is_exported_as_far_as_it_is_sealed(home, open_ledger, event, tmp_path):
    ledger = open_ledger(home, seal=False)
    for _ in range(5):
        ledger.append(event())
    assert ledger.flush()
    ledger.append(event())
    assert export(home, tmp_path / "x").events == 6
    result = audited(tmp_path / "x")
    assert (result.verdict, result.open_logs, result.signed) == (0, 1, 6)


def test_trust_policy_of_the_export_fits_its_tree_head(exported):
    from guardai.ledger import TrustPolicy

    policy = TrustPolicy.read((exported / "trust.policy").read_text())
    assert policy.check((exported / "checkpoint").read_text()).checkpoint.size == 30


def test_no_private_key_is_exported(exported, sealed_home):
    everything = b"".join(path.read_bytes() for path in exported.rglob("*") if path.is_file())
    assert b"PRIVATE" not in everything
    assert (sealed_home / "keys" / "secret").read_bytes() not in everything


# ---- what is refused ----


@pytest.mark.parametrize("there", ["file", "full"])
def test_what_is_there_is_not_written_over(sealed_home, tmp_path, there):
    place = tmp_path / "x"
    if there == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        (place / "mine").write_text("mine")
    with pytest.raises(LedgerError, match="is there already"):
        export(sealed_home, place)
    assert (place if there == "file" else place / "mine").read_text() == "mine"


def test_export_that_fails_leaves_nothing(sealed_home, tmp_path, monkeypatch):
    from guardai.ledger import export as module

    real, count = Path.write_bytes, []

    def full(path, data):
        count.append(path)
        if len(count) == 2:
            raise OSError(28, "No space left on device")
        return real(path, data)

    (tmp_path / "here").mkdir()
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        module(sealed_home, tmp_path / "here" / "x")
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.usefixtures("either_store")
def test_home_in_which_nothing_is_sealed_is_not_exported(home, open_ledger, event, tmp_path):
    open_ledger(home, seal=False).append(event())
    with pytest.raises(LedgerError, match="nothing is sealed yet"):
        export(home, tmp_path / "x")


@pytest.mark.usefixtures("either_store")
def test_store_with_a_missing_event_is_not_exported(sealed_home, copy, tmp_path):
    home = copy(sealed_home)
    alter(home, "DELETE FROM events WHERE leaf = 7")
    with pytest.raises(LedgerError, match="event 7 of the store is missing"):
        export(home, tmp_path / "x")


# ---- attacks on an export ----


@pytest.mark.parametrize("place", [0, 1, 7, 28, 29])
def test_changed_event_is_found(exported, place):
    rewrite(exported, lambda all_: [*all_[:place], all_[place].replace(b'"ts":1', b'"ts":2'), *all_[place + 1 :]])
    assert ("tree", "") in found(exported)


def test_swapped_events_are_found_and_named(exported):
    rewrite(exported, lambda all_: [*all_[:7], all_[8], all_[7], *all_[9:]])
    assert {("tree", ""), ("missing", "7"), ("order", "9")} <= found(exported)


def test_duplicated_event_is_found(exported):
    rewrite(exported, lambda all_: [*all_[:8], all_[7], *all_[9:]])
    assert {("tree", ""), ("order", "8")} <= found(exported)


def test_second_spelling_of_an_event_is_found(exported):
    rewrite(exported, lambda all_: [*all_[:7], all_[7].replace(b'":"', b'": "', 1), *all_[8:]])
    assert {("tree", ""), ("changed", "7")} <= found(exported)


def resigned(folder, home, size=None):
    """Signs another tree head with the host's key: what its owner can do."""
    from guardai.ledger.note import Checkpoint, sign_checkpoint

    keys = open_keys(home)
    tree = auditor.Tree(lambda *_: None)
    all_ = list(auditor.entries(folder, 30))[:size]
    for one in all_:
        tree.add(leaf_hash(one))
    (folder / "checkpoint").write_text(sign_checkpoint(Checkpoint(keys.origin, len(all_), tree.root()), keys.host))
    return all_


def test_event_changed_by_the_owner_of_the_host_key_is_found_by_the_logs_own_signature(sealed_home, exported):
    rewrite(exported, lambda all_: [*all_[:7], all_[7].replace(b"db.read", b"db.rear"), *all_[8:]])
    resigned(exported, sealed_home)
    assert ("inserted", "8") in found(exported)


def test_chain_mended_by_the_owner_of_the_host_key_is_found_by_the_logs_own_signature(sealed_home, exported):
    def change(all_):
        all_[7] = all_[7].replace(b"db.read", b"db.rear")
        for n in range(8, 30):
            event = json.loads(all_[n])
            event["prev"] = leaf_hash(all_[n - 1]).hex()
            all_[n] = json.dumps(event, sort_keys=True, separators=(",", ":")).encode()
        return all_

    rewrite(exported, change)
    resigned(exported, sealed_home)
    assert any(code == "signature" for code, _ in found(exported))


def test_export_cut_by_the_owner_of_the_host_key_cannot_be_told_where_it_cuts_a_signature(sealed_home, exported):
    all_ = resigned(exported, sealed_home, 20)
    bundle_of(exported).unlink()
    (exported / tile_path("entries", 0, 20)).write_bytes(b"".join(len(one).to_bytes(2) + one for one in all_))
    (exported / tile_path(0, 0, 20)).write_bytes(b"".join(map(leaf_hash, all_)))
    result = audited(exported)
    # The heads that are left are for events beyond the cut.
    assert result.verdict == 2 and result.unsigned == 20


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda head: {**head, "sig": "00" + head["sig"][2:]}, "signature"),
        (lambda head: {**head, "seq": head["seq"] - 1}, "signature"),
        (lambda head: {**head, "by": "0" * 16}, "signature"),
        (lambda head: {**head, "log": "f" * 16}, "signature"),
        (lambda head: {**head, "hash": "0" * 64}, "signature"),
        (lambda head: {**head, "ts": head["ts"] + 1}, "signature"),
    ],
)
def test_altered_head_is_found(exported, change, code):
    lines = [json.loads(line) for line in (exported / "heads.jsonl").read_text().splitlines()]
    lines[-1] = change(lines[-1])
    (exported / "heads.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert code in {one for one, _ in found(exported)}


def test_removed_heads_leave_events_under_no_signature(exported):
    (exported / "heads.jsonl").write_text("")
    result = audited(exported)
    assert (result.verdict, result.unsigned) == (2, 30)


def test_export_of_another_root_is_found_by_the_key(exported, tmp_path, event):
    Ledger.open(tmp_path / "other").close()
    assert found(exported, tmp_path / "other" / "keys" / "root.pub") == {("certificate", "")}


def test_tree_head_of_another_host_is_found(exported, tmp_path, event):
    other = Ledger.open(tmp_path / "other")
    other.append(event())
    other.close()
    export(tmp_path / "other", tmp_path / "y")
    shutil.copy(tmp_path / "y" / "checkpoint", exported / "checkpoint")
    assert found(exported) == {("checkpoint", "")}


def test_altered_tile_is_found(exported):
    tile = exported / tile_path(0, 0, 30)
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    assert found(exported) == {("tree", "")}


@pytest.mark.parametrize(
    "what",
    ["checkpoint", "keys/host.cert", "heads.jsonl", "tags.jsonl", tile_path("entries", 0, 30), tile_path(0, 0, 30)],
)
def test_missing_or_ruined_file_cannot_be_told_or_is_broken(exported, what):
    content = (exported / what).read_bytes()
    (exported / what).unlink()
    with pytest.raises(Unreadable):
        audited(exported)
    for ruin in (b"\xff\xfe", b"[]\n", b"[" * 5000, content + b"x", b"{}\n", b"null"):
        (exported / what).write_bytes(ruin)
        try:
            assert audited(exported).verdict
        except (Unreadable, ValueError):
            pass


def test_forged_recovery_is_found(run_python, home, tmp_path):
    run_python(
        "no_heads(); ledger = Ledger.open(home, seal=False); [ledger.append(event()) for _ in range(9)]; os._exit(0)"
    )
    assert seal(home, open_keys(home))
    export(home, tmp_path / "x")
    lines = (tmp_path / "x" / "tags.jsonl").read_text().splitlines()
    lines[3] = json.dumps({**json.loads(lines[3]), "tag": "0" * 32})
    (tmp_path / "x" / "tags.jsonl").write_text("\n".join(lines) + "\n")
    assert any(code == "recovered" for code, _ in found(tmp_path / "x"))


STRANGE = [
    '{"id":"x"}', "[]", "null", '"x"', '{"v":1}',
    '{"body":[],"id":"L-0","kind":"log.open","log":"L","prev":"","seq":0,"ts":1,"v":1}',
    '{"body":{"certificate":[],"host":{},"parent":[]},"id":"L-0","kind":"log.open","log":"L","prev":"","seq":0,"ts":1,"v":1}',
    '{"body":{"from":0,"to":9999999999,"tags":1},"id":"L-0","kind":"recovered","log":"L","prev":"","seq":0,"ts":1,"v":1}',
    '{"body":{"from":"0","to":null},"id":"L-0","kind":"recovered","log":"L","prev":"","seq":0,"ts":1,"v":1}',
    '{"body":7,"id":"L-0","kind":"recovered","log":"L","prev":"","seq":0,"ts":1,"v":1}',
    '{"id":"L-0","kind":"x","log":["L"],"prev":"","seq":0,"ts":1,"v":1}',
    '{"id":"L-0","kind":"x","log":"L","prev":"","seq":-5,"ts":1,"v":true}',
    "[" * 3000,
]  # fmt: skip


@pytest.mark.parametrize("strange", STRANGE, ids=range(len(STRANGE)))
def test_strange_event_is_a_fault_and_ends_no_audit(exported, strange):
    rewrite(exported, lambda all_: [*all_[:7], strange.encode(), *all_[8:]])
    assert ("tree", "") in found(exported)
    rewrite(exported, lambda all_: [strange.encode(), *all_[1:]])
    assert ("tree", "") in found(exported)


@pytest.mark.parametrize("name", ["heads.jsonl", "tags.jsonl"])
@pytest.mark.parametrize("line", ['{"seq":[]}', '{"seq":1}', '{"log":1,"seq":1}', "7", "[]", "{", "[" * 5000])
def test_line_that_is_not_of_its_kind_cannot_be_told(exported, name, line):
    (exported / name).write_text(line + "\n")
    with pytest.raises(Unreadable):
        audited(exported)
