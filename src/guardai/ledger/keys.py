"""The keys of a home: root vouches for host, host vouches for each log's own key.

Files under `<home>/keys/`, folder 0700, private ones 0600:

- `root.key`, `root.pub`: the root of trust (PEM). The private half may be elsewhere (`root`), or be moved away once `host.cert`
  exists.
- `host.key`: the host's Ed25519 key (PEM); the X25519 key that ratchet starts are encrypted to is derived from it.
- `host.cert`: the root's certificate for both, JSON.
- `hosts/`: certificates of former hosts, and their private keys as long as they are needed (`hostfiles`).
- `revoked/`: what the root has revoked (`revocations`).
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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardai.errors import LedgerError
from guardai.ledger import liveness
from guardai.ledger.certs import Certificate, CertificateError, Claims, certify, check, key_id
from guardai.ledger.hostfiles import box_of, derive, find, id_of, load_private, pem_of
from guardai.ledger.layout import Layout, publish, replace
from guardai.ledger.revocations import kept, read_all
from guardai.ledger.root import public_pem, root_on_file, root_public
from guardai.ledger.trust import origin

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

__all__ = ["Keys", "host_claims", "load_keys", "open_keys"]

_DAY: Final = 86_400_000_000
#: A host certificate is renewed by the root half-way through; a log certificate outlives any log (`ledger.ROLL_AGE`).
_HOST_LIFE: Final = 730 * _DAY
LOG_LIFE: Final = 365 * _DAY
#: Times that the host's key is looked for: a rotation may move it meanwhile.
_ATTEMPTS: Final = 5
#: Seconds that a renewal waits for another process that is sealing or rotating.
_PATIENCE: Final = 10.0


@dataclass(frozen=True)
class Keys:
    """What a writer or sealer needs: the host's private keys and the certificate that the root gave it.

    Attributes:
        place: the file of the certificate.
        seen: by what to tell that this file is still the one that was read.
    """

    root: bytes
    host: Ed25519PrivateKey
    box: X25519PrivateKey
    certificate: Certificate
    claims: Claims
    commitment: bytes
    vault: bytes
    place: Path
    seen: tuple[int, int, int]

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

    def superseded(self) -> bool:
        """Whether another host, or a renewed certificate, has taken this one's place. One look at a file: 2 µs."""
        try:
            return _seen(self.place) != self.seen
        except OSError:
            return False  # a home that cannot be read any more; what is in memory goes on to be good

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
        return certify(self.host.sign, claims)


def host_claims(root: bytes, host: Ed25519PrivateKey, now: int) -> Claims:
    """What the root vouches for when it certifies a host."""
    return Claims(
        issuer=key_id(root),
        key=host.public_key().public_bytes_raw().hex(),
        seal=box_of(host).public_key().public_bytes_raw().hex(),
        since=now,
        subject="host",
        until=now + _HOST_LIFE,
    )


def open_keys(home: Path, *, create: bool = True) -> Keys:
    """Loads the keys of a home, creating what is missing unless told not to, and has the certificate renewed if it is due.

    Raises:
        LedgerError: they cannot be created, read or used; the message says which file and what to do.
    """
    layout = Layout(home)
    try:
        if create:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            layout.keys.mkdir(exist_ok=True, mode=0o700)
            # Where there is a certificate there have been keys: others in their place would only hide the loss.
            if not layout.host_certificate.exists():
                _create(layout)
        return _renewed(layout, _load(layout))
    except OSError as error:
        raise _unusable(layout, error) from error


def load_keys(home: Path) -> Keys:
    """The keys of a home as they are.

    Raises:
        LedgerError: they cannot be read or used; the message says which file and what to do.
    """
    layout = Layout(home)
    try:
        return _load(layout)
    except OSError as error:
        raise _unusable(layout, error) from error


def _unusable(layout: Layout, error: OSError) -> LedgerError:
    return LedgerError(
        f"the ledger's keys under {layout.keys} cannot be created or read: {error.strerror or error}; "
        "the home (GUARDAI_HOME) must be a folder that this user may write"
    )


def _create(layout: Layout) -> None:
    """Makes what is missing; the certificate last: whoever finds it finds everything else, too."""
    if not layout.root_public.exists():  # where there is one, its private half is here already, or elsewhere
        _private(layout.keys / "root.key")
    root = root_on_file(layout)
    if root is not None:
        publish(layout.root_public, public_pem(root.public), 0o644)
    public = root_public(layout, root)
    if root is None:
        raise LedgerError(f"{layout.host_certificate} is missing and so is root.key, which could make it")
    host = _private(layout.keys / "host.key")
    publish(layout.keys / "secret", os.urandom(32), 0o600)
    claims = host_claims(public, host, time.time_ns() // 1000)
    publish(layout.host_certificate, msgspec.json.encode(certify(root.sign, claims)), 0o644)


def _load(layout: Layout) -> Keys:
    root = root_public(layout, root_on_file(layout))
    host = None
    for _ in range(_ATTEMPTS):
        seen, certificate, claims = _certificate(layout, root)
        host = find(layout, claims.id)
        if host is not None:
            break
    if host is None:
        raise LedgerError(_what_of_the_host_key(layout))
    if claims.id in read_all([path for path in kept(layout) if path.stem == claims.id], root)[0]:
        # Only somebody who put it back can have made it current again.
        raise LedgerError(
            f"{layout.host_certificate} is of a host that was revoked; `guardai keys rotate` has another take over"
        )
    secret = _secret(layout.keys / "secret")
    commitment, vault = derive(secret, b"guardai commitment v1"), derive(secret, b"guardai vault v1")
    return Keys(root, host, box_of(host), certificate, claims, commitment, vault, layout.host_certificate, seen)


def _certificate(layout: Layout, root: bytes) -> tuple[tuple[int, int, int], Certificate, Claims]:
    path = layout.host_certificate
    try:
        seen = _seen(path)  # before it is read: what takes its place meanwhile is noticed later
        certificate = msgspec.json.decode(path.read_bytes(), type=Certificate)
        return seen, certificate, check(certificate, root, "host")
    except FileNotFoundError:
        raise LedgerError(
            f"{path} is missing; restore it from a backup, or `guardai keys rotate` has the root certify another host"
        ) from None
    except (msgspec.MsgspecError, CertificateError) as error:
        raise LedgerError(
            f"{path} is damaged: {error}; restore it from a backup, or `guardai keys rotate` has the root certify another host"
        ) from error


def _seen(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _what_of_the_host_key(layout: Layout) -> str:
    path = layout.keys / "host.key"
    then = "restore it from a backup, choose another home, or `guardai keys rotate` has the root certify another host"
    if not path.exists():
        return f"{path} is missing; {then}"
    try:
        id_of(load_private(path.read_bytes()))
    except ValueError:
        return f"{path} is not an Ed25519 private key; {then}"
    return f"{layout.host_certificate} is for another key than host.key beside it; {then}"


def _renewed(layout: Layout, keys: Keys) -> Keys:
    """The keys, with a new certificate for the same host if half of the old one's time is over and the root is here."""
    now = time.time_ns() // 1000
    if now < keys.claims.until - _HOST_LIFE // 2:
        return keys
    expired = now >= keys.claims.until
    root = root_on_file(layout)
    if root is None:
        if not expired:
            return keys
        raise LedgerError(
            f"{layout.host_certificate} has expired; put root.key beside it once and start again, or `guardai keys rotate` with "
            "the root"
        )
    layout.ledger.mkdir(exist_ok=True, mode=0o700)
    # Under the lock of rotations: the certificate that is replaced must not be one of another host by then.
    with liveness.held(layout.seal_lock, _PATIENCE if expired else 0.0) as mine:
        if mine:
            if not keys.superseded():
                certificate = certify(root.sign, host_claims(keys.root, keys.host, now))
                replace(layout.host_certificate, msgspec.json.encode(certificate), 0o644)
            return _load(layout)
    if expired:
        raise LedgerError(
            f"{layout.host_certificate} has expired, and another process is sealing all the time; start again"
        )
    return keys


def _private(path: Path) -> Ed25519PrivateKey:
    """The key in a file, made if it is not there."""
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        pem = pem_of(Ed25519PrivateKey.generate())
        if not publish(path, pem, 0o600):
            pem = path.read_bytes()
    try:
        return load_private(pem)
    except ValueError as error:
        raise LedgerError(f"{path} is not an Ed25519 private key; restore it from a backup") from error


def _secret(path: Path) -> bytes:
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        raise LedgerError(f"{path} is missing; restore it from a backup: commitments depend on it") from None
    if len(secret) != 32:
        raise LedgerError(f"{path} is damaged; restore it from a backup: commitments depend on it")
    return secret
