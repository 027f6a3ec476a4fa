"""What a pack is made of: detectors and kinds of numbers.

Each is an anchor, a precise expression and a judgement. An anchor is what the engine looks for in all of the text; it is
cheap and may be wrong. The precise expression and the validator see only what stands around it. Whether a detector
matches at an anchor depends on nothing but a bounded stretch of text before and after; streams rest on that (see
`stream.py`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Literal

from guardai.errors import GuardError
from guardai.model import Label
from guardai.text.validators import VALIDATORS, Validator

__all__ = [
    "KINDS",
    "MAX_ANCHOR",
    "MAX_DECISION",
    "MAX_FORM",
    "MAX_HEAD",
    "MAX_LEAD",
    "Detector",
    "Needs",
    "Number",
    "Pack",
    "PackError",
    "called",
    "ours",
    "spaces",
    "width",
]

#: Bytes that a detector may need from its anchor on to decide; what it masks may run further (`run`).
MAX_DECISION: Final = 250
#: Bytes that may stand before a detector's anchor and belong to the match: its `head`. The widest that ships has 76.
MAX_LEAD: Final = 80
#: Bytes of an anchor. Until its last byte has come a stream knows of no value, so both must be in what it holds back.
MAX_ANCHOR: Final = MAX_DECISION - MAX_LEAD
#: Bytes that a number's form may match.
MAX_FORM: Final = 60
#: Bytes that may stand before a number's first digit and belong to it.
MAX_HEAD: Final = 3

#: What a match needs besides not being invalid: nothing; that its validator says valid, or a word near; a word near.
Needs = Literal["nothing", "valid", "word"]
_NEEDS: Final = ("nothing", "valid", "word")
#: What the words of a pack may speak of, besides labels (see `Pack.words`).
KINDS: Final = ("amount", "call", "card", "other", "phone", "ssn")


class PackError(GuardError, ValueError):
    """A detector pack cannot be used; the message names the pack, the label and what is wrong."""


#: Whether what is made is shipped with guardai: that its expressions can be used is for the tests to say, once, and not for
#: each process, which would need a tenth of a second for it.
_ours: Final[ContextVar[bool]] = ContextVar("guardai_ours", default=False)


@contextmanager
def ours() -> Iterator[None]:
    """Detectors made within are shipped with guardai."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


#: A character or a class, and how often. Of escaped letters only those that stand for a class: `\b` has no width, and
#: `\x41` is one byte in four characters.
_TOKEN: Final = re.compile(
    r"(\[(?:\\.|[^\]\\])+\]|\\[dDsSwW]|\\[^A-Za-z0-9]|[^\\\[\](){}|*+?.^$])(?:\{([1-9][0-9]*)\})?"
)


def width(expression: str, label: str) -> int:
    """How many bytes an expression of fixed width matches.

    Raises:
        PackError: it is not a sequence of characters and classes, each with an exact count at most.
    """
    size, at = 0, 0
    while at < len(expression):
        token = _TOKEN.match(expression, at)
        if token is None or (not token[0].isascii() and len(token[0]) > 1):
            raise PackError(
                f"{label}: an anchor is a sequence of characters and classes, each with an exact count: {expression}"
            )
        # A character that is not ASCII is several bytes; classes are of bytes.
        size, at = size + int(token[2] or 1) * (1 if token[0].isascii() else len(token[0].encode())), token.end()
    return size


def spaces(expression: str) -> list[int]:
    """Where an expression of fixed width may read whitespace, in bytes from where it begins."""
    found: list[int] = []
    at = 0
    for token in _TOKEN.finditer(expression):
        end = at + width(token[0], "")
        if token[0].isascii() and re.search(token[1].encode(), _SPACE):
            found += range(at, end)
        at = end
    return found


_SPACE: Final = b" \t\n\r\x0b\x0c"


def called(validator: str | Validator) -> Validator | None:
    """The function that a detector's `validator` stands for; None for none."""
    if isinstance(validator, str):
        return VALIDATORS[validator] if validator else None
    return validator


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds one kind of value by something that it begins with or follows.

    All of it sees ASCII's spaces and line feeds, whatever spaces a text has (`spaces.py`).

    Attributes:
        label: what a finding bears.
        literals: the anchors, of two bytes or more, without whitespace but at their end.
        anchors: instead of them, expressions of fixed width: characters and classes with exact counts, of two bytes or
            more, without whitespace. They, or a literal with `then`, are of `MAX_ANCHOR` bytes at most.
        pattern: expression over UTF-8 bytes, matched where the anchor begins; with a `head`, where that begins. The
            finding is its group `value`, or all of it. It sees `MAX_DECISION` bytes; if the value may be longer, `run`
            says of which bytes.
        then: what must follow the literal for the anchor to count: an expression of fixed width. It is not for
            precision, `pattern` is, but spares work.
        head: expression that must match directly before the anchor and belongs to the match: at most `MAX_LEAD` bytes,
            none of them whitespace.
        before: bytes that must not stand before the match (inside of a character class).
        run: bytes by which a value goes on after `pattern` (inside of a character class); "" for none.
        ignore_case: of the anchors and the pattern.
        spaced: the value may hold whitespace. Streams then hold everything back from the anchor on, for `MAX_DECISION`
            bytes; values without it may stand behind whitespace, and are held only until their word ends.
        validator: name of one in `VALIDATORS`, or a function; it sees the value, without what `run` added.
        words: words and phrases that announce the value, within 48 bytes before it or directly after.
        needs: what a match needs besides not being invalid.
        score: of a finding, 0 to 1.
        rank: which label wins where findings of one length overlap; the higher.
        title: what it is, in one line, for the reference of labels.
        example: how it looks, safe to print.
        matches: texts in which it must be found.
        ignores: texts in which it must not be found.
    """

    label: str
    literals: tuple[str, ...] = ()
    pattern: str = ""
    anchors: tuple[str, ...] = ()
    then: str = ""
    head: str = ""
    before: str = "A-Za-z0-9_"
    run: str = "A-Za-z0-9_\\-"
    ignore_case: bool = False
    spaced: bool = False
    validator: str | Validator = ""
    words: tuple[str, ...] = ()
    needs: Needs = "nothing"
    score: float = 0.9
    rank: int = 5
    title: str = ""
    example: str = ""
    matches: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_label(self.label)
        if bool(self.literals) == bool(self.anchors):
            raise PackError(f"{self.label}: either literals or anchors, and one at least")
        if any(len(lit.encode()) < 2 or any(c.isspace() for c in lit[:-1]) for lit in self.literals):
            raise PackError(f"{self.label}: literals are two or more bytes without whitespace inside")
        if self.anchors and self.then:
            raise PackError(f"{self.label}: `then` is for literals")
        if not self.pattern:
            raise PackError(f"{self.label}: no pattern")
        if not _ours.get():
            self._check_expressions()
        extra = width(self.then, self.label)
        for literal in self.literals:
            if len(literal.encode()) + extra > MAX_ANCHOR:
                raise PackError(f"{self.label}: a literal, with `then`, is {MAX_ANCHOR} bytes at most")
        for anchor in self.anchors:
            if not 2 <= width(anchor, self.label) <= MAX_ANCHOR:
                raise PackError(f"{self.label}: an anchor is two bytes or more, {MAX_ANCHOR} at most: {anchor}")
            if spaces(anchor):
                raise PackError(f"{self.label}: an anchor holds no whitespace: {anchor}")
        _check_needs(self.label, self.validator, self.words, self.needs)
        _check_score(self.label, self.score)

    def _check_expressions(self) -> None:
        """Of those that are put into others, too, that they mean there what they mean alone."""
        try:
            for source in (self.pattern, self.head, f"(?:{self.head})", self.then, *self.anchors):
                re.compile(source.encode())
            for key, inside in (("before", self.before), ("run", self.run)):
                if not inside:
                    continue
                if not _INSIDE.fullmatch(inside) or (key == "before" and inside[0] == "^"):
                    raise PackError(
                        f"{self.label}: {key} is the inside of one character class, such as A-Za-z0-9_; in it a bracket "
                        r"is written \[ or \], and a ^ that comes first \^"
                    )
                made = re.compile(f"[{inside}]".encode())
                if key == "run" and made.search(_SPACE + b"\x00"):
                    raise PackError(f"{self.label}: a value runs on to the end of the word, not beyond")
        except re.error as error:
            raise PackError(f"{self.label}: {error}") from error


@dataclass(frozen=True, slots=True)
class Opening(Detector):
    """One of ours whose value holds spaces, and says of a text that has not come to its end whether a value has begun.

    So a stream waits only where one has, and not behind every word that may announce one.

    Attributes:
        opens: expression that matches from where a match begins to the end of the text, if more may complete it. What it
            does not match has no value in it that begins before the last whitespace.
    """

    opens: str = ""


#: What cannot end the class that it is put into, nor begin another: it reads one byte, whatever it is.
_INSIDE: Final = re.compile(r"(?:\\.|[^\[\]\\])+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Number:
    """A kind of digits: six or more, with at most three spaces, dashes, dots, slashes or brackets between two.

    Attributes:
        label: what a finding bears.
        form: expression over bytes from the first digit on, of at most `MAX_FORM` bytes: digits, separators, and letters
            behind the sixth digit. What stands directly around a match is no letter and no digit.
        head: expression of at most `MAX_HEAD` bytes that must stand directly before; it may end in a separator.
        validator: name of one in `VALIDATORS`, or a function; it sees letters and digits alone, those of the head
            included.
        words: words and phrases that announce it, within 48 bytes before it or directly after.
        needs: what a match needs besides not being invalid. A word always suffices.
        score: of a finding, 0 to 1.
        rank: which label wins where two kinds fit alike; the higher.
        title: what it is, in one line, for the reference of labels.
        example: how it looks, safe to print.
        matches: texts in which it must be found.
        ignores: texts in which it must not be found.
    """

    label: str
    form: str
    head: str = ""
    validator: str | Validator = ""
    words: tuple[str, ...] = ()
    needs: Needs = "valid"
    score: float = 0.85
    rank: int = 5
    title: str = ""
    example: str = ""
    matches: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_label(self.label)
        _check_needs(self.label, self.validator, self.words, self.needs)
        _check_score(self.label, self.score)
        try:
            for source in (self.form, self.head, f"(?:{self.head})"):
                re.compile(source.encode())
        except re.error as error:
            raise PackError(f"{self.label}: {error}") from error
        if re.match(self.form.encode(), b""):
            raise PackError(f"{self.label}: a form begins with a digit")


@dataclass(frozen=True, slots=True)
class Pack:
    """Detectors under one name.

    Attributes:
        name: unique among the packs of a process.
        detectors: those with an anchor.
        numbers: kinds of digits.
        words: for kinds that need context: kind → words near which a number is of that kind. A kind is a label that some
            pack finds, or one of `KINDS`: `phone`, `call` (to be dialled, if it looks like it), `card`, `ssn`,
            `other`, which holds the words near which a number is none of them, or `amount`, near which it is a sum or a count.
        places: the same for words directly after a number, such as `fax`.
        countries: codes of the country packs that it wants beside it, or `all`.
    """

    name: str
    detectors: tuple[Detector, ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: tuple[Number, ...] = ()
    countries: tuple[str, ...] = ()

    def kinds(self) -> tuple[Detector | Number, ...]:
        """All that it finds."""
        return (*self.detectors, *self.numbers)


def _check_label(label: object) -> None:
    try:
        Label(label)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise PackError(f"{error}") from error


def _check_score(label: str, score: float) -> None:
    if not 0 <= score <= 1:
        raise PackError(f"{label}: score = {score:g}; it says how sure a finding is, from 0 to 1")


def _check_needs(label: str, validator: str | Validator, words: tuple[str, ...], needs: str) -> None:
    if isinstance(validator, str) and validator and validator not in VALIDATORS:
        meant = difflib.get_close_matches(validator, VALIDATORS, n=3)
        raise PackError(f"{label}: no validator {validator!r}{'; is it ' if meant else ''}{' or '.join(meant)}")
    if needs not in _NEEDS:
        raise PackError(f"{label}: needs = {needs!r}; there are {', '.join(_NEEDS)}")
    if needs == "word" and not words:
        raise PackError(f"{label}: it needs a word and has no words")
    if needs == "valid" and not validator and not words:
        raise PackError(f"{label}: it needs a validator or words")
