"""The Responses protocol: the body, and the events of a stream in the order in which the provider sends them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from guardai.testing.wire.chat import Piece, tokens
from guardai.testing.wire.ids import Ids
from guardai.testing.wire.reply import Choice, Reply, ToolCall
from guardai.testing.wire.request import Request

__all__ = ["calls_of", "response", "response_stream"]

#: What a request may say that the response repeats, and what it says where the request is silent.
_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
}


def _head(request: Request, ids: Ids) -> dict[str, Any]:
    echoed = {
        name: default if request.body.get(name) is None else request.body[name] for name, default in _ECHOED.items()
    }
    return {
        "id": ids("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": request.body["model"],
        "output": [],
        "usage": None,
        **echoed,
    }


def _usage(request: Request, output: list[dict[str, Any]]) -> dict[str, Any]:
    asked, answered = tokens(request.text), tokens(str(output))
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + answered,
    }


def calls_of(body: dict[str, Any]) -> frozenset[str]:
    """The ids of the calls that a response makes: the next request has to answer them."""
    return frozenset(item["call_id"] for item in body["output"] if item["type"] == "function_call")


def response(request: Request, reply: Reply, ids: Ids) -> dict[str, Any]:
    """The body of an answer that is not streamed: what the stream would end with."""
    last: dict[str, Any] = {}
    for piece in response_stream(request, reply, ids):
        last = piece.data
    body: dict[str, Any] = last["response"]
    return body


def response_stream(request: Request, reply: Reply, ids: Ids) -> Iterator[Piece]:
    """The events of a streamed answer, numbered, each with its name."""
    for number, (kind, fields, counts) in enumerate(_events(request, reply.choices[0], ids)):
        yield Piece(kind, {"type": kind, "sequence_number": number, **fields}, counts)


_Event = tuple[str, dict[str, Any], bool]


def _events(request: Request, choice: Choice, ids: Ids) -> Iterator[_Event]:
    head = _head(request, ids)
    output: list[dict[str, Any]] = []
    yield "response.created", {"response": {**head}}, False
    yield "response.in_progress", {"response": {**head}}, False
    if choice.reasoning:
        yield from _reasoning(choice.reasoning, output, ids)
    # What is lazy is not asked whether it is empty: a message that stays empty is what the provider sends as well.
    if not isinstance(choice.chunks, tuple) or choice.chunks:
        yield from _message(choice, output, ids)
    if choice.refusal:
        yield from _refusal(choice.refusal, output, ids)
    for call in choice.tool_calls:
        yield from _function_call(call, output, ids)
    cut = choice.finish == "length"
    done = {
        **head,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": output,
        "usage": _usage(request, output),
    }
    yield ("response.incomplete" if cut else "response.completed"), {"response": done}, False


def _reasoning(chunks: tuple[str, ...], output: list[dict[str, Any]], ids: Ids) -> Iterator[_Event]:
    index, item_id = len(output), ids("rs_")
    at = {"item_id": item_id, "output_index": index, "summary_index": 0}
    item: dict[str, Any] = {"id": item_id, "type": "reasoning", "summary": []}
    yield "response.output_item.added", {"output_index": index, "item": item}, False
    yield "response.reasoning_summary_part.added", {**at, "part": {"type": "summary_text", "text": ""}}, False
    for chunk in chunks:
        yield "response.reasoning_summary_text.delta", {**at, "delta": chunk}, True
    part = {"type": "summary_text", "text": "".join(chunks)}
    yield "response.reasoning_summary_text.done", {**at, "text": part["text"]}, False
    yield "response.reasoning_summary_part.done", {**at, "part": part}, False
    item = {**item, "summary": [part]}
    output.append(item)
    yield "response.output_item.done", {"output_index": index, "item": item}, False


def _message(choice: Choice, output: list[dict[str, Any]], ids: Ids) -> Iterator[_Event]:
    index, item_id = len(output), ids("msg_")
    at = {"item_id": item_id, "output_index": index, "content_index": 0}
    item: dict[str, Any] = {
        "id": item_id,
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    yield "response.output_item.added", {"output_index": index, "item": item}, False
    yield "response.content_part.added", {**at, "part": part}, False
    said = []
    for chunk in choice.chunks:
        said.append(chunk)
        yield "response.output_text.delta", {**at, "delta": chunk, "logprobs": []}, True
    part = {**part, "text": "".join(said)}
    yield "response.output_text.done", {**at, "text": part["text"], "logprobs": []}, False
    yield "response.content_part.done", {**at, "part": part}, False
    item = {**item, "status": "completed", "content": [part]}
    output.append(item)
    yield "response.output_item.done", {"output_index": index, "item": item}, False


def _refusal(chunks: tuple[str, ...], output: list[dict[str, Any]], ids: Ids) -> Iterator[_Event]:
    index, item_id = len(output), ids("msg_")
    at = {"item_id": item_id, "output_index": index, "content_index": 0}
    item: dict[str, Any] = {
        "id": item_id,
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    yield "response.output_item.added", {"output_index": index, "item": item}, False
    yield "response.content_part.added", {**at, "part": {"type": "refusal", "refusal": ""}}, False
    for chunk in chunks:
        yield "response.refusal.delta", {**at, "delta": chunk}, True
    part = {"type": "refusal", "refusal": "".join(chunks)}
    yield "response.refusal.done", {**at, "refusal": part["refusal"]}, False
    yield "response.content_part.done", {**at, "part": part}, False
    item = {**item, "status": "completed", "content": [part]}
    output.append(item)
    yield "response.output_item.done", {"output_index": index, "item": item}, False


def _function_call(call: ToolCall, output: list[dict[str, Any]], ids: Ids) -> Iterator[_Event]:
    index, item_id = len(output), ids("fc_")
    at = {"item_id": item_id, "output_index": index}
    item = {
        "id": item_id,
        "type": "function_call",
        "status": "in_progress",
        "call_id": ids("call_"),
        "name": call.name,
        "arguments": "",
    }
    yield "response.output_item.added", {"output_index": index, "item": item}, False
    for chunk in call.chunks:
        yield "response.function_call_arguments.delta", {**at, "delta": chunk}, True
    done = {**at, "name": call.name, "arguments": call.arguments}
    yield "response.function_call_arguments.done", done, False
    item = {**item, "status": "completed", "arguments": call.arguments}
    output.append(item)
    yield "response.output_item.done", {"output_index": index, "item": item}, False
