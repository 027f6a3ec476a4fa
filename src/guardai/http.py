"""One POST within a time that is kept, whatever the server does: for sinks and anchors.

A socket's own timeout begins anew with every byte, so a server that sends one now and then could hold a request for ever:
when the time is over the socket is shut. No redirect is followed, no proxy is used, and of an answer no more is read than
an answer of this kind can have. A connection lives for one request: none is carried across a fork.
"""

from __future__ import annotations

import contextlib
import email.utils
import os
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from guardai.errors import ConfigError

__all__ = ["Answer", "NoAnswerError", "endpoint_of", "headers_from", "post", "retry_after"]

_MOST: Final = 1024 * 1024
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class NoAnswerError(Exception):
    """There was none; the message says why, without any part of the URL."""


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
    """Posts the body.

    Raises:
        NoAnswerError: there was no answer in time, or none that can be read.
    """
    made: list[socket.socket] = []
    late = threading.Event()

    def cut() -> None:
        late.set()
        for one in made:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    pool = _pool(url, made, late)
    with contextlib.suppress(RuntimeError):
        timer.start()  # when the interpreter ends no thread can be had; then the process ends with the request
    try:
        answer = _answer(pool, url, body, headers, seconds)
        if late.is_set():  # shut by us, which an answer without a length cannot be told from its end
            raise TimeoutError
        return answer
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as exc:
        raise NoAnswerError(_plain(exc, late=late.is_set())) from None
    finally:
        timer.cancel()
        pool.clear()
        for one in made:
            one.close()


def _answer(pool: urllib3.PoolManager, url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
    response = pool.request(
        "POST", url, body=body, headers=dict(headers), retries=False, redirect=False, preload_content=False,
        timeout=urllib3.Timeout(connect=seconds, read=seconds),
    )  # fmt: skip
    try:
        content = b""
        while len(content) <= _MOST and (chunk := response.read(_MOST + 1 - len(content), decode_content=True)):
            content += chunk
        if len(content) > _MOST:
            raise NoAnswerError("the server's answer is longer than an answer can be")
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, content)
    finally:
        response.close()


def _pool(url: str, made: list[socket.socket], late: threading.Event) -> urllib3.PoolManager:
    def noted(connection: socket.socket) -> socket.socket:
        # A duplicate: TLS takes the descriptor away from the socket that it wraps.
        made.append(connection.dup())
        if late.is_set():
            raise TimeoutError
        return connection

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return noted(super()._new_conn())

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return noted(super()._new_conn())

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Tls

    pool = urllib3.PoolManager(num_pools=1, maxsize=1)
    pools: dict[str, Any] = {"http": PlainPool, "https": TlsPool}
    pool.pool_classes_by_scheme = pools
    return pool


def endpoint_of(url: str, kind: str) -> str | None:
    """`https://host/path` of `kind+https://host/path`; None of anything else, also with a user, a query or a fragment."""
    scheme = url.partition(":")[0].removeprefix(f"{kind}+")
    try:
        parts = urlsplit(url)
        usable = parts.hostname and parts.port != 0 and not parts.fragment and not parts.query
    except ValueError:
        return None
    if not usable or parts.username is not None or scheme not in {"http", "https"}:
        return None
    return f"{scheme}://{parts.netloc}{parts.path}"


def headers_from(variable: str) -> dict[str, str]:
    """The headers that a variable names, `key=value,key2=value2`, percent-encoded as in W3C Baggage.

    Raises:
        ConfigError: it is not of that form. Nothing of it is told: it holds keys.
    """
    found: dict[str, str] = {}
    for pair in os.environ.get(variable, "").split(","):
        if pair.strip():
            name, separator, value = pair.partition("=")
            name, value = unquote(name.strip()).lower(), unquote(value.strip())
            if not separator or not _TOKEN.fullmatch(name) or not value.isprintable() or not value.isascii():
                raise ConfigError(f"{variable} is not of the form key=value,key2=value2 with percent-encoded values")
            found[name] = value
    return found


def retry_after(answer: Answer) -> float | None:
    """Seconds that `Retry-After` asks for (RFC 9110, 10.2.3: a number, or a date); None if it does not, or says nonsense."""
    given = answer.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return float(given[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _plain(exc: Exception, *, late: bool) -> str:
    refused = isinstance(exc, urllib3.exceptions.NewConnectionError)  # which counts as a timeout there
    if late or (isinstance(exc, (urllib3.exceptions.TimeoutError, TimeoutError)) and not refused):
        return "no answer in time"
    reason: BaseException | None = exc
    while reason is not None:
        if isinstance(reason, OSError) and reason.strerror:
            return f"no connection: {reason.strerror}"
        reason = reason.__cause__ or reason.__context__
    return f"no answer that can be read ({type(exc).__name__})"
