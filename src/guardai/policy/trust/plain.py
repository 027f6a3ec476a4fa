"""Plain files alone: a pipe in a file's place holds whoever opens it, a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["content", "opened"]


def opened(file: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of the file, which the caller closes. Opening waits for nobody.

    Raises:
        OSError: it cannot be opened, or is no plain file.
    """
    fd = os.open(file, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0), 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "no plain file", str(file))
    return fd


def content(file: Path, most: int) -> bytes:
    """What stands in the file.

    Raises:
        OSError: it cannot be read, or is no plain file.
        ValueError: it is larger than so many bytes.
    """
    with os.fdopen(opened(file), "rb") as read:
        data = read.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{file.name}: larger than {most} bytes")
    return data
