"""Streams: real subclasses of what the program asked for, whose events pass the gate.

The client is given a subclass in place of its stream class, so `isinstance` holds, helpers and context managers work, and
the stream stays as lazy as it was.
"""

from __future__ import annotations

import threading
import typing
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from guardai_openai.answer import ANSWER
from guardai_openai.events import Events
from guardai_openai.rewrite import rewritten
from guardai_openai.sse import last_events, pass_events
from guardai_openai.watch import watched

__all__ = ["governed_class"]


class _Owned:
    """A stream with the events of its ticket."""

    #: None for a stream over a response that has been masked already.
    _guardai: Events | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        answer = ANSWER.get()
        super().__init__(*args, **kwargs)
        if answer is not None and answer.active and not answer.streamed:
            answer.streamed = True
            self._guardai = Events(answer.ticket)
            watched(self.response, self._guardai)  # type: ignore[attr-defined]

    def __del__(self) -> None:
        if self._guardai is not None:
            self._guardai.stop()


class Governed(_Owned):
    """Goes in front of `openai.Stream` or a subclass of it.

    INVARIANT: the ticket ends however the stream ends: read out, failed, closed early, dropped, never begun.
    """

    def _iter_events(self) -> Iterator[Any]:
        events = self._guardai
        if events is None:
            yield from super()._iter_events()  # type: ignore[misc]
            return
        for sse in super()._iter_events():  # type: ignore[misc]
            yield from pass_events(events, sse)
        yield from last_events(events)

    def __stream__(self) -> Iterator[Any]:
        events = self._guardai
        if events is None:
            yield from super().__stream__()  # type: ignore[misc]
            return
        events.busy = True
        try:
            for item in super().__stream__():  # type: ignore[misc]
                events.busy = False
                yield item
                events.busy = True
        except GeneratorExit:
            events.busy = False
            events.stop()
            raise
        except BaseException as exc:
            events.busy = False
            events.fail(exc)
            raise
        events.busy = False
        events.end()

    def close(self) -> None:
        super().close()  # type: ignore[misc]
        if self._guardai is not None:
            self._guardai.stop()


class AsyncGoverned(_Owned):
    """The same in front of `openai.AsyncStream`."""

    async def _iter_events(self) -> AsyncIterator[Any]:
        events = self._guardai
        if events is None:
            async for sse in super()._iter_events():  # type: ignore[misc]
                yield sse
            return
        async for sse in super()._iter_events():  # type: ignore[misc]
            for passed in pass_events(events, sse):
                yield passed
        for passed in last_events(events):
            yield passed

    async def __stream__(self) -> AsyncIterator[Any]:
        events = self._guardai
        items = super().__stream__()  # type: ignore[misc]
        if events is None:
            async for item in items:
                yield item
            return
        events.busy = True
        try:
            async for item in items:
                events.busy = False
                yield item
                events.busy = True
        except GeneratorExit:
            events.busy = False
            events.stop()
            await items.aclose()
            raise
        except BaseException as exc:
            events.busy = False
            events.fail(exc)
            raise
        events.busy = False
        events.end()

    async def close(self) -> None:
        await super().close()  # type: ignore[misc]
        if self._guardai is not None:
            self._guardai.stop()


class Reread:
    """Goes in front of a stream class of the program's own, which may read the response in its own way.

    So what it reads has passed the gate already.
    """

    def __init__(self, *, response: Any, client: Any, **kwargs: Any) -> None:
        answer = ANSWER.get()
        if answer is not None and answer.active and not answer.streamed:
            answer.streamed = True
            response = rewritten(response, answer, client)
        super().__init__(response=response, client=client, **kwargs)  # type: ignore[call-arg]


_classes: dict[type, Any] = {}
_lock: Final = threading.Lock()


def governed_class(stream_cls: Any) -> Any:
    """The governed subclass of a stream class (or of `Stream[T]`), made once for each class."""
    origin = typing.get_origin(stream_cls) or stream_cls
    made = _classes.get(origin)
    if made is None:
        with _lock:
            made = _classes.get(origin)
            if made is None:
                made = _classes[origin] = _made(origin)
    args = typing.get_args(stream_cls)
    return made[args] if args else made


def _made(origin: type) -> Any:
    import openai

    if not issubclass(origin, (openai.Stream, openai.AsyncStream)):
        return origin  # the client will not have it; if ever it does, its answer is withheld
    names: dict[str, Any] = {
        "__module__": origin.__module__,
        "__qualname__": origin.__qualname__,
        "__doc__": origin.__doc__,
    }
    # The client reads the type of the chunks from here: of the generic base, never of the mixin.
    if origin in (openai.Stream, openai.AsyncStream):
        names["__orig_bases__"] = (origin[origin.__parameters__],)  # type: ignore[index, attr-defined]
    elif hasattr(origin, "__orig_bases__"):
        names["__orig_bases__"] = origin.__orig_bases__
    mixin: type = AsyncGoverned if issubclass(origin, openai.AsyncStream) else Governed
    if origin.__module__.partition(".")[0] != "openai":
        mixin = Reread
    return type(origin.__name__, (mixin, origin), names)
