"""Signed heads: one signature that covers every event of a log up to a position.

A `.sig` file holds one head a line. What is signed is a short text, not JSON, so that there is one way to write it. A
head of a log is signed by the log's own key, or, after its process died, by the host's (`by` tells which).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from guardai.ledger.certs import verify_signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Head", "holds", "parse_heads", "sign_head"]

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`seq` is the last event covered, `hash` its leaf hash, `ts` its time."""

    by: str
    hash: str
    seq: int
    sig: str
    ts: int

    def line(self) -> bytes:
        """As it stands in a `.sig` file."""
        return _encode(self) + b"\n"


_decode: Final = msgspec.json.Decoder(Head, strict=True).decode


def _message(log: str, seq: int, leaf: str, ts: int) -> bytes:
    return f"guardai head v1\n{log}\n{seq}\n{leaf}\n{ts}\n".encode()


def sign_head(key: Ed25519PrivateKey, by: str, *, log: str, seq: int, leaf: str, ts: int) -> Head:
    """Signs everything up to and including event `seq`, whose leaf hash (hex) is `leaf`."""
    return Head(by, leaf, seq, key.sign(_message(log, seq, leaf, ts)).hex(), ts)


def holds(head: Head, log: str, public: bytes) -> bool:
    """Whether the head's signature is by this key, for this log."""
    return verify_signature(public, head.sig, _message(log, head.seq, head.hash, head.ts))


def parse_heads(content: bytes) -> tuple[list[Head], int]:
    """The heads of a `.sig` file, and how many of its lines are none.

    What follows the last newline is not counted: its write was cut short by the death of the process.
    """
    heads: list[Head] = []
    bad = 0
    *lines, rest = content.split(b"\n")
    if rest.rstrip(b"}").find(b"}") >= 0 or rest.endswith(b"}}"):
        bad += 1  # more than a line that was cut short can hold: its end was altered
    for line in lines:
        try:
            head = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            bad += 1
            continue
        if head.line()[:-1] == line:
            heads.append(head)
        else:
            # A second spelling of the same head (a space, an escaped letter) is an altered file.
            bad += 1
    return heads, bad
