"""Which leaf hashes the signed checkpoints vouch for.

The tree is stored as tiles. If the tiles add up to the root that was signed, every stored leaf hash is vouched for, and
an event that does not hash to its leaf was changed. If they do not, the events themselves are tried: should *they* add up
to the signed root, it is the tiles that were damaged, and no event is.

The tree is built again from its leaves, of which one tile is in memory at a time: a large store takes no more than a small one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Final

from guardai.ledger.merkle import WIDTH, Tree
from guardai.ledger.note import Checkpoint, NoteError, open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from guardai.ledger.merkle import Tiles
    from guardai.ledger.store import Store

__all__ = ["Leaves", "StoredTree", "adds_up", "read_checkpoints", "read_tree"]

_HASH: Final = 32
#: Leaves that are folded at once: those below one tile of level 1.
_BLOCK: Final = WIDTH * WIDTH


@dataclass(frozen=True)
class StoredTree:
    """What the store's tiles say.

    Attributes:
        agrees: their leaf hashes add up to each checkpoint, and the newest covers them all.
        consistent: likewise, every other tile follows from them, and there is none too many.
    """

    agrees: bool
    consistent: bool


class Leaves:
    """The leaf hashes of the stored tiles, for who reads them in their order."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._index = -1
        self._tile = b""

    def __getitem__(self, leaf: int) -> bytes:
        """A leaf's hash; b"" if the tiles have none."""
        index, place = divmod(leaf, WIDTH)
        if index != self._index:
            self._index, self._tile = index, self._store.get_tile(0, index)
        return self._tile[place * _HASH : (place + 1) * _HASH]


class _Nowhere:
    """Keeps no tile."""

    def get_tile(self, level: int, index: int) -> bytes:
        raise ValueError(f"tile {level}/{index} was not kept")

    def put_tile(self, level: int, index: int, hashes: bytes) -> None:
        """A tile that follows from the leaves."""


class _Compared(_Nowhere):
    """Compares each tile with the stored one, which may have grown since."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.same = True

    def put_tile(self, level: int, index: int, hashes: bytes) -> None:
        if level and self.same:  # those of level 0 are where the leaves are from
            stored = self._store.get_tile(level, index)
            self.same = isinstance(stored, bytes) and stored.startswith(hashes)


def adds_up(leaves: Iterable[bytes], checkpoints: Sequence[Checkpoint], tiles: Tiles | None = None) -> bool:
    """Whether these leaf hashes have the roots that were signed.

    Args:
        leaves: read once, in their order.
        checkpoints: in the order of their sizes.
        tiles: told each tile.
    """
    tree = Tree(tiles or _Nowhere())
    leaves = iter(leaves)
    for checkpoint in checkpoints:
        while tree.size < checkpoint.size:
            before = tree.size
            tree.extend(islice(leaves, min(_BLOCK - before % _BLOCK, checkpoint.size - before)))
            if tree.size == before:
                return False
        if tree.root() != checkpoint.root:
            return False
    return next(leaves, None) is None


def read_tree(store: Store, checkpoints: Sequence[Checkpoint]) -> StoredTree:
    """Compares the tiles with the checkpoints, which are in the order of their sizes.

    Raises:
        StoreError: the tiles cannot be read.
    """
    compared = _Compared(store)
    agrees = adds_up(_leaves(store), checkpoints, compared)
    complete = _is_complete(store, checkpoints[-1].size if checkpoints else 0)
    return StoredTree(agrees, agrees and compared.same and complete)


def _leaves(store: Store) -> Iterator[bytes]:
    """The leaf hashes, up to the first gap."""
    tiles = store.db.execute("SELECT idx, hashes FROM tiles WHERE level = 0 ORDER BY idx")
    for due, (index, hashes) in enumerate(tiles):
        if index != due or not isinstance(hashes, bytes):
            return
        for place in range(0, len(hashes), _HASH):
            yield hashes[place : place + _HASH]
        if len(hashes) != WIDTH * _HASH:
            return


def _is_complete(store: Store, size: int) -> bool:
    """Whether there is each tile of a tree of this size, as long as it must be, and no other."""
    mistyped = store.dialect.mistyped_tile
    stored = store.db.execute(f"SELECT level, idx, length(hashes), {mistyped} FROM tiles ORDER BY level, idx")  # noqa: S608 - our words
    return all(one == other for one, other in zip_longest(stored, _shape(size)))


def _shape(size: int) -> Iterator[tuple[int, int, int, int]]:
    """Level, index and bytes of each tile of a tree, and 0: none of them is of another type."""
    level = 0
    while size:
        full, rest = divmod(size, WIDTH)
        for index in range(full):
            yield level, index, WIDTH * _HASH, 0
        if rest:
            yield level, full, rest * _HASH, 0
        level, size = level + 1, full


def read_checkpoints(store: Store, origin: str, keys: Sequence[bytes]) -> tuple[list[Checkpoint], int]:
    """The checkpoints whose signatures hold, smallest first, and how many others there are.

    Raises:
        StoreError: they cannot be read.
    """
    good: list[Checkpoint] = []
    bad = 0
    for size, note in store.db.execute("SELECT size, note FROM checkpoints ORDER BY size"):
        try:
            checkpoint = open_checkpoint(note, origin, keys)
            if checkpoint.size != size:
                raise NoteError("filed under another size")
            good.append(checkpoint)
        except (NoteError, TypeError, AttributeError):
            bad += 1
    return good, bad
