"""What a value may become."""

from __future__ import annotations

from typing import Final, Literal, get_args

__all__ = ["MASKS", "Mask", "strongest"]

Mask = Literal["drop", "null", "redact", "hash", "shift", "fpe", "partial", "token"]

#: Strongest first: where two policies owe different masks, the one that tells least wins.
MASKS: Final[tuple[Mask, ...]] = get_args(Mask)
_RANK: Final = {mask: rank for rank, mask in enumerate(MASKS)}


def strongest(masks: list[Mask]) -> Mask:
    """The mask that tells least. `masks` is not empty."""
    return min(masks, key=_RANK.__getitem__)
