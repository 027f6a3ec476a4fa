"""What we say that a statement reaches against what sqlite's own authorizer says, through views and triggers."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardai.model import LiveSchema, LiveTrigger
from guardai.sql import flows, inspect

SETUP = """
CREATE TABLE users (id INTEGER PRIMARY KEY, name, ssn, org_id);
CREATE TABLE orgs (id INTEGER PRIMARY KEY, name);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id, note);
CREATE TABLE audit (id INTEGER PRIMARY KEY, what, at);
CREATE TABLE deep (id INTEGER PRIMARY KEY, what);
CREATE VIEW people AS SELECT u.id, u.name, o.name AS org FROM users u LEFT JOIN orgs o ON o.id = u.org_id;
CREATE VIEW nested AS SELECT p.name, count(*) AS n FROM people p JOIN orders ON user_id = p.id GROUP BY 1;
CREATE VIEW totals AS WITH x AS (SELECT org_id, max(ssn) AS s FROM users GROUP BY 1) SELECT * FROM x ORDER BY 1;
CREATE TRIGGER log_delete AFTER DELETE ON users BEGIN
  INSERT INTO audit (what, at) VALUES ('gone ' || OLD.name, datetime('now'));
  DELETE FROM orders WHERE user_id = OLD.id;
END;
CREATE TRIGGER log_update AFTER UPDATE OF ssn ON users WHEN OLD.ssn IS NOT NEW.ssn BEGIN
  INSERT INTO audit (what) SELECT name FROM orgs WHERE id = NEW.org_id;
END;
CREATE TRIGGER deeper AFTER INSERT ON audit BEGIN INSERT INTO deep (what) VALUES (NEW.what); END;
CREATE TRIGGER through INSTEAD OF UPDATE ON people BEGIN UPDATE users SET name = NEW.name WHERE id = OLD.id; END;
CREATE TRIGGER adding INSTEAD OF INSERT ON people BEGIN INSERT INTO users (id, name) VALUES (NEW.id, NEW.name); END;
CREATE TRIGGER guard BEFORE INSERT ON orders BEGIN SELECT RAISE(ABORT, 'no') WHERE NEW.user_id IS NULL; END;
INSERT INTO orgs VALUES (1, 'a'), (2, 'b');
INSERT INTO users VALUES (1, 'x', 's1', 1), (2, 'y', 's2', 2);
INSERT INTO orders VALUES (1, 1, 'n'), (2, 2, 'm');
"""
NAMES = {"users", "orgs", "orders", "audit", "deep", "people", "nested", "totals"}


@pytest.fixture(scope="module")
def opened():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SETUP)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def live(opened):
    rows = opened.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    columns = {name: tuple(row[1] for row in opened.execute(f"PRAGMA table_info({name})")) for name in NAMES}
    views = {name: sql for kind, name, _, sql in rows if kind == "view"}
    triggers = {}
    for kind, _, table, sql in rows:
        if kind == "trigger":
            event = next(word for word in ("delete", "update", "insert") if f" {word} " in sql.lower())
            triggers.setdefault(table, []).append(LiveTrigger(frozenset({event}), sql))
    return LiveSchema(
        tables={name: found for name, found in columns.items() if name not in views},
        views=views,
        columns={name: columns[name] for name in views},
        triggers={table: tuple(found) for table, found in triggers.items()},
    )


def watched(opened, sql):
    reads, writes = set(), set()

    def saw(action, one, *_rest):
        if action == sqlite3.SQLITE_READ:
            reads.add(one)
        elif action in {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}:
            writes.add(one)
        return sqlite3.SQLITE_OK

    opened.execute("SAVEPOINT watched")
    opened.set_authorizer(saw)
    try:
        opened.execute(sql).fetchall()
    except sqlite3.Error:
        return None
    finally:
        opened.set_authorizer(None)
        opened.execute("ROLLBACK TO watched")
        opened.execute("RELEASE watched")
    return reads & NAMES, writes & NAMES


source = st.sampled_from(sorted(NAMES))
queries = st.one_of(
    st.builds("SELECT * FROM {} a, {} b".format, source, source),
    st.builds("SELECT (SELECT count(*) FROM {}) FROM {}".format, source, source),
    st.builds("WITH x AS (SELECT * FROM {}) SELECT * FROM x WHERE EXISTS (SELECT 1 FROM {})".format, source, source),
)
changes = st.sampled_from(
    [
        "DELETE FROM users WHERE id = 1",
        "DELETE FROM orders WHERE id = 1",
        "UPDATE users SET ssn = 'z' WHERE id = 1",
        "UPDATE users SET name = (SELECT max(n) FROM nested) WHERE id = 1",
        "UPDATE people SET name = 'z' WHERE id = 1",
        "UPDATE people SET name = (SELECT max(s) FROM totals) WHERE id = 2",
        "INSERT INTO people (id, name) VALUES (9, 'z')",
        "INSERT INTO people (id, name) SELECT id + 9, s FROM totals JOIN orders ON org_id = user_id",
        "INSERT INTO orders SELECT id + 9, id, name FROM people",
        "INSERT INTO audit (what) SELECT org FROM people",
        "INSERT OR REPLACE INTO orgs VALUES (1, (SELECT s FROM totals LIMIT 1))",
        "INSERT INTO users (id, ssn) VALUES (1, 'q') ON CONFLICT (id) DO UPDATE SET ssn = excluded.ssn",
    ]
)


@settings(max_examples=150)
@given(sql=queries | changes)
def test_every_table_that_sqlite_touches_is_told(opened, live, sql):
    seen = watched(opened, sql)
    assert seen is not None, sql
    found = inspect(sql, "sqlite", schema=live)
    assert seen[0] <= found.reads | found.writes, sql
    assert seen[1] <= found.writes, sql
    assert "unknown" not in found.effects, sql
    assert found.action == ("db.write" if seen[1] else "db.read"), sql


@settings(max_examples=60, deadline=None)
@given(sql=changes)
def test_whatever_a_changed_cell_of_sqlite_holds_was_carried_there(opened, live, sql):
    """Every cell holds the name of its column; what a statement puts elsewhere must be among what it carries."""
    tables = {name: columns for name, columns in live.tables.items()}
    opened.execute("SAVEPOINT marked")
    try:
        for table, columns in tables.items():
            for column in columns:
                if column not in {"id", "user_id", "org_id"}:
                    opened.execute(f"UPDATE {table} SET {column} = '<{table}.{column}>'")
        opened.execute("DELETE FROM audit")
        opened.execute("DELETE FROM deep")
        opened.execute(sql)
        carried = flows(sql, "sqlite", live)
        for table, columns in tables.items():
            for column in columns:
                for (cell,) in opened.execute(f"SELECT {column} FROM {table}").fetchall():
                    for other, names in tables.items():
                        for name in names:
                            if f"<{other}.{name}>" in str(cell) and (other, name) != (table, column):
                                assert f"{other}.{name}" in carried.get(f"{table}.{column}", ()), (sql, cell)
    finally:
        opened.execute("ROLLBACK TO marked")
        opened.execute("RELEASE marked")
