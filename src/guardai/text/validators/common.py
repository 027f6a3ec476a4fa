"""Numbers and addresses that the core pack finds: cards, bank accounts, social security numbers, machines."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from types import MappingProxyType
from typing import Final

__all__ = [
    "CARDS_ALONE",
    "IBAN_LENGTHS",
    "VALIDATORS",
    "Validator",
    "begins_card",
    "card_brand",
    "iban",
    "ip4",
    "ip6",
    "luhn",
    "ssn",
]

#: True: valid, because a check digit or an exact rule holds. False: invalid. None: it has the shape, no more is known.
Validator = Callable[[bytes], bool | None]

#: Digits whose Luhn weight is two, already folded: 7 → 14 → 5.
_DOUBLED: Final = bytes.maketrans(b"0123456789", b"0246813579")
_ZERO: Final = 48


def luhn(digits: bytes) -> bool:
    """The mod-10 check of payment cards. `digits` holds ASCII digits only."""
    total = sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_DOUBLED)) - _ZERO * len(digits)
    return total % 10 == 0


#: (first prefix, last prefix, lengths, stands alone). The last says whether a number of that range and length is told
#: from an order number or a barcode by its check digit well enough that no word about cards need stand near it.
_IIN: Final[tuple[tuple[int, int, frozenset[int], frozenset[int]], ...]] = tuple(
    (low, high, frozenset(lengths), frozenset(alone))
    for low, high, lengths, alone in (
        (4, 4, (13, 16, 18, 19), (16, 19)),  # Visa
        (51, 55, (16,), (16,)),  # Mastercard
        (2221, 2720, (16,), (16,)),
        (34, 34, (15,), (15,)),  # American Express
        (37, 37, (15,), (15,)),
        (300, 305, (14, 15, 16, 17, 18, 19), (14, 16)),  # Diners
        (3095, 3095, (14, 16, 17, 18, 19), (14, 16)),
        (36, 36, (14, 15, 16, 17, 18, 19), (14, 16)),
        (38, 39, (14, 15, 16, 17, 18, 19), (14, 16)),
        (3528, 3589, (15, 16, 17, 18, 19), (16, 19)),  # JCB; with fifteen digits a telephone's IMEI begins like it
        (2131, 2131, (15,), (15,)),
        (1800, 1800, (15,), (15,)),
        (6011, 6011, (16, 17, 18, 19), (16, 19)),  # Discover
        (644, 649, (16, 17, 18, 19), (16, 19)),
        (65, 65, (16, 17, 18, 19), (16, 19)),
        (62, 62, (14, 15, 16, 17, 18, 19), (16, 19)),  # UnionPay
        (81, 82, (16, 17, 18, 19), (16,)),  # UnionPay, RuPay
        (2200, 2204, (16, 17, 18, 19), (16,)),  # Mir
        (353, 356, (16,), (16,)),  # RuPay
        (9792, 9792, (16,), (16,)),  # Troy
        (8600, 8600, (16,), (16,)),  # Uzcard
        (9860, 9860, (16,), (16,)),  # Humo
        (9112, 9112, (16,), (16,)),  # Belkart
        (9704, 9704, (16, 19), (16, 19)),  # Napas
        (94, 94, (16,), ()),  # BC Card
        (1946, 1946, (16,), ()),  # GPN
        (1, 1, (15,), ()),  # UATP
        (50, 50, tuple(range(12, 20)), (16,)),  # Maestro, Verve, Elo, RuPay
        (56, 69, tuple(range(12, 20)), (16,)),
    )
)


#: How many digits a card has that needs no word near it → with which they may begin, as the inside of a character class.
CARDS_ALONE: Final = MappingProxyType(
    {
        size: "".join(
            sorted({str(n)[0] for low, high, _, alone in _IIN if size in alone for n in range(low, high + 1)})
        )
        for size in range(12, 20)
        if any(size in alone for _, _, _, alone in _IIN)
    }
)


def card_brand(digits: bytes) -> bool | None:
    """Whether an issuer range has numbers of this beginning and length.

    Returns:
        True: one has, and the number needs no further evidence besides its check digit. None: one has, but other
        numbers look the same: a word about cards must stand near. False: none has.
    """
    return _brand(int(digits[:4]), len(digits))


@lru_cache(maxsize=16384)
def begins_card(head: bytes) -> bool:
    """Whether a card of some issuer begins with these four digits."""
    value = int(head)
    return any(low <= value // 10 ** (4 - len(str(high))) <= high for low, high, _, _ in _IIN)


@lru_cache(maxsize=8192)
def _brand(head: int, length: int) -> bool | None:
    found: bool | None = False
    for low, high, lengths, alone in _IIN:
        width = 1 if high < 10 else 2 if high < 100 else 3 if high < 1000 else 4
        if low <= head // 10 ** (4 - width) <= high and length in lengths:
            if length in alone:
                return True
            found = None
    return found


#: Country → length of its IBANs, from the SWIFT registry, with the countries that use the form without being in it.
IBAN_LENGTHS: Final = MappingProxyType(
    {
        entry[:2].encode(): int(entry[2:])
        for entry in (  # noqa: SIM905 -- a table is read better as one
            "AD24 AE23 AL28 AO25 AT20 AZ28 BA20 BE16 BF28 BG22 BH22 BI27 BJ28 BR29 BY28 CF27 CG27 CH21 CI28 CM27 CR22 "
            "CV25 CY28 CZ24 DE22 DJ27 DK18 DO28 DZ26 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GA27 GB22 GE22 GI23 GL18 GQ27 "
            "GR27 GT28 GW25 HN28 HR21 HU28 IE22 IL23 IQ23 IR26 IS26 IT27 JO30 KM27 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 "
            "LV21 LY25 MA28 MC27 MD24 ME22 MG27 MK19 ML28 MN20 MR27 MT31 MU30 MZ25 NE28 NI28 NL18 NO15 OM23 PK24 PL28 "
            "PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SN28 SO23 ST25 SV28 TD27 TG28 TL23 TN24 "
            "TR26 UA29 VA22 VG24 XK20 YE30"
        ).split()
    }
)


def iban(value: bytes) -> bool:
    """ISO 13616: the country's length, and mod 97. `value` is upper-case letters and digits only."""
    if IBAN_LENGTHS.get(value[:2]) != len(value):
        return False
    return int("".join(map(_PLACES.__getitem__, value[4:] + value[:4]))) % 97 == 1


#: Byte → the place of a digit or a capital in ISO 7064's table; int(…, 36) says it.
_PLACES: Final = tuple(str(int(chr(c), 36)) if chr(c).isalnum() and c < 0x80 else "" for c in range(256))


def ssn(digits: bytes) -> bool:
    """What the Social Security Administration never issues: area 000, 666 and 9xx, group 00, serial 0000."""
    return digits[:3] not in (b"000", b"666") and digits[0] != 0x39 and digits[3:5] != b"00" and digits[5:] != b"0000"


def ip4(value: bytes) -> bool:
    """Four octets that are some machine's address: not the unspecified, loopback, broadcast or a net mask."""
    parts = value.split(b".")
    if len(parts) != 4 or any(len(p) > 3 or (len(p) > 1 and p[0] == _ZERO) or int(p) > 255 for p in parts):
        return False
    return parts[0] not in (b"0", b"127", b"255")


_HEX_GROUP: Final = re.compile(rb"[0-9A-Fa-f]{1,4}\Z")


def ip6(value: bytes) -> bool:
    """An IPv6 address in full or compressed form, with an IPv4 tail or without; not `::` and not `::1`."""
    head, compressed, rest = value.partition(b"::")
    if b"::" in rest:
        return False
    groups = head.split(b":") if head else []
    tail = rest.split(b":") if rest else []
    width = len(groups) + len(tail)
    last = (tail or groups)[-1:] if not compressed or tail else []
    if last and b"." in last[0]:
        parts = last[0].split(b".")
        if len(parts) != 4 or any(not p.isdigit() or len(p) > 3 or int(p) > 255 for p in parts):
            return False
        width += 1
        (tail or groups).pop()
    plain = groups + tail
    if any(not _HEX_GROUP.match(group) for group in plain):
        return False
    if compressed:
        # `dead::beef` is also C++, `1::2` a slice: somebody's address has more to it.
        long = width >= 3 or len(plain[0] if plain else b"") >= 3
        return 1 <= width <= 7 and long and any(c in b"0123456789" for c in value)
    # Eight pairs are a hardware address or the beginning of a fingerprint.
    return width == 8 and not all(len(group) == 2 for group in plain)


#: Spaces and dashes as a form writes them.
_FORM: Final = re.compile(rb"\+|%2[0Dd]")


def _form_card(value: bytes) -> bool | None:
    """A card's number in a form, of a range that needs no word."""
    digits = _FORM.sub(b"", value)
    return begins_card(digits[:4]) and luhn(digits) and card_brand(digits) is True


def _form_iban(value: bytes) -> bool | None:
    """An account's number in a form."""
    return iban(_FORM.sub(b"", value))


def _form_ssn(value: bytes) -> bool | None:
    """A social security number in a form."""
    return None if ssn(_FORM.sub(b"", value)) else False


#: What a pack may name of these.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {"form_card": _form_card, "form_iban": _form_iban, "form_ssn": _form_ssn, "iban": iban, "luhn": luhn}
)
