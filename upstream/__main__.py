"""`python -m upstream NAME [--source DIR] [-- arguments of pytest]`: a project's own tests, with and without guardai.

Prints how many pass and fail in each run and which differ; ends with 1 if any test fails with guardai alone. What is tested
is the version that is installed; its tests come from its source distribution, or from a checkout (`--source`) where the
distribution has none, as psycopg's has not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
#: Project → what of its tests speaks to databases, as arguments of pytest.
PROJECTS = {
    "sqlalchemy": ("test/dialect/test_suite.py", "test/dialect/sqlite", "test/engine", "test/sql", "test/orm"),
    "psycopg": ("tests", "--ignore=tests/pool", "--ignore=tests/crdb", "--ignore=tests/test_typing.py"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m upstream", description=__doc__)
    parser.add_argument("project", choices=sorted(PROJECTS))
    parser.add_argument("--source", type=Path, help="a checkout of the version that is installed")
    own, given = sys.argv[1:], []
    if "--" in own:
        own, given = own[: own.index("--")], own[own.index("--") + 1 :]
    options = parser.parse_args(own)
    with tempfile.TemporaryDirectory(prefix="guardai-upstream-") as scratch:
        source = options.source or _unpacked(options.project, Path(scratch))
        wanted = given or list(PROJECTS[options.project])
        runs = {
            name: _run(source, wanted, plugins, Path(scratch, f"{name}.xml"))
            for name, plugins in (("without", ()), ("with", ("-p", "upstream.permitted")))
        }
    return _compared(options.project, runs["without"], runs["with"])


def _unpacked(project: str, scratch: Path) -> Path:
    wanted = f"{project}=={metadata.version(project)}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", wanted]
    subprocess.run(command, cwd=scratch, check=True)
    (archive,) = scratch.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(scratch, filter="data")
    return next(path for path in scratch.iterdir() if path.is_dir())


def _run(source: Path, wanted: list[str], plugins: tuple[str, ...], report: Path) -> dict[str, str]:
    """Test → `passed`, `failed` or `skipped`."""
    print(f"{'with' if plugins else 'without'} guardai …", flush=True)
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "-q", f"--junitxml={report}", *plugins, *wanted]
    done = subprocess.run(command, cwd=source, check=False, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    told = done.stdout.strip().splitlines()
    print("\n".join("  " + line for line in told if line.startswith("guardai: ") or line == told[-1]))
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        name = f"{case.get('classname')}::{case.get('name')}"
        state = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[name] = "failed" if "failed" in (state, found.get(name)) else state
    return found


def _compared(project: str, without: dict[str, str], governed: dict[str, str]) -> int:
    print(f"\n{project} {metadata.version(project)}, Python {sys.version.partition(' ')[0]}")
    for name, run in (("without guardai", without), ("with guardai", governed)):
        counts = {state: sum(one == state for one in run.values()) for state in ("passed", "failed", "skipped")}
        print(f"  {name:16}" + ", ".join(f"{count:,} {state}" for state, count in counts.items()))
    differing = sorted(name for name in without.keys() | governed.keys() if without.get(name) != governed.get(name))
    for name in differing:
        print(f"  {without.get(name, 'absent')} → {governed.get(name, 'absent')}: {name}")
    return 1 if any(governed.get(name) == "failed" for name in differing) else 0


if __name__ == "__main__":
    sys.exit(main())
