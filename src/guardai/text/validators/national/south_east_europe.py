"""Romania, Bulgaria, the states of former Yugoslavia, Albania and Turkey."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import born, exists, mod11_10, of, weigh

__all__ = ["VALIDATORS"]


# ---- Romania ----

#: Counties and sectors; 70 is for births that are registered on line, 80 to 83 for people from abroad.
_COUNTIES: Final = frozenset((*range(1, 49), 51, 52, 70, 80, 81, 82, 83))


def _cnp(value: str) -> bool:
    """OUG 97/2005: sex and century, day of birth, county, serial number; modulo 11, ten counts as one."""
    century = (1900, 1800, 2000, 1900)[(int(value[0]) - 1) // 2 % 4] if value[0] < "7" else None
    if century is None:
        fits = born(value[1:3], value[3:5], value[5:7])  # residents and foreigners
    else:
        fits = exists(century + int(value[1:3]), int(value[3:5]), int(value[5:7]))
    if not fits or int(value[7:9]) not in _COUNTIES:
        return False
    check = weigh(value, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return (1 if check == 10 else check) == int(value[12])


# ---- Bulgaria ----


def _egn(value: str) -> bool:
    """ГД ГРАО: day of birth, 20 added to the month before 1900 and 40 since 2000; powers of two modulo 11, modulo 10."""
    month = int(value[2:4])
    century, month = {0: (1900, month), 1: (1800, month - 20), 2: (2000, month - 40)}.get(month // 20, (0, 0))
    if not exists(century + int(value[:2]) or 1, month, int(value[4:6])):
        return False
    return weigh(value, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(value[9])


def _lnch(value: str) -> bool:
    """Of foreigners: weights from 21 down to 1, modulo 10."""
    return weigh(value, (21, 19, 17, 13, 11, 9, 7, 3, 1)) % 10 == int(value[9])


# ---- former Yugoslavia ----


def _jmbg(low: int, high: int) -> Callable[[str], bool]:
    """The citizen's number of 1976: day of birth, region, serial number, check digit. `low` to `high` are the regions."""

    def check(value: str) -> bool:
        year = int(value[4:7])
        year += 2000 if year < 800 else 1000
        region = int(value[7:9])
        # Whoever was born elsewhere has a region of 01 to 09.
        if not exists(year, int(value[2:4]), int(value[:2])) or not (low <= region <= high or 1 <= region <= 9):
            return False
        return -weigh(value, (7, 6, 5, 4, 3, 2) * 2) % 11 % 10 == int(value[12])

    return check


def _davcna(value: str) -> bool:
    """Slovenia's tax number: weights 8 to 2, modulo 11; ten counts as zero, eleven is not issued."""
    check = 11 - weigh(value, range(8, 1, -1)) % 11
    return check != 11 and check % 10 == int(value[7])


# ---- Turkey ----


def _tckn(value: str) -> bool:
    """Nüfus: the tenth digit from the odd and even places, the eleventh from the sum of all."""
    digits = [int(c) for c in value]
    return (sum(digits[0:9:2]) * 7 - sum(digits[1:8:2])) % 10 == digits[9] and sum(digits[:10]) % 10 == digits[10]


def _vkn(value: str) -> bool:
    """Gelir İdaresi: each digit plus its distance from the end, times a power of two, modulo nine."""
    total = 0
    for at, digit in enumerate(value[:9]):
        moved = (int(digit) + 9 - at) % 10
        left = (moved << (9 - at)) % 9
        total += 9 if moved and not left else left
    return -total % 10 == int(value[9])


_JMBG: Final = "[0-3][0-9][01][0-9][089][0-9]{8}"

#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "ba_jmbg": of(_JMBG, _jmbg(10, 19)),
        "bg_egn": of("[0-9]{10}", _egn),
        "bg_lnch": of("[0-9]{10}", _lnch),
        "hr_jmbg": of(_JMBG, _jmbg(30, 39)),
        "hr_oib": of("(?:HR)?[0-9]{11}", lambda value: mod11_10(value[-11:])),
        "me_jmbg": of(_JMBG, _jmbg(20, 29)),
        "mk_embg": of(_JMBG, _jmbg(40, 49)),
        "ro_cnp": of("[1-9][0-9]{12}", _cnp),
        "rs_jmbg": of(_JMBG, _jmbg(60, 99)),
        "si_davcna": of("(?:SI)?[1-9][0-9]{7}", lambda value: _davcna(value[-8:])),
        "si_emso": of(_JMBG, _jmbg(50, 59)),
        "tr_tckn": of("[1-9][0-9]{9}[02468]", _tckn),
        "tr_vkn": of("[0-9]{10}", _vkn),
    }
)
