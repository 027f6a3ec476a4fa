"""A bundle as one file: an uncompressed tar (ustar) of which there is exactly one for the same members.

SECURITY INVARIANT: a file is taken only if packing its members again gives the very same bytes. Links, devices, absolute
names, duplicates, sparse files, extended headers and whatever stands behind the end are not merely looked for: there is no
second way to write a bundle. Nothing is compressed, so nothing can blow up; nothing is ever unpacked to a disk.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from typing import Final

from guardai.errors import BundleError

__all__ = ["INDEX", "MANIFEST", "MAX_BYTES", "is_member", "pack", "unpack"]

#: No bundle is this large: 10,000 policies are some 3 MB.
MAX_BYTES: Final = 64 * 1024 * 1024
MANIFEST: Final = "manifest.json"
#: What the builder worked out about the policies, so that processes begin with it.
INDEX: Final = "index.msgpack"

_BLOCK: Final = tarfile.BLOCKSIZE
#: Plain letters, so that a name is the same on every file system and fits into a header of its own.
_PLAIN: Final = r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,79}"
_MEMBER: Final = re.compile(
    rf"policies/{_PLAIN}\.cedar|tests/{_PLAIN}\.toml|catalog\.toml|detectors\.toml|schema\.cedarschema|manifest\.json|"
    rf"index\.msgpack"
)


def is_member(name: str) -> bool:
    """Whether a file of this name can stand in a bundle."""
    return _MEMBER.fullmatch(name) is not None


def pack(members: Mapping[str, bytes]) -> bytes:
    """The one file of these members: the manifest first, the others by name; no times, owners or rights."""
    parts: list[bytes] = []
    for name in sorted(members, key=lambda one: (one != MANIFEST, one)):
        content = members[name]
        header = tarfile.TarInfo(name)
        header.size, header.mode, header.mtime = len(content), 0o644, 0
        parts += (header.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict"), content, bytes(-len(content) % _BLOCK))
    return b"".join((*parts, bytes(2 * _BLOCK)))


def unpack(data: bytes) -> dict[str, bytes]:
    """The members of a bundle file.

    Raises:
        BundleError: it is no bundle file, or not one that `pack` could have written.
    """
    if len(data) > MAX_BYTES:
        raise BundleError(f"the file is larger than {MAX_BYTES} bytes; no bundle is")
    members: dict[str, bytes] = {}
    offset = 0
    while (block := data[offset : offset + _BLOCK]) != bytes(_BLOCK):
        header = _header(block, first=not offset)
        name, size = header.name, header.size
        if header.type != tarfile.REGTYPE:
            raise BundleError(f"{name!a} in it is a link, a folder or a device; a bundle holds plain files alone")
        if not is_member(name):
            raise BundleError(f"{name!a} is no name of a member of a bundle")
        if name in members:
            raise BundleError(f"{name} stands in it twice")
        start = offset + _BLOCK
        offset = start + size + -size % _BLOCK
        if size < 0 or offset > len(data):
            raise BundleError(f"the file is cut off within {name}")
        members[name] = data[start : start + size]
    if pack(members) != data:
        raise BundleError(
            "the file is not written as `guardai bundle build` writes it: it was altered, or made by something else; fetch it anew, or build it again"
        )
    return members


def _header(block: bytes, *, first: bool) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        what = "no bundle file; `guardai bundle build DIR -o FILE` makes one" if first else "cut off or damaged"
        raise BundleError(f"it is {what}") from None
