"""What really arrived at the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it came over the wire.

    Attributes:
        method, path: the path without host and query.
        headers: names in lower case.
        body: the parsed JSON; an empty dict where there was none.
        raw: the bytes themselves, for assertions that something never left the process.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    raw: bytes

    @property
    def text(self) -> str:
        """The body as it was sent."""
        return self.raw.decode("utf-8", "replace")

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""
        return bool(self.body.get("stream"))

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation: `messages` of a chat request, the items of a Responses `input`."""
        found = self.body.get("messages", self.body.get("input"))
        if isinstance(found, str):
            return [{"role": "user", "content": found}]
        return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []

    @property
    def user(self) -> str:
        """What the user said last."""
        said = [_text(message.get("content")) for message in self.messages if message.get("role") == "user"]
        return said[-1] if said else ""

    @property
    def tool_results(self) -> list[str]:
        """What tools answered since the user last spoke, oldest first."""
        results: list[str] = []
        for message in self.messages:
            if message.get("role") == "user":
                results.clear()
            elif message.get("role") == "tool":
                results.append(_text(message.get("content")))
            elif message.get("type") == "function_call_output":
                results.append(_text(message.get("output")))
        return results


def _text(content: object) -> str:
    return "".join(_texts(content))


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]
