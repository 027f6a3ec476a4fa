"""Counters of several processes, added up in a Redis server by a thread; no call ever waits for it.

Once a second each process tells what it has let through and hears what all have: what another has let through is known
here within two seconds, and by so much can a limit be overshot. While the server is away each process counts by itself; what
it let through meanwhile is told when the server is back.

INVARIANT: what was let through is told once. A batch bears a number, and the server keeps the last number of each process
beside the count: a batch whose answer was lost on the way is sent again as it was, and changes nothing if it had arrived.

A window is the organisation's: it begins with the first count that arrives, and the server's word on when it ends is taken
over. Names stand in no key: a key is a digest of the counter's name and of whose it is.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import weakref
from typing import Any, Final

import msgspec

from guardai.errors import ConfigError
from guardai.policy.counters import Counters, Entry, Key
from guardai.policy.vocabulary import WINDOWS

__all__ = ["Shared"]

_log: Final = logging.getLogger("guardai")
#: Seconds between two exchanges.
EVERY: Final = 1.0
#: Seconds for which a counter that nobody asks for any more is still heard of.
_HEARD: Final = 60.0
#: Counters in one exchange with the server, and in one step under the counters' lock.
_CHUNK: Final = 256
_SECONDS: Final = 2.0
#: KEYS: the counter. ARGV: how many more, who says so, the number of its batch, milliseconds to live, whether to renew them.
_SCRIPT: Final = """
local n = tonumber(redis.call('HGET', KEYS[1], 'n') or '0')
local more = tonumber(ARGV[1])
if more ~= 0 and redis.call('HGET', KEYS[1], ARGV[2]) ~= ARGV[3] then
  n = redis.call('HINCRBY', KEYS[1], 'n', more)
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
end
local left = redis.call('PTTL', KEYS[1])
if left == -1 or (left >= 0 and more ~= 0 and ARGV[5] == '1') then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  left = tonumber(ARGV[4])
end
return {n, left}
"""

#: A counter, its entry, and how many more there are to tell of.
_News = tuple[Key, Entry, int]


class Shared:
    """Keeps a process's counters and a Redis server's together.

    Attributes:
        where: host and port of the server, without user and password.
        trouble: why it cannot be reached, "" while it can; None before the first exchange.
    """

    __slots__ = (
        "__weakref__", "_batch", "_client", "_counters", "_every", "_number", "_starting", "_stop", "_thread", "_url",
        "_who", "_working", "trouble", "where",
    )  # fmt: skip

    def __init__(self, counters: Counters, url: str, every: float = EVERY) -> None:
        """Nothing is connected before the first count.

        Raises:
            ConfigError: the client is not installed, or the URL cannot be read.
        """
        self._counters = counters
        self._url = url
        self._every = every
        self._working = threading.Lock()
        self._starting = threading.Lock()
        self.trouble: str | None = None
        self._begin()
        kept = self._client.connection_pool.connection_kwargs
        self.where = f"{kept.get('host', 'localhost')}:{kept.get('port', 6379)}"
        _ALL.add(self)

    def _begin(self) -> None:
        self._client = _client(self._url)
        self._who = os.urandom(8).hex()
        self._number = 0
        self._batch: list[_News] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._counters.woken = self._wake

    def _wake(self) -> None:
        # Whoever finds another at it leaves it to that one: a call waits for nothing here.
        if self._thread is None and self._starting.acquire(blocking=False):
            try:
                if self._thread is None and not self._stop.is_set():
                    thread = threading.Thread(target=self._run, name="guardai-counters", daemon=True)
                    thread.start()
                    self._thread = thread
            except RuntimeError:  # the next call tries again, and this one goes on
                self._away("no thread can begin")
            finally:
                self._starting.release()

    def _run(self) -> None:
        stop = self._stop
        while not stop.wait(self._every):
            self.exchange()

    def exchange(self) -> bool:
        """Tells and hears once, now; False if the server could not be reached, which is logged once an outage."""
        with self._working:
            try:
                if not self._batch:
                    self._number += 1
                    self._batch = self._news()
                for at in range(0, len(self._batch), _CHUNK):
                    self._tell(self._batch[at : at + _CHUNK])
                if not self._batch:
                    self._client.ping()
                self._batch = []
            except Exception as exc:  # the client's own errors and the sockets': whatever it is, calls go on
                self._away(type(exc).__name__)
                return False
            if self.trouble:
                _log.warning("the counters' server at %s is back; limits are the organisation's again", self.where)
            self.trouble = ""
            return True

    def _away(self, why: str) -> None:
        if not self.trouble:
            _log.warning(
                "the counters' server at %s cannot be reached (%s); until it can, limits are each process's own",
                self.where,
                why,
            )
        self.trouble = why

    def _news(self) -> list[_News]:
        """What there is to tell, and what others may have counted of what is asked for here."""
        counters, found = self._counters, []
        for row in counters.rows.values():
            entries = list(row.items())
            for at in range(0, len(entries), _CHUNK):
                with counters.lock:
                    now = counters.now()
                    for key, entry in entries[at : at + _CHUNK]:
                        if entry.ends > now and (entry.unpushed or now - entry.touched < _HEARD):
                            found.append((key, entry, entry.unpushed))
                            entry.unpushed = 0
        return found

    def _tell(self, news: list[_News]) -> None:
        now = self._counters.now()
        pipeline = self._client.pipeline(transaction=False)
        told = []
        for one in news:
            key, entry, more = one
            session = entry.window == "session"
            if not session and entry.ends <= now:
                continue  # it ended before it could be told
            digest = hashlib.blake2b(msgspec.json.encode(key), digest_size=16).hexdigest()
            # Where the server has none, a whole window begins: with the rest of ours it would end while ours goes on.
            arguments = (more, self._who, self._number, int(WINDOWS[entry.window] * 1000), int(session))
            pipeline.eval(_SCRIPT, 1, f"guardai:count:{digest}", *arguments)
            told.append(entry)
        if not told:
            return
        answers: list[Any] = pipeline.execute()
        with self._counters.lock:
            for entry, (total, left) in zip(told, answers, strict=True):
                # INVARIANT: what this process knows of is never less than what it has let through itself.
                entry.count = max(entry.count, int(total) + entry.unpushed + entry.reserved)
                if left > 0 and entry.window != "session" and entry.ends > now:
                    entry.ends = now + int(left) / 1000  # reckoned from before it was asked: never later than there

    def close(self) -> None:
        """Tells the rest, and ends."""
        self._stop.set()
        thread, self._counters.woken = self._thread, None
        if thread is not None:
            thread.join(_SECONDS)
            if not thread.is_alive() and not self.trouble:
                self.exchange()
        self._client.close()

    def in_child(self) -> None:
        """In a forked child: it tells of its own calls, under a name of its own."""
        self._working = threading.Lock()
        self._starting = threading.Lock()
        # The parent's connections are dropped here, not closed: closing them waits for a lock that the parent's thread may
        # have held at the fork, and that nobody releases here.
        self._client.auto_close_connection_pool = False
        self._begin()


_ALL: weakref.WeakSet[Shared] = weakref.WeakSet()


def _in_child() -> None:
    for shared in list(_ALL):
        if not shared._stop.is_set():
            shared.in_child()


if hasattr(os, "register_at_fork"):
    # After the counters' own: that one takes away what wakes this.
    os.register_at_fork(after_in_child=_in_child)


def _client(url: str) -> Any:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise ConfigError(
            "counters are to be shared over Redis, whose client is not installed: pip install 'guardai-sdk[redis]'"
        ) from None
    try:
        # It tries again by itself, a second later, with all that there is to tell by then.
        once = Retry(NoBackoff(), 0)
        client = redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, retry=once)
    except ValueError:
        # Not chained: its words can hold the password.
        raise ConfigError("counters: the address cannot be read; it looks like redis://HOST:6379/0") from None
    # INVARIANT: what a first connection imports is imported here, by whoever makes this, and not by the thread: a fork in the
    # middle of an import leaves the child a module's lock that nobody releases, and it would wait for it for ever.
    client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    "".encode("idna")  # names of hosts are looked up with it
    return client
