"""A file written whole or not at all; in a folder that others can write, too, through no link."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guardai.errors import BundleError

__all__ = ["create", "put", "replace"]

_OPEN: Final = re.compile(r"/dev/(?:std(?:in|out|err)|fd/[0-9]+)|/proc/[^/]+/(?:task/[^/]+/)?fd/[0-9]+")


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
    """Writes a file, in the place of the one that may be there. Nobody else writes it meanwhile: the caller sees to that.

    Raises:
        OSError: the folder cannot be written.
    """
    with _draft(file, data) as draft:
        draft.replace(file)


def put(file: Path, data: bytes) -> None:
    """Writes a file that a person named: what is there stays if the new one cannot be written.

    Its mode and owner stay as they are. The person's own links are followed. A pipe, a device and what is open already
    (`/dev/stdout`, also where that leads to a file) are written to, and so is a file that none can be put in the place of: in a
    folder of somebody else, or mounted alone. Who is killed may leave a `.NAME.….new` there.

    Raises:
        OSError: it cannot be written; names the file.
    """
    try:
        real = Path(os.path.realpath(file))
        if _is_open_already(file) or (file.exists() and not file.is_file()):
            file.write_bytes(data)
            return
        try:
            with _draft(real, data, f"{secrets.token_hex(4)}.new", like=real) as draft:
                draft.replace(real)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EACCES, errno.EBUSY) or not real.exists():
                raise
            real.write_bytes(data)
    except OSError as error:  # of a full disk it would name none
        raise OSError(error.errno, error.strerror, str(file)) from None


def _is_open_already(file: Path) -> bool:
    """Whether the name leads to one of a descriptor's; a shell that has opened a file for it goes on writing to that very file."""
    name = os.path.abspath(file)  # noqa: PTH100 - without following links, which are looked at
    for _ in range(40):  # as many as Linux follows
        if _OPEN.fullmatch(name):
            return True
        try:
            name = os.path.join(os.path.dirname(name), os.readlink(name))  # noqa: PTH115, PTH118, PTH120
        except OSError:
            return False
    return False


@contextlib.contextmanager
def _draft(file: Path, data: bytes, suffix: str = "new", like: Path | None = None) -> Iterator[Path]:
    """The content beside the file, on the disk, with the mode and owner of another."""
    beside = file.with_name(f".{file.name}.{suffix}")
    # What lies there a killed process left, or somebody as a link that leads elsewhere: it is not written through.
    beside.unlink(missing_ok=True)
    try:
        with beside.open("xb") as opened:
            if like is not None and like.exists():
                _give(beside, like.stat())
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        yield beside
    finally:
        beside.unlink(missing_ok=True)


def _give(file: Path, like: os.stat_result) -> None:
    found = file.stat()
    if (found.st_uid, found.st_gid) != (like.st_uid, like.st_gid):
        os.chown(file, like.st_uid, like.st_gid)
    file.chmod(stat.S_IMODE(like.st_mode))
