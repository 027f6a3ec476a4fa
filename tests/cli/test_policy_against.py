"""`guardai policy check --against HOME`: entries of the catalog that match nothing in a real ledger."""

import json
import os
import subprocess
import sys

import pytest

GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]
PROGRAM = """
import sqlite3, guardai
guardai.init()

@guardai.tool(effects="read")
def search_orders(q):
    return q

with guardai.session(user="u", agent="a"):
    shop = sqlite3.connect("shop.db")
    shop.execute("SELECT email FROM customers").fetchall()
    shop.execute("INSERT INTO orders VALUES (1, 'x')")
    search_orders("7")
guardai.shutdown()
"""
CATALOG = """
[databases."sqlite:///*/shop.db"]
name = "shop"

[databases."postgresql://*/shop"]
name = "old"

[columns]
"customers.email" = ["pii.email"]
"customers.emial" = ["pii.email"]
"CUSTOMERS.*" = ["dataset.customers"]
"orders.card" = ["pii.card"]
"staff.pay" = ["dataset.hr"]

[[models]]
host = "api.openai.com"

[tools."search_*"]
effects = "read"

[tools."serch_*"]
effects = "read"
"""
CEDAR = '@id("all") permit (principal, action, resource);'


def run(arguments, cwd, home):
    env = {**os.environ, "GUARDAI_HOME": str(home), "NO_COLOR": "1"}
    return subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, timeout=120, env=env)


@pytest.fixture
def ledger(tmp_path):
    """The home of a program that read a column, wrote a table and called a tool."""
    import sqlite3

    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("CREATE TABLE customers (id, email, name)")
        shop.execute("CREATE TABLE orders (id, card)")
    shop.close()
    home = tmp_path / "seen"
    done = run([sys.executable, "-c", PROGRAM], tmp_path, home)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def folder(tmp_path):
    def write(catalog, cedar=CEDAR):
        root = tmp_path / "policy"
        (root / "policies").mkdir(parents=True)
        (root / "policies" / "p.cedar").write_text(cedar)
        if catalog is not None:
            (root / "catalog.toml").write_text(catalog)
        return root

    return write


def checked(root, against, tmp_path):
    done = run(
        [*GUARDAI, "policy", "check", str(root), "--against", str(against), "--json"], tmp_path, tmp_path / "own"
    )
    return done, json.loads(done.stdout)["problems"] if done.stdout else []


def test_entries_that_match_nothing_are_warned_of_with_their_line(ledger, folder, tmp_path):
    done, problems = checked(folder(CATALOG), ledger, tmp_path)
    assert done.returncode == 0, done.stderr
    told = [(one["severity"], one["file"], one["line"], one["message"].partition(" matches")[0]) for one in problems]
    assert told == [
        ("warning", "catalog.toml", 5, 'databases."postgresql://*/shop"'),
        ("warning", "catalog.toml", 10, 'columns."customers.emial"'),
        ("warning", "catalog.toml", 13, 'columns."staff.pay"'),
        ("warning", "catalog.toml", 21, 'tools."serch_*"'),
        ("warning", "catalog.toml", 0, "the ledger has seen none of its models, so nothing is said of them"),
    ]
    assert "it saw customers.email" in problems[1]["message"]
    assert "it saw search_orders" in problems[3]["message"]


def test_columns_of_a_table_that_was_written_are_not_called_unseen(ledger, folder, tmp_path):
    """An INSERT names no columns: `orders.card` may have been written."""
    _, problems = checked(
        folder('[columns]\n"orders.card" = ["pii.card"]\n"main.orders.c*" = ["pii.card"]\n'), ledger, tmp_path
    )
    assert [one["message"].partition(" matches")[0] for one in problems] == ['columns."main.orders.c*"']


def test_what_policies_name_and_nobody_has_seen_is_warned_of_with_its_place(ledger, folder, tmp_path):
    cedar = (
        CEDAR
        + """
@id("near") forbid (principal, action == Action::"db.read", resource == Table::"shop.custmers");
@id("right") forbid (principal, action == Action::"db.destroy", resource in Database::"shop");
@id("tool") permit (principal, action == Action::"tool.call", resource)
when { resource in [Tool::"search_orders", Tool::"serch_orders"] };
@id("model") permit (principal, action == Action::"llm.generate", resource == Model::"gpt-4o");
"""
    )
    done, problems = checked(folder('[databases."sqlite:///*/shop.db"]\nname = "shop"\n', cedar), ledger, tmp_path)
    told = [(one["policy"], one["line"], one["message"]) for one in problems if "is nothing that" in one["message"]]
    assert told == [
        ("near", 2, "Table::\"shop.custmers\" is nothing that the ledger has seen; did you mean 'shop.customers'?"),
        ("tool", 5, "Tool::\"serch_orders\" is nothing that the ledger has seen; did you mean 'search_orders'?"),
    ]
    columns = [one["column"] for one in problems if "is nothing that" in one["message"]]
    lines = cedar.split("\n")
    assert lines[1][columns[0] - 1 :].startswith('Table::"shop.custmers"')
    assert lines[4][columns[1] - 1 :].startswith('Tool::"serch_orders"')
    assert done.returncode == 0


def test_people_are_told_the_same(ledger, folder, tmp_path):
    root = folder(CATALOG)
    done = run([*GUARDAI, "policy", "check", str(root), "--against", str(ledger)], tmp_path, tmp_path / "own")
    assert done.returncode == 0
    assert 'warning catalog.toml:10: columns."customers.emial" matches nothing' in done.stdout
    assert "good 1 policy" in done.stdout


def test_a_catalog_that_says_nothing_has_nothing_unseen(ledger, folder, tmp_path):
    assert checked(folder(None), ledger, tmp_path)[1] == []


def test_no_ledger_is_wrong_usage(folder, tmp_path):
    done, _ = checked(folder(CATALOG), tmp_path / "nowhere", tmp_path)
    assert done.returncode == 2
    assert "there is no ledger under" in done.stderr


def test_a_store_that_is_no_store_is_told(ledger, folder, tmp_path):
    store = next(file for file in (ledger / "ledger").rglob("*") if file.suffix in (".db", ".sqlite", ".sqlite3"))
    store.write_bytes(b"not a database" * 100)
    done, _ = checked(folder(CATALOG), ledger, tmp_path)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_refused_is_told_once(ledger, folder, tmp_path):
    done, problems = checked(folder("[databses]"), ledger, tmp_path)
    assert done.returncode == 1
    assert len(problems) == 1
