"""China, Hong Kong, Taiwan, Japan and Korea."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import LETTERS, exists, mod11_2, of, weigh

__all__ = ["VALIDATORS"]


# ---- China ----

#: Provinces of GB/T 2260; 83 is for residents from Taiwan.
_PROVINCES: Final = frozenset(
    b"11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83".decode().split()
)


def _cn_id(value: str) -> bool:
    """GB 11643: place, day of birth, serial number, ISO 7064 MOD 11-2."""
    if value[:2] not in _PROVINCES or not exists(int(value[6:10]), int(value[10:12]), int(value[12:14])):
        return False
    return mod11_2(value)


# ---- Hong Kong ----


def _hkid(value: str) -> bool:
    """Immigration Department: weights 9 to 1 with letters from ten on and 36 for none in front, modulo 11."""
    total = 36 * 9 if len(value) == 8 else 0
    total += sum(LETTERS.index(c) * weight for c, weight in zip(value[::-1], range(1, 10), strict=False))
    return total % 11 == 0


# ---- Taiwan ----

#: Letters in the order of their number, from ten on: by when a county got its own.
_COUNTIES: Final = "ABCDEFGHJKLMNPQRSTUVXYWZIO"


def _tw_id(value: str) -> bool:
    """Household registration: the county's letter as two digits, sex, serial number; modulo 10."""
    tens, ones = divmod(_COUNTIES.index(value[0]) + 10, 10)
    second = str(_COUNTIES.index(value[1]) % 10) if value[1] in "ABCD" else value[1]
    return (tens + 9 * ones + weigh(second + value[2:], (8, 7, 6, 5, 4, 3, 2, 1, 1))) % 10 == 0


# ---- Japan ----


def _my_number(value: str) -> bool:
    """Ministerial Ordinance 85 of 2014: weights 6 to 2 and 7 to 2, modulo 11; one and zero give zero."""
    left = weigh(value[:11], (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if left < 2 else 11 - left) == int(value[11])


# ---- Korea ----


def _rrn(value: str) -> bool | None:
    """Resident registration: day of birth, sex and century, place, modulo 11; 13 less the rest for foreigners.

    Those given since October 2020 are random after the seventh digit.
    """
    century = {"9": 1800, "0": 1800, "1": 1900, "2": 1900, "5": 1900, "6": 1900}.get(value[6], 2000)
    if not exists(century + int(value[:2]), int(value[2:4]), int(value[4:6])):
        return False
    more = 13 if value[6] in "5678" else 11
    return (more - weigh(value, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10 == int(value[12]) or None


def _kr_brn(value: str) -> bool:
    """National Tax Service: weights 1, 3, 7, of the ninth digit five times also the tens; modulo 10."""
    total = weigh(value, (1, 3, 7, 1, 3, 7, 1, 3, 5, 1)) + int(value[8]) * 5 // 10
    return total % 10 == 0


#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "cn_resident_id": of("[1-8][0-9]{5}(?:18|19|20)[0-9]{9}[0-9X]", _cn_id),
        "hk_id": of("[A-Z]{1,2}[0-9]{6}[0-9A]", _hkid),
        "jp_my_number": of("[0-9]{12}", _my_number),
        "kr_brn": of("[1-9][0-9]{9}", _kr_brn),
        "kr_rrn": of("[0-9]{2}[01][0-9][0-3][0-9]{8}", _rrn),
        "tw_id": of("[A-Z][1289A-D][0-9]{8}", _tw_id),
    }
)
