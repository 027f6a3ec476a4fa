"""docs/event-schema.json and docs/events.md are what the structs say, and the page's Python runs."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import guardai
from guardai.model.kinds import KINDS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("events_tool", ROOT / "tools" / "events.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_schema_and_page_are_written_from_the_structs():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "events.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), "run python tools/events.py"


def test_what_is_out_of_date_is_named_and_written_anew(tool, tmp_path, monkeypatch, capsys):
    (tmp_path / "events.md").write_text("# Events\n" + tool.MARK + "of yesterday\n", "utf-8")
    for name, file in (("ROOT", ""), ("PAGE", "events.md"), ("SCHEMA", "event-schema.json")):
        monkeypatch.setattr(tool, name, tmp_path / file)
    monkeypatch.setattr(sys, "argv", ["events.py", "--check"])
    assert tool.main() == 2
    assert "events.md is out of date" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["events.py"])
    assert tool.main() == 0
    page = (tmp_path / "events.md").read_text("utf-8")
    assert page.startswith("# Events\n")
    assert "of yesterday" not in page
    assert (tmp_path / "event-schema.json").read_text("utf-8") == (ROOT / "docs" / "event-schema.json").read_text(
        "utf-8"
    )


def test_every_kind_and_every_field_of_it_is_on_the_page(tool):
    page = tool.PAGE.read_text("utf-8")
    common = page.partition("## What every event has")[2].partition("\n## ")[0]
    for kind, struct in KINDS.items():
        section = common + page.partition(f"\n## `{kind}`\n")[2].partition("\n## ")[0]
        for field in struct.__struct_encode_fields__:
            assert f"| `{field}" in section, (kind, field)
    assert not {
        link for link in re.findall(r"\]\(#([a-z]+)\)", page) if not re.search(rf"^### {link}$", page, re.M | re.I)
    }


def test_python_of_the_page_runs_as_it_stands(home, capsys):
    guardai.init(home=home, integrations=[])
    with guardai.session(agent="a"):
        guardai.record("review.done", score=3)
    guardai.shutdown()
    [block] = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "events.md").read_text("utf-8"), re.M | re.S)
    exec(compile(block, "events.md", "exec"), {})
    assert "review.done" in capsys.readouterr().out
