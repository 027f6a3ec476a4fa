"""What keys a home has: the root, and every host that it certified."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from guardai.ledger.certs import ED25519, key_id
from guardai.ledger.hostfiles import id_of, private_at_hand
from guardai.ledger.layout import Layout
from guardai.ledger.statements import known
from guardai.ledger.trust import Trust, trust

if TYPE_CHECKING:
    from pathlib import Path

    from guardai.ledger.revocations import Revocation

__all__ = ["KnownHost", "KnownKeys", "known_keys"]

State = Literal["current", "expired", "former", "other", "revoked"]


class KnownHost(NamedTuple):
    """A host's key.

    Attributes:
        id: its name.
        since, until: when its certificate is good, µs since 1970.
        state: `current` is the one that signs; `other` is of a home that shares the store.
        private: whether its private key is here.
        revocation: if it was revoked.
    """

    id: str
    since: int
    until: int
    state: State
    private: bool
    revocation: Revocation | None


class KnownKeys(NamedTuple):
    """The root's id, what kind of key it is, whether its private half is here, and the hosts, oldest first."""

    root: str
    kind: Literal["Ed25519", "ECDSA P-256"]
    private: bool
    hosts: tuple[KnownHost, ...]
    notes: tuple[str, ...]


def known_keys(home: Path) -> KnownKeys:
    """The keys of a home.

    Raises:
        LedgerError: the root's public key cannot be read.
    """
    layout = Layout(home)
    own = trust(home)
    trusted = known(layout, own)
    here = {id_of(key) for key in private_at_hand(layout)}
    hosts = [
        KnownHost(
            name,
            host.claims.since,
            host.claims.until,
            _state(name, trusted, own),
            name in here,
            trusted.revoked.get(name),
        )
        for name, host in trusted.hosts.items()
    ]
    return KnownKeys(
        key_id(trusted.root),
        "Ed25519" if len(trusted.root) == ED25519 else "ECDSA P-256",
        (layout.keys / "root.key").exists(),
        tuple(sorted(hosts, key=lambda host: (host.since, host.id))),
        trusted.notes,
    )


def _state(name: str, trusted: Trust, own: Trust) -> State:
    if name in trusted.revoked:
        return "revoked"
    if name not in own.hosts:
        return "other"
    if name != trusted.current:
        return "former"
    return "current" if time.time_ns() // 1000 < trusted.hosts[name].claims.until else "expired"
