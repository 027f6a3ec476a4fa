"""The client's side: what a server offers, verified as TUF says, and the last good bundle, kept.

::

    metadata/…                      what tuf trusts so far: rollback is told by it
    bundles/<sha256>.bundle         the last good bundle
    bundles/<sha256>.targets.json   the signed metadata that vouches for it
    good/<environment>              its sha256; what one environment can use, another may not
    state.json                      when the server was asked, and what came of it
    lock

SECURITY INVARIANT: nothing in the cache is believed. Whatever is read from it is verified from the trusted root down, which
comes from whoever configures the process; damage can make a client ask again or refuse, and nothing else. What a client has once
verified, the newest root and the newest bundle's metadata, it remembers for as long as it lives, whatever becomes of the cache.

SECURITY INVARIANT: nothing in the cache holds whoever reads it. Plain files alone are opened; what else stands in their place is
removed before tuf, which opens by name, can come to it.

INVARIANT: no message names the cache's place: what is refused is recorded, and an event tells no machine's folders. Whoever
looks for it asks `guardai bundle status`.

SECURITY INVARIANT: time does not go back. What is verified is verified at a time that is no earlier than the last one at which
this cache was brought up to date.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from guardai.errors import BundleError
from guardai.policy.trust.archive import MAX_BYTES
from guardai.policy.trust.chain import TARGET
from guardai.policy.trust.clock import Clock, Limit
from guardai.policy.trust.lock import held
from guardai.policy.trust.manifest import sha256
from guardai.policy.trust.reading import METADATA_BYTES, read

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Root, TargetFile

__all__ = ["Client", "Served", "State"]

_log: Final = logging.getLogger("guardai")
_SHA: Final = re.compile(r"[0-9a-f]{64}")
_ROOT: Final = re.compile(r"([1-9][0-9]{0,8})\.root\.json")
#: Roots that are followed from the trusted one: more rotations than a client sleeps through.
_ROOTS: Final = 256
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
    """

    asked: float = 0.0
    good: float = 0.0
    error: str = ""


class Client:
    """Keeps one repository's bundle.

    Args:
        url: of the repository: `https://…`, `file:///…`, or `http://` on loopback.
        root: the trusted root metadata, whose keys everything else hangs on.
        folder: the cache, of this repository alone.
        clock: tells the time.
        environment: what decides whether a bundle can be used, in words: the last good one is kept for each.
    """

    def __init__(
        self, url: str, root: bytes, folder: Path, clock: Clock | None = None, *, environment: str = ""
    ) -> None:
        self.url = url if url.endswith("/") else f"{url}/"
        self._where = "the repository's folder" if url.startswith("file:") else self.url
        self.folder = folder
        self.clock = clock or Clock()
        self._root = root
        self._known: Root | None = None
        self._newest: Served | None = None
        self._metadata = folder / "metadata"
        self._history = self._metadata / "root_history"
        self._bundles = folder / "bundles"
        self._marks = folder / "good"
        self._mark = self._marks / sha256(environment.encode())[:16]
        self.clock.notice(_moment(self.state().good))

    def state(self) -> State:
        """What came of asking so far, by whichever process. A time that is none is never."""
        try:
            found = msgspec.json.decode(read(self.folder / "state.json", METADATA_BYTES), type=State)
        except (OSError, ValueError, msgspec.DecodeError, RecursionError):
            return State()
        asked, good = (time if _moment(time) is not None else 0.0 for time in (found.asked, found.good))
        return State(asked, good, found.error)

    def cached(self) -> list[Served]:
        """The last good bundles, verified anew: the newest of all environments, and behind it this one's, if that is another.

        Asks nobody. They may have expired.

        Raises:
            BundleError: the trusted root is none.
        """
        root, whole = self._followed()
        found = self._kept(root) if whole else {}
        if not found:
            return []
        newest, own = max(found.values(), key=lambda served: served.version), found.get(_marked(self._mark))
        self._remember(newest)
        return [newest] if own is None or own is newest else [newest, own]

    def _kept(self, root: Root) -> dict[str, Served]:
        """Sha256 → bundle, of those that the environments name, as far as the root vouches for them."""
        while True:
            names, found = self._names(), dict[str, Served]()
            for name in set(names.values()):
                try:
                    targets = read(self._bundles / f"{name}.targets.json", METADATA_BYTES)
                    found[name] = self._vouched(root, targets, read(self._bundles / f"{name}.bundle", MAX_BYTES))
                except (OSError, ValueError, BundleError) as error:
                    _log.debug("a cached bundle of %s is not used: %s", self._where, error)
            # Another process may have kept a newer one meanwhile, and removed one of these.
            if len(found) == len(set(names.values())) or names == self._names():
                return found

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
                    self._note(State(now.timestamp(), self.state().good, str(error)))
                raise
            self._note(State(now.timestamp(), now.timestamp()))
            return served

    @contextlib.contextmanager
    def proving(self) -> Iterator[None]:
        """What was fetched is to be trusted. If it proves to be of no use here, `state` says why until the server is asked again."""
        try:
            yield
        except BundleError as error:
            with contextlib.suppress(BundleError), held(self.folder / "lock", 1.0):
                self._note(msgspec.structs.replace(self.state(), error=str(error)))
            raise

    def vouches(self, served: Served) -> bool:
        """Whether the newest root that is known still counts the keys that signed for it."""
        try:
            root, _ = self._followed()
            known = self._known or root
            self._vouched(known, served.targets, served.data)
        except BundleError:
            return False
        return self._last_root() <= known.version

    def keep(self, served: Served, seconds: float = 10.0) -> None:
        """From here on this is the last good bundle, also of processes that begin later.

        A process that was slow to prove this one may come after another that has kept a newer one: that stays, as long as its
        keys count. What decides at the next start does not go back.

        Args:
            served: what has proved usable.
            seconds: to wait for another process.

        Raises:
            BundleError: another process holds the cache, or it cannot be made.
            OSError: the cache cannot be written; the former one is still the last good one.
        """
        self._make_folders()
        with held(self.folder / "lock", seconds):
            kept = self._kept(self._followed()[0]).get(_marked(self._mark))
            if kept is not None and kept.version > served.version:
                return
            _replace(self._bundles / f"{served.sha256}.bundle", served.data)
            _replace(self._bundles / f"{served.sha256}.targets.json", served.targets)
            # What is named is there before it is named: a process that is killed here leaves the former one.
            _replace(self._mark, served.sha256.encode())
            self._clear()

    def _clear(self) -> None:
        """Removes what no environment names any more, and the marks of those that have long kept nothing."""
        with contextlib.suppress(OSError):
            marks = sorted(self._marks.iterdir(), key=lambda mark: mark.lstat().st_mtime, reverse=True)
            for mark in [one for one in marks if one != self._mark][_ENVIRONMENTS - 1 :]:
                mark.unlink()
        named = set(self._names().values())
        for file in self._bundles.iterdir():
            if file.name.partition(".")[0] not in named:
                with contextlib.suppress(OSError):
                    file.unlink()

    def _fetched(self, now: datetime, limit: Limit, stopped: threading.Event) -> Served:
        from tuf.api import exceptions as tuf
        from tuf.ngclient import Updater, UpdaterConfig

        from guardai.policy.trust.transport import opened

        self._followed()  # a trusted root that is none is not the server's fault
        incoming = self.folder / "incoming"
        try:
            self._remove_what_is_no_metadata()
            incoming.unlink(missing_ok=True)
            with opened(self.url, limit.left(), stopped) as fetcher:
                updater = Updater(
                    str(self._metadata),
                    f"{self.url}metadata/",
                    target_base_url=f"{self.url}targets/",
                    fetcher=fetcher,
                    config=UpdaterConfig(max_root_rotations=_ROOTS),
                    bootstrap=self._root,
                )
                # tuf asks the machine's clock, which may have been set back; there is no other way to tell it the time.
                updater._trusted_set.reference_time = now
                updater.refresh()
                root, whole = self._followed()
                if not whole:
                    raise BundleError(
                        f"{self._where} offers no way to a root that was known here before; it is an older repository, or "
                        "another"
                    )
                info = updater.get_targetinfo(TARGET)
                if info is None:
                    raise BundleError(f"{self._where} offers no {TARGET}")
                if info.length > MAX_BYTES:
                    raise BundleError(f"{self._where}: the bundle is larger than {MAX_BYTES} bytes; no bundle is")
                targets = read(self._metadata / "targets.json", METADATA_BYTES)
                data = self._had(info)
                if data is None:
                    data = read(Path(updater.download_target(info, str(incoming))), MAX_BYTES)
            served = self._vouched(root, targets, data)
            if self._newest is not None and served.version < self._newest.version and self.vouches(self._newest):
                raise BundleError(
                    f"{self._where} offers older metadata than before: targets {served.version} after {self._newest.version}"
                )
            self._remember(served)
            return served
        except tuf.ExpiredMetadataError as error:
            raise BundleError(
                f"{self._where}: {error}: nobody signed it anew, or somebody keeps newer metadata from you"
            ) from error
        except tuf.BadVersionNumberError as error:
            raise BundleError(f"{self._where} offers older metadata than before, or of two times: {error}") from error
        except tuf.UnsignedMetadataError as error:
            raise BundleError(f"{self._where}: too few of the trusted keys signed: {error}") from error
        except tuf.DownloadLengthMismatchError as error:
            raise BundleError(f"{self._where} sends more than there should be: {error}") from error
        except tuf.DownloadError as error:
            raise BundleError(f"{self._where} cannot be fetched from: {error}") from error
        except tuf.RepositoryError as error:
            raise BundleError(f"{self._where}: what it offers is not what was signed: {error}") from error
        except (OSError, ValueError) as error:
            raise BundleError(
                f"the cache cannot be used: {_plain(error)}; if there is room on its disk, remove it: `guardai bundle status` "
                "tells where it is"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                incoming.unlink()

    def _remove_what_is_no_metadata(self) -> None:
        for folder in (self._metadata, self._history):
            for one in folder.iterdir() if folder.is_dir() else ():
                try:
                    found = one.stat()
                except OSError:  # a link to nothing, say: opening that ends at once
                    continue
                small = stat.S_ISREG(found.st_mode) and found.st_size <= METADATA_BYTES
                if not small and not stat.S_ISDIR(found.st_mode):
                    one.unlink()

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

    def _followed(self) -> tuple[Root, bool]:
        """The root that the trusted one leads to by what has been fetched so far, each signed by the keys of the one before.

        Returns:
            That root, and whether no newer one is known: where one between is lost, a removed key would count again.

        Raises:
            BundleError: the trusted root is none.
        """
        from tuf.api.exceptions import RepositoryError
        from tuf.api.metadata import Metadata

        try:
            root: Root = _role(Metadata.from_bytes(self._root), "root")
            root.verify_delegate("root", *_signatures(Metadata.from_bytes(self._root)))
        except (RepositoryError, ValueError) as error:
            raise BundleError(f"the trusted root is no root metadata of TUF: {error}") from None
        for version in range(root.version + 1, root.version + _ROOTS + 1):
            try:
                made: Metadata[Any] = Metadata.from_bytes(read(self._history / f"{version}.root.json", METADATA_BYTES))
                new: Root = _role(made, "root")
                root.verify_delegate("root", *_signatures(made))
                new.verify_delegate("root", *_signatures(made))
            except (OSError, RepositoryError, ValueError):
                break
            if new.version != version:
                break
            root = new
        if self._known is None or root.version > self._known.version:
            self._known = root
        return root, max(self._known.version, self._last_root()) <= root.version

    def _last_root(self) -> int:
        """The version of the last root that has been fetched, whether or not it can be read or reached; 0 if there is none."""
        try:
            found = [_ROOT.fullmatch(one.name) for one in self._history.iterdir()]
        except OSError:
            return 0
        return max((int(one[1]) for one in found if one), default=0)

    @staticmethod
    def _vouched(root: Root, targets: bytes, data: bytes) -> Served:
        from tuf.api.exceptions import RepositoryError
        from tuf.api.metadata import Metadata

        try:
            made: Metadata[Any] = Metadata.from_bytes(targets)
            signed = _role(made, "targets")
            root.verify_delegate("targets", *_signatures(made))
            if TARGET not in signed.targets:
                raise BundleError(f"there is no {TARGET}")
            signed.targets[TARGET].verify_length_and_hashes(data)
        except (RepositoryError, ValueError) as error:
            raise BundleError(f"the metadata does not vouch for the bundle: {error}") from None
        return Served(data, sha256(data), signed.version, min(signed.expires, root.expires), targets)

    def _make_folders(self) -> None:
        try:
            for folder in (self._metadata, self._bundles, self._marks):
                # One by one: `parents=True` makes those above with the usual mode, and the home, which keys come to, is one.
                for one in (*reversed(folder.parents), folder):
                    if not one.is_dir():
                        one.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise BundleError(f"the cache cannot be used: {_plain(error)}") from error

    def _note(self, state: State) -> None:
        try:
            _replace(self.folder / "state.json", msgspec.json.encode(state))
        except OSError as error:
            _log.warning("what came of asking for the policy cannot be noted in its cache: %s", _plain(error))


def _marked(mark: Path) -> str:
    """The sha256 that a mark names; "" if it names none."""
    try:
        name = read(mark, 64).decode("ascii")
    except (OSError, ValueError):
        return ""
    return name if _SHA.fullmatch(name) else ""


def _role(made: Metadata[Any], role: str) -> Any:
    if made.signed.type != role:
        raise ValueError(f"it is {made.signed.type} metadata, not {role}")
    return made.signed


def _signatures(made: Metadata[Any]) -> tuple[bytes, Any]:
    return made.signed_bytes, made.signatures


def _replace(file: Path, data: bytes) -> None:
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.unlink(missing_ok=True)
        with beside.open("xb") as made:  # a file of our own, whatever somebody put there
            made.write(data)
        beside.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (OverflowError, OSError, ValueError):
        return None


def _plain(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
