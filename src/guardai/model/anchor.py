"""Anchors: somebody else who vouches for tree heads of this ledger, so that its owner cannot cut off what is under them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

__all__ = ["Anchor", "TreeHead", "Vouched"]


@dataclass(frozen=True)
class TreeHead:
    """A signed tree head of this ledger.

    Attributes:
        note: as it was signed (C2SP tlog-checkpoint).
        origin: names the tree.
        size: how many events are under it.
        root: given that size or a smaller one, the root of the tree of so many events; 32 bytes.
        consistency: given a smaller size, the proof that the tree of that size is the beginning of this one (RFC 6962, 2.1.2);
            32 bytes each.
        note_at: given a smaller size, the signed head of the tree of so many events, if it is kept still.
        moments: times that somebody wants to know of what was vouched for before them; seconds since 1970.
    """

    note: str
    origin: str
    size: int
    root: Callable[[int], bytes] = field(repr=False, compare=False)
    consistency: Callable[[int], Sequence[bytes]] = field(repr=False, compare=False)
    note_at: Callable[[int], str | None] = field(default=lambda _: None, repr=False, compare=False)
    moments: tuple[int, ...] = ()


class Vouched(NamedTuple):
    """A tree head that an anchor vouches for.

    Attributes:
        note: the head as the ledger's own host signed it.
        time: when the anchor had it, by its own clock; seconds since 1970, 0 if it does not say.
        size: of the events under it, how many the anchor vouched for before it was asked now; None: all.
    """

    note: str
    time: int
    size: int | None = None


class Anchor(Protocol):
    """Somebody else. Nothing of it is kept between two calls that a fork would break.

    One whose word does not last may have an attribute `renew`: seconds after which it wants to be handed the same tree head again.
    """

    def submit(self, head: TreeHead, *, seconds: float) -> str:
        """Hands over a tree head, and returns what it gave for that: a receipt, of at most 64 KB of text; "" if none.

        Raises:
            AnchorAhead: it knows a head that this ledger's tree does not go on from. The ledger was cut, or forked.
            AnchorError: it did not take it, or not in time.
        """
        ...

    def check(self, receipt: str) -> Vouched:
        """What a receipt proves, without asking anybody.

        Raises:
            AnchorError: nothing.
        """
        ...

    def ask(self, head: TreeHead, *, seconds: float) -> Iterable[Vouched]:
        """What it holds of this ledger; nothing if it keeps nothing, and can be believed by its receipts alone.

        What disagrees with this ledger first, for one that was cut and grown again has a larger head there, too: as much of it as is
        needed to tell. What agrees may be left out, but for the largest, and the largest before each of the head's `moments`. What
        came before it raises counts.

        Args:
            head: the ledger's newest.
            seconds: when that long has passed it should raise.

        Raises:
            AnchorAhead: as for `submit`.
            AnchorError: it cannot be asked, or does not answer in time.
        """
        ...
