"""The ledger: one event inline in each mode, what runs beside it, verification; and the parts an append is made of."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import msgspec

from benchmarks.measure import Measure, Row

TITLE = "The ledger"


def _event(**fields):
    from guardai.model import VERSION, Event

    return Event(id="", key="", kind="call.intent", log="", prev="", seq=0, ts=0, v=VERSION, **fields)


def event_makers():
    """Events as the gate makes them: about 600 bytes (a bare statement) and about 900 (with findings and resources)."""
    from guardai.ledger import raw

    principal = raw({"agent": "report-bot", "assurance": "asserted", "chain": [], "kind": "Agent", "user": "u-1042"})
    allowed = raw(
        {
            "bundle": "3f9a8c7e2d1b0a99" * 4,
            "effect": "allow",
            "masks": {},
            "mode": "enforce",
            "policies": ["reads"],
            "signed": True,
        }
    )
    masked = raw(
        {
            "bundle": "3f9a8c7e2d1b0a99" * 4,
            "effect": "allow",
            "masks": {"pii.email": "token", "pii.phone": "token"},
            "mode": "enforce",
            "policies": ["reads", "reveal-inside"],
            "signed": True,
        }
    )
    resource = raw(
        [
            {
                "columns": ["name", "email", "phone"],
                "dir": "read",
                "labels": ["pii.email", "pii.phone"],
                "uri": "sqlite:///shop.db#customers",
            }
        ]
    )
    edges = [{"evidence": "possible", "from": "0123456789abcdef-1a"}]
    commit = {"in": {"bytes": 812, "commit": "ab" * 16}}
    common = {"action": "db.read", "call": "0123456789ab-1f", "principal": principal, "session": "0123456789abcdef"}
    return {
        600: lambda: _event(content=commit, decision=allowed, findings={}, **common),
        900: lambda: _event(
            content=commit,
            decision=masked,
            findings={"pii.email": 3, "pii.phone": 1},
            lineage=edges,
            resource=resource,
            **common,
        ),
    }


@contextmanager
def _ledger(**options):
    from guardai.ledger import Ledger

    home = Path(tempfile.mkdtemp(prefix="bench", dir=os.getcwd()))
    ledger = Ledger.open(home, **options)
    try:
        yield ledger
    finally:
        ledger.close()
        shutil.rmtree(home)


def rows(measure: Measure) -> Iterator[Row]:
    makers = event_makers()
    for size, make in makers.items():
        with _ledger() as ledger:
            yield measure.paired(
                f"event inline, spool, {size} bytes", make, lambda: ledger.append(make()), limit=3, rounds=60_000
            )
    yield _handed_over(measure, makers[900])
    yield from _parts(measure, makers[900])
    with _ledger(mode="signed") as ledger:
        yield measure.paired(
            "event inline, signed", makers[900], lambda: ledger.append(makers[900]()), limit=20, rounds=8000
        )
    with _ledger(mode="strict") as ledger:
        yield measure.paired(
            "event inline, strict", makers[900], lambda: ledger.append(makers[900]()), limit=200, rounds=2000
        )
    yield _sustained(measure, makers[900])
    yield from _verification(measure, makers[900])


def _parts(measure: Measure, make) -> Iterator[Row]:
    """What an append cannot do without: encoding, two hashes, one write. The rest of its time is Python."""
    from guardai.ledger import read_event
    from guardai.ledger.canonical import encode_plain, is_plain

    event = make()
    event.id, event.log, event.key, event.prev = "0123456789abcdef-1a", "0123456789abcdef", "0123456789abcdef", "0" * 64
    data = encode_plain(event)
    leaf = hashlib.sha256(b"\0" + data).digest()
    fd = os.open("bench.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    line = data + b"\t" + b"a" * 32 + b"\n"
    try:
        yield measure.alone("· the write alone", lambda: os.write(fd, line), limit=None, rounds=30_000)
    finally:
        os.close(fd)
        os.unlink("bench.out")
    yield measure.alone("· SHA-256 of the leaf alone", lambda: hashlib.sha256(b"\0" + data).digest(), limit=None)
    yield measure.alone("· BLAKE2b of the tag alone", lambda: hashlib.blake2b(leaf + leaf).digest(), limit=None)
    yield measure.alone("· encoding alone", lambda: encode_plain(event), limit=None)
    told, by_kind = read_event(data), msgspec.json.Encoder(order="sorted").encode
    yield measure.alone("· encoding the struct of its kind instead", lambda: by_kind(told), limit=None)
    yield measure.alone("· check that numbers are in the profile", lambda: is_plain(event), limit=None)
    yield measure.alone("reading an event as the struct of its kind", lambda: read_event(data), limit=None)


def _handed_over(measure: Measure, make) -> Row:
    """What a mode that records behind the caller's back would be: a queue, and a thread that appends. CPU: until all is written."""
    count, times, waiting = measure.rounds(60_000), [], SimpleQueue()
    with _ledger() as ledger:

        def append() -> None:
            while (event := waiting.get()) is not None:
                ledger.append(event)

        thread = Thread(target=append)
        thread.start()
        cpu = time.process_time_ns()
        for _ in range(count):
            event, clock = make(), time.perf_counter_ns()
            waiting.put(event)
            times.append((time.perf_counter_ns() - clock) / 1e3)
        behind = waiting.qsize() / count
        waiting.put(None)
        thread.join()
        used = (time.process_time_ns() - cpu) / count / 1e3
    what = f"· handed to a thread instead, which is {behind:.0%} of all events behind at the end"
    times.sort()
    return Row(what, "", times[count // 2], sum(times) / count, times[int(count * 0.99)], used, 0)


def _sustained(measure: Measure, make) -> Row:
    """Events a second of one process until all are stored under a signed head, as microseconds an event."""
    count = 200 if measure.smoke else 200_000
    with _ledger() as ledger:
        clock, cpu = time.perf_counter_ns(), time.process_time_ns()
        for _ in range(count):
            ledger.append(make())
        ledger.close(timeout=600)
        took, used = (time.perf_counter_ns() - clock) / count / 1e3, (time.process_time_ns() - cpu) / count / 1e3
    return Row(
        what="sustained, appended, signed and stored, per event",
        budget="33 µs (30,000/s)",
        median=took,
        mean=took,
        p99=took,
        cpu=used,
        bare=0,
        limit=33.3,
    )


def _verification(measure: Measure, make) -> Iterator[Row]:
    from guardai.ledger import events, verify

    count = 200 if measure.smoke else 100_000
    few = count // 20
    for what, seal in (("in the store", True), ("in the spool", False)):
        with _ledger(seal=False) as ledger:
            for _ in range(count):
                ledger.append(make())
            ledger.close(timeout=600)
            if seal:
                ledger.flush(600)
            clock, cpu = time.perf_counter_ns(), time.process_time_ns()
            report = verify(ledger.home, adopt=False)
            took, used = (time.perf_counter_ns() - clock) / count / 1e3, (time.process_time_ns() - cpu) / count / 1e3
            assert report.verdict == 0, report
            yield Row(
                what=f"verify, {what}: chain, tree, tags, indexes, per event",
                budget="5 µs (200,000/s)",
                median=took,
                mean=took,
                p99=took,
                cpu=used,
                bare=0,
                limit=5,
            )
            yield _memory(what, make, ledger.home, count, few, seal=seal)
            if seal:
                size = (ledger.home / "ledger" / "store.db").stat().st_size / count
                exact = sum(len(data) for data in events(ledger.home)) / count
                yield Row(
                    what="store, bytes an event, its own bytes as the bare figure",
                    budget="",
                    median=size,
                    mean=size,
                    p99=size,
                    cpu=0,
                    bare=exact,
                    unit="B",
                )


#: What a process has held at most, in MB, once it has verified each of the homes in turn.
PEAKS = """
import sys
from pathlib import Path
from guardai.ledger import verify
for home in sys.argv[1:]:
    assert verify(Path(home), adopt=False).verdict == 0
    print(int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024)
"""


def _memory(what: str, make, home: Path, count: int, few: int, *, seal: bool) -> Row:
    """How much more memory many events take than few; the bare figure is the process that has verified the few."""
    with _ledger(seal=False) as ledger:
        for _ in range(few):
            ledger.append(make())
        ledger.close(timeout=600)
        if seal:
            ledger.flush(600)
        done = subprocess.run(
            [sys.executable, "-c", PEAKS, ledger.home, home], check=True, capture_output=True, text=True
        )
    small, large = (float(line) for line in done.stdout.split())
    return Row(
        what=f"verify, {what}: memory for {count:,} events, beside that for {few:,}",
        budget="1 MB (constant)",
        median=large - small,
        mean=large - small,
        p99=large - small,
        cpu=0,
        bare=small,
        limit=1,
        unit="MB",
    )
