"""A request's body as JSON-like data that the gate can read: what the client would send, without what is no text.

Iterators are read once, models dumped as the client dumps them. INVARIANT: what was given is never changed; the copy
shares every part that is as it was.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from guardai_openai.opaque import PARTS, RAW, inline, numbers
from guardai_openai.paths import Path

__all__ = ["Body", "merged"]

_ATOMS: Final = frozenset({int, float, bool, type(None)})
#: What stands under these keys is no content: definitions, in which the names of parts mean something else.
_DEFINITIONS: Final = frozenset({"functions", "metadata", "response_format", "tools"})


def merged(body: Any, extra: Any) -> Any:
    """The body with `extra_body` in it, as the client merges them when it builds the request.

    INVARIANT: what is decided about and masked is the merged form; nothing joins it later.
    """
    if extra is None:
        return body
    if body is None:
        return dict(extra)
    if not isinstance(body, Mapping):
        return None  # the client refuses to merge these
    omit = sys.modules["openai._types"].Omit
    return {key: value for key, value in {**body, **extra}.items() if not isinstance(value, omit)}


class Body:
    """A body, read.

    Attributes:
        data: JSON-like, a number standing where something was lifted out.
        lifted: what was, and where.
        labels: of what cannot be masked.
    """

    __slots__ = ("data", "labels", "lifted")

    def __init__(self, body: Any) -> None:
        self.labels: set[str] = set()
        self.lifted: list[tuple[Path, Any]] = []
        self.data = self._read(body, (), None, content=True)
        if isinstance(self.data, dict) and (numbers(self.data.get("input")) or numbers(self.data.get("prompt"))):
            self.labels.add(RAW)

    def _read(self, value: Any, path: Path, part: str | None, *, content: bool) -> Any:
        kind = type(value)
        if kind is dict:
            if content:
                named = value.get("type")
                label = PARTS.get(named) if type(named) is str else None
                if label is not None:
                    self.labels.add(label)
                    part = label
            return self._each(value, value.items(), path, part, content=content)
        if kind is list:
            return self._each(value, enumerate(value), path, part, content=content)
        if kind is str or kind in _ATOMS:
            return value
        if isinstance(value, (bytes, bytearray)):
            self.labels.add(RAW)
            self.lifted.append((path, value))
            return len(value)
        if isinstance(value, (tuple, Iterator)):
            return self._read(list(value), path, part, content=content)
        # Subclasses, dates, models: what the client's own encoder makes of them. It raises what it always raised.
        return self._read(
            json.loads(sys.modules["openai._utils._json"].openapi_dumps(value)), path, part, content=content
        )

    def _each(self, value: Any, items: Any, path: Path, part: str | None, *, content: bool) -> Any:
        copy: Any = None
        for key, child in items:
            if type(child) is str:
                if part is None and not child.startswith("data:"):
                    continue
                label = inline(key, child, part)
                if label is None:
                    continue
                self.labels.add(label)
                self.lifted.append(((*path, key), child))
                read: Any = len(child)
            elif type(child) in _ATOMS:
                continue
            else:
                read = self._read(
                    child, (*path, key), part, content=content and (bool(path) or key not in _DEFINITIONS)
                )
                if read is child:
                    continue
            if copy is None:
                copy = value.copy()
            copy[key] = read
        return value if copy is None else copy
