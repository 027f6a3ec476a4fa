"""The process's gate: what `init` builds from the settings and `shutdown` takes down.

There is at most one. A fork keeps it: the ledger opens a new log in the child by itself.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from typing import TYPE_CHECKING, Final

from guardai.errors import BundleError, GuardError

if TYPE_CHECKING:
    from guardai.gate.supply import Supplied
    from guardai.policy import Bundle
    from guardai.policy.trust.clock import Until
    from guardai.settings import Settings
    from guardai.text import Own, Recogniser

__all__ = ["Runtime", "current", "require", "start", "stop"]

_log: Final = logging.getLogger("guardai")


class Runtime:
    """Settings, ledger, detectors and gate of this process."""

    __slots__ = (
        "acting", "detectors", "gate", "images", "ledger", "pump", "recognisers", "settings", "shared", "supply", "vault",
    )  # fmt: skip

    def __init__(self, settings: Settings) -> None:
        from guardai.gate.acting import Acting
        from guardai.gate.gate import Gate
        from guardai.gate.supply import Supply
        from guardai.ledger import Images, Ledger, Pump, TokenVault
        from guardai.lineage import EdgeTable
        from guardai.policy import Counters, Engine
        from guardai.settings import seconds
        from guardai.sinks import open_sink
        from guardai.text import Own, packs

        self.settings = settings
        self.detectors: Own = Own()
        self.recognisers: tuple[Recogniser, ...] = ()
        # The bundle first: a policy that cannot be used must not leave a half-made home behind.
        found = frozenset(kind.label for pack in packs.others() for kind in pack.kinds())
        self.supply = Supply(settings, found, self._look_by)
        supplied = self.supply.current
        counters = Counters()
        self.shared = None
        if settings.counters:
            from guardai.policy.shared import Shared

            self.shared = Shared(counters, settings.counters)
        sinks = {url: open_sink(url) for url in settings.sinks}
        self.ledger = Ledger.open(
            settings.home, mode=settings.ledger_mode, environment=settings.environment, projection=EdgeTable()
        )
        self.pump = Pump(settings.home, sinks)
        # Observing, no token is given out: there is nothing to put back.
        life = seconds(settings.token_life) if settings.mode == "enforce" else 0
        self.vault = TokenVault(settings.home, self.ledger.vault_key, life=life) if life else None
        kept = seconds(settings.capture_life)
        self.images = Images(settings.home, self.ledger.vault_key, life=kept) if kept else None
        self.acting = Acting(settings, self.vault)
        self.gate = Gate(
            settings=settings,
            engine=Engine(supplied.bundle),
            emit=self.ledger.append,
            key=self.ledger.commitment_key,
            acting=self.acting,
            images=self.images,
            counters=counters,
            signed=supplied.signed,
            until=supplied.until,
        )
        self.pump.start()
        self.supply.start(self.adopt, lambda why: self._tell("bundle.refused", {"why": why}))

    def adopt(self, supplied: Supplied) -> None:
        """What was supplied decides from the next call on, or what decides is good for longer.

        Raises:
            BundleError: its detectors cannot be used; nothing has changed.
        """
        if supplied.bundle is self.gate.engine.bundle:
            self.gate.in_force.until = supplied.until
            return
        before = self.gate.in_force.digest
        self.swap(supplied.bundle, signed=supplied.signed, until=supplied.until)
        bundle = supplied.bundle
        self._tell(
            "bundle.adopted",
            {"from": before, "name": bundle.name, "to": bundle.digest, "version": bundle.version},
        )

    def _tell(self, kind: str, body: dict[str, object]) -> None:
        """Records what became of the policy; where that cannot be written, the log says so, and the policy holds."""
        from guardai.gate.scope import emit_in

        try:
            emit_in(self.acting.app(), kind, body, ledger=self.ledger)
        except GuardError as error:
            _log.warning("%s could not be recorded: %s", kind, error)

    @staticmethod
    def _read_detectors(bundle: Bundle) -> tuple[Own, tuple[Recogniser, ...]]:
        from guardai.text import Own, PackError, RecogniserError

        if bundle.detectors is None:
            return Own(), ()
        try:
            own = Own.read(bundle.detectors)
            recognisers = own.loaded()
        except (PackError, RecogniserError) as error:
            raise BundleError(f"{bundle.path / Own.FILE}: {error}") from error
        for one in recognisers:
            for label in one.labels:
                if not bundle.knows(label):
                    raise BundleError(
                        f"{bundle.path / Own.FILE}: recogniser {one.name} finds {label!r}, which no policy knows; "
                        "put it into catalog.toml, [labels]"
                    )
        return own, recognisers

    def swap(self, bundle: Bundle, *, signed: bool = False, until: Until | None = None) -> None:
        """Puts another bundle in force, as `Gate.swap` does, with what its detectors look for.

        Detectors are the process's: where the bundle's differ from the former's, they are compiled first, while scans
        go on with the former ones; a call that runs meanwhile is masked by its own bundle's policies, and from then on
        looked through by the new detectors. What they find that the former bundle has no label for is redacted.

        Args:
            bundle: loaded, hence whole.
            signed: whether trusted keys vouch for it.
            until: when it decides no more; None is never.

        Raises:
            BundleError: its detectors cannot be used. The former bundle stays in force, and nothing is changed.
        """
        from guardai.policy import Engine

        engine = Engine(bundle)
        with _swapping:
            if bundle.detectors != self.gate.engine.bundle.detectors:
                self._look_by(bundle, ahead=True)
            self.gate.swap(engine, signed=signed, until=until)

    def _look_by(self, bundle: Bundle, *, ahead: bool = False) -> None:
        former = self.detectors, self.recognisers
        try:
            self.detectors, self.recognisers = self._read_detectors(bundle)
            self.detect(ahead=ahead)
        except BaseException:
            self.detectors, self.recognisers = former
            raise

    def detect(self, *, ahead: bool = False) -> None:
        """Tells the text room what to look for.

        Args:
            ahead: what looks for it is made before it is told, so that no scan waits for that.

        Raises:
            BundleError: a pack that the bundle names is not there.
        """
        from guardai.text import PackError, configure

        own = self.detectors
        try:
            configure(
                cache_dir=self.settings.home / "cache",
                countries=own.pack.countries if own.pack else None,
                packs=own.packs,
                own=own.pack,
                recognisers=self.recognisers,
                ahead=ahead,
            )
        except PackError as error:
            raise BundleError(f"{self.settings.policy}: {error}") from error

    def close(self) -> None:
        """Ends the calls that nobody will, then the ledger, then delivers what is sealed."""
        from guardai.gate.run import RUNS

        self.supply.stop()
        for run in list(RUNS):
            run.abandon()
        if self.shared is not None:
            self.shared.close()
        if self.vault is not None:
            self.vault.close()
        if self.images is not None:
            self.images.expire()
        self.ledger.close()
        self.pump.stop()


_lock = threading.Lock()
#: One swap at a time; no call waits for it.
_swapping = threading.Lock()
_runtime: Runtime | None = None


def start(settings: Settings) -> Runtime:
    """Builds the gate, replacing an earlier one."""
    global _runtime
    try:
        runtime = Runtime(settings)
    except BaseException:
        _look_as(_runtime)
        raise
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
        _look_as(None)


def _look_as(runtime: Runtime | None) -> None:
    """Scans look for what this gate wants, or for what they would without one."""
    if runtime is not None:
        runtime.detect()
        return
    from guardai.text import configure

    configure()


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


def _in_child() -> None:
    """Whoever held these in the parent is not here to let go of them."""
    global _lock, _swapping
    _lock, _swapping = threading.Lock(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
atexit.register(stop)
