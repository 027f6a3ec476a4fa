"""DuckDB 1, where it is installed: cursors are governed, relations are refused."""

import pytest

import guardai

duckdb = pytest.importorskip("duckdb")
pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")

KEY = "AKIA" + "IOSFODNN7EXAMPLE"
MASKED = "[SECRET:AWS_ACCESS_KEY]"

pytestmark = pytest.mark.skipif(not duckdb.__version__.startswith("1."), reason="this is DuckDB 2")


@pytest.fixture
def connection(home):
    guardai.init(home=home, integrations=["dbapi"])
    with duckdb.connect() as opened:
        opened.execute("CREATE TABLE t (id INTEGER, note VARCHAR)")
        opened.execute("INSERT INTO t VALUES (1, 'none'), (2, ?)", [KEY])
        yield opened


TAKEN = {
    "fetchall": lambda c: [note for _, note in c.fetchall()],
    "fetchone": lambda c: [note for _, note in iter(c.fetchone, None)],
    "fetchmany": lambda c: [note for _, note in c.fetchmany(5)],
    "df": lambda c: c.df()["note"].tolist(),
    "fetchnumpy": lambda c: c.fetchnumpy()["note"].tolist(),
    "fetch_arrow_table": lambda c: c.fetch_arrow_table()["note"].to_pylist(),
    "fetch_record_batch": lambda c: c.fetch_record_batch().read_all()["note"].to_pylist(),
    "pl": lambda c: c.pl()["note"].to_list(),
    "lazy pl": lambda c: c.pl(lazy=True).collect()["note"].to_list(),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_way_to_take_a_cursors_rows_is_masked(connection, calls):
    with guardai.session(agent="a"):
        for way, take in TAKEN.items():
            assert take(connection.execute("SELECT * FROM t ORDER BY id")) == ["none", MASKED], way
            assert calls("db.read")[-1][1]["body"]["rows"] == 2, way
        with pytest.raises(guardai.ResultWithheld):
            connection.execute("SELECT id FROM t").torch()


def test_denied_statement_never_reaches_the_engine(connection):
    with guardai.session(agent="a"):
        for run in (connection.execute, lambda sql: duckdb.execute(sql, connection=connection)):
            with pytest.raises(guardai.PolicyDenied):
                run("DROP TABLE t")
    assert len(connection.execute("FROM t").fetchall()) == 2


def test_relations_are_refused_to_an_agent_and_the_applications_own(connection, calls):
    mine = pd.DataFrame({"a": [1]})
    relation = connection.table("t")
    assert connection.sql("SELECT * FROM mine").fetchall() == [(1,)]
    assert duckdb.sql("SELECT * FROM mine").fetchall() == [(1,)]
    assert KEY in repr(relation)
    assert calls() == []
    refused = [
        lambda: connection.sql("SELECT * FROM t"),
        lambda: connection.table("t"),
        lambda: duckdb.sql("SELECT 1"),
        lambda: duckdb.from_df(mine),
        relation.fetchall,
        relation.df,
        lambda: relation.filter("id = 1"),
        lambda: repr(relation),
        lambda: str(relation),
        lambda: pa.table(relation),
    ]
    with guardai.session(agent="a"):
        for call in refused:
            with pytest.raises(guardai.PolicyDenied):
                call()


def test_write_tells_that_it_happened(connection, calls):
    with guardai.session(agent="a"):
        connection.execute("UPDATE t SET note = 'x' WHERE id = 1")
        assert connection.execute("UPDATE t SET id = 3 WHERE id = 2 RETURNING note").fetchall() == [(MASKED,)]
    assert [outcome["status"] for _, outcome in calls("db.write")] == ["ok", "ok"]


def test_every_target_is_there(connection):
    from guardai.hooks import report

    targets = [target for entry in report() for target in entry["targets"] if "duckdb" in target["target"]]
    assert len(targets) > 100
    assert {target["status"] for target in targets} == {"patched"}
