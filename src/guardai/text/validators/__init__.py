"""Checks that a shape alone cannot make: check digits, lengths, ranges, randomness.

Each takes the matched bytes and answers True (valid: a check digit or an exact rule holds), False (invalid: the match is
dropped) or None (it has the shape, no more is known). A pack names one by its name in `VALIDATORS`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators import checked, coins, common, keys, national, personal
from guardai.text.validators.common import (
    CARDS_ALONE,
    IBAN_LENGTHS,
    Validator,
    begins_card,
    card_brand,
    iban,
    ip4,
    ip6,
    luhn,
    ssn,
)
from guardai.text.validators.keys import entropy

__all__ = [
    "CARDS_ALONE",
    "IBAN_LENGTHS",
    "VALIDATORS",
    "Validator",
    "begins_card",
    "card_brand",
    "entropy",
    "iban",
    "ip4",
    "ip6",
    "luhn",
    "ssn",
]

_TABLES: Final = (
    checked.VALIDATORS,
    coins.VALIDATORS,
    common.VALIDATORS,
    keys.VALIDATORS,
    national.VALIDATORS,
    personal.VALIDATORS,
)

#: What a pack's `validator = "…"` may name.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {name: validator for table in _TABLES for name, validator in table.items()}
)
assert len(VALIDATORS) == sum(len(table) for table in _TABLES), "two validators of one name"
