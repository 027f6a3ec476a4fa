"""How files are fetched from a server: within a time, without redirects, and never more than was asked for.

SECURITY INVARIANT: a fetch from a server ends when its time is over, or when it is stopped, whatever the server, its name's servers or the network do.
A timeout of a socket is no such limit: a server that sends one byte at a time holds a reader for as long as it likes, and each
address of a name has a timeout of its own. So a thread watches the time and shuts the sockets.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - looks up a host's name; a child that is forked while a thread imports has half a module for ever
import io
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass, url2pathname

import urllib3
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    SlowRetrievalError,
)
from tuf.ngclient import FetcherInterface
from urllib3.connection import HTTPConnection, HTTPSConnection

from guardai._version import __version__
from guardai.policy.trust.archive import MAX_BYTES
from guardai.policy.trust.clock import Limit
from guardai.policy.trust.reading import opened as opened_plain
from guardai.settings import is_loopback

__all__ = ["Files", "Http", "opened"]

_CHUNK: Final = 64 * 1024
#: Seconds for a connection, and between two bytes; the whole has its own limit.
_SOCKET: Final = 10.0
#: Seconds between two looks at whether it is over.
_LOOK: Final = 0.05


@contextlib.contextmanager
def opened(url: str, seconds: float, stopped: threading.Event | None = None) -> Iterator[FetcherInterface]:
    """What fetches from this URL for so many seconds altogether, or until it is stopped."""
    if url.startswith("file:"):
        yield Files()
        return
    fetcher = Http(url, seconds, stopped or threading.Event())
    try:
        yield fetcher
    finally:
        fetcher.close()


class _InMemory(FetcherInterface):
    """Fetches into memory. tuf's own way is a temporary file, in whichever folder of the machine there may be room for one."""

    @contextlib.contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        most = min(max_length, MAX_BYTES)  # a thief who signs can promise any length
        got = io.BytesIO()
        for chunk in self.fetch(url):
            if got.tell() + len(chunk) > most:
                raise DownloadLengthMismatchError(f"more than {most} bytes")
            got.write(chunk)
        got.seek(0)
        yield got


class Files(_InMemory):
    """Reads a repository that is a folder. On a network drive it takes as long as the operating system lets it take."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(url2pathname(urlsplit(url).path))
        try:
            # What is no plain file (a pipe, a device) could keep us waiting or never end.
            fd = opened_plain(path)
        except FileNotFoundError:
            raise DownloadHTTPError(f"{path.name}: no such file", 404) from None
        except OSError as error:
            raise DownloadError(f"{path.name}: {error.strerror}") from None
        with os.fdopen(fd, "rb") as file:
            while True:
                try:
                    chunk = file.read(_CHUNK)
                except OSError as error:
                    raise DownloadError(f"{path.name}: {error.strerror}") from None
                if not chunk:
                    break
                yield chunk


class Http(_InMemory):
    """Fetches over HTTP.

    Args:
        url: of the repository.
        seconds: for everything that is fetched with it.
        stopped: ends it sooner.
    """

    def __init__(self, url: str, seconds: float, stopped: threading.Event) -> None:
        self._limit = Limit(seconds)
        self._stopped = stopped
        self._closed = threading.Event()
        self._sockets: list[socket.socket] = []
        self._response: urllib3.BaseHTTPResponse | None = None
        self._pool = self._manager(url)
        self._watch = threading.Thread(target=self._cut, name="guardai-fetch", daemon=True)
        self._watch.start()

    def close(self) -> None:
        """Ends every connection."""
        self._closed.set()
        self._watch.join()
        if self._response is not None:  # whoever had enough of it does not read it to its end
            self._response.close()
        self._pool.clear()
        for one in self._sockets:
            one.close()

    def _fetch(self, url: str) -> Iterator[bytes]:
        left = self._left()
        timeout = urllib3.Timeout(connect=left, read=left)
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
            if self._over():
                raise SlowRetrievalError("the server is too slow") from error
            raise DownloadError(_plain(error)) from error
        if self._over():  # shut by the watch, which an answer without a length cannot be told from its end
            raise SlowRetrievalError("the server is too slow")

    def _over(self) -> bool:
        return self._stopped.is_set() or not self._limit.left()

    def _left(self, among: int = 1) -> float:
        """Seconds that a socket may wait, if so many are still to be tried."""
        left = self._limit.left()
        if not left or self._stopped.is_set():
            raise SlowRetrievalError("its time was over")
        return min(_SOCKET, left / among)

    def _cut(self) -> None:
        """Shuts every socket once it is over, and again: some are made meanwhile, or have not yet begun to connect."""
        while not self._closed.wait(_LOOK):
            if self._over():
                for one in list(self._sockets):
                    with contextlib.suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)

    def _connected(self, host: str, port: int) -> socket.socket:
        """Connected to one of the addresses of a name. The time is shared among them: the first may not answer, the next one will."""
        addresses = self._addresses(host, port)
        problem = "it has no address"
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            share = self._left(len(addresses) - tried)
            try:
                made = socket.socket(family, kind, protocol)
            except OSError as error:  # no IPv6 here, say
                problem = str(error.strerror)
                continue
            try:
                # A duplicate: TLS takes the descriptor away from the socket that it wraps.
                self._sockets.append(made.dup())
                made.settimeout(share)
                made.connect(address)
                made.settimeout(_SOCKET)  # for what TLS says to begin with
            except OSError as error:
                made.close()
                problem = error.strerror or "it does not answer"
            else:
                return made
        self._left()
        raise DownloadError(f"no connection to {host}: {problem}")

    def _addresses(self, host: str, port: int) -> list[Any]:
        """What the name stands for. A resolver keeps to no limit of ours, so it is left to itself when the time is over."""
        answer: list[Any] = []

        def ask() -> None:
            try:
                answer.append(socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                answer.append(error)

        asking = threading.Thread(target=ask, name="guardai-resolve", daemon=True)
        asking.start()
        while asking.is_alive():
            self._left()
            asking.join(_LOOK)
        [found] = answer
        if isinstance(found, Exception):
            raise DownloadError(f"{host} cannot be found: {getattr(found, 'strerror', None) or found}") from found
        return list(found)

    def _manager(self, url: str) -> urllib3.PoolManager:
        connected = self._connected

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return connected(self._dns_host, self.port)

        class Tls(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return connected(self._dns_host, self.port)

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
            made: urllib3.PoolManager = _through(proxy, parts.scheme, common)
        else:
            made = urllib3.PoolManager(**common)
        made.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
        return made


def _through(proxy: str, scheme: str, common: dict[str, Any]) -> urllib3.ProxyManager:
    """SECURITY INVARIANT: nothing of a proxy's URL that cannot be read is told: anything in it may be a part of a password."""
    try:
        parts = urlsplit(proxy)
        if parts.scheme in ("http", "https") and parts.hostname and not parts.path.strip("/") and proxy.isprintable():
            _ = parts.port  # ValueError if it is none
            if not parts.query and not parts.fragment:
                return urllib3.ProxyManager(proxy, proxy_headers=_who(proxy), **common)
    except (ValueError, urllib3.exceptions.HTTPError):
        pass
    raise DownloadError(
        f"{scheme}_proxy is no URL of a proxy, such as http://HOST:PORT; a /, ? or # in its password is written %2F, %3F or %23"
    )


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
