"""What a bundle says of itself, and whether it is true: name, version, times, and the digest of every member."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from packaging.version import InvalidVersion, Version

from guardai._version import __version__
from guardai.errors import BundleError
from guardai.policy.trust.archive import MANIFEST

__all__ = ["Manifest", "check_version", "content_digest", "decides", "moment", "opened", "sha256", "written"]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`manifest.json` of a bundle file.

    Attributes:
        name: the bundle's.
        version: whatever its makers count by.
        created: when, as `2026-11-30T08:00:00Z`.
        expires: from when on it decides nothing any more; "" is never.
        requires: the lowest version of guardai that may use it.
        digest: of what decides; the digest that events name, the same as that of the folder it was built from.
        members: name → sha256, hexadecimal, of every other member.
    """

    name: str
    version: str
    created: str
    expires: str
    requires: str
    digest: str
    members: dict[str, str]


def sha256(data: bytes) -> str:
    """The digest, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def decides(name: str) -> bool:
    """Whether the member has a say in decisions. Manifest and tests have none."""
    return name in ("catalog.toml", "detectors.toml", "schema.cedarschema") or name.startswith("policies/")


def content_digest(contents: Mapping[str, bytes]) -> str:
    """sha256, hexadecimal, over the names and contents of what decides."""
    whole = hashlib.sha256()
    for name, content in sorted(contents.items()):
        if decides(name):
            # Lengths first: two files cannot be cut differently and give the same digest.
            encoded = name.encode()
            whole.update(len(encoded).to_bytes(8, "big") + encoded + len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()


def written(when: datetime) -> str:
    """A time as manifests tell it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """A time as manifests tell it; also a date, which is its first second.

    Raises:
        ValueError: it is none, or in UTC before the year 1 or after 9999.
    """
    when = datetime.fromisoformat(text)
    try:
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text}: no time between the years 1 and 9999 of UTC") from None


def check_version(requires: str) -> None:
    """Whether this guardai is new enough.

    Raises:
        BundleError: it is not, or that is no version.
    """
    try:
        wanted = Version(requires)
    except InvalidVersion:
        raise BundleError(f"{MANIFEST}: requires is a version of guardai, such as {__version__}") from None
    if Version(__version__) < wanted:
        raise BundleError(f"{MANIFEST}: it needs guardai {requires} or newer; this is {__version__}")


def opened(members: Mapping[str, bytes]) -> Manifest:
    """The manifest of a bundle file, held against its members.

    Raises:
        BundleError: there is none, a member is not the one that it lists or is not listed, or this guardai is too old.
    """
    if MANIFEST not in members:
        raise BundleError(f"there is no {MANIFEST} in it")
    try:
        manifest = msgspec.json.decode(members[MANIFEST], type=Manifest)
        moment(manifest.created)
        if manifest.expires:
            moment(manifest.expires)
    except (msgspec.DecodeError, ValueError) as error:
        raise BundleError(f"{MANIFEST}: {error}") from None
    # Before the rest: a bundle of a later guardai may hold what this one does not know.
    check_version(manifest.requires)
    listed = manifest.members
    for name in sorted(listed.keys() ^ (members.keys() - {MANIFEST})):
        raise BundleError(
            f"{MANIFEST} lists {name}, which is not there" if name in listed else f"{MANIFEST} does not list {name}"
        )
    for name, digest in listed.items():
        if sha256(members[name]) != digest:
            raise BundleError(f"{name} is not what {MANIFEST} lists")
    if content_digest(members) != manifest.digest:
        raise BundleError(f"{MANIFEST} names another digest than that of what is in it")
    return manifest
