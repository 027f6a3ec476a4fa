"""JSON inside of a string: whether a text is a document that can be looked into and written anew, and how deep one is."""

from __future__ import annotations

import decimal
import json
import math
import re
from typing import Any, Final

__all__ = ["BEGINS", "LOSSY", "Depth", "bracketed", "dumped", "parsed", "unwritten", "written"]


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


#: So much before a quote says what it is: backslashes, or space and what stands before that.
_BACKSLASHES: Final = 64
#: Before a string of JSON.
_OPENS: Final = frozenset("{[:,")


class Depth:
    """In how many strings of JSON, one in the other, one is at the end of what was read.

    A string in a string has its quotes escaped: with one backslash, with three, with seven.

    Args:
        json: the text is JSON. If not, a quote opens only what stands where a string of JSON may: people quote, too.

    Attributes:
        deep: how often what is put here has to be written as JSON writes it.
    """

    __slots__ = ("_json", "_tail", "deep")

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._tail = ""
        self.deep = 0

    def copy(self) -> Depth:
        """Another, which is read on by itself."""
        made = Depth(json=self._json)
        made._tail, made.deep = self._tail, self.deep
        return made

    def read(self, text: str) -> None:
        """Reads on."""
        if '"' not in text:
            self._tail = (self._tail + text)[-_BACKSLASHES:]
            return
        old = len(self._tail)
        text = self._tail + text
        quote = text.find('"', old)
        while quote >= 0:
            before = text[max(0, quote - _BACKSLASHES) : quote]
            rest = before.rstrip("\\")
            # Escaped backslashes stand before those that escape the quote.
            escapes = len(before) - len(rest) + 1
            level = (escapes & -escapes).bit_length() - 1
            if self.deep > level:
                self.deep = level
            elif self._json or rest.rstrip()[-1:] in _OPENS:
                self.deep = level + 1
            quote = text.find('"', quote + 1)
        self._tail = text[-_BACKSLASHES:]


def written(value: str, depth: int) -> str:
    """The value as it stands in so many strings of JSON."""
    for _ in range(depth):
        value = dumped(value)[1:-1]
    return value


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
