"""Runs every `*_bench.py` beside it and writes the table."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
import os
import platform
import sys
import tempfile
import timeit
from pathlib import Path

from benchmarks.measure import Measure, Row

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"

HEAD = """# Performance

Written by `nox -s bench`; do not edit the tables. Each figure is what guardai *adds* to the bare call, both measured in
turn in the same run: the median, the mean and the 99th percentile by the wall clock, and the CPU time of the whole process
(background threads included). A figure over its budget is marked; why stands below the tables.

Measured on {machine}, Python {python}. The machine's pace, for a comparison with another: `json.dumps`
of a list of a thousand integers takes {dumps:.0f} µs, SHA-256 of a megabyte {digest:.2f} ms.
"""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true", help="run each once, write nothing")
    parser.add_argument("--only", help="only the modules whose name contains this; writes nothing")
    parser.add_argument(
        "--peers", default=sys.executable, metavar="PYTHON", help="the Python that has the peers installed"
    )
    options = parser.parse_args()
    measure = Measure(smoke=options.smoke, peers=options.peers)
    sections: list[tuple[str, list[Row]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["GUARDAI_HOME"] = str(Path(scratch) / "home")
        os.chdir(scratch)
        for path in sorted(HERE.glob("*_bench.py")):
            if options.only and options.only not in path.stem:
                continue
            module = importlib.import_module(f"benchmarks.{path.stem}")
            rows = list(module.rows(measure))
            sections.append((module.TITLE, rows))
            print(_table(module.TITLE, rows), flush=True)
    if not options.smoke and not options.only:
        notes = PAGE.read_text(encoding="utf-8").partition("## Over budget")[2] if PAGE.exists() else ""
        text = HEAD.format(machine=_machine(), python=platform.python_version(), **_pace())
        text += "".join("\n" + _table(title, rows) for title, rows in sections)
        PAGE.write_text(text + ("\n## Over budget" + notes if notes else ""), encoding="utf-8")
        print(f"wrote {PAGE.name}")
    return 0


def _table(title: str, rows: list[Row]) -> str:
    lines = [
        f"## {title}\n",
        "| what | budget | median | mean | p99 | CPU | bare |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        if math.isnan(row.median):
            lines.append(f"| {row.what} | {row.budget} | not measured | | | | |")
            continue
        over = " **over**" if row.limit is not None and row.median > row.limit else ""
        cells = (
            f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}" for value in (row.mean, row.p99, row.cpu, row.bare)
        )
        median = f"{row.median:.2f}" if abs(row.median) < 100 else f"{row.median:.0f}"
        lines.append(f"| {row.what} | {row.budget} | {median} {row.unit}{over} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _pace() -> dict[str, float]:
    """What tells one machine's figures from another's: µs of `json.dumps`, ms of SHA-256; the best of many."""
    numbers, megabyte = list(range(1000)), b"x" * 1_000_000
    return {
        "dumps": min(timeit.repeat(lambda: json.dumps(numbers), number=10, repeat=50)) / 10 * 1e6,
        "digest": min(timeit.repeat(lambda: hashlib.sha256(megabyte).digest(), number=1, repeat=50)) * 1e3,
    }


def _machine() -> str:
    try:
        model = next(line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores of {model}, {platform.system()}"


if __name__ == "__main__":
    sys.exit(main())
