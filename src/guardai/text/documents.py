"""JSON inside of a string: whether a text is a document that can be looked into and written anew, and how deep one is."""

from __future__ import annotations

import json
import math
from typing import Any, Final

__all__ = ["BEGINS", "Depth", "bracketed", "parsed", "unwritten", "written"]


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


def parsed(text: str) -> Any:
    """The JSON document in `text`, or None if it is none, or none that can be written anew without loss."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_float=_finite)
    except (ValueError, RecursionError):
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands there twice, and one of the values would be lost")
    return made


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is larger than any that could be written")
    return number


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
        value = json.dumps(value, ensure_ascii=False)[1:-1]
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
