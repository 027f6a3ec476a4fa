"""What a column's name says of what is in it, and whether its values look that way. The names stand in `columns.toml`."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from guardai.text.validators import entropy

__all__ = ["CHECKS", "Named", "labels", "named", "words"]

_TABLE: Final = Path(__file__).parent / "columns.toml"
#: Words that one name of a kind has at most.
_LONGEST: Final = 5
#: A name is not read further than this; nobody's column needs it, and a hostile one costs nothing.
_READ: Final = 256
_WORD: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\W\d_A-Za-z]+")
_MARKS: Final = re.compile("[\u0300-\u036f]")


class Named(NamedTuple):
    """What a column's name says: the label, and the check in `CHECKS` that its values have to pass.

    The check `found` is no function: what the detectors find in the values decides.
    """

    label: str
    check: str


class _Kind(NamedTuple):
    said: Named
    person: bool


class _Names(NamedTuple):
    kinds: dict[str, _Kind]
    around: frozenset[str]
    persons: frozenset[str]


@cache
def _names() -> _Names:
    data: dict[str, Any] = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    kinds: dict[str, _Kind] = {}
    for entry in data["kind"]:
        for name in entry["names"]:
            kind = _Kind(Named(entry["label"], entry["check"]), entry.get("person", False))
            kinds.setdefault("".join(words(name)), kind)
    return _Names(kinds, frozenset(data["around"]), frozenset(data["persons"]))


def labels() -> frozenset[str]:
    """The labels that names can give."""
    return frozenset(kind.said.label for kind in _names().kinds.values())


def words(name: str) -> list[str]:
    """The words of a name, lower-case and without accents: `customerE-Mail_2` → `customer e mail 2`."""
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", name[:_READ])).replace("ß", "ss")
    return [word.lower() for word in _WORD.findall(plain)]


def named(name: str, table: str = "") -> Named | None:
    """What the name of a column says of its values.

    Args:
        name: the column's name, in any of the usual spellings.
        table: the table's name; that `name` means a person's is clear in `customers`, and is not in `products`.

    Returns:
        The label that is meant and the check that its values have to pass; None if the name says nothing.
    """
    kinds, around, persons = _names()
    parts = words(name)
    while parts:
        for size in range(min(_LONGEST, len(parts)), 0, -1):
            key = "".join(parts[-size:])
            kind = kinds.get(key) or kinds.get(key.removesuffix("s"))
            if kind is None:
                continue
            rest = parts[:-size]
            if kind.person and not (_person(rest[-1:], persons) if rest else _person(words(table), persons)):
                continue
            return kind.said if kind.said.label else None
        if parts[-1] not in around and not parts[-1].isdigit():
            return None
        parts.pop()
    return None


def _person(of: list[str], persons: frozenset[str]) -> bool:
    return any(form in persons for word in of for form in (word, word.removesuffix("s"), word.removesuffix("es")))


# ---- how values have to look where only the name says what they are ----

_DATE: Final = re.compile(
    r"(?P<y>[0-9]{4})(?:(?P<s>[-/.])(?P<m>[0-9]{1,2})(?P=s)(?P<d>[0-9]{1,2})(?:[T ].{0,40})?|(?P<m2>[0-9]{2})(?P<d2>[0-9]{2}))?"
    r"|(?P<a>[0-9]{1,2})(?P<t>[-/. ])(?P<b>[0-9]{1,2}|[A-Za-z]{3,9})(?P=t)(?P<y3>[0-9]{4})"
)
_FIRST_YEAR: Final = 1900


def _birth(value: str) -> bool:
    """A date, or a year, in which somebody who lives may have been born."""
    date = _DATE.fullmatch(value)
    if date is None or not _FIRST_YEAR <= int(date["y"] or date["y3"]) <= dt.datetime.now(dt.UTC).year:
        return False
    numbers = [
        int(part)
        for part in (date["m"] or date["m2"], date["d"] or date["d2"], date["a"], date["b"])
        if part and part.isdigit()
    ]
    return all(1 <= number <= 31 for number in numbers) and (len(numbers) < 2 or min(numbers) <= 12)


def _words(value: str) -> bool:
    """A few words without digits, as people's names are."""
    if not 2 <= len(value) <= 80 or any(c.isdigit() for c in value):
        return False
    return value.count(" ") <= 6 and sum(c.isalpha() for c in value) * 4 >= len(value) * 3


def _address(value: str) -> bool:
    """Words, and most often the number of a house."""
    return (
        4 <= len(value) <= 300 and any(c.isalpha() for c in value) and (" " in value or any(c.isdigit() for c in value))
    )


_CODE: Final = re.compile(r"(?=(?:.*[0-9]){2})[0-9A-Za-z][0-9A-Za-z \-./]{3,29}")
_POSTCODE: Final = re.compile(r"(?=.*[0-9])[0-9A-Za-z][0-9A-Za-z \-]{2,9}")


def _code(value: str) -> bool:
    """The number of a document: letters and digits, at least two of these."""
    return _CODE.fullmatch(value) is not None


def _postcode(value: str) -> bool:
    return _POSTCODE.fullmatch(value) is not None


def _opaque(value: str) -> bool:
    """One word that is no statement of fact: not `true`, not `yes`."""
    return 6 <= len(value) <= 512 and not any(c.isspace() for c in value)


def _random(value: str) -> bool:
    """A long word with the entropy of a key."""
    if not 16 <= len(value) <= 4096 or any(c.isspace() for c in value):
        return False
    return entropy(value[:128].encode("utf-8", "surrogatepass")) >= 3.0


#: How values of a kind have to look that no detector finds by itself. A check sees one value, without white space around.
CHECKS: Final[MappingProxyType[str, Callable[[str], bool]]] = MappingProxyType(
    {
        "address": _address,
        "birth": _birth,
        "code": _code,
        "opaque": _opaque,
        "postcode": _postcode,
        "random": _random,
        "words": _words,
    }
)
