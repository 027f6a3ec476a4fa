"""Column lineage against a live schema."""

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

from guardai.model import LiveFunction, LiveSchema, LiveTrigger
from guardai.sql import Lineage, SqlNotUnderstood, column_lineage
from guardai.sql import lineage as room

LIVE = LiveSchema(
    tables={"users": ("id", "name", "ssn"), "orgs": ("id", "name"), "app.jobs": ("id", "state"), "audit": ("id", "note")},
    views={
        "people": "SELECT id, ssn FROM users",
        "nested": "SELECT p.label || o.name AS x, p.id FROM people p JOIN orgs o ON o.id = p.id",
        "hidden": "",
        "odd": "SELECT ~~~ nonsense",
        "star": "SELECT * FROM users",
        "app.busy": "CREATE VIEW app.busy (a) AS SELECT state FROM app.jobs",
        "calling": "SELECT reader() AS r, id FROM orgs",
        "circle": "SELECT * FROM circle",
        "grown": "SELECT * FROM orgs",
    },
    columns={
        "people": ("id", "label"),
        "hidden": ("a", "b"),
        "odd": ("a",),
        "circle": ("a", "b"),
        "grown": ("id",),
        "calling": ("r", "id"),
    },
    functions={
        "pure": LiveFunction("immutable", "sql", "SELECT $1 + 1"),
        "reader": LiveFunction("stable", "sql", "SELECT max(ssn) FROM users"),
        "app.scoped": LiveFunction("immutable", "sql", "SELECT $1"),
        "evil": LiveFunction("volatile", "plpgsql", "BEGIN END"),
        "abs": LiveFunction("stable", "sql", "SELECT ssn FROM users"),
    },
    triggers={
        "audit": (
            LiveTrigger(frozenset({"insert"}), "BEGIN UPDATE audit SET note = (SELECT ssn FROM users) WHERE id = 1; END"),
        )
    },
    path=("public",),
)  # fmt: skip
USERS = {"users.id", "users.name", "users.ssn"}
EVERYTHING = {f"{table}.{column}" for table, columns in LIVE.tables.items() for column in columns}


@pytest.mark.parametrize(
    ("sql", "sources"),
    [
        ("SELECT label FROM people", [{"users.ssn"}]),
        ("SELECT * FROM public.people", [{"users.id"}, {"users.ssn"}]),
        ("SELECT x FROM nested", [{"users.ssn", "orgs.name"}]),
        ("SELECT * FROM star", [{"users.id"}, {"users.name"}, {"users.ssn"}]),
        ("SELECT a FROM app.busy", [{"app.jobs.state"}]),
        ("SELECT state FROM app.jobs", [{"app.jobs.state"}]),
        ("SELECT r, id FROM calling", [USERS, {"orgs.id"}]),
        ("SELECT * FROM hidden", [EVERYTHING | {"hidden.*"}] * 2),
        ("SELECT a FROM odd", [EVERYTHING | {"odd.*"}]),
        ("SELECT * FROM circle", [EVERYTHING | {"circle.*"}] * 2),
        ("SELECT id FROM grown", [EVERYTHING | {"grown.*"}]),
        ("SELECT x FROM other.people", [EVERYTHING | {"other.people.*"}]),
        ("SELECT label FROM elsewhere.public.people", [EVERYTHING | {"elsewhere.public.people.*"}]),
        ("SELECT pure(id) FROM orgs", [{"orgs.id"}]),
        ("SELECT app.scoped(id) FROM orgs", [{"orgs.id"}]),
        ("SELECT reader(), id FROM orgs", [USERS, {"orgs.id"}]),
        ("SELECT other.reader(), id FROM orgs", [EVERYTHING] * 2),
        ("SELECT evil(id), id FROM orgs", [EVERYTHING] * 2),
        ("SELECT abs(id) FROM orgs", [USERS | {"orgs.id", "orgs.name"}]),
        ("SELECT u.reader FROM users u", [USERS]),
        (
            "INSERT INTO audit SELECT id, name FROM orgs RETURNING note",
            [{"audit.id", "audit.note", "orgs.id", "orgs.name"} | USERS],
        ),
        ("INSERT INTO orgs SELECT id, label FROM people RETURNING name", [{"orgs.name", "users.ssn"}]),
    ],
)
def test_sources_below_views_functions_and_triggers(sql, sources):
    assert column_lineage(sql, "postgres", LIVE) == [frozenset(each) for each in sources]


def test_table_that_is_not_told_is_everything_and_its_star_is_not_understood():
    with pytest.raises(SqlNotUnderstood):
        column_lineage("SELECT * FROM nowhere", "postgres", LIVE)


def test_lineage_of_a_schema_is_kept_and_goes_with_it():
    gc.collect()
    before = len(room._of_schema)
    schema = LiveSchema(tables={"t": ("a",)})
    assert room.lineage_of(schema, "sqlite") is room.lineage_of(schema, "sqlite")
    assert column_lineage("SELECT a FROM t", "sqlite", schema) == [frozenset({"t.a"})]
    assert len(room._of_schema) == before + 1
    del schema
    gc.collect()
    assert len(room._of_schema) == before


def test_unknown_dialect_is_not_understood_with_a_live_schema():
    with pytest.raises(SqlNotUnderstood):
        Lineage(LIVE, "cobol").columns("SELECT 1")


def test_many_views_over_views_end_in_an_answer():
    views = {"v0": "SELECT id FROM users"} | {f"v{n}": f"SELECT a.id FROM v{n - 1} a, v{n - 1} b" for n in range(1, 40)}
    schema = LiveSchema(tables={"users": ("id",)}, views=views, columns={name: ("id",) for name in views})
    assert column_lineage("SELECT id FROM v5", "postgres", schema) == [frozenset({"users.id"})]
    assert column_lineage("SELECT id FROM v39", "postgres", schema)[0] >= {"users.id"}


def test_threads_that_open_the_same_views_get_the_same_answers():
    views = {"v0": "SELECT id, ssn FROM users"} | {f"v{n}": f"SELECT id, ssn FROM v{n - 1}" for n in range(1, 8)}
    for _ in range(5):
        lineage = Lineage(LiveSchema(tables=LIVE.tables, views=views), "postgres")
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda n: lineage.columns(f"SELECT ssn FROM v{n % 8}"), range(40))
        assert set(map(tuple, found)) == {(frozenset({"users.ssn"}),)}
