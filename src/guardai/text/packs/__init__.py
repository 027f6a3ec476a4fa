"""The packs: what is looked for, as data. Ours are always there, countries if they are chosen, others by entry point.

`GUARDAI_TEXT_COUNTRIES=de,nl` chooses countries, or `all`, besides those that a policy folder names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

from guardai.text.detectors.admit import admit
from guardai.text.detectors.detector import Pack, PackError, ours
from guardai.text.detectors.file import load
from guardai.text.packs import assigned

__all__ = ["available", "chosen", "core", "countries", "installed", "labels_of_others", "others", "secrets"]

_HERE: Final = Path(__file__).parent
_VARIABLE: Final = "GUARDAI_TEXT_COUNTRIES"
#: Codes that people write for what another code is the name of.
_CALLED: Final = {"gb": "uk"}


@cache
def core() -> Pack:
    """Personal data: the words that decide what a number is, and what an anchor gives away."""
    with ours():
        return load(_HERE / "core.toml", "core")


@cache
def secrets() -> Pack:
    """Keys and tokens of providers, by area, and what is assigned to a name that says it is secret."""
    areas = ("generic", "ai", "cloud", "code", "chat", "payment", "data", "ops", "apps")
    with ours():
        parts = [load(_HERE / "secrets" / f"{area}.toml", f"secrets.{area}") for area in areas]
        found = [detector for part in parts for detector in part.detectors]
        return Pack("secrets", (*found, *assigned.named(_HERE / "secrets" / "named.toml"), *assigned.generic()))


def available() -> tuple[str, ...]:
    """The codes of the countries that there is a pack of, sorted."""
    return tuple(sorted(file.stem for file in (_HERE / "countries").glob("*.toml")))


def countries(names: str | Iterable[str]) -> tuple[Pack, ...]:
    """The packs of countries, in the order of their codes: national ids, tax and health numbers.

    Args:
        names: two-letter codes, as a list or as a text in which commas or spaces stand between them; `all` stands for
            all of them.

    Raises:
        PackError: there is no pack of that country, or it cannot be used.
    """
    known = available()
    wanted: set[str] = set()
    for name in re.split(r"[\s,;]+", names) if isinstance(names, str) else names:
        code = name.strip().lower()
        code = code if code in known else _CALLED.get(code, code)
        if code == "all":
            wanted.update(known)
        elif code in known:
            wanted.add(code)
        elif code:
            raise PackError(f"no pack of a country {name!r}; there are {', '.join(known)}, or all")
    return tuple(_country(code) for code in sorted(wanted))


@cache
def _country(code: str) -> Pack:
    with ours():
        return load(_HERE / "countries" / f"{code}.toml", f"countries.{code}")


def chosen(names: Iterable[str] = ()) -> tuple[Pack, ...]:
    """The packs of these countries, and of those that the environment chooses.

    Raises:
        PackError: the environment names a country that there is no pack of.
    """
    try:
        return countries({*names, *re.split(r"[\s,;]+", os.environ.get(_VARIABLE, ""))})
    except PackError as error:
        raise PackError(f"{_VARIABLE}: {error}") from None


def installed(names: Iterable[str] = ()) -> tuple[Pack, ...]:
    """Every pack: ours, those of chosen countries, then those of the entry-point group `guardai.detectors` by name.

    Args:
        names: the codes of countries that are chosen besides those of the environment.

    Raises:
        PackError: one cannot be loaded. A detector that its owner relies on must not be missing in silence.
    """
    return (core(), secrets(), *chosen(names), *others())


def others() -> tuple[Pack, ...]:
    """The packs of other distributions. An entry point is a `Pack`, or a callable that returns one or several.

    Raises:
        PackError: one cannot be loaded, or may not be used (`detectors/admit.py`).
    """
    packs = []
    entries = [e for e in metadata.entry_points(group="guardai.detectors") if not e.value.startswith(f"{__name__}:")]
    for entry in sorted(entries, key=lambda e: e.name):
        try:
            made = entry.load()
            made = made() if callable(made) else made
        except Exception as error:
            raise PackError(
                f"detector pack {entry.name} ({entry.value}) cannot be loaded: {type(error).__name__}"
            ) from error
        several = made if isinstance(made, Iterable) else (made,)
        for pack in several:
            if not isinstance(pack, Pack):
                raise PackError(f"detector pack {entry.name} ({entry.value}) is {type(pack).__name__}, not a Pack")
            admit(pack)
            packs.append(pack)
    return tuple(packs)


def labels_of_others() -> frozenset[str]:
    """The labels that the packs of other distributions find: no policy folder has to say what they are.

    Raises:
        PackError: one cannot be loaded, or may not be used.
    """
    return frozenset(kind.label for pack in others() for kind in pack.kinds())
