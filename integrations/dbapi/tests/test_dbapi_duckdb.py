"""DuckDB: every way by which statements and rows come or go, on the real engine."""

import subprocess
import sys
import threading
import time

import pytest

import guardai

duckdb = pytest.importorskip("duckdb", minversion="2.0")
np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

KEY = "AKIA" + "IOSFODNN7EXAMPLE"
MASKED = "[SECRET:AWS_ACCESS_KEY]"
PERMIT = '@id("all") {annotations} permit (principal, action, resource);'
READS = """
@id("reads") permit (principal, action == Action::"db.read", resource);
@id("shows") permit (principal, action == Action::"reveal", resource);
"""
SLOW = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE (a.range * b.range) % 7 = 3"
#: A column that is masked as a whole, whatever its cells contain.
CATALOG = '[columns]\n"customers.name" = ["pii.name"]\n"customers.born" = ["pii.dob"]\n'
NAMES = PERMIT.format(annotations="") + (
    '@id("no-names") @mask("redact") forbid (principal, action == Action::"reveal", resource == Label::"pii.name");'
    '@id("no-births") @mask("null") forbid (principal, action == Action::"reveal", resource == Label::"pii.dob");'
)

pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result")


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.db"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR, born DATE, note VARCHAR)")
        connection.execute(
            "INSERT INTO customers SELECT i, 'name' || i, DATE '1980-01-01' + i::INTEGER, 'none' FROM range(1, 11) r(i)"
        )
        connection.execute("UPDATE customers SET note = ? WHERE id = 3", [KEY])
        connection.execute("CREATE TABLE orders (id INTEGER, cents INTEGER)")
        connection.execute("INSERT INTO orders SELECT i, i * 100 FROM range(50) r(i)")
    return path


@pytest.fixture
def start(home, policy):
    def started(annotations="", *, text="", catalog="", **settings):
        guardai.init(
            home=home,
            integrations=["dbapi"],
            policy=policy(text or PERMIT.format(annotations=annotations), catalog),
            **settings,
        )

    return started


@pytest.fixture
def started(home):
    guardai.init(home=home, integrations=["dbapi"])


@pytest.fixture
def connection(shop):
    with duckdb.connect(shop) as opened:
        opened.execute("SELECT 1").fetchall()
        yield opened


def rows(connection, sql="SELECT * FROM customers ORDER BY id"):
    """As the application sees them."""
    return connection.cursor().execute(sql).fetchall()


#: What each way to take a result makes of it: the notes, in order.
def _last(rows):
    return [row[-1] for row in rows]


FROM_CURSOR = {
    "fetchall": lambda c: _last(c.fetchall()),
    "fetchone": lambda c: _last(iter(c.fetchone, None)),
    "fetchmany": lambda c: _last([*c.fetchmany(4), *c.fetchmany(4), *c.fetchmany(4)]),
    "df": lambda c: c.df()["note"].tolist(),
    "fetchdf": lambda c: c.fetchdf()["note"].tolist(),
    "fetch_df": lambda c: c.fetch_df()["note"].tolist(),
    "fetch_df_chunk": lambda c: (c.fetch_df_chunk()["note"].tolist(), c.fetch_df_chunk())[0],
    "fetchnumpy": lambda c: c.fetchnumpy()["note"].tolist(),
    "to_arrow_table": lambda c: c.to_arrow_table()["note"].to_pylist(),
    "to_arrow_reader": lambda c: c.to_arrow_reader().read_all()["note"].to_pylist(),
}
FROM_RELATION = {
    "fetchall": lambda r: _last(r.fetchall()),
    "iter_rows": lambda r: _last(r.iter_rows(3)),
    "to_dicts": lambda r: [row["note"] for row in r.to_dicts()],
    "df": lambda r: r.df()["note"].tolist(),
    "to_df": lambda r: r.to_df()["note"].tolist(),
    "fetchnumpy": lambda r: r.fetchnumpy()["note"].tolist(),
    "to_arrow_table": lambda r: r.to_arrow_table()["note"].to_pylist(),
    "to_arrow_reader": lambda r: r.to_arrow_reader(3).read_all()["note"].to_pylist(),
    "arrow": lambda r: r.arrow().read_all()["note"].to_pylist(),
    "pl": lambda r: r.pl()["note"].to_list(),
    "lazy pl": lambda r: r.pl(lazy=True).collect()["note"].to_list(),
    "pyarrow.table": lambda r: pa.table(r)["note"].to_pylist(),
    "polars.DataFrame": lambda r: pl.DataFrame(r)["note"].to_list(),
    "materialize": lambda r: _last(r.materialize().fetchall()),
    "filter": lambda r: _last(r.filter("id > 0").order("id").fetchall()),
    "query": lambda r: _last(r.query("lent", "SELECT * FROM lent ORDER BY id").fetchall()),
}
NOTES = ["none", "none", MASKED, *["none"] * 7]

DESTRUCTIVE = [
    "DELETE FROM customers",
    "DELETE FROM customers WHERE true",
    "UPDATE customers SET name = 'x'",
    "DROP TABLE customers",
    "TRUNCATE customers",
    "COPY customers TO 'x.csv'",
    "ATTACH ':memory:' AS other",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "INSTALL httpfs",
    "SET threads = 1",
    "SELECT 1; DROP TABLE customers",
    "SELEC nothing",
]


def _refused():
    raise guardai.PolicyDenied("there is no such statement")


class TestDenied:
    @pytest.mark.parametrize("statement", DESTRUCTIVE)
    def test_denied_statement_never_reaches_the_engine(self, started, connection, statement):
        extracted = [] if statement.startswith("SELEC ") else connection.extract_statements(statement)
        before = connection._catalog_version()
        for run in (
            connection.execute,
            lambda sql: connection.executemany(sql, [[]]),
            connection.sql,
            connection.query,
            connection.from_query,
            lambda sql: duckdb.execute(sql, connection=connection),
            lambda sql: duckdb.sql(sql, connection=connection),
            lambda _: [connection.execute(one) for one in extracted or _refused()],
            lambda _: [connection.sql(one) for one in extracted or _refused()],
        ):
            with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
                run(statement)
        assert connection._catalog_version() == before
        assert len(rows(connection)) == 10

    @pytest.mark.parametrize(
        "write",
        [
            lambda r: r.to_table("copied"),
            lambda r: r.create("copied"),
            lambda r: r.create_view("seen"),
            lambda r: r.to_csv("x.csv"),
            lambda r: r.to_parquet("x.parquet"),
            lambda r: r.map(lambda frame: frame),
            lambda r: r.query("lent", "DROP TABLE orders"),
            lambda r: r.filter("id IN (SELECT column0 FROM read_csv('/etc/passwd'))"),
            lambda r: r.project("getenv('HOME')"),
            lambda r: r.update({"note": duckdb.ConstantExpression("x")}),
        ],
    )
    def test_relation_does_nothing_that_its_statement_may_not(self, started, connection, write, tmp_path):
        with guardai.session(agent="a"):
            relation = connection.table("customers")
            with pytest.raises(guardai.PolicyDenied):
                write(relation)
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith("x.")] == []
        assert {name for (name,) in rows(connection, "SHOW TABLES")} == {"customers", "orders"}
        assert rows(connection)[0][-1] == "none"

    @pytest.mark.parametrize(
        "call",
        [
            lambda c: c.read_csv("/etc/passwd"),
            lambda c: c.read_json("/etc/passwd"),
            lambda c: c.read_parquet("/etc/passwd"),
            lambda c: c.from_csv_auto("/etc/passwd"),
            lambda c: c.table("/etc/passwd"),
            lambda c: c.table_function("read_text", ["/etc/passwd"]),
            lambda c: c.get_table_names("SELECT * FROM read_csv('/etc/passwd')"),
            lambda c: c.install_extension("httpfs"),
            lambda c: c.load_extension("httpfs"),
            lambda c: c.create_function("f", lambda x: x, ["VARCHAR"], "VARCHAR"),
            lambda c: c.register("customers", pd.DataFrame({"id": [1]})),
            lambda c: c.register("other", c.table("customers")),
        ],
    )
    def test_methods_that_do_without_a_statement_are_judged_too(self, started, connection, call):
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            call(connection)

    def test_a_statement_that_tells_the_gate_something_else_than_the_engine_is_told_once(self, started, connection):
        class Sly(str):
            asked = 0

            def __str__(self):
                Sly.asked += 1
                return "SELECT 1" if Sly.asked == 1 else "DROP TABLE customers"

        with guardai.session(agent="a"):
            assert connection.execute(Sly("SELECT 2")).fetchall() == [(1,)]
        assert len(rows(connection)) == 10

    def test_connection_is_usable_after_a_denial_and_keeps_its_pending_rows(self, started, connection):
        with guardai.session(agent="a"):
            connection.execute("SELECT id FROM customers ORDER BY id")
            assert connection.fetchone() == (1,)
            with pytest.raises(guardai.PolicyDenied):
                connection.execute("DROP TABLE customers")
            assert connection.fetchone() == (2,)

    def test_binding_that_is_refused_is_recorded_and_one_that_is_permitted_is_not(self, started, connection, calls):
        with guardai.session(agent="a"):
            relation = connection.sql("SELECT id FROM customers").filter("id = 1")
            assert calls() == []
            with pytest.raises(guardai.PolicyDenied):
                connection.sql("SELECT * FROM read_csv('/etc/passwd')")
            assert [outcome["status"] for _, outcome in calls()] == ["denied"]
            assert relation.fetchall() == [(1,)]
        assert [outcome["status"] for _, outcome in calls()] == ["denied", "ok"]


class TestMasked:
    def test_every_way_to_take_a_cursors_rows_is_masked_and_counted(self, started, connection, calls):
        with guardai.session(agent="a"):
            for way, take in FROM_CURSOR.items():
                assert take(connection.execute("SELECT id, note FROM customers ORDER BY id")) == NOTES, way
                outcome = calls("db.read")[-1][1]
                assert (outcome["status"], outcome["body"]["rows"]) == ("ok", 10), way
                assert outcome["findings"] == {"secret.aws_access_key": 1}, way

    def test_every_way_to_take_a_relations_rows_is_masked_and_counted(self, started, connection, calls):
        with guardai.session(agent="a"):
            for way, take in FROM_RELATION.items():
                assert take(connection.sql("SELECT id, note FROM customers ORDER BY id")) == NOTES, way
                assert calls("db.read")[-1][1]["body"]["rows"] == 10, way

    @pytest.mark.parametrize(
        "drawn", [repr, str, lambda r: r.preview(), lambda r: r._repr_mimebundle_()["text/html"], lambda r: r.show()]
    )
    def test_relation_that_is_printed_shows_masked_rows(self, started, connection, drawn, capsys):
        with guardai.session(agent="a"):
            shown = drawn(connection.sql("SELECT * FROM customers")) or capsys.readouterr().out
        assert KEY not in shown
        assert MASKED in shown
        assert "name7" in shown

    def test_relation_in_which_nothing_is_masked_is_drawn_by_the_engine(self, started, connection):
        plain = repr(connection.sql("SELECT id, born FROM customers"))
        with guardai.session(agent="a"):
            assert repr(connection.sql("SELECT id, born FROM customers")) == plain

    def test_tensors_are_withheld(self, started, connection, calls):
        with guardai.session(agent="a"), pytest.raises(guardai.ResultWithheld, match="tensors cannot be masked"):
            connection.sql("SELECT id FROM customers").torch()
        with guardai.session(agent="a"), pytest.raises(guardai.ResultWithheld, match="tensors cannot be masked"):
            connection.execute("SELECT id FROM customers").tf()
        assert [outcome["status"] for _, outcome in calls()] == ["withheld"] * 2

    def test_module_level_functions_are_governed_on_the_default_connection(self, started):
        duckdb.execute("CREATE OR REPLACE TABLE notes AS SELECT ? AS note", [KEY])
        try:
            with guardai.session(agent="a"):
                duckdb.execute("SELECT note FROM notes")
                assert duckdb.fetchall() == [(MASKED,)]
                duckdb.execute("SELECT note FROM notes")
                assert duckdb.df()["note"].tolist() == [MASKED]
                assert duckdb.sql("SELECT note FROM notes").fetchall() == [(MASKED,)]
                assert duckdb.table("notes").fetchall() == [(MASKED,)]
                assert duckdb.cursor().execute("SELECT note FROM notes").fetchall() == [(MASKED,)]
                with pytest.raises(guardai.PolicyDenied):
                    duckdb.execute("DROP TABLE notes")
            assert duckdb.execute("SELECT note FROM notes").fetchall() == [(KEY,)]
        finally:
            duckdb.execute("DROP TABLE notes")

    def test_returning_is_masked_and_its_effect_is_recorded(self, started, connection, calls):
        with guardai.session(agent="a"):
            updated = "UPDATE customers SET name = 'x' WHERE id = 3 RETURNING id, note"
            assert connection.execute(updated).fetchall() == [(3, MASKED)]
            assert connection.sql(updated).fetchall() == [(3, MASKED)]
        assert len(calls("db.write")) == 2
        assert rows(connection)[2][1] == "x"

    def test_rows_that_executemany_leaves_are_masked(self, started, connection):
        with guardai.session(agent="a"):
            connection.executemany("SELECT note FROM customers WHERE id = ?", [[1], [3]])
            assert connection.fetchall() == [(MASKED,)]

    def test_nested_text_and_enumerations_are_masked_and_keep_their_type(self, started, connection):
        sql = (
            f"SELECT ['a', '{KEY}'] AS list, {{'k': '{KEY}'}} AS struct, MAP {{'k': '{KEY}'}} AS map, "
            f"'{KEY}'::ENUM('{KEY}', 'b') AS enum, [1, 2] AS numbers, '{{\"k\": \"{KEY}\"}}'::JSON AS json"
        )
        plain = connection.sql(sql).to_arrow_table()
        with guardai.session(agent="a"):
            masked = connection.sql(sql).to_arrow_table()
            frame = connection.sql(sql).df()
            (row,) = connection.sql(sql).fetchall()
        assert masked.schema == plain.schema
        for shown in (masked.to_pylist(), frame.to_dict("records"), row):
            assert KEY not in repr(shown)
            assert repr(shown).count("SECRET") == 5
        assert masked["numbers"].to_pylist() == [[1, 2]]

    def test_column_labels_hold_in_every_form(self, start, connection):
        start(text=NAMES, catalog=CATALOG)
        sql = "SELECT id, upper(name) AS who, born FROM customers ORDER BY id"
        with guardai.session(agent="a"):
            (first, *_) = connection.execute(sql).fetchall()
            frame = connection.sql(sql).df()
            arrays = connection.sql(sql).fetchnumpy()
            table = connection.sql(sql).to_arrow_table()
            batches = connection.sql(sql).to_arrow_reader(4)
            schema, read = batches.schema, batches.read_all()
            drawn = repr(connection.table("customers"))
        assert first == (1, "[NAME]", None)
        assert set(frame["who"]) == {"[NAME]"}
        assert frame["born"].isna().all()
        assert frame["born"].dtype.kind == "M"
        assert frame["id"].dtype == "int32"
        assert set(arrays["who"]) == {"[NAME]"}
        assert arrays["born"].mask.all()
        assert schema.types == table.schema.types == [pa.int32(), pa.string(), pa.date32()]
        assert table.to_pylist() == read.to_pylist()
        assert table.to_pylist()[9] == {"id": 10, "who": "[NAME]", "born": None}
        assert "name1" not in drawn
        assert "1980" not in drawn

    def test_number_that_is_masked_as_a_whole_becomes_text_in_a_stream_of_one_schema(self, start, connection):
        start(text=NAMES, catalog='[columns]\n"customers.id" = ["pii.name"]\n')
        with guardai.session(agent="a"):
            read = connection.sql("SELECT id FROM customers").to_arrow_reader(3)
            assert read.schema.types == [pa.string()]
            assert set(read.read_all()["id"].to_pylist()) == {"[NAME]"}
            assert set(connection.sql("SELECT id FROM customers").df()["id"]) == {"[NAME]"}

    def test_view_and_relation_of_a_labelled_table_bear_its_labels(self, start, connection):
        start(text=NAMES, catalog='[columns]\n"customers.name" = ["pii.name"]\n')
        connection.execute("CREATE VIEW v AS SELECT name AS x FROM customers")
        kept = connection.sql("SELECT name AS x FROM customers")
        with guardai.session(agent="a"):
            assert set(connection.execute("SELECT x FROM v").fetchall()) == {("[NAME]",)}
            assert set(connection.sql("SELECT x FROM kept").fetchall()) == {("[NAME]",)}
            assert set(kept.materialize().fetchall()) == {("[NAME]",)}

    def test_unmasked_columns_are_the_same_arrays(self, started, connection):
        from guardai_dbapi import columnar

        class Rows:
            masked = {}

            def columns(self, count, texts, cells):
                return {1: ["x"] * count}

        table = pa.table({"a": [1, 2], "b": ["k", "l"], "c": ["m", "n"]})
        made = columnar.arrow_table(Rows(), table)
        assert made["b"].to_pylist() == ["x", "x"]
        assert made["c"].chunk(0).buffers()[1].address == table["c"].chunk(0).buffers()[1].address
        arrays = {"a": np.arange(2), "b": np.array(["k", "l"], dtype=object)}
        kept = arrays["a"]
        assert columnar.numpy_arrays(Rows(), arrays)["a"] is kept


class TestFrames:
    FRAME = pd.DataFrame({"id": [1, 2], "note": ["none", KEY]})

    def both(self, sql, connection):
        frame = self.FRAME  # noqa: F841 - read by the engine
        args = kwargs = self.FRAME  # noqa: F841
        arrow = pa.table({"id": [1, 2], "note": ["none", KEY]})  # noqa: F841
        polar = pl.DataFrame({"id": [1, 2], "note": ["none", KEY]})  # noqa: F841
        return connection.execute(sql).fetchall(), connection.sql(sql).fetchall(), connection.query(sql).df()

    @pytest.mark.parametrize("name", ["frame", "args", "kwargs", "arrow", "polar"])
    def test_variables_of_the_caller_are_found_as_without_guardai(self, started, connection, name):
        one, two, three = self.both(f"SELECT note FROM {name} ORDER BY id", connection)
        assert one == two == [("none",), (KEY,)]
        assert three["note"].tolist() == ["none", KEY]
        with guardai.session(agent="a"):
            one, two, three = self.both(f"SELECT note FROM {name} ORDER BY id", connection)
        assert one == two == [("none",), (MASKED,)]
        assert three["note"].tolist() == ["none", MASKED]

    def test_connection_opened_before_and_default_connection_find_them_too(self, home):
        mine = self.FRAME  # noqa: F841
        before = duckdb.connect()
        guardai.init(home=home, integrations=["dbapi"])
        assert len(before.execute("SELECT * FROM mine").fetchall()) == 2
        assert len(before.cursor().execute("SELECT * FROM mine").fetchall()) == 2
        assert len(duckdb.sql("SELECT * FROM mine").fetchall()) == 2
        assert len(duckdb.execute("SELECT * FROM mine").fetchall()) == 2

    def test_locked_configuration_of_the_programs_own_finds_them_too(self, started):
        mine = self.FRAME  # noqa: F841
        connection = duckdb.connect(config={"lock_configuration": True})
        assert len(connection.execute("SELECT * FROM mine").fetchall()) == 2

    def test_frame_bears_no_labels_of_the_databases_tables_but_those_of_its_own_columns(self, start, connection):
        start(text=NAMES, catalog='[columns]\n"customers.*" = ["pii.name"]\n"*.person" = ["pii.name"]\n')
        mine = pd.DataFrame({"word": ["a"], "person": ["b"]})
        with guardai.session(agent="a"):
            assert connection.execute("SELECT * FROM mine").fetchall() == [("a", "[NAME]")]
            assert connection.sql("SELECT word FROM mine").fetchall() == [("a",)]
            assert connection.from_df(mine).fetchall() == [("a", "[NAME]")]
            connection.register("handed", mine)
            assert connection.execute("SELECT word FROM handed").fetchall() == [("a",)]
            joined = "SELECT word, name FROM mine, customers WHERE id = 1"
            assert connection.execute(joined).fetchall() == [("a", "[NAME]")]

    def test_frame_of_a_tables_name_is_not_the_table(self, start, connection):
        start(text=NAMES, catalog=CATALOG)
        customers = pd.DataFrame({"name": ["mine"]})  # noqa: F841 - the catalog counts before it
        with guardai.session(agent="a"):
            assert connection.execute("SELECT name FROM customers").fetchall() == [("[NAME]",)] * 10

    def test_relation_among_the_variables_is_judged_by_its_own_query(self, start, connection):
        forbid = '@id("no-orders") forbid (principal, action == Action::"db.read", resource == Table::"shop.orders");'
        start(
            text=PERMIT.format(annotations="") + forbid,
            catalog='[databases."duckdb:///*/shop.db"]\nname = "shop"\n',
        )
        hidden = connection.table("orders")  # noqa: F841
        with guardai.session(agent="a"):
            for read in (connection.execute, connection.sql):
                with pytest.raises(guardai.PolicyDenied, match="no-orders"):
                    read("SELECT * FROM hidden")


class TestModelsOwnText:
    SQL = "SELECT id, note FROM customers\nWHERE id IN (\n  SELECT id FROM customers WHERE id <= 3\n)\nORDER BY id"

    def test_relation_made_of_what_a_model_wrote_is_the_models_where_nobody_opened_a_session(
        self, started, connection, calls, tmp_path
    ):
        from guardai.hooks import Call, Target, opened

        asked = Call("llm.generate", Target("model", "api.openai.com", "gpt-4o"), payload={"m": "hello there"})
        opened(asked).close({"content": f"Run this:\n```sql\n{self.SQL}\n```"})
        assert connection.execute(self.SQL).fetchall()[2] == (3, MASKED)
        relation = connection.sql(self.SQL)
        assert relation.fetchall()[2] == (3, MASKED)
        assert relation.filter("id = 3").project("note").fetchall() == [(MASKED,)]
        assert KEY not in repr(relation)
        with pytest.raises(guardai.PolicyDenied):
            relation.to_csv(str(tmp_path / "x.csv"))
        with pytest.raises(guardai.PolicyDenied):
            relation.create_view("seen")
        assert connection.sql("SELECT note FROM customers WHERE id = 3").fetchall() == [(KEY,)]
        assert {intent["principal"]["kind"] for intent, *_ in calls("db.read")} == {"Agent"}


class TestWrites:
    def test_bounded_writes_pass_and_tell_how_many_rows(self, started, connection, calls):
        with guardai.session(agent="a"):
            assert connection.execute("UPDATE customers SET name = ? WHERE id = ?", ["new", 3]).fetchall() == [(1,)]
            connection.executemany("INSERT INTO orders VALUES (?, ?)", [[100, 1], [101, 2]])
            connection.table("orders").insert([102, 3])
            connection.sql("SELECT 103, 4").insert_into("orders")
            connection.append("orders", pd.DataFrame({"id": [104, 105], "cents": [5, 6]}))
        assert rows(connection)[2][1] == "new"
        assert len(rows(connection, "SELECT * FROM orders WHERE id >= 100")) == 6
        assert [outcome["body"]["affected"] for _, outcome in calls("db.write")] == [1, 2, 1, 1, 2]

    def test_parameters_that_may_not_go_there_are_masked_on_their_way(self, start, connection):
        start(
            text=PERMIT.format(annotations="")
            + '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", '
            'resource == Label::"pii.email") when { context.to.kind == "database" };'
        )
        update = "UPDATE customers SET note = ? WHERE id = ?"
        with guardai.session(agent="a"):
            connection.execute(update, ["ada@example.com", 1])
            connection.execute(update, ("ada@example.com", 2))
            connection.execute("UPDATE customers SET note = $note WHERE id = $id", {"note": "bob@example.com", "id": 3})
            connection.executemany(update, [["c@example.com", 4], ["plain", 5]])
            connection.sql(update, params=["d@example.com", 6])
            frame = pd.DataFrame({"id": [20], "name": ["n"], "born": [None], "note": ["e@example.com"]})
            connection.append("customers", frame)
        assert [row[-1] for row in rows(connection)][:6] == ["[EMAIL]"] * 4 + ["plain", "[EMAIL]"]
        assert rows(connection)[-1][-1] == "[EMAIL]"

    def test_transactions_are_no_administration(self, started, connection):
        with guardai.session(agent="a"):
            connection.begin()
            connection.execute("UPDATE customers SET name = 'x' WHERE id = 1")
            connection.rollback()
            connection.execute("BEGIN")
            connection.execute("UPDATE customers SET name = 'y' WHERE id = 2")
            connection.execute("COMMIT")
        assert [row[1] for row in rows(connection)][:2] == ["name1", "y"]

    def test_script_runs_whole_or_not_at_all(self, started, connection):
        with guardai.session(agent="a"):
            script = "UPDATE customers SET name = 'x' WHERE id = 1; SELECT note FROM customers WHERE id = 3"
            assert connection.execute(script).fetchall() == [(MASKED,)]
            assert connection.sql(script).fetchall() == [(MASKED,)]
            with pytest.raises(guardai.PolicyDenied):
                connection.sql("UPDATE customers SET name = 'z' WHERE id = 1; DELETE FROM customers; SELECT 1")
        assert rows(connection)[0][1] == "x"

    def test_intent_is_recorded_before_the_effect(self, start, connection, calls):
        start()
        recorded = []
        connection.create_function("probe", lambda x: recorded.append(len(calls())) or x, ["INTEGER"], "INTEGER")
        with guardai.session(agent="a"):
            connection.execute("SELECT probe(id) FROM customers WHERE id = 1").fetchall()
        assert set(recorded) == {1}


class TestLimits:
    UPDATE = "UPDATE customers SET name = 'x' WHERE id IN (1, 2, 3)"

    @pytest.mark.parametrize("how", ["execute", "sql"])
    def test_statement_that_changes_too_many_rows_is_taken_back_and_denied(self, start, connection, how, events):
        start('@affected_cap("2")')
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied, match="would change 3 rows, .* permits 2"):
            getattr(connection, how)(self.UPDATE)
        assert rows(connection)[0][1] == "name1"
        outcome = events(kind="call.outcome")[-1]
        assert (outcome["status"], outcome["body"]["affected"]) == ("denied", 3)
        connection.execute(self.UPDATE)  # the connection is as it was, and the application's own
        assert rows(connection)[0][1] == "x"

    def test_statement_within_the_cap_answers_as_ever(self, start, connection):
        start('@affected_cap("3")')
        with guardai.session(agent="a"):
            assert connection.execute(self.UPDATE).fetchall() == [(3,)]
        assert rows(connection)[0][1] == "x"

    def test_many_statements_are_capped_together(self, start, connection):
        start('@affected_cap("2")')
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            connection.executemany("UPDATE customers SET name = 'x' WHERE id = ?", [[1], [2], [3]])
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            connection.append("orders", pd.DataFrame({"id": [1, 2, 3], "cents": [1, 2, 3]}))
        assert rows(connection)[0][1] == "name1"
        assert len(rows(connection, "SELECT * FROM orders")) == 50

    def test_what_the_engine_could_not_take_back_is_not_done(self, start, connection):
        start('@affected_cap("2")')
        with guardai.session(agent="a"):
            with pytest.raises(guardai.PolicyDenied, match="RETURNING"):
                connection.execute(self.UPDATE + " RETURNING id")
            connection.begin()
            with pytest.raises(guardai.PolicyDenied, match="no savepoints"):
                connection.execute(self.UPDATE)
            connection.execute("SELECT 1")  # the transaction is whole
            connection.commit()
        assert rows(connection)[0][1] == "name1"

    def test_statement_that_fails_leaves_no_transaction(self, start, connection):
        start('@affected_cap("2")')
        with guardai.session(agent="a"), pytest.raises(duckdb.ConstraintException):
            connection.execute("INSERT INTO customers (id) VALUES (1)")
        connection.begin()
        connection.rollback()

    def test_row_cap_holds_in_every_form(self, start, connection):
        start('@row_cap("4")')
        with guardai.session(agent="a"):
            cursor = connection.cursor().execute("SELECT id FROM customers")
            assert len(cursor.fetchmany(4)) == 4
            for take in ("fetchall", "df", "fetchnumpy", "to_arrow_table", "pl"):
                with pytest.raises(guardai.ResultWithheld, match="policy lets 4 rows of a result pass"):
                    getattr(connection.sql("SELECT id FROM customers"), take)()
            reader = connection.sql("SELECT id FROM customers").to_arrow_reader(3)
            with pytest.raises(guardai.ResultWithheld):
                reader.read_all()

    @pytest.mark.parametrize(
        "run",
        [
            lambda c: c.execute(SLOW).fetchall(),
            lambda c: c.sql(SLOW).fetchall(),
            lambda c: c.sql(SLOW).to_arrow_reader().read_all(),
        ],
    )
    def test_statement_that_runs_too_long_is_interrupted_with_the_engines_own_error(self, start, connection, run):
        start('@timeout("1s")')
        began = time.monotonic()
        with guardai.session(agent="a"), pytest.raises(Exception, match="(?i)interrupt"):
            run(connection)
        assert time.monotonic() - began < 60
        assert connection.execute("SELECT 1").fetchall() == [(1,)]

    def test_time_between_two_rows_is_the_readers_own(self, start, connection):
        start('@timeout("1s")')
        with guardai.session(agent="a"):
            cursor = connection.execute("SELECT id FROM customers")
            cursor.fetchone()
            time.sleep(1.2)
            assert len(cursor.fetchall()) == 9


class TestEngineIsTheSecondLock:
    @pytest.fixture
    def misjudged(self, monkeypatch):
        """As if the inspection took any statement for a read."""
        from guardai.gate import plan
        from guardai.sql import Inspection

        def harmless(*_, **__):
            return Inspection(statements=1, effects=frozenset({"read"}), reads=frozenset({"t"}), verbs=("select",))

        monkeypatch.setattr(plan, "inspect", harmless)

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM customers",
            "INSERT INTO orders VALUES (1, 1)",
            "DROP TABLE customers",
            "CREATE TEMP TABLE u (x INTEGER)",
            "ATTACH ':memory:' AS other",
            "COPY customers TO 'x.csv'",
            "SET threads = 1",
            "INSTALL httpfs",
            "PREPARE p AS DELETE FROM orders",
            "CALL pragma_version()",
            "SELECT 1; SELECT 2",
            "EXPLAIN ANALYZE DELETE FROM orders",
        ],
    )
    def test_what_the_engine_takes_for_no_read_is_denied_whatever_policy_permits(
        self, start, connection, misjudged, statement, tmp_path
    ):
        start()
        for run in (connection.execute, connection.sql):
            with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
                run(statement)
        assert len(rows(connection)) == 10
        assert len(rows(connection, "SELECT * FROM orders")) == 50
        assert not (tmp_path / "x.csv").exists()

    @pytest.mark.parametrize(
        "statement",
        [
            "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
            "SELECT nextval('counter')",
        ],
    )
    def test_read_that_writes_to_the_engines_binder_is_denied_where_only_reading_is_permitted(
        self, start, connection, misjudged, statement
    ):
        connection.execute("CREATE SEQUENCE counter")
        start(text=READS)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied, match="says that this statement writes"):
            connection.execute(statement)
        assert len(rows(connection, "SELECT * FROM orders")) == 50

    def test_reads_pass_under_the_lock_in_a_transaction_too(self, start, connection):
        start(text=READS)
        with guardai.session(agent="a"):
            connection.begin()
            assert connection.execute("SELECT count(*) FROM orders").fetchall() == [(50,)]
            assert len(connection.sql("SHOW TABLES").fetchall()) == 2
            assert len(connection.execute("EXPLAIN SELECT 1").fetchall()) == 1
            connection.commit()

    def test_connection_that_such_an_agent_opens_reaches_nothing_outside_and_stays_so(self, start, shop):
        start(text=READS)
        with guardai.session(agent="a"):
            connection = duckdb.connect(shop)
        with pytest.raises(duckdb.PermissionException):
            connection.execute("SELECT * FROM read_csv('/etc/passwd')")
        with pytest.raises(duckdb.Error, match="locked"):
            connection.execute("SET enable_external_access = true")

    def test_database_that_is_open_already_is_opened_as_it_is(self, start, shop, connection):
        start(text=READS)
        with guardai.session(agent="a"):
            assert duckdb.connect(shop).execute("SELECT count(*) FROM orders").fetchone() == (50,)

    def test_agent_that_may_write_opens_connections_as_ever(self, started, shop):
        with guardai.session(agent="a"):
            connection = duckdb.connect(shop)
        connection.execute("SET threads = 2")


class TestAsWithoutGuardai:
    def test_classes_arguments_and_types_are_the_same(self, started, connection):
        assert type(connection) is duckdb.DuckDBPyConnection
        with guardai.session(agent="a"):
            assert connection.execute("SELECT id FROM orders") is connection
            assert isinstance(connection.sql("SELECT 1"), duckdb.DuckDBPyRelation)
            assert connection.execute(query="SELECT $a", parameters={"a": 1}).fetchone() == (1,)
            assert connection.execute("SELECT ?", (1,)).fetchmany(size=3) == [(1,)]
            assert connection.execute("") is None
            assert [column[0] for column in connection.execute("SELECT 1 AS one").description] == ["one"]

    @pytest.mark.parametrize("agent", [False, True])
    def test_errors_of_the_engine_come_through_unchanged(self, started, connection, calls, agent):
        import contextlib

        with guardai.session(agent="a") if agent else contextlib.nullcontext():
            with pytest.raises(duckdb.CatalogException, match="nowhere"):
                connection.execute("SELECT * FROM nowhere")
            with pytest.raises(duckdb.CatalogException, match="nowhere"):
                connection.sql("SELECT * FROM nowhere")
            with pytest.raises(duckdb.ConversionException):
                connection.execute("SELECT CAST('x' AS INTEGER)").fetchall()
            with pytest.raises(duckdb.InvalidInputException):
                connection.execute(b"SELECT 1")
            with pytest.raises(TypeError):
                connection.execute()
            with pytest.raises(duckdb.InvalidInputException, match="No open result"):
                duckdb.connect().fetchall()
        if agent:
            assert [outcome["status"] for _, outcome in calls()] == ["error", "error"]

    def test_dtypes_are_those_of_the_engine_where_nothing_is_masked(self, started, connection):
        sql = "SELECT 1 AS i, NULL::INTEGER AS n, 1.5 AS d, DATE '2020-01-01' AS t, 'x' AS s, true AS b, [1] AS l"
        plain = connection.sql(sql)
        frame, table, arrays = plain.df(), plain.to_arrow_table(), plain.fetchnumpy()
        with guardai.session(agent="a"):
            mine = connection.sql(sql)
            assert mine.df().dtypes.equals(frame.dtypes)
            assert mine.to_arrow_table().equals(table)
            assert {k: v.dtype for k, v in mine.fetchnumpy().items()} == {k: v.dtype for k, v in arrays.items()}

    def test_observe_mode_changes_nothing_and_records_what_it_would_have_done(self, home, connection, calls):
        guardai.init(home=home, integrations=["dbapi"], mode="observe")
        with guardai.session(agent="a"):
            assert connection.execute("SELECT note FROM customers WHERE id = 3").fetchall() == [(KEY,)]
            assert connection.sql("SELECT note FROM customers WHERE id = 3").df()["note"].tolist() == [KEY]
            assert connection.sql("SELECT note FROM customers").to_arrow_reader().read_all().num_rows == 10
            assert KEY in repr(connection.sql("SELECT note FROM customers"))
            connection.execute("CREATE TABLE made AS SELECT 1 AS x")
            connection.sql("DROP TABLE made")
        assert [intent["decision"]["effect"] for intent, *_ in calls("db.destroy")] == ["deny"]
        assert calls("db.read")[0][1]["findings"] == {"secret.aws_access_key": 1}

    def test_applications_own_calls_are_left_alone(self, started, connection, calls):
        connection.execute("DELETE FROM orders")
        connection.sql("CREATE TABLE t AS SELECT * FROM customers")
        assert connection.execute("SELECT note FROM t WHERE id = 3").fetchall() == [(KEY,)]
        assert KEY in repr(connection.table("t"))
        assert calls() == []

    def test_rows_of_the_application_stay_its_own_when_a_session_opens(self, started, connection):
        connection.execute("SELECT note FROM customers ORDER BY id")
        with guardai.session(agent="a"):
            assert len(connection.fetchall()) == 10

    def test_rows_of_an_agent_are_not_read_after_its_session(self, started, connection):
        with guardai.session(agent="a"):
            connection.execute("SELECT note FROM customers")
            reader = connection.cursor().sql("SELECT note FROM customers").to_arrow_reader(2)
        with pytest.raises(guardai.ResultWithheld):
            connection.fetchall()
        with pytest.raises(guardai.ResultWithheld):
            reader.read_all()

    def test_shutdown_restores_the_originals(self, home):
        import _duckdb

        def now():
            return [
                (owner.__name__, name, id(value))
                for owner in (duckdb.DuckDBPyConnection, duckdb.DuckDBPyRelation, _duckdb.RelationResult)
                for name, value in vars(owner).items()
                if callable(value)
            ] + [(module.__name__, n, id(v)) for module in (duckdb, _duckdb) for n, v in vars(module).items()]

        before = now()
        guardai.init(home=home, integrations=["dbapi"])
        assert now() != before
        guardai.shutdown()
        assert now() == before

    def test_every_target_is_there(self, started):
        from guardai.hooks import report

        (told,) = [entry for entry in report() if entry["name"] == "dbapi"]
        states = {t["target"]: t["status"] for t in told["targets"] if "duckdb" in t["target"]}
        assert len(states) > 60
        assert set(states.values()) == {"patched"}

    def test_wrap_governs_one_connection_and_its_cursors_alone(self, home, shop):
        from guardai_dbapi.integration import _DRIVERS

        guardai.init(home=home, integrations=[])
        one, other = duckdb.connect(shop), duckdb.connect(shop)
        driver = next(d for d in _DRIVERS if d.library == "duckdb")
        try:
            assert guardai.wrap(one) is one
            with guardai.session(agent="a"):
                for governed in (one, one.cursor()):
                    with pytest.raises(guardai.PolicyDenied):
                        governed.execute("DROP TABLE orders")
                    assert governed.sql("SELECT note FROM customers WHERE id = 3").fetchall() == [(MASKED,)]
                assert other.sql("SELECT note FROM customers WHERE id = 3").fetchall() == [(KEY,)]
        finally:
            driver._alone.undo()
            driver._alone = None

    def test_nothing_of_duckdb_is_imported_before_the_program_does(self, tmp_path):
        code = (
            "import sys, guardai; guardai.init(integrations=['dbapi'])\n"
            "assert not {'duckdb', '_duckdb', 'pandas', 'pyarrow', 'polars', 'numpy'} & set(sys.modules)\n"
            "import duckdb\n"
            "with guardai.session(agent='a'):\n"
            "    try: duckdb.sql('DROP TABLE t')\n"
            "    except guardai.PolicyDenied: print('denied')\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
        assert done.stdout == "denied\n", done.stderr


class TestManyRowsAndThreads:
    ROWS = 100_000

    def test_hundred_thousand_rows_stream_with_constant_memory(self, started, connection):
        import tracemalloc

        sql = f"SELECT i, 'row ' || i AS text, IF(i % 1000 = 0, '{KEY}', 'x') AS key FROM range({self.ROWS}) r(i)"
        with guardai.session(agent="a"):
            for batches in (
                connection.sql(sql).to_arrow_reader(2048),
                iter(lambda: connection.fetchmany(2048), []),
            ):
                if not isinstance(batches, pa.RecordBatchReader):
                    connection.execute(sql)
                tracemalloc.start()
                first = seen = masked = peak = 0
                for batch in batches:
                    table = isinstance(batch, pa.RecordBatch)
                    seen += batch.num_rows if table else len(batch)
                    masked += (batch["key"].to_pylist() if table else [row[2] for row in batch]).count(MASKED)
                    peak = tracemalloc.get_traced_memory()[1]
                    first = first or peak
                tracemalloc.stop()
                assert (seen, masked) == (self.ROWS, self.ROWS // 1000)
                assert peak < first + 12_000_000  # all at once: 40 MB and more

    def test_reader_that_is_dropped_ends_its_call_and_frees_the_connection(self, started, connection, calls):
        with guardai.session(agent="a"):
            reader = connection.sql("SELECT i FROM range(300000) r(i)").to_arrow_reader(1024)
            reader.read_next_batch()
            del reader
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
        assert [outcome["status"] for _, outcome in calls()] == ["abandoned", "ok"]

    def test_cursors_of_many_threads_do_not_mix(self, started, connection, calls):
        failed = []

        def work(number):
            try:
                cursor = connection.cursor()
                for _ in range(5):
                    cursor.execute("SELECT id, note FROM customers WHERE id = ?", [number])
                    assert cursor.fetchall() == [(number, MASKED if number == 3 else "none")]
                    assert cursor.sql("SELECT note FROM customers WHERE id = 3").fetchall() == [(MASKED,)]
            except BaseException as exc:
                failed.append(exc)

        with guardai.session(agent="a"):
            threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert failed == []
        assert len(calls("db.read")) == 80
