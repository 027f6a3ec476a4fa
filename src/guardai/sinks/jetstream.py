"""`nats://host:4222/subject` and `nats+tls://…`: each event as a message of NATS JetStream, acknowledged by its stream.

The stream has to be there and take the subject; guardai makes none, because how long it keeps what is a matter of its
owner. `Nats-Msg-Id` is the event's id, so within the stream's duplicate window an event that comes again is not there twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from guardai.errors import ConfigError, SinkError, SinkRefused
from guardai.model import shown

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js.client import JetStreamContext

__all__ = ["JetStreamSink"]

_SUBJECT: Final = re.compile(r"[^\s.*>\x00]+(\.[^\s.*>\x00]+)*")
_PORT: Final = 4222
#: "message size exceeds maximum allowed", of the stream.
_TOO_LARGE: Final = 10054
#: At the end of a delivery's time: to say goodbye in.
_GOODBYE: Final = 1.0


class JetStreamSink:
    """Publishes to a subject and waits for every acknowledgement. One connection a batch."""

    def __init__(self, url: str) -> None:
        try:
            import nats  # noqa: F401
        except ImportError as exc:
            raise ConfigError("nats sinks need nats-py: pip install 'guardai-sdk[nats]'") from exc
        try:
            parts = urlsplit(url)
            usable = parts.hostname and parts.port != 0 and not parts.query and not parts.fragment
        except ValueError:
            usable = False
        subject = unquote(parts.path[1:]) if usable else ""
        if not usable or parts.scheme not in {"nats", "nats+tls"} or not _SUBJECT.fullmatch(subject):
            raise ConfigError(f"{shown(url)} is no subject: write nats://host:4222/subject or nats+tls://host/subject")
        self._subject = subject
        self._encrypted = parts.scheme == "nats+tls"
        self._host, self._port = str(parts.hostname), parts.port or _PORT
        self._user = unquote(parts.username) if parts.username is not None else None
        self._password = unquote(parts.password) if parts.password is not None else None

    def deliver(self, events: Sequence[bytes], *, seconds: float = 30.0) -> None:
        """Publishes the events, and returns when the stream has all of them.

        Raises:
            SinkRefused: one is too large for the server or the stream.
            SinkError: they are not all there.
        """
        try:
            asyncio.run(asyncio.wait_for(self._publish(events, seconds), seconds))
        except TimeoutError:
            raise SinkError("not acknowledged in time") from None

    async def _publish(self, events: Sequence[bytes], seconds: float) -> None:
        client = await self._connected(seconds)
        try:
            await self._acknowledged(client.jetstream(), events, seconds)
        finally:
            await _closed(client)

    async def _acknowledged(self, stream: JetStreamContext, events: Sequence[bytes], seconds: float) -> None:
        names = [msgspec.json.decode(event, type=_Named).id for event in events]
        # Tasks begin in the order in which they are made, so the messages leave in order. (`publish_async` would do the
        # same with less; in nats-py 2.16 an error of the stream never reaches whoever waits for it.)
        told = await asyncio.gather(
            *(
                stream.publish(self._subject, event, timeout=seconds, headers={"Nats-Msg-Id": name})
                for event, name in zip(events, names, strict=True)
            ),
            return_exceptions=True,
        )
        failed = [one for one in told if isinstance(one, BaseException)]
        # What may pass comes first: as long as anything else is wrong nothing is given up.
        for exc in failed:
            if not _too_large(exc):
                raise SinkError(f"not stored: {_plain(exc)}") from None
        if failed:
            raise SinkRefused("it is larger than the stream or its server takes")

    async def _connected(self, seconds: float) -> Client:
        client, seen = _client(encrypted=self._encrypted)(), []

        async def note(exc: Exception) -> None:
            seen.append(exc)  # the library's own way is to log it with a traceback

        token = self._user if self._password is None else None
        try:
            await client.connect(
                self._addresses(), tls_hostname=self._host, dont_randomize=True, allow_reconnect=False,
                max_reconnect_attempts=1, reconnect_time_wait=0, connect_timeout=max(1, int(seconds / 3)), error_cb=note,
                name="guardai", token=token, user=self._user if self._password is not None else None, password=self._password,
            )  # fmt: skip
        except BaseException as exc:
            await _closed(client)
            if isinstance(exc, Exception):
                raise SinkError(f"no connection: {_plain(seen[0] if seen else exc)}") from None
            raise
        return client

    def _addresses(self) -> list[str]:
        """What the host's name stands for. asyncio would ask in a thread, and when the interpreter ends none can be had."""
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        hosts = dict.fromkeys(str(address[0]) for *_, address in found)
        scheme = "tls" if self._encrypted else "nats"
        return [f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._port}" for host in hosts]


def _client(*, encrypted: bool) -> type[Client]:
    """The library's client. SECURITY INVARIANT: where TLS was asked for, a server that offers none is told nothing.

    By itself the library encrypts only where the server asks for it, and whoever is in between can leave that out.
    """
    from nats.aio.client import Client
    from nats.errors import Error

    class Careful(Client):
        async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002
            if encrypted and not info.get("tls_required"):
                raise Error("the server offers no TLS")
            await super()._process_info(info, initial_connection)

    return Careful


async def _closed(client: Client) -> None:
    """Closes what may be half open; it is not waited for long (a handshake that failed never ends in asyncio)."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(client.close(), _GOODBYE)


class _Named(msgspec.Struct):
    id: str


def _too_large(exc: BaseException) -> bool:
    """Whether it is the event that is wrong, to the server or to the stream."""
    from nats.errors import MaxPayloadError
    from nats.js.errors import APIError

    return isinstance(exc, MaxPayloadError) or (isinstance(exc, APIError) and exc.err_code == _TOO_LARGE)


def _plain(exc: BaseException) -> str:
    """What may be said of it: in our words, in a number of the server's, or its kind."""
    from nats.js.errors import APIError, NoStreamResponseError

    if isinstance(exc, NoStreamResponseError):
        return "no stream takes the subject"
    if isinstance(exc, APIError):
        return f"{type(exc).__name__} {exc.err_code}"
    text = str(exc).lower()
    for words, told in (("authorization", "not authorized"), ("no tls", "the server offers no TLS")):
        if words in text:
            return told
    if isinstance(exc, OSError) and exc.errno is not None and exc.errno > 0:
        return os.strerror(exc.errno)  # asyncio's own words are of addresses
    return getattr(exc, "strerror", None) or type(exc).__name__
