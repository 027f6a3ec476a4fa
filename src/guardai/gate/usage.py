"""What a model's answer used: as events tell it, and in tokens for the counters that policies limit."""

from __future__ import annotations

from typing import Final

__all__ = ["counted", "tokens_used"]

#: What providers call the two halves: the one way or the other.
_HALVES: Final = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))
#: Bytes that are taken for a token where nobody counted: fewer than a token has in any language that is written much.
_BYTES: Final = 3

#: Beyond it an integer in an event becomes a text.
_SAFE: Final = 2**53


def counted(usage: object) -> dict[str, int]:
    """The integers of what a provider reported. What is none is no count, and an integration may hand on anything."""
    if not isinstance(usage, dict):
        return {}
    return {str(name): n for name, n in usage.items() if type(n) is int and -_SAFE < n < _SAFE}


def tokens_used(usage: object, exchanged: int) -> int:
    """What the provider counted; what it did not count is estimated, rather than taken for nothing.

    Args:
        usage: the provider's count, if it told.
        exchanged: bytes that were sent and received.
    """
    if isinstance(usage, dict):
        halves = (sum(_number(usage.get(half)) for half in both) for both in _HALVES)
        counted = _number(usage.get("total_tokens")) or max(halves)
        if counted > 0:
            return counted
    return -(-exchanged // _BYTES)


def _number(value: object) -> int:
    return value if type(value) is int and value > 0 else 0
