import gc
import threading
from urllib.parse import urlsplit

import pytest

import guardai

connector = pytest.importorskip("mysql.connector")

CATALOG = '[columns]\n"customers.email" = ["pii.email"]\n'
PERMIT = "permit (principal, action, resource);"
MASKED = PERMIT + (
    '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email")'
    ' when { context.to.kind == "process" };'
)
#: What a program can ask `cursor()` for.
KINDS = {
    "plain": {},
    "buffered": {"buffered": True},
    "dictionary": {"dictionary": True},
    "buffered dictionary": {"buffered": True, "dictionary": True},
    "raw": {"raw": True},
    "buffered raw": {"buffered": True, "raw": True},
    "prepared": {"prepared": True},
    "prepared dictionary": {"prepared": True, "dictionary": True},
}


def where(address):
    parts = urlsplit(address)
    return {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password or "",
        "database": parts.path.lstrip("/"),
        "use_pure": True,
        "charset": "utf8mb4",
        "collation": "utf8mb4_general_ci",
    }


@pytest.fixture
def shop(mariadb):
    connection = connector.connect(**where(mariadb), autocommit=True)
    cursor = connection.cursor()
    cursor.execute(
        "CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, name TEXT, email VARCHAR(200), note LONGTEXT)"
    )
    cursor.execute("CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, cents INT)")
    cursor.executemany(
        "INSERT INTO customers VALUES (%s, %s, %s, %s)",
        [(n, f"name{n}", f"user{n}@example.com", "none") for n in range(1, 11)],
    )
    cursor.executemany("INSERT INTO orders VALUES (%s, %s, %s)", [(n, n % 10 + 1, n * 100) for n in range(50)])
    connection.close()
    return mariadb


@pytest.fixture
def connect(shop):
    opened = []

    def make(**options):
        connection = connector.connect(**{**where(shop), "autocommit": True, **options})
        opened.append(connection)
        return connection

    yield make
    for connection in opened:
        connection.can_consume_results = True
        connection.close()


@pytest.fixture
def plainly(shop):
    """Asks by another library, which nothing governs here."""
    pymysql = pytest.importorskip("pymysql")
    options = {k: v for k, v in where(shop).items() if k not in ("use_pure", "collation")}

    def ask(sql):
        with pymysql.connect(**options, autocommit=True) as connection, connection.cursor() as cursor:
            pymysql.cursors.Cursor.execute(cursor, sql)
            return cursor.fetchall()

    return ask


def agent(**more):
    return guardai.session(agent="a", user="u", **more)


class TestDenied:
    @pytest.mark.parametrize(
        "how",
        ["execute", "executemany", "cmd_query", "cmd_query_iter", "callproc", "prepared", "cmd_stmt_execute", "bytes"],
    )
    def test_denied_statement_never_reaches_the_server(self, start, connect, plainly, how):
        start()
        connection = connect()
        prepared = connection.cmd_stmt_prepare(b"DELETE FROM customers")["statement_id"]
        sent = []
        plain = connection._send_cmd
        connection._send_cmd = lambda *args, **kwargs: (sent.append(repr((args, kwargs))), plain(*args, **kwargs))[1]
        with agent(), pytest.raises(guardai.PolicyDenied):
            match how:
                case "execute":
                    connection.cursor().execute("DELETE FROM customers")
                case "executemany":
                    connection.cursor().executemany("DELETE FROM customers WHERE 1 = %s", [(1,)])
                case "cmd_query":
                    connection.cmd_query("DELETE FROM customers")
                case "cmd_query_iter":
                    list(connection.cmd_query_iter("SELECT 1; DELETE FROM customers"))
                case "callproc":
                    connection.cursor().callproc("p", (1,))
                case "prepared":
                    connection.cursor(prepared=True).execute("DELETE FROM customers WHERE 1 = ?", (1,))
                case "cmd_stmt_execute":
                    connection.cmd_stmt_execute(prepared)
                case "bytes":
                    connection.cursor().execute(b"DROP TABLE customers")
        assert not any(word in text for text in sent for word in ("DELETE FROM", "DROP", "CALL", "EXECUTE"))
        del connection._send_cmd
        assert plainly("SELECT count(*) FROM customers") == ((10,),)

    def test_value_within_quotes_of_the_statement_is_refused(self, start, connect, plainly):
        start(PERMIT)
        with agent(), pytest.raises(guardai.PolicyDenied, match="quotes"):
            connect().cursor().execute("DELETE FROM customers WHERE name = '%s'", (" OR 1=1 OR name=",))
        assert plainly("SELECT count(*) FROM customers") == ((10,),)

    def test_statement_that_this_server_reads_otherwise_is_not_understood(self, start, connect):
        start()
        connection = connect(sql_mode="ANSI_QUOTES")
        with agent(), pytest.raises(guardai.PolicyDenied) as told:
            connection.cursor().execute('SELECT "email" FROM customers')
        assert told.value.action == "db.unknown"

    def test_transactions_are_the_programs_own(self, start, connect, plainly):
        start()
        with agent():
            connection = connect(autocommit=False)
            connection.cursor().execute("UPDATE customers SET name = 'x' WHERE id = 1")
            connection.rollback()
            connection.cursor().execute("UPDATE customers SET name = 'y' WHERE id = 2")
            connection.commit()
            connection.autocommit = True
        assert plainly("SELECT name FROM customers WHERE id < 3 ORDER BY id") == (("name1",), ("y",))

    def test_connection_is_usable_after_a_denial(self, start, connect):
        start()
        with agent():
            cursor = connect().cursor()
            with pytest.raises(guardai.PolicyDenied):
                cursor.execute("DROP TABLE customers")
            cursor.execute("SELECT count(*) FROM customers")
            assert cursor.fetchall() == [(10,)]

    def test_connection_without_a_seam_for_rows_is_refused_to_an_agent(self, start, shop):
        start(PERMIT)
        extension = pytest.importorskip("mysql.connector.connection_cext", exc_type=ImportError)
        made = extension.CMySQLConnection.__new__(extension.CMySQLConnection)
        with agent(), pytest.raises(guardai.PolicyDenied, match="use_pure"):
            made.cmd_query("SELECT 1")


FETCHES = {
    "fetchone": lambda cursor: list(iter(cursor.fetchone, None)),
    "fetchmany": lambda cursor: [row for part in iter(lambda: cursor.fetchmany(3) or None, None) for row in part],
    "fetchall": lambda cursor: list(cursor.fetchall()),
    "iteration": list,
}


class TestRows:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("fetch", FETCHES)
    def test_every_cursor_masks_in_every_way_to_fetch(self, start, connect, calls, kind, fetch):
        start(MASKED, CATALOG)
        with agent():
            cursor = connect().cursor(**KINDS[kind])
            cursor.execute("SELECT id, name, email FROM customers ORDER BY id")
            found = FETCHES[fetch](cursor)
            if kind == "buffered raw":
                found = found[:10]
        assert len(found) == 10
        assert "user" not in repr(found)
        first = found[0]
        told = (first["id"], first["name"]) if isinstance(first, dict) else tuple(first[:2])
        assert told == ((bytearray(b"1"), bytearray(b"name1")) if "raw" in kind else (1, "name1"))
        if "raw" in kind:
            assert isinstance(first[2], bytes)
        [(_, outcome)] = calls("db.read")
        assert (outcome["status"], outcome["body"]["rows"]) == ("ok", 10)

    @pytest.mark.parametrize("kind", ["plain", "buffered", "dictionary", "raw"])
    def test_every_result_of_a_procedure_is_masked(self, start, connect, plainly, calls, kind):
        plainly(
            "CREATE PROCEDURE p(IN n INT, OUT m TEXT) BEGIN SELECT substr(email, 1, 5) AS x FROM customers WHERE id = n;"
            " SELECT email INTO m FROM customers WHERE id = n; END"
        )
        start(MASKED, CATALOG)
        with agent():
            cursor = connect().cursor(**KINDS[kind])
            told = cursor.callproc("p", (3, ""))
            with _no_matter():
                found = [result.fetchall() for result in cursor.stored_results()]
        assert [len(rows) for rows in found] == [1]
        assert "user3" not in repr((told, found)).lower()
        [(_, outcome)] = calls()
        assert (outcome["action"], outcome["status"]) == ("db.admin", "ok")

    @pytest.mark.parametrize("kind", ["plain", "buffered", "dictionary", "raw"])
    def test_every_result_of_several_statements_is_masked(self, start, connect, calls, kind):
        start(MASKED, CATALOG)
        with agent():
            cursor = connect().cursor(**KINDS[kind])
            cursor.execute("SELECT id FROM customers; SELECT email FROM customers")
            found = [cursor.fetchall()]
            assert cursor.nextset()
            found.append(cursor.fetchall())
            assert not cursor.nextset()
        assert [len(rows) for rows in found] == [10, 10]
        assert "user" not in repr(found)
        assert [outcome["status"] for _, outcome in calls()] == ["ok"]

    @pytest.mark.parametrize("left", ["closed", "consumed", "session ended"])
    def test_rows_that_nobody_reads_to_the_end_are_abandoned(self, start, connect, calls, left):
        start()
        connection = connect(consume_results=True)
        with agent():
            cursor = connection.cursor()
            cursor.execute("SELECT id FROM customers")
            cursor.fetchone()
            match left:
                case "closed":
                    cursor.close()
                case "consumed":
                    connection.cursor().execute("SELECT 1")
                    gc.collect()
        assert calls("db.read")[0][1]["status"] == "abandoned"

    def test_unread_result_is_the_librarys_own_error_and_the_rows_stay_masked(self, start, connect):
        start(MASKED, CATALOG)
        with agent():
            connection = connect()
            cursor = connection.cursor()
            cursor.execute("SELECT email FROM customers")
            cursor.fetchone()
            with pytest.raises(connector.errors.InternalError, match="Unread result"):
                connection.cursor().execute("SELECT 1")
            assert "user" not in repr(cursor.fetchall())

    def test_result_of_several_that_nobody_read_is_not_taken_for_that_of_the_next_statement(
        self, start, connect, plainly
    ):
        plainly("UPDATE customers SET email = 'unrecognisable'")
        start(MASKED, CATALOG)
        with agent():
            cursor = connect().cursor()
            cursor.execute("SELECT id FROM orders; SELECT email FROM customers")
            cursor.fetchall()
            with pytest.raises(guardai.PolicyDenied, match="still to come"):
                cursor.execute("SELECT name FROM customers")
            assert cursor.nextset()
            assert "unrecognisable" not in repr(cursor.fetchall())
            cursor.execute("SELECT name FROM customers WHERE id = 1")
            assert cursor.fetchall() == [("name1",)]

    def test_more_rows_than_policy_permits_are_withheld(self, start, connect):
        start('@row_cap("3") permit (principal, action, resource);')
        with agent():
            cursor = connect().cursor()
            cursor.execute("SELECT id FROM customers")
            with pytest.raises(guardai.ResultWithheld):
                cursor.fetchall()

    def test_warnings_are_a_statement_of_their_own(self, start, connect, calls):
        start(MASKED, CATALOG)
        with agent():
            cursor = connect(get_warnings=True).cursor()
            with _no_matter():
                cursor.execute("SELECT CAST('ada@example.com' AS INT)")
                cursor.fetchall()
            assert "ada@" not in repr(cursor.warnings)
        assert len(calls("db.read")) == 2

    def test_executemany_is_one_call(self, start, connect, calls, plainly):
        start()
        with agent():
            connection = connect()
            connection.cursor().executemany("INSERT INTO customers (name) VALUES (%s)", [("x",)] * 5)
            connection.cursor().executemany("UPDATE customers SET note = %s WHERE id = %s", [("y", n) for n in (1, 2)])
            connection.cursor(prepared=True).executemany(
                "UPDATE customers SET note = ? WHERE id = ?", [("z", n) for n in (3, 4)]
            )
        assert [outcome["body"]["affected"] for _, outcome in calls()] == [5, 2, 2]
        assert plainly("SELECT count(*) FROM customers WHERE name = 'x' OR note IN ('y', 'z')") == ((9,),)


class _no_matter:
    def __enter__(self):
        import warnings

        self.kept = warnings.catch_warnings()
        self.kept.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *exc):
        self.kept.__exit__(*exc)


class TestSameAsWithout:
    STATEMENTS = (
        "SELECT 1, 2.5, NULL, x'00ff', 'text', CAST('2026-01-02' AS DATE), TIMESTAMP('2026-01-02 03:04:05'), 1.50",
        "SELECT * FROM customers ORDER BY id",
        "INSERT INTO orders VALUES (1000, 1, 1)",
        "INSERT INTO orders VALUES (1000, 1, 1)",
        "UPDATE customers SET name = 'x' WHERE id = 1",
        "SELECT nothing",
        "SELEC",
    )

    @staticmethod
    def run(connection, options):
        found = []
        for statement in TestSameAsWithout.STATEMENTS:
            cursor = connection.cursor(**options)
            try:
                cursor.execute(statement)
                rows = cursor.fetchall() if cursor.description else None
                found.append((cursor.description, cursor.rowcount, cursor.lastrowid, rows))
            except connector.Error as exc:
                found.append((type(exc), exc.args))
            cursor.close()
        connection.rollback()
        return found

    @pytest.mark.parametrize("kind", KINDS)
    def test_results_types_and_errors_are_the_same(self, start, connect, kind):
        plain = self.run(connect(autocommit=False), KINDS[kind])
        start(PERMIT)
        with agent():
            assert self.run(connect(autocommit=False), KINDS[kind]) == plain

    def test_observe_mode_changes_nothing_and_records(self, start, connect, calls, plainly):
        start(
            MASKED + '@id("keep") forbid (principal, action == Action::"db.destroy", resource);',
            CATALOG,
            mode="observe",
        )
        with agent():
            connection = connect()
            for options in KINDS.values():
                cursor = connection.cursor(**options)
                cursor.execute("SELECT email FROM customers WHERE id = 1")
                assert "user1@example.com" in repr(cursor.fetchall())
                cursor.close()
            connection.cursor().execute("DELETE FROM orders")
        assert plainly("SELECT count(*) FROM orders") == ((0,),)
        assert len(calls("db.read")) == len(KINDS)
        assert calls("db.destroy")[0][0]["decision"]["effect"] == "deny"

    def test_application_goes_its_own_way_unrecorded(self, start, connect, events):
        start(MASKED, CATALOG)
        connection = connect()
        cursor = connection.cursor()
        cursor.execute("SELECT email FROM customers WHERE id = 1")
        assert cursor.fetchall() == [("user1@example.com",)]
        cursor.execute("DELETE FROM orders")
        assert events() == []
        assert "_guardai" not in vars(connection)

    def test_uninstalling_restores_the_originals(self, start):
        from guardai_dbapi.mysql_connector import _WAITED, CURSORS

        kinds = connector.cursor
        owners = [(getattr(kinds, kind), name) for kind, methods in CURSORS.items() for name in methods]
        owners += [
            (connector.connection.MySQLConnection, name)
            for name in _WAITED
            if name in vars(connector.connection.MySQLConnection)
        ]
        before = [vars(owner)[name] for owner, name in owners]
        start()
        assert all(vars(owner)[name] is not plain for (owner, name), plain in zip(owners, before, strict=True))
        guardai.shutdown()
        assert all(vars(owner)[name] is plain for (owner, name), plain in zip(owners, before, strict=True))

    def test_every_target_is_there(self, start):
        start()
        from guardai.hooks import report

        targets = [t for each in report() for t in each["targets"] if t["target"].startswith("mysql.connector.c")]
        assert len(targets) == 22
        assert {t["status"] for t in targets} <= {"patched", "pending"}  # of the C extension where that is not loaded
        assert sum(t["status"] == "pending" for t in targets) <= 2

    def test_one_connection_is_governed_without_patching(self, connect, home, policy):
        guardai.init(home=home, integrations=[], policy=policy(MASKED, CATALOG))
        plain = connect()
        governed = guardai.wrap(connect())
        assert isinstance(governed, connector.MySQLConnection)
        with agent():
            for options in KINDS.values():
                cursor = governed.cursor(**options)
                cursor.execute("SELECT email FROM customers WHERE id = 1")
                assert "user1" not in repr(cursor.fetchall())
                cursor.close()
            other = plain.cursor()
            other.execute("SELECT email FROM customers WHERE id = 1")
            assert other.fetchall() == [("user1@example.com",)]


class TestBelowSql:
    def test_database_that_a_command_goes_to_is_judged_as_use_is(self, start, connect, calls):
        start()
        connection = connect()
        with agent(), pytest.raises(guardai.PolicyDenied, match="USE"):
            connection.cmd_init_db("mysql")
        connection.cmd_init_db("mysql")
        with agent():
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]
        assert calls("db.read")[0][0]["resource"][0]["uri"].endswith("/mysql")

    def test_autocommit_that_was_switched_off_is_heeded(self, start, connect, plainly):
        start('@affected_cap("3") permit (principal, action, resource);')
        connection = connect()
        with agent():
            sql = "UPDATE orders SET cents = 1 WHERE id = 1"
            connection.cursor().execute(sql)
            connection.autocommit = False
            sql = "UPDATE orders SET cents = 2 WHERE id = 1"
            connection.cursor().execute(sql)
            connection.rollback()
        assert plainly("SELECT cents FROM orders WHERE id = 1") == ((1,),)

    def test_character_set_in_which_text_reads_otherwise_is_heeded(self, start, connect):
        start()
        connection = connect()
        with agent():
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            cursor.fetchall()
            connection.set_charset_collation("gbk")
            with pytest.raises(guardai.PolicyDenied) as told:
                cursor.execute("SELECT id FROM orders WHERE id = '\\''")
        assert told.value.action == "db.unknown"

    def test_connection_of_a_pool_goes_back_and_connects_again_inside_a_session(self, start, shop):
        start()
        pool = connector.pooling.MySQLConnectionPool(pool_name="q", pool_size=1, **where(shop))
        with agent():
            for _ in range(2):
                connection = pool.get_connection()
                cursor = connection.cursor()
                cursor.execute("SELECT id FROM orders WHERE id = %s", (3,))
                assert cursor.fetchall() == [(3,)]
                connection.reconnect()
                connection.close()
        pool._remove_connections()


class TestTrouble:
    def test_connection_killed_in_the_middle_leaves_the_effect_unknown(self, start, connect, calls, plainly):
        start(PERMIT)
        connection = connect()
        with agent():
            cursor = connection.cursor()
            timer = threading.Timer(1.0, plainly, [f"KILL {connection.connection_id}"])
            timer.start()
            with pytest.raises(connector.Error):
                cursor.execute("UPDATE customers SET name = 'x' WHERE id = 1 AND sleep(20) = 0")
            timer.join()
        [outcome] = [outcome for _, outcome in calls() if "error" in (outcome.get("body") or {})]
        assert outcome["status"] == "unknown"

    @pytest.mark.parametrize("while_it", ["executes", "fetches"])
    def test_answer_to_a_statement_that_was_interrupted_is_never_anothers(
        self, start, connect, calls, plainly, monkeypatch, while_it
    ):
        plainly("UPDATE customers SET email = 'unrecognisable'")
        start(MASKED, CATALOG)
        connection = connect()
        with agent():
            cursor = connection.cursor()
            if while_it == "fetches":
                cursor.execute("SELECT email FROM customers")
            plain = connection._socket.recv

            def interrupted(*_, **__):
                monkeypatch.setattr(connection._socket, "recv", plain)
                raise KeyboardInterrupt

            if while_it == "executes":
                cursor.execute("SELECT 1")
                cursor.fetchall()
            monkeypatch.setattr(connection._socket, "recv", interrupted)
            with pytest.raises(KeyboardInterrupt):
                _ = cursor.fetchall() if while_it == "fetches" else cursor.execute("SELECT email FROM customers")
            for _ in range(3):
                with pytest.raises(guardai.PolicyDenied, match="still to come"):
                    cursor.execute("SELECT name FROM customers")
        assert "unknown" in [outcome["status"] for _, outcome in calls("db.read")]

    def test_statement_that_the_library_gives_up_waiting_for_may_have_happened(self, start, connect, calls):
        start(PERMIT)
        connection = connect(read_timeout=1)
        with agent(), pytest.raises(connector.Error):
            connection.cursor().execute("UPDATE customers SET name = 'x' WHERE id = 1 AND sleep(2) = 0")
        [outcome] = [outcome for _, outcome in calls() if "error" in (outcome.get("body") or {})]
        assert outcome["status"] == "unknown"

    def test_error_of_the_server_comes_through_unchanged_and_is_recorded(self, start, connect, calls):
        start()
        with agent(), pytest.raises(connector.errors.ProgrammingError) as told:
            connect().cursor().execute("SELECT * FROM nowhere")
        assert told.value.errno == 1146
        [(_, outcome)] = calls("db.read")
        assert (outcome["status"], outcome["body"]["error"]) == ("error", "ProgrammingError")

    def test_server_that_is_not_there_is_the_librarys_own_error(self, start):
        start()
        with agent(), pytest.raises(connector.Error) as told:
            connector.connect(host="127.0.0.1", port=1, user="nobody", use_pure=True)
        assert told.value.errno == 2003

    def test_ten_thousand_parameters_and_five_megabytes_pass(self, start, connect, plainly):
        start()
        places = ", ".join(["%s"] * 10_000)
        with agent():
            cursor = connect().cursor()
            cursor.execute(f"SELECT id FROM customers WHERE id IN ({places})", list(range(10_000)))
            assert len(cursor.fetchall()) == 10
            cursor.execute("UPDATE customers SET note = %s WHERE id = 1", ("x" * 5_000_000,))
        assert plainly("SELECT length(note) FROM customers WHERE id = 1") == ((5_000_000,),)


class TestGuards:
    @pytest.mark.parametrize("autocommit", [True, False])
    @pytest.mark.parametrize("kind", ["plain", "buffered", "prepared"])
    def test_statement_that_changes_more_rows_than_it_may_is_taken_back(
        self, start, connect, plainly, autocommit, kind
    ):
        start('@affected_cap("3") permit (principal, action, resource);')
        connection = connect(autocommit=autocommit)
        with agent():
            cursor = connection.cursor(**KINDS[kind])
            with pytest.raises(guardai.PolicyDenied):
                cursor.execute("DELETE FROM orders WHERE id < 10")
            cursor.execute("DELETE FROM orders WHERE id < 3")
        connection.commit()
        assert plainly("SELECT count(*) FROM orders") == ((47,),)

    def test_statement_that_fails_under_a_cap_leaves_no_transaction_open(self, start, connect):
        start('@affected_cap("3") permit (principal, action, resource);')
        connection = connect()
        with agent(), pytest.raises(connector.Error):
            connection.cmd_query("INSERT INTO orders VALUES (1, 1, 1)")
        assert not connection.in_transaction

    @pytest.mark.parametrize("kind", ["plain", "buffered", "prepared"])
    @pytest.mark.parametrize("autocommit", [True, False])
    def test_engine_refuses_what_the_inspection_took_for_a_read(
        self, start, connect, plainly, monkeypatch, autocommit, kind, events
    ):
        from guardai.gate import plan
        from guardai.sql import Inspection

        monkeypatch.setattr(
            plan, "inspect",
            lambda *_, **__: Inspection("db.read", frozenset({"read"}), reads=frozenset({"orders"}), verbs=("select",)),
        )  # fmt: skip
        start(
            '@id("read") permit (principal, action == Action::"db.read", resource);'
            '@id("reveal") permit (principal, action == Action::"reveal", resource);'
        )
        connection = connect(autocommit=autocommit)
        with agent():
            with pytest.raises(connector.Error) as told:
                connection.cursor(**KINDS[kind]).execute("DELETE FROM orders")
            cursor = connection.cursor(**KINDS[kind])
            cursor.execute("SELECT id FROM orders")
            assert len(cursor.fetchall()) == 50
            assert not connection.in_transaction
        assert told.value.errno == 1792
        assert events(kind="call.outcome")[0]["body"]["refused"] == "engine"
        assert plainly("SELECT count(*) FROM orders") == ((50,),)

    def test_statement_that_takes_longer_than_it_may_is_stopped_and_the_setting_put_back(self, start, connect):
        start('@timeout("1s") permit (principal, action, resource);')
        connection = connect()
        with agent():
            cursor = connection.cursor()
            with pytest.raises(connector.Error) as told:
                cursor.execute("SELECT count(*) FROM seq_1_to_100000 a, seq_1_to_100000 b")
                cursor.fetchall()
            assert told.value.errno in (1969, 1317)
        plain = connection.cursor()
        plain.execute("SELECT @@SESSION.max_statement_time")
        assert float(plain.fetchall()[0][0]) == 0
