"""What a run of digits is: a card, a social security number, a phone, a kind that a pack brings, or just a number.

A number that a check digit and its issuer's range, or its very shape, gives away is *strict*: it needs no context. The
others need a word before or directly after them (see `words.py`), and the nearest word decides.

Everything here depends on at most `REACH` bytes from the first digit on, and `LOOK` bytes before.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from guardai.text import validators
from guardai.text.detectors.detector import MAX_FORM, MAX_HEAD
from guardai.text.judging.forms import Kinds, fitting
from guardai.text.judging.phones import SEPARATOR, phone
from guardai.text.judging.words import PLACES, Words

__all__ = [
    "MARGIN",
    "POSSIBLE",
    "REACH",
    "contextual",
    "strict",
    "strictly",
]

#: How far a number and what directly follows it may reach.
REACH: Final = 96

assert MAX_FORM + PLACES + 2 < REACH

#: What may become a number or an IBAN, if only more text came (see `stream.py`); it may begin `MARGIN` bytes earlier.
POSSIBLE: Final = re.compile(
    rb"[0-9+(](?:(?<=[0-9])(?:"
    rb"(?:" + SEPARATOR + rb"{0,3}[0-9]){5}"
    rb"|(?:" + SEPARATOR + rb"*+[0-9])*+(?:" + SEPARATOR + rb"|\xe2\x80?)*\Z"
    rb"|(?<=[A-Za-z]{2}[0-9])[0-9](?:[ \-.\xe2A-Za-z0-9]|\Z)"
    rb")|(?<=[+(])[ (+]{0,2}\Z)"
)
MARGIN: Final = 3

assert MAX_HEAD <= MARGIN

_NOISE: Final = bytes(c for c in range(256) if c not in b"0123456789")


#: (start, end, label, score)
Span = tuple[int, int, str, float]


# ---- cards ----

_S: Final = rb"( {1,2}|[\-./]|\xe2\x80[\x8b-\x95])"
#: Four by four with a short last group, or as American Express and Diners print them; the longest first.
_GROUPED: Final = tuple(
    re.compile(rb"[0-9]{4}" + _S + rest + rb"(?![0-9])")
    for rest in (
        rb"[0-9]{4}\1[0-9]{4}\1[0-9]{4}\1[0-9]{1,3}",
        rb"[0-9]{4}\1[0-9]{4}\1[0-9]{4}",
        rb"[0-9]{4}\1[0-9]{4}\1[0-9]{1,3}",
        rb"[0-9]{4}\1[0-9]{4}",
        rb"[0-9]{6}\1[0-9]{4,5}",
    )
)
_SPREAD: Final = re.compile(rb"[0-9]{4}" + _S + rb"(?:[0-9]{4}\1[0-9]{4}|[0-9]{6}\1[0-9]{4})")


class _Ends(NamedTuple):
    """Where a number ends, and whether it needs no context."""

    end: int
    alone: bool


def _card(data: bytes, start: int, end: int, wall: int, limit: int) -> _Ends | None:
    """A card number that begins with the digits at `start:end`."""
    size = end - start
    if start - 1 > wall and data[start - 1] == 0x2E and data[start - 2] in b"0123456789":
        return None  # the fraction of a decimal
    if size < 4 or not validators.begins_card(data[start : start + 4]):
        return None
    if size >= 12:
        return _issued(data, data[start:end], end, limit, alone=False) if size <= 19 else None
    if size != 4 or _SPREAD.match(data, start, limit) is None:
        return None
    for form in _GROUPED:
        shape = form.match(data, start, min(limit, start + 40))
        if shape and (card := _issued(data, shape[0].translate(None, _NOISE), shape.end(), limit, alone=False)):
            mark, three = data[start + 4 : start + 5], card.end - start == 14
            # The last three of four groups are no number of their own.
            if (
                three
                and start - 5 >= wall
                and data[start - 1 : start] == mark
                and data[start - 5 : start - 1].isdigit()
            ):
                return None
            # Where the range says little, a further group says that it is something longer: a parcel's number.
            after = data[card.end : min(limit, card.end + 2)]
            longer = not card.alone and after[:1] == mark and after[1:].isdigit()
            return None if longer else _Ends(card.end, alone=not _in_table(data, start, card.end, wall, limit))
    return None


def _in_table(data: bytes, start: int, end: int, wall: int, limit: int) -> bool:
    """Whether `start:end` stands among fours of hexadecimal digits, two or more on either side: a dump, a character set."""
    return (
        _FOURS_BEFORE.search(data[max(wall, start - 12) : start]) is not None
        and _FOURS_AFTER.match(data, end, limit) is not None
    )


_FOURS_BEFORE: Final = re.compile(rb"(?:[0-9A-Fa-f]{4}\s{1,2}){2}\Z")
_FOURS_AFTER: Final = re.compile(rb"(?:\s{1,2}[0-9A-Fa-f]{4}){2}(?![0-9A-Za-z_])")


def _issued(data: bytes, digits: bytes, end: int, limit: int, *, alone: bool) -> _Ends | None:
    if not validators.luhn(digits):
        return None
    brand = validators.card_brand(digits)
    after = data[end : min(limit, end + 2)]
    if brand is False or after[:1].isalnum() or after[:1] == b"_" or (after[:1] == b"." and after[1:].isdigit()):
        return None
    return _Ends(end, alone or brand is True)


#: However somebody grouped it.
_LOOSE: Final = re.compile(rb"[0-9](?:[ .\-/]{0,2}[0-9]){12,18}(?![ .\-/]?[0-9A-Za-z_])")


def _named_card(data: bytes, start: int, end: int, wall: int, limit: int) -> int:
    """Where a card number ends that begins with the digits at `start:end`, if a word says that one does; otherwise 0.

    Then its check digit is enough: cards of shops and of countries have ranges that no table holds.
    """
    if card := _card(data, start, end, wall, limit):
        return card.end
    if start > wall and data[start - 1] in b".,-/" and data[max(wall, start - 2) : start - 1].isdigit():
        return 0
    shape = _LOOSE.match(data, start, limit)
    digits = shape[0].translate(None, _NOISE) if shape else b""
    return shape.end() if shape and len(set(digits)) > 1 and validators.luhn(digits) else 0


# ---- social security numbers ----

_SSN: Final = re.compile(
    rb"([0-9]{3})([ \-.]|\xe2\x80[\x90-\x95]|)([0-9]{2})\2([0-9]{4})(?![0-9A-Za-z_])(?![\-.][0-9A-Za-z])"
)


def _ssn(data: bytes, start: int, wall: int, limit: int) -> _Ends | None:
    """A social security number at `start`; its dashes give it away."""
    shape = _SSN.match(data, start, limit)
    if shape is None or not validators.ssn(shape[1] + shape[3] + shape[4]):
        return None
    if (
        start > wall
        and data[start - 1] in b"-+./"
        and (data[start - 1] == 0x2B or data[max(wall, start - 2) : start - 1].isalnum())
    ):
        return None
    return _Ends(shape.end(), shape[2] not in (b"", b" ", b"."))


def strict(data: bytes, start: int, end: int, wall: int = 0, limit: int | None = None) -> Span | None:
    """What the digits at `start:end` begin, if no context is needed to tell."""
    if start > wall and data[start - 1] in _WORD:
        return None
    size = end - start
    if size == 3:
        if (number := _ssn(data, start, wall, limit or len(data))) and number.alone:
            return (start, number.end, "pii.us_ssn", 0.9)
    elif (size == 4 or 12 <= size <= 19) and (card := _card(data, start, end, wall, limit or len(data))) and card.alone:
        return (start, card.end, "pii.card", 1.0)
    return None


#: Where something may be `strict`: nowhere in most runs of digits, which one search then says.
strictly: Final = re.compile(
    rb"[0-9]{3}(?:(-|\xe2\x80[\x90-\x95])[0-9]{2}\1[0-9]{4}"
    rb"|[0-9](?:[0-9]{8}|( {1,2}|[\-./]|\xe2\x80[\x8b-\x95])[0-9]{4}(?:[0-9]{2})?\2[0-9]{4}))"
).search


# ---- in context ----


def contextual(
    data: bytes, start: int, end: int, wall: int, limit: int, words: Words, kinds: Kinds | None = None
) -> Span | None:
    """What the digits at `start:end` begin, judged with what stands around them.

    Args:
        data: the text.
        start: where a run of digits begins.
        end: where the run ends.
        wall: where the finding before it ends; nothing before counts.
        limit: where the next finding begins; nothing from there on counts.
        words: what announces what.
        kinds: those that packs bring.
    """
    # What stands against it may belong to a neighbouring finding; then it does not count.
    if (start - wall <= 2 or limit - start <= 44) and (span := strict(data, start, end, wall, limit)):
        return span
    fit, near = None, None
    if end - start > 5 and not kinds and end < limit and data[end] in _ENDS_ALONE and _bare(data, start, wall):
        # Digits and no more, as ids are: without a word they are nothing, and most have another kind of word.
        near = words.before(data, wall, start)
        if _OURS.isdisjoint(near) and _OURS.isdisjoint(words.after(data, end, limit=limit)):
            return None
    if kinds:
        fit, near = fitting(data, start, wall, limit, words, kinds)
    if fit is not None and (fit.named or fit.firm or _OURS.isdisjoint(near or ())):
        return fit[2:]
    if start and data[start - 1] in _WORD:
        return None
    if end - start in _NUMBERED:
        if near is None:
            near = words.before(data, wall, start)
        if "card" in near and (close := _named_card(data, start, end, wall, min(limit, start + REACH - 40))):
            return (start, close, "pii.card", 0.9)
        if "ssn" in near and (number := _ssn(data, start, wall, min(limit, start + REACH - 40))):
            return (start, number.end, "pii.us_ssn", 0.85)
    return phone(data, start, end, wall, limit, words, near) or (fit[2:] if fit is not None else None)


def _bare(data: bytes, start: int, wall: int) -> bool:
    """Whether no plus and no bracket stands before the digits at `start`, nor the way to dial abroad at their beginning."""
    if data[start] == 0x30 or start - 2 < wall:
        return False
    before = data[start - 1]
    return before not in b"+(" and (before != 0x20 or data[start - 2] != 0x2B)


#: What may stand behind digits that nothing continues.
_ENDS_ALONE: Final = frozenset(b"\"'`;\n\r\t<>|]},")
#: Kinds of words that decide for what is known here.
_OURS: Final = frozenset(("call", "card", "phone", "ssn"))
#: How many digits a card or social security number may begin with.
_NUMBERED: Final = frozenset((3, 4, 6, 8, 9, *range(12, 20)))
_WORD: Final = frozenset(b"0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
