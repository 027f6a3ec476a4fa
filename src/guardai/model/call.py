"""One governed operation, as an integration describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from guardai.model.live import LiveSchema
from guardai.model.where import Target

__all__ = ["Call"]

Fact = str | int | bool | tuple[str, ...]


@dataclass(slots=True)
class Call:
    """What an integration hands to the gate. The integration describes; it never decides, masks or records.

    Attributes:
        action: the verb; for a SQL statement just `db`, the gate finds the verb by inspecting it.
        target: the other side.
        payload: what would leave, as JSON-like data (`dict`, `list`, `tuple`, `str`, numbers, None). The gate never
            changes it in place: a masked copy shares every unchanged part.
        statement, dialect: a SQL statement as it would run, and its dialect. Its `payload` are the parameters.
        schema: what the database told of itself; None where it could not be asked.
        opaque: labels of parts that cannot be masked (`opaque.image`, `opaque.audio`, `opaque.file`, `opaque.raw`):
            if one may not be revealed to the target, the call is denied.
        returns: labels of the same kind for the result: if one may not be revealed to the caller, the call is
            denied before it runs.
        facts: more for `context` in policies: strings, integers, booleans, tuples (sets) of strings.
    """

    action: str
    target: Target
    payload: Any = None
    statement: str | None = None
    dialect: str | None = None
    schema: LiveSchema | None = None
    opaque: tuple[str, ...] = ()
    returns: tuple[str, ...] = ()
    facts: dict[str, Fact] = field(default_factory=dict)
