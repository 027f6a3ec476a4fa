"""Paired measurement: the bare call and the governed one in turn, in the same run, call by call.

The figure is what is *added*. Medians hide a background thread that steals the interpreter lock, so the mean and the CPU
time of the whole process stand beside it.
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Row:
    """One line of the table. Times in microseconds.

    Attributes:
        what: what was measured.
        budget: the figure of the design, in words, "" if there is none (a peer, say).
        median, mean, p99: added to the bare call.
        cpu: CPU time added, of all threads of the process.
        bare: median of the bare call.
        limit: the budget as a number in the row's unit, None if there is none.
        unit: of all figures of this row.
    """

    what: str
    budget: str
    median: float
    mean: float
    p99: float
    cpu: float
    bare: float
    limit: float | None = None
    unit: str = "µs"


class Measure:
    """How much is measured: everything, or (smoke) each thing once. `peers`: the Python that has the peers installed."""

    def __init__(self, *, smoke: bool, peers: str = sys.executable) -> None:
        self.smoke = smoke
        self.peers = peers

    def rounds(self, full: int) -> int:
        """How often to do something that is done `full` times in a real run."""
        return 3 if self.smoke else full

    def paired(
        self,
        what: str,
        bare: Callable[[], object],
        governed: Callable[[], object],
        *,
        limit: float | None,
        budget: str = "",
        rounds: int = 3000,
        per: int = 1,
        unit: str = "µs",
    ) -> Row:
        """Times both in turn.

        Args:
            per: divides the figures: how many rows, deltas or events one call handles.
        """
        rounds = self.rounds(rounds)
        for _ in range(min(50, rounds)):
            bare(), governed()
        scale = {"ns": 1, "µs": 1e3, "ms": 1e6}[unit] * per
        bares, covered = [0] * rounds, [0] * rounds
        bare_cpu = covered_cpu = 0
        clock, cpu = time.perf_counter_ns, time.process_time_ns
        gc.collect()
        gc.disable()
        try:
            for i in range(rounds):
                c0 = cpu()
                t0 = clock()
                bare()
                t1 = clock()
                c1 = cpu()
                t2 = clock()
                governed()
                t3 = clock()
                c2 = cpu()
                bares[i], covered[i] = t1 - t0, t3 - t2
                bare_cpu += c1 - c0
                covered_cpu += c2 - c1
        finally:
            gc.enable()
        base = statistics.median(bares)
        return Row(
            what=what,
            budget=budget or (f"{limit:g} {unit}" if limit is not None else ""),
            median=(statistics.median(covered) - base) / scale,
            mean=(statistics.fmean(covered) - statistics.fmean(bares)) / scale,
            p99=(sorted(covered)[int(rounds * 0.99)] - base) / scale,
            cpu=(covered_cpu - bare_cpu) / rounds / scale,
            bare=base / scale,
            limit=limit,
            unit=unit,
        )

    def alone(self, what: str, call: Callable[[], object], *, limit: float | None, **rest: object) -> Row:
        """A call that has no bare counterpart, against an empty one."""
        return self.paired(what, lambda: None, call, limit=limit, **rest)  # type: ignore[arg-type]

    def memory(self, what: str, code: str, *, limit: float) -> Row:
        """What a process holds more after `code` than before it, in MB: the standard library that every server has is there."""
        program = f"""
import asyncio, concurrent.futures, json, os, sqlite3, ssl, sys
def resident():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1]) / 1024
before = resident()
{code}
print(resident() - before)
"""
        figures = [
            float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)
            for _ in range(self.rounds(5))
        ]
        middle, mean = statistics.median(figures), statistics.fmean(figures)
        return Row(what, f"{limit:g} MB", middle, mean, max(figures), 0, 0, limit, "MB")
