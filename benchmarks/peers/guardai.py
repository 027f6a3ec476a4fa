"""guardai's own `scan`, measured as the others are. What it compiles is kept in `GUARDAI_HOME`."""

from __future__ import annotations

from benchmarks.peers import Find

NAME = "guardai"
DISTRIBUTION = "guardai-sdk"


def load() -> Find:
    from guardai.text import scan

    def find(text: str) -> list[tuple[int, int, str]]:
        return [(found.start, found.end, found.label) for found in scan(text)]

    return find
