"""What policy asks for while a statement runs: caps, times, the engine as second lock, parameters as data."""

import sqlite3
import sys
import threading
import time
from collections import deque

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

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE t SET name = 'x' WHERE id IN (1, 2, 3) RETURNING name",
            "UPDATE t SET name = 'x' WHERE id IN (1, 2); UPDATE t SET name = 'x' WHERE id = 3",
        ],
    )
    def test_what_cannot_be_counted_is_denied_before_it_runs(self, start, shop, statement):
        start('@affected_cap("2")')
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied, match="single statement"):
            connection.executescript(statement) if ";" in statement else connection.execute(statement)
        assert "x" not in names(shop)

    def test_script_is_denied_under_a_cap(self, start, shop):
        start('@affected_cap("5")')
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            sqlite3.connect(shop).executescript("UPDATE t SET name = 'x' WHERE id = 1")
        assert "x" not in names(shop)

    @pytest.mark.parametrize(
        "statement",
        [
            "WITH q AS (SELECT 1) UPDATE t SET name = 'x' WHERE id IN (1, 2, 3)",
            "UPDATE v SET name = 'x' WHERE id IN (1, 2, 3)",
            "INSERT INTO log VALUES (1)",
            "DELETE FROM parent WHERE id = 1",
        ],
    )
    def test_rows_are_counted_whoever_changes_them(self, start, shop, statement):
        with sqlite3.connect(shop) as setup:
            setup.executescript(
                "CREATE VIEW v AS SELECT * FROM t;"
                "CREATE TRIGGER through INSTEAD OF UPDATE ON v BEGIN UPDATE t SET name = new.name WHERE id = old.id; END;"
                "CREATE TABLE log (n);"
                "CREATE TRIGGER more AFTER INSERT ON log BEGIN UPDATE t SET name = 'x' WHERE id IN (1, 2, 3); END;"
                "CREATE TABLE parent (id INTEGER PRIMARY KEY);"
                "CREATE TABLE child (p REFERENCES parent ON DELETE CASCADE);"
                "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1), (1), (1);"
            )
        start('@affected_cap("2")')
        connection = sqlite3.connect(shop)
        connection.execute("PRAGMA foreign_keys = ON")
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied, match="permits 2"):
            connection.execute(statement)
        connection.commit()
        assert "x" not in names(shop)
        assert connection.execute("SELECT count(*) FROM child").fetchone() == (3,)

    def test_rows_before_the_error_of_one_of_many_stay_as_without_a_cap(self, start, shop):
        start('@affected_cap("9")')
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"), pytest.raises(sqlite3.IntegrityError):
            connection.executemany("INSERT INTO t VALUES (?, 'new')", [(11,), (1,)])
        connection.commit()
        assert names(shop)[-1] == "new"

    @pytest.mark.parametrize("isolation", ["IMMEDIATE", "EXCLUSIVE"])
    def test_begin_that_fails_leaves_an_outcome(self, start, shop, isolation, events):
        start('@affected_cap("2")')
        holder = sqlite3.connect(shop, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        connection = sqlite3.connect(shop, isolation_level=isolation, timeout=0.05)
        with guardai.session(agent="a"), pytest.raises(sqlite3.OperationalError, match="locked"):
            connection.execute("UPDATE t SET name = 'x' WHERE id = 1")
        assert events(kind="call.outcome")[-1]["status"] == "error"

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="`autocommit` came with Python 3.12")
    @pytest.mark.parametrize("autocommit", [True, False])
    def test_autocommit_of_newer_pythons_is_kept(self, start, shop, autocommit):
        start('@affected_cap("2")')
        connection = sqlite3.connect(shop, autocommit=autocommit)
        with guardai.session(agent="a"):
            connection.execute("UPDATE t SET name = 'x' WHERE id = 1")
        assert connection.in_transaction is (not autocommit)
        connection.commit()
        assert names(shop)[0] == "x"

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

    def test_programs_own_progress_handler_is_called_all_the_while(self, start, shop):
        start('@timeout("60s")')
        connection = sqlite3.connect(shop)
        connection.set_progress_handler(lambda: 1, 10_000)
        with guardai.session(agent="a"), pytest.raises(sqlite3.OperationalError, match="interrupted"):
            connection.execute(SLOW).fetchall()
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
            "WITH x AS (SELECT 1) UPDATE t SET name = 'x'",
        ],
    )
    def test_engine_refuses_what_the_inspection_took_for_a_read(self, start, shop, misjudged, statement, events):
        start(text=READS)
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"), pytest.raises(sqlite3.DatabaseError, match="readonly database"):
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

    def test_table_valued_functions_pass_under_the_lock(self, start, shop):
        start(text=READS)
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            assert connection.execute("SELECT value FROM json_each('[1, 2]')").fetchall() == [(1,), (2,)]
            assert len(connection.execute("SELECT name FROM pragma_table_info('t')").fetchall()) == 2

    def test_programs_own_read_only_connection_stays_so(self, start, shop):
        start(text=READS)
        connection = sqlite3.connect(shop)
        connection.execute("PRAGMA query_only = ON")
        with guardai.session(agent="a"):
            connection.execute("SELECT name FROM t").fetchall()
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM t")

    def test_connection_that_threads_share_is_not_locked_and_does_not_hang(self, start, shop):
        start(text=READS)
        connection = sqlite3.connect(shop, check_same_thread=False)
        failed = []

        def agent():
            try:
                with guardai.session(agent="a"):
                    for _ in range(30):
                        connection.execute("SELECT count(*) FROM t").fetchall()
            except Exception as exc:
                failed.append(exc)

        def application():
            try:
                for n in range(30):
                    connection.execute("INSERT INTO t (name) VALUES (?)", (str(n),))
            except Exception as exc:
                failed.append(exc)

        threads = [threading.Thread(target=run) for run in (agent, application, agent)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert failed == []

    def test_programs_own_authorizer_is_asked_too_and_stays(self, start, shop):
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

    @pytest.mark.parametrize("row", [range(1, 2), deque([1])], ids=["range", "deque"])
    def test_parameters_of_any_sequence_are_bound_as_without_guardai(self, start, shop, row):
        start()
        with guardai.session(agent="a"):
            assert sqlite3.connect(shop).execute("SELECT name FROM t WHERE id = ?", row).fetchone() == ("name1",)

    def test_row_that_policy_does_not_let_go_there_stops_an_iterator(self, start, shop):
        forbid = (
            PERMIT.format(annotations="", condition="")
            + '@id("no-mail") forbid (principal, action == Action::"db.write", resource)'
            ' when { context.labels.contains("pii.email") };'
        )
        start(text=forbid)
        connection = sqlite3.connect(shop)
        rows = iter([("plain", 1), ("ada@example.com", 2), ("plain", 3)])
        with guardai.session(agent="a"), pytest.raises(guardai.GuardError, match="no-mail"):
            connection.executemany("UPDATE t SET name = ? WHERE id = ?", rows)
        connection.commit()
        assert "ada@example.com" not in names(shop)


class TestSchemaIsNeverStale:
    """A view whose meaning changes: its column is labelled by what it is made of now."""

    POLICY = (
        PERMIT.format(annotations="", condition="")
        + '@id("mail") @mask("redact") forbid (principal, action == Action::"reveal", resource == Label::"pii.email");'
    )

    @pytest.fixture
    def people(self, home, policy, tmp_path):
        path = tmp_path / "people.db"
        with sqlite3.connect(path) as setup:
            setup.executescript(
                "CREATE TABLE people (x TEXT, mail TEXT); INSERT INTO people VALUES ('plain', 'AAA');"
                "CREATE VIEW v AS SELECT x AS y FROM people;"
            )
        guardai.init(
            home=home, integrations=["dbapi"], policy=policy(self.POLICY, '[columns]\n"people.mail" = ["pii.email"]\n')
        )
        return path

    CHANGE = ("DROP VIEW v", "CREATE VIEW v AS SELECT mail AS y FROM people")

    def read(self, connection):
        with guardai.session(agent="a"):
            return connection.execute("SELECT y FROM v").fetchall()

    def test_change_of_another_connection_counts_once_it_is_committed(self, people):
        writer = sqlite3.connect(people, isolation_level=None)
        reader = sqlite3.connect(people)
        writer.execute("BEGIN")
        for statement in self.CHANGE:
            writer.execute(statement)
        assert self.read(reader) == [("plain",)]
        writer.execute("COMMIT")
        assert self.read(reader) == [("[EMAIL]",)]

    def test_change_that_is_rolled_back_is_forgotten(self, people):
        connection = sqlite3.connect(people, isolation_level=None)
        for statement in self.CHANGE:
            connection.execute(statement)
        connection.execute("BEGIN")
        connection.execute("DROP VIEW v")
        connection.execute("CREATE VIEW v AS SELECT x AS y FROM people")
        assert self.read(connection) == [("plain",)]
        connection.rollback()
        assert self.read(connection) == [("[EMAIL]",)]

    def test_script_that_fails_after_the_change_counts(self, people):
        connection = sqlite3.connect(people)
        assert self.read(connection) == [("plain",)]
        with guardai.session(agent="a"), pytest.raises(sqlite3.OperationalError):
            connection.executescript("; ".join((*self.CHANGE, "SELECT nope")))
        assert self.read(connection) == [("[EMAIL]",)]

    def test_database_that_is_attached_later_counts(self, people, tmp_path):
        connection = sqlite3.connect(":memory:")
        self_read = connection.execute
        with guardai.session(agent="a"):
            self_read("SELECT 1").fetchall()
        connection.execute("ATTACH ? AS other", (str(people),))
        with guardai.session(agent="a"):
            assert connection.execute("SELECT mail FROM other.people").fetchall() == [("[EMAIL]",)]

    def test_connection_that_was_wrapped_or_made_by_a_function_takes_the_applications_own_changes(self, people):
        for connection in (
            guardai.wrap(sqlite3.Connection(":memory:")),
            sqlite3.connect(":memory:", factory=lambda *args, **kwargs: sqlite3.Connection(*args, **kwargs)),
        ):
            connection.execute("CREATE TABLE t (a)")
            connection.execute("-- a comment\nSELECT 1")
