"""docs/replay.md: its policies are good, its program and its commands print what it says."""

import re
import shlex
import sys
from pathlib import Path
from typing import get_args

from guardai.gate.reports.session import State

PAGE = (Path(__file__).parents[2] / "docs" / "replay.md").read_text(encoding="utf-8")
GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]


def without_times_and_ids(text):
    for found, instead in (
        (r"\d{4}-\d\d-\d\d", "DAY"), (r"\d\d:\d\d:\d\d\.\d{3}", "TIME"), (r"[0-9a-f]{16}-[0-9a-f]+", "ID"), (r"[\d,]+\.\d ms", "MS"),
    ):  # fmt: skip
        text = re.sub(found, instead, text)
    return text


def test_program_and_commands_of_the_page_print_what_the_page_says(tmp_path, blocks, run):
    [policies], [printed] = blocks(PAGE, "cedar"), blocks(PAGE, "")
    (tmp_path / "guardai-policy" / "policies").mkdir(parents=True)
    (tmp_path / "guardai-policy" / "catalog.toml").touch()
    (tmp_path / "guardai-policy" / "policies" / "replay.cedar").write_text(policies)
    (tmp_path / "page.py").write_text("\n".join(blocks(PAGE, "python")))
    checked = run([*GUARDAI, "policy", "check", "guardai-policy"])
    assert checked.returncode == 0, checked.stdout + checked.stderr
    done = run([sys.executable, "page.py"])
    assert (done.stdout, done.returncode) == (printed, 0), done.stderr
    for block in blocks(PAGE, "console"):
        command, _, printed = block.removeprefix("$ guardai ").partition("\n")
        done = run([*GUARDAI, *shlex.split(command)])
        assert done.returncode == 0, done.stderr
        assert without_times_and_ids(done.stdout) == without_times_and_ids(printed)
    assert "(erased, " in run([*GUARDAI, "replay", "ticket-7"]).stdout
    assert run([*GUARDAI, "verify"]).returncode == 0


def test_every_state_stands_on_the_page_and_none_besides():
    assert sorted(re.findall(r"^\| `([a-z ]+)` \|", PAGE, re.M)) == sorted(get_args(State))
