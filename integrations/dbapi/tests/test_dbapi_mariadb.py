import threading
from urllib.parse import urlsplit

import pytest

import guardai

mariadb_library = pytest.importorskip("mariadb")

CATALOG = '[columns]\n"customers.email" = ["pii.email"]\n'
PERMIT = "permit (principal, action, resource);"
MASKED = PERMIT + (
    '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email")'
    ' when { context.to.kind == "process" };'
)
KINDS = {
    "plain": {},
    "unbuffered": {"buffered": False},
    "dictionary": {"dictionary": True},
    "unbuffered dictionary": {"buffered": False, "dictionary": True},
    "named tuple": {"named_tuple": True},
    "prepared": {"prepared": True},
    "binary": {"binary": True},
}


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
    connection = mariadb_library.connect(**where(mariadb), autocommit=True)
    cursor = connection.cursor()
    cursor.execute(
        "CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, name TEXT, email VARCHAR(200), note LONGTEXT)"
    )
    cursor.execute("CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, cents INT)")
    cursor.executemany(
        "INSERT INTO customers VALUES (?, ?, ?, ?)",
        [(n, f"name{n}", f"user{n}@example.com", "none") for n in range(1, 11)],
    )
    cursor.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(n, n % 10 + 1, n * 100) for n in range(50)])
    cursor.close()
    connection.close()
    return mariadb


@pytest.fixture
def connect(shop):
    opened = []

    def make(**options):
        connection = mariadb_library.connect(**{**where(shop), "autocommit": True, **options})
        opened.append(connection)
        return connection

    yield make
    for connection in opened:
        if not connection._closed:
            connection.close()


@pytest.fixture
def plainly(mariadb_server, shop):
    """Asks on a connection of the tests' own, outside of any session."""

    def ask(sql):
        guardai_here = _outside()
        with guardai_here, mariadb_server.connect(where(shop)["database"]) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    return ask


class _outside:
    """As the application."""

    def __enter__(self):
        from guardai.gate import HERE

        self.kept = HERE.get()
        HERE.set(None)

    def __exit__(self, *exc):
        from guardai.gate import HERE

        HERE.set(self.kept)


def agent(**more):
    return guardai.session(agent="a", user="u", **more)


@pytest.mark.parametrize("how", ["execute", "executemany", "callproc", "prepared", "places in quotes"])
def test_denied_statement_never_reaches_the_server(start, connect, plainly, how):
    start()
    connection = connect()
    with agent(), pytest.raises(guardai.PolicyDenied):
        match how:
            case "execute":
                connection.cursor().execute("DELETE FROM customers")
            case "executemany":
                connection.cursor().executemany("DELETE FROM customers WHERE 1 = ?", [(1,)])
            case "callproc":
                connection.cursor().callproc("p", (1,))
            case "prepared":
                connection.cursor(prepared=True).execute("DELETE FROM customers WHERE 1 = ?", (1,))
            case "places in quotes":
                connection.cursor().execute("UPDATE customers SET name = '?' WHERE id = ?", (1,))
    assert plainly("SELECT count(*), sum(name = '?') FROM customers") == ((10, 0),)


def test_prepared_cursor_is_judged_by_what_it_will_run(start, connect, plainly):
    start()
    cursor = connect().cursor(prepared=True)
    cursor.execute("DELETE FROM orders WHERE 1 = ?", (0,))
    with agent(), pytest.raises(guardai.PolicyDenied):
        cursor.execute("SELECT ?", (1,))
    assert plainly("SELECT count(*) FROM orders") == ((50,),)


def test_statement_that_this_server_reads_otherwise_is_not_understood(start, connect):
    start()
    connection = connect()
    connection.cursor().execute("SET SESSION sql_mode = 'ANSI_QUOTES'")
    with agent(), pytest.raises(guardai.PolicyDenied) as told:
        connection.cursor().execute('SELECT "email" FROM customers')
    assert told.value.action == "db.unknown"


FETCHES = {
    "fetchone": lambda cursor: list(iter(cursor.fetchone, None)),
    "fetchmany": lambda cursor: [row for part in iter(lambda: cursor.fetchmany(3) or None, None) for row in part],
    "fetchall": lambda cursor: list(cursor.fetchall()),
    "fetchrows": lambda cursor: list(cursor.fetchrows(-1)),
    "iteration": list,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fetch", FETCHES)
def test_every_cursor_masks_in_every_way_to_fetch(start, connect, calls, kind, fetch):
    start(MASKED, CATALOG)
    with agent():
        cursor = connect().cursor(**KINDS[kind])
        cursor.execute("SELECT id, email, id AS again FROM customers ORDER BY id")
        found = FETCHES[fetch](cursor)
        cursor.close()
    assert len(found) == 10
    assert "user" not in repr(found)
    first = found[0]
    if "dictionary" in kind:
        assert list(first) == ["id", "email", "again"]
    elif kind == "named tuple":
        assert (first.id, first.again) == (1, 1)
    else:
        assert (type(first), first[0]) == (tuple, 1)
    [(_, outcome)] = calls("db.read")
    assert outcome["body"]["rows"] == 10
    assert outcome["status"] == ("abandoned" if fetch == "fetchrows" else "ok")


@pytest.mark.parametrize("kind", ["plain", "unbuffered", "dictionary"])
def test_every_result_of_a_procedure_is_masked(start, connect, plainly, calls, kind):
    plainly(
        "CREATE PROCEDURE p(IN n INT) BEGIN SELECT substr(email, 1, 5) AS x FROM customers WHERE id = n;"
        " SELECT email FROM customers WHERE id = n; END"
    )
    start(MASKED, CATALOG)
    with agent():
        cursor = connect().cursor(**KINDS[kind])
        cursor.callproc("p", (3,))
        found = [list(cursor.fetchall())]
        while cursor.nextset():
            if cursor.field_count:
                found.append(list(cursor.fetchall()))
    assert [len(rows) for rows in found] == [1, 1]
    assert "user3" not in repr(found).lower()
    assert [(outcome["action"], outcome["status"]) for _, outcome in calls()] == [("db.admin", "ok")]


def test_write_tells_how_many_rows_and_executemany_is_one_call(start, connect, calls):
    start()
    with agent():
        cursor = connect().cursor()
        cursor.execute("UPDATE customers SET name = ? WHERE id = ?", ("x", 1))
        cursor.executemany("UPDATE customers SET name = ? WHERE id = ?", [("y", 2), ("y", 3)])
    assert [outcome["body"]["affected"] for _, outcome in calls("db.write")] == [1, 2]


def test_rows_are_not_handed_out_after_the_session(start, connect):
    start(MASKED, CATALOG)
    with agent():
        cursor = connect().cursor()
        cursor.execute("SELECT email FROM customers")
    with pytest.raises(guardai.ResultWithheld):
        cursor.fetchone()


def test_observe_mode_changes_nothing(start, connect, calls):
    start(MASKED, CATALOG, mode="observe")
    with agent():
        connection = connect()
        for options in KINDS.values():
            cursor = connection.cursor(**options)
            cursor.execute("SELECT email FROM customers WHERE id = 1")
            assert "user1@example.com" in repr(cursor.fetchall())
            cursor.close()
    assert len(calls("db.read")) == len(KINDS)


STATEMENTS = (
    "SELECT 1, 2.5, NULL, x'00ff', 'text', CAST('2026-01-02' AS DATE), TIMESTAMP('2026-01-02 03:04:05'), 1.50",
    "SELECT * FROM customers ORDER BY id",
    "INSERT INTO orders VALUES (1000, 1, 1)",
    "INSERT INTO orders VALUES (1000, 1, 1)",
    "UPDATE customers SET name = 'x' WHERE id = 1",
    "SELECT nothing",
    "SELEC",
)


def run(connection, options):
    found = []
    for statement in STATEMENTS:
        cursor = connection.cursor(**options)
        try:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else None
            found.append((cursor.description, cursor.rowcount, cursor.lastrowid, list(map(repr, rows or ()))))
        except mariadb_library.Error as exc:
            found.append((type(exc), exc.args))
        cursor.close()
    connection.rollback()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_results_types_and_errors_are_the_same(start, connect, kind):
    plain = run(connect(autocommit=False), KINDS[kind])
    start(PERMIT)
    with agent():
        assert run(connect(autocommit=False), KINDS[kind]) == plain


def test_application_goes_its_own_way_unrecorded(start, connect, events):
    start(MASKED, CATALOG)
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("SELECT email FROM customers WHERE id = 1")
    assert cursor.fetchall() == [("user1@example.com",)]
    cursor.execute("DELETE FROM orders")
    assert events() == []
    assert "_guardai" not in vars(connection)


def test_uninstalling_restores_the_originals(start):
    from guardai_dbapi.mariadb import _METHODS

    kind = mariadb_library.cursors.Cursor
    before = {name: vars(kind).get(name) for name in _METHODS}
    start()
    assert all(vars(kind)[name] is not plain for name, plain in before.items())
    guardai.shutdown()
    assert {name: vars(kind).get(name) for name in _METHODS} == before


def test_one_connection_is_governed_without_patching(connect, home, policy):
    guardai.init(home=home, integrations=[], policy=policy(MASKED, CATALOG))
    plain, governed = connect(), guardai.wrap(connect())
    assert isinstance(governed, mariadb_library.connections.Connection)
    with agent():
        for options in KINDS.values():
            cursor = governed.cursor(**options)
            cursor.execute("SELECT email FROM customers WHERE id = 1")
            assert "user1" not in repr(cursor.fetchall())
            cursor.close()
        other = plain.cursor()
        other.execute("SELECT email FROM customers WHERE id = 1")
        assert other.fetchall() == [("user1@example.com",)]


def test_connection_killed_in_the_middle_leaves_the_effect_unknown(start, connect, calls, plainly):
    start(PERMIT)
    connection = connect()
    with agent():
        cursor = connection.cursor()
        timer = threading.Timer(1.0, plainly, [f"KILL {connection.connection_id}"])
        timer.start()
        with pytest.raises(mariadb_library.Error):
            cursor.execute("UPDATE customers SET name = 'x' WHERE id = 1 AND sleep(20) = 0")
        timer.join()
    assert [outcome["status"] for _, outcome in calls()] == ["unknown"]


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize("kind", ["plain", "unbuffered", "binary"])
def test_statement_that_changes_more_rows_than_it_may_is_taken_back(start, connect, plainly, autocommit, kind):
    start('@affected_cap("3") permit (principal, action, resource);')
    connection = connect(autocommit=autocommit)
    with agent():
        cursor = connection.cursor(**KINDS[kind])
        with pytest.raises(guardai.PolicyDenied):
            cursor.execute("DELETE FROM orders WHERE id < 10")
        cursor.execute("DELETE FROM orders WHERE id < 3")
    connection.commit()
    assert plainly("SELECT count(*) FROM orders") == ((47,),)


@pytest.mark.parametrize("kind", ["plain", "unbuffered", "binary"])
def test_engine_refuses_what_the_inspection_took_for_a_read(start, connect, plainly, monkeypatch, kind, events):
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
    connection = connect(autocommit=False)
    with agent():
        cursor = connection.cursor(**KINDS[kind])
        with pytest.raises(mariadb_library.Error) as told:
            cursor.execute("DELETE FROM orders")
        cursor.execute("SELECT id FROM orders")
        assert len(cursor.fetchall()) == 50
    assert told.value.errno == 1792
    assert events(kind="call.outcome")[0]["body"]["refused"] == "engine"
    assert plainly("SELECT count(*) FROM orders") == ((50,),)
