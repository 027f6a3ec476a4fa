"""Brazil, its neighbours, and the Caribbean."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.national.checks import luhn, of, weigh

__all__ = ["VALIDATORS"]


# ---- Brazil ----


def _eleven(total: int) -> int:
    """Eleven less what is left, zero for ten and eleven: the check digit of most numbers of Brazil."""
    left = total % 11
    return 0 if left < 2 else 11 - left


def _cpf(value: str) -> bool:
    """Receita Federal: two check digits modulo 11."""
    return _eleven(weigh(value[:9], range(10, 1, -1))) == int(value[9]) and _eleven(
        weigh(value[:10], range(11, 1, -1))
    ) == int(value[10])


_CNPJ: Final = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)


def _cnpj(value: str) -> bool:
    """IN RFB 2229/2024: two check digits modulo 11; a letter, since July 2026, counts its place in ASCII less 48."""
    worth = [ord(character) - 48 for character in value]
    return (
        value[:12] != "000000000000"
        and _eleven(sum(map(int.__mul__, worth[:12], _CNPJ[1:]))) == worth[12]
        and _eleven(sum(map(int.__mul__, worth[:13], _CNPJ))) == worth[13]
    )


def _pis(value: str) -> bool:
    """Caixa: PIS, PASEP, NIT and NIS, modulo 11."""
    return _eleven(weigh(value, (3, 2, 9, 8, 7, 6, 5, 4, 3, 2))) == int(value[10])


def _cns(value: str) -> bool:
    """Cartão Nacional de Saúde (DATASUS): weights 15 to 1, modulo 11."""
    return weigh(value, range(15, 0, -1)) % 11 == 0


def _cnh(value: str) -> bool | None:
    """Driving licence (DENATRAN): two check digits modulo 11, with exceptions that are told differently."""
    first = weigh(value[:9], range(9, 0, -1)) % 11
    less, first = (2, 0) if first > 9 else (0, first)
    second = (weigh(value[:9], range(1, 10)) % 11 - less) % 11 % 10
    return (first == int(value[9]) and second == int(value[10])) or None


def _titulo(value: str) -> bool:
    """Título de eleitor (TSE): serial number, state, two check digits; São Paulo and Minas Gerais also have a one for a zero."""
    if not 1 <= int(value[8:10]) <= 28:
        return False

    def checks(total: int, digit: str) -> bool:
        left = total % 11
        return left % 10 == int(digit) or (left == 0 and digit == "1" and value[8:10] in ("01", "02"))

    return checks(weigh(value[:8], range(2, 10)), value[10]) and checks(weigh(value[8:11], (7, 8, 9)), value[11])


# ---- Argentina, Chile, Uruguay ----


def _cuit(value: str) -> bool:
    """AFIP: modulo 11, nine for ten. 25 and 26 are prefixes of people who are neither men nor women."""
    return "01234567899"[-weigh(value, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11] == value[10]


def _rut(value: str) -> bool:
    """Servicio de Impuestos Internos: weights 2 to 7 from behind, modulo 11, K for ten."""
    return "0123456789K"[-weigh(value[-2::-1], (2, 3, 4, 5, 6, 7, 2, 3)) % 11] == value[-1]


def _uy_ci(value: str) -> bool:
    """Dirección Nacional de Identificación Civil: weights 2, 9, 8, 7, 6, 3, 4, modulo 10."""
    return -weigh(value.zfill(8), (2, 9, 8, 7, 6, 3, 4)) % 10 == int(value[-1])


# ---- Colombia, Peru, Ecuador, Venezuela, the Dominican Republic ----


def _nit(value: str) -> bool:
    """DIAN: primes from 3 on from behind, modulo 11."""
    left = weigh(value[-2::-1], (3, 7, 13, 17, 19, 23, 29, 37, 41, 43, 47, 53, 59, 67, 71)) % 11
    return (left if left < 2 else 11 - left) == int(value[-1])


def _pe_dni(value: str) -> bool | None:
    """RENIEC: eight digits, and one more or a letter that checks them modulo 11."""
    if len(value) == 8:
        return None
    left = weigh(value, (3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return value[8] in ("65432110987"[left], "KJIHGFEDCBA"[left])


def _pe_ruc(value: str) -> bool:
    """SUNAT: people's begin with 10, companies' with 20; modulo 11."""
    return (11 - weigh(value, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 10 == int(value[10])


def _ec_cedula(value: str) -> bool:
    """Registro Civil: province, 30 and 50 for abroad, a digit that tells people from bodies, serial number, Luhn's check digit."""
    province = int(value[:2])
    return (
        (1 <= province <= 24 or province in (30, 50)) and luhn(value[:10]) and (len(value) == 10 or value[10:] != "000")
    )


def _rif(value: str) -> bool:
    """SENIAT: the letter counts four times its place, modulo 11."""
    kind = 4 * {"V": 1, "E": 2, "C": 3, "J": 3, "P": 4, "G": 5}[value[0]]
    left = (kind + weigh(value[1:], (3, 2, 7, 6, 5, 4, 3, 2))) % 11
    return (0 if left < 2 else 11 - left) == int(value[9])


def _do_cedula(value: str) -> bool | None:
    """Junta Central Electoral: Luhn's check; some old ones fail it."""
    return luhn(value) or None


#: By name of the validator.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "ar_cuit": of("(?:2[03-7]|3[034]|5[015])[0-9]{9}", _cuit),
        "ar_dni": of("[1-9][0-9]{6,7}"),
        "br_cnh": of("[0-9]{11}", _cnh),
        "br_cnpj": of("[0-9A-Z]{12}[0-9]{2}", _cnpj),
        "br_cns": of("[12789][0-9]{14}", _cns),
        "br_cpf": of("[0-9]{11}", _cpf),
        "br_pis": of("[0-9]{11}", _pis),
        "br_titulo": of("[0-9]{12}", _titulo),
        "cl_rut": of("[0-9]{6,8}[0-9K]", _rut),
        "co_nit": of("[1-9][0-9]{8,9}", _nit),
        "do_cedula": of("[0-9]{11}", _do_cedula),
        "ec_cedula": of("[0-9]{2}[0-6][0-9]{7}", _ec_cedula),
        "ec_ruc": of("[0-9]{2}[0-6][0-9]{10}", _ec_cedula),
        "pe_dni": of("[0-9]{8}[0-9A-K]?", _pe_dni),
        "pe_ruc": of("(?:10|15|17|20)[0-9]{9}", _pe_ruc),
        "uy_ci": of("[1-9][0-9]{6,7}", _uy_ci),
        "ve_rif": of("[VECJPG][0-9]{9}", _rif),
    }
)
