"""Measures guardai and what people use today on the same texts; writes docs/accuracy.md.

    python -m accuracy [--peers PYTHON] [--only TOOL …] [--small] [--json FILE|-] [--misses TYPE]

A peer is measured under PYTHON (default: this one); one that is not installed there is named as not measured. Only a full
run writes the page. `--misses phone` prints what guardai misses or takes for a phone in the dev half, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from accuracy.measure import Measured, measure, plan
from accuracy.misses import misses
from accuracy.report import figures, page
from accuracy.score import SECRETS
from accuracy.tools import COUNTRIES, TOOLS, here, version

PAGE = Path(__file__).parent.parent / "docs" / "accuracy.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m accuracy", description=(__doc__ or "").splitlines()[0])
    everyone = {**TOOLS, **COUNTRIES}
    parser.add_argument("--peers", default=here(), metavar="PYTHON", help="the Python that has the peers installed")
    parser.add_argument(
        "--only", nargs="+", choices=sorted(everyone), metavar="TOOL", help=f"of {', '.join(everyone)}; writes nothing"
    )
    parser.add_argument("--small", action="store_true", help="a tenth of the texts; writes nothing")
    parser.add_argument("--json", metavar="FILE", help="all counts, to a file or (-) to the output")
    parser.add_argument("--misses", metavar="TYPE", help="what guardai gets wrong in the dev half")
    options = parser.parse_args()
    if options.misses:
        for line in misses(options.misses):
            print(line)
        return 0
    console = Console(stderr=True)
    texts = plan(small=options.small)
    done: list[Measured] = []
    absent: list[str] = []
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for key, tool in everyone.items():
            if options.only and key not in options.only:
                continue
            python = here() if key.startswith("guardai") else options.peers
            if (found := version(tool, python)) is None:
                absent.append(tool.title)
                continue
            task = progress.add_task(tool.title, total=len(texts.texts(tool)))
            try:
                done.append(measure(tool, found, texts, python, lambda count, task=task: progress.advance(task, count)))  # type: ignore[misc]
            except RuntimeError as error:
                if key.startswith("guardai"):
                    raise
                absent.append(f"{tool.title}, which failed")
                console.print(str(error))
    for name in absent:
        console.print(f"not measured, not installed: {name}")
    for one in done:
        if one.own is not None:
            recall, precision, f1 = one.own.figures(one.claims)
            console.print(f"{one.tool.title:26} own set: recall {recall:.3f}, precision {precision:.3f}, F1 {f1:.3f}")
    if options.json:
        told = json.dumps(figures(done), indent=2, sort_keys=True)
        if options.json == "-":
            print(told)
        else:
            Path(options.json).write_text(told + "\n", encoding="utf-8")
    if not options.only and not options.small:
        PAGE.write_text(page(texts, done, absent), encoding="utf-8")
        console.print(f"wrote {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
