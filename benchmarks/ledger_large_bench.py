"""The ledger of ten million events: opening it, one event and its proof, its verification. Takes ten minutes and 15 GB of disk."""

from __future__ import annotations

import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.ledger_bench import PEAKS, event_makers
from benchmarks.measure import Measure, Row

TITLE = "The ledger of ten million events"

EVENTS, FEW, LOGS, ROOM = 10_000_000, 100_000, 20, 16 << 30


def rows(measure: Measure) -> Iterator[Row]:
    from guardai.ledger import Ledger, prove, sealed_size, verify

    scratch = Path(tempfile.mkdtemp(prefix="bench", dir=os.getcwd()))
    many, few = scratch / "many", scratch / "few"
    try:
        if not measure.smoke and shutil.disk_usage(scratch).free < ROOM:
            yield Row("anything: the disk has less than 16 GB free", "", *[math.nan] * 5)
            return
        count = 400 if measure.smoke else EVENTS
        _fill(few, count // (EVENTS // FEW), 1)
        ids = _fill(many, count, LOGS)

        def record() -> None:
            ledger = Ledger.open(many)
            ledger.append(event_makers()[900]())
            ledger.close(timeout=60)

        yield measure.alone(
            "the store opened, its size told", lambda: sealed_size(many), limit=1000, rounds=20, unit="ms"
        )
        yield measure.alone("a ledger opened, one event recorded and sealed", record, limit=1000, rounds=20, unit="ms")
        yield measure.alone(
            "one event and its proof", lambda: prove(many, random.choice(ids)), limit=20, rounds=300, unit="ms"
        )
        clock, cpu = time.perf_counter_ns(), time.process_time_ns()
        assert verify(many, adopt=False).verdict == 0
        took, used = (time.perf_counter_ns() - clock) / count / 1e3, (time.process_time_ns() - cpu) / count / 1e3
        yield Row("verify, per event", "5 µs (200,000/s)", took, took, took, used, 0, 5)
        small, large = (
            float(line)
            for line in subprocess.run(
                [sys.executable, "-c", PEAKS, few, many], check=True, capture_output=True, text=True
            ).stdout.split()
        )
        more = large - small
        yield Row(f"verify: memory, beside that for {FEW:,}", "1 MB (constant)", more, more, more, 0, small, 1, "MB")
    finally:
        shutil.rmtree(scratch)


def _fill(home: Path, count: int, logs: int) -> list[str]:
    """A home of so many events in so many logs, sealed; the ids of a thousand of them at most."""
    from guardai.ledger import Ledger

    make, ids, every = event_makers()[900], [], max(count // 1000, 1)
    for _ in range(logs):
        ledger = Ledger.open(home)
        for n in range(count // logs):
            name = ledger.append(make())
            if not n % every:
                ids.append(name)
        ledger.close(timeout=600)
    return ids
