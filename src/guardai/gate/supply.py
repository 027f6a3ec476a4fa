"""Where the policy of this process comes from: the starter, a folder, a bundle file, or a repository that is asked again.

A repository is asked when the process begins, unless another process of this home has asked lately, and then from a thread.
No call ever waits for that: what the thread has fetched, verified and built it hands over in one assignment.

From `start` or `go_on` to `stop` is a term, and `_stopped` its end: what began in a term that is over neither fetches nor adopts.

INVARIANT: a bundle that has expired decides nothing, whether or not the thread lives: each call looks (`Until`), and the time is
never earlier than the last good answer and what has passed since. One that cannot be fetched, verified or built changes nothing.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import random
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from guardai._version import __version__
from guardai.errors import BundleError
from guardai.policy import Bundle
from guardai.policy.trust.clock import Limit, Until
from guardai.settings import seconds

if TYPE_CHECKING:
    from datetime import datetime

    from guardai.policy.trust.client import Client, Served
    from guardai.policy.trust.clock import Clock
    from guardai.settings import Settings

__all__ = ["Kept", "Supplied", "Supply", "client_of", "end", "kept", "loaded"]

_log: Final = logging.getLogger("guardai")
#: Seconds that a start waits for the server: with no bundle at hand, and with one.
_FIRST: Final = 30.0
_AGAIN: Final = 5.0
#: And that the thread gives it.
_USUAL: Final = 60.0
#: Seconds that an end waits for a bundle that is just being adopted.
_LAST: Final = 5.0
#: Seconds until the first further attempt after one that failed; doubled each time, up to the usual interval.
_BACKOFF: Final = 5.0
#: Seconds for which another thread may have to wait for the interpreter while a bundle is built.
_SWITCH: Final = 0.0005


class Supplied(NamedTuple):
    """A bundle, and by what right it decides.

    Attributes:
        bundle: read, checked, proved.
        signed: keys that whoever configured the process trusts vouch for it.
        until: when it no longer decides; None if it does not expire.
    """

    bundle: Bundle
    signed: bool = False
    until: Until | None = None


class Kept(NamedTuple):
    """The last good bundle, as a process finds it that begins.

    Attributes:
        served: the newest that is kept and can be used, or the newest that is kept; None if there is none.
        supplied: what it is, if it can be used.
        why: it cannot; "" if it can.
        passed: why a newer one that is kept, for another environment, was passed over; "" if there is none.
    """

    served: Served | None
    supplied: Supplied | None
    why: str
    passed: str = ""


def kept(client: Client, labels: frozenset[str], usable: Callable[[Bundle], object]) -> Kept:
    """The last good bundle that can be used now. Asks nobody.

    Args:
        client: of the repository.
        labels: what is found besides what the bundle itself names.
        usable: makes what the bundle needs besides; raises BundleError if it cannot.
    """
    try:
        found = client.cached()
    except BundleError as error:
        return Kept(None, None, str(error))
    why = ""
    for served in found:
        try:
            supplied = loaded(client, served, labels)
            usable(supplied.bundle)
        except BundleError as error:
            why = why or str(error)  # of the newest, which is the one that is named
        else:
            return Kept(served, supplied, "", why)
    return Kept(found[0], None, why) if found else Kept(None, None, "none is kept")


def client_of(settings: Settings, labels: frozenset[str]) -> Client:
    """The client of the repository that the settings name. Its cache is in the home, which all processes of it share.

    A cache is of one repository and one trusted root: whoever trusts another begins anew from that.

    Args:
        settings: name the repository, its trusted root, and the home.
        labels: those of this environment's packs: with guardai's version they decide whether a bundle can be used.

    Raises:
        BundleError: there is no trusted root, or it cannot be read, or is none.
    """
    from guardai.policy.trust.client import Client

    url = str(settings.policy)
    if settings.policy_root is None:
        raise BundleError(
            f"{url}: whose keys are trusted there? Set policy_root to the root metadata that its publisher gave you"
        )
    try:
        root = settings.policy_root.read_bytes()
    except OSError as error:
        raise BundleError(f"policy_root: {settings.policy_root}: cannot be read: {error.strerror}") from None
    of = hashlib.sha256(url.rstrip("/").encode() + b"\0" + root).hexdigest()[:16]
    folder = settings.home / "cache" / "bundles" / of
    return Client(url, root, folder, environment="\n".join((sys.prefix, __version__, *sorted(labels))))


class Supply:
    """Holds the bundle that decides now, and gets the next one.

    Args:
        settings: where it comes from.
        labels: what is found besides what the bundle itself names.
        usable: makes what a bundle to begin with needs besides; raises BundleError if it cannot, and has changed nothing then.

    Attributes:
        current: what was supplied last.
        client: of the repository, if it comes from one.
        problem: why there is no newer one, as far as this process has tried, or one of its home before it; "" if nothing failed.

    Raises:
        BundleError: there is no bundle that can be used.
    """

    def __init__(
        self, settings: Settings, labels: frozenset[str], usable: Callable[[Bundle], object] = lambda _: None
    ) -> None:
        self._usable = usable
        self._labels = labels
        self._pause = float(seconds(settings.policy_refresh))
        self.client: Client | None = None
        self.problem = ""
        self._served: Served | None = None
        self._unkept = False
        self._adopt: Callable[[Supplied], None] | None = None
        self._refused: Callable[[str], None] = lambda _: None
        self._at_start = Limit(0)
        self._fresh_locks()
        _supplies.add(self)
        if isinstance(settings.policy, str):
            if settings.policy_keys:
                raise BundleError(
                    "policy_keys are for a bundle file; whose keys count in a repository, its policy_root says"
                )
            self.client = client_of(settings, labels)
            self.current = self._begin(self.client)
        elif settings.policy_root is not None:
            raise BundleError(
                "policy_root is set, so policy has to be the URL of a repository; a folder is not verified by it"
            )
        else:
            self.current = self._local(settings.policy, settings.policy_keys)
            usable(self.current.bundle)

    def start(self, adopt: Callable[[Supplied], None], refused: Callable[[str], None]) -> None:
        """What was supplied is in use. From here on these two are told of what comes after it, from a thread.

        Args:
            adopt: puts a bundle to use; raises BundleError if it cannot, and has changed nothing then.
            refused: is told why there is no newer one; once, while it stays the same.
        """
        self._adopt, self._refused = adopt, refused
        self._keep(self._at_start.left())
        if self.problem:
            self._tell(self.problem)
        self._go()

    def stop(self) -> None:
        """Nothing is adopted from here on. What is being fetched is left, so that whoever comes next can have the cache.

        What is being adopted is waited for, but not for ever: no process hangs at its end for the sake of a policy.
        """
        self._stopped.set()
        if self._adopting.acquire(timeout=_LAST):
            self._adopting.release()

    def go_on(self) -> None:
        """After `stop`: what is new is asked for and adopted again."""
        self._stopped = threading.Event()
        self._go()

    def refresh(self, limit: float = _USUAL) -> None:
        """Asks the repository now, and adopts what is new.

        Args:
            limit: seconds for asking.

        Raises:
            BundleError: it could not be fetched, is not to be trusted, or cannot be used. What decides is what did, unless the keys that
                signed it count no more: then nothing does.
        """
        self._refresh(limit, self._stopped)

    def _refresh(self, limit: float, stopped: threading.Event) -> None:
        client = self.client
        assert client is not None
        try:
            self._renew(client, Limit(limit), stopped)
        except Exception:
            self._drop_what_is_not_vouched_for(client, stopped)
            raise

    def _renew(self, client: Client, limit: Limit, stopped: threading.Event) -> None:
        former, served = self._served, client.refresh(limit.left(), stopped)
        same = former is not None and served.sha256 == former.sha256
        with client.proving():
            if same:
                supplied = self.current._replace(until=_until(self.current.bundle, served, client.clock))
            else:
                with _other_threads_first():
                    supplied = loaded(client, served, self._labels)
            if not self._hand_over(client, served, supplied, stopped):
                return
        if not same:
            _log.info("policy: %s %s, digest %s", supplied.bundle.name, supplied.bundle.version, supplied.bundle.digest)
        self._unkept = True  # also what was kept before: the cache may have lost it since
        self._keep(limit.left())

    def _drop_what_is_not_vouched_for(self, client: Client, stopped: threading.Event) -> None:
        """Whatever failed, a new root may have come before it: what a key had signed that it counts no more decides no more."""
        served = self._served
        if served is not None and not client.vouches(served):
            now = client.clock.now()
            self._hand_over(client, served, self.current._replace(until=Until(now, now)), stopped)

    def _hand_over(self, client: Client, served: Served, supplied: Supplied, stopped: threading.Event) -> bool:
        """SECURITY INVARIANT: no older bundle takes the place of a newer one whose keys count, however slow whoever fetched it was."""
        with self._adopting:
            former = self._served
            if stopped.is_set() or self._adopt is None:
                return False
            if former is not None and served.version < former.version and client.vouches(former):
                return False
            self._adopt(supplied)
            self.current, self._served = supplied, served
            return True

    # ------------------------------------------------------------------ at the start

    def _local(self, policy: Path | None, keys: tuple[Path, ...]) -> Supplied:
        if not keys:
            bundle = Bundle.load(policy, self._labels)
            return Supplied(bundle, until=Until(bundle.expires) if bundle.expires else None)
        from guardai.policy.trust.archive import MAX_BYTES
        from guardai.policy.trust.keys import public_all
        from guardai.policy.trust.signed import beside, verify

        if policy is None or not policy.is_file():
            raise BundleError(
                "policy_keys are set, so policy has to be a bundle file: `guardai bundle build` makes one"
            )
        counted = public_all(keys)
        try:
            with policy.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            verify(data, beside(policy).read_bytes(), counted, len(counted))
        except OSError as error:
            raise BundleError(f"{error.filename}: cannot be read: {error.strerror}") from None
        except BundleError as error:
            raise BundleError(f"{policy}: {error}") from error
        bundle = Bundle.load(policy, self._labels, data=data, signed=True)
        return Supplied(bundle, signed=True, until=Until(bundle.expires) if bundle.expires else None)

    def _begin(self, client: Client) -> Supplied:
        """The server's bundle, or the last good one if it was asked lately or does not answer."""
        self._served, found, why, passed = kept(client, self._labels, self._usable)
        state = client.state()
        if found is not None and 0 <= client.clock.now().timestamp() - state.asked < self._pause:
            # Where another process was given no good answer, this one does not wait long to ask again.
            self.problem = state.error if state.good < state.asked else passed
            return found
        self._at_start = Limit(_FIRST if found is None else _AGAIN)
        try:
            served = client.refresh(self._at_start.left())
            if found is not None and self._served is not None and served.sha256 == self._served.sha256:
                supplied = found._replace(until=_until(found.bundle, served, client.clock))
            else:
                with client.proving():
                    supplied = loaded(client, served, self._labels)
                    self._usable(supplied.bundle)
        except BundleError as error:
            if found is not None and self._served is not None and not client.vouches(self._served):
                found, why = None, "the keys that signed it count no more"
            if found is None:
                raise BundleError(f"{error}; the last good bundle: {why}") from error
            self.problem = str(error)
            _log.warning("policy: %s; the last good bundle decides until it expires", error)
            return found
        self._served, self._unkept = served, True
        return supplied

    def _keep(self, limit: float) -> None:
        if self.client is None or self._served is None or not self._unkept:
            return
        try:
            self.client.keep(self._served, limit)
            self._unkept = False
        except BundleError as error:
            _log.warning("policy: this bundle decides, but cannot be kept for the next start: %s", error)

    # ------------------------------------------------------------------ from then on

    def _go(self) -> None:
        if self.client is not None and self._pause and self._adopt is not None:
            self._thread = threading.Thread(target=self._run, args=(self._stopped,), name="guardai-policy", daemon=True)
            self._thread.start()

    def _run(self, stopped: threading.Event) -> None:
        failures = 1 if self.problem else 0  # the start has asked, too
        while not stopped.wait(self._wait(failures)):
            try:
                self._refresh(_USUAL, stopped)
                failures, self.problem = 0, ""
            except Exception as error:
                failures += 1
                why = str(error) if isinstance(error, BundleError) else f"{type(error).__name__} while asking for it"
                if why != self.problem and not stopped.is_set():
                    self.problem = why
                    _log.warning("policy: %s; the last good bundle decides until it expires", why)
                    self._tell(why)

    def _tell(self, why: str) -> None:
        """Whoever is told may fail at it; asking goes on, and the process begins."""
        try:
            self._refused(why)
        except Exception as error:
            _log.warning("policy: that it was refused could not be told: %s", type(error).__name__)

    def _wait(self, failures: int) -> float:
        """Seconds until the server is asked again; never the same for two processes, or they would ask all at once."""
        pause = min(self._pause, _BACKOFF * 2 ** min(failures - 1, 20)) if failures else self._pause
        return pause * random.uniform(0.8, 1.2)  # noqa: S311 - not a secret

    def _fresh_locks(self) -> None:
        self._adopting = threading.Lock()
        self._stopped = threading.Event()

    def in_child(self) -> None:
        """In a forked child there is no thread but the one that forked: it starts its own."""
        ended = self._stopped.is_set()
        self._fresh_locks()
        if ended:
            self._stopped.set()
        else:
            self._go()


def loaded(client: Client, served: Served, labels: frozenset[str]) -> Supplied:
    """What was fetched or kept, read and checked.

    Raises:
        BundleError: it has expired, or cannot be used here.
    """
    from guardai.policy.trust.chain import TARGET

    now = client.clock.now()
    if served.expires <= now:
        raise BundleError(
            f"the metadata that vouches for it expired at {served.expires:%Y-%m-%d %H:%M:%S} UTC{client.doubt()}"
        )
    # By this name what is wrong with it is recorded; where its file lies is no event's business.
    bundle = Bundle.load(Path(TARGET), labels, data=served.data, now=now, signed=True)
    return Supplied(bundle, signed=True, until=_until(bundle, served, client.clock))


def end(served: Served, own: datetime | None) -> datetime:
    """When a bundle no longer decides: when what vouches for it expires, or at its own end if that comes first."""
    return served.expires if own is None else min(served.expires, own)


def _until(bundle: Bundle, served: Served, clock: Clock) -> Until:
    return Until(end(served, bundle.expires), clock.least())


@contextmanager
def _other_threads_first() -> Iterator[None]:
    """Building a bundle is work for the interpreter, which otherwise lets a thread that works keep it for 5 ms.

    And it makes so many objects that all of the process's are looked through for garbage, again and again, while nobody else runs:
    up to a tenth of a second at a time for 1,500 policies.
    """
    global _former
    with _building:
        _former = sys.getswitchinterval(), gc.isenabled()
        sys.setswitchinterval(min(_former[0], _SWITCH))
        gc.disable()
        try:
            yield
        finally:
            _as_before()


def _as_before() -> None:
    global _former
    if _former is not None:
        interval, collects = _former
        _former = None
        sys.setswitchinterval(interval)
        if collects:
            gc.enable()


#: One build at a time: the second would take for the process's own what the first has set.
_building = threading.Lock()
#: The interval of switching, and whether garbage was collected, before the build that goes on.
_former: tuple[float, bool] | None = None
_supplies: Final[weakref.WeakSet[Supply]] = weakref.WeakSet()


def _in_child() -> None:
    global _building
    # The thread that built is not here to put it back.
    _building = threading.Lock()
    _as_before()
    for supply in list(_supplies):
        supply.in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
