"""kill -9 at fifty random points: no effect without its intent, and the record of the dead is whole."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork, and no SIGKILL")

#: An agent that changes a database as fast as it can, one row a statement, each on the disk when `execute` returns.
AGENT = """
import os, signal, sqlite3, sys
import guardai, guardai.gate, guardai.policy, guardai.sql, guardai.text, guardai.ledger
guardai.sql.inspect("SELECT 1", "sqlite"); guardai.text.scan("warm")
home, database = sys.argv[1:]
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        guardai.init(home=home, integrations=["dbapi"])
        connection = sqlite3.connect(database, isolation_level=None)
        with guardai.session(agent=f"agent-{line.strip()}"):
            n = 0
            while True:
                connection.execute("INSERT INTO effects (agent, n) VALUES (?, ?)", (line.strip(), n))
                if n == 0:
                    print(os.getpid(), flush=True)
                n += 1
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def test_fifty_kills_lose_no_intent_whose_effect_happened(tmp_path, home):
    database = tmp_path / "effects.db"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE effects (agent TEXT, n INTEGER)")
    chance = random.Random(2026)
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, str(home), str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for n in range(50):
            agent.stdin.write(f"{n}\n")
            agent.stdin.flush()
            pid = int(agent.stdout.readline())
            time.sleep(chance.random() * 0.05)
            os.kill(pid, signal.SIGKILL)
            assert agent.stdout.readline() == "dead\n"
    finally:
        agent.stdin.close()
        agent.stdout.close()
        agent.wait(30)

    from guardai.ledger import events, verify
    from guardai.lineage import EdgeTable

    effects = dict(sqlite3.connect(database).execute("SELECT agent, count(*) FROM effects GROUP BY agent"))
    intents = {}
    for event in map(json.loads, events(home)):
        if event["kind"] == "call.intent" and event["action"] == "db.write":
            name = event["principal"]["agent"].removeprefix("agent-")
            intents[name] = intents.get(name, 0) + 1
    assert len(effects) == 50
    for name, count in effects.items():
        # At most one intent more: the one whose effect the kill prevented.
        assert count <= intents[name] <= count + 1
    report = verify(home, projection=EdgeTable())
    assert (report.verdict, report.faults) == (0, [])
    assert report.unsigned == 0
    assert report.recovered > 0


INTERRUPTED = """
import os, signal, sqlite3, sys, threading
import guardai
# A shell starts what it runs in the background with this signal ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
guardai.init(home=sys.argv[1], integrations=["dbapi"])
connection = sqlite3.connect(":memory:")
@guardai.tool(name="endless")
def endless():
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    while True:
        connection.execute("SELECT 1").fetchall()
with guardai.session(agent="a"):
    endless()
"""


def test_ctrl_c_in_a_call_ends_the_program_as_always_and_every_call_has_an_end(home, tmp_path):
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, str(home)], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in done.stderr

    from guardai.ledger import events, verify
    from guardai.lineage import EdgeTable

    calls, status = {}, {}
    for event in map(json.loads, events(home)):
        if event["kind"].startswith("call."):
            calls.setdefault(event["call"], set()).add(event["kind"])
            status[event["call"], event["action"]] = event.get("status")
    assert [s for (_, action), s in status.items() if action == "tool.call"] == ["unknown"]
    # At most one statement was interrupted between its intent and its outcome.
    assert sum(kinds != {"call.intent", "call.outcome"} for kinds in calls.values()) <= 1
    assert verify(home, projection=EdgeTable()).verdict == 0
