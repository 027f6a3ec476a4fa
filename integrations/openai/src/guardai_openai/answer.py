"""The answer to one governed request: given to the gate once, in whatever form the program takes it."""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from guardai_openai.logprobs import neutral
from guardai_openai.opaque import binary
from guardai_openai.paths import Path, lift, put

if TYPE_CHECKING:
    from guardai.hooks import Ticket

__all__ = ["ANSWER", "Answer", "asks", "usage_of"]

#: Output items that the provider runs by itself; every other `…_call` is for the program to run.
_HOSTED: Final = frozenset(
    {"code_interpreter_call", "file_search_call", "image_generation_call", "mcp_call", "web_search_call"}
)


class Answer:
    """Whole answers of one ticket.

    Attributes:
        ticket: the call.
        active: the client's `request` is running; what is parsed now is this call's answer.
        streamed: a stream took the ticket over and will end it.
    """

    __slots__ = ("active", "streamed", "ticket")

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self.active = True
        self.streamed = False

    def whole(self, data: Any) -> Any:
        """A complete JSON answer, as its reader may see it. INVARIANT: the ticket is closed once, nothing passes unread."""
        ticket = self.ticket
        call = ticket.call
        places: list[tuple[Path, Any]] = []
        given = lift(data, binary, places) if call.returns or call.action == "llm.embed" else data
        if ticket.ended:
            masked = ticket.returning().payload(given) if ticket.enforcing else given
        elif isinstance(data, dict):
            masked = ticket.close(
                given, responded=_text(data.get("model")), usage=usage_of(data), tool_calls=_calls_tools(data)
            )
        else:
            masked = ticket.close(given)
        if masked is not given:
            neutral(given, masked)
        elif not places:
            return data
        put(masked, places)
        return masked

    def text(self, text: str) -> str:
        """A complete answer that is no JSON."""
        masked: str = self.whole(text)
        return masked

    def body(self, kind: str, content: bytes, encoding: str) -> bytes:
        """The same for the bytes of an HTTP body; the same object if nothing was masked.

        Args:
            kind: the content type.
            content: the body.
            encoding: of text.
        """
        if not content or self.unread(kind):
            self.ticket.close(None)
            return content
        if "json" in kind:
            try:
                data = json.loads(content)
            except ValueError:
                pass  # it says that it is JSON and is not: it is text
            else:
                masked = self.whole(data)
                return content if masked is data else json.dumps(masked, separators=(",", ":")).encode()
        text = content.decode(encoding, "replace")
        passed = self.text(text)
        return content if passed is text or passed == text else passed.encode(encoding, "replace")

    def unread(self, kind: str) -> bool:
        """Whether a body is no text, and was named so when the call was opened: then policy has let it pass."""
        return bool(self.ticket.call.returns) and not kind.startswith("text/") and "json" not in kind


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def usage_of(data: dict[str, Any]) -> dict[str, int] | None:
    """What the provider counted: the integers, those inside details by dotted names."""
    usage = data.get("usage")
    if not isinstance(usage, dict):
        return None
    counted: dict[str, int] = {}
    for key, value in usage.items():
        if type(value) is int:
            counted[key] = value
        elif isinstance(value, dict):
            counted.update({f"{key}.{name}": n for name, n in value.items() if type(n) is int and n})
    return counted


def _calls_tools(data: dict[str, Any]) -> bool:
    """Whether an answer asks the program to run tools."""
    choices = data.get("choices")
    if isinstance(choices, list):
        messages = [choice.get("message") for choice in choices if isinstance(choice, dict)]
        return any(isinstance(m, dict) and (m.get("tool_calls") or m.get("function_call")) for m in messages)
    output = data.get("output")
    return isinstance(output, list) and any(asks(item) for item in output)


def asks(item: Any) -> bool:
    """Whether an output item of the Responses protocol is a tool call for the program."""
    kind = item.get("type") if isinstance(item, dict) else None
    return isinstance(kind, str) and kind.endswith("_call") and kind not in _HOSTED


#: The answer that the client's `request` of this context is waiting for. Set to the former value, never reset.
ANSWER: ContextVar[Answer | None] = ContextVar("guardai_openai", default=None)
