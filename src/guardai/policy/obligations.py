"""What permits ask for besides permitting, read from their annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, cast

from guardai.model import Obligations
from guardai.policy.pace import breathe
from guardai.policy.source import Policy
from guardai.policy.vocabulary import ON_PERMITS, number

__all__ = ["asking", "owed_by"]


def asking(policies: Mapping[str, Policy]) -> Iterator[str]:
    """The ids of the permits that ask for anything: most bundles have few."""
    for name, one in policies.items():
        breathe()
        if not ON_PERMITS.isdisjoint(one.annotations):
            yield name


def owed_by(said: Mapping[str, str]) -> Obligations:
    """What one permit asks for, from its annotations."""

    def limit(name: str) -> int | None:
        return number(name, said[name]) if name in said else None

    return Obligations(
        row_cap=limit("row_cap"),
        timeout=limit("timeout"),
        affected_cap=limit("affected_cap"),
        capture=said.get("capture") == "before",
        content=said.get("capture") == "content",
        ledger=cast("Literal['', 'signed', 'strict']", said.get("ledger", "")),  # as `faults` has seen to
    )
