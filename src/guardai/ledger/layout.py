"""Where things lie under a home. No absolute path is ever stored, so a home may be copied or moved."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Layout", "erase", "publish", "replace"]


@dataclass(frozen=True)
class Layout:
    """The names of the ledger's files."""

    home: Path

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def root_public(self) -> Path:
        return self.keys / "root.pub"

    @property
    def host_certificate(self) -> Path:
        """Which host is current: the one file that a rotation replaces, at once."""
        return self.keys / "host.cert"

    @property
    def hosts(self) -> Path:
        """Certificates of all hosts, and private keys of former ones as long as they are needed."""
        return self.keys / "hosts"

    @property
    def revoked(self) -> Path:
        return self.keys / "revoked"

    @property
    def ledger(self) -> Path:
        return self.home / "ledger"

    @property
    def spools(self) -> Path:
        return self.ledger / "spool"

    @property
    def store(self) -> Path:
        return self.ledger / "store.db"

    @property
    def address(self) -> Path:
        """Where the store is, if it is not here; without a password."""
        return self.ledger / "store.url"

    @property
    def checkpoint(self) -> Path:
        """The newest signed tree head, as a file of its own: a store that was set back does not agree with it."""
        return self.ledger / "checkpoint"

    @property
    def reserve(self) -> Path:
        return self.ledger / "reserve"

    @property
    def seal_lock(self) -> Path:
        return self.ledger / "seal.lock"

    def spool(self, log: str) -> Path:
        return self.spools / f"{log}.jsonl"

    def heads(self, log: str) -> Path:
        return self.spools / f"{log}.sig"


def publish(path: Path, content: bytes, mode: int) -> bool:
    """Creates a file whole or not at all; False if another process was first. Never overwrites."""
    draft = _draft(path, content, mode)
    try:
        if os.name == "nt":
            os.rename(draft, path)  # noqa: PTH104 - on Windows this refuses to overwrite, which Path.rename promises too late
        else:
            os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def replace(path: Path, content: bytes, mode: int) -> None:
    """Replaces a file at once: a reader sees the old one or the new one."""
    draft = _draft(path, content, mode)
    try:
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def erase(path: Path) -> None:
    """Overwrites a small file and removes it. What that is worth depends on the disk (docs/threat-model.md)."""
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def _draft(path: Path, content: bytes, mode: int) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft
