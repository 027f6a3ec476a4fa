"""What a pack is made of, and how it is read: detectors and kinds of numbers.

Each is an anchor, a precise expression and a judgement. An anchor is what the engine looks for in all of the text; it is cheap and may be wrong. The precise expression and the
validator see only what stands around it. Whether a detector matches at an anchor depends on nothing but a bounded
stretch of text before and after; streams rest on that (see `stream.py`).
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from guardai.errors import GuardError
from guardai.model import Label
from guardai.text.validators import VALIDATORS, Validator

__all__ = [
    "MAX_DECISION",
    "MAX_FORM",
    "MAX_HEAD",
    "Detector",
    "Needs",
    "Number",
    "Pack",
    "PackError",
    "called",
    "decoded",
    "load",
    "loads",
    "ours",
    "parsed",
    "width",
]

#: Bytes that a detector may need from its anchor on to decide; what it masks may run further (`run`).
MAX_DECISION: Final = 250
#: Bytes that a number's form may match.
MAX_FORM: Final = 60
#: Bytes that may stand before a number's first digit and belong to it.
MAX_HEAD: Final = 3

#: What a match needs besides not being invalid: nothing; that its validator says valid, or a word near; a word near.
Needs = Literal["nothing", "valid", "word"]
_NEEDS: Final = ("nothing", "valid", "word")


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


_TOKEN: Final = re.compile(r"(?:\[(?:\\.|[^\]\\])+\]|\\.|[^\\\[\](){}|*+?.^$])(?:\{([0-9]+)\})?")


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
        size, at = size + int(token[1] or 1) * (1 if token[0].isascii() else len(token[0].encode())), token.end()
    return size


def called(validator: str | Validator) -> Validator | None:
    """The function that a detector's `validator` stands for; None for none."""
    if isinstance(validator, str):
        return VALIDATORS[validator] if validator else None
    return validator


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds one kind of value by something that it begins with or follows.

    Attributes:
        label: what a finding bears.
        literals: the anchors, of two bytes or more, without whitespace but at their end.
        anchors: instead of them, expressions of fixed width: characters and classes with exact counts, of two bytes or
            more, without whitespace.
        pattern: expression over UTF-8 bytes, matched where the anchor begins. The finding is its group `value`, or all
            of it. It sees `MAX_DECISION` bytes; if the value may be longer, `run` says of which bytes.
        then: what must follow the literal for the anchor to count: an expression of fixed width. It is not for
            precision, `pattern` is, but spares work.
        head: what may stand before the anchor and belongs to the match, at most 80 bytes.
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
        for anchor in self.anchors:
            if width(anchor, self.label) < 2:
                raise PackError(f"{self.label}: an anchor is two bytes or more: {anchor}")
            if _holds_space(anchor):
                raise PackError(f"{self.label}: an anchor holds no whitespace: {anchor}")
        width(self.then, self.label)
        _check_needs(self.label, self.validator, self.words, self.needs)
        if _ours.get():
            return
        try:
            for source in (self.pattern, self.head, *self.anchors):
                re.compile(source.encode())
            re.compile(f"[{self.before}x]".encode())
            if self.run and re.compile(f"[{self.run}]".encode()).search(b" \t\n\r\x0b\x0c\x00"):
                raise PackError(f"{self.label}: a value runs on to the end of the word, not beyond")
        except re.error as error:
            raise PackError(f"{self.label}: {error}") from error


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
        try:
            for source in (self.form, self.head):
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
        words: for kinds that need context: kind → words near which a number is of that kind. A kind is a label, one of
            `phone`, `call` (to be dialled, if it looks like it), `card`, `ssn`, or `other`, which holds the words near
            which a number is none of them.
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


def _holds_space(anchor: str) -> bool:
    return any(
        re.match(token[0].partition("{")[0].encode(), bytes((c,)))
        for token in _TOKEN.finditer(anchor)
        if token[0].isascii()
        for c in b" \t\n\r\x0b\x0c"
    )


# ---- a pack as a file ----

_TABLES: Final = ("after", "countries", "detector", "number", "words")
_TYPES: Final[dict[str, Any]] = {"bool": bool, "int": int, "float": (int, float)}
_Kind = TypeVar("_Kind", Detector, Number)


def load(path: Path, name: str) -> Pack:
    """Reads a pack from a file.

    Raises:
        PackError: it cannot be read, has an unknown key, or a value that cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PackError(f"pack {name}: {error}") from error
    return loads(text, name)


def loads(text: str | bytes, name: str) -> Pack:
    """Reads a pack from what stands in its file.

    Raises:
        PackError: an unknown key, or a value that cannot be used.
    """
    return parsed(decoded(text, name), name)


def decoded(text: str | bytes, name: str) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        PackError: it is no TOML.
    """
    try:
        return tomllib.loads(text if isinstance(text, str) else text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PackError(f"pack {name}: {error}") from error


def parsed(table: Mapping[str, Any], name: str) -> Pack:
    """A pack from its tables.

    Raises:
        PackError: an unknown key, or a value that cannot be used.
    """
    if unknown := set(table) - set(_TABLES):
        raise PackError(f"pack {name}: unknown {', '.join(sorted(unknown))}; known are {', '.join(_TABLES)}")
    countries = table.get("countries", ())
    return Pack(
        name=name,
        detectors=_kinds(Detector, table.get("detector", []), name),
        numbers=_kinds(Number, table.get("number", []), name),
        words=_words(table.get("words", {}), name),
        places=_words(table.get("after", {}), name),
        countries=(countries,) if isinstance(countries, str) else _strings(countries, f"pack {name}: countries"),
    )


def _kinds(kind: type[_Kind], entries: Any, pack: str) -> tuple[_Kind, ...]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise PackError(f"pack {pack}: write [[{kind.__name__.lower()}]], in two brackets")
    return tuple(_kind(kind, entry, pack) for entry in entries)


def _kind(kind: type[_Kind], entry: dict[str, Any], pack: str) -> _Kind:
    known = kind.__dataclass_fields__
    if unknown := set(entry) - set(known):
        raise PackError(f"pack {pack}: unknown {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    where = f"pack {pack}: {entry.get('label', '')}"
    values: dict[str, Any] = {}
    for key, value in entry.items():
        wanted = str(known[key].type)  # as it is written in the class
        if "tuple" in wanted:
            values[key] = _strings(value, f"{where}: {key}")
        elif isinstance(value, bool) != (wanted == "bool") or not isinstance(value, _TYPES.get(wanted, str)):
            raise PackError(f"{where}: {key} = {value!r} is of the wrong type")
        else:
            values[key] = value
    try:
        return kind(**values)
    except (TypeError, PackError) as error:
        raise PackError(f"pack {pack}: {error}") from error


def _words(table: Any, pack: str) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(table, dict):
        raise PackError(f"pack {pack}: words are written under their kind")
    return {kind: _strings(words, f"pack {pack}: words of {kind}") for kind, words in table.items()}


def _strings(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
        raise PackError(f"{where} is a list of strings")
    return tuple(value)
