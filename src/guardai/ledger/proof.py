"""A proof that a leaf is in a tree, as a file that needs nothing else: C2SP's tlog-proof.

::

    c2sp.org/tlog-proof@v1
    extra <base64>
    index 73894
    <hash, base64>
    …

    <signed checkpoint>

What is `extra` is opaque to the format, and vouched for by nothing in it (https://c2sp.org/tlog-proof).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NamedTuple

__all__ = ["Proof", "ProofError"]

_FIRST: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")
_HASH: Final = 32
#: Bytes. An event has 60,000 at most, base64 makes 80,000 of them; the rest is room for a certificate and witnesses.
_MAX: Final = 256 * 1024


class ProofError(ValueError):
    """A proof does not hold, or cannot be given; the message says why."""


class Proof(NamedTuple):
    """The parts of a proof.

    Attributes:
        leaf: its place in the tree, from 0.
        path: from its sibling up to the root's child; 32 bytes each.
        checkpoint: the signed tree head.
        extra: what the application needs besides.
    """

    leaf: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    def text(self) -> bytes:
        """The file."""
        lines = [_FIRST, *([f"extra {_encoded(self.extra)}"] if self.extra else []), f"index {self.leaf}"]
        return "\n".join([*lines, *map(_encoded, self.path), "", self.checkpoint]).encode()

    @classmethod
    def read(cls, data: bytes) -> Proof:
        """The parts of a file. There is one spelling of a proof: what has another, or bytes too many, is none.

        Raises:
            ProofError: it is none.
        """
        if len(data) > _MAX:
            raise ProofError("it is larger than any proof")
        try:
            head, _, checkpoint = data.decode().partition("\n\n")
            first, *lines = head.split("\n")
            extra = base64.b64decode(lines.pop(0)[6:], validate=True) if lines[0].startswith("extra ") else b""
            found = _INDEX.fullmatch(lines.pop(0))
            path = tuple(base64.b64decode(line, validate=True) for line in lines)
        except (UnicodeDecodeError, binascii.Error, ValueError, IndexError):
            raise ProofError("it is no C2SP tlog-proof") from None
        if first != _FIRST or found is None or any(len(one) != _HASH for one in path):
            raise ProofError("it is no C2SP tlog-proof")
        proof = cls(int(found[1]), path, checkpoint, extra)
        if proof.text() != data:
            raise ProofError("it is written in another way than a proof is")
        return proof


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
