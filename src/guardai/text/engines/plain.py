"""The engine without native code: the same anchors, found by one expression for the literals and small ones for the rest."""

from __future__ import annotations

from typing import Final

from guardai.text.engines.literals import Literals
from guardai.text.judging.program import NUMBER, Program

__all__ = ["PlainEngine"]

#: No anchor without a fixed width is longer than this: an IPv6 address, six digits and what may separate them.
_LONGEST: Final = 128


class PlainEngine:
    """Needs nothing but Python. Slower, but linear: a literal is looked for by the interpreter's own search.

    Attributes:
        widest: no anchor is longer, in bytes.
    """

    name = "python"

    def __init__(self, program: Program) -> None:
        self._anchors = program.anchors
        self.widest = max(_LONGEST, *(a.width for a in program.anchors))
        #: Made at the first scan: a native engine that keeps this one as a spare seldom asks it for all of a text.
        self._literals: Literals | None = None
        self._beginning: dict[bytes, list[int]] = {}
        self._plain = [
            (i, a.plain.finditer, a.plain.groups) for i, a in enumerate(program.anchors) if a.plain and i != NUMBER
        ]
        number = program.anchors[NUMBER].plain
        assert number is not None
        self._number = number.search

    def scan(self, data: bytes) -> list[tuple[int, int, int]]:
        """Where the anchors are: `(to, id, start)`."""
        hits: list[tuple[int, int, int]] = []
        size = len(data)
        folded = data.lower()
        literals = self._literals or self._made()
        anchors, beginning = self._anchors, self._beginning
        for at, shortest in literals.begin(folded):
            for i in beginning[shortest]:
                _, width, literal, then, _, ignore_case, *_ = anchors[i]
                if (folded if ignore_case else data).startswith(literal, at) and (
                    then is None or then.match(data, at + len(literal))
                ):
                    hits.append((at + width, i, 0))
        for i, finditer, group in self._plain:
            hits += [(match.end(group), i, 0) for match in finditer(data)]
        hits += self.numbers(data, 0, size)
        return hits

    def _made(self) -> Literals:
        """The shortest literals, each with the anchors that begin with it; and what follows, if all of them ask for it."""
        literals = {a.literal.lower() for a in self._anchors if a.literal}
        beginning: dict[bytes, list[int]] = {}
        for i, anchor in enumerate(self._anchors):
            low = anchor.literal.lower()
            for size in range(1, len(low) + 1):
                if low[:size] in literals:
                    beginning.setdefault(low[:size], []).append(i)
                    break
        behind = {}
        for shortest, ids in beginning.items():
            thens = [self._anchors[i].then for i in ids]
            alike = all(len(self._anchors[i].literal) == len(shortest) for i in ids) and None not in thens
            behind[shortest] = (
                b"(?i:" + b"|".join(dict.fromkeys(t.pattern for t in thens if t)) + b")" if alike else b""
            )
        self._beginning, self._literals = beginning, Literals(behind)
        return self._literals

    def within(self, anchor: int, data: bytes, low: int, high: int) -> list[tuple[int, int, int]]:
        """Where one anchor is that begins at `low` or later and before `high`; any but NUMBER."""
        finds = self._anchors[anchor]
        if finds.plain is None:
            if not finds.ignore_case:
                return self._literal(anchor, data, data, low, high)
            window = data[low : high + len(finds.literal)].lower()
            hits = self._literal(anchor, data[low : high + finds.width], window, 0, high - low)
            return [(low + to, anchor, 0) for to, _, _ in hits]
        hits = []
        # Bounded, or a search that finds nothing more would go to the end of the text for each window.
        for match in finds.plain.finditer(data, low, high + self.widest):
            if match.start() >= high:
                break
            hits.append((match.end(finds.plain.groups), anchor, 0))
        return hits

    def numbers(self, data: bytes, low: int, high: int) -> list[tuple[int, int, int]]:
        """One hit for all numbers from `low` to `high`: where they are is looked for again where they are judged."""
        first = self._number(data, low, high)
        return [(high, NUMBER, first.start())] if first else []

    def _literal(self, anchor: int, data: bytes, where: bytes, low: int, high: int) -> list[tuple[int, int, int]]:
        _, width, literal, then, *_ = self._anchors[anchor]
        size, hits = len(literal), []
        at = where.find(literal, low, high + size - 1)
        while at >= 0:
            if then is None or then.match(data, at + size):
                hits.append((at + width, anchor, 0))
            at = where.find(literal, at + 1, high + size - 1)
        return hits
