"""The live schema of a real PostgreSQL server."""

import asyncio
import time

import psycopg
import pytest
from msgspec.structs import astuple
from services import unique

from guardai.sql import inspect, live


def at(address, **options):
    return psycopg.connect(address, autocommit=True, **options)


def read(connection):
    return live.read("postgres", lambda sql: connection.execute(sql).fetchall())


def schema_of(address, *statements):
    with at(address) as connection:
        for statement in statements:
            connection.execute(statement)
        return read(connection)


def test_tables_with_columns_in_order_and_keys_in_theirs(postgres):
    schema = schema_of(
        postgres,
        "CREATE TABLE users (id int PRIMARY KEY, gone int, email text, name text)",
        "ALTER TABLE users DROP COLUMN gone",
        "CREATE TABLE pairs (a int, b int, c int, PRIMARY KEY (c, a) INCLUDE (b))",
        "CREATE TABLE bare ()",
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (9)",
        "CREATE TEMP TABLE mine (x int)",
    )
    assert schema.tables == {
        "users": ("id", "email", "name"), "pairs": ("a", "b", "c"), "bare": (), "parts": ("id",), "part1": ("id",),
        "mine": ("x",),
    }  # fmt: skip
    assert schema.keys == {"users": ("id",), "pairs": ("c", "a")}
    assert schema.path == ("pg_temp", "pg_catalog", "public")


def test_numbers_by_which_a_result_names_its_columns_are_told(postgres):
    with at(postgres) as connection:
        connection.execute('CREATE TABLE t (gone int, id int, "Mail" text)')
        connection.execute("ALTER TABLE t DROP COLUMN gone")
        connection.execute('CREATE VIEW v AS SELECT "Mail" AS m FROM t')
        schema = read(connection)
        for query, origins in (
            ('SELECT "Mail" AS x, 1, id FROM t', ["t.mail", "", "t.id"]),
            ("SELECT m FROM v", ["v.m"]),
        ):
            result = connection.execute(query).pgresult
            assert [
                schema.origins.get((result.ftable(i), result.ftablecol(i)), "") for i in range(result.nfields)
            ] == origins


def test_names_are_plain_where_the_search_path_finds_them(postgres):
    schema = schema_of(
        postgres,
        "CREATE SCHEMA a",
        'CREATE SCHEMA "B"',
        "CREATE TABLE public.t (p int)",
        "CREATE TABLE a.t (a int)",
        'CREATE TABLE "B".only_b (b int)',
        "CREATE TABLE public.only_public (p int)",
        "CREATE FUNCTION a.f() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'",
        "CREATE FUNCTION public.g() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SET search_path = a, public",
    )
    assert schema.tables == {"t": ("a",), "public.t": ("p",), "b.only_b": ("b",), "only_public": ("p",)}
    assert schema.functions.keys() == {"f", "g"}
    assert schema.path == ("pg_catalog", "a", "public")


def test_views_tell_their_query_and_their_columns(postgres):
    schema = schema_of(
        postgres,
        "CREATE TABLE users (id int, ssn text)",
        "CREATE VIEW v (number) AS SELECT ssn FROM users",
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM v",
    )
    assert schema.views.keys() == {"v", "m"} == schema.columns.keys()
    assert schema.views["v"].split() == "SELECT users.ssn AS number FROM users".split()
    assert schema.columns["v"] == schema.columns["m"] == ("number",)
    assert "v" not in schema.tables


def test_functions_tell_what_they_promise(postgres):
    schema = schema_of(
        postgres,
        "CREATE TABLE t (a int)",
        "CREATE FUNCTION pure(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + 1'",
        "CREATE FUNCTION standard() RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT count(*) FROM t)",
        "CREATE FUNCTION owner_s() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN DELETE FROM t; END'",
        "CREATE PROCEDURE p() LANGUAGE sql AS 'DELETE FROM t'",
        "CREATE FUNCTION low() RETURNS text LANGUAGE internal IMMUTABLE AS 'lower'",
    )
    of = schema.functions
    assert of["pure"] == live.postgres.LiveFunction("immutable", "sql", "SELECT a + 1")
    assert (of["standard"].volatility, of["standard"].language) == ("stable", "sql")
    assert "count(*)" in of["standard"].body
    assert of["owner_s"] == live.postgres.LiveFunction("volatile", "plpgsql", "BEGIN DELETE FROM t; END", True)
    assert of["p"].volatility == "volatile"
    assert of["low"] == live.postgres.LiveFunction("immutable", "internal", "")


def test_of_functions_with_one_name_the_worst_is_told(postgres):
    schema = schema_of(
        postgres,
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
        "CREATE FUNCTION f(a text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN 1; END'",
    )
    assert schema.functions == {"f": live.postgres.LiveFunction("volatile", "", "", True)}


def test_aggregate_is_as_dangerous_as_the_functions_it_calls(postgres):
    schema = schema_of(
        postgres,
        "CREATE FUNCTION step(int, int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN 1; END'",
        "CREATE AGGREGATE summed(int) (SFUNC = step, STYPE = int)",
        "CREATE AGGREGATE added(int) (SFUNC = int4pl, STYPE = int)",
    )
    assert (schema.functions["summed"].volatility, schema.functions["summed"].definer) == ("volatile", True)
    assert (schema.functions["added"].volatility, schema.functions["added"].definer) == ("immutable", False)


def test_triggers_and_rules_tell_events_and_bodies(postgres):
    schema = schema_of(
        postgres,
        "CREATE SCHEMA s",
        "CREATE TABLE t (a int PRIMARY KEY)",
        "CREATE TABLE child (a int REFERENCES t)",
        "CREATE TABLE log (a int)",
        """CREATE FUNCTION s."Audit"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'""",
        'CREATE TRIGGER x AFTER INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION s."Audit"()',
        'CREATE TRIGGER y AFTER TRUNCATE ON t EXECUTE FUNCTION s."Audit"()',
        'CREATE TRIGGER off AFTER UPDATE ON t EXECUTE FUNCTION s."Audit"()',
        "ALTER TABLE t DISABLE TRIGGER off",
        "CREATE RULE r AS ON UPDATE TO log DO INSTEAD DELETE FROM t",
    )
    assert schema.triggers.keys() == {"t", "log"}
    assert {(tuple(sorted(trigger.events)), trigger.body) for trigger in schema.triggers["t"]} == {
        (("delete", "insert"), "s.audit"), (("truncate",), "s.audit"),
    }  # fmt: skip
    assert "s.audit" in schema.functions
    [rule] = schema.triggers["log"]
    assert rule.events == {"update"}
    assert "DELETE FROM t" in rule.body


def test_foreign_keys_tell_what_follows(postgres):
    schema = schema_of(
        postgres,
        "CREATE SCHEMA s",
        "CREATE TABLE t (a int PRIMARY KEY, b int, UNIQUE (a, b))",
        'CREATE TABLE s."Child" (x int, y int, FOREIGN KEY (x, y) REFERENCES t (a, b) ON DELETE CASCADE ON UPDATE SET NULL)',
        "CREATE TABLE other (z int REFERENCES t ON DELETE SET DEFAULT)",
        "CREATE TABLE still (a int REFERENCES t)",
    )
    assert {(*sorted(one.events), one.body, *sorted(one.columns)) for one in schema.cascades["t"]} == {
        ("delete", 'DELETE FROM "s"."Child" WHERE "x" = 1 AND "y" = 1', "a", "b"),
        ("update", 'UPDATE "s"."Child" SET "x" = NULL, "y" = NULL WHERE "x" = 1 AND "y" = 1', "a", "b"),
        ("delete", 'UPDATE "public"."other" SET "z" = NULL WHERE "z" = 1', "a"),
    }
    assert schema.cascades.keys() == {"t"}
    assert inspect("DELETE FROM t WHERE a = 1", "postgres", schema=schema).writes == {"t", "s.child", "other"}


def test_row_level_policies_guard(postgres):
    schema = schema_of(
        postgres, "CREATE TABLE t (a int)", "CREATE TABLE u (a int)", "ALTER TABLE t ENABLE ROW LEVEL SECURITY"
    )
    assert schema.guarded == {"t"}


def test_foreign_table_is_a_table(postgres):
    try:
        schema = schema_of(
            postgres,
            "CREATE FOREIGN DATA WRAPPER nothing",
            "CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing",
            "CREATE FOREIGN TABLE far (a int) SERVER nowhere",
        )
    except psycopg.errors.InsufficientPrivilege as error:
        pytest.skip(f"foreign data wrappers are for superusers: {error}")
    assert schema.tables["far"] == ("a",)


ODD = ["a.b", 'quo"te', "it's", "Ünïcode Ж 表", "percent %s", ":colon ?", "new\nline", "back\\slash"]


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "SQL_ASCII"])
def test_odd_names_are_told_whatever_the_client_can_hold(postgres, encoding):
    with at(postgres) as connection:
        for name in ODD:
            quoted = name.replace('"', '""').replace("%", "%%")
            connection.execute(f'CREATE TABLE "{quoted}" ("C {quoted}" int PRIMARY KEY)', ())
        connection.execute(f"SET client_encoding = '{encoding}'")
        schema = read(connection)
    assert schema.tables == {name.lower(): (f"c {name}".lower(),) for name in ODD}
    assert schema.keys == schema.tables


def test_name_that_is_no_text_does_not_raise(postgres_server):
    name = unique()
    with postgres_server.connect() as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
        try:
            with postgres_server.connect(name) as there:
                there.pgconn.exec_(b'CREATE TABLE "odd \xff\xfe" ("\xe9" int)')
                there.execute("CREATE TABLE plain (a int)")
                schema = read(there)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert schema.tables == {"plain": ("a",), "odd \ufffd\ufffd": ("\ufffd",)}


def test_tables_that_differ_in_case_alone_are_one_without_a_key(postgres):
    schema = schema_of(
        postgres,
        'CREATE TABLE "Users" (id int PRIMARY KEY)',
        "CREATE TABLE users (id int PRIMARY KEY, ssn text)",
        "CREATE TABLE twice (a int PRIMARY KEY)",
        'CREATE VIEW "Twice" AS SELECT 1 AS b',
    )
    assert sorted(schema.tables["users"]) == ["id", "id", "ssn"]
    assert schema.keys == {}
    assert schema.views == {"twice": ""}
    assert sorted(schema.columns["twice"]) == ["a", "b"]


def test_user_without_rights_reads_the_same(postgres, postgres_server):
    role, database = unique(), postgres.rpartition("/")[2]
    with at(postgres) as connection:
        connection.execute("CREATE SCHEMA hidden")
        connection.execute("CREATE TABLE hidden.t (a int PRIMARY KEY)")
        connection.execute("CREATE VIEW hidden.v AS SELECT a FROM hidden.t")
        connection.execute("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        connection.execute(f"CREATE ROLE {role} LOGIN")
        try:
            with postgres_server.connect(database, role) as theirs:
                schema = read(theirs)
        finally:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")
    assert schema.tables == {"hidden.t": ("a",)}
    assert schema.keys == {"hidden.t": ("a",)}
    assert "FROM hidden.t" in schema.views["hidden.v"]
    assert schema.functions["f"].body == "SELECT 1"


@pytest.mark.parametrize(
    "closed",
    [
        "pg_class",
        "pg_proc",
        "pg_trigger",
        "FUNCTION pg_get_viewdef(oid)",
        "FUNCTION pg_get_function_sqlbody(oid)",
        "pg_locks",
    ],
)
def test_closed_catalog_is_left_out_and_no_transaction_breaks(postgres, postgres_server, closed):
    role, database = unique(), postgres.rpartition("/")[2]
    with at(postgres) as connection:
        connection.execute("CREATE TABLE t (a int)")
        connection.execute("CREATE VIEW v AS SELECT a FROM t")
        connection.execute(f"CREATE ROLE {role} LOGIN")
        what = f"{'EXECUTE' if 'FUNCTION' in closed else 'SELECT'} ON {closed}"
        connection.execute(f"REVOKE {what} FROM PUBLIC")
        try:
            with postgres_server.connect(database, role) as theirs, theirs.transaction():
                schema = read(theirs)
                assert theirs.execute("SELECT 1").fetchone() == (1,)
        finally:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")
    assert schema.path == ("pg_catalog", "public")
    assert ("t" in schema.tables) is (closed != "pg_class")
    if "viewdef" in closed or closed == "pg_locks":
        assert schema.views == {"v": ""}


def test_programs_own_functions_do_not_stand_in_for_the_engines(postgres):
    schema = schema_of(
        postgres,
        "CREATE TABLE t (a int)",
        "CREATE VIEW v AS SELECT a FROM t",
        "CREATE FUNCTION public.pg_get_viewdef(oid) RETURNS text LANGUAGE sql AS $$SELECT 'SELECT 1'$$",
        "SET search_path = public, pg_catalog",
    )
    assert "FROM t" in schema.views["v"]


def test_migration_on_another_connection_is_not_waited_for(postgres):
    with at(postgres, options="-c lock_timeout=20s") as connection, psycopg.connect(postgres) as migrating:
        for name in ("t", "u"):
            connection.execute(f"CREATE TABLE {name} (a int)")
            connection.execute(f"CREATE VIEW v_{name} AS SELECT a FROM {name}")
            connection.execute(
                f"CREATE FUNCTION f_{name}() RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT max(a) FROM {name})"
            )
            connection.execute(f"CREATE RULE r AS ON UPDATE TO v_{name} DO INSTEAD DELETE FROM {name}")
        connection.execute("CREATE VIEW outer_v AS SELECT a FROM v_t")
        connection.execute("CREATE TABLE other (a int)")
        connection.execute("CREATE VIEW v_other AS SELECT a FROM other")
        migrating.execute("ALTER TABLE t ADD COLUMN b int")
        migrating.execute("DROP VIEW v_other")
        schema = read(connection)
        assert {name: bool(query) for name, query in schema.views.items()} == {
            "v_t": False, "v_u": True, "outer_v": True, "v_other": False,
        }  # fmt: skip
        assert {name: bool(function.body) for name, function in schema.functions.items()} == {"f_t": False, "f_u": True}
        assert {name: bool(of[0].body) for name, of in schema.triggers.items()} == {"v_t": False, "v_u": True}
        migrating.rollback()
        assert all(read(connection).views.values())


def test_five_queries_and_the_same_when_awaited(postgres):
    asked = []

    async def query(connection, sql):
        asked.append(sql)
        return await (await connection.execute(sql)).fetchall()

    async def both():
        async with await psycopg.AsyncConnection.connect(postgres) as connection:
            return await live.aread("postgres", lambda sql: query(connection, sql))

    schema = schema_of(postgres, "CREATE TABLE t (a int)")
    assert astuple(asyncio.run(both())) == astuple(schema)
    assert len(asked) == 5
    assert not any(mark in sql for sql in asked for mark in "%:?")


def test_many_tables_are_read_in_one_go(postgres):
    with at(postgres) as connection:
        connection.execute(
            "DO $$ BEGIN FOR i IN 1..500 LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a text)', i); "
            "END LOOP; END $$"
        )
        began = time.process_time()
        schema = read(connection)
        took = time.process_time() - began
    assert len(schema.tables) == len(schema.keys) == 500
    assert took < 2  # 0.02 s of this process, 0.1 s of the clock; a machine may be slow
