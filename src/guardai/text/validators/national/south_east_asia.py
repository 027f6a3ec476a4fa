"""Singapore, Thailand, Malaysia, Indonesia, Vietnam and the Philippines."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import born, luhn, of, weigh

__all__ = ["VALIDATORS"]


def _nric(value: str) -> bool:
    """ICA: weights 2, 7, 6, 5, 4, 3, 2; four more from 2000 on, three more for the M of 2022; modulo 11."""
    total = weigh(value[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(value[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "XWUTRQPNJLK"}.get(value[0], "XWUTRQPNMLK")
    return letters[total % 11] == value[8]


def _th_id(value: str) -> bool:
    """Department of Provincial Administration: weights 13 to 2, modulo 11."""
    return (11 - weigh(value[:12], range(13, 1, -1)) % 11) % 10 == int(value[12])


#: States and countries of birth of the MyKad (JPN): what is left out is not in use.
_NO_PLACE: Final = frozenset((0, 17, 18, 19, 20, 69, 70, 73, 80, 81, 94, 95, 96, 97))


def _mykad(value: str) -> bool:
    """JPN: day of birth, place of birth, serial number; there is no check digit."""
    return born(value[:2], value[2:4], value[4:6]) and int(value[6:8]) not in _NO_PLACE


#: Provinces of Indonesia (Kemendagri).
_PROVINCES: Final = frozenset(
    (*range(11, 20), 21, *range(31, 37), *range(51, 54), *range(61, 66), *range(71, 77), 81, 82, *range(91, 98))
)


def _nik(value: str) -> bool | None:
    """Place, day of birth (40 added for women), serial number; there is no check digit."""
    day = int(value[6:8])
    fits = int(value[:2]) in _PROVINCES and born(value[10:12], value[8:10], str(day - 40 if day > 40 else day))
    return None if fits and value[12:] != "0000" else False


def _npwp(value: str) -> bool:
    """Direktorat Jenderal Pajak: Luhn's check over the first nine digits."""
    return luhn(value[:9])


def _mst(value: str) -> bool:
    """Tổng cục Thuế: weights 31 to 3, modulo 11."""
    return 10 - weigh(value, (31, 29, 23, 19, 17, 13, 7, 5, 3)) % 11 == int(value[9])


def _cccd(value: str) -> bool | None:
    """Province, sex and century, year of birth, random digits; there is no check digit."""
    return None if 1 <= int(value[:3]) <= 96 else False


#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "id_nik": of("[1-9][0-9]{15}", _nik),
        "id_npwp": of("[0-9]{15}", _npwp),
        "my_kad": of("[0-9]{12}", _mykad),
        "sg_nric": of("[STFGM][0-9]{7}[A-Z]", _nric),
        "th_id": of("[1-8][0-9]{12}", _th_id),
        "vn_cccd": of("0[0-9]{11}", _cccd),
        "vn_mst": of("[0-9]{10}(?:[0-9]{3})?", _mst),
    }
)
