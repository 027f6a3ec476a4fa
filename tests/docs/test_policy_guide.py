"""The policy guide, followed as a reader would: what it shows is written into the files that it names, what it types is run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "policy-guide.md"
GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]
STEP = re.compile(
    r"^    guardai (?P<command>[^\n]+)$|^```\w+\n(?://|#) (?P<file>guardai-policy/\S+)\n(?P<text>.*?)^```$", re.M | re.S
)


def test_the_guide_works_from_top_to_bottom(tmp_path):
    steps = list(STEP.finditer(PAGE.read_text(encoding="utf-8")))
    assert sum(bool(step["file"]) for step in steps) == 2
    env = {**os.environ, "GUARDAI_HOME": str(tmp_path / "home"), "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    seed = """import guardai, sqlite3
guardai.init()
with guardai.session(agent="report-bot"):
    sqlite3.connect(":memory:").execute("SELECT 1").fetchall()
guardai.shutdown()
"""
    subprocess.run([sys.executable, "-c", seed], cwd=tmp_path, env=env, check=True, timeout=120)
    told = []
    for step in steps:
        if step["file"]:
            with (tmp_path / step["file"]).open("a") as file:
                file.write(step["text"])
            continue
        done = subprocess.run(
            [*GUARDAI, *shlex.split(step["command"])], cwd=tmp_path, capture_output=True, text=True, timeout=120, env=env,
        )  # fmt: skip
        assert done.returncode == 0, f"{step['command']}: {done.stdout}{done.stderr}"
        told.append(done.stdout)
    assert "21 policies" in told[1]
    assert "tests/shop.toml ...." in told[3]
    assert "21 of 21 policies decided something (100 %)" in told[3]
    assert (tmp_path / "results.xml").exists()
    assert [one for one in told if "0 would be otherwise" in one]
    assert (tmp_path / "site" / "metadata" / "1.root.json").exists()


def test_every_finding_of_the_guides_table_is_one_of_check(tmp_path):
    """An example for each row: a row that nothing stands behind would be a promise."""
    from guardai.policy import check

    db = 'principal, action in Action::"db", resource'
    asks = '@approval("{0}") forbid (principal, action == Action::"{1}", resource) unless {{ context.approvals.contains("{0}") }};'
    examples = [
        ("permit (principal, action, resource) when { context.zone };", "error"),
        ('permit (principal, action == Action::"db.raed", resource);', "error"),
        (f"permit ({db}) when {{ context.sql.unbounded }};", "error"),
        ('@approval("a") forbid (principal, action, resource) unless { context.approvals.contains("b") };', "error"),
        ('forbid (principal, action == Action::"reveal", resource) when { context.to.kind == "modle" };', "error"),
        ('permit (principal, action == Action::"reveal", resource) unless { context.labels.contains("pii.email") };', "error"),
        ('permit (principal, action, resource) when { context.mode == "enforce" && context.mode == "observe" };', "error"),
        ('permit (principal, action in Action::"llm", resource) when { context.mode == "observe" || context has sql };', "warning"),
        (f'permit ({db}); @id("f") forbid ({db});', "warning"),
        (f'@id("f") forbid ({db}); @id("g") forbid ({db}) when {{ context.mode == "enforce" }};', "warning"),
        (asks.format("dba", "db.read"), "warning"),
        ("permit (principal, action, resource);\n" + "\n".join(asks.format(group, verb) for group, verb in (("dba", "db.read"), ("dba", "db.write"), ("DBA", "db.admin"))), "warning"),
    ]  # fmt: skip
    rows = re.findall(r"^\| .+ \| (error|warning) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    assert rows == [severity for _, severity in examples]
    for number, (cedar, severity) in enumerate(examples):
        root = tmp_path / str(number)
        (root / "policies").mkdir(parents=True)
        (root / "policies" / "p.cedar").write_text(cedar)
        found = [one for one in check(root) if "no @id" not in one.message]
        assert {one.severity for one in found} == {severity}, found
