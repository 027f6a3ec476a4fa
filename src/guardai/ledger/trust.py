"""What a reader trusts: the root's public key, the hosts that it vouches for, and what it has revoked."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from guardai.ledger.certs import Certificate, CertificateError, Claims, check, key_id
from guardai.ledger.hostfiles import box_of, private_at_hand
from guardai.ledger.layout import Layout
from guardai.ledger.revocations import add, kept, read_all
from guardai.ledger.root import public_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from guardai.ledger.revocations import Revocation

__all__ = ["Host", "Trust", "origin", "trust", "trust_in"]


class Host(NamedTuple):
    """A host that the root vouches for."""

    certificate: Certificate
    claims: Claims


@dataclass(frozen=True)
class Trust:
    """What a reader needs.

    Attributes:
        root: the root's public key.
        hosts: every host that the root certified, by key id.
        current: the id of the one that signs now; "" if its certificate is missing or does not hold.
        boxes: private keys that ratchet starts were encrypted to, as far as they are at hand.
        revoked: hosts whose keys are not believed any more, by id.
        notes: which revocations do not hold, and why.
    """

    root: bytes
    hosts: Mapping[str, Host]
    current: str = ""
    boxes: tuple[X25519PrivateKey, ...] = ()
    revoked: Mapping[str, Revocation] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def publics(self) -> list[bytes]:
        """The hosts' public keys, which may have signed tree heads."""
        return [host.claims.public for host in self.hosts.values()]

    @property
    def origin(self) -> str:
        """The name of the tree in checkpoints."""
        return origin(self.root)


def origin(root: bytes) -> str:
    """The C2SP origin of the tree under this root key."""
    return f"guardai/{key_id(root)}"


def trust(home: Path, key: Path | None = None, revoked: Iterable[Path] = ()) -> Trust:
    """What a reader trusts: the root key given, or the home's own.

    Args:
        home: the home.
        key: the root's public key.
        revoked: revocations, beside the home's own.

    Raises:
        LedgerError: the key cannot be read.
    """
    layout = Layout(home)
    return trust_in(layout, public_key(key or layout.root_public), revoked)


def trust_in(layout: Layout, root: bytes, revoked: Iterable[Path] = ()) -> Trust:
    """What this root key vouches for in a home."""
    hosts: dict[str, Host] = {}
    current = ""
    for path in (*sorted(layout.hosts.glob("*.cert")), layout.host_certificate):
        with contextlib.suppress(OSError, msgspec.MsgspecError, CertificateError):
            certificate = msgspec.json.decode(path.read_bytes(), type=Certificate)
            claims = check(certificate, root, "host")
            if path == layout.host_certificate:
                current = claims.id
            # Of a host whose certificate was renewed the newer one counts.
            if claims.id not in hosts or claims.until > hosts[claims.id].claims.until:
                hosts[claims.id] = Host(certificate, claims)
    found, notes = read_all(kept(layout), root)
    given, more = read_all(revoked, root)
    for one in given.values():
        add(found, one)
    boxes = tuple(box_of(key) for key in private_at_hand(layout))
    return Trust(root, hosts, current, boxes, found, (*notes, *more))
