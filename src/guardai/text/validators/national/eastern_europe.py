"""Russia, Ukraine, Belarus, Moldova and Kazakhstan."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import alternating, born, exists, luhn, of, weigh

__all__ = ["VALIDATORS"]


# ---- Russia ----

_INN: Final = (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)


def _inn(value: str) -> bool:
    """Приказ ФНС ММВ-7-6/435@: people have twelve digits, the last two check; companies ten, the last checks."""
    if len(value) == 10:
        return weigh(value, _INN[2:]) % 11 % 10 == int(value[9])
    return weigh(value, _INN[1:]) % 11 % 10 == int(value[10]) and weigh(value, _INN) % 11 % 10 == int(value[11])


def _snils(value: str) -> bool:
    """Постановление ПФР: weights 9 to 1, modulo 101, a hundred counts as zero; numbers up to 001-001-998 have no check."""
    if value[:9] <= "001001998":
        return False
    return weigh(value, range(9, 0, -1)) % 101 % 100 == int(value[9:])


def _ogrnip(value: str) -> bool:
    """Of a person in business: what comes before the last digit, modulo 13, modulo 10."""
    return int(value[:14]) % 13 % 10 == int(value[14])


# ---- Ukraine ----


def _rnokpp(value: str) -> bool:
    """Податковий кодекс: days since 1900, a serial number; modulo 11, modulo 10."""
    return weigh(value, (-1, 5, 7, 9, 4, 6, 10, 5, 7)) % 11 % 10 == int(value[9])


def _unzr(value: str) -> bool | None:
    """Of the demographic register: the day of birth and a serial number."""
    return None if exists(int(value[:4]), int(value[4:6]), int(value[6:8])) else False


# ---- Belarus, Moldova, Kazakhstan ----


def _by_personal(value: str) -> bool | None:
    """Sex and century, day of birth, region, serial number, nationality, and a check digit as in ICAO 9303.

    The state has published the parts, not the check digit: one that is wrong speaks against nothing.
    """
    if not born(value[5:7], value[3:5], value[1:3]):
        return False
    return alternating(value[:13], (7, 3, 1)) % 10 == int(value[13]) or None


def _idnp(value: str) -> bool:
    """Weights 7, 3, 1, modulo 10."""
    return alternating(value[:12], (7, 3, 1)) % 10 == int(value[12])


def _iin(value: str) -> bool:
    """Day of birth, sex and century, serial number; modulo 11 in two steps."""
    century = 1800 + (int(value[6]) - 1) // 2 * 100
    if not exists(century + int(value[:2]), int(value[2:4]), int(value[4:6])):
        return False
    check = weigh(value[:11], range(1, 12)) % 11
    if check == 10:
        check = weigh(value[:11], (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)) % 11
    return check == int(value[11])


#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "by_personal": of("[1-7][0-3][0-9][01][0-9]{3}[ABCEHKM][0-9]{3}(?:PB|BA|BI)[0-9]", _by_personal),
        "kz_iin": of("[0-9]{2}[01][0-9][0-3][0-9][1-6][0-9]{5}", _iin),
        "md_idnp": of("[029][0-9]{12}", _idnp),
        "ru_inn": of("[0-9]{10}(?:[0-9]{2})?", _inn),
        "ru_ogrnip": of("3[0-9]{14}", _ogrnip),
        "ru_polis": of("[0-9]{16}", luhn),
        "ru_snils": of("[0-9]{11}", _snils),
        "ua_rnokpp": of("[0-9]{10}", _rnokpp),
        "ua_unzr": of("(?:19|20)[0-9]{11}", _unzr),
    }
)
