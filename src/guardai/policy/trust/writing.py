"""A file written whole or not at all; in a folder that others can write, too, through no link."""

from __future__ import annotations

import contextlib
import os
import stat
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
    """Writes a file, in the place of the one that may be there. The caller has the lock of its folder.

    Raises:
        OSError: the folder cannot be written.
    """
    with _draft(file, data) as draft:
        draft.replace(file)


def put(file: Path, data: bytes) -> None:
    """Writes a file that a person named: what is there stays if the new one cannot be written.

    It stays readable to whom it was. Their own links are followed. A pipe, a device and what is open already (`/dev/stdout`,
    also where that leads to a file) are written to, and so is a file in a folder that cannot be.

    Raises:
        OSError: it cannot be written; names the file.
    """
    try:
        there = Path(os.path.realpath(file))
        if _is_open_already(file) or (file.exists() and not (file.is_file() and os.access(there.parent, os.W_OK))):
            file.write_bytes(data)
        else:
            with _draft(there, data, f"{os.getpid()}.new", like=there) as draft:
                draft.replace(there)
    except OSError as error:  # of a full disk it would name none
        raise OSError(error.errno, error.strerror, str(file)) from None


def _is_open_already(file: Path) -> bool:
    """Whether the name is one of a descriptor's; a shell that has opened a file for it goes on writing to that very file."""
    return file.absolute().parts[1:2] in (("dev",), ("proc",))


@contextlib.contextmanager
def _draft(file: Path, data: bytes, suffix: str = "new", like: Path | None = None) -> Iterator[Path]:
    """The content beside the file, on the disk, with the mode of another."""
    beside = file.with_name(f".{file.name}.{suffix}")
    # What lies there a killed process left, or somebody as a link that leads elsewhere: it is not written through.
    beside.unlink(missing_ok=True)
    try:
        with beside.open("xb") as opened:
            if like is not None and like.exists():
                beside.chmod(stat.S_IMODE(like.stat().st_mode))
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        yield beside
    finally:
        beside.unlink(missing_ok=True)
