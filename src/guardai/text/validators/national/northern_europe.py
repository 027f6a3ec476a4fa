"""The Nordic and the Baltic countries."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import born, exists, luhn, of, weigh

__all__ = ["VALIDATORS"]


# ---- Sweden ----


def _personnummer(value: str) -> bool:
    """Folkbokföringslagen § 18: day of birth, serial number, Luhn's check digit over ten digits."""
    return _swedish(value, 0)


def _samordningsnummer(value: str) -> bool:
    """Of people who are not in the register: 60 is added to the day."""
    return _swedish(value, 60)


def _swedish(value: str, more: int) -> bool:
    ten, day = value[-10:], int(value[-6:-4]) - more
    if len(value) == 12:
        fits = exists(int(value[:4]), int(value[4:6]), day)
    else:
        fits = born(ten[:2], ten[2:4], str(day))
    return fits and luhn(ten)


# ---- Norway ----


def _fodselsnummer(value: str) -> bool:
    """Skatteetaten: two check digits modulo 11.

    40 is added to the day in D-numbers, to the month in numbers that hospitals give, 65 or 80 to it in made-up ones.
    """
    day, month = int(value[:2]), int(value[2:4])
    day = day - 40 if day > 40 else day
    for more in (80, 65, 40):
        if month > more:
            month -= more
            break
    if not born(value[4:6], str(month), str(day)):
        return False
    first = (*map(int, "376189452"), 1)
    second = (*map(int, "5432765432"), 1)
    return weigh(value[:10], first) % 11 == 0 and weigh(value, second) % 11 == 0


# ---- Denmark ----


def _cpr(value: str) -> bool | None:
    """CPR-kontoret: the day of birth; modulo 11 for most of those who were born before 2007, for nobody certainly."""
    year, serial = int(value[4:6]), int(value[6])
    if serial < 4:
        century = 1900
    elif serial in (4, 9):
        century = 2000 if year < 37 else 1900
    else:
        century = 2000 if year < 58 else 1800
    if not exists(century + year, int(value[2:4]), int(value[:2])):
        return False
    return weigh(value, (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0 or None


# ---- Finland ----

_HETU: Final = "0123456789ABCDEFHJKLMNPRSTUVWXY"


def _hetu(value: str) -> bool:
    """DVV: day of birth and serial number modulo 31 choose the last character. 900 and above are no people's."""
    serial = value[-4:-1]
    return (
        "002" <= serial <= "899"
        and born(value[4:6], value[2:4], value[:2])
        and _HETU[int(value[:6] + serial) % 31] == value[-1]
    )


# ---- Iceland ----


def _kennitala(value: str) -> bool:
    """Þjóðskrá: day of birth, serial number, check digit modulo 11, century. Companies', with 40 added, are left out."""
    if not exists((1900 if value[9] == "9" else 2000) + int(value[4:6]), int(value[2:4]), int(value[:2])):
        return False
    return weigh(value, (3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


# ---- Estonia, Lithuania ----

_ONCE: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)
_TWICE: Final = (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)


def _isikukood(value: str) -> bool:
    """EVS 585: sex and century, day of birth, serial number, modulo 11 in two steps."""
    century = 1800 + (int(value[0]) - 1) // 2 * 100
    if not exists(century + int(value[1:3]), int(value[3:5]), int(value[5:7])):
        return False
    return _two_steps(value)


def _asmens(value: str) -> bool:
    """As in Estonia; those that begin with a nine hold no date."""
    return _two_steps(value) if value[0] == "9" else _isikukood(value)


def _two_steps(value: str) -> bool:
    check = weigh(value[:10], _ONCE) % 11
    if check == 10:
        check = weigh(value[:10], _TWICE) % 11 % 10
    return check == int(value[10])


# ---- Latvia ----


def _personas_kods(value: str) -> bool | None:
    """PMLP: until 2017 the day of birth, a digit for the century, and modulo 11; since then 32 and random digits."""
    if value[:2] == "32":
        return None
    if value[6] not in "012" or not exists(
        1800 + 100 * int(value[6]) + int(value[4:6]), int(value[2:4]), int(value[:2])
    ):
        return False
    return (1101 - weigh(value, (1, 6, 3, 7, 9, 10, 5, 8, 4, 2))) % 11 % 10 == int(value[10])


#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "dk_cpr": of("[0-3][0-9][01][0-9]{7}", _cpr),
        "ee_isikukood": of("[1-8][0-9]{10}", _isikukood),
        "fi_hetu": of("[0-3][0-9][01][0-9]{3}[A-FU-Y]?[0-9]{3}[0-9A-FHJ-NPR-Y]", _hetu),
        "is_kennitala": of("[0-3][0-9][01][0-9]{6}[09]", _kennitala),
        "lt_asmens_kodas": of("[1-69][0-9]{10}", _asmens),
        "lv_personas_kods": of("[0-3][0-9]{10}", _personas_kods),
        "no_fodselsnummer": of("[0-7][0-9]{10}", _fodselsnummer),
        "se_personnummer": of("(?:18|19|20)?[0-9]{10}", _personnummer),
        "se_samordningsnummer": of("(?:18|19|20)?[0-9]{10}", _samordningsnummer),
    }
)
