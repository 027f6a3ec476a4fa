"""The bundle in force, with all that the gate makes from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardai.errors import BundleError
from guardai.gate.plan import Plans

if TYPE_CHECKING:
    from guardai.policy import Engine
    from guardai.policy.trust.clock import Until
    from guardai.settings import Settings
    from guardai.text import Search

__all__ = ["InForce"]


class InForce:
    """One bundle's engine, detectors, catalog, plans and digest, and by what right it decides: they only ever change together.

    INVARIANT: a call takes this object once, when it begins, and asks nothing of any other until it has ended: what it is
    looked through for, its masks, its rows, its approvals and the digest in its events are all of one bundle. Only `until` ever
    changes: put off, when the same bundle is vouched for anew, or brought forward, when its keys count no more. Of a bundle
    without detectors `search` is what the program has configured, and follows that.
    """

    __slots__ = ("catalog", "digest", "engine", "plans", "search", "signed", "until")

    def __init__(
        self, engine: Engine, search: Search, settings: Settings, *, signed: bool = False, until: Until | None = None
    ) -> None:
        self.search = search
        self.signed = signed
        self.until = until
        self.engine = engine
        self.catalog = engine.bundle.catalog
        self.digest = engine.bundle.digest
        self.plans = Plans(engine.bundle.catalog, settings)

    def check(self) -> None:
        """Whether it may still decide: asked before every decision, the second one about a call that paused included.

        Raises:
            BundleError: it has expired.
        """
        if self.until is not None and self.until.passed():
            raise BundleError(
                f"the policy bundle {self.digest[:12]} expired at {self.until.end:%Y-%m-%d %H:%M} UTC and no newer one could "
                "be had; `guardai bundle status` says why"
            )
