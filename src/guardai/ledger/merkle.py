"""The RFC 6962 Merkle tree over all leaves, kept in tiles as C2SP tlog-tiles does.

A tile of level 0 holds up to 256 leaf hashes; one of level n the roots of up to 256 full tiles of level n-1. The tree is
only ever appended to, so its whole state is its rightmost tiles.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EMPTY_ROOT", "WIDTH", "Tiles", "Tree", "leaf_hash"]

WIDTH: Final = 256
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_NODE: Final = hashlib.sha256(b"\1")
_LEAF: Final = hashlib.sha256(b"\0")


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data)."""
    hasher = _LEAF.copy()
    hasher.update(data)
    return hasher.digest()


def _node(left: bytes, right: bytes) -> bytes:
    hasher = _NODE.copy()
    hasher.update(left + right)
    return hasher.digest()


def _perfect(hashes: list[bytes]) -> bytes:
    """Root of a perfect subtree, whose width is a power of two."""
    while len(hashes) > 1:
        hashes = [_node(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


class Tiles(Protocol):
    """Where tiles are kept."""

    def get_tile(self, level: int, index: int) -> bytes:
        """The hashes of a tile, 32 bytes each; b"" if there is none."""
        ...

    def put_tile(self, level: int, index: int, hashes: bytes) -> None:
        """Stores a tile, replacing a shorter version of it."""
        ...


class Tree:
    """The right edge of a tree of `size` leaves.

    Raises:
        ValueError: the stored tiles do not add up to that size.
    """

    def __init__(self, tiles: Tiles, size: int = 0) -> None:
        self._tiles = tiles
        self._edges: list[list[bytes]] = []
        self.size = size
        level, width = 0, size
        while width:
            index, count = divmod(width, WIDTH)
            stored = tiles.get_tile(level, index) if count else b""
            if len(stored) != 32 * count:
                raise ValueError(f"tile {level}/{index} holds {len(stored) // 32} hashes instead of {count}")
            self._edges.append([stored[i : i + 32] for i in range(0, len(stored), 32)])
            level, width = level + 1, index

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Appends leaf hashes and stores every tile that they touch."""
        touched = self._append(0, leaves)
        self.size += touched

    def _append(self, level: int, hashes: Iterable[bytes]) -> int:
        if level == len(self._edges):
            self._edges.append([])
        edge = self._edges[level]
        base = (self.size >> (8 * level)) // WIDTH
        roots: list[bytes] = []
        count = 0
        for value in hashes:
            edge.append(value)
            count += 1
            if len(edge) == WIDTH:
                self._tiles.put_tile(level, base + len(roots), b"".join(edge))
                roots.append(_perfect(edge))
                edge = self._edges[level] = []
        if edge and count:
            self._tiles.put_tile(level, base + len(roots), b"".join(edge))
        if roots:
            self._append(level + 1, roots)
        return count

    def root(self) -> bytes:
        """The root of the tree as it stands."""
        if not self.size:
            return EMPTY_ROOT
        subtrees: list[bytes] = []
        for edge in reversed(self._edges):
            start = 0
            while start < len(edge):
                width = 1 << ((len(edge) - start).bit_length() - 1)
                subtrees.append(_perfect(edge[start : start + width]))
                start += width
        root = subtrees.pop()
        while subtrees:
            root = _node(subtrees.pop(), root)
        return root
