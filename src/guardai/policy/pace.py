"""A thread that loads a bundle beside running calls lets them go first.

Python hands its lock from one thread to another every 5 ms, so a call that lets go of it once (each writes to the ledger)
would wait that long, again and again, while 10,000 policies are read. A thread that rests for a moment after each half
millisecond of work makes nobody wait longer than that. The main thread never rests: at the start nothing runs beside it.
"""

from __future__ import annotations

import threading
import time
from typing import Final

__all__ = ["breathe"]

#: Seconds of work, and of rest after it.
_WORK: Final = 0.0005
_REST: Final = 0.0001


class _Since(threading.local):
    at = 0.0
    main = False
    known = False


_since: Final = _Since()


def breathe() -> None:
    """Said between two steps of a long work, none of which takes longer than a fraction of a millisecond."""
    since = _since
    if not since.known:
        since.main = threading.current_thread() is threading.main_thread()
        since.known = True
    if since.main:
        return
    now = time.perf_counter()
    if now - since.at > _WORK:
        time.sleep(_REST)
        since.at = time.perf_counter()
