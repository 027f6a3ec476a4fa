"""`@capture("before")` on every driver that can: the rows are kept before they change, and `rollback` puts them back."""

import asyncio
import json
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

import guardai
from guardai.cli import app

POLICY = """
@id("all") permit (principal, action, resource);
@id("kept") @capture("before") permit (principal, action in [Action::"db.write", Action::"db.destroy"], resource);
"""
COLUMNS = {
    "sqlite": "id INTEGER PRIMARY KEY, name TEXT, n REAL, b BLOB, made TEXT",
    "postgres": 'id int PRIMARY KEY, name text, n float8, b bytea, made timestamptz, tags text[], doc jsonb, "Odd Name" numeric',
    "mariadb": "id INT PRIMARY KEY, name VARCHAR(80), n FLOAT, b BLOB, made DATETIME(6), bits BIT(5), latin VARCHAR(9) CHARSET latin1",
}
ROWS = {
    "sqlite": "({id}, 'it''s \\ {id}', {id} / 3.0, X'00ff{id:02}', '2026-01-01')",
    "postgres": "({id}, 'it''s \\ {id}', {id} / 3.0, '\\x00ff{id:02}', '2026-01-01 12:00+02', '{{a,\"b c\"}}', '{{\"a\": [1, \"ü\"]}}', {id}.50)",
    "mariadb": "({id}, 'it''s \\\\ {id} ü', {id} / 3.0, X'00ff{id:02}', '2026-01-01 12:00:00.123456', b'101', 'ü')",
}


class Waited:
    """An asynchronous connection or cursor, each of whose calls is awaited in the loop."""

    def __init__(self, loop, awaited):
        self.loop, self.awaited = loop, awaited

    def __getattr__(self, name):
        found = getattr(self.awaited, name)

        def call(*args, **kwargs):
            told = self.loop.run_until_complete(found(*args, **kwargs))
            return Waited(self.loop, told) if name == "cursor" else told

        return call if callable(found) else found


class Driver:
    """One driver, made alike: `run(sql, parameters)` → rows changed, `commit`, `rollback`."""

    def __init__(self, name, address, mark="%s"):
        self.name, self.address, self.mark = name, address, mark
        self.loop = asyncio.new_event_loop() if name == "mysql_connector_aio" else None
        self.connection = self.open()

    def open(self):
        parts = urlsplit(self.address)
        match self.name:
            case "sqlite3":
                import sqlite3

                return sqlite3.connect(parts.path)
            case "psycopg":
                import psycopg

                return psycopg.connect(self.address)
            case "psycopg2":
                import psycopg2

                return psycopg2.connect(self.address)
            case "pymysql":
                import pymysql

                return pymysql.connect(
                    host=parts.hostname,
                    port=parts.port,
                    user=parts.username,
                    database=parts.path[1:],
                    charset="utf8mb4",
                )
            case "mysql_connector":
                import mysql.connector

                return mysql.connector.connect(
                    host=parts.hostname, port=parts.port, user=parts.username, database=parts.path[1:], use_pure=True
                )
            case "mysql_connector_aio":
                import mysql.connector.aio

                connecting = mysql.connector.aio.connect(
                    host=parts.hostname, port=parts.port, user=parts.username, database=parts.path[1:],
                    ssl_disabled=True, charset="utf8mb4", collation="utf8mb4_general_ci",
                )  # fmt: skip
                return Waited(self.loop, self.loop.run_until_complete(connecting))
            case "mariadb":
                mariadb = pytest.importorskip("mariadb")
                return mariadb.connect(
                    host=parts.hostname, port=parts.port, user=parts.username, database=parts.path[1:]
                )

    def run(self, sql, parameters=None):
        cursor = self.connection.cursor()
        if parameters is not None and self.name in ("psycopg", "psycopg2", "pymysql"):
            sql = sql.replace("%", "%%")
        cursor.execute(sql.replace("?", self.mark), *([] if parameters is None else [parameters]))
        count = cursor.rowcount
        cursor.close()
        return count

    def rows(self):
        """Everything in the table, by another connection, whose statements are the application's own."""
        connection = self.open()
        try:
            cursor = connection.cursor()
            cursor.execute("SELECT * FROM t ORDER BY id")
            found = [tuple(bytes(c) if isinstance(c, memoryview) else c for c in row) for row in cursor.fetchall()]
            cursor.close()
        finally:
            connection.close()
        return repr(found)

    def close(self):
        self.connection.close()
        if self.loop is not None:
            self.loop.close()


DRIVERS = ["sqlite3", "psycopg", "psycopg2", "pymysql", "mysql_connector", "mysql_connector_aio", "mariadb"]
KIND = {"sqlite3": "sqlite", "psycopg": "postgres", "psycopg2": "postgres"}


@pytest.fixture
def started(home, policy):
    folder = policy(POLICY)
    guardai.init(home=home, integrations=["dbapi"], policy=folder)
    return folder


@pytest.fixture(params=DRIVERS)
def driver(request, tmp_path, started):
    name = request.param
    kind = KIND.get(name, "mariadb")
    address = f"sqlite://{tmp_path}/shop.db" if kind == "sqlite" else request.getfixturevalue(kind)
    made = Driver(name, address, "?" if kind == "sqlite" else "%s")
    made.run(f"CREATE TABLE t ({COLUMNS[kind]})")
    for n in range(1, 11):
        made.run(f"INSERT INTO t VALUES {ROWS[kind].format(id=n)}")
    made.connection.commit()
    yield made
    made.close()


@pytest.fixture
def taken_back(home, started):
    def command(event, address, *more):
        guardai.shutdown()
        arguments = ["rollback", event, "--home", home, "--policy", started, "--database", address, "--json", *more]
        done = CliRunner().invoke(app, list(map(str, arguments)))
        if isinstance(done.exception, guardai.GuardError):  # which `main` tells in one line
            return 1, str(done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done.exit_code, done.output

    return command


def last(calls):
    return calls()[-1]


def test_update_is_taken_back_whatever_its_types(driver, calls, taken_back):
    before = driver.rows()
    with guardai.session(agent="a"):
        assert (
            driver.run("UPDATE t SET name = ?, n = 0, b = NULL WHERE id IN (?, ?) AND name LIKE 'it%'", ("x", 2, 3))
            == 2
        )
    driver.connection.commit()
    assert driver.rows() != before
    intent, outcome = last(calls)
    assert outcome["body"]["captured"] == 2
    code, told = taken_back(intent["id"], driver.address, "--yes")
    assert code == 0, told
    assert json.loads(told)["put_back"] == 2
    assert driver.rows() == before


def test_parameters_with_names_find_the_same_rows(driver, calls, taken_back):
    if driver.name == "mariadb":
        pytest.skip("the driver has no names for parameters in every version")
    before = driver.rows()
    mark = ":{}" if driver.name == "sqlite3" else "%({})s"
    cursor = driver.connection.cursor()
    with guardai.session(agent="a"):
        cursor.execute(
            f"UPDATE t SET name = {mark.format('name')} WHERE id = {mark.format('low')} OR id = {mark.format('high')} "
            f"OR name = {mark.format('name')}",
            {"high": 5, "low": 3, "name": "x"},
        )
    driver.connection.commit()
    intent, outcome = last(calls)
    assert outcome["body"]["captured"] == 2
    code, told = taken_back(intent["id"], driver.address, "--yes")
    assert code == 0, told
    assert driver.rows() == before


def test_delete_is_taken_back_whatever_its_types(driver, calls, taken_back):
    before = driver.rows()
    with guardai.session(agent="a"):
        assert driver.run("DELETE FROM t WHERE id > ?", (4,)) == 6
    driver.connection.commit()
    code, told = taken_back(last(calls)[1]["id"], driver.address, "--yes")
    assert code == 0, told
    assert driver.rows() == before


def test_rows_that_somebody_changed_since_are_left_alone(driver, calls, taken_back):
    with guardai.session(agent="a"):
        driver.run("UPDATE t SET name = 'x' WHERE id = ?", (2,))
    driver.connection.commit()
    driver.run("UPDATE t SET name = 'y' WHERE id = 2")
    driver.connection.commit()
    after = driver.rows()
    code, told = taken_back(last(calls)[0]["id"], driver.address, "--yes")
    assert code == 1
    assert json.loads(told)["state"] == "changed"
    assert driver.rows() == after


def test_statement_that_was_never_committed_is_told_so(driver, calls, taken_back):
    with guardai.session(agent="a"):
        driver.run("UPDATE t SET name = 'x' WHERE id = ?", (2,))
    driver.connection.rollback()
    code, told = taken_back(last(calls)[0]["id"], driver.address, "--yes")
    assert code == 1
    assert json.loads(told)["state"] == "before"


def test_starter_policy_lets_somebody_take_it_back_and_the_record_tells_of_what(driver, calls, home, events):
    with guardai.session(agent="a"):
        driver.run("UPDATE t SET name = 'x' WHERE id = ?", (2,))
    driver.connection.commit()
    intent, outcome = last(calls)
    guardai.shutdown()
    done = subprocess.run(
        [
            sys.executable, "-c", "from guardai.cli import main; main()", "rollback", outcome["id"], "--home", str(home),
            "--database", driver.address, "--yes", "--user", "u-1",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 row put back" in done.stdout
    asked, ended = last(calls)
    assert asked["principal"]["user"] == "u-1"
    assert asked["lineage"][0]["from"] == outcome["id"]
    assert asked["action"] == "db.write"
    assert ended["status"] == "ok"
    assert ended["body"]["affected"] == 1


def test_log_says_which_statements_can_be_taken_back(home, tmp_path, started):
    driver = Driver("sqlite3", f"sqlite://{tmp_path}/log.db", "?")
    driver.run("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    driver.run("INSERT INTO t VALUES (1), (2)")
    driver.connection.commit()
    with guardai.session(agent="a"):
        driver.run("DELETE FROM t WHERE id IN (1, 2)")
    driver.connection.commit()
    guardai.shutdown()
    command = [sys.executable, "-c", "from guardai.cli import main; main()", "log", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "ok, kept 2" in done.stdout


def test_text_with_a_nul_comes_back(home, tmp_path, started, calls, taken_back):
    driver = Driver("sqlite3", f"sqlite://{tmp_path}/nul.db", "?")
    driver.run("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    driver.run("INSERT INTO t VALUES (1, ?)", ("a\0b",))
    driver.connection.commit()
    before = driver.rows()
    with guardai.session(agent="a"):
        driver.run("DELETE FROM t WHERE id = 1")
    driver.connection.commit()
    code, told = taken_back(last(calls)[0]["id"], driver.address, "--yes")
    assert code == 0, told
    assert driver.rows() == before


def test_table_whose_trigger_would_change_the_rows_again_is_left_alone(home, tmp_path, started, calls, taken_back):
    driver = Driver("sqlite3", f"sqlite://{tmp_path}/trigger.db", "?")
    driver.run("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, times INT)")
    driver.run("INSERT INTO t VALUES (1, 'a', 0)")
    driver.run(
        "CREATE TRIGGER tick AFTER UPDATE OF name ON t BEGIN UPDATE t SET times = times + 1 WHERE id = new.id; END"
    )
    driver.connection.commit()
    with guardai.session(agent="a"):
        driver.run("UPDATE t SET name = 'b' WHERE id = 1")
    driver.connection.commit()
    after = driver.rows()
    code, told = taken_back(last(calls)[0]["id"], driver.address, "--yes")
    assert code == 1
    assert "trigger" in told
    assert driver.rows() == after


def test_without_yes_nothing_happens_and_no_value_is_shown(driver, calls, taken_back):
    with guardai.session(agent="a"):
        driver.run("UPDATE t SET name = ? WHERE id = ?", ("nobody knows", 2))
    driver.connection.commit()
    after = driver.rows()
    code, told = taken_back(last(calls)[0]["id"], driver.address)
    assert code == 0
    assert "it's" not in told
    assert "nobody knows" not in told
    assert driver.rows() == after


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("UPDATE t SET id = 99 WHERE id = 1", "primary key"),
        ("DELETE FROM t WHERE id IN (SELECT id FROM t WHERE id = 1)", "SELECT"),
        ("DELETE FROM t WHERE id = 1 OR random() < 2", "random()"),
        ("DELETE FROM bare WHERE a = 1", "no primary key"),
    ],
)
def test_what_cannot_be_kept_is_denied_and_nothing_happens(driver, sql, why):
    driver.run("CREATE TABLE bare (a int)")
    driver.run("INSERT INTO bare VALUES (1)")
    driver.connection.commit()
    before = driver.rows()
    with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied) as told:
        driver.run(sql)
    driver.connection.rollback()
    assert "kept as they are before they change" in str(told.value)
    if "random" not in sql or KIND.get(driver.name) != "sqlite":
        assert why in str(told.value) or "unknown" in str(told.value)
    assert driver.rows() == before


def test_many_at_once_are_denied(driver):
    before = driver.rows()
    cursor = driver.connection.cursor()
    with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
        cursor.executemany("UPDATE t SET name = ? WHERE id = ?".replace("?", driver.mark), [("x", 1), ("y", 2)])
    driver.connection.rollback()
    assert driver.rows() == before


def test_insert_and_transactions_need_nothing_kept(driver, calls):
    with guardai.session(agent="a"):
        driver.run("INSERT INTO t (id, name) VALUES (?, ?)", (77, "new"))
        driver.connection.commit()
    assert "captured" not in (last(calls)[1].get("body") or {})
    assert "77" in driver.rows()


def test_vault_that_cannot_be_written_denies(driver, home, monkeypatch):
    before = driver.rows()
    (home / "vault").mkdir(parents=True, exist_ok=True)
    (home / "vault" / "images").write_text("in the way")
    with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied, match="cannot be kept"):
        driver.run("DELETE FROM t WHERE id = ?", (1,))
    driver.connection.rollback()
    assert driver.rows() == before


def test_kept_rows_stand_nowhere_in_clear(driver, home):
    with guardai.session(agent="a"):
        driver.run("UPDATE t SET name = ? WHERE id = ?", ("x", 2))
    driver.connection.commit()
    guardai.shutdown()
    for path in home.rglob("*"):
        if path.is_file():
            assert b"it's" not in path.read_bytes(), path


def test_drivers_without_it_deny(home, policy):
    duckdb = pytest.importorskip("duckdb")
    guardai.init(home=home, integrations=["dbapi"], policy=policy(POLICY))
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (id INT PRIMARY KEY)")
    with guardai.session(agent="a"):
        connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(guardai.PolicyDenied, match="duckdb"):
            connection.execute("DELETE FROM t WHERE id = 1")
        assert connection.execute("SELECT id FROM t").fetchall() == [(1,)]


class TestAwaited:
    def test_asyncpg_keeps_rows_and_they_are_put_back(self, started, postgres, calls, taken_back):
        asyncpg = pytest.importorskip("asyncpg")
        driver = Driver("psycopg", postgres)
        driver.run(f"CREATE TABLE t ({COLUMNS['postgres']})")
        for n in range(1, 6):
            driver.run(f"INSERT INTO t VALUES {ROWS['postgres'].format(id=n)}")
        driver.connection.commit()
        before = driver.rows()

        async def work():
            connection = await asyncpg.connect(postgres)
            with guardai.session(agent="a"):
                await connection.execute("UPDATE t SET name = $1 WHERE id = $2", "x", 2)
                async with connection.transaction():
                    assert await connection.fetch("DELETE FROM t WHERE id > $1 RETURNING id", 3) == [(4,), (5,)]
                with pytest.raises(guardai.PolicyDenied):
                    await connection.executemany("DELETE FROM t WHERE id = $1", [(1,), (2,)])
            await connection.close()

        asyncio.run(work())
        events = [pair[0]["id"] for pair in calls() if (pair[1].get("body") or {}).get("captured")]
        assert len(events) == 2
        for event in reversed(events):
            code, told = taken_back(event, postgres, "--yes")
            assert code == 0, told
        assert driver.rows() == before
        driver.close()

    def test_psycopgs_asynchronous_cursor_keeps_rows(self, started, postgres, calls):
        import psycopg

        with psycopg.connect(postgres, autocommit=True) as maker:
            maker.execute("CREATE TABLE t (id int PRIMARY KEY, name text)")
            maker.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")

        async def work():
            async with await psycopg.AsyncConnection.connect(postgres, autocommit=True) as connection:
                with guardai.session(agent="a"):
                    await connection.execute("DELETE FROM t WHERE id = %s", (1,))

        asyncio.run(work())
        assert last(calls)[1]["body"]["captured"] == 1

    def test_aiosqlite_keeps_rows(self, started, tmp_path, calls):
        aiosqlite = pytest.importorskip("aiosqlite")

        async def work():
            async with aiosqlite.connect(tmp_path / "x.db") as connection:
                await connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
                await connection.execute("INSERT INTO t VALUES (1, 'a')")
                await connection.commit()
                with guardai.session(agent="a"):
                    await connection.execute("DELETE FROM t WHERE id = ?", (1,))
                await connection.commit()

        asyncio.run(work())
        assert last(calls)[1]["body"]["captured"] == 1


class TestFoundByReading:
    """What a reader of the code made it lose or mix up, each refused or right since."""

    @pytest.fixture
    def sqlite(self, started, tmp_path):
        driver = Driver("sqlite3", f"sqlite://{tmp_path}/read.db", "?")
        yield driver
        driver.close()

    def put(self, driver, *statements):
        for statement in statements:
            driver.run(statement)
        driver.connection.commit()

    @pytest.mark.parametrize("comment", ["/* hi */ ", "-- hi\n"])
    def test_comment_before_a_statement_leaves_the_programs_transaction_open(self, sqlite, comment):
        self.put(sqlite, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
        with guardai.session(agent="a"):
            sqlite.run(f"{comment}DELETE FROM t WHERE id = 1")
        assert sqlite.connection.in_transaction
        sqlite.connection.rollback()
        assert sqlite.connection.execute("SELECT count(*) FROM t").fetchone() == (1,)

    def test_statement_in_autocommit_ends_with_its_own_transaction(self, sqlite, calls):
        self.put(sqlite, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
        sqlite.connection.isolation_level = None
        with guardai.session(agent="a"):
            sqlite.run("DELETE FROM t WHERE id = 1")
        assert not sqlite.connection.in_transaction
        assert last(calls)[1]["body"]["captured"] == 1

    @pytest.mark.parametrize(
        ("table", "rows", "statement"),
        [
            ("id text PRIMARY KEY, n int", "(NULL, 1), (NULL, 2)", "UPDATE t SET n = 3"),
            ("id integer PRIMARY KEY, c text UNIQUE ON CONFLICT REPLACE", "(1, 'a'), (2, 'b')", "UPDATE t SET c = 'b' WHERE id = 1"),
            ("id integer PRIMARY KEY, c text", "(1, 'a')", "UPDATE t SET rowid = 5 WHERE c = 'a'"),
        ],
    )  # fmt: skip
    def test_rows_that_could_not_be_put_back_are_not_changed(self, sqlite, table, rows, statement):
        self.put(sqlite, f"CREATE TABLE t ({table})", f"INSERT INTO t VALUES {rows}")
        before = sqlite.rows()
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            sqlite.run(statement)
        sqlite.connection.rollback()
        assert sqlite.rows() == before

    def test_numbers_that_are_infinite_come_back(self, sqlite, calls, taken_back):
        self.put(
            sqlite, "CREATE TABLE t (id INTEGER PRIMARY KEY, n REAL)", "INSERT INTO t VALUES (1, 9e999), (2, -9e999)"
        )
        before = sqlite.rows()
        with guardai.session(agent="a"):
            sqlite.run("DELETE FROM t")
        sqlite.connection.commit()
        code, told = taken_back(last(calls)[0]["id"], sqlite.address, "--yes")
        assert code == 0, told
        assert sqlite.rows() == before

    def test_statement_that_changed_nothing_is_told_so(self, sqlite, calls, taken_back):
        self.put(sqlite, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
        with guardai.session(agent="a"):
            sqlite.run("DELETE FROM t WHERE id = 1")
        sqlite.connection.commit()
        code, told = taken_back(last(calls)[0]["id"], sqlite.address, "--yes")
        assert (code, json.loads(told)["state"]) == (1, "nothing")

    def test_rows_go_back_to_their_own_database_alone(self, sqlite, tmp_path, calls, taken_back):
        other = Driver("sqlite3", f"sqlite://{tmp_path}/other.db", "?")
        for one in (sqlite, other):
            self.put(one, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
        self.put(sqlite, "INSERT INTO t VALUES (1)")
        with guardai.session(agent="a"):
            sqlite.run("DELETE FROM t WHERE id = 1")
        sqlite.connection.commit()
        code, told = taken_back(last(calls)[0]["id"], other.address, "--yes")
        assert code == 1
        assert "another database" in told
        assert other.rows() == "[]"

    @pytest.mark.parametrize(
        ("before", "statement"),
        [
            ("CREATE TABLE kid (extra text) INHERITS (t)", "DELETE FROM t WHERE id = 2"),
            ("SET extra_float_digits = 0", "DELETE FROM t WHERE id = 2"),
            (
                "CREATE FUNCTION r() RETURNS float8 LANGUAGE sql AS 'SELECT random()'",
                "UPDATE t SET n = 1 WHERE r() < 0.5",
            ),
            ("CREATE TEMPORARY TABLE t (id int PRIMARY KEY)", "DELETE FROM t WHERE id = 2"),
            (
                "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.id := new.id + 100; RETURN new; END';"
                "CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
                "UPDATE t SET n = 1 WHERE id = 2",
            ),
        ],
    )
    def test_postgres_rows_that_could_not_be_put_back_are_not_changed(self, started, postgres, before, statement):
        driver = Driver("psycopg", postgres)
        self.put(
            driver, "CREATE TABLE t (id int PRIMARY KEY, n float8)", "INSERT INTO t VALUES (1, 0.1), (2, 0.2)", before
        )
        was = driver.rows()
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            driver.run(statement)
        driver.connection.rollback()
        assert driver.rows() == was
        driver.close()

    @pytest.mark.parametrize(
        ("table", "before", "statement"),
        [
            ("id int PRIMARY KEY, n int) ENGINE = MyISAM", "DO 0", "UPDATE t SET n = 1 WHERE id = 2"),
            ("id int PRIMARY KEY, n int, s varchar(9) INVISIBLE DEFAULT 'x')", "DO 0", "DELETE FROM t WHERE id = 2"),
            ("id int PRIMARY KEY, n int)", "CREATE TEMPORARY TABLE t (id int PRIMARY KEY, n int)", "DELETE FROM t WHERE id = 2"),
            ("id int PRIMARY KEY, n int)", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "UPDATE t SET n = 1 WHERE id > 0"),
            ("id int PRIMARY KEY, n longtext)", "UPDATE t SET n = repeat('x', 9 * 1024 * 1024)", "DELETE FROM t WHERE id = 2"),
        ],
    )  # fmt: skip
    def test_mariadb_rows_that_could_not_be_put_back_are_not_changed(self, started, mariadb, table, before, statement):
        driver = Driver("pymysql", mariadb)
        self.put(driver, f"CREATE TABLE t ({table}", "INSERT INTO t (id, n) VALUES (1, 1), (2, 2)", before)
        was = driver.rows()
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            driver.run(statement)
        driver.connection.rollback()
        assert driver.rows() == was
        driver.close()

    def test_mariadb_times_come_back_whatever_the_sessions_zone(self, started, mariadb, calls, taken_back):
        driver = Driver("pymysql", mariadb)
        self.put(
            driver,
            "CREATE TABLE t (id int PRIMARY KEY, at timestamp)",
            "INSERT INTO t VALUES (1, '2026-06-01 12:00:00')",
        )
        before = driver.rows()
        with guardai.session(agent="a"):
            driver.connection.cursor().execute("SELECT 1")
        driver.run("SET time_zone = '+05:00'")
        with guardai.session(agent="a"):
            assert driver.run("DELETE FROM t WHERE id = 1") == 1
        driver.connection.commit()
        code, told = taken_back(last(calls)[0]["id"], mariadb, "--yes")
        assert code == 0, told
        assert driver.rows() == before
        driver.close()
