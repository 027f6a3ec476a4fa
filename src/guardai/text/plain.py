"""The engine without native code: the same anchors, found by `bytes.find` and small expressions."""

from __future__ import annotations

from guardai.text.program import NUMBER, Program

__all__ = ["PlainEngine"]


class PlainEngine:
    """Needs nothing but Python. Slower, but linear: a literal is looked for by the interpreter's own search."""

    name = "python"

    def __init__(self, program: Program) -> None:
        self._exact = [
            (i, a.literal, a.then.match if a.then else None, a.width)
            for i, a in enumerate(program.anchors)
            if a.literal and not a.ignore_case
        ]
        self._folded = [
            (i, a.literal, a.then.match if a.then else None, a.width)
            for i, a in enumerate(program.anchors)
            if a.literal and a.ignore_case
        ]
        self._plain = [(i, a.plain.finditer) for i, a in enumerate(program.anchors) if a.plain and i != NUMBER]
        number = program.anchors[NUMBER].plain
        assert number is not None
        self._number = number.search

    def scan(self, data: bytes) -> list[tuple[int, int, int]]:
        """Where the anchors are: `(to, id, start)`."""
        hits: list[tuple[int, int, int]] = []
        for where, table in ((data, self._exact), (data.lower(), self._folded)):
            for i, literal, then, width in table:
                at = where.find(literal)
                while at >= 0:
                    if then is None or then(data, at + len(literal)):
                        hits.append((at + width, i, 0))
                    at = where.find(literal, at + 1)
        for i, finditer in self._plain:
            hits += [(match.end(), i, 0) for match in finditer(data)]
        if first := self._number(data):
            # One hit for all of them: where they are is looked for again where they are judged.
            hits.append((len(data), NUMBER, first.start()))
        return hits
