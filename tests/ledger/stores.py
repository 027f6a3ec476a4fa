"""The two kinds of store, for tests that attack or break what is stored: as a superuser does, with the SQL of both.

`?` is a parameter. In PostgreSQL `replace` and `hex` of bytes, `zeroblob` and the type `blob` are made to mean what they mean in SQLite.
"""

import contextlib
import secrets
import shutil
import sqlite3
from urllib.parse import parse_qsl, urlsplit

_TABLES = ("store", "statements", "logs", "events", "heads", "tiles", "checkpoints", "derived")
_FUNCTIONS = """
CREATE OR REPLACE FUNCTION replace(bytea, text, text) RETURNS bytea LANGUAGE sql AS
    $$ SELECT convert_to(pg_catalog.replace(convert_from($1, 'UTF8'), $2, $3), 'UTF8') $$;
CREATE OR REPLACE FUNCTION hex(bytea) RETURNS bytea LANGUAGE sql AS
    $$ SELECT convert_to(encode($1, 'hex'), 'UTF8') $$;
DO $$ BEGIN CREATE DOMAIN blob AS bytea; EXCEPTION WHEN duplicate_object THEN END $$;
CREATE OR REPLACE FUNCTION zeroblob(bigint) RETURNS bytea LANGUAGE sql AS
    $$ SELECT decode(repeat('00', $1::int), 'hex') $$;
"""


def is_postgres(home):
    return (home / "ledger" / "store.url").exists()


def address_of(home):
    return (home / "ledger" / "store.url").read_text().strip()


def put_in_postgres(home, database):
    """The home's ledger, of which there is nothing yet, is in a new schema of this database."""
    (home / "ledger").mkdir(parents=True, exist_ok=True)
    (home / "ledger" / "store.url").write_text(f"{database}?schema=t_{secrets.token_hex(6)}\n")


@contextlib.contextmanager
def store_of(home, *, functions=True):
    """The store, to do anything with."""
    if not is_postgres(home):
        with contextlib.closing(sqlite3.connect(home / "ledger" / "store.db", isolation_level=None)) as db:
            yield db
        return
    import psycopg

    base, schema = parts_of(home)
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"SET search_path = {schema}, pg_catalog")
        if functions and schema_exists(connection, schema):
            connection.execute(_FUNCTIONS)
        yield _AsSqlite(connection)


def schema_exists(connection, schema):
    return connection.execute("SELECT to_regnamespace(%s)", (schema,)).fetchone()[0] is not None


class _AsSqlite:
    def __init__(self, connection):
        self.connection = connection

    def execute(self, sql, parameters=()):
        return self.connection.execute(sql.replace("%", "%%").replace("?", "%s"), tuple(parameters))


def alter(home, statement, *values):
    with store_of(home) as db:
        db.execute(statement, values)


def remove(home):
    """Takes the whole store away."""
    if is_postgres(home):
        with store_of(home) as db:
            db.execute(f"DROP SCHEMA {parts_of(home)[1]} CASCADE")
    else:
        (home / "ledger" / "store.db").unlink()


@contextlib.contextmanager
def away(home):
    """The store is not where it was."""
    if is_postgres(home):
        base, schema = parts_of(home)
        import psycopg

        with psycopg.connect(base, autocommit=True) as connection:
            connection.execute(f"ALTER SCHEMA {schema} RENAME TO {schema}_away")
            yield
            connection.execute(f"ALTER SCHEMA {schema}_away RENAME TO {schema}")
    else:
        store = home / "ledger" / "store.db"
        store.rename(store.with_name("away"))
        yield
        store.with_name("away").rename(store)


def copy_home(home, folder):
    """A copy of a home with its store, which is another one."""
    shutil.copytree(home, folder)
    if is_postgres(home):
        base, schema = parts_of(home)
        (folder / "ledger" / "store.url").unlink()
        put_in_postgres(folder, base)
        _copy(base, schema, parts_of(folder)[1], folder)
    return folder


def content_of(home):
    """What is stored: events and tree heads; nothing if there is no store."""
    if not is_postgres(home) and not (home / "ledger" / "store.db").exists():
        return []
    with store_of(home) as db:
        if is_postgres(home) and not schema_exists(db.connection, parts_of(home)[1]):
            return []
        asked = ("SELECT * FROM events ORDER BY leaf", "SELECT * FROM checkpoints ORDER BY size")
        return [row for sql in asked for row in db.execute(sql).fetchall()]


def put_back(earlier, home):
    """Replaces a home's store by that of another one."""
    if is_postgres(home):
        with store_of(home) as db:
            db.execute(f"DROP SCHEMA {parts_of(home)[1]} CASCADE")
        _copy(parts_of(home)[0], parts_of(earlier)[1], parts_of(home)[1], home)
    else:
        shutil.copy(earlier / "ledger" / "store.db", home / "ledger" / "store.db")


def _copy(base, schema, other, home):
    from guardai.ledger.layout import Layout
    from guardai.ledger.place import open_store

    with open_store(Layout(home)):
        pass
    import psycopg

    with psycopg.connect(base, autocommit=True) as connection:
        if not schema_exists(connection, schema):
            connection.execute(f"DROP SCHEMA {other} CASCADE")
            return
        found = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (schema,)
        )
        for (table,) in found.fetchall():
            if table not in _TABLES:  # derived
                connection.execute(f"CREATE TABLE {other}.{table} (LIKE {schema}.{table} INCLUDING ALL)")
            connection.execute(f"DELETE FROM {other}.{table}")
            connection.execute(f"INSERT INTO {other}.{table} SELECT * FROM {schema}.{table}")


def parts_of(home):
    """The address of the database, and the schema in it."""
    parts = urlsplit(address_of(home))
    return parts._replace(query="").geturl(), dict(parse_qsl(parts.query))["schema"]
