"""guardai's own `scan`, measured as the others are. With `GUARDAI_HOME`, what it compiles is kept there, as by `init`."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.peers import Find

NAME = "guardai"
DISTRIBUTION = "guardai-sdk"


def load() -> Find:
    from guardai.text import configure, scan

    if home := os.environ.get("GUARDAI_HOME"):
        configure(cache_dir=Path(home) / "cache")

    def find(text: str) -> list[tuple[int, int, str]]:
        return [(found.start, found.end, found.label) for found in scan(text)]

    return find
