"""The native engine: hyperscan looks for all anchors in one pass.

What was found by trying, and is kept to here: a database that was loaded needs a scratch of its own; one scratch is
for one thread; a stream object does not hold its callback and crashes (none is used); offsets are bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardai.text.engines import cache
from guardai.text.judging.runs import FOREIGN

if TYPE_CHECKING:
    from guardai.text.engines.plain import PlainEngine
    from guardai.text.judging.program import Program

__all__ = ["HyperEngine"]


def _saw(anchor: int, _start: int, to: int, _flags: int, append: Callable[[tuple[int, int, int]], None]) -> None:
    append((to, anchor, -1))


class HyperEngine:
    """Compiles, or loads what an earlier process compiled.

    Raises:
        ImportError: there is no hyperscan here.
    """

    name = "hyperscan"

    def __init__(self, program: Program, folder: Path, spare: PlainEngine) -> None:
        import hyperscan

        self._hyperscan: Any = hyperscan
        self._spare = spare
        self._error = hyperscan.error
        self._database = _database(hyperscan, program, folder)
        self._run = self._database.scan
        self._threads = threading.local()
        #: For text that is not ASCII alone; made when some comes.
        self._foreign: Any = None
        self._named = program.named if program.hints else 0

    def _scratch(self) -> Any:
        """The thread's own."""
        scratch = self._threads.scratch = self._hyperscan.Scratch(self._database)
        return scratch

    def scan(self, data: bytes) -> list[tuple[int, int, int]]:
        """Where the anchors are: `(to, id, start)`."""
        hits: list[tuple[int, int, int]] = []
        try:
            scratch = self._threads.scratch
        except AttributeError:
            scratch = self._scratch()
        try:
            self._run(data, _saw, 0, hits.append, scratch)
            if self._named and not data.isascii():
                self._run_foreign(data, hits)
        except self._error:
            # A scan from a signal handler within a scan finds the thread's scratch in use. The other engine sees the
            # same anchors.
            return self._spare.scan(data)
        return hits

    def _run_foreign(self, data: bytes, hits: list[tuple[int, int, int]]) -> None:
        """What words are is known of ASCII: behind any other letter, six digits may be a number.

        In a database of its own this costs little; in the other one it would cost all text two microseconds a kilobyte.
        """
        if self._foreign is None:
            self._foreign = _compiled(self._hyperscan, [(FOREIGN, self._named, False)])
        try:
            scratch = self._threads.foreign
        except AttributeError:
            scratch = self._threads.foreign = self._hyperscan.Scratch(self._foreign)
        self._foreign.scan(data, _saw, 0, hits.append, scratch)


#: (expression, id, whether capitals are as small letters)
_Looked = tuple[str, int, bool]


def _database(hyperscan: Any, program: Program, folder: Path) -> Any:
    looks: list[_Looked] = [(a.expression, i, a.ignore_case) for i, a in enumerate(program.anchors)]
    looks += [(expression, i, False) for expression, i in program.hints]
    name = cache.fingerprint(hyperscan.__version__, [f"{e}/{i}/{ignore_case:d}" for e, i, ignore_case in looks])
    if blob := cache.read(folder, name):
        try:
            database = hyperscan.loadb(blob, hyperscan.HS_MODE_BLOCK)
            hyperscan.Scratch(database)
        except hyperscan.error:
            pass
        else:
            return database
    database = _compiled(hyperscan, looks)
    cache.write(folder, name, hyperscan.dumpb(database))
    return database


def _compiled(hyperscan: Any, looks: list[_Looked]) -> Any:
    folded = hyperscan.HS_FLAG_CASELESS
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[expression.encode() for expression, _, _ in looks],
        ids=[i for _, i, _ in looks],
        elements=len(looks),
        flags=[hyperscan.HS_FLAG_DOTALL | (folded if ignore_case else 0) for _, _, ignore_case in looks],
    )
    return database
