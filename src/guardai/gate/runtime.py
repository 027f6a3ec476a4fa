"""The process's gate: what `init` builds from the settings and `shutdown` takes down.

There is at most one. A fork keeps it: the ledger opens a new log in the child by itself.
"""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING

from guardai.errors import GuardError

if TYPE_CHECKING:
    from guardai.settings import Settings

__all__ = ["Runtime", "current", "require", "start", "stop"]


class Runtime:
    """Settings, ledger and gate of this process."""

    __slots__ = ("acting", "gate", "ledger", "pump", "settings")

    def __init__(self, settings: Settings) -> None:
        from guardai.gate.acting import Acting
        from guardai.gate.road import Gate
        from guardai.ledger import Ledger, Pump
        from guardai.lineage import EdgeTable
        from guardai.policy import Bundle, Engine
        from guardai.sinks import open_sink
        from guardai.text import configure

        self.settings = settings
        configure(cache_dir=settings.home / "cache")
        # The bundle first: a policy that cannot be used must not leave a half-made home behind.
        engine = Engine(Bundle.load(settings.policy))
        sinks = {url: open_sink(url) for url in settings.sinks}
        self.ledger = Ledger.open(
            settings.home, mode=settings.ledger_mode, environment=settings.environment, projection=EdgeTable()
        )
        self.pump = Pump(settings.home, sinks)
        self.acting = Acting(settings)
        self.gate = Gate(
            settings=settings,
            engine=engine,
            emit=self.ledger.append,
            key=self.ledger.commitment_key,
            acting=self.acting,
        )
        self.pump.start()

    def close(self) -> None:
        """Ends the calls that nobody will, then the ledger, then delivers what is sealed."""
        from guardai.gate.run import RUNS

        for run in list(RUNS):
            run.abandon()
        self.ledger.close()
        self.pump.stop()


_lock = threading.Lock()
_runtime: Runtime | None = None


def start(settings: Settings) -> Runtime:
    """Builds the gate, replacing an earlier one."""
    global _runtime
    runtime = Runtime(settings)
    with _lock:
        former, _runtime = _runtime, runtime
    if former is not None:
        former.close()
    return runtime


def stop() -> None:
    """Ends the ledger. Without effect if nothing was started."""
    global _runtime
    with _lock:
        former, _runtime = _runtime, None
    if former is not None:
        former.close()


def current() -> Runtime | None:
    """The process's gate, if `init` was called."""
    return _runtime


def require() -> Runtime:
    """The process's gate.

    Raises:
        GuardError: `init` has not been called.
    """
    if _runtime is None:
        raise GuardError("guardai is not started; call guardai.init() first")
    return _runtime


atexit.register(stop)
