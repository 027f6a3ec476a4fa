"""Anchors from within a program: a thread for each hands over the newest tree head every few minutes, and once more at the end.

No call waits for them, nor one of them for another. One process of a home at a time asks an anchor (`anchored`).
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
#: Of what is left of the time, what an anchor has.
_SHARE: Final = 0.7


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
        self._threads: list[threading.Thread] = []
        self._told: dict[str, str] = {}

    def start(self) -> None:
        """Starts the threads, if there are anchors and they do not run in this process already."""
        if not self._anchors or not self._every:
            return
        with self._lock:
            if self._threads or self._ending.is_set():
                return
            for url, one in self._anchors.items():
                thread = threading.Thread(target=self._go_on, args=(url, one), name="guardai-anchors", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no thread to be had: the next process does it
                    _log.warning("%s is handed no tree head by this process: %s", shown(url), error)
                else:
                    self._threads.append(thread)

    def finish(self, timeout: float = 2.0) -> None:
        """From now on the threads have so long to hand over once more what is sealed by now."""
        with self._lock:
            if not self._ending.is_set():
                self._until = time.monotonic() + timeout
                self._ending.set()

    def stop(self) -> None:
        """Finishes, and waits until that is over; what is left then is for the next process."""
        self.finish()
        with self._lock:
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(max(0.0, self._until - time.monotonic()))

    def _go_on(self, url: str, one: Anchor) -> None:
        while not self._ending.wait(self._every):
            self._hand(url, one)
        self._hand(url, one)

    def _hand(self, url: str, one: Anchor) -> None:
        # At the end there is time left to write down that it did not answer.
        left = min(LIMIT, (self._until - time.monotonic()) * _SHARE)
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
