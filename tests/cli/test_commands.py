"""The commands that are no room's own: init, run, doctor, --version."""

import json
import os
import subprocess
import sys

import pytest

GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]


def test_version_is_that_of_the_distribution(guardai_command):
    from importlib.metadata import version

    assert guardai_command("--version").stdout == f"guardai {version('guardai-sdk')}\n"


def test_unknown_command_is_wrong_usage(guardai_command):
    assert guardai_command("nothing").returncode == 2


class TestInit:
    def test_policy_folder_is_made_is_sound_and_is_used(self, guardai_command, tmp_path):
        done = guardai_command("init", "--json")
        assert done.returncode == 0, done.stderr
        assert set(json.loads(done.stdout)["made"]) == {
            "guardai-policy/catalog.toml", "guardai-policy/detectors.toml", "guardai-policy/policies/starter.cedar",
            "guardai-policy/tests/acts.toml", "guardai-policy/tests/reveals.toml", "guardai.toml",
        }  # fmt: skip
        assert guardai_command("policy", "check", "guardai-policy").returncode == 0
        assert guardai_command("policy", "test", "guardai-policy", "--fail-under", "100").returncode == 0
        told = json.loads(guardai_command("doctor", "--json").stdout)
        assert told["bundle"]["path"] == str(tmp_path / "guardai-policy")

    def test_what_is_there_already_is_left_alone(self, guardai_command, tmp_path):
        (tmp_path / "guardai-policy").mkdir()
        done = guardai_command("init")
        assert done.returncode == 2
        assert "nothing was changed" in done.stderr
        assert not (tmp_path / "guardai.toml").exists()

    def test_settings_file_that_is_there_is_kept_and_the_missing_line_is_told(self, guardai_command, tmp_path):
        (tmp_path / "guardai.toml").write_text('region = "eu"\n')
        done = guardai_command("init", "p")
        assert 'policy = "p"' in done.stdout
        assert (tmp_path / "guardai.toml").read_text() == 'region = "eu"\n'


class TestRun:
    PROGRAM = (
        "import sqlite3, sys\nc = sqlite3.connect(':memory:')\nprint(type(c).__mro__[1].__name__, sys.argv, __name__)\n"
    )

    def test_script_runs_governed_with_its_own_arguments(self, guardai_command, tmp_path):
        (tmp_path / "agent.py").write_text(self.PROGRAM)
        done = guardai_command("run", "agent.py", "--flag", "x")
        assert done.stdout == "_Connection ['agent.py', '--flag', 'x'] __main__\n", done.stderr

    def test_module_runs_governed(self, guardai_command, tmp_path):
        (tmp_path / "agent_module.py").write_text(self.PROGRAM)
        done = guardai_command("run", "-m", "agent_module", "x")
        assert done.stdout.startswith("_Connection ["), done.stderr

    def test_agent_is_named_after_the_script(self, guardai_command, tmp_path, events):
        (tmp_path / "nightly.py").write_text("import guardai\nwith guardai.session(): pass\n")
        assert guardai_command("run", "nightly.py").returncode == 0
        assert events(kind="session.open")[0]["principal"]["agent"] == "nightly"

    def test_exit_code_and_traceback_are_the_programs(self, guardai_command, tmp_path):
        (tmp_path / "agent.py").write_text("import sys; sys.exit(7)\n")
        assert guardai_command("run", "agent.py").returncode == 7
        (tmp_path / "agent.py").write_text("raise RuntimeError('mine')\n")
        done = guardai_command("run", "agent.py")
        assert done.returncode == 1
        assert "RuntimeError: mine" in done.stderr

    def test_nothing_to_run_is_wrong_usage(self, guardai_command):
        assert guardai_command("run").returncode == 2
        assert guardai_command("run", "no-such-script.py").returncode == 2


class TestDoctor:
    def test_doctor_tells_every_integration_and_target(self, guardai_command, home):
        done = guardai_command("doctor", "--json")
        told = json.loads(done.stdout)
        assert done.returncode == 0, done.stderr
        assert told["home"] == str(home)
        found = {one["name"]: one for one in told["integrations"]}
        targets = {t["target"] for t in found["dbapi"]["targets"]}
        assert targets >= {"sqlite3:connect", "sqlite3.dbapi2:connect", "psycopg.cursor:Cursor.execute"}
        assert told["text_engine"] in ("hyperscan", "re2", "python")
        assert told["detectors"] == {"packs": ["core", "secrets"], "own": [], "countries": [], "recognisers": []}
        assert told["bundle"]["signed"] is False

    @pytest.mark.parametrize("count", [1, 2, 9])
    def test_library_that_is_not_installed_is_not_said_to_be_pending(self, count):
        from guardai.cli.doctor import _told

        targets = [{"target": f"nobodys.driver:f{n}", "status": "pending", "why": ""} for n in range(count)]
        [(_, what, _)] = _told(targets)
        assert what.startswith("nobodys") and "not installed" in what

    def test_doctor_imports_the_libraries_when_asked_and_tells_what_became_of_each_target(self, guardai_command):
        pytest.importorskip("openai")
        told = json.loads(guardai_command("doctor", "--json", "--import").stdout)
        [openai] = [one for one in told["integrations"] if one["name"] == "openai"]
        assert openai["version"]
        assert "pending" not in {t["status"] for t in openai["targets"]}

    def test_people_get_words(self, guardai_command):
        done = guardai_command("doctor")
        assert "dbapi" in done.stdout
        assert "patched" in done.stdout

    def test_bad_setting_is_told_in_one_line_without_a_traceback(self, guardai_command):
        done = guardai_command("doctor", GUARDAI_MODE="watch")
        assert done.returncode == 2
        assert "GUARDAI_MODE" in done.stderr
        assert "Traceback" not in done.stderr

    def test_home_that_cannot_be_made_is_told(self, guardai_command, tmp_path):
        (tmp_path / "file").write_text("")
        done = guardai_command("doctor", "--home", str(tmp_path / "file" / "home"))
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
