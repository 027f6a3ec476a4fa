"""The ledger: spool, seal, store, verify, sinks; and the token vault."""

from guardai.ledger.account import Standing, accounts, sink_name
from guardai.ledger.anchored import Anchorage, Anchored, anchor, check_distinct, standings
from guardai.ledger.anchoring import Anchoring
from guardai.ledger.anchors import open_anchor
from guardai.ledger.canonical import raw
from guardai.ledger.contents import Found, Held, ReplayVault, Writer
from guardai.ledger.decoding import EventError, EventVersionError, read_event
from guardai.ledger.delivery import BusyError, Delivery, Ending
from guardai.ledger.events import events, find, sealed_size
from guardai.ledger.export import Exported, export
from guardai.ledger.holding import Holding, OlderHeadError, held_file, hold
from guardai.ledger.images import Images
from guardai.ledger.keys import open_keys
from guardai.ledger.ledger import Ledger, Mode
from guardai.ledger.listing import KnownHost, KnownKeys, known_keys
from guardai.ledger.migration import Migrated, migrate
from guardai.ledger.note import NoteError
from guardai.ledger.place import is_shared, use
from guardai.ledger.projection import Projection
from guardai.ledger.proof import ProofError
from guardai.ledger.proving import Proven, check_proof, prove
from guardai.ledger.pruning import Pruned, prune
from guardai.ledger.public import export_public
from guardai.ledger.pump import Pump
from guardai.ledger.quorum import PolicyError, TrustPolicy
from guardai.ledger.report import CODES, Fault, Report, Vouching
from guardai.ledger.revocations import Revocation, kept, read_all
from guardai.ledger.root import Root, public_key, root_at
from guardai.ledger.rotation import init_keys, revoke, rotate
from guardai.ledger.sealer import SealError, seal
from guardai.ledger.stats import Stats, stats
from guardai.ledger.store import StoreError
from guardai.ledger.vault import TokenVault
from guardai.ledger.vaultfile import VaultError
from guardai.ledger.verify import verify, verify_export, verify_store
from guardai.ledger.vouching import Anchors

__all__ = [
    "CODES",
    "Anchorage",
    "Anchored",
    "Anchoring",
    "Anchors",
    "BusyError",
    "Delivery",
    "Ending",
    "EventError",
    "EventVersionError",
    "Exported",
    "Fault",
    "Found",
    "Held",
    "Holding",
    "Images",
    "KnownHost",
    "KnownKeys",
    "Ledger",
    "Migrated",
    "Mode",
    "NoteError",
    "OlderHeadError",
    "PolicyError",
    "Projection",
    "ProofError",
    "Proven",
    "Pruned",
    "Pump",
    "ReplayVault",
    "Report",
    "Revocation",
    "Root",
    "SealError",
    "Standing",
    "Stats",
    "StoreError",
    "TokenVault",
    "TrustPolicy",
    "VaultError",
    "Vouching",
    "Writer",
    "accounts",
    "anchor",
    "check_distinct",
    "check_proof",
    "events",
    "export",
    "export_public",
    "find",
    "held_file",
    "hold",
    "init_keys",
    "is_shared",
    "kept",
    "known_keys",
    "migrate",
    "open_anchor",
    "open_keys",
    "prove",
    "prune",
    "public_key",
    "raw",
    "read_all",
    "read_event",
    "revoke",
    "root_at",
    "rotate",
    "seal",
    "sealed_size",
    "sink_name",
    "standings",
    "stats",
    "use",
    "verify",
    "verify_export",
    "verify_store",
]
