"""DataFog's expressions, the engine that its own benchmarks measure."""

from __future__ import annotations

import os

from benchmarks.peers import Find

NAME = "DataFog, regex"
DISTRIBUTION = "datafog"


def load() -> Find:
    os.environ["DO_NOT_TRACK"] = "1"  # it reports its use over the network
    from datafog.engine import scan

    def find(text: str) -> list[tuple[int, int, str]]:
        return [(found.start, found.end, found.type) for found in scan(text, engine="regex").entities]

    return find
