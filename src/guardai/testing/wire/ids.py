"""Ids as the provider writes them: the same from run to run, and nothing that a detector could take for data."""

from __future__ import annotations

import threading
from collections import Counter
from hashlib import blake2b
from typing import Final

__all__ = ["Ids"]

#: No digits: a run of twelve of them may be a payment card.
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Ids:
    """A source of ids for one server. Each prefix counts by itself."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, prefix: str) -> str:
        """A new id, such as `call_kTzQ…`."""
        with self._lock:
            self._counts[prefix] += 1
            n = self._counts[prefix]
        digest = blake2b(f"{prefix}{n}".encode(), digest_size=24).digest()
        return prefix + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest)
