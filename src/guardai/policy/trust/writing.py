"""A file in a folder that others can write, too: written whole or not at all, and through no link."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from guardai.errors import BundleError

__all__ = ["create", "replace"]


def create(file: Path, data: bytes) -> None:
    """Writes a file that must not be there yet.

    Raises:
        BundleError: it is there. It stays as it is.
        OSError: the folder cannot be written.
    """
    with _draft(file, data) as draft:
        try:
            file.hardlink_to(draft)
            return
        except FileExistsError:
            pass
        except OSError:  # a file system without links; the lock is ours
            if not os.path.lexists(file):
                draft.replace(file)
                return
    raise BundleError(f"{file}: somebody made it meanwhile; who else publishes here? Look, and run this again")


def replace(file: Path, data: bytes) -> None:
    """Writes a file, in the place of the one that may be there.

    Raises:
        OSError: the folder cannot be written.
    """
    with _draft(file, data) as draft:
        draft.replace(file)


@contextlib.contextmanager
def _draft(file: Path, data: bytes) -> Iterator[Path]:
    """The content beside the file, on the disk."""
    beside = file.with_name(f".{file.name}.new")
    # What lies there a killed process left, or somebody as a link that leads elsewhere: it is not written through.
    beside.unlink(missing_ok=True)
    try:
        with beside.open("xb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        yield beside
    finally:
        beside.unlink(missing_ok=True)
