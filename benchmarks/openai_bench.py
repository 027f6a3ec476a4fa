"""The openai client, bare and governed, over the same transport in memory: what is added is ours, not the network's."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.measure import Measure, Row

TITLE = "The openai client"

TEXT = (
    "The quarterly report compares the turnover of the northern stores with that of the previous year. "
    "Sales of garden furniture rose, those of lamps fell; the reasons are given in the appendix. "
)
DELTAS = 200


def _body() -> bytes:
    message = {"role": "assistant", "content": TEXT * 2, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1000, "completion_tokens": 80, "total_tokens": 1080}
    head = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
    return json.dumps({**head, "choices": [choice], "usage": usage}).encode()


def _stream() -> bytes:
    words = itertools.islice(itertools.cycle(TEXT.split(" ")), DELTAS)
    deltas: list[dict[str, Any]] = [{"content": f"{word} "} for word in words]
    head = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "system_fingerprint": "f"}
    chunks = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
    chunks.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
    return b"".join(f"data: {json.dumps({**head, 'choices': [c]})}\n\n".encode() for c in chunks) + b"data: [DONE]\n\n"


def _client(body: bytes, kind: str) -> Any:
    import openai

    base: Any = sys.modules["openai._base_client"]
    http = getattr(base, "httpx2", None) or base.httpx
    transport = http.MockTransport(lambda _: http.Response(200, content=body, headers={"content-type": kind}))
    return openai.OpenAI(base_url="http://127.0.0.1/v1", api_key="none", http_client=http.Client(transport=transport))


def rows(measure: Measure) -> Iterator[Row]:
    import guardai

    guardai.init(integrations=[])
    counter = itertools.count()

    def asked() -> list[dict[str, str]]:
        old = [{"role": "user" if n % 2 else "assistant", "content": (TEXT * 4)[:512]} for n in range(7)]
        return [*old, {"role": "user", "content": f"{next(counter)} " + (TEXT * 4)[:500]}]

    def pair(
        body: bytes, kind: str, call: Callable[[Any], object]
    ) -> tuple[Callable[[], object], Callable[[], object]]:
        bare, governed = _client(body, kind), guardai.wrap(_client(body, kind))
        return (lambda: call(bare)), (lambda: call(governed))

    def chat(client: Any) -> object:
        return client.chat.completions.create(model="gpt-4o", messages=asked())

    def raw(client: Any) -> object:
        return client.chat.completions.with_raw_response.create(model="gpt-4o", messages=asked()).parse()

    def stream(client: Any) -> object:
        return [*client.chat.completions.create(model="gpt-4o", messages=asked()[-1:], stream=True)]

    try:
        with guardai.session(agent="bench"):
            yield measure.paired(
                "chat request, 4 KB of messages, one new",
                *pair(_body(), "application/json", chat),
                limit=100,
                rounds=1500,
            )
            yield measure.paired(
                "the same as a raw response, parsed", *pair(_body(), "application/json", raw), limit=100, rounds=1500
            )
            yield measure.paired(
                f"stream delta, of {DELTAS}",
                *pair(_stream(), "text/event-stream", stream),
                limit=5,
                rounds=150,
                per=DELTAS,
            )
    finally:
        guardai.shutdown()
