"""One process at a time works on a client's cache (tuf's updater is made for a single instance) or in a publisher's folder.

The lock is the kernel's, so it goes when its holder dies. A forked child closes the descriptors that it inherits, or the lock
would outlive a parent that was killed while it held it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guardai.errors import BundleError
from guardai.policy.trust.clock import Limit
from guardai.policy.trust.reading import opened

__all__ = ["held"]

_inherited: Final[set[int]] = set()

if sys.platform == "win32":
    import msvcrt

    def _try(fd: int) -> bool:
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except PermissionError:  # what it says where somebody else holds it
            return False
        return True

    def _release(fd: int) -> None:
        with contextlib.suppress(OSError):
            msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # anything else (no more locks, no lock on this file system) waiting does not mend
            return False
        return True

    def _release(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


@contextlib.contextmanager
def held(file: Path, seconds: float, *, what: str = "cache", mode: int = 0o600) -> Iterator[None]:
    """Holds the lock of a file, which is made if it is not there. Nobody else does meanwhile, in this process or another.

    Args:
        file: the lock.
        seconds: how long to wait for whoever holds it.
        what: the lock is of, as a message says it: no path, for it may be recorded.
        mode: of a file that is made, less what the umask takes.

    Raises:
        BundleError: somebody else held it for so many seconds; or the file cannot be opened, or not be locked.
    """
    limit = Limit(seconds)
    try:
        # Not through a link: whoever can put one there would have the file made where they cannot write.
        fd = opened(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), mode)
    except OSError as error:
        raise BundleError(
            f"the {what}'s lock cannot be opened: {error.strerror}; it has to be this user's, and writable"
        ) from error
    _inherited.add(fd)
    try:
        while not _taken(fd, what):
            if not limit.left():
                raise BundleError(f"another process has been at work on the {what} for {seconds:.3g} seconds")
            time.sleep(0.02)
        try:
            yield
        finally:
            _release(fd)
    finally:
        _inherited.discard(fd)
        os.close(fd)


def _taken(fd: int, what: str) -> bool:
    try:
        return _try(fd)
    except OSError as error:
        raise BundleError(f"the {what}'s lock cannot be taken: {error.strerror}") from error


def _in_child() -> None:
    for fd in _inherited:
        with contextlib.suppress(OSError):
            os.close(fd)
    _inherited.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
