"""What a run of digits is: a card, a social security number, a phone, or just a number.

A number that a check digit and its issuer's range, or its very shape, gives away is *strict*: it needs no context. The
others need a word before or directly after them. The nearest word decides, and none is seen beyond another finding, so
that masking a text changes nothing about what is left of it.

Everything here depends on at most `REACH` bytes from the first digit on, and `LOOK` bytes before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from guardai.text import validators

__all__ = ["LOOK", "MARGIN", "POSSIBLE", "REACH", "STARTS", "TRIGGER", "Words", "contextual", "strict"]

#: How far before a number words count.
LOOK: Final = 48
#: How far a number and what directly follows it may reach.
REACH: Final = 96

# A space, dash, dot, slash or bracket, or one of the spaces and dashes of Unicode that typesetters use.
_SEP: Final = rb"(?:[ .\-/()]|\xc2\xa0|\xe2\x80[\x80-\x95\xaf])"
#: What the engine looks for: six digits or more with at most three separators between two, to where they end.
TRIGGER: Final = (
    "[0-9](?:"
    + _SEP.decode()
    + "{0,3}[0-9]){5,}(?:"
    + _SEP.decode()
    + r"{0,3}(?:[^0-9 .\-/()]|\z)|"
    + _SEP.decode()
    + "{4})"
)
# All of a date but its first digit, which has been read.
_DATE: Final = (
    rb"(?:(?:(?<=1)9|(?<=2)0)[0-9]{2}(?:([.\-/])[0-9]{1,2}\1[0-9]{1,2}|[0-9]{4})"
    rb"|(?:(?<=[0-3])[0-9])?([.\-/])[0-3]?[0-9]\2(?:19|20)?[0-9]{2})(?![.\-/]?[0-9])"
)
#: Where a number can begin: at a digit that does not continue a word, with five more to come, and no date. The match is
#: its first run of digits, at most 24 of them: no number is as long as that. It begins with the digit, not with the
#: look behind it, because `re` then skips to digits: 1 µs a KB instead of 25.
#: Likewise its separators are a class of bytes, more than they may be.
STARTS: Final = re.compile(
    rb"[0-9](?<![0-9A-Za-z_][0-9])(?=(?:[ .\-/()\xc2\xa0\xe2\x80-\x95\xaf]{0,9}[0-9]){5})(?!" + _DATE + rb")[0-9]{0,23}"
)
#: What may become a number or an IBAN, if only more text came (see `stream.py`); it may begin `MARGIN` bytes earlier.
POSSIBLE: Final = re.compile(
    rb"[0-9+(](?:(?<=[0-9])(?:"
    rb"(?:" + _SEP + rb"{0,3}[0-9]){5}"
    rb"|(?:" + _SEP + rb"*+[0-9])*+(?:" + _SEP + rb"|\xc2|\xe2\x80?)*\Z"
    rb"|(?<=[A-Za-z]{2}[0-9])[0-9](?:[ \-\xc2A-Za-z0-9]|\Z)"
    rb")|(?<=[+(])[ (+]{0,2}\Z)"
)
MARGIN: Final = 3
_NOISE: Final = bytes(c for c in range(256) if c not in b"0123456789")


#: (start, end, label, score)
Span = tuple[int, int, str, float]


# ---- cards ----

_S: Final = rb"([ \-.]|\xc2\xa0|\xe2\x80[\x80-\x95\xaf])"
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


class Number(NamedTuple):
    """Where a number ends, and whether it needs no context."""

    end: int
    alone: bool


def _card(data: bytes, start: int, end: int, wall: int, limit: int) -> Number | None:
    """A card number that begins with the digits at `start:end`."""
    size = end - start
    if start - 1 > wall and data[start - 1] == 0x2E and data[start - 2] in b"0123456789":
        return None  # the fraction of a decimal
    if size >= 12:
        return _issued(data, data[start:end], end, limit, alone=False) if size <= 19 else None
    if size != 4 or _SPREAD.match(data, start, limit) is None:
        return None
    for form in _GROUPED:
        shape = form.match(data, start, min(limit, start + 40))
        if shape and (card := _issued(data, shape[0].translate(None, _NOISE), shape.end(), limit, alone=True)):
            return card
    return None


def _issued(data: bytes, digits: bytes, end: int, limit: int, *, alone: bool) -> Number | None:
    if not validators.luhn(digits):
        return None
    brand = validators.card_brand(digits)
    after = data[end : min(limit, end + 2)]
    if brand is False or after[:1].isalnum() or after[:1] == b"_" or (after[:1] == b"." and after[1:].isdigit()):
        return None
    return Number(end, alone or brand is True)


# ---- social security numbers ----

_SSN: Final = re.compile(rb"([0-9]{3})([ \-]?)([0-9]{2})\2([0-9]{4})(?![0-9A-Za-z_])(?!-[0-9A-Za-z])")


def _ssn(data: bytes, start: int, wall: int, limit: int) -> Number | None:
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
    return Number(shape.end(), shape[2] == b"-")


def hopeless(data: bytes, start: int, to: int) -> bool:
    """Whether a run of digits and separators from `start` on, seen before `to`, holds no number for sure.

    That is so for a date (2024-01-15 and what is neither digit nor separator), and where a letter continues its last
    group and what comes before has fewer than six digits: most parts of hexadecimal numbers. (After an x an extension
    follows.)
    """
    if to - start == 11 and data[start + 4] == 0x2D == data[start + 7] and data[start : start + 2] in _CENTURIES:
        return data[to - 1] not in _FIGURES
    if data[to - 1] not in _LETTERS:
        return False
    last = to - 1
    while last > start and data[last - 1] in _FIGURES:
        last -= 1
    return len(data[start:last].translate(None, _NOISE)) < 6


_CENTURIES: Final = (b"19", b"20")
_FIGURES: Final = frozenset(b"0123456789")
_LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWYZ_abcdefghijklmnopqrstuvwyz")


def strict(data: bytes, start: int, end: int, wall: int = 0, limit: int | None = None) -> Span | None:
    """What the digits at `start:end` begin, if no context is needed to tell."""
    size = end - start
    if size == 3:
        if (number := _ssn(data, start, wall, limit or len(data))) and number.alone:
            return (start, number.end, "pii.us_ssn", 0.9)
    elif (size == 4 or 12 <= size <= 19) and (card := _card(data, start, end, wall, limit or len(data))) and card.alone:
        return (start, card.end, "pii.card", 1.0)
    return None


# ---- words ----


class Words:
    """The words of all packs: what kind of number they announce."""

    def __init__(
        self, before: Iterable[Mapping[str, tuple[str, ...]]], after: Iterable[Mapping[str, tuple[str, ...]]]
    ) -> None:
        self._kinds: dict[bytes, str] = {}
        self._inside: list[tuple[bytes, str]] = []
        for table in before:
            for kind, words in table.items():
                for word in words:
                    raw = word.lower().encode()
                    self._kinds[raw] = kind
                    if max(word) >= "\u0e00":  # scripts that do not separate words
                        self._inside.append((raw, kind))
        self._after: dict[bytes, str] = {
            word.encode(): kind for table in after for kind, words in table.items() for word in words
        }

    def before(self, data: bytes, wall: int, start: int) -> str:
        """The kind that the nearest word between `wall` and `start` announces; "" for none."""
        text = data[max(wall, start - LOOK) : start]
        if b"\x00" in text:  # the leaf before, where several are scanned as one text
            text = text[text.rindex(b"\x00") + 1 :]
        if b"]" in text or b">" in text or b"***" in text:
            for placed in reversed(list(_PLACED.finditer(text))):
                text = text[placed.end() :]
                break
        line = text.rfind(b"\n")
        if line >= 0 and _LETTER.search(text, line):
            text = text[line:]  # a line with words of its own speaks for itself
        text = text.lower() if text.isascii() else text.decode("utf-8", "ignore").lower().encode()
        for word in reversed(_WORD.findall(text)):
            kind = self._kinds.get(word)
            if kind is None and word.endswith(_PHONE_ENDS):
                kind = "phone"
            if kind is not None:
                return kind
        if not text.isascii():
            best = max(((text.rfind(word), kind) for word, kind in self._inside), default=(-1, ""))
            if best[0] >= 0:
                return best[1]
        return ""

    def after(self, data: bytes, end: int) -> str:
        """The kind that a word directly after `end` announces; "" for none."""
        match = _FOLLOWS.match(data, end, end + 18)
        return self._after.get(match[1].lower(), "") if match else ""


#: The end of something that masking put there; no word before or inside of it counts.
_PLACED: Final = re.compile(rb"[A-Z][A-Z0-9_]*(?::[A-Za-z0-9_]+)*\]|[A-Z][A-Z0-9_]*_[0-9]+ ?>|\*{3}")
_LETTER: Final = re.compile(rb"[A-Za-z\xc3-\xf4]")
_WORD: Final = re.compile(rb"[a-z\x80-\xff]+")
_PHONE_ENDS: Final = (b"phone", b"phonenumber", b"mobile", b"phoneno", b"telefon", b"mobilenumber")
_FOLLOWS: Final = re.compile(rb"[ \-,\\/(:]{1,3}([A-Za-z\xc3\xa0-\xbf]{3,12})(?![A-Za-z0-9_@.\x80-\xff])")


# ---- phones ----

_EXT: Final = rb"(?: ?(?:x|ext\.?|extension) ?[0-9]{1,6}(?![0-9A-Za-z]))?"
_END: Final = rb"(?![0-9A-Za-z_])(?![.,:/%][0-9])"
_D: Final = rb"(?:[ .\-/]|\xc2\xa0|\xe2\x80[\x80-\x95\xaf])"
#: Shapes that are phone numbers wherever they stand: (expression, whether a word may speak against it).
_JOIN: Final = rb"(?:[ \-/()]|\.(?=[0-9])|\xc2\xa0|\xe2\x80[\x80-\x95\xaf]){0,3}"
_ABROAD: Final = re.compile(rb"[1-9][0-9]{0,3}(?:" + _JOIN + rb"[0-9]+){0,8}")
_SHAPES: Final = re.compile(
    # North America; 001 and 1 are the ways to dial into it. Area codes do not begin with 0 or 1.
    rb"(?:(?:001|1)" + _D + rb"\(?[0-9]{3}\)?" + _D + rb"?[0-9]{3}" + _D + rb"[0-9]{4}"
    rb"|[2-9][0-9]{2}\) ?[0-9]{3}[ .\-][0-9]{4}|[2-9][0-9]{2}([.\-])[0-9]{3}\1[0-9]{4}"
    # A trunk zero, then groups: 01 23 45 67 89, 020 7946 0958, (021) 0025-967, 06-65334860.
    rb"|0[1-9]" + _D + rb"(?:[0-9]{2}" + _D + rb"){3}[0-9]{2}"
    rb"|0[0-9]{1,4}\)" + _D + rb"{0,2}[0-9]{3,4}" + _D + rb"?[0-9]{3,5}"
    rb"|0[1-9][0-9]{1,3} [0-9]{2,4} [0-9]{2,4}(?: [0-9]{2,4}){0,2}"
    rb"|0[1-9][0-9]{0,3}[\-/][0-9]{6,8})" + _END
)
_LOCAL: Final = re.compile(rb"[0-9]{1,12}(?:" + _JOIN + rb"[0-9]{1,12}){0,6}\)?")
_TAIL: Final = re.compile(_EXT)
_CLOSED: Final = frozenset(b"\"'`;\n\r\t<>|]}")
_BAD_AFTER: Final = re.compile(rb"[0-9A-Za-z_]|[.,:/%][0-9]|%| ?(?:[$%]|\xe2\x82\xac|USD|EUR|kg|km|GB|MB|ms|px)")


def _phone_end(data: bytes, start: int, end: int, low: int, high: int, limit: int) -> int:
    """Where the phone number `start:end` ends with its extension, if it has `low` to `high` digits; otherwise -1."""
    count = len(data[start:end].translate(None, _NOISE))
    while count > high:  # the last group is another number's
        while end > start and data[end - 1] in b"0123456789":
            end -= 1
        while end > start and data[end - 1] not in b"0123456789":
            end -= 1
        count = len(data[start:end].translate(None, _NOISE))
    if count < low:
        return -1
    if end < limit and data[end] in _CLOSED:
        return end
    tail = _TAIL.match(data, end, limit)
    return tail.end() if tail and tail.end() > end else (-1 if _BAD_AFTER.match(data, end, limit) else end)


def contextual(data: bytes, start: int, end: int, wall: int, limit: int, words: Words) -> Span | None:
    """What the digits at `start:end` begin, judged with what stands around them.

    Args:
        data: the text.
        start: where a run of digits begins that does not continue a word.
        end: where the run ends.
        wall: where the finding before it ends; nothing before counts.
        limit: where the next finding begins; nothing from there on counts.
        words: what announces what.
    """
    # What stands against it may belong to a neighbouring finding; then it does not count.
    if (start - wall <= 2 or limit - start <= 44) and (span := strict(data, start, end, wall, limit)):
        return span
    stop = min(limit, start + REACH - 40)
    first, plus = start, False
    if start > wall:
        before = data[start - 1]
        if before == 0x2B:  # + or (+
            first = start - 2 if start - 1 > wall and data[start - 2] == 0x28 else start - 1
            plus = True
        elif before == 0x28:  # ( or +( or + (
            first = start - 1
            if first > wall and data[first - 1] == 0x2B:
                first, plus = first - 1, True
            elif first - 1 > wall and data[first - 2 : first] == b"+ ":
                first, plus = first - 2, True
        elif before == 0x20 and start - 1 > wall and data[start - 2] == 0x2B:  # and a space
            first, plus = start - 2, True
    before = data[first - 1] if first > wall else 0x20
    if before in _ALNUM:
        return None

    if plus:
        # A plus between two sums is arithmetic; +0200 is a time zone.
        shape = _ABROAD.match(data, start, stop)
        if shape and (close := _phone_end(data, start, shape.end(), 7, 15, min(limit, shape.end() + 14))) > 0:
            return (first, close, "pii.phone", 0.9)
    if before in b"$#\xa3" or (before in b".-/:,=" and data[max(wall, first - 2) : first - 1].isdigit()):
        return None

    if end - start < 6 and (shape := _SHAPES.match(data, start, stop)):
        close = shape.end()
        if words.before(data, wall, first) == "other" and words.after(data, close) != "phone":
            return None
        if tail := _TAIL.match(data, close, min(limit, close + 14)):
            close = tail.end()
        opened = first < start and data[first] == 0x28
        return (first if opened else start, close, "pii.phone", 0.8)

    shape = _LOCAL.match(data, start, stop)
    if shape is None:
        return None
    close = _phone_end(data, start, shape.end(), 6, 15, min(limit, shape.end() + 14))
    size = end - start
    if close < 0 and size not in _NUMBERED:
        return None
    kind = words.before(data, wall, first)
    if kind == "card" and (card := _card(data, start, end, wall, stop)):
        return (start, card.end, "pii.card", 0.9)
    if kind == "ssn" and (number := _ssn(data, start, wall, stop)):
        return (start, number.end, "pii.us_ssn", 0.85)
    if close < 0:
        return None
    after = words.after(data, close)
    if after == "other" or (kind != "phone" and after != "phone"):
        return None
    if before == 0x2D and close == end and data[max(wall, first - 2) : first - 1].isalpha():
        return None  # part of a name: gh-109629
    if _QUADS.match(data, start, stop) or _DECIMAL.match(data, start, close):
        return None
    if data[close - 1] == 0x29 and b"(" not in data[first:close]:
        close -= 1
    opened = first < start and data[first] == 0x28 and b")" in data[start:close]
    return (first if opened else start, close, "pii.phone", 0.75)


#: How many digits a card or social security number may begin with.
_NUMBERED: Final = frozenset((3, 4, 9, *range(12, 20)))
_ALNUM: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_QUADS: Final = re.compile(rb"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?!\.?[0-9])")
#: But +1.4155552671 is how registries of domains write a phone number.
_DECIMAL: Final = re.compile(rb"(?![0-9]{1,3}\.[0-9]{7})[0-9]+\.[0-9]+\Z")
