"""The process's gate: what `init` builds from the settings and `shutdown` takes down.

There is at most one. A fork keeps it: the ledger opens a new log in the child by itself.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from typing import TYPE_CHECKING, Final

from guardai.errors import GuardError

if TYPE_CHECKING:
    from guardai.gate.supply import Supplied
    from guardai.policy import Bundle
    from guardai.policy.trust.clock import Until
    from guardai.settings import Settings
    from guardai.text import Search

__all__ = ["Runtime", "current", "require", "start", "stop"]

_log: Final = logging.getLogger("guardai")


class Runtime:
    """Settings, ledger, policy and gate of this process."""

    __slots__ = (
        "acting",
        "anchoring",
        "contents",
        "gate",
        "images",
        "ledger",
        "pump",
        "settings",
        "shared",
        "supply",
        "vault",
    )

    def __init__(self, settings: Settings) -> None:
        from guardai.gate.acting import Acting
        from guardai.gate.detectors import search_of
        from guardai.gate.gate import Gate
        from guardai.gate.supply import Supply
        from guardai.ledger import Anchoring, Images, Ledger, Pump, ReplayVault, TokenVault, open_anchor
        from guardai.lineage import EdgeTable
        from guardai.policy import Counters, Engine
        from guardai.settings import seconds
        from guardai.sinks import open_sink
        from guardai.text import packs

        self.settings = settings
        # The bundle first: a policy that cannot be used must not leave a half-made home behind.
        usable: list[Search] = []  # the last is of the bundle to begin with
        cache = settings.home / "cache"
        self.supply = Supply(settings, packs.labels_of_others(), lambda bundle: usable.append(search_of(bundle, cache)))
        supplied = self.supply.current
        counters = Counters()
        self.shared = None
        if settings.counters:
            from guardai.policy.shared import Shared

            self.shared = Shared(counters, settings.counters)
        pump = self.pump = Pump(settings.home, {url: open_sink(url) for url in settings.sinks})
        anchors = {url: open_anchor(url) for url in settings.anchors}
        anchoring = self.anchoring = Anchoring(settings.home, anchors, every=seconds(settings.anchor_every))

        def carry_on() -> None:
            pump.start()
            anchoring.start()

        self.ledger = Ledger.open(
            settings.home,
            mode=settings.ledger_mode,
            on_full=settings.ledger_full,
            environment=settings.environment,
            projection=EdgeTable(),
            store=settings.ledger,
            chores=carry_on,  # a forked child that records something delivers, too
        )
        # Observing, no token is given out: there is nothing to put back.
        life = seconds(settings.token_life) if settings.mode == "enforce" else 0
        self.vault = TokenVault(settings.home, self.ledger.vault_key, life=life) if life else None
        kept = seconds(settings.capture_life)
        self.images = Images(settings.home, self.ledger.vault_key, life=kept) if kept else None
        kept = seconds(settings.content_life)
        durable = settings.ledger_mode == "strict"
        self.contents = ReplayVault(settings.home, self.ledger.vault_key, life=kept, durable=durable) if kept else None
        self.acting = Acting(settings, self.vault)
        self.gate = Gate(
            settings=settings,
            engine=Engine(supplied.bundle),
            search=usable[-1],
            emit=self.ledger.append,
            key=self.ledger.commitment_key,
            acting=self.acting,
            images=self.images,
            contents=self.contents,
            counters=counters,
            signed=supplied.signed,
            until=supplied.until,
        )
        carry_on()
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

    def swap(self, bundle: Bundle, *, signed: bool = False, until: Until | None = None) -> None:
        """Puts another bundle in force, with what its detectors look for, as `Gate.swap` does.

        Where its detectors differ from the former's, they are compiled first, so that no call waits for that.

        Args:
            bundle: loaded, hence whole.
            signed: whether trusted keys vouch for it.
            until: when it decides no more; None is never.

        Raises:
            BundleError: its detectors cannot be used. The former bundle stays in force, and nothing is changed.
        """
        from guardai.gate.detectors import known, search_of
        from guardai.policy import Engine

        engine = Engine(bundle)
        with _swapping:
            former = self.gate.in_force
            search = former.search
            if bundle.detectors != former.engine.bundle.detectors:
                search = search_of(bundle, self.settings.home / "cache", compiled=former.search.compiled)
            elif bundle.detectors is not None:
                known(bundle, search)
            self.gate.swap(engine, search, signed=signed, until=until)
            _look_as(self)

    def close(self) -> None:
        """Ends the calls that nobody will, then the ledger, then delivers what is sealed, and its newest tree head."""
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
        if self.contents is not None:
            self.contents.close()
        self.ledger.close()
        self.anchoring.finish()
        self.pump.stop()
        self.anchoring.stop()


_lock = threading.Lock()
#: One swap at a time; no call waits for it.
_swapping = threading.Lock()
_runtime: Runtime | None = None


def start(settings: Settings) -> Runtime:
    """Builds the gate, replacing an earlier one."""
    global _runtime
    former = _runtime
    try:
        if former is not None:
            former.supply.stop()  # it would hold the cache that the new one needs
        runtime = Runtime(settings)
    except BaseException:
        if former is not None:
            former.supply.go_on()
        raise
    with _lock:
        former, _runtime = _runtime, runtime
    _look_as(runtime)
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
    """What is scanned without a gate, `guardai.text.scan` say, is looked through for what the process's gate wants.

    One that is not the process's, or not any more, changes nothing.
    """
    from guardai.text import use

    with _lock:
        if runtime is _runtime:
            if runtime is None:
                use()
            else:
                use(runtime.gate.in_force.search, cache_dir=runtime.settings.home / "cache")


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
