"""Numbers that states give to people and companies: check digits and what else is known of their form.

One file a region. Each validator takes the value with separators or without, in small letters or capitals. True: a check
digit holds, or as much of its form is fixed. False: it was never issued like that. None: it has the form, and there is no
check digit, or none that is published.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national import (
    british_isles,
    central_europe,
    east_asia,
    eastern_europe,
    german_speaking,
    middle_east,
    north_america,
    northern_europe,
    oceania,
    south_america,
    south_asia,
    south_east_asia,
    south_east_europe,
    southern_europe,
    western_europe,
)

__all__ = ["VALIDATORS"]

_REGIONS: Final = (
    british_isles,
    central_europe,
    east_asia,
    eastern_europe,
    german_speaking,
    middle_east,
    north_america,
    northern_europe,
    oceania,
    south_america,
    south_asia,
    south_east_asia,
    south_east_europe,
    southern_europe,
    western_europe,
)

#: What a country pack's `validator = "…"` may name.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {name: validator for region in _REGIONS for name, validator in region.VALIDATORS.items()}
)
