"""All packs, compiled: what the engines look for, and what is judged where they saw it.

An engine answers with *hits* `(to, id, start)`: anchor `id` was seen and ends before byte `to`. Most anchors have a fixed
width, so that is enough to know where they begin. Numbers have none: `start` is from where on there may be some, or -1
for the run of digits that ends there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple

from guardai.text.detectors.detector import MAX_DECISION, MAX_LEAD, Detector, Opening, Pack, called, width
from guardai.text.judging import forms, kinds, runs
from guardai.text.judging.signs import beginnings
from guardai.text.judging.words import Words, placed
from guardai.text.validators import CARDS_ALONE, IBAN_LENGTHS, Validator

__all__ = ["IP4", "IP6", "NUMBER", "PEM", "Anchor", "Program", "Raw"]


#: A match before overlaps are resolved: (start, end, whether it is valid for sure, rank, label, score), in bytes.
Raw = tuple[int, int, bool, int, str, float]


class Anchor(NamedTuple):
    """One thing that an engine looks for.

    Attributes:
        expression: for hyperscan, over bytes; matches have the width `width`, or any where it is 0.
        literal: what the pure-Python engine looks for, and `then` what must follow; or
        plain: an expression whose matches it reports, ending at their only group if there is one.
        ignore_case: of all of them.
    """

    expression: str
    width: int
    literal: bytes = b""
    then: re.Pattern[bytes] | None = None
    plain: re.Pattern[bytes] | None = None
    ignore_case: bool = False


Run = Callable[[bytes, int], re.Match[bytes] | None]
Judge = Callable[[bytes, int], Raw | None]
#: Where a match may begin that only more text decides about, or -1.
Doubt = Callable[[bytes, int], int]

#: Ids of the anchors that are not judged one by one.
NUMBER: Final = 0
PEM: Final = 1
IP4: Final = 2
IP6: Final = (3, 4, 5)

#: Behind `::`, that one to four hexadecimal digits stand before it and nothing that they continue.
_GROUP: Final = b"|".join(
    rb"(?<=[0-9A-Fa-f]{%d}::)(?<![0-9A-Za-z_][0-9A-Fa-f]{%d}::)" % (count, count) for count in range(1, 5)
)


class Program:
    """What the packs ask for, ready to run."""

    def __init__(self, packs: Iterable[Pack]) -> None:
        packs = tuple(packs)
        self.kinds = forms.Kinds(number for pack in packs for number in pack.numbers)
        #: Whether one of them may be at a place.
        self.fits = forms.gate(number for pack in packs for number in pack.numbers)
        announced = [{number.label: number.words} for pack in packs for number in pack.numbers]
        self.words = Words(
            [*(pack.words for pack in packs), *announced],
            [*(pack.places for pack in packs), *announced],
            ((detector.label, detector.words) for pack in packs for detector in pack.detectors if detector.words),
        )
        #: Where numbers begin. Letters of a number, before or behind its
        #: digits, are looked for only if some kind has them.
        headed = any(forms.lettered(number.head) for pack in packs for number in pack.numbers)
        self.starts = runs.starts(headed=headed)
        self.anchors: list[Anchor] = []
        self.judges: list[Judge | None] = []
        #: By anchor: how a value goes on after it was decided, and which detector it is of.
        self.runs: list[tuple[Run, int] | None] = []
        #: By anchor: what says that a decision is not final, if the text ends within `MAX_DECISION` bytes.
        self.doubts: list[Doubt | None] = []
        #: Whether `phones.plain` knows a phone: no kind of a pack begins with a plus, or with letters before it.
        self.plain = not headed and not any(
            kind.head is not None and (begins := kind.head(b"+", 0, 1)) is not None and begins.start() == 0
            for kind in self.kinds
        )
        #: Whether letters may belong to a number that begin before its first digit (see `stream.py`).
        self.headed = headed
        bare, decimals = forms.unannounced(number for pack in packs for number in pack.numbers)
        lettered = headed or any(kind.lettered for kind in self.kinds)
        free = runs.Free(CARDS_ALONE, decimals, bare)
        look = runs.look(*self.words.announcing(), lettered=lettered, free=free)
        self._own(look)
        for pack in packs:
            for detector in pack.detectors:
                self._detector(detector)
        #: Ids of runs of digits that a word makes a number, and expressions for them: (expression, id). They spare an engine
        #: the runs that are none, and mean nothing to one that reports all runs.
        self.named, self.followed = len(self.anchors), len(self.anchors) + 1
        self.judges += [None, None]
        self.hints = [(e, self.named) for e in look.named] + [(e, self.followed) for e in look.followed]

    def _add(
        self, anchor: Anchor, judge: Judge | None, run: tuple[Run, int] | None = None, doubt: Doubt | None = None
    ) -> None:
        self.anchors.append(anchor)
        self.judges.append(judge)
        self.runs.append(run)
        self.doubts.append(doubt)

    def _own(self, look: runs.Look) -> None:
        """The kinds that code finds."""
        self._add(Anchor(look.run, 0, plain=self.starts), None)
        blocks = "-----BEGIN |PuTTY-User-"  # of one width
        self._add(Anchor(f"(?:{blocks})", 11, plain=re.compile(blocks.encode())), None)

        def iban(data: bytes, to: int) -> Raw | None:
            found = kinds.iban_at(data, to - 5)
            return (*found, True, 6, "pii.iban", 1.0) if found else None

        quad = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
        self._add(Anchor(quad, 0, plain=re.compile(quad.encode())), None)
        # From the first colon on: engines and `re` skip to it.
        full = r":(?:[0-9A-Fa-f]{1,4}:){5}(?:[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]|[0-9]{1,3}\.)"
        inner = full.replace(":", r":(?<=[0-9A-Fa-f]:)", 1)
        self._add(Anchor(full, 0, plain=re.compile(inner.encode())), None)
        short = r"(?:^|[^0-9A-Za-z_])(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6})?::[0-9A-Fa-f]"
        self._add(Anchor(short, 0, plain=re.compile(rb"::(?:(?<![0-9A-Za-z_]::)|" + _GROUP + rb")[0-9A-Fa-f]")), None)
        end = r"(?:^|[^0-9A-Za-z_])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6}::"
        self._add(Anchor(end, 0, plain=re.compile(rb"::(?:" + _GROUP + rb")(?![0-9A-Fa-f])")), None)
        assert len(self.anchors) == IP6[-1] + 1
        self._add(Anchor("@[A-Za-z0-9\\xc3-\\xf4]", 2, plain=re.compile(rb"@[A-Za-z0-9\xc3-\xf4]")), kinds.email)
        countries = "|".join(sorted(code.decode() for code in IBAN_LENGTHS))
        self._add(
            Anchor(
                rf"(?:^|[^0-9A-Za-z])(?:{countries})[0-9]{{2}}[ \-.A-Za-z0-9\xe2]",
                5,
                plain=re.compile(
                    rb"[0-9](?<=[A-Za-z]{2}[0-9])(?<![0-9A-Za-z][A-Za-z]{2}[0-9])[0-9][ \-.A-Za-z0-9\xe2]"
                ),
                ignore_case=True,
            ),
            iban,
        )

    def _detector(self, detector: Detector) -> None:
        shape, judge = _judge(detector, self.words)
        run = (re.compile(f"[{detector.run}]*".encode()).match, len(self.anchors)) if detector.run else None
        back = MAX_LEAD if detector.head else 0
        opens = _lazily(detector.opens, _flags(detector)) if isinstance(detector, Opening) else None
        for anchor in (*_literals(detector), *_expressions(detector)):
            size = anchor.width

            def decide(data: bytes, to: int, size: int = size) -> Raw | None:
                return judge(data, to - size)

            def doubt(data: bytes, to: int, size: int = size) -> int:
                if opens is not None and not opens(data, to - size):
                    return -1
                if not detector.spaced and shape(data, to - size) is None:
                    return -1
                return max(0, to - size - back)

            self._add(anchor, decide, run, doubt if detector.spaced or detector.words else None)


def _literals(detector: Detector) -> Iterator[Anchor]:
    then = re.compile(detector.then.encode(), _flags(detector)) if detector.then else None
    extra = width(detector.then, detector.label)
    for literal in detector.literals:
        raw = literal.encode()
        yield Anchor(
            re.escape(literal).replace("\\ ", " ") + detector.then,
            len(raw) + extra,
            literal=raw.lower() if detector.ignore_case else raw,
            then=then,
            ignore_case=detector.ignore_case,
        )


def _expressions(detector: Detector) -> Iterator[Anchor]:
    """Anchors that are expressions. They begin where a match does, so that what may not stand before it need not be there."""
    before = detector.before if not detector.head else ""
    for anchor in detector.anchors:
        first, rest = _first(anchor)
        behind = f"(?:(?<![{before}]{first})|(?<={_ENCODED}{first}))" if before else ""
        yield Anchor(
            (f"(?:^|[^{before}]|{_ENCODED})" if before else "") + anchor,
            width(anchor, detector.label),
            # It looks ahead, because two of them may overlap.
            plain=re.compile(f"{first}{behind}(?=({rest}))".encode(), _flags(detector)),
            ignore_case=detector.ignore_case,
        )


#: What is written so in a URL is no letter: in `%3Dghp_…` a word begins behind the `D` (RFC 3986, 2.1).
_ENCODED: Final = "%[0-9A-Fa-f][0-9A-Fa-f]"
_encoded: Final = re.compile(_ENCODED.encode()).fullmatch


def _first(anchor: str) -> tuple[str, str]:
    """An expression of fixed width as its first byte and the rest."""
    token = re.match(r"(\[(?:\\.|[^\]\\])+\]|\\.|.)(?:\{([0-9]+)\})?", anchor)
    assert token is not None
    one, count, rest = token[1], int(token[2] or 1), anchor[token.end() :]
    return one, (f"{one}{{{count - 1}}}" if count > 1 else "") + rest


@cache
def _members(characters: str) -> frozenset[int]:
    """The bytes that the inside of a character class stands for."""
    return frozenset(b"".join(re.findall(f"[{characters}]".encode(), _ALL))) if characters else frozenset()


_ALL: Final = bytes(range(256))


def _flags(detector: Detector) -> int:
    return re.IGNORECASE if detector.ignore_case else 0


def _lazily(expression: str, flags: int) -> Callable[[bytes, int], re.Match[bytes] | None]:
    """An expression's `match`, compiled when it is first asked."""
    match: Callable[[bytes, int], re.Match[bytes] | None] | None = None

    def ask(data: bytes, at: int) -> re.Match[bytes] | None:
        nonlocal match
        if match is None:
            match = re.compile(expression.encode(), flags).match
        return match(data, at)

    return ask


_SPACE: Final = re.compile(rb"\s")
#: (start, end, whether it is valid for sure) of a match, whatever it needs besides.
_Shape = tuple[int, int, bool]


def _valid(validator: Validator, value: bytes) -> bool | None:
    """What a validator says of a value, or else of what stands before a sign in it."""
    valid = validator(value)
    if valid is False and not value.isascii():
        return next((said for part in beginnings(value) if (said := validator(part)) is not False), False)
    return valid


def _judge(
    detector: Detector, words: Words
) -> tuple[Callable[[bytes, int], _Shape | None], Callable[[bytes, int], Raw | None]]:
    """What finds the match of `detector` where its anchor begins, and what decides whether it counts."""
    # Compiled when it is first seen: a process sees few of several hundred, and all of them take it 0.1 s.
    match: Callable[[bytes, int, int], re.Match[bytes] | None] | None = None
    head = re.compile(rb"(?:" + detector.head.encode() + rb")\Z").search if detector.head else None
    before = _members(detector.before)
    validator = called(detector.validator)
    label, score, rank, needs = detector.label, detector.score, detector.rank, detector.needs
    spaced, worded = detector.spaced, bool(detector.words)

    def shape(data: bytes, at: int) -> _Shape | None:
        nonlocal match
        start = at
        if head is not None:
            stretch = head(data, max(0, at - MAX_LEAD), at)
            if stretch is None:
                return None
            start = stretch.start()
        if start and data[start - 1] in before and not _encoded(data, max(0, start - 3), start):
            return None
        if match is None:
            match = re.compile(detector.pattern.encode(), _flags(detector)).match
        found = match(data, start, start + MAX_DECISION)
        if found is None:
            return None
        begin, (start, end) = start, found.span(found.lastindex or 0)
        if start > begin and placed(data, begin, start):
            return None  # the name of a mask announces nothing, and nothing is announced across one
        valid = None
        if validator is not None and (valid := _valid(validator, data[start:end])) is False:
            return None
        if not spaced and (start == end or _SPACE.search(data, start, end)):
            return None  # a value is one word: a stream lets go of words that have ended
        return start, end, valid is True

    def judge(data: bytes, at: int) -> Raw | None:
        found = shape(data, at)
        if found is None:
            return None
        start, end, valid = found
        if (
            (needs == "word" or (needs == "valid" and not valid))
            and not (worded and label in words.before(data, 0, start, label))
            and not (worded and label in words.after(data, end, label))
        ):
            return None
        return start, end, valid, rank, label, score

    return shape, judge
