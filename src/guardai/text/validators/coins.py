"""Addresses of cryptocurrencies, each with the checksum that its network defines.

Sources: Base58Check of Bitcoin's reference implementation; BIP-173 and BIP-350 (bech32, bech32m); EIP-55 (the case of
Ethereum's letters); CashAddr of Bitcoin Cash; SEP-23 of Stellar; the Keccak reference, which Ethereum and Monero use with
the padding that it had before it became SHA-3.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator

__all__ = ["VALIDATORS", "bech32", "cashaddr", "coin", "ethereum", "keccak256", "monero", "ripple", "solana", "stellar"]

# ---- Base58 ----

_BASE58: Final = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE: Final = bytes.maketrans(b"rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz", _BASE58)
_VALUES: Final = MappingProxyType({c: at for at, c in enumerate(_BASE58)})
#: What an address begins with → the version bytes that its first letters stand for.
_VERSIONS: Final = MappingProxyType(
    {
        b"1": (b"\x00",),  # Bitcoin
        b"3": (b"\x05",),
        b"L": (b"\x30",),  # Litecoin
        b"M": (b"\x32",),
        b"D": (b"\x1e",),  # Dogecoin
        b"9": (b"\x16",),
        b"A": (b"\x16",),
        b"X": (b"\x4c",),  # Dash
        b"7": (b"\x10",),
        b"T": (b"\x41",),  # Tron
        b"t": (b"\x1c\xb8", b"\x1c\xbd"),  # Zcash
        b"x": (b"\x04\x88\xb2\x1e",),  # extended public keys: BIP-32, SLIP-132
        b"y": (b"\x04\x9d\x7c\xb2",),
        b"z": (b"\x04\xb2\x47\x46",),
    }
)
_PUBLIC_KEY: Final = 78


def _decoded(value: bytes) -> bytes | None:
    """Base58 as bytes, a leading 1 for each leading zero byte."""
    number = 0
    for c in value:
        digit = _VALUES.get(c)
        if digit is None:
            return None
        number = number * 58 + digit
    zeros = len(value) - len(value.lstrip(b"1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _twice(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def coin(value: bytes) -> bool:
    """An address of Bitcoin, Litecoin, Dogecoin, Dash, Tron or Zcash, or an extended public key, with its checksum."""
    raw = _decoded(value)
    if raw is None or len(raw) < 25 or _twice(raw[:-4])[:4] != raw[-4:]:
        return False
    for version in _VERSIONS.get(value[:1], ()):
        if raw.startswith(version):
            return len(raw) - 4 == (_PUBLIC_KEY if len(version) == 4 else 20 + len(version))
    return False


def ripple(value: bytes) -> bool:
    """An account of the XRP Ledger: Base58Check with an alphabet of its own."""
    raw = _decoded(value.translate(_RIPPLE))
    return raw is not None and len(raw) == 25 and raw[0] == 0 and _twice(raw[:-4])[:4] == raw[-4:]


def solana(value: bytes) -> bool | None:
    """A public key of 32 bytes; there is no checksum."""
    raw = _decoded(value)
    return None if raw is not None and len(raw) == 32 else False


# ---- bech32 ----

_BECH32: Final = MappingProxyType({c: at for at, c in enumerate(b"qpzry9x8gf2tvdw0s3jn54khce6mua7l")})
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
#: What a checksum comes to: of bech32, and of bech32m, which SegWit addresses from version 1 on have.
_SUMS: Final = (1, 0x2BC830A3)


def bech32(value: bytes) -> bool:
    """An address in bech32 or bech32m: Bitcoin's and Litecoin's SegWit, Cardano's, those of Cosmos and its kin."""
    if value.lower() != value != value.upper():
        return False
    prefix, _, rest = value.lower().rpartition(b"1")
    digits = [_BECH32.get(c, -1) for c in rest]
    if not prefix or len(digits) < 14 or -1 in digits:
        return False
    total = 1
    for digit in (*(c >> 5 for c in prefix), 0, *(c & 31 for c in prefix), *digits):
        top = total >> 25
        total = (total & 0x1FFFFFF) << 5 ^ digit
        for bit, generator in enumerate(_GENERATORS):
            total ^= generator if top >> bit & 1 else 0
    if prefix in (b"bc", b"tb", b"ltc"):
        return total == _SUMS[digits[0] > 0]
    return total == _SUMS[0]


_CASH_GENERATORS: Final = (0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8, 0x1E4F43E470)


def cashaddr(value: bytes) -> bool:
    """An address of Bitcoin Cash, with its prefix."""
    prefix, _, rest = value.lower().partition(b":")
    digits = [_BECH32.get(c, -1) for c in rest]
    if -1 in digits:
        return False
    total = 1
    for digit in (*(c & 31 for c in prefix), 0, *digits):
        top = total >> 35
        total = (total & 0x07FFFFFFFF) << 5 ^ digit
        for bit, generator in enumerate(_CASH_GENERATORS):
            total ^= generator if top >> bit & 1 else 0
    return total == 1


# ---- Stellar ----


def stellar(value: bytes) -> bool:
    """A public key of Stellar: base32 with a version byte, and CRC-16 (XModem), the low byte first."""
    try:
        raw = base64.b32decode(value)
    except binascii.Error:
        return False
    return len(raw) == 35 and raw[0] == 6 << 3 and binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little") == raw[-2:]


# ---- Keccak ----

_ROUNDS: Final = (
    0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000, 0x000000000000808B, 0x0000000080000001,
    0x8000000080008081, 0x8000000000008009, 0x000000000000008A, 0x0000000000000088, 0x0000000080008009, 0x000000008000000A,
    0x000000008000808B, 0x800000000000008B, 0x8000000000008089, 0x8000000000008003, 0x8000000000008002, 0x8000000000000080,
    0x000000000000800A, 0x800000008000000A, 0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
)  # fmt: skip
#: Lane by lane, in the order in which `pi` moves them from lane 1 on: (where it goes, how far it is rotated).
_MOVES: Final = (
    (10, 1), (7, 3), (11, 6), (17, 10), (18, 15), (3, 21), (5, 28), (16, 36), (8, 45), (21, 55), (24, 2), (4, 14),
    (15, 27), (23, 41), (19, 56), (13, 8), (12, 25), (2, 43), (20, 62), (14, 18), (22, 39), (9, 61), (6, 20), (1, 44),
)  # fmt: skip
_MASK: Final = (1 << 64) - 1
_RATE: Final = 136


def _permuted(lanes: list[int]) -> list[int]:
    """Keccak-f[1600]."""
    for constant in _ROUNDS:
        c = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        d = [c[x - 1] ^ ((c[(x + 1) % 5] << 1 | c[(x + 1) % 5] >> 63) & _MASK) for x in range(5)]
        lanes = [lane ^ d[at % 5] for at, lane in enumerate(lanes)]
        moving = lanes[1]
        for to, turn in _MOVES:
            lanes[to], moving = (moving << turn | moving >> (64 - turn)) & _MASK, lanes[to]
        lanes = [
            lanes[y + x] ^ (~lanes[y + (x + 1) % 5] & lanes[y + (x + 2) % 5]) for y in range(0, 25, 5) for x in range(5)
        ]
        lanes[0] ^= constant
    return lanes


def keccak256(data: bytes) -> bytes:
    """Keccak with 256 bits, as Ethereum uses it: not SHA3-256, whose padding differs."""
    size = len(data)
    padded = bytearray(data + bytes(_RATE - size % _RATE))
    padded[size] ^= 0x01
    padded[-1] ^= 0x80
    lanes = [0] * 25
    for at in range(0, len(padded), _RATE):
        for lane in range(_RATE // 8):
            lanes[lane] ^= int.from_bytes(padded[at + 8 * lane : at + 8 * lane + 8], "little")
        lanes = _permuted(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def ethereum(value: bytes) -> bool | None:
    """`0x` and forty hexadecimal digits: in letters of both cases they hold a checksum, in one case they hold none."""
    plain = value[2:]
    lower = plain.lower()
    if plain in (lower, plain.upper()):
        # Digits that hardly vary are a constant of some program: 0x000…dead.
        return False if len(set(lower)) < 6 else None
    digest = keccak256(lower).hex()
    return all(chr(c).isupper() == (digest[at] >= "8") for at, c in enumerate(plain) if chr(c).isalpha())


#: How many bytes a block of so many Base58 digits stands for.
_BLOCKS: Final = MappingProxyType({2: 1, 3: 2, 5: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8})


def monero(value: bytes) -> bool:
    """An address of Monero: Base58 in blocks of eleven digits for eight bytes, and four bytes of Keccak."""
    raw = b""
    for at in range(0, len(value), 11):
        block = value[at : at + 11]
        number = 0
        for c in block:
            digit = _VALUES.get(c)
            if digit is None:
                return False
            number = number * 58 + digit
        size = _BLOCKS.get(len(block), 0)
        if number >= 1 << 8 * size:
            return False
        raw += number.to_bytes(size, "big")
    return len(raw) >= 69 and keccak256(raw[:-4])[:4] == raw[-4:]


#: What a pack may name of these.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "coin": coin,
        "bech32": bech32,
        "cashaddr": cashaddr,
        "ethereum": ethereum,
        "monero": monero,
        "ripple": ripple,
        "solana": solana,
        "stellar": stellar,
    }
)
