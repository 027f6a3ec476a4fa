"""What the numbers of many states have in common: weighted sums, the schemes of ISO 7064, Verhoeff's, dates.

The functions read text without separators, in capitals, whose shape is known: `of` sees to both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Final

from guardai.text.validators import common
from guardai.text.validators.common import Validator

__all__ = ["LETTERS", "alternating", "born", "exists", "luhn", "mod11_2", "mod11_10", "of", "verhoeff", "weigh"]

#: Digits, then letters: what ISO 7064, ICAO 9303 and most states take a character's value from.
LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_SEPARATORS: Final = b" .-+/()"


def of(shape: str, check: Callable[[str], bool | None] | None = None) -> Validator:
    """A validator of values of one shape, in small letters or capitals, with separators or without.

    Digits that are all the same are a blank in a form, whatever their check digit says.

    Args:
        shape: expression over capitals and digits that all of the value matches.
        check: what is asked of a value of that shape; without it the answer is None, unknown.
    """
    fits = re.compile(shape).fullmatch

    def validator(value: bytes) -> bool | None:
        text = value.translate(None, _SEPARATORS).decode("utf-8", "replace").upper()
        if fits(text) is None or len(set(text)) == 1:
            return False
        return check(text) if check else None

    return validator


def weigh(digits: str, weights: Sequence[int]) -> int:
    """The sum of digits times weights, as far as the shorter of both goes."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B; the last digit is the check digit."""
    return common.luhn(digits.encode())


def mod11_10(digits: str) -> bool:
    """ISO 7064 MOD 11,10 (hybrid); the last digit is the check digit."""
    product = 10
    for digit in digits[:-1]:
        product = ((product + int(digit)) % 10 or 10) * 2 % 11
    return (product + int(digits[-1])) % 10 == 1


def mod11_2(value: str) -> bool:
    """ISO 7064 MOD 11-2; the last character is the check digit, X for ten."""
    total = 0
    for digit in value[:-1]:
        total = (total + int(digit)) * 2 % 11
    return (total + (10 if value[-1] == "X" else int(value[-1]))) % 11 == 1


def _dihedral(a: int, b: int) -> int:
    """The product in the group of a pentagon's symmetries, of which 0 to 4 are the turns."""
    if a < 5:
        return (a + b) % 5 if b < 5 else (a + b) % 5 + 5
    return (a - b) % 5 + 5 if b < 5 else (a - b) % 5


_PERMUTED: Final = [list(range(10))]
for _ in range(7):
    _PERMUTED.append([(1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[place] for place in _PERMUTED[-1]])


def verhoeff(digits: str) -> bool:
    """J. Verhoeff, Error detecting decimal codes, 1969; the last digit is the check digit."""
    state = 0
    for place, digit in enumerate(reversed(digits)):
        state = _dihedral(state, _PERMUTED[place % 8][int(digit)])
    return state == 0


def alternating(value: str, weights: Sequence[int]) -> int:
    """The sum of the characters' values (A is 10) times weights that repeat, as in ICAO 9303 (7, 3, 1)."""
    return sum(LETTERS.index(character) * weights[at % len(weights)] for at, character in enumerate(value))


def exists(year: int, month: int, day: int) -> bool:
    """Whether there is such a day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def born(year: str, month: str, day: str) -> bool:
    """Whether there is such a day in one century or another: only leap days can tell them apart."""
    return any(exists(century + int(year), int(month), int(day)) for century in (1900, 2000))
