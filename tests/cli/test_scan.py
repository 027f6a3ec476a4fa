"""`guardai scan`, as it is typed."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib

import pytest

from guardai import cli

TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8aB3dE5gH7"


@pytest.fixture
def shop(tmp_path):
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, note TEXT)")
    connection.executemany(
        "INSERT INTO customers VALUES (?, ?, ?, ?)",
        [
            (n, f"Ann {'ABCDEFG'[n % 7]}ee", f"user{n}@example.com", "call 415-555-0199" if n % 10 == 0 else "")
            for n in range(50)
        ],
    )
    connection.commit()
    connection.close()
    return "shop.db"


@pytest.fixture
def folder(tmp_path, guardai):
    assert guardai("init").code == 0
    return tmp_path / "guardai-policy" / "catalog.toml"


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def data(self):
        return json.loads(self.out)


@pytest.fixture
def guardai(capsys, monkeypatch):
    """Types a command; `says` is what is typed when it asks."""

    def run(*arguments, says=""):
        import io

        monkeypatch.setattr(sys, "argv", ["guardai", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(says))
        monkeypatch.setenv("NO_COLOR", "1")
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


class TestReport:
    def test_people_are_told_column_label_and_reason(self, guardai, shop):
        done = guardai("scan", shop)
        assert done.code == 0
        assert "pii.email" in done.out
        assert "50 of 50 values" in done.out
        assert "--write --policy FOLDER" in done.out
        assert "guardai init" in done.out
        assert "example.com" not in done.out + done.err

    def test_programs_are_told_shares_counts_and_reasons(self, guardai, shop):
        done = guardai("scan", shop, "--json")
        [target] = done.data["targets"]
        [table] = target["tables"]
        columns = {column["name"]: column for column in table["columns"]}
        assert columns["email"] | {"reason": ""} == {
            "name": "email", "type": "TEXT", "known": [], "kind": "label", "label": "pii.email", "confidence": "high",
            "share": 1.0, "counted": {"pii.email": 50}, "sampled": 50, "blank": 0, "named": "pii.email", "reason": "",
            "proposed": "pii.email",
        }  # fmt: skip
        assert (columns["note"]["kind"], columns["note"]["counted"]) == ("mixed", {"pii.phone": 5})
        assert columns["id"]["kind"] == "nothing"
        assert done.data["proposals"]["customers.email"] == ["pii.email"]
        assert (done.data["whole"], done.data["written"]) == (True, None)
        assert "example.com" not in done.out

    def test_places_in_files_are_file_line_and_label(self, guardai, tmp_path):
        (tmp_path / "app").mkdir()
        (tmp_path / "app" / "settings.py").write_text(f'DEBUG = True\nTOKEN = "{TOKEN}"\n')
        done = guardai("scan", "app")
        assert "app/settings.py:2  secret.github_token" in done.out
        assert TOKEN not in done.out
        [found] = guardai("scan", "app", "--json").data["targets"][0]["findings"]
        assert found == {"file": "app/settings.py", "line": 2, "label": "secret.github_token"}

    def test_what_the_catalog_says_is_told(self, guardai, shop, folder):
        guardai("scan", shop, "--write", "--yes")
        done = guardai("scan", shop)
        assert "catalog" in done.out
        assert "--write" not in done.out

    def test_with_a_policy_folder_nobody_is_told_to_make_one(self, guardai, shop, folder):
        done = guardai("scan", shop)
        assert "the same again with --write" in done.out
        assert "guardai init" not in done.out

    def test_policy_folders_own_detectors_are_used(self, guardai, tmp_path, folder):
        (folder.parent / "detectors.toml").write_text(
            "[[detector]]\nlabel = 'pii.employee_id'\nliterals = ['EMP-']\npattern = 'EMP-[0-9]{6}(?![0-9])'\nrun = ''\n"
            "matches = ['badge EMP-004211']\nignores = ['EMP-42']\n"
        )
        (tmp_path / "staff.csv").write_text("id,badge\n" + "".join(f"{n},EMP-{n:06}\n" for n in range(40)))
        done = guardai("scan", "staff.csv", "--json")
        assert done.data["proposals"] == {"staff.badge": ["pii.employee_id"]}

    def test_names_cannot_paint_the_terminal(self, guardai, tmp_path):
        connection = sqlite3.connect(tmp_path / "x.db")
        connection.execute('CREATE TABLE "[red]a\x1b[2J" ("b[/]\n\u202e" TEXT)')
        connection.execute("INSERT INTO \"[red]a\x1b[2J\" VALUES ('user1@example.com')")
        connection.commit()
        connection.close()
        done = guardai("scan", "x.db")
        assert "[red]a" in done.out
        assert "\x1b" not in done.out
        assert "\u202e" not in done.out


class TestExitCodes:
    def test_nothing_found_and_something_found_are_both_done(self, guardai, shop, tmp_path):
        (tmp_path / "x.txt").write_text("nothing")
        assert guardai("scan", "x.txt").code == 0
        assert guardai("scan", shop).code == 0

    @pytest.mark.parametrize(
        ("label", "code"), [("pii", 1), ("pii.email", 1), ("pii.phone", 1), ("secret", 0), ("pii.iban", 0)]
    )
    def test_fail_on_is_met_by_a_label_and_by_what_covers_it(self, guardai, shop, label, code):
        done = guardai("scan", shop, "--fail-on", label, "--json")
        assert done.code == code
        assert done.data["labels"]["pii.email"] == {"columns": 1, "places": 0}

    def test_what_cannot_be_read_cannot_be_told(self, guardai, shop):
        done = guardai("scan", "nowhere.db", shop)
        assert done.code == 2
        assert "there is no such file" in done.out
        assert "pii.email" in done.out

    def test_found_outweighs_unread(self, guardai, shop):
        assert guardai("scan", "nowhere.db", shop, "--fail-on", "pii").code == 1

    def test_with_fail_on_nothing_may_be_left_unread(self, guardai, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "x.jsonl").write_text('{"a": 1}\n{broken\n')
        assert guardai("scan", "data").code == 0
        done = guardai("scan", "data", "--fail-on", "secret")
        assert done.code == 2
        assert "nobody can tell" in done.err

    @pytest.mark.parametrize(
        ("label", "meant"),
        [
            ("pii.emial", "is it pii.email?"), ("PII", "is it pii?"), ("pii.*", "is it pii?"), ("Secret", "is it secret?"),
            ("secret.githb_token", "is it secret.github_token?"), ("", "all are of pii, secret"), ("trust.untrusted", "no such"),
        ],
    )  # fmt: skip
    def test_label_that_is_none_is_refused_before_anything_is_read(self, guardai, shop, label, meant):
        done = guardai("scan", shop, "--fail-on", "secret", "--fail-on", label)
        assert done.code == 2
        assert meant in done.err
        assert done.out == ""

    @pytest.mark.parametrize("label", ["pii.de_steuer_id", "pii.person"])
    def test_label_that_nothing_looks_for_is_refused(self, guardai, shop, label):
        done = guardai("scan", shop, "--fail-on", label)
        assert done.code == 2
        assert "nothing here looks for that" in done.err

    @pytest.mark.parametrize(
        "label", ["pii.de_steuer_id", "secret.password", "pii.name", "internal", "internal.badge", "acme"]
    )
    def test_labels_of_columns_countries_and_the_policy_folder_are_known(self, guardai, shop, folder, label):
        (folder.parent / "detectors.toml").write_text(
            "countries = ['de']\n[[detector]]\nlabel = 'internal.badge'\nliterals = ['EMP-']\n"
            "pattern = 'EMP-[0-9]{6}(?![0-9])'\nrun = ''\nmatches = ['badge EMP-004211']\nignores = ['EMP-42']\n"
        )
        folder.write_text("[labels]\n'acme.plan' = 'redact'\n")
        assert guardai("scan", shop, "--fail-on", label).code == int(label == "pii.name")

    def test_secret_in_any_row_of_a_file_is_found(self, guardai, tmp_path):
        rows = [f"{n},{TOKEN if n == 31_234 else 'fine'}\n" for n in range(60_000)]
        (tmp_path / "big.csv").write_text("id,note\n" + "".join(rows))
        done = guardai("scan", "big.csv", "--fail-on", "secret")
        assert done.code == 1
        assert "big.csv:31236  secret.github_token" in done.out
        assert "60,000 rows of 1 table" in done.out
        assert guardai("scan", "big.csv", "--fail-on", "pii").code == 0

    def test_file_that_is_too_large_to_be_read_whole_cannot_be_told(self, guardai, tmp_path):
        (tmp_path / "big.csv").write_text("id,note\n" + "".join(f"{n},nothing to tell\n" for n in range(60_000)))
        done = guardai("scan", "big.csv", "--fail-on", "secret", "--max-size", "1")
        assert done.code == 2
        assert "only a sample" in done.err
        assert "--max-size" in done.err

    def test_sampled_table_cannot_be_told_unless_a_sample_is_enough(self, guardai, tmp_path):
        connection = sqlite3.connect(tmp_path / "big.db")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, note TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, 'fine')", ((n,) for n in range(5000)))
        connection.commit()
        connection.close()
        done = guardai("scan", "big.db", "--fail-on", "secret")
        assert done.code == 2
        assert "rows of a larger table" in done.out
        assert "--sample-is-enough" in done.err
        assert guardai("scan", "big.db", "--fail-on", "secret", "--sample-is-enough").code == 0
        assert guardai("scan", "big.db", "--fail-on", "secret", "--sample", "5000").code == 0
        assert guardai("scan", "big.db").code == 0

    def test_found_in_a_sample_outweighs_that_it_is_one(self, guardai, tmp_path):
        connection = sqlite3.connect(tmp_path / "big.db")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, note TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", ((n, TOKEN) for n in range(5000)))
        connection.commit()
        connection.close()
        for more in ([], ["--sample-is-enough"]):
            assert guardai("scan", "big.db", "--fail-on", "secret", *more).code == 1

    def test_people_and_programs_are_told_that_there_are_more_rows(self, guardai, tmp_path):
        (tmp_path / "big.csv").write_text("id,note\n" + "".join(f"{n},fine\n" for n in range(2000)))
        (tmp_path / "small.csv").write_text(f"id,note\n1,{'x ' * 4000}\n")
        assert "1,000 rows of a larger table" in guardai("scan", "big.csv").out
        done = guardai("scan", ".")
        assert "1,001 rows of 2 tables, 1 of them larger than that; of 1 long cell only the beginning" in done.out
        data = guardai("scan", "big.csv", "small.csv", "--json").data
        assert [
            {key: target["tables"][0][key] for key in ("rows_sampled", "larger", "cells_cut")} for target in data["targets"]
        ] == [
            {"rows_sampled": 1000, "larger": True, "cells_cut": 0}, {"rows_sampled": 1, "larger": False, "cells_cut": 1},
        ]  # fmt: skip
        assert data["sampled"]

    def test_what_nobody_expected_cannot_be_told_and_the_rest_is_read(self, guardai, tmp_path, monkeypatch):
        from guardai.gate.reports.sources.delimited import Delimited

        def failing(*_):
            raise KeyError(TOKEN)

        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "a.csv").write_text("id,note\n1,x\n2,y\n")
        (tmp_path / "data" / "b.txt").write_text("user1@example.com")
        monkeypatch.setattr(Delimited, "sample", failing)
        done = guardai("scan", "data")
        assert done.code == 2
        assert "a.csv: cannot be read: KeyError, which nobody expected" in done.out
        assert "b.txt:1  pii.email" in done.out
        assert TOKEN not in done.out + done.err

    def test_with_fail_on_a_policy_folder_that_cannot_be_used_is_not_something_found(self, guardai, shop, folder):
        folder.write_text("[columns\n")
        assert guardai("scan", shop, "--fail-on", "secret").code == 2

    @pytest.mark.parametrize(
        "content",
        ["countries = 'zz'", "countries = ['de, zz']", "packs = ['cor']", "recognisers = ['nobody']", "odd = 1"],
    )
    def test_detectors_that_cannot_be_used_are_told_with_their_file(self, guardai, shop, folder, content):
        file = folder.parent / "detectors.toml"
        file.write_text(content)
        done = guardai("scan", shop, "--policy", folder.parent)
        assert done.code == 2
        assert str(file) in done.err

    @pytest.mark.parametrize(
        "arguments",
        [(), ("x", "--sample", "1"), ("x", "--timeout", "0"), ("x", "--policy", "nowhere"), ("x", "--write", "--json")],
    )
    def test_wrong_usage(self, guardai, arguments):
        assert guardai("scan", *arguments).code == 2


class TestWrite:
    def test_proposals_are_shown_asked_about_and_written(self, guardai, shop, folder):
        before = folder.read_text()
        done = guardai("scan", shop, "--write", says="y\n")
        assert done.code == 0
        assert '+"customers.email" = ["pii.email"]' in done.out
        after = folder.read_text()
        assert set(before.splitlines()) <= set(after.splitlines())
        assert tomllib.loads(after)["columns"] == {"customers.name": ["pii.name"], "customers.email": ["pii.email"]}
        assert guardai("policy", "check", folder.parent).code == 0

    @pytest.mark.parametrize("says", ["n\n", "", "\n"])
    def test_nothing_is_written_without_a_yes(self, guardai, shop, folder, says):
        before = folder.read_bytes()
        done = guardai("scan", shop, "--write", says=says)
        assert done.code == 1
        assert "nothing was written" in done.err
        assert folder.read_bytes() == before

    def test_second_time_has_nothing_to_write(self, guardai, shop, folder):
        guardai("scan", shop, "--write", "--yes")
        before = folder.read_bytes()
        done = guardai("scan", shop, "--write", says="")
        assert done.code == 0
        assert folder.read_bytes() == before

    def test_label_that_somebody_chose_is_kept(self, guardai, shop, folder):
        folder.write_text(
            '[columns]\n"customers.email" = ["pii.work_email"] # ours\n"customers.name" = ["origin.eu"]\n'
        )
        done = guardai("scan", shop, "--write", "--yes", "--json")
        assert done.code == 0
        columns = tomllib.loads(folder.read_text())["columns"]
        assert columns["customers.email"] == ["pii.work_email"]
        assert columns["customers.name"] == ["origin.eu", "pii.name"]
        assert "# ours" in folder.read_text()
        assert done.data["written"]["added"]["customers.name"] == ["pii.name"]

    def test_without_a_policy_folder_there_is_nowhere_to_write(self, guardai, shop):
        done = guardai("scan", shop, "--write", "--yes")
        assert done.code == 2
        assert "guardai init" in done.err

    def test_catalog_that_is_broken_is_left_alone(self, guardai, shop, folder):
        folder.write_text("[columns\n")
        assert guardai("scan", shop, "--write", "--yes").code == 1
        assert folder.read_text() == "[columns\n"

    def test_written_labels_mask_the_column(self, guardai, shop, folder, tmp_path):
        guardai("scan", shop, "--write", "--yes")
        program = (
            "import guardai, sqlite3\nguardai.init()\n"
            "with guardai.session(user='u', agent='a', audience='person'):\n"
            "    print(sqlite3.connect('shop.db').execute('SELECT name FROM customers').fetchone())\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert "Ann" not in done.stdout, done.stderr
        assert done.stdout.strip()


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl-C there")
def test_interrupted_scan_leaves_the_catalog_as_it_was_and_says_so(tmp_path, folder):
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("CREATE TABLE a AS SELECT 'user1@example.com' AS email")
    connection.execute(
        "CREATE VIEW z AS WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT max(i) AS email FROM r"
    )
    connection.commit()
    connection.close()
    before = sorted((path, path.read_bytes()) for path in folder.parent.rglob("*") if path.is_file())
    program = (
        "from guardai.gate.reports.sources.sqlite import Sqlite\nreal = Sqlite.sample\n"
        "def told(self, relation, *more):\n    print('reading', relation.name, flush=True)\n    return real(self, relation, *more)\n"
        "Sqlite.sample = told\nfrom guardai.cli import main\nmain()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, "scan", "shop.db", "--write", "--yes"], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    while (line := process.stdout.readline()) and line != "reading z\n":
        pass
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert "nothing was written" in err
    assert "Traceback" not in err
    assert sorted((path, path.read_bytes()) for path in folder.parent.rglob("*") if path.is_file()) == before
