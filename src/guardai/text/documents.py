"""JSON inside of a string: whether a text is a document that can be looked into and written anew, and how deep one is."""

from __future__ import annotations

import decimal
import json
import math
import re
from typing import Any, Final

__all__ = [
    "BEGINS",
    "DEEPEST",
    "LOSSY",
    "Depth",
    "bracketed",
    "dumped",
    "parsed",
    "trailing_zeros",
    "unwritten",
    "written",
]


def bracketed(text: str) -> bool:
    """Whether it looks like a JSON object or array, which is cheaper to ask than whether it is one."""
    head, tail = text[:1], text[-1:]
    if head not in BEGINS:
        return False
    stripped = text.strip() if head.isspace() or tail.isspace() else text
    return (stripped[:1], stripped[-1:]) in _BRACKETS


#: With what a document, or the space before it, begins.
BEGINS: Final = frozenset("{[ \n\t\r")
_BRACKETS: Final = frozenset((("{", "}"), ("[", "]")))


#: A document that cannot be written anew without loss: a key stands there twice, a number has more digits than a float.
LOSSY: Final = object()


def parsed(text: str) -> Any:
    """The JSON document in `text`; None if it is none, `LOSSY` if it has to be masked where it stands."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_float=_exact)
    except _LossyError:
        pass
    except (ValueError, RecursionError):
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return LOSSY


class _LossyError(ValueError):
    """What was read would be written otherwise."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _LossyError("a key stands there twice, and one of the values would be lost")
    return made


def _exact(digits: str) -> float:
    number = float(digits)
    if repr(number) != digits:
        if math.isinf(number):
            raise _LossyError("a number is larger than any that could be written")
        try:
            same = decimal.Decimal(repr(number)) == decimal.Decimal(digits)
        except decimal.InvalidOperation:  # an exponent that no number has
            same = False
        if not same:
            raise _LossyError("a number has more digits than would be written")
    return number


def dumped(document: Any) -> str:
    """The document as JSON. Half a surrogate pair stays escaped, or the text could not be encoded."""
    return _SURROGATES.sub(_surrogate, json.dumps(document, ensure_ascii=False))


_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def _surrogate(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


#: Before a string of JSON.
_OPENS: Final = frozenset("{[:,")
#: Space, behind a backslash.
_ESCAPED_SPACE: Final = frozenset("nrt")
#: Behind these, and behind nothing, what stands before counts, too.
_GOES_ON: Final = frozenset(("", "\\", *_ESCAPED_SPACE, *filter(str.isspace, map(chr, range(0x3001)))))
#: No document is nested deeper. Each level doubles the backslashes: who writes for a hundred levels wants the memory.
DEEPEST: Final = 8


class Depth:
    """In how many strings of JSON, one in the other, one is at the end of what was read.

    A string in a string has its quotes escaped: with one backslash, with three, with seven.

    In JSON quotes come in pairs. In a text, and so in a text in a string, there may be one too many before a document: there
    every quote opens a string that stands where one may, or the document's would be taken for what is between them. Where
    that is wrong it is deeper than it should be, which spoils a value but ends no string.

    Args:
        json: the text is JSON. If not, outside of strings a quote opens only what stands where one may: people quote, too.

    Attributes:
        deep: how often what is put here has to be written as JSON writes it.
        backslashes: how many stand at the end. They are counted to the first, however many there are: their number says
            whether a quote ends a string.
    """

    __slots__ = ("_json", "_last", "backslashes", "deep")

    def __init__(self, *, json: bool) -> None:
        self._json = json
        #: What stands before the backslashes, and the space before those, which may be escaped itself.
        self._last = ""
        self.backslashes = 0
        self.deep = 0

    def copy(self) -> Depth:
        """Another, which is read on by itself."""
        made = Depth(json=self._json)
        made._last, made.backslashes, made.deep = self._last, self.backslashes, self.deep
        return made

    def read(self, text: str) -> None:
        """Reads on."""
        if '"' in text:
            *pieces, text = text.split('"')
            for piece in pieces:
                self._pass(piece)
                # Escaped backslashes stand before those that escape the quote.
                level = trailing_zeros(self.backslashes + 1)
                opens = self._last in _OPENS
                if self.deep > level and not (opens and (level or not self._json)):
                    self.deep = level
                elif opens or self._json or self.deep:
                    self.deep = level + 1
                self._last, self.backslashes = '"', 0
        end = text[-1:]
        if end in _GOES_ON and (end not in _ESCAPED_SPACE or self.backslashes or "\\" in text):
            self._pass(text)
        else:  # of most texts the last character is all that counts
            self._last, self.backslashes = end, 0

    def _pass(self, text: str) -> None:
        """Reads on where there is no quote."""
        rest = text.rstrip("\\")
        if rest:
            at, pending = len(rest.rstrip()), self.backslashes
            # In a string of JSON a line feed is an escape.
            while at and (
                rest[at - 1].isspace()
                or (rest[at - 1] in _ESCAPED_SPACE and (rest[at - 2] == "\\" if at > 1 else pending))
            ):
                at -= 1
                if rest[at] in _ESCAPED_SPACE:
                    while at and rest[at - 1] == "\\":
                        at -= 1
                    if not at:  # and so are the backslashes that came before
                        pending = 0
            if at:
                self._last = rest[at - 1]
            elif pending:
                self._last = "\\"
            self.backslashes = 0
        self.backslashes += len(text) - len(rest)


def trailing_zeros(number: int) -> int:
    """How often a number, 1 or more, can be halved: so often so many backslashes are read before what follows is escaped."""
    return (number & -number).bit_length() - 1


def written(value: str, depth: int) -> str:
    """The value as it stands in so many strings of JSON; in more than `DEEPEST` without what would have to be escaped."""
    if depth > DEEPEST:
        return _UNPLAIN.sub("", value)
    for _ in range(depth):
        value = dumped(value)[1:-1]
    return value


_UNPLAIN: Final = re.compile('["\\\\\x00-\x1f\ud800-\udfff]')


def unwritten(value: str, depth: int) -> str:
    """What a value means that stands in so many strings of JSON; as far as that can be read."""
    for _ in range(depth):
        if "\\" not in value:
            break
        try:
            value = str(json.loads(f'"{value}"', strict=False))
        except ValueError:
            break
    return value
