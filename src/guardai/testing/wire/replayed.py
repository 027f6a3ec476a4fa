"""A streamed answer again, from the texts of its channels as the gate kept them; each text in one piece, its ids as they were."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from guardai.testing.wire.chat import Piece
from guardai.testing.wire.ids import Ids
from guardai.testing.wire.reply import Choice, Reply, ToolCall
from guardai.testing.wire.request import Request
from guardai.testing.wire.responses import response_stream

__all__ = ["stream"]


def stream(request: Request, texts: dict[str, str]) -> Iterator[Piece]:
    """The events of the stream, in the protocol that the request asks in.

    Args:
        request: what is asked now.
        texts: channel → text, such as `0/content`, `0/tool_calls/1/function/arguments`, `response.output_text/0/0/…`.
    """
    if request.path.endswith("/responses"):
        yield from _responses(request, texts)
    else:
        yield from _chunks(str(request.body.get("model", "")), texts)


# ------------------------------------------------------------------ chat completions, and their elder


def _chunks(model: str, texts: dict[str, str]) -> Iterator[Piece]:
    choices: dict[int, dict[str, Any]] = {}
    for channel, text in texts.items():
        choice, *path = channel.split("/")
        _put(choices.setdefault(int(choice), {}), path, text)
    for index, said in sorted(choices.items()):
        if "text" in said:
            yield _chunk(model, "text_completion", {"index": index, "text": said["text"]}, "stop")
            continue
        calls = said.pop("tool_calls", {})
        if calls:
            said["tool_calls"] = [{"index": int(n), "type": "function", **call} for n, call in sorted(calls.items())]
            for call in said["tool_calls"]:
                call["function"].setdefault("arguments", "")
        kind = "chat.completion.chunk"
        yield _chunk(model, kind, {"index": index, "delta": {"role": "assistant", **said}}, None)
        yield _chunk(model, kind, {"index": index, "delta": {}}, "tool_calls" if calls else "stop")


def _put(holder: dict[str, Any], path: list[str], text: str) -> None:
    for step in path[:-1]:
        holder = holder.setdefault(step, {})
    holder[path[-1]] = text


def _chunk(model: str, kind: str, choice: dict[str, Any], finish: str | None) -> Piece:
    head = {"id": "chatcmpl-recorded", "object": kind, "created": int(time.time()), "model": model}
    return Piece(
        "", {**head, "choices": [{**choice, "finish_reason": finish, "logprobs": None}]}, counts=finish is None
    )


# ------------------------------------------------------------------ responses


def _responses(request: Request, texts: dict[str, str]) -> Iterator[Piece]:
    items = {
        int(at.partition("/")[2]): json.loads(told)["item"] for at, told in texts.items() if at.startswith("output/")
    }
    said: dict[str, list[str]] = {}
    calls = []
    ids = _AsTheyWere()
    ids.add("resp_", texts.get("id", "resp_recorded"))
    for index, item in sorted(items.items()):
        kinds = _channels(texts, index)
        if item["type"] == "function_call":
            arguments = kinds.get("response.function_call_arguments", "")
            calls.append(ToolCall(item["name"], arguments, (arguments,)))
            ids.add("fc_", item["id"])
            ids.add("call_", item["call_id"])
            continue
        ids.add("rs_" if item["type"] == "reasoning" else "msg_", item["id"])
        for kind, text in kinds.items():
            said.setdefault(kind, []).append(text)
    choice = Choice(
        tuple(said.get("response.output_text", ())),
        tuple(calls),
        tuple(said.get("response.refusal", ())),
        tuple(said.get("response.reasoning_summary_text", ())),
    )
    yield from response_stream(request, Reply(choices=(choice,)), ids)


def _channels(texts: dict[str, str], index: int) -> dict[str, str]:
    """Kind → text of one output item, its parts joined."""
    found: dict[str, str] = {}
    for channel, text in texts.items():
        kind, _, address = channel.partition("/")
        if kind.startswith("response.") and address.partition("/")[0] == str(index):
            found[kind] = found.get(kind, "") + text
    return found


class _AsTheyWere(Ids):
    """Ids that were recorded, in the order in which the stand-in asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self._recorded: dict[str, list[str]] = {}

    def add(self, prefix: str, name: str) -> None:
        self._recorded.setdefault(prefix, []).append(name)

    def __call__(self, prefix: str) -> str:
        recorded = self._recorded.get(prefix)
        return recorded.pop(0) if recorded else super().__call__(prefix)
