"""The command line as a person runs it: in a folder of its own, with a home of its own."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def guardai_command(tmp_path, home):
    """Runs `guardai` with these arguments; the finished process."""

    def run(*arguments, **env):
        return subprocess.run(
            [sys.executable, "-c", "from guardai.cli import main; main()", *map(str, arguments)],
            cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env={**os.environ, "GUARDAI_HOME": str(home), "NO_COLOR": "1", **env},
        )  # fmt: skip

    return run
