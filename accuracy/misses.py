"""What guardai gets wrong in the dev half, to look at while rules are written. The held-out half is not shown."""

from __future__ import annotations

from collections.abc import Iterator

from accuracy import corpus
from accuracy.score import canonical
from accuracy.tools import ours

__all__ = ["misses"]


def misses(kind: str) -> Iterator[str]:
    """Lines: what is missed of `kind`, and what is wrongly taken for it. Values are made up, so they may be printed."""
    from guardai.text import scan

    countries = kind == "id"
    for text in corpus.own():
        if text.half != "dev" or (text.domain == "countries") is not countries:
            continue
        found = [(f.start, f.end, canonical(ours(f.label)), f.label) for f in scan(text.text)]
        for span in text.spans:
            if span.kind is None or kind not in (span.kind, canonical(span.kind)):
                continue
            over = [f for f in found if f[0] < span.end and span.start < f[1]]
            if not any(f[2] == canonical(span.kind) for f in over):
                yield f"missed {span.detail:14} {_around(text.text, span.start, span.end)} {[f[3] for f in over] or ''}"
        for start, end, named, label in found:
            gold = [s for s in text.spans if s.start < end and start < s.end]
            if named == canonical(kind) and not any(s.kind is None or canonical(s.kind) == named for s in gold):
                yield f"wrong  {label:14} {_around(text.text, start, end)}"


def _around(text: str, start: int, end: int) -> str:
    return f"{text[max(0, start - 50) : start]!r} >> {text[start:end][:80]!r} << {text[end : end + 20]!r}"
