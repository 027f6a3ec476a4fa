"""Finding sensitive text, beside what people use today: each in a process of its own, one after the other, on the same texts.

The peers find fewer kinds than guardai does, or more that are none; how well each finds is in docs/accuracy.md.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Measure, Row
from benchmarks.peers import PEERS
from benchmarks.text_bench import CELL, KINDS
from guardai.text.scanner import ENGINES

TITLE = "Text, beside what people use today"


def rows(measure: Measure) -> Iterator[Row]:
    texts = {"a cell of 40 characters": CELL}
    for kind, make, _ in KINDS:
        texts[f"{kind}, 1 KB, a KB"] = make(1 << 10)
        if not measure.smoke:
            texts[f"{kind}, 64 KB, a KB"] = make(1 << 16)
    task = json.dumps({"texts": texts, "seconds": 0 if measure.smoke else 1})
    idle = json.dumps({"texts": {}, "seconds": 0})
    with tempfile.TemporaryDirectory() as home:
        compiled = _run(sys.executable, "guardai", idle, GUARDAI_HOME=home)
    _run(sys.executable, "guardai", idle)  # what it compiles is kept for the next
    told: dict[str, dict[str, Any]] = {"guardai": _run(sys.executable, "guardai", task)}
    for peer in PEERS:
        answer = _run(measure.peers, peer, task)
        if answer["name"]:
            told[answer["name"]] = answer
        else:
            yield Row(f"{peer}, which is not installed", "", *[math.nan] * 5)
    for what, text in texts.items():
        size = max(1, len(text) >> 10)
        for name, answer in told.items():
            figures = answer["texts"][what]
            yield Row(
                f"{what}: {name}",
                "",
                *(figures[key] / size for key in ("median", "mean", "p99", "cpu")),
                bare=0,
            )
    for name, answer in told.items():
        yield _memory(name, answer, 40 if name == "guardai" else None)
    yield _memory("guardai, compiled anew", compiled, None)
    for engine in ENGINES[1:]:
        try:
            yield _memory(
                f"guardai with {engine}", _run(sys.executable, "guardai", idle, GUARDAI_TEXT_ENGINE=engine), None
            )
        except RuntimeError:
            yield Row(f"memory: guardai with {engine}, which is not installed", "", *[math.nan] * 5)


def _memory(name: str, answer: dict[str, Any], limit: float | None) -> Row:
    added = answer["memory"]
    return Row(f"memory, loaded: {name}", "40 MB" if limit else "", added, added, added, 0, 0, limit, "MB")


def _run(python: str, peer: str, task: str, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-m", "benchmarks.peers", peer],
        input=task,
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **environment},
    )
    if done.returncode:
        raise RuntimeError(f"{peer}: {done.stderr[-500:]}")
    return json.loads(done.stdout)  # type: ignore[no-any-return]
