"""The files of psycopg2's COPY: what stands before a program's own, so that lines are masked on their way."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, Final

from guardai_dbapi.statement import Statement

__all__ = ["Form", "Sink", "Source", "TextSink"]

#: Characters of an unfinished line that are kept back to be inspected as a whole.
_LINE: Final = 1 << 20


class Form:
    """PostgreSQL's text format."""

    __slots__ = ("null", "sep")

    def __init__(self, sep: str = "\t", null: str = r"\N") -> None:
        self.sep = sep
        self.null = null


_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_ESCAPED: Final = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\v": r"\v", "\f": r"\f", "\r": r"\r", "\\": "\\\\"}


def _loaded(field: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), field, flags=re.DOTALL)


def _dumped(cell: Any, form: Form) -> str:
    if cell is None:
        return form.null
    return "".join(_ESCAPED.get(c, "\\" + c if c == form.sep else c) for c in str(cell))


class Sink:
    """Stands before a program's file: lines of a COPY are masked before it sees them."""

    def __init__(self, file: Any, form: Form, statement: Statement, encoding: str) -> None:
        self._file = file
        self._form = form
        self._statement = statement
        self._encoding = encoding
        self._lines: list[Any] = []
        self._size = 0

    def write(self, data: Any) -> int:
        self._lines.append(data)
        self._size += len(data)
        if self._size > _LINE:
            self.over()
        return len(data)

    def over(self) -> None:
        """Hands on what has come; the server sends whole lines."""
        lines, self._lines, self._size = self._lines, [], 0
        rows = [self._fields(line) for line in lines]
        if not rows:
            return
        passing = self._statement.rows or self._statement.began([""] * len(rows[0]))
        for line, row, seen in zip(lines, rows, passing.many(rows), strict=True):
            if seen is not row and seen != row:
                made = self._form.sep.join(_dumped(cell, self._form) for cell in seen) + "\n"
                self._file.write(made if isinstance(line, str) else made.encode(self._encoding, "surrogateescape"))
            else:
                self._file.write(line)

    def _fields(self, line: Any) -> tuple[str | None, ...]:
        text = line if isinstance(line, str) else bytes(line).decode(self._encoding, "surrogateescape")
        fields = _fields(text.removesuffix("\n"), self._form.sep)
        return tuple(None if field == self._form.null else _loaded(field) for field in fields)


class TextSink(Sink, io.TextIOBase):
    """For a file of text: psycopg2 asks whether it is one."""


def _fields(line: str, sep: str) -> Iterator[str]:
    """The fields of a line; a separator after a backslash is none."""
    start = at = 0
    while at < len(line):
        if line[at] == "\\":
            at += 2
            continue
        if line.startswith(sep, at):
            yield line[start:at]
            at = start = at + len(sep)
            continue
        at += 1
    yield line[start:]


class Source:
    """Stands before a program's file: lines of a COPY leave as policy lets them."""

    def __init__(self, file: Any, statement: Statement, encoding: str) -> None:
        self._file = file
        self._ticket = statement.ticket
        self._encoding = encoding
        self._tail: Any = None

    def read(self, size: int = -1) -> Any:
        while True:
            block = self._file.read(size)
            whole = block if self._tail is None else self._tail + block
            end = len(whole)
            if block and end <= _LINE:
                end = whole.rfind("\n" if isinstance(whole, str) else b"\n") + 1
            lines, self._tail = whole[:end], whole[end:]
            if lines:
                return self._leaving(lines)
            if not block:
                return block

    def _leaving(self, lines: Any) -> Any:
        text = lines if isinstance(lines, str) else bytes(lines).decode(self._encoding, "surrogateescape")
        masked = next(iter(self._ticket.leaving([text])))
        return masked if isinstance(lines, str) else masked.encode(self._encoding, "surrogateescape")
