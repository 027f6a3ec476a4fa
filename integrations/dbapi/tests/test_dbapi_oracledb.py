"""python-oracledb's own classes, down to where its protocol would begin: there is no Oracle to be had."""

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import guardai

oracledb = pytest.importorskip("oracledb")
#: The library takes its modules' names off itself.
LIBRARY = sys.modules["oracledb.cursor"]

_spec = importlib.util.spec_from_file_location("oracle_wire", Path(__file__).parent / "oracle_wire.py")
oracle_wire = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracle_wire)

CATALOG = '[columns]\n"customers.email" = ["pii.email"]\n'
PERMIT = "permit (principal, action, resource);"
MASKED = PERMIT + (
    '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email")'
    ' when { context.to.kind == "process" };'
)
TO_DATABASE = PERMIT + (
    '@id("no") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email")'
    ' when { context.to.kind == "database" };'
)
NOTHING_RAW = PERMIT + '@id("raw") forbid (principal, action == Action::"reveal", resource in Label::"opaque.raw");'
MAIL = "[EMAIL]"


@pytest.fixture
def server(monkeypatch):
    made = oracle_wire.Server()
    made.database.execute("CREATE TABLE customers (id INT, name TEXT, email TEXT)")
    made.database.execute("CREATE TABLE orders (id INT, cents INT)")
    made.database.executemany(
        "INSERT INTO customers VALUES (?, ?, ?)", [(n, f"name{n}", f"user{n}@example.com") for n in range(1, 6)]
    )
    monkeypatch.setattr(sys.modules["oracledb.thin_impl"], "ThinConnImpl", oracle_wire.connection_class(made))
    return made


@pytest.fixture
def connect(server):
    return lambda: oracledb.connect(user="u", password="p", dsn="db.example:1521/sales")


@pytest.fixture
def aconnect(server):
    return lambda: oracledb.connect_async(user="u", password="p", dsn="db.example:1521/sales")


def agent(**more):
    return guardai.session(agent="a", user="u", **more)


def sent(server):
    return [text for text, _ in server.received]


# ---------------------------------------------------------------------- what is sent


def _prepared(connection, text):
    cursor = connection.cursor()
    cursor.prepare(text)
    cursor.execute(None)


def _pipelined(connection, text):
    pipeline = oracledb.create_pipeline()
    pipeline.add_execute(text)
    connection._impl.process_sync_operation(connection, "run_pipeline", (pipeline,), {})


WAYS = {
    "execute": lambda connection, text: connection.cursor().execute(text),
    "prepared": _prepared,
    "executemany": lambda connection, text: connection.cursor().executemany(text + " WHERE 1 = :1", [(1,), (1,)]),
    "as often as": lambda connection, text: connection.cursor().executemany(text, 3),
    "parse": lambda connection, text: connection.cursor().parse(text),
    "frame": lambda connection, text: connection.fetch_df_all(text),
    "frames": lambda connection, text: list(connection.fetch_df_batches(text, size=2)),
    "pipeline": _pipelined,
}


@pytest.mark.parametrize("way", WAYS)
def test_denied_statement_never_reaches_the_server(start, connect, server, way):
    start()
    connection = connect()
    with agent(), pytest.raises(guardai.PolicyDenied):
        WAYS[way](connection, "DELETE FROM customers")
    assert server.received == []


@pytest.mark.parametrize("how", ["callproc", "callfunc", "block", "load", "queue", "documents"])
def test_what_is_not_understood_never_reaches_the_server(start, connect, server, how):
    start()
    connection = connect()
    with agent(), pytest.raises(guardai.PolicyDenied):
        match how:
            case "callproc":
                connection.cursor().callproc("p", [1])
            case "callfunc":
                connection.cursor().callfunc("f", int, [1])
            case "block":
                connection.cursor().execute("begin delete from customers; end;")
            case "load":
                connection.direct_path_load("s", 't" --', ["a"], [(1,)])
            case "documents":
                connection.getSodaDatabase()
            case "queue":
                impl = SimpleNamespace(
                    deq_options_impl=None, enq_options_impl=None, deq_one=lambda: server.queued.append(1)
                )
                queue = oracledb.Queue._from_impl(connection, impl)
                connection._impl.process_sync_operation(queue, "deqone", (), {})
    assert server.received == server.loaded == server.queued == []


@pytest.mark.parametrize("way", ["execute", "executemany", "parse"])
async def test_denied_statement_of_an_async_cursor_never_reaches_the_server(start, aconnect, server, way):
    start()
    connection = await aconnect()
    cursor = connection.cursor()
    with agent(), pytest.raises(guardai.PolicyDenied):
        match way:
            case "execute":
                await cursor.execute("DELETE FROM customers")
            case "executemany":
                await cursor.executemany("DELETE FROM customers WHERE 1 = :1", [(1,)])
            case "parse":
                await cursor.parse("DROP TABLE customers")
    assert server.received == []


@pytest.mark.parametrize("form", ["position", "name", "keyword", "many"])
def test_value_that_may_not_go_there_is_masked_before_it_is_sent(start, connect, server, form):
    start(TO_DATABASE)
    cursor = connect().cursor()
    with agent():
        match form:
            case "position":
                cursor.execute("INSERT INTO customers VALUES (6, :1, :2)", ["x", "eve@example.com"])
            case "name":
                cursor.execute("INSERT INTO customers VALUES (6, 'x', :mail)", {"mail": "eve@example.com"})
            case "keyword":
                cursor.execute("INSERT INTO customers VALUES (6, 'x', :mail)", mail="eve@example.com")
            case "many":
                cursor.executemany("INSERT INTO customers VALUES (:1, 'x', :2)", [(6, "eve@example.com")])
    assert "eve@" not in json.dumps(server.received)
    assert server.database.execute("SELECT email FROM customers WHERE id = 6").fetchone() == (MAIL,)


def test_value_that_a_variable_holds_cannot_be_masked_so_it_is_refused(start, connect, server):
    start(TO_DATABASE)
    cursor = connect().cursor()
    variable = cursor.var(str)
    variable.setvalue(0, "eve@example.com")
    with agent(), pytest.raises(guardai.PolicyDenied, match="variable"):
        cursor.execute("INSERT INTO customers VALUES (6, 'x', :1)", [variable])
    assert server.received == []


def test_rows_that_a_variable_was_filled_with_are_not_looked_into(start, connect, server):
    start(NOTHING_RAW)
    with agent(), pytest.raises(guardai.PolicyDenied, match=r"opaque\.raw"):
        connect().cursor().executemany("INSERT INTO orders VALUES (1, 2)", 3)
    assert server.received == []


def test_template_is_judged_as_it_is_sent(start, connect, server, monkeypatch):
    class Template(list):
        pass

    monkeypatch.setattr(LIBRARY, "Template", Template)
    place = SimpleNamespace(value=1, conversion=None, format_spec="")
    start()
    cursor = connect().cursor()
    with agent():
        cursor.execute(Template(["SELECT name FROM customers WHERE id = ", place]))
        assert cursor.fetchall() == [("name1",)]
        with pytest.raises(guardai.PolicyDenied):
            cursor.execute(Template(["DELETE FROM customers WHERE 1 = ", place]))
    assert server.received == [("SELECT name FROM customers WHERE id = :1", [1])]


def test_address_is_the_servers_and_the_services(start, connect, events):
    start()
    with agent():
        connect().cursor().execute("SELECT id FROM orders")
    assert "oracle://db.example:1521/sales" in json.dumps(events(kind="call.intent"))


def test_operations_of_a_pipeline_are_calls_of_their_own(start, connect, server, calls):
    start(MASKED)
    connection = connect()
    pipeline = oracledb.create_pipeline()
    pipeline.add_execute("UPDATE customers SET name = 'x' WHERE id = 1")
    pipeline.add_fetchall("SELECT email FROM customers WHERE id = 1", rowfactory=lambda mail: {"mail": mail})
    with agent():
        connection._impl.process_sync_operation(connection, "run_pipeline", (pipeline,), {})
    assert ("PIPELINE", None) not in server.received
    assert server.received[-1] == ("ROWS", [{"mail": MAIL}])
    assert [intent["action"] for intent, _ in calls()] == ["db.write", "db.read"]
    connection._impl.process_sync_operation(connection, "run_pipeline", (pipeline,), {})
    assert server.received[-1] == ("PIPELINE", None), "the application's own goes as it went"


def test_rows_of_a_direct_path_load_are_masked(start, connect, server, calls):
    start(TO_DATABASE)
    with agent():
        connect().direct_path_load("shop", "customers", ["id", "email"], [(1, "eve@example.com"), (2, "none")])
    assert [tuple(row) for row in server.loaded[0][3]] == [(1, MAIL), (2, "none")]
    ((intent, outcome),) = calls()
    assert (intent["action"], outcome["body"]["affected"]) == ("db.write", 2)


# ---------------------------------------------------------------------- what comes back

FETCHES = {
    "fetchone": lambda cursor: list(iter(cursor.fetchone, None)),
    "fetchmany": lambda cursor: [*cursor.fetchmany(2), *cursor.fetchmany(size=10)],
    "fetchall": lambda cursor: cursor.fetchall(),
    "iteration": list,
}


@pytest.mark.parametrize("fetch", FETCHES)
def test_rows_are_masked_however_they_are_fetched(start, connect, fetch, calls):
    start(MASKED)
    cursor = connect().cursor()
    with agent():
        assert cursor.execute("SELECT id, email AS m FROM customers WHERE id < :1", [4]) is cursor
        assert FETCHES[fetch](cursor) == [(n, MAIL) for n in range(1, 4)]
    assert cursor.rowcount == 3
    ((_, outcome),) = calls()
    assert (outcome["status"], outcome["body"]["rows"]) == ("ok", 3)


async def test_rows_of_async_cursors_are_masked(start, aconnect, calls):
    start(MASKED)
    connection = await aconnect()
    with agent():
        with connection.cursor() as cursor:
            await cursor.execute("SELECT email FROM customers WHERE id < 3")
            assert await cursor.fetchone() == (MAIL,)
            assert await cursor.fetchmany(5) == [(MAIL,)]
        assert await connection.fetchall("SELECT email FROM customers WHERE id < 3") == [(MAIL,)] * 2
        with connection.cursor() as cursor:
            await cursor.execute("SELECT email FROM customers WHERE id < 3")
            assert [row async for row in cursor] == [(MAIL,)] * 2
    assert [outcome["status"] for _, outcome in calls()] == ["ok"] * 3


def test_row_factory_sees_no_unmasked_row(start, connect):
    start(MASKED)
    cursor = connect().cursor()
    seen = []

    def factory(number, mail):
        seen.append(mail)
        return {"id": number, "mail": mail}

    with agent():
        cursor.execute("SELECT id, email FROM customers WHERE id < 3")
        cursor.rowfactory = factory
        assert cursor.fetchone() == {"id": 1, "mail": MAIL}
        assert cursor.fetchall() == [{"id": 2, "mail": MAIL}]
    assert seen == [MAIL, MAIL]
    assert cursor.rowfactory is factory


def test_without_a_schema_each_column_bears_each_label(start, connect):
    start(MASKED, CATALOG)
    cursor = connect().cursor()
    with agent():
        cursor.execute("SELECT name FROM customers WHERE id = 1")
        assert cursor.fetchall() == [(MAIL,)]


def test_variables_of_a_query_are_withheld(start, connect):
    start(MASKED)
    cursor = connect().cursor()
    with agent():
        cursor.execute("SELECT email FROM customers")
        with pytest.raises(guardai.ResultWithheld):
            _ = cursor.fetchvars
    cursor.execute("SELECT email FROM customers")
    assert len(cursor.fetchvars) == 1


@pytest.mark.parametrize("how", ["callproc", "callfunc", "variable", "array"])
def test_what_a_procedure_puts_into_variables_is_masked(start, connect, server, how):
    start(MASKED)
    cursor = connect().cursor()

    def fill(_, *variables):
        variables[-1 if how != "callfunc" else 0].setvalue(0, ["y@example.com"] if how == "array" else "y@example.com")
        return []

    server.procedures["p"] = fill
    with agent():
        match how:
            case "callproc":
                assert cursor.callproc("p", [1, "before"]) == [1, MAIL]
            case "callfunc":
                assert cursor.callfunc("p", str, [1]) == MAIL
            case "variable":
                variable = cursor.var(str)
                cursor.execute("begin p(:1); end;", [variable])
                assert variable.getvalue() == MAIL
                assert cursor.bindvars[0].values == [MAIL]
            case "array":
                variable = cursor.arrayvar(str, 3)
                cursor.execute("begin p(:1); end;", [variable])
                assert variable.getvalue() == [MAIL]


def test_what_cannot_be_masked_in_a_variable_of_its_type_is_none(start, connect, server):
    start(MASKED, CATALOG)
    cursor = connect().cursor()
    server.procedures["f"] = lambda _, back, *__: back.setvalue(0, 42) or []
    with agent():
        assert cursor.callfunc("f", int, []) is None, "nothing tells that it is no e-mail address"
        variable = cursor.var(str)
        cursor.execute("UPDATE customers SET name = 'x' WHERE id = 1 RETURNING email INTO :1", [variable])
        assert variable.getvalue() == MAIL
    cursor.execute("UPDATE customers SET name = 'x' WHERE id = 1 RETURNING email INTO :1", [variable])
    assert variable.getvalue() == ["user1@example.com"]


def test_lists_of_returned_values_cannot_be_put_back_masked(start, connect):
    start(MASKED)
    cursor = connect().cursor()
    variable = cursor.var(str)
    with agent():
        cursor.execute("UPDATE customers SET name = 'x' WHERE id = 1 RETURNING email INTO :1", [variable])
    assert variable.getvalue() is None


def test_returned_values_that_need_no_mask_stay_as_they_are(start, connect):
    start(MASKED)
    cursor = connect().cursor()
    variable = cursor.var(str)
    with agent():
        cursor.execute("UPDATE customers SET name = 'x' WHERE id = 1 RETURNING name INTO :1", [variable])
    assert variable.getvalue() == ["x"]


def _opened(connection, rows):
    child = connection.cursor()
    child._impl.describe(["email"], rows)
    return child


@pytest.mark.parametrize("how", ["ref cursor", "same ref cursor", "given cursor", "implicit", "nested"])
def test_rows_of_a_cursor_that_a_call_returns_are_masked(start, connect, server, how, calls):
    start(MASKED)
    connection = connect()
    rows = [("x@example.com",), ("y@example.com",)]
    cursor = connection.cursor()
    with agent():
        match how:
            case "ref cursor":
                server.procedures["p"] = lambda _, back: back.setvalue(0, _opened(connection, rows)) or []
                child = cursor.callfunc("p", oracledb.DB_TYPE_CURSOR, [])
            case "same ref cursor":
                child = connection.cursor()
                variable = cursor.var(oracledb.DB_TYPE_CURSOR)
                variable.setvalue(0, child)
                server.procedures["p"] = lambda _, __: child._impl.describe(["email"], rows) or []
                cursor.callproc("p", [variable])
            case "given cursor":
                child = connection.cursor()
                server.procedures["p"] = lambda _, given: given.getvalue()._impl.describe(["email"], rows) or []
                cursor.callproc("p", [child])
            case "implicit":
                server.procedures["p"] = lambda _: [_opened(connection, rows)]
                cursor.callproc("p")
                (child,) = cursor.getimplicitresults()
            case "nested":
                cursor._impl._run = lambda *_: cursor._impl.describe(["id", "c"], [(1, _opened(connection, rows))])
                cursor.execute("SELECT id FROM customers")
                ((number, child),) = cursor.fetchall()
                assert number == 1
        assert child.fetchone() == (MAIL,)
        assert child.fetchall() == [(MAIL,)]
    assert len(calls()) == 1


def test_frames_cannot_be_masked_so_policy_has_to_permit_them(start, connect, server):
    start(NOTHING_RAW)
    with agent(), pytest.raises(guardai.PolicyDenied, match=r"opaque\.raw"):
        connect().fetch_df_all("SELECT email FROM customers")
    assert server.received == []


def test_frames_that_policy_permits_pass(start, connect, calls):
    start(PERMIT)
    connection = connect()
    with agent():
        assert connection.fetch_df_all("SELECT id FROM customers WHERE id = 1") == [(1,)]
        assert list(connection.fetch_df_batches("SELECT id FROM customers WHERE id = 1", size=5)) == [[(1,)]]
    assert [outcome["status"] for _, outcome in calls()] == ["ok", "ok"]


@pytest.mark.parametrize("permitted", [True, False])
def test_large_object_passes_only_if_policy_permits_what_cannot_be_seen(start, connect, permitted):
    start(PERMIT if permitted else NOTHING_RAW)
    connection = connect()
    cursor = connection.cursor()
    lob = oracledb.LOB._from_impl(SimpleNamespace(free_lob=lambda: None))
    cursor._impl._run = lambda *_: cursor._impl.describe(["note"], [(lob,)])
    with agent():
        cursor.execute("SELECT note FROM customers")
        if permitted:
            assert cursor.fetchall() == [(lob,)]
        else:
            with pytest.raises(guardai.ResultWithheld):
                cursor.fetchall()


def test_more_rows_than_policy_permits_are_withheld(start, connect):
    start('@row_cap("2") permit (principal, action, resource);')
    cursor = connect().cursor()
    with agent():
        cursor.execute("SELECT id FROM customers")
        with pytest.raises(guardai.ResultWithheld):
            cursor.fetchall()


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize("many", [True, False])
def test_statement_that_changes_more_rows_than_it_may_is_rolled_back(start, connect, server, autocommit, many):
    start('@affected_cap("2") permit (principal, action, resource);')
    connection = connect()
    connection.autocommit = autocommit
    cursor = connection.cursor()

    def change(most):
        text = "UPDATE customers SET name = 'x' WHERE id <= :1"
        return cursor.executemany(text, [(most,)]) if many else cursor.execute(text, [most])

    with agent():
        with pytest.raises(guardai.PolicyDenied, match="5 rows"):
            change(5)
        assert server.database.execute("SELECT count(*) FROM customers WHERE name = 'x'").fetchone() == (0,)
        change(2)
        assert cursor.rowcount == 2
    assert server.commits == (1 if autocommit else 0)
    assert connection.autocommit is autocommit
    connection.commit()
    assert server.database.execute("SELECT count(*) FROM customers WHERE name = 'x'").fetchone() == (2,)


def test_limit_of_time_is_the_librarys_own_for_the_time_of_the_statement(start, connect, server):
    start('@timeout("3s") permit (principal, action, resource);')
    connection = connect()
    connection.call_timeout = 9000
    cursor = connection.cursor()
    with agent():
        cursor.execute("SELECT id FROM customers")
        cursor.fetchall()
        connection.call_timeout = 1000
        cursor.execute("SELECT id FROM customers")
    assert server.timeouts[-3:] == [3000, 3000, 1000]
    assert connection.call_timeout == 1000


# ---------------------------------------------------------------------- what goes wrong


def test_librarys_own_errors_come_through(start, connect, calls):
    start(PERMIT)
    cursor = connect().cursor()
    with agent():
        with pytest.raises(oracledb.ProgrammingError, match="DPY-2005"):
            cursor.execute("SELECT :a", {"a": 1}, b=2)
        with pytest.raises(oracledb.ProgrammingError, match="DPY-2003"):
            cursor.execute("SELECT :1", 5)
        with pytest.raises(oracledb.ProgrammingError, match="DPY-2001"):
            cursor.execute(None)
        with pytest.raises(oracledb.InterfaceError, match="DPY-1003"):
            cursor.fetchall()
        with pytest.raises(TypeError):
            cursor.execute()


def test_lost_connection_leaves_an_unknown_outcome(start, connect, calls, server):
    start(PERMIT)
    cursor = connect().cursor()
    server.down = True
    with agent(), pytest.raises(oracledb.DatabaseError, match="DPY-4011"):
        cursor.execute("UPDATE customers SET name = 'x' WHERE id = 1")
    ((_, outcome),) = calls()
    assert outcome["status"] == "unknown"


async def test_cancelled_statement_leaves_an_unknown_outcome(start, aconnect, calls, server):
    start(PERMIT)
    connection = await aconnect()
    server.stuck = asyncio.Event()
    with agent():
        task = asyncio.create_task(connection.cursor().execute("UPDATE customers SET name = 'x' WHERE id = 1"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    ((_, outcome),) = calls()
    assert outcome["status"] == "unknown"


async def test_rows_of_a_statement_that_was_cut_off_reach_nobody(start, aconnect, server):
    start(PERMIT)
    connection = await aconnect()
    cursor = connection.cursor()
    run = cursor._impl._run

    def cut_off(*args):
        run(*args)
        raise asyncio.CancelledError

    cursor._impl._run = cut_off
    with agent():
        with pytest.raises(asyncio.CancelledError):
            await cursor.execute("SELECT email FROM customers")
        with pytest.raises(guardai.ResultWithheld):
            await cursor.fetchall()


async def test_two_tasks_on_one_connection_are_each_judged(start, aconnect, server, calls):
    start()
    connection = await aconnect()

    async def one(text):
        cursor = connection.cursor()
        await cursor.execute(text)
        return await cursor.fetchall()

    with agent():
        good, bad = await asyncio.gather(
            one("SELECT id FROM customers WHERE id = 1"), one("DELETE FROM customers"), return_exceptions=True
        )
    assert good == [(1,)]
    assert isinstance(bad, guardai.PolicyDenied)
    assert sent(server) == ["SELECT id FROM customers WHERE id = 1"]


def test_rest_that_nobody_reads_is_abandoned(start, connect, calls):
    start(PERMIT)
    cursor = connect().cursor()
    with agent():
        cursor.execute("SELECT id FROM customers")
        cursor.fetchone()
        cursor.execute("SELECT id FROM customers")
        cursor.close()
    assert [outcome["status"] for _, outcome in calls()] == ["abandoned", "abandoned"]


# ---------------------------------------------------------------------- the library stays what it is


def test_application_is_left_alone(start, connect, calls):
    start(MASKED, CATALOG)
    connection = connect()
    assert type(connection) is oracledb.Connection
    cursor = connection.cursor()
    assert type(cursor) is oracledb.Cursor
    cursor.execute("SELECT email FROM customers WHERE id = :1", [1])
    cursor.rowfactory = lambda mail: mail.upper()
    assert cursor.fetchall() == ["USER1@EXAMPLE.COM"]
    cursor.executemany("INSERT INTO orders VALUES (:1, 2)", [(1,), (2,)])
    assert cursor.rowcount == 2
    assert calls() == []


def test_operation_callback_is_told_of_the_programs_own_arguments(start, connect):
    start()
    connection = connect()
    told = []
    connection.operation_callback = lambda name, arguments: told.append((name, arguments["statement"]))
    with agent():
        connection.cursor().execute("SELECT id FROM orders")
    assert told == [("execute", "SELECT id FROM orders")]


def test_uninstalling_restores_the_originals(connect, start):
    kind = LIBRARY.BaseCursor
    names = ("_execute", "_executemany", "_parse", "_fetchone", "_fetchmany", "_fetchall", "fetchvars", "close")
    before = [kind.__dict__[name] for name in names]
    start(MASKED)
    assert not any(kind.__dict__[name] is original for name, original in zip(names, before, strict=True))
    guardai.shutdown()
    assert all(kind.__dict__[name] is original for name, original in zip(names, before, strict=True))
    cursor = connect().cursor()
    cursor.execute("SELECT email FROM customers WHERE id = 1")
    assert cursor.fetchall() == [("user1@example.com",)]


def test_wrapped_connection_is_governed_without_a_patch(home, policy, connect, server):
    connection = connect()
    guardai.init(home=home, integrations=[], policy=policy(MASKED + NOTHING_RAW.removeprefix(PERMIT)))
    kind = LIBRARY.BaseCursor
    from guardai_dbapi.oracledb import OracledbDriver

    assert OracledbDriver().wrap(connection) is connection
    assert isinstance(connection, oracledb.Connection)
    assert repr(type(connection)) == repr(oracledb.Connection)
    assert kind.__dict__["_execute"].__class__.__name__ == "function"
    cursor = connection.cursor()
    assert isinstance(cursor, oracledb.Cursor)
    with agent():
        cursor.execute("SELECT email FROM customers WHERE id = 1")
        assert cursor.fetchall() == [(MAIL,)]
        cursor.execute("SELECT email FROM customers")
        with pytest.raises(guardai.ResultWithheld):
            _ = cursor.fetchvars
        with pytest.raises(guardai.PolicyDenied, match="opaque"):
            connection.getSodaDatabase()
        with pytest.raises(guardai.PolicyDenied, match="opaque"):
            connection._impl.process_sync_operation(connection.queue("q"), "deqone", (), {})
        with pytest.raises(guardai.PolicyDenied, match="opaque"):
            connection.direct_path_load("s", "t", ["a"], iter(()))
    assert server.loaded == server.queued == []
    assert OracledbDriver().wrap(connection) is connection
    assert OracledbDriver().wrap(object()) is None
