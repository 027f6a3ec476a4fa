"""What `inspect` tells with a live schema: views, triggers and functions of the database itself."""

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

from guardai.model import LiveFunction, LiveSchema, LiveTrigger
from guardai.sql import inspect, whole

ANY = frozenset({"insert", "update", "delete"})
FUNCTIONS = {
    "pure": LiveFunction("immutable", "sql", "SELECT $1 + 1"),
    "reader": LiveFunction("stable", "sql", "SELECT max(ssn) FROM users"),
    "through": LiveFunction("stable", "sql", "SELECT reader()"),
    "writer": LiveFunction("volatile", "sql", "INSERT INTO audit (note) VALUES ($1); SELECT 1"),
    "wiper": LiveFunction("volatile", "sql", "DELETE FROM audit"),
    "owners": LiveFunction("stable", "sql", "SELECT max(ssn) FROM users", definer=True),
    "code": LiveFunction("immutable", "plpgsql", "BEGIN RETURN 1; END"),
    "native": LiveFunction("immutable", "c"),
    "hidden": LiveFunction("stable", "sql", ""),
    "liar": LiveFunction("immutable", "sql", "SELECT evil()"),
    "file": LiveFunction("stable", "sql", "SELECT pg_read_file('x')"),
    "itself": LiveFunction("stable", "sql", "SELECT itself()"),
    "maker": LiveFunction("volatile", "sql", "SELECT ssn INTO leak FROM users"),
    "atomic": LiveFunction("stable", "sql", "BEGIN ATOMIC SELECT id FROM orgs; END"),
    "giving": LiveFunction("stable", "sql", "RETURN (SELECT max(id) FROM orgs)"),
    "app.scoped": LiveFunction("immutable", "sql", "SELECT 1"),
    "abs": LiveFunction("volatile", "sql", "DELETE FROM users"),
    "date": LiveFunction("volatile", "sql", "DELETE FROM users"),
    "touch": LiveFunction("volatile", "plpgsql", "BEGIN NEW.changed := now(); RETURN NEW; END;"),
    "log": LiveFunction("volatile", "plpgsql", """
        DECLARE who text := current_user; n integer;
        BEGIN
          IF TG_OP = 'INSERT' AND NEW.id IS NOT NULL THEN
            INSERT INTO audit (note, who) VALUES (NEW.name, who);
          ELSIF CASE WHEN TG_OP = 'DELETE' THEN true ELSE false END THEN
            UPDATE audit SET note = 'gone' WHERE id = OLD.id;
          ELSE
            SELECT count(*), max(id) INTO STRICT n, n FROM orgs WHERE id = NEW.org_id;
            PERFORM pure(n);
          END IF;
          FOR n IN SELECT id FROM orgs LOOP NULL; END LOOP;
          RAISE NOTICE 'x %', n;
          RETURN COALESCE(NEW, OLD);
        EXCEPTION WHEN unique_violation THEN
          RETURN NULL;
        END;"""),
    "dynamic": LiveFunction("volatile", "plpgsql", "BEGIN EXECUTE 'DROP TABLE ' || TG_TABLE_NAME; RETURN NEW; END"),
    "notifying": LiveFunction("volatile", "plpgsql", "BEGIN PERFORM pg_notify('c', NEW.ssn); RETURN NEW; END"),
    "wiping": LiveFunction("volatile", "plpgsql", "BEGIN DELETE FROM orgs; RETURN NULL; END"),
    "querying": LiveFunction("volatile", "plpgsql", "BEGIN RETURN QUERY EXECUTE 'DROP TABLE x'; END"),
    "looping": LiveFunction("volatile", "plpgsql", "DECLARE r record; BEGIN FOR r IN EXECUTE 'x' LOOP NULL; END LOOP; END"),
    "choosing": LiveFunction("volatile", "plpgsql", "BEGIN CASE NEW.a WHEN 1 THEN EXECUTE 'x'; END CASE; END"),
    "sly": LiveFunction("volatile", "plpgsql", "BEGIN NEW.a := evil(NEW.b); RETURN NEW; END"),
    "slyer": LiveFunction("volatile", "plpgsql", "BEGIN IF evil() THEN NULL; END IF; RETURN NEW; END"),
    "slyest": LiveFunction("volatile", "plpgsql", "DECLARE x int := evil(); BEGIN RETURN NEW; END"),
}  # fmt: skip


def triggers(function, events=ANY):
    return (LiveTrigger(events, function),)


LIVE = LiveSchema(
    tables={
        "users": ("id", "name", "ssn", "org_id"),
        "orgs": ("id", "name"),
        "audit": ("id", "note", "who"),
        "app.jobs": ("id", "state"),
        "chain_a": ("id",),
        "chain_b": ("id",),
        **{f"t_{name}": ("id", "a", "b") for name in FUNCTIONS},
    },
    views={
        "people": "SELECT id, name FROM users",
        "nested": "SELECT name FROM people WHERE id IN (SELECT id FROM orgs)",
        "marked": "SELECT u.id, u.name, 1 AS k, upper(u.ssn) AS s FROM users u",
        "marked_again": "SELECT m.id, m.k AS j FROM marked m",
        "hidden_view": "",
        "odd": "SELECT ~~~ weird syntax FROM users",
        "calling": "SELECT evil(name) FROM users",
        "reading": "SELECT reader() FROM orgs",
        "files": "SELECT pg_read_file(name) FROM orgs",
        "app.busy": "CREATE VIEW app.busy AS SELECT * FROM app.jobs",
        "circle_a": "SELECT * FROM circle_b",
        "circle_b": "SELECT * FROM circle_a",
    },
    columns={"people": ("id", "name"), "hidden_view": ("a", "b")},
    functions=FUNCTIONS,
    triggers={
        **{f"t_{name}": triggers(name) for name in FUNCTIONS},
        "t_log": triggers("public.log"),
        "users": (LiveTrigger(frozenset({"delete"}), "log"),),
        "chain_a": triggers("INSERT INTO chain_b (id) VALUES (NEW.id)"),
        "chain_b": triggers("INSERT INTO chain_a (id) VALUES (NEW.id)"),
        "orgs": (LiveTrigger(frozenset({"insert"}), ""),),
    },
    path=("public",),
)


def seen(sql, dialect="postgres", schema=LIVE):
    return inspect(sql, dialect, schema=schema)


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("SELECT * FROM people", {"people", "users"}),
        ("SELECT * FROM public.people", {"public.people", "users"}),
        ("SELECT * FROM nested", {"nested", "people", "users", "orgs"}),
        ("SELECT * FROM app.busy", {"app.busy", "app.jobs"}),
        ("SELECT * FROM circle_a", {"circle_a", "circle_b"}),
        ("SELECT * FROM other.people", {"other.people"}),
        ("WITH people AS (SELECT 1) SELECT * FROM people", set()),
        ("SELECT reader()", {"users"}),
        ("SELECT through()", {"users"}),
        ("SELECT * FROM reading", {"reading", "orgs", "users"}),
        ("SELECT atomic(), giving()", {"orgs"}),
        ("EXPLAIN SELECT * FROM people", {"people", "users"}),
    ],
)
def test_tables_below_views_and_functions_are_read(sql, reads):
    found = seen(sql)
    assert (found.reads, found.action) == (reads, "db.read")


@pytest.mark.parametrize(
    ("sql", "action"),
    [
        ("SELECT pure(1)", "db.read"),
        ("SELECT public.pure(1)", "db.read"),
        ("SELECT app.scoped()", "db.read"),
        ("SELECT scoped()", "db.unknown"),
        ("SELECT other.pure(1)", "db.unknown"),
        ("SELECT elsewhere.public.pure(1)", "db.unknown"),
        ('SELECT "app.scoped"()', "db.unknown"),
        ("SELECT evil()", "db.unknown"),
        ("SELECT owners()", "db.unknown"),
        ("SELECT code()", "db.unknown"),
        ("SELECT native()", "db.unknown"),
        ("SELECT hidden()", "db.unknown"),
        ("SELECT liar()", "db.unknown"),
        ("SELECT itself()", "db.read"),
        ("SELECT file()", "db.admin"),
        ("SELECT writer('x')", "db.write"),
        ("SELECT wiper()", "db.destroy"),
        ("SELECT maker()", "db.admin"),
        ("SELECT abs(-1)", "db.destroy"),
        ("SELECT date('2020-01-01')", "db.destroy"),
        ("SELECT users.code FROM users", "db.unknown"),
        ("SELECT u.wiper FROM users u", "db.destroy"),
        ("SELECT (u).wiper FROM users u", "db.destroy"),
        ("SELECT u.name FROM users u", "db.read"),
        ("SELECT * FROM calling", "db.unknown"),
        ("SELECT * FROM files", "db.admin"),
        ("EXPLAIN SELECT evil()", "db.unknown"),
        ("EXPLAIN SELECT pure(1)", "db.read"),
    ],
)
def test_function_is_as_harmless_as_its_body_proves(sql, action):
    assert seen(sql).action == action


def test_read_of_a_view_that_cannot_be_read_is_a_read_with_a_reason():
    for view in ("hidden_view", "odd"):
        found = seen(f"SELECT * FROM {view}")
        assert (found.action, found.reason, found.reads) == ("db.read", "unreadable-view", {view} | found.reads)
    assert seen("UPDATE hidden_view SET a = 1 WHERE b = 2").action == "db.unknown"


@pytest.mark.parametrize(
    ("sql", "writes", "action"),
    [
        ("UPDATE people SET name = 'x' WHERE id = 1", {"people", "users"}, "db.write"),
        ("INSERT INTO app.busy VALUES (1)", {"app.busy", "app.jobs"}, "db.write"),
        ("DROP VIEW people", {"people"}, "db.destroy"),
        ("DELETE FROM people WHERE id = 1", {"people", "users", "audit"}, "db.write"),
        ("DELETE FROM users WHERE id = 1", {"users", "audit"}, "db.write"),
        ("UPDATE users SET name = 'x' WHERE id = 1", {"users"}, "db.write"),
        ("EXPLAIN DELETE FROM users WHERE id = 1", set(), "db.read"),
        ("EXPLAIN ANALYZE DELETE FROM users WHERE id = 1", {"users", "audit"}, "db.write"),
        ("WITH x AS (DELETE FROM users WHERE id = 1 RETURNING id) SELECT * FROM x", {"users", "audit"}, "db.write"),
        ("INSERT INTO t_touch VALUES (1)", {"t_touch"}, "db.write"),
        ("INSERT INTO t_log VALUES (1)", {"t_log", "audit"}, "db.write"),
        ("INSERT INTO t_dynamic VALUES (1)", {"t_dynamic"}, "db.unknown"),
        ("INSERT INTO t_notifying VALUES (1)", {"t_notifying"}, "db.admin"),
        ("INSERT INTO t_wiping VALUES (1)", {"t_wiping", "orgs"}, "db.destroy"),
        ("INSERT INTO t_sly VALUES (1)", {"t_sly"}, "db.unknown"),
        ("INSERT INTO t_slyer VALUES (1)", {"t_slyer"}, "db.unknown"),
        ("INSERT INTO t_slyest VALUES (1)", {"t_slyest"}, "db.unknown"),
        ("INSERT INTO t_querying VALUES (1)", {"t_querying"}, "db.admin"),
        ("INSERT INTO t_looping VALUES (1)", {"t_looping"}, "db.unknown"),
        ("INSERT INTO t_choosing VALUES (1)", {"t_choosing"}, "db.unknown"),
        ("INSERT INTO t_native VALUES (1)", {"t_native"}, "db.unknown"),
        ("INSERT INTO t_owners VALUES (1)", {"t_owners"}, "db.unknown"),
        ("INSERT INTO t_hidden VALUES (1)", {"t_hidden"}, "db.unknown"),
        ("INSERT INTO orgs VALUES (1)", {"orgs"}, "db.unknown"),
        ("UPDATE orgs SET name = 'x' WHERE id = 1", {"orgs"}, "db.write"),
        ("INSERT INTO chain_a VALUES (1)", {"chain_a", "chain_b"}, "db.write"),
        ("SELECT * FROM t_wiping", set(), "db.read"),
        ("ALTER TABLE t_wiping ADD COLUMN x int", {"t_wiping"}, "db.admin"),
        ("MERGE INTO users u USING orgs o ON u.id = o.id WHEN MATCHED THEN DELETE", {"users", "audit"}, "db.write"),
    ],
)
def test_what_a_written_table_brings_along_counts(sql, writes, action):
    found = seen(sql)
    assert (found.writes, found.action) == (writes, action)


@pytest.mark.parametrize(
    ("body", "dialect", "writes", "action"),
    [
        ("CREATE TRIGGER x AFTER INSERT ON t BEGIN INSERT INTO audit VALUES (NEW.id); UPDATE n SET c = c + 1 WHERE id = NEW.id; END", "sqlite", {"audit", "n"}, "db.write"),
        ("CREATE TRIGGER x BEFORE INSERT ON t WHEN NEW.a > 1 BEGIN SELECT RAISE(ABORT, 'no'); END", "sqlite", set(), "db.write"),
        ("CREATE TRIGGER x BEFORE INSERT ON t WHEN evil(NEW.a) BEGIN SELECT 1; END", "sqlite", set(), "db.unknown"),
        ("BEGIN DELETE FROM audit; END", "sqlite", {"audit"}, "db.destroy"),
        ("SET NEW.a = lower(NEW.b), NEW.b = 1", "mysql", set(), "db.write"),
        ("SET NEW.a = evil(NEW.b)", "mysql", set(), "db.unknown"),
        ("SET @leak = NEW.b", "mysql", set(), "db.admin"),
        ("SET GLOBAL general_log = 1", "mysql", set(), "db.admin"),
        ("BEGIN DECLARE n INT DEFAULT 0; IF NEW.a > 1 THEN SET n = 2; INSERT INTO audit VALUES (NEW.id, n); END IF; END", "mysql", {"audit"}, "db.write"),
        ("BEGIN DECLARE CONTINUE HANDLER FOR NOT FOUND SET @x = 1; END", "mysql", set(), "db.unknown"),
        ("BEGIN CALL p(); END", "mysql", set(), "db.admin"),
        ("SELECT NEW.b INTO OUTFILE '/tmp/x'", "mysql", set(), "db.admin"),
        ("CREATE TRIGGER x ON t AFTER INSERT AS DELETE FROM audit WHERE id = 1", "tsql", set(), "db.unknown"),
        ("EXECUTE FUNCTION gone()", "postgres", set(), "db.unknown"),
        ("suppress_redundant_updates_trigger", "postgres", set(), "db.write"),
        ("INSERT INTO audit VALUES (1); nonsense here", "sqlite", {"audit"}, "db.unknown"),
        ("INSERT INTO audit SELECT 'a;b' /*", "sqlite", set(), "db.unknown"),
    ],
)  # fmt: skip
def test_body_of_a_trigger_is_judged_piece_by_piece(body, dialect, writes, action):
    schema = LiveSchema(
        tables={"t": ("id", "a", "b"), "audit": ("id",)}, triggers={"t": (LiveTrigger(frozenset({"insert"}), body),)}
    )
    found = inspect("INSERT INTO t VALUES (1, 2, 3)", dialect, schema=schema)
    assert (found.writes, found.action) == (writes | {"t"}, action)


def test_macro_of_duckdb_is_an_expression():
    schema = LiveSchema(functions={"plus": LiveFunction("immutable", "sql", "a + 1"), "read_all": LiveFunction("immutable", "sql", "(SELECT max(a) FROM read_csv('x'))")})  # fmt: skip
    assert inspect("SELECT plus(1)", "duckdb", schema=schema).action == "db.read"
    assert inspect("SELECT read_all()", "duckdb", schema=schema).action == "db.admin"


def test_columns_below_a_view_are_told():
    assert {"users.id", "users.name"} <= seen("SELECT * FROM people").columns_read


@pytest.mark.parametrize(
    ("sql", "unbounded"),
    [
        ("DELETE FROM marked WHERE k = 1", True),
        ("UPDATE public.marked m SET name = 'x' WHERE m.k = 1", True),
        ("DELETE FROM marked_again WHERE j = 1", True),
        ("DELETE FROM marked WHERE id = 1", False),
        ("UPDATE marked SET name = 'x' WHERE id = 1", False),
        ("DELETE FROM people WHERE id = 1", False),
    ],
)
def test_column_that_a_view_makes_bounds_no_change_through_it(sql, unbounded):
    assert seen(sql).unbounded is unbounded


def test_without_a_schema_nothing_is_reached():
    found = inspect("SELECT reader() FROM people", "postgres")
    assert (found.reads, found.effects, found.reason) == ({"people"}, {"read", "unknown"}, "unknown-function:reader")


def test_each_part_of_a_list_reaches_what_it_writes():
    found = seen("SELECT 1; DELETE FROM users WHERE id = 1")
    assert found.writes == {"users", "audit"}


def test_unknown_dialect_stays_unknown_with_a_schema():
    assert seen("SELECT 1", "cobol").reason == "unknown-dialect"


def test_another_schema_never_gives_a_stale_answer():
    sql = "SELECT * FROM v"
    for number in range(50):
        schema = LiveSchema(tables={f"t{number}": ("a",)}, views={"v": f"SELECT a FROM t{number}"})
        assert inspect(sql, "sqlite", schema=schema).reads == {"v", f"t{number}"}
        assert inspect(sql, "sqlite", schema=schema) is inspect(sql, "sqlite", schema=schema)
    assert inspect(sql, "sqlite").reads == {"v"}


def test_what_is_remembered_of_a_schema_goes_with_it():
    gc.collect()
    before = len(whole._schemas)
    schemas = [LiveSchema(tables={"t": ("a",)}) for _ in range(20)]
    for schema in schemas:
        inspect("SELECT a FROM t", "sqlite", schema=schema)
    assert len(whole._schemas) == before + 20
    del schemas, schema
    gc.collect()
    assert len(whole._schemas) == before


def test_threads_share_a_schema():
    schema = LiveSchema(tables={"users": ("id",)}, views={"v": "SELECT id FROM users"})
    statements = [f"SELECT {n} FROM v" for n in range(60)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda sql: inspect(sql, "postgres", schema=schema).reads, statements * 3))
    assert found == [frozenset({"v", "users"})] * 180
