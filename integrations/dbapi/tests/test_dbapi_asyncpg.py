import asyncio
import contextlib
import io
import subprocess
import sys
import tracemalloc

import pytest

import guardai

asyncpg = pytest.importorskip("asyncpg")

KEY = "AKIA" + "IOSFODNN7" + "QWERTYU"
SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, note text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, cents int);
INSERT INTO customers SELECT n, 'name' || n, 'user' || n || '@example.com', 'none' FROM generate_series(1, 10) n;
INSERT INTO orders SELECT n, n % 10 + 1, n * 100 FROM generate_series(0, 49) n;
"""
CATALOG = '[columns]\n"customers.email" = ["pii.email"]\n'
MASK = (
    "permit (principal, action, resource);"
    '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource in Label::"pii.email");'
)
READS = (
    '@id("reads") permit (principal, action == Action::"db.read", resource);'
    '@id("shows") permit (principal, action == Action::"reveal", resource);'
)


def capped(annotations):
    return f'@id("all") {annotations} permit (principal, action, resource);'


@pytest.fixture
async def shop(postgres):
    """The application's own connection, made before guardai starts."""
    connection = await asyncpg.connect(postgres)
    await connection.execute(SCHEMA)
    yield connection
    await connection.close()


@pytest.fixture
async def agents(shop, postgres):
    """A connection for the agent's statements."""
    connection = await asyncpg.connect(postgres)
    yield connection
    connection.terminate()


@pytest.fixture
def seen(agents):
    """The statements that the library sent to the server for the agent."""
    seen = []
    agents.add_query_logger(lambda record: seen.append(record.query))
    return seen


async def names(connection):
    return [name for (name,) in await connection.fetch("SELECT name FROM customers ORDER BY id")]


DESTRUCTIVE = [
    "DELETE FROM customers",
    "DELETE FROM customers WHERE 1=1",
    "/* tidy up */ DELETE FROM customers",
    "WITH old AS (SELECT id FROM customers) DELETE FROM customers WHERE id IN (SELECT id FROM old)",
    "UPDATE customers SET name = 'x'",
    "UPDATE customers SET name = 'x' RETURNING id",
    "DROP TABLE customers",
]


async def _prepared(connection, statement, method, *args):
    return await getattr(await connection.prepare(statement), method)(*args)


async def _looped(connection, statement):
    async with connection.transaction():
        return [row async for row in connection.cursor(statement)]


async def _opened(connection, statement):
    async with connection.transaction():
        return await (await connection.cursor(statement)).fetch(100)


async def _row_by_row(connection, statement):
    found = []
    async with connection.transaction():
        cursor = await connection.cursor(statement)
        while (row := await cursor.fetchrow()) is not None:
            found.append(row)
    return found


async def _prepared_loop(connection, statement):
    async with connection.transaction():
        prepared = await connection.prepare(statement)
        return [row async for row in prepared.cursor(prefetch=3)]


#: How a statement without arguments is run.
WAYS = {
    "execute": lambda c, s: c.execute(s),
    "executemany": lambda c, s: c.executemany(s, [()]),
    "fetch": lambda c, s: c.fetch(s),
    "fetchrow": lambda c, s: c.fetchrow(s),
    "fetchval": lambda c, s: c.fetchval(s),
    "fetchmany": lambda c, s: c.fetchmany(s, [()]),
    "prepared fetch": lambda c, s: _prepared(c, s, "fetch"),
    "prepared fetchrow": lambda c, s: _prepared(c, s, "fetchrow"),
    "prepared fetchval": lambda c, s: _prepared(c, s, "fetchval"),
    "prepared fetchmany": lambda c, s: _prepared(c, s, "fetchmany", [()]),
    "prepared executemany": lambda c, s: _prepared(c, s, "executemany", [()]),
    "async for": _looped,
    "cursor": _opened,
    "cursor, row by row": _row_by_row,
    "prepared cursor": _prepared_loop,
}
ALL_ROWS = [
    "fetch", "fetchmany", "prepared fetch", "prepared fetchmany", "async for", "cursor", "cursor, row by row",
    "prepared cursor",
]  # fmt: skip


class TestDenied:
    @pytest.mark.parametrize("way", WAYS)
    async def test_denied_statement_has_no_effect_whichever_way_it_goes(self, start, shop, agents, way, calls):
        start()
        for statement in DESTRUCTIVE:
            with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
                await WAYS[way](agents, statement)
        assert await names(shop) == [f"name{n}" for n in range(1, 11)]
        assert [[e["kind"] for e in pair] for pair in calls()] == [["call.intent", "call.outcome"]] * len(DESTRUCTIVE)
        assert {outcome["status"] for _, outcome in calls()} == {"denied"}

    @pytest.mark.parametrize("way", WAYS)
    async def test_denied_statement_never_reaches_the_server(self, start, shop, agents, postgres, way):
        start()
        with guardai.session(agent="a"):
            await agents.fetch("SELECT 1 FROM customers")  # the tables are known now
        before = await shop.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", agents.get_server_pid())
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            await WAYS[way](agents, "DELETE FROM customers")
        after = await shop.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", agents.get_server_pid())
        assert after == before or after in ("ROLLBACK;", "BEGIN;")

    async def test_connection_is_usable_after_a_denial_and_so_is_its_transaction(self, start, shop, agents):
        start()
        with guardai.session(agent="a"):
            async with agents.transaction():
                await agents.execute("UPDATE customers SET name = 'x' WHERE id = 1")
                with pytest.raises(guardai.PolicyDenied):
                    await agents.execute("DROP TABLE customers")
                assert await agents.fetchval("SELECT count(*) FROM customers") == 10
        assert (await names(shop))[0] == "x"

    async def test_abort_raises_what_an_agent_loop_does_not_swallow(self, start, agents):
        start()
        with pytest.raises(guardai.SessionAborted), guardai.session(agent="a", on_denied="abort"):
            try:
                await agents.fetch("DROP TABLE customers")
            except Exception:
                pytest.fail("swallowed")

    async def test_several_statements_with_one_that_destroys_are_denied_whole(self, start, shop, agents):
        start()
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            await agents.execute("UPDATE customers SET name = 'x' WHERE id = 1; DROP TABLE orders")
        assert (await names(shop))[0] == "name1"

    @pytest.mark.parametrize("method", ["copy_from_query", "copy_from_table", "copy_to_table", "copy_records_to_table"])
    async def test_copying_is_denied_by_the_starter_policy(self, start, shop, agents, method):
        start()
        sink = io.BytesIO()
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied):
            match method:
                case "copy_from_query":
                    await agents.copy_from_query("SELECT * FROM customers", output=sink)
                case "copy_from_table":
                    await agents.copy_from_table("customers", output=sink)
                case "copy_to_table":
                    await agents.copy_to_table("orders", source=io.BytesIO(b"99\t1\t1\n"))
                case "copy_records_to_table":
                    await agents.copy_records_to_table("orders", records=[(99, 1, 1)])
        assert sink.getvalue() == b""
        assert await shop.fetchval("SELECT count(*) FROM orders") == 50


class TestPermitted:
    @pytest.mark.parametrize("way", ALL_ROWS)
    async def test_rows_are_the_librarys_own_records_counted_once(self, start, agents, way, calls):
        start()
        with guardai.session(agent="a", user="u-1"):
            rows = await WAYS[way](agents, "SELECT id, cents FROM orders ORDER BY id")
        assert [tuple(row) for row in rows] == [(n, n * 100) for n in range(50)]
        assert {type(row) for row in rows} == {asyncpg.Record}
        [(intent, outcome)] = calls()
        assert (intent["action"], outcome["status"], outcome["body"]["rows"]) == ("db.read", "ok", 50)
        assert intent["principal"]["user"] == "u-1"

    async def test_target_is_the_database_without_user_and_password(self, start, agents, postgres, calls):
        start()
        with guardai.session(agent="a"):
            await agents.fetch("SELECT id FROM orders")
        [(intent, _)] = calls()
        assert intent["resource"][0]["uri"] == "postgresql://" + postgres.partition("@")[2] + "#orders"

    @pytest.mark.parametrize(
        ("run", "affected"),
        [
            (lambda c: c.execute("UPDATE customers SET name = 'x' WHERE id IN (1, 2, 3)"), 3),
            (lambda c: c.execute("UPDATE customers SET name = $1 WHERE id IN ($2, 2, 3)", "x", 1), 3),
            (lambda c: c.fetch("UPDATE customers SET name = $1 WHERE id IN ($2, 2, 3)", "x", 1), 3),
            (lambda c: _prepared(c, "UPDATE customers SET name = $1 WHERE id IN (1, 2, 3)", "fetch", "x"), 3),
        ],
    )
    async def test_bounded_write_tells_how_many_rows(self, start, shop, agents, run, affected, calls):
        start()
        with guardai.session(agent="a"):
            await run(agents)
        assert (await names(shop)).count("x") == affected
        [(_, outcome)] = calls("db.write")
        assert (outcome["status"], outcome["body"]["affected"]) == ("ok", affected)

    async def test_result_of_execute_is_the_servers_word(self, start, agents):
        start()
        with guardai.session(agent="a"):
            assert await agents.execute("UPDATE customers SET name = 'x' WHERE id = 1") == "UPDATE 1"
            assert await agents.execute("UPDATE customers SET name = 'x' WHERE id = $1", 1) == "UPDATE 1"
            assert await agents.executemany("UPDATE customers SET name = $1 WHERE id = $2", [("x", 1)]) is None
            assert await agents.fetchrow("SELECT 1 FROM customers WHERE id = 99") is None
            assert await agents.fetchval("SELECT 1 FROM customers WHERE id = 99") is None
            assert await agents.fetch("SELECT 1 FROM customers WHERE id = 99") == []

    async def test_transactions_are_the_librarys_own_and_leave_no_event(self, start, agents, calls):
        start('@id("none") forbid (principal, action, resource);')
        with guardai.session(agent="a"):
            async with agents.transaction(isolation="serializable"), agents.transaction():
                pass
            with contextlib.suppress(ZeroDivisionError):
                async with agents.transaction():
                    raise ZeroDivisionError
            transaction = agents.transaction()
            await transaction.start()
            await transaction.rollback()
            await agents.reset()
        assert calls() == []

    async def test_error_of_the_server_comes_through_unchanged(self, start, agents, calls):
        start()
        with guardai.session(agent="a"):
            for way in ALL_ROWS:
                with pytest.raises(asyncpg.UndefinedTableError, match="nowhere"):
                    await WAYS[way](agents, "SELECT * FROM nowhere")
        outcomes = [pair[1] for pair in calls() if len(pair) == 2]
        assert {(o["status"], o["body"]["error"]) for o in outcomes} == {("error", "UndefinedTableError")}
        # What cannot be prepared is never run, and what is only prepared leaves no event.
        assert len(calls()) == len([way for way in ALL_ROWS if "prepared" not in way])

    async def test_cursor_outside_a_transaction_is_the_librarys_error(self, start, agents, calls):
        start()
        with guardai.session(agent="a"):
            with pytest.raises(asyncpg.NoActiveSQLTransactionError):
                await agents.cursor("SELECT id FROM orders")
            with pytest.raises(asyncpg.NoActiveSQLTransactionError):
                [row async for row in agents.cursor("SELECT id FROM orders")]
        assert [outcome["status"] for _, outcome in calls()] == ["error", "error"]

    async def test_cursor_moves_forward_and_counts_what_it_gave(self, start, agents, calls):
        start()
        with guardai.session(agent="a"):
            async with agents.transaction():
                cursor = await agents.cursor("SELECT id FROM orders ORDER BY id")
                assert isinstance(cursor, asyncpg.cursor.Cursor)
                assert await cursor.forward(10) == 10
                assert [tuple(row) for row in await cursor.fetch(2)] == [(10,), (11,)]
                assert await cursor.forward(100) == 38
                assert await cursor.fetchrow() is None
        [(_, outcome)] = calls()
        assert (outcome["status"], outcome["body"]["rows"]) == ("ok", 2)

    async def test_cursor_that_nobody_reads_to_the_end_is_abandoned(self, start, agents, calls):
        start()
        with guardai.session(agent="a"):
            async with agents.transaction():
                async for _ in agents.cursor("SELECT id FROM orders", prefetch=5):
                    break
        [(_, outcome)] = calls()
        assert outcome["status"] == "abandoned"

    async def test_pool_and_its_proxies_are_governed_and_its_reset_is_not(self, start, shop, postgres, calls):
        start()
        prepared = []

        async def init(connection):
            await connection.execute("CREATE TEMP TABLE mine (x int)")
            await connection.set_type_codec("json", encoder=str, decoder=str, schema="pg_catalog")

        async def setup(connection):
            prepared.append(await connection.execute("TRUNCATE mine"))

        with guardai.session(agent="a"):
            async with asyncpg.create_pool(postgres, min_size=1, max_size=2, init=init, setup=setup) as pool:
                assert len(await pool.fetch("SELECT id FROM orders")) == 50
                async with pool.acquire() as connection:
                    assert await connection.fetchval("SELECT count(*) FROM customers") == 10
                    with pytest.raises(guardai.PolicyDenied):
                        await connection.execute("DROP TABLE customers")
                with pytest.raises(guardai.PolicyDenied):
                    await pool.execute("TRUNCATE customers")
        assert prepared == ["TRUNCATE TABLE"] * 3
        assert [pair[0]["action"] for pair in calls()] == ["db.read", "db.read", "db.destroy", "db.destroy"]

    async def test_types_that_the_library_looks_up_leave_no_event(self, start, shop, agents, calls):
        await shop.execute("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE moods (m mood, c customers)")
        await shop.execute("INSERT INTO moods SELECT 'ok', c FROM customers c WHERE id = 1")
        start()
        with guardai.session(agent="a"):
            await agents.set_type_codec("mood", encoder=str, decoder=str.upper)
            row = await agents.fetchrow("SELECT m, c FROM moods")
        assert row["m"] == "OK"
        assert row["c"]["name"] == "name1"
        assert len(calls()) == 1

    async def test_type_errors_and_exceptions_of_the_library_are_its_own(self, start, agents):
        start()
        with guardai.session(agent="a"):
            with pytest.raises(asyncpg.DataError):
                await agents.fetch("SELECT id FROM orders WHERE id = $1", "no number")
            with pytest.raises(asyncpg.InterfaceError):
                await agents.fetch("SELECT id FROM orders WHERE id = $1")
            with pytest.raises(asyncpg.InterfaceError, match="prefetch"):
                await agents.cursor("SELECT id FROM orders", prefetch=5)
            with pytest.raises(TypeError):
                await agents.fetch()
            await agents.close()
            with pytest.raises(asyncpg.InterfaceError, match="closed"):
                await agents.fetch("SELECT id FROM orders")

    async def test_tables_that_are_made_meanwhile_are_known(self, start, shop, agents):
        start(MASK, '[columns]\n"fresh.mail" = ["pii.email"]\n')
        with guardai.session(agent="a"):
            await agents.fetch("SELECT id FROM orders")
        await shop.execute("CREATE TABLE fresh (mail text); INSERT INTO fresh VALUES ('plain')")
        with guardai.session(agent="a"):
            assert await agents.fetchval("SELECT mail AS x FROM fresh") == "[EMAIL]"
            assert await agents.fetchval("SELECT name FROM customers WHERE id = 1") == "name1"


class TestMasking:
    @pytest.mark.parametrize("way", ALL_ROWS)
    async def test_labelled_column_is_masked_however_it_is_fetched(self, start, shop, agents, way):
        start(MASK, CATALOG)
        await shop.execute("UPDATE customers SET email = 'unrecognisable'")
        with guardai.session(agent="a"):
            rows = await WAYS[way](agents, "SELECT id, email AS contact, name FROM customers ORDER BY id")
        assert [tuple(row) for row in rows] == [(n, "[EMAIL]", f"name{n}") for n in range(1, 11)]
        for row in rows:
            assert isinstance(row, asyncpg.Record)
            assert list(row.keys()) == ["id", "contact", "name"]
            assert row["contact"] == row[1] == row.get("contact") == "[EMAIL]"
            assert dict(row)["contact"] == dict(row.items())["contact"] == "[EMAIL]"
            assert "unrecognisable" not in repr(row)
            assert asyncpg.Record.__getitem__(row, 1) == "[EMAIL]"

    @pytest.mark.parametrize(
        "way", ["fetchval", "fetchrow", "prepared fetchval", "prepared fetchrow", "executemany", "execute"]
    )
    async def test_single_value_and_row_are_masked(self, start, agents, way):
        start(MASK, CATALOG)
        with guardai.session(agent="a"):
            found = await WAYS[way](agents, "SELECT email FROM customers WHERE id = 1")
        assert "user1" not in repr(found)

    async def test_column_of_fetchval_counts_from_the_masked_row(self, start, agents):
        start(MASK, CATALOG)
        with guardai.session(agent="a"):
            assert await agents.fetchval("SELECT id, email FROM customers WHERE id = 1", column=1) == "[EMAIL]"

    async def test_returning_is_masked(self, start, agents):
        start(MASK, CATALOG)
        with guardai.session(agent="a"):
            row = await agents.fetchrow("UPDATE customers SET name = 'x' WHERE id = 1 RETURNING email")
        assert row["email"] == "[EMAIL]"

    async def test_secret_in_a_cell_is_redacted_by_the_starter_policy(self, start, shop, agents):
        await shop.execute("UPDATE customers SET note = $1 WHERE id = 1", f"key {KEY}")
        start()
        with guardai.session(agent="a"):
            rows = await agents.fetch("SELECT id, note FROM customers ORDER BY id")
        assert KEY not in repr(rows)
        assert rows[0]["note"].startswith("key ")
        assert rows[1]["note"] == "none"

    async def test_secret_within_composites_arrays_and_documents_is_redacted(self, start, shop, agents):
        await shop.execute("UPDATE customers SET note = $1 WHERE id = 1", f"key {KEY}")
        start()
        with guardai.session(agent="a"):
            rows = await agents.fetch(
                "SELECT c, array[note, 'x'] AS a, array[c] AS r, jsonb_build_object('n', note) AS j, row(note, 1) AS t"
                " FROM customers c WHERE id = 1"
            )
        assert KEY not in repr(rows)
        row = rows[0]
        assert row["c"]["name"] == row["r"][0]["name"] == "name1"
        assert isinstance(row["c"], asyncpg.Record)
        assert KEY not in row["c"]["note"] + row["r"][0]["note"] + row["a"][0] + row["j"] + row["t"][0]
        assert row["a"][1] == "x"

    async def test_columns_of_one_name_stay_two(self, start, agents):
        start(MASK, CATALOG)
        with guardai.session(agent="a"):
            [row] = await agents.fetch("SELECT email AS x, id AS x, email AS x FROM customers WHERE id = 1")
        assert list(row.items()) == [("x", "[EMAIL]"), ("x", 1), ("x", "[EMAIL]")]
        assert row["x"] == "[EMAIL]"

    async def test_programs_own_record_class_is_kept_and_holds_nothing(self, start, agents):
        class Dotted(asyncpg.Record):
            def __getattr__(self, name):
                return self[name]

        start(MASK, CATALOG)
        with guardai.session(agent="a"):
            row = await agents.fetchrow("SELECT id, email FROM customers WHERE id = 1", record_class=Dotted)
            plain = await agents.fetchrow("SELECT id, name FROM customers WHERE id = 1", record_class=Dotted)
        assert isinstance(row, Dotted)
        assert (row.id, row.email, tuple(row), len(row)) == (1, "[EMAIL]", (1, "[EMAIL]"), 2)
        assert repr(row) == "<Dotted id=1 email='[EMAIL]'>"
        assert "user1" not in repr([asyncpg.Record.__repr__(row), list(asyncpg.Record.values(row)), vars(row)])
        assert type(plain) is Dotted

    async def test_row_that_needs_no_mask_is_the_librarys_own_object(self, start, agents):
        start(MASK, CATALOG)
        with guardai.session(agent="a"):
            row = await agents.fetchrow("SELECT id, name FROM customers WHERE id = 1")
        assert type(row) is asyncpg.Record

    async def test_what_a_cursor_fetched_ahead_is_masked_already(self, start, agents):
        start(MASK, CATALOG)
        with guardai.session(agent="a"):
            async with agents.transaction():
                iterator = aiter(agents.cursor("SELECT email FROM customers", prefetch=5))
                await anext(iterator)
                assert "user" not in repr(list(iterator._buffer))

    async def test_copied_bytes_pass_only_where_raw_data_may_be_revealed(self, start, shop, agents, calls):
        start(
            "permit (principal, action, resource);"
            '@id("no-raw") forbid (principal, action == Action::"reveal", resource == Label::"opaque.raw");'
        )
        sink = io.BytesIO()
        with guardai.session(agent="a"):
            with pytest.raises(guardai.PolicyDenied, match=r"opaque\.raw"):
                await agents.copy_from_query("SELECT note FROM customers", output=sink)
            with pytest.raises(guardai.PolicyDenied, match=r"opaque\.raw"):
                await agents.copy_to_table("orders", source=io.BytesIO(b"99\t1\t1\n"))
        assert sink.getvalue() == b""
        assert await shop.fetchval("SELECT count(*) FROM orders") == 50

    async def test_copying_where_it_is_permitted_is_one_call_each(self, start, shop, agents, calls):
        start("permit (principal, action, resource);")
        sink = io.BytesIO()
        with guardai.session(agent="a"):
            assert await agents.copy_from_query(
                "SELECT id FROM orders WHERE id < $1", 3, output=sink
            ) == "COPY 3"  # fmt: skip
            await agents.copy_from_table("orders", columns=["id"], output=io.BytesIO())
            assert await agents.copy_to_table("orders", source=io.BytesIO(b"99\t1\t1\n")) == "COPY 1"
            assert await agents.copy_records_to_table("orders", records=[(98, 1, 1), (97, 1, 1)]) == "COPY 2"
        assert sink.getvalue() == b"0\n1\n2\n"
        assert [[e["kind"] for e in pair] for pair in calls()] == [["call.intent", "call.outcome"]] * 4
        assert calls()[3][1]["body"]["affected"] == 2


class TestParameters:
    POLICY = "permit (principal, action, resource);" + (
        '@id("no-mail") @mask("redact") forbid (principal, action == Action::"reveal", resource == Label::"pii.email")'
        ' when { context.to.kind == "database" };'
    )

    async def test_parameter_that_may_not_go_there_is_masked_on_its_way(self, start, shop, agents, events):
        start(self.POLICY)
        update = "UPDATE customers SET name = $1 WHERE id = $2"

        async def later():
            yield (12, "f@example.com")

        with guardai.session(agent="a"):
            await agents.execute(update, "a@example.com", 1)
            await agents.executemany(update, [("b@example.com", 2), ("plain", 3)])
            await agents.executemany(update, iter([("c@example.com", 4), ("plain", 5)]))
            await (await agents.prepare(update)).fetch("d@example.com", 6)
            await (await agents.prepare(update)).executemany([("d@example.com", 7)])
            for records in ([(11, "e@example.com")], later()):
                await agents.copy_records_to_table("customers", columns=["id", "name"], records=records)
        kept = await names(shop)
        assert kept[:7] == ["[EMAIL]", "[EMAIL]", "plain", "[EMAIL]", "plain", "[EMAIL]", "[EMAIL]"]
        assert kept[-2:] == ["[EMAIL]"] * 2
        assert "@example.com" not in repr(events())
        assert [event["findings"] for event in events(kind="call.outcome")] == [{"pii.email": 1}] * 7

    async def test_parameters_of_a_cursor_are_masked(self, start, agents):
        start(self.POLICY)
        with guardai.session(agent="a"):
            async with agents.transaction():
                rows = [row async for row in agents.cursor("SELECT $1::text", "a@example.com")]
                more = await (await agents.cursor("SELECT $1::text", "a@example.com")).fetch(1)
        assert [row[0] for row in (*rows, *more)] == ["[EMAIL]"] * 2


class TestLimits:
    @pytest.mark.parametrize(
        "run",
        [
            lambda c: c.execute("UPDATE customers SET name = 'x' WHERE id < 4"),
            lambda c: c.execute("UPDATE customers SET name = $1 WHERE id < 4", "x"),
            lambda c: c.fetchrow("UPDATE customers SET name = 'x' WHERE id < 4 RETURNING id"),
            lambda c: c.fetchval("UPDATE customers SET name = 'x' WHERE id < 4 RETURNING id"),
            lambda c: c.executemany("UPDATE customers SET name = 'x' WHERE id = $1", [(1,), (2,), (3,)]),
            lambda c: c.fetchmany("UPDATE customers SET name = 'x' WHERE id = $1 RETURNING id", [(1,), (2,), (3,)]),
            lambda c: _prepared(c, "UPDATE customers SET name = 'x' WHERE id < 4 RETURNING id", "fetchrow"),
            lambda c: _prepared(c, "UPDATE customers SET name = 'x' WHERE id = $1", "executemany", [(1,), (2,), (3,)]),
        ],
    )
    @pytest.mark.parametrize("inside", [False, True])
    async def test_statement_that_changes_too_many_rows_is_taken_back(self, start, shop, agents, run, inside, calls):
        start(capped('@affected_cap("2")'))
        with guardai.session(agent="a"):
            transaction = agents.transaction()
            if inside:
                await transaction.start()
                await agents.execute("UPDATE customers SET name = 'y' WHERE id = 10")
            with pytest.raises(guardai.PolicyDenied, match="would change 3 rows, .* permits 2"):
                await run(agents)
            if inside:
                await transaction.commit()
        kept = await names(shop)
        assert "x" not in kept
        assert (kept[9] == "y") is inside
        assert (calls()[-1][1]["status"], calls()[-1][1]["body"]["affected"]) == ("denied", 3)
        assert not agents.is_in_transaction()

    async def test_statement_within_the_cap_is_done_as_ever(self, start, shop, agents):
        start(capped('@affected_cap("3")'))
        with guardai.session(agent="a"):
            row = await agents.fetchrow("UPDATE customers SET name = 'x' WHERE id < 4 RETURNING id")
            assert await agents.executemany("UPDATE customers SET name = 'z' WHERE id = $1", [(8,), (9,)]) is None
        assert row["id"] == 1
        assert (await names(shop)).count("x") == 3

    async def test_cursor_cannot_tell_what_it_changes_and_is_refused(self, start, shop, agents):
        start(capped('@affected_cap("2")'))
        with guardai.session(agent="a"), pytest.raises(guardai.PolicyDenied, match="cursor"):
            await _looped(agents, "UPDATE customers SET name = 'x' WHERE id = 1 RETURNING id")
        assert "x" not in await names(shop)

    async def test_rows_beyond_the_cap_stay(self, start, agents, calls):
        start(capped('@row_cap("4")'))
        with guardai.session(agent="a"):
            assert len(await agents.fetch("SELECT id FROM orders LIMIT 4")) == 4
            with pytest.raises(guardai.ResultWithheld, match="4 rows"):
                await agents.fetch("SELECT id FROM orders")
            async with agents.transaction():
                cursor = await agents.cursor("SELECT id FROM orders")
                assert len(await cursor.fetch(4)) == 4
                with pytest.raises(guardai.ResultWithheld):
                    await cursor.fetch(1)
        assert [pair[1]["status"] for pair in calls()] == ["ok", "withheld", "withheld"]

    @pytest.mark.parametrize("inside", [False, True])
    async def test_statement_that_runs_too_long_ends_with_the_servers_own_error(self, start, agents, inside, calls):
        start(capped('@timeout("1s")'))
        with guardai.session(agent="a"), pytest.raises(asyncpg.QueryCanceledError):
            if inside:
                await _looped(agents, "SELECT count(*) FROM generate_series(1, 1000000000)")
            else:
                await agents.fetch("SELECT count(*) FROM generate_series(1, 1000000000)")
        assert calls()[-1][1]["status"] == "error"
        assert await agents.fetchval("SHOW statement_timeout") == "0"

    @pytest.mark.parametrize("way", ["execute", "fetch", "fetchmany", "prepared fetch", "async for", "cursor"])
    async def test_server_refuses_what_the_inspection_took_for_a_read(
        self, start, shop, agents, way, monkeypatch, events
    ):
        from guardai.gate import plan
        from guardai.sql import Inspection

        harmless = Inspection(statements=1, effects=frozenset({"read"}), reads=frozenset({"t"}), verbs=("select",))
        monkeypatch.setattr(plan, "inspect", lambda *_, **__: harmless)
        start(READS)
        with guardai.session(agent="a"), pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await WAYS[way](agents, "DELETE FROM customers WHERE id = 1 RETURNING id")
        outcome = events(kind="call.outcome")[-1]
        assert (outcome["status"], outcome["body"]["refused"]) == ("error", "engine")
        assert len(await names(shop)) == 10
        await agents.execute("UPDATE customers SET name = 'mine' WHERE id = 1")  # the application's, as before

    async def test_reads_pass_under_the_lock_and_the_transaction_writes_on(self, start, shop, agents):
        start(READS)
        async with agents.transaction():
            with guardai.session(agent="a"):
                assert await agents.fetchval("SELECT count(*) FROM customers") == 10
                rows = [row async for row in agents.cursor("SELECT id FROM orders", prefetch=7)]
            await agents.execute("UPDATE customers SET name = 'mine' WHERE id = 1")
        assert len(rows) == 50
        assert (await names(shop))[0] == "mine"

    async def test_error_that_the_server_never_saw_leaves_the_transaction_as_it_was(self, start, shop, agents):
        start(READS)
        async with agents.transaction():
            with guardai.session(agent="a"):
                with pytest.raises(asyncpg.DataError):
                    await agents.fetch("SELECT id FROM orders WHERE id = $1", "no number")
                with pytest.raises(asyncpg.InterfaceError):
                    await agents.fetch("SELECT id FROM orders WHERE id = $1")
            await agents.execute("UPDATE customers SET name = 'mine' WHERE id = 1")
            with pytest.raises(asyncpg.PostgresError, match="savepoint"):
                async with agents.transaction():
                    await agents.execute("ROLLBACK TO SAVEPOINT guardai")
        assert (await names(shop))[0] == "mine"

    async def test_agents_own_words_of_a_transaction_stay_what_they_are(self, start, shop, agents):
        start(READS)
        with guardai.session(agent="a"):
            await agents.execute("BEGIN")
            assert agents.is_in_transaction()
            await agents.fetch("SELECT id FROM orders")
            await agents.execute("ROLLBACK")
            assert not agents.is_in_transaction()


class TestWhenItBreaks:
    async def test_connection_that_is_cut_leaves_it_unknown(self, start, shop, agents, calls):
        start("permit (principal, action, resource);")

        async def cut():
            await asyncio.sleep(0.5)
            await shop.execute("SELECT pg_terminate_backend($1)", agents.get_server_pid())

        task = asyncio.create_task(cut())
        with guardai.session(agent="a"), pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await agents.fetch("SELECT pg_sleep(30)")
        await task
        assert calls()[-1][1]["status"] == "unknown"

    async def test_cancelled_task_leaves_it_unknown_and_the_connection_usable(self, start, agents, calls):
        start("permit (principal, action, resource);")
        with guardai.session(agent="a"):
            task = asyncio.create_task(agents.fetch("SELECT pg_sleep(30)"))
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await agents.fetchval("SELECT 1") == 1
        assert [pair[1]["status"] for pair in calls()] == ["unknown", "ok"]

    async def test_librarys_own_timeout_leaves_it_unknown(self, start, agents, calls):
        start("permit (principal, action, resource);")
        with guardai.session(agent="a"), pytest.raises(TimeoutError):
            await agents.fetch("SELECT pg_sleep(30)", timeout=0.5)
        assert calls()[-1][1]["status"] == "unknown"

    async def test_query_that_somebody_cancels_is_an_error(self, start, shop, agents, calls):
        start("permit (principal, action, resource);")

        async def cancel():
            await asyncio.sleep(0.5)
            await shop.execute("SELECT pg_cancel_backend($1)", agents.get_server_pid())

        task = asyncio.create_task(cancel())
        with guardai.session(agent="a"), pytest.raises(asyncpg.QueryCanceledError):
            await agents.fetch("SELECT pg_sleep(30)")
        await task
        assert calls()[-1][1]["status"] == "error"

    async def test_deadlock_is_the_servers_error(self, start, shop, agents, calls):
        start()
        first, second = ("UPDATE customers SET name = 'x' WHERE id = %d" % n for n in (1, 2))
        async with contextlib.AsyncExitStack() as stack:
            transaction = shop.transaction()
            await transaction.start()
            stack.push_async_callback(transaction.rollback)
            await shop.execute(first)
            with guardai.session(agent="a"):
                own = agents.transaction()
                await own.start()
                await agents.execute(second)
            # The application waits for the agent, with more patience than the server has.
            await shop.execute("SET LOCAL deadlock_timeout = '60s'")
            waiting = asyncio.create_task(shop.execute(second))
            await asyncio.sleep(0.3)
            with guardai.session(agent="a"), pytest.raises(asyncpg.DeadlockDetectedError):
                await agents.execute(first)
            await own.rollback()
            await waiting
        assert calls()[-1][1]["status"] == "error"

    async def test_server_that_is_not_there_is_the_librarys_error(self, start, postgres_server):
        start()
        with guardai.session(agent="a"), pytest.raises(OSError):
            await asyncpg.connect(host="127.0.0.1", port=1, user="x", database="x", timeout=5)

    async def test_statement_after_a_failed_one_in_a_transaction_fails_as_ever(self, start, agents):
        start(MASK, CATALOG)
        with guardai.session(agent="a"):
            transaction = agents.transaction()
            await transaction.start()
            with pytest.raises(asyncpg.UndefinedTableError):
                await agents.fetch("SELECT * FROM nowhere")
            with pytest.raises(asyncpg.InFailedSQLTransactionError):
                await agents.fetch("SELECT id FROM orders")
            await transaction.rollback()
            assert await agents.fetchval("SELECT count(id) FROM orders") == 50

    async def test_file_that_cannot_be_written_is_an_error_and_no_lost_connection(self, start, agents, tmp_path, calls):
        start("permit (principal, action, resource);")
        with guardai.session(agent="a"), pytest.raises(FileNotFoundError):
            await agents.copy_from_table("orders", output=tmp_path / "nowhere" / "file")
        assert calls()[-1][1]["status"] == "error"

    async def test_task_that_was_begun_within_a_call_is_governed_afterwards(self, start, shop, agents):
        start(
            "permit (principal, action, resource);"
            '@id("no") forbid (principal, action == Action::"db.destroy", resource);'
        )
        begun = []

        async def destroy():
            await asyncio.sleep(0.3)
            await agents.execute("DROP TABLE orders")

        async def records():
            begun.append(asyncio.create_task(destroy()))
            yield (99, 1, 1)

        with guardai.session(agent="a"):
            await agents.copy_records_to_table("orders", records=records())
            with pytest.raises(guardai.PolicyDenied):
                await begun[0]
        assert await shop.fetchval("SELECT count(*) FROM orders") == 51


class TestSize:
    async def test_statement_of_five_megabytes_is_not_understood_and_passes_where_that_is_permitted(
        self, start, shop, agents, calls
    ):
        text = "x" * 5_000_000
        start("permit (principal, action, resource);")
        with guardai.session(agent="a"):
            await agents.execute(f"UPDATE customers SET note = '{text}' WHERE id = 1")
            await agents.execute("UPDATE customers SET note = $1 WHERE id = 2", text)
        assert await shop.fetch("SELECT length(note) FROM customers WHERE id < 3") == [(5_000_000,)] * 2
        assert [pair[0]["action"] for pair in calls()] == ["db.unknown", "db.write"]

    async def test_ten_thousand_parameters(self, start, agents):
        start()
        marks = ", ".join(f"${n}" for n in range(1, 10_001))
        with guardai.session(agent="a"):
            rows = await agents.fetch(f"SELECT id FROM orders WHERE id IN ({marks})", *range(10_000))
        assert len(rows) == 50

    async def test_hundred_thousand_rows_through_a_cursor_in_constant_memory(self, start, agents, calls):
        start(MASK, CATALOG)
        statement = (
            "SELECT g, 'user' || g || '@example.com' AS m FROM generate_series(1, 100000) g, orders WHERE id = 0"
        )
        with guardai.session(agent="a"):
            async with agents.transaction():
                count = 0
                async for row in agents.cursor(statement, prefetch=1000):
                    count += 1
                    assert row["m"] == "[EMAIL]"
                    if count == 5000:
                        tracemalloc.start()
                    elif count == 95_000:
                        peak = tracemalloc.get_traced_memory()[1]
                        tracemalloc.stop()
        assert count == 100_000
        assert peak < 8_000_000
        assert calls()[0][1]["body"]["rows"] == 100_000


class TestWho:
    async def test_applications_own_calls_are_left_alone(self, start, shop, agents, calls):
        start()
        assert await agents.fetchval("SELECT email FROM customers WHERE id = 1") == "user1@example.com"
        await agents.execute("DELETE FROM orders")
        async with agents.transaction():
            cursor = await agents.cursor("SELECT id FROM customers")
            assert type(cursor) is asyncpg.cursor.Cursor
            assert len([row async for row in agents.cursor("SELECT id FROM customers")]) == 10
        await agents.copy_records_to_table("orders", records=[(1, 1, 1)])
        assert calls() == []

    async def test_concurrent_tasks_of_two_users_are_never_mixed(self, start, shop, postgres, calls):
        start()
        async with asyncpg.create_pool(postgres, min_size=1, max_size=3) as pool:

            async def work(user):
                with guardai.session(agent="a", user=user):
                    for n in range(20):
                        await pool.fetch(f"SELECT id, '{user}' AS who FROM orders WHERE id = {n}")
                        await asyncio.sleep(0)

            async def own():
                for _ in range(20):
                    await pool.fetch("SELECT id, 'app' AS who FROM orders")

            await asyncio.gather(work("one"), own(), work("two"))
        users = [pair[0]["principal"]["user"] for pair in calls()]
        assert (users.count("one"), users.count("two"), len(users)) == (20, 20, 40)

    async def test_observe_mode_records_and_changes_nothing(self, start, shop, agents, calls):
        start(MASK + '@id("no") forbid (principal, action == Action::"db.write", resource);', CATALOG, mode="observe")
        with guardai.session(agent="a"):
            rows = await agents.fetch("SELECT email FROM customers WHERE id = 1")
            await agents.execute("UPDATE customers SET name = $1 WHERE id = 1", "x@example.com")
            async with agents.transaction():
                more = [row async for row in agents.cursor("SELECT email FROM customers WHERE id = 1")]
        assert [tuple(row) for row in (*rows, *more)] == [("user1@example.com",)] * 2
        assert (await names(shop))[0] == "x@example.com"
        assert [pair[0]["decision"]["effect"] for pair in calls()] == ["allow", "deny", "allow"]


class TestPatches:
    async def test_uninstalling_restores_the_originals(self, start):
        from asyncpg import connection, cursor, pool, prepared_stmt, transaction, utils

        kinds = (
            connection.Connection, cursor.CursorFactory, pool.Pool, prepared_stmt.PreparedStatement,
            transaction.Transaction,
        )  # fmt: skip
        before = [dict(vars(kind)) for kind in kinds], utils._mogrify
        start()
        assert vars(connection.Connection)["_execute"] is not before[0][0]["_execute"]
        guardai.shutdown()
        assert [dict(vars(kind)) for kind in kinds] == before[0]
        assert utils._mogrify is before[1]

    async def test_every_target_is_there(self, start):
        from guardai.hooks import report

        start()
        [told] = [entry for entry in report() if entry["name"] == "dbapi"]
        found = [target for target in told["targets"] if target["target"].startswith("asyncpg:")]
        assert len(found) == 21
        assert {target["status"] for target in found} == {"patched"}

    def test_library_is_not_imported_by_guardai(self, home):
        code = "import sys, guardai; guardai.init(integrations=['dbapi']); print('asyncpg' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "False"

    async def test_one_connection_can_be_wrapped_alone(self, home, policy, shop, agents, calls):
        from guardai_dbapi.asyncpg import AsyncpgDriver

        guardai.init(home=home, integrations=[], policy=policy(MASK, CATALOG))
        wrapped = AsyncpgDriver().wrap(agents)
        assert isinstance(wrapped, asyncpg.Connection)
        with guardai.session(agent="a"):
            assert await wrapped.fetchval("SELECT email FROM customers WHERE id = 1") == "[EMAIL]"
            assert await shop.fetchval("SELECT email FROM customers WHERE id = 1") == "user1@example.com"
            for way in ALL_ROWS:
                rows = await WAYS[way](wrapped, "SELECT email FROM customers")
                assert {tuple(row) for row in rows} == {("[EMAIL]",)}
        assert [[e["kind"] for e in pair] for pair in calls()] == [["call.intent", "call.outcome"]] * 9

    async def test_wrapping_what_is_patched_records_once(self, start, agents, calls):
        start()
        wrapped = guardai.wrap(agents)
        with guardai.session(agent="a"):
            await wrapped.fetch("SELECT id FROM orders")
            await wrapped.execute("UPDATE orders SET cents = 1 WHERE id = 1")
            for way in ALL_ROWS:
                await WAYS[way](wrapped, "SELECT id FROM orders")
        assert [[e["kind"] for e in pair] for pair in calls()] == [["call.intent", "call.outcome"]] * 10
