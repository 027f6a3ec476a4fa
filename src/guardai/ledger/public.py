"""What of a home's keys anybody may have: the root's public key, its certificates, what it revoked, and all that as a policy.

::

    root.pub                the root's public key (PEM)
    hosts/<id>.cert         its certificate for each host
    revoked/<id>.json       what it revoked
    trust.policy            the hosts that are not revoked, as a C2SP tlog-policy
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec

from guardai.errors import LedgerError
from guardai.ledger.layout import Layout
from guardai.ledger.note import verifier_key
from guardai.ledger.revocations import kept
from guardai.ledger.root import public_pem
from guardai.ledger.statements import known
from guardai.ledger.trust import Trust, trust

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_new", "export_public", "write_public"]


def export_public(home: Path, folder: Path) -> Trust:
    """Writes a home's public keys into a folder, which is made; what they are.

    Raises:
        LedgerError: the folder holds something, or the root's public key cannot be read.
        OSError: the folder cannot be written.
    """
    check_new(folder)
    trusted = known(Layout(home), trust(home))
    write_public(Layout(home), trusted, folder)
    return trusted


def check_new(folder: Path) -> None:
    """Returns if nothing would be written over in this folder.

    Raises:
        LedgerError: it holds something, or is none.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LedgerError(f"{folder} is there already and holds something; name a new folder")


def write_public(layout: Layout, trusted: Trust, folder: Path) -> None:
    """Writes public keys into a folder.

    Raises:
        OSError: it cannot be written.
    """
    for place in (folder, folder / "hosts", folder / "revoked"):
        place.mkdir(parents=True, exist_ok=True)
    (folder / "root.pub").write_bytes(public_pem(trusted.root))
    for name, host in trusted.hosts.items():
        (folder / "hosts" / f"{name}.cert").write_bytes(msgspec.json.encode(host.certificate))
    for path in kept(layout):
        shutil.copyfile(path, folder / "revoked" / path.name)
    logs = [
        f"log {verifier_key(trusted.origin, host.claims.public)}\n"
        for name, host in sorted(trusted.hosts.items())
        if name not in trusted.revoked
    ]
    (folder / "trust.policy").write_text("".join([*logs, "quorum none\n"]), "utf-8")
