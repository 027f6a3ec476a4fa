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
#: Sessions that one text is remembered for.
_RECEIVERS: Final = 8
_BLOCK: Final = re.compile(r"```(?:[\w+-]*[ \t]*\n|\w*[ \t]+)?(.*?)```", re.DOTALL)
_INLINE: Final = re.compile(r"(?<!`)`([^`\n]{24,})`(?!`)")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
#: Words that any statement has: two others are needed, or `SELECT * FROM users` of the application would match.
_KEYWORDS: Final = frozenset(
    [
        "select",
        "from",
        "where",
        "and",
        "or",
        "not",
        "in",
        "is",
        "null",
        "as",
        "on",
        "join",
        "left",
        "right",
        "inner",
        "outer",
        "cross",
        "full",
        "group",
        "by",
        "order",
        "having",
        "limit",
        "offset",
        "distinct",
        "all",
        "union",
        "intersect",
        "except",
        "insert",
        "into",
        "values",
        "update",
        "set",
        "delete",
        "create",
        "table",
        "index",
        "view",
        "drop",
        "alter",
        "add",
        "column",
        "truncate",
        "with",
        "recursive",
        "case",
        "when",
        "then",
        "else",
        "end",
        "like",
        "between",
        "exists",
        "asc",
        "desc",
        "count",
        "sum",
        "min",
        "max",
        "avg",
        "if",
        "begin",
        "commit",
        "rollback",
        "replace",
        "returning",
        "using",
        "primary",
        "key",
        "unique",
        "default",
        "true",
        "false",
    ]
)


class Answers:
    """Texts of answers, each with the session that received it. Safe to use from several threads."""

    __slots__ = ("_lock", "_texts", "received")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        #: normalised text → (the sessions that received it, when it expires)
        self._texts: OrderedDict[str, tuple[tuple[Run, ...], float]] = OrderedDict()
        #: Whether this process has received any model answer.
        self.received = False

    def add(self, answer: Any, run: Run) -> None:
        """Keeps the strings and code blocks of an answer. Call it before the answer's last part is handed out."""
        self.received = True
        now = time.monotonic()
        for text in _pieces(answer, 0):
            key = _normal(text)
            if not _telling(key):
                continue
            with self._lock:
                former = self._texts.get(key)
                runs: tuple[Run, ...] = (run,)
                if former is not None and former[1] > now and run not in former[0]:
                    runs = (*former[0], run)[-_RECEIVERS:]
                # One assignment: a look-up takes no lock, and must never find nothing in between.
                self._texts[key] = (runs, now + _SECONDS)
                self._texts.move_to_end(key)
                if len(self._texts) > _ENTRIES:
                    self._texts.popitem(last=False)

    def find(self, statement: str) -> tuple[Run, ...]:
        """The sessions whose models wrote this statement, the latest last; empty if none did."""
        if not self._texts or len(statement) > _LONGEST:
            return ()
        found = self._texts.get(_normal(statement))
        return () if found is None or found[1] < time.monotonic() else found[0]


def _pieces(answer: Any, depth: int) -> Iterator[str]:
    if isinstance(answer, str):
        if len(answer) < _SHORTEST:
            return
        if len(answer) <= _LONGEST:
            yield answer
        yield from (match[1] for match in _BLOCK.finditer(answer))
        yield from (match[1] for match in _INLINE.finditer(answer))
        start = answer.lstrip()
        if start[:1] in ("{", "[") and depth < _DEEPEST:
            try:
                yield from _pieces(msgspec.json.decode(start), depth + 1)
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
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
