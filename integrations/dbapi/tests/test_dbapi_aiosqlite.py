import asyncio
import sqlite3
import threading

import pytest

import guardai

aiosqlite = pytest.importorskip("aiosqlite")

CATALOG = '[columns]\n"customers.email" = ["pii.email"]\n'
MASK = (
    "permit (principal, action, resource);"
    '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email");'
)


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT)")
        connection.executemany(
            "INSERT INTO customers VALUES (?, ?, ?)", [(n, f"name{n}", f"unrecognisable{n}") for n in range(1, 11)]
        )
    return path


def names(path):
    return [name for (name,) in sqlite3.connect(path).execute("SELECT name FROM customers ORDER BY id")]


async def _fetchone(connection, sql):
    found = []
    async with connection.execute(sql) as cursor:
        while (row := await cursor.fetchone()) is not None:
            found.append(row)
    return found


async def _loop(connection, sql):
    async with connection.execute(sql) as cursor:
        return [row async for row in cursor]


async def _fetchmany(connection, sql):
    found = []
    cursor = await connection.cursor()
    await cursor.execute(sql)
    while part := await cursor.fetchmany(4):
        found.extend(part)
    await cursor.close()
    return found


async def _fetchall(connection, sql):
    async with connection.execute(sql) as cursor:
        return list(await cursor.fetchall())


WAYS = {
    "fetchone": _fetchone,
    "fetchmany": _fetchmany,
    "fetchall": _fetchall,
    "async for": _loop,
    "execute_fetchall": lambda c, s: c.execute_fetchall(s),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("factory", [None, sqlite3.Row])
async def test_rows_are_masked_however_they_are_fetched(start, shop, way, factory, calls):
    start(MASK, CATALOG)
    async with aiosqlite.connect(shop) as connection:
        connection.row_factory = factory
        with guardai.session(agent="a", user="u-1"):
            rows = await WAYS[way](connection, "SELECT id, email AS contact FROM customers ORDER BY id")
    assert [tuple(row) for row in rows] == [(n, "[EMAIL]") for n in range(1, 11)]
    assert {type(row) for row in rows} == {factory or tuple}
    [(intent, outcome)] = calls()
    assert (intent["principal"]["user"], outcome["status"], outcome["body"]["rows"]) == ("u-1", "ok", 10)


@pytest.mark.parametrize("how", ["execute", "executemany", "executescript", "cursor", "insert", "fetchall"])
async def test_denied_statement_has_no_effect_and_leaves_the_connection_usable(start, shop, how):
    start()
    statement = "DELETE FROM customers"
    async with aiosqlite.connect(shop) as connection:
        with guardai.session(agent="a"):
            with pytest.raises(guardai.PolicyDenied):
                match how:
                    case "execute":
                        await connection.execute(statement)
                    case "executemany":
                        await connection.executemany(statement, [()])
                    case "executescript":
                        await connection.executescript(statement)
                    case "cursor":
                        await (await connection.cursor()).execute(statement)
                    case "insert":
                        await connection.execute_insert(statement)
                    case "fetchall":
                        await connection.execute_fetchall(statement)
            assert len(await _fetchall(connection, "SELECT id FROM customers")) == 10
    assert len(names(shop)) == 10


async def test_connection_that_a_session_opened_is_no_session_of_its_own(start, shop, calls):
    start()
    with guardai.session(agent="a", user="one"):
        connection = await aiosqlite.connect(shop)
        await _fetchall(connection, "SELECT id FROM customers")
    await connection.execute("DELETE FROM customers WHERE id > 5 OR 1 = 1")  # the application's own
    await connection.rollback()
    with guardai.session(agent="a", user="two"):
        await _fetchall(connection, "SELECT id FROM customers")
    await connection.close()
    assert [pair[0]["principal"]["user"] for pair in calls()] == ["one", "two"]


async def test_concurrent_tasks_of_two_users_on_one_connection_are_never_mixed(start, shop, calls):
    start()
    async with aiosqlite.connect(shop) as connection:

        async def work(user):
            with guardai.session(agent="a", user=user):
                for n in range(20):
                    await _fetchall(connection, f"SELECT id, '{user}' FROM customers WHERE id = {n}")

        async def own():
            for _ in range(20):
                await _fetchall(connection, "SELECT id, 'app' FROM customers")

        await asyncio.gather(work("one"), own(), work("two"))
    users = [pair[0]["principal"]["user"] for pair in calls()]
    assert (users.count("one"), users.count("two"), len(users)) == (20, 20, 40)


async def test_errors_are_the_librarys_own(start, shop, calls):
    start()
    async with aiosqlite.connect(shop) as connection:
        with guardai.session(agent="a"):
            with pytest.raises(aiosqlite.OperationalError, match="no such table"):
                await connection.execute("SELECT * FROM nowhere")
            with pytest.raises(aiosqlite.IntegrityError):
                await connection.execute("INSERT INTO customers VALUES (1, 'x', 'y')")
    assert [pair[1]["status"] for pair in calls()] == ["error", "error"]
    with guardai.session(agent="a"), pytest.raises(ValueError, match="no active connection"):
        await connection.execute("SELECT 1")


async def test_write_is_recorded_with_its_count(start, shop, calls):
    start()
    async with aiosqlite.connect(shop) as connection:
        with guardai.session(agent="a"):
            cursor = await connection.execute("UPDATE customers SET name = ? WHERE id IN (1, 2)", ("x",))
            assert cursor.rowcount == 2
            await connection.commit()
    assert names(shop)[:3] == ["x", "x", "name3"]
    assert calls()[0][1]["body"]["affected"] == 2


async def test_cancelled_task_does_not_hide_what_its_thread_did(start, shop, calls):
    start("permit (principal, action, resource);")
    runs, cancelled = threading.Event(), threading.Event()

    def hold():
        runs.set()
        return cancelled.wait(30)

    async with aiosqlite.connect(shop) as connection:
        await connection.create_function("hold", 0, hold)
        with guardai.session(agent="a"):
            task = asyncio.create_task(connection.execute_fetchall("SELECT hold()"))
            assert await asyncio.to_thread(runs.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            cancelled.set()
            await connection.execute_fetchall("SELECT 1")
    assert [pair[1]["status"] for pair in calls()] == ["ok", "ok"]


async def test_observe_mode_changes_nothing(start, shop, calls):
    start(MASK, CATALOG, mode="observe")
    async with aiosqlite.connect(shop) as connection:
        with guardai.session(agent="a"):
            assert await _fetchall(connection, "SELECT email FROM customers WHERE id = 1") == [("unrecognisable1",)]
    assert len(calls()) == 1


async def test_one_connection_can_be_wrapped_alone(home, policy, shop, calls):
    from guardai_dbapi.aiosqlite import AiosqliteDriver

    guardai.init(home=home, integrations=[], policy=policy(MASK, CATALOG))
    async with aiosqlite.connect(shop) as connection:
        wrapped = AiosqliteDriver().wrap(connection)
        with guardai.session(agent="a", user="u-1"):
            for way in WAYS.values():
                assert await way(wrapped, "SELECT email FROM customers WHERE id = 1") == [("[EMAIL]",)]
    assert [pair[0]["principal"]["user"] for pair in calls()] == ["u-1"] * 5


async def test_uninstalling_restores_the_original(start):
    before = vars(aiosqlite.core.Connection)["_execute"]
    start()
    guardai.shutdown()
    assert vars(aiosqlite.core.Connection)["_execute"] is before
