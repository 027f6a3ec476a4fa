"""The United States, Canada and Mexico."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import born, exists, luhn, of, weigh

__all__ = ["VALIDATORS"]


# ---- the United States ----


def _npi(value: str) -> bool:
    """CMS: Luhn's check with the issuer's prefix 80840 in front."""
    return luhn("80840" + value)


def _routing(value: str) -> bool:
    """American Bankers Association: weights 3, 7, 1, modulo 10; the first two digits are a Federal Reserve district."""
    district = int(value[:2])
    known = district <= 12 or 21 <= district <= 32 or 61 <= district <= 72 or district == 80
    return known and weigh(value, (3, 7, 1) * 3) % 10 == 0


def _dea(value: str) -> bool:
    """21 CFR 1301: the odd digits and twice the even ones, modulo 10."""
    return weigh(value[2:8], (1, 2, 1, 2, 1, 2)) % 10 == int(value[8])


#: Campuses of the IRS that give the first two digits.
_NO_CAMPUS: Final = frozenset((0, 7, 8, 9, 17, 18, 19, 28, 29, 49, 69, 70, 78, 79, 89, 96, 97))


def _ein(value: str) -> bool | None:
    return False if int(value[:2]) in _NO_CAMPUS else None


#: CMS leaves out what looks like a digit: S, L, O, I, B, Z.
_MBI: Final = "[AC-HJKMNP-RT-Y]"


# ---- Canada ----


def _bc_phn(value: str) -> bool:
    """British Columbia: weights 2, 4, 8, 5, 10, 9, 7, 3, modulo 11."""
    return (11 - weigh(value[1:9], (2, 4, 8, 5, 10, 9, 7, 3)) % 11) % 11 == int(value[9])


def _ramq(value: str) -> bool | None:
    """Québec: name, year, month (50 added for women) and day of birth; how its last digit checks is not published."""
    return None if born(value[4:6], str(int(value[6:8]) % 50), value[8:10]) else False


# ---- Mexico ----

_CURP: Final = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
_STATES: Final = frozenset(
    "AS BC BS CC CL CM CS CH DF DG GT GR HG JC MC MN MS NT NL OC PL QT QR SP SL SR TC TS TL VZ YN ZS NE".split()  # noqa: SIM905 -- a table
)


def _curp(value: str) -> bool:
    """RENAPO: name, day of birth, sex, state, consonants; the seventeenth character is a letter since 2000; modulo 10."""
    century = 1900 if value[16].isdigit() else 2000
    if value[11:13] not in _STATES or not exists(century + int(value[4:6]), int(value[6:8]), int(value[8:10])):
        return False
    return -sum(_CURP.index(c) * weight for c, weight in zip(value[:17], range(18, 1, -1), strict=True)) % 10 == int(
        value[17]
    )


_RFC: Final = "0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ Ñ"


def _rfc(value: str) -> bool | None:
    """SAT: name, day of birth or foundation, two characters that tell namesakes apart, check character modulo 11.

    Many that are in use fail the check: the day alone is what a value cannot do without.
    """
    padded = value.rjust(13)
    if not born(padded[4:6], padded[6:8], padded[8:10]):
        return False
    check = -sum(_RFC.index(c) * weight for c, weight in zip(padded[:12], range(13, 1, -1), strict=True)) % 11
    return ("A" if check == 10 else str(check)) == padded[12] or None


_ALNUM: Final = "[0-9AC-HJKMNP-RT-Y]"

#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "ca_bc_phn": of("9[0-9]{9}", _bc_phn),
        "ca_on_health": of("[1-9][0-9]{9}(?:[A-Z]{2})?", lambda value: luhn(value[:10])),
        "ca_ramq": of("[A-Z]{4}[0-9]{8}", _ramq),
        "ca_sin": of("[0-79][0-9]{8}", luhn),
        "mx_curp": of("[A-Z][AEIOUX][A-Z]{2}[0-9]{6}[HMX][A-Z]{2}[B-DF-HJ-NP-TV-Z]{3}[0-9A-Z][0-9]", _curp),
        "mx_nss": of("[0-9]{11}", luhn),
        "mx_rfc": of("[A-ZÑ&]{3,4}[0-9]{6}[0-9A-Z]{3}", _rfc),
        "us_dea": of("[A-HJ-MPR-UX][A-Z9][0-9]{7}", _dea),
        "us_ein": of("[0-9]{9}", _ein),
        "us_mbi": of(f"[1-9]{_MBI}{_ALNUM}[0-9]{_MBI}{_ALNUM}[0-9]{_MBI}{{2}}[0-9]{{2}}"),
        "us_npi": of("[12][0-9]{9}", _npi),
        "us_routing": of("[0-9]{9}", _routing),
    }
)
