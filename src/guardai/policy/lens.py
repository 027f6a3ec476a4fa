"""Which part of a call's context an answer depends on: the key it is remembered by, and the values it is asked with.

Both are read through the same object, so an answer cannot depend on a value that is not part of its key.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Final

from guardai.policy.tree import Reads
from guardai.policy.vocabulary import COUNTERS, SCALARS

__all__ = ["Lens", "counted"]

#: Sets that a policy may always read: nobody has agreed and nothing is granted until the context says so.
_DEFAULTS: Final[dict[str, tuple[str, ...]]] = {"approvals": (), "grants": ()}


#: What is above counters: `count`, `count.calls`, …
_ABOVE: Final = frozenset(name.rsplit(".", parts)[0] for name in COUNTERS for parts in (1, 2))


def counted(read: Reads) -> tuple[str, ...]:
    """The counters that are read: named, or below a record that is named. The context as a whole names none."""
    named = {path for path in (*read.values, *read.present) if path in COUNTERS or path in _ABOVE}
    if not named:
        return ()
    return tuple(sorted(name for name in COUNTERS if any(f"{name}.".startswith(f"{path}.") for path in named)))


class Lens:
    """What a slice reads, picked out of a flat context with dotted names.

    Attributes:
        names: read with one `get` each.
        counted: counters, which are not the context's to tell. INVARIANT: what depends on them is never remembered.
        simple: `names` are all there is to it.
    """

    __slots__ = ("_all", "_open", "_records", "_skip", "counted", "names", "simple")

    def __init__(self, read: Reads, *, skip: str = "") -> None:
        """`skip` is a record that the question itself carries (`to`), so that it need not be in the context's key."""
        self._skip = f"{skip}." if skip else ""
        self.counted = counted(read)
        counts = {*self.counted, *_ABOVE} if self.counted else frozenset()
        values = {path for path in read.values if not self._skipped(path)} - counts
        present = {path for path in read.present if not self._skipped(path)} - counts
        self.names = tuple(sorted(values | present))
        # A name that is no declared value can turn out to be a record: then all below it is read.
        self._open = tuple((path, f"{path}.") for path in sorted(values - SCALARS.keys()))
        self._records = tuple(
            (path, f"{path}.", tuple(name for name in SCALARS if name.startswith(f"{path}.")))
            for path in sorted(present - SCALARS.keys())
        )
        self._all = read.all
        self.simple = not (self._open or self._records or self._all or self.counted)

    def _skipped(self, path: str) -> bool:
        return bool(self._skip) and f"{path}.".startswith(self._skip)

    def key(self, context: Mapping[str, object]) -> Hashable:
        """What the answer may be remembered by, for any lens; where `simple`, `tuple(map(context.get, names))` is as good.

        Raises:
            TypeError: a value is of a kind that cannot be remembered, hence none that policies know.
        """
        if self._all:
            return tuple((name, value, type(value)) for name, value in context.items())
        base = tuple(map(context.get, self.names))
        below = tuple(self._below(prefix, context) for path, prefix in self._open if context.get(path) is None)
        there = tuple(self._there(record, context) for record in self._records)
        return base, tuple(map(type, base)), below, there

    def values(self, context: Mapping[str, object]) -> dict[str, object]:
        """The values to ask with."""
        if self._all:
            picked = {name: value for name, value in context.items() if not self._skipped(name)}
            return {**_DEFAULTS, **picked}
        picked = {name: context[name] for name in self.names if name in context}
        for path, prefix in self._open:
            if path not in picked:
                picked.update((name, value) for name, value, _ in self._below(prefix, context))
        for name, value in _DEFAULTS.items():
            if name in self.names:
                picked.setdefault(name, value)
        return picked

    def records(self, context: Mapping[str, object]) -> list[str]:
        """The records that are there, of those whose presence is asked for."""
        return [record[0] for record in self._records if self._there(record, context) and record[0] not in context]

    @staticmethod
    def _below(prefix: str, context: Mapping[str, object]) -> tuple[tuple[str, object, type], ...]:
        return tuple((name, value, type(value)) for name, value in context.items() if name.startswith(prefix))

    @staticmethod
    def _there(record: tuple[str, str, tuple[str, ...]], context: Mapping[str, object]) -> bool:
        _, prefix, leaves = record
        # The declared names first: they are there nearly always, and the walk over all names costs a microsecond.
        return any(name in context for name in leaves) or any(name.startswith(prefix) for name in context)
