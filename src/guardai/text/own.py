"""A policy folder's own detectors: `detectors.toml`, read.

::

    countries = ["de", "nl"]        # whose ids are looked for as well; or "all"
    packs = ["core", "secrets"]     # which installed packs are used; default: all
    recognisers = ["spacy"]         # what finds names; default: nothing does

    [recogniser.spacy]              # arguments of that recogniser
    model = "en_core_web_sm"

    [[detector]]                    # and what else a pack may hold: [[number]], [words], [after]
    label = "pii.employee_id"
    literals = ["EMP-"]
    pattern = 'EMP-[0-9]{6}(?![0-9])'
    run = ""
    matches = ["badge EMP-004211"]
    ignores = ["EMP-42"]
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from guardai.text import packs
from guardai.text.detectors.detector import Pack, PackError
from guardai.text.detectors.file import decoded, parsed
from guardai.text.recognise import Recogniser, load
from guardai.text.scanner import Search, search

__all__ = ["Own"]


@dataclass(frozen=True)
class Own:
    """What such a file says; of a folder that has none, nothing.

    Attributes:
        pack: its detectors, and the countries that it wants; None if there are neither.
        packs: which installed packs are used; None for all.
        recognisers: what finds names.
        options: recogniser → its arguments.
    """

    FILE: ClassVar[str] = "detectors.toml"

    pack: Pack | None = None
    packs: tuple[str, ...] | None = None
    recognisers: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, content: str | bytes) -> Self:
        """Reads `detectors.toml`. Whether a detector in it may be used, `search` says.

        Raises:
            PackError: a key is unknown, a value cannot be used, or a country is not there.
        """
        table = decoded(content, cls.FILE)
        pack = parsed(table, cls.FILE, besides=("packs", "recogniser", "recognisers"))
        try:
            packs.countries(pack.countries)
        except PackError as error:
            raise PackError(f"pack {cls.FILE}: countries: {error}") from error
        chosen = _names(table, "recognisers") or ()
        options = table.get("recogniser", {})
        if not isinstance(options, dict) or not all(isinstance(one, dict) for one in options.values()):
            raise PackError(f"pack {cls.FILE}: write a recogniser's arguments under [recogniser.<name>]")
        if unknown := set(options) - set(chosen):
            raise PackError(f"pack {cls.FILE}: [recogniser.{min(unknown)}] is not among `recognisers`")
        nothing = pack == Pack(cls.FILE)
        return cls(None if nothing else pack, _names(table, "packs"), chosen, options)

    def search(self, cache_dir: str | os.PathLike[str] | None = None, recognisers: Iterable[Recogniser] = ()) -> Search:
        """What it says to look for.

        Args:
            cache_dir: where compiled databases are kept (see `scanner.search`).
            recognisers: what finds names, `loaded` say.

        Raises:
            PackError: a pack is not there, or one cannot be used.
        """
        countries = self.pack.countries if self.pack else None
        return search(
            cache_dir=cache_dir, countries=countries, packs=self.packs, own=self.pack, recognisers=recognisers
        )

    def loaded(self) -> tuple[Recogniser, ...]:
        """The recognisers. It may take seconds: models are read.

        Raises:
            RecogniserError: one is not installed, or cannot be made.
        """
        return load(self.recognisers, self.options)


def _names(table: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise PackError(f"pack {Own.FILE}: {key} is a list of names")
    return tuple(value)
