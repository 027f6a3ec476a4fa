import importlib.metadata
import logging
import subprocess
import sys

import pytest

import guardai
from guardai.hooks import registry, report


def entry(name, value):
    return importlib.metadata.EntryPoint(name=name, value=value, group="guardai.integrations")


class TestInit:
    def test_named_integration_that_is_not_there_is_an_error_that_names_what_is(self, home):
        with pytest.raises(guardai.ConfigError, match=r"'nothing' is not installed; installed are: .*dbapi"):
            guardai.init(home=home, integrations=["nothing"])

    def test_init_twice_patches_once(self, home):
        import sqlite3

        original = sqlite3.connect
        guardai.init(home=home, integrations=["dbapi"])
        once = sqlite3.connect
        guardai.init(home=home, integrations=["dbapi"])
        assert sqlite3.connect is once
        guardai.shutdown()
        assert sqlite3.connect is original

    def test_broken_integration_is_told_and_does_not_stop_the_others(self, home, monkeypatch, caplog):
        points = [entry("broken", "guardai_no_such_module:integration"), entry("dbapi", "guardai_dbapi:integration")]
        monkeypatch.setattr(registry, "entry_points", lambda group: points)
        with caplog.at_level(logging.WARNING, logger="guardai"):
            guardai.init(home=home)
        assert "NOT governed" in caplog.text
        told = {one["name"]: one["status"] for one in report()}
        assert told == {"broken": "failed", "dbapi": "patched"}

    def test_broken_integration_that_was_named_is_an_error(self, home, monkeypatch):
        points = [entry("broken", "guardai_no_such_module:integration")]
        monkeypatch.setattr(registry, "entry_points", lambda group: points)
        with pytest.raises(guardai.ConfigError, match="cannot be installed"):
            guardai.init(home=home, integrations=["broken"])

    def test_bad_policy_leaves_nothing_patched_and_no_home(self, home, tmp_path):
        import sqlite3

        original = sqlite3.connect
        (tmp_path / "p" / "policies").mkdir(parents=True)
        (tmp_path / "p" / "policies" / "x.cedar").write_text("permit (principal,")
        with pytest.raises(guardai.BundleError, match=r"x\.cedar"):
            guardai.init(home=home, policy=tmp_path / "p")
        assert sqlite3.connect is original
        assert not home.exists()

    def test_auto_import_starts_the_gate_from_the_environment(self, home, tmp_path):
        code = "import guardai.auto, sqlite3; print([c.__name__ for c in type(sqlite3.connect(':memory:')).__mro__][1])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
        assert done.stdout.strip() == "_Connection"


class TestImport:
    def test_importing_guardai_starts_no_thread_opens_no_file_and_imports_no_framework(self, tmp_path):
        code = """
import sys, threading
opened = []
sys.addaudithook(lambda name, args: opened.append(args[0]) if name == "open" and args[1] and set(args[1]) & set("wax+") else None)
import guardai
assert threading.active_count() == 1
assert not opened, opened
heavy = {"sqlglot", "cedarpy", "hyperscan", "openai", "httpx", "httpx2", "typer", "rich", "cryptography", "sqlite3", "guardai.gate"}
print(sorted(heavy & set(sys.modules)))
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
        assert (done.stdout.strip(), done.stderr) == ("[]", "")

    def test_init_imports_no_library_that_it_governs(self, home, tmp_path):
        code = "import guardai, sys; guardai.init(); print('openai' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
        assert done.stdout.strip() == "False"

    def test_public_names_are_sorted_and_say_that_they_are_public(self):
        assert guardai.__all__ == sorted(guardai.__all__)
        assert guardai.PolicyDenied.__module__ == "guardai"
