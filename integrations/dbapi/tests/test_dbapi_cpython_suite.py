"""CPython's own sqlite3 tests, with an agent's session open and every call permitted."""

import importlib.util
import re
import subprocess
import sys

import pytest

EXACT_TYPES = "test_dbapi.OpenTests.test_database_keyword"
#: Since 3.12 these ask which file a DeprecationWarning names. The C module names its caller's, which is ours.
WARNINGS = {
    "test_dbapi.ConnectionTests.test_connect_positional_arguments",
    "test_dbapi.CursorTests.test_execute_named_param_and_sequence",
    "test_factory.ConnectionFactoryTests.test_connection_factory_as_positional_arg",
    "test_hooks.TraceCallbackTests.test_trace_keyword_args",
    "test_types.DateTimeTests.test_sqlite_date",
    "test_types.DateTimeTests.test_sqlite_timestamp",
}

PROGRAM = """
import sys, unittest, warnings
import guardai
if sys.argv[1] != "plain":
    guardai.init(home=sys.argv[2], policy=sys.argv[3], integrations=["dbapi"])
    scope = guardai.session(agent="cpython")
    if sys.argv[1] == "session":
        scope.__enter__()
from test import test_sqlite3
import pkgutil
names = [f"test.test_sqlite3.{m.name}" for m in pkgutil.iter_modules(test_sqlite3.__path__) if m.name.startswith("test_")]
suite = unittest.defaultTestLoader.loadTestsFromNames(names)
result = unittest.TextTestRunner(stream=sys.stderr, verbosity=1).run(suite)
for test, _ in result.failures + result.errors:
    print("FAILED", test.id())
print("RAN", result.testsRun)
"""


@pytest.mark.skipif(importlib.util.find_spec("test.test_sqlite3") is None, reason="this Python ships without its tests")
@pytest.mark.parametrize("how", ["application", "session"])
def test_cpythons_own_suite_fails_only_where_it_compares_exact_types_or_the_file_that_a_warning_names(
    tmp_path, policy, how
):
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
    assert {name.removeprefix("test.test_sqlite3.") for name in new} <= {
        EXACT_TYPES,
        *(WARNINGS if sys.version_info >= (3, 12) else ()),
    }
