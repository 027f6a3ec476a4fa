"""docs/bundles.md: its commands run in test_docs.py; here is what it says of a process."""

import functools
import os
import re
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "bundles.md").read_text(encoding="utf-8")
GUARDAI = [sys.executable, "-c", "from guardai.cli import main; main()"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path):
    """The repository of the page, served by what comes with Python."""
    commands = re.findall(r"^    guardai (.+)$", PAGE.partition("## Pull")[0], re.M)
    for command in commands:
        done = subprocess.run([*GUARDAI, *command.split()], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    handler = functools.partial(Quiet, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_settings_of_the_page_decide_by_what_was_published_on_the_page(site, tmp_path):
    [settings] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S)
    (tmp_path / "guardai.toml").write_text(settings.replace("https://policies.example.com/shop", site))
    program = "import guardai; guardai.init(); from guardai.gate import current; g = current().gate; print(g.in_force.signed, g.engine.bundle.version)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "GUARDAI_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert (done.returncode, done.stdout.split()) == (0, ["True", "2"]), done.stderr


def test_every_option_of_the_page_is_one(tmp_path):
    for option in set(re.findall(r"`(--[a-z-]+)", PAGE)):
        found = [
            command
            for command in ("build", "key", "sign", "verify", "publish", "rotate", "pull")
            if option in _options(command)
        ]
        assert found, option


@functools.cache
def _options(command):
    import typer

    from guardai.cli import app

    group = typer.main.get_command(app).commands["bundle"]
    return {option for one in group.commands[command].params for option in one.opts}
