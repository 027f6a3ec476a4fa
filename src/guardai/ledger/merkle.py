"""The RFC 6962 Merkle tree over all leaves, kept in tiles as C2SP tlog-tiles does.

A tile of level 0 holds up to 256 leaf hashes; one of level n the roots of up to 256 full tiles of level n-1. The tree is
only ever appended to, so its whole state is its rightmost tiles.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["EMPTY_ROOT", "WIDTH", "Tiles", "Tree", "consistency", "inclusion", "leaf_hash", "root_at", "root_of"]

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


def _hashes(tile: bytes) -> list[bytes]:
    return [tile[i : i + 32] for i in range(0, len(tile), 32)]


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
            self._edges.append(_hashes(stored))
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


class _First:
    """The tiles of the first leaves of a tree that has grown since."""

    def __init__(self, tiles: Tiles, size: int) -> None:
        self._tiles = tiles
        self._size = size

    def get_tile(self, level: int, index: int) -> bytes:
        return self._tiles.get_tile(level, index)[: 32 * max(0, (self._size >> (8 * level)) - index * WIDTH)]

    def put_tile(self, level: int, index: int, hashes: bytes) -> None:
        raise ValueError(f"tile {level}/{index} is not to be changed ({len(hashes)} bytes)")


def root_at(tiles: Tiles, size: int) -> bytes:
    """The root of the first `size` leaves of a tree, which may have grown since.

    Raises:
        ValueError: there are not so many, or a tile is missing.
    """
    return Tree(_First(tiles, size), size).root()


def inclusion(tiles: Tiles, index: int, size: int) -> list[bytes]:
    """The audit path of a leaf in the tree of the first `size` leaves, from its sibling up to the root's child (RFC 6962, 2.1.1).

    Args:
        tiles: of that tree, or of one that has grown since.
        index: of the leaf, from 0.
        size: of the tree.

    Raises:
        ValueError: there is no such leaf, or a tile is missing.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        split = start + _split(stop - start)
        if index < split:
            path.append(_subtree(tiles, split, stop))
            stop = split
        else:
            path.append(_subtree(tiles, start, split))
            start = split
    return path[::-1]


def consistency(tiles: Tiles, old: int, size: int) -> list[bytes]:
    """The proof that the tree of the first `old` leaves is the beginning of that of the first `size` (RFC 6962, 2.1.2).

    Empty for a tree of nothing, and for the same tree.

    Args:
        tiles: of that tree, or of one that has grown since.
        old: leaves of the smaller tree.
        size: of the larger one.

    Raises:
        ValueError: the smaller tree is the larger one, or a tile is missing.
    """
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {size} leaves does not begin with one of {old}")
    proof: list[bytes] = []
    start, stop = 0, size
    while old and stop != old:
        split = start + _split(stop - start)
        if old <= split:
            proof.append(_subtree(tiles, split, stop))
            stop = split
        else:
            proof.append(_subtree(tiles, start, split))
            start = split
    if start:  # else it is the old tree itself, whose root the other side has
        proof.append(_subtree(tiles, start, stop))
    return proof[::-1]


def root_of(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an audit path leads to (RFC 9162, 2.1.3.2); None if it is too long or too short for that place."""
    if not 0 <= index < size:
        return None
    place, last, root = index, size - 1, leaf
    for sibling in path:
        if not last:
            return None
        if place & 1 or place == last:
            root = _node(sibling, root)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            root = _node(root, sibling)
        place, last = place >> 1, last >> 1
    return None if last else root


def _split(width: int) -> int:
    """The largest power of two smaller than the width."""
    return 1 << ((width - 1).bit_length() - 1)


def _subtree(tiles: Tiles, start: int, stop: int) -> bytes:
    """The root over leaves `start` to `stop` (exclusive), where RFC 6962 splits a tree."""
    width = stop - start
    if width & (width - 1):
        split = start + _split(width)
        return _node(_subtree(tiles, start, split), _subtree(tiles, split, stop))
    level = (width.bit_length() - 1) // 8
    count = width >> (8 * level)
    tile, first = divmod(start >> (8 * level), WIDTH)
    found = _hashes(tiles.get_tile(level, tile))[first : first + count]
    if len(found) != count:
        raise ValueError(f"tile {level}/{tile} has fewer hashes than its tree")
    return _perfect(found)
