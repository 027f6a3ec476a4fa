"""The root key: what it signs, hosts are believed and revoked by.

Its private half is a file of the home (`root.key`), a file elsewhere, or in a KMS or HSM that never gives it away
(`guardai.signers`). Only its public half has to be in the home (`root.pub`, PEM).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from guardai.errors import ConfigError, LedgerError
from guardai.ledger.certs import ED25519, key_id, one_spelling, public_bytes, verify_signature
from guardai.ledger.hostfiles import load_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from guardai.ledger.layout import Layout
    from guardai.signers import Ask

__all__ = ["Root", "public_key", "public_pem", "root_at", "root_on_file", "root_public"]

_PUBLIC: Final = "BEGIN PUBLIC KEY"


class Root(NamedTuple):
    """A root key that can sign.

    Attributes:
        public: the public key (see `certs`).
        sign: signs a message; may ask somebody for a PIN.
    """

    public: bytes
    sign: Callable[[bytes], bytes]

    @property
    def id(self) -> str:
        return key_id(self.public)


def root_at(given: str, ask: Ask, beside: Path | None = None) -> Root:
    """The root key that a person names.

    Args:
        given: a PEM file, or a URI with `#` and the file of its public key, as `signers.signer` takes it.
        ask: gives the passphrase or PIN where one is needed.
        beside: the file of the public key for a URI that names none.

    Raises:
        ConfigError: there is no such key, or it cannot be used; `sign` raises it, too.
        LedgerError: it is neither Ed25519 nor ECDSA P-256.
    """
    from securesystemslib.signer import SIGNER_FOR_URI_SCHEME

    from guardai.signers import signer

    if beside is not None and "#" not in given and given.partition(":")[0] in SIGNER_FOR_URI_SCHEME:
        given = f"{given}#{beside}"
    signs = signer(given, ask)
    told = signs.public_key.keyval["public"]
    if _PUBLIC in told:
        public = _loaded(told.encode(), given)
    elif signs.public_key.keytype == "ed25519":
        public = bytes.fromhex(told)
    else:
        raise LedgerError(f"{given}: a root is an Ed25519 or ECDSA P-256 key, not {signs.public_key.keytype}")

    def sign(message: bytes) -> bytes:
        signature = bytes.fromhex(signs.sign(message).signature)
        if len(public) != ED25519:
            signature = one_spelling(signature)
        if not verify_signature(public, signature.hex(), message):
            raise ConfigError(f"{given}: what it signs does not hold")
        return signature

    return Root(public, sign)


def root_on_file(layout: Layout) -> Root | None:
    """The root key of a home, if its private half is there.

    Raises:
        LedgerError: the file is damaged.
        OSError: it cannot be read.
    """
    path = layout.keys / "root.key"
    try:
        key = load_private(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise LedgerError(f"{path} is not an Ed25519 private key; restore it from a backup") from error
    return Root(key.public_key().public_bytes_raw(), key.sign)


def root_public(layout: Layout, root: Root | None) -> bytes:
    """The public root key of a home.

    Raises:
        LedgerError: it cannot be read, or is not `root`'s.
    """
    public = public_key(layout.root_public)
    if root is not None and root.public != public:
        raise LedgerError(f"{layout.root_public} does not belong to root.key beside it")
    return public


def public_key(path: Path) -> bytes:
    """The public key in a PEM file (see `certs` for its bytes).

    Raises:
        LedgerError: it cannot be read, or is neither Ed25519 nor ECDSA P-256.
    """
    try:
        return _loaded(path.read_bytes(), str(path))
    except OSError as error:
        raise LedgerError(f"the public key {path} cannot be read: {error.strerror or error}") from error


def public_pem(public: bytes) -> bytes:
    """A public key as it stands in its file."""
    ed25519 = len(public) == ED25519
    key = Ed25519PublicKey.from_public_bytes(public) if ed25519 else serialization.load_der_public_key(public)
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _loaded(pem: bytes, what: str) -> bytes:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise LedgerError(f"{what} is not a public key in PEM form") from error
    try:
        return public_bytes(key)
    except ValueError:
        raise LedgerError(f"{what} is not an Ed25519 or ECDSA P-256 public key") from None
