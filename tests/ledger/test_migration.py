"""Moving a home's store into PostgreSQL, and counting what is in a ledger."""

import json
import shutil

import pytest
import stores
from stores import alter
from typer.testing import CliRunner

from guardai.cli import app
from guardai.errors import LedgerError
from guardai.ledger import Ledger, Pump, check_proof, events, migrate, open_keys, prove, public_key, seal, stats, verify
from guardai.ledger import migration as room
from guardai.ledger.layout import Layout
from guardai.ledger.root import root_on_file
from guardai.ledger.rotation import init_keys
from guardai.ledger.store import StoreAwayError
from guardai.lineage import EdgeTable

pytestmark = pytest.mark.made_up_events


@pytest.fixture
def address(_database):
    """Of a store that nobody has made yet."""
    return f"{_database}?schema=m_{stores.secrets.token_hex(6)}"


@pytest.fixture
def record(event):
    def record(home, count=5, **options):
        ledger = Ledger.open(home, projection=EdgeTable(), **options)
        names = []
        for n in range(count):
            edges = [{"evidence": "possible", "from": names[-1]}] if names else []
            names.append(ledger.append(event(call=f"c-{n}", lineage=edges)))
        ledger.close(timeout=20)
        return names

    return record


def checked(home):
    return verify(home, projection=EdgeTable())


def test_moved_store_is_whole_and_goes_on_where_it_is(home, record, address):
    names = record(home) + record(home)
    before = list(events(home))
    done = migrate(home, address)
    assert done.events == 14
    assert done.former.exists()
    assert not Layout(home).store.exists()
    assert list(events(home)) == before
    names += record(home)
    report = checked(home)
    assert (report.verdict, report.events, report.logs) == (0, 21, 3), report
    assert set(names) <= {json.loads(data)["id"] for data in events(home)}


def test_what_was_proven_before_is_proven_after_and_other_hosts_join(home, record, address, tmp_path):
    names = record(home)
    proof, root = prove(home, names[0]), public_key(home / "keys" / "root.pub")
    migrate(home, address)
    other = tmp_path / "other"
    init_keys(other, root_on_file(Layout(home)))
    (other / "ledger").mkdir()
    shutil.copy(home / "ledger" / "store.url", other / "ledger" / "store.url")
    names += record(other)
    assert check_proof(proof, root).id == names[0]
    for name in (names[0], names[-1]):
        assert check_proof(prove(home, name), root).id == name
    assert [(checked(one).verdict, checked(one).events) for one in (home, other)] == [(0, 14), (0, 14)]


def test_sink_goes_on_at_its_place(home, record, address, tmp_path):
    from guardai.sinks import open_sink

    url = f"jsonl://{tmp_path / 'out.jsonl'}"
    record(home)
    Pump(home, {url: open_sink(url)}).once()
    migrate(home, address)
    record(home)
    Pump(home, {url: open_sink(url)}).once()
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 14


def test_program_that_runs_seals_there_from_then_on(home, open_ledger, event, address):
    ledger = open_ledger()
    ledger.append(event())
    assert ledger.flush()
    migrate(home, address)
    ledger.append(event())
    assert ledger.flush()
    ledger.close(timeout=20)
    assert not Layout(home).store.exists()
    assert (checked(home).verdict, checked(home).events) == (0, 4)


def test_store_in_which_there_is_something_is_not_moved_into(home, record, address, tmp_path):
    record(home)
    stranger = tmp_path / "stranger"
    record(stranger)
    migrate(stranger, address)
    with pytest.raises(LedgerError, match="two trees cannot become one"):
        migrate(home, address)
    assert (checked(home).verdict, checked(home).events) == (0, 7)
    assert not stores.is_postgres(home)
    assert (checked(stranger).verdict, checked(stranger).events) == (0, 7)


@pytest.mark.parametrize("place", ["_check", "publish", "place.move"])
def test_move_that_is_broken_off_leaves_the_store_and_is_done_again(home, record, address, monkeypatch, place):
    record(home)
    of, _, name = place.rpartition(".")
    with monkeypatch.context() as patch:

        def fail(*_):
            raise OSError(28, "no space")

        patch.setattr(getattr(room, of) if of else room, name, fail)
        with pytest.raises(OSError, match="no space"):
            migrate(home, address)
    assert not stores.is_postgres(home)
    assert (checked(home).verdict, checked(home).events) == (0, 7)
    assert migrate(home, address).events == 7
    assert (checked(home).verdict, checked(home).events) == (0, 7)


def test_move_killed_between_commit_and_address_does_not_keep_the_home_from_going_on(
    home, record, address, monkeypatch
):
    record(home)
    with monkeypatch.context() as patch:
        patch.setattr(room.place, "move", lambda *_: (_ for _ in ()).throw(OSError(5, "killed")))
        with pytest.raises(OSError, match="killed"):
            migrate(home, address)
    record(home)  # into the store that it still has: what lies there is another tree now
    with pytest.raises(LedgerError, match="two trees"):
        migrate(home, address)
    assert (checked(home).verdict, checked(home).events) == (0, 14)


def test_store_that_was_tampered_with_is_not_moved(home, record, address):
    record(home)
    alter(home, "UPDATE tiles SET hashes = zeroblob(length(hashes))")
    with pytest.raises(LedgerError, match="not what its tree head says"):
        migrate(home, address)
    assert Layout(home).store.exists()
    assert not stores.is_postgres(home)


def test_store_that_is_away_is_not_moved_into(home, record):
    record(home)
    with pytest.raises(StoreAwayError):
        migrate(home, "postgresql://nobody@127.0.0.1:1/nowhere")
    assert (checked(home).verdict, checked(home).events) == (0, 7)


@pytest.mark.parametrize("there", ["nothing", "moved already"])
def test_home_without_a_store_of_its_own_has_nothing_to_move(home, record, address, there):
    if there == "nothing":
        open_keys(home)
    else:
        record(home)
        migrate(home, address)
    with pytest.raises(LedgerError, match="no store of its own"):
        migrate(home, address)


# --- counting


@pytest.mark.usefixtures("either_store")
def test_stats_count_store_and_spools(home, open_ledger, event, record):
    record(home)
    ledger = open_ledger(seal=False)
    ledger.append(event())
    ledger.flush()
    ledger.append(event())
    found = stats(home)
    assert (found.events, found.logs, found.open, found.head, found.spools) == (9, 2, 1, 9, 1)
    assert found.waiting == sum(path.stat().st_size for path in (home / "ledger" / "spool").glob("*.jsonl"))
    assert found.signed_by == (open_keys(home).host_id,)
    assert found.size > 9 * 500
    times = [json.loads(data)["ts"] for data in events(home)]
    assert (found.since, found.until) == (times[0], times[8])
    assert (
        found.store
        == stores.address_of(home).partition("?")[0].replace("postgres@", "") + f" (schema {stores.parts_of(home)[1]})"
        if stores.is_postgres(home)
        else str(home / "ledger" / "store.db")
    )


def test_stats_of_a_home_in_which_nothing_is_sealed(home, open_ledger, event):
    ledger = open_ledger(seal=False)
    ledger.append(event())
    found = stats(home)
    assert (found.events, found.head, found.signed_by, found.spools) == (0, 0, (), 1)


def test_commands_count_and_move(home, record, address):
    record(home)

    def run(*arguments, code=0):
        done = CliRunner().invoke(app, [*arguments, "--home", str(home)])
        assert done.exit_code == code, done.output
        return done.output

    assert json.loads(run("ledger", "stats", "--json"))["events"] == 7
    assert "7 events" in run("ledger", "stats")
    moved = json.loads(run("ledger", "migrate", address, "--json"))
    assert (moved["ok"], moved["events"]) == (True, 7)
    assert json.loads(run("ledger", "stats", "--json"))["events"] == 7
    assert "no store of its own" in run("ledger", "migrate", address, code=1)
    assert seal(home, open_keys(home))
