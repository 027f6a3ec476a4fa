"""Runs of digits: what an engine looks for, and where in a run a number can begin.

A run is six digits or more, with at most three separators between two. What cannot be a number is left to the engine as
far as it can tell, because each run that it reports costs more than a kilobyte in which it sees none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from guardai.text.judging.phones import SEPARATOR

__all__ = ["FOREIGN", "WIDE", "Free", "Look", "begins", "digits", "look", "starts"]

# All of a date but its first digit, which has been read.
_DATE: Final = (
    rb"(?:(?:(?<=1)9|(?<=2)0)[0-9]{2}(?:([.\-/])[0-9]{1,2}\1[0-9]{1,2}|(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?![A-SU-Za-su-z]))"
    rb"|(?:(?<=[0-3])[0-9])?([.\-/])[0-3]?[0-9]\2(?:19|20)?[0-9]{2})(?![.\-/]?[0-9])"
)
# The rest of a date that a time follows.
_TIMED: Final = rb"(?<=[0-9]{4}-[0-9])[0-9]-[0-9]{2} [0-9]{2}:"


def starts(*, headed: bool) -> re.Pattern[bytes]:
    """What finds where a number can begin: at a digit with five more to come, and no date.

    The match is its first run of digits, at most 24 of them: no number is as long as that.

    Args:
        headed: whether letters directly before may belong to it; otherwise it does not continue a word.
    """
    # It begins with the digit, not with the look behind it, because `re` then skips to digits: 1 µs a KB instead of 25.
    # Likewise its separators are a class of bytes, more than they may be.
    return re.compile(
        rb"[0-9](?<![" + (b"0-9_" if headed else b"0-9A-Za-z_") + rb"][0-9])"
        rb"(?=(?:[ .\-/()\xe2\x80\x8b-\x95]{0,9}[0-9]){5})(?!" + _DATE + rb"|" + _TIMED + rb")[0-9]{0,23}"
    )


# ---- what an engine looks for ----

_S: Final = SEPARATOR.decode()
#: One more digit.
_MORE: Final = f"(?:{_S}{{0,3}}[0-9])"
#: What is neither digit nor separator, and not the beginning of one.
_ELSE: Final = r"\xe2(?:[^\x80]|\z)|\xe2\x80(?:[^\x8b-\x95]|\z)"
_CLOSED: Final = rf"{_S}{{1,3}}(?:[^0-9 .\-/()\xe2]|{_ELSE}|\z)|\z|{_S}{{4}}|{_ELSE}"
#: A run as it comes, dates and parts of words too.
WIDE: Final = rf"[0-9]{_MORE}{{5,}}(?:{_CLOSED}|[^0-9 .\-/()\xe2])"


class Free(NamedTuple):
    """What may be a number without a word near it, of runs that are digits alone, or have one full stop between them.

    Attributes:
        lengths: digits alone: how many → with which they begin, as the inside of a character class.
        decimals: with a full stop: how many stand behind it at least, and by what they must be followed, as the inside of
            a character class; "" for anything. None: nothing is.
    """

    lengths: Mapping[int, str]
    decimals: tuple[int, str] | None = None
    bare: bool = False


class Look(NamedTuple):
    """What an engine looks for, to find every run that may hold a number.

    Attributes:
        run: an expression for runs that may be a number as they are, up to what ends them.
        named: for runs of digits alone, or with one full stop, that only a word makes a number: such a word, and six
            digits behind it. Small letters stand for capitals, too, but in classes. It is for text in ASCII.
        followed: the same with the word behind them.
    """

    run: str
    named: tuple[str, ...] = ()
    followed: tuple[str, ...] = ()


def look(before: Iterable[bytes], after: Iterable[bytes], *, lettered: bool, free: Free) -> Look:
    """What to look for.

    A run that reaches Python costs more than a kilobyte in which there is none, and most runs are dates, ids, amounts and
    parts of hexadecimal numbers. So what `starts`, and what judges what it found, would not take for a number is left out
    here as far as an expression can say it.

    Args:
        before: words that may stand before a number and make it one; phrases by one of their words.
        after: the same for what directly follows.
        lettered: whether letters may belong to a number. Then all runs are looked for.
        free: what may be a number without a word.
    """
    if lettered:
        return Look(WIDE)
    words = {word.decode() for word in before if word.isascii()}
    long = {word for word in words if len(word) > _SHORT}
    words -= {word for word in long if any(other in word for other in long if other != word)}
    return Look(
        _narrow(free),
        tuple(map(_named, sorted(words))),
        tuple(rf"[0-9]{{6}}[ \-,\\/(:]{{1,3}}{_escaped(word)}" for word in sorted(after)),
    )


#: How far before a number a word may begin: words count within 48 bytes, from a plus and brackets on.
_REACH: Final = 53


#: Six digits behind a letter that is not ASCII, and belongs to a word of which an expression over bytes knows nothing.
FOREIGN: Final = rf"[\x80-\xff](?:.{{0,{_REACH}}}[^0-9A-Za-z_])?[0-9]{{6}}"


def _named(word: str) -> str:
    """A word, and six digits behind it.

    Short ones are part of many others, and are looked for as words of their own; in a name those begin with a capital:
    `homeTel`.
    """
    if len(word) > _SHORT:
        return f"(?i:{word}).{{0,{_REACH}}}[^0-9A-Za-z_][0-9]{{6}}"
    alone = f"(?:(?:^|[^A-Za-z])(?i:{word})|{word.capitalize()}|{word.upper()})"
    return rf"{alone}(?:[^0-9A-Za-z_]|[^a-z].{{0,{_REACH}}}[^0-9A-Za-z_])[0-9]{{6}}"


_SHORT: Final = 4


def _escaped(word: bytes) -> str:
    """A word as an expression over bytes, without regard to capitals."""
    return "(?i:" + "".join(chr(c) if chr(c).isalnum() and c < 0x80 else f"\\x{c:02x}" for c in word) + ")"


def _narrow(free: Free) -> str:
    """Runs without dates, parts of words, digits alone and amounts.

    Expressions of engines cannot say what must not be. So the run is followed group by group, and whatever leaves the
    path of a date, `2024-01-15` and then neither digit nor separator, or `2024-01-15 10:`, is a run.
    """
    s, more = _S, _MORE
    gap = f"{s}{{1,3}}"
    not_dash = rf"(?:[ ./()]|\xe2\x80[\x8b-\x95]|{s}{{2,3}})"
    not_dot = rf"(?:[ \-/()]|\xe2\x80[\x8b-\x95]|{s}{{2,3}})"
    neither = rf"(?:[ /()]|\xe2\x80[\x8b-\x95]|{s}{{2,3}})"
    not_space = rf"(?:[.\-/()]|\xe2\x80[\x8b-\x95]|{s}{{2,3}})"
    letters = "A-Za-z_"
    # The words for an extension; some begin as hexadecimal digits do.
    extension = "(?i:x|ext|poste|durchwahl|dw|ramal|anexo|int)"
    end = rf"(?:{_CLOSED}|{extension}|[^0-9 .\-/()\xe2{letters}])"
    end_but_colon = rf"(?:{_CLOSED}|{extension}|[^0-9 .\-/():\xe2{letters}])"
    extended = rf"(?:,? ?)(?:{extension}|#|\xd0)"

    # By how many digits there are before the first separator; each with as many more as make six.
    groups = [
        f"[0-9]{not_dot}[0-9]{more}{{4,}}",
        f"[0-9]{{2}}{not_dot}[0-9]{more}{{3,}}",
        f"[0-9]{{3}}{not_dot}[0-9]{more}{{2,}}",
        f"[0-9]{{4}}{neither}[0-9]{more}+",
        f"(?:[03-9][0-9]|1[0-8]|2[1-9])[0-9]{{2}}-[0-9]{more}+",
        f"[0-9]{{5,}}{not_dot}[0-9]{more}*",
        "[0-9]{6,}" if free.bare else "|".join(f"[{first}][0-9]{{{size - 1}}}" for size, first in free.lengths.items()),
    ]
    # With a full stop and then another separator, or an extension.
    stopped = []
    for first in range(1, 6):
        size = f"{{{first}}}" if first < 5 else "{5,}"
        missing = max(1, 6 - first)
        groups += [
            rf"[0-9]{size}\.[0-9]{{{second}{',' if second == missing else ''}}}{gap}[0-9]{more}{{{max(0, missing - second - 1)},}}"
            for second in range(1, missing + 1)
        ]
        stopped.append(rf"[0-9]{size}\.[0-9]{{{missing},}}")
    whole = "|".join(groups)
    if free.decimals is not None:
        least, following = free.decimals
        behind = f"[{following}]" if following else end
        decimals = "|".join(
            rf"[0-9]{{{first}{',' if first == 5 else ''}}}\.[0-9]{{{max(least, 6 - first)},}}" for first in range(1, 6)
        )
        decimals = f"|(?:{decimals}){behind}"
    else:
        decimals = ""
    worded = f"(?:[0-9]{{6,}}|{'|'.join(stopped)}){extended}"
    month = f"[0-9]{gap}[0-9]{more}*|[0-9]{{3}}{more}*|[0-9]{{2}}{not_dash}[0-9]{more}*"
    day = f"[0-9]{gap}[0-9]{more}*|[0-9]{{3}}{more}*|[0-9]"
    hour = f"[0-9](?:{gap}[0-9]{more}*)?|[0-9]{{3}}{more}*|[0-9]{{2}}{gap}[0-9]{more}*"
    beyond = f"{day}|[0-9]{{2}}(?:{not_space}[0-9]{more}*| (?:{hour}))"
    dated = f"[0-9]{{4}}-(?:{month}|[0-9]{{2}}(?:-(?:{beyond}))?)"
    timed = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} [0-9]{{2}}{end_but_colon}"
    # What a letter continues counts up to its last separator.
    continued = (
        f"(?:{whole}|[0-9]{{6,}}|{'|'.join(stopped)}|[0-9]{{4}}-(?:{month}|[0-9]{{2}}-(?:{day}|[0-9]{{2}}{gap}[0-9]{more}*))){gap}[0-9]+[{letters}]"
        f"|[0-9]{{4}}-[0-9]{{2}}(?:{not_dash}[0-9]+|-(?:[0-9]|[0-9]{{3,}}))[{letters}]"
    )
    # A run begins behind what is no part of one, or behind digits that continue a word; what begins within a run ends
    # where that ends.
    begin = r"(?:(?:^|[^0-9A-Za-z_ .\-/()])[ .\-/()]*|[A-Za-z_][0-9]*[ .\-/()]+|[ .\-/()]{4})"
    plus = rf"\+[ (]{{0,2}}[0-9]{more}{{5,}}{end}"
    return f"{begin}(?:(?:{whole}|{dated}){end}|{timed}|{continued}{decimals}|{worded})|{plus}"


# ---- where a run begins ----

#: All bytes of a run, and all that are no digits.
_BYTES: Final = b"0123456789 .-/()\xe2\x80" + bytes(range(0x8B, 0x96))
_OTHERS: Final = bytes(c for c in range(256) if c not in b"0123456789")
#: How far back the beginning of a run is looked for.
_BACK: Final = 96


def begins(data: bytes, low: int, to: int) -> int:
    """Where the run begins whose end was seen before `to`; `low` if it began before that, or is very long."""
    near = data[max(low, to - _BACK) : to].rstrip(_OTHERS)
    rest = len(near.rstrip(_BYTES))
    return max(low, to - _BACK) + rest if rest else low


def digits(data: bytes, low: int, to: int) -> tuple[int, int]:
    """Where the last digits before `to` begin, with full stops between them, and where they end at the latest."""
    base = max(low, to - _BACK)
    near = data[base:to].rstrip(_OTHERS)
    end = base + len(near) + _LONGEST
    # Not within digits: what is cut there would be another number than it is.
    if data[end - 1 : end].isdigit():
        end += len(data[end : end + _LONGEST]) - len(data[end : end + _LONGEST].lstrip(b"0123456789"))
    return base + len(near.rstrip(b"0123456789.")), end


#: Digits that `starts` reads at once, and what it looks at behind them.
_LONGEST: Final = 26
