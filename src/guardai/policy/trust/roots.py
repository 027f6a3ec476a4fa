"""The roots that a client follows: from the trusted one, each signed by the keys of the one before it, to the newest.

::

    root_history/<version>.root.json    those that were followed
    newest.json                         which was the newest of them

SECURITY INVARIANT: no other root takes the place of one that was followed. Whoever has a key that was removed can sign another of
the same number, and everything after it. What was followed is remembered in memory as long as the process lives, and in
`newest.json` for those that begin after it: they follow nothing that does not lead over that one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from guardai.errors import BundleError
from guardai.policy.trust.manifest import sha256
from guardai.policy.trust.reading import METADATA_BYTES, there
from guardai.policy.trust.writing import replace

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Root

__all__ = ["HISTORY", "ROOTS", "Roots", "role", "signatures"]

#: The folder of a cache that roots stand in; tuf has it so.
HISTORY: Final = "root_history"
#: Roots that are followed from the trusted one: more rotations than a client sleeps through.
ROOTS: Final = 256


class _Newest(msgspec.Struct, frozen=True):
    version: int
    sha256: str


class _Way(NamedTuple):
    """Roots, the trusted one first, and the last of them."""

    files: tuple[bytes, ...]
    root: Root

    def leads_over(self, newest: _Newest | None) -> bool:
        if newest is None:
            return True
        at = newest.version - (self.root.version - len(self.files) + 1)
        return 0 <= at < len(self.files) and sha256(self.files[at]) == newest.sha256


class Roots:
    """Those of one repository.

    Args:
        trusted: the root that everything hangs on.
        folder: the cache.

    Raises:
        BundleError: the trusted root is none.
    """

    def __init__(self, trusted: bytes, folder: Path) -> None:
        from tuf.api.exceptions import RepositoryError
        from tuf.api.metadata import Metadata

        self._folder = folder
        try:
            made: Metadata[Any] = Metadata.from_bytes(trusted)
            root: Root = role(made, "root")
            root.verify_delegate("root", *signatures(made))
        except (RepositoryError, ValueError) as error:
            raise BundleError(f"the trusted root is no root metadata of TUF: {error}") from None
        self._followed = _Way((trusted,), root)

    def follow(self) -> tuple[Root, bool]:
        """What this process has followed, and what others of the same cache have since.

        Returns:
            The newest root, and whether no newer one is known. Where one is, and no way to it, a key that was removed would count.
        """
        newest = self._newest()  # before the roots: another process writes it after them
        way = self._on(self._folder / HISTORY)
        if not way.leads_over(newest):
            return self._followed.root, False
        self._followed = way
        return way.root, True

    @property
    def last(self) -> bytes:
        """The file of the newest root that this process has followed."""
        return self._followed.files[-1]

    def take(self, folder: Path) -> Root | None:
        """Follows what was fetched into a folder, and keeps it in the cache, with what was lost there. The caller has the lock.

        Returns:
            The newest root; None where the way does not lead over the one that was known: nothing of it is followed or kept then.

        Raises:
            OSError: it cannot be kept; it is followed all the same.
        """
        newest = self._newest()
        way = self._on(folder)
        if not way.leads_over(newest):
            return None
        self._followed = way
        first = way.root.version - len(way.files) + 1
        for version, data in enumerate(way.files[1:], first + 1):
            file = self._folder / HISTORY / f"{version}.root.json"
            if there(file, METADATA_BYTES) != data:
                replace(file, data)
        now = _Newest(way.root.version, sha256(way.files[-1]))
        if now != newest:
            replace(self._folder / "newest.json", msgspec.json.encode(now))
        return way.root

    def _on(self, folder: Path) -> _Way:
        """From where this process has come, as far as the files of a folder lead."""
        from tuf.api.exceptions import RepositoryError
        from tuf.api.metadata import Metadata

        way = self._followed
        while len(way.files) <= ROOTS:
            version = way.root.version + 1
            data = there(folder / f"{version}.root.json", METADATA_BYTES)
            if data is None:
                break
            try:
                made: Metadata[Any] = Metadata.from_bytes(data)
                new: Root = role(made, "root")
                way.root.verify_delegate("root", *signatures(made))
                new.verify_delegate("root", *signatures(made))
            except (RepositoryError, ValueError):
                break
            if new.version != version:
                break
            way = _Way((*way.files, data), new)
        return way

    def _newest(self) -> _Newest | None:
        data = there(self._folder / "newest.json", METADATA_BYTES)
        try:
            return None if data is None else msgspec.json.decode(data, type=_Newest)
        except (ValueError, msgspec.MsgspecError, RecursionError):
            return None


def role(made: Metadata[Any], name: str) -> Any:
    """What is signed, which has to be of that role.

    Raises:
        ValueError: it is not.
    """
    if made.signed.type != name:
        raise ValueError(f"it is {made.signed.type} metadata, not {name}")
    return made.signed


def signatures(made: Metadata[Any]) -> tuple[bytes, Any]:
    """The bytes that were signed, and the signatures: what tuf's `verify_delegate` takes."""
    return made.signed_bytes, made.signatures
