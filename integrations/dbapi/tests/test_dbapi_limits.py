"""What policy asks for while a statement runs: caps, times, the engine as second lock, parameters as data."""

import sqlite3
import time

import pytest

import guardai

PERMIT = """
@id("all") {annotations}
permit (principal, action, resource) {condition};
"""
READS = """
@id("reads") permit (principal, action == Action::"db.read", resource);
@id("shows") permit (principal, action == Action::"reveal", resource);
"""
SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT max(i) FROM n"


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"name{n}") for n in range(1, 11)])
    return path


@pytest.fixture
def start(home, policy):
    def started(annotations="", *, text="", condition=""):
        guardai.init(
            home=home,
            integrations=["dbapi"],
            policy=policy(text or PERMIT.format(annotations=annotations, condition=condition)),
        )

    return started


def names(path):
    return [name for (name,) in sqlite3.connect(path).execute("SELECT name FROM t ORDER BY id")]


class TestRowCap:
    def test_rows_up_to_the_cap_pass_and_no_more(self, start, shop):
        start('@row_cap("4")')
        with guardai.session(agent="a"):
            cursor = sqlite3.connect(shop).execute("SELECT name FROM t ORDER BY id")
            assert [cursor.fetchone()[0] for _ in range(4)] == ["name1", "name2", "name3", "name4"]
            with pytest.raises(guardai.ResultWithheld, match="policy lets 4 rows of a result pass"):
                cursor.fetchone()
            with pytest.raises(guardai.ResultWithheld):
                cursor.fetchone()

    def test_result_as_long_as_the_cap_passes_whole(self, start, shop):
        start('@row_cap("10")')
        with guardai.session(agent="a"):
            assert len(sqlite3.connect(shop).execute("SELECT name FROM t").fetchall()) == 10

    def test_outcome_tells_what_passed(self, start, shop, events):
        start('@row_cap("4")')
        with guardai.session(agent="a"):
            cursor = sqlite3.connect(shop).execute("SELECT name FROM t")
            cursor.fetchmany(3)
            with pytest.raises(guardai.ResultWithheld):
                cursor.fetchall()
        outcome = events(kind="call.outcome")[-1]
        assert (outcome["status"], outcome["body"]["rows"]) == ("withheld", 3)

    def test_the_smallest_of_several_caps_counts(self, start, shop):
        start(text=PERMIT.format(annotations='@row_cap("2")', condition="")
              + '@id("more") @row_cap("7") permit (principal, action in Action::"db", resource);')  # fmt: skip
        with guardai.session(agent="a"):
            cursor = sqlite3.connect(shop).execute("SELECT name FROM t")
            cursor.fetchmany(2)
            with pytest.raises(guardai.ResultWithheld):
                cursor.fetchone()


class TestAffectedCap:
    UPDATE = "UPDATE t SET name = 'x' WHERE id IN (1, 2, 3)"

    @pytest.mark.parametrize("isolation", ["", "IMMEDIATE", None])
    def test_statement_that_changes_too_many_rows_is_taken_back_and_denied(self, start, shop, isolation, events):
        start('@affected_cap("2")')
        connection = sqlite3.connect(shop, isolation_level=isolation)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied, match="would change 3 rows, .* permits 2"):
            connection.execute(self.UPDATE)
        connection.commit()
        assert "x" not in names(shop)
        outcome = events(kind="call.outcome")[-1]
        assert (outcome["status"], outcome["body"]["affected"]) == ("denied", 3)

    def test_what_the_transaction_did_before_stays(self, start, shop):
        start('@affected_cap("2")')
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            connection.execute("UPDATE t SET name = 'y' WHERE id = 10")
            with pytest.raises(guardai.PolicyDenied):
                connection.execute(self.UPDATE)
        assert connection.in_transaction
        connection.commit()
        assert names(shop)[9] == "y"
        assert "x" not in names(shop)

    def test_statement_within_the_cap_is_done_as_ever(self, start, shop):
        start('@affected_cap("3")')
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            assert connection.execute(self.UPDATE).rowcount == 3
        assert connection.in_transaction  # as without guardai: nothing is committed that nobody committed
        connection.rollback()
        assert "x" not in names(shop)

    def test_many_statements_are_capped_together(self, start, shop):
        start('@affected_cap("2")')
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            connection.executemany("UPDATE t SET name = 'x' WHERE id = ?", [(1,), (2,), (3,)])
        connection.commit()
        assert "x" not in names(shop)

    def test_statement_that_fails_leaves_no_savepoint(self, start, shop):
        start('@affected_cap("2")')
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"), pytest.raises(sqlite3.IntegrityError):
            connection.execute("INSERT INTO t VALUES (1, 'again')")
        connection.commit()
        with pytest.raises(sqlite3.OperationalError, match="no such savepoint"):
            connection.execute("RELEASE guardai")


class TestTimeout:
    @pytest.mark.parametrize("fetch", ["fetchone", "fetchall"])
    def test_statement_that_runs_too_long_is_interrupted_with_the_engines_own_error(self, start, shop, fetch, events):
        start('@timeout("1s")')
        began = time.monotonic()
        with guardai.session(agent="a"), pytest.raises(sqlite3.OperationalError, match="interrupted"):
            getattr(sqlite3.connect(shop).execute(SLOW), fetch)()
        assert time.monotonic() - began < 60
        assert events(kind="call.outcome")[-1]["status"] == "error"

    def test_time_between_two_rows_is_the_readers_own(self, start, shop):
        start('@timeout("1s")')
        with guardai.session(agent="a"):
            cursor = sqlite3.connect(shop).execute("SELECT name FROM t")
            cursor.fetchone()
            time.sleep(1.2)
            assert len(cursor.fetchall()) == 9

    def test_programs_own_progress_handler_is_put_back(self, start, shop):
        start('@timeout("60s")')
        connection = sqlite3.connect(shop)
        connection.set_progress_handler(lambda: 1, 10)
        with guardai.session(agent="a"):
            connection.execute("SELECT name FROM t").fetchall()
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            connection.execute(SLOW).fetchall()


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
            "DELETE FROM t",
            "INSERT INTO t VALUES (11, 'x')",
            "DROP TABLE t",
            "CREATE TABLE u (x)",
            "ATTACH ':memory:' AS other",
            "WITH x AS (SELECT 1) UPDATE t SET name = 'x'",
        ],
    )
    def test_engine_refuses_what_the_inspection_took_for_a_read(self, start, shop, misjudged, statement, events):
        start(text=READS)
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"), pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            connection.execute(statement)
        assert names(shop) == [f"name{n}" for n in range(1, 11)]
        outcome = events(kind="call.outcome")[-1]
        assert (outcome["status"], outcome["body"]["refused"]) == ("error", "engine")

    def test_reads_pass_under_the_lock(self, start, shop):
        start(text=READS)
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            assert connection.execute("SELECT count(*), max(name) FROM t").fetchone() == (10, "name9")
            assert len(connection.execute("PRAGMA table_info(t)").fetchall()) == 2
            assert connection.execute(SLOW.replace("100000000", "10")).fetchone() == (10,)

    def test_application_writes_on_the_same_connection_as_before(self, start, shop):
        start(text=READS)
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            connection.execute("SELECT name FROM t").fetchall()
        connection.execute("UPDATE t SET name = 'mine' WHERE id = 1")
        connection.commit()
        assert names(shop)[0] == "mine"

    def test_programs_own_authorizer_is_asked_too_and_put_back(self, start, shop):
        start(text=READS)
        connection = sqlite3.connect(shop)
        connection.set_authorizer(
            lambda action, table, column, *_: (
                sqlite3.SQLITE_IGNORE
                if (action, table, column) == (sqlite3.SQLITE_READ, "t", "name")
                else sqlite3.SQLITE_OK
            )
        )
        with guardai.session(agent="a"):
            assert connection.execute("SELECT id, name FROM t").fetchone() == (1, None)
        assert connection.execute("SELECT id, name FROM t").fetchone() == (1, None)
        connection.execute("DELETE FROM t WHERE id = 1")

    def test_policy_that_permits_writes_sets_no_lock(self, start, shop, misjudged):
        start()
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            connection.execute("UPDATE t SET name = 'x'")
        connection.commit()
        assert set(names(shop)) == {"x"}


class TestParametersAreData:
    MASKED = PERMIT.format(annotations="", condition="") + (
        '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource == Label::"pii.email")'
        ' when { context.to.kind == "database" };'
    )

    def test_parameter_that_may_not_go_there_is_masked_on_its_way(self, start, shop, events):
        start(text=self.MASKED)
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            connection.execute("UPDATE t SET name = ? WHERE id = ?", ("ada@example.com", 1))
            connection.execute("UPDATE t SET name = :name WHERE id = :id", {"name": "bob@example.com", "id": 2})
            connection.executemany("UPDATE t SET name = ? WHERE id = ?", [("c@example.com", 3), ("plain", 4)])
            connection.executemany("UPDATE t SET name = ? WHERE id = ?", iter([("d@example.com", 5), ("plain", 6)]))
        connection.commit()
        assert names(shop)[:6] == ["[EMAIL]", "[EMAIL]", "[EMAIL]", "plain", "[EMAIL]", "plain"]
        assert [event["findings"] for event in events(kind="call.outcome")] == [{"pii.email": 1}] * 4

    def test_parameters_are_found_and_committed_and_never_stand_in_an_event(self, start, shop, events):
        start()
        with guardai.session(agent="a"):
            sqlite3.connect(shop).execute("SELECT id FROM t WHERE name = ?", ("ada@example.com",)).fetchall()
        intent = events(kind="call.intent")[0]
        assert intent["findings"] == {"pii.email": 1}
        assert set(intent["content"]) == {"in", "parameters"}
        assert "ada@" not in repr(events())

    def test_iterator_of_parameters_stays_lazy(self, start, shop):
        start()
        taken = []

        def rows():
            for n in range(3):
                taken.append(n)
                yield (f"lazy{n}", n + 1)

        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            connection.executemany("UPDATE t SET name = ? WHERE id = ?", rows())
        assert taken == [0, 1, 2]
