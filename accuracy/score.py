"""What a tool found against what is there, by overlap.

- A gold span is *found* if a finding of the same type overlaps it, and *whole* if findings cover every character of it.
- A finding is *right* if it overlaps a gold span of its type. It does not count if it overlaps one that may be seen
  either way, or one of a type that the tool does not claim; nor if it is of a kind that the set does not label; nor if
  the tool has also found what it overlaps: several answers for one value are no mistake.
- The types of secrets are one: a tool that calls a web token a key has found it.

Recall is found / gold, precision is right / (right + wrong).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from accuracy.corpus import Span, Text

__all__ = ["SECRETS", "Score", "canonical", "score"]

SECRETS = frozenset(("key", "password", "jwt", "private_key", "url_password"))

#: A finding: (start, end, our type or None).
Finding = tuple[int, int, str | None]


def canonical(kind: str | None) -> str | None:
    """The type that is compared."""
    return "secret" if kind in SECRETS else kind


@dataclass(slots=True)
class Score:
    """Counts by type, `secret` for all of them; `found` also by the parts of it, and `details` by provider or country."""

    gold: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    details: dict[str, list[int]] = field(default_factory=dict)
    everything: int = 0
    masked: int = 0
    other: int = 0

    def figures(self, kinds: Iterable[str]) -> tuple[float, float, float]:
        """Recall, precision and F1 over `kinds`; NaN where there is nothing to divide."""
        kinds = tuple(kinds)
        gold, found = sum(self.gold[k] for k in kinds), sum(self.found[k] for k in kinds)
        right, wrong = sum(self.right[k] for k in kinds), sum(self.wrong[k] for k in kinds)
        recall = found / gold if gold else float("nan")
        precision = right / (right + wrong) if right + wrong else float("nan")
        if not gold or recall + precision == 0:
            return recall, precision, float("nan")
        # A tool that finds nothing is never wrong: its F1 is 0, not undefined.
        return recall, precision, 2 * recall * precision / (recall + precision) if right + wrong else 0.0


def score(
    texts: Sequence[Text],
    found: Sequence[Sequence[Finding]],
    claims: frozenset[str],
    details: frozenset[str] | None = None,
) -> Score:
    """Counts.

    Args:
        texts: the set.
        found: what the tool found in each, its kinds translated to our types.
        claims: the types that the tool says it finds.
        details: of the type `id`, which countries' numbers it claims; None: all.
    """
    total = Score()
    for text, findings in zip(texts, found, strict=True):
        claimed = [s for s in text.spans if _claimed(s, claims, details)]
        beside = [s for s in text.spans if not _claimed(s, claims, details) or _found(s, findings)]
        for start, end, kind in findings:
            if kind is None or kind not in claims:
                total.other += 1
            elif any(s.start < end and start < s.end and canonical(s.kind) == kind for s in claimed):
                total.right[kind] += 1
            elif not any(s.start < end and start < s.end for s in beside):
                total.wrong[kind] += 1
        for span in text.spans:
            if span.kind is None:
                continue
            over = [f for f in findings if f[0] < span.end and span.start < f[1]]
            total.everything += 1
            total.masked += bool(over)
            if not _claimed(span, claims, details):
                continue
            kind = canonical(span.kind) or ""
            hit = any(f[2] == kind for f in over)
            covered = hit and set(range(span.start, span.end)) <= {at for f in over for at in range(f[0], f[1])}
            for name in {kind, span.kind}:
                total.gold[name] += 1
                total.found[name] += hit
                total.whole[name] += covered
            counts = total.details.setdefault(f"{span.kind}:{span.detail}", [0, 0])
            counts[0] += hit
            counts[1] += 1
    return total


def _found(span: Span, findings: Sequence[Finding]) -> bool:
    kind = canonical(span.kind)
    return any(f[0] < span.end and span.start < f[1] and f[2] == kind for f in findings)


def _claimed(span: Span, claims: frozenset[str], details: frozenset[str] | None) -> bool:
    if canonical(span.kind) not in claims:
        return False
    return span.kind != "id" or details is None or span.detail in details
