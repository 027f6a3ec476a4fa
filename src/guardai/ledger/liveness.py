"""Who still writes: a log's writer holds a lock on the spool file itself, which the kernel drops when it dies.

A forked child shares the parent's open files, and with them the parent's locks. SECURITY INVARIANT: a child closes
every descriptor listed in `inherited` and never unlocks it; unlocking would make the parent look dead, and its log would
be adopted while it still writes.

Where there is no `flock` (Windows) the first byte far beyond the end of the file is locked through `msvcrt`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["close", "held", "is_held", "open_tracked", "try_lock", "unlock"]

#: Descriptors that a forked child must close. Filled right after `os.open`, emptied right before `os.close`.
inherited: Final[set[int]] = set()

if sys.platform == "win32":
    import msvcrt

    _FAR: Final = 0x7FFF_0000

    def try_lock(fd: int) -> bool:
        """Takes the lock if it is free."""
        position = os.lseek(fd, 0, os.SEEK_CUR)
        try:
            os.lseek(fd, _FAR, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(fd, position, os.SEEK_SET)
        return True

    def unlock(fd: int) -> None:
        """Gives the lock back."""
        with contextlib.suppress(OSError):
            os.lseek(fd, _FAR, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(fd: int) -> bool:
        """Takes the lock if it is free."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def unlock(fd: int) -> None:
        """Gives the lock back, also where a forked child still holds a copy of the descriptor."""
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)


def open_tracked(path: Path, flags: int, mode: int = 0o600) -> int:
    """Opens a file that a forked child must close."""
    fd = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), mode)
    inherited.add(fd)
    return fd


def close(fd: int) -> None:
    """Closes a descriptor of `open_tracked`."""
    inherited.discard(fd)
    with contextlib.suppress(OSError):
        os.close(fd)


@contextlib.contextmanager
def held(path: Path, patience: float = 0.0) -> Iterator[bool]:
    """Holds the lock of a file, made if it is not there; False if somebody else has it for so many seconds.

    Raises:
        OSError: the file cannot be made.
    """
    until = time.monotonic() + patience
    fd = open_tracked(path, os.O_RDWR | os.O_CREAT)
    try:
        while not (mine := try_lock(fd)) and time.monotonic() < until:
            time.sleep(0.02)
        try:
            yield mine
        finally:
            if mine:
                # Unlocked, not only closed: a child forked meanwhile may still hold a copy of the descriptor.
                unlock(fd)
    finally:
        close(fd)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock. A file that cannot be opened is nobody's."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError:
        return False
    try:
        if try_lock(fd):
            unlock(fd)
            return False
        return True
    finally:
        os.close(fd)


def close_inherited() -> None:
    """In a forked child: gives up what belongs to the parent, without touching the parent's locks."""
    for fd in list(inherited):
        with contextlib.suppress(OSError):
            os.close(fd)
    inherited.clear()
