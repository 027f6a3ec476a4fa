"""Telephone numbers: international, in the local forms of many countries, with an extension.

An international number, and a local one of a form that nothing else has, need no word near them; other digits do.
Digits are those of ASCII: full-width, Arabic-Indic and Devanagari digits are letters here, as they are in the check of a
card or an account number.
"""

from __future__ import annotations

import re
from typing import Final

from guardai.text.judging.words import Words

__all__ = ["SEPARATOR", "phone", "plain"]

#: A space, dash, dot, slash or bracket, or one of the dashes of Unicode that typesetters use, or what has no width. Any other space
#: is seen as ASCII's (`spaces.py`).
SEPARATOR: Final = rb"(?:[ .\-/()]|\xe2\x80[\x8b-\x95])"

Span = tuple[int, int, str, float]

#: How far a number may reach with its groups, and an extension behind it.
_GROUPS: Final = 56
_TAIL_REACH: Final = 20

_D: Final = rb"(?:[ .\-/]|\xe2\x80[\x8b-\x95])"
_JOIN: Final = rb"(?:[ \-/()]|\.(?=[0-9])|\xe2\x80[\x8b-\x95]){0,3}"
_END: Final = rb"(?![0-9A-Za-z_])(?![.,:/%][0-9])"
#: Behind a plus: a country's code, then groups.
_ABROAD: Final = re.compile(rb"[1-9][0-9]{0,3}(?:" + _JOIN + rb"[0-9]+){0,8}")
#: Behind 00 the country's code must be one, and stand apart: 0049 30 12345678. By fours that all begin with 0 they are
#: characters of Unicode.
_LONG: Final = re.compile(
    rb"00(?![0-9]{2}(?: 0[0-9]{3})+(?![0-9]))(?:2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|7|8[1246]|9[0-58]|(?:2[1-689]|3[578]|42|5[09]|6[789]|8[58]|9[679])[0-9])"
    rb"(?:" + _D + rb"(?:\(0\)" + _D + rb"?)?[0-9]{1,8}){2,7}"
)
#: Countries' codes, and how many digits a number has behind each; what is not listed has a code of three digits and 5 to 10.
_LENGTHS: Final = (
    "1:10 7:10 20:8-10 27:9 30:10 31:8-11 32:8-9 33:9 34:9 36:8-9 39:6-12 40:9 41:9-12 43:4-13 44:7-10 45:8 46:7-10 47:5-8 48:9 49:5-13 "
    "51:8-9 52:10-11 53:6-8 54:10-11 55:8-11 56:8-9 57:8-10 58:10 60:8-10 61:9 62:7-12 63:8-10 64:8-10 65:8-11 66:8-9 81:9-11 82:8-11 "
    "84:7-10 86:9-11 90:10 91:10 92:8-11 93:9 94:9 95:7-10 98:10"
)
_THREE: Final = rb"2[1-689][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|6[789][0-9]|8[058][0-9]|87[08]|9[679][0-9]"
#: There are numbers that begin with a zero: in Italy, and in some countries of Africa.
_ZERO: Final = frozenset(("39",))
_ISSUED: Final = "|".join(
    f"({code})"
    + (f"[0-9]{{{low},{high or low}}}" if code in _ZERO else f"0?[1-9][0-9]{{{int(low) - 1},{int(high or low) - 1}}}")
    for code, low, high in re.findall(r"([0-9]+):([0-9]+)(?:-([0-9]+))?", _LENGTHS)
).encode()
#: The same by a code's first byte, or its first two: how many digits with it, the fewest and the most, and its own.
_BY_CODES: Final = {
    code.encode(): (len(code) + int(low), len(code) + int(high or low), len(code))
    for code, low, high in re.findall(r"([0-9]+):([0-9]+)(?:-([0-9]+))?", _LENGTHS)
}
_BY_CODE: Final = tuple(_BY_CODES.get(bytes((byte,))) for byte in range(256))
_OTHERS: Final = (8, 13, 3)
#: A number that somebody can have, from its country's code on; as digits alone only as North America issues them.
_WRITTEN: Final = re.compile(rb"(?:" + _ISSUED + rb"|(" + _THREE + rb")[0-9]{5,10})\Z").match
_NORTH: Final = re.compile(rb"(?!1)|1[2-9][0-9]{2}[2-9]").match
#: A sum of money, or of anything else, by its thousands.
_THOUSANDS: Final = re.compile(rb"[0-9]{1,3}(?:[ .,'][0-9]{3})+(?:[.,][0-9]{1,2})?\Z").match


def _issued(value: bytes) -> bool:
    """Whether a number behind a plus is one that some country has issued, as far as its length and code tell."""
    digits = value.translate(None, _NOISE)
    shape = _WRITTEN(digits)
    if shape is None or not digits[3:].strip(b"0"):
        return False
    code = shape[shape.lastindex or 0]
    return _NORTH(digits) is not None if len(value) == len(digits) else value[: len(code)] == code


#: Forms that are phone numbers wherever they stand.
_SHAPES: Final = re.compile(
    # North America; 001 and 1 are the ways to dial into it. Area codes do not begin with 0 or 1.
    rb"(?:(?:001|1)" + _D + rb"\(?[0-9]{3}\)?" + _D + rb"?[0-9]{3}" + _D + rb"[0-9]{4}"
    rb"|[2-9][0-9]{2}\) ?[0-9]{3}[ .\-][0-9]{4}|[2-9][0-9]{2}([.\-])[0-9]{3}\1[0-9]{4}"
    # A trunk zero, then groups: 01 23 45 67 89, 020 7946 0958, (021) 0025-967, 06-65334860, 07700 900123, 090-1234-5678.
    # More pairs behind five are a row of a table, or of a lottery, unless they are the next such number.
    rb"|0[1-9]" + _D + rb"(?:[0-9]{2}" + _D + rb"){3}[0-9]{2}"
    rb"(?:(?=" + _D + rb"0[1-9](?:" + _D + rb"[0-9]{2}){4}(?![0-9]))|(?!" + _D + rb"[0-9]{2}(?![0-9])))"
    rb"|0[0-9]{1,4}\)" + _D + rb"{0,2}[0-9]{3,4}" + _D + rb"?[0-9]{3,5}"
    rb"|0[1-9][0-9]{1,3} [0-9]{2,4} [0-9]{2,4}(?: [0-9]{2,4}){0,2}"
    rb"|0[0-9]{1,4}\) ?[0-9]{3} [0-9]{2} [0-9]{2}"
    rb"|0[17][0-9]{3} [0-9]{6}|01[567][0-9] [0-9]{7,8}|06 (?!19|20)[1-9][0-9]{7}"
    rb"|0[1-9][0-9]{0,2}-[0-9]{3,4}-[0-9]{4}"
    rb"|0[1-9][0-9]{0,3}[\-/][0-9]{6,8}"
    # Brazil, (11) 91234-5678; Russia and its neighbours, 8 (495) 123-45-67.
    rb"|[1-9][1-9]\) ?9?[0-9]{4}[ \-][0-9]{4}"
    rb"|(?:8[ \-]?\(?)?[3-9][0-9]{2}\)?[ \-]?[0-9]{3}-[0-9]{2}-[0-9]{2})" + _END
)
#: Pairs go on: a dump, a row of a table.
_PAIRS_BEFORE: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}\s{1,2}){2}\Z")
_LOCAL: Final = re.compile(rb"[0-9]{1,12}(?:" + _JOIN + rb"[0-9]{1,12}){0,6}\)?")
_TAIL: Final = re.compile(
    rb"(?:,? ?(?:(?i:x|extn?\.?|extension|poste|durchwahl|dw|ramal|anexo|int\.)|\xd0\xb4\xd0\xbe\xd0\xb1\.?|#) ?[0-9]{1,6}(?![0-9A-Za-z]))?"
)
_CLOSED: Final = frozenset(b"\"'`;\n\r\t<>|]}")
_BAD_AFTER: Final = re.compile(rb"[0-9A-Za-z_]|[.,:/%][0-9]|%| ?(?:[$%]|\xe2\x82\xac|USD|EUR|kg|km|GB|MB|ms|px)")
_DAY: Final = re.compile(rb"(?<![0-9])(?:19|20)[0-9]{2}([\-./])[0-9]{1,2}\1[0-9]{1,2}(?![0-9])")
_QUADS: Final = re.compile(rb"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?!\.?[0-9])")
#: But +1.4155552671 is how registries of domains write a phone number.
_DECIMAL: Final = re.compile(rb"(?!(?:[17]\.[2-9][0-9]{9}|[2-9][0-9]{1,2}\.[0-9]{8,12})\Z)[0-9]+\.[0-9]+\Z")
_ALNUM: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_NOISE: Final = bytes(c for c in range(256) if c not in b"0123456789")
#: `call` is a word about programs too: from so many digits on, in groups or not, it announces a number to be dialled.
_GROUPED: Final = 7
_DIALLED: Final = 9
#: From so many digits on a word that is one about devices, too, `mobile`, announces a number of one, not how many there are.
_OWNED: Final = 8
_DIALS: Final = frozenset(("call", "phone"))
#: A name before a slash, and how far before a number it may begin.
_NAME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_\-]*/\Z")
_NAMES: Final = 32
#: Years in a row, or a season: `2023-2024`, `2023/24`.
_YEARS: Final = re.compile(
    rb"(?:19|20)[0-9]{2}(?:(?:" + SEPARATOR + rb"{1,3}(?:19|20)[0-9]{2})+|" + SEPARATOR + rb"[0-9]{2})\)?\Z"
)
_YEAR: Final = re.compile(rb"(?:19|20)[0-9]{2}")


#: What separates two numbers, if there are enough digits on either side; and a bracket, which only begins one.
_ROW: Final = re.compile(rb" [/\-] | \xe2\x80[\x90-\x95] |/| ?\(| {2}")
#: A number, and another that is written like it; digits are written 0.
_TWICE: Final = re.compile(rb"(0[0 .\-()/]{7,22}0)[ \-/]{1,3}\1(?![0])")
_FEWEST: Final = 7
_DIGIT_AS_ZERO: Final = bytes(0x30 if c in b"0123456789" else c for c in range(256))


def _first(data: bytes, start: int, end: int, high: int) -> int:
    """Where the first of several numbers ends, if `start:end` holds more than one; otherwise 0."""
    if end - start <= 2 * _FEWEST:
        return 0
    for join in _ROW.finditer(data, start, end):
        count = len(data[start : join.start()].translate(None, _NOISE))
        if count > high:
            break
        if count >= _FEWEST and (
            data[join.end() - 1] == 0x28 or len(data[join.end() : end].translate(None, _NOISE)) >= _FEWEST
        ):
            return start + len(data[start : join.start()].rstrip(b" "))
    if len(data[start:end].translate(None, _NOISE)) > high:
        twice = _TWICE.match(data[start : end + 1].translate(_DIGIT_AS_ZERO))
        if twice:
            return start + twice.end(1)
        alone = end - start - len(data[start:end].lstrip(b"0123456789"))
        return start + alone if _DIALLED <= alone <= high else 0
    return 0


def _phone_end(data: bytes, start: int, end: int, low: int, high: int, limit: int) -> int:
    """Where the phone number `start:end` ends with its extension, if it has `low` to `high` digits; otherwise -1."""
    if (first := _first(data, start, end, high)) > 0:
        return first
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


def _issued_first(data: bytes, start: int, end: int, limit: int) -> int:
    """Where a number ends that some country issues, and behind a space begins another one; 0 if there is none."""
    found = 0
    for cut in _ANOTHER.finditer(data, start, min(limit, end + _TAIL_REACH)):
        if cut.start() >= end:
            break
        value = data[start : cut.start()]
        if _issued(value) and _THOUSANDS(value) is None:
            found = cut.start()
    return found


#: A space before a number of its own.
_ANOTHER: Final = re.compile(rb"\)? (?=\(?[0-9](?:" + SEPARATOR + rb"{0,2}[0-9]){6})")


def _opening(data: bytes, start: int, wall: int) -> tuple[int, bool]:
    """Where a number begins whose first digit is at `start`, and whether a plus stands there: `+44`, `(+44`, `+ 44`, `(0`."""
    if start <= wall:
        return start, False
    before = data[start - 1]
    if before == 0x2B:
        return (start - 2 if start - 1 > wall and data[start - 2] == 0x28 else start - 1), True
    if before == 0x28:
        if start - 1 > wall and data[start - 2] == 0x2B:
            return start - 2, True
        if start - 2 > wall and data[start - 3 : start - 1] == b"+ ":
            return start - 3, True
        return start - 1, False
    if before == 0x20 and start - 1 > wall and data[start - 2] == 0x2B:
        # Between two sums it is arithmetic.
        return (start, False) if _SUM.search(data, max(wall, start - 4), start - 2) else (start - 2, True)
    return start, False


def _announced(near: tuple[str, ...], after: tuple[str, ...], count: int, *, grouped: bool, quoted: bool) -> bool:
    """Whether the words before and behind `count` digits, in groups or in quotes, make a number to be dialled of them."""
    if "other" in after:
        return False
    enough = count >= (_GROUPED if grouped else _DIALLED)
    if "phone" in after or ("call" in after and (enough or grouped)) or ("call" in near and enough):
        return True
    # The words for a device count what there is of them as well: `{"mobile": 482913}`, but `{"mobile": "5551234"}`.
    return "phone" in near and ("call" not in near or grouped or quoted or count >= _OWNED)


def _seasons(value: bytes) -> bool:
    """Whether digits are years in their order."""
    return _YEARS.match(value) is not None and (years := _YEAR.findall(value)) == sorted(years)


_SUM: Final = re.compile(rb"[0-9A-Za-z_)\]] ?\Z")


def phone(
    data: bytes, start: int, end: int, wall: int, limit: int, words: Words, near: tuple[str, ...] | None
) -> Span | None:
    """The phone number that begins with the digits at `start:end`.

    Args:
        data: the text.
        start: where a run of digits begins.
        end: where the run ends.
        wall: where the finding before ends; nothing before counts.
        limit: where the next finding begins; nothing from there on counts.
        words: what announces what.
        near: what the words before announce, if that is known already.
    """
    first, plus = _opening(data, start, wall)
    before = data[first - 1] if first > wall else 0x20
    if before in _ALNUM:
        return None
    stop = min(limit, start + _GROUPS)
    abroad = _ABROAD if plus else _LONG if data[start : start + 2] == b"00" else None
    if abroad is not None and (shape := abroad.match(data, start, stop)):
        # +0200 is a time zone.
        close = _phone_end(
            data, start, shape.end(), 7 if plus else 11, 15 if plus else 17, min(limit, shape.end() + _TAIL_REACH)
        )
        if close > 0 and not _DECIMAL.match(data, start, close):
            value = data[start : min(close, shape.end())]
            if not plus or (_issued(value) and _THOUSANDS(value) is None):
                return (first if plus else start, close, "pii.phone", 0.9)
            if shorter := _issued_first(data, start, shape.end(), limit):
                return (first, shorter, "pii.phone", 0.9)
            # `+1716200000` at the beginning of a line, `+1 234 567.89`: it needs a word, as other digits do.
            if near is None:
                near = words.before(data, wall, first)
            after = words.after(data, close, limit=limit)
            alone = len(value) == len(value.translate(None, _NOISE))
            enough = len(value.translate(None, _NOISE)) >= (_DIALLED if alone else _GROUPED)
            called = enough and ("call" in near or "call" in after)
            if "other" not in after and ("phone" in near or "phone" in after or called):
                return (first, close, "pii.phone", 0.75)
            if not _issued(value) or "other" in after or "amount" in near:
                return None
            return (first, close, "pii.phone", 0.8)
    if before in b"$\xa3" or (before in b".-/:,=" and data[max(wall, first - 2) : first - 1].isdigit()):
        return None

    if (
        end - start < 6
        and before != 0x23
        and (shape := _SHAPES.match(data, start, stop))
        and not _PAIRS_BEFORE.search(data[max(wall, start - 8) : start])
    ):
        close = shape.end()
        if near is None:
            near = words.before(data, wall, first)
        after = words.after(data, close, limit=limit)
        if ("other" in near and _DIALS.isdisjoint(after)) or "other" in after:
            return None
        if tail := _TAIL.match(data, close, min(limit, close + _TAIL_REACH)):
            close = tail.end()
        opened = first < start and data[first] == 0x28
        return (first if opened else start, close, "pii.phone", 0.8)

    shape = _LOCAL.match(data, start, stop)
    if shape is None:
        return None
    close = _phone_end(data, start, shape.end(), 6, 15, min(limit, shape.end() + _TAIL_REACH))
    if close < 0:
        return None
    value = data[start:close]
    if before == 0x2F and b"." in value and (name := _NAME.search(data, max(wall, first - _NAMES), first)):
        # `Chrome/116.0.5845.163` is a version, whatever stands around it: the name says so, or says otherwise.
        near, after = words.before(data, name.start(), first), ()
    else:
        near = words.before(data, wall, first) if near is None else near
        after = words.after(data, close, limit=limit)
    grouped = close - (data[close - 1] == 0x29) > end
    count = len(value.translate(None, _NOISE))
    if not _announced(near, after, count, grouped=grouped, quoted=before in b"\"'") or _seasons(value):
        return None
    if before == 0x2D and close == end and data[max(wall, first - 2) : first - 1].isalpha():
        return None  # part of a name: gh-109629
    if _QUADS.match(data, start, stop) or _DECIMAL.match(data, start, close) or _DAY.search(data, start, close):
        return None
    if data[close - 1] == 0x29 and b"(" not in data[first:close]:
        close -= 1
    opened = first < start and data[first] == 0x28 and b")" in data[start:close]
    return (first if opened else start, close, "pii.phone", 0.75)


#: As nearly all numbers behind a plus are written: three digits at most, of North America none that it has not, then groups, none of which are a date, a social
#: security number or a card; closed by a quote, the end of a line or of a sentence, or a word that is neither an extension
#: nor a unit.
_PLAIN: Final = re.compile(
    rb"(?!1[ \-]?[01])[1-9](?![0-9]?-[0-3]?[0-9]-(?:19|20)?[0-9]{2}(?![.\-/]?[0-9]))[0-9]{0,2}(?![ \-][0-9]{4}[ \-][0-9]{4}[ \-])"
    rb"(?:[ \-](?![0-9]{2}-[0-9]{4}(?![0-9]))[0-9]{2,9}){1,5}+"
    rb"(?=[\"'`;\n\r\t<>|\]}]|[.:!?](?:[ \n\r\t]|\Z)|(?:, ?| )(?!(?i:x|ane|d[uw]|e[xu]|int|p[ox]|ram|k[gm]|gb|m[bs]|us))[A-Za-z]|,[\"'\n]|\Z)"
)
_NOT_BEFORE_PLUS: Final = _ALNUM | frozenset(b"(")


def plain(data: bytes, start: int) -> int:
    """Where a phone number ends whose first digit behind a plus is at `start`, in a quarter of the time that `phone` takes.

    It is the answer of `phone` where no finding touches it; -1 where that has to be asked.
    """
    if start > 1 and data[start - 2] in _NOT_BEFORE_PLUS:
        return -1
    shape = _PLAIN.match(data, start, start + 20)
    if shape is None:
        return -1
    end = shape.end()
    # With five separators at most, so many bytes hold seven digits at least, and no more than fifteen.
    if not 12 <= end - start <= 16:
        return -1
    value = data[start:end]
    known = _BY_CODE[value[0]] or _BY_CODES.get(value[:2])
    if known is None and not _issued(value):
        return -1  # of codes with three digits not all are given to anybody
    low, high, code = known or _OTHERS
    count = len(value) - value.count(b" ") - value.count(b"-")
    if not low <= count <= high or not value[:code].isdigit() or (data[end - 4] == 0x20 and _THOUSANDS(value)):
        return -1
    if value[code : code + 2].lstrip(b" -")[:1] == b"0":
        return -1  # few have such a number behind their code
    return end
