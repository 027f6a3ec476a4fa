"""What a pack is made of: detectors, each an anchor, a precise expression and a judgement.

An anchor is what the engine looks for in all of the text; it is cheap and may be wrong. The precise expression and the
validator see only what stands around it. Whether a detector matches at an anchor depends on nothing but a bounded
stretch of text before and after; streams rest on that (see `stream.py`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from guardai.errors import GuardError
from guardai.text.validators import VALIDATORS

__all__ = ["MAX_DECISION", "Detector", "Pack", "PackError", "load"]

#: Bytes that a detector may need from its anchor on to decide; what it masks may run further (`run`).
MAX_DECISION: Final = 250


class PackError(GuardError, ValueError):
    """A detector pack cannot be used; the message names the pack, the label and what is wrong."""


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds one kind of value by a literal that it begins with or follows.

    Attributes:
        label: what a finding bears.
        literals: the anchors, ASCII, without whitespace inside.
        pattern: expression over UTF-8 bytes, matched where the literal begins. The finding is its group `value`, or all
            of it, and has no whitespace inside (what stands before the value may). It sees `MAX_DECISION` bytes; if the value may be longer, `run` says of which bytes.
        then: what must follow the literal for the anchor to count: an expression of fixed width. It is not for
            precision, `pattern` is, but spares work.
        head: what may stand before the literal and belongs to the match, at most 40 bytes.
        before: bytes that must not stand before the match (inside of a character class).
        run: bytes by which a value goes on after `pattern` (inside of a character class); "" for none.
        ignore_case: of the literals and the pattern.
        validator: name of one in `VALIDATORS`, or a function; it sees the value, without what `run` added.
        score: of a finding, 0 to 1.
        rank: which label wins where findings overlap; the higher.
    """

    label: str
    literals: tuple[str, ...]
    pattern: str
    then: str = ""
    head: str = ""
    before: str = "A-Za-z0-9_"
    run: str = "A-Za-z0-9_\\-"
    ignore_case: bool = False
    validator: str | Callable[[bytes], bool] = ""
    score: float = 0.9
    rank: int = 5

    def __post_init__(self) -> None:
        if not self.literals or any(
            not lit.isascii() or len(lit) < 2 or any(c.isspace() for c in lit[:-1]) for lit in self.literals
        ):
            raise PackError(f"{self.label}: literals are two or more ASCII characters without whitespace inside")
        if isinstance(self.validator, str) and self.validator and self.validator not in VALIDATORS:
            raise PackError(f"{self.label}: no validator {self.validator!r}; there are {', '.join(sorted(VALIDATORS))}")
        try:
            for source in (self.pattern, self.then, self.head):
                re.compile(source.encode())
            re.compile(f"[{self.before}x]".encode())
            if self.run and re.compile(f"[{self.run}]".encode()).search(b" \t\n\r\x0b\x0c\x00"):
                raise PackError(f"{self.label}: a value runs on to the end of the word, not beyond")
        except re.error as error:
            raise PackError(f"{self.label}: {error}") from error


@dataclass(frozen=True, slots=True)
class Pack:
    """Detectors under one name.

    Attributes:
        name: unique among the packs of a process.
        detectors: those with a literal anchor.
        words: for kinds that need context: kind → words near which a number is of that kind. The kind `other` holds
            the words near which it is none.
        places: the same for words directly after a number, such as `fax`.
    """

    name: str
    detectors: tuple[Detector, ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def load(path: Path, name: str) -> Pack:
    """Reads a pack from a TOML file: tables `[[detector]]`, `[words]`, `[after]`.

    Raises:
        PackError: an unknown key, or a value that cannot be used.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PackError(f"pack {name}: {error}") from error
    if unknown := set(table) - {"detector", "words", "after"}:
        raise PackError(f"pack {name}: unknown {', '.join(sorted(unknown))}; known are detector, words, after")
    return Pack(
        name=name,
        detectors=tuple(_detector(entry, name) for entry in table.get("detector", ())),
        words={kind: tuple(words) for kind, words in table.get("words", {}).items()},
        places={kind: tuple(words) for kind, words in table.get("after", {}).items()},
    )


def _detector(entry: dict[str, Any], pack: str) -> Detector:
    known = Detector.__dataclass_fields__
    if unknown := set(entry) - set(known):
        raise PackError(f"pack {pack}: unknown {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    try:
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        return Detector(**values)
    except TypeError as error:
        raise PackError(f"pack {pack}: {error}") from error
