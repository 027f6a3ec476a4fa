"""pandas and polars read through drivers: what stands in their frames has passed the gate."""

import contextlib
import sqlite3

import pytest

import guardai

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

KEY = "AKIA" + "IOSFODNN7EXAMPLE"
MASKED = "[SECRET:AWS_ACCESS_KEY]"
NOTES = ["none", MASKED, "none"]
SETUP = [
    "CREATE TABLE notes (id INTEGER, name VARCHAR(50), note VARCHAR(50))",
    f"INSERT INTO notes VALUES (1, 'ada', 'none'), (2, 'bob', '{KEY}'), (3, 'eve', 'none')",
]
READ = "SELECT id, name, note FROM notes ORDER BY id"
LABELS = (
    '@id("all") permit (principal, action, resource);'
    '@id("no-names") @mask("redact") forbid (principal, action == Action::"reveal", resource == Label::"pii.name");',
    '[columns]\n"notes.name" = ["pii.name"]\n',
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy connectable"),
    pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result"),
]


@pytest.fixture(params=["sqlite3", "duckdb", "psycopg"])
def connect(request, tmp_path):
    """Connects to a database with some notes; each time to the same one."""
    if request.param == "sqlite3":
        made = lambda: sqlite3.connect(tmp_path / "notes.db")  # noqa: E731
    elif request.param == "duckdb":
        duckdb = pytest.importorskip("duckdb", minversion="2.0")
        made = lambda: duckdb.connect(tmp_path / "notes.duckdb")  # noqa: E731
    else:
        psycopg = pytest.importorskip("psycopg")
        url = request.getfixturevalue("postgres")
        opened = []

        def made():
            opened.append(psycopg.connect(url))
            return opened[-1]

        def close():
            for connection in opened:
                connection.close()

        request.addfinalizer(close)
    with contextlib.closing(made()) as connection:
        cursor = connection.cursor()
        for statement in SETUP:
            cursor.execute(statement)
        with contextlib.suppress(Exception):  # DuckDB has nothing to commit
            connection.commit()
    made.marker = "%s" if request.param == "psycopg" else "?"
    return made


@pytest.fixture
def started(home):
    guardai.init(home=home, integrations=["dbapi"])


def test_pandas_reads_masked_columns(started, connect, calls):
    connection = connect()
    with guardai.session(agent="a"):
        frame = pd.read_sql(READ, connection)
        assert frame["note"].tolist() == NOTES
        assert frame["id"].tolist() == [1, 2, 3]
        assert frame["id"].dtype.kind == "i"
        found = pd.read_sql_query(f"SELECT note FROM notes WHERE id = {connect.marker}", connection, params=(2,))
        assert found["note"].tolist() == [MASKED]
    assert [outcome["body"]["rows"] for _, outcome in calls("db.read")] == [3, 1]


def test_pandas_reads_in_chunks_that_are_masked_as_they_come(started, connect, calls):
    connection = connect()
    with guardai.session(agent="a"):
        chunks = pd.read_sql_query(READ, connection, chunksize=2)
        assert next(chunks)["note"].tolist() == NOTES[:2]
        assert next(chunks)["note"].tolist() == NOTES[2:]
        assert next(chunks, None) is None
    assert calls("db.read")[0][1]["body"]["rows"] == 3


def test_polars_reads_masked_columns_whole_and_in_batches(started, connect, calls):
    connection = connect()
    with guardai.session(agent="a"):
        assert pl.read_database(READ, connection)["note"].to_list() == NOTES
        assert pl.read_database(READ, connection)["id"].to_list() == [1, 2, 3]
        batches = pl.read_database(READ, connection, iter_batches=True, batch_size=2)
        assert [note for batch in batches for note in batch["note"].to_list()] == NOTES
    assert [outcome["body"]["rows"] for _, outcome in calls("db.read")] == [3, 3, 3]


@pytest.mark.parametrize("statement", ["DROP TABLE notes", "DELETE FROM notes"])
def test_neither_destroys_anything(started, connect, statement):
    connection = connect()
    for read in (pd.read_sql, pl.read_database):
        # pandas rolls back after any error, and where there is nothing to be rolled back DuckDB's own error hides it.
        with (
            guardai.session(agent="a"),
            pytest.raises(Exception, match="(?i)no-destruction|no transaction|not valid 'read' queries"),
        ):
            read(statement, connection)
    assert len(pd.read_sql(READ, connect())) == 3


def test_labels_of_columns_hold_in_both(home, policy, connect):
    guardai.init(home=home, integrations=["dbapi"], policy=policy(*LABELS))
    connection = connect()
    with guardai.session(agent="a"):
        assert pd.read_sql("SELECT upper(name) AS who FROM notes", connection)["who"].tolist() == ["[NAME]"] * 3
        assert pl.read_database("SELECT name AS who FROM notes", connection)["who"].to_list() == ["[NAME]"] * 3


def test_writing_a_frame_is_a_write_and_making_its_table_is_administration(started, connect, request):
    if "psycopg" in request.node.name:
        pytest.skip("pandas writes through sqlite's dialect where there is no SQLAlchemy")
    connection = connect()
    more = pd.DataFrame({"id": [4], "name": ["new"], "note": ["none"]})
    with guardai.session(agent="a"):
        more.to_sql("notes", connection, if_exists="append", index=False)
        with pytest.raises(Exception, match="(?i)no-administration|no transaction"):
            more.to_sql("others", connection)
    assert pd.read_sql(READ, connection)["id"].tolist() == [1, 2, 3, 4]


def test_application_reads_as_before(started, connect, calls):
    connection = connect()
    assert pd.read_sql(READ, connection)["note"].tolist() == ["none", KEY, "none"]
    assert pl.read_database(READ, connection)["note"].to_list() == ["none", KEY, "none"]
    assert calls() == []


def test_observe_mode_changes_no_frame(home, connect):
    guardai.init(home=home, integrations=["dbapi"], mode="observe")
    connection = connect()
    with guardai.session(agent="a"):
        assert pd.read_sql(READ, connection)["note"].tolist() == ["none", KEY, "none"]
        assert pl.read_database(READ, connection)["note"].to_list() == ["none", KEY, "none"]
