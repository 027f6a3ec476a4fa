"""What finding and masking sensitive text costs.

Texts are made here, the same each time. The budgets of 100 MB/s clean and 50 MB/s dense are 10 and 20 µs a KB.
"""

from __future__ import annotations

import json
import random

from benchmarks.measure import Measure, Row
from guardai.text import Masking, StreamMasker, Tokens
from guardai.text.engines import build, scanner

TITLE = "Text"

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


def rows(measure: Measure) -> list[Row]:
    table = []
    native, plain = scanner(), build("python")
    for kind, make, limit in (
        ("prose", prose, 10.24),
        ("source code", code, 10.24),
        ("dense chat", dense, 20.48),
        ("JSON rows", records, 20.48),
    ):
        for label, size, rounds in (("1 KB", 1 << 10, 2000), ("1 MB", 1 << 20, 5)):
            data = make(size).encode()
            table.append(
                measure.alone(
                    f"{kind}, {label}, a KB",
                    lambda data=data: native.find(data),
                    limit=limit,
                    rounds=rounds,
                    per=size >> 10,
                )
            )
        data = make(1 << 10).encode()
        table.append(
            measure.alone(
                f"{kind}, a KB without native code", lambda data=data: plain.find(data), limit=200, rounds=200
            )
        )

    masking = Masking(lambda _label: "token", tokens=Tokens())
    clean = "The quick brown fox jumps over a lazy do"
    table.append(measure.alone("a cell of 40 characters, clean", lambda: masking.text(clean), limit=1.5))
    table.append(
        measure.alone("a cell that is an e-mail address", lambda: masking.text("jane.doe@example.com"), limit=None)
    )

    request = chat(4096)
    table.append(
        measure.alone("a chat request of 4 KB, its messages seen before", lambda: masking.payload(request), limit=100)
    )
    long = prose(4096)
    count = iter(range(1 << 30))

    def unseen() -> object:
        request["messages"][0]["content"] = f"{long[:1000]} {next(count)}"  # type: ignore[index]
        return masking.payload(request)

    table.append(measure.alone("a chat request of 4 KB, one message new", unseen, limit=100))
    arguments = tool_call(1024)
    table.append(measure.alone("a tool call of 1 KB", lambda: masking.payload(arguments), limit=30))
    mailed = {**tool_call(1024), "email": "jane.doe@example.com"}
    table.append(measure.alone("a tool call of 1 KB with an e-mail address", lambda: masking.payload(mailed), limit=30))

    for kind, text in (("prose", prose(4000)), ("dense chat", dense(4000))):
        deltas = [text[at : at + 4] for at in range(0, len(text), 4)]

        def stream(deltas: list[str] = deltas) -> None:
            masker = StreamMasker()
            for delta in deltas:
                masker.feed(delta)
            masker.finish()

        table.append(
            measure.alone(f"a stream's delta of 4 characters, {kind}", stream, limit=5, rounds=50, per=len(deltas))
        )
    table.append(measure.alone("compiling, nothing cached", build, limit=None, rounds=5, unit="ms"))
    return table
