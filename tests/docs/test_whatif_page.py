"""docs/policy-whatif.md: its program runs, and its commands end as it says, in its order."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "policy-whatif.md").read_text(encoding="utf-8")
GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each command of the page printed, after it ended as the page says."""
    cwd = tmp_path_factory.mktemp("page")
    env = {name: value for name, value in os.environ.items() if not name.startswith("GUARDAI_")}
    env |= {"GUARDAI_HOME": str(cwd / "home"), "NO_COLOR": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}

    def run(command):
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)

    [program] = blocks("python")
    (cwd / "agent.py").write_text(program)
    (cwd / "request.json").write_text(blocks("json")[0])
    done = run([sys.executable, "agent.py"])
    assert done.returncode == 0, done.stderr
    event = re.search(r"guardai policy explain (\S+)$", done.stdout.strip())[1]
    found = {}
    for block in blocks("console"):
        for line in re.findall(r"^\$ (.+)$", block, re.M):
            command, _, says = line.partition("#")
            words = shlex.split(command.replace("EVENT", event))
            if "request.json" in words:
                run([*GUARDAI, "init", "guardai-policy"])
            if words[:2] == ["guardai", "init"] and (cwd / words[2]).exists():
                continue
            done = run([*GUARDAI, *words[1:]] if words[0] == "guardai" else words)
            code = int(re.search(r"exits with (\d)", says)[1]) if says else 0
            assert done.returncode == code, f"{line}: {done.stdout}{done.stderr}"
            found[command.strip()] = done.stdout
            if words[:3] == ["guardai", "policy", "explain"] and "request.json" in words:
                (cwd / "guardai-policy" / "policies" / "strict.cedar").write_text(blocks("cedar")[0])
    return found


def shape(text):
    """The lines without numbers, ids and blanks, which differ from run to run."""
    return [
        re.sub(r"[0-9a-f]{16}-[0-9a-f]+|\s+|[0-9,]+", " ", line).strip() for line in text.splitlines() if line.strip()
    ]


@pytest.mark.parametrize(
    "command",
    re.findall(r"^\$ (guardai policy (?:explain EVENT|replay --bundle guardai-policy|diff \S+ \S+))", PAGE, re.M),
)
def test_what_the_page_shows_is_what_is_printed(told, command):
    block = next(one for one in blocks("console") if f"$ {command}" in one)
    shown = [line for line in block.splitlines() if not line.startswith("$")]
    printed = shape(told[command])
    for line in shape("\n".join(shown)):
        assert any(line.removesuffix("…").strip() in one for one in printed), (line, printed)


def test_suggestion_of_the_page_changes_no_allowed_call(told):
    assert ": 0 would be otherwise" in told["guardai policy replay --bundle least"]


def test_every_name_of_the_json_is_explained():
    from guardai.policy import Bundle, explain

    request = {
        "principal": {"type": "Agent", "id": "a"},
        "action": "db.read",
        "resource": {"type": "Table", "id": "d.t"},
    }
    assert all(f"`{name}`" in PAGE for name in explain(Bundle.load(), request))
