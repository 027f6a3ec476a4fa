"""What a scripted model answers: text, tool calls, or a fault.

A script is written in these words::

    text("Hello")                                          an answer
    text("a@b.example", chunks=["a@", "b.", "example"])    … streamed in exactly these pieces
    tool_call("run_sql", '{"query": "SELECT 1"}')          the model wants a tool to be called
    text("Let me look. ") + tool_call(…) + tool_call(…)    one message with all of it
    choices(text("one"), text("two"))                      several choices
    error(429, headers={"retry-after": "1"})               no answer
    drop(after_chunks=2, reply=text("…"))                  an answer that breaks off
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

__all__ = [
    "Choice",
    "Fault",
    "Reply",
    "ToolCall",
    "choices",
    "drop",
    "error",
    "malformed",
    "reasoning",
    "refusal",
    "stream_error",
    "text",
    "tool_call",
]

#: What OpenAI calls the errors of each status.
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    409: "conflict_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants called. `chunks` are the pieces in which its arguments are streamed."""

    name: str
    arguments: str
    chunks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One message of the model, in pieces. `chunks` may be lazy: then the stream is as slow as its source."""

    chunks: Iterable[str] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    finish: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong once `after` pieces of the answer have been sent.

    `drop` closes the connection, `malformed` sends an event that is no JSON, `error` sends an error inside the stream.
    """

    kind: Literal["drop", "malformed", "error"]
    after: int
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server sends back: choices, or a status with a body, and what goes wrong on the way."""

    choices: tuple[Choice, ...] = ()
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    pause: float = 0.0

    def __add__(self, other: Reply) -> Reply:
        """One message that says what both say. Only for replies of one choice that are complete."""
        if len(self.choices) != 1 or len(other.choices) != 1:
            raise ValueError("only replies of one message can be added; use choices(…) for several")
        mine, theirs = self.choices[0], other.choices[0]
        both = Choice(
            chunks=(*mine.chunks, *theirs.chunks),
            tool_calls=mine.tool_calls + theirs.tool_calls,
            refusal=mine.refusal + theirs.refusal,
            reasoning=mine.reasoning + theirs.reasoning,
            finish=theirs.finish or mine.finish,
        )
        return replace(self, choices=(both,), fault=self.fault or other.fault, pause=max(self.pause, other.pause))


def _pieces(whole: str, chunks: Iterable[str] | None, what: str) -> tuple[str, ...]:
    if chunks is None:
        # As a tokeniser would, about: a word with the space before it.
        words = whole.split(" ")
        return tuple(word if n == 0 else f" {word}" for n, word in enumerate(words)) if whole else ()
    pieces = tuple(chunks)
    if "".join(pieces) != whole:
        raise ValueError(f"the chunks of {what} do not add up to it")
    return pieces


def text(content: str, *, chunks: Iterable[str] | None = None, pause: float = 0.0, finish: str | None = None) -> Reply:
    """The model says `content`, streamed in `chunks` (by default word by word) with `pause` seconds between them."""
    return Reply(choices=(Choice(chunks=_pieces(content, chunks, "the text"), finish=finish),), pause=pause)


def tool_call(name: str, arguments: str | Mapping[str, Any], *, chunks: Iterable[str] | None = None) -> Reply:
    """The model asks for a tool. Arguments are JSON text as a model writes it, which need not be valid, or a mapping."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return Reply(choices=(Choice(tool_calls=(ToolCall(name, written, _pieces(written, chunks, "the arguments")),)),))


def refusal(content: str) -> Reply:
    """The model refuses to answer, in the protocol's own field."""
    return Reply(choices=(Choice(refusal=_pieces(content, None, "the refusal")),))


def reasoning(summary: str, *, chunks: Iterable[str] | None = None) -> Reply:
    """A reasoning summary that precedes the answer; only the Responses protocol shows it. Add it to a text."""
    return Reply(choices=(Choice(reasoning=_pieces(summary, chunks, "the summary")),))


def choices(*replies: Reply) -> Reply:
    """Several choices in one answer."""
    return replace(replies[0], choices=tuple(choice for reply in replies for choice in reply.choices))


def error(
    status: int,
    body: Mapping[str, Any] | str | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    code: str = "",
) -> Reply:
    """The provider answers with an error: `body` is a whole body, or the message of one, or left to us."""
    if not isinstance(body, Mapping):
        body = {
            "error": {
                "message": body or f"The model stand-in was told to answer {status}.",
                "type": _ERROR_TYPES.get(status, "server_error"),
                "param": None,
                "code": code or ("rate_limit_exceeded" if status == 429 else None),
            }
        }
    return Reply(status=status, body=dict(body), headers=dict(headers or {}))


def drop(*, after_chunks: int, reply: Reply | None = None) -> Reply:
    """The connection breaks once `after_chunks` pieces have been sent (or half of a body that is not streamed)."""
    return replace(reply or text("This answer never comes to its end."), fault=Fault("drop", after_chunks))


def malformed(*, after_chunks: int, reply: Reply | None = None) -> Reply:
    """After `after_chunks` pieces an event arrives that is no JSON (or a body that is none)."""
    return replace(reply or text("This answer turns into noise."), fault=Fault("malformed", after_chunks))


def stream_error(*, after_chunks: int, message: str = "The server had an error.", reply: Reply | None = None) -> Reply:
    """After `after_chunks` pieces the stream, which began with status 200, carries an error."""
    body = {"message": message, "type": "server_error", "param": None, "code": "server_error"}
    return replace(reply or text("This answer ends in an error."), fault=Fault("error", after_chunks, body))
