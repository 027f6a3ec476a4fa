"""What a page shows in blocks, and a command as its reader types it."""

import os
import re
import subprocess

import pytest


@pytest.fixture
def blocks():
    """The blocks of a page that are in one language ("": in none), in order."""

    def found(page, language):
        return [text for name, text in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.M | re.S) if name == language]

    return found


@pytest.fixture
def run(tmp_path):
    """Runs a command in the test's folder, with a home there."""

    def ran(command):
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env={**os.environ, "NO_COLOR": "1", "GUARDAI_HOME": str(tmp_path / "home")},
        )  # fmt: skip

    return ran
