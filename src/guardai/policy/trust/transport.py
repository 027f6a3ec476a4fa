"""How files are fetched from a server: within a time, without redirects, and never more than was asked for.

SECURITY INVARIANT: a fetch ends when its time is over, whatever the server does. A timeout of a socket is no such limit: a
server that sends one byte at a time holds a reader for as long as it likes. So a watchdog shuts the sockets.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass, url2pathname

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient import FetcherInterface
from urllib3.connection import HTTPConnection, HTTPSConnection

from guardai._version import __version__
from guardai.policy.trust.plain import opened as opened_plain
from guardai.settings import is_loopback

__all__ = ["Files", "Http", "opened"]

_CHUNK: Final = 64 * 1024
#: Seconds for a connection, and between two bytes; the whole has its own limit.
_SOCKET: Final = 10.0


@contextlib.contextmanager
def opened(url: str, seconds: float) -> Iterator[FetcherInterface]:
    """What fetches from this URL for so many seconds altogether."""
    if url.startswith("file:"):
        yield Files()
        return
    fetcher = Http(url, seconds)
    try:
        yield fetcher
    finally:
        fetcher.close()


class Files(FetcherInterface):
    """Reads a repository that is a folder: on a mounted share, say."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(url2pathname(urlsplit(url).path))
        try:
            # What is no plain file (a pipe, a device) could keep us waiting or never end.
            fd = opened_plain(path)
        except FileNotFoundError:
            raise DownloadHTTPError(f"{path}: no such file", 404) from None
        except OSError as error:
            raise DownloadError(f"{path}: {error.strerror}") from None
        with os.fdopen(fd, "rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk


class Http(FetcherInterface):
    """Fetches over HTTP.

    Args:
        url: of the repository.
        seconds: for everything that is fetched with it.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._late = False
        self._until = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._response: urllib3.BaseHTTPResponse | None = None
        self._pool = self._manager(url)
        self._watchdog = threading.Timer(seconds, self._cut)
        self._watchdog.daemon = True
        self._watchdog.start()

    def close(self) -> None:
        """Ends every connection."""
        self._watchdog.cancel()
        if self._response is not None:  # whoever had enough of it does not read it to its end
            self._response.close()
        self._pool.clear()
        for one in self._sockets:
            one.close()

    def _fetch(self, url: str) -> Iterator[bytes]:
        left = self._until - time.monotonic()
        if left <= 0 or self._late:
            raise SlowRetrievalError("its time was over")
        timeout = urllib3.Timeout(connect=min(_SOCKET, left), read=min(_SOCKET, left))
        try:
            # `retries=False` follows no redirect: one could lead from https to anywhere.
            response = self._response = self._pool.request(
                "GET", url, preload_content=False, retries=False, timeout=timeout
            )
            try:
                if response.status != 200:
                    why = f"the server answers {response.status}"
                    if 300 <= response.status < 400:
                        why += "; redirects are not followed, give the URL that it leads to"
                    raise DownloadHTTPError(why, response.status)
                while chunk := response.read1(_CHUNK, decode_content=False):
                    yield chunk
            finally:
                response.close()
        except DownloadError:
            raise
        except urllib3.exceptions.TimeoutError as error:
            raise SlowRetrievalError("the server did not answer in time") from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if self._late:
                raise SlowRetrievalError("the server is too slow") from error
            raise DownloadError(_plain(error)) from error
        if self._late:  # shut by the watchdog, which an answer without a length cannot be told from its end
            raise SlowRetrievalError("the server is too slow")

    def _cut(self) -> None:
        self._late = True
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _watched(self, made: socket.socket) -> socket.socket:
        # A duplicate: TLS takes the descriptor away from the socket that it wraps.
        self._sockets.append(made.dup())
        if self._late:
            self._cut()
        return made

    def _manager(self, url: str) -> urllib3.PoolManager:
        watched = self._watched

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return watched(super()._new_conn())

        class Tls(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return watched(super()._new_conn())

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class TlsPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Tls

        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = getproxies().get(parts.scheme)
        headers = {"User-Agent": f"guardai/{__version__}", "Accept-Encoding": "identity"}
        common: dict[str, Any] = {"num_pools": 2, "maxsize": 1, "headers": headers}
        if proxy and not is_loopback(host) and not proxy_bypass(host):
            made: urllib3.PoolManager = urllib3.ProxyManager(proxy, proxy_headers=_who(proxy), **common)
        else:
            made = urllib3.PoolManager(**common)
        made.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
        return made


def _who(proxy: str) -> dict[str, str]:
    """The user and password of a proxy's URL, which urllib3 does not read out of it."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    return dict(urllib3.make_headers(proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}"))


def _plain(error: Exception) -> str:
    """What went wrong, without the object addresses that urllib3 writes into its messages."""
    said = str(error)
    return said.rpartition(">: ")[2] or type(error).__name__
