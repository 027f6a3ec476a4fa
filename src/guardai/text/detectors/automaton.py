r"""An expression as an automaton without empty moves: one state for each place where it reads a byte (Glushkov 1961).

A path through it is one way in which a backtracking matcher reads a text; an edge says how many ways of the expression
it stands for: `(a*)*` has two from its `a` to itself. So the paths count the ways (`safety.py`).

What is not looked at adds paths, and takes none away: `^`, `\b` and lookbehinds hold everywhere, a group referred to may
be any bytes of its width, an atomic group may be entered again, and what is read ahead is read besides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, Final, NamedTuple

__all__ = ["ALL", "Automaton", "Edge", "Unclear", "mask_of", "parser"]

#: All bytes, as a set of bits.
ALL: Final = (1 << 256) - 1
#: What a repeat of fewer times is: written out, even where the others are loops.
_FOLD: Final = 4
#: States; a repeat that would make more is a loop, which can only add paths.
_MAX_STATES: Final = 4_000
#: A count that is as good as infinite.
_MANY: Final = 10**12
_SINGLE: Final = frozenset(("LITERAL", "NOT_LITERAL", "ANY", "IN"))

#: (state, the bytes that lead there, in how many ways)
Edge = tuple[int, int, int]


class Unclear(Exception):
    """An expression cannot be judged; the message says why."""


def parser() -> ModuleType | None:
    """The parser behind `re`, which is no public module; None in an interpreter that has none of this name."""
    try:
        found = import_module("re._parser")
    except ImportError:
        return None
    return found if hasattr(found, "parse") else None


def mask_of(values: Iterable[int]) -> int:
    """Bytes as a set of bits."""
    mask = 0
    for byte in values:
        mask |= 1 << byte
    return mask


class _Part(NamedTuple):
    """A piece of the expression.

    Attributes:
        empty: in how many ways it matches nothing: (bytes that may follow, ways).
        first: the states that it may begin in.
        last: the states that it may end in: (state, bytes that may follow, ways).
    """

    empty: tuple[tuple[int, int], ...]
    first: tuple[Edge, ...]
    last: tuple[Edge, ...]


_NOTHING: Final = _Part(((ALL, 1),), (), ())


class Automaton:
    """The states of an expression and the edges between them; state 0 is where it is tried.

    Args:
        tree: what the parser made of the expression.
        length: how many bytes it will see: no repeat is written out further.
        fold: whether repeats become loops: fewer states, and more paths if anything.

    Attributes:
        reads: state → the bytes that it reads.
        edges: state → edges.
        behind: the trees of lookbehinds, which are read elsewhere.
        ends: states behind an end, of the whole or of what is read ahead: they stand for whatever comes next.
        ahead: states of what is read ahead.
        groups: group → the state before its first one.

    Raises:
        Unclear: it holds what is not known here, or is too large.
    """

    def __init__(self, tree: Any, length: int, *, fold: bool) -> None:
        self._length = length
        self._fold = fold
        self.reads: list[int] = [0]
        self.edges: list[list[Edge]] = [[]]
        self._widths: dict[int, tuple[int, int]] = {}
        self.behind: list[Any] = []
        self.ends: set[int] = set()
        self.ahead: set[int] = set()
        self.groups: dict[int, int] = {}
        # One state behind the end: there, too, one may arrive in many ways.
        whole = self._then(self._sequence(tree, tree.state.flags), self._end())
        self.edges[0] = list(whole.first)

    # ---- pieces ----

    def _state(self, reads: int) -> _Part:
        if len(self.reads) >= 4 * _MAX_STATES:
            raise Unclear("it is too large")
        state = len(self.reads)
        self.reads.append(reads)
        self.edges.append([])
        return _Part((), ((state, ALL, 1),), ((state, ALL, 1),))

    def _end(self) -> _Part:
        self.ends.add(len(self.reads))
        return self._state(ALL)

    def _sequence(self, tree: Any, flags: int) -> _Part:
        part = _NOTHING
        for op, argument in tree:
            part = self._then(part, self._piece(str(op), argument, flags))
        return part

    def _then(self, one: _Part, two: _Part) -> _Part:
        """One after the other."""
        self._join(one.last, two.first)
        return _Part(
            _summed((a & b, m * n) for a, m in one.empty for b, n in two.empty),
            _merged([*one.first, *((s, mask & a, m * n) for a, m in one.empty for s, mask, n in two.first)]),
            _merged([*two.last, *((s, mask & a, m * n) for a, m in two.empty for s, mask, n in one.last)]),
        )

    def _join(self, last: Iterable[Edge], first: Iterable[Edge]) -> None:
        first = tuple(first)
        for state, mask, ways in last:
            self.edges[state] += [
                (to, both, min(ways * more, _MANY)) for to, other, more in first if (both := mask & other)
            ]

    def _piece(self, op: str, argument: Any, flags: int) -> _Part:
        if op in _SINGLE:
            return self._state(_bytes(op, argument, flags))
        if op == "AT":
            return self._at(str(argument))
        if op == "SUBPATTERN":
            group, add, remove, body = argument
            if group is not None:
                self._widths[group] = body.getwidth()
                self.groups.setdefault(group, len(self.reads) - 1)
            return self._sequence(body, (flags | add) & ~remove)
        if op == "ATOMIC_GROUP":
            return self._sequence(argument, flags)
        if op == "BRANCH":
            return _either([self._sequence(branch, flags) for branch in argument[1]])
        if op in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, body = argument
            made = self._times(lambda: self._sequence(body, flags), int(least), int(most), body.getwidth()[0])
            return self._possessive(made, body, flags, int(most)) if op == "POSSESSIVE_REPEAT" else made
        if op in ("ASSERT", "ASSERT_NOT"):
            direction, body = argument
            if direction < 0:
                self.behind.append(body)
                return _NOTHING
            before = len(self.reads)
            ahead = self._then(self._sequence(body, flags), self._end())
            self.ahead.update(range(before, len(self.reads)))
            return _Part(_NOTHING.empty, ahead.first, ())  # read, and thrown away
        if op == "GROUPREF":
            least, most = self._widths.get(argument, (0, self._length))
            return self._times(lambda: self._state(ALL), int(least), int(most), 1)
        if op == "GROUPREF_EXISTS":
            _, yes, no = argument
            return _either([self._sequence(yes, flags), self._sequence(no, flags) if no else _NOTHING])
        if op == "FAILURE":
            return _Part((), self._state(ALL).first, ())
        raise Unclear(f"it holds {op.lower()}, which is not known here")

    def _at(self, place: str) -> _Part:  # noqa: ARG002 -- see `admit.py`
        """What stands for a place, such as the beginning of a word: it is taken to be there."""
        return _NOTHING

    # ---- repeats ----

    def _times(self, make: Callable[[], _Part], least: int, most: int, width: int) -> _Part:
        """Something at least `width` wide, `least` to `most` times. More often than there are bytes is for ever."""
        fit = self._length // max(width, 1)
        endless = most > fit
        most = min(most, fit)
        # Nothing is read from nothing as often as it is asked for; what has a width fits only so often.
        least = min(least, most) if width else min(least, _MAX_STATES)
        if not (most or endless):
            return _NOTHING
        before = len(self.reads)
        part = make()
        size = len(self.reads) - before
        # What was read as nothing, as often as it must be, may be read once more as something.
        again = bool(part.empty) and least > 0
        copies = max(least + again, 1) if endless else most
        if (self._fold and copies > _FOLD and not again) or before + size * copies > _MAX_STATES:
            if again:
                raise Unclear("it repeats what may be empty")
            self._join(part.last, part.first)
            made = _Part(part.empty if least else _NOTHING.empty, part.first, part.last)
        else:
            made = self._written_out(make, part, least, copies, endless=endless)
        if part.empty and (endless or most > least):
            # Where a repeat may end, one more time for nothing is tried too, once.
            made = self._then(made, _Part(_summed((*_NOTHING.empty, *part.empty)), (), ()))
        return made

    def _written_out(self, make: Callable[[], _Part], part: _Part, least: int, copies: int, *, endless: bool) -> _Part:
        whole = _NOTHING
        for at in range(least):
            part = make() if at else part
            whole = self._then(whole, part)
        previous = part.last
        ends = list(whole.last)
        for at in range(least, copies):
            # One more, or none: what stood before may be the end.
            part = make() if at else part
            if at == least:
                whole = _Part(whole.empty, self._then(whole, _Part((), part.first, part.last)).first, ())
            else:
                self._join(previous, part.first)
            previous = part.last
            ends += previous
        if endless:
            self._join(previous, part.first)
        return _Part(whole.empty, whole.first, _merged(ends))

    def _possessive(self, made: _Part, body: Any, flags: int, most: int) -> _Part:
        """Of one kind of byte it takes all there are, so none of them comes next."""
        reads = _single(body, flags)
        if reads is None or most < self._length:
            return made
        closed = ALL ^ reads
        return _Part(
            tuple((mask & closed, ways) for mask, ways in made.empty),
            made.first,
            tuple((state, mask & closed, ways) for state, mask, ways in made.last),
        )


def _merged(ends: Iterable[Edge]) -> tuple[Edge, ...]:
    """The same state by the same bytes, once."""
    made: dict[tuple[int, int], int] = {}
    for state, mask, ways in ends:
        if mask:
            made[state, mask] = min(made.get((state, mask), 0) + ways, _MANY)
    return tuple((state, mask, ways) for (state, mask), ways in made.items())


def _summed(empty: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    made: dict[int, int] = {}
    for mask, ways in empty:
        made[mask] = min(made.get(mask, 0) + ways, _MANY)
    return tuple(made.items())


def _either(parts: list[_Part]) -> _Part:
    return _Part(
        _summed(one for part in parts for one in part.empty),
        tuple(one for part in parts for one in part.first),
        tuple(one for part in parts for one in part.last),
    )


# ---- one byte ----

_FOLDED: Final = tuple(1 << byte | (1 << (byte ^ 0x20) if 0x41 <= byte & ~0x20 <= 0x5A else 0) for byte in range(256))


def _single(body: Any, flags: int) -> int | None:
    """The bytes of a piece that reads exactly one; None for any other."""
    while len(body) == 1 and str(body[0][0]) == "SUBPATTERN":
        _, add, remove, inner = body[0][1]
        body, flags = inner, (flags | add) & ~remove
    if len(body) != 1 or str(body[0][0]) not in _SINGLE:
        return None
    return _bytes(str(body[0][0]), body[0][1], flags)


def _bytes(op: str, argument: Any, flags: int) -> int:
    """The bytes that a piece of one byte reads."""
    fold = bool(flags & re.IGNORECASE)
    if op == "ANY":
        return ALL if flags & re.DOTALL else ALL ^ (1 << 0x0A)
    if op == "IN":
        return _class(argument, fold=fold)
    byte: int = _FOLDED[argument] if fold else 1 << argument
    return ALL ^ byte if op == "NOT_LITERAL" else byte


def _class(items: Any, *, fold: bool) -> int:
    mask, negated = 0, False
    for op, argument in items:
        name = str(op)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            mask |= _FOLDED[argument] if fold else 1 << argument
        elif name == "RANGE":
            low, high = argument
            for byte in range(low, high + 1):
                mask |= _FOLDED[byte] if fold else 1 << byte
        elif name == "CATEGORY":
            mask |= _category(str(argument))
        else:
            raise Unclear(f"a class holds {name.lower()}, which is not known here")
    return ALL ^ mask if negated else mask


@lru_cache(maxsize=16)
def _category(name: str) -> int:
    """The bytes that a digit, a word or a space stands for, asked of `re` itself."""
    kind = name.rpartition("_")[2].lower()[:1]
    sign = kind.upper() if "_NOT_" in name else kind
    return mask_of(byte for byte in range(256) if re.match(b"\\" + sign.encode(), bytes((byte,))))
