"""The packs: what is looked for, as data. Ours are always there; others are found by entry point at the first scan."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from guardai.text.detector import Pack, PackError, load

__all__ = ["core", "installed", "secrets"]

_HERE = Path(__file__).parent


@cache
def core() -> Pack:
    """Personal data: the words that decide what a number is, and what a literal gives away."""
    return load(_HERE / "core.toml", "core")


@cache
def secrets() -> Pack:
    """Keys and tokens of the best-known providers, and what is assigned to a name that says it is secret."""
    return load(_HERE / "secrets.toml", "secrets")


def installed() -> tuple[Pack, ...]:
    """Every pack: ours, then those of the entry-point group `guardai.detectors`, in the order of their names.

    An entry point is a `Pack`, or a callable that returns one or several.

    Raises:
        PackError: one cannot be loaded. A detector that its owner relies on must not be missing in silence.
    """
    packs = [core(), secrets()]
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
            packs.append(pack)
    return tuple(packs)
