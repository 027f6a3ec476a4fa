"""Checks that a shape alone cannot make: check digits, lengths, ranges, randomness.

Each takes the matched bytes and answers yes or no. A detector of a pack names one by its name in `VALIDATORS`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators import keys
from guardai.text.validators.common import IBAN_LENGTHS, Validator, card_brand, iban, ip4, ip6, luhn, ssn
from guardai.text.validators.keys import entropy

__all__ = [
    "IBAN_LENGTHS",
    "VALIDATORS",
    "Validator",
    "card_brand",
    "entropy",
    "iban",
    "ip4",
    "ip6",
    "luhn",
    "ssn",
]

#: What a pack's `validator = "…"` may name.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType({**keys.VALIDATORS})
