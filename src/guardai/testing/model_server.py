"""A model that follows a script: the OpenAI protocol over real HTTP on loopback, for tests and for the demo.

::

    with ModelServer([tool_call("run_sql", {"query": "SELECT 1"}), text("One.")]) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="anything")
        …
        assert "@" not in server.requests[1].text       # what REALLY arrived at the model

It speaks `/v1/chat/completions` and `/v1/responses` (JSON and server-sent events, tool calls, several choices),
`/v1/embeddings`, `/v1/models` and `/v1/moderations`; it refuses what the real API refuses; and it breaks on request:
error answers, dropped connections, events that are no JSON, errors inside a stream, slow pieces. It is a real server
because a mocked transport hides what matters here: keep-alive, chunking, retries, and which bytes left the process.

It does not speak audio, images, files, realtime or batches: those answer 404, as an unknown path does.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from guardai.testing.wire.chat import Piece, completion, completion_stream
from guardai.testing.wire.checks import (
    BadRequestError,
    check_chat,
    check_embeddings,
    check_moderations,
    check_responses,
)
from guardai.testing.wire.ids import Ids
from guardai.testing.wire.reply import (
    Choice,
    Fault,
    Reply,
    choices,
    drop,
    error,
    malformed,
    reasoning,
    refusal,
    stream_error,
    text,
    tool_call,
)
from guardai.testing.wire.request import Request
from guardai.testing.wire.responses import calls_of, response, response_stream
from guardai.testing.wire.vectors import embeddings, models, moderations

__all__ = [
    "ModelServer",
    "Reply",
    "Request",
    "Script",
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

Answer = Reply | str | Iterator[str]
Script = Callable[[Request], Answer] | Sequence[Reply | str]

_CHAT: Final = "/v1/chat/completions"
_RESPONSES: Final = "/v1/responses"
_EMBEDDINGS: Final = "/v1/embeddings"
_MODERATIONS: Final = "/v1/moderations"
_MODELS: Final = "/v1/models"
_POSTS: Final = (_CHAT, _RESPONSES, _EMBEDDINGS, _MODERATIONS)
#: How long a stop waits for handlers; they end at once because their sockets are closed under them.
_STOP_SECONDS: Final = 5.0
#: How often the accepting loop looks whether it should stop.
_POLL_SECONDS: Final = 0.02


class ModelServer:
    """A scripted model on 127.0.0.1, at a free port, from `__enter__` to `__exit__`.

    Attributes:
        requests: everything that arrived, in order of arrival, refused requests included. Read it, do not write it.
    """

    def __init__(
        self,
        script: Script = (),
        *,
        fault: Callable[[Request], Reply | None] | None = None,
        models: Iterable[str] = ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small"),
    ) -> None:
        """Makes a server that is not running yet.

        Args:
            script: what chat and Responses requests are answered with: a function of the request, or replies to be
                used in order (when they are used up the answer is an error that says so). A function may return a
                Reply, a plain string, or an iterator of strings, which is streamed as it yields.
            fault: asked first, about every request; what it returns is answered instead. For errors of the other
                endpoints.
            models: what `/v1/models` lists. Any model name is accepted.
        """
        self.requests: list[Request] = []
        self._models = tuple(models)
        self._fault = fault
        self._script: Callable[[Request], Answer] = script if callable(script) else _in_order(script)
        self._ids = Ids()
        self._earlier: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()
        self._http: _HTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """What a client takes as its base URL: `http://127.0.0.1:<port>/v1`."""
        if self._http is None:
            raise RuntimeError("the model server is not running: use it in a `with` block")
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._http = _HTTPServer(self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(_POLL_SECONDS,), name="model-server", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is None or self._thread is None:
            return
        self._http.shutdown()
        self._thread.join(_STOP_SECONDS)
        self._http.stop()
        self._http = self._thread = None

    def _answer(self, request: Request) -> Reply | dict[str, Any] | Iterator[Piece]:
        """What to send: a body, the pieces of a stream, or a reply that carries a status or a fault.

        Raises:
            BadRequestError: the real API would refuse the request.
        """
        if self._fault is not None and (broken := self._fault(request)) is not None:
            return broken
        if request.method == "GET" and request.path == _MODELS:
            return models(self._models)
        if request.method != "POST" or request.path not in _POSTS:
            raise BadRequestError(f"Invalid URL ({request.method} {request.path})", status=404)
        kind = request.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise BadRequestError(
                f"Unsupported content type: '{kind}'. This API method only accepts 'application/json'."
            )
        if request.path == _EMBEDDINGS:
            check_embeddings(request.body)
            return embeddings(request)
        if request.path == _MODERATIONS:
            check_moderations(request.body)
            return moderations(request, self._ids)
        if request.path == _CHAT:
            check_chat(request.body)
        else:
            check_responses(request.body, self._earlier)
        with self._lock:
            scripted = self._script(request)
        if isinstance(scripted, Reply):
            return scripted
        return Reply(choices=(Choice(chunks=(scripted,) if isinstance(scripted, str) else scripted),))

    def _body(self, request: Request, reply: Reply) -> dict[str, Any]:
        if request.path == _CHAT:
            return completion(request, reply, self._ids)
        body = response(request, reply, self._ids)
        self._earlier[body["id"]] = calls_of(body)
        return body

    def _pieces(self, request: Request, reply: Reply) -> Iterator[Piece]:
        if request.path == _CHAT:
            yield from completion_stream(request, reply, self._ids)
            return
        for piece in response_stream(request, reply, self._ids):
            if piece.event == "response.completed":
                self._earlier[piece.data["response"]["id"]] = calls_of(piece.data["response"])
            yield piece


def _in_order(replies: Sequence[Reply | str]) -> Callable[[Request], Answer]:
    left = iter(tuple(replies))

    def script(request: Request) -> Answer:
        del request
        try:
            return next(left)
        except StopIteration:
            # No 500: clients try that again, and the test would only be slower.
            return error(400, f"The script of the model stand-in is at its end after {len(replies)} replies.")

    return script


class _HTTPServer(ThreadingHTTPServer):
    """The sockets. It remembers open connections, so that a stop leaves no thread and no socket behind."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, model: ModelServer) -> None:
        self.model = model
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event here: tests do it all the time."""

    def stop(self) -> None:
        self.server_close()
        with self._guard:
            left = dict(self._open)
        for connection, thread in left.items():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(_STOP_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, asks the model, writes answers."""

    protocol_version = "HTTP/1.1"
    # Small writes and delayed acknowledgements cost 40 ms each otherwise.
    disable_nagle_algorithm = True
    server: _HTTPServer

    def log_message(self, *args: Any) -> None:
        """Says nothing: what arrived is in `ModelServer.requests`."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        try:
            request = self._read()
            answer = self.server.model._answer(request)
        except BadRequestError as refused:
            self._json(refused.body, refused.status)
        except Exception as cause:
            body = {"message": f"The script of the model stand-in raised {cause!r}.", "type": "script_error"}
            self._json({"error": body | {"param": None, "code": None}}, 400)
        else:
            self._send(request, answer)

    def _read(self) -> Request:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = Request(
            method=self.command,
            path=urlsplit(self.path).path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body={},
            raw=raw,
        )
        problem = None
        if raw:
            try:
                body = json.loads(raw)
            except (ValueError, RecursionError):
                problem = BadRequestError("We could not parse the JSON body of your request.")
            else:
                if isinstance(body, dict):
                    request.body.update(body)
                else:
                    problem = BadRequestError("The JSON body of your request is no object.")
        self.server.model.requests.append(request)
        if problem is not None:
            raise problem
        if not request.headers.get("authorization", "").startswith("Bearer "):
            raise BadRequestError("You didn't provide an API key.", code="invalid_api_key", status=401)
        return request

    def _send(self, request: Request, answer: Reply | dict[str, Any] | Iterator[Piece]) -> None:
        model = self.server.model
        if isinstance(answer, dict):
            self._json(answer)
        elif isinstance(answer, Reply) and not answer.choices:
            self._json(answer.body, answer.status, dict(answer.headers))
        elif isinstance(answer, Reply) and request.stream:
            self._events(model._pieces(request, answer), answer, done=request.path == _CHAT)
        elif isinstance(answer, Reply):
            self._json(model._body(request, answer), headers=dict(answer.headers), fault=answer.fault)

    def _json(
        self, body: Any, status: int = 200, headers: dict[str, str] | None = None, fault: Fault | None = None
    ) -> None:
        written = json.dumps(body).encode()
        if fault is not None and fault.kind == "malformed":
            written = written[: len(written) // 2]
        if fault is not None and fault.kind == "error":
            status, written = 500, json.dumps({"error": fault.body}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(written)))
        self._common(headers or {})
        if fault is not None and fault.kind == "drop":
            self.wfile.write(written[: len(written) // 2])
            self._break()
            return
        self.wfile.write(written)

    def _events(self, pieces: Iterator[Piece], reply: Reply, *, done: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self._common(dict(reply.headers))
        fault, sent = reply.fault, 0
        for piece in pieces:
            if fault is not None and piece.counts and sent >= fault.after:
                break
            if piece.counts:
                sent += 1
                if reply.pause and sent > 1:
                    time.sleep(reply.pause)
            self._event(piece.event, json.dumps(piece.data, ensure_ascii=False))
        if fault is not None:
            if fault.kind == "drop":
                self._break()
                return
            if fault.kind == "malformed":
                self._event("", '{"id": "chatcmpl-')
            else:
                self._event("error", json.dumps({"error": fault.body}))
        elif done:
            self._event("", "[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, name: str, data: str) -> None:
        written = (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()
        # One write is one packet: a reader sees an event whole, and each by itself.
        self.wfile.write(b"%x\r\n%b\r\n" % (len(written), written))

    def _common(self, headers: dict[str, str]) -> None:
        self.send_header("openai-version", "2020-10-01")
        self.send_header("x-request-id", self.server.model._ids("req_"))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _break(self) -> None:
        """The connection is gone, in the middle of what was promised."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
