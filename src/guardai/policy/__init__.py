"""Policy: the bundle, its catalog, and the engine that answers from it."""

from guardai.policy.asked import Asked, counts, decide, judge, reveals, uncounted
from guardai.policy.bundle import STARTER, Bundle, check, stored_index
from guardai.policy.catalog import Catalog, DatabaseEntry, ModelEntry, ToolEntry
from guardai.policy.counters import Counters
from guardai.policy.engine import Engine
from guardai.policy.explain import examine, explain, told, words
from guardai.policy.problem import Problem
from guardai.policy.schema import schema_of, schema_text
from guardai.policy.source import Policy
from guardai.policy.tally import Tally

__all__ = [
    "STARTER",
    "Asked",
    "Bundle",
    "Catalog",
    "Counters",
    "DatabaseEntry",
    "Engine",
    "ModelEntry",
    "Policy",
    "Problem",
    "Tally",
    "ToolEntry",
    "check",
    "counts",
    "decide",
    "examine",
    "explain",
    "judge",
    "reveals",
    "schema_of",
    "schema_text",
    "stored_index",
    "told",
    "uncounted",
    "words",
]
