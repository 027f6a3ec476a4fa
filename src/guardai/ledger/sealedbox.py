"""A message that only the host can open: X25519, HKDF-SHA256, ChaCha20-Poly1305.

The ephemeral key is used once, so a constant nonce is safe. Layout: ephemeral public key (32) ‖ ciphertext and tag.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["open_box", "seal_box"]

_NONCE: Final = bytes(12)
_INFO: Final = b"guardai sealed box v1"


def seal_box(recipient: bytes, message: bytes, context: bytes) -> bytes:
    """Encrypts `message` to the holder of the X25519 public key `recipient`, bound to `context`."""
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    return public + ChaCha20Poly1305(_derive(shared, public, recipient)).encrypt(_NONCE, message, context)


def open_box(key: X25519PrivateKey, box: bytes, context: bytes) -> bytes | None:
    """The message, or None if the box was made for another key or context, or was altered."""
    public, ciphertext = box[:32], box[32:]
    try:
        shared = key.exchange(X25519PublicKey.from_public_bytes(public))
        derived = _derive(shared, public, key.public_key().public_bytes_raw())
        return ChaCha20Poly1305(derived).decrypt(_NONCE, ciphertext, context)
    except (ValueError, InvalidTag):
        return None


def _derive(shared: bytes, public: bytes, recipient: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=public + recipient, info=_INFO).derive(shared)
