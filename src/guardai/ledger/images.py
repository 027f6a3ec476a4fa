"""Rows as they were before a statement changed them, encrypted, a file for each statement, until they expire.

Under `<home>/vault/images/`, folder 0700: `<hour>-<event>`, whose content stands under the key of the hour in which it
expires (`epochs.py`, the same keys as the token vault's). When the hour is over the file is removed and the key erased, so
that a copy of the file cannot be read either.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from guardai.ledger.epochs import Epochs
from guardai.ledger.layout import replace
from guardai.ledger.vaultfile import VaultError

__all__ = ["Images"]

_NONCE: Final = 12


class Images:
    """The before-images of a home. Safe for threads, processes and forks: no file stays open, each is replaced whole.

    Args:
        home: the folder that holds everything of this home.
        secret: 32 bytes, constant for the home.
        life: seconds until an image is forgotten.
    """

    def __init__(self, home: Path, secret: bytes, *, life: float) -> None:
        self.folder = home / "vault" / "images"
        self._epochs = Epochs(self.folder.parent / "keys", secret)
        self._life = life

    def put(self, event: str, content: bytes) -> None:
        """Keeps what belongs to an event, instead of what was kept for it before. It is on the disk when this returns.

        Raises:
            VaultError: it could not be kept.
        """
        hour = self._epochs.of(time.time() + self._life)
        kept = self._of(event)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = self._epochs.key(hour, create=True)
            assert key is not None, "it was made if it was missing"
            nonce = os.urandom(_NONCE)
            box = nonce + AESGCM(key).encrypt(nonce, content, _bound(event, hour))
            path = self.folder / f"{hour}-{event}"
            replace(path, box, 0o600)
            for other in kept:
                if other != path:
                    other.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            raise VaultError(
                f"rows cannot be kept in {self.folder}: {getattr(error, 'strerror', None) or type(error).__name__}"
            ) from error

    def get(self, event: str) -> bytes | None:
        """What is kept for an event; None if nothing is, or not any more.

        Raises:
            VaultError: it is damaged, or cannot be read.
        """
        for path in self._of(event):
            hour = int(path.name.partition("-")[0])
            try:
                box = path.read_bytes()
                key = self._epochs.key(hour)
                if key is not None:
                    return AESGCM(key).decrypt(box[:_NONCE], box[_NONCE:], _bound(event, hour))
            except FileNotFoundError:
                continue
            except (InvalidTag, ValueError) as error:
                raise VaultError(f"{path} is damaged, or not of this home") from error
            except OSError as error:
                raise VaultError(f"{path} cannot be read: {error.strerror}") from error
        return None

    def drop(self, event: str) -> None:
        """Forgets what is kept for an event, if it can be."""
        with contextlib.suppress(OSError):
            for path in self._of(event):
                path.unlink(missing_ok=True)

    def expire(self) -> int:
        """Removes what is over and erases its keys; how many images."""
        now = time.time()
        removed = 0
        with contextlib.suppress(OSError):  # a folder that is not there, or not ours, holds nothing to forget
            for path in self.folder.iterdir():
                hour = path.name.partition("-")[0]
                if hour.isdecimal() and int(hour) < self._epochs.of(now):
                    path.unlink(missing_ok=True)
                    removed += 1
        self._epochs.erase(now)
        return removed

    def _of(self, event: str) -> list[Path]:
        # An event's id holds letters, digits and hyphens; of anything else nothing is kept.
        if not event.replace("-", "").isalnum():
            return []
        return sorted(self.folder.glob(f"*-{event}")) if self.folder.is_dir() else []


def _bound(event: str, hour: int) -> bytes:
    return f"guardai before-image v1|{event}|{hour}".encode()
