"""One client governed by itself, without patching the library: it becomes an instance of a subclass of its class.

Resources that it has handed out call its methods, so they are governed; copies made by `with_options` are of its class,
so they are governed too.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, Final

from guardai_openai.client import arequest, process_data, request

__all__ = ["governed", "governs_itself"]


_classes: dict[type, type] = {}
_lock: Final = threading.Lock()


def governs_itself(client: Any) -> bool:
    """Whether a client is of such a class. Patches leave it alone."""
    # A mark, no common base: an instance can only change to a class whose one base is its own.
    return getattr(client, "_guardai_governed", False) is True


def governed(client: Any) -> Any:
    """The client itself, governed from here on."""
    cls = type(client)
    if not governs_itself(client):
        with _lock:
            made = _classes.get(cls)
            if made is None:
                made = _classes[cls] = _made(cls)
        client.__class__ = made
    return client


def _made(cls: Any) -> type:
    def _process_response_data(self: Any, **kwargs: Any) -> Any:
        return process_data(super(made, self)._process_response_data, self, (), kwargs)

    def plain(self: Any, *args: Any, **kwargs: Any) -> Any:
        return request(super(made, self).request, self, args, kwargs)

    async def awaited(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await arequest(super(made, self).request, self, args, kwargs)

    names = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "_guardai_governed": True,
        "_process_response_data": _process_response_data,
        "request": awaited if issubclass(cls, sys.modules["openai._base_client"].AsyncAPIClient) else plain,
    }
    made: Any = type(cls.__name__, (cls,), names)
    return made  # type: ignore[no-any-return]
