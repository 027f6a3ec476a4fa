"""The bundle in force, with all that the gate makes from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardai.gate.plan import Plans

if TYPE_CHECKING:
    from guardai.policy import Engine
    from guardai.settings import Settings

__all__ = ["InForce"]


class InForce:
    """One bundle's engine, catalog, plans and digest, which only ever change together.

    INVARIANT: a call takes this object once, when it begins, and asks nothing of any other until it has ended: its
    masks, its rows, its approvals and the digest in its events are all of one bundle.
    """

    __slots__ = ("catalog", "digest", "engine", "plans")

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.catalog = engine.bundle.catalog
        self.digest = engine.bundle.digest
        self.plans = Plans(engine.bundle.catalog, settings)
