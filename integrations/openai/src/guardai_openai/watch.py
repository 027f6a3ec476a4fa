"""A response's bytes, watched: helpers of the client close the response itself, behind their stream's back."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardai_openai.events import Events

__all__ = ["byte_streams", "watched"]


def watched(response: Any, events: Events) -> None:
    """Tells `events` when the response is closed."""
    stream = response.stream
    bases = tuple(base for base in byte_streams(response) if isinstance(stream, base))
    response.stream = _watching(bases)(stream, events)


def byte_streams(response: Any) -> tuple[Any, Any]:
    """The bases of byte streams, sync and async, in whichever HTTP library made the response."""
    for cls in type(response).__mro__:
        library: Any = sys.modules.get(cls.__module__.partition(".")[0])
        if hasattr(library, "SyncByteStream"):
            return library.SyncByteStream, library.AsyncByteStream
    raise TypeError(f"guardai does not know the HTTP library of {type(response).__module__}")


@cache
def _watching(bases: tuple[Any, ...]) -> Any:
    class Watching(*bases):  # type: ignore[misc]
        def __init__(self, stream: Any, events: Events) -> None:
            self._stream = stream
            self._events = events

        def __iter__(self) -> Iterator[bytes]:
            return iter(self._stream)

        def __aiter__(self) -> AsyncIterator[bytes]:
            stream: AsyncIterator[bytes] = aiter(self._stream)
            return stream

        def close(self) -> None:
            self._stream.close()
            self._events.stop()

        async def aclose(self) -> None:
            await self._stream.aclose()
            self._events.stop()

    return Watching
