"""Keys that sign bundles: a pair that is made, and the public ones that count (see `guardai.signers`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from guardai.errors import ConfigError
from guardai.signers import Ask, public, signer

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

__all__ = ["Ask", "make", "public", "public_all", "signer"]


def make(path: Path, passphrase: str = "") -> SSlibKey:
    """Makes an Ed25519 key pair: `path`, which only its owner can read, and `path.pub`.

    Args:
        path: where the private key goes.
        passphrase: encrypts it; "" leaves it as it is.

    Raises:
        ConfigError: one of the files is there already, or cannot be written: then neither is left; or the passphrase is too long.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    beside = path.with_name(path.name + ".pub")
    for file in (path, beside):
        if file.exists():
            raise ConfigError(f"{file} is there already; a key is never overwritten")
    private = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    try:
        if passphrase:
            encryption = serialization.BestAvailableEncryption(passphrase.encode())
        pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    except ValueError:
        raise ConfigError(f"{path}: this passphrase encrypts no key; 1023 bytes of UTF-8 at most do") from None
    shown = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    made: list[Path] = []
    for file, mode, content in ((path, 0o600, pem), (beside, 0o666, shown)):
        try:
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
            made.append(file)
            with os.fdopen(fd, "wb") as opened:
                opened.write(content)
        except OSError as error:
            for one in made:  # half a pair is no key, and would be in the way of the next
                one.unlink(missing_ok=True)
            raise ConfigError(f"{file}: cannot be written: {error.strerror}") from None
    return public(beside)


def public_all(paths: Iterable[Path]) -> dict[str, SSlibKey]:
    """Public keys by id. The same key in two files is one key: a threshold counts keys, not files."""
    keys = [public(path) for path in paths]
    return {key.keyid: key for key in keys}
