"""Spain, Portugal, Italy, Greece, Cyprus and Malta."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import LETTERS, born, luhn, of, weigh

__all__ = ["VALIDATORS"]


# ---- Spain ----

_DNI: Final = "TRWAGMYFPDXBNJZSQVHLCKE"


def _dni(value: str) -> bool:
    """Real Decreto 1553/2005: the number modulo 23 chooses the letter. K, L and M stand before those of minors and others."""
    return _DNI[int(value[:-1].lstrip("KLM")) % 23] == value[-1]


def _nie(value: str) -> bool:
    """As the DNI, with 0, 1, 2 for X, Y, Z."""
    return _DNI[int(f"{'XYZ'.index(value[0])}{value[1:-1]}") % 23] == value[-1]


def _cif(value: str) -> bool:
    """Orden EHA/451/2008: Luhn's check digit or its letter; what kinds of bodies have which was not always kept to."""
    return luhn(value[1:8] + (value[8] if value[8].isdigit() else str("JABCDEFGHI".index(value[8]))))


def _nuss(value: str) -> bool:
    """Tesorería General: province and number modulo 97; a number of seven digits stands there without its zero."""
    number = int(value[2:10])
    return int(f"{value[:2]}{number}" if number < 10_000_000 else value[:10]) % 97 == int(value[10:])


# ---- Portugal ----


def _nif(value: str) -> bool:
    """Decreto-Lei 463/79: weights 9 to 2, modulo 11, what would need a ten or eleven is a zero."""
    return -weigh(value, range(9, 1, -1)) % 11 % 10 == int(value[8])


def _cc(value: str) -> bool:
    """Cartão de cidadão: Luhn's check with letters from ten on, the first character doubled (AMA)."""
    total = 0
    for at, character in enumerate(value):
        worth = LETTERS.index(character) * (2 - at % 2)
        total += worth - 9 if at % 2 == 0 and worth > 9 else worth
    return total % 10 == 0


def _niss(value: str) -> bool:
    """Segurança Social: weights are the primes from 29 down to 2; nine less the last digit of the sum."""
    return 9 - weigh(value, (29, 23, 19, 17, 13, 11, 7, 5, 3, 2)) % 10 == int(value[10])


# ---- Italy ----

#: What a letter may stand for where two people would have the same code (omocodia).
_DIGITS: Final = str.maketrans("LMNPQRSTUV", "0123456789")
_NUMERIC: Final = (6, 7, 9, 10, 12, 13, 14)
_ODD: Final = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def _place(character: str) -> int:
    return int(character) if character.isdigit() else ord(character) - 65


def _codice_fiscale(value: str) -> bool:
    """DM 23 dicembre 1976: a check letter from two tables; the day of birth, plus 40 for women."""
    plain = "".join(c.translate(_DIGITS) if at in _NUMERIC else c for at, c in enumerate(value))
    day = int(plain[9:11])
    if not born(plain[6:8], str("ABCDEHLMPRST".index(plain[8]) + 1), str(day - 40 if day > 40 else day)):
        return False
    total = sum(_place(c) if at % 2 else _ODD[_place(c)] for at, c in enumerate(value[:15]))
    return chr(65 + total % 26) == value[15]


def _partita_iva(value: str) -> bool:
    """Luhn's check; digits 8 to 10 are the office of a province, or one of a few others."""
    office = int(value[-4:-1])
    return value[-11:-4] != "0000000" and (1 <= office <= 100 or office in (120, 121, 888, 999)) and luhn(value[-11:])


# ---- Greece ----


def _amka(value: str) -> bool:
    """The day of birth and a serial number, Luhn's check digit (Law 3655/2008)."""
    return born(value[4:6], value[2:4], value[:2]) and luhn(value)


def _afm(value: str) -> bool:
    """Powers of two from 256 on, modulo 11, modulo 10."""
    return weigh(value, [1 << n for n in range(8, 0, -1)]) % 11 % 10 == int(value[8])


# ---- Cyprus ----


def _cy_tic(value: str) -> bool:
    """Every other digit from the first on counts as the odd places of Italy's codes; modulo 26."""
    total = sum(int(c) if at % 2 else _ODD[int(c)] for at, c in enumerate(value[:8]))
    return value[:2] != "12" and chr(65 + total % 26) == value[8]


#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "cy_tic": of("(?:CY)?[0-9]{8}[A-Z]", lambda value: _cy_tic(value[-9:])),
        "es_cif": of("[ABCDEFGHJNPQRSUVW][0-9]{7}[0-9A-J]", _cif),
        "es_dni": of("(?:[0-9]{8}|[KLM][0-9]{7})[A-Z]", _dni),
        "es_nie": of("[XYZ][0-9]{7}[A-Z]", _nie),
        "es_nuss": of("(?:0[1-9]|[1-5][0-9]|66)[0-9]{10}", _nuss),
        "gr_afm": of("(?:EL)?[0-9]{9}", lambda value: _afm(value[-9:])),
        "gr_amka": of("[0-9]{11}", _amka),
        "it_codice_fiscale": of(
            "[A-Z]{6}[0-9L-NP-V]{2}[ABCDEHLMPRST][0-9L-NP-V]{2}[A-MZ][0-9L-NP-V]{3}[A-Z]", _codice_fiscale
        ),
        "it_partita_iva": of("(?:IT)?[0-9]{11}", _partita_iva),
        "mt_id": of("[0-9]{6,7}[ABGHLMPZ]"),
        "pt_cc": of("[0-9]{9}[0-9A-Z]{2}[0-9]", _cc),
        "pt_nif": of("[1-35-9][0-9]{8}|45[0-9]{7}", _nif),
        "pt_niss": of("[12][0-9]{10}", _niss),
    }
)
