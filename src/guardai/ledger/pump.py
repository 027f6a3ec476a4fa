"""The pump: carries sealed events from the store to the sinks, each at its own pace, in a thread of its own.

No call waits for it, and no sink for another: one that is down, hangs or answers nonsense holds up only itself.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from guardai.errors import ConfigError
from guardai.ledger.account import sink_name
from guardai.ledger.delivery import Delivery, Ending
from guardai.model import Sink, shown

__all__ = ["Pump"]

_log: Final = logging.getLogger("guardai")

_EVERY: Final = 1.0


class Pump:
    """Delivers to sinks, at least once and in order.

    Args:
        home: whose store is read.
        sinks: URL → sink.
        every: seconds between two looks at the store.

    Raises:
        ConfigError: two of the sinks are the same place.
    """

    def __init__(self, home: Path, sinks: Mapping[str, Sink], *, every: float = _EVERY) -> None:
        self._every = every
        self._ending = Ending()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._started = self._stopped = False
        _distinct(sinks)
        self._deliveries = [Delivery(home, url, sink, self._ending) for url, sink in sinks.items()]
        _pumps.add(self)

    def start(self) -> None:
        """Starts the threads, if there is anything to deliver to and they do not run in this process already."""
        with self._lock:
            if self._started or self._stopped:
                return
            self._started = True
            self._threads = self._run_each(self._go_on)

    def stop(self, timeout: float = 2.0) -> None:
        """Delivers once more what is sealed by now, within the time; the rest is delivered by the next process."""
        with self._lock:
            threads, self._threads = self._threads, []
            self._stopped = True
        until = time.monotonic() + timeout
        self._ending.within(timeout)
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def once(self, *, patient: bool = True) -> None:
        """Delivers what is sealed by now, and returns when every sink is done or has failed.

        Args:
            patient: leave a sink alone that failed a short while ago.
        """
        for thread in self._run_each(lambda delivery: delivery.once(patient=patient)):
            thread.join()

    def _go_on(self, delivery: Delivery) -> None:
        while not self._ending.wait(self._every):
            delivery.once()
        delivery.once()

    def _run_each(self, work: Callable[[Delivery], None]) -> list[threading.Thread]:
        threads = []
        for delivery in self._deliveries:
            thread = threading.Thread(target=work, args=(delivery,), name="guardai-pump", daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:  # no thread to be had: the next process delivers
                _log.warning("a sink gets nothing from this process: %s", exc)
            else:
                threads.append(thread)
        return threads

    def _in_child(self) -> None:
        """In a forked child no thread of the pump is left; the next `start` begins anew."""
        self._lock = threading.Lock()
        self._ending = Ending()
        self._threads = []
        self._started = False
        for delivery in self._deliveries:
            delivery.in_child(self._ending)


def _distinct(urls: Iterable[str]) -> None:
    seen: set[str] = set()
    for url in urls:
        name = sink_name(url)
        if name in seen:
            raise ConfigError(f"two sinks are the same place: {shown(url)}")
        seen.add(name)


_pumps: Final[weakref.WeakSet[Pump]] = weakref.WeakSet()


def _in_child() -> None:
    for pump in list(_pumps):
        pump._in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
