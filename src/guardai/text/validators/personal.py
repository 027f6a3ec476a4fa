"""What a context has announced as a date of birth, a place or a hardware address, and whether it can be one."""

from __future__ import annotations

import datetime as dt
import re
from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator

__all__ = ["VALIDATORS", "birthday", "geo", "mac"]

#: How months begin in English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish, Danish, Norwegian,
#: Finnish, Czech, Russian, Ukrainian, Turkish, Greek, lower-case, by month.
_MONTHS: Final = (
    "jan jän janv ene gen styc tammi led янв січ oca ιαν",
    "feb fév fev feb feb lut helmi únor unor фев лют şub φεβ",
    "mar mär maer maa mrt mars marz març brez břez мар бер μαρ",
    "apr avr abr kwi huht dub апр квіт nis απρ",
    "mai may maj mag mei maio toukok květ kvet мая май трав mayıs μαΐ μαϊ μάι",
    "jun jui juin giu cze kesä červen čer июн черв haz ιουν",
    "jul juil lug lip hein července июл лип tem ιουλ",
    "aug aoû aou ago sier elok srp авг серп ağu αυγ",
    "sep set wrz syys zář zar сен вер eyl σεπ",
    "oct okt out ott paź paz loka říj rij окт жовт eki οκτ",
    "nov lis marras лис ноя kas νοε",
    "dec dez déc dic gru joul pros дек груд ara δεκ",
)
_NAMES: Final = tuple(
    sorted(
        ((start, month) for month, starts in enumerate(_MONTHS, 1) for start in starts.split()),
        key=lambda e: -len(e[0]),
    )
)
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_FIGURES: Final = re.compile(r"[0-9]+")
_OLDEST: Final = 1900


def _month(text: str) -> int:
    """The month that a date names; 0 for none."""
    for word in _WORD.findall(text.lower()):
        for start, month in _NAMES:
            if word.startswith(start):
                return month
    return 0


def _plausible(year: int, month: int, day: int) -> bool:
    if year < 100:
        year += 1900 if year + 2000 > dt.datetime.now(dt.UTC).year else 2000
    try:
        return year >= _OLDEST and dt.date(year, month, day) <= dt.datetime.now(dt.UTC).date()
    except ValueError:
        return False


def birthday(value: bytes) -> bool | None:
    """A day on which somebody who lives can have been born, whatever the order of its parts."""
    text = value.decode("utf-8", "replace")
    figures = _FIGURES.findall(text)
    parts = [int(figure) for figure in figures]
    month = _month(text)
    if month:
        if len(parts) != 2:
            return False
        day, year = parts if parts[0] <= 31 else reversed(parts)
        return None if _plausible(year, month, day) else False
    if len(parts) == 1:
        (run,) = figures
        parts = (
            [int(run[:4]), int(run[4:6]), int(run[6:])]
            if run[:2] in ("19", "20")
            else [int(run[:2]), int(run[2:4]), int(run[4:])]
        )
    if len(parts) != 3:
        return False
    if len(figures[0]) >= 4 and parts[0] >= 100:
        orders = [(parts[0], parts[1], parts[2])]
    else:
        orders = [(parts[2], parts[1], parts[0]), (parts[2], parts[0], parts[1])]
    return None if any(_plausible(*order) for order in orders) else False


_DEGREES: Final = re.compile(r"[+\-\u2212]?([0-9]+(?:\.[0-9]+)?)")


def geo(value: bytes) -> bool | None:
    """Degrees that there are on a globe: 90 of latitude, 180 of longitude."""
    first, *rest = (float(part) for part in _DEGREES.findall(value.decode("utf-8", "replace")))
    if rest and b"\xc2" not in value:
        return None if min(first, rest[0]) <= 90 and max(first, rest[0]) <= 180 else False
    return None if first <= 180 else False


def mac(value: bytes) -> bool | None:
    """A hardware address that some card has: not all zeros, not the broadcast address, not one pair repeated."""
    plain = value.translate(None, b":-.").lower()
    return False if plain == plain[:2] * 6 else None


#: What a pack may name of these.
VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType({"birthday": birthday, "geo": geo, "mac": mac})
