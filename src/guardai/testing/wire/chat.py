"""Chat completions: the body, and the chunks of a stream in the order in which the provider sends them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from guardai.testing.wire.ids import Ids
from guardai.testing.wire.reply import Choice, Reply, ToolCall
from guardai.testing.wire.request import Request

__all__ = ["Piece", "completion", "completion_stream", "tokens"]


class Piece(NamedTuple):
    """One server-sent event. `counts` says whether it carries a piece of the answer (faults count those)."""

    event: str
    data: dict[str, Any]
    counts: bool = False


def tokens(written: str) -> int:
    """About how many tokens a text is: four characters each."""
    return (len(written) + 3) // 4


def _usage(asked: int, answered: int) -> dict[str, Any]:
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _choices(request: Request, reply: Reply) -> tuple[Choice, ...]:
    """The choices of the answer: a reply of one message is repeated as often as `n` asks."""
    if len(reply.choices) == 1:
        choice = reply.choices[0]
        wanted = request.body.get("n") or 1
        if wanted > 1 and not isinstance(choice.chunks, tuple):
            choice = Choice(tuple(choice.chunks), choice.tool_calls, choice.refusal, choice.reasoning, choice.finish)
        return (choice,) * wanted
    return reply.choices


def _finish(choice: Choice) -> str:
    return choice.finish or ("tool_calls" if choice.tool_calls else "stop")


def _head(kind: str, request: Request, ids: Ids) -> dict[str, Any]:
    return {
        "id": ids("chatcmpl-"),
        "object": kind,
        "created": int(time.time()),
        "model": request.body["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_stand_in",
    }


def _call(call: ToolCall, ids: Ids) -> dict[str, Any]:
    return {"id": ids("call_"), "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def completion(request: Request, reply: Reply, ids: Ids) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    written = 0
    listed = []
    for index, choice in enumerate(_choices(request, reply)):
        content = "".join(choice.chunks)
        refused = "".join(choice.refusal)
        written += tokens(content + refused + "".join(call.arguments for call in choice.tool_calls))
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content or (None if choice.tool_calls or refused else ""),
            "refusal": refused or None,
            "annotations": [],
        }
        if choice.tool_calls:
            message["tool_calls"] = [_call(call, ids) for call in choice.tool_calls]
        listed.append({"index": index, "message": message, "logprobs": None, "finish_reason": _finish(choice)})
    return {
        **_head("chat.completion", request, ids),
        "choices": listed,
        "usage": _usage(tokens(request.text), written),
    }


def completion_stream(request: Request, reply: Reply, ids: Ids) -> Iterator[Piece]:
    """The chunks of a streamed answer, choice by choice; the usage last if it was asked for."""
    head = _head("chat.completion.chunk", request, ids)
    with_usage = bool((request.body.get("stream_options") or {}).get("include_usage"))
    written = 0

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None, *, counts: bool = True) -> Piece:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        # With include_usage every chunk has the field; it is null but in the last.
        return Piece("", {**head, "choices": [choice]} | ({"usage": None} if with_usage else {}), counts)

    for index, choice in enumerate(_choices(request, reply)):
        first: dict[str, Any] = {"role": "assistant", "content": None if choice.tool_calls else "", "refusal": None}
        yield chunk(index, first, counts=False)
        for piece in choice.chunks:
            written += tokens(piece)
            yield chunk(index, {"content": piece})
        for piece in choice.refusal:
            yield chunk(index, {"refusal": piece})
        for n, call in enumerate(choice.tool_calls):
            opened = _call(call, ids) | {"index": n}
            opened["function"] = {"name": call.name, "arguments": ""}
            yield chunk(index, {"tool_calls": [opened]}, counts=False)
            for piece in call.chunks:
                written += tokens(piece)
                yield chunk(index, {"tool_calls": [{"index": n, "function": {"arguments": piece}}]})
        yield chunk(index, {}, _finish(choice), counts=False)
    if with_usage:
        yield Piece("", {**head, "choices": [], "usage": _usage(tokens(request.text), written)})
