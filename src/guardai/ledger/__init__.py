"""The ledger: spool, seal, store, verify, sinks; and the token vault."""

from guardai.ledger.canonical import raw
from guardai.ledger.events import events, find, sealed_size
from guardai.ledger.export import Exported, export
from guardai.ledger.images import Images
from guardai.ledger.keys import open_keys, public_key
from guardai.ledger.ledger import Ledger, Mode
from guardai.ledger.projection import Projection
from guardai.ledger.proof import ProofError
from guardai.ledger.proving import Proven, check_proof, prove
from guardai.ledger.pump import Pump
from guardai.ledger.quorum import PolicyError, TrustPolicy
from guardai.ledger.report import CODES, Fault, Report
from guardai.ledger.sealer import SealError, seal
from guardai.ledger.store import StoreVersionError
from guardai.ledger.vault import TokenVault, VaultError
from guardai.ledger.verify import verify, verify_export

__all__ = [
    "CODES",
    "Exported",
    "Fault",
    "Images",
    "Ledger",
    "Mode",
    "PolicyError",
    "Projection",
    "ProofError",
    "Proven",
    "Pump",
    "Report",
    "SealError",
    "StoreVersionError",
    "TokenVault",
    "TrustPolicy",
    "VaultError",
    "check_proof",
    "events",
    "export",
    "find",
    "open_keys",
    "prove",
    "public_key",
    "raw",
    "seal",
    "sealed_size",
    "verify",
    "verify_export",
]
