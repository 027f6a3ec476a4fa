"""A pack as a file: TOML in which each table is a field of `Pack`, and each key one of `Detector` or `Number`."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from guardai.text.detectors.detector import Detector, Number, Pack, PackError

__all__ = ["decoded", "load", "loads", "parsed"]

_TABLES: Final = ("after", "countries", "detector", "number", "words")
_TYPES: Final[dict[str, Any]] = {"bool": bool, "int": int, "float": (int, float)}
_Kind = TypeVar("_Kind", Detector, Number)


def load(path: Path, name: str) -> Pack:
    """Reads a pack from a file.

    Raises:
        PackError: it cannot be read, has an unknown key, or a value that cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PackError(f"pack {name}: {error}") from error
    return loads(text, name)


def loads(text: str | bytes, name: str) -> Pack:
    """Reads a pack from what stands in its file.

    Raises:
        PackError: an unknown key, or a value that cannot be used.
    """
    return parsed(decoded(text, name), name)


def decoded(text: str | bytes, name: str) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        PackError: it is no TOML.
    """
    try:
        return tomllib.loads(text if isinstance(text, str) else text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PackError(f"pack {name}: {error}") from error


def parsed(table: Mapping[str, Any], name: str, *, besides: Iterable[str] = ()) -> Pack:
    """A pack from its tables.

    Args:
        table: what stands in the file.
        name: of the pack.
        besides: keys of the file that are not the pack's.

    Raises:
        PackError: an unknown key, or a value that cannot be used.
    """
    if unknown := _unknown(table, sorted((*_TABLES, *besides))):
        raise PackError(f"pack {name}: {unknown}")
    countries = table.get("countries", ())
    return Pack(
        name=name,
        detectors=_kinds(Detector, table.get("detector", []), name),
        numbers=_kinds(Number, table.get("number", []), name),
        words=_words(table.get("words", {}), name),
        places=_words(table.get("after", {}), name),
        # As in `GUARDAI_TEXT_COUNTRIES`, a text may name several.
        countries=tuple(filter(None, re.split(r"[\s,;]+", countries)))
        if isinstance(countries, str)
        else _strings(countries, f"pack {name}: countries"),
    )


def _kinds(kind: type[_Kind], entries: Any, pack: str) -> tuple[_Kind, ...]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise PackError(f"pack {pack}: write [[{kind.__name__.lower()}]], in two brackets")
    return tuple(_kind(kind, entry, pack) for entry in entries)


def _kind(kind: type[_Kind], entry: dict[str, Any], pack: str) -> _Kind:
    known = kind.__dataclass_fields__
    if "label" not in entry:
        raise PackError(f"pack {pack}: a [[{kind.__name__.lower()}]] has no label, such as 'pii.employee_id'")
    where = f"pack {pack}: {entry['label']}"
    if unknown := _unknown(entry, known):
        raise PackError(f"{where}: {unknown}")
    if kind is Number and "form" not in entry:
        raise PackError(f"{where}: it has no form")
    values: dict[str, Any] = {}
    for key, value in entry.items():
        wanted = str(known[key].type)  # as it is written in the class
        if "tuple" in wanted:
            values[key] = _strings(value, f"{where}: {key}")
        elif isinstance(value, bool) != (wanted == "bool") or not isinstance(value, _TYPES.get(wanted, str)):
            raise PackError(f"{where}: {key} = {value!r} is of the wrong type")
        else:
            values[key] = value
    try:
        return kind(**values)
    except (TypeError, PackError) as error:
        raise PackError(f"pack {pack}: {error}") from error


def _unknown(given: Iterable[str], known: Iterable[str]) -> str:
    """Of keys that nobody knows, which ones are meant; "" if all are known."""
    known = tuple(known)
    told = []
    for key in sorted(set(given) - set(known)):
        meant = difflib.get_close_matches(key, known, n=1)
        told.append(f"{key} (is it {meant[0]}?)" if meant else key)
    return f"unknown {', '.join(told)}; known are {', '.join(known)}" if told else ""


def _words(table: Any, pack: str) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(table, dict):
        raise PackError(f"pack {pack}: words are written under their kind")
    return {kind: _strings(words, f"pack {pack}: words of {kind}") for kind, words in table.items()}


def _strings(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
        raise PackError(f"{where} is a list of strings")
    return tuple(value)
