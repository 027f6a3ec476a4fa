"""What the root does: makes a home's keys, has another host take over, revokes one.

A rotation makes the new host's key and certificate, puts the key where it will be found, and then replaces one file,
`host.cert`, at once: before that the former host is current, from then on the new one, and at every moment one that can be
used (`hostfiles`). Processes that are running find it at their next event a second later, at the latest, and open another log.

Each is recorded, as a leaf of the tree: `key.certified`, `key.revoked`. A `log.open` tells its host's certificate besides.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardai.errors import LedgerError
from guardai.ledger import liveness
from guardai.ledger.certs import Certificate, certify, key_id
from guardai.ledger.hostfiles import id_of, pem_of, settle
from guardai.ledger.keys import host_claims, load_keys
from guardai.ledger.layout import Layout, publish, replace
from guardai.ledger.ledger import Ledger
from guardai.ledger.note import NoteError, open_checkpoint
from guardai.ledger.place import address_of, open_store, read_store
from guardai.ledger.revocations import revoke_by
from guardai.ledger.root import Root, public_pem, root_on_file, root_public
from guardai.ledger.sealer import SealError, seal
from guardai.ledger.spool import LEASE, record
from guardai.ledger.statements import joined, known, put
from guardai.ledger.store import StoreError
from guardai.ledger.trust import trust_in

if TYPE_CHECKING:
    from pathlib import Path

    from guardai.ledger.projection import Projection
    from guardai.ledger.trust import Trust

__all__ = ["Revoked", "Rotated", "init_keys", "revoke", "rotate"]

#: Seconds to wait for another process that is sealing.
_PATIENCE: Final = 10.0


class Rotated(NamedTuple):
    """Ids of the host that was current ("" if there was none that could be used) and of the one that is."""

    former: str
    current: str


class Revoked(NamedTuple):
    """What was revoked, and since when (µs); the host that is current; the statement's file."""

    host: str
    since: int
    current: str
    file: Path


def init_keys(home: Path, root: Root) -> str:
    """Makes the keys of a home under a root whose private half is elsewhere; the id of its host.

    They are there whole, or not at all.

    Raises:
        LedgerError: the home has keys already.
        ConfigError: the root cannot be used.
        OSError: the home cannot be written.
    """
    layout = Layout(home)
    draft = Layout(home.with_name(f".{home.name}.{os.getpid()}.{os.urandom(4).hex()}"))
    host = Ed25519PrivateKey.generate()
    certificate = certify(root.sign, host_claims(root.public, host, time.time_ns() // 1000))
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft.keys.mkdir(parents=True, mode=0o700)
    try:
        publish(draft.root_public, public_pem(root.public), 0o644)
        publish(draft.keys / "host.key", pem_of(host), 0o600)
        publish(draft.keys / "secret", os.urandom(32), 0o600)
        publish(draft.host_certificate, msgspec.json.encode(certificate), 0o644)
        try:
            draft.keys.rename(layout.keys)  # refused if there is something in it
        except OSError:
            if layout.keys.is_dir() and any(layout.keys.iterdir()):
                raise LedgerError(f"{layout.keys} has keys already") from None
            raise
    finally:
        shutil.rmtree(draft.home, ignore_errors=True)
    return id_of(host)


def rotate(home: Path, root: Root | None = None, projection: Projection | None = None) -> Rotated:
    """Has the root certify another host, which takes over. Works, too, if the former host's key is lost.

    Args:
        home: the home.
        root: the root; default: the home's `root.key`.
        projection: the derived table that sealing brings up to date.

    Raises:
        LedgerError: the root is not here or another home's, or the home cannot be sealed or written.
        ConfigError: the root cannot be used.
    """
    layout = Layout(home)
    try:
        root = _root_of(layout, root)
        rotated, certificate = _take_over(layout, root, projection)
    except OSError as error:
        raise LedgerError(f"{error.filename or layout.keys}: {error.strerror or error}; nothing was changed") from error
    _record(home, "key.certified", {"certificate": msgspec.to_builtins(certificate)}, projection)
    return rotated


def revoke(
    home: Path,
    host: str,
    root: Root | None = None,
    *,
    since: int | None = None,
    reason: str = "",
    projection: Projection | None = None,
) -> Revoked:
    """Has the root revoke a host's key. If it is the current one, another takes over first.

    Args:
        home: the home.
        host: its id.
        root: the root; default: the home's `root.key`.
        since: from when on nothing of that key's is believed, microseconds since 1970. By default from when on no process of this
            home can be using it any more.
        reason: for people; stands in the statement.
        projection: the derived table that sealing brings up to date.

    Raises:
        LedgerError: the root is not here or another home's, it has certified no such host, or the home cannot be sealed or written.
        ConfigError: the root cannot be used.
    """
    layout = Layout(home)
    try:
        root = _root_of(layout, root)
        trusted = known(layout, trust_in(layout, root.public))
        if host not in trusted.hosts:
            raise LedgerError(f"the root of {home} has certified no host {host}; `guardai keys list` lists them")
        if host == trusted.current:
            rotate(home, root, projection)
        now = time.time_ns() // 1000
        # A process may write under the former host for a second; the other is for clocks that are not quite the same.
        since = now + 2 * LEASE if since is None else since
        if host in trusted.revoked and trusted.revoked[host].since <= since:
            raise LedgerError(f"{host} is revoked already, from that time on or an earlier one")
        statement = revoke_by(root, host=host, since=since, reason=reason, now=now)
        # Recorded first, and sealed: the sealer takes no tree head of a revoked host for the one to go on from.
        _record(home, "key.revoked", {"revocation": msgspec.to_builtins(statement)}, projection)
        if _signs_the_tree(layout, host):
            raise LedgerError("the ledger cannot be sealed by the new host now, so nothing is revoked yet; try again")
        _tell(layout, root, host, statement)
        layout.revoked.mkdir(exist_ok=True, mode=0o700)
        file = layout.revoked / f"{host}.json"
        replace(file, msgspec.json.encode(statement), 0o644)
    except OSError as error:
        raise LedgerError(f"{error.filename or layout.keys}: {error.strerror or error}; nothing was revoked") from error
    return Revoked(host, since, load_keys(home).host_id, file)


def _root_of(layout: Layout, given: Root | None) -> Root:
    root = given or root_on_file(layout)
    if root is None:
        raise LedgerError(f"{layout.keys / 'root.key'} is not here; name the root by --root-key")
    if root.public != root_public(layout, None):
        raise LedgerError(f"the root given is not that of this home, {layout.root_public}")
    if hasattr(os, "geteuid") and layout.keys.stat().st_uid != os.geteuid():
        # What another user writes here, the programs that record could not read.
        raise LedgerError(f"{layout.keys} belongs to another user; run this as that user")
    return root


def _take_over(layout: Layout, root: Root, projection: Projection | None) -> tuple[Rotated, Certificate]:
    fresh = Ed25519PrivateKey.generate()
    name = id_of(fresh)
    # Somebody may have to find their PIN: before the lock is taken.
    certificate = certify(root.sign, host_claims(root.public, fresh, time.time_ns() // 1000))
    _seal_as_before(layout.home, projection)
    layout.ledger.mkdir(exist_ok=True, mode=0o700)
    layout.hosts.mkdir(exist_ok=True, mode=0o700)
    with liveness.held(layout.seal_lock, _PATIENCE) as mine:
        if not mine:
            raise LedgerError("another process has been sealing all the time; nothing was changed; try again")
        trusted = trust_in(layout, root.public)
        if trusted.current:
            settle(layout, trusted.current)  # a rotation that was killed
            former = trusted.hosts[trusted.current].certificate
            replace(layout.hosts / f"{trusted.current}.cert", msgspec.json.encode(former), 0o644)
        publish(layout.hosts / f"{name}.key", pem_of(fresh), 0o600)
        publish(layout.hosts / f"{name}.cert", msgspec.json.encode(certificate), 0o644)
        replace(layout.host_certificate, msgspec.json.encode(certificate), 0o644)
        with contextlib.suppress(OSError):  # it has taken over; the next sealer tidies up
            settle(layout, name)
    return Rotated(trusted.current, name), certificate


def _seal_as_before(home: Path, projection: Projection | None) -> None:
    """Seals what there is while the former host can: where it cannot, the new one does it later."""
    with contextlib.suppress(LedgerError, SealError, StoreError):
        keys, until = load_keys(home), time.monotonic() + _PATIENCE
        while not seal(home, keys, projection) and time.monotonic() < until:
            time.sleep(0.05)


def _record(home: Path, kind: str, body: dict[str, object], projection: Projection | None) -> None:
    ledger = Ledger.open(home, projection=projection)
    try:
        ledger.append(record(kind, body))
        with contextlib.suppress(SealError, StoreError, OSError):
            ledger.flush(_PATIENCE)
    finally:
        ledger.close("close", _PATIENCE)


def _tell(layout: Layout, root: Root, host: str, statement: Certificate) -> None:
    """Leaves a revocation in a store that hosts share: from then on no sealer goes on from a tree head of that host."""
    if address_of(layout) is None:
        return
    try:
        with open_store(layout) as store, store.writing():
            note, trusted = store.newest(), joined(store, trust_in(layout, root.public))
            if note is not None and _signed_by(note, trusted, host):
                raise LedgerError("that host has just sealed again, so nothing is revoked yet; try again")
            put(store, host, statement)
    except StoreError as error:
        raise LedgerError(f"the store cannot be written: {error}; nothing is revoked yet") from error


def _signs_the_tree(layout: Layout, host: str) -> bool:
    """Whether the newest tree head, or the one on file, is still this host's."""
    trusted = known(layout, trust_in(layout, root_public(layout, None)))
    notes = []
    with contextlib.suppress(FileNotFoundError):
        notes.append(layout.checkpoint.read_text("utf-8"))
    try:
        with read_store(layout) as store:
            notes.extend([newest] if store is not None and (newest := store.newest()) else [])
    except StoreError as error:
        raise LedgerError(f"the store cannot be read: {error}; nothing is revoked yet") from error
    return any(_signed_by(note, trusted, host) for note in notes)


def _signed_by(note: str, trusted: Trust, host: str) -> bool:
    try:
        by = open_checkpoint(note, trusted.origin, trusted.publics).by
    except NoteError as error:
        raise LedgerError(f"{error}; `guardai verify` tells what is wrong; nothing is revoked yet") from None
    return host in map(key_id, by)
