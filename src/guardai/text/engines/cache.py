"""Compiled databases on disk: what half a second of compiling made, read back in milliseconds.

A file is used only if its name says it was made by this library version, for this CPU, from these anchors; if it
belongs to this user; and if its digest is right: hyperscan trusts a database's bytes. Anything else is compiled anew.
Nothing here ever fails a scan.
"""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["fingerprint", "read", "write"]

_MAGIC: Final = b"guardai text db 1\n"
_MAX: Final = 64 << 20
#: Databases that a folder holds; one takes 1.5 MB.
_KEPT: Final = 8


def fingerprint(version: str, sources: list[str]) -> str:
    """Names a database: library version, machine, anchors."""
    cpu = ""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("flags", "Features")):
                cpu = line
                break
    # Without that file, what the system calls it: on some it takes a process of its own to ask, and milliseconds.
    parts = [version, platform.system(), platform.machine(), cpu or platform.processor(), *sources]
    return hashlib.blake2b("\x00".join(parts).encode(), digest_size=16).hexdigest()


def read(folder: Path, name: str) -> bytes | None:
    """The database `name`, or None if there is none that can be trusted."""
    try:
        with (folder / f"{name}.hsdb").open("rb") as file:
            if hasattr(os, "geteuid"):
                status = os.fstat(file.fileno())
                if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
                    return None
            blob = file.read(_MAX)
    except OSError:
        return None
    head = len(_MAGIC) + 32
    if not blob.startswith(_MAGIC) or hashlib.blake2b(blob[head:], digest_size=32).digest() != blob[len(_MAGIC) : head]:
        return None
    return blob[head:]


def write(folder: Path, name: str, database: bytes) -> None:
    """Keeps a database for the next process. An unwritable folder is no error."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".hsdb-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + hashlib.blake2b(database, digest_size=32).digest() + database)
            Path(temporary).replace(folder / f"{name}.hsdb")
            _prune(folder)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise


def _prune(folder: Path) -> None:
    """Leaves the newest: each choice of packs has a database, and each try at a detector of one's own."""
    kept = sorted(folder.glob("*.hsdb"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for old in kept[_KEPT:]:
        old.unlink(missing_ok=True)
