"""The token vault: one file that processes share, that nobody else can read, and that forgets."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time

import pytest

from guardai.errors import GuardError
from guardai.ledger import TokenVault, VaultError
from guardai.ledger.epochs import HOUR, Epochs
from guardai.text import Tokens

SECRET = b"s" * 32
LIFE = 24 * HOUR
MAIL = "alice@example.com"


def everything(_label):
    return True


@pytest.fixture
def vaults(home):
    """Vaults of one home, as different processes have them."""
    made = []

    def make(life=LIFE, secret=SECRET):
        made.append(TokenVault(home, secret, life=life))
        return made[-1]

    yield make
    for vault in made:
        vault._file.drop()


def table(vault, session="s", owner="u", **more):
    return Tokens(vault.drawer(session, owner, **more))


def files(home):
    return [path for path in (home / "vault").rglob("*") if path.is_file()]


class TestShared:
    def test_no_file_is_made_before_the_first_token(self, vaults, home):
        tokens = table(vaults())
        assert tokens.resolve("<EMAIL_1>", everything) == "<EMAIL_1>"
        assert not (home / "vault").exists()

    def test_what_one_issued_another_resolves(self, vaults):
        token = table(vaults()).token("pii.email", MAIL)
        assert table(vaults()).resolve(f"to {token}", everything) == f"to {MAIL}"

    def test_equal_values_have_one_token_and_others_have_others(self, vaults):
        one, other = table(vaults()), table(vaults())
        assert one.token("pii.email", MAIL) == other.token("pii.email", MAIL.upper()) == "<EMAIL_1>"
        assert other.token("pii.email", "bob@example.com") == "<EMAIL_2>"
        assert one.token("pii.email", "eve@example.com") == "<EMAIL_3>"
        assert one.token("pii.phone", "+14155552671") == "<PHONE_1>"

    def test_sessions_and_users_know_nothing_of_one_another(self, vaults):
        vault = vaults()
        table(vault, "s", "ann").token("pii.email", MAIL)
        for session, owner in (("other", "ann"), ("s", "bob")):
            assert table(vault, session, owner).resolve("<EMAIL_1>", everything) == "<EMAIL_1>"

    def test_many_at_once_are_numbered_in_their_order(self, vaults):
        one, other = table(vaults()), table(vaults())
        other.token("pii.email", "u1@x.co")
        one.issue([("pii.email", f"u{at}@x.co") for at in (0, 1, 2, 0)] + [("pii.phone", "+14155552671")])
        assert [one.token("pii.email", f"u{at}@x.co") for at in (0, 1, 2)] == ["<EMAIL_2>", "<EMAIL_1>", "<EMAIL_3>"]

    def test_lookalike_that_one_process_saw_is_issued_by_none(self, vaults):
        one, other = table(vaults()), table(vaults())
        one.reserve("they call me <EMAIL_1>")
        assert other.token("pii.email", MAIL) == "<EMAIL_2>"
        one.reserve("<EMAIL_2> again")
        assert one.token("pii.email", "bob@example.com") == "<EMAIL_3>"
        assert one.resolve("<EMAIL_1>", everything) == "<EMAIL_1>"

    def test_lookalike_far_above_all_others_leaves_the_numbers_below_it(self, vaults):
        one, other = table(vaults()), table(vaults())
        one.reserve("they call me <EMAIL_99999999> or <EMAIL_1001>")
        one.reserve("<EMAIL_99999999> again")
        assert other.token("pii.email", MAIL) == "<EMAIL_1>"
        other.issue([("pii.email", f"u{at}@x.co") for at in range(1000)])
        assert one.token("pii.email", "u999@x.co") == "<EMAIL_1002>"
        one.reserve("<EMAIL_1001>")
        assert one.token("pii.email", "bob@example.com") == "<EMAIL_1003>"
        assert other.resolve("<EMAIL_1001> <EMAIL_99999999>", everything) == "<EMAIL_1001> <EMAIL_99999999>"

    def test_value_comes_back_as_it_was_whatever_is_in_it(self, vaults):
        odd = 'a\x00b"\\\n\udc80é 電'
        token = table(vaults()).token("pii.note", odd)
        assert table(vaults()).resolve(token, everything) == odd

    def test_threads_agree(self, vaults):
        vault, seen = vaults(), [set() for _ in range(8)]

        def work(mine):
            tokens = table(vault)
            for at in range(60):
                mine.add((at, tokens.token("pii.email", f"u{at}@x.co")))

        threads = [threading.Thread(target=work, args=(mine,)) for mine in seen]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert all(mine == seen[0] for mine in seen)
        assert len({token for _, token in seen[0]}) == 60


class TestSecret:
    def test_nothing_in_the_files_says_the_value_or_the_session(self, vaults, home):
        tokens = table(vaults(), "conversation-7", "u-1042")
        for at in range(50):
            tokens.token("pii.email", f"alice{at}@example.com")
        assert tokens.resolve("<EMAIL_1>", everything) == "alice0@example.com"
        for path in files(home):
            data = path.read_bytes()
            for value in (b"alice", b"example.com", b"conversation-7", b"u-1042"):
                assert value not in data, path

    def test_only_the_owner_may_read(self, vaults, home):
        table(vaults()).token("pii.email", MAIL)
        assert {stat.S_IMODE(path.stat().st_mode) for path in files(home)} == {0o600}
        assert {stat.S_IMODE(p.stat().st_mode) for p in (home / "vault", home / "vault" / "keys")} == {0o700}

    def test_another_secret_opens_nothing(self, vaults):
        table(vaults()).token("pii.email", MAIL)
        other = table(vaults(secret=b"t" * 32))
        assert other.resolve("<EMAIL_1>", everything) == "<EMAIL_1>"
        assert other.token("pii.email", MAIL) == "<EMAIL_1>"

    def test_without_the_key_of_the_hour_the_secret_opens_nothing(self, vaults, home):
        table(vaults()).token("pii.email", MAIL)
        for key in (home / "vault" / "keys").iterdir():
            key.unlink()
        tokens = table(vaults())
        assert tokens.resolve("<EMAIL_1>", everything) == "<EMAIL_1>"
        assert tokens.token("pii.email", "bob@example.com") == "<EMAIL_2>"

    def test_entry_that_stands_in_anothers_place_does_not_open(self, vaults, home):
        vault = vaults()
        table(vault).token("pii.email", MAIL)
        table(vault).token("pii.email", "bob@example.com")
        db = sqlite3.connect(home / "vault" / "tokens.db")
        boxes = dict(db.execute("SELECT number, box FROM entries"))
        for number in (1, 2):
            db.execute("UPDATE entries SET box = ? WHERE number = ?", (boxes[3 - number], number))
        db.commit()
        db.close()
        with pytest.raises(VaultError, match="damaged") as told:
            table(vaults()).resolve("<EMAIL_1>", everything)
        assert "example.com" not in str(told.value)

    def test_nothing_shows_a_value(self, vaults):
        from guardai.model import Kept

        vault = vaults()
        tokens = table(vault)
        tokens.token("pii.email", MAIL)
        for shown in (tokens, vault, vault.drawer("s", "u"), Kept("EMAIL", "pii.email", MAIL, MAIL)):
            assert "alice" not in repr(shown)


class TestExpiry:
    def test_session_that_is_not_used_is_forgotten(self, vaults, clock, home):
        table(vaults()).token("pii.email", MAIL)
        clock(LIFE + 2)
        vault = vaults()
        assert table(vault).resolve("<EMAIL_1>", everything) == "<EMAIL_1>"
        assert vault.expire() == 1
        db = sqlite3.connect(home / "vault" / "tokens.db")
        assert db.execute("SELECT count(*) FROM entries").fetchone() == (0,)
        db.close()

    def test_session_that_is_used_lives_on(self, vaults, clock):
        vault = vaults()
        tokens = table(vault)
        tokens.token("pii.email", MAIL)
        for _ in range(8):
            clock(LIFE / 2)
            tokens.keep()
        vault.expire()
        assert table(vaults()).resolve("<EMAIL_1>", everything) == MAIL

    def test_what_the_vault_forgot_is_forgotten_in_memory_too(self, vaults, clock):
        tokens = table(vaults())
        tokens.token("pii.email", MAIL)
        clock(LIFE + 2)
        tokens.keep()
        assert len(tokens) == 0
        assert tokens.resolve("<EMAIL_1>", everything) == "<EMAIL_1>"

    def test_number_of_a_forgotten_value_does_not_become_anothers_in_the_same_process(self, vaults, clock):
        tokens = table(vaults())
        tokens.token("pii.email", MAIL)
        clock(LIFE + 2)
        tokens.keep()
        assert tokens.token("pii.email", "bob@example.com") == "<EMAIL_2>"

    def test_session_that_somebody_named_does_not_use_its_numbers_anew(self, vaults, clock):
        table(vaults(), "conversation-7", lasting=True).token("pii.email", MAIL)
        clock(LIFE + 2)
        vault = vaults()
        vault.expire()
        tokens = table(vault, "conversation-7", lasting=True)
        assert tokens.resolve("<EMAIL_1>", everything) == "<EMAIL_1>"
        assert tokens.token("pii.email", "bob@example.com") == "<EMAIL_2>"
        clock(200 * 24 * HOUR)
        assert vault.expire() == 1
        vault.expire()
        assert table(vaults(), "conversation-7", lasting=True).token("pii.email", "eve@example.com") == "<EMAIL_1>"

    def test_what_expired_cannot_be_read_from_a_copy_of_the_database(self, vaults, clock, home):
        """Whoever kept the database, and has the home's secret, still lacks the key of the hour."""
        vault = vaults()
        table(vault).token("pii.email", MAIL)
        vault.close()
        kept = (home / "vault" / "tokens.db").read_bytes()
        clock(LIFE + HOUR + 2)
        vaults().expire()
        (home / "vault" / "tokens.db").write_bytes(kept)
        clock(-LIFE - HOUR - 2)
        assert table(vaults()).resolve("<EMAIL_1>", everything) == "<EMAIL_1>"

    def test_key_of_an_hour_is_overwritten_before_it_is_removed(self, tmp_path, clock):
        epochs = Epochs(tmp_path / "keys", SECRET)
        hour = epochs.of(time.time())
        epochs.key(hour, create=True)
        epochs.key(hour + 30, create=True)
        os.link(tmp_path / "keys" / str(hour), tmp_path / "kept")
        clock(HOUR)
        assert epochs.erase(time.time()) == 1
        assert (tmp_path / "kept").read_bytes() == bytes(32)
        assert epochs.key(hour) is None
        assert epochs.key(hour + 30) is not None

    def test_renewed_session_is_not_tied_to_the_hour_that_it_began_in(self, vaults, clock):
        vault = vaults()
        tokens = table(vault)
        tokens.token("pii.email", MAIL)
        clock(LIFE - HOUR)
        tokens.keep()
        clock(3 * HOUR)
        vault.expire()
        assert table(vaults()).resolve("<EMAIL_1>", everything) == MAIL


class TestTrouble:
    def fails(self, vaults, match):
        before = table(vaults())
        with pytest.raises(VaultError, match=match) as told:
            before.token("pii.email", MAIL)
        assert isinstance(told.value, GuardError)
        assert "alice" not in str(told.value)
        assert len(before) == 0

    @pytest.mark.parametrize("harm", ["header", "everything", "empty"])
    def test_corrupt_file_is_refused_with_what_to_do(self, vaults, home, harm):
        vault = vaults()
        for at in range(300):
            table(vault).token("pii.email", f"u{at}@example.com")
        vault.close()
        path = home / "vault" / "tokens.db"
        data = bytearray(path.read_bytes())
        if harm == "header":
            data[:100] = os.urandom(100)
        elif harm == "everything":
            data[200:] = os.urandom(len(data) - 200)
        else:
            data = bytearray()
        path.write_bytes(data)
        self.fails(vaults, "damaged" if harm != "empty" else "version 0")

    @pytest.mark.parametrize("length", [0, 5, 40])
    def test_damaged_key_file_is_refused(self, vaults, home, length):
        table(vaults()).token("pii.email", MAIL)
        for key in (home / "vault" / "keys").iterdir():
            key.write_bytes(bytes(length))
        self.fails(vaults, "damaged")

    def test_vault_of_a_later_version_is_left_alone(self, vaults, home):
        vault = vaults()
        table(vault).token("pii.email", MAIL)
        vault.close()
        db = sqlite3.connect(home / "vault" / "tokens.db")
        db.execute("PRAGMA user_version = 9")
        db.close()
        self.fails(vaults, "version 9")

    def test_vault_that_another_holds_too_long_is_refused(self, vaults, home, monkeypatch):
        table(vaults()).token("pii.email", "bob@example.com")
        monkeypatch.setattr("guardai.ledger.vaultfile._TIMEOUT", 0.05)
        db = sqlite3.connect(home / "vault" / "tokens.db", isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        self.fails(vaults, "locked")
        db.execute("ROLLBACK")
        db.close()
        assert table(vaults()).token("pii.email", MAIL) == "<EMAIL_2>"

    def test_home_that_cannot_be_written_is_refused(self, vaults, home):
        home.write_text("not a folder")
        self.fails(vaults, "cannot be used")

    def test_interrupting_handler_that_needs_the_vault_is_refused_and_the_interrupted_call_is_not(self, vaults):
        vault = vaults()
        tokens, told = table(vault), []

        def work(db, drawers):
            with pytest.raises(VaultError, match="interrupted"):
                table(vault).token("pii.email", MAIL)
            told.append(1)

        vault.write(work)
        assert told
        assert tokens.token("pii.email", MAIL) == "<EMAIL_1>"

    def test_failed_transaction_leaves_nothing(self, vaults):
        vault = vaults()

        def work(db, drawers):
            drawers.begun(db, b"x" * 16, lasting=False)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            vault.write(work)
        assert vault.read(lambda db, _: db.execute("SELECT count(*) FROM sessions").fetchone()) == (0,)
        assert table(vault).token("pii.email", MAIL) == "<EMAIL_1>"

    def test_vault_whose_file_was_moved_away_begins_anew_without_using_a_number_twice(self, vaults, home):
        tokens = table(vaults())
        tokens.token("pii.email", MAIL)
        (home / "vault").rename(home / "old")
        assert tokens.token("pii.email", "bob@example.com") == "<EMAIL_2>"
        assert table(vaults()).resolve("<EMAIL_1> <EMAIL_2>", everything) == "<EMAIL_1> bob@example.com"


FULL = """
import resource, signal, sys
from pathlib import Path
from guardai.ledger import TokenVault, VaultError
from guardai.text import Tokens
home = Path(sys.argv[1])
tokens = Tokens(TokenVault(home, b"s" * 32, life=3600).drawer("s", "u"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, resource.RLIM_INFINITY))
made, refused = {}, 0
for at in range(5000):
    value = f"user{at}@example.com"
    try:
        made[tokens.token("pii.email", value)] = value
    except VaultError as error:
        assert "example.com" not in str(error) and "space" in str(error), str(error)
        refused += 1
        if refused == 20:
            break
assert refused == 20, refused
assert all(tokens.token("pii.email", value) == token for token, value in made.items())
for token, value in made.items():
    print(token, value)
"""

WORKER = """
import sys
from pathlib import Path
from guardai.ledger import TokenVault
from guardai.text import Tokens
home, me, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
tokens = Tokens(TokenVault(home, b"s" * 32, life=3600).drawer("shared", "u"))
for at in range(count):
    # Half of the values are everybody's, half are this one's own.
    value = f"all{at}@x.co" if at % 2 else f"own{me}-{at}@x.co"
    print(value, tokens.token("pii.email", value), flush=True)
"""


def run(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork, no SIGKILL and no limits")
class TestProcesses:
    def check(self, lines):
        tokens, values = {}, {}
        for line in lines:
            value, token = line.split()
            assert tokens.setdefault(value, token) == token
            assert values.setdefault(token, value) == value
        return tokens

    def test_processes_that_start_at_once_agree(self, home):
        running = [run(WORKER, home, me, 80) for me in range(4)]
        lines = []
        for one in running:
            out, err = one.communicate(timeout=120)
            assert one.returncode == 0, err
            lines += out.splitlines()
        assert len(self.check(lines)) == 4 * 40 + 40

    def test_kill_9_in_the_middle_loses_no_token_and_holds_up_nobody(self, home):
        lines = []
        for round_ in range(6):
            one = run(WORKER, home, round_, 100_000)
            for _ in range(20):
                lines.append(one.stdout.readline())
            time.sleep(0.002 * round_)
            os.kill(one.pid, signal.SIGKILL)
            with one.stdout, one.stderr:  # `communicate` would lose what `readline` has read ahead
                out = one.stdout.read()
            one.wait(timeout=60)
            lines += [line for line in out.splitlines(keepends=True) if line.endswith(">\n")]
        known = self.check(lines)
        last = run(WORKER, home, 9, 40)
        out, err = last.communicate(timeout=60)
        assert last.returncode == 0, err
        self.check(lines + out.splitlines())
        tokens = table(TokenVault(home, SECRET, life=3600), "shared")
        for value, token in known.items():
            assert tokens.resolve(token, everything) == value

    def test_full_disk_refuses_new_tokens_and_keeps_the_old_ones(self, home):
        one = run(FULL, home)
        out, err = one.communicate(timeout=120)
        assert one.returncode == 0, err
        made = dict(line.split() for line in out.splitlines())
        assert len(made) > 100
        tokens = table(TokenVault(home, SECRET, life=3600))
        assert tokens.resolve(" ".join(made), everything) == " ".join(made.values())

    def test_fork_shares_the_session_with_its_parent(self, vaults, home):
        tokens = table(vaults())
        tokens.token("pii.email", MAIL)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                told = [tokens.token("pii.email", MAIL), tokens.token("pii.email", "child@x.co")]
                os.write(writing, " ".join(told).encode())
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert os.read(reading, 100) == b"<EMAIL_1> <EMAIL_2>"
        assert tokens.token("pii.email", "parent@x.co") == "<EMAIL_3>"
        assert tokens.resolve("<EMAIL_2>", everything) == "child@x.co"

    def test_fork_while_other_threads_use_the_vault_hangs_nobody(self, vaults):
        vault, stop, errors = vaults(), threading.Event(), []

        def work(me):
            tokens, at = table(vault), 0
            try:
                while not stop.is_set():
                    at += 1
                    tokens.token("pii.email", f"t{me}-{at}@x.co")
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(me,)) for me in range(3)]
        [thread.start() for thread in threads]
        try:
            for round_ in range(20):
                child = os.fork()
                if child == 0:
                    signal.alarm(20)
                    code = 1
                    try:
                        code = 0 if table(vault).token("pii.email", f"child{round_}@x.co") else 1
                    finally:
                        os._exit(code)
                assert os.waitpid(child, 0)[1] == 0
        finally:
            stop.set()
            [thread.join() for thread in threads]
        assert errors == []
