"""What a statement does, before it runs: effects, tables, bounds, and where each result column comes from. Floor 2."""

from guardai.sql.before import Before, NotKept, before
from guardai.sql.flows import flows
from guardai.sql.image import Image
from guardai.sql.inspection import Inspection, describe
from guardai.sql.lexicon import DIALECTS
from guardai.sql.lineage import Lineage, SqlNotUnderstood, column_lineage, lineage_of
from guardai.sql.names import own_name
from guardai.sql.readable import readable
from guardai.sql.whole import inspect

__all__ = [
    "DIALECTS",
    "Before",
    "Image",
    "Inspection",
    "Lineage",
    "NotKept",
    "SqlNotUnderstood",
    "before",
    "column_lineage",
    "describe",
    "flows",
    "inspect",
    "lineage_of",
    "own_name",
    "readable",
]
