"""What the ledger's tests share: events to record, ledgers to record them in, copies to attack."""

import time
import importlib.util
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
from services import empty_database

from guardai.ledger import Ledger
from guardai.model import VERSION, Event

# Tests are modules of no package.
_spec = importlib.util.spec_from_file_location("stores", Path(__file__).parent / "stores.py")
stores = sys.modules["stores"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stores)
_spec = importlib.util.spec_from_file_location("anchors", Path(__file__).parent / "anchors.py")
anchors = sys.modules["anchors"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(anchors)


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets forward."""
    real, ahead = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])

    def forward(seconds):
        ahead[0] += seconds

    return forward


@pytest.fixture(scope="session")
def _database(postgres_server):
    """The address of a database for this process of the test run; each test has a schema in it."""
    with empty_database(postgres_server) as address:
        yield address


@pytest.fixture
def in_postgres(home, _database):
    """The test's home has its store in PostgreSQL."""
    stores.put_in_postgres(home, _database)


@pytest.fixture(params=["sqlite", "postgresql"])
def either_store(request):
    """The test is done twice: with the store in a file of the home, and in PostgreSQL."""
    if request.param == "postgresql":
        request.getfixturevalue("in_postgres")
    return request.param


def make_event(kind="call.intent", **fields):
    """An event as the gate hands it over."""
    given = {
        "action": "db.read",
        "call": "c-1",
        "principal": {"agent": "report-bot", "assurance": "asserted", "chain": [], "kind": "Agent", "user": "u-1042"},
        "session": "s-1",
        **fields,
    }
    return Event(id="", key="", kind=kind, log="", prev="", seq=0, ts=0, v=VERSION, **given)


@pytest.fixture
def home_like(home):
    """Readies another home whose store is of the kind of the test's."""

    def ready(other):
        if stores.is_postgres(home):
            stores.put_in_postgres(other, stores.address_of(home).partition("?")[0])
        return other

    return ready


@pytest.fixture
def checked_kinds(request):
    """Calls are made up here; what the ledger writes about itself is not."""
    if request.node.get_closest_marker("made_up_events"):
        return frozenset()
    return frozenset({"log.open", "log.close", "recovered", "gap", "key.certified", "key.revoked"})


@pytest.fixture(scope="session")
def event():
    return make_event


@pytest.fixture
def open_ledger(home):
    """Opens ledgers under the test's home and closes them at its end."""
    opened = []

    def open_one(where=None, **options):
        ledger = Ledger.open(where or home, **options)
        opened.append(ledger)
        return ledger

    yield open_one
    for ledger in opened:
        ledger.close()


@pytest.fixture
def sealed_home(home, event):
    """A home whose one log of 30 events (28 calls, open and close) is in the store."""
    ledger = Ledger.open(home)
    for n in range(28):
        ledger.append(event(call=f"c-{n}", content={"in": {"bytes": n, "commit": "ab" * 16}}))
    ledger.close(timeout=60)  # a disk may be busy with other tests
    assert not list((home / "ledger" / "spool").iterdir())
    return home


@pytest.fixture
def spooled_home(home, event):
    """A home whose one log of 30 events is closed and signed, and still in its spool."""
    ledger = Ledger.open(home, seal=False)
    for n in range(28):
        ledger.append(event(call=f"c-{n}", content={"in": {"bytes": n, "commit": "ab" * 16}}))
    ledger.close()
    assert len(list((home / "ledger" / "spool").glob("*.jsonl"))) == 1
    return home


@pytest.fixture
def copy(tmp_path):
    """Copies a home."""
    count = 0

    def make(home):
        nonlocal count
        count += 1
        return stores.copy_home(home, tmp_path / f"copy{count}")

    return make


@pytest.fixture
def run_python(home):
    """Runs a program in another process, with the home as its argument; returns the finished process."""

    def run(program, *arguments, check=True, timeout=60, **options):
        code = PRELUDE + textwrap.dedent(program)
        done = subprocess.run(
            [sys.executable, "-c", code, str(home), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **options,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def start_python(home):
    """Starts a program in another process, with the home as its argument."""
    started = []

    def start(program, *arguments, **options):
        code = PRELUDE + textwrap.dedent(program)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(home), *arguments], stdout=subprocess.PIPE, text=True, **options
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


PRELUDE = """
import os, sys, time, json, signal, threading
# A shell starts what it runs in the background with this signal ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from guardai.errors import LedgerError
from guardai.ledger import Ledger
from guardai.model import Event

home = Path(sys.argv[1])

def no_heads():
    from guardai.ledger.signer import Signer
    Signer._sign_all = lambda self: True

def event(kind="call.intent", **fields):
    fields = {"action": "db.read", "principal": {"agent": "a", "user": "u"}, **fields}
    return Event(id="", key="", kind=kind, log="", prev="", seq=0, ts=0, v=1, **fields)

"""
warnings.filterwarnings("ignore", message="This process .* is multi-threaded", category=DeprecationWarning)
