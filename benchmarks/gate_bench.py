"""The road end to end: a tool, a chat request's passage, a statement, a row, the application's own call, the import."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Measure, Row

TITLE = "The road"

TEXT = (
    "The quarterly report compares the turnover of the northern stores with that of the previous year. "
    "Sales of garden furniture rose, those of lamps fell; the reasons are given in the appendix. "
)


STATEMENTS = """
import guardai
guardai.init(integrations=["dbapi"])
with guardai.session(agent="bench"):
    for n in range(200):
        sqlite3.connect(":memory:").execute(f"SELECT {n}, 'alice' || '@example.com'").fetchall()
"""


def rows(measure: Measure) -> Iterator[Row]:
    import _sqlite3

    import guardai
    from guardai.hooks import Call, Target, opened

    guardai.init(integrations=["dbapi"])
    try:
        argument = (TEXT * 8)[:1024]

        def plain(text):
            return {"length": len(text)}

        def database(connect):
            connection = connect(":memory:")
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)")
            connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, n) for n in range(10_000)])
            return connection

        bare, covered = database(_sqlite3.connect), database(sqlite3.connect)
        one = "SELECT a FROM t WHERE id = ?"
        yield measure.paired(
            "the application's own statement",
            lambda: bare.execute(one, (5,)).fetchall(),
            lambda: covered.execute(one, (5,)).fetchall(),
            limit=0.5,
            rounds=20_000,
        )

        tool = guardai.tool(name="length")(plain)
        with guardai.session(agent="bench"):
            yield measure.paired(
                "tool call, 1 KB of arguments", lambda: plain(argument), lambda: tool(argument), limit=30
            )

            model = Target("model", "api.openai.com", "gpt-4o")
            messages = [{"role": "user" if n % 2 else "assistant", "content": (TEXT * 4)[:512]} for n in range(8)]
            answer = {"choices": [{"message": {"role": "assistant", "content": "Fine."}}]}

            def chat():
                ticket = opened(Call("llm.generate", model, payload={"model": "gpt-4o", "messages": messages}))
                ticket.close(answer)

            yield measure.alone("chat request, 4 KB of messages, without the client", chat, limit=100)

            def fresh(n=[0]):  # noqa: B006
                n[0] += 1
                new = [*messages[:-1], {"role": "user", "content": f"{n[0]} " + (TEXT * 4)[:500]}]
                ticket = opened(Call("llm.generate", model, payload={"model": "gpt-4o", "messages": new}))
                ticket.close(answer)

            yield measure.alone("the same, one message new each time", fresh, limit=100)

        yield measure.paired(
            "the application's own statement, once a model has answered",
            lambda: bare.execute(one, (5,)).fetchall(),
            lambda: covered.execute(one, (5,)).fetchall(),
            limit=None,
            rounds=20_000,
        )
    finally:
        guardai.shutdown()
    with tempfile.TemporaryDirectory() as folder:
        yield _kept(measure, Path(folder), (TEXT * 8)[:1024])
    yield _process(measure, "import guardai", "pass", "import guardai", 60)
    yield _process(measure, "import guardai.auto, after the first run", "pass", "import guardai.auto", 200)
    yield measure.memory("memory of a process that has governed 200 statements", STATEMENTS, limit=60)


def _kept(measure: Measure, folder: Path, argument: str) -> Row:
    import guardai

    (folder / "policies").mkdir()
    (folder / "policies" / "kept.cedar").write_text(
        '@id("kept") @capture("content") permit (principal, action, resource);'
    )
    (folder / "catalog.toml").touch()
    guardai.init(policy=folder, integrations=[])
    try:
        tool = guardai.tool(name="length")(len)
        with guardai.session(agent="bench"):
            return measure.paired(
                "tool call, 1 KB of arguments, kept for replay",
                lambda: len(argument),
                lambda: tool(argument),
                limit=None,
            )
    finally:
        guardai.shutdown()


def _process(measure: Measure, what: str, bare: str, covered: str, limit: float) -> Row:
    # Compiled files are written by the first run, as they are for users.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)

    return measure.paired(what, lambda: run(bare), lambda: run(covered), limit=limit, rounds=15, unit="ms")
