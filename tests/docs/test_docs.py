"""The commands and the Python of the docs, and the examples, executed as a reader would."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]


def run(command, cwd, **env):
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", **env},
    )  # fmt: skip


def commands(page):
    """Indented lines that begin with `guardai`: what the page tells a reader to type."""
    return re.findall(r"^    guardai (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=lambda p: p.name)
def test_every_command_of_a_page_works_in_the_order_of_the_page(page, tmp_path, monkeypatch):
    (tmp_path / "my_agent.py").write_text("import sqlite3\nsqlite3.connect(':memory:').execute('SELECT 1')\n")
    shutil.copy(ROOT / "examples" / "customers.csv", tmp_path)
    home = tmp_path / "home"
    seed = "import guardai, sqlite3; guardai.init(); guardai.session().__enter__()"
    seed += "; sqlite3.connect(':memory:').execute('SELECT 1').fetchall(); guardai.shutdown()"
    assert run([sys.executable, "-c", seed], tmp_path, GUARDAI_HOME=str(home)).returncode == 0
    for line in commands(page):
        done = run([*GUARDAI, *shlex.split(line)], tmp_path, GUARDAI_HOME=str(home))
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"


def test_python_of_the_quickstart_runs_as_it_stands(tmp_path):
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs/quickstart.md").read_text(encoding="utf-8"), re.M | re.S
    )
    (tmp_path / "quickstart.py").write_text("\n".join(blocks))
    done = run([sys.executable, "quickstart.py"], tmp_path, GUARDAI_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert "db.destroy" in done.stdout


def test_python_of_the_page_on_text_runs_as_it_stands(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/text.md").read_text(encoding="utf-8"), re.M | re.S)
    (tmp_path / "page.py").write_text("\n".join(blocks))
    done = run([sys.executable, "page.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Write to [EMAIL] or call [PHONE]." in done.stdout
    assert "Write to j***@e***.com or call *********71." in done.stdout


def test_python_and_policies_of_the_page_on_databases_do_what_it_says(tmp_path):
    page = (ROOT / "docs/databases.md").read_text(encoding="utf-8")
    (tmp_path / "page.py").write_text("\n".join(re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)))
    done = run([sys.executable, "page.py"], tmp_path, GUARDAI_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["deletes from customers, not bounded", "DELETE"]
    assert "ada@" not in done.stdout
    (tmp_path / "policies").mkdir()
    (tmp_path / "catalog.toml").touch()
    (tmp_path / "policies" / "page.cedar").write_text("\n".join(re.findall(r"^```cedar\n(.*?)^```", page, re.M | re.S)))
    checked = run([*GUARDAI, "policy", "check", "."], tmp_path)
    assert checked.returncode == 0, checked.stdout


def test_anchor_of_the_page_on_anchors_vouches_for_what_it_was_handed(tmp_path):
    import guardai
    from guardai.ledger import Anchors, anchor, verify
    from guardai.lineage import EdgeTable

    [block] = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/anchors.md").read_text(encoding="utf-8"), re.M | re.S)
    made = {}
    exec(block, made)
    guardai.init(home=tmp_path / "home", integrations=[])
    guardai.record("test.made", n=1)
    guardai.shutdown()
    url = f"notebook:{tmp_path}/notebook"
    anchors = {url: made["Notebook"](url)}
    assert anchor(tmp_path / "home", anchors)[url].error == ""
    report = verify(tmp_path / "home", anchors=Anchors(anchors, ask=True), projection=EdgeTable())
    assert (report.verdict, report.unanchored) == (0, 0)


def test_sink_of_the_page_on_sinks_takes_what_it_is_given(tmp_path, capsys):
    import guardai

    [block] = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/sinks.md").read_text(encoding="utf-8"), re.M | re.S)
    made = {}
    exec(block, made)
    sink = made["Shout"]("shout://everybody")
    sink.deliver([b'{"id":"1"}'], seconds=30.0)
    assert capsys.readouterr().out == '{"id":"1"}\n'
    with pytest.raises(guardai.SinkRefused):
        sink.deliver([b"x" * 60_001], seconds=30.0)
    with pytest.raises(guardai.ConfigError):
        made["Shout"]("shout://nobody")


def test_every_link_between_pages_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} → {target}"


def test_every_setting_stands_on_the_configuration_page():
    from dataclasses import fields

    from guardai.settings import Settings

    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for field in fields(Settings):
        assert f"| `{field.name}` | `GUARDAI_{field.name.upper()}` |" in text


@pytest.mark.parametrize("name", ["sqlite_agent.py", "take_back.py", "tools.py"])
def test_example_runs_and_leaves_a_ledger_that_verifies(name, tmp_path):
    home = str(tmp_path / "home")
    done = run([sys.executable, str(ROOT / "examples" / name)], tmp_path, GUARDAI_HOME=home)
    assert done.returncode == 0, done.stderr
    assert run([*GUARDAI, "verify", "--home", home], tmp_path).returncode == 0


def test_chat_example_answers_with_the_address_that_the_model_never_saw(tmp_path):
    pytest.importorskip("openai")
    from guardai.testing.model_server import ModelServer, text, tool_call

    def model(request):
        last = request.body["messages"][-1]
        if last["role"] == "user":
            return tool_call("run_sql", '{"query": "SELECT name, email FROM customers ORDER BY id"}')
        return text(f"They are: {last['content']}")

    with ModelServer(model) as server:
        done = run(
            [sys.executable, str(ROOT / "examples" / "chat_agent.py")], tmp_path,
            GUARDAI_HOME=str(tmp_path / "home"), OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY="none",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "ann@example.com" in done.stdout
        assert "ann@example.com" not in str([request.body for request in server.requests])
    assert run([*GUARDAI, "verify", "--home", str(tmp_path / "home")], tmp_path).returncode == 0


def test_example_policy_is_sound(tmp_path):
    shutil.copytree(ROOT / "examples/policy", tmp_path / "policy")
    done = run([*GUARDAI, "policy", "check", "policy"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
