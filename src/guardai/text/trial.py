"""Detectors that are not ours, tried: each has to find its examples, under its label, and nothing that it must not.

An example is somebody's data as like as not, so what is told of it is its place, never its text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from guardai.errors import GuardError
from guardai.text import packs
from guardai.text.detectors.admit import admit
from guardai.text.detectors.detector import Detector, Number, Pack, PackError
from guardai.text.engines.plain import PlainEngine
from guardai.text.judging.judge import Found
from guardai.text.judging.program import Program
from guardai.text.own import Own
from guardai.text.recognise import RecogniserError
from guardai.text.scanner import Search

__all__ = ["Fault", "tried"]

#: Anchors in a KB of ordinary text beyond which they are worth a word: each costs about a microsecond, and a KB ten.
_OFTEN: Final = 4.0


class Fault(NamedTuple):
    """What is wrong with a detector. With an `error` the folder is refused; a `warning` is worth a look.

    Attributes:
        pack: the installed pack that it is of; "" for the folder's own.
    """

    severity: Literal["error", "warning"]
    label: str
    message: str
    pack: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.pack and f"pack {self.pack}", self.label, self.message)))


def tried(content: str | bytes, cache_dir: Path | None = None) -> list[Fault]:
    """Everything that is wrong with a `detectors.toml`, and with the installed packs beside it that are not ours.

    It is found with the engine that would scan, and with all packs that would be used.

    Args:
        content: of the file; of a folder that has none, nothing.
        cache_dir: where compiled databases are kept (see `scanner.search`).
    """
    try:
        own = Own.read(content)
        search = own.search(cache_dir)
        own.loaded()
        ours = (packs.core(), packs.secrets(), *packs.chosen(own.pack.countries if own.pack else ()))
        theirs = [pack for pack in search.packs() if pack not in ours]
        return list(_faults(theirs, own.pack, search)) if theirs else []
    except (PackError, RecogniserError) as error:
        return [Fault("error", "", str(error).removeprefix(f"pack {Own.FILE}: "))]


def _faults(theirs: list[Pack], own: Pack | None, search: Search) -> Iterator[Fault]:
    try:
        find = search.scanner().find
    except GuardError:
        raise
    except Exception as error:  # of the engine's own kind
        yield Fault("error", "", f"the engine cannot look for this: {type(error).__name__}: {error}")
        return
    for pack in theirs:
        name = "" if pack is own else pack.name
        for fault in (*_words(pack), *(one for kind in pack.kinds() for one in _examples(kind, find)), *_common(pack)):
            yield fault._replace(pack=name)


def _words(pack: Pack) -> Iterator[Fault]:
    """Of an installed pack it is no error, but nothing that anybody else would tell."""
    try:
        admit(pack, lambda: (*packs.installed(), *packs.countries("all")))
    except PackError as error:
        yield Fault("warning", "", str(error).removeprefix(f"pack {pack.name}: "))


def _examples(kind: Detector | Number, find: Callable[[bytes], list[Found]]) -> Iterator[Fault]:
    for place, text in enumerate(kind.matches, 1):
        labels = {label for _, _, label, _ in find(text.encode("utf-8", "surrogatepass"))}
        if kind.label not in labels:
            instead = f"; it is found as {', '.join(sorted(labels))}" if labels else ""
            yield Fault("error", kind.label, f"matches, example {place}: it is not found{instead}")
    for place, text in enumerate(kind.ignores, 1):
        if any(label == kind.label for _, _, label, _ in find(text.encode("utf-8", "surrogatepass"))):
            yield Fault("error", kind.label, f"ignores, example {place}: it is found")
    if not kind.matches:
        yield Fault("warning", kind.label, "it has no `matches`: nothing shows that it finds anything")


def _common(pack: Pack) -> Iterator[Fault]:
    """Anchors that stand in ordinary text so often that all scans become slower."""
    program, before = Program([pack]), len(Program([]).anchors)
    sample = (Path(__file__).parent / "sample.txt").read_bytes()
    owners = [(kind, anchor) for kind in pack.detectors for anchor in (*kind.literals, *kind.anchors)]
    seen = Counter(at - before for _, at, _ in PlainEngine(program).scan(sample))
    for at, (kind, anchor) in enumerate(owners):
        often = seen[at] * 1024 / len(sample)
        if often > _OFTEN:
            yield Fault(
                "warning",
                kind.label,
                f"the anchor {anchor!r} stands {often:.0f} times in a KB of ordinary text, and each time the pattern is "
                "tried; take a longer one, or say with `then` what must follow",
            )
