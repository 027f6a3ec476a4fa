"""Keys that are erased by the hour: what was encrypted under one cannot be read any more, wherever a copy of it lies.

A deleted row of a database may stay readable in a free page, in its write-ahead log, in a backup. So what expires is
encrypted under the key of the hour in which it does, and when the hour is over the key's file is overwritten and removed.
What that is worth depends on the disk: a copy-on-write or journalling file system, a solid-state disk and a backup of the
key folder may keep the old bytes (docs/threat-model.md).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from guardai.ledger.layout import erase, publish

__all__ = ["HOUR", "Epochs"]

HOUR: Final = 3600
_SIZE: Final = 32


class Epochs:
    """The keys in one folder, a file of 32 random bytes for each hour since 1970 that something expires in.

    Args:
        folder: made when the first key is.
        secret: of the home; a key file alone, or the secret alone, opens nothing.
    """

    __slots__ = ("_folder", "_secret")

    def __init__(self, folder: Path, secret: bytes) -> None:
        self._folder = folder
        self._secret = secret

    @staticmethod
    def of(until: float) -> int:
        """The hour in which what lives until then expires."""
        return int(until) // HOUR

    def key(self, hour: int, *, create: bool = False) -> bytes | None:
        """32 bytes; None if there is no such key any more.

        Raises:
            OSError: the file cannot be read or made.
            ValueError: it is damaged.
        """
        path = self._folder / str(hour)
        try:
            drawn = path.read_bytes()
        except FileNotFoundError:
            if not create:
                return None
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            drawn = os.urandom(_SIZE)
            if not publish(path, drawn, 0o600):
                drawn = path.read_bytes()
        if len(drawn) != _SIZE:
            raise ValueError(f"{path} is damaged")
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=drawn, info=b"guardai vault epoch v1:%d" % hour).derive(
            self._secret
        )

    def erase(self, now: float) -> int:
        """Erases the keys of the hours that are over; how many."""
        erased = 0
        with contextlib.suppress(OSError):  # a folder that is not there, or not ours, holds nothing to erase
            for path in self._folder.iterdir():
                if path.name.isdecimal() and int(path.name) < self.of(now):
                    with contextlib.suppress(OSError):  # another process is at it, or will be asked again
                        erase(path)
                        erased += 1
        return erased
