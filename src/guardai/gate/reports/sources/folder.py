"""The files under a folder, each once: no link is followed, what a tool made for itself is left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guardai.gate.reports.found import Files, legible

__all__ = ["files"]

#: What version control, package managers and caches keep.
_LEFT_OUT: Final = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".nox",
        ".tox",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        ".mypy_cache",
        ".ruff_cache",
    }
    | {".pytest_cache", ".hypothesis", ".idea", ".eggs", ".terraform", ".gradle"}
)


def files(root: Path, told: Files) -> Iterator[Path]:
    """Every regular file under `root`, in the order of their names; notes in `told` what is left out and why."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            told.problems.append((legible(str(folder)), error.strerror or type(error).__name__))
            continue
        inner: list[Path] = []
        for entry in found:
            try:
                kind = entry.stat(follow_symlinks=False).st_mode
            except OSError as error:
                told.problems.append((legible(entry.path), error.strerror or type(error).__name__))
                continue
            if stat.S_ISLNK(kind):
                told.links += 1
            elif stat.S_ISDIR(kind):
                if entry.name in _LEFT_OUT:
                    told.folders_left_out += 1
                else:
                    inner.append(Path(entry.path))
            elif stat.S_ISREG(kind):
                yield Path(entry.path)
        waiting += reversed(inner)
