"""All packs, compiled: what the engines look for, and what is judged where they saw it.

An engine answers with *hits* `(to, id, start)`: anchor `id` was seen and ends before byte `to`. Most anchors have a fixed
width, so that is enough to know where they begin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from guardai.text import kinds, numbers
from guardai.text.detector import MAX_DECISION, Detector, Pack, PackError
from guardai.text.validators import IBAN_LENGTHS, VALIDATORS

__all__ = ["IP4", "IP6", "NUMBER", "PEM", "Anchor", "Program", "Raw"]


#: A match before overlaps are resolved: (start, end, rank, label, score), in bytes.
Raw = tuple[int, int, int, str, float]


class Anchor(NamedTuple):
    """One thing that an engine looks for.

    Attributes:
        expression: for hyperscan, over bytes; matches have the width `width`, or any where it is 0.
        literal: what the pure-Python engine looks for, and `then` what must follow; or
        plain: an expression whose matches it reports, ending at their group 1 if there is one.
        ignore_case: of all of them.
        starts: whether the hit tells where it begins; the others say 0.
    """

    expression: str
    width: int
    literal: bytes = b""
    then: re.Pattern[bytes] | None = None
    plain: re.Pattern[bytes] | None = None
    ignore_case: bool = False
    starts: bool = False


Run = Callable[[bytes, int], re.Match[bytes] | None]
Judge = Callable[[bytes, int], Raw | None]

#: Ids of the anchors that are not judged one by one.
NUMBER: Final = 0
PEM: Final = 1
IP4: Final = 2
IP6: Final = (3, 4, 5)

#: Behind `::`, that one to four hexadecimal digits stand before it and nothing that they continue.
_GROUP: Final = b"|".join(
    rb"(?<=[0-9A-Fa-f]{%d}::)(?<![0-9A-Za-z_][0-9A-Fa-f]{%d}::)" % (count, count) for count in range(1, 5)
)
_TOKEN: Final = re.compile(r"(?:\[(?:\\.|[^\]\\])+\]|\\.|[^\\\[\](){}|*+?.^$])(?:\{([0-9]+)\})?")


def _width(then: str, label: str) -> int:
    """How many bytes an expression of fixed width matches."""
    width, at = 0, 0
    while at < len(then):
        token = _TOKEN.match(then, at)
        if token is None:
            raise PackError(
                f"{label}: `then` is a sequence of characters and classes, each with an exact count: {then}"
            )
        width, at = width + int(token[1] or 1), token.end()
    return width


def _bytes(source: str) -> bytes:
    """An expression over text, as one over UTF-8."""
    return source.encode()


class Program:
    """What the packs ask for, ready to run."""

    def __init__(self, packs: Iterable[Pack]) -> None:
        packs = tuple(packs)
        self.words = numbers.Words((pack.words for pack in packs), (pack.places for pack in packs))
        self.anchors: list[Anchor] = []
        self.judges: list[Judge | None] = []
        #: By anchor: how a value goes on after it was decided, and which detector it is of.
        self.runs: list[tuple[Run, int] | None] = []
        self._own()
        for pack in packs:
            for detector in pack.detectors:
                self._literal(detector)

    def _add(self, anchor: Anchor, judge: Judge | None, run: tuple[Run, int] | None = None) -> None:
        self.anchors.append(anchor)
        self.judges.append(judge)
        self.runs.append(run)

    def _own(self) -> None:
        """The kinds that code finds."""
        self._add(Anchor(numbers.TRIGGER, 0, plain=numbers.STARTS, starts=True), None)
        self._add(Anchor("-----BEGIN ", 11, literal=b"-----BEGIN "), None)

        def email(data: bytes, to: int) -> Raw | None:
            return kinds.email(data, to - 2)

        def iban(data: bytes, to: int) -> Raw | None:
            found = kinds.iban_at(data, to - 5)
            return (*found, 6, "pii.iban", 1.0) if found else None

        quad = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
        self._add(Anchor(quad, 0, plain=re.compile(quad.encode())), None)
        full = r"(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]|(?:[0-9A-Fa-f]{1,4}:){6}[0-9]{1,3}\."
        self._add(Anchor(full, 0, plain=re.compile(full.encode())), None)
        short = r"(?:^|[^0-9A-Za-z_])(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6})?::[0-9A-Fa-f]"
        self._add(Anchor(short, 0, plain=re.compile(rb"::(?:(?<![0-9A-Za-z_]::)|" + _GROUP + rb")[0-9A-Fa-f]")), None)
        end = r"(?:^|[^0-9A-Za-z_])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6}::"
        self._add(Anchor(end, 0, plain=re.compile(rb"::(?:" + _GROUP + rb")(?![0-9A-Fa-f])")), None)
        assert len(self.anchors) == IP6[-1] + 1
        self._add(Anchor("@[A-Za-z0-9\\xc3-\\xf4]", 2, plain=re.compile(rb"@[A-Za-z0-9\xc3-\xf4]")), email)
        countries = "|".join(sorted(code.decode() for code in IBAN_LENGTHS))
        self._add(
            Anchor(
                rf"(?:^|[^0-9A-Za-z])(?:{countries})[0-9]{{2}}[ \-A-Za-z0-9\xc2]",
                5,
                plain=re.compile(rb"[A-Za-z]{2}[0-9]{2}[ \-A-Za-z0-9\xc2]"),
                ignore_case=True,
            ),
            iban,
        )

    def _literal(self, detector: Detector) -> None:
        judge = _judge(detector)
        run = (re.compile(_bytes(f"[{detector.run}]*")).match, len(self.anchors)) if detector.run else None
        flags = re.IGNORECASE if detector.ignore_case else 0
        extra = _width(detector.then, detector.label)
        then = re.compile(_bytes(detector.then), flags) if detector.then else None
        for literal in detector.literals:
            width = len(literal) + extra
            self._add(
                Anchor(
                    re.escape(literal).replace("\\ ", " ") + detector.then,
                    width,
                    literal=literal.lower().encode() if detector.ignore_case else literal.encode(),
                    then=then,
                    ignore_case=detector.ignore_case,
                ),
                lambda data, to, width=width: judge(data, to - width),  # type: ignore[misc]
                run,
            )


def _judge(detector: Detector) -> Callable[[bytes, int], Raw | None]:
    """What decides whether `detector` matches where its literal begins."""
    flags = re.IGNORECASE if detector.ignore_case else 0
    match = re.compile(_bytes(detector.pattern), flags).match
    head = re.compile(rb"(?:" + _bytes(detector.head) + rb")\Z").search if detector.head else None
    before = frozenset(
        c for c in range(256) if detector.before and re.match(_bytes(f"[{detector.before}]"), bytes((c,)))
    )
    validator = (
        VALIDATORS[detector.validator]
        if isinstance(detector.validator, str) and detector.validator
        else detector.validator
    )
    label, score, rank = detector.label, detector.score, detector.rank

    def judge(data: bytes, at: int) -> Raw | None:
        start = at
        if head is not None:
            stretch = head(data, max(0, at - 40), at)
            if stretch is None:
                return None
            start = stretch.start()
        if start and data[start - 1] in before:
            return None
        found = match(data, start, start + MAX_DECISION)
        if found is None:
            return None
        start, end = found.span(found.lastindex or 0)
        if callable(validator) and not validator(data[start:end]):
            return None
        if len(data[start:end].split(None, 1)) != 1:
            return None  # a value is one word: a stream lets go of words that have ended
        return (start, end, rank, label, score)

    return judge
