"""Which data was in which prompt: the edges from event to event."""

from guardai.lineage.fed import Fed
from guardai.lineage.graph import EdgeTable, upstream

__all__ = ["EdgeTable", "Fed", "upstream"]
