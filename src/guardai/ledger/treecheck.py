"""Which leaf hashes the signed checkpoints vouch for.

The tree is stored as tiles. If the tiles add up to the root that was signed, every stored leaf hash is vouched for, and
an event that does not hash to its leaf was changed. If they do not, the events themselves are tried: should *they* add up
to the signed root, it is the tiles that were damaged, and no event is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardai.ledger.merkle import WIDTH, Tree
from guardai.ledger.note import Checkpoint, NoteError, open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardai.ledger.store import Store

__all__ = ["StoredTree", "read_checkpoints", "read_tree"]

_HASH: Final = 32


class _Rebuilt:
    """Tiles in memory."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}

    def get_tile(self, level: int, index: int) -> bytes:
        return self.tiles.get((level, index), b"")

    def put_tile(self, level: int, index: int, hashes: bytes) -> None:
        self.tiles[level, index] = hashes


@dataclass
class StoredTree:
    """What the store's tiles say.

    Attributes:
        leaves: the leaf hashes of level 0.
        consistent: every other tile follows from them, and there is none too many.
    """

    leaves: list[bytes]
    consistent: bool

    def agrees(self, checkpoints: Sequence[Checkpoint]) -> bool:
        """Whether the leaves add up to each checkpoint, and the newest covers them all."""
        return adds_up(self.leaves, checkpoints)


def adds_up(leaves: Sequence[bytes], checkpoints: Sequence[Checkpoint]) -> bool:
    """Whether these leaf hashes have the roots that were signed; `checkpoints` in the order of their sizes."""
    tree = Tree(_Rebuilt())
    for checkpoint in checkpoints:
        if checkpoint.size > len(leaves):
            return False
        tree.extend(leaves[tree.size : checkpoint.size])
        if tree.root() != checkpoint.root:
            return False
    return tree.size == len(leaves)


def read_tree(store: Store) -> StoredTree:
    """Reads the tiles.

    Raises:
        sqlite3.Error: they cannot be read.
    """
    stored: dict[tuple[int, int], bytes] = {}
    sound = True
    for level, index, hashes in store.db.execute("SELECT level, idx, hashes FROM tiles"):
        if isinstance(level, int) and isinstance(index, int) and isinstance(hashes, bytes):
            stored[level, index] = hashes
        else:
            sound = False
    leaves: list[bytes] = []
    for index in range(len(stored)):
        tile = stored.get((0, index), b"")
        leaves.extend(tile[i : i + _HASH] for i in range(0, len(tile), _HASH))
        if len(tile) != WIDTH * _HASH:
            break
    rebuilt = _Rebuilt()
    Tree(rebuilt).extend(leaves)
    return StoredTree(leaves, sound and stored == rebuilt.tiles)


def read_checkpoints(store: Store, origin: str, keys: Sequence[bytes]) -> tuple[list[Checkpoint], int]:
    """The checkpoints whose signatures hold, smallest first, and how many others there are.

    Raises:
        sqlite3.Error: they cannot be read.
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
