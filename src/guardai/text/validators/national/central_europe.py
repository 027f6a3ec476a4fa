"""Poland, Czechia, Slovakia and Hungary."""

from __future__ import annotations

from datetime import date
from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import LETTERS, exists, of, weigh

__all__ = ["VALIDATORS"]


# ---- Poland ----

#: What is added to the month says which century it is.
_CENTURIES: Final = {80: 1800, 0: 1900, 20: 2000, 40: 2100, 60: 2200}


def _pesel(value: str) -> bool:
    """Ministry of the Interior: day of birth, serial number; weights 1, 3, 7, 9, modulo 10."""
    month, century = int(value[2:4]) % 20, _CENTURIES[int(value[2:4]) // 20 * 20]
    if not exists(century + int(value[:2]), month, int(value[4:6])):
        return False
    return weigh(value, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def _nip(value: str) -> bool:
    """Modulo 11; what would need a ten is not issued."""
    return weigh(value, (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11 == int(value[9])


def _regon(value: str) -> bool:
    """GUS: modulo 11, ten counts as zero; local units have a second check digit behind the first."""
    if weigh(value, (8, 9, 2, 3, 4, 5, 6, 7)) % 11 % 10 != int(value[8]):
        return False
    return len(value) == 9 or weigh(value, (2, 4, 8, 5, 0, 9, 7, 3, 6, 1, 2, 4, 8)) % 11 % 10 == int(value[13])


def _documented(value: str, weights: tuple[int, ...]) -> bool:
    return sum(LETTERS.index(c) * weight for c, weight in zip(value, weights, strict=True)) % 10 == 0


def _dowod(value: str) -> bool:
    """The identity card's fourth character is its check digit: weights 7, 3, 1."""
    return _documented(value, (7, 3, 1, 9, 7, 3, 1, 7, 3))


def _paszport(value: str) -> bool:
    """The passport's third character is its check digit: weights 7, 3, 1."""
    return _documented(value, (7, 3, 9, 1, 7, 3, 1, 7, 3))


# ---- Czechia, Slovakia ----


def _rodne_cislo(value: str) -> bool | None:
    """Zákon č. 133/2000 Sb.: day of birth and serial number; eleven divides those of ten digits, given since 1954.

    50 is added to the month of women, and 20 where a day's numbers were used up, since 2004. Until 1985 some were given
    that leave ten, with a zero at the end.
    """
    year, month = int(value[:2]), int(value[2:4]) % 50
    if len(value) == 9:
        # Given until 1953, to people born in the century before too.
        return (
            None
            if value[6:] != "000" and any(exists(c + year, month, int(value[4:6])) for c in (1800, 1900))
            else False
        )
    year += 1900 if year >= 54 else 2000
    if month > 20 and year >= 2004:
        month -= 20
    if not exists(year, month, int(value[4:6])):
        return False
    return int(value) % 11 == 0 or (year < 1986 and value[9] == "0" and int(value[:9]) % 11 == 10)


# ---- Hungary ----


def _taj(value: str) -> bool:
    """1996. évi XX. törvény: weights 3 and 7, modulo 10."""
    return weigh(value, (3, 7) * 4) % 10 == int(value[8])


def _adoazonosito(value: str) -> bool:
    """The same law: an eight, the days since 1 January 1867, a serial number; places as weights, modulo 11."""
    # The last day that anybody who has one can be born on is as far off as five digits can say.
    days = int(value[1:6])
    return days <= (date(2099, 12, 31) - date(1867, 1, 1)).days and weigh(value, range(1, 10)) % 11 == int(value[9])


def _szemelyi(value: str) -> bool:
    """The same law: sex and century, day of birth, serial number; places as weights, since 1997 from behind."""
    late = value[0] in "34"
    before = value[0] in "12" and value[1:3] < "97"
    if not exists((2000 if late else 1900) + int(value[1:3]), int(value[3:5]), int(value[5:7])):
        return False
    if value[0] in "12" and not before:
        late = True
    return weigh(value, range(10, 0, -1) if late else range(1, 11)) % 11 == int(value[10])


#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "cz_dic": of("CZ[0-9]{9,10}", lambda value: _rodne_cislo(value[2:])),
        "cz_rodne_cislo": of("[0-9]{9,10}", _rodne_cislo),
        "hu_adoazonosito": of("8[0-9]{9}", _adoazonosito),
        "hu_szemelyi": of("[1-4][0-9]{10}", _szemelyi),
        "hu_taj": of("[0-9]{9}", _taj),
        "pl_dowod": of("[A-Z]{3}[0-9]{6}", _dowod),
        "pl_nip": of("(?:PL)?[1-9][0-9]{9}", lambda value: _nip(value[-10:])),
        "pl_paszport": of("[A-Z]{2}[0-9]{7}", _paszport),
        "pl_pesel": of("[0-9]{11}", _pesel),
        "pl_regon": of("[0-9]{9}(?:[0-9]{5})?", _regon),
    }
)
