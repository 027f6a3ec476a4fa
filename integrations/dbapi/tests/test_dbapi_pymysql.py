import gc
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

import guardai

pymysql = pytest.importorskip("pymysql")
cursors = pymysql.cursors

CATALOG = '[columns]\n"customers.email" = ["pii.email"]\n'
PERMIT = "permit (principal, action, resource);"
MASKED = PERMIT + (
    '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email")'
    ' when { context.to.kind == "process" };'
)
CLASSES = ["Cursor", "DictCursor", "SSCursor", "SSDictCursor"]


def where(address):
    parts = urlsplit(address)
    return {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password or "",
        "database": parts.path.lstrip("/"),
    }


@pytest.fixture
def shop(mariadb):
    """The address of a shop, filled by a connection that nothing governs."""
    connection = pymysql.connect(**where(mariadb), autocommit=True)
    with connection.cursor() as cursor:
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
        connection = pymysql.connect(**{**where(shop), "autocommit": True, **options})
        opened.append(connection)
        return connection

    yield make
    for connection in opened:
        if connection.open:
            connection.close()


@pytest.fixture
def plainly(shop):
    """Asks as the application."""

    def ask(sql):
        connection = pymysql.connect(**where(shop), autocommit=True)
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    return ask


def agent(**more):
    return guardai.session(agent="a", user="u", **more)


class TestDenied:
    @pytest.mark.parametrize("how", ["execute", "executemany", "query", "callproc", "multi", "bytes", "SSCursor"])
    def test_denied_statement_never_reaches_the_server(self, start, connect, plainly, how):
        start()
        connection = connect(client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
        sent = []
        plain = connection._write_bytes
        connection._write_bytes = lambda data: (sent.append(bytes(data)), plain(data))
        with agent(), pytest.raises(guardai.PolicyDenied):
            match how:
                case "execute":
                    connection.cursor().execute("DELETE FROM customers")
                case "executemany":
                    connection.cursor().executemany("DELETE FROM customers WHERE 1 = %s", [(1,)])
                case "query":
                    connection.query("DELETE FROM customers")
                case "callproc":
                    connection.cursor().callproc("p", (1,))
                case "multi":
                    connection.cursor().execute("SELECT 1; DROP TABLE customers")
                case "bytes":
                    connection.cursor().execute(b"DROP TABLE customers")
                case "SSCursor":
                    connection.cursor(cursors.SSCursor).execute("DROP TABLE customers")
        assert all(b"DELETE FROM" not in data and b"DROP" not in data and b"CALL" not in data for data in sent)
        assert plainly("SELECT count(*) FROM customers") == ((10,),)

    def test_cursor_class_that_goes_straight_to_the_connection_is_judged_there(self, start, connect, plainly):
        class Own(cursors.Cursor):
            def execute(self, query, args=None):
                return self._query(query)

        start()
        with agent(), pytest.raises(guardai.PolicyDenied):
            connect().cursor(Own).execute("DELETE FROM customers")
        assert plainly("SELECT count(*) FROM customers") == ((10,),)

    def test_values_that_are_put_into_quotes_of_the_statement_are_judged_as_they_are_sent(
        self, start, connect, plainly
    ):
        start()
        with agent(), pytest.raises(guardai.PolicyDenied):
            connect().cursor().execute("DELETE FROM customers WHERE id = 1 AND name = '%s'", (" OR 1=1 OR name=",))
        assert plainly("SELECT count(*) FROM customers") == ((10,),)

    def test_statement_of_an_encoder_of_the_programs_own_is_judged_as_it_is_sent(self, start, connect, plainly):
        class Raw(int):
            pass

        connection = connect(conv={**pymysql.converters.conversions, Raw: lambda *_: "1 OR 1=1"})
        start()
        with agent(), pytest.raises(guardai.PolicyDenied):
            connection.cursor().execute("DELETE FROM customers WHERE id = %s", (Raw(1),))
        assert plainly("SELECT count(*) FROM customers") == ((10,),)

    def test_what_the_program_does_while_rows_are_made_is_judged_by_itself(self, start, connect, plainly):
        connection = connect()

        def rows():
            yield (100, "x")
            connection.cursor().execute("DELETE FROM customers")

        start()
        with agent(), pytest.raises(guardai.PolicyDenied):
            connection.cursor().executemany("INSERT INTO customers (id, name) VALUES (%s, %s)", rows())
        assert plainly("SELECT count(*) FROM customers") == ((10,),)

    @pytest.mark.parametrize(
        ("mode", "statement"),
        [
            ("ANSI_QUOTES", 'SELECT "email" FROM customers'),
            ("NO_BACKSLASH_ESCAPES", r"SELECT id FROM customers WHERE name = '\' OR email = ' \'"),
            ("PIPES_AS_CONCAT", "SELECT id || email FROM customers"),
            ("ORACLE", "SELECT id FROM customers"),
        ],
    )
    @pytest.mark.parametrize("by", ["connection", "statement"])
    def test_statement_that_this_server_reads_otherwise_is_not_understood(self, start, connect, mode, statement, by):
        start()
        connection = connect(sql_mode=mode) if by == "connection" else connect()
        if by == "statement":
            with agent():
                connection.cursor().execute("SELECT 1")
            connection.cursor().execute(f"SET SESSION sql_mode = '{mode}'")
        with agent(), pytest.raises(guardai.PolicyDenied) as told:
            connection.cursor().execute(statement)
        assert told.value.action == "db.unknown"

    def test_character_set_in_which_a_quote_can_hide_is_not_understood(self, start, connect):
        start()
        connection = connect(charset="gbk")
        with agent():
            connection.cursor().execute("SELECT 1")
            with pytest.raises(guardai.PolicyDenied):
                connection.cursor().execute("SELECT 1 FROM customers WHERE name = '\u4e2d'")

    @pytest.mark.parametrize("local", ["", "LOCAL"])
    def test_a_file_is_not_sent(self, start, connect, tmp_path, local):
        start()
        path = tmp_path / "rows"
        path.write_text("1\n")
        with agent(), pytest.raises(guardai.PolicyDenied) as told:
            connect(local_infile=True).cursor().execute(f"LOAD DATA {local} INFILE '{path}' INTO TABLE orders")
        assert told.value.action == "db.admin"

    def test_connection_is_usable_after_a_denial(self, start, connect):
        start()
        connection = connect()
        with agent():
            cursor = connection.cursor()
            with pytest.raises(guardai.PolicyDenied):
                cursor.execute("DROP TABLE customers")
            cursor.execute("SELECT count(*) FROM customers")
            assert cursor.fetchone() == (10,)

    def test_denied_statement_leaves_the_former_result_as_it_is(self, start, connect):
        start()
        with agent():
            cursor = connect().cursor(cursors.SSCursor)
            cursor.execute("SELECT id FROM customers ORDER BY id")
            assert cursor.fetchone() == (1,)
            with pytest.raises(guardai.PolicyDenied):
                cursor.execute("DROP TABLE customers")
            assert cursor.fetchone() == (2,)


class TestPermitted:
    def test_statement_is_recorded_with_its_table_and_without_credentials(self, start, connect, calls, shop):
        start()
        with agent():
            connect().cursor().execute("SELECT id FROM orders WHERE id < %s", (5,))
        [(intent, outcome)] = calls("db.read")
        told = where(shop)
        assert intent["resource"] == [
            {"dir": "read", "uri": f"mysql://{told['host']}:{told['port']}/{told['database']}#orders"}
        ]
        assert (outcome["status"], outcome["body"]["rows"]) == ("ok", 5)

    @pytest.mark.parametrize("insert", [True, False])
    @pytest.mark.parametrize("lazy", [False, True])
    def test_executemany_is_one_call(self, start, connect, calls, plainly, insert, lazy):
        start()
        rows = [("x", n) for n in range(1, 6)]
        sql = (
            "INSERT INTO customers (name, note) VALUES (%s, %s)"
            if insert
            else "UPDATE customers SET name = %s WHERE id = %s"
        )
        with agent():
            cursor = connect().cursor()
            assert cursor.executemany(sql, iter(rows) if lazy else rows) == 5
        [(_, outcome)] = calls()
        assert (outcome["action"], outcome["body"]["affected"]) == ("db.write", 5)
        assert plainly("SELECT count(*) FROM customers WHERE name = 'x'") == ((5,),)

    def test_rows_that_come_back_from_a_write_are_masked(self, start, connect):
        start(MASKED, CATALOG)
        with agent():
            cursor = connect().cursor()
            cursor.execute("INSERT INTO customers (email) VALUES (%s) RETURNING id, email", ("ada@example.com",))
            ((_, email),) = cursor.fetchall()
        assert "ada" not in email

    def test_error_of_the_server_comes_through_unchanged_and_is_recorded(self, start, connect, calls):
        start()
        with agent(), pytest.raises(pymysql.err.ProgrammingError) as told:
            connect().cursor().execute("SELECT * FROM nowhere")
        assert told.value.args[0] == 1146
        [(_, outcome)] = calls("db.read")
        assert (outcome["status"], outcome["body"]["error"]) == ("error", "ProgrammingError")

    def test_text_that_cannot_be_encoded_is_an_error_and_nothing_is_sent(self, start, connect, calls):
        start()
        with agent(), pytest.raises(UnicodeEncodeError):
            connect(charset="latin1").cursor().execute("UPDATE customers SET name = '\u4e2d' WHERE id = 1")
        assert calls("db.write")[0][1]["status"] == "error"

    def test_statement_of_five_megabytes_passes(self, start, connect, plainly):
        start()
        with agent():
            connect().cursor().execute("UPDATE customers SET note = %s WHERE id = 1", ("x" * 5_000_000,))
        assert plainly("SELECT length(note) FROM customers WHERE id = 1") == ((5_000_000,),)

    def test_ten_thousand_parameters_pass(self, start, connect):
        start()
        places = ", ".join(["%s"] * 10_000)
        with agent():
            cursor = connect().cursor()
            cursor.execute(f"SELECT id FROM customers WHERE id IN ({places})", list(range(10_000)))
            assert len(cursor.fetchall()) == 10

    def test_parameter_that_may_not_go_there_is_masked_on_its_way(self, start, connect, plainly):
        start(
            PERMIT + '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", '
            'resource == Label::"pii.email") when { context.to.kind == "database" };'
        )
        with agent():
            cursor = connect().cursor()
            cursor.execute("UPDATE customers SET note = %s WHERE id = %s", ("ada@example.com", 1))
            cursor.execute("UPDATE customers SET note = %(n)s WHERE id = %(i)s", {"n": "bob@example.com", "i": 2})
            cursor.executemany("UPDATE customers SET note = %s WHERE id = %s", [("c@example.com", 3)])
            cursor.executemany("UPDATE customers SET note = %s WHERE id = %s", iter([("d@example.com", 4)]))
        assert plainly("SELECT note FROM customers WHERE id < 5 ORDER BY id") == (("[EMAIL]",),) * 4

    def test_mogrify_is_left_alone(self, start, connect, calls):
        start()
        with agent():
            assert connect().cursor().mogrify("DELETE FROM t WHERE a = %s", ("x",)) == "DELETE FROM t WHERE a = 'x'"
        assert calls() == []


FETCHES = {
    "fetchone": lambda cursor: [row for row in iter(cursor.fetchone, None)],
    "fetchmany": lambda cursor: [row for part in iter(lambda: cursor.fetchmany(3) or None, None) for row in part],
    "fetchall": lambda cursor: list(cursor.fetchall()),
    "iteration": list,
}


class TestRows:
    @pytest.mark.parametrize("kind", CLASSES)
    @pytest.mark.parametrize("fetch", FETCHES)
    def test_every_cursor_masks_in_every_way_to_fetch(self, start, connect, calls, kind, fetch):
        start(MASKED, CATALOG)
        with agent():
            cursor = connect().cursor(getattr(cursors, kind))
            cursor.execute("SELECT id, email FROM customers ORDER BY id")
            found = FETCHES[fetch](cursor)
        assert len(found) == 10
        assert all(isinstance(row, dict if "Dict" in kind else tuple) for row in found)
        assert "user" not in repr(found)
        assert [row["id"] if "Dict" in kind else row[0] for row in found] == list(range(1, 11))
        [(_, outcome)] = calls("db.read")
        assert (outcome["status"], outcome["body"]["rows"]) == ("ok", 10)

    def test_cursor_class_of_the_programs_own_sees_masked_rows_alone(self, start, connect):
        seen = []

        class Own(cursors.DictCursor):
            def _do_get_result(self):
                seen.append(self.connection._result.rows)
                super()._do_get_result()

            def _conv_row(self, row):
                seen.append(row)
                return super()._conv_row(row)

        class OwnStream(cursors.SSCursor):
            def read_next(self):
                row = self._result._read_rowdata_packet_unbuffered()
                seen.extend([row, self._result.rows])
                return row

        start(MASKED, CATALOG)
        connection = connect()
        with agent():
            for kind in (Own, OwnStream):
                cursor = connection.cursor(kind)
                cursor.execute("SELECT email FROM customers")
                assert "user" not in repr(list(cursor.fetchall()))
        assert len(seen) > 20
        assert "user" not in repr(seen)

    def test_lower_level_query_is_masked(self, start, connect):
        start(MASKED, CATALOG)
        with agent():
            connection = connect()
            connection.query("SELECT email FROM customers")
            assert "user" not in repr(connection._result.rows)
            connection.query("SELECT email FROM customers", unbuffered=True)
            assert "user" not in repr(connection._result._read_rowdata_packet_unbuffered())

    @pytest.mark.parametrize(
        "expression",
        ["email", "upper(email)", "substr(email, 1, 5)", "x.e FROM (SELECT email AS e FROM customers) x --"],
    )
    def test_labelled_column_is_masked_whatever_is_made_of_it(self, start, connect, expression):
        start(MASKED, CATALOG)
        with agent():
            cursor = connect().cursor()
            cursor.execute(f"SELECT {expression} FROM customers WHERE id = 1".replace("-- FROM", "-- \nWHERE 1 -- "))
            assert "user1" not in repr(cursor.fetchone()).lower()

    def test_column_of_a_view_is_masked_like_the_column_behind_it(self, start, connect, plainly):
        plainly("CREATE VIEW v AS SELECT id, substr(email, 1, 5) AS harmless, email AS other FROM customers")
        start(MASKED, CATALOG)
        with agent():
            cursor = connect().cursor()
            cursor.execute("SELECT harmless, other FROM v WHERE id = 1")
            assert "user1" not in repr(cursor.fetchone())

    def test_column_without_a_label_is_left_as_it_is(self, start, connect):
        start(MASKED, CATALOG)
        with agent():
            cursor = connect().cursor()
            cursor.execute("SELECT id, name FROM customers WHERE id = 1")
            assert cursor.fetchone() == (1, "name1")

    @pytest.mark.parametrize("kind", CLASSES)
    def test_every_result_of_a_procedure_is_masked(self, start, connect, plainly, calls, kind):
        plainly(
            "CREATE PROCEDURE p(IN n INT) BEGIN SELECT substr(email, 1, 5) AS x FROM customers WHERE id = n;"
            " SELECT email FROM customers WHERE id = n; END"
        )
        start(MASKED, CATALOG)
        found = []
        with agent():
            cursor = connect().cursor(getattr(cursors, kind))
            assert cursor.callproc("p", (3,)) == (3,)
            found.append(list(cursor.fetchall()))
            while cursor.nextset():
                found.append(list(cursor.fetchall()))
        assert [len(rows) for rows in found] == [1, 1, 0]
        assert "user3" not in repr(found).lower()
        [(_, outcome)] = calls()
        assert (outcome["action"], outcome["status"], outcome["body"]["rows"]) == ("db.admin", "ok", 2)

    @pytest.mark.parametrize("kind", CLASSES)
    def test_every_result_of_several_statements_is_masked(self, start, connect, calls, kind):
        start(MASKED, CATALOG)
        with agent():
            connection = connect(client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
            cursor = connection.cursor(getattr(cursors, kind))
            cursor.execute("SELECT id FROM customers; SELECT email FROM customers")
            found = [list(cursor.fetchall())]
            assert cursor.nextset()
            found.append(list(cursor.fetchall()))
            assert not cursor.nextset()
        assert [len(rows) for rows in found] == [10, 10]
        assert "user" not in repr(found)
        [(_, outcome)] = calls()
        assert (outcome["status"], outcome["body"]["rows"]) == ("ok", 20)

    def test_results_that_nobody_reads_are_not_handed_out_later(self, start, connect, calls):
        start(MASKED, CATALOG)
        connection = connect(client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
        with agent():
            cursor = connection.cursor()
            cursor.execute("SELECT id FROM customers; SELECT email FROM customers")
        with pytest.raises(guardai.ResultWithheld):
            cursor.nextset()
        other = connection.cursor()
        other.execute("SELECT email FROM customers WHERE id = 1")
        assert other.fetchall() == (("user1@example.com",),)
        assert [outcome["status"] for _, outcome in calls()] == ["abandoned"]

    @pytest.mark.parametrize("left", ["dropped", "closed", "executed again", "committed", "session ended"])
    def test_rows_that_nobody_reads_to_the_end_are_abandoned(self, start, connect, calls, left):
        start()
        connection = connect()
        with agent():
            cursor = connection.cursor(cursors.SSCursor)
            cursor.execute("SELECT id FROM customers")
            cursor.fetchone()
            match left:
                case "dropped":
                    connection._result = None
                    del cursor
                    gc.collect()
                case "closed":
                    cursor.close()
                case "executed again":
                    with pytest.warns(UserWarning, match="left incomplete"):
                        cursor.execute("SELECT 1")
                case "committed":
                    with pytest.warns(UserWarning, match="left incomplete"):
                        connection.commit()
        outcome = calls("db.read")[0][1]
        assert (outcome["status"], outcome["body"]["rows"]) == ("abandoned", 1)

    def test_more_rows_than_policy_permits_are_withheld(self, start, connect):
        start('@row_cap("3") permit (principal, action, resource);')
        with agent():
            connection = connect()
            with pytest.raises(guardai.ResultWithheld):
                connection.cursor().execute("SELECT id FROM customers")
            cursor = connection.cursor(cursors.SSCursor)
            cursor.execute("SELECT id FROM customers")
            assert len(cursor.fetchmany(3)) == 3
            with pytest.raises(guardai.ResultWithheld):
                cursor.fetchone()

    def test_warnings_are_read_through_the_gate(self, start, connect, calls):
        start(MASKED, CATALOG)
        with agent():
            connection = connect()
            connection.cursor().execute("SELECT CAST('ada@example.com' AS INT)")
            found = connection.show_warnings()
        assert len(found) == 1
        assert "ada@" not in repr(found)
        assert len(calls("db.read")) == 2

    def test_hundred_thousand_rows_stream_in_constant_memory(self, start, connect, calls):
        start()
        with agent():
            cursor = connect().cursor(cursors.SSCursor)
            cursor.execute("SELECT seq, repeat('x ', 150) FROM seq_1_to_100000")
            for _ in range(1000):
                cursor.fetchone()
            tracemalloc.start()
            try:
                count = sum(1 for _ in cursor)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        assert count == 99_000
        assert peak < 8_000_000  # the rows alone would be 40 MB
        assert calls()[0][1]["body"]["rows"] == 100_000


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
    def run(connection, kind):
        found = []
        for statement in TestSameAsWithout.STATEMENTS:
            cursor = connection.cursor(kind)
            try:
                result = cursor.execute(statement)
                found.append((result, cursor.description, cursor.rowcount, cursor.lastrowid, cursor.fetchall()))
                found.append((connection.affected_rows(), connection.insert_id(), cursor.warning_count))
            except pymysql.Error as exc:
                found.append((type(exc), exc.args))
        connection.rollback()
        return found

    @pytest.mark.parametrize("kind", CLASSES)
    def test_results_types_and_errors_are_the_same(self, start, connect, kind):
        kind = getattr(cursors, kind)
        plain = self.run(connect(autocommit=False), kind)
        start(PERMIT)
        with agent():
            assert self.run(connect(autocommit=False), kind) == plain

    def test_observe_mode_changes_nothing_and_records(self, start, connect, calls, plainly):
        start(
            MASKED + '@id("keep") forbid (principal, action == Action::"db.destroy", resource);',
            CATALOG,
            mode="observe",
        )
        with agent():
            connection = connect()
            for kind in CLASSES:
                cursor = connection.cursor(getattr(cursors, kind))
                cursor.execute("SELECT email FROM customers WHERE id = 1")
                assert "user1@example.com" in repr(list(cursor.fetchall()))
            connection.cursor().execute("DELETE FROM orders")
        assert plainly("SELECT count(*) FROM orders") == ((0,),)
        assert len(calls("db.read")) == 4
        assert calls("db.destroy")[0][0]["decision"]["effect"] == "deny"

    def test_application_goes_its_own_way_unrecorded(self, start, connect, events):
        start(MASKED, CATALOG)
        connection = connect()
        cursor = connection.cursor()
        cursor.execute("SELECT email FROM customers WHERE id = 1")
        assert cursor.fetchone() == ("user1@example.com",)
        cursor.execute("DELETE FROM orders")
        assert events() == []
        assert "_guardai" not in vars(connection)

    def test_uninstalling_restores_the_originals(self, start):
        names = [(pymysql.cursors.Cursor, name) for name in ("execute", "executemany", "callproc")] + [
            (pymysql.connections.Connection, name)
            for name in ("query", "_execute_command", "_read_query_result", "show_warnings", "select_db", "close")
        ]
        before = [vars(owner)[name] for owner, name in names]
        start()
        assert all(vars(owner)[name] is not plain for (owner, name), plain in zip(names, before, strict=True))
        guardai.shutdown()
        assert all(vars(owner)[name] is plain for (owner, name), plain in zip(names, before, strict=True))

    def test_every_target_is_there(self, start):
        start()
        from guardai.hooks import report

        targets = [t for each in report() for t in each["targets"] if t["target"].startswith("pymysql")]
        assert len(targets) == 9
        assert {t["status"] for t in targets} == {"patched"}

    def test_one_connection_is_governed_without_patching(self, start, connect, home, policy):
        guardai.init(home=home, integrations=[], policy=policy(MASKED, CATALOG))
        plain = connect()
        governed = guardai.wrap(connect())
        assert isinstance(governed, pymysql.connections.Connection)
        with agent():
            for kind in CLASSES:
                cursor = governed.cursor(getattr(cursors, kind))
                assert isinstance(cursor, getattr(cursors, kind))
                cursor.execute("SELECT email FROM customers WHERE id = 1")
                assert "user1" not in repr(list(cursor.fetchall()))
            other = plain.cursor()
            other.execute("SELECT email FROM customers WHERE id = 1")
            assert other.fetchone() == ("user1@example.com",)

    def test_threads_have_their_own_connections_and_the_session_goes_with_them(self, start, connect, calls):
        start(MASKED, CATALOG)

        def read(n):
            connection = connect()
            cursor = connection.cursor()
            for _ in range(10):
                cursor.execute("SELECT id, email FROM customers WHERE id = %s", (n,))
                ((found, email),) = cursor.fetchall()
                assert found == n
                assert "user" not in email
            return True

        before = threading.active_count()
        with agent(), ThreadPoolExecutor(4) as pool:
            assert all(pool.map(read, range(1, 9)))
        assert len(calls("db.read")) == 80
        assert threading.active_count() <= before


class TestTrouble:
    def test_connection_killed_in_the_middle_leaves_the_effect_unknown(self, start, connect, calls, plainly):
        start(PERMIT)
        connection = connect()
        with agent():
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            timer = threading.Timer(0.5, plainly, [f"KILL {connection.thread_id()}"])
            timer.start()
            with pytest.raises(pymysql.err.OperationalError) as told:
                cursor.execute("UPDATE customers SET name = 'x' WHERE id = 1 AND sleep(20) = 0")
            timer.join()
        assert told.value.args[0] in (1927, 2006, 2013)
        [outcome] = [outcome for _, outcome in calls() if "error" in outcome.get("body", {})]
        assert outcome["status"] == "unknown"

    def test_connection_killed_between_rows_leaves_the_call_unknown(self, start, connect, calls, plainly):
        start(PERMIT)
        connection = connect()
        with agent():
            cursor = connection.cursor(cursors.SSCursor)
            cursor.execute("SELECT seq, repeat('x', 1000) FROM seq_1_to_200000")
            cursor.fetchone()
            plainly(f"KILL {connection.thread_id()}")
            with pytest.raises(pymysql.err.OperationalError):
                cursor.fetchall()
        assert calls("db.read")[0][1]["status"] == "unknown"

    def test_deadlock_is_an_error_and_comes_through(self, start, connect, calls):
        start()
        one, two = connect(autocommit=False), connect(autocommit=False)
        failed = []

        def update(connection, first, second, barrier):
            cursor = connection.cursor()
            try:
                cursor.execute("UPDATE customers SET name = 'x' WHERE id = %s", (first,))
                barrier.wait(10)
                cursor.execute("UPDATE customers SET name = 'y' WHERE id = %s", (second,))
            except pymysql.err.OperationalError as exc:
                failed.append(exc.args[0])
            connection.rollback()

        barrier = threading.Barrier(2)
        with agent():
            threads = [
                threading.Thread(target=update, args=(one, 1, 2, barrier)),
                threading.Thread(target=update, args=(two, 2, 1, barrier)),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert failed == [1213]
        assert sorted(outcome["status"] for _, outcome in calls("db.write")) == ["error", "ok", "ok", "ok"]

    def test_server_that_is_not_there_is_the_librarys_own_error(self, start):
        start()
        with agent(), pytest.raises(pymysql.err.OperationalError) as told:
            pymysql.connect(host="127.0.0.1", port=1, user="nobody")
        assert told.value.args[0] == 2003

    def test_closed_connection_raises_the_librarys_own_error(self, start, connect):
        start()
        connection = connect()
        cursor = connection.cursor()
        connection.close()
        with agent(), pytest.raises(pymysql.err.InterfaceError):
            cursor.execute("SELECT 1")


class TestGuards:
    CAPPED = '@affected_cap("3") permit (principal, action, resource);'
    READS = (
        '@id("read") permit (principal, action == Action::"db.read", resource);'
        '@id("reveal") permit (principal, action == Action::"reveal", resource);'
    )

    @pytest.mark.parametrize("autocommit", [True, False])
    @pytest.mark.parametrize("how", ["execute", "executemany", "returning", "stream"])
    def test_statement_that_changes_more_rows_than_it_may_is_taken_back(
        self, start, connect, plainly, autocommit, how, calls
    ):
        start(self.CAPPED)
        connection = connect(autocommit=autocommit)
        with agent():
            cursor = connection.cursor(cursors.SSCursor if how == "stream" else cursors.Cursor)
            with pytest.raises(guardai.PolicyDenied):
                match how:
                    case "executemany":
                        cursor.executemany("UPDATE orders SET cents = %s WHERE id = %s", [(1, n) for n in range(1, 6)])
                    case "returning":
                        cursor.execute("DELETE FROM orders WHERE id < 10 RETURNING id")
                    case _:
                        cursor.execute("DELETE FROM orders WHERE id < 10")
            cursor.execute("DELETE FROM orders WHERE id < 3")
        connection.commit()
        assert plainly("SELECT count(*), sum(cents = 1) FROM orders") == ((47, 0),)
        assert [outcome["status"] for _, outcome in calls()] == ["denied", "ok"]

    def test_write_with_returning_on_an_unbuffered_cursor_is_refused_under_a_cap(self, start, connect, plainly):
        start(self.CAPPED)
        with agent(), pytest.raises(guardai.PolicyDenied, match="unbuffered"):
            connect().cursor(cursors.SSCursor).execute("DELETE FROM orders WHERE id < 10 RETURNING id")
        assert plainly("SELECT count(*) FROM orders") == ((50,),)

    @pytest.mark.parametrize("kind", CLASSES)
    def test_statement_that_takes_longer_than_it_may_is_stopped_and_the_setting_put_back(self, start, connect, kind):
        start('@timeout("1s") permit (principal, action, resource);')
        connection = connect()
        with agent():
            cursor = connection.cursor(getattr(cursors, kind))
            with pytest.raises(pymysql.Error) as told:
                cursor.execute("SELECT count(*) FROM seq_1_to_100000 a, seq_1_to_100000 b")
                cursor.fetchall()
            assert told.value.args[0] in (1969, 1317)
            cursor.execute("SELECT id FROM customers")
            assert len(cursor.fetchall()) == 10
        plain = connection.cursor()
        plain.execute("SELECT @@SESSION.max_statement_time")
        assert plain.fetchone()[0] == 0

    @pytest.mark.parametrize("autocommit", [True, False])
    @pytest.mark.parametrize("kind", CLASSES)
    def test_engine_refuses_what_the_inspection_took_for_a_read(
        self, start, connect, plainly, monkeypatch, autocommit, kind, events
    ):
        from guardai.gate import plan
        from guardai.sql import Inspection

        monkeypatch.setattr(
            plan, "inspect",
            lambda *_, **__: Inspection("db.read", frozenset({"read"}), reads=frozenset({"orders"}), verbs=("select",)),
        )  # fmt: skip
        start(self.READS)
        connection = connect(autocommit=autocommit)
        with agent():
            cursor = connection.cursor(getattr(cursors, kind))
            with pytest.raises(pymysql.Error) as told:
                cursor.execute("DELETE FROM orders")
        assert told.value.args[0] == 1792
        outcome = events(kind="call.outcome")[-1]
        assert (outcome["status"], outcome["body"]["refused"]) == ("error", "engine")
        connection.cursor().execute("DELETE FROM orders WHERE id = 1")
        connection.commit()
        assert plainly("SELECT count(*) FROM orders") == ((49,),)

    @pytest.mark.parametrize("kind", CLASSES)
    @pytest.mark.parametrize("autocommit", [True, False])
    def test_reads_pass_under_the_lock_and_leave_no_transaction(self, start, connect, kind, autocommit):
        start(self.READS)
        connection = connect(autocommit=autocommit)
        with agent():
            cursor = connection.cursor(getattr(cursors, kind))
            cursor.execute("SELECT id FROM customers")
            assert len(cursor.fetchall()) == 10
            assert not connection.server_status & 1
            cursor.execute("SELECT id FROM customers")
            cursor.fetchone()
            cursor.close()
        connection.cursor().execute("DELETE FROM orders WHERE id = 1")
