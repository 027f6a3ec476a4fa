"""A file that somebody else may have put there: plain files alone are opened, and none can hold its reader or flood it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["METADATA_BYTES", "opened", "plain", "read", "there"]

#: No metadata of a repository is this large.
METADATA_BYTES: Final = 1024 * 1024


def opened(file: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """A descriptor of the file, which the caller closes. Opening waits for nobody.

    Raises:
        OSError: it cannot be opened, or is no plain file: a pipe would hold its reader, a device never ends.
    """
    fd = os.open(file, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0), mode)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "no plain file", str(file))
    return fd


def read(file: Path, most: int) -> bytes:
    """What is in the file, if that is no more than so many bytes.

    Raises:
        OSError: it is not there, cannot be read, or is no plain file.
        ValueError: it is larger.
    """
    with os.fdopen(opened(file), "rb") as found:
        data = found.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{file.name}: larger than {most} bytes")
    return data


def there(file: Path, most: int) -> bytes | None:
    """The same, or None where there is nothing of that kind."""
    try:
        return read(file, most)
    except (OSError, ValueError):
        return None


def plain(error: Exception) -> str:
    """What went wrong, without the file that it went wrong with."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
