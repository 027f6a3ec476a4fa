"""A span of text that bears a label."""

from __future__ import annotations

import msgspec

__all__ = ["Finding"]


class Finding(msgspec.Struct, frozen=True, order=True):
    """A span of text that bears a label. It holds no text: a finding may be logged, a value may not.

    Attributes:
        start, end: character offsets into the scanned `str`, end exclusive.
        label: the kind of data, `pii.email`.
        score: how sure, 0 to 1; 1.0 where a validator (a checksum, say) agreed.
    """

    start: int
    end: int
    label: str
    score: float = 1.0
