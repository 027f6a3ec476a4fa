"""FF1: numbers become other numbers of the same length (NIST SP 800-38G Rev. 1, algorithm 7).

Format-preserving encryption, of which only the way there is needed: nobody decrypts a mask. Never FF3, which NIST has
withdrawn. `preserved` is the mask `fpe`; `FF1` is the algorithm alone, held against NIST's own sample vectors in the tests.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

__all__ = ["FF1", "SMALLEST", "preserved"]

_NUMERALS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
#: NIST's floor for the number of texts that there are of a length: below it they can be tried one by one.
SMALLEST: Final = 1_000_000
#: Digits of a number that is masked; more is no number that anybody was given.
_FEWEST: Final = 6
_MOST: Final = 64
#: A value with more letters says something that is not in its digits: an IBAN with a bank's name, an address.
_LETTERS: Final = 3
_DIGITS: Final = re.compile(r"[0-9]+")
#: Of a payment card: the digits that name the bank, and those that its owner knows it by.
_BANK: Final = 6
_KNOWN: Final = 4


class FF1:
    """FF1 under one AES key.

    Args:
        key: 16, 24 or 32 bytes.
        radix: of the numerals, 2 to 36: `0` to `9`, then `a` to `z`.
    """

    __slots__ = ("_aes", "_radix")

    def __init__(self, key: bytes, radix: int = 10) -> None:
        self._aes = AES(key)
        self._radix = radix

    def encrypt(self, text: str, tweak: bytes = b"") -> str:
        """The other numeral string of the same length that `text` becomes.

        Args:
            text: numerals of the radix.
            tweak: what else the result depends on; need not be secret.

        Raises:
            ValueError: there are fewer than a million texts of this length, or it has other characters.
        """
        radix, size = self._radix, len(text)
        if radix**size < SMALLEST:
            raise ValueError(f"FF1 needs {SMALLEST:,} possible texts; {size} numerals of radix {radix} are too few")
        # The names below are the specification's.
        u = size // 2
        v = size - u
        a, b = int(text[:u], radix), int(text[u:], radix)
        wide = ((radix**v - 1).bit_length() + 7) // 8
        d = 4 * ((wide + 3) // 4) + 4
        # One block at a time, chained below: CBC-MAC is what the specification asks for, and its first block is constant.
        block = Cipher(self._aes, ECB()).encryptor().update  # noqa: S305
        head = block(
            bytes((1, 2, 1))
            + radix.to_bytes(3, "big")
            + bytes((10, u % 256))
            + size.to_bytes(4, "big")
            + len(tweak).to_bytes(4, "big")
        )
        q = tweak + bytes((-len(tweak) - wide - 1) % 16)
        for i in range(10):
            r = head
            data = q + bytes((i,)) + b.to_bytes(wide, "big")
            for at in range(0, len(data), 16):
                r = block(_xor(r, data[at : at + 16]))
            s = r
            for j in range(1, -(-d // 16)):
                s += block(_xor(r, j.to_bytes(16, "big")))
            m = v if i % 2 else u
            a, b = b, (a + int.from_bytes(s[:d], "big")) % radix**m
        return _written(a, radix, u) + _written(b, radix, v)


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(16, "big")


def _written(number: int, radix: int, size: int) -> str:
    if radix == 10:
        return f"{number:0{size}d}"
    made = ""
    for _ in range(size):
        number, last = divmod(number, radix)
        made = _NUMERALS[last] + made
    return made


@lru_cache(maxsize=16)
def _cipher(key: bytes) -> FF1:
    return FF1(blake2b(key=key[:64], digest_size=32, person=b"guardai-fpe").digest())


def preserved(label: str, value: str, key: bytes) -> str | None:
    """The value with its digits exchanged for others: `415-555-2671` → `937-012-8846`.

    Everything but the digits stays where it is, leading zeros too, and the first digit that is none stays none, so that a
    number keeps its length. Equal values of a label stay equal under one key. Of a payment card the first six digits and
    the last four stay, and the check digit is right where it was: of a card of 16 digits, 100,000 remain possible.

    Args:
        label: what kind of value it is; another kind gives other digits.
        value: a number as people write it.
        key: up to 64 secret bytes.

    Returns:
        None if the value has fewer than six digits to exchange (a card: between those that stay), more than three letters,
        or is a secret.
    """
    if label.startswith("secret."):
        return None
    digits = "".join(_DIGITS.findall(value))
    if len(digits) > _MOST or not _fit(value):
        return None
    if label.rpartition(".")[2] == "card":
        made = _card(label, digits, key)
    else:
        plain = digits.lstrip("0")
        made = _number(label, plain, key)
        if made is not None:
            made = digits[: len(digits) - len(plain)] + made
    if made is None:
        return None
    upcoming = iter(made)
    return _DIGITS.sub(lambda match: "".join(next(upcoming) for _ in match[0]), value)


def _fit(value: str) -> bool:
    """Whether what the value says is in its ASCII digits."""
    letters = sum(c.isalpha() for c in value)
    return letters <= _LETTERS and all(c.isascii() for c in value if c.isdecimal())


def _number(label: str, digits: str, key: bytes) -> str | None:
    if len(digits) < _FEWEST:
        return None
    encrypt, tweak = _cipher(key).encrypt, label.encode()
    made = encrypt(digits, tweak)
    # Cycle walking keeps this a permutation of the numbers that do not begin with zero.
    while made[0] == "0":
        made = encrypt(made, tweak)
    return made


def _card(label: str, digits: str, key: bytes) -> str | None:
    bank, middle, known = digits[:_BANK], digits[_BANK:-_KNOWN], digits[-_KNOWN:]
    if len(middle) < _FEWEST:
        return None
    encrypt, tweak = _cipher(key).encrypt, f"{label}|{bank}|{known}".encode()
    checked = _luhn(digits)
    made = encrypt(middle, tweak)
    # Of the numbers between bank and end every tenth has a right check digit: walking on until one is found keeps this a
    # permutation of those, at ten times the cost.
    while _luhn(bank + made + known) != checked:
        made = encrypt(made, tweak)
    return bank + made + known


def _luhn(digits: str) -> bool:
    total = 0
    for at, digit in enumerate(reversed(digits)):
        number = int(digit) << (at & 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0
