"""From a policy folder to one file that can be signed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from guardai.errors import BundleError
from guardai.policy.bundle import stored_index
from guardai.policy.folder import folder_files, folder_manifest
from guardai.policy.trust.archive import INDEX, MANIFEST, MAX_BYTES, is_member, pack, unpack
from guardai.policy.trust.manifest import Manifest, content_digest, decides, sha256, written

__all__ = ["build", "changed", "honest"]

#: The first guardai that reads bundle files. What a later one adds to the vocabulary an older one refuses by itself.
_FIRST: Final = "0.1.0"


def build(
    folder: Path,
    labels: Iterable[str] = (),
    *,
    name: str = "",
    version: str = "",
    created: datetime | None = None,
    expires: datetime | None = None,
) -> bytes:
    """The bundle file of a policy folder. The same folder and the same arguments give the same bytes.

    What `check` finds besides is for the caller to look at.

    Args:
        folder: with `policies/*.cedar`, and what else a policy folder holds.
        labels: what packs of detectors find, those of the processes that will load it.
        name: the bundle's; by default that of the folder's manifest, else the folder's own.
        version: by default that of the folder's manifest, else `0`.
        created: by default when the newest of its files was changed.
        expires: from when on it decides nothing any more; by default it does not expire by itself.

    Raises:
        BundleError: the folder cannot be used, a file has a name that no bundle can hold, or all are too large.
    """
    said = folder_manifest(folder)
    files = folder_files(folder)
    tests = sorted((folder / "tests").glob("*.toml"))
    contents: dict[str, bytes] = {file: path.read_bytes() for file, path in files.items() if decides(file)}
    contents |= {file.relative_to(folder).as_posix(): file.read_bytes() for file in tests}
    for file in contents:
        if not is_member(file):
            raise BundleError(f"{file}: rename it; a file of a bundle has plain letters, digits, _ - . and spaces")
    contents[INDEX] = stored_index(folder, labels)
    manifest = Manifest(
        name=name or said.get("name") or folder.resolve().name,
        version=version or said.get("version") or "0",
        created=written(created or changed(folder)),
        expires=written(expires) if expires is not None else "",
        requires=said.get("requires", _FIRST),
        digest=content_digest(contents),
        members={file: sha256(content) for file, content in sorted(contents.items())},
    )
    told = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    data = pack({**contents, MANIFEST: told})
    if len(data) > MAX_BYTES:
        raise BundleError(f"{folder}: more than {MAX_BYTES} bytes; no bundle is this large")
    return data


def changed(folder: Path) -> datetime:
    """When the file of a policy folder that was changed last was changed; a whole second."""
    files = (*folder_files(folder).values(), *(folder / "tests").glob("*.toml"))
    return datetime.fromtimestamp(max((int(file.stat().st_mtime) for file in files), default=0), UTC)


def honest(data: bytes, labels: Iterable[str] = ()) -> None:
    """Whether what a bundle file says of its policies beside their text is what this guardai works out from that text.

    Who signs a file has read its policies, not its index; but a process that trusts the signature begins with the index.

    Raises:
        BundleError: it is not, or the file cannot be used.
    """
    if unpack(data).get(INDEX) != stored_index(Path("the bundle"), labels, data):
        raise BundleError(
            f"its {INDEX} is not what this guardai, with the detectors that are installed here, makes of its policies; "
            "build it again here, then sign it"
        )
