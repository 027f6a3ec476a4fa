"""A child that is forked while a thread imports has half a module for ever, and a lock that nobody releases: no thread of ours imports."""

import subprocess
import sys

import pytest

#: Delivers once, in the pump's threads, and tells what these imported first. Nobody answers at most of the addresses, which is far enough.
PROGRAM = """
import sys, threading
from pathlib import Path
import guardai
from guardai.ledger import Pump
from guardai.sinks import open_sink

late = set()

def hook(event, arguments):
    if event == "import" and threading.current_thread() is not threading.main_thread() and arguments[0] not in sys.modules:
        late.add(arguments[0])

home, url = Path(sys.argv[1]) / "home", sys.argv[2].replace("FOLDER", sys.argv[1])
guardai.init(home=home, integrations=[])
with guardai.session(agent="a"):
    guardai.record("test.note")
guardai.shutdown()
pump = Pump(home, {url: open_sink(url)})
sys.addaudithook(hook)
pump.start()
pump.stop()
print(*sorted(late))
"""


@pytest.mark.parametrize(
    "url",
    ["jsonl://FOLDER/out.jsonl", "otlp+http://localhost:9/v1/logs", "cloudevents+http://localhost:9/", "nats://localhost:9/events",
     "postgresql://localhost:9/test", "clickhouse+http://localhost:9/d/t", "ocsf+http://localhost:9/", "splunk+http://localhost:9",
     "openlineage+http://localhost:9/", "parquet://FOLDER/rows", "kafka://localhost:9/events"],
)  # fmt: skip
def test_pump_imports_nothing_that_a_fork_could_cut_short(url, tmp_path, monkeypatch):
    monkeypatch.setenv("GUARDAI_SPLUNK_TOKEN", "x")
    program = [sys.executable, "-c", PROGRAM, str(tmp_path), url]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
