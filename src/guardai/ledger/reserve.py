"""A little disk space set aside, so that an outcome can be recorded when the disk has filled up in between.

It is shared by all processes of a home: whoever needs it frees it, and it is set aside again when there is room.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SIZE", "free", "set_aside"]

#: Enough for two outcomes of the largest size and several hundred usual ones.
SIZE: Final = 256 * 1024


def set_aside(path: Path) -> bool:
    """Takes the space; False if there is none. Random bytes, so that a compressing file system really takes it."""
    with contextlib.suppress(OSError):
        if path.stat().st_size >= SIZE:
            return True
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
        try:
            whole = os.write(fd, os.urandom(SIZE)) == SIZE
            if not whole:
                os.ftruncate(fd, 0)
        finally:
            os.close(fd)
    except OSError:
        return False
    return whole


def free(path: Path) -> bool:
    """Gives the space back; False if there was none."""
    try:
        with path.open("r+b") as file:
            had = os.fstat(file.fileno()).st_size > 0
            file.truncate(0)
    except OSError:
        return False
    return had
