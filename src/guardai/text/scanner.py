"""One scan interface, three engines behind it; chosen, compiled and cached at the first scan, never at import.

`GUARDAI_TEXT_ENGINE=hyperscan|re2|python` chooses; by default it is the first of them that can be imported.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol

from guardai.errors import ConfigError
from guardai.settings import home
from guardai.text import packs as available
from guardai.text.detectors.admit import admit
from guardai.text.detectors.detector import Pack, PackError
from guardai.text.engines.hyper import HyperEngine
from guardai.text.engines.plain import PlainEngine
from guardai.text.engines.re2 import Re2Engine
from guardai.text.escapes import hides, view
from guardai.text.judging.judge import LISTED, NONE, Found, judge
from guardai.text.judging.program import Program
from guardai.text.packs.assigned import SHORT_NAMES
from guardai.text.recognise import Recogniser, Recognisers
from guardai.text.recognise import load as load_recognisers
from guardai.text.spaces import even, narrow
from guardai.text.validators import VALIDATORS, Validator

__all__ = [
    "ENGINES",
    "Scanner",
    "Search",
    "build",
    "configure",
    "configured",
    "engine",
    "reset",
    "scanner",
    "search",
    "use",
    "used",
]

ENGINES: Final = ("hyperscan", "re2", "python")
#: Texts whose findings are remembered, at most 6 KB each: 64 findings; and names of columns.
_REMEMBERED: Final = 2048
#: What a secret is called that only its name gives away, and how sure that is.
_ASSIGNED: Final = "secret.generic"
_ASSIGNED_SCORE: Final = 0.6
#: Values that are found under a password's name alone, under a secret's, under a key's; and what judges there.
_PROBES: Final = (("blue42", "alone"), ("Blue42!x", "alone_human"), ("9fQ2xV7bLm4Zt8Rk1Wc6Hs3D", "alone_assigned"))
#: The same where a name says password and nothing else.
_PLAIN: Final = VALIDATORS["alone_plain"]
#: Where the words of a name are joined.
_JOINTS: Final = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")
_VARIABLE: Final = "GUARDAI_TEXT_ENGINE"
_MODULES: Final = {"hyperscan": "hyperscan", "re2": "google-re2"}


class _Engine(Protocol):
    name: str

    def scan(self, data: bytes) -> list[tuple[int, int, int]]: ...


class Scanner:
    """An engine and the program it runs. Safe to share between threads.

    Args:
        program: what is looked for.
        engine: what looks.
        names: the recognisers that were chosen, if any.
    """

    def __init__(self, program: Program, engine: _Engine, names: Recognisers | None = None) -> None:
        self.program = program
        self.engine = engine
        self.names = names or None
        self._see = engine.scan
        self._known: OrderedDict[bytes, tuple[Found, ...]] = OrderedDict()
        self._columns: dict[str, bool] = {}
        self._secrets: dict[str, Validator | None] = {}

    def find(self, data: bytes) -> list[Found]:
        """The findings in a text given as UTF-8 (lone surrogates passed), in bytes.

        Raises:
            RecogniserError: a recogniser failed.
        """
        if self.names is not None or hides(data):
            found = self.find_patterns(data)
            return found if self.names is None else self.names.add(data, found)
        hits = self._see(data)
        return judge(self.program, data, hits)[0] if hits else []

    def find_patterns(self, data: bytes) -> list[Found]:
        """`find` without names: several texts may stand in `data`, and no name is read across two."""
        if hides(data) and (seen := view(data)) is not None:
            return [seen.told(one) for one in self.find_shown(seen.data)[0]]
        return self.find_shown(data)[0]

    def find_long(self, data: bytes) -> tuple[Found, ...]:
        """`find`, remembered: the messages of a conversation are sent again every turn.

        By digest: neither the text nor any of its values stays in memory.
        """
        key = blake2b(data, digest_size=16).digest()
        known = self._known.get(key)
        if known is None:
            known = tuple(self.find(data))
            if len(known) <= 64:
                if len(self._known) >= _REMEMBERED:
                    with suppress(KeyError):
                        self._known.popitem(last=False)
                self._known[key] = known
        return known

    def announces(self, name: str) -> bool:
        """Whether what stands under a column, key or field of that name may be found, or not be, because of it."""
        known = self._columns.get(name)
        if known is None:
            name = str.__str__(
                name
            )  # a member of an enumeration is remembered as its value, and formats as its own name
            data = narrow(f"{name}: ".encode("utf-8", "surrogatepass"))
            known = bool(self._see(data)) or self.program.words.announces(data)
            if len(self._columns) < _REMEMBERED:
                self._columns[name] = known
        return known

    def secret(self, name: str) -> Validator | None:
        """What says whether a value that is all there is under `name` is a secret; None if the name is no secret's."""
        try:
            return self._secrets[name]
        except KeyError:
            pass
        name = str.__str__(name)
        judge: Validator | None = None
        if self.announces(name):
            for probe, validator in _PROBES:
                data = f'{name}: "{probe}"'.encode("utf-8", "surrogatepass")
                start = len(data) - len(probe) - 1
                if any(found[0] == start and found[2] == _ASSIGNED for found in self.find_patterns(data)):
                    judge = VALIDATORS[validator]
                    # `db_password` is a password's name as `password` is; what is under `password_mode` speaks of one.
                    last = _JOINTS.split(name)[-1]
                    says = last.lower() not in SHORT_NAMES
                    if validator == "alone" and says and (last == name or self.secret(last) is _PLAIN):
                        judge = _PLAIN
                    break
        if len(self._secrets) < _REMEMBERED:
            self._secrets[name] = judge
        return judge

    def find_whole(self, name: str, data: bytes, found: list[Found]) -> list[Found]:
        """The findings of a value that is all there is under `name`.

        Where the name is a secret's, quotes, brackets and spaces in the value are its own: it is one from end to end, or what
        begins as one is one to the end of its line.
        """
        judge = self.secret(name)
        if judge is None:
            return found
        shown = even(data)
        value = shown.strip()
        if not value:
            return found
        start = len(shown) - len(shown.lstrip())
        end = start + len(value)
        first = found[0] if found and found[0][0] <= start and found[0][2].startswith("secret.") else None
        if first is not None:
            line = shown.find(b"\n", max(first[1] - 1, start), end)
            end = max(first[1], line if line >= 0 else end)
        elif judge(narrow(data[start:end])) is False:
            return found
        label, score = (first[2], first[3]) if first is not None else (_ASSIGNED, _ASSIGNED_SCORE)
        return [(start, end, label, score), *(one for one in found if one[0] >= end)]

    def find_shown(self, data: bytes, low: int = 0, earlier: Found = NONE) -> tuple[list[Found], int]:
        """The same of a text that hides nothing, and from where on more text may change it (see `judge`)."""
        hits = self._see(data)
        return judge(self.program, data, hits, low, earlier) if hits or earlier[2] in LISTED else ([], len(data))


@dataclass(frozen=True)
class _Choice:
    """What is looked for, beyond what always is."""

    packs: frozenset[str] | None = None
    own: Pack | None = None
    names: Recognisers | None = None
    countries: tuple[str, ...] = ()


_lock = threading.RLock()


def _renew() -> None:
    """In a forked child another thread of the parent may have held it, and is not there to let go."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


_NOTHING_MORE: Final = _Choice()


class Search:
    """What is looked for, and where compiled databases are kept. Its scanner is made when it is first asked for, and kept.

    Safe to share between threads. Without arguments, what is looked for where nobody has said anything.
    """

    __slots__ = ("_choice", "_folder", "_made")

    def __init__(self, choice: _Choice = _NOTHING_MORE, folder: Path | None = None) -> None:
        self._choice = choice
        self._folder = folder
        self._made: Scanner | None = None

    @property
    def own(self) -> Pack | None:
        """The pack besides those that are installed."""
        return self._choice.own

    @property
    def recognisers(self) -> tuple[Recogniser, ...]:
        """What finds names."""
        return self._choice.names.recognisers if self._choice.names is not None else ()

    @property
    def compiled(self) -> bool:
        """Whether the scanner has been made."""
        return self._made is not None

    def packs(self) -> tuple[Pack, ...]:
        """The packs that are looked for.

        Raises:
            PackError: one cannot be used.
        """
        choice = self._choice
        there: Sequence[Pack] = available.installed(choice.countries)
        if choice.packs is not None:
            there = _picked(there, choice.packs)
        return (*there, choice.own) if choice.own is not None else tuple(there)

    def scanner(self) -> Scanner:
        """The scanner. The first call reads the packs, 0.1 s, and compiles them, most of a second, or reads what is cached.

        Raises:
            ConfigError: `GUARDAI_TEXT_ENGINE` names no engine.
            PackError: a detector pack cannot be used.
        """
        return self._made or self._make()

    def _make(self) -> Scanner:
        with _lock:
            if self._made is None:
                self._made = self.build(os.environ.get(_VARIABLE, ""))
            return self._made

    def become(self, other: Search) -> None:
        """Looks for what the other does from here on. What is compiled stays, where that is what was looked for before."""
        with _lock:
            if other._choice != self._choice:
                self._made = None
            self._choice, self._folder = other._choice, other._folder

    def forget(self) -> None:
        """Forgets the engine; the next scan chooses and compiles anew."""
        with _lock:
            self._made = None

    def build(self, wanted: str = "") -> Scanner:
        """A scanner of its own, with the engine `wanted`, or the best there is.

        Raises:
            ConfigError: there is no such engine, or it cannot be imported here.
            PackError: a detector pack cannot be used.
        """
        if wanted and wanted not in ENGINES:
            raise ConfigError(f"{_VARIABLE}={wanted!r}: there are {', '.join(ENGINES)}")
        names = self._choice.names
        program = Program(self.packs())
        plain = PlainEngine(program)
        for name in (wanted,) if wanted else ENGINES:
            try:
                if name == "hyperscan":
                    return Scanner(program, HyperEngine(program, self._folder or home() / "cache", plain), names)
                if name == "re2":
                    return Scanner(program, Re2Engine(program, plain), names)
            except ImportError:
                if wanted:
                    raise ConfigError(f"{_VARIABLE}={wanted}, but {_MODULES[wanted]} cannot be imported here") from None
        return Scanner(program, plain, names)


#: What the program says, by `configure`; and what scans look for that are no call's.
_configured: Final = Search()
_current = _configured


def search(
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    countries: str | Iterable[str] | None = None,
    packs: Iterable[str] | None = None,
    own: Pack | None = None,
    recognisers: Iterable[str | Recogniser] = (),
) -> Search:
    """What to look for. Nothing is compiled, and what the process looks for stays as it is (see `use` and `configure`).

    Args:
        cache_dir: where compiled databases are kept from one process to the next. None: under guardai's home
            (`GUARDAI_HOME`, or the user's data folder), in `cache`.
        countries: the countries whose ids are looked for, besides those of `GUARDAI_TEXT_COUNTRIES`; or `all`.
        packs: the names of the packs that are used; None for all that are installed.
        own: a pack besides those that are installed. Nothing in it may blow up, or decide too late for a stream
            (`detectors/admit.py`).
        recognisers: what finds names: entry points of the group `guardai.recognisers`, or objects.

    Raises:
        PackError: a country or a pack is not there, or a pack cannot be used.
        RecogniserError: a recogniser is not there, or cannot be loaded.
    """
    wanted = tuple(recognisers)
    made = [one for given in wanted for one in (load_recognisers([given]) if isinstance(given, str) else (given,))]
    names = Recognisers(made) if made else None
    if own is not None:
        admit(own, lambda: (*available.installed(), *available.countries("all")))
    codes = tuple(pack.name.rpartition(".")[2] for pack in available.countries(countries or ()))
    choice = _Choice(None if packs is None else frozenset(packs), own, names, codes)
    if choice.packs is not None:
        _picked(available.installed(), choice.packs)
    folder = Path(cache_dir) if cache_dir is not None else None
    return Search(choice, folder)


def configured() -> Search:
    """What the program wants to be looked for. It is one object, and follows `configure`."""
    return _configured


def use(wanted: Search | None = None, *, cache_dir: Path | None = None) -> None:
    """What scans look for from here on that are no governed call's: `guardai.text.scan` and `mask`, say.

    Args:
        wanted: None for what the program has configured.
        cache_dir: where that is kept when it has been compiled; None as for `search`.
    """
    global _current
    _configured._folder = cache_dir
    _current = wanted if wanted is not None else _configured


def configure(
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    countries: str | Iterable[str] | None = None,
    packs: Iterable[str] | None = None,
    own: Pack | None = None,
    recognisers: Iterable[str | Recogniser] = (),
) -> None:
    """Says what is looked for from here on, as `search` takes it. What is not given is as if nobody had ever said.

    It is what every scan looks for, governed calls included, where no policy folder's `detectors.toml` says it: once `init`
    has put such a folder in force, only that counts.

    Raises:
        PackError, RecogniserError: as `search`. Everything is left as it was.
    """
    _configured.become(search(cache_dir=cache_dir, countries=countries, packs=packs, own=own, recognisers=recognisers))


def _picked(packs: Sequence[Pack], names: frozenset[str]) -> list[Pack]:
    """Those of these names, and those of countries, which are chosen by themselves."""
    there = {pack.name for pack in packs}
    if missing := names - there:
        known = ", ".join(sorted(name for name in there if not name.startswith("countries.")))
        raise PackError(f"no pack {', '.join(map(repr, sorted(missing)))}; installed: {known}")
    return [pack for pack in packs if pack.name in names or pack.name.startswith("countries.")]


def used() -> tuple[Pack, ...]:
    """The packs that scans look for now.

    Raises:
        PackError: one cannot be used.
    """
    return _current.packs()


def reset() -> None:
    """Forgets the engine; the next scan chooses and compiles anew. For tests, and when the environment has changed."""
    _configured.forget()
    _current.forget()


def scanner() -> Scanner:
    """The process's scanner (see `Search.scanner`)."""
    return _current._made or _current.scanner()


def build(wanted: str = "") -> Scanner:
    """A scanner of its own for what scans look for now (see `Search.build`)."""
    return _current.build(wanted)


def engine() -> str:
    """Which engine scans: `hyperscan`, `re2` or `python`."""
    return scanner().engine.name
