"""Numbers that countries give to people and firms, with the check digits that their authorities publish."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

__all__ = ["NUMBERS", "number"]


def _d(rng: Random, count: int) -> str:
    return "".join(rng.choices("0123456789", k=count))


def _up(rng: Random, count: int, letters: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ") -> str:
    return "".join(rng.choices(letters, k=count))


def _sum(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(d) * w for d, w in zip(digits, weights, strict=True))


def _luhn(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        weighted = int(digit) * (2 if place % 2 == 0 else 1)
        total += weighted - 9 if weighted > 9 else weighted
    return str(-total % 10)


def _birth(rng: Random) -> tuple[int, int, int]:
    return rng.randint(1940, 2005), rng.randint(1, 12), rng.randint(1, 28)


def _until(rng: Random, make: Callable[[], str | None]) -> str:
    while (value := make()) is None:
        pass
    return value


def _de_tax_id(rng: Random) -> str:
    """Eleven digits, one digit of the first ten twice; ISO 7064 mod 11, 10."""
    pool = rng.sample("0123456789", 9)
    body = pool + [rng.choice(pool)]
    rng.shuffle(body)
    if body[0] == "0":
        body = body[::-1] if body[-1] != "0" else ["1" if c == "0" else c for c in body][:1] + body[1:]
    if body[0] == "0" or len(set(body)) != 9:
        return _de_tax_id(rng)
    product = 10
    for c in body:
        total = (int(c) + product) % 10 or 10
        product = total * 2 % 11
    check = (11 - product) % 10
    digits = "".join(body) + str(check)
    return rng.choice((digits, f"{digits[:2]} {digits[2:5]} {digits[5:8]} {digits[8:]}"))


def _de_pension(rng: Random) -> str:
    """Area, day of birth, letter of the name, serial, check: two digits are added up digit by digit."""
    year, month, day = _birth(rng)
    head = f"{rng.choice((12, 13, 14, 15, 24, 38, 53, 65)):02}{day:02}{month:02}{year % 100:02}"
    letter, serial = _up(rng, 1), f"{rng.randint(0, 99):02}"
    plain = f"{head}{ord(letter) - 64:02}{serial}"
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    check = sum(sum(map(int, str(int(c) * w))) for c, w in zip(plain, weights, strict=True)) % 10
    return rng.choice((f"{head}{letter}{serial}{check}", f"{head[:2]} {head[2:]} {letter} {serial}{check}"))


def _fr_nir(rng: Random) -> str:
    year, month, _ = _birth(rng)
    body = f"{rng.choice('12')}{year % 100:02}{month:02}{rng.randint(1, 95):02}{rng.randint(1, 990):03}{rng.randint(1, 990):03}"
    key = f"{97 - int(body) % 97:02}"
    return rng.choice((body + key, f"{body[0]} {body[1:3]} {body[3:5]} {body[5:7]} {body[7:10]} {body[10:]} {key}"))


def _fr_siret(rng: Random) -> str:
    siren = _d(rng, 8)
    siren += _luhn(siren)
    rest = f"{rng.randint(0, 99):04}"
    whole = siren + rest
    whole += _luhn(whole)
    return rng.choice((whole, f"{whole[:3]} {whole[3:6]} {whole[6:9]} {whole[9:]}"))


_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"


def _es_dni(rng: Random) -> str:
    digits = f"{rng.randint(1_000_000, 99_999_999):08}"
    return digits + rng.choice(("", "", "-")) + _DNI[int(digits) % 23]


def _es_nie(rng: Random) -> str:
    head, digits = rng.choice("XYZ"), _d(rng, 7)
    letter = _DNI[int(str("XYZ".index(head)) + digits) % 23]
    return rng.choice((f"{head}{digits}{letter}", f"{head}-{digits}-{letter}"))


_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ),
        strict=True,
    )
)


def _it_fiscal(rng: Random) -> str:
    year, month, day = _birth(rng)
    consonants = "BCDFGLMNPRSTVZ"
    body = f"{_up(rng, 6, consonants)}{year % 100:02}{'ABCDEHLMPRST'[month - 1]}{day + rng.choice((0, 40)):02}{rng.choice('ABCDEFGHILMZ')}{rng.randint(1, 999):03}"
    total = sum(_ODD[c] if at % 2 == 0 else int(c, 36) - (10 if c.isalpha() else 0) for at, c in enumerate(body))
    return body + chr(65 + total % 26)


def _it_vat(rng: Random) -> str:
    body = f"{_d(rng, 7)}{rng.randint(1, 100):03}"
    return rng.choice(("", "IT")) + body + _luhn(body)


def _nl_bsn(rng: Random) -> str:
    def make() -> str | None:
        body = str(rng.randint(1, 9)) + _d(rng, 7)
        check = _sum(body, (9, 8, 7, 6, 5, 4, 3, 2)) % 11
        return body + str(check) if check < 10 else None

    digits = _until(rng, make)
    return rng.choice((digits, digits, f"{digits[:4]}.{digits[4:6]}.{digits[6:]}"))


def _pl_pesel(rng: Random) -> str:
    year, month, day = _birth(rng)
    body = f"{year % 100:02}{month + (20 if year >= 2000 else 0):02}{day:02}{_d(rng, 4)}"
    return body + str(-_sum(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10)


def _pl_nip(rng: Random) -> str:
    def make() -> str | None:
        body = rng.choice("156789") + _d(rng, 8)
        check = _sum(body, (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11
        return body + str(check) if check < 10 else None

    digits = _until(rng, make)
    return rng.choice(
        (
            digits,
            f"{digits[:3]}-{digits[3:6]}-{digits[6:8]}-{digits[8:]}",
            f"{digits[:3]}-{digits[3:5]}-{digits[5:7]}-{digits[7:]}",
        )
    )


def _uk_nhs(rng: Random) -> str:
    def make() -> str | None:
        body = rng.choice("4679") + _d(rng, 8)
        check = (11 - _sum(body, (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11) % 11
        return body + str(check) if check < 10 else None

    digits = _until(rng, make)
    return rng.choice((digits, f"{digits[:3]} {digits[3:6]} {digits[6:]}", f"{digits[:3]}-{digits[3:6]}-{digits[6:]}"))


def _uk_nino(rng: Random) -> str:
    def make() -> str | None:
        head = _up(rng, 1, "ABCEGHJKLMNOPRSTWXYZ") + _up(rng, 1, "ABCEGHJKLMNPRSTWXYZ")
        return None if head in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ") else head

    head, digits, tail = _until(rng, make), _d(rng, 6), rng.choice("ABCD")
    return rng.choice((f"{head}{digits}{tail}", f"{head} {digits[:2]} {digits[2:4]} {digits[4:]} {tail}"))


def _ie_pps(rng: Random) -> str:
    digits = _d(rng, 7)
    second = rng.choice(("", "A", "W"))
    total = _sum(digits, (8, 7, 6, 5, 4, 3, 2)) + (9 if second == "A" else 0)
    return digits + "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] + second


def _se_personal(rng: Random) -> str:
    year, month, day = _birth(rng)
    body = f"{year % 100:02}{month:02}{day:02}{_d(rng, 3)}"
    tail = body[6:] + _luhn(body)
    return rng.choice((f"{year}{body[2:6]}-{tail}", f"{body[:6]}-{tail}", f"{year}{body[2:6]}{tail}"))


def _fi_hetu(rng: Random) -> str:
    year, month, day = _birth(rng)
    body = f"{day:02}{month:02}{year % 100:02}"
    serial = f"{rng.randint(2, 899):03}"
    return f"{body}{'A' if year >= 2000 else '-'}{serial}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(body + serial) % 31]}"


def _dk_cpr(rng: Random) -> str:
    """Day, month, year and a serial; since 2007 without a check digit, here with."""

    def make() -> str | None:
        _, month, day = _birth(rng)
        body = f"{day:02}{month:02}{rng.randint(40, 99):02}{rng.randint(0, 3)}{_d(rng, 2)}"
        check = -_sum(body, (4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
        return f"{body[:6]}-{body[6:]}{check}" if check < 10 else None

    return _until(rng, make)


def _no_birth(rng: Random) -> str:
    def make() -> str | None:
        _, month, day = _birth(rng)
        body = f"{day:02}{month:02}{rng.randint(54, 99)}{rng.randint(0, 499):03}"
        first = -_sum(body, (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
        if first == 10:
            return None
        second = -_sum(body + str(first), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
        return f"{body}{first}{second}" if second < 10 else None

    digits = _until(rng, make)
    return rng.choice((digits, f"{digits[:6]} {digits[6:]}"))


def _be_national(rng: Random) -> str:
    year, month, day = _birth(rng)
    body = f"{year % 100:02}{month:02}{day:02}{rng.randint(1, 997):03}"
    check = f"{97 - int(('2' if year >= 2000 else '') + body) % 97:02}"
    return rng.choice((f"{body[:2]}.{body[2:4]}.{body[4:6]}-{body[6:]}.{check}", body + check))


def _ch_ahv(rng: Random) -> str:
    body = "756" + _d(rng, 9)
    check = -sum(int(c) * (3 if at % 2 else 1) for at, c in enumerate(body)) % 10
    whole = f"{body}{check}"
    return rng.choice((f"{whole[:3]}.{whole[3:7]}.{whole[7:11]}.{whole[11:]}", whole))


def _at_social(rng: Random) -> str:
    def make() -> str | None:
        year, month, day = _birth(rng)
        serial, date = str(rng.randint(100, 999)), f"{day:02}{month:02}{year % 100:02}"
        check = _sum(serial + date, (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11
        return rng.choice((f"{serial}{check} {date}", f"{serial}{check}{date}")) if check < 10 else None

    return _until(rng, make)


def _pt_nif(rng: Random) -> str:
    body = rng.choice("12356") + _d(rng, 7)
    check = 11 - _sum(body, (9, 8, 7, 6, 5, 4, 3, 2)) % 11
    digits = body + str(0 if check >= 10 else check)
    return rng.choice((digits, f"{digits[:3]} {digits[3:6]} {digits[6:]}"))


def _cz_birth(rng: Random) -> str:
    def make() -> str | None:
        year, month, day = _birth(rng)
        if year < 1954:
            return None
        body = f"{year % 100:02}{month + rng.choice((0, 50)):02}{day:02}{_d(rng, 3)}"
        check = int(body) % 11
        return f"{body[:6]}/{body[6:]}{check}" if check < 10 else None

    return _until(rng, make)


def _ro_cnp(rng: Random) -> str:
    year, month, day = _birth(rng)
    body = f"{rng.choice('12') if year < 2000 else rng.choice('56')}{year % 100:02}{month:02}{day:02}{rng.randint(1, 46):02}{rng.randint(1, 999):03}"
    check = _sum(body, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return body + str(1 if check == 10 else check)


def _bg_egn(rng: Random) -> str:
    year, month, day = _birth(rng)
    body = f"{year % 100:02}{month + (40 if year >= 2000 else 0):02}{day:02}{_d(rng, 3)}"
    return body + str(_sum(body, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10)


def _gr_afm(rng: Random) -> str:
    body = rng.choice("0189") + _d(rng, 7)
    return body + str(_sum(body, (256, 128, 64, 32, 16, 8, 4, 2)) % 11 % 10)


def _hr_oib(rng: Random) -> str:
    body, rest = _d(rng, 10), 10
    for c in body:
        rest = ((int(c) + rest) % 10 or 10) * 2 % 11
    return body + str((11 - rest) % 10)


def _tr_national(rng: Random) -> str:
    body = str(rng.randint(1, 9)) + _d(rng, 8)
    tenth = (sum(map(int, body[::2])) * 7 - sum(map(int, body[1::2]))) % 10
    return f"{body}{tenth}{(sum(map(int, body)) + tenth) % 10}"


def _il_id(rng: Random) -> str:
    body = rng.choice("0123") + _d(rng, 7)
    return body + _luhn(body)


def _ru_inn(rng: Random) -> str:
    body = f"{rng.randint(1, 89):02}" + _d(rng, 8)
    first = _sum(body, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    second = _sum(body + str(first), (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    return f"{body}{first}{second}"


def _ru_snils(rng: Random) -> str:
    body = f"{rng.randint(2_000_000, 199_999_999):09}"
    check = _sum(body, (9, 8, 7, 6, 5, 4, 3, 2, 1)) % 101 % 100
    return f"{body[:3]}-{body[3:6]}-{body[6:]} {check:02}"


def _ua_tax(rng: Random) -> str:
    body = str(rng.randint(20000, 38000)) + _d(rng, 4)
    return body + str(_sum(body, (-1, 5, 7, 9, 4, 6, 10, 5, 7)) % 11 % 10)


def _br_cpf(rng: Random) -> str:
    body = _d(rng, 9)
    for start in (10, 11):
        total = sum(int(c) * (start - at) for at, c in enumerate(body))
        body += str(total * 10 % 11 % 10)
    return rng.choice(
        (f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}", f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}", body)
    )


def _br_cnpj(rng: Random) -> str:
    body = _d(rng, 8) + "0001"
    for weights in ((5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)):
        rest = _sum(body, weights) % 11
        body += str(0 if rest < 2 else 11 - rest)
    return f"{body[:2]}.{body[2:5]}.{body[5:8]}/{body[8:12]}-{body[12:]}"


def _cl_rut(rng: Random) -> str:
    body = str(rng.randint(4_000_000, 26_000_000))
    total = sum(int(c) * (2 + at % 6) for at, c in enumerate(reversed(body)))
    check = {10: "K", 11: "0"}.get(11 - total % 11, str(11 - total % 11))
    return rng.choice((f"{body[:-6]}.{body[-6:-3]}.{body[-3:]}-{check}", f"{body}-{check}"))


def _ar_cuit(rng: Random) -> str:
    def make() -> str | None:
        head, body = rng.choice(("20", "23", "27", "30")), f"{rng.randint(5_000_000, 45_000_000):08}"
        check = -_sum(head + body, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
        return f"{head}-{body}-{check}" if check < 10 else None

    return _until(rng, make)


def _mx_curp(rng: Random) -> str:
    year, month, day = _birth(rng)
    table = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    body = (
        f"{_up(rng, 1, 'BCDFGHLMRSTV')}{_up(rng, 1, 'AEIOU')}{_up(rng, 2, 'BCDFGHLMRST')}{year % 100:02}{month:02}{day:02}{rng.choice('HM')}"
        f"{rng.choice(('DF', 'JC', 'NL', 'PL', 'OC', 'VZ'))}{_up(rng, 3, 'BCDFGHLMNRSTZ')}{rng.choice('0123456789') if year < 2000 else rng.choice('ABC')}"
    )
    total = sum(table.index(c) * (18 - at) for at, c in enumerate(body))
    return body + str(-total % 10)


_VERHOEFF_D = tuple(
    tuple((a + b) % 5 + 5 * ((a // 5) ^ (b // 5)) if a < 5 else (a - b) % 5 + 5 * (1 ^ (b // 5)) for b in range(10))
    for a in range(10)
)
_VERHOEFF_P = ((0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4))


def _in_aadhaar(rng: Random) -> str:
    """Verhoeff's check: the last digit is the one that makes the product in the dihedral group zero."""
    body = rng.choice("23456789") + _d(rng, 10)
    for last in "0123456789":
        check = 0
        for place, c in enumerate(reversed(body + last)):
            value = int(c)
            for _ in range(place % 8):
                value = _VERHOEFF_P[1][value]
            check = _VERHOEFF_D[check][value]
        if check == 0:
            whole = body + last
            return rng.choice((f"{whole[:4]} {whole[4:8]} {whole[8:]}", f"{whole[:4]}-{whole[4:8]}-{whole[8:]}", whole))
    raise AssertionError


def _in_pan(rng: Random) -> str:
    return f"{_up(rng, 3)}{rng.choice('PCHFT')}{_up(rng, 1)}{rng.randint(1, 9999):04}{_up(rng, 1)}"


def _cn_resident(rng: Random) -> str:
    year, month, day = _birth(rng)
    body = f"{rng.choice((110101, 310104, 440305, 330106, 510107, 420106))}{year}{month:02}{day:02}{rng.randint(1, 999):03}"
    total = _sum(body, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2))
    return body + "10X98765432"[total % 11]


def _kr_resident(rng: Random) -> str:
    year, month, day = _birth(rng)
    body = f"{year % 100:02}{month:02}{day:02}{rng.choice((1, 2)) if year < 2000 else rng.choice((3, 4))}{rng.randint(0, 95):02}{_d(rng, 3)}"
    check = (11 - _sum(body, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    return f"{body[:6]}-{body[6:]}{check}"


def _jp_number(rng: Random) -> str:
    body = _d(rng, 11)
    rest = sum(int(c) * (at + 2 if at < 6 else at - 4) for at, c in enumerate(reversed(body))) % 11
    whole = body + str(0 if rest <= 1 else 11 - rest)
    return rng.choice((whole, f"{whole[:4]} {whole[4:8]} {whole[8:]}"))


def _sg_nric(rng: Random) -> str:
    head, digits = rng.choice("STFG"), _d(rng, 7)
    total = _sum(digits, (2, 7, 6, 5, 4, 3, 2)) + (4 if head in "TG" else 0)
    return head + digits + ("JZIHGFEDCBA" if head in "ST" else "XWUTRQPNMLK")[total % 11]


def _au_tfn(rng: Random) -> str:
    def make() -> str | None:
        body = str(rng.randint(1, 9)) + _d(rng, 8)
        return body if _sum(body, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0 else None

    digits = _until(rng, make)
    return rng.choice((digits, f"{digits[:3]} {digits[3:6]} {digits[6:]}"))


def _au_medicare(rng: Random) -> str:
    body = rng.choice("23456") + _d(rng, 7)
    whole = f"{body}{_sum(body, (1, 3, 7, 9, 1, 3, 7, 9)) % 10}{rng.randint(1, 5)}"
    return rng.choice((whole, f"{whole[:4]} {whole[4:9]} {whole[9:]}"))


def _ca_sin(rng: Random) -> str:
    body = rng.choice("1234567") + _d(rng, 7)
    whole = body + _luhn(body)
    return rng.choice((f"{whole[:3]} {whole[3:6]} {whole[6:]}", f"{whole[:3]}-{whole[3:6]}-{whole[6:]}", whole))


def _nz_ird(rng: Random) -> str:
    def make() -> str | None:
        body = f"{rng.randint(10_000_000, 13_999_999):08}"
        check = -_sum(body, (3, 2, 7, 6, 5, 4, 3, 2)) % 11
        return f"{body[:3]}-{body[3:6]}-{body[6:]}{check}" if check < 10 else None

    return _until(rng, make)


def _za_id(rng: Random) -> str:
    year, month, day = _birth(rng)
    body = f"{year % 100:02}{month:02}{day:02}{_d(rng, 4)}{rng.choice('01')}8"
    return body + _luhn(body)


def _us_npi(rng: Random) -> str:
    body = rng.choice("12") + _d(rng, 8)
    return body + _luhn("80840" + body)


#: Country and number → how it is made.
NUMBERS: dict[str, Callable[[Random], str]] = {
    "de_tax_id": _de_tax_id,
    "de_pension": _de_pension,
    "fr_nir": _fr_nir,
    "fr_siret": _fr_siret,
    "es_dni": _es_dni,
    "es_nie": _es_nie,
    "it_fiscal": _it_fiscal,
    "it_vat": _it_vat,
    "nl_bsn": _nl_bsn,
    "pl_pesel": _pl_pesel,
    "pl_nip": _pl_nip,
    "uk_nhs": _uk_nhs,
    "uk_nino": _uk_nino,
    "ie_pps": _ie_pps,
    "se_personal": _se_personal,
    "fi_hetu": _fi_hetu,
    "dk_cpr": _dk_cpr,
    "no_birth": _no_birth,
    "be_national": _be_national,
    "ch_ahv": _ch_ahv,
    "at_social": _at_social,
    "pt_nif": _pt_nif,
    "cz_birth": _cz_birth,
    "ro_cnp": _ro_cnp,
    "bg_egn": _bg_egn,
    "gr_afm": _gr_afm,
    "hr_oib": _hr_oib,
    "tr_national": _tr_national,
    "il_id": _il_id,
    "ru_inn": _ru_inn,
    "ru_snils": _ru_snils,
    "ua_tax": _ua_tax,
    "br_cpf": _br_cpf,
    "br_cnpj": _br_cnpj,
    "cl_rut": _cl_rut,
    "ar_cuit": _ar_cuit,
    "mx_curp": _mx_curp,
    "in_aadhaar": _in_aadhaar,
    "in_pan": _in_pan,
    "cn_resident": _cn_resident,
    "kr_resident": _kr_resident,
    "jp_number": _jp_number,
    "sg_nric": _sg_nric,
    "au_tfn": _au_tfn,
    "au_medicare": _au_medicare,
    "ca_sin": _ca_sin,
    "nz_ird": _nz_ird,
    "za_id": _za_id,
    "us_npi": _us_npi,
}


def number(rng: Random, arg: str) -> str:
    """A number of the kind `arg`."""
    return NUMBERS[arg](rng)
