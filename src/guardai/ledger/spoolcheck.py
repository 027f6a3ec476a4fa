"""Checks one spool half a megabyte at a time, so that a long one takes no more memory than a short one.

INVARIANT: pieces only ever tell that a log is whole. At the first thing that does not fit, or is out of the ordinary, the log is
examined anew from its first line to its last (`chain.examine`), which takes as much memory as the log is long: only who sees
what stands around a fault can name it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from guardai.ledger.chain import Examined, check_spelling, examine
from guardai.ledger.heads import Head, parse_heads
from guardai.ledger.merkle import leaf_hash
from guardai.ledger.reading import LogView, read_lines, read_log, read_part
from guardai.ledger.spelling import read_canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from guardai.ledger.layout import Layout
    from guardai.ledger.trust import Trust

__all__ = ["Spooled", "check_spool"]

#: Bytes of a spool, and of its heads, that are in memory at once.
_PIECE: Final = 512 * 1024
_HEADS: Final = 16 * 1024


class _Odd(Exception):
    """The log must be examined as a whole."""


@dataclass
class Spooled(Examined):
    """What is known of a whole log, without its lines, leaves and times.

    Attributes:
        sound: how many events there are before the first fault.
        places: where in the spool the events at some positions begin; the first is (0, 0).
    """

    sound: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)

    def hash_at(self, layout: Layout, seq: int) -> str | None:
        """The leaf hash (hex) of an event, as the spool is now; None if it is gone, or was cut there."""
        base, offset = self.places[bisect_right(self.places, seq, key=lambda place: place[0]) - 1]
        view = read_lines(layout, self.view.log, base=base, offset=offset, limit=-1 if self.faults else _PIECE)
        if view is None or seq - base >= len(view.lines):
            return None
        return leaf_hash(view.lines[seq - base].rpartition(b"\t")[0]).hex()


def check_spool(layout: Layout, log: str, trust: Trust, progress: Callable[[int], None]) -> Spooled | None:
    """Checks everything about a spool that it says about itself, and the spelling of its events; None if there is no spool.

    Args:
        layout: of the home.
        log: which log; it may be growing meanwhile.
        trust: the root key, and the host's where it is at hand.
        progress: called with the number of events checked since the last call.
    """
    told = 0

    def tell(events: int) -> None:
        nonlocal told
        told += events
        progress(events)

    try:
        return _in_pieces(layout, log, trust, tell)
    except _Odd:
        view = read_log(layout, log)
    if view is None:
        return None
    examined = examine(view, trust)
    examined.faults.extend(check_spelling(examined))
    progress(max(0, len(view.lines) - told))
    return _summary(examined, sound=len(examined.leaves), places=[(0, 0)])


def _in_pieces(layout: Layout, log: str, trust: Trust, progress: Callable[[int], None]) -> Spooled | None:
    whole: Spooled | None = None
    after = None
    for view, last in _pieces(layout, log):
        examined = examine(view, trust, after, read=read_canonical)
        if examined.faults or len(examined.leaves) < len(view.lines) or (examined.records and not last):
            raise _Odd
        part = _summary(examined, sound=examined.events, places=[(view.base, after.offset if after else 0)])
        whole = part if whole is None else _joined(whole, part)
        after = examined.cursor() or after
        progress(len(view.lines))
    return whole


def _summary(examined: Examined, *, sound: int, places: list[tuple[int, int]]) -> Spooled:
    known = {**vars(examined), "leaves": [], "times": [], "view": replace(examined.view, lines=[])}
    return Spooled(**known, sound=sound, places=places)


def _joined(before: Spooled, part: Spooled) -> Spooled:
    """What is known of a log up to and including a part of it."""
    return replace(
        part,
        signed=max(before.signed, part.signed),
        head=part.head or before.head,
        recovered=before.recovered + part.recovered,
        countersigned=before.countersigned + part.countersigned,
        revocations=before.revocations + part.revocations,
        places=before.places + part.places,
    )


def _pieces(layout: Layout, log: str) -> Iterator[tuple[LogView, bool]]:
    """The log piece by piece, and which is the last; none if there is no spool.

    All but the last end at a signed head, if there is one: what a host countersigned begins behind the log's own last head.
    """
    heads = _Heads(layout.heads(log))
    base = offset = 0
    last = False
    while not last:
        view = read_lines(layout, log, base=base, offset=offset, limit=_PIECE)
        if view is None:
            if base:
                raise _Odd
            return
        last = view.end + view.torn - offset < _PIECE
        if not last and not view.lines:
            raise _Odd
        view = replace(view, heads=heads.before(None if last else base + len(view.lines)))
        if not last and view.heads:
            view = view.upto(view.heads[-1].seq)
        yield view, last
        base, offset = base + len(view.lines), view.end


class _Heads:
    """The signed heads that are there now. One that is added later may cover events that were not read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size if path.exists() else 0
        self._offset = 0
        self._cut = b""
        self._ready: deque[Head] = deque()
        self._newest = -1

    def before(self, stop: int | None) -> list[Head]:
        """The next ones, over events before position `stop`, or all.

        Raises:
            _Odd: one is not whole, or they are out of order.
        """
        found = []
        while True:
            while self._ready and (stop is None or self._ready[0].seq < stop):
                found.append(self._ready.popleft())
            if self._ready or self._offset == self._size:
                return found
            self._read_on()

    def _read_on(self) -> None:
        content = read_part(self._path, self._offset, min(_HEADS, self._size - self._offset))
        if not content:
            raise _Odd
        self._offset += len(content)
        content = self._cut + content
        whole = content.rfind(b"\n") + 1 if self._offset < self._size else len(content)
        self._cut = content[whole:]
        heads, bad = parse_heads(content[:whole])
        for head in heads:
            if head.seq <= self._newest:
                raise _Odd
            self._newest = head.seq
        if bad:
            raise _Odd
        self._ready.extend(heads)
