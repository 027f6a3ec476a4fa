"""The roots that a client follows: from the trusted one, each signed by the keys of the one before it, to the newest.

::

    metadata/root_history/<version>.root.json   those that were followed
    newest.root.json                            the newest of them, once more

SECURITY INVARIANT: no other root takes the place of one that was followed. Whoever has a key that was removed can sign another of
the same number, and everything after it. What was followed is remembered in memory as long as the process lives, and in the cache
for those that begin after it: they follow nothing that does not lead over the newest that is left there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guardai.errors import BundleError
from guardai.policy.trust.reading import METADATA_BYTES, there
from guardai.policy.trust.writing import replace

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Root

__all__ = ["HISTORY", "ROOTS", "Roots", "role", "signatures"]

#: The folder, of tuf's metadata, that roots stand in.
HISTORY: Final = "root_history"
#: Roots that are followed at one question: more rotations than a client sleeps through.
ROOTS: Final = 256


class _One(NamedTuple):
    """A root: its file, what is signed in it, and as tuf reads it."""

    file: bytes
    signed: bytes
    root: Root


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

        self._history = folder / "metadata" / HISTORY
        self._note = folder / "newest.root.json"
        try:
            self._followed: tuple[_One, ...] = (_read(trusted),)
        except (RepositoryError, ValueError) as error:
            raise BundleError(f"the trusted root is no root metadata of TUF: {error}") from None

    def follow(self) -> tuple[Root, bool]:
        """What this process has followed, and what others of the same cache have since.

        Returns:
            The newest root, and whether no newer one is known. Where one is, and no way to it, a key that was removed would count.
        """
        newest = self._newest()  # before the roots: another process writes it after them
        way = self._on(self._history)
        if not _leads_over(way, newest):
            return self._followed[-1].root, False
        self._remember(way)
        return way[-1].root, True

    @property
    def last(self) -> bytes:
        """The file of the newest root that this process has followed."""
        return self._followed[-1].file

    def take(self, folder: Path) -> Root | None:
        """Follows what was fetched into a folder, and keeps it in the cache, with what was lost there. The caller has the lock.

        Returns:
            The newest root; None where the way does not lead over the one that was known: nothing of it is followed or kept then.

        Raises:
            OSError: it cannot be kept; it is followed all the same.
        """
        newest = self._newest()
        way = self._on(folder)
        if not _leads_over(way, newest):
            return None
        self._remember(way)
        for one in way[1:]:
            file = self._history / f"{one.root.version}.root.json"
            if there(file, METADATA_BYTES) != one.file:
                replace(file, one.file)
        if there(self._note, METADATA_BYTES) != way[-1].file:
            replace(self._note, way[-1].file)
        return way[-1].root

    def _remember(self, way: tuple[_One, ...]) -> None:
        if len(way) > len(self._followed):  # another thread may have come further meanwhile
            self._followed = way

    def _on(self, folder: Path) -> tuple[_One, ...]:
        """From where this process has come, as far as the files of a folder lead."""
        from tuf.api.exceptions import RepositoryError

        way = self._followed
        while (data := there(folder / f"{way[-1].root.version + 1}.root.json", METADATA_BYTES)) is not None:
            try:
                new = _read(data, way[-1].root)
            except (RepositoryError, ValueError):
                break
            way = (*way, new)
        return way

    def _newest(self) -> _One | None:
        """The newest that was followed, of what is left: a damaged file does not sign itself.

        SECURITY INVARIANT: how new a root is, it says itself. A note that could not be written stays behind those that were
        followed, and where one of them is lost it would lead on to another in the place of the rest.
        """
        try:
            files = [self._note, *self._history.iterdir()]
        except OSError:
            files = [self._note]
        found = [one for file in files if (one := _signed_by_itself(there(file, METADATA_BYTES))) is not None]
        return max(found, key=lambda one: one.root.version, default=None)  # of two the first, which is the note


def _leads_over(way: tuple[_One, ...], newest: _One | None) -> bool:
    # What is signed, not the file: somebody may have signed it once more.
    return newest is None or any(one.signed == newest.signed for one in way)


def _signed_by_itself(data: bytes | None) -> _One | None:
    from tuf.api.exceptions import RepositoryError

    try:
        return None if data is None else _read(data)
    except (RepositoryError, ValueError):
        return None


def _read(data: bytes, former: Root | None = None) -> _One:
    """A root that is signed as it says itself, and as the one before it says, whose number it follows.

    Raises:
        tuf.api.exceptions.RepositoryError, ValueError: it is not.
    """
    from tuf.api.metadata import Metadata

    made: Metadata[Any] = Metadata.from_bytes(data)
    root: Root = role(made, "root")
    root.verify_delegate("root", *signatures(made))
    if former is not None:
        former.verify_delegate("root", *signatures(made))
        if root.version != former.version + 1:
            raise ValueError(f"it is root {root.version}, not {former.version + 1}")
    return _One(data, made.signed_bytes, root)


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
