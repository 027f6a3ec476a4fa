"""The ledger: spool, seal, store, verify, sinks; and the token vault."""

from guardai.ledger.canonical import raw
from guardai.ledger.events import events, find
from guardai.ledger.images import Images
from guardai.ledger.ledger import Ledger, Mode
from guardai.ledger.projection import Projection
from guardai.ledger.pump import Pump
from guardai.ledger.report import CODES, Fault, Report
from guardai.ledger.vault import TokenVault, VaultError
from guardai.ledger.verify import verify

__all__ = [
    "CODES",
    "Fault",
    "Images",
    "Ledger",
    "Mode",
    "Projection",
    "Pump",
    "Report",
    "TokenVault",
    "VaultError",
    "events",
    "find",
    "raw",
    "verify",
]
