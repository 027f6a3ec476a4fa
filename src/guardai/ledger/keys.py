"""The keys of a home: root vouches for host, host vouches for each log's own key.

Files under `<home>/keys/`, folder 0700, private ones 0600:

- `root.key`, `root.pub`: the root of trust (PEM). The private half may be moved away once `host.cert` exists.
- `host.key`: the host's Ed25519 key (PEM); the X25519 key that ratchet starts are encrypted to is derived from it.
- `host.cert`: the root's certificate for both, JSON.
- `secret`: 32 random bytes, from which the commitment key and the token vault's key are derived.

Each is created whole or not at all, and whoever is first wins, so any number of processes may start on an empty home at
once. What the private host key can do is said in docs/threat-model.md: tags are no proof against its owner.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from guardai.errors import LedgerError
from guardai.ledger.certs import Certificate, CertificateError, Claims, certify, check, key_id
from guardai.ledger.layout import Layout, publish, replace

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Keys", "Trust", "load_private", "open_keys", "public_key", "trust"]

_DAY: Final = 86_400_000_000
#: A host certificate is renewed by the root half-way through; a log certificate outlives any log (`ledger.ROLL_AGE`).
_HOST_LIFE: Final = 730 * _DAY
LOG_LIFE: Final = 365 * _DAY


@dataclass(frozen=True)
class Keys:
    """What a writer or sealer needs: the host's private keys and the certificate that the root gave it."""

    root: bytes
    host: Ed25519PrivateKey
    box: X25519PrivateKey
    certificate: Certificate
    claims: Claims
    commitment: bytes
    vault: bytes

    @property
    def host_public(self) -> bytes:
        return self.host.public_key().public_bytes_raw()

    @property
    def host_id(self) -> str:
        return key_id(self.host_public)

    @property
    def origin(self) -> str:
        """The name of this ledger's tree in checkpoints."""
        return origin(self.root)

    def certify_log(self, public: bytes, log: str, now: int) -> Certificate:
        """A certificate for the ephemeral key of one log."""
        claims = Claims(
            issuer=self.host_id,
            key=public.hex(),
            log=log,
            since=now,
            subject="process",
            until=min(now + LOG_LIFE, self.claims.until),
        )
        return certify(self.host, claims)


@dataclass(frozen=True)
class Trust:
    """What a reader needs: the root's public key, and the host's private box key where it is at hand."""

    root: bytes
    host: Claims | None
    box: X25519PrivateKey | None


def origin(root: bytes) -> str:
    """The C2SP origin of the tree under this root key."""
    return f"guardai/{key_id(root)}"


def open_keys(home: Path, *, create: bool = True) -> Keys:
    """Loads the keys of a home, creating what is missing unless told not to.

    Raises:
        LedgerError: they cannot be created, read or used; the message says which file and what to do.
    """
    layout = Layout(home)
    try:
        if create:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            layout.keys.mkdir(exist_ok=True, mode=0o700)
        # Where there is a certificate there have been keys: others in their place would only hide the loss.
        create = create and not (layout.keys / "host.cert").exists()
        root_key = _private(layout.keys / "root.key", create=create)
        root = _root_public(layout, root_key)
        host = _private(layout.keys / "host.key", create=create)
        if host is None:
            raise LedgerError(
                f"{layout.keys / 'host.key'} is missing; restore it from a backup, or choose another home"
            )
        # The certificate last: whoever finds it finds everything else, too.
        secret = _secret(layout.keys / "secret", create=create)
        certificate, claims = _host_certificate(layout, root_key, root, host)
    except OSError as error:
        raise LedgerError(
            f"the ledger's keys under {layout.keys} cannot be created or read: {error.strerror or error}; "
            "the home (GUARDAI_HOME) must be a folder that this user may write"
        ) from error
    commitment, vault = _derive(secret, b"guardai commitment v1"), _derive(secret, b"guardai vault v1")
    return Keys(root, host, _box(host), certificate, claims, commitment, vault)


def trust(home: Path, key: Path | None = None) -> Trust:
    """What a reader trusts: the root key given, or the home's own.

    Raises:
        LedgerError: the key cannot be read.
    """
    layout = Layout(home)
    root = public_key(key or layout.keys / "root.pub")
    try:
        certificate = msgspec.json.decode((layout.keys / "host.cert").read_bytes(), type=Certificate)
        claims = check(certificate, root, "host")
    except (OSError, msgspec.MsgspecError, CertificateError):
        claims = None
    try:
        host = load_private((layout.keys / "host.key").read_bytes())
    except (OSError, ValueError):
        return Trust(root, claims, None)
    return Trust(root, claims, _box(host))


def public_key(path: Path) -> bytes:
    """The raw bytes of an Ed25519 public key in a PEM file.

    Raises:
        LedgerError: it cannot be read.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise LedgerError(f"the public key {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise LedgerError(f"{path} is not a public key in PEM form") from error
    if not isinstance(key, Ed25519PublicKey):
        raise LedgerError(f"{path} is not an Ed25519 public key")
    return key.public_bytes_raw()


def load_private(pem: bytes) -> Ed25519PrivateKey:
    """An Ed25519 private key from PEM.

    Raises:
        ValueError: it is none.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 private key")  # noqa: TRY004 - callers expect one error for "no key"
    return key


def _private(path: Path, *, create: bool) -> Ed25519PrivateKey | None:
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        if not create:
            return None
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        if not publish(path, pem, 0o600):
            pem = path.read_bytes()
    try:
        return load_private(pem)
    except ValueError as error:
        raise LedgerError(f"{path} is not an Ed25519 private key; restore it from a backup") from error


def _root_public(layout: Layout, key: Ed25519PrivateKey | None) -> bytes:
    path = layout.keys / "root.pub"
    if key is not None and not path.exists():
        pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        publish(path, pem, 0o644)
    root = public_key(path)
    if key is not None and key.public_key().public_bytes_raw() != root:
        raise LedgerError(f"{path} does not belong to root.key beside it")
    return root


def _host_certificate(
    layout: Layout, root_key: Ed25519PrivateKey | None, root: bytes, host: Ed25519PrivateKey
) -> tuple[Certificate, Claims]:
    path = layout.keys / "host.cert"
    now = time.time_ns() // 1000
    try:
        certificate = msgspec.json.decode(path.read_bytes(), type=Certificate)
        claims = check(certificate, root, "host")
    except FileNotFoundError:
        certificate, claims = None, None
    except (msgspec.MsgspecError, CertificateError) as error:
        raise LedgerError(f"{path} is damaged: {error}; restore it, or remove it and put root.key back") from error
    if certificate is not None and claims is not None:
        if claims.key != host.public_key().public_bytes_raw().hex():
            raise LedgerError(f"{path} is for another key than host.key beside it")
        if now < claims.until - _HOST_LIFE // 2:
            return certificate, claims
        if root_key is None:
            if now < claims.until:
                return certificate, claims
            raise LedgerError(f"{path} has expired; put root.key beside it once and start again")
    if root_key is None:
        raise LedgerError(f"{path} is missing and so is root.key, which could make it")
    claims = Claims(
        issuer=key_id(root),
        key=host.public_key().public_bytes_raw().hex(),
        seal=_box(host).public_key().public_bytes_raw().hex(),
        since=now,
        subject="host",
        until=now + _HOST_LIFE,
    )
    renewed = certify(root_key, claims)
    if certificate is None and not publish(path, msgspec.json.encode(renewed), 0o644):
        return _host_certificate(layout, root_key, root, host)
    if certificate is not None:
        replace(path, msgspec.json.encode(renewed), 0o644)
    return renewed, claims


def _secret(path: Path, *, create: bool) -> bytes:
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        if not create:
            raise LedgerError(f"{path} is missing; restore it from a backup: commitments depend on it") from None
        secret = os.urandom(32)
        if not publish(path, secret, 0o600):
            secret = path.read_bytes()
    if len(secret) != 32:
        raise LedgerError(f"{path} is damaged; restore it from a backup: commitments depend on it")
    return secret


def _box(host: Ed25519PrivateKey) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(_derive(host.private_bytes_raw(), b"guardai host box v1"))


def _derive(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(secret)
