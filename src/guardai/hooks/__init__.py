"""The toolkit for integrations: all that ours can do, yours can.

An integration obeys five lines:

1. It describes a call (`Call`, `Target`), hands over the payload, and puts back what the gate returns.
2. It never decides, masks or records by itself, and never imports the library that it adapts at its own import.
3. It wraps by `Hooks.wrap`, so that every patch can be told, reported and undone.
4. What it cannot hand over as data it names (`Call.opaque`, `Call.returns`), so that policy can refuse it.
5. The library's types, exceptions and laziness stay as they were.
"""

from guardai.gate import Answer, Ask, Capture, Flow, Rows, Run, Ticket, inside
from guardai.hooks.calls import acting, foreseen, opened, started
from guardai.hooks.patches import Hooks, Patch, Status
from guardai.hooks.registry import Integration, Wraps, installed, report
from guardai.model import Call, LiveSchema, Target, TargetKind
from guardai.sql.live import LiveSchemas, redefines
from guardai.sql.live import aread as aread_schema
from guardai.sql.live import read as read_schema
from guardai.sql.live import reader as schema_reader

__all__ = [
    "Answer",
    "Ask",
    "Call",
    "Capture",
    "Flow",
    "Hooks",
    "Integration",
    "LiveSchema",
    "LiveSchemas",
    "Patch",
    "Rows",
    "Run",
    "Status",
    "Target",
    "TargetKind",
    "Ticket",
    "Wraps",
    "acting",
    "aread_schema",
    "foreseen",
    "inside",
    "installed",
    "opened",
    "read_schema",
    "redefines",
    "report",
    "schema_reader",
    "started",
]
