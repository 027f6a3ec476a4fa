"""A file written whole or not at all; in a folder that others can write, too, through no link."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from guardai.errors import BundleError

__all__ = ["create", "put", "replace"]


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


def put(file: Path, data: bytes) -> None:
    """Writes a file that a person named: what is there stays if the new one cannot be written.

    Their own links are followed; a pipe or a device (`/dev/stdout`) is written to, and not replaced by a file.

    Raises:
        OSError: it cannot be written; names the file.
    """
    try:
        if file.exists() and not file.is_file():
            file.write_bytes(data)
        else:
            replace(Path(os.path.realpath(file)), data)
    except OSError as error:  # of a full disk it would name none
        raise OSError(error.errno, error.strerror, str(file)) from None


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
