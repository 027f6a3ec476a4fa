"""Certificates: who vouches for which key. Root vouches for host, host for the key of one log.

A certificate is a payload (canonical JSON, kept as the very text that was signed) and an Ed25519 signature over
`DOMAIN + payload`. A key's id is the first 16 hex digits of SHA-256 of its 32 raw public bytes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Certificate", "CertificateError", "Claims", "certify", "check", "key_id", "verify_signature"]

DOMAIN: Final = b"guardai certificate v1\n"
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class CertificateError(Exception):
    """A certificate does not hold; the message says why."""


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is vouched for. Fields in the order of their names (see `canonical`).

    Attributes:
        issuer: id of the vouching key.
        key: the Ed25519 public key, hex.
        log: for a process key, the one log it may sign.
        seal: for a host key, the X25519 public key that ratchet starts are encrypted to, hex.
        since, until: microseconds since 1970.
        subject: `host` or `process`.
        v: version of this format.
    """

    issuer: str
    key: str
    log: str = ""
    seal: str = ""
    since: int
    subject: Literal["host", "process"]
    until: int
    v: int = 1


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed statement of `Claims`."""

    payload: str
    sig: str


def key_id(public: bytes) -> str:
    """The short name of an Ed25519 public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def certify(issuer: Ed25519PrivateKey, claims: Claims) -> Certificate:
    """Signs the claims."""
    payload = _encode(claims)
    return Certificate(payload.decode(), issuer.sign(DOMAIN + payload).hex())


def check(certificate: Certificate, issuer: bytes, subject: str) -> Claims:
    """The claims, if `issuer` (a raw public key) signed them for this kind of subject.

    Validity in time is for the caller to judge: it depends on when the key was used, not on when this runs.

    Raises:
        CertificateError: malformed, of another issuer or subject, or the signature does not hold.
    """
    payload = certificate.payload.encode()
    if not verify_signature(issuer, certificate.sig, DOMAIN + payload):
        raise CertificateError(f"the {subject} certificate is not signed by key {key_id(issuer)}")
    try:
        claims = msgspec.json.decode(payload, type=Claims)
        bytes.fromhex(claims.key)
        bytes.fromhex(claims.seal)
    except (msgspec.MsgspecError, ValueError):
        raise CertificateError(f"the {subject} certificate is malformed") from None
    if claims.subject != subject or claims.issuer != key_id(issuer):
        raise CertificateError(f"the certificate is for a {claims.subject} key of issuer {claims.issuer}")
    return claims


def verify_signature(public: bytes, signature: str, message: bytes) -> bool:
    """Whether the Ed25519 signature (hex, lower case) holds."""
    try:
        raw = bytes.fromhex(signature)
        if raw.hex() != signature:
            # Upper case or spaces would be a second spelling of the same signature.
            return False
        Ed25519PublicKey.from_public_bytes(public).verify(raw, message)
    except (ValueError, InvalidSignature):
        return False
    return True
