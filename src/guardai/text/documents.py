"""JSON inside of a string: whether a text is a document that can be looked into and written anew."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

__all__ = ["BEGINS", "bracketed", "in_string", "parsed"]


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


def in_string(data: bytes, at: int) -> bool:
    """Whether `at` stands within a string of a JSON document."""
    return len(_QUOTE.findall(data, 0, at)) % 2 == 1


#: A quote that no backslash escapes.
_QUOTE: Final = re.compile(rb'(?:[^"\\]|\\.)*+"', re.DOTALL)
