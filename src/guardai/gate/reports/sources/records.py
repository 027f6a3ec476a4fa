"""JSON with one object a row: a file with an object a line, or one array of objects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from guardai.gate.reports.sources.encoding import Encoding
from guardai.gate.reports.sources.lines import SMALL, Lines
from guardai.gate.reports.sources.relation import Field, Relation, Sample, SourceError, chance
from guardai.text import scan

__all__ = ["Records"]

#: Below this depth an object is a value, as text.
_DEEPEST: Final = 12
#: Different names of columns; what comes after is one column.
_MOST: Final = 2000
_LONGEST: Final = 128
#: Keys at one place from which on they may be values themselves.
_MAP: Final = 32
_LINES: Final = frozenset({".jsonl", ".ndjson", ".jsonlines"})
_REST: Final = "*"

_Row = dict[str, Any]


class Records:
    """A file of JSON objects.

    Keys of objects within objects are joined by dots, `customer.email`; `[]` stands for any element of a list. A key that
    holds what is sensitive, or that is like no name, is `*`, and so are many keys at one place that hardly ever come twice:
    where values are keys, the names of columns would tell them.

    Args:
        path: the file.
        encoding: of its text.
        count: rows that are read: the columns are what these have.
        most: bytes up to which the file is read whole, to draw rows from all of it; of an array, bytes that are read.

    Raises:
        SourceError: it is JSON of another shape, a setting say, or none.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, encoding: Encoding, count: int, most: int = SMALL) -> None:
        self._path, self._encoding, self._most = path, encoding, most
        self._lines = path.suffix.lower() in _LINES
        self._broken = 0
        self._larger = False
        self._open: frozenset[str] = frozenset()
        self._safe: dict[str, str] = {}
        self._names: dict[str, None] = {}
        if not self._lines and not self._is_array():
            first = [line for line, _ in zip(self._lines_of(), range(3), strict=False) if line.strip()]
            if len(first) < 2 or not all(isinstance(_parsed(line), dict) for line in first[:2]):
                raise SourceError("no rows: JSON of another shape")
            self._lines = True
        rows = list(self._sample(count))
        # By path of an object: how often it stands there, and how often each of its keys.
        self._maps: dict[str, tuple[list[int], Counter[str]]] = {}
        for row in rows:
            self._flat(row)
        self._open = frozenset(path for path, (seen, keys) in self._maps.items() if _is_map(seen[0], keys))
        self._names.clear()
        self._rows = [self._flat(row) for row in rows]

    def relations(self) -> list[Relation]:
        """The file itself; its columns are those of a sample."""
        return [Relation(self._path.stem, "", "file", tuple(Field(name) for name in self._names), True)]

    def sample(self, relation: Relation, fields: Sequence[Field], count: int) -> Sample:  # noqa: ARG002 -- as `Database`
        """See `Database`; `count` was given before."""
        return Sample([[row.get(field.name) for field in fields] for row in self._rows], self._broken, self._larger)

    def close(self) -> None:
        """Nothing is open between two calls."""

    # ---- rows ----

    def _lines_of(self) -> Iterator[str]:
        return Lines(self._path, self._encoding, self._most).first()

    def _is_array(self) -> bool:
        return any(isinstance(row, dict) for row, _ in zip(self._elements(), range(3), strict=False))

    def _elements(self) -> Iterator[Any]:
        """The elements of an array, as far as `most` bytes of the file go."""
        with self._path.open("rb") as file:
            file.seek(self._encoding.mark)
            text = file.read(self._most).decode(self._encoding.codec, "replace")
        at = len(text) - len(text.lstrip())
        if text[at : at + 1] != "[":
            return
        decoder, at = json.JSONDecoder(), at + 1
        while True:
            while at < len(text) and text[at] in " \t\r\n,":
                at += 1
            if at >= len(text) or text[at] == "]":
                return
            try:
                element, at = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                # Cut off here, or broken.
                self._broken = int(self._path.stat().st_size <= self._most)
                return
            yield element

    def _objects(self, lines: Iterable[str]) -> Iterator[Any]:
        for line in lines:
            if not line.strip():
                continue
            row = _parsed(line)
            if row is None:
                self._broken += 1
            else:
                yield row

    def _sample(self, count: int) -> Iterator[Any]:
        self._broken = 0
        half, draw = count // 2, chance()
        lines = Lines(self._path, self._encoding, self._most)
        whole = not self._lines or lines.whole
        kept: list[Any] = []
        seen = 0
        for row in self._objects(lines.first()) if self._lines else self._elements():
            seen += 1
            if seen <= count - half:
                yield row
            elif not whole:
                break
            elif len(kept) < half:
                kept.append(row)
            elif (place := draw.randrange(seen - (count - half))) < half:
                kept[place] = row
        yield from kept
        self._larger = seen > count or not lines.whole
        self._broken += lines.long
        if not whole and seen > count - half:
            broken, each = self._broken, max(1, half // 64)
            for block in lines.anywhere(draw):
                yield from list(self._objects(block))[:each]
            self._broken = broken  # what was drawn may begin within a line

    # ---- columns ----

    def _flat(self, row: Any) -> _Row:
        made: _Row = {}
        stack: list[tuple[str, Any, int]] = [("", row, 0)]
        while stack:
            path, value, depth = stack.pop()
            if isinstance(value, dict) and depth < _DEEPEST:
                seen, keys = self._maps.setdefault(path, ([0], Counter()))
                seen[0] += 1
                keys.update(value.keys() if len(keys) < _MOST else ())
                for key, inner in reversed(value.items()):
                    name = _REST if path in self._open else self._key(key)
                    stack.append((f"{path}.{name}" if path else name, inner, depth + 1))
            elif isinstance(value, list) and depth < _DEEPEST and any(isinstance(one, dict | list) for one in value):
                stack.extend((f"{path}[]", one, depth + 1) for one in reversed(value))
            else:
                name = path or "value"
                if name not in self._names:
                    if len(self._names) >= _MOST:
                        name = _REST
                    self._names[name] = None
                if name not in made:
                    made[name] = value
                elif isinstance(made[name], list):
                    made[name] = [*made[name], value]
                else:
                    made[name] = [made[name], value]
        return made

    def _key(self, key: str) -> str:
        safe = self._safe.get(key)
        if safe is None:
            name = bool(key) and len(key) <= _LONGEST and any(c.isalpha() for c in key) and "\n" not in key
            safe = key if name and not scan(key) else _REST
            if len(self._safe) < 4 * _MOST:
                self._safe[key] = safe
        return safe


def _is_map(seen: int, keys: Counter[str]) -> bool:
    """Whether the keys are values, such as people's names: many, and hardly one of them stands in two objects."""
    return len(keys) > _MAP and sum(keys.values()) * 20 <= len(keys) * seen


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
