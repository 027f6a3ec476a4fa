"""France, Belgium, the Netherlands and Luxembourg."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import LETTERS, exists, luhn, of, verhoeff, weigh

__all__ = ["VALIDATORS"]


# ---- France ----

#: Months of birth of the NIR beyond the calendar's, where none is known (INSEE).
_MONTHS: Final = frozenset((*range(1, 13), 20, *range(30, 43), *range(50, 100)))


def _nir(value: str) -> bool | None:
    """INSEE: sex, year, month, département, municipality, serial number; the key is 97 less what modulo 97 leaves.

    For the key Corsica's 2A counts as 19, its 2B as 18. Without the key all that is known is the shape.
    """
    if int(value[3:5]) not in _MONTHS or value[5:7] == "00":
        return False
    if len(value) == 13:
        return None
    return 97 - int(value[:13].replace("2A", "19").replace("2B", "18")) % 97 == int(value[13:])


def _spi(value: str) -> bool:
    """DGFiP: the last three digits are the first ten modulo 511."""
    return int(value[:10]) % 511 == int(value[10:])


def _siret(value: str) -> bool:
    """INSEE: SIREN and office pass Luhn's check; five divides the sum of the digits of La Poste's offices, but its seat."""
    if value[:9] == "356000000" and value[9:] != "00048":
        return sum(map(int, value)) % 5 == 0
    return luhn(value[:9]) and luhn(value)


def _fr_tva(value: str) -> bool:
    """A key modulo 97 and the SIREN."""
    return luhn(value[4:]) and (12 + 3 * int(value[4:])) % 97 == int(value[2:4])


# ---- Belgium ----


def _national(value: str) -> bool:
    """Registre national: day of birth, serial number, 97 less what modulo 97 leaves; since 2000 with a two before it.

    The bis number of people who are not in the register has 20 or 40 added to the month. Where the day of birth is not
    known, or a day's numbers were used up, month and day count on.
    """
    month = int(value[2:4])
    if month >= 60 or month % 20 > 12:
        return False
    return int(value[9:]) in (97 - int(century + value[:9]) % 97 for century in ("", "2"))


def _be_eid(value: str) -> bool:
    """Of the card: the last two digits are the first ten modulo 97, or 97."""
    return (int(value[:10]) % 97 or 97) == int(value[10:])


# ---- the Netherlands ----


def _bsn(value: str) -> bool:
    """The test of eleven, with the last digit taken away (Besluit burgerservicenummer)."""
    digits = value.zfill(9)
    return (weigh(digits, range(9, 1, -1)) - int(digits[8])) % 11 == 0


def _btw(value: str) -> bool:
    """Of sole traders since 2020: modulo 97 with letters as two digits; of companies, and before: as the BSN."""
    return _bsn(value[2:11]) or int("".join(str(LETTERS.index(c)) for c in value)) % 97 == 1


# ---- Luxembourg ----


def _lu_nin(value: str) -> bool:
    """CTIE: day of birth and serial number, Luhn's check digit over these, then Verhoeff's over the same."""
    if not exists(int(value[:4]), int(value[4:6]), int(value[6:8])):
        return False
    return luhn(value[:12]) and verhoeff(value[:11] + value[12])


#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "be_eid": of("[0-9]{12}", _be_eid),
        "be_national": of("[0-9]{11}", _national),
        "fr_nir": of("[1-478][0-9]{4}(?:[0-9]{2}|2[AB])[0-9]{6}(?:[0-9]{2})?", _nir),
        "fr_siren": of("[0-9]{9}", luhn),
        "fr_siret": of("[0-9]{14}", _siret),
        "fr_spi": of("[0-3][0-9]{12}", _spi),
        "fr_tva": of("FR[0-9]{11}", _fr_tva),
        "lu_nin": of("(?:18|19|20)[0-9]{11}", _lu_nin),
        "nl_bsn": of("[0-9]{8,9}", _bsn),
        "nl_btw": of("NL[0-9]{9}B(?!00)[0-9]{2}", _btw),
        "nl_document": of("[A-NP-Z]{2}[0-9A-NP-Z]{6}[0-9]"),
    }
)
