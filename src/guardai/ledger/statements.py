"""What hosts that share a store tell one another: the root's certificates and revocations.

They stand in the table `statements` as the root signed them, so that nobody has to believe the store: what does not hold is not
counted. A home's own lie in its folder `keys/`, as without a shared store.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import msgspec

from guardai.errors import LedgerError
from guardai.ledger.certs import Certificate, CertificateError, check
from guardai.ledger.place import address_of, read_store
from guardai.ledger.revocations import RevocationError, add, kept, open_revocation
from guardai.ledger.store import StoreError
from guardai.ledger.trust import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardai.ledger.layout import Layout
    from guardai.ledger.revocations import Revocation
    from guardai.ledger.store import Store
    from guardai.ledger.trust import Trust

__all__ = ["joined", "known", "publish", "put", "revoked_in"]

_HOST: Final = "host"
_REVOKED: Final = "revoked"


def joined(store: Store, trusted: Trust) -> Trust:
    """What a reader trusts, with what other hosts have left in the store."""
    if not store.dialect.shared:
        return trusted
    hosts, revoked, notes = dict(trusted.hosts), dict(trusted.revoked), list(trusted.notes)
    for kind, host, statement in _all(store):
        try:
            if kind == _HOST:
                claims = check(statement, trusted.root, "host")
                if claims.id not in hosts or claims.until > hosts[claims.id].claims.until:
                    hosts[claims.id] = Host(statement, claims)
            else:
                add(revoked, open_revocation(statement, trusted.root))
        except (CertificateError, RevocationError) as error:
            notes.append(f"what the store says of the host {host} does not count: {error}")
    return dataclasses.replace(trusted, hosts=hosts, revoked=revoked, notes=tuple(notes))


def known(layout: Layout, trusted: Trust) -> Trust:
    """What a home trusts, with what is in its store if hosts share it.

    Raises:
        LedgerError: the store cannot be read.
    """
    if address_of(layout) is None:
        return trusted
    try:
        with read_store(layout) as store:
            return joined(store, trusted) if store is not None else trusted
    except StoreError as error:
        raise LedgerError(f"the store that other hosts' keys stand in cannot be read: {error}") from None


def publish(store: Store, layout: Layout, trusted: Trust) -> None:
    """Within a transaction: leaves what this home has of the root's in a shared store.

    Args:
        store: the store.
        layout: of the home.
        trusted: what the home itself trusts.
    """
    if not store.dialect.shared:
        return
    there = {(kind, host): statement for kind, host, statement in _all(store)}
    for name, one in trusted.hosts.items():
        if _renews(there.get((_HOST, name)), one, trusted.root):
            _put(store, _HOST, name, one.certificate)
    for path in kept(layout) if trusted.revoked else ():
        try:
            statement = msgspec.json.decode(path.read_bytes(), type=Certificate)
            mine = open_revocation(statement, trusted.root)
        except (OSError, msgspec.MsgspecError, RevocationError):
            continue  # `verify` tells
        if _precedes(there.get((_REVOKED, mine.host)), mine, trusted.root):
            _put(store, _REVOKED, mine.host, statement)


def put(store: Store, host: str, revocation: Certificate) -> None:
    """Within a transaction: leaves a revocation in a shared store."""
    if store.dialect.shared:
        _put(store, _REVOKED, host, revocation)


def revoked_in(store: Store, root: bytes) -> dict[str, tuple[Certificate, Revocation]]:
    """The revocations in a shared store, those that hold."""
    found: dict[str, tuple[Certificate, Revocation]] = {}
    for kind, _, statement in _all(store) if store.dialect.shared else ():
        if kind == _REVOKED:
            try:
                revocation = open_revocation(statement, root)
            except RevocationError:
                continue
            found[revocation.host] = statement, revocation
    return found


def _renews(there: Certificate | None, mine: Host, root: bytes) -> bool:
    if there is None:
        return True
    try:
        return check(there, root, "host").until < mine.claims.until
    except CertificateError:
        return True


def _precedes(there: Certificate | None, mine: Revocation, root: bytes) -> bool:
    if there is None:
        return True
    try:
        return open_revocation(there, root).since > mine.since
    except RevocationError:
        return True


def _all(store: Store) -> Iterator[tuple[str, str, Certificate]]:
    rows = store.db.execute("SELECT kind, host, payload, sig FROM statements ORDER BY kind, host").fetchall()
    for kind, host, payload, sig in rows:
        yield str(kind), str(host), Certificate(str(payload), str(sig))


def _put(store: Store, kind: str, host: str, statement: Certificate) -> None:
    store.db.execute(
        "INSERT INTO statements VALUES (?, ?, ?, ?) ON CONFLICT (kind, host) "
        "DO UPDATE SET payload = excluded.payload, sig = excluded.sig",
        (kind, host, statement.payload, statement.sig),
    )
