"""Certificates: who vouches for which key. Root vouches for host, host for the key of one log.

A certificate is a payload (canonical JSON, kept as the very text that was signed) and a signature over `DOMAIN + payload`.

Keys of hosts and logs are Ed25519; a root is that or ECDSA P-256 with SHA-256 (FIPS 186-5), because few KMS and HSM have
Ed25519. A public key is written as bytes: the 32 raw ones of Ed25519, the SubjectPublicKeyInfo (RFC 5280, DER) of P-256. Its
id is the first 16 hex digits of their SHA-256.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

__all__ = [
    "ED25519", "Certificate", "CertificateError", "Claims", "certify", "check", "key_id", "one_spelling", "public_bytes",
    "verify_signature",
]  # fmt: skip

DOMAIN: Final = b"guardai certificate v1\n"
#: Bytes of an Ed25519 public key.
ED25519: Final = 32
#: The order of P-256 (SEC 2): with s, order - s is a signature, too.
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
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

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return bytes.fromhex(self.key)

    @property
    def id(self) -> str:
        """The key's id."""
        return key_id(self.public)


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed statement of `Claims`."""

    payload: str
    sig: str


def key_id(public: bytes) -> str:
    """The short name of a public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def public_bytes(key: PublicKeyTypes) -> bytes:
    """A public key as bytes.

    Raises:
        ValueError: it is neither Ed25519 nor ECDSA P-256.
    """
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raise ValueError("neither Ed25519 nor ECDSA P-256")


def certify(sign: Callable[[bytes], bytes], claims: Claims) -> Certificate:
    """Signs the claims."""
    payload = _encode(claims)
    return Certificate(payload.decode(), sign(DOMAIN + payload).hex())


def check(certificate: Certificate, issuer: bytes, subject: str) -> Claims:
    """The claims, if `issuer` (a public key) signed them for this kind of subject.

    Validity in time is for the caller to judge: it depends on when the key was used, not on when this runs.

    Raises:
        CertificateError: malformed, of another issuer or subject, or the signature does not hold.
    """
    payload = certificate.payload.encode()
    if not verify_signature(issuer, certificate.sig, DOMAIN + payload):
        raise CertificateError(f"the {subject} certificate is not signed by key {key_id(issuer)}")
    try:
        claims = msgspec.json.decode(payload, type=Claims)
        key = claims.public
        bytes.fromhex(claims.seal)
    except (msgspec.MsgspecError, ValueError):
        key = b""
    if len(key) != ED25519:
        raise CertificateError(f"the {subject} certificate is malformed")
    if claims.subject != subject or claims.issuer != key_id(issuer):
        raise CertificateError(f"the certificate is for a {claims.subject} key of issuer {claims.issuer}")
    return claims


def verify_signature(public: bytes, signature: str, message: bytes) -> bool:
    """Whether the signature (hex, lower case) is this public key's."""
    try:
        raw = bytes.fromhex(signature)
        if raw.hex() != signature:
            # Upper case or spaces would be a second spelling of the same signature.
            return False
        if len(public) == ED25519:
            Ed25519PublicKey.from_public_bytes(public).verify(raw, message)
        else:
            key = load_der_public_key(public)
            if not isinstance(key, EllipticCurvePublicKey) or public_bytes(key) != public or one_spelling(raw) != raw:
                return False
            key.verify(raw, message, ECDSA(SHA256()))
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def one_spelling(signature: bytes) -> bytes:
    """An ECDSA P-256 signature in the one of its two forms that is accepted, with the smaller s.

    Raises:
        ValueError: it is no signature (DER).
    """
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, _ORDER - s))
