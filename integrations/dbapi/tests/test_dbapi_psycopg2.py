"""psycopg2 against a real server: subclasses of what the program asks for, masked rows, one intent and outcome each."""

import io
import pickle
import threading
import time

import psycopg2
import psycopg2.extensions
import psycopg2.pool
import pytest
from psycopg2 import sql
from psycopg2.extras import DictCursor, NamedTupleCursor, RealDictCursor, execute_batch, execute_values

import guardai

PERMIT = "permit (principal, action, resource);"
MASKED = PERMIT + (
    '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource == Label::"pii.email")'
    ' when { context.to.kind == "process" };'
)
CATALOG = '[columns]\n"customers.email" = ["pii.email"]\n'
QUERY = "SELECT id, email FROM customers ORDER BY id"


@pytest.fixture
def shop(postgres):
    connection = psycopg2.connect(postgres)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE customers (id int PRIMARY KEY, name text, email text, note text)")
        cursor.execute(
            "INSERT INTO customers SELECT n, 'name' || n, 'user' || n || '@example.com', 'none' FROM generate_series(1, 10) n"
        )
    connection.close()
    return postgres


@pytest.fixture
def start(home, policy):
    def begin(text=MASKED, catalog=CATALOG, **options):
        guardai.init(home=home, integrations=["dbapi"], policy=policy(text, catalog), **options)

    return begin


@pytest.fixture
def connect(shop):
    made = []

    def connect(**options):
        made.append(psycopg2.connect(shop, **options))
        return made[-1]

    yield connect
    for connection in made:
        connection.close()


@pytest.fixture
def other(shop):
    """One value, by a connection of its own."""
    connection = psycopg2.extensions.connection(shop)
    connection.autocommit = True

    def ask(query):
        cursor = psycopg2.extensions.cursor(connection)
        cursor.execute(query)
        return cursor.fetchone()[0]

    yield ask
    connection.close()


def run(connection, query, parameters=None, **options):
    cursor = connection.cursor(**options)
    cursor.execute(query, parameters)
    return cursor


class TestDenied:
    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM customers",
            b"DROP TABLE customers",
            sql.SQL("DROP TABLE {}").format(sql.Identifier("customers")),
            "SELECT 1; TRUNCATE customers",
        ],
    )
    @pytest.mark.parametrize("how", ["execute", "executemany", "named", "copy"])
    def test_denied_statement_never_reaches_the_server(self, home, connect, other, statement, how):
        guardai.init(home=home, integrations=["dbapi"])
        connection = connect()
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            match how:
                case "execute":
                    connection.cursor().execute(statement)
                case "executemany":
                    connection.cursor().executemany(statement, [()])
                case "named":
                    connection.cursor("c").execute(statement)
                case "copy":
                    connection.cursor().copy_expert(statement, io.StringIO())
        assert connection.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_IDLE
        assert other("SELECT count(*) FROM customers") == 10

    def test_sql_in_a_parameter_is_judged(self, home, connect, other):
        guardai.init(home=home, integrations=["dbapi"])
        smuggled = psycopg2.extensions.AsIs("1; DROP TABLE customers")

        class Container(list):
            pass

        connection = connect()
        with guardai.session(agent="a"):
            for parameters in ((smuggled,), Container([smuggled])):
                with pytest.raises(guardai.PolicyDenied):
                    connection.cursor().execute("SELECT %s", parameters)
            with pytest.raises(guardai.PolicyDenied):
                connection.cursor().executemany("SELECT %s", [(1,), (smuggled,)])
            with pytest.raises(guardai.PolicyDenied):
                connection.cursor().callproc("lower", (psycopg2.extensions.AsIs("'x'); DROP TABLE customers; --"),))
        assert other("SELECT count(*) FROM customers") == 10

    def test_pages_of_the_extras_are_judged_as_they_are_sent(self, home, connect, other, calls):
        guardai.init(home=home, integrations=["dbapi"])
        connection = connect()
        with guardai.session(agent="a"):
            execute_values(connection.cursor(), "INSERT INTO customers (id, name) VALUES %s", [(20, "a"), (21, "b")])
            execute_batch(connection.cursor(), "UPDATE customers SET name = %s WHERE id = %s", [("c", 20), ("d", 21)])
            with pytest.raises(guardai.PolicyDenied):
                execute_batch(connection.cursor(), "DELETE FROM customers WHERE id = id", [(), ()])
        connection.commit()
        assert other("SELECT name FROM customers WHERE id = 21") == "d"
        assert [pair[1]["status"] for pair in calls()] == ["ok", "ok", "denied"]


class TestMasking:
    @pytest.mark.parametrize("name", [None, "c"])
    @pytest.mark.parametrize(
        "fetch",
        [
            lambda c: [c.fetchone(), *iter(c.fetchone, None)],
            lambda c: [*c.fetchmany(3), *c.fetchmany(100)],
            lambda c: c.fetchall(),
            list,
        ],
    )
    def test_every_way_to_fetch_is_masked_and_counted(self, start, connect, calls, fetch, name):
        start()
        with guardai.session(agent="a"):
            cursor = run(connect(), QUERY, name=name)
            assert fetch(cursor) == [(n, "[EMAIL]") for n in range(1, 11)]
        [(_, outcome)] = calls("db.read")
        assert (outcome["status"], outcome["body"]["rows"]) == ("ok", 10)

    @pytest.mark.parametrize(
        ("factory", "email"),
        [
            (DictCursor, lambda row: row["email"]),
            (RealDictCursor, lambda row: row["email"]),
            (NamedTupleCursor, lambda row: row.email),
        ],
    )
    @pytest.mark.parametrize("name", [None, "c"])
    def test_cursors_of_the_extras_make_their_rows_of_masked_values(self, start, connect, factory, email, name):
        start()
        with guardai.session(agent="a"):
            cursor = run(connect(), QUERY, name=name, cursor_factory=factory)
            assert isinstance(cursor, factory)
            rows = [cursor.fetchone(), *cursor.fetchmany(2), *cursor]
        assert [email(row) for row in rows] == ["[EMAIL]"] * 10

    def test_rows_are_of_the_same_type_with_and_without(self, shop, start, connect):
        plain = run(psycopg2.extensions.connection(shop), QUERY, cursor_factory=RealDictCursor).fetchall()
        start(PERMIT)
        with guardai.session(agent="a"):
            governed = run(connect(), QUERY, cursor_factory=RealDictCursor).fetchall()
        assert governed == plain
        assert {type(row) for row in governed} == {type(row) for row in plain}
        assert pickle.loads(pickle.dumps(governed)) == plain

    def test_row_factory_never_sees_an_unmasked_value(self, start, connect):
        start()
        seen = []

        class Row(list):
            def __init__(self, cursor):
                super().__init__([None] * len(cursor.description))

            def __setitem__(self, at, value):
                seen.append(value)
                super().__setitem__(at, value)

        with guardai.session(agent="a"):
            cursor = run(connect(), "SELECT email FROM customers")
            cursor.row_factory = Row
            assert cursor.row_factory is Row
            cursor.fetchone()
            cursor.fetchmany(2)
            next(cursor)
            cursor.fetchall()
            cursor.scroll(0, "absolute")
            cursor.fetchall()
        assert len(seen) == 20
        assert set(seen) == {"[EMAIL]"}

    def test_returning_and_procedures_are_masked(self, start, connect):
        start()
        connection = connect()
        with guardai.session(agent="a"):
            cursor = run(connection, "UPDATE customers SET name = %s WHERE id = %s RETURNING email", ("x", 1))
            assert cursor.fetchall() == [("[EMAIL]",)]
            cursor = connection.cursor()
            assert cursor.callproc("lower", ("ABC",)) == ("ABC",)
            assert cursor.fetchall() == [("abc",)]

    def test_copies_that_come_are_masked(self, start, connect, calls):
        start()
        connection = connect()
        with guardai.session(agent="a"):
            text, raw = io.StringIO(), io.BytesIO()
            connection.cursor().copy_expert("COPY (SELECT email FROM customers) TO STDOUT", text)
            connection.cursor().copy_to(raw, "customers", sep="|", columns=("email",))
        assert text.getvalue() == "[EMAIL]\n" * 10
        assert raw.getvalue() == b"[EMAIL]\n" * 10
        assert [pair[1]["body"]["rows"] for pair in calls()] == [10, 10]

    def test_copies_that_leave_are_masked(self, start, connect, other):
        start(MASKED.replace('"process"', '"database"'))
        connection = connect()
        with guardai.session(agent="a"):
            connection.cursor().copy_from(
                io.StringIO("30\ta@example.com\n31\tplain"), "customers", columns=("id", "email"), size=5
            )
            connection.cursor().copy_expert("COPY customers (id, email) FROM STDIN", io.BytesIO(b"32\tb@example.com\n"))
        connection.commit()
        assert (
            other("SELECT string_agg(email, ' ' ORDER BY id) FROM customers WHERE id >= 30") == "[EMAIL] plain [EMAIL]"
        )

    @pytest.mark.parametrize("form", ["WITH (FORMAT binary)", "WITH CSV"])
    def test_copy_that_cannot_be_taken_apart_is_denied_where_it_may_not_be_revealed(self, start, connect, form):
        start(MASKED + '@id("no-raw") forbid (principal, action == Action::"reveal", resource == Label::"opaque.raw");')
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied, match="opaque"):
            connect().cursor().copy_expert(f"COPY customers TO STDOUT {form}", io.BytesIO())

    def test_parameters_are_masked_on_their_way(self, start, connect, other, events):
        start(MASKED.replace('"process"', '"database"'))
        connection = connect()
        with guardai.session(agent="a"):
            run(connection, "UPDATE customers SET note = %s WHERE id = %s", ("a@example.com", 1))
            run(connection, "UPDATE customers SET note = %(n)s WHERE id = %(i)s", {"n": "b@example.com", "i": 2})
            connection.cursor().executemany("UPDATE customers SET note = %s WHERE id = %s", [("c@example.com", 3)])
        connection.commit()
        assert other("SELECT string_agg(note, ' ') FROM customers WHERE id < 4") == "[EMAIL] [EMAIL] [EMAIL]"
        assert "@example.com" not in repr(events())


class TestTheSame:
    def test_classes_of_the_program_hold_and_types_can_be_registered(self, start, connect):
        start()

        class Mine(psycopg2.extensions.connection):
            pass

        class Cursor(psycopg2.extensions.cursor):
            def execute(self, query, vars=None):
                return super().execute(query.replace("MAIL", "email"), vars)

        connection = connect(connection_factory=Mine, cursor_factory=Cursor)
        assert isinstance(connection, Mine)
        shout = psycopg2.extensions.new_type((25,), "SHOUT", lambda value, _: value and value.upper())
        psycopg2.extensions.register_type(shout, connection)
        assert psycopg2.extensions.quote_ident("a b", connection) == '"a b"'
        with guardai.session(agent="a"):
            cursor = run(connection, "SELECT MAIL, name FROM customers WHERE id = 1")
            assert isinstance(cursor, Cursor)
            assert cursor.fetchone() == ("[EMAIL]", "NAME1")
        with connection, connection.cursor() as cursor:
            assert isinstance(cursor, Cursor)
            assert cursor.connection is connection

    def test_pool_gives_governed_connections(self, start, shop):
        start()
        pool = psycopg2.pool.ThreadedConnectionPool(1, 2, shop)
        connection = pool.getconn()
        with guardai.session(agent="a"):
            assert run(connection, "SELECT email FROM customers WHERE id = 1").fetchone() == ("[EMAIL]",)
        pool.closeall()

    def test_application_is_unrecorded_and_unmasked_also_on_an_agents_cursor(self, start, connect, calls):
        start()
        connection = connect()
        cursor = connection.cursor()
        with guardai.session(agent="a"):
            cursor.execute("SELECT email FROM customers WHERE id = 1")
            assert cursor.fetchone() == ("[EMAIL]",)
        before = len(calls())
        cursor.execute("SELECT email FROM customers WHERE id = 1")
        assert cursor.fetchone() == ("user1@example.com",)
        out = io.StringIO()
        cursor.copy_to(out, "customers", columns=("email",))
        assert "user1@example.com" in out.getvalue()
        cursor.execute("DELETE FROM customers")
        assert len(calls()) == before

    def test_observe_mode_changes_nothing(self, start, connect, calls):
        start(mode="observe")
        with guardai.session(agent="a"):
            assert run(connect(), "SELECT email FROM customers WHERE id = 1").fetchone() == ("user1@example.com",)
        assert calls()[0][1]["decision"]["masks"] == {"pii.email": "redact"}

    def test_uninstall_restores_the_original(self, home):
        before = vars(psycopg2)["connect"]
        guardai.init(home=home, integrations=["dbapi"])
        assert vars(psycopg2)["connect"] is not before
        guardai.shutdown()
        assert vars(psycopg2)["connect"] is before

    def test_wrapped_connection_is_governed_without_patching(self, home, policy, shop):
        plain = psycopg2.connect(shop)
        guardai.init(home=home, integrations=[], policy=policy(MASKED, CATALOG))
        wrapped = guardai.wrap(plain)
        assert isinstance(wrapped, psycopg2.extensions.connection)
        with guardai.session(agent="a"), wrapped as connection, connection.cursor(cursor_factory=DictCursor) as cursor:
            cursor.execute("SELECT email FROM customers WHERE id = 1")
            assert cursor.fetchone()["email"] == "[EMAIL]"
        plain.close()

    def test_error_of_the_server_comes_through_unchanged(self, start, connect, calls):
        start(PERMIT)
        with guardai.session(agent="a"), pytest.raises(psycopg2.errors.UndefinedColumn) as told:
            run(connect(), "SELECT nothing FROM customers")
        assert told.value.pgcode == "42703"
        assert pickle.loads(pickle.dumps(told.value)).pgcode == "42703"
        assert calls()[0][1]["status"] == "error"

    def test_statement_during_which_the_connection_is_lost_is_unknown(self, start, connect, other, calls):
        start(PERMIT)
        connection = connect()
        pid = connection.get_backend_pid()

        def kill():
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                found = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND query LIKE '%pg_sleep%'"
                if other(found):
                    other(f"SELECT pg_terminate_backend({pid})")
                    return
                time.sleep(0.05)

        killer = threading.Thread(target=kill)
        killer.start()
        with guardai.session(agent="a"), pytest.raises(psycopg2.OperationalError):
            run(connection, "UPDATE customers SET name = 'x' WHERE id = 1 AND pg_sleep(20) IS NOT NULL")
        killer.join()
        assert calls()[-1][1]["status"] == "unknown"

    def test_what_cannot_be_encoded_is_pythons_error(self, start, connect):
        start(PERMIT)
        connection = connect()
        connection.set_client_encoding("LATIN1")
        with guardai.session(agent="a"):
            with pytest.raises(UnicodeEncodeError):
                run(connection, "SELECT id FROM customers WHERE name = %s", ("\N{EURO SIGN}",))
            assert run(connection, "SELECT 1").fetchone() == (1,)

    def test_large_object_is_one_call_that_policy_can_refuse(self, home, connect):
        guardai.init(home=home, integrations=["dbapi"])
        connection = connect()
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            connection.lobject(0, "w")
        connection.lobject(0, "w").write("application")


LIMITED = '@id("everything") {annotations} permit (principal, action, resource);'


class TestGuards:
    @pytest.mark.parametrize("autocommit", [False, True])
    @pytest.mark.parametrize("how", ["execute", "executemany", "returning"])
    def test_statement_that_changes_too_many_rows_is_taken_back(self, start, connect, other, calls, autocommit, how):
        start(LIMITED.format(annotations='@affected_cap("3")'))
        connection = connect()
        connection.autocommit = autocommit
        run(connection, "UPDATE customers SET note = 'mine' WHERE id = 9")
        cursor = connection.cursor()
        with guardai.session(agent="a"):
            with pytest.raises(guardai.PolicyDenied, match="would change 5 rows, policy permits 3"):
                if how == "executemany":
                    cursor.executemany("UPDATE customers SET name = 'x' WHERE id = %s", [(n,) for n in range(1, 6)])
                else:
                    returning = " RETURNING email" if how == "returning" else ""
                    cursor.execute("UPDATE customers SET name = 'x' WHERE id <= 5" + returning)
            if how == "returning":
                with pytest.raises(guardai.ResultWithheld):
                    cursor.fetchall()
            run(connection, "UPDATE customers SET name = 'y' WHERE id <= 3")
        if not autocommit:
            connection.commit()
        assert other("SELECT count(*) FROM customers WHERE name = 'x'") == 0
        assert other("SELECT count(*) FROM customers WHERE name = 'y' OR note = 'mine'") == 4
        assert [pair[1]["status"] for pair in calls()] == ["denied", "ok"]

    @pytest.mark.parametrize("autocommit", [False, True])
    def test_statement_that_takes_too_long_is_ended_and_the_limit_is_put_back(self, start, connect, autocommit):
        start(LIMITED.format(annotations='@timeout("1s")'))
        connection = connect(options="-c statement_timeout=54321")
        connection.autocommit = autocommit
        with guardai.session(agent="a"), pytest.raises(psycopg2.errors.QueryCanceled):
            run(connection, "SELECT pg_sleep(10)")
        connection.rollback()
        assert run(connection, "SHOW statement_timeout").fetchone() == ("54321ms",)

    @pytest.mark.parametrize("autocommit", [False, True])
    def test_engine_refuses_what_was_taken_for_a_read_and_the_application_writes_on(
        self, start, connect, monkeypatch, events, autocommit
    ):
        from guardai.gate import plan
        from guardai.sql import inspect

        harmless = inspect("SELECT id FROM customers", "postgres")
        monkeypatch.setattr(plan, "inspect", lambda *args, **kwargs: harmless)
        start(
            '@id("reads") permit (principal, action == Action::"db.read", resource);'
            '@id("shown") permit (principal, action == Action::"reveal", resource);',
            "",
        )
        connection = connect()
        connection.autocommit = autocommit
        with guardai.session(agent="a"):
            with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
                run(connection, "UPDATE customers SET name = 'x'")
            connection.rollback()
            with pytest.raises(UnicodeEncodeError):
                run(connection, "SELECT id FROM customers WHERE name = %s", ("\ud800",))
        assert events(kind="call.outcome")[0]["body"]["refused"] == "engine"
        run(connection, "UPDATE customers SET note = 'mine' WHERE id = 9")

    def test_reading_the_tables_begins_no_transaction(self, home, policy, connect, shop):
        guardai.init(home=home, integrations=["dbapi"], policy=policy(PERMIT, CATALOG))
        connection = connect()
        with guardai.session(agent="a"):
            connection.cursor().callproc("lower", ("x",))
            connection.rollback()
            assert connection.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_IDLE
        assert connection.autocommit is False
