"""The replay vault: contents come back as they were or not at all, nobody else reads them, and one person's can be destroyed."""

import itertools
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from guardai.ledger import ReplayVault, VaultError
from guardai.ledger.epochs import HOUR

SECRET = b"s" * 32
LIFE = 30 * 24 * HOUR
TEXT = b'{"to":"alice@example.com"}'
LARGE = bytes(range(256)) * 4096  # four parts

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork, no SIGKILL and no limits")


@pytest.fixture
def vaults(home):
    """Vaults of one home, as different processes have them."""
    made = []

    def make(life=LIFE, secret=SECRET, **more):
        made.append(ReplayVault(home, secret, life=life, **more))
        return made[-1]

    yield make
    for vault in made:
        vault.release()


def keep(vault, content=TEXT, call="c-1", side="in", session="s", user="ann"):
    writer = vault.writer(session, user, call, side)
    writer.add(content)
    return writer.end()


def read(vault, held, call="c-1", side="in", session="s", user="ann"):
    return vault.read(session, user, call, side, held.commit)


def change(home, sql, *values):
    with sqlite3.connect(home / "vault" / "contents.db") as db:
        assert db.execute(sql, values).rowcount > 0
    db.close()


def files(home):
    return [path for path in (home / "vault").rglob("*") if path.is_file()]


class TestKept:
    def test_no_file_is_made_before_the_first_content(self, vaults, home):
        vault = vaults()
        assert vault.read("s", "ann", "c-1", "in", "00").state == "gone"
        assert vault.erase("ann") == vault.holds("ann") == 0
        assert not (home / "vault").exists()

    @pytest.mark.parametrize(
        "content", [TEXT, b"", LARGE, b"\x00\xff\n" * 100_000], ids=["small", "empty", "large", "odd"]
    )
    def test_content_comes_back_as_it_was(self, vaults, content):
        held = keep(vaults(), content)
        found = read(vaults(), held)
        assert (found.state, found.content) == ("kept", content)
        assert held.bytes == len(content)
        assert time.time() + LIFE - HOUR < held.until < time.time() + LIFE + HOUR

    def test_content_that_comes_in_pieces_is_one(self, vaults):
        writer = vaults().writer("s", "ann", "c-1", "rows")
        pieces = [b"%d\n" % n * 1000 for n in range(300)]
        for piece in pieces:
            writer.add(piece)
        found = read(vaults(), writer.end(), side="rows")
        assert found.content == b"".join(pieces)

    def test_content_whose_end_was_never_kept_is_told_of_by_nobody_and_cannot_be_read(self, vaults):
        writer = vaults().writer("s", "ann", "c-1", "rows")
        writer.add(LARGE)
        assert vaults().read("s", "ann", "c-1", "rows", "00" * 16).state == "altered"

    def test_each_call_side_session_and_person_has_its_own(self, vaults):
        vault = vaults()
        held = keep(vault)
        for other in ({"call": "c-2"}, {"side": "out"}, {"session": "t"}, {"user": "bob"}):
            assert read(vault, held, **other).state == "gone"

    def test_equal_contents_of_two_calls_have_different_commitments(self, vaults):
        vault = vaults()
        assert keep(vault).commit != keep(vault, call="c-2").commit

    def test_larger_than_what_is_kept_is_refused(self, vaults, monkeypatch):
        monkeypatch.setattr("guardai.ledger.contents._MOST", 1000)
        with pytest.raises(VaultError, match="larger than"):
            keep(vaults(), b"x" * 1001)
        assert keep(vaults(), b"x" * 1000).bytes == 1000

    def test_threads_keep_side_by_side(self, vaults):
        vault, held = vaults(), {}

        def work(name):
            for n in range(20):
                held[name, n] = keep(vault, b"%d-%d" % (name, n), call=f"{name}-{n}", user=f"u{name % 2}")

        threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        for (name, n), one in held.items():
            assert read(vault, one, call=f"{name}-{n}", user=f"u{name % 2}").content == b"%d-%d" % (name, n)

    @posix
    def test_forked_child_keeps_beside_its_parent(self, vaults):
        vault = vaults()
        first = keep(vault)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writing, keep(vault, b"of the child", call="c-2").commit.encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        commit = os.read(reading, 100).decode()
        assert vault.read("s", "ann", "c-2", "in", commit).content == b"of the child"
        assert read(vault, first).content == TEXT
        assert keep(vault, call="c-3")


class TestSecret:
    def test_nothing_in_the_files_says_the_content_the_session_or_the_person(self, vaults, home):
        vault = vaults()
        keep(vault, TEXT * 20_000, session="conversation-7", user="u-1042")
        assert len(files(home)) >= 3
        for path in files(home):
            data = path.read_bytes()
            assert not any(
                value in data or value in path.name.encode() for value in (b"alice", b"conversation-7", b"u-1042")
            )

    def test_only_the_owner_may_read(self, vaults, home):
        keep(vaults())
        assert {stat.S_IMODE(path.stat().st_mode) for path in files(home)} == {0o600}
        assert {stat.S_IMODE(p.stat().st_mode) for p in (home / "vault", home / "vault" / "subjects")} == {0o700}

    def test_another_secret_opens_nothing(self, vaults):
        held = keep(vaults())
        assert read(vaults(secret=b"t" * 32), held).state == "gone"

    def test_nothing_shows_a_content_by_itself(self, vaults):
        vault = vaults()
        writer = vault.writer("s", "ann", "c-1", "in")
        writer.add(TEXT)
        shown = f"{vault!r}{writer!r}{writer.end()!r}{vault.read('s', 'ann', 'c-1', 'in', '')!r}"
        assert "alice" not in shown


class TestAltered:
    def test_changed_ciphertext_is_found(self, vaults, home):
        held = keep(vaults())
        change(home, "UPDATE contents SET box = substr(box, 1, 20) || x'00' || substr(box, 22)")
        assert read(vaults(), held).state == "altered"

    def test_content_of_another_call_in_its_place_is_found(self, vaults, home):
        vault = vaults()
        held = keep(vault)
        keep(vault, b"[]", call="c-2")
        change(home, "DELETE FROM contents WHERE call = 'c-1'")
        change(home, "UPDATE contents SET call = 'c-1'")
        assert read(vault, held).state == "altered"

    def test_request_in_the_place_of_its_answer_is_found(self, vaults, home):
        vault = vaults()
        held = keep(vault, side="out")
        keep(vault, b"[]")
        change(home, "UPDATE contents SET side = CASE side WHEN 'in' THEN 'new' ELSE 'old' END")
        change(home, "UPDATE contents SET side = CASE side WHEN 'new' THEN 'out' ELSE 'in' END")
        assert read(vault, held, side="out").state == "altered"

    @pytest.mark.parametrize("part", [0, 1, 3])
    def test_part_that_was_cut_out_is_found(self, vaults, home, part):
        held = keep(vaults(), LARGE)
        change(home, "DELETE FROM contents WHERE part = ?", part)
        assert read(vaults(), held).state == "altered"

    def test_parts_that_changed_places_are_found(self, vaults, home):
        held = keep(vaults(), LARGE)
        change(home, "UPDATE contents SET part = CASE part WHEN 1 THEN 12 WHEN 2 THEN 11 ELSE part + 10 END")
        assert read(vaults(), held).state == "altered"

    def test_earlier_content_of_the_same_call_is_found(self, vaults, home):
        vault = vaults()
        keep(vault)
        (box,) = sqlite3.connect(home / "vault" / "contents.db").execute("SELECT box FROM contents").fetchone()
        held = keep(vault, b"later")
        change(home, "UPDATE contents SET box = ?", box)
        assert read(vault, held).state == "altered"

    def test_removed_content_is_gone(self, vaults, home):
        held = keep(vaults())
        change(home, "DELETE FROM contents")
        assert read(vaults(), held).state == "gone"

    def test_damaged_file_is_said_so(self, vaults, home):
        vault = vaults()
        held = keep(vault)
        vault.close()
        path = home / "vault" / "contents.db"
        path.write_bytes(b"\xff" * path.stat().st_size)
        with pytest.raises(VaultError, match="replay vault .* is damaged"):
            read(vaults(), held)


class TestErased:
    def test_contents_of_one_person_are_gone_and_those_of_others_are_not(self, vaults):
        vault = vaults()
        mine = [keep(vault, session=session, call=call) for session, call in (("s", "c-1"), ("s", "c-2"), ("t", "c-3"))]
        other = keep(vault, user="bob")
        assert vault.holds("ann") == 3
        assert vaults().erase("ann") == 3
        assert vault.holds("ann") == 0
        assert [read(vault, held, call=f"c-{n}").state for n, held in enumerate(mine, 1)] == ["gone"] * 3
        assert read(vault, other, user="bob").content == TEXT

    def test_copy_of_the_database_from_before_cannot_be_read_any_more(self, vaults, home):
        vault = vaults()
        held = keep(vault)
        vault.release()
        shutil.copy(home / "vault" / "contents.db", home / "kept")
        vaults().erase("ann")
        shutil.copy(home / "kept", home / "vault" / "contents.db")
        assert vaults().holds("ann") == 1
        assert read(vaults(), held).state == "gone"

    def test_key_is_overwritten_before_it_is_removed(self, vaults, home):
        vault = vaults()
        keep(vault)
        (key,) = (home / "vault" / "subjects").iterdir()
        os.link(key, home / "kept")
        vault.erase("ann")
        assert (home / "kept").read_bytes() == bytes(32)
        assert not key.exists()

    def test_nothing_of_the_ciphertext_is_left_in_the_files(self, vaults, home):
        vault = vaults()
        keep(vault, LARGE)
        boxes = [bytes(box) for (box,) in sqlite3.connect(vault.path).execute("SELECT box FROM contents").fetchall()]
        vault.erase("ann")
        for path in files(home):
            assert not any(box[100:200] in path.read_bytes() for box in boxes)

    def test_what_is_kept_afterwards_stands_under_other_keys(self, vaults, home):
        vault, other = vaults(), vaults()
        old = keep(vault)
        other.erase("ann")
        new = keep(vault, b"new")
        assert read(other, new).content == b"new"
        assert new.commit != old.commit

    @pytest.mark.parametrize("more", [b"", b"more", LARGE], ids=["nothing", "little", "much"])
    def test_content_that_was_being_kept_meanwhile_is_not_said_to_be_kept(self, vaults, more):
        writer = vaults().writer("s", "ann", "c-1", "rows")
        writer.add(LARGE)
        vaults().erase("ann")
        with pytest.raises(VaultError, match="erased meanwhile"):
            writer.add(more)
            writer.end()

    def test_erasure_that_was_killed_half_way_is_an_erasure_and_can_be_finished(self, vaults, home):
        vault = vaults()
        held = keep(vault)
        (key,) = (home / "vault" / "subjects").iterdir()
        key.write_bytes(bytes(32))  # overwritten, not yet removed
        assert read(vaults(), held).state == "gone"
        new = keep(vaults(), b"new", call="c-2")
        assert read(vault, new, call="c-2").content == b"new"
        key.unlink()  # removed, and the transaction never ended
        assert vaults().erase("ann") == 1
        assert not key.exists()


class Story(RuleBasedStateMachine):
    """Any order of keeping, erasing and expiring, by two processes' vaults: what is there is what was kept last and not erased."""

    users = st.sampled_from(["ann", "bob"])
    sessions = st.sampled_from(["s", "t"])

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.vaults = [ReplayVault(self.home, SECRET, life=LIFE) for _ in range(2)]
        self.there, self.gone, self.calls = {}, {}, itertools.count()

    @rule(one=st.integers(0, 1), session=sessions, user=users, content=st.binary(max_size=40))
    def keep(self, one, session, user, content):
        call = f"c-{next(self.calls)}"
        self.there[session, user, call] = keep(self.vaults[one], content, call, session=session, user=user), content

    @rule(one=st.integers(0, 1), user=users)
    def erase(self, one, user):
        mine = [place for place in self.there if place[1] == user]
        assert self.vaults[one].holds(user) == len(mine)
        assert self.vaults[one].erase(user) == len(mine)
        self.gone |= {place: self.there.pop(place) for place in mine}

    @rule(one=st.integers(0, 1))
    def restart(self, one):
        self.vaults[one].close()
        self.vaults[one] = ReplayVault(self.home, SECRET, life=LIFE)

    @invariant()
    def what_is_kept_can_be_read_and_nothing_else(self):
        for state, places in (("kept", self.there), ("gone", self.gone)):
            for (session, user, call), (held, content) in places.items():
                for vault in self.vaults:
                    found = read(vault, held, call, session=session, user=user)
                    assert found == (state, content if state == "kept" else b"")

    def teardown(self):
        for vault in self.vaults:
            vault.release()
        shutil.rmtree(self.home)


Story.TestCase.settings = settings(max_examples=25, stateful_step_count=20)
TestStory = Story.TestCase


class TestExpired:
    def test_session_that_is_over_is_forgotten_with_its_keys(self, vaults, home, clock):
        vault = vaults()
        held = keep(vault)
        clock(LIFE + 2)
        assert read(vault, held).state == "gone"
        assert vaults().expire() == 1
        assert list((home / "vault" / "subjects").iterdir()) == []
        clock(HOUR)
        vaults().expire()
        assert list((home / "vault" / "keys").iterdir()) == []

    def test_session_that_goes_on_keeps_what_it_has(self, vaults, clock):
        vault = vaults()
        held = keep(vault)
        clock(LIFE - HOUR)
        assert keep(vault, call="c-2").until > held.until
        clock(2 * HOUR)
        assert vault.expire() == 0
        assert read(vaults(), held).content == TEXT

    def test_key_of_a_person_stays_as_long_as_a_session_needs_it(self, vaults, clock):
        vault = vaults()
        keep(vault)
        clock(LIFE - HOUR)
        held = keep(vault, session="t")
        clock(2 * HOUR)
        assert vault.expire() == 1
        assert read(vault, held, session="t").content == TEXT


class TestTrouble:
    @pytest.mark.parametrize("length", [0, 5, 40])
    def test_damaged_key_is_refused_and_not_replaced(self, vaults, home, length):
        keep(vaults())
        for key in (home / "vault" / "subjects").iterdir():
            key.write_bytes(b"x" * length)
        with pytest.raises(VaultError, match="damaged"):
            keep(vaults())

    def test_vault_of_a_later_version_is_left_alone(self, vaults, home):
        vault = vaults()
        keep(vault)
        vault.close()
        change(home, "UPDATE sessions SET until = until")
        db = sqlite3.connect(home / "vault" / "contents.db")
        db.execute("PRAGMA user_version = 9")
        db.close()
        with pytest.raises(VaultError, match="replay vault .* version 9"):
            keep(vaults())

    @posix
    def test_full_disk_keeps_nothing_of_a_content_and_all_that_was_kept(self, home):
        program = """
import resource, signal, sys
from guardai.ledger import ReplayVault, VaultError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
vault = ReplayVault(__import__("pathlib").Path(sys.argv[1]), b"s" * 32, life=1e6)
def keep(call, size):
    writer = vault.writer("s", "ann", call, "in"); writer.add(b"x" * size); return writer.end()
first = keep("c-1", 1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    keep("c-2", 3_000_000)
except VaultError as error:
    assert "cannot be used" in str(error), error
else:
    raise SystemExit("it was kept")
assert vault.read("s", "ann", "c-1", "in", first.commit).state == "kept"
assert vault.read("s", "ann", "c-2", "in", "00").state == "gone"
keep("c-3", 1000)
"""
        done = subprocess.run([sys.executable, "-c", program, str(home)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    @posix
    def test_what_was_said_to_be_kept_survives_kill_9(self, home, vaults):
        program = """
import itertools, pathlib, sys
from guardai.ledger import ReplayVault
vault = ReplayVault(pathlib.Path(sys.argv[1]), b"s" * 32, life=1e6)
for n in itertools.count():
    call = f"{sys.argv[2]}-{n}"
    writer = vault.writer("s", f"u{n % 3}", call, "in")
    writer.add(call.encode() * 40_000 if n % 5 == 0 else call.encode())
    print(call, f"u{n % 3}", writer.end().commit, flush=True)
"""
        told = []
        for name in ("a", "b", "c"):
            both = [
                subprocess.Popen(
                    [sys.executable, "-c", program, str(home), f"{name}{at}"], stdout=subprocess.PIPE, text=True
                )
                for at in range(2)
            ]
            for one in both:
                told += [one.stdout.readline() for _ in range(7)]
            for one in both:
                one.send_signal(signal.SIGKILL)
                with one.stdout:  # `communicate` would lose what `readline` has read ahead
                    told += one.stdout.read().splitlines(keepends=True)
                one.wait(timeout=60)
        vault = vaults()
        whole = [line.split() for line in told if line.endswith("\n")]
        assert len(whole) >= 42
        for call, user, commit in whole:
            assert vault.read("s", user, call, "in", commit).state == "kept"
