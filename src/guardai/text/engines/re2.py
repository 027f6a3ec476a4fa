"""The engine that google-re2 drives: one automaton says which anchors a window holds, small searches say where.

What was found by trying, and is kept to here: a set answers with ids alone, and with nothing where it has no memory to
answer, so it is asked for a known anchor before it is used; it lets go of the interpreter's lock and holds locks of its
own, so a forked child compiles anew; and larger windows are not slower, with fewer occasions to wait for that lock.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Final

from guardai.text.detectors.detector import PackError
from guardai.text.judging.program import NUMBER
from guardai.text.judging.runs import WIDE

if TYPE_CHECKING:
    from guardai.text.engines.plain import PlainEngine
    from guardai.text.judging.program import Program

__all__ = ["Re2Engine"]

#: How many bytes are asked for at once.
_WINDOW: Final = 8192
#: Bytes that the automaton may take for what it has seen; it forgets and goes on when they are full.
_MEMORY: Final = 16 << 20


class Re2Engine:
    """One automaton, for any number of threads.

    Raises:
        ImportError: there is no google-re2 here.
        PackError: the packs do not fit into its memory.
    """

    name = "re2"

    def __init__(self, program: Program, spare: PlainEngine) -> None:
        import re2

        self._re2: Any = re2
        self._sources = [(f"(?i:{a.expression})" if a.ignore_case else a.expression).encode() for a in program.anchors]
        # Where a window has digits, all numbers in it are looked for: which of them a word announces is no question then.
        self._sources[NUMBER] = WIDE.encode()
        self._within, self._numbers = spare.within, spare.numbers
        #: Windows overlap, so that each anchor lies in one of them.
        self._asked = _WINDOW + spare.widest
        self._see = _set(re2, self._sources)
        _alive.add(self)

    def scan(self, data: bytes) -> list[tuple[int, int, int]]:
        """Where the anchors are: `(to, id, start)`."""
        hits: list[tuple[int, int, int]] = []
        size, asked, see, within = len(data), self._asked, self._see, self._within
        first = last = 0  # of the stretch of windows with numbers
        done: dict[int, int] = {}
        low = 0
        while True:
            high = low + asked
            for anchor in see(data[low:high] if size > asked else data) or ():
                if anchor == NUMBER:
                    if low > last:
                        if last:
                            hits += self._numbers(data, first, last)
                        first = low
                    last = min(high, size)
                else:
                    hits += within(anchor, data, max(low, done.get(anchor, 0)), min(high, size))
                    done[anchor] = high
            if high >= size:
                break
            low += _WINDOW
        if last:
            hits += self._numbers(data, first, last)
        return hits

    def renew(self) -> None:
        """Another thread of the parent may have held the automaton's locks, and is not there to let go."""
        self._see = self._anew

    def _anew(self, text: bytes) -> Any:
        self._see = _set(self._re2, self._sources)
        return self._see(text)


_alive: weakref.WeakSet[Re2Engine] = weakref.WeakSet()


def _renew() -> None:
    for engine in tuple(_alive):
        engine.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def _set(re2: Any, sources: list[bytes]) -> Any:
    """What answers a text with the ids of the anchors that are in it, or None.

    Raises:
        PackError: there are too many for its memory.
    """
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MEMORY
    options.dot_nl = options.never_capture = True
    options.log_errors = False
    made = re2.Set.SearchSet(options)
    try:
        for source in sources:
            made.Add(source)
        made.Compile()
    except re2.error as error:
        raise PackError(f"the packs cannot be used with google-re2: {error}") from error
    see = made.Match
    if NUMBER not in (see(b" 123 456 ") or ()):
        raise PackError(f"the packs leave google-re2 too little of its {_MEMORY >> 20} MB to work with")
    return see
