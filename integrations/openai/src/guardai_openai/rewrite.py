"""Raw responses: whoever asks for the HTTP response itself gets one whose body has passed the gate.

`.text`, `.content`, `.json()`, `.iter_lines()` and `.parse()` all read that body, so there is one place to mask it and
nothing beside it. A body that has not been read yet stays unread: it is masked as it is read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from guardai.hooks import started
from guardai_openai.events import Events
from guardai_openai.sse import last_events, pass_events
from guardai_openai.watch import byte_streams

if TYPE_CHECKING:
    from guardai_openai.answer import Answer

__all__ = ["rewritten"]

_EVENTS = "text/event-stream"


def rewritten(response: Any, answer: Answer, client: Any) -> Any:
    """The response with a masked body; the same object if there was nothing to mask.

    Args:
        response: of whichever HTTP library the client uses.
        answer: what it answers.
        client: knows how its provider frames events.
    """
    kind = response.headers.get("content-type", "").lower()
    try:
        content = response.content
    except RuntimeError:  # not read yet
        return _remade(response, stream=_masked_stream(response, answer, client))
    if kind.startswith(_EVENTS):
        events = Events(answer.ticket)
        pieces = _pieces(events, client._make_sse_decoder().iter_bytes(iter([content])))
        passed = b"".join(pieces)
        events.end()
    else:
        passed = answer.body(kind, content, response.encoding or "utf-8")
    if passed is content:
        return response
    new = _remade(response, content=passed)
    try:
        new.elapsed = response.elapsed
    except RuntimeError:
        pass  # a response that nobody timed
    return new


def _remade(response: Any, **body: Any) -> Any:
    headers = response.headers.copy()
    for name in ("content-encoding", "content-length", "transfer-encoding"):
        headers.pop(name, None)  # they describe the bytes as they came
    new = type(response)(
        response.status_code,
        headers=headers,
        request=response.request,
        extensions=response.extensions,
        history=list(response.history),
        default_encoding=response.default_encoding,
        **body,
    )
    new.next_request = response.next_request
    return new


def _masked_stream(response: Any, answer: Answer, client: Any) -> Any:
    sync, asynchronous = byte_streams(response)
    base = sync if isinstance(response.stream, sync) else asynchronous
    return _masking(base)(response, answer, client)


def _framed(sse: Any) -> bytes:
    lines = [f"event: {sse.event}"] if sse.event else []
    lines += [f"id: {sse.id}"] if sse.id else []
    lines += [f"retry: {sse.retry}"] if sse.retry is not None else []
    lines.append(f"data: {sse.data or json.dumps(sse.json())}")
    return ("\n".join(lines) + "\n\n").encode()


def _pieces(events: Events, arriving: Iterator[Any]) -> Iterator[bytes]:
    for sse in arriving:
        for passed in pass_events(events, sse):
            yield _framed(passed)
    for passed in last_events(events):
        yield _framed(passed)


class _Body:
    """Reads a response's body through the gate."""

    def __init__(self, response: Any, answer: Answer, client: Any) -> None:
        self._response = response
        self._answer = answer
        self._client = client
        self._kind: str = response.headers.get("content-type", "").lower()
        self._encoding: str = response.encoding or "utf-8"
        self._events = Events(answer.ticket) if self._kind.startswith(_EVENTS) else None
        self._reading: Any = None

    def _whole(self, content: bytes) -> bytes:
        return self._answer.body(self._kind, content, self._encoding)

    def _failed(self, exc: BaseException) -> None:
        if self._events is not None:
            self._events.fail(exc)
        else:
            self._answer.ticket.fail(exc)

    def _stop(self) -> None:
        if self._events is not None:
            self._events.stop()
        elif not sys.is_finalizing() and started():
            self._answer.ticket.abandon()

    def __del__(self) -> None:
        self._stop()


@cache
def _masking(base: Any) -> Any:
    """The byte stream of a masked response; a class for each HTTP library, sync or async."""

    class Masking(_Body, base):  # type: ignore[misc]
        # One reading, whoever goes on with it: clients read on after a stream's last event to free the connection.

        def __iter__(self) -> Iterator[bytes]:
            reading: Iterator[bytes] = self._reading or self._read()
            self._reading = reading
            return reading

        def __aiter__(self) -> AsyncIterator[bytes]:
            reading: AsyncIterator[bytes] = self._reading or self._aread()
            self._reading = reading
            return reading

        def _read(self) -> Iterator[bytes]:
            arriving = self._response.iter_bytes()
            events = self._events
            try:
                if self._answer.unread(self._kind):
                    yield from arriving
                    self._whole(b"")
                elif events is None:
                    yield self._whole(b"".join(arriving))
                else:
                    yield from _pieces(events, self._client._make_sse_decoder().iter_bytes(arriving))
                    events.end()
            except GeneratorExit:
                self._stop()
                raise
            except BaseException as exc:
                self._failed(exc)
                raise

        async def _aread(self) -> AsyncIterator[bytes]:
            arriving = self._response.aiter_bytes()
            events = self._events
            try:
                if self._answer.unread(self._kind):
                    async for piece in arriving:
                        yield piece
                    self._whole(b"")
                elif events is None:
                    yield self._whole(b"".join([piece async for piece in arriving]))
                else:
                    async for sse in self._client._make_sse_decoder().aiter_bytes(arriving):
                        for passed in pass_events(events, sse):
                            yield _framed(passed)
                    for passed in last_events(events):
                        yield _framed(passed)
                    events.end()
            except GeneratorExit:
                self._stop()
                raise
            except BaseException as exc:
                self._failed(exc)
                raise

        def close(self) -> None:
            self._response.close()
            self._stop()

        async def aclose(self) -> None:
            await self._response.aclose()
            self._stop()

    return Masking
