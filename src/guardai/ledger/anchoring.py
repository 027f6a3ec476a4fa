"""Anchors from within a program: a thread that hands over the newest tree head every few minutes, and once more at the end.

No call waits for it. One process of a home at a time asks an anchor (`anchored`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from guardai.errors import LedgerError
from guardai.ledger.anchored import LIMIT, anchor, check_distinct
from guardai.ledger.store import StoreError
from guardai.model import Anchor, shown

__all__ = ["Anchoring"]

_log: Final = logging.getLogger("guardai")


class Anchoring:
    """Hands over tree heads.

    Args:
        home: whose.
        anchors: URL → anchor.
        every: seconds between two; 0: somebody else does it.

    Raises:
        ConfigError: two of the anchors are the same place.
    """

    def __init__(self, home: Path, anchors: Mapping[str, Anchor], *, every: float) -> None:
        check_distinct(anchors)
        self._home = home
        self._anchors = dict(anchors)
        self._every = every
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._until = float("inf")
        self._thread: threading.Thread | None = None
        self._told: dict[str, str] = {}

    def start(self) -> None:
        """Starts the thread, if there is an anchor and it does not run in this process already."""
        if not self._anchors or not self._every:
            return
        with self._lock:
            if self._thread is None and not self._ending.is_set():
                thread = threading.Thread(target=self._go_on, name="guardai-anchors", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no thread to be had: the next process does it
                    _log.warning("no anchor is handed a tree head by this process: %s", error)
                else:
                    self._thread = thread

    def finish(self, timeout: float = 2.0) -> None:
        """From now on the thread has so long to hand over once more what is sealed by now."""
        with self._lock:
            if not self._ending.is_set():
                self._until = time.monotonic() + timeout
                self._ending.set()

    def stop(self) -> None:
        """Finishes, and waits until that is over; what is left then is for the next process."""
        self.finish()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(max(0.0, self._until - time.monotonic()))

    def _go_on(self) -> None:
        while not self._ending.wait(self._every):
            self._hand()
        self._hand()

    def _hand(self) -> None:
        for url, one in self._anchors.items():
            left = min(LIMIT, self._until - time.monotonic())
            if left <= 0:
                return
            try:
                stands = anchor(self._home, {url: one}, seconds=left)[url]
            except (LedgerError, StoreError, OSError) as error:
                why = getattr(error, "strerror", None) or str(error)
            else:
                why = stands.error
            if why and why != self._told.get(url):
                _log.warning("the anchor %s has not taken the tree head (%s); it is tried again", shown(url), why)
            self._told[url] = why


_all: Final[weakref.WeakSet[Anchoring]] = weakref.WeakSet()


def _in_child() -> None:
    for one in list(_all):
        one._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
