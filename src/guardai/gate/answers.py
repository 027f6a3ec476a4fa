"""The text that models have answered, looked up by what arrives at a database cursor.

A model's own SQL is recognised where nobody opened a session: the statement's text, white space aside, equals a string
or a code block of an answer that this process received. The look-up is exact, bounded and expires.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from guardai.gate.run import Run

__all__ = ["Answers"]

_SHORTEST: Final = 24
_LONGEST: Final = 64 * 1024
_ENTRIES: Final = 4096
_SECONDS: Final = 3600.0
_DEEPEST: Final = 6
_BLOCK: Final = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_INLINE: Final = re.compile(r"(?<!`)`([^`\n]{24,})`(?!`)")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
#: Words that any statement has: two others are needed, or `SELECT * FROM users` of the application would match.
_KEYWORDS: Final = frozenset(
    ["select", "from", "where", "and", "or", "not", "in", "is", "null", "as", "on", "join", "left", "right", "inner", "outer", "cross", "full", "group", "by", "order", "having", "limit", "offset", "distinct", "all", "union", "intersect", "except", "insert", "into", "values", "update", "set", "delete", "create", "table", "index", "view", "drop", "alter", "add", "column", "truncate", "with", "recursive", "case", "when", "then", "else", "end", "like", "between", "exists", "asc", "desc", "count", "sum", "min", "max", "avg", "if", "begin", "commit", "rollback", "replace", "returning", "using", "primary", "key", "unique", "default", "true", "false"]
)


class Answers:
    """Texts of answers, each with the session that received it. Safe to use from several threads."""

    __slots__ = ("_lock", "_texts", "received")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: normalised text → (session, when it expires, several sessions received it)
        self._texts: OrderedDict[str, tuple[Run, float, bool]] = OrderedDict()
        #: Whether this process has received any model answer.
        self.received = False

    def add(self, answer: Any, run: Run) -> None:
        """Keeps the strings and code blocks of an answer. Call it before the answer's last part is handed out."""
        self.received = True
        expires = time.monotonic() + _SECONDS
        for text in _pieces(answer, 0):
            key = _normal(text)
            if not _telling(key):
                continue
            with self._lock:
                former = self._texts.pop(key, None)
                several = former is not None and (former[2] or former[0] is not run)
                self._texts[key] = (run, expires, several)
                if len(self._texts) > _ENTRIES:
                    self._texts.popitem(last=False)

    def find(self, statement: str) -> tuple[Run, bool] | None:
        """The session whose model wrote this statement, and whether several did; None if none did."""
        if not self._texts or len(statement) > _LONGEST:
            return None
        found = self._texts.get(_normal(statement))
        if found is None or found[1] < time.monotonic():
            return None
        return found[0], found[2]


def _pieces(answer: Any, depth: int) -> Iterator[str]:
    if isinstance(answer, str):
        if _SHORTEST <= len(answer) <= _LONGEST:
            yield answer
            yield from (match[1] for match in _BLOCK.finditer(answer))
            yield from (match[1] for match in _INLINE.finditer(answer))
            if answer[0] in "{[" and depth < _DEEPEST:
                try:
                    yield from _pieces(msgspec.json.decode(answer), depth + 1)
                except (msgspec.DecodeError, RecursionError):
                    pass  # text that only looks like JSON; its own form was kept above
    elif isinstance(answer, dict):
        for value in answer.values():
            yield from _pieces(value, depth)
    elif isinstance(answer, (list, tuple)):
        for value in answer:
            yield from _pieces(value, depth)


def _normal(text: str) -> str:
    return " ".join(text.split()).rstrip("; ")


def _telling(text: str) -> bool:
    if not _SHORTEST <= len(text) <= _LONGEST:
        return False
    others = {word for word in _WORD.findall(text) if word.lower() not in _KEYWORDS}
    return len(others) >= 2
