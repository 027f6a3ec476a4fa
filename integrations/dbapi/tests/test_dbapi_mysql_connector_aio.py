import asyncio
import gc
import os
import subprocess
import sys
import warnings
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

import guardai

connector = pytest.importorskip("mysql.connector")
aio = pytest.importorskip("mysql.connector.aio")

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
        "charset": "utf8mb4",
        "collation": "utf8mb4_general_ci",
        "ssl_disabled": True,
    }


@pytest.fixture
def plainly(mariadb):
    """Asks by another library, which nothing governs here."""
    pymysql = pytest.importorskip("pymysql")
    options = {k: v for k, v in where(mariadb).items() if k not in ("ssl_disabled", "collation")}

    def ask(*statements):
        with pymysql.connect(**options, autocommit=True) as connection, connection.cursor() as cursor:
            for sql in statements:
                pymysql.cursors.Cursor.execute(cursor, sql)
            return cursor.fetchall()

    return ask


@pytest.fixture
def shop(mariadb, plainly):
    customers = ", ".join(f"({n}, 'name{n}', 'user{n}@example.com', 'none')" for n in range(1, 11))
    orders = ", ".join(f"({n}, {n % 10 + 1}, {n * 100})" for n in range(50))
    plainly(
        "CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, name TEXT, email VARCHAR(200), note LONGTEXT)",
        "CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, cents INT)",
        f"INSERT INTO customers VALUES {customers}",
        f"INSERT INTO orders VALUES {orders}",
    )
    return mariadb


@pytest.fixture
def held(mariadb):
    """Holds by another connection what a statement locks."""
    pymysql = pytest.importorskip("pymysql")
    options = {k: v for k, v in where(mariadb).items() if k not in ("ssl_disabled", "collation")}

    @contextmanager
    def holding(sql):
        with pymysql.connect(**options) as connection, connection.cursor() as cursor:
            pymysql.cursors.Cursor.execute(cursor, sql)
            yield

    return holding


@pytest.fixture
async def connect(shop):
    opened = []

    async def make(**options):
        connection = await aio.connect(**{**where(shop), "autocommit": True, **options})
        opened.append(connection)
        return connection

    yield make
    for connection in opened:
        connection.can_consume_results = True
        await connection.close()


def agent(**more):
    return guardai.session(agent="a", user="u", **more)


@contextmanager
def no_matter():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


async def run(connection, sql, *more, **options):
    cursor = await connection.cursor(**options)
    await cursor.execute(sql, *more)
    return cursor


class TestDenied:
    @pytest.mark.parametrize(
        "how",
        ["execute", "executemany", "cmd_query", "cmd_query_iter", "callproc", "prepared", "cmd_stmt_execute", "bytes"],
    )
    async def test_denied_statement_never_reaches_the_server(self, start, connect, plainly, how):
        start()
        connection = await connect()
        prepared = (await connection.cmd_stmt_prepare(b"DELETE FROM customers"))["statement_id"]
        sent = []
        plain = connection._send_cmd
        connection._send_cmd = lambda *args, **kwargs: (sent.append(repr((args, kwargs))), plain(*args, **kwargs))[1]
        with agent(), pytest.raises(guardai.PolicyDenied):
            match how:
                case "execute":
                    await run(connection, "DELETE FROM customers")
                case "executemany":
                    await (await connection.cursor()).executemany("DELETE FROM customers WHERE 1 = %s", [(1,)])
                case "cmd_query":
                    await connection.cmd_query("DELETE FROM customers")
                case "cmd_query_iter":
                    [_ async for _ in connection.cmd_query_iter("SELECT 1; DELETE FROM customers")]
                case "callproc":
                    await (await connection.cursor()).callproc("p", (1,))
                case "prepared":
                    await run(connection, "DELETE FROM customers WHERE 1 = ?", (1,), prepared=True)
                case "cmd_stmt_execute":
                    await connection.cmd_stmt_execute(prepared)
                case "bytes":
                    await run(connection, b"DROP TABLE customers")
        assert not any(word in text for text in sent for word in ("DELETE FROM", "DROP", "CALL", "EXECUTE"))
        del connection._send_cmd
        assert plainly("SELECT count(*) FROM customers") == ((10,),)

    async def test_value_within_quotes_of_the_statement_is_refused(self, start, connect, plainly):
        start(PERMIT)
        connection = await connect()
        with agent(), pytest.raises(guardai.PolicyDenied, match="quotes"):
            await run(connection, "DELETE FROM customers WHERE name = '%s'", (" OR 1=1 OR name=",))
        assert plainly("SELECT count(*) FROM customers") == ((10,),)

    async def test_statement_that_this_server_reads_otherwise_is_not_understood(self, start, connect):
        start()
        connection = await connect(sql_mode="ANSI_QUOTES")
        with agent(), pytest.raises(guardai.PolicyDenied) as told:
            await run(connection, 'SELECT "email" FROM customers')
        assert told.value.action == "db.unknown"

    async def test_transactions_are_the_programs_own(self, start, connect, plainly):
        start()
        with agent():
            connection = await connect(autocommit=False)
            await run(connection, "UPDATE customers SET name = 'x' WHERE id = 1")
            await connection.rollback()
            await run(connection, "UPDATE customers SET name = 'y' WHERE id = 2")
            await connection.commit()
            await connection.set_autocommit(True)
        assert plainly("SELECT name FROM customers WHERE id < 3 ORDER BY id") == (("name1",), ("y",))

    async def test_connection_is_usable_after_a_denial(self, start, connect):
        start()
        connection = await connect()
        with agent():
            cursor = await connection.cursor()
            with pytest.raises(guardai.PolicyDenied):
                await cursor.execute("DROP TABLE customers")
            await cursor.execute("SELECT count(*) FROM customers")
            assert await cursor.fetchall() == [(10,)]


async def _fetchone(cursor):
    rows = []
    while (row := await cursor.fetchone()) is not None:
        rows.append(row)
    return rows


async def _fetchmany(cursor):
    rows = []
    while part := await cursor.fetchmany(3):
        rows.extend(part)
    return rows


async def _fetchall(cursor):
    return list(await cursor.fetchall())


async def _iteration(cursor):
    rows = []
    with pytest.raises(StopAsyncIteration):
        while True:
            rows.append(
                await cursor.__anext__()
            )  # `async for` itself fails in the library: its `__aiter__` is a coroutine
    return rows


FETCHES = {"fetchone": _fetchone, "fetchmany": _fetchmany, "fetchall": _fetchall, "iteration": _iteration}


class TestRows:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("fetch", FETCHES)
    async def test_every_cursor_masks_in_every_way_to_fetch(self, start, connect, calls, kind, fetch):
        start(MASKED, CATALOG)
        connection = await connect()
        with agent():
            cursor = await run(connection, "SELECT id, name, email FROM customers ORDER BY id", **KINDS[kind])
            found = await FETCHES[fetch](cursor)
        assert len(found) == 10
        assert "user" not in repr(found)
        first = found[0]
        told = (first["id"], first["name"]) if isinstance(first, dict) else tuple(first[:2])
        assert told == ((bytearray(b"1"), bytearray(b"name1")) if "raw" in kind else (1, "name1"))
        [(_, outcome)] = calls("db.read")
        assert (outcome["status"], outcome["body"]["rows"]) == ("ok", 10)

    @pytest.mark.parametrize("kind", ["plain", "buffered", "dictionary", "raw"])
    async def test_every_result_of_a_procedure_is_masked(self, start, connect, plainly, calls, kind):
        plainly(
            "CREATE PROCEDURE p(IN n INT, OUT m TEXT) BEGIN SELECT substr(email, 1, 5) AS x FROM customers WHERE id = n;"
            " SELECT email INTO m FROM customers WHERE id = n; END"
        )
        start(MASKED, CATALOG)
        connection = await connect()
        with agent():
            cursor = await connection.cursor(**KINDS[kind])
            told = await cursor.callproc("p", (3, ""))
            with no_matter():
                found = [await result.fetchall() for result in cursor.stored_results()]
        assert [len(rows) for rows in found] == [1]
        assert "user3" not in repr((told, found)).lower()
        [(_, outcome)] = calls()
        assert (outcome["action"], outcome["status"]) == ("db.admin", "ok")

    @pytest.mark.parametrize("kind", ["plain", "buffered", "dictionary", "raw"])
    @pytest.mark.parametrize("way", ["nextset", "fetchsets", "mapped"])
    async def test_every_result_of_several_statements_is_masked(self, start, connect, calls, kind, way):
        start(MASKED, CATALOG)
        connection = await connect()
        with agent():
            cursor = await connection.cursor(**KINDS[kind])
            await cursor.execute("SELECT id FROM customers; SELECT email FROM customers", map_results=way == "mapped")
            if way == "nextset":
                found = [await cursor.fetchall()]
                assert await cursor.nextset()
                found.append(await cursor.fetchall())
                assert not await cursor.nextset()
            else:
                found = [rows async for _, rows in cursor.fetchsets()]
        assert [len(rows) for rows in found] == [10, 10]
        assert "user" not in repr(found)
        assert [outcome["status"] for _, outcome in calls()] == ["ok"]

    async def test_results_that_are_iterated_below_the_cursors_are_masked(self, start, connect, calls):
        start(MASKED, CATALOG)
        connection = await connect()
        found = []
        with agent():
            async for result in connection.cmd_query_iter("SELECT id FROM customers; SELECT email FROM customers"):
                assert "columns" in result
                found.append((await connection.get_rows())[0])
        assert [len(rows) for rows in found] == [10, 10]
        assert "user" not in repr(found)
        assert [outcome["status"] for _, outcome in calls()] == ["ok"]

    @pytest.mark.parametrize("left", ["closed", "consumed", "session ended"])
    async def test_rows_that_nobody_reads_to_the_end_are_abandoned(self, start, connect, calls, left):
        start()
        connection = await connect(consume_results=True)
        with agent():
            cursor = await run(connection, "SELECT id FROM customers")
            await cursor.fetchone()
            match left:
                case "closed":
                    await cursor.close()
                case "consumed":
                    await run(connection, "SELECT 1")
                    gc.collect()
        assert calls("db.read")[0][1]["status"] == "abandoned"

    async def test_unread_result_is_the_librarys_own_error_and_the_rows_stay_masked(self, start, connect):
        start(MASKED, CATALOG)
        connection = await connect()
        with agent():
            cursor = await run(connection, "SELECT email FROM customers")
            await cursor.fetchone()
            with pytest.raises(connector.errors.InternalError, match="Unread result"):
                await run(connection, "SELECT 1")
            assert "user" not in repr(await cursor.fetchall())

    async def test_result_of_several_that_nobody_read_is_not_taken_for_that_of_the_next_statement(
        self, start, connect, plainly
    ):
        plainly("UPDATE customers SET email = 'unrecognisable'")
        start(MASKED, CATALOG)
        connection = await connect()
        with agent():
            cursor = await run(connection, "SELECT id FROM orders; SELECT email FROM customers")
            await cursor.fetchall()
            with pytest.raises(guardai.PolicyDenied, match="still to come"):
                await cursor.execute("SELECT name FROM customers")
            assert await cursor.nextset()
            assert "unrecognisable" not in repr(await cursor.fetchall())
            await cursor.execute("SELECT name FROM customers WHERE id = 1")
            assert await cursor.fetchall() == [("name1",)]

    async def test_more_rows_than_policy_permits_are_withheld(self, start, connect):
        start('@row_cap("3") permit (principal, action, resource);')
        connection = await connect()
        with agent():
            cursor = await run(connection, "SELECT id FROM customers")
            with pytest.raises(guardai.ResultWithheld):
                await cursor.fetchall()

    async def test_warnings_are_a_statement_of_their_own(self, start, connect, calls):
        start(MASKED, CATALOG)
        connection = await connect(get_warnings=True)
        with agent():
            with no_matter():
                cursor = await run(connection, "SELECT CAST('ada@example.com' AS INT)")
                await cursor.fetchall()
            assert cursor.warnings
            assert "ada@" not in repr(cursor.warnings)
        assert len(calls("db.read")) == 2

    async def test_executemany_is_one_call(self, start, connect, calls, plainly):
        start()
        connection = await connect()
        with agent():
            cursor = await connection.cursor()
            await cursor.executemany("INSERT INTO customers (name) VALUES (%s)", [("x",)] * 5)
            await cursor.executemany("UPDATE customers SET note = %s WHERE id = %s", [("y", n) for n in (1, 2)])
            prepared = await connection.cursor(prepared=True)
            await prepared.executemany("UPDATE customers SET note = ? WHERE id = ?", [("z", n) for n in (3, 4)])
        assert [outcome["body"]["affected"] for _, outcome in calls()] == [5, 2, 2]
        assert plainly("SELECT count(*) FROM customers WHERE name = 'x' OR note IN ('y', 'z')") == ((9,),)

    async def test_parameters_are_masked_as_data(self, start, connect, plainly):
        start(
            PERMIT + '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", '
            'resource in Label::"pii.email") when { context.to.kind == "database" };'
        )
        connection = await connect()
        with agent():
            for kind in ({}, {"prepared": True}):
                await run(connection, "UPDATE customers SET note = %s WHERE id = 1", ("to ada@example.com",), **kind)
        assert "ada@" not in repr(plainly("SELECT note FROM customers WHERE id = 1"))


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

    async def told(self, connection, options):
        found = []
        for statement in self.STATEMENTS:
            cursor = await connection.cursor(**options)
            try:
                await cursor.execute(statement)
                rows = await cursor.fetchall() if cursor.description else None
                found.append((cursor.description, cursor.rowcount, cursor.lastrowid, rows))
            except connector.Error as exc:
                found.append((type(exc), exc.args))
            await cursor.close()
        await connection.rollback()
        return found

    @pytest.mark.parametrize("kind", KINDS)
    async def test_results_types_and_errors_are_the_same(self, start, connect, kind):
        plain = await self.told(await connect(autocommit=False), KINDS[kind])
        start(PERMIT)
        with agent():
            assert await self.told(await connect(autocommit=False), KINDS[kind]) == plain

    async def test_observe_mode_changes_nothing_and_records(self, start, connect, calls, plainly):
        start(
            MASKED + '@id("keep") forbid (principal, action == Action::"db.destroy", resource);',
            CATALOG,
            mode="observe",
        )
        connection = await connect()
        with agent():
            for options in KINDS.values():
                cursor = await run(connection, "SELECT email FROM customers WHERE id = 1", **options)
                assert "user1@example.com" in repr(await cursor.fetchall())
                await cursor.close()
            await run(connection, "DELETE FROM orders")
        assert plainly("SELECT count(*) FROM orders") == ((0,),)
        assert len(calls("db.read")) == len(KINDS)
        assert calls("db.destroy")[0][0]["decision"]["effect"] == "deny"

    async def test_application_goes_its_own_way_unrecorded(self, start, connect, events):
        start(MASKED, CATALOG)
        connection = await connect()
        cursor = await run(connection, "SELECT email FROM customers WHERE id = 1")
        assert await cursor.fetchall() == [("user1@example.com",)]
        await cursor.execute("DELETE FROM orders")
        assert events() == []
        assert "_guardai" not in vars(connection)

    async def test_uninstalling_restores_the_originals(self, start):
        from guardai_dbapi.mysql_connector_aio import _CONNECTION, CURSORS

        owners = [(getattr(aio.cursor, kind), name) for kind, methods in CURSORS.items() for name in methods]
        owners += [(aio.MySQLConnection, name) for name in _CONNECTION if name in vars(aio.MySQLConnection)]
        before = [vars(owner)[name] for owner, name in owners]
        start()
        assert all(vars(owner)[name] is not plain for (owner, name), plain in zip(owners, before, strict=True))
        guardai.shutdown()
        assert all(vars(owner)[name] is plain for (owner, name), plain in zip(owners, before, strict=True))

    async def test_every_target_is_there(self, start):
        start()
        from guardai.hooks import report

        targets = [t for each in report() for t in each["targets"] if t["target"].startswith("mysql.connector.aio")]
        assert len(targets) == 20
        assert {t["status"] for t in targets} == {"patched"}

    async def test_connection_that_is_open_already_is_governed(self, start, connect):
        connection = await connect()
        start(MASKED, CATALOG)
        with agent():
            cursor = await run(connection, "SELECT email FROM customers WHERE id = 1")
            assert "user1" not in repr(await cursor.fetchall())

    async def test_connection_by_a_socket_of_this_machine_is_governed(self, start, connect, plainly):
        start(MASKED, CATALOG)
        path = plainly("SELECT @@socket")[0][0]
        if not os.path.exists(path):
            pytest.skip("the server is not on this machine")
        connection = await connect(unix_socket=path)
        with agent():
            cursor = await run(connection, "SELECT email FROM customers")
            assert "user" not in repr(await cursor.fetchall())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(run(connection, "SELECT sleep(2)"), 1)
            with pytest.raises(connector.Error):
                await run(connection, "SELECT 1")

    async def test_compressed_connection_is_refused_to_an_agent_and_left_to_the_application(self, start, connect):
        start(PERMIT)
        connection = await connect(compress=True)
        with agent(), pytest.raises(guardai.PolicyDenied, match="compress=False"):
            await run(connection, "SELECT email FROM customers")
        cursor = await run(connection, "SELECT email FROM customers")
        assert len(await cursor.fetchall()) == 10

    async def test_connections_of_a_pool_are_governed(self, start, shop):
        start(MASKED, CATALOG)
        pool = aio.MySQLConnectionPool(pool_name="p", pool_size=1, **where(shop))
        await pool.initialize_pool()
        for _ in range(2):
            async with await pool.get_connection() as connection:
                with agent():
                    cursor = await run(connection, "SELECT email FROM customers WHERE id = 1")
                    assert "user1" not in repr(await cursor.fetchall())
        await pool.close_pool()

    async def test_one_connection_is_governed_without_patching(self, connect, home, policy):
        guardai.init(home=home, integrations=[], policy=policy(MASKED, CATALOG))
        plain = await connect()
        governed = guardai.wrap(await connect())
        assert isinstance(governed, aio.MySQLConnection)
        for again in (False, True):
            if again:
                await governed.reconnect()
            with agent():
                for options in KINDS.values():
                    cursor = await run(governed, "SELECT email FROM customers WHERE id = 1", **options)
                    assert "user1" not in repr(await cursor.fetchall())
                    await cursor.close()
                other = await run(plain, "SELECT email FROM customers WHERE id = 1")
                assert await other.fetchall() == [("user1@example.com",)]

    async def test_library_is_not_imported_for_a_program_that_does_not(self):
        code = (
            "import sys, guardai_dbapi.integration; print([name for name in sys.modules if name.startswith('mysql')])"
        )
        done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.strip() == "[]", done.stderr


class TestBelowSql:
    async def test_database_that_a_command_goes_to_is_judged_as_use_is(self, start, connect, calls):
        start()
        connection = await connect()
        with agent(), pytest.raises(guardai.PolicyDenied, match="USE"):
            await connection.cmd_init_db("mysql")
        await connection.cmd_init_db("mysql")
        with agent():
            cursor = await run(connection, "SELECT 1")

            assert await cursor.fetchall() == [(1,)]
        assert calls("db.read")[0][0]["resource"][0]["uri"].endswith("/mysql")

    async def test_autocommit_that_was_switched_off_is_heeded(self, start, connect, plainly):
        start('@affected_cap("3") permit (principal, action, resource);')
        connection = await connect()
        with agent():
            sql = "UPDATE orders SET cents = 1 WHERE id = 1"
            await run(connection, sql)
            await connection.set_autocommit(False)
            sql = "UPDATE orders SET cents = 2 WHERE id = 1"
            await run(connection, sql)
            await connection.rollback()
        assert plainly("SELECT cents FROM orders WHERE id = 1") == ((1,),)

    async def test_character_set_in_which_text_reads_otherwise_is_heeded(self, start, connect):
        start()
        connection = await connect()
        with agent():
            cursor = await run(connection, "SELECT 1")

            await cursor.fetchall()
            await connection.set_charset_collation("gbk")
            with pytest.raises(guardai.PolicyDenied) as told:
                await cursor.execute("SELECT id FROM orders WHERE id = '\\''")
        assert told.value.action == "db.unknown"

    async def test_connection_of_a_pool_goes_back_and_connects_again_inside_a_session(self, start, shop):
        start()
        pool = aio.MySQLConnectionPool(pool_name="q", pool_size=1, **where(shop))
        await pool.initialize_pool()
        with agent():
            for _ in range(2):
                connection = await pool.get_connection()
                cursor = await connection.cursor()
                await cursor.execute("SELECT id FROM orders WHERE id = %s", (3,))
                assert await cursor.fetchall() == [(3,)]
                await connection.reconnect()
                await connection.close()
        await pool.close_pool()


class TestTrouble:
    async def test_connection_killed_in_the_middle_leaves_the_effect_unknown(self, start, connect, calls, plainly):
        start(PERMIT)
        connection = await connect()
        with agent():
            await run(connection, "SELECT 1", buffered=True)
            task = asyncio.create_task(
                run(connection, "UPDATE customers SET name = 'x' WHERE id = 1 AND sleep(20) = 0")
            )
            await asyncio.sleep(1)
            await asyncio.to_thread(plainly, f"KILL {connection.connection_id}")
            with pytest.raises(connector.Error):
                await task
            with pytest.raises(connector.Error):
                await run(connection, "SELECT 1")
        outcomes = [outcome for _, outcome in calls() if "error" in (outcome.get("body") or {})]
        assert [outcome["status"] for outcome in outcomes] == ["unknown", "unknown"]

    async def test_statement_that_the_library_gives_up_waiting_for_may_have_happened(
        self, start, connect, calls, plainly
    ):
        start(PERMIT)
        connection = await connect(read_timeout=1)
        with agent(), pytest.raises(connector.Error) as told:
            await run(connection, "UPDATE customers SET name = 'x' WHERE id = 1 AND sleep(2) = 0")
        assert told.value.errno == 3024
        [outcome] = [outcome for _, outcome in calls() if "error" in (outcome.get("body") or {})]
        assert outcome["status"] == "unknown"
        await asyncio.sleep(1.5)
        assert plainly("SELECT name FROM customers WHERE id = 1") == (("x",),)

    @pytest.mark.parametrize("kind", ["plain", "buffered", "prepared"])
    async def test_cancelled_statement_is_told_unknown_and_its_answer_is_never_anothers(
        self, start, connect, calls, plainly, kind
    ):
        start(MASKED, CATALOG)
        connection = await connect()
        with agent():
            await run(connection, "SELECT 1", buffered=True)
            with pytest.raises(TimeoutError):
                sql = "SELECT email, sleep(0.2) FROM customers UNION SELECT 'user99@example.com', sleep(0)"
                await asyncio.wait_for(run(connection, sql, **KINDS[kind]), 1)
            await asyncio.sleep(1.5)
            for _ in range(3):
                with pytest.raises(connector.Error):
                    await run(connection, "SELECT name, id FROM customers")
            await connection.reconnect()
            cursor = await run(connection, "SELECT name FROM customers WHERE id = 1")
            assert await cursor.fetchall() == [("name1",)]
        statuses = [outcome["status"] for intent, outcome in calls()]
        assert (statuses[1], statuses[-1]) == ("unknown", "ok")

    async def test_cancelled_write_under_a_cap_is_not_committed_with_what_comes_later(
        self, start, connect, calls, plainly, held
    ):
        start('@affected_cap("3") permit (principal, action, resource);')
        connection = await connect()
        with agent():
            await run(connection, "UPDATE orders SET cents = 1 WHERE id = 40")
            with held("SELECT id FROM orders WHERE id = 0 FOR UPDATE"), pytest.raises(TimeoutError):
                await asyncio.wait_for(run(connection, "DELETE FROM orders WHERE id < 9"), 1)
        with pytest.raises(connector.Error):
            await connection.commit()
        assert calls()[-1][1]["status"] == "unknown"
        await asyncio.sleep(1)
        assert plainly("SELECT count(*) FROM orders") == ((50,),)

    async def test_rows_given_up_in_the_middle_are_told_and_no_more_come(self, start, connect, calls):
        start(MASKED, CATALOG)
        connection = await connect()
        with agent():
            cursor = await run(connection, "SELECT email, repeat('x', 100000), sleep(0.3) FROM customers")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(cursor.fetchall(), 0.5)
            with pytest.raises((connector.Error, guardai.ResultWithheld)):
                await cursor.fetchall()
        [(_, outcome)] = [pair for pair in calls() if "error" in (pair[1].get("body") or {})]
        assert (outcome["status"], outcome["body"]["error"]) == ("unknown", "CancelledError")

    @pytest.mark.parametrize("known", [False, True])
    async def test_agent_cannot_read_what_the_application_gave_up(self, start, connect, plainly, known):
        plainly("UPDATE customers SET email = 'unrecognisable'")
        start(MASKED, CATALOG)
        connection = await connect()
        if known:
            with agent():
                await run(connection, "SELECT 1", buffered=True)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run(connection, "SELECT email, sleep(0.1) FROM customers"), 0.5)
        await asyncio.sleep(1)
        for _ in range(3):
            with agent(), pytest.raises(guardai.PolicyDenied, match="still to come"):
                await run(connection, "SELECT name, id FROM customers")

    async def test_what_another_task_sends_meanwhile_is_no_part_of_a_statement(self, start, connect, calls, plainly):
        start(PERMIT)
        connection = await connect()
        with agent():
            await run(connection, "SELECT 1", buffered=True)
            first = asyncio.create_task(run(connection, "SELECT sleep(1)", buffered=True))
            await asyncio.sleep(0.5)
            cursor = await connection.cursor()
            for attempt in (
                lambda: cursor.execute("DELETE FROM orders"),
                lambda: connection.cmd_query("DELETE FROM orders"),
                lambda: cursor.execute("SELECT id FROM orders"),
            ):
                with pytest.raises(guardai.PolicyDenied, match="still to come"):
                    await attempt()
            assert await (await first).fetchall() == [(0,)]
            await cursor.execute("SELECT count(*) FROM orders")
            assert await cursor.fetchall() == [(50,)]
        assert [outcome["status"] for _, outcome in calls()].count("ok") == 3

    @pytest.mark.parametrize("kind", ["buffered", "prepared"])
    async def test_rows_that_may_be_those_of_the_application_are_withheld(self, start, connect, plainly, kind):
        plainly("UPDATE customers SET email = 'unrecognisable'")
        start(MASKED, CATALOG)
        connection = await connect()
        asked = asyncio.Event()

        async def application():
            await asked.wait()
            with pytest.raises((RuntimeError, connector.Error)):
                await connection.cmd_query("SELECT email FROM customers")
                await connection.get_rows()

        other = asyncio.create_task(application())
        with agent():
            await run(connection, "SELECT 1", buffered=True)
            asyncio.get_running_loop().call_later(0.5, asked.set)
            with pytest.raises((guardai.ResultWithheld, RuntimeError, connector.Error)):
                cursor = await run(connection, "SELECT sleep(2), name FROM customers WHERE id = 1", **KINDS[kind])
                assert "unrecognisable" not in repr(await cursor.fetchall())
            with pytest.raises(guardai.PolicyDenied, match="still to come"):
                await run(connection, "SELECT name FROM customers")
        await other

    async def test_tasks_with_connections_of_their_own_each_keep_their_session(self, start, connect, calls):
        start(MASKED, CATALOG)

        async def work(name):
            connection = await connect()
            with guardai.session(agent=name, user="u"):
                cursor = await run(connection, "SELECT email FROM customers WHERE id > %s", (3,))
                return await cursor.fetchall()

        found = await asyncio.gather(*(work(f"agent-{n}") for n in range(6)))
        assert "user" not in repr(found)
        assert {intent["principal"]["agent"] for intent, _ in calls("db.read")} == {f"agent-{n}" for n in range(6)}

    async def test_error_of_the_server_comes_through_unchanged_and_is_recorded(self, start, connect, calls):
        start()
        connection = await connect()
        with agent(), pytest.raises(connector.errors.ProgrammingError) as told:
            await run(connection, "SELECT * FROM nowhere")
        assert told.value.errno == 1146
        [(_, outcome)] = calls("db.read")
        assert (outcome["status"], outcome["body"]["error"]) == ("error", "ProgrammingError")

    async def test_server_that_is_not_there_is_the_librarys_own_error(self, start):
        plain = await self.unreachable()
        start()
        with agent():
            assert await self.unreachable() == plain

    @staticmethod
    async def unreachable():
        try:
            await aio.connect(host="127.0.0.1", port=1, user="nobody")
        except Exception as exc:
            return type(exc), str(exc)

    async def test_ten_thousand_parameters_and_five_megabytes_pass(self, start, connect, plainly):
        start()
        places = ", ".join(["%s"] * 10_000)
        connection = await connect()
        with agent():
            cursor = await run(connection, f"SELECT id FROM customers WHERE id IN ({places})", list(range(10_000)))
            assert len(await cursor.fetchall()) == 10
            await cursor.execute("UPDATE customers SET note = %s WHERE id = 1", ("x" * 5_000_000,))
        assert plainly("SELECT length(note) FROM customers WHERE id = 1") == ((5_000_000,),)


class TestGuards:
    @pytest.mark.parametrize("autocommit", [True, False])
    @pytest.mark.parametrize("kind", ["plain", "buffered", "prepared"])
    async def test_statement_that_changes_more_rows_than_it_may_is_taken_back(
        self, start, connect, plainly, autocommit, kind
    ):
        start('@affected_cap("3") permit (principal, action, resource);')
        connection = await connect(autocommit=autocommit)
        with agent():
            cursor = await connection.cursor(**KINDS[kind])
            with pytest.raises(guardai.PolicyDenied):
                await cursor.execute("DELETE FROM orders WHERE id < 10")
            await cursor.execute("DELETE FROM orders WHERE id < 3")
        await connection.commit()
        assert plainly("SELECT count(*) FROM orders") == ((47,),)

    async def test_statement_that_fails_under_a_cap_leaves_no_transaction_open(self, start, connect):
        start('@affected_cap("3") permit (principal, action, resource);')
        connection = await connect()
        with agent(), pytest.raises(connector.Error):
            await connection.cmd_query("INSERT INTO orders VALUES (1, 1, 1)")
        assert not connection.in_transaction

    @pytest.mark.parametrize("kind", ["plain", "buffered", "prepared"])
    @pytest.mark.parametrize("autocommit", [True, False])
    async def test_engine_refuses_what_the_inspection_took_for_a_read(
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
        connection = await connect(autocommit=autocommit)
        with agent():
            with pytest.raises(connector.Error) as told:
                await run(connection, "DELETE FROM orders", **KINDS[kind])
            cursor = await run(connection, "SELECT id FROM orders", **KINDS[kind])
            assert len(await cursor.fetchall()) == 50
            assert not connection.in_transaction
        assert told.value.errno == 1792
        assert events(kind="call.outcome")[0]["body"]["refused"] == "engine"
        assert plainly("SELECT count(*) FROM orders") == ((50,),)

    async def test_statement_that_takes_longer_than_it_may_is_stopped_and_the_setting_put_back(self, start, connect):
        start('@timeout("1s") permit (principal, action, resource);')
        connection = await connect()
        with agent():
            with pytest.raises(connector.Error) as told:
                cursor = await run(connection, "SELECT count(*) FROM seq_1_to_100000 a, seq_1_to_100000 b")
                await cursor.fetchall()
            assert told.value.errno in (1969, 1317)
        plain = await run(connection, "SELECT @@SESSION.max_statement_time")
        assert float((await plain.fetchall())[0][0]) == 0
