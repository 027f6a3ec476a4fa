"""One scan interface, two engines behind it; chosen, compiled and cached at the first scan, never at import.

`GUARDAI_TEXT_ENGINE=hyperscan|python` chooses; by default it is hyperscan where that can be imported.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol

from guardai.errors import ConfigError
from guardai.text import packs
from guardai.text.hyper import HyperEngine
from guardai.text.judge import Found, judge
from guardai.text.plain import PlainEngine
from guardai.text.program import Program

__all__ = ["ENGINES", "Scanner", "configure", "engine", "reset", "scanner"]

ENGINES: Final = ("hyperscan", "python")
#: Texts whose findings are remembered, at most 6 KB each: 64 findings.
_REMEMBERED: Final = 2048
_VARIABLE: Final = "GUARDAI_TEXT_ENGINE"


class _Engine(Protocol):
    name: str

    def scan(self, data: bytes) -> list[tuple[int, int, int]]: ...


class Scanner:
    """An engine and the program it runs. Safe to share between threads."""

    def __init__(self, program: Program, engine: _Engine) -> None:
        self.program = program
        self.engine = engine
        self._see = engine.scan
        self._known: OrderedDict[bytes, tuple[Found, ...]] = OrderedDict()

    def find(self, data: bytes) -> list[Found]:
        """The findings in a text given as UTF-8 (lone surrogates passed), in bytes."""
        hits = self._see(data)
        return judge(self.program, data, hits)[0] if hits else []

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

    def find_from(self, data: bytes, low: int, wall: int) -> tuple[list[Found], int]:
        """The findings that begin at `low` or later, and from where on a key block is still open (see `judge`)."""
        hits = self._see(data)
        return judge(self.program, data, hits, low, wall) if hits else ([], len(data))


_lock = threading.RLock()
_current: Scanner | None = None
_folder: Path | None = None


def _renew() -> None:
    """In a forked child another thread of the parent may have held it, and is not there to let go."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def configure(*, cache_dir: str | os.PathLike[str] | None = None) -> None:
    """Where compiled databases are kept from one process to the next. None: nowhere. It takes effect at the next compile."""
    global _folder
    _folder = Path(cache_dir) if cache_dir is not None else None


def reset() -> None:
    """Forgets the engine; the next scan chooses and compiles anew. For tests, and after `configure`."""
    global _current
    with _lock:
        _current = None


def scanner() -> Scanner:
    """The process's scanner. The first call compiles it: 0.1 s, or 5 ms from the cache.

    Raises:
        ConfigError: `GUARDAI_TEXT_ENGINE` names no engine.
        PackError: a detector pack cannot be used.
    """
    return _current or _made()


def _made() -> Scanner:
    global _current
    with _lock:
        if _current is None:
            _current = build(os.environ.get(_VARIABLE, ""))
        return _current


def build(wanted: str = "") -> Scanner:
    """A scanner of its own, with the engine `wanted`, or the best there is."""
    if wanted and wanted not in ENGINES:
        raise ConfigError(f"{_VARIABLE}={wanted!r}: there are {', '.join(ENGINES)}")
    program = Program(packs.installed())
    plain = PlainEngine(program)
    if wanted == "python":
        return Scanner(program, plain)
    try:
        return Scanner(program, HyperEngine(program, _folder, plain))
    except ImportError:
        if wanted:
            raise ConfigError(f"{_VARIABLE}=hyperscan, but hyperscan cannot be imported here") from None
        return Scanner(program, plain)


def engine() -> str:
    """Which engine scans: `hyperscan` or `python`."""
    return scanner().engine.name
