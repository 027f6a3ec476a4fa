"""scrubadub with the detectors that are on by default, for the United States and Great Britain."""

from __future__ import annotations

from benchmarks.peers import Find

NAME = "scrubadub"
DISTRIBUTION = "scrubadub"


def load() -> Find:
    import scrubadub

    scrubbers = [scrubadub.Scrubber(locale=locale) for locale in ("en_US", "en_GB")]

    def find(text: str) -> list[tuple[int, int, str]]:
        found = {(f.beg, f.end, f.type) for scrubber in scrubbers for f in scrubber.iter_filth(text)}
        return sorted(found)

    return find
