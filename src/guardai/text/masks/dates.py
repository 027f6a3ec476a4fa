"""Dates that move: the mask `shift` adds the same number of days to every date of a session.

So ages and intervals stay right and the days themselves are others. How many days is derived from a key and the session:
1 to 365 of them, forward or back. It is a mild mask, and `docs/masking.md` says so: whoever knows one real date of the
session knows them all.
"""

from __future__ import annotations

import datetime as dt
import re
from hashlib import blake2b
from typing import Final

__all__ = ["days", "moved", "rewritten"]

#: A time of day behind a date, which stays as it is.
_TIME: Final = (
    r"(?P<rest>(?:[T ]|,? )[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?: ?[AaPp][Mm])?"
    r"(?: ?(?:Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}))?)?"
)
_YEAR: Final = r"(?P<y>[0-9]{4}|[0-9]{2})"
_DAY: Final = r"(?P<d>[0-9]{1,2})"
_ORDINAL: Final = r"(?P<o>st|nd|rd|th|ST|ND|RD|TH|er|º|°)?"
_NAME: Final = r"(?P<name>[^\W\d_]{3,12})"
_OF: Final = r"(?:(?:of|de|del|di) )?"

#: Each with the groups y, m or name, and d; what stands between them is kept.
_FORMS: Final = tuple(
    re.compile(form + _TIME)
    for form in (
        r"(?P<y>[0-9]{4})(?P<s>[-/.])(?P<m>[0-9]{1,2})(?P=s)(?P<d>[0-9]{1,2})",
        r"(?P<y>(?:19|20)[0-9]{2})(?P<m>[0-9]{2})(?P<d>[0-9]{2})",
        r"(?P<y>[0-9]{4})[年년] ?(?P<m>[0-9]{1,2})[月월] ?(?P<d>[0-9]{1,2})[日일]?",
        rf"{_DAY}(?P<s>\. ?)(?P<m>[0-9]{{1,2}})(?P=s){_YEAR}",
        rf"{_DAY}(?P<s>-)(?P<m>[0-9]{{1,2}})(?P=s){_YEAR}",
        rf"(?P<m>[0-9]{{1,2}})(?P<s>/)(?P<d>[0-9]{{1,2}})(?P=s){_YEAR}",
        rf"{_DAY}{_ORDINAL}[ .\-/]{{1,2}}{_OF}{_NAME}[ .,\-/]{{1,2}}{_OF}{_YEAR}",
        rf"{_NAME}\.? {_DAY}{_ORDINAL},? {_YEAR}",
    )
)
#: By language. Where a name is a month in several, the first that knows it writes the other month.
_SHORT: Final = tuple(
    tuple(names.split())
    for names in (
        "jan feb mar apr may jun jul aug sep oct nov dec",
        "jan feb mar apr may june july aug sept oct nov dec",
        "jan feb mrz apr mai jun jul aug sep okt nov dez",
        "ene feb mar abr may jun jul ago sep oct nov dic",
    )
)
_WHOLE: Final = tuple(
    tuple(names.split())
    for names in (
        "january february march april may june july august september october november december",
        "januar februar märz april mai juni juli august september oktober november dezember",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "januari februari maart april mei juni juli augustus september oktober november december",
        "januari februari mars april maj juni juli augusti september oktober november december",
        "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
        "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    )
)
_SUFFIXES: Final = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
#: Years of two digits from here on are of the last century, as POSIX reads them.
_PIVOT: Final = 69


def days(key: bytes, scope: str) -> int:
    """By how many days the dates of a session move: -365 to 365, never 0.

    Args:
        key: up to 64 secret bytes.
        scope: the session's id.
    """
    drawn = blake2b(scope.encode("utf-8", "surrogatepass"), key=key[:64], digest_size=8, person=b"guardai-shift")
    number = int.from_bytes(drawn.digest(), "big") % 730
    return number - 365 if number < 365 else number - 364


def moved(date: dt.date, by: int) -> dt.date | None:
    """A date, or a date and time, that many days later; None beyond the calendar."""
    try:
        return date + dt.timedelta(days=by)
    except OverflowError:
        return None


def rewritten(text: str, by: int) -> str | None:
    """The date in `text` moved and written as it was: `4. Juli 1976` → `13. Juli 1976`.

    Known are ISO 8601 (`1976-07-04`, `19760704`, with a time), `1976/7/4`, `4.7.1976`, `04-07-76`, `7/4/1976`, `4 July
    1976`, `July 4th, 1976`, `4-Jul-76`, `4 de julio de 1976`, `1976年7月4日`; months in English, German, French, Spanish,
    Italian, Portuguese, Dutch, Swedish, Polish and Russian. With slashes the month comes first, with dashes or points the
    day does, unless only the other order is a date. Years of two digits are 1969 to 2068.

    Returns:
        None if it is no date, has no day, or leaves the calendar.
    """
    for form in _FORMS:
        match = form.fullmatch(text)
        if match is not None:
            made = _moved(match, by)
            if made is not None:
                return made
    return None


def _moved(match: re.Match[str], by: int) -> str | None:
    given = match.groupdict()
    name = given.get("name")
    names: tuple[str, ...] = ()
    day, month, year = "d", "m", int(given["y"])
    if name is not None:
        # `May` is whole and short: between dashes months are short.
        names = _language(name.lower(), _SHORT + _WHOLE if "-" in match[0] else _WHOLE + _SHORT)
        if not names:
            return None
        numbers = int(given["d"]), names.index(name.lower()) + 1
    else:
        if int(given["m"]) > 12 and match.start("y") > match.start("d"):
            day, month = month, day
        numbers = int(given[day]), int(given[month])
    if len(given["y"]) == 2:
        year += 1900 if year >= _PIVOT else 2000
    try:
        date = moved(dt.date(year, numbers[1], numbers[0]), by)
    except ValueError:
        return None
    if date is None:
        return None
    padded = "-" in match[0] or given["d"][0] == "0" if names else len(given["d"]) == len(given["m"]) == 2
    width = 2 if padded else 1
    parts = {
        "y": f"{date.year:04d}" if len(given["y"]) == 4 else f"{date.year % 100:02d}",
        day: f"{date.day:0{width}d}",
    }
    if name is None:
        parts[month] = f"{date.month:0{width}d}"
    else:
        other = names[date.month - 1]
        parts["name"] = other.upper() if name.isupper() else other.capitalize() if name[0].isupper() else other
        if given["o"]:
            suffix = _SUFFIXES.get(date.day, "th")
            if given["o"] in ("er", "º", "°"):  # of the first of a month alone
                suffix = given["o"] if date.day == 1 else ""
            parts["o"] = suffix.upper() if given["o"].isupper() else suffix
    made, done = "", 0
    for group in sorted(parts, key=match.start):
        made += match.string[done : match.start(group)] + parts[group]
        done = match.end(group)
    return made + match.string[done:]


def _language(name: str, lists: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """The first list of months that knows this one; empty if none does."""
    return next((names for names in lists if name in names), ())
