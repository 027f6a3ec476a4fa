"""One struct for each kind of event: what stands in its bytes, no more and no less.

Events are written from `Event`, which has the fields of all kinds and encodes in a microsecond; these say what may come of that.
`ledger.read` reads them, `docs/event-schema.json` is made of them, and the tests hold what the gate and the ledger write to them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.model.event import VERSION
from guardai.model.kinds.calls import CallIntent, CallOutcome, Scene
from guardai.model.kinds.logs import (
    CheckpointHeld,
    Gap,
    KeyCertified,
    KeyRevoked,
    LogClose,
    LogOpen,
    LogPruned,
    Recovery,
)
from guardai.model.kinds.parts import Recorded
from guardai.model.kinds.replays import VaultErase, VaultErased, VaultShown
from guardai.model.kinds.sessions import (
    BundleAdopted,
    BundleRefused,
    ProgramsOwn,
    RowsShown,
    SessionClose,
    SessionOpen,
    SessionState,
)  # fmt: skip

__all__ = ["KINDS", "VERSIONS", "ProgramsOwn", "Recorded"]

#: The kinds that guardai writes. All others are programs'.
KINDS: Final = MappingProxyType(
    {
        "call.intent": CallIntent,
        "call.outcome": CallOutcome,
        "scene": Scene,
        "session.open": SessionOpen,
        "session.state": SessionState,
        "session.close": SessionClose,
        "bundle.adopted": BundleAdopted,
        "bundle.refused": BundleRefused,
        "rows.shown": RowsShown,
        "vault.shown": VaultShown,
        "vault.erase": VaultErase,
        "vault.erased": VaultErased,
        "log.open": LogOpen,
        "log.close": LogClose,
        "log.pruned": LogPruned,
        "recovered": Recovery,
        "gap": Gap,
        "key.certified": KeyCertified,
        "key.revoked": KeyRevoked,
        "checkpoint.held": CheckpointHeld,
    }
)

#: Version → its kinds, of the versions that are read: this one and, once there is one, the one before.
VERSIONS: Final = MappingProxyType({VERSION: KINDS})
