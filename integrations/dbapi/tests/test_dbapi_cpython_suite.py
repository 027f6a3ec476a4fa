"""CPython's own sqlite3 tests, with an agent's session open and every call permitted."""

import importlib.util
import re
import subprocess
import sys

import pytest

PROGRAM = """
import sys, unittest, warnings
import guardai
if sys.argv[1] != "plain":
    guardai.init(home=sys.argv[2], policy=sys.argv[3], integrations=["dbapi"])
    scope = guardai.session(agent="cpython")
    if sys.argv[1] == "session":
        scope.__enter__()
from test import test_sqlite3
suite = unittest.defaultTestLoader.discover(test_sqlite3.__path__[0], pattern="test_*.py", top_level_dir=None)
result = unittest.TextTestRunner(stream=sys.stderr, verbosity=1).run(suite)
for test, _ in result.failures + result.errors:
    print("FAILED", test.id())
print("RAN", result.testsRun)
"""


@pytest.mark.skipif(importlib.util.find_spec("test.test_sqlite3") is None, reason="this Python ships without its tests")
@pytest.mark.parametrize("how", ["application", "session"])
def test_cpythons_own_suite_fails_in_at_most_the_one_test_that_compares_exact_types(tmp_path, policy, how):
    folder = policy("permit (principal, action, resource);")

    def failed(mode):
        work = tmp_path / mode
        work.mkdir()
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, mode, str(tmp_path / f"home-{mode}"), str(folder)],
            capture_output=True, text=True, cwd=work, timeout=300,
        )  # fmt: skip
        assert re.search(r"^RAN [1-9]\d\d", done.stdout, re.MULTILINE), done.stderr[-2000:]
        return set(re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE))

    new = failed(how) - failed("plain")
    assert len(new) <= 1, new
