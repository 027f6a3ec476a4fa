"""The files of host keys: where each private key lies, and what becomes of it when another host has taken over.

`host.cert` alone says which host is current. Its private key is `host.key`, or, until a rotation has been finished,
`hosts/<id>.key`. A former host's private key lies there, too, as long as a spool is left whose `log.open` names that host: the
log of a process that dies later can only be adopted by whoever can check its tags. Then the key is erased.

SECURITY INVARIANT: at any moment, also if a rotation is killed, one of the two files holds the current host's key.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from guardai.ledger.certs import Certificate, Claims, key_id
from guardai.ledger.layout import erase

if TYPE_CHECKING:
    from guardai.ledger.layout import Layout

__all__ = ["box_of", "derive", "erase_former", "find", "id_of", "load_private", "pem_of", "private_at_hand", "settle"]


def find(layout: Layout, host: str) -> Ed25519PrivateKey | None:
    """The private key of a host by its id; None if it is not here.

    Raises:
        OSError: a file is there and cannot be read.
    """
    for path in (layout.keys / "host.key", layout.hosts / f"{host}.key"):
        try:
            key = load_private(path.read_bytes())
        except (FileNotFoundError, ValueError):
            continue
        if id_of(key) == host:
            return key
    return None


def private_at_hand(layout: Layout) -> list[Ed25519PrivateKey]:
    """Every private key of a host that is here and can be read: the current one's first."""
    found = []
    for path in (layout.keys / "host.key", *sorted(layout.hosts.glob("*.key"))):
        with contextlib.suppress(OSError, ValueError):
            found.append(load_private(path.read_bytes()))
    return found


def settle(layout: Layout, current: str) -> None:
    """Ends a rotation: `host.key` becomes the current host's key, and the former one's lies beside the others.

    May be called again at any time by whoever holds the seal lock.

    Raises:
        OSError: a file cannot be moved.
    """
    fresh, place = layout.hosts / f"{current}.key", layout.keys / "host.key"
    if not fresh.exists():
        return
    with contextlib.suppress(FileNotFoundError, FileExistsError, ValueError):
        former = id_of(load_private(place.read_bytes()))
        if former != current:
            os.link(place, layout.hosts / f"{former}.key")
    fresh.replace(place)


def erase_former(layout: Layout, current: str) -> int:
    """Erases private keys of former hosts that no spool needs any more; how many. For whoever holds the seal lock."""
    former = [path for path in layout.hosts.glob("*.key") if path.stem != current]
    if not former:
        return 0
    needed = _named_in_spools(layout)
    erased = 0
    for path in former:
        if needed is not None and path.stem not in needed:
            with contextlib.suppress(OSError):  # a folder that may not be written; the next sealer may
                erase(path)
                erased += 1
    return erased


class _Body(msgspec.Struct):
    host: Certificate


class _Open(msgspec.Struct):
    body: _Body


_decode: Final = msgspec.json.Decoder(_Open).decode
#: Bytes; a `log.open` is about 2,000.
_FIRST: Final = 64 * 1024


def _named_in_spools(layout: Layout) -> set[str] | None:
    """Ids of the hosts that a `log.open` in a spool names; None if one cannot be read: any host may stand there."""
    hosts = set()
    for path in layout.spools.iterdir():
        if path.suffix in (".jsonl", ".draft"):  # a draft is a log that is being opened
            try:
                with path.open("rb") as file:
                    line = file.readline(_FIRST)
                payload = _decode(line.rpartition(b"\t")[0]).body.host.payload
                hosts.add(msgspec.json.decode(payload, type=Claims).id)
            except FileNotFoundError:
                continue  # sealed meanwhile
            except (OSError, msgspec.MsgspecError, ValueError):
                return None
    return hosts


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


def pem_of(key: Ed25519PrivateKey) -> bytes:
    """A private key as it stands in its file (PKCS#8)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def id_of(key: Ed25519PrivateKey) -> str:
    """The id of its public key."""
    return key_id(key.public_key().public_bytes_raw())


def box_of(host: Ed25519PrivateKey) -> X25519PrivateKey:
    """The key that ratchet starts are encrypted to."""
    return X25519PrivateKey.from_private_bytes(derive(host.private_bytes_raw(), b"guardai host box v1"))


def derive(secret: bytes, info: bytes) -> bytes:
    """32 bytes that follow from a secret (HKDF, RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(secret)
