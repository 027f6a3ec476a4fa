"""What a scan finds in databases, files and folders, and what it never does."""

import csv
import json
import os
import socket
import sqlite3
import sys
import threading
from urllib.parse import urlsplit

import msgspec
import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardai.gate.reports import Options, scan
from guardai.policy import Catalog

ROWS = 300
HEAD = ["id", "name", "email", "phone", "dob", "status", "note"]
TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8aB3dE5gH7"
MAGICS = [
    b"",
    b"SQLite format 3\x00",
    b"PAR1",
    b"\x00" * 8 + b"DUCK",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"[",
    b'[{"a": ',
    b"a,b\n",
]
EXPECTED = {"name": "pii.name", "email": "pii.email", "phone": "pii.phone", "dob": "pii.dob"}


def person(n):
    family = "Abel Berg Curie Dorn Ekman Frank".split()[n % 6]
    return (
        n, f"Ann {family}", f"user{n}@example.com", f"415-555-{n % 10_000:04}", f"19{50 + n % 50}-0{1 + n % 9}-1{n % 10}",
        ("open", "closed")[n % 2], "please call 415-555-0199" if n % 10 == 0 else "nothing to tell",
    )  # fmt: skip


PEOPLE = [person(n) for n in range(ROWS)]


def at_mariadb(address):
    import pymysql

    parts = urlsplit(address)
    return pymysql.connect(
        host=parts.hostname, port=parts.port, user=parts.username, password=parts.password or "", database=parts.path[1:],
        autocommit=True,
    )  # fmt: skip


def one(target, **options):
    """The report's source for one target."""
    [source] = scan([str(target)], options=Options(**options)).sources
    return source


def labels(table):
    """{column: label} of a table, as far as columns have one."""
    return {column.name: column.holds.label for column in table.columns if column.holds and column.holds.label}


def held(table):
    """{column: what a sample told}."""
    return {column.name: column.holds for column in table.columns}


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.db"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE customers ({', '.join(HEAD)}, picture BLOB)")
    connection.executemany("INSERT INTO customers VALUES (?,?,?,?,?,?,?,x'ff00ff')", PEOPLE)
    connection.execute("CREATE VIEW addresses AS SELECT email AS a FROM customers")
    connection.execute("CREATE TABLE nobody (email TEXT)")
    connection.commit()
    connection.close()
    return path


def write_csv(path, rows, *, head=HEAD, encoding="utf-8", **form):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, **form)
        if head:
            writer.writerow(head)
        writer.writerows(rows)
    return path


class TestSqlite:
    def test_columns_views_and_mixed_texts_are_told(self, shop):
        customers, nobody, view = sorted(
            one(f"sqlite:///{shop}").tables,
            key=lambda t: ("customers", "nobody").index(t.name) if t.kind == "table" else 9,
        )
        assert labels(customers) == EXPECTED
        assert held(customers)["note"].kind == "mixed"
        assert held(customers)["note"].counted == {"pii.phone": 30}
        assert held(customers)["picture"].kind == "empty"
        assert held(nobody)["email"].kind == "empty"
        assert held(nobody)["email"].named == "pii.email"
        assert (view.kind, labels(view)) == ("view", {"a": "pii.email"})

    def test_path_and_address_are_the_same_database(self, shop):
        by_path, by_address = one(shop), one(f"sqlite:///{shop}")
        assert [t.columns for t in by_path.tables] == [t.columns for t in by_address.tables]

    def test_views_are_left_alone_where_that_is_asked(self, shop):
        assert {t.kind for t in one(shop, views=False).tables} == {"table"}

    def test_large_table_is_sampled_from_all_over(self, tmp_path):
        connection = sqlite3.connect(tmp_path / "big.db")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, late TEXT)")
        connection.executemany(
            "INSERT INTO t VALUES (?, ?)", ((n, f"user{n}@example.com" if n > 5000 else "x") for n in range(10_000))
        )
        connection.commit()
        connection.close()
        [table] = one(tmp_path / "big.db", rows=400).tables
        assert 300 < table.sampled <= 400
        assert held(table)["late"].counted["pii.email"] > 50

    @pytest.mark.parametrize(
        "name", ['a"b', "x; DROP TABLE customers; --", "select", "a'b", "ta\nble", "", " ", "😀", "a[b]*", "%s", "`q`"]
    )
    def test_no_name_of_a_table_or_column_is_more_than_a_name(self, tmp_path, name):
        def quoted(text):
            return '"' + text.replace('"', '""') + '"'

        path = tmp_path / "odd.db"
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE customers (id)")
        connection.execute(f"CREATE TABLE {quoted('t' + name)} ({quoted('c' + name)})")
        connection.execute(f"INSERT INTO {quoted('t' + name)} VALUES ('user1@example.com')")
        connection.commit()
        connection.close()
        report = scan([str(path)])
        [_, table] = report.sources[0].tables
        assert [c.holds.label for c in table.columns] == ["pii.email"]
        assert sqlite3.connect(path).execute("SELECT count(*) FROM customers").fetchone() == (0,)

    def test_two_thousand_columns(self, tmp_path):
        connection = sqlite3.connect(tmp_path / "wide.db")
        connection.execute(f"CREATE TABLE wide ({', '.join(f'c{n}' for n in range(2000))})")
        connection.execute("INSERT INTO wide (c0, c1999) VALUES ('user1@example.com', 'user2@example.com')")
        connection.commit()
        connection.close()
        [table] = one(tmp_path / "wide.db").tables
        assert len(table.columns) == 2000
        assert set(labels(table)) == {"c0", "c1999"}

    @pytest.mark.parametrize("mode", ["delete", "wal"])
    def test_nothing_is_written_not_even_beside_it(self, shop, mode):
        connection = sqlite3.connect(shop)
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.close()
        before = shop.read_bytes(), sorted(os.listdir(shop.parent))
        assert one(shop).tables
        assert (shop.read_bytes(), sorted(os.listdir(shop.parent))) == before

    def test_what_another_program_has_not_checkpointed_yet_is_seen(self, shop):
        writer = sqlite3.connect(shop)
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("CREATE TABLE fresh AS SELECT 'user1@example.com' AS x")
        writer.commit()
        assert "shop.db#fresh" in {t.name for t in one(shop).tables}
        writer.close()

    def test_locked_file_is_told(self, shop, monkeypatch):
        holder = sqlite3.connect(shop, isolation_level=None)
        holder.execute("PRAGMA locking_mode = exclusive")
        holder.execute("BEGIN EXCLUSIVE")
        source = one(f"sqlite:///{shop}")
        assert source.error == "locked by another program"
        holder.close()

    def test_damaged_file_is_told(self, shop):
        whole = shop.read_bytes()
        shop.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
        source = one(shop)
        assert not source.whole
        assert all("damaged" in table.error or table.error == "" for table in source.tables)

    def test_file_that_only_begins_like_one_is_told(self, tmp_path):
        (tmp_path / "x.db").write_bytes(b"SQLite format 3\x00" + b"\x00" * 3)
        assert one(tmp_path / "x.db").error

    def test_view_that_never_ends_is_left_after_the_timeout(self, shop):
        connection = sqlite3.connect(shop)
        connection.execute(
            "CREATE VIEW z AS WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT max(i) AS email FROM r"
        )
        connection.close()
        source = one(shop, timeout=0.5)
        assert [t.error for t in source.tables if t.name.endswith("#z")] == ["took longer than the timeout"]
        assert labels(next(t for t in source.tables if t.name.endswith("#customers"))) == EXPECTED

    def test_view_on_what_is_gone_is_told_and_stops_nothing(self, shop):
        connection = sqlite3.connect(shop)
        connection.execute("CREATE TABLE gone (x)")
        connection.execute("CREATE VIEW a AS SELECT * FROM gone")
        connection.execute("DROP TABLE gone")
        connection.commit()
        connection.close()
        source = one(shop)
        assert [bool(t.error) for t in source.tables if t.name.endswith("#a")] == [True]
        assert any(labels(t) == EXPECTED for t in source.tables)

    def test_text_that_is_no_utf_8_is_read_all_the_same(self, tmp_path):
        connection = sqlite3.connect(tmp_path / "x.db")
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES (CAST(x'ff757365723140' || 'example.com' AS TEXT))")
        connection.commit()
        connection.close()
        [table] = one(tmp_path / "x.db").tables
        assert held(table)["x"].counted == {"pii.email": 1}


class TestServers:
    SCHEMA = [
        "CREATE TABLE customers (id int primary key, name varchar(40), email varchar(60), phone varchar(20), dob date, "
        "status varchar(10), note text, score double precision)",
        "CREATE VIEW v AS SELECT email AS a FROM customers",
        "CREATE TABLE nobody (email varchar(60))",
    ]

    def check(self, address):
        source = one(address)
        assert source.error == ""
        tables = {table.name: table for table in source.tables}
        assert labels(tables["customers"]) == EXPECTED
        assert held(tables["customers"])["note"].kind == "mixed"
        assert held(tables["customers"])["score"] is None
        assert labels(tables["v"]) == {"a": "pii.email"}
        assert held(tables["nobody"])["email"].kind == "empty"
        assert not (tables["customers"].larger or tables["nobody"].larger)
        return tables

    def test_postgresql(self, postgres):
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(postgres) as connection, connection.cursor() as cursor:
            for statement in self.SCHEMA:
                cursor.execute(statement)
            cursor.executemany("INSERT INTO customers VALUES (%s,%s,%s,%s,%s,%s,%s,0.5)", PEOPLE)
            cursor.execute("CREATE SCHEMA sales")
            cursor.execute(
                'CREATE TABLE sales."o""dd; DROP TABLE customers; -- %s" ("a""b %s" text, t text[], j jsonb, b bytea, i inet)'
            )
            cursor.execute(
                """INSERT INTO sales."o""dd; DROP TABLE customers; -- %s" VALUES ('user1@example.com', """.replace(
                    "%s", "%%s"
                )
                + "ARRAY['user1@example.com','user2@example.com'], '{\"email\": \"user3@example.com\", \"n\": 1}', 'x', '10.20.30.40')",
                (),
            )
            cursor.execute("CREATE TABLE parts (id int, email text) PARTITION BY RANGE (id)")
            cursor.execute("CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (100000)")
            cursor.execute("INSERT INTO parts SELECT n, 'user' || n || '@example.com' FROM generate_series(0, 9999) n")
            cursor.execute("CREATE MATERIALIZED VIEW m AS SELECT email FROM customers")
            cursor.execute("CREATE TABLE era (dob date)")
            cursor.execute("INSERT INTO era VALUES ('infinity'), ('4713-01-01 BC'), (NULL)")
        tables = self.check(postgres)
        odd = tables['sales.o"dd; DROP TABLE customers; -- %s']
        assert labels(odd) == {'a"b %s': "pii.email", "t": "pii.email", "i": "pii.ip"}
        assert held(odd)["j"].counted == {"pii.email": 1}
        assert [c.skipped for c in odd.columns if c.name == "b"] == ["binary"]
        assert labels(tables["parts"]) == {"email": "pii.email"}
        assert "part1" not in tables
        assert [name for name, table in tables.items() if table.larger] == ["parts"]
        assert labels(tables["m"]) == {"email": "pii.email"}
        assert tables["era"].error == ""

    def test_mariadb(self, mariadb):
        address, _, database = mariadb.rpartition("/")
        connection = at_mariadb(mariadb)
        with connection.cursor() as cursor:
            for statement in self.SCHEMA:
                cursor.execute(statement)
            cursor.executemany("INSERT INTO customers VALUES (%s,%s,%s,%s,%s,%s,%s,0.5)", PEOPLE)
            cursor.execute(
                "CREATE TABLE `o``dd; DROP TABLE customers; -- %%s` (`a``b %%s` text, j json, b blob, e enum('user1@example.com','x'))",
                (),
            )
            cursor.execute(
                "INSERT INTO `o``dd; DROP TABLE customers; -- %%s` VALUES ('user1@example.com', '[\"user2@example.com\"]', x'ff', 'x')",
                (),
            )
            cursor.execute("CREATE TABLE keyless AS SELECT email FROM customers")
        connection.close()
        tables = self.check(mariadb)
        assert {table.name: table.larger for table in one(mariadb, rows=299).tables}["customers"]
        odd = tables["o`dd; DROP TABLE customers; -- %s"]
        assert labels(odd) == {"a`b %s": "pii.email", "j": "pii.email"}
        assert {c.name: c.type for c in odd.columns}["e"] == "enum"
        assert labels(tables["keyless"]) == {"email": "pii.email"}
        everything = one(f"{address}/")
        assert f"{database}.customers" in {t.name for t in everything.tables}

    @pytest.mark.parametrize("kind", ["postgres", "mariadb"])
    def test_function_in_a_view_cannot_write(self, kind, request):
        address = request.getfixturevalue(kind)
        if kind == "postgres":
            import psycopg

            connection = psycopg.connect(address, autocommit=True)
            run = connection.execute
            run("CREATE TABLE log (x int)")
            run(
                "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1); RETURN 'x'; END $$"
            )
            read = lambda: run("SELECT count(*) FROM log").fetchone()  # noqa: E731
        else:
            connection = at_mariadb(address)
            cursor = connection.cursor()
            run = cursor.execute
            run("CREATE TABLE log (x int)")
            run("CREATE FUNCTION f() RETURNS text MODIFIES SQL DATA BEGIN INSERT INTO log VALUES (1); RETURN 'x'; END")
            read = lambda: (run("SELECT count(*) FROM log"), cursor.fetchone())[1]  # noqa: E731
        run("CREATE VIEW v AS SELECT f() AS email")
        [view] = [t for t in one(address).tables if t.name == "v"]
        assert view.error == "would have written something"
        assert read() == (0,)
        connection.close()

    @pytest.mark.parametrize(("kind", "sleep"), [("postgres", "pg_sleep(60)::text"), ("mariadb", "sleep(60)")])
    def test_slow_view_is_left_after_the_timeout(self, kind, sleep, request):
        address = request.getfixturevalue(kind)
        if kind == "postgres":
            import psycopg

            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute(f"CREATE VIEW v AS SELECT {sleep} AS email")
        else:
            with at_mariadb(address) as connection:
                connection.cursor().execute(f"CREATE VIEW v AS SELECT {sleep} AS email")
        [view] = one(address, timeout=0.5).tables
        assert view.error == "took longer than the timeout"

    def test_column_that_may_not_be_read_is_told(self, postgres):
        import psycopg

        role = "guardai_test_reader"
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (a text, b text)")
            connection.execute("INSERT INTO t VALUES ('user1@example.com', 'user2@example.com')")
            connection.execute(f"DROP ROLE IF EXISTS {role}")
            connection.execute(f"CREATE ROLE {role} LOGIN")
            connection.execute(f"GRANT SELECT (a) ON t TO {role}")
        try:
            [table] = one(f"postgresql://{role}@{postgres.rpartition('@')[2]}").tables
            assert labels(table) == {"a": "pii.email"}
            assert "no permission" in table.error
        finally:
            with psycopg.connect(postgres, autocommit=True) as connection:
                connection.execute(f"DROP OWNED BY {role}")
                connection.execute(f"DROP ROLE {role}")

    PASSWORD = "s3kr%C3%A9t%2Fof-mine"

    @pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "mysql", "mariadb+pymysql"])
    def test_password_is_in_no_message(self, scheme):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
            for address in (
                f"{scheme}://app:{self.PASSWORD}@127.0.0.1:{port}/shop",
                f"{scheme}://app:{self.PASSWORD}@127.0.0.1:{port}/shop?password={self.PASSWORD}",
                f"{scheme}://app:{self.PASSWORD}@127.0.0.1:{port}/shop?{self.PASSWORD}=x",
                f"{scheme}://app:{self.PASSWORD}@[::/shop",
                f"{scheme}://app:{self.PASSWORD}@127.0.0.1:{self.PASSWORD}/shop",
                f"{scheme}://app:s3kr@t/of-mine@127.0.0.1:{port}/shop",
                f"{scheme}://app:s3kr%zzof-mine@127.0.0.1:{port}/shop",
                f"{scheme}://app:s3kr?of-mine@127.0.0.1:{port}/shop",
                f"oracle://app:{self.PASSWORD}@127.0.0.1:{port}/shop",
                f"{scheme}://app:{self.PASSWORD}/shop",
                f"host=127.0.0.1 password={self.PASSWORD}",
            ):
                source = one(address)
                told = msgspec.json.encode(source).decode()
                assert source.error, address
                assert "s3kr" not in told
                assert "of-mine" not in told, told

    def test_missing_driver_is_told_with_what_to_install(self, monkeypatch, tmp_path):
        (tmp_path / "x.parquet").write_bytes(b"PAR1")
        for module, target in (
            ("psycopg", "postgresql://x/y"), ("pymysql", "mysql://x/y"), ("duckdb", f"duckdb:///{tmp_path / 'x.parquet'}"),
            ("pyarrow", str(tmp_path / "x.parquet")),
        ):  # fmt: skip
            monkeypatch.setitem(sys.modules, module, None)
            assert f"pip install '{module}" in one(target).error


class TestDuckDB:
    def test_duckdb(self, tmp_path):
        duckdb = pytest.importorskip("duckdb")
        path = tmp_path / "shop.duckdb"
        write_csv(tmp_path / "people.csv", PEOPLE)
        secret = tmp_path / "elsewhere.txt"
        secret.write_text("user9@example.com\n")
        with duckdb.connect(str(path)) as connection:
            connection.execute(
                f"CREATE TABLE customers AS SELECT *, 'x'::BLOB AS b, 0.5::DOUBLE AS score FROM read_csv('{tmp_path}/people.csv')"
            )
            connection.execute('CREATE TABLE "o""dd; DROP TABLE customers" ("a""b %s" VARCHAR, l VARCHAR[])')
            connection.execute(
                "INSERT INTO \"o\"\"dd; DROP TABLE customers\" VALUES ('user1@example.com', ['user2@example.com'])"
            )
            connection.execute(f"CREATE VIEW outside AS SELECT content AS email FROM read_text('{secret}')")
        before = path.read_bytes()
        tables = {t.name.partition("#")[2]: t for t in one(path).tables}
        assert labels(tables["customers"]) == EXPECTED
        assert labels(tables['o"dd; DROP TABLE customers']) == {'a"b %s': "pii.email", "l": "pii.email"}
        assert "reaches out" in tables["outside"].error
        assert path.read_bytes() == before
        assert [t.columns for t in one(f"duckdb:///{path}").tables] == [t.columns for t in one(path).tables]

    def test_file_that_is_none_is_told(self, tmp_path):
        pytest.importorskip("duckdb")
        (tmp_path / "x.duckdb").write_bytes(b"\x00" * 8 + b"DUCK" + b"\x00" * 100)
        assert one(tmp_path / "x.duckdb").error
        assert one(f"duckdb:///{tmp_path / 'nothing'}").error == "there is no such file"


class TestCsv:
    @pytest.mark.parametrize(
        "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"]
    )
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_any_delimiter_and_encoding(self, tmp_path, encoding, delimiter):
        people = [(n, f"Jürgen {name}", *rest) for n, name, *rest in PEOPLE]
        path = write_csv(tmp_path / "customers.csv", people, encoding=encoding, delimiter=delimiter)
        [table] = one(path).tables
        assert labels(table) == EXPECTED
        assert (table.sampled, table.broken) == (ROWS, 0)

    def test_first_row_is_not_taken_for_names_if_it_holds_values(self, tmp_path):
        path = write_csv(tmp_path / "customers.csv", PEOPLE, head=None)
        source = one(path)
        [table] = source.tables
        assert [c.name for c in table.columns] == [f"column_{n}" for n in range(1, 8)]
        assert table.columns[2].holds.label == "pii.email"
        assert table.sampled == ROWS
        told = msgspec.json.encode(source).decode()
        assert "Ann" not in told
        assert "example.com" not in told
        assert scan([str(path)]).proposals() == {}

    @pytest.mark.parametrize(
        "text",
        [
            "Ada Brook\nBen Castle\nCarla Dunn\n",
            "Ada Brook,London,UK\nBen Castle,Paris,FR\n",
            "Ada Brook,London\n",
            "Ada,red\nBen,red\nCid,blue\n",
        ],
    )
    def test_list_of_names_without_a_header_shows_none_of_them(self, tmp_path, text):
        (tmp_path / "x.csv").write_text(text)
        [table] = one(tmp_path / "x.csv").tables
        assert {c.name.partition("_")[0] for c in table.columns} == {"column"}

    @pytest.mark.parametrize(
        "text",
        [
            "Name\nAda Brook\nBen Castle\n",
            "city,country\nLondon,UK\nParis,FR\n",
            "ID;First Name\n1;Ada\n2;Ben\n",
            "Email\nx\ny\n",
            "a,b\n1,2\n3,4\n",
        ],
    )
    def test_header_is_told_from_what_stands_below_it(self, tmp_path, text):
        (tmp_path / "customers.csv").write_text(text)
        [table] = one(tmp_path / "customers.csv").tables
        assert [c.name for c in table.columns] == text.partition("\n")[0].replace(";", ",").split(",")

    def test_column_without_a_name_and_two_of_one_name_are_told_apart(self, tmp_path):
        path = write_csv(tmp_path / "x.csv", [(n, "y", f"user{n}@example.com") for n in range(50)], head=["", "x", "x"])
        [table] = one(path).tables
        assert [c.name for c in table.columns] == ["column_1", "x", "x"]
        assert [c.holds.label for c in table.columns] == [None, None, "pii.email"]

    def test_row_with_too_many_cells_is_counted_and_looked_at(self, tmp_path):
        path = tmp_path / "x.csv"
        path.write_text("id,note\n" + "".join(f"{n},fine\n" for n in range(50)) + "51,fine,user1@example.com\n52\n")
        [table] = one(path).tables
        assert table.broken == 2
        assert held(table)["note"].counted == {"pii.email": 1}

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"\n\n\n", b"\x00\x00\x00", b"a", b'"', b'a,b\n"never ends,1\n' * 3, b"a,b\r\r\r1,2", b"\xff\xfe", b"\xef\xbb\xbf",
            b"a,b\n\x00,\x001\n", b"a;b,c\td|e\n1,2\n3;4\n5\t6\n", b"," * 100_000, b"a,b\n" + b"x" * 3_000_000 + b",2\n3,user1@example.com\n",
            b"a\n" + b'"' * 200_001, b"id,email\n1,caf\xe9@example.com\n", b"\xff\xfea\x00,\x00b\x00\n\x00\xd8",
        ],
    )  # fmt: skip
    def test_broken_file_is_no_error_of_ours(self, tmp_path, content):
        (tmp_path / "x.csv").write_bytes(content)
        one(tmp_path / "x.csv")
        assert scan([str(tmp_path)]).sources[0].error == ""

    def test_cell_larger_than_any_is_left_out_and_counted(self, tmp_path):
        path = tmp_path / "x.csv"
        path.write_text(
            "id,email\n"
            + "".join(f"{n},user{n}@example.com\n" for n in range(40))
            + f"41,{'x' * 500_000}\n42,user42@example.com\n"
        )
        [table] = one(path).tables
        assert table.broken == 1
        assert held(table)["email"].counted == {"pii.email": 41}

    def test_large_file_is_sampled_from_all_over(self, tmp_path):
        path = tmp_path / "big.csv"
        with path.open("w") as file:
            file.write("id,text,late\n")
            for n in range(200_000):
                file.write(f'{n},"a line\nof two {"x" * 60}",{f"user{n}@example.com" if n > 100_000 else "nothing"}\n')
        [table] = one(path, rows=400).tables
        assert 200 <= table.sampled <= 400
        assert held(table)["late"].counted["pii.email"] > 50
        assert set(held(table)["text"].counted) <= {"pii.email"}


class TestJson:
    @staticmethod
    def order(n):
        return {
            "id": n, "customer": {"name": PEOPLE[n][1], "email": PEOPLE[n][2]}, "phones": [PEOPLE[n][3]], "paid": True,
            "lines": [{"sku": "a-1", "note": f"for {PEOPLE[n][2]}"}, {"sku": "b-2", "note": ""}],
        }  # fmt: skip

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("form", ["orders.jsonl", "lines.json", "array.json"])
    def test_rows_of_objects(self, tmp_path, form, encoding):
        orders = [self.order(n) for n in range(ROWS)]
        text = json.dumps(orders, indent=1) if form == "array.json" else "\n".join(map(json.dumps, orders))
        (tmp_path / form).write_text(text, encoding=encoding)
        [table] = one(tmp_path / form).tables
        assert labels(table) == {"customer.name": "pii.name", "customer.email": "pii.email", "phones": "pii.phone"}
        assert held(table)["lines[].note"].kind == "mixed"

    def test_other_json_is_text_with_lines(self, tmp_path):
        (tmp_path / "config.json").write_text(json.dumps({"a": 1, "token": TOKEN}, indent=1))
        source = one(tmp_path / "config.json")
        assert not source.tables
        assert [(p.file, p.line, p.label) for p in source.places] == [("config.json", 3, "secret.github_token")]

    def test_keys_that_are_values_are_not_shown(self, tmp_path):
        (tmp_path / "x.jsonl").write_text(
            "".join(json.dumps({f"user{n}@example.com": {"seen": n}}) + "\n" for n in range(50))
        )
        source = one(tmp_path / "x.jsonl")
        assert "example.com" not in msgspec.json.encode(source).decode()
        assert [c.name for c in source.tables[0].columns] == ["*.seen"]

    def test_names_of_people_that_are_keys_are_not_shown(self, tmp_path):
        rows = [{"team": n, "members": {f"Ada {chr(65 + n)}{m}": {"role": "x"} for m in range(3)}} for n in range(26)]
        (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
        assert [c.name for c in one(tmp_path / "x.jsonl").tables[0].columns] == ["team", "members.*.role"]

    @pytest.mark.parametrize(
        "text",
        ["[" * 100_000, '{"a":' * 50_000, "[1, 2, 3]", '[{"a": 1}, {"a"', "[]", "{}", "nothing", '"', "[{}]", '{"a": 1}\n{"a": 2}\n{broken\n', "1" * 10_000],
    )  # fmt: skip
    @pytest.mark.parametrize("suffix", ["json", "jsonl"])
    def test_broken_file_is_no_error_of_ours(self, tmp_path, text, suffix):
        (tmp_path / f"x.{suffix}").write_text(text)
        assert one(tmp_path / f"x.{suffix}").error == ""

    def test_line_that_is_none_is_counted(self, tmp_path):
        (tmp_path / "x.jsonl").write_text('{"a": "user1@example.com"}\n{broken\n{"a": "user2@example.com"}\n')
        [table] = one(tmp_path / "x.jsonl").tables
        assert (table.sampled, table.broken, labels(table)) == (2, 1, {"a": "pii.email"})

    def test_any_number_of_keys_is_bounded(self, tmp_path):
        (tmp_path / "x.jsonl").write_text(
            "".join(json.dumps({f"k{n}_{m}": 1 for m in range(100)}) + "\n" for n in range(100))
        )
        [table] = one(tmp_path / "x.jsonl").tables
        assert len(table.columns) <= 2001

    def test_large_file_is_sampled_from_all_over(self, tmp_path):
        with (tmp_path / "big.jsonl").open("w") as file:
            for n in range(100_000):
                file.write(
                    json.dumps({"id": n, "late": f"user{n}@example.com" if n > 50_000 else "nothing", "x": "x" * 80})
                    + "\n"
                )
        [table] = one(tmp_path / "big.jsonl", rows=400).tables
        assert held(table)["late"].counted["pii.email"] > 50
        assert table.broken == 0


class TestParquet:
    @pytest.fixture
    def path(self, tmp_path):
        pyarrow = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        columns = {name: [row[at] for row in PEOPLE] for at, name in enumerate(HEAD)}
        columns |= {
            "blob": [b"\xff"] * ROWS, "tags": [[row[2]] for row in PEOPLE], "pair": [{"k": row[2]} for row in PEOPLE],
            "mobile": [4155552671.0 + n for n in range(ROWS)], "score": [0.5] * ROWS,
        }  # fmt: skip
        path = tmp_path / "customers.parquet"
        pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=50)
        return path

    def test_parquet(self, path):
        [table] = one(path, rows=200).tables
        assert labels(table) == {**EXPECTED, "tags": "pii.email", "mobile": "pii.phone"}
        assert held(table)["pair"].kind == "mixed"
        assert {c.name for c in table.columns if c.skipped} == {"blob", "score"}

    @staticmethod
    def write(path, names, columns, **how):
        pyarrow = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        table = pyarrow.Table.from_arrays([pyarrow.array(column) for column in columns], names=names)
        pyarrow.parquet.write_table(table, path, **how)
        return path

    def test_two_columns_of_one_name_are_told_apart(self, tmp_path):
        ids, emails = list(range(50)), [f"user{n}@example.com" for n in range(50)]
        [table] = one(self.write(tmp_path / "x.parquet", ["d", "e", "d"], [ids, ids, emails])).tables
        assert [c.name for c in table.columns] == ["d", "e", "d"]
        assert [c.holds and c.holds.label for c in table.columns] == [None, None, "pii.email"]

    def test_column_named_like_a_part_of_another_is_the_one_that_is_read(self, tmp_path):
        structs, emails = [{"b": n} for n in range(50)], [f"user{n}@example.com" for n in range(50)]
        [table] = one(self.write(tmp_path / "x.parquet", ["a", "a.b"], [structs, emails])).tables
        assert [c.holds.label for c in table.columns] == [None, "pii.email"]

    def test_file_of_few_rows_in_many_groups_is_read_whole_and_every_row_once(self, path):
        [table] = one(path).tables
        assert (table.sampled, table.larger) == (ROWS, False)

    @pytest.mark.parametrize("keep", [4, 100, -1, -8])
    def test_file_that_is_cut_off_is_told(self, path, keep):
        path.write_bytes(path.read_bytes()[:keep])
        assert "not whole" in one(path).error

    def test_file_without_rows(self, tmp_path):
        pyarrow = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        pyarrow.parquet.write_table(
            pyarrow.table({"email": pyarrow.array([], pyarrow.string())}), tmp_path / "x.parquet"
        )
        [table] = one(tmp_path / "x.parquet").tables
        assert held(table)["email"].kind == "empty"


class TestFolder:
    def test_every_finding_has_its_line(self, tmp_path):
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "a.py").write_text(f'import os\n\nTOKEN = "{TOKEN}"\r\n# user1@example.com\n')
        (tmp_path / "b.env").write_text(f"A=1\nB={TOKEN}\n", encoding="utf-16")
        source = one(tmp_path)
        assert [(p.file, p.line, p.label) for p in source.places] == [
            (str(tmp_path / "b.env"), 2, "secret.github_token"),
            (str(tmp_path / "src" / "a.py"), 3, "secret.github_token"),
            (str(tmp_path / "src" / "a.py"), 4, "pii.email"),
        ]
        assert source.counted == {"secret.github_token": 2, "pii.email": 1}

    def test_secret_in_a_small_table_of_text_has_its_line_too(self, tmp_path):
        write_csv(tmp_path / "x.csv", [(n, "fine" if n != 7 else TOKEN) for n in range(50)], head=["id", "note"])
        [place] = one(tmp_path).places
        assert (place.line, place.label) == (9, "secret.github_token")

    def test_lines_are_right_across_the_pieces_in_which_a_file_is_read(self, tmp_path):
        text = f"{'x' * 98}\n" * 100_000
        (tmp_path / "x.log").write_text(f"{text}{TOKEN}\n{text}{TOKEN}")
        assert [p.line for p in one(tmp_path / "x.log").places] == [100_001, 200_002]

    def test_file_full_of_one_label_is_counted_and_its_first_places_are_named(self, tmp_path):
        (tmp_path / "x.log").write_text("".join(f"user{n}@example.com\n" for n in range(5000)))
        source = one(tmp_path / "x.log")
        assert source.counted == {"pii.email": 5000}
        assert [p.line for p in source.places] == list(range(1, 101))

    def test_binary_files_links_and_tools_folders_are_counted_and_left_out(self, tmp_path):
        (tmp_path / "x.bin").write_bytes(bytes(range(256)) * 100 + TOKEN.encode())
        (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "broken").symlink_to(tmp_path / "nothing")
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git" / "config").write_text(TOKEN)
        if hasattr(os, "mkfifo"):
            os.mkfifo(tmp_path / "pipe")
        source = one(tmp_path)
        assert source.places == []
        assert (source.files.binary, source.files.links, source.files.folders_left_out) == (1, 2, 1)
        assert source.whole

    def test_file_that_cannot_be_read_is_told_and_stops_nothing(self, tmp_path, monkeypatch):
        from pathlib import Path

        (tmp_path / "a").write_text("x")
        (tmp_path / "b").write_text(TOKEN)
        (tmp_path / "c.db").write_bytes(b"SQLite format 3\x00")
        real = Path.open

        def refusing(self, *args, **kwargs):
            if self.name == "a":
                raise PermissionError(13, "Permission denied")
            return real(self, *args, **kwargs)

        monkeypatch.setattr(Path, "open", refusing)
        source = one(tmp_path)
        assert [place.label for place in source.places] == ["secret.github_token"]
        assert {name for name, _ in source.files.problems} == {str(tmp_path / "a"), str(tmp_path / "c.db")}
        assert not source.whole

    @pytest.mark.parametrize("where", ["__init__", "relations", "sample", "close"])
    def test_what_nobody_expected_is_told_by_its_type_alone_and_stops_nothing(self, tmp_path, monkeypatch, where):
        from guardai.gate.reports.sources.delimited import Delimited

        def failing(*_, **__):
            raise KeyError(f"no column {TOKEN}")

        (tmp_path / "a.csv").write_text("id,note\n1,x\n2,y\n")
        (tmp_path / "b.txt").write_text("user1@example.com")
        monkeypatch.setattr(Delimited, where, failing)
        folder, file = one(tmp_path), one(tmp_path / "a.csv")
        assert [place.label for place in folder.places] == ["pii.email"]
        assert folder.unexpected and not folder.whole
        assert file.unexpected and not file.whole
        told = msgspec.json.encode([folder, file]).decode()
        assert "cannot be read: KeyError" in told
        assert TOKEN not in told

    def test_detectors_that_cannot_be_used_end_the_scan_at_once(self, tmp_path, monkeypatch):
        from guardai.gate.reports.sources import delimited
        from guardai.text import PackError

        def failing(*_, **__):
            raise PackError("no such pack")

        (tmp_path / "a.csv").write_text("id,note\n1,x\n2,y\n")
        monkeypatch.setattr(delimited, "scan", failing)
        with pytest.raises(PackError, match="no such pack"):
            one(tmp_path)

    def test_only_the_beginning_of_a_huge_file_is_looked_at_and_that_is_told(self, tmp_path):
        (tmp_path / "x.log").write_text("x\n" * 1_000_000 + TOKEN)
        source = one(tmp_path, bytes=1 << 20)
        assert source.places == []
        assert "only the beginning" in source.files.problems[0][1]
        assert not source.whole

    def test_tables_in_a_folder_are_told_with_their_path(self, tmp_path, shop):
        (tmp_path / "data").mkdir()
        write_csv(tmp_path / "data" / "customers.csv", PEOPLE)
        names = {t.name for t in one(tmp_path).tables}
        assert {str(tmp_path / "data" / "customers.csv"), f"{shop}#customers"} <= names

    def test_names_of_files_cannot_move_the_cursor(self, tmp_path):
        (tmp_path / "a\x1b[2J\nb").write_text(TOKEN)
        (tmp_path / os.fsdecode(b"\xff\xfe")).write_text(TOKEN)
        for place in one(tmp_path).places:
            assert place.file.isprintable()
            place.file.encode()

    def test_deep_folders(self, tmp_path):
        deep = tmp_path
        for _ in range(150):
            deep = deep / "d"
        deep.mkdir(parents=True)
        (deep / "x").write_text(TOKEN)
        assert len(one(tmp_path).places) == 1


class TestSample:
    @staticmethod
    def file(folder, kind, count):
        rows = [{"id": n, "note": f"note {n}"} for n in range(count)]
        path = folder / f"x.{kind}"
        if kind == "csv":
            write_csv(path, [row.values() for row in rows], head=["id", "note"])
        elif kind == "jsonl":
            path.write_text("\n".join(map(json.dumps, rows)))
        elif kind == "json":
            path.write_text(json.dumps(rows))
        elif kind == "parquet":
            TestParquet.write(path, ["id", "note"], [[row[name] for row in rows] for name in ("id", "note")])
        elif kind == "duckdb":
            with pytest.importorskip("duckdb").connect(str(path)) as connection:
                connection.execute(f"CREATE TABLE t AS SELECT i AS id, 'note ' || i AS note FROM range({count}) r(i)")
        else:
            connection = sqlite3.connect(path)
            row_numbers = " WITHOUT ROWID" if kind == "keyed" else ""
            connection.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, note TEXT){row_numbers}")
            connection.executemany("INSERT INTO t VALUES (:id, :note)", rows)
            connection.commit()
            connection.close()
        return path

    @pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet", "duckdb", "db", "keyed"])
    def test_table_that_has_more_rows_than_were_looked_at_says_so(self, tmp_path, kind):
        path = self.file(tmp_path, kind, 100)
        for rows, larger in ((99, True), (100, False), (101, False)):
            report = scan([str(path)], options=Options(rows=rows))
            [table] = report.sources[0].tables
            assert (table.larger, report.sampled) == (larger, larger)
            assert table.sampled <= min(rows, 100)
            assert larger or table.sampled == 100

    def test_view_that_has_more_rows_says_so_too(self, shop):
        tables = {t.name: t for t in one(f"sqlite:///{shop}", rows=299).tables}
        assert (tables["addresses"].larger, tables["addresses"].sampled) == (True, 299)

    @pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
    def test_every_row_of_a_file_is_looked_at_for_what_is_sought(self, tmp_path, kind):
        path = self.file(tmp_path, kind, 20_000)
        path.write_text(path.read_text().replace("note 13131", "user1@example.com"))
        seek = frozenset({"pii.email"})
        report = scan([str(path)], options=Options(rows=100, seek=seek))
        [table] = report.sources[0].tables
        assert (table.sampled, table.larger) == (20_000, False)
        assert held(table)["note"].counted == {"pii.email": 1}
        assert not scan([str(path)], options=Options(rows=100)).labels()

    @pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
    def test_secret_far_down_a_file_has_its_line(self, tmp_path, kind):
        path = self.file(tmp_path, kind, 60_000)
        path.write_text(path.read_text().replace("note 31234", TOKEN))
        [place] = one(path, seek=frozenset({"secret"})).places
        assert (place.line, place.label) == ({"csv": 31_236, "jsonl": 31_235, "json": 1}[kind], "secret.github_token")

    @pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
    def test_file_beyond_the_limit_is_sampled_whatever_is_sought(self, tmp_path, kind):
        path = self.file(tmp_path, kind, 60_000)
        [table] = one(path, bytes=1 << 20, seek=frozenset({"secret"})).tables
        assert (table.larger, table.sampled <= 1000) == (True, True)

    def test_array_that_goes_on_where_nobody_reads_says_so(self, tmp_path):
        (tmp_path / "x.json").write_text(json.dumps([{"note": "x" * 1000}] * 9000))
        [table] = one(tmp_path / "x.json", rows=100_000).tables
        assert table.larger

    def test_end_of_a_long_cell_is_not_looked_at_and_that_is_told(self, tmp_path):
        connection = sqlite3.connect(tmp_path / "x.db")
        connection.execute("CREATE TABLE t AS SELECT ? AS note", ("x " * 4000 + "user1@example.com",))
        connection.commit()
        connection.close()
        report = scan([str(tmp_path / "x.db")])
        [table] = report.sources[0].tables
        assert (table.cut, table.larger, report.sampled, report.labels()) == (1, False, True, {})

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_end_of_a_long_cell_of_a_file_is_looked_at_for_what_is_sought(self, tmp_path, kind):
        path = self.file(tmp_path, kind, 50)
        path.write_text(path.read_text().replace("note 7", "x " * 4000 + "user1@example.com"))
        report = scan([str(path)], options=Options(seek=frozenset({"pii"})))
        assert (report.sampled, report.labels()) == (False, {"pii.email": (0, 1)})
        assert scan([str(path)]).sampled

    def test_list_that_is_longer_than_a_cell_counts_as_cut(self, tmp_path):
        (tmp_path / "x.jsonl").write_text(json.dumps({"tags": ["word"] * 2000}) + "\n" + json.dumps({"tags": []}))
        [table] = one(tmp_path / "x.jsonl").tables
        assert table.cut == 1


class TestAnything:
    @given(
        st.binary(max_size=300),
        st.sampled_from(["csv", "tsv", "json", "jsonl", "parquet", "db", "txt", "env"]),
        st.sampled_from(MAGICS),
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_file_is_too_odd(self, tmp_path, content, suffix, magic):
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(magic + content)
        scan([str(path)])
        [source] = scan([str(tmp_path)]).sources
        assert source.error == ""

    @given(st.text(max_size=60))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_target_is_too_odd(self, tmp_path, target):
        scan(
            [
                f"sqlite:///{tmp_path}/{target}",
                f"duckdb:///{tmp_path}/{target}",
                f"{tmp_path}/nothing/{target}",
                f"x{target}://{target}",
            ]
        )


class TestReport:
    def test_what_the_catalog_knows_is_told_and_not_proposed_again(self, shop):
        catalog = Catalog.parse(
            '[columns]\n"customers.email" = ["pii.email"]\n"*.phone" = ["pii"]\n"customers.name" = ["origin.eu"]\n'
        )
        report = scan([f"sqlite:///{shop}"], catalog=catalog)
        known = {c.name: c.known for t in report.sources[0].tables for c in t.columns if t.name == "customers"}
        assert (known["email"], known["phone"], known["name"]) == (("pii.email",), ("pii",), ("origin.eu",))
        assert set(report.proposals()) == {"customers.name", "customers.dob", "addresses.a"}

    def test_label_of_the_same_family_is_somebodys_decision(self, shop):
        catalog = Catalog.parse('[columns]\n"customers.*" = ["pii.customer"]\n')
        assert set(scan([str(shop)], catalog=catalog).proposals()) == {"addresses.a"}

    def test_target_that_is_none_stops_nothing(self, shop):
        report = scan(["nowhere", "oracle://x", str(shop), "\x00", ""])
        assert [bool(s.error) for s in report.sources] == [True, True, False, True, True]
        assert not report.whole

    def test_two_scans_of_the_same_are_the_same(self, shop, tmp_path):
        write_csv(tmp_path / "customers.csv", PEOPLE * 10)
        assert scan([str(tmp_path)]) == scan([str(tmp_path)])

    def test_report_holds_no_value(self, shop, tmp_path):
        write_csv(tmp_path / "customers.csv", PEOPLE)
        (tmp_path / "x.txt").write_text(f"user1@example.com {TOKEN}")
        told = msgspec.json.encode(scan([str(tmp_path), str(shop)])).decode().replace(str(tmp_path), "")
        for value in (TOKEN, "example.com", "415-555", "Ann", "open", "please"):
            assert value not in told

    def test_progress_is_told(self, shop):
        seen = []
        scan([str(shop)], progress=lambda *what: seen.append(what))
        assert seen == [("shop.db#addresses", 0, 3), ("shop.db#customers", 1, 3), ("shop.db#nobody", 2, 3)]

    def test_column_named_like_a_value_is_masked_and_not_proposed(self, tmp_path):
        connection = sqlite3.connect(tmp_path / "x.db")
        connection.execute('CREATE TABLE t ("user1@example.com" TEXT)')
        connection.execute("INSERT INTO t VALUES ('user2@example.com')")
        connection.commit()
        connection.close()
        report = scan([str(tmp_path / "x.db")])
        assert [c.name for c in report.sources[0].tables[0].columns] == ["[EMAIL]"]
        assert report.proposals() == {}

    def test_threads_can_scan_at_once(self, shop):
        reports = []
        threads = [threading.Thread(target=lambda: reports.append(scan([str(shop)]))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(report == reports[0] for report in reports)
