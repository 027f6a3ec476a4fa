"""docs/replay.md: its policies are good, its program and its commands print what it says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

from guardai.gate.reports.session import State

PAGE = (Path(__file__).parents[2] / "docs" / "replay.md").read_text(encoding="utf-8")
GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]


def blocks(language):
    return [text for name, text in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S) if name == language]


def run(command, cwd):
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120,
        env={**os.environ, "NO_COLOR": "1", "GUARDAI_HOME": str(cwd / "home")},
    )  # fmt: skip


def without_times_and_ids(text):
    for found, instead in (
        (r"\d{4}-\d\d-\d\d", "DAY"), (r"\d\d:\d\d:\d\d\.\d{3}", "TIME"), (r"[0-9a-f]{16}-[0-9a-f]+", "ID"), (r"[\d,]+\.\d ms", "MS"),
    ):  # fmt: skip
        text = re.sub(found, instead, text)
    return text


def test_program_and_commands_of_the_page_print_what_the_page_says(tmp_path):
    [policies], [printed] = blocks("cedar"), blocks("")
    (tmp_path / "guardai-policy" / "policies").mkdir(parents=True)
    (tmp_path / "guardai-policy" / "catalog.toml").touch()
    (tmp_path / "guardai-policy" / "policies" / "replay.cedar").write_text(policies)
    (tmp_path / "page.py").write_text("\n".join(blocks("python")))
    checked = run([*GUARDAI, "policy", "check", "guardai-policy"], tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    done = run([sys.executable, "page.py"], tmp_path)
    assert (done.stdout, done.returncode) == (printed, 0), done.stderr
    for block in blocks("console"):
        command, _, printed = block.removeprefix("$ guardai ").partition("\n")
        done = run([*GUARDAI, *shlex.split(command)], tmp_path)
        assert done.returncode == 0, done.stderr
        assert without_times_and_ids(done.stdout) == without_times_and_ids(printed)
    assert "(erased, " in run([*GUARDAI, "replay", "ticket-7"], tmp_path).stdout
    assert run([*GUARDAI, "verify"], tmp_path).returncode == 0


def test_every_state_stands_on_the_page_and_none_besides():
    assert sorted(re.findall(r"^\| `([a-z ]+)` \|", PAGE, re.M)) == sorted(get_args(State))
