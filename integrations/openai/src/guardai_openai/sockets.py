"""WebSockets of the client: they go round its `request`, and what passes through them is not inspected.

So they are named for what they are, unreadable in both directions, when the program asks for one: where policy does not
reveal `opaque.raw` to the model and to the reader, nothing is connected.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from guardai.hooks import Call, Hooks, Target, opened, started
from guardai_openai.opaque import RAW
from guardai_openai.request import host_of

__all__ = ["install"]

#: Modules of resources with a `connect`. Not every major has all of them; they are imported when the program uses them.
_MODULES: Final = (
    "openai.resources.beta.realtime.realtime",
    "openai.resources.beta.responses.responses",
    "openai.resources.live.forks",
    "openai.resources.live.live",
    "openai.resources.live.sideband",
    "openai.resources.realtime.realtime",
    "openai.resources.realtime.translations.translations",
    "openai.resources.responses.responses",
)


def install(hooks: Hooks, governs: Callable[[Any], bool]) -> None:
    """Puts the question before every `connect`.

    Args:
        hooks: makes the patches, as the modules are imported.
        governs: whether a client's sockets are to be governed.
    """

    def connect(wrapped: Any, resource: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        client = resource._client
        if started() and governs(client):
            model = kwargs.get("model")
            call = Call(
                "llm.generate",
                Target("model", _host(client), model if isinstance(model, str) else ""),
                opaque=(RAW,),
                returns=(RAW,),
            )
            # What is permitted passes unseen; the event says that a socket was opened, and that is all that is known.
            opened(call).close(None)
        return wrapped(*args, **kwargs)

    def imported(module: ModuleType) -> None:
        for name, found in list(vars(module).items()):
            if isinstance(found, type) and found.__module__ == module.__name__ and "connect" in vars(found):
                hooks.wrap(f"{module.__name__}:{name}.connect", connect)

    for name in _MODULES:
        hooks.when_imported(name, imported)


def _host(client: Any) -> str:
    url = getattr(client, "websocket_base_url", None)
    return host_of(client.base_url if url is None else type(client.base_url)(str(url)))
