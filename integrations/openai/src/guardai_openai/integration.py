"""The integration `openai`: what is patched, and what is left alone."""

from __future__ import annotations

import sys
from typing import Any

from guardai.hooks import Hooks
from guardai_openai import sockets
from guardai_openai.client import arequest, process_data, request
from guardai_openai.one import governed, governs_itself

__all__ = ["OpenAIIntegration"]

_BASE = "openai._base_client"


class OpenAIIntegration:
    """Every HTTP request of every client: resources, helpers, raw responses and copies all end in `request`."""

    name = "openai"
    library = "openai"
    targets = ("openai",)
    versions = ">=2.45,<4"

    def __init__(self) -> None:
        #: The patches of sockets for clients that were wrapped one by one.
        self._wrapped: Hooks | None = None

    def install(self, hooks: Hooks) -> None:
        """Wraps the transport's methods: clients built before, their cached resources and their copies are covered."""
        hooks.wrap(f"{_BASE}:SyncAPIClient.request", _request)
        hooks.wrap(f"{_BASE}:AsyncAPIClient.request", _arequest)
        hooks.wrap(f"{_BASE}:BaseClient._process_response_data", _process_data)
        sockets.install(hooks, lambda client: not governs_itself(client))

    def uninstall(self, hooks: Hooks) -> None:  # noqa: ARG002 - the protocol's signature
        """Streams that are open end by themselves; wrapped clients pass through, because no gate is started."""
        if self._wrapped is not None:
            self._wrapped.undo()
            self._wrapped = None

    def wrap(self, obj: Any, hooks: Hooks) -> Any | None:
        """One client, governed; itself, if all of them are."""
        base = sys.modules.get(_BASE)
        if base is None or not isinstance(obj, (base.SyncAPIClient, base.AsyncAPIClient)):
            return None
        if hooks.active and hooks.patches:
            return obj
        if self._wrapped is None:
            self._wrapped = Hooks()
            sockets.install(self._wrapped, governs_itself)
        return governed(obj)


def _request(wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if governs_itself(client):
        return wrapped(*args, **kwargs)
    return request(wrapped, client, args, kwargs)


async def _arequest(wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if governs_itself(client):
        return await wrapped(*args, **kwargs)
    return await arequest(wrapped, client, args, kwargs)


def _process_data(wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if governs_itself(client):
        return wrapped(*args, **kwargs)
    return process_data(wrapped, client, args, kwargs)
