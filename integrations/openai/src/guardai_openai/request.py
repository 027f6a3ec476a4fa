"""One request of the client, described as a governed call, and put back as policy lets it leave.

`options` is the client's own description of a request. INVARIANT: it is copied; retries and callers keep theirs.
"""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from guardai.hooks import Call, Target, Ticket, opened
from guardai_openai.body import Body, merged
from guardai_openai.opaque import AUDIO, FILE, IMAGE, RAW, returned
from guardai_openai.paths import put

__all__ = ["Request", "host_of"]

#: End of a path (a gateway or a deployment may stand before it) → verb. Whatever else there is, is an `http.request`.
_VERBS: Final = {
    "/chat/completions": "llm.generate",
    "/completions": "llm.generate",
    "/embeddings": "llm.embed",
    "/responses": "llm.generate",
}
#: A part of a path that names a thing rather than a kind of thing: an id, a name somebody chose.
_NAME: Final = re.compile(r"/[^/]*[^a-z_/][^/]*")
#: Headers that carry no content, or that carry the caller's credentials to the provider.
_HEADERS: Final = re.compile(
    r"(?i)accept|authorization|api-key|x-api-key|cookie|content-type|idempotency-key|openai-(beta|organization|project)"
    r"|x-stainless-(helper-method|poll-helper|custom-poll-interval|raw-response)"
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Request:
    """What the client is about to ask.

    Attributes:
        client: the client.
        cast_to: what the answer becomes.
        options: a copy, to be sent.
        stream: whether the answer comes as events.
        stream_cls: the class of the stream that the program gets.
        call: the same as the gate sees it.
    """

    __slots__ = ("_body", "_merged", "_parts", "call", "cast_to", "client", "options", "stream", "stream_cls")

    def __init__(
        self, client: Any, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None
    ) -> None:
        self.client = client
        self.cast_to = cast_to
        self.options = copy.copy(options)
        self.stream = stream
        self.stream_cls = stream_cls
        self._parts: dict[str, Any] = {}
        self._body: Body | None = None
        self._merged = False
        self.call = self._described()

    def open(self) -> Ticket:
        """Opens the call; afterwards `options` is what may leave.

        Raises:
            PolicyDenied, LedgerError: nothing was sent.
        """
        ticket = opened(self.call)
        payload = ticket.payload
        body, options = self._body, self.options
        parts = self._parts
        if parts:
            self._restore(payload)
            payload = payload["body"]
        if body is not None:
            put(payload, body.lifted)
        if self._merged:
            options.json_data = payload
            options.extra_json = None
        return ticket

    def _described(self) -> Call:
        options = self.options
        url = str(options.url)
        path = url.partition("?")[0]
        if "://" in path:
            path = path.partition("://")[2].partition("/")[2]
        path = "/" + path.strip("/")
        action = "http.request"
        if options.method.lower() == "post":
            action = next((verb for end, verb in _VERBS.items() if path.endswith(end)), action)
        opaque = self._files(path)
        payload = self._payload(opaque)
        self._collect(url, action)
        if self._parts:
            payload = {"body": payload, **self._parts}
        body = self._body.data if self._body is not None else None
        if action == "http.request":
            target = Target("host", self._host(url), _NAME.sub("/*", path)[1:])
        else:
            model = body.get("model") if isinstance(body, dict) else None
            target = Target("model", self._host(url), model if isinstance(model, str) else "")
        return Call(
            action,
            target,
            payload,
            opaque=tuple(sorted(opaque)),
            returns=returned(path, body, file=self._wants_bytes(), stream=self.stream),
        )

    def _payload(self, opaque: set[str]) -> Any:
        options = self.options
        if options.content is not None or isinstance(options.json_data, (bytes, bytearray)):
            opaque.add(RAW)
            return None
        data = merged(options.json_data, options.extra_json)
        if data is None:
            if options.extra_json is not None:
                opaque.add(RAW)  # the client raises when it tries to merge these
            return None
        self._merged = True
        try:
            self._body = Body(data)
        except RecursionError:  # nested deeper than anything that can be sent; the gate says what it thinks of it
            opaque.add(RAW)
            return data
        opaque |= self._body.labels
        return self._body.data

    def _files(self, path: str) -> set[str]:
        if not self.options.files:
            return set()
        if "/audio/" in path:
            return {AUDIO}
        return {IMAGE} if "/images/" in path else {FILE}

    def _wants_bytes(self) -> bool:
        cast_to = self.cast_to
        return isinstance(cast_to, type) and issubclass(
            cast_to, sys.modules["openai._legacy_response"].HttpxBinaryResponseContent
        )

    # ------------------------------------------------------------------ what else carries data

    def _collect(self, url: str, action: str) -> None:
        """Query, headers and path are ways out too."""
        options = self.options
        if options.params:
            omit = sys.modules["openai._types"].Omit
            self._parts["query"] = Body({k: v for k, v in options.params.items() if not isinstance(v, omit)}).data
        headers = options.headers
        if isinstance(headers, Mapping) and headers:
            said = {k: v for k, v in headers.items() if isinstance(v, str) and not _HEADERS.fullmatch(k)}
            if said:
                self._parts["headers"] = said
        if action == "http.request" and _NAME.search(url):
            self._parts["path"] = unquote(url)

    def _restore(self, payload: Any) -> None:
        options, parts = self.options, self._parts
        if "query" in parts and payload["query"] is not parts["query"]:
            options.params = {**options.params, **payload["query"]}
        if "headers" in parts and payload["headers"] is not parts["headers"]:
            options.headers = {**options.headers, **payload["headers"]}
        if "path" in parts and payload["path"] != parts["path"]:
            options.url = quote(payload["path"], safe="/:?&=%")

    def _host(self, url: str) -> str:
        """`api.openai.com`, `127.0.0.1:8080`: where the request really goes."""
        base = self.client.base_url
        if "://" in url:
            # Such a path replaces the base URL. The client's own parser says where to.
            absolute = type(base)(url)
            base = absolute if absolute.host else base
        return host_of(base)


def host_of(url: Any) -> str:
    """Host, and port unless it is the scheme's own."""
    host, port = url.host, url.port
    if ":" in host:
        host = f"[{host}]"
    return host if port is None or port == _DEFAULT_PORTS.get(url.scheme) else f"{host}:{port}"
