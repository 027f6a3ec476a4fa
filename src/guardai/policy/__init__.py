"""Policy: the bundle, its catalog, and the engine that answers from it."""

from guardai.policy.bundle import STARTER, Bundle, check, stored_index
from guardai.policy.catalog import Catalog, DatabaseEntry, ModelEntry, ToolEntry
from guardai.policy.engine import Engine
from guardai.policy.explain import explain, words
from guardai.policy.problem import Problem
from guardai.policy.schema import schema_text
from guardai.policy.source import Policy

__all__ = [
    "STARTER",
    "Bundle",
    "Catalog",
    "DatabaseEntry",
    "Engine",
    "ModelEntry",
    "Policy",
    "Problem",
    "ToolEntry",
    "check",
    "explain",
    "schema_text",
    "stored_index",
    "words",
]
