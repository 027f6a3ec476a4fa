"""The pump: carries sealed events from the store to the sinks, each at its own pace.

It reads what is sealed and remembers, for each sink, how far it has come. A sink that is down is tried again, slower and
slower; nothing is dropped, and no call waits for it. One process at a time pumps for a sink.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from guardai.ledger import liveness
from guardai.ledger.layout import Layout, replace
from guardai.ledger.store import read_store
from guardai.model import Sink

__all__ = ["Pump"]

_log: Final = logging.getLogger("guardai")

_EVERY: Final = 1.0
_BATCH: Final = 500
#: Seconds between tries of a sink that fails: 1, 2, 4, … up to five minutes.
_SLOWEST: Final = 300.0


class _Cursor(msgspec.Struct):
    """How far a sink has come: the next leaf to deliver."""

    next: int = 0


class Pump:
    """Delivers to sinks from a thread of its own, at least once and in order.

    Args:
        home: whose store is read.
        sinks: name → sink. The name (a URL) identifies the cursor; it is hashed, because it may hold a password.
    """

    def __init__(self, home: Path, sinks: Mapping[str, Sink]) -> None:
        self._layout = Layout(home)
        self._sinks = {hashlib.sha256(name.encode()).hexdigest()[:16]: sink for name, sink in sinks.items()}
        self._folder = self._layout.ledger / "sinks"
        self._wait: dict[str, tuple[float, float]] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread, if there is anything to deliver to."""
        if self._sinks and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="guardai-pump", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Delivers once more what is sealed by now, within the time; the rest is delivered by the next process."""
        thread, self._thread = self._thread, None
        self._stopping.set()
        if thread is not None:
            thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY):
            self.once()
        self.once()

    def once(self) -> None:
        """Delivers what is sealed by now to every sink that is not being given time."""
        for name, sink in self._sinks.items():
            pause, until = self._wait.get(name, (0.0, 0.0))
            if time.monotonic() < until:
                continue
            try:
                self._deliver(name, sink)
            except Exception as exc:  # a sink may raise anything; the events stay where they are
                pause = min(max(1.0, pause * 2), _SLOWEST)
                self._wait[name] = (pause, time.monotonic() + pause)
                _log.warning("a sink took nothing (%s); it is tried again in %d s", type(exc).__name__, pause)
            else:
                self._wait.pop(name, None)

    def _deliver(self, name: str, sink: Sink) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{name}.json"
        with self._alone(name) as mine:
            if not mine:
                return
            # Without a cursor that can be read: from the beginning, because at least once is the promise.
            cursor = _Cursor()
            with contextlib.suppress(OSError, msgspec.DecodeError):
                cursor = msgspec.json.decode(path.read_bytes(), type=_Cursor)
            while events := self._sealed(cursor.next):
                sink.deliver(events)
                cursor.next += len(events)
                replace(path, msgspec.json.encode(cursor), 0o600)

    def _sealed(self, start: int) -> list[bytes]:
        try:
            with read_store(self._layout.store) as store:
                if store is None:
                    return []
                rows = store.db.execute(
                    "SELECT bytes FROM events WHERE leaf >= ? ORDER BY leaf LIMIT ?", (start, _BATCH)
                )
                return [data for (data,) in rows]
        except sqlite3.Error:
            return []  # being made or locked: next time

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[bool]:
        fd = liveness.open_tracked(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT)
        try:
            yield liveness.try_lock(fd)
        finally:
            liveness.close(fd)
