"""Looks through a large store in several processes: an interpreter uses one core.

Each process takes every second, or third, share of the events, and tells which of them are *plain*: such as nothing is to be remarked
of but that they go on from the one before (`sealed.is_plain`). They are told as runs of one log, by the first and the last. Whether
runs go on from one another only `SealedAudit` knows, which has seen all that is before; it also looks at all events that nobody told it of.

INVARIANT: what a process does not say, or says too late or wrongly ordered, is looked at by who asked. So one that cannot be started,
dies, or meets a damaged page costs time and no fault.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from guardai.ledger.logstate import LogState, is_plain, read
from guardai.ledger.merkle import leaf_hash
from guardai.ledger.treecheck import Leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardai.ledger.store import Store

__all__ = ["Run", "Shares", "begun", "main"]

#: Events below which processes would take longer to begin than the work takes.
LEAST: Final = 200_000
#: Events of a share. What is told of one fits into a pipe, so that nobody waits for whoever reads.
SHARE: Final = 32_768

_PROGRAM: Final = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from guardai.ledger.shares import main; main(*sys.argv[1:])"


class Run(NamedTuple):
    """Plain events of one log that stand beside one another.

    Attributes:
        leaf: of the first, in the tree.
        log: the log's number.
        events: how many they are.
        seq, prev, ts: position and time of the first, and the hash before it.
        hash, last, kind: hash (hex), time and kind of the last.
    """

    leaf: int
    log: int
    events: int
    seq: int
    prev: str
    ts: int
    hash: str
    last: int
    kind: str


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Run | None).decode


class Shares:
    """What the processes tell: iterate once, then `close`."""

    def __init__(self, store: Path, size: int, processes: int) -> None:
        self._size = size
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            for n in range(processes):
                # -P and the path that is ours: nothing is imported from the folder that somebody happens to be in.
                order = [
                    sys.executable,
                    "-P",
                    "-c",
                    _PROGRAM,
                    str(store),
                    str(size),
                    str(n),
                    str(processes),
                    json.dumps(sys.path),
                ]
                null = subprocess.DEVNULL
                self._processes.append(subprocess.Popen(order, stdin=null, stdout=subprocess.PIPE, stderr=null))  # noqa: S603 - our own words
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Run]:
        """Runs in the order of their leaves; of a process that fails none any more."""
        reading = [process.stdout for process in self._processes]
        for share in range(-(-self._size // SHARE)):
            told = reading[share % len(reading)]
            for line in told or ():
                try:
                    run = _decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    return
                if run is None:
                    break
                yield run

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.kill()
            if process.stdout is not None:
                process.stdout.close()
            process.wait()


def begun(store: Store) -> Shares | None:
    """Processes at work on a store; None where they would be of no use, or cannot be."""
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if store.dialect.shared or processes < 2 or not _is_python():
        return None
    try:
        size = store.size()
        if size < LEAST:
            return None
        # The file that is open: it may be a copy.
        path = next(file for _, name, file in store.db.execute("PRAGMA database_list") if name == "main")
        return Shares(Path(path), size, min(processes, 8))
    except (OSError, ValueError, StopIteration):
        return None
    except store.dialect.damage:
        return None


def _is_python() -> bool:
    """Whether this process's program is a Python: a frozen application or a server that holds an interpreter would begin anew."""
    return not getattr(sys, "frozen", False) and Path(sys.executable or "").stem.lower().startswith(("python", "pypy"))


def main(path: str, size: str, n: str, processes: str) -> None:
    """What such a process does: its shares of a store, to standard output."""
    from guardai.ledger.sqlitestore import read_sqlite

    with read_sqlite(Path(path), gated=False) as store:
        for start in range(int(n) * SHARE, int(size) if store is not None else 0, int(processes) * SHARE):
            lines = [_encode(run) for run in runs(store, start, min(start + SHARE, int(size)))]  # type: ignore[arg-type]
            sys.stdout.buffer.write(b"\n".join((*lines, b"null", b"")))
            sys.stdout.buffer.flush()


def runs(store: Store, start: int, stop: int) -> Iterator[Run]:
    """The runs among the events of the leaves from `start` to `stop` (exclusive)."""
    leaves, heads = Leaves(store), _heads(store)
    names = {
        n: log for n, log in store.db.execute("SELECT n, log FROM logs") if isinstance(n, int) and isinstance(log, str)
    }
    states: dict[int, LogState] = {}
    run: Run | None = None
    rows = f"SELECT leaf, log, seq, ts, bytes, tag FROM events{store.dialect.scanned} WHERE leaf >= ? AND leaf < ? ORDER BY leaf"  # noqa: S608 - our words
    for leaf, n, seq, ts, data, tag in store.db.execute(rows, (start, stop)):
        link, canonical = read(data)
        hashed = leaf_hash(data) if isinstance(data, bytes) else b""
        state = states.get(n)
        if state is None and n in names and link is not None:
            # What was before it another process has seen: whether it goes on from that is not for this one to say.
            state = states[n] = LogState(names[n], link.seq, link.prev, heads=heads.get(n, {}))
        if (
            state is None
            or link is None
            or not canonical
            or hashed != leaves[leaf]
            or not is_plain(state, link, seq, ts, tag)
        ):
            states.pop(n, None)
            if run is not None:
                yield run
            run = None
            continue
        state.go_on(seq + 1, hashed.hex(), ts, link.kind)
        if run is not None and run.log == n and run.leaf + run.events == leaf:
            run = run._replace(events=run.events + 1, hash=state.hash, last=ts, kind=link.kind)
        else:
            if run is not None:
                yield run
            run = Run(leaf, n, 1, seq, link.prev, ts, state.hash, ts, link.kind)
    if run is not None:
        yield run


def _heads(store: Store) -> dict[int, dict[int, Any]]:
    """The positions of heads, by log: an event under one has to be remembered."""
    found: dict[int, dict[int, Any]] = {}
    for n, seq in store.db.execute("SELECT log, seq FROM heads"):
        found.setdefault(n, {})[seq] = None
    return found
