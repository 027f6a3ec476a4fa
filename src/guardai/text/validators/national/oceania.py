"""Australia and New Zealand."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import luhn, of, weigh

__all__ = ["VALIDATORS"]


def _tfn(value: str) -> bool:
    """Australian Taxation Office: modulo 11; the old ones of eight digits have weights of their own."""
    weights = (1, 4, 3, 7, 5, 8, 6, 9, 10) if len(value) == 9 else (10, 7, 8, 4, 6, 3, 5, 1)
    return weigh(value, weights) % 11 == 0


def _abn(value: str) -> bool:
    """Australian Business Register: one less in front, modulo 89."""
    return (weigh(value, (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)) - 10) % 89 == 0


def _au_medicare(value: str) -> bool:
    """Services Australia: weights 1, 3, 7, 9, modulo 10; then issue and person."""
    return weigh(value, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(value[8])


def _ird(value: str) -> bool:
    """Inland Revenue: modulo 11, with other weights where ten is left; 10 to 200 million are in use."""
    digits = value.zfill(9)
    if not 10_000_000 < int(digits) < 200_000_000:
        return False
    check = -weigh(digits, (3, 2, 7, 6, 5, 4, 3, 2)) % 11
    if check == 10:
        check = -weigh(digits, (7, 4, 3, 2, 5, 2, 7, 6)) % 11
    return check == int(digits[8])


_NHI: Final = "0ABCDEFGHJKLMNPQRSTUVWXYZ"


def _nhi(value: str) -> bool:
    """HISO 10046: weights 7 to 2; modulo 11 with a digit at the end, modulo 23 with a letter."""
    total = sum(
        (int(c) if c.isdigit() else _NHI.index(c)) * weight
        for c, weight in zip(value[:6], range(7, 1, -1), strict=True)
    )
    if value[6].isdigit():
        return total % 11 != 0 and (11 - total % 11) % 10 == int(value[6])
    return _NHI[23 - total % 23] == value[6]


_LETTER: Final = "[A-HJ-NP-Z]"

#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "au_abn": of("[1-9][0-9]{10}", _abn),
        "au_ihi": of("80036[01][0-9]{10}", luhn),
        "au_medicare": of("[2-6][0-9]{9}[1-9]?", _au_medicare),
        "au_tfn": of("[0-9]{8,9}", _tfn),
        "nz_ird": of("[0-9]{8,9}", _ird),
        "nz_nhi": of(f"{_LETTER}{{3}}[0-9]{{2}}(?:[0-9]{{2}}|{_LETTER}{{2}})", _nhi),
    }
)
