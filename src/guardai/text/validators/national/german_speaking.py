"""Germany, Austria and Switzerland."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import LETTERS, alternating, born, luhn, mod11_10, of, weigh

__all__ = ["VALIDATORS"]


def _cross(value: str, weights: tuple[int, ...]) -> int:
    """The sum of the digits of the products."""
    return sum(sum(divmod(int(digit) * weight, 10)) for digit, weight in zip(value, weights, strict=True))


def _spelled(value: str) -> str:
    """Letters as their place in the alphabet, in two digits."""
    return "".join(c if c.isdigit() else f"{LETTERS.index(c) - 9:02}" for c in value)


# ---- Germany ----


def _steuer_id(value: str) -> bool:
    """Of the first ten digits one stands there twice or three times, but not in a row; ISO 7064 MOD 11,10.

    Bundeszentralamt für Steuern; three times since 2016.
    """
    body = value[:10]
    counts = sorted(body.count(digit) for digit in set(body))
    if counts[-1] not in (2, 3) or counts[-2] != 1 or any(digit * 3 in body for digit in set(body)):
        return False
    return mod11_10(value)


def _svnr(value: str) -> bool:
    """Verordnung über die Versicherungsnummer (VKVV) § 2: area, day of birth, letter, serial number, check digit."""
    if not born(value[6:8], value[4:6], value[2:4]):
        return False
    return _cross(_spelled(value[:11]), (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)) % 10 == int(value[11])


def _document(value: str) -> bool | None:
    """ICAO 9303: weights 7, 3, 1. The check digit is not printed in the visual zone."""
    return alternating(value[:9], (7, 3, 1)) % 10 == int(value[9]) if len(value) == 10 else None


def _kvnr(value: str) -> bool:
    """GKV-Spitzenverband: the letter as two digits, weights 1 and 2, digits of the products added."""
    return _cross(_spelled(value[:9]), (1, 2) * 5) % 10 == int(value[9])


# ---- Austria ----


def _at_svnr(value: str) -> bool:
    """Serial number, check digit, day of birth; a month above twelve stands for a day that is not known or taken."""
    day, month = int(value[4:6]), int(value[6:8])
    if not 1 <= day <= 31 or not 1 <= month <= 15 or (month <= 12 and not born(value[8:], value[6:8], value[4:6])):
        return False
    return weigh(value, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == int(value[3])


def _at_uid(value: str) -> bool:
    """BMF: weights 1 and 2, digits of the products added, and four more."""
    return (96 - _cross(value[3:10], (1, 2, 1, 2, 1, 2, 1))) % 10 == int(value[10])


# ---- Switzerland ----


def _ahv(value: str) -> bool:
    """An EAN-13 of the country's prefix 756."""
    return weigh(value, (1, 3) * 7) % 10 == 0


def _ch_uid(value: str) -> bool:
    """eCH-0097: weights 5, 4, 3, 2, 7, 6, 5, 4, modulo 11."""
    return (weigh(value[3:], (5, 4, 3, 2, 7, 6, 5, 4)) + int(value[11])) % 11 == 0


_DOCUMENT: Final = "[0-9CFGHJKLMNPRTVWXYZ]{8}[0-9]?"

#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "at_steuernummer": of("[0-9]{9}", luhn),
        "at_svnr": of("[1-9][0-9]{9}", _at_svnr),
        "at_uid": of("ATU[0-9]{8}", _at_uid),
        "ch_ahv": of("756[0-9]{10}", _ahv),
        "ch_uid": of("CHE[0-9]{9}", _ch_uid),
        "de_kvnr": of("[A-Z][0-9]{9}", _kvnr),
        "de_personalausweis": of(f"[LMNPRTVWXY]{_DOCUMENT}", _document),
        "de_reisepass": of(f"[CFGHJK]{_DOCUMENT}", _document),
        "de_steuer_id": of("[1-9][0-9]{10}", _steuer_id),
        "de_svnr": of("(?:0[2-9]|[1-8][0-9])[0-3][0-9][01][0-9]{3}[A-Z][0-9]{3}", _svnr),
        "de_ust_id": of("(?:DE)?[1-9][0-9]{8}", lambda value: mod11_10(value[-9:])),
    }
)
