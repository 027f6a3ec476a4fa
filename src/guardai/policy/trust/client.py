"""The client's side: what a server offers, verified as TUF says, and the last good bundle, kept.

::

    metadata/root_history/…, newest.root.json   the roots that were followed: `roots.py`
    metadata/timestamp.json …       what was fetched last: rollback is told by it
    bundles/<sha256>.bundle         the last good bundle
    bundles/<sha256>.targets.json   the signed metadata that vouches for it
    good/<environment>              its sha256; what one environment can use, another may not
    state.json                      when the server was asked, and what came of it
    lock

SECURITY INVARIANT: nothing in the cache is believed. Whatever is read from it is verified from the trusted root down, which
comes from whoever configures the process; damage can make a client ask again or refuse, and nothing else. What a client has once
verified, the newest root and the newest bundle's metadata, it remembers for as long as it lives, whatever becomes of the cache.

SECURITY INVARIANT: tuf works in a draft of the cache. Of what it has verified nothing is taken over that does not go on from the
roots that were known.

SECURITY INVARIANT: nothing in the cache holds whoever reads it. Plain files alone are opened.

INVARIANT: no message names the cache's place: what is refused is recorded, and an event tells no machine's folders. Whoever
looks for it asks `guardai bundle status`.

SECURITY INVARIANT: time does not go back. What is verified is verified at a time that is no earlier than the last one at which
this cache was brought up to date; one at which what it holds had expired already was none, whatever the cache says.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from guardai.errors import BundleError
from guardai.policy.trust.archive import MAX_BYTES
from guardai.policy.trust.chain import TARGET
from guardai.policy.trust.clock import Clock, Limit
from guardai.policy.trust.fetch import ONLINE, bundle, named, refreshed
from guardai.policy.trust.lock import held
from guardai.policy.trust.manifest import sha256
from guardai.policy.trust.reading import METADATA_BYTES, plain, read, there
from guardai.policy.trust.roots import HISTORY, Roots, role, signatures
from guardai.policy.trust.writing import replace

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Root, TargetFile

__all__ = ["Client", "Served", "State"]

_log: Final = logging.getLogger("guardai")
_SHA: Final = re.compile(r"[0-9a-f]{64}")
_DRAFT: Final = "draft-"
#: What the machine's clock may be corrected by in passing.
_APART: Final = timedelta(minutes=1)
#: Environments whose last good bundles are kept; more than share one home.
_ENVIRONMENTS: Final = 8


class Served(NamedTuple):
    """A bundle file that the trusted keys vouch for.

    Attributes:
        data: the file.
        sha256: of the file.
        version: of the metadata that vouches for it.
        expires: when that metadata, or the root above it, is no longer good.
        targets: that metadata, as signed.
    """

    data: bytes
    sha256: str
    version: int
    expires: datetime
    targets: bytes


class State(msgspec.Struct, frozen=True):
    """What came of asking. Times are seconds since 1970; 0 is never.

    Attributes:
        asked: when the server was asked last.
        good: when it last gave an answer that was good; no time before it is believed any more.
        error: why nothing newer came of it: the answer was not good, or what it offers cannot be used here; "" if all went well.
        unusable: environment → why what the answer offers cannot be used there.
    """

    asked: float = 0.0
    good: float = 0.0
    error: str = ""
    unusable: dict[str, str] = msgspec.field(default_factory=dict)


class Client:
    """Keeps one repository's bundle.

    Args:
        url: of the repository: `https://…`, `file:///…`, or `http://` on loopback.
        root: the trusted root metadata, whose keys everything else hangs on.
        folder: the cache, of this repository alone.
        clock: tells the time.
        environment: what decides whether a bundle can be used, in words: the last good one is kept for each.

    Raises:
        BundleError: the trusted root is none.
    """

    def __init__(
        self, url: str, root: bytes, folder: Path, clock: Clock | None = None, *, environment: str = ""
    ) -> None:
        self.url = url if url.endswith("/") else f"{url}/"
        self._where = "the repository's folder" if url.startswith("file:") else self.url
        self.folder = folder
        self.clock = clock or Clock()
        self._newest: Served | None = None
        self._metadata = folder / "metadata"
        self._roots = Roots(root, folder)
        self._bundles = folder / "bundles"
        self._marks = folder / "good"
        self._mark = self._marks / sha256(environment.encode())[:16]
        self.clock.notice(_moment(self.state().good))

    def state(self) -> State:
        """What came of asking so far, by whichever process. A time that is none, or cannot have been, is never."""
        noted = self._noted()
        return msgspec.structs.replace(noted, error=noted.error or noted.unusable.get(self._mark.name, ""))

    def _noted(self) -> State:
        try:
            found = msgspec.json.decode(read(self.folder / "state.json", METADATA_BYTES), type=State)
        except (OSError, ValueError, msgspec.DecodeError, RecursionError):
            return State()
        asked, good = (time if _moment(time) is not None else 0.0 for time in (found.asked, found.good))
        if good and good >= self._latest():
            good = 0.0
        return msgspec.structs.replace(found, asked=asked, good=good)

    def _latest(self) -> float:
        """When what was fetched last expires: no answer was good after that. A wrong digit in the state shuts nobody out for longer."""
        from tuf.api.exceptions import RepositoryError
        from tuf.api.metadata import Metadata

        root, _ = self._roots.follow()
        found = [root.expires]
        with contextlib.suppress(OSError, RepositoryError, ValueError):
            made: Metadata[Any] = Metadata.from_bytes(read(self._metadata / "timestamp.json", METADATA_BYTES))
            signed = role(made, "timestamp")
            root.verify_delegate("timestamp", *signatures(made))
            found.append(signed.expires)
        return min(found).timestamp()

    def doubt(self) -> str:
        """What to do if it is too late for something by the last good answer, and not by the machine's clock; "" if they agree."""
        now, machine = self.clock.now(), self.clock.machine()
        if now - machine < _APART:
            return ""
        return (
            f"; it is {now:%Y-%m-%d %H:%M} UTC by the last good answer, and {machine:%Y-%m-%d %H:%M} by this machine's clock. If the "
            "clock is right, remove the cache and begin again: `guardai bundle status` tells where it is"
        )

    def cached(self) -> list[Served]:
        """The last good bundles, verified anew: the newest of all environments, and behind it this one's, if that is another.

        Asks nobody. They may have expired.

        Raises:
            BundleError: the way from the trusted root to one that was known is lost.
        """
        root, whole = self._roots.follow()
        if not whole:
            raise BundleError("the cache has lost the way to its newest root, which the repository has to give again")
        found = self._kept(root)
        if not found:
            return []
        newest, own = max(found.values(), key=lambda served: served.version), found.get(_marked(self._mark))
        self._remember(newest)
        return [newest] if own is None or own is newest else [newest, own]

    def _kept(self, root: Root) -> dict[str, Served]:
        """Sha256 → bundle, of those that the environments name, as far as the root vouches for them."""
        while True:
            names = self._names()
            found = {name: one for name in set(names.values()) if (one := self._good(root, name)) is not None}
            # Another process may have kept a newer one meanwhile, and removed one of these.
            if len(found) == len(set(names.values())) or names == self._names():
                return found

    def _good(self, root: Root, name: str) -> Served | None:
        """The bundle of that sha256, if the root vouches for it."""
        try:
            targets = read(self._bundles / f"{name}.targets.json", METADATA_BYTES)
            return self._vouched(root, targets, read(self._bundles / f"{name}.bundle", MAX_BYTES))
        except (OSError, ValueError, BundleError) as error:
            _log.debug("a cached bundle of %s is not used: %s", self._where, plain(error))
            return None

    def _names(self) -> dict[str, str]:
        """Environment → the sha256 of its last good bundle, as far as the cache tells."""
        try:
            marks = list(self._marks.iterdir())
        except OSError:
            return {}
        return {mark.name: name for mark in marks if not mark.name.startswith(".") and (name := _marked(mark))}

    def refresh(self, seconds: float = 60.0, stopped: threading.Event | None = None) -> Served:
        """Asks the server for what is current now. It becomes the last good one by `keep`, once it has proved usable.

        Args:
            seconds: for everything: what waiting for another process takes, fetching does not get.
            stopped: once it is set, what is under way ends, and is not noted.

        Raises:
            BundleError: the server is not there, or what it offers is not to be trusted; says why. Or it was stopped.
        """
        limit, stopped = Limit(seconds), stopped or threading.Event()
        self._make_folders()
        with held(self.folder / "lock", limit.left()):
            self.clock.notice(_moment(self.state().good))
            now = self.clock.now()
            try:
                served = self._fetched(now, limit, stopped)
            except BundleError as error:
                if not stopped.is_set():
                    self._note(State(now.timestamp(), self._noted().good, str(error)))
                raise
            self.clock.notice(now)
            self._note(State(now.timestamp(), now.timestamp()))
            return served

    @contextlib.contextmanager
    def proving(self) -> Iterator[None]:
        """What was fetched is to be trusted. If it proves to be of no use here, `state` says why until the server is asked again.

        It says so in this environment: another may use it.
        """
        try:
            yield
        except BundleError as error:
            with contextlib.suppress(BundleError), held(self.folder / "lock", 1.0):
                noted = self._noted()
                unusable = {**noted.unusable, self._mark.name: str(error)}
                self._note(msgspec.structs.replace(noted, unusable=unusable))
            raise

    def vouches(self, served: Served) -> bool:
        """Whether the newest root that is known still counts the keys that signed for it."""
        try:
            root, whole = self._roots.follow()
            self._vouched(root, served.targets, served.data)
        except BundleError:
            return False
        return whole

    def keep(self, served: Served, seconds: float = 10.0) -> None:
        """From here on this is the last good bundle, also of processes that begin later.

        A process that was slow to prove this one may come after another that has kept a newer one: that stays, as long as its
        keys count. What decides at the next start does not go back.

        Args:
            served: what has proved usable.
            seconds: to wait for another process.

        Raises:
            BundleError: another process holds the cache, or it cannot be written; the former one is still the last good one.
        """
        self._make_folders()
        with held(self.folder / "lock", seconds), _written():
            root, _ = self._roots.follow()
            kept = self._good(root, _marked(self._mark))
            if kept is not None and (kept.version > served.version or kept.targets == served.targets):
                return
            same = self._good(root, served.sha256)  # as another environment keeps it, vouched for anew perhaps
            if same is None or same.version < served.version:
                replace(self._bundles / f"{served.sha256}.bundle", served.data)
                replace(self._bundles / f"{served.sha256}.targets.json", served.targets)
            # What is named is there before it is named: a process that is killed here leaves the former one.
            replace(self._mark, served.sha256.encode())
            self._clear()

    def _clear(self) -> None:
        """Removes what no environment names any more, and the marks of those that have long kept nothing."""
        with contextlib.suppress(OSError):
            marks = sorted(self._marks.iterdir(), key=lambda mark: mark.lstat().st_mtime, reverse=True)
            for mark in [one for one in marks if one != self._mark][_ENVIRONMENTS - 1 :]:
                mark.unlink()
        needed = set(self._names().values())
        for file in self._bundles.iterdir():
            if file.name.partition(".")[0] not in needed:
                with contextlib.suppress(OSError):
                    file.unlink()

    def _fetched(self, now: datetime, limit: Limit, stopped: threading.Event) -> Served:
        self._roots.follow()
        with named(self._where, self.doubt()), self._draft() as draft:
            try:
                with refreshed(self.url, self._roots.last, draft, now, limit, stopped) as updater:
                    data = bundle(updater, self._where, draft, self._had)
            except Exception:
                # What failed may have come after a new root, which counts all the same.
                if self._roots.take(draft / HISTORY) is not None:
                    self._take_over(draft)
                raise
            root = self._roots.take(draft / HISTORY)
            if root is None:
                raise BundleError(
                    f"{self._where} offers no way to the root that was known here, or another in its place: it is an older repository, "
                    "or somebody has a key that was removed. If it was made anew, and its root is the one that you trust, remove "
                    "the cache: `guardai bundle status` tells where it is"
                )
            served = self._vouched(root, read(draft / "targets.json", METADATA_BYTES), data)
            for kept in self._kept(root).values():  # what tuf goes by may be lost, and they not
                self._remember(kept)
            if self._newest is not None and served.version < self._newest.version and self.vouches(self._newest):
                raise BundleError(
                    f"{self._where} offers older metadata than before: targets {served.version} after {self._newest.version}"
                )
            self._take_over(draft)
            self._remember(served)
            return served

    @contextlib.contextmanager
    def _draft(self) -> Iterator[Path]:
        """A folder with what was fetched last, for tuf, which opens by name: nothing can stand there but what is put there."""
        for left in self.folder.glob(f"{_DRAFT}*"):  # by a process that was killed
            with contextlib.suppress(OSError):
                # To remove a folder is to open it, and opening a pipe would hold us.
                shutil.rmtree(left) if stat.S_ISDIR(left.lstat().st_mode) else left.unlink()
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self.folder))
        try:
            for one in ONLINE:
                data = there(self._metadata / one, METADATA_BYTES)
                if data is not None:
                    (draft / one).write_bytes(data)
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _take_over(self, draft: Path) -> None:
        for one in ONLINE:
            data = there(draft / one, METADATA_BYTES)
            if data is not None and data != there(self._metadata / one, METADATA_BYTES):
                replace(self._metadata / one, data)

    def _had(self, info: TargetFile) -> bytes | None:
        """The bundle that is offered, if the cache has it already."""
        from tuf.api.exceptions import RepositoryError

        try:
            data = read(self._bundles / f"{info.hashes.get('sha256', '')}.bundle", MAX_BYTES)
            info.verify_length_and_hashes(data)
        except (OSError, ValueError, RepositoryError):
            return None
        return data

    def _remember(self, served: Served) -> None:
        if self._newest is None or served.version > self._newest.version or not self.vouches(self._newest):
            self._newest = served

    @staticmethod
    def _vouched(root: Root, targets: bytes, data: bytes) -> Served:
        from tuf.api.exceptions import RepositoryError
        from tuf.api.metadata import Metadata

        try:
            made: Metadata[Any] = Metadata.from_bytes(targets)
            signed = role(made, "targets")
            root.verify_delegate("targets", *signatures(made))
            if TARGET not in signed.targets:
                raise BundleError(f"there is no {TARGET}")
            signed.targets[TARGET].verify_length_and_hashes(data)
        except (RepositoryError, ValueError) as error:
            raise BundleError(f"the metadata does not vouch for the bundle: {error}") from None
        return Served(data, sha256(data), signed.version, min(signed.expires, root.expires), targets)

    def _make_folders(self) -> None:
        with _written():
            for folder in (self._metadata / HISTORY, self._bundles, self._marks):
                # One by one: `parents=True` makes those above with the usual mode, and the home, which keys come to, is one.
                for one in (*reversed(folder.parents), folder):
                    if not one.is_dir():
                        one.mkdir(mode=0o700, exist_ok=True)

    def _note(self, state: State) -> None:
        try:
            replace(self.folder / "state.json", msgspec.json.encode(state))
        except OSError as error:
            _log.warning("what came of asking for the policy cannot be noted in its cache: %s", plain(error))


@contextlib.contextmanager
def _written() -> Iterator[None]:
    """Tells that the cache cannot be written, and not where it is."""
    try:
        yield
    except OSError as error:
        raise BundleError(f"the cache cannot be used: {plain(error)}") from error


def _marked(mark: Path) -> str:
    """The sha256 that a mark names; "" if it names none."""
    try:
        name = read(mark, 64).decode("ascii")
    except (OSError, ValueError):
        return ""
    return name if _SHA.fullmatch(name) else ""


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (OverflowError, OSError, ValueError):
        return None
