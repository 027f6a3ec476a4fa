"""What lies in a repository's folder, verified from the trusted root down as clients verify it, but for expiry.

SECURITY INVARIANT: nothing of the folder is handed out that the keys of the trusted root, or of the roots that follow from it,
do not vouch for. What has expired is theirs all the same: a publisher is there to sign it anew.

That the newest of what they signed lies there is told by the publisher's memory alone: whoever can write in the folder can put
an older state of it back, and whoever has a key that was removed can sign another root in the place of the one that removed it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guardai.errors import BundleError
from guardai.policy.trust.archive import MAX_BYTES
from guardai.policy.trust.manifest import sha256
from guardai.policy.trust.memory import Memory, beside
from guardai.policy.trust.reading import METADATA_BYTES, read

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Root

__all__ = ["TARGET", "Chain", "followed", "vouched"]

#: The name of the one bundle of a repository.
TARGET: Final = "policy.bundle"
_ROOT: Final = re.compile(r"([1-9][0-9]{0,17})\.root\.json")


class Chain(NamedTuple):
    """From the newest root to the current bundle.

    Attributes:
        root: the newest one.
        sha256: of the file that it stands in.
        metadata: of targets, snapshot and timestamp, with the signatures.
        content: the files that they stand in.
    """

    root: Root
    sha256: str
    metadata: Mapping[str, Metadata[Any]]
    content: Mapping[str, bytes]


def followed(folder: Path, trusted: Path, memory: Memory, *, older: bool = False) -> Chain:
    """Follows the roots from the trusted one to the newest, and from that timestamp, snapshot and targets.

    Args:
        folder: of the repository.
        trusted: the file of the root metadata that its clients were given.
        memory: what was published last.
        older: whether timestamp, snapshot and targets may be older than that, because all of them are made anew.

    Raises:
        BundleError: a file is missing, is not what the keys before it vouch for, or is older than what was published; names
            the file.
    """
    from tuf.api.metadata import Metadata
    from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
    from tuf.ngclient.config import EnvelopeType

    first, found = _verified(
        trusted, lambda content: TrustedMetadataSet(content, EnvelopeType.METADATA), wrong="is no root"
    )
    # The beginning of time: at that, nothing has expired.
    found.reference_time = datetime.min.replace(tzinfo=UTC)
    metadata = folder / "metadata"
    # Whoever asks for a file by its name has to get the one of that name, also if the clients begin with it.
    roots = _roots(metadata)
    if found.root.version in roots:
        _verified(metadata / f"{found.root.version}.root.json", lambda content: _same(content, first, trusted))
    newest = first
    _remembered(trusted, newest, found.root.version, memory)
    while (version := found.root.version + 1) in roots:
        file = metadata / f"{version}.root.json"
        newest, _ = _verified(file, found.update_root)
        _remembered(file, newest, version, memory)
    if max(roots, default=0) > found.root.version:
        missing = metadata / f"{found.root.version + 1}.root.json"
        raise BundleError(f"{missing} is missing, and there is {max(roots)}.root.json behind it. Nothing was changed")
    if found.root.version < memory.root:
        missing = metadata / f"{memory.root}.root.json"
        raise BundleError(f"{missing} is missing, which was published from here. Nothing was changed")
    content: dict[str, bytes] = {}
    content["timestamp"], _ = _verified(metadata / "timestamp.json", found.update_timestamp)
    name = f"{found.timestamp.snapshot_meta.version}.snapshot.json"
    content["snapshot"], _ = _verified(metadata / name, found.update_snapshot)
    told = found.snapshot.meta.get("targets.json")
    if told is None:
        raise BundleError(f"{metadata / name} names no targets. Nothing was changed")
    content["targets"], _ = _verified(metadata / f"{told.version}.targets.json", found.update_targets)
    signed = {role: Metadata.from_bytes(data) for role, data in content.items()}
    for role, one in signed.items():
        version = getattr(memory, role)
        if one.signed.version < version and not older:
            raise BundleError(
                f"{metadata}: {role} is of version {one.signed.version}, and {version} was published from here: somebody put an "
                f"older state back. Put the newest one there, or publish a FILE where {beside(trusted).name} is as it is here, and it "
                "becomes the newest. Nothing was changed"
            )
    return Chain(found.root, sha256(newest), signed, content)


def vouched(folder: Path, chain: Chain) -> bytes:
    """The bundle file that the targets metadata names.

    Raises:
        BundleError: it is missing, or not the one that is meant.
    """
    target = chain.metadata["targets"].signed.targets.get(TARGET)
    if target is None:
        raise BundleError(f"{folder}: the targets metadata names no {TARGET}. Nothing was changed")
    file = folder / "targets" / f"{target.hashes.get('sha256', '')}.{TARGET}"
    wrong = "is not the bundle that was signed; publish a FILE to put it right"
    return _verified(file, target.verify_length_and_hashes, MAX_BYTES, wrong)[0]


def _roots(metadata: Path) -> frozenset[int]:
    try:
        names = [file.name for file in metadata.iterdir()]
    except OSError as error:
        raise BundleError(f"{metadata}: cannot be read: {error.strerror}. Nothing was changed") from None
    return frozenset(int(found[1]) for name in names if (found := _ROOT.fullmatch(name)))


def _remembered(file: Path, content: bytes, version: int, memory: Memory) -> None:
    if version == memory.root and sha256(content) != memory.sha256:
        raise BundleError(
            f"{file} is another root than the one of its number that was published from here; a key that counts no more can have "
            "signed it. Put back the one that was published. Nothing was changed"
        )


def _same(content: bytes, first: bytes, trusted: Path) -> None:
    if content != first:
        raise ValueError(f"another root than {trusted}; is that the root of this repository?")


def _verified(
    file: Path,
    verify: Callable[[bytes], Any],
    most: int = METADATA_BYTES,
    wrong: str = "is not what the trusted keys signed",
) -> tuple[bytes, Any]:
    from tuf.api.exceptions import RepositoryError

    try:
        content = read(file, most)
        return content, verify(content)
    except OSError as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise BundleError(f"{file} {why}. Nothing was changed") from None
    except (RepositoryError, ValueError, RecursionError) as error:
        raise BundleError(f"{file} {wrong}: {error}. Nothing was changed") from None
