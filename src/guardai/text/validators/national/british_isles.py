"""The United Kingdom and Ireland."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import born, of, weigh

__all__ = ["VALIDATORS"]


def _nhs(value: str) -> bool:
    """NHS Data Dictionary: weights 10 to 2, modulo 11; what would need a ten is not issued."""
    return weigh(value, range(10, 0, -1)) % 11 == 0


def _chi(value: str) -> bool:
    """Scotland's Community Health Index: the day of birth, then as the NHS number, which it is too."""
    return born(value[4:6], value[2:4], value[:2]) and _nhs(value)


#: Prefixes that HMRC does not use (NIM39110).
_NO_NINO: Final = frozenset(("BG", "GB", "KN", "NK", "NT", "TN"))


def _nino(value: str) -> bool | None:
    """There is no check digit, but few of all shapes are in use. ZZ is what made-up ones begin with."""
    if value[:2] == "ZZ":
        return None
    return value[:2] not in _NO_NINO and value[8] in "ABCD"


def _utr(value: str) -> bool:
    """The first digit checks the other nine (HMRC, modulus 11)."""
    return "21987654321"[weigh(value[1:], (6, 7, 8, 9, 10, 5, 4, 3, 2)) % 11] == value[0]


def _driving(value: str) -> bool:
    """DVLA: the surname padded with nines, then year, month (women plus 50), day and year of birth."""
    month = int(value[6:8]) % 50
    return 1 <= month <= 12 and born(value[5] + value[10], f"{month}", value[8:10])


_PPS: Final = "WABCDEFGHIJKLMNOPQRSTUV"


def _pps(value: str) -> bool:
    """Revenue: weights 8 to 2, the second letter nine times (W stands for none), modulo 23."""
    second = value[8:9]
    extra = 9 * _PPS.index(second) if second and second not in "TX" else 0
    return _PPS[(weigh(value, range(8, 1, -1)) + extra) % 23] == value[7]


#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "ie_pps": of("[0-9]{7}[A-W][A-IWTX]?", _pps),
        "uk_chi": of("[0-3][0-9][01][0-9]{7}", _chi),
        "uk_driving_licence": of(
            "(?=.{5}[0-9])[A-Z]{1,5}9{0,4}[0-9][0156][0-9][0-3][0-9]{2}[A-Z][A-Z9][0-9A-Z][A-Z]{2}", _driving
        ),
        "uk_nhs": of("[0-9]{10}", _nhs),
        "uk_nino": of("[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-Z]", _nino),
        "uk_utr": of("[0-9]{10}K?", _utr),
    }
)
