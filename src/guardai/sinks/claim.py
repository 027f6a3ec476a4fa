"""One writer at a time for a file that several processes may append to.

The lock is the open file's, so a death drops it. A forked child has the descriptor, too, and with it the lock: it closes
what it was left with, or a writer that dies would seem to go on in it. Where there is no `flock` (Windows) a byte far
beyond the end is locked.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Final

__all__ = ["give_back", "opened", "take"]

if sys.platform == "win32":
    import msvcrt

    _FAR: Final = 0x7FFF_0000

    def take(fd: int) -> bool:
        """Takes the lock if it is free."""
        return _locked(fd, msvcrt.LK_NBLCK)

    def give_back(fd: int) -> None:
        """Gives it back."""
        _locked(fd, msvcrt.LK_UNLCK)

    def _locked(fd: int, how: int) -> bool:
        position = os.lseek(fd, 0, os.SEEK_CUR)
        try:
            os.lseek(fd, _FAR, os.SEEK_SET)
            msvcrt.locking(fd, how, 1)
        except OSError:
            return False
        finally:
            os.lseek(fd, position, os.SEEK_SET)
        return True

else:
    import fcntl

    def take(fd: int) -> bool:
        """Takes the lock if it is free."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def give_back(fd: int) -> None:
        """Gives it back, also where a forked child still has the descriptor."""
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)


_open: Final[set[int]] = set()


@contextlib.contextmanager
def opened(fd: int) -> Iterator[io.FileIO]:
    """The file of a descriptor, for as long as it is wanted and in this process only."""
    file = io.FileIO(fd, "r+")
    _open.add(fd)
    try:
        yield file
    finally:
        _open.discard(fd)  # first: its number may be somebody else's at once
        file.close()


def _in_child() -> None:
    for fd in list(_open):
        with contextlib.suppress(OSError):
            os.close(fd)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
