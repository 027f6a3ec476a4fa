import concurrent.futures
import gc
import pathlib
import sqlite3
import threading

import pytest

import guardai


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, note TEXT);"
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, cents INTEGER);"
    )
    connection.executemany(
        "INSERT INTO customers VALUES (?, ?, ?, ?)",
        [(n, f"name{n}", f"user{n}@example.com", "none") for n in range(1, 11)],
    )
    connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(n, n % 10 + 1, n * 100) for n in range(50)])
    connection.commit()
    connection.close()
    return path


@pytest.fixture
def started(home):
    guardai.init(home=home, integrations=["dbapi"])


def count(path, table="customers"):
    import _sqlite3

    return _sqlite3.connect(str(path)).execute(f"SELECT count(*) FROM {table}").fetchone()[0]


DESTRUCTIVE = [
    "DELETE FROM customers",
    "DELETE FROM customers WHERE 1=1",
    "delete from customers -- only a test",
    "/* tidy up */ DELETE FROM customers",
    "WITH old AS (SELECT id FROM customers) DELETE FROM customers WHERE id IN (SELECT id FROM old)",
    "UPDATE customers SET name = 'x'",
    "DROP TABLE customers",
    "DROP VIEW IF EXISTS nothing",
]


class TestStrings:
    """SQLite takes a name in double quotes for a string where there is no such column."""

    @pytest.mark.parametrize(
        "statement",
        [
            'SELECT id FROM customers WHERE email = "ann-zebra@example.com"',
            'SELECT "x-zebra", name FROM customers',
            'UPDATE customers SET note = "a-zebra" WHERE email = "b-zebra" AND id = 1',
            'INSERT INTO customers (name) VALUES ("c-zebra.d")',
            'SELECT c.id FROM customers AS c JOIN orders ON orders.id = c.id WHERE "e-zebra" = note',
        ],
    )
    def test_no_string_of_a_statement_is_in_the_ledger(self, started, shop, home, statement):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            connection.execute(statement).fetchall()
        guardai.shutdown()
        held = [path.read_bytes() for path in (home / "ledger").rglob("*") if path.is_file()]
        assert not [one for one in held if b"zebra" in one]

    def test_columns_that_are_there_are_told_as_before(self, started, shop, events):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            connection.execute('SELECT "name" FROM customers WHERE rowid = 1 AND Email = "none"').fetchall()
        (read,) = [one for one in events() if one["kind"] == "call.outcome"]
        assert read["resource"][0]["columns"] == ["email", "name", "rowid"]


class TestDenied:
    @pytest.mark.parametrize("statement", DESTRUCTIVE)
    @pytest.mark.parametrize("how", ["cursor", "connection", "executemany", "script"])
    def test_denied_statement_never_reaches_the_driver(self, started, shop, statement, how):
        connection = sqlite3.connect(shop)
        seen = []
        connection.set_trace_callback(seen.append)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            match how:
                case "cursor":
                    connection.cursor().execute(statement)
                case "connection":
                    connection.execute(statement)
                case "executemany":
                    connection.cursor().executemany(statement, [()])
                case "script":
                    connection.executescript(statement)
        assert seen == []
        assert count(shop) == 10

    def test_script_that_contains_one_destructive_statement_is_denied_whole(self, started, shop):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            connection.executescript("UPDATE customers SET name = 'x' WHERE id = 1; DELETE FROM customers;")
        assert connection.execute("SELECT name FROM customers WHERE id = 1").fetchone() == ("name1",)

    def test_denial_names_policy_reason_and_event_and_no_value(self, started, shop, events):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied) as told:
            connection.execute("DELETE FROM customers WHERE email LIKE '%alice@example.com%'")
        refused = told.value
        assert isinstance(refused, PermissionError)
        assert refused.policies
        assert refused.reason
        assert refused.action == "db.destroy"
        assert "alice" not in str(refused)
        assert [e["kind"] for e in events(id=refused.event)] == ["call.intent"]

    def test_denied_call_leaves_an_intent_and_an_outcome(self, started, shop, calls):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a", user="u-1"), pytest.raises(guardai.PolicyDenied):
            connection.execute("DROP TABLE customers")
        [(intent, outcome)] = calls("db.destroy")
        assert intent["decision"]["effect"] == "deny"
        assert outcome["status"] == "denied"
        assert intent["principal"]["agent"] == "a"
        assert intent["principal"]["user"] == "u-1"

    def test_connection_is_usable_after_a_denial(self, started, shop):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            with pytest.raises(guardai.PolicyDenied):
                connection.execute("DROP TABLE customers")
            assert connection.execute("SELECT count(*) FROM customers").fetchone() == (10,)

    def test_abort_raises_what_an_agent_loop_does_not_swallow(self, started, shop):
        connection = sqlite3.connect(shop)
        with pytest.raises(guardai.SessionAborted), guardai.session(agent="a", on_denied="abort"):
            try:
                connection.execute("DROP TABLE customers")
            except Exception:
                pytest.fail("swallowed")

    def test_statement_that_does_not_parse_is_refused_not_guessed(self, started, shop, calls):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            connection.execute("SELEC * FRM customers WHER")
        assert calls("db.unknown")


class TestPermitted:
    def test_transactions_are_no_administration(self, started, shop):
        connection = sqlite3.connect(shop, isolation_level=None)
        with guardai.session(agent="a"):
            connection.execute("BEGIN")
            connection.execute("SAVEPOINT s")
            connection.execute("UPDATE customers SET name = 'x' WHERE id = 1")
            connection.execute("ROLLBACK TO s")
            connection.execute("COMMIT")
        assert connection.execute("SELECT name FROM customers WHERE id = 1").fetchone() == ("name1",)

    def test_script_is_permitted_only_if_each_of_its_verbs_is(self, home, shop, policy):
        permit = "permit (principal, action, resource);"
        forbid = '@id("no-ddl") forbid (principal, action == Action::"db.admin", resource);'
        guardai.init(home=home, integrations=["dbapi"], policy=policy(permit + forbid))
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied, match="no-ddl"):
            connection.executescript("DROP TABLE orders; CREATE TABLE orders (id INTEGER);")

    def test_read_is_recorded_with_its_tables_and_row_count(self, started, shop, calls):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            rows = connection.execute("SELECT id, cents FROM orders").fetchall()
        assert len(rows) == 50
        [(intent, outcome)] = calls("db.read")
        assert intent["resource"][0]["uri"].endswith("shop.db#orders")
        assert intent["resource"][0]["dir"] == "read"
        assert outcome["status"] == "ok"
        assert outcome["body"]["rows"] == 50

    def test_bounded_write_passes_and_tells_how_many_rows(self, started, shop, calls):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            connection.execute("UPDATE customers SET name = ? WHERE id = 3", ("new",))
        [(_, outcome)] = calls("db.write")
        assert outcome["body"]["affected"] == 1

    def test_intent_is_recorded_before_the_effect(self, started, shop, calls):
        connection = sqlite3.connect(shop)
        recorded = []
        connection.create_function("probe", 0, lambda: recorded.append(len(calls())) or 1)
        with guardai.session(agent="a"):
            connection.execute("UPDATE customers SET name = 'x' WHERE id = 1")
            list(connection.execute("SELECT id FROM customers WHERE id = 1"))
        # A function that policy does not know is refused; the order is seen through the driver's own trace instead.
        connection.set_trace_callback(lambda _: recorded.append(len(calls())))
        before = len(calls())
        with guardai.session(agent="a"):
            connection.execute("SELECT id FROM customers").fetchall()
        assert recorded[-1] == before + 1

    def test_error_of_the_engine_comes_through_unchanged_and_is_recorded(self, started, shop, calls):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"), pytest.raises(sqlite3.OperationalError, match="no such table"):
            connection.execute("SELECT * FROM nowhere")
        [(_, outcome)] = calls("db.read")
        assert (outcome["status"], outcome["body"]["error"]) == ("error", "OperationalError")

    @pytest.mark.parametrize("fetch", ["fetchall", "list", "next", "fetchone", "fetchmany"])
    def test_every_way_to_fetch_ends_the_call_with_the_same_count(self, started, shop, calls, fetch):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            cursor = connection.execute("SELECT id FROM customers ORDER BY id")
            match fetch:
                case "fetchall":
                    rows = cursor.fetchall()
                case "list":
                    rows = list(cursor)
                case "next":
                    rows = []
                    with pytest.raises(StopIteration):
                        while True:
                            rows.append(next(cursor))
                case "fetchone":
                    rows = []
                    while (row := cursor.fetchone()) is not None:
                        rows.append(row)
                case "fetchmany":
                    rows = []
                    while part := cursor.fetchmany(4):
                        rows.extend(part)
            assert rows == [(n,) for n in range(1, 11)]
            [(_, outcome)] = calls("db.read")
            assert (outcome["status"], outcome["body"]["rows"]) == ("ok", 10)

    @pytest.mark.parametrize("left", ["dropped", "closed", "executed again", "session ended"])
    def test_rows_that_nobody_reads_to_the_end_are_abandoned(self, started, shop, calls, left):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            cursor = connection.execute("SELECT id FROM customers")
            cursor.fetchone()
            match left:
                case "dropped":
                    del cursor
                    gc.collect()
                case "closed":
                    cursor.close()
                case "executed again":
                    cursor.execute("SELECT 1")
        outcome = calls("db.read")[0][1]
        assert (outcome["status"], outcome["body"]["rows"]) == ("abandoned", 1)


class TestMasking:
    CATALOG = '[columns]\n"customers.email" = ["pii.email"]\n'
    POLICY = (
        "permit (principal, action, resource);"
        '@id("no-mail") @mask("{mask}") forbid (principal, action == Action::"reveal", resource in Label::"pii.email");'
    )

    def start(self, home, policy, mask="redact", catalog=CATALOG):
        guardai.init(home=home, integrations=["dbapi"], policy=policy(self.POLICY.format(mask=mask), catalog))

    def test_secret_in_a_cell_is_redacted_for_the_process(self, started, shop):
        key = "AKIA" + "IOSFODNN7" + "QWERTYU"
        with sqlite3.connect(shop) as connection:
            connection.execute("UPDATE customers SET note = ? WHERE id = 1", (f"key {key}",))
        with guardai.session(agent="a"):
            [(note,)] = sqlite3.connect(shop).execute("SELECT note FROM customers WHERE id = 1").fetchall()
        assert key not in note
        assert note.startswith("key ")

    def test_personal_data_is_revealed_to_the_process_by_the_starter_policy(self, started, shop):
        with guardai.session(agent="a"):
            assert sqlite3.connect(shop).execute("SELECT email FROM customers WHERE id = 1").fetchone() == (
                "user1@example.com",
            )

    def test_personal_data_is_partly_masked_where_a_person_reads_it(self, started, shop, calls):
        with guardai.session(agent="a", audience="person"):
            (email,) = sqlite3.connect(shop).execute("SELECT email FROM customers WHERE id = 1").fetchone()
            assert "user1@example.com" not in email
        [(_, outcome)] = calls("db.read")
        assert outcome["decision"]["masks"] == {"pii.email": "partial"}

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT email FROM customers WHERE id = 1",
            "SELECT email AS x FROM customers WHERE id = 1",
            "SELECT upper(email) FROM customers WHERE id = 1",
            "SELECT substr(email, 1, 5) FROM customers WHERE id = 1",
            "SELECT x FROM (SELECT email AS x FROM customers WHERE id = 1)",
            "WITH c AS (SELECT email e FROM customers WHERE id = 1) SELECT e FROM c",
            "SELECT replace(email, '@', ' at ') FROM customers WHERE id = 1",
        ],
    )
    def test_labelled_column_is_masked_whatever_the_statement_makes_of_it(self, home, policy, shop, query):
        self.start(home, policy)
        with guardai.session(agent="a"):
            (value,) = sqlite3.connect(shop).execute(query).fetchone()
        assert "user1" not in value.lower()

    def test_column_of_a_view_is_masked_like_the_column_behind_it(self, home, policy, shop):
        with sqlite3.connect(shop) as connection:
            connection.execute("CREATE VIEW v AS SELECT id, substr(email, 1, 5) AS harmless FROM customers")
        self.start(home, policy)
        with guardai.session(agent="a"):
            value = sqlite3.connect(shop).execute("SELECT harmless FROM v WHERE id = 1").fetchone()[0]
        assert "user1" not in value

    def test_row_factory_sees_only_masked_rows(self, home, policy, shop):
        self.start(home, policy)
        seen = []
        connection = sqlite3.connect(shop)
        connection.row_factory = lambda cursor, row: seen.append(row) or {"email": row[0]}
        with guardai.session(agent="a"):
            made = connection.execute("SELECT email FROM customers").fetchall()
        assert all("user" not in row[0] for row in seen)
        assert all("user" not in row["email"] for row in made)

    @pytest.mark.parametrize("fetch", ["fetchone", "fetchmany", "fetchall", "__next__"])
    def test_sqlite3_row_works_and_is_masked_in_every_way_to_fetch(self, home, policy, shop, fetch):
        self.start(home, policy)
        connection = sqlite3.connect(shop)
        connection.row_factory = sqlite3.Row
        with guardai.session(agent="a"):
            cursor = connection.execute("SELECT id, email FROM customers ORDER BY id")
            assert cursor.row_factory is sqlite3.Row
            got = getattr(cursor, fetch)()
        row = got if fetch in ("fetchone", "__next__") else got[0]
        assert isinstance(row, sqlite3.Row)
        assert row["id"] == 1
        assert "user1" not in row["email"]

    def test_numbers_and_blobs_keep_their_types(self, started, shop):
        with guardai.session(agent="a"):
            row = sqlite3.connect(shop).execute("SELECT 1, 2.5, NULL, x'00ff', 'text'").fetchone()
        assert row == (1, 2.5, None, b"\x00\xff", "text")

    def test_observe_mode_changes_nothing_and_records_what_it_would_have_done(self, home, policy, shop, calls):
        guardai.init(
            home=home,
            integrations=["dbapi"],
            mode="observe",
            policy=policy(self.POLICY.format(mask="redact"), self.CATALOG),
        )
        with guardai.session(agent="a"):
            connection = sqlite3.connect(shop)
            assert connection.execute("SELECT email FROM customers WHERE id = 1").fetchone() == ("user1@example.com",)
        [(intent, _)] = calls("db.read")
        assert intent["decision"]["mode"] == "observe"

    def test_observe_mode_lets_a_denied_statement_run_and_says_that_it_was_denied(self, home, shop, calls):
        guardai.init(home=home, integrations=["dbapi"], mode="observe")
        with guardai.session(agent="a"), sqlite3.connect(shop) as connection:
            connection.execute("DELETE FROM customers")
        assert count(shop) == 0
        [(intent, outcome)] = calls("db.destroy")
        assert (intent["decision"]["effect"], outcome["status"]) == ("deny", "ok")


class TestWhoIsActing:
    def test_applications_own_calls_are_left_alone_and_not_recorded(self, started, shop, events):
        connection = sqlite3.connect(shop)
        connection.execute("DELETE FROM customers")
        connection.commit()
        assert count(shop) == 0
        assert events(action="db.destroy") == []

    def test_application_is_governed_where_settings_say_so(self, home, shop, policy):
        guardai.init(
            home=home,
            integrations=["dbapi"],
            app_calls="govern",
            policy=policy("permit (principal is Agent, action, resource);"),
        )
        with pytest.raises(guardai.PolicyDenied):
            sqlite3.connect(shop).execute("DELETE FROM customers")

    def test_application_is_recorded_where_settings_say_so(self, home, shop, calls):
        guardai.init(home=home, integrations=["dbapi"], app_calls="record")
        sqlite3.connect(shop).execute("DELETE FROM customers")
        [(intent, _)] = calls("db.destroy")
        assert intent["principal"]["kind"] == "App"

    def test_statement_inside_a_governed_tool_is_the_agents_and_a_child_of_the_call(self, started, shop, calls):
        @guardai.tool(effects="read")
        def query(sql: str):
            return sqlite3.connect(shop).execute(sql).fetchall()

        assert query("SELECT count(*) FROM customers") == [(10,)]
        [(tool, _)] = calls("tool.call")
        [(read, _)] = calls("db.read")
        assert read["parent"] == tool["call"]
        with pytest.raises(guardai.PolicyDenied):
            query("DELETE FROM customers")

    @pytest.mark.parametrize("carrier", ["thread", "pool", "to_thread"])
    def test_session_goes_where_work_goes(self, started, shop, carrier):
        def work():
            with pytest.raises(guardai.PolicyDenied):
                sqlite3.connect(shop).execute("DELETE FROM customers")
            return "denied"

        with guardai.session(agent="a"):
            match carrier:
                case "thread":
                    done = []
                    thread = threading.Thread(target=lambda: done.append(work()))
                    thread.start()
                    thread.join()
                    assert done == ["denied"]
                case "pool":
                    with concurrent.futures.ThreadPoolExecutor(1) as pool:
                        assert pool.submit(work).result() == "denied"
                case "to_thread":
                    import asyncio

                    assert asyncio.run(asyncio.to_thread(work)) == "denied"

    def test_two_users_tasks_in_one_pool_never_mix(self, started, shop, events):
        def work():
            sqlite3.connect(shop).execute("SELECT count(*) FROM customers").fetchone()
            return guardai.current()

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            with guardai.session(agent="a", user="ann"):
                ann = pool.submit(work).result()
            with guardai.session(agent="a", user="bob"):
                bob = pool.submit(work).result()
            nobody = pool.submit(work).result()
        assert (ann.principal.user, bob.principal.user, nobody) == ("ann", "bob", None)


class TestTransparency:
    def test_shutdown_restores_the_plain_connection(self, home, shop):
        original = sqlite3.connect
        guardai.init(home=home, integrations=["dbapi"])
        assert isinstance(sqlite3.connect(shop), sqlite3.Connection)
        assert type(sqlite3.connect(shop)) is not sqlite3.Connection
        guardai.shutdown()
        assert sqlite3.connect is original
        assert sqlite3.dbapi2.connect is original
        assert type(sqlite3.connect(shop)) is sqlite3.Connection

    def test_connection_that_outlives_the_gate_behaves_as_a_plain_one(self, home, shop):
        guardai.init(home=home, integrations=["dbapi"])
        connection = sqlite3.connect(shop)
        guardai.shutdown()
        connection.execute("DELETE FROM customers")
        assert connection.total_changes == 10

    def test_custom_connection_and_cursor_factories_are_kept_and_governed(self, started, shop):
        class MyCursor(sqlite3.Cursor):
            mine = True

        class MyConnection(sqlite3.Connection):
            def cursor(self):
                return super().cursor(MyCursor)

        connection = sqlite3.connect(shop, factory=MyConnection)
        assert isinstance(connection, MyConnection)
        assert connection.cursor().mine
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            connection.cursor().execute("DELETE FROM customers")

    def test_statement_is_judged_by_what_a_programs_own_subclass_makes_of_it(self, started, shop):
        class Rewriting(sqlite3.Cursor):
            def execute(self, sql, parameters=()):
                return super().execute(sql.replace("SELECT id", "DELETE"), parameters)

        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            sqlite3.connect(shop).cursor(Rewriting).execute("SELECT id FROM customers")

    def test_connection_that_makes_its_cursors_by_hand_still_gives_governed_ones(self, started, shop):
        class Own(sqlite3.Connection):
            def cursor(self):
                return sqlite3.Cursor(self)

        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            sqlite3.connect(shop, factory=Own).cursor().execute("DELETE FROM customers")

    def test_execute_of_a_programs_own_connection_class_is_still_called(self, started, shop):
        class Own(sqlite3.Connection):
            seen = ()

            def execute(self, *args):
                self.seen += args
                return super().execute(*args)

        connection = sqlite3.connect(shop, factory=Own)
        with guardai.session(agent="a"):
            connection.execute("SELECT 1").fetchall()
        assert connection.seen == ("SELECT 1",)

    @pytest.mark.parametrize("kind", ["plain", "subclass"])
    def test_function_as_cursor_factory_gives_a_governed_cursor(self, started, shop, kind):
        class MyCursor(sqlite3.Cursor):
            pass

        made = sqlite3.Cursor if kind == "plain" else MyCursor
        connection = sqlite3.connect(shop)
        cursor = connection.cursor(lambda c: made(c))
        assert isinstance(cursor, made)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            cursor.execute("DELETE FROM customers")

    def test_function_as_connection_factory_gives_a_governed_connection(self, started, shop):
        import _sqlite3

        connection = sqlite3.connect(shop, factory=lambda *a, **k: _sqlite3.Connection(*a, **k))
        assert isinstance(connection, sqlite3.Connection)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            connection.execute("DELETE FROM customers")

    def test_one_open_connection_can_be_wrapped_without_patching(self, home, shop):
        raw = sqlite3.connect(shop)
        guardai.init(home=home, integrations=[])
        connection = guardai.wrap(raw)
        assert isinstance(connection, sqlite3.Connection)
        with guardai.session(agent="a"):
            with pytest.raises(guardai.PolicyDenied):
                connection.execute("DELETE FROM customers")
            with pytest.raises(guardai.PolicyDenied):
                connection.cursor().execute("DELETE FROM customers")
            assert connection.execute("SELECT count(*) FROM customers").fetchone() == (10,)
        assert type(sqlite3.connect(shop)) is sqlite3.Connection

    def test_what_nobody_knows_cannot_be_wrapped(self, started):
        with pytest.raises(TypeError, match="no installed integration governs"):
            guardai.wrap(object())

    @pytest.mark.parametrize("method", ["backup", "serialize", "deserialize", "load_extension"])
    def test_ways_round_a_statement_are_calls_too(self, started, shop, tmp_path, calls, method):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            match method:
                case "backup":
                    connection.backup(sqlite3.connect(tmp_path / "copy.db"))
                    assert calls("data.export")[0][1]["status"] == "ok"
                case "serialize":
                    assert connection.serialize()
                    assert calls("data.export")[0][1]["status"] == "ok"
                case "deserialize":
                    with pytest.raises(guardai.PolicyDenied):
                        connection.deserialize(b"")
                case "load_extension":
                    if not hasattr(sqlite3.Connection, "enable_load_extension"):
                        assert not hasattr(connection, "enable_load_extension")
                        return
                    with pytest.raises(guardai.PolicyDenied):
                        connection.enable_load_extension(True)

    def test_uri_memory_and_path_objects_are_told_apart_in_the_record(self, started, shop, calls):
        with guardai.session(agent="a"):
            sqlite3.connect(":memory:").execute("SELECT 1").fetchall()
            sqlite3.connect(f"file:{shop}?mode=ro", uri=True).execute("SELECT count(*) FROM orders").fetchall()
            sqlite3.connect(pathlib.Path(shop)).execute("SELECT count(*) FROM orders").fetchall()
        uris = [pair[0]["resource"][0]["uri"] for pair in calls("db.read")]
        assert uris[0] == "sqlite:///:memory:"
        assert uris[1] == uris[2] == f"sqlite:///{str(shop).lstrip('/')}#orders"

    def test_thirty_two_threads_lose_no_event(self, started, shop, calls):
        def work(n):
            with guardai.session(agent=f"a{n}"):
                connection = sqlite3.connect(shop)
                for _ in range(20):
                    connection.execute("SELECT id FROM customers WHERE id = ?", (n % 10 + 1,)).fetchall()

        threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pairs = calls("db.read")
        assert len(pairs) == 32 * 20
        assert all(len(pair) == 2 for pair in pairs)


class TestFoundByReading:
    """Each of these once let something pass."""

    LABELLED = (
        "permit (principal, action, resource);"
        '@id("no") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii");'
    )
    CATALOG = '[columns]\n"customers.name" = ["pii.name"]\n"customers.email" = ["pii.email"]\n'

    @pytest.fixture
    def labelled(self, home, policy):
        forbid = '@id("no-drop") forbid (principal, action == Action::"db.destroy", resource);'
        guardai.init(home=home, integrations=["dbapi"], policy=policy(self.LABELLED + forbid, self.CATALOG))

    def test_refused_statement_leaves_the_former_ones_rows_masked(self, labelled, shop):
        with guardai.session(agent="a"):
            cursor = sqlite3.connect(shop).execute("SELECT name FROM customers")
            cursor.fetchone()
            with pytest.raises(guardai.PolicyDenied):
                cursor.execute("DROP TABLE customers")
            assert not any("name" in row[0] for row in cursor.fetchall())

    def test_schema_that_cannot_be_read_masks_every_column(self, labelled, shop):
        connection = sqlite3.connect(shop)
        with guardai.session(agent="a"):
            connection.set_authorizer(
                lambda action, one, *_: sqlite3.SQLITE_DENY if str(one).startswith("pragma_") else sqlite3.SQLITE_OK
            )
            row = connection.execute("SELECT name, id + 41 FROM customers").fetchone()
        assert "name1" not in row
        assert 42 not in row

    def test_labels_hold_under_a_text_factory_and_beside_an_attached_table_of_the_same_name(
        self, labelled, shop, tmp_path
    ):
        connection = sqlite3.connect(shop)
        connection.text_factory = bytes
        with guardai.session(agent="a"):
            assert b"name1" not in connection.execute("SELECT substr(name, 1, 99) AS x FROM customers").fetchone()
        connection = sqlite3.connect(shop)
        connection.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
        connection.execute("CREATE TABLE other.customers (id, a, b, c)")
        with guardai.session(agent="a"):
            assert "name1" not in connection.execute("SELECT * FROM customers").fetchone()

    def test_backup_does_not_overwrite_a_database_that_policy_protects(self, started, shop):
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            sqlite3.connect(":memory:").backup(sqlite3.connect(shop))
        assert count(shop) == 10

    @pytest.mark.parametrize("name", ["customers", "main.customers", "MAIN.Customers", '"main"."customers"'])
    def test_one_table_has_one_name_however_it_is_written(self, home, shop, policy, name):
        forbid = '@id("x") forbid (principal, action == Action::"db.read", resource == Table::"shop.customers");'
        guardai.init(home=home, integrations=["dbapi"], policy=policy("permit (principal, action, resource);" + forbid))
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            sqlite3.connect(shop).execute(f"SELECT name FROM {name}")

    @pytest.mark.skipif(not hasattr(sqlite3.Connection, "blobopen"), reason="this sqlite3 has no blobopen")
    def test_blob_is_judged_as_a_read_of_its_table(self, home, shop, policy):
        forbid = '@id("x") forbid (principal, action == Action::"db.read", resource == Table::"shop.customers");'
        guardai.init(home=home, integrations=["dbapi"], policy=policy("permit (principal, action, resource);" + forbid))
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            sqlite3.connect(shop).blobopen("customers", "email", 1, readonly=True)

    def test_no_row_passes_after_its_call_has_ended(self, started, shop, calls):
        with guardai.session(agent="a"):
            cursor = sqlite3.connect(shop).execute("SELECT id FROM customers")
            cursor.fetchone()
        with pytest.raises(guardai.ResultWithheld, match="inside the session"):
            cursor.fetchall()
        assert calls("db.read")[0][1]["body"]["rows"] == 1

    def test_first_row_counts_as_read_before_the_last_one(self, started, shop, events):
        with guardai.session(agent="a"):
            cursor = sqlite3.connect(shop).execute("SELECT email FROM customers")
            cursor.fetchone()
            guardai.tool(name="t")(lambda: 1)()
        [tool] = [e for e in events(kind="call.intent") if e["action"] == "tool.call"]
        [read] = [e for e in events(kind="call.intent") if e["action"] == "db.read"]
        assert tool["lineage"] == [{"evidence": "possible", "from": read["id"]}]

    def test_wrapped_connection_does_not_lend_out_the_raw_one(self, home, shop):
        raw = sqlite3.connect(shop)
        guardai.init(home=home, integrations=[])
        connection = guardai.wrap(raw)
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            connection.cursor().connection.execute("DELETE FROM customers")

    def test_forked_child_does_not_end_its_parents_call(self, started, shop, calls):
        import os

        with guardai.session(agent="a"):
            cursor = sqlite3.connect(shop).execute("SELECT id FROM customers")
            cursor.fetchone()
            child = os.fork()
            if child == 0:
                cursor.close()
                os._exit(0)
            os.waitpid(child, 0)
            cursor.fetchall()
        [pair] = calls("db.read")
        assert [e.get("status") for e in pair[1:]] == ["ok"]


class TestForeignKeys:
    POLICY = (
        "permit (principal, action, resource);"
        '@id("not-orders") forbid (principal, action == Action::"db.write", resource)'
        ' when { context.sql.tables_written.contains("orders") };'
    )

    @pytest.fixture
    def shop(self, home, policy):
        guardai.init(home=home, integrations=["dbapi"], policy=policy(self.POLICY))
        connection = sqlite3.connect(":memory:")
        connection.executescript("""
            CREATE TABLE customers (id integer PRIMARY KEY);
            CREATE TABLE orders (id integer PRIMARY KEY, c int REFERENCES customers ON DELETE CASCADE);
            INSERT INTO customers VALUES (1), (2);
            INSERT INTO orders VALUES (1, 1);
        """)
        yield connection
        connection.close()

    def test_policy_is_asked_about_what_a_foreign_key_deletes_besides(self, shop):
        shop.execute("PRAGMA foreign_keys = ON")
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied, match="not-orders"):
            shop.execute("DELETE FROM customers WHERE id = ?", (1,))
        assert shop.execute("SELECT count(*) FROM orders").fetchone() == (1,)

    def test_switching_them_on_and_off_counts_for_the_next_statement(self, shop):
        with guardai.session(agent="a"):
            shop.execute("DELETE FROM customers WHERE id = ?", (1,))
        shop.commit()
        shop.execute("PRAGMA foreign_keys = ON")
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            shop.execute("DELETE FROM customers WHERE id = ?", (2,))
        shop.execute("PRAGMA foreign_keys = OFF")
        with guardai.session(agent="a"):
            shop.execute("DELETE FROM customers WHERE id = ?", (2,))
