"""The client's `request`, sync and async, between intent and outcome."""

from __future__ import annotations

from typing import Any

from guardai import GuardError
from guardai.hooks import started
from guardai_openai.answer import ANSWER, Answer
from guardai_openai.request import Request
from guardai_openai.rewrite import rewritten
from guardai_openai.stream import governed_class

__all__ = ["arequest", "process_data", "request"]


def request(wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`SyncAPIClient.request`: once for each call, whatever it retries."""
    if not started():
        return wrapped(*args, **kwargs)
    asked = Request(client, *args, **kwargs)
    answer = Answer(asked.open())
    before = ANSWER.get()
    ANSWER.set(answer)
    try:
        result = wrapped(asked.cast_to, asked.options, stream=asked.stream, stream_cls=_stream_class(asked))
    except BaseException as exc:
        _failed(exc, answer, client)
        raise
    finally:
        answer.active = False
        ANSWER.set(before)
    return _settled(result, answer, client)


async def arequest(wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`AsyncAPIClient.request`; otherwise as `request`."""
    if not started():
        return await wrapped(*args, **kwargs)
    asked = Request(client, *args, **kwargs)
    answer = Answer(asked.open())
    before = ANSWER.get()
    ANSWER.set(answer)
    try:
        result = await wrapped(asked.cast_to, asked.options, stream=asked.stream, stream_cls=_stream_class(asked))
    except BaseException as exc:
        _failed(exc, answer, client)
        raise
    finally:
        answer.active = False
        ANSWER.set(before)
    return _settled(result, answer, client)


def process_data(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`BaseClient._process_response_data`: the JSON of an answer, on its way to become the client's own types."""
    answer = ANSWER.get()
    if answer is None or not answer.active:
        return wrapped(*args, **kwargs)  # of a response or a stream that was masked before
    return wrapped(*args, **{**kwargs, "data": answer.whole(kwargs["data"])})


def _failed(exc: BaseException, answer: Answer, client: Any) -> None:
    """A provider's error goes on as it is. The client's complaint about an answer must not carry the answer unmasked."""
    ticket = answer.ticket
    ticket.fail(exc)
    response = getattr(exc, "response", None)
    if ticket.enforcing and response is not None and getattr(response, "status_code", 500) < 400:
        shown: Any = exc
        shown.response = rewritten(response, answer, client)
        if isinstance(getattr(exc, "body", None), str):
            shown.body = shown.response.text


def _stream_class(asked: Request) -> Any:
    if not asked.stream:
        return asked.stream_cls
    chosen = asked.stream_cls
    if chosen is None:
        chosen = asked.client._default_stream_cls[asked.cast_to]
    return governed_class(chosen)


def _settled(result: Any, answer: Answer, client: Any) -> Any:
    """What the program gets. INVARIANT: an answer that nobody has shown to the gate until here is shown to it now."""
    ticket = answer.ticket
    if ticket.ended or answer.streamed:
        return result
    try:
        return _shown(result, answer, client)
    except GuardError:
        raise
    except Exception as exc:
        if ticket.enforcing:
            ticket.withhold(exc)
        ticket.close(None)
        return result


def _shown(result: Any, answer: Answer, client: Any) -> Any:
    if isinstance(result, str):
        return answer.text(result)
    if hasattr(result, "http_response"):
        result.http_response = rewritten(result.http_response, answer, client)
    elif hasattr(result, "iter_bytes") and hasattr(result, "status_code"):
        return rewritten(result, answer, client)
    elif hasattr(result, "iter_bytes") and hasattr(result, "response"):
        result.response = rewritten(result.response, answer, client)
    elif result is None or isinstance(result, (bool, int, float)):
        answer.ticket.close(None)
    else:
        raise TypeError(f"an answer of {type(result).__module__}.{type(result).__qualname__} cannot be inspected")
    return result
