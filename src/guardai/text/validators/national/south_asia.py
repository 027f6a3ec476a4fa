"""India, Pakistan and Sri Lanka."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import LETTERS, luhn, of, verhoeff

__all__ = ["VALIDATORS"]


def _gstin(value: str) -> bool:
    """GSTN: state, PAN, number of the registration, Z, and Luhn's check in base 36."""
    state = int(value[:2])
    if not (1 <= state <= 38 or state in (97, 99)):
        return False
    total = 0
    for at, character in enumerate(reversed(value)):
        total += sum(divmod(LETTERS.index(character) * (1 + at % 2), 36))
    return total % 36 == 0


def _pan(value: str) -> bool | None:
    """The check letter of a PAN is not published; four zeros are not issued."""
    return None if value[5:9] != "0000" else False


def _lk_nic(value: str) -> bool | None:
    """Year of birth, day of the year (500 added for women), serial number; the check digit is not published."""
    day = int(value[4:7] if len(value) == 12 else value[2:5])
    return None if 1 <= day % 500 <= 366 and day < 1000 else False


_PAN: Final = "[A-Z]{3}[ABCEFGHJKLPT][A-Z][0-9]{4}[A-Z]"

#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "in_aadhaar": of("[2-9][0-9]{11}", verhoeff),
        "in_epic": of("[A-Z]{3}[0-9]{7}", lambda value: luhn(value[3:])),
        "in_gstin": of(f"[0-9]{{2}}{_PAN}[1-9A-Z]Z[0-9A-Z]", _gstin),
        "in_pan": of(_PAN, _pan),
        "lk_nic": of("[0-9]{9}[VX]|(?:19|20)[0-9]{10}", _lk_nic),
        "pk_cnic": of("[1-7][0-9]{11}[1-9]"),
    }
)
