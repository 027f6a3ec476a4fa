"""One question to a repository, as TUF asks it. What is fetched stands in a draft folder until somebody takes it over."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guardai.errors import BundleError
from guardai.policy.trust.archive import MAX_BYTES
from guardai.policy.trust.chain import TARGET
from guardai.policy.trust.clock import Limit
from guardai.policy.trust.reading import plain, read
from guardai.policy.trust.roots import ROOTS

if TYPE_CHECKING:
    from tuf.api.metadata import TargetFile
    from tuf.ngclient import Updater

__all__ = ["ONLINE", "bundle", "named", "refreshed"]

#: What a repository signs besides its roots; a later one of each is told by the former.
ONLINE: Final = ("timestamp.json", "snapshot.json", "targets.json")


@contextlib.contextmanager
def refreshed(
    url: str, root: bytes, draft: Path, now: datetime, limit: Limit, stopped: threading.Event
) -> Iterator[Updater]:
    """Asks for roots, timestamp, snapshot and targets, each verified as far as tuf has come.

    Args:
        url: of the repository, with a `/` at its end.
        root: the file of the root to go on from.
        draft: a folder of the caller's own, with what was fetched before; what is new is written there.
        now: at which nothing may have expired.
        limit: for everything.
        stopped: once it is set, what is under way ends.

    Raises:
        tuf.api.exceptions.RepositoryError, OSError, ValueError: it failed; `named` tells them.
    """
    from tuf.ngclient import Updater, UpdaterConfig

    from guardai.policy.trust.transport import opened

    class WithoutLink(Updater):
        def _update_root_symlink(self) -> None:
            """Leaves out the link to the newest root, which nobody reads: not every file system has links."""

    with opened(url, limit.left(), stopped) as fetcher:
        updater = WithoutLink(
            str(draft),
            f"{url}metadata/",
            target_base_url=f"{url}targets/",
            fetcher=fetcher,
            config=UpdaterConfig(max_root_rotations=ROOTS),
            bootstrap=root,
        )
        # tuf asks the machine's clock, which may have been set back; there is no other way to tell it the time.
        updater._trusted_set.reference_time = now
        updater.refresh()
        yield updater


def bundle(updater: Updater, where: str, draft: Path, had: Callable[[TargetFile], bytes | None]) -> bytes:
    """The file of the bundle that the targets name.

    Args:
        updater: refreshed.
        where: the repository, as a message names it.
        draft: as above.
        had: gives it, if it need not be fetched.

    Raises:
        BundleError: none is offered, or none of a size that bundles have.
        tuf.api.exceptions.RepositoryError, OSError, ValueError: as above.
    """
    info = updater.get_targetinfo(TARGET)
    if info is None:
        raise BundleError(f"{where} offers no {TARGET}")
    if info.length > MAX_BYTES:
        raise BundleError(f"{where}: the bundle is larger than {MAX_BYTES} bytes; no bundle is")
    data = had(info)
    return read(Path(updater.download_target(info, str(draft / TARGET))), MAX_BYTES) if data is None else data


@contextlib.contextmanager
def named(where: str, doubt: str) -> Iterator[None]:
    """Tells what fails within, and whose fault it is.

    Args:
        where: the repository, as a message names it.
        doubt: what may be wrong if it is too late for something.

    Raises:
        BundleError: instead of tuf's errors, the disk's, and those of what was read.
    """
    from tuf.api import exceptions as tuf

    try:
        yield
    except tuf.ExpiredMetadataError as error:
        raise BundleError(
            f"{where}: {error}: nobody signed it anew, or somebody keeps newer metadata from you{doubt}"
        ) from error
    except tuf.BadVersionNumberError as error:
        raise BundleError(f"{where} offers older metadata than before, or of two times: {error}") from error
    except tuf.UnsignedMetadataError as error:
        raise BundleError(f"{where}: too few of the trusted keys signed: {error}") from error
    except tuf.DownloadLengthMismatchError as error:
        raise BundleError(f"{where} sends more than there should be: {error}") from error
    except tuf.DownloadError as error:
        raise BundleError(f"{where} cannot be fetched from: {error}") from error
    except tuf.RepositoryError as error:
        raise BundleError(f"{where}: what it offers is not what was signed: {error}") from error
    except (OSError, ValueError) as error:
        raise BundleError(
            f"the cache cannot be used: {plain(error)}; if there is room on its disk, remove it: `guardai bundle status` tells where it is"
        ) from error
