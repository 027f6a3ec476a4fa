"""Addresses of machines, and passwords as people and programs make them."""

from __future__ import annotations

import ipaddress
from random import Random

__all__ = ["ip", "mac", "password", "url_password"]


def ip(rng: Random, arg: str) -> str:
    """An address. `arg`: `public`, `private`, `6`, `6full`, `6mapped`, `6link`; else mostly version 4."""
    kind = arg or rng.choices(("public", "private", "6"), (6, 3, 1))[0]
    match kind:
        case "public":
            while True:
                address = ipaddress.IPv4Address(rng.getrandbits(32))
                if address.is_global and not address.is_multicast:
                    return str(address)
        case "private":
            return rng.choice(
                (
                    f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
                    f"192.168.{rng.randint(0, 254)}.{rng.randint(2, 254)}",
                    f"172.{rng.randint(16, 31)}.{rng.randint(0, 255)}.{rng.randint(2, 254)}",
                )
            )
        case "6full":
            return ":".join(f"{rng.randint(1, 0xFFFF):04x}" for _ in range(8)).replace(":0", ":a", 1)
        case "6mapped":
            return f"::ffff:{ip(rng, 'public')}"
        case "6link":
            return f"fe80::{rng.randint(0x100, 0xFFFF):x}:{rng.randint(1, 0xFF):x}ff:fe{rng.randint(0x10, 0xFF):x}:{rng.randint(1, 0xFFFF):x}"
    head = rng.choice((0x20010DB8, 0x2A00, 0x26064700, 0x24048000))
    start = f"{head:x}" if head <= 0xFFFF else f"{head >> 16:x}:{head & 0xFFFF:x}"
    return f"{start}:{rng.randint(1, 0xFFFF):x}::{rng.choice(('1', f'{rng.randint(1, 0xFFFF):x}', f'{rng.randint(1, 0xFFFF):x}:{rng.randint(1, 0xFFFF):x}'))}"


def mac(rng: Random, arg: str) -> str:
    """A hardware address. `arg`: `colon`, `dash`, `dot` (as routers print it), `upper`."""
    head = rng.choice(("001a2b", "3c5282", "a45e60", "f0189a", "dca632", "b827eb", "000c29", "525400"))
    plain = head + f"{rng.getrandbits(24):06x}"
    form = arg or rng.choice(("colon", "colon", "upper", "dash", "dot"))
    if form == "dot":
        return ".".join(plain[at : at + 4] for at in range(0, 12, 4))
    pairs = [plain[at : at + 2] for at in range(0, 12, 2)]
    return (
        "-".join(pairs).upper() if form == "dash" else ":".join(pairs).upper() if form == "upper" else ":".join(pairs)
    )


_LOWER, _UPPER, _DIGITS = "abcdefghijkmnopqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789"
_BASES = "Summer Winter Dragon Falcon Sunshine Liverpool Bayern Monkey Welcome Matrix Charlie Rainbow Zephyr Pineapple Kraken Admin".split()
_PLAIN = "correcthorsebatterystaple letmeinplease trustnoonehere ilovechocolate openupsesame mydogisfluffy".split()


def password(rng: Random, arg: str) -> str:
    """A password. `arg`: `made` (a generator's), `human`, `hex`, `base64`, `alnum`, `weak` (letters alone)."""
    kind = arg or rng.choice(("made", "human", "alnum", "made"))
    match kind:
        case "made":
            size, marks = rng.randint(12, 24), "!#%^*_+-=.?@"
            letters = [rng.choice(_LOWER), rng.choice(_UPPER), rng.choice(_DIGITS), rng.choice(marks)]
            letters += rng.choices(_LOWER + _UPPER + _DIGITS + marks, k=size - 4)
            rng.shuffle(letters)
            if not letters[0].isalnum():
                letters[0] = rng.choice(_UPPER)
            if not letters[-1].isalnum():
                letters[-1] = rng.choice(_DIGITS)
            return "".join(letters)
        case "human":
            base = rng.choice(_BASES)
            return rng.choice(
                (
                    f"{base}{rng.randint(2015, 2025)}!",
                    f"{base}#{rng.randint(10, 99)}",
                    f"{base.replace('a', '@', 1).replace('e', '3').replace('o', '0')}{rng.randint(100, 999)}!",
                    f"{base}_{rng.choice(_BASES)}_{rng.randint(1, 99)}!",
                    f"{base.lower()}{rng.randint(1000, 9999)}{rng.choice(_UPPER)}{rng.choice('!?#')}",
                )
            )
        case "hex":
            return rng.randbytes(rng.choice((16, 20, 24, 32))).hex()
        case "base64":
            return "".join(rng.choices(_LOWER + _UPPER + _DIGITS + "+/", k=43)) + "="
        case "weak":
            return rng.choice(_PLAIN)
    while True:
        value = "".join(rng.choices(_LOWER + _UPPER + _DIGITS, k=rng.choice((16, 20, 24, 32, 40))))
        if any(c in _DIGITS for c in value) and any(c in _UPPER for c in value) and any(c in _LOWER for c in value):
            return value


def url_password(rng: Random, arg: str) -> str:
    """A password as it stands in a URL: reserved characters are escaped."""
    return "".join(c if c.isalnum() or c in "-._~!*+=" else f"%{ord(c):02X}" for c in password(rng, arg))
