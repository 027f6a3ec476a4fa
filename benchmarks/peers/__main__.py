"""One peer in a process of its own: `python -m benchmarks.peers NAME < task.json`; what it costs, as JSON.

The task has `texts` (name → text) and `seconds` (how long each is repeated; it is run once in any case). The answer has
`name`, with its version, or none if it is not installed here; `memory` in MB, what loading it and a first call added, and for each text the median, mean, 99th percentile and CPU time
of a call in microseconds, and how much was found.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from pathlib import Path

from benchmarks.peers import installed, load


def main() -> int:
    task = json.load(sys.stdin)
    name = installed(sys.argv[1])
    if name is None:
        json.dump({"name": None}, sys.stdout)
        return 0
    before = _resident()
    find = load(sys.argv[1])
    find("Call +1 415 555 2671 or write to jane.doe@example.com.")
    told = {"name": name, "memory": _resident() - before, "texts": {}}
    gc.collect()
    gc.disable()
    for name, text in task["texts"].items():
        times: list[float] = []
        cpu = time.process_time()
        while not times or (sum(times) < task["seconds"] and len(times) < 2000):
            start = time.perf_counter()
            found = find(text)
            times.append(time.perf_counter() - start)
        cpu = time.process_time() - cpu
        told["texts"][name] = {
            "median": statistics.median(times) * 1e6,
            "mean": statistics.fmean(times) * 1e6,
            "p99": sorted(times)[int(len(times) * 0.99)] * 1e6,
            "cpu": cpu / len(times) * 1e6,
            "found": len(found),
        }
    json.dump(told, sys.stdout)
    return 0


def _resident() -> float:
    """Memory of this process in MB; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
