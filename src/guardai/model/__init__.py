"""The words of guardai as types. Floor 1: imports nothing of ours."""

from guardai.model.actions import ACTIONS, GROUPS, REVEAL
from guardai.model.anchor import Anchor, TreeHead, Vouched
from guardai.model.call import Call
from guardai.model.decision import Decision, Obligations, Reveal, strictest
from guardai.model.event import READS, RESERVED, VERSION, Event
from guardai.model.finding import Finding
from guardai.model.label import Label, ancestors
from guardai.model.live import LiveFunction, LiveSchema, LiveTrigger
from guardai.model.mask import MASKS, Mask, strongest
from guardai.model.own import OWN
from guardai.model.protocols import Emit, Sink
from guardai.model.shown import shown, without_secrets
from guardai.model.vault import Drawer, Kept, Vault
from guardai.model.where import Destination, Resource, Target, TargetKind
from guardai.model.who import Audience, OnDenied, Principal, Session

__all__ = [
    "ACTIONS",
    "GROUPS",
    "MASKS",
    "OWN",
    "READS",
    "RESERVED",
    "REVEAL",
    "VERSION",
    "Anchor",
    "Audience",
    "Call",
    "Decision",
    "Destination",
    "Drawer",
    "Emit",
    "Event",
    "Finding",
    "Kept",
    "Label",
    "LiveFunction",
    "LiveSchema",
    "LiveTrigger",
    "Mask",
    "Obligations",
    "OnDenied",
    "Principal",
    "Resource",
    "Reveal",
    "Session",
    "Sink",
    "Target",
    "TargetKind",
    "TreeHead",
    "Vault",
    "Vouched",
    "ancestors",
    "shown",
    "strictest",
    "strongest",
    "without_secrets",
]
