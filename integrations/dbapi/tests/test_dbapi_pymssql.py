"""pymssql, the whole library, over a real socket: a small server of its protocol stands in for SQL Server."""

import gc
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

import guardai

pymssql = pytest.importorskip("pymssql")
_mssql = pytest.importorskip("pymssql._mssql")

_PEER = Path(__file__).parent / "tds_server.py"
_spec = importlib.util.spec_from_file_location("tds_server", _PEER)
tds_server = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tds_server)

CATALOG = '[columns]\n"customers.email" = ["pii.email"]\n'
PERMIT = "permit (principal, action, resource);"
MASKED = PERMIT + (
    '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email")'
    ' when { context.to.kind == "process" };'
)
READING = 'permit (principal, action in [Action::"db.read", Action::"reveal"], resource);'
MAIL = "[EMAIL]"


@pytest.fixture
def server():
    made = tds_server.Server()
    made.database.execute("CREATE TABLE customers (id INT, name TEXT, email TEXT)")
    made.database.execute("CREATE TABLE orders (id INT, cents INT)")
    made.database.executemany(
        "INSERT INTO customers VALUES (?, ?, ?)", [(n, f"name{n}", f"user{n}@example.com") for n in range(1, 6)]
    )
    yield made
    made.close()


@pytest.fixture
def connect(server):
    def make(**options):
        given = {"server": "127.0.0.1", "port": server.port, "user": "u", "password": "p", "database": "shop"}
        return pymssql.connect(**{**given, "tds_version": "7.3", **options})

    return make


def agent(**more):
    return guardai.session(agent="a", user="u", **more)


def sent(server, what):
    return [text for text in server.received if what.lower() in text.lower()]


# ---------------------------------------------------------------------- what is sent

WAYS = {
    "execute": lambda connection, text: connection.cursor().execute(text),
    "bytes": lambda connection, text: connection.cursor().execute(text.encode()),
    "executemany": lambda connection, text: connection.cursor().executemany(text + " WHERE 1 = %s", [(1,), (1,)]),
    "batches": lambda connection, text: connection.cursor().executemany(
        text + " WHERE 1 = %s", [(1,), (1,)], batch_size=2
    ),
    "execute_query": lambda connection, text: connection._conn.execute_query(text),
    "execute_non_query": lambda connection, text: connection._conn.execute_non_query(text),
    "execute_row": lambda connection, text: connection._conn.execute_row(text),
    "execute_scalar": lambda connection, text: connection._conn.execute_scalar(text),
    "low-level executemany": lambda connection, text: connection._conn.executemany(text + "--%s", [(1,)], 2),
}


@pytest.mark.parametrize("way", WAYS)
def test_denied_statement_never_reaches_the_server(start, connect, server, way):
    start()
    connection = connect()
    with agent(), pytest.raises(guardai.PolicyDenied):
        WAYS[way](connection, "DELETE FROM customers")
    assert not sent(server, "delete")


def test_denied_procedure_never_reaches_the_server(start, connect, server):
    start()
    connection = connect()
    with agent(), pytest.raises(guardai.PolicyDenied):
        connection.cursor().callproc("sp_executesql", ("DELETE FROM customers",))
    assert server.called == []


def test_denied_bulk_copy_sends_no_row(start, connect, server):
    start(READING)
    connection = connect()
    with agent(), pytest.raises(guardai.PolicyDenied) as told:
        connection.bulk_copy("customers", [(6, "x", "y")])
    assert told.value.action == "db.write"
    assert not sent(server, "insert bulk")


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("UPDATE customers SET name = '%s' WHERE id = 1", ("x' --",)),
        ("UPDATE customers SET id = id -%d WHERE id = 1", (-1,)),
        ("UPDATE customers SET name = 'it' /* %s */ WHERE id = 1", ("*/ --",)),
        ("UPDATE customers SET name = N%s WHERE id = 1", ("x",)),
        ("UPDATE customers SET name = 'x' WHERE id = %d OR 1 = 1", (float("nan"),)),
        ("UPDATE customers SET name = 'x\0' WHERE id = %s", (1,)),
        (b"UPDATE customers SET name = '\xff' WHERE id = 1", None),
    ],
)
def test_value_that_changes_how_the_rest_reads_is_judged_with_it(start, connect, server, text, params):
    start()
    connection = connect()
    with agent(), pytest.raises(guardai.PolicyDenied):
        connection.cursor().execute(text, params)
    assert not sent(server, "update")


def test_text_that_a_value_becomes_a_part_of_is_sent_as_it_was_judged(start, connect, server):
    start()
    connection = connect()
    with agent():
        connection.cursor().execute("UPDATE customers SET name = 'x'%s WHERE id = 1", (b" y",))
    assert sent(server, "update") == ["UPDATE customers SET name = 'x'' y' WHERE id = 1"]


def test_list_of_values_is_judged_as_it_is_sent(start, connect, server, calls):
    start()
    connection = connect()
    with agent():
        cursor = connection.cursor()
        cursor.execute("SELECT id FROM customers WHERE id IN %s", ((1, 2),))
        assert [row[0] for row in cursor.fetchall()] == [1, 2]
    assert sent(server, "IN (1,2)")
    assert len(calls("db.read")) == 1


def test_value_that_may_not_go_there_is_masked_before_it_is_sent(start, connect, server):
    start(PERMIT + '@id("no") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email")'
          ' when { context.to.kind == "database" };')  # fmt: skip
    connection = connect()
    with agent():
        connection.cursor().execute("INSERT INTO orders (id) VALUES (%s)", ("eve@example.com",))
        connection.cursor().executemany("INSERT INTO orders (id) VALUES (%s)", [("eve@example.com",)] * 2, batch_size=5)
        with pytest.raises(guardai.PolicyDenied, match="masked within the text"):
            connection.cursor().execute("SELECT id FROM customers WHERE email IN %s", (("eve@example.com",),))
    assert len(sent(server, "insert")) == 2
    assert not sent(server, "eve@example.com")


def test_name_in_double_quotes_is_understood_only_where_the_server_takes_it_for_a_name(start, connect):
    start()
    with agent():
        connect().cursor().execute('SELECT "id" FROM customers')
        connection = connect(conn_properties="SET TEXTSIZE 100")
        with pytest.raises(guardai.PolicyDenied) as told:
            connection.cursor().execute('SELECT "id" FROM customers')
    assert told.value.action == "db.unknown"
    connection = connect()
    connection.cursor().execute("SET QUOTED_IDENTIFIER OFF")
    with agent(), pytest.raises(guardai.PolicyDenied):
        connection.cursor().execute('SELECT "id" FROM customers')


def test_library_begins_and_ends_transactions_without_a_call(start, connect, calls, server):
    start()
    with agent():
        connection = connect()
        connection.cursor().execute("SELECT id FROM orders")
        connection.commit()
        connection.rollback()
        connection.autocommit(True)  # noqa: FBT003 - the library's signature
        assert connection.cursor().lastrowid == 7
    assert [intent["action"] for intent, _ in calls()] == ["db.read"]
    assert sent(server, "COMMIT TRAN")
    assert sent(server, "SCOPE_IDENTITY")


def test_address_is_the_servers_and_the_databases(start, connect, server, events):
    start()
    connection = connect()
    connection.cursor().execute("USE other")
    with agent():
        connection.cursor().execute("SELECT id FROM orders")
    assert f"mssql://127.0.0.1:{server.port}/other" in json.dumps(events(kind="call.intent"))
    assert "u:p@" not in json.dumps(events())


# ---------------------------------------------------------------------- what comes back

FETCHES = {
    "fetchone": lambda cursor: list(iter(cursor.fetchone, None)),
    "fetchmany": lambda cursor: [*cursor.fetchmany(2), *cursor.fetchmany(10)],
    "fetchall": lambda cursor: cursor.fetchall(),
    "iteration": list,
}


@pytest.mark.parametrize("fetch", FETCHES)
@pytest.mark.parametrize("as_dict", [False, True])
def test_rows_are_masked_however_they_are_fetched(start, connect, fetch, as_dict):
    start(MASKED)
    cursor = connect().cursor(as_dict=as_dict)
    with agent():
        cursor.execute("SELECT id, name AS n, email AS m FROM customers WHERE id < %d", (4,))
        rows = FETCHES[fetch](cursor)
    assert rows == [{"id": n, "n": f"name{n}", "m": MAIL} if as_dict else (n, f"name{n}", MAIL) for n in range(1, 4)]
    rowcount = cursor.rowcount
    cursor.execute("SELECT id, name AS n, email AS m FROM customers WHERE id < %d", (4,))
    FETCHES[fetch](cursor)
    assert rowcount == cursor.rowcount, "as it is without guardai"


def test_without_a_schema_each_column_bears_each_label(start, connect):
    start(MASKED, CATALOG)
    cursor = connect().cursor()
    with agent():
        cursor.execute("SELECT name FROM customers WHERE id = 1")
        assert cursor.fetchall() == [(MAIL,)]
        cursor.execute("SELECT count(*) FROM orders")
        assert cursor.fetchall() == [(0,)]


def test_two_columns_of_one_name_are_masked_each_by_itself(start, connect):
    start(MASKED)
    connection = connect()
    with agent():
        connection._conn.execute_query("SELECT name AS x, email AS x FROM customers WHERE id = 1")
        assert list(connection._conn) == [{0: "name1", 1: MAIL, "x": MAIL}]


def test_low_level_connection_hands_out_masked_rows(start, connect):
    start(MASKED)
    connection = connect()
    low = connection._conn
    rows = low.get_iterator(_mssql.ROW_FORMAT_TUPLE)
    with agent():
        low.execute_query("SELECT email FROM customers WHERE id < 3")
        assert list(rows) == [(MAIL,), (MAIL,)], "also by an iterator that was made before"
        assert low.execute_row("SELECT id, email FROM customers WHERE id = 1") == {
            0: 1,
            "id": 1,
            1: MAIL,
            "email": MAIL,
        }
        assert low.execute_scalar("SELECT email FROM customers") == MAIL
        assert low.execute_scalar("SELECT email FROM customers WHERE id = 99") is None
        assert low.execute_row("SELECT email FROM customers WHERE id = 99") is None
    assert isinstance(rows, _mssql.MSSQLRowIterator)


def test_each_further_result_is_masked(start, connect, calls):
    start(MASKED)
    cursor = connect().cursor()
    with agent():
        cursor.execute("SELECT id FROM customers WHERE id = 1; SELECT email FROM customers WHERE id = 1")
        assert cursor.fetchall() == [(1,)]
        assert cursor.nextset() == 1
        assert cursor.fetchall() == [(MAIL,)]
        assert cursor.nextset() is None
        cursor.execute("SELECT id FROM customers WHERE id = 1; SELECT email FROM customers WHERE id = 1")
        assert list(cursor) == [(1,)]
        assert list(cursor) == [(MAIL,)], "the library goes on to it by itself"
        assert list(cursor) == []
    outcomes = [outcome for _, outcome in calls()]
    assert [(outcome["status"], outcome["body"]["rows"]) for outcome in outcomes] == [("ok", 2), ("ok", 2)]


def test_procedures_rows_and_output_parameters_are_masked(start, connect, server):
    start(MASKED)
    server.procedures["dbo.find"] = (0, [], [(["email"], [("x@example.com",)]), (["id"], [(5,)])])
    server.procedures["dbo.last"] = (4, ["y@example.com"], [])
    cursor = connect().cursor()
    with agent():
        assert cursor.callproc("dbo.find", (1,)) == (1,)
        assert cursor.fetchall() == [(MAIL,)]
        assert cursor.nextset() == 1
        assert cursor.fetchall() == [(5,)]
        assert cursor.callproc("dbo.last", ("a", pymssql.output(str, "before"))) == ("a", MAIL)
        assert cursor.returnvalue == 4
    assert [name for name, _ in server.called] == ["dbo.find", "dbo.last"]


def test_procedures_parameters_are_masked_before_they_are_bound(start, connect, server):
    start(PERMIT + '@id("no") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email")'
          ' when { context.to.kind == "database" };')  # fmt: skip
    server.procedures["p"] = (0, [], [])
    cursor = connect().cursor()
    with agent():
        assert cursor.callproc("p", ("eve@example.com",)) == (MAIL,)
    cursor.callproc("p", ("bob@example.com",))
    assert "eve".encode("utf-16-le") not in server.called[0][1]
    assert MAIL.encode("utf-16-le") in server.called[0][1]
    assert "bob@example.com".encode("utf-16-le") in server.called[1][1]


def test_rows_of_one_statement_do_not_pass_as_those_of_another(start, connect, calls):
    start(MASKED)
    connection = connect()
    with agent():
        first, second = connection.cursor(), connection.cursor()
        first.execute("SELECT email FROM customers")
        first.fetchone()
        second.execute("SELECT id FROM customers WHERE id = 1")
        assert second.fetchall() == [(1,)]
    assert [outcome["status"] for _, outcome in calls()] == ["abandoned", "ok"]


def test_more_rows_than_policy_permits_are_withheld(start, connect):
    start('@row_cap("2") permit (principal, action, resource);')
    cursor = connect().cursor()
    with agent():
        cursor.execute("SELECT id FROM customers")
        with pytest.raises(guardai.ResultWithheld):
            cursor.fetchall()


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize("autocommit", [True, False])
def test_statement_that_changes_more_rows_than_it_may_is_rolled_back(start, connect, server, autocommit, calls):
    start('@affected_cap("2") permit (principal, action, resource);')
    connection = connect(autocommit=autocommit)
    cursor = connection.cursor()
    with agent():
        with pytest.raises(guardai.PolicyDenied, match="5 rows"):
            cursor.execute("UPDATE customers SET name = 'x' WHERE id > %d", (0,))
        cursor.execute("UPDATE customers SET name = 'x' WHERE id < %d", (3,))
        assert cursor.rowcount == 2
        with pytest.raises(guardai.PolicyDenied, match="OUTPUT"):
            cursor.execute("UPDATE customers SET name = 'y' OUTPUT inserted.name WHERE id < 3")
        with pytest.raises(guardai.PolicyDenied, match="many statements"):
            cursor.executemany("UPDATE customers SET name = 'y' WHERE id = %d", [(1,), (2,)], batch_size=2)
    connection.commit()
    assert server.database.execute("SELECT count(*) FROM customers WHERE name = 'x'").fetchone() == (2,)
    assert [outcome.get("body", {}).get("affected") for _, outcome in calls()] == [5, 2, None, None]


def test_limit_of_time_that_would_be_everybodys_is_refused(start, connect, server):
    start('@timeout("3s") permit (principal, action, resource);')
    with agent(), pytest.raises(guardai.PolicyDenied, match="process"):
        connect().cursor().execute("SELECT id FROM customers")
    assert not sent(server, "select id")


# ---------------------------------------------------------------------- what goes wrong


def test_librarys_own_errors_come_through(start, connect, calls):
    start(PERMIT)
    cursor = connect().cursor()
    with agent():
        with pytest.raises(pymssql.ProgrammingError, match="no such column"):
            cursor.execute("SELECT nope FROM customers")
        with pytest.raises(ValueError, match="more placeholders"):
            cursor.execute("SELECT id FROM customers WHERE id = %s AND id = %s", (1,))
        with pytest.raises(pymssql.ColumnsWithoutNamesError):
            cursor.connection.cursor(as_dict=True).execute("SELECT SCOPE_IDENTITY()")
        with pytest.raises(TypeError, match="len"):
            cursor.executemany("INSERT INTO orders VALUES (%s, 1)", ((n,) for n in range(3)), batch_size=2)
    assert [outcome["status"] for _, outcome in calls()][:2] == ["error", "error"]


def test_lost_connection_leaves_an_unknown_outcome(start, connect, calls):
    start(PERMIT)
    cursor = connect().cursor()
    with agent(), pytest.raises(pymssql.OperationalError):
        cursor.execute("UPDATE customers SET name = 'DROP THE LINE' WHERE id = 1")
    ((_, outcome),) = calls()
    assert outcome["status"] == "unknown"


def test_rows_of_a_statement_that_was_cut_off_reach_nobody(start, connect, calls):
    start(PERMIT)
    connection = connect()
    low = connection._conn
    bare = low._guardai_bare

    def cut_off(name):
        def run(*args):
            bare(name)(*args)
            raise KeyboardInterrupt

        return run if name == "execute_query" else bare(name)

    low._guardai_bare = cut_off
    with agent():
        with pytest.raises(KeyboardInterrupt):
            low.execute_row("SELECT email FROM customers")
        with pytest.raises(guardai.ResultWithheld):
            list(low)
    ((_, outcome),) = calls()
    assert outcome["status"] == "unknown"


# ---------------------------------------------------------------------- the library stays what it is


def test_types_are_the_librarys_own(start, connect):
    plain = connect()
    start()
    connection = connect()
    assert type(connection) is type(plain) is pymssql.Connection
    assert type(connection.cursor()) is pymssql.Cursor
    assert isinstance(connection._conn, _mssql.MSSQLConnection)
    assert repr(type(connection._conn)) == repr(type(plain._conn))
    assert connection._conn.charset == plain._conn.charset


def test_application_is_left_alone(start, connect, calls, server):
    start(MASKED, CATALOG)
    connection = connect()
    cursor = connection.cursor(as_dict=True)
    cursor.execute("SELECT email FROM customers WHERE id = %s", 1)
    assert cursor.fetchall() == [{"email": "user1@example.com"}]
    server.procedures["p"] = (0, ["y@example.com"], [])
    assert cursor.callproc("p", (pymssql.output(str, "x"),)) == ("y@example.com",)
    cursor.executemany("INSERT INTO orders VALUES (%s, %s)", [(1, 2), (3, 4)], batch_size=2)
    assert calls() == []


def test_connection_that_is_dropped_is_closed(start, connect, server, calls):
    start()
    with agent():
        connection = connect()
        cursor = connection.cursor()
        cursor.execute("SELECT id FROM customers")
        low = connection._conn
        del cursor, connection
        gc.collect()
        assert not low.connected
    assert [outcome["status"] for _, outcome in calls()] == ["abandoned"]


def test_uninstalling_restores_the_original(start, connect):
    original = _mssql.connect
    start(MASKED, CATALOG)
    kept = connect()
    assert _mssql.connect is not original
    guardai.shutdown()
    assert _mssql.connect is original
    cursor = kept.cursor()
    cursor.execute("SELECT email FROM customers WHERE id = 1")
    assert cursor.fetchall() == [("user1@example.com",)]


def test_connect_that_was_kept_from_before_makes_governed_connections(start, server):
    from pymssql import connect as kept

    start()
    with agent(), pytest.raises(guardai.PolicyDenied):
        kept("127.0.0.1", "u", "p", "shop", port=server.port, tds_version="7.3").cursor().execute("DELETE FROM orders")


# ---------------------------------------------------------------------- one connection


def test_wrapped_connection_is_governed_without_a_patch(home, policy, connect, server, events):
    bare = connect()
    guardai.init(home=home, integrations=["dbapi"], policy=policy(MASKED))
    connection = guardai.wrap(bare)
    assert isinstance(connection, pymssql.Connection)
    server.procedures["p"] = (0, [], [(["email"], [("x@example.com",)])])
    with agent(), connection.cursor(as_dict=True) as cursor:
        cursor.execute("SELECT id, email FROM customers WHERE id = %s", (1,))
        assert cursor.fetchall() == [{"id": 1, "email": MAIL}]
        assert isinstance(cursor, pymssql.Cursor)
        assert cursor.connection is connection
        assert cursor.lastrowid == 7
        cursor.callproc("p")
        assert cursor.fetchall() == [{"email": MAIL}]
        connection._conn.execute_query("SELECT email FROM customers WHERE id = 1")
        assert list(connection._conn) == [{0: MAIL, "email": MAIL}]
        connection.commit()
    assert "mssql://peer:1433/shop" in json.dumps(events(kind="call.intent"))
    connection.close()


def test_wrapped_connection_refuses_what_goes_round_it(home, connect, server):
    bare = connect()
    guardai.init(home=home, integrations=["dbapi"])
    connection = guardai.wrap(bare)
    with agent(), pytest.raises(guardai.PolicyDenied):
        connection.bulk_copy("customers", [(6, "x", "y")])
    with agent(), pytest.raises(guardai.PolicyDenied):
        connection.cursor().execute("DELETE FROM customers")
    assert not sent(server, "delete")
    assert not sent(server, "insert bulk")


# ---------------------------------------------------------------------- bulk copies


def test_each_row_of_a_bulk_copy_is_a_call_whose_values_are_masked(start, calls):
    """The library holds all threads while it sends rows, so the server is a process of its own."""
    start(PERMIT + '@id("no") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email")'
          ' when { context.to.kind == "database" };')  # fmt: skip
    with subprocess.Popen(
        [sys.executable, str(_PEER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as peer:
        port = int(peer.stdout.readline())
        connection = pymssql.connect("127.0.0.1", "u", "p", "shop", port=port, tds_version="7.3")
        with agent():
            connection.bulk_copy("customers", [(1, "x", "eve@example.com"), (2, "y", "none")])
        connection.close()
        print(file=peer.stdin, flush=True)
        told = json.loads(peer.stdout.readline())
        peer.stdin.close()
    data = b"".join(bytes.fromhex(body) for body in told["bulk"]).replace(b"\0", b"")
    assert b"none" in data
    assert b"eve" not in data
    assert [(intent["action"], outcome["body"]["affected"]) for intent, outcome in calls()] == [("db.write", 1)] * 2
