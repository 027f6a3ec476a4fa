"""Israel, the Gulf, Egypt, Iran, and South Africa."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import born, exists, luhn, of, weigh

__all__ = ["VALIDATORS"]


def _teudat_zehut(value: str) -> bool:
    """Population and Immigration Authority: Luhn's check over nine digits, with zeros in front."""
    return luhn(value.zfill(9))


def _emirates_id(value: str) -> bool | None:
    """784, year of birth, serial number, Luhn's check digit; some cards are said to have another."""
    return ("1900" <= value[3:7] <= "2099" and luhn(value)) or None


#: Egypt's governorates; 88 is abroad.
_GOVERNORATES: Final = frozenset((*range(1, 5), *range(11, 20), *range(21, 30), *range(31, 36), 88))


def _eg_national(value: str) -> bool | None:
    """Century, day of birth, governorate, serial number; how its last digit checks is not published."""
    fits = exists(1700 + 100 * int(value[0]) + int(value[1:3]), int(value[3:5]), int(value[5:7]))
    return None if fits and int(value[7:9]) in _GOVERNORATES else False


def _ir_melli(value: str) -> bool:
    """Weights 10 to 2, modulo 11; what is left, or eleven less that."""
    left = weigh(value[:9], range(10, 1, -1)) % 11
    return int(value[9]) == (left if left < 2 else 11 - left)


def _za_id(value: str) -> bool:
    """Identification Act: day of birth, serial number, citizenship, a digit without meaning, Luhn's check digit."""
    return born(value[:2], value[2:4], value[4:6]) and luhn(value)


#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "ae_emirates_id": of("784[0-9]{12}", _emirates_id),
        "eg_national": of("[23][0-9]{13}", _eg_national),
        "il_teudat_zehut": of("[0-9]{8,9}", _teudat_zehut),
        "ir_melli": of("[0-9]{10}", _ir_melli),
        "sa_national": of("[12][0-9]{9}", luhn),
        "za_id": of("[0-9]{10}[012][0-9]{2}", _za_id),
        "za_tax": of("[01239][0-9]{9}", luhn),
    }
)
