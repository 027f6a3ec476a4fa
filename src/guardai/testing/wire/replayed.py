"""A streamed chat completion again, from the texts of its channels as the gate kept them."""

from __future__ import annotations

import time
from typing import Any

from guardai.testing.wire.chat import Piece

__all__ = ["chunks"]


def chunks(model: str, texts: dict[str, str]) -> list[Piece]:
    """The events of the stream, a channel's text in one piece.

    Args:
        model: its name.
        texts: channel → text, such as `0/content` and `0/tool_calls/1/function/arguments`.
    """
    choices: dict[int, dict[str, Any]] = {}
    for channel, text in texts.items():
        choice, *path = channel.split("/")
        _put(choices.setdefault(int(choice), {"role": "assistant"}), path, text)
    made = []
    for index, delta in sorted(choices.items()):
        calls = delta.pop("tool_calls", {})
        if calls:
            delta["tool_calls"] = [{"index": int(n), "type": "function", **call} for n, call in sorted(calls.items())]
            for call in delta["tool_calls"]:
                call["function"].setdefault("arguments", "")
        made.append(_chunk(model, index, delta, None))
        made.append(_chunk(model, index, {}, "tool_calls" if calls else "stop"))
    return made


def _put(holder: dict[str, Any], path: list[str], text: str) -> None:
    for step in path[:-1]:
        holder = holder.setdefault(step, {})
    holder[path[-1]] = text


def _chunk(model: str, index: int, delta: dict[str, Any], finish: str | None) -> Piece:
    choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}
    head = {"id": "chatcmpl-recorded", "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
    return Piece("", {**head, "choices": [choice]}, counts=finish is None)
