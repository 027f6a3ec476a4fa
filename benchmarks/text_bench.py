"""What finding and masking sensitive text costs.

Texts are made here, the same each time. The budgets of 100 MB/s clean and 50 MB/s dense are 10 and 20 µs a KB.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Measure, Row
from guardai.errors import ConfigError
from guardai.text import Masking, StreamMasker, Tokens, configure
from guardai.text.scanner import Scanner, build, scanner
from guardai.text.engines.hyper import HyperEngine
from guardai.text.engines.plain import PlainEngine

TITLE = "Text"

CELL = "The quick brown fox jumps over a lazy do"

_WORDS = (
    "the customer asked for a refund because parcel arrived late and nobody answered while we were looking into what had "
    "happened with warehouse team in northern region please check whether delivery can be repeated before end of next week"
).split()


def prose(size: int) -> str:
    pick = random.Random(1)
    made: list[str] = []
    length = 0
    while length < size:
        sentence = " ".join(pick.choices(_WORDS, k=pick.randint(6, 18))).capitalize() + ". "
        made.append(sentence)
        length += len(sentence)
    return "".join(made)[:size]


def dense(size: int) -> str:
    """Chat in which every fourth sentence holds something."""
    pick = random.Random(2)
    made: list[str] = []
    length = 0
    while length < size:
        sentence = " ".join(pick.choices(_WORDS, k=pick.randint(6, 18))).capitalize()
        kind = pick.randint(0, 15)
        if kind == 0:
            sentence += f", write to {pick.choice(_WORDS)}.{pick.choice(_WORDS)}@example.com"
        elif kind == 1:
            sentence += f", call me on +1 {pick.randint(201, 989)} 555 {pick.randint(1000, 9999)}"
        elif kind == 2:
            sentence += ", my card is 4111 1111 1111 1111"
        elif kind == 3:
            sentence += f", from {pick.randint(11, 200)}.20.30.{pick.randint(1, 250)}"
        sentence += ". "
        made.append(sentence)
        length += len(sentence)
    return "".join(made)[:size]


def records(size: int) -> str:
    pick = random.Random(3)
    made: list[str] = []
    length = 0
    while length < size:
        made.append(
            json.dumps(
                {
                    "id": len(made),
                    "uuid": f"{pick.getrandbits(32):08x}-{pick.getrandbits(16):04x}-4{pick.getrandbits(12):03x}-a{pick.getrandbits(12):03x}-{pick.getrandbits(48):012x}",
                    "email": f"{pick.choice(_WORDS)}{len(made)}@example.com",
                    "phone": f"+1-{pick.randint(201, 989)}-555-{pick.randint(0, 9999):04}",
                    "created": f"2024-{pick.randint(1, 12):02}-{pick.randint(1, 28):02}T10:20:{pick.randint(0, 59):02}Z",
                    "plan": "basic",
                }
            )
        )
        length += len(made[-1]) + 1
    return "\n".join(made)[:size]


def code(size: int) -> str:
    import argparse
    import inspect
    import subprocess

    text = inspect.getsource(argparse) + inspect.getsource(subprocess)
    return (text * (size // len(text) + 1))[:size]


#: What it is, how it is made, microseconds a KB that it may take.
KINDS = (
    ("prose", prose, 10.24),
    ("source code", code, 10.24),
    ("dense chat", dense, 20.48),
    ("JSON rows", records, 20.48),
)


def chat(size: int) -> dict[str, object]:
    """A request of the chat protocol with `size` characters of messages."""
    messages: list[dict[str, object]] = [{"role": "system", "content": prose(size // 4)}]
    for at in range(6):
        messages.append({"role": "user" if at % 2 == 0 else "assistant", "content": prose(size // 8 + at)})
    return {"model": "gpt-4o-mini", "messages": messages, "temperature": 0.2}


def tool_call(size: int) -> dict[str, object]:
    return {
        "customer": "C-1042",
        "note": prose(size - 200),
        "region": "north",
        "priority": 3,
        "tags": ["late", "refund"],
        "comment": prose(150),
    }


#: Once, more or less, what each anchor is looked for by, and nothing else: the most work that a text can make.
HOSTILE = {
    "1 2 3 ": "1 2 3 ",
    "1.1.1.1.": "1.1.1.1.",
    "a@a.": "a@a.",
    "::": "::",
    "://a:": "://a:",
    "password=": "password=",
    "eyJ": "eyJ",
    "-----BEGIN": "-----BEGIN ",
}


SCANS = """
import guardai.text as text
text.configure(cache_dir={0!r})
for n in range(200):
    text.mask(f"write to jane{{n}}@example.com or call +1 415 555 {{2000 + n}}; Иван платит картой 4111 1111 1111 1111 " * 10)
"""


def rows(measure: Measure) -> Iterator[Row]:
    scanning = scanner()
    for kind, make, limit in KINDS:
        for label, size, rounds in (("1 KB", 1 << 10, 2000), ("1 MB", 1 << 20, 5), ("10 MB", 10 << 20, 3)):
            if measure.smoke and size > 1 << 20:
                continue
            row = _found(measure, f"{kind}, {label}, a KB", scanning, make(size), limit, rounds)
            yield row
        yield _growth(measure, kind, scanning, make(10 << 20))
    for unit in HOSTILE:
        text = HOSTILE[unit] * ((1 << 16) // len(HOSTILE[unit]))
        yield _found(measure, f"nothing but `{unit}`, 64 KB, a KB", scanning, text, None, 5)
    for name, limit in (("re2", None), ("python", 200)):
        try:
            other = build(name)
        except ConfigError:
            yield Row(f"with {name}, which is not installed", "", *[math.nan] * 5)
            continue
        for kind, make, _ in KINDS:
            for label, size, rounds in (("1 KB", 1 << 10, 200), ("1 MB", 1 << 20, 3)):
                yield _found(measure, f"with {name}: {kind}, {label}, a KB", other, make(size), limit, rounds)
    yield from _masked(measure)
    yield from _streamed(measure)
    yield from _compiled(measure)


@contextmanager
def _nowhere() -> Iterator[str]:
    """A folder that cannot be made, so that nothing is cached in it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "file").touch()
        yield str(Path(folder) / "file" / "cache")


def _compiled(measure: Measure) -> Iterator[Row]:
    with _nowhere() as nowhere:
        configure(cache_dir=nowhere)
        yield measure.alone("everything from the packs on, nothing cached", build, limit=None, rounds=5, unit="ms")
        configure()
        yield measure.memory("memory of a process that scans, and has compiled it", SCANS.format(nowhere), limit=40)
    program = scanner().program
    spare = PlainEngine(program)
    with tempfile.TemporaryDirectory() as folder:
        try:
            HyperEngine(program, Path(folder), spare)
        except ImportError:
            yield Row("the compiled database, which needs hyperscan", "5 ms", *[math.nan] * 5)
            return
        yield measure.alone(
            "the compiled database, from the cache",
            lambda: HyperEngine(program, Path(folder), spare),
            limit=5,
            rounds=50,
            unit="ms",
        )
        yield _first(measure, folder)
        yield measure.memory(
            "memory of a process that scans, its database from the cache", SCANS.format(folder), limit=40
        )


def _found(measure: Measure, what: str, scanning: Scanner, text: str, limit: float | None, rounds: int) -> Row:
    data = text.encode()
    return measure.alone(what, lambda: scanning.find(data), limit=limit, rounds=rounds, per=max(1, len(data) >> 10))


def _growth(measure: Measure, kind: str, scanning: Scanner, text: str) -> Row:
    """What a KB of the whole costs, as a multiple of what it costs when the same text comes in pieces of 1 KB."""
    data = text.encode()
    if measure.smoke:
        data = data[: 1 << 20]
    pieces = [data[at : at + 1024] for at in range(0, 1 << 20, 1024)]

    def scan_pieces() -> None:
        for piece in pieces:
            scanning.find(piece)

    alone = measure.alone("", scan_pieces, limit=None, rounds=5, per=len(pieces)).median
    whole = measure.alone("", lambda: scanning.find(data), limit=None, rounds=3, per=len(data) >> 10).median
    times = whole / alone
    return Row(f"{kind}, a KB of 10 MB against a KB in 1 KB", "1.2 ×", times, times, times, 0, 0, 1.2, "×")


def _masked(measure: Measure) -> Iterator[Row]:
    masking = Masking(lambda _label: "token", tokens=Tokens())
    yield measure.alone("a cell of 40 characters, clean", lambda: masking.text(CELL), limit=1.5)
    yield measure.alone("a cell that is an e-mail address", lambda: masking.text("jane.doe@example.com"), limit=None)

    request = chat(4096)
    yield measure.alone("a chat request of 4 KB, its messages seen before", lambda: masking.payload(request), limit=100)
    long = prose(4096)
    count = iter(range(1 << 30))

    def unseen() -> object:
        request["messages"][0]["content"] = f"{long[:1000]} {next(count)}"  # type: ignore[index]
        return masking.payload(request)

    yield measure.alone("a chat request of 4 KB, one message new", unseen, limit=100)
    arguments = tool_call(1024)
    yield measure.alone("a tool call of 1 KB", lambda: masking.payload(arguments), limit=30)
    mailed = {**tool_call(1024), "email": "jane.doe@example.com"}
    yield measure.alone("a tool call of 1 KB with an e-mail address", lambda: masking.payload(mailed), limit=30)


def _streamed(measure: Measure) -> Iterator[Row]:
    for kind, text in (("prose", prose(4000)), ("dense chat", dense(4000))):
        deltas = [text[at : at + 4] for at in range(0, len(text), 4)]

        def stream(deltas: list[str] = deltas) -> None:
            masker = StreamMasker()
            for delta in deltas:
                masker.feed(delta)
            masker.finish()

        yield measure.alone(f"a stream's delta of 4 characters, {kind}", stream, limit=5, rounds=50, per=len(deltas))


def _first(measure: Measure, folder: str) -> Row:
    """In a process of its own each time, after the imports: what the first scan of a process waits for."""
    code = f"""
import time, hyperscan, guardai.text as t
t.configure(cache_dir={folder!r})
start = time.perf_counter()
t.engine()
print((time.perf_counter() - start) * 1000)
"""
    times = []
    for _ in range(measure.rounds(11)):
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        times.append(float(done.stdout))
    times.sort()
    middle, mean = statistics.median(times), statistics.fmean(times)
    return Row(
        "everything before the first scan of a process, with that", "", middle, mean, times[-1], 0, 0, None, "ms"
    )
