"""A policy folder's files, and what its own `manifest.json` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from guardai.errors import BundleError
from guardai.policy.trust.manifest import check_version

__all__ = ["BEFORE", "folder_files", "folder_manifest"]

#: What is read before the policies. The detectors first: the catalog may speak of their labels.
BEFORE: Final = ("detectors.toml", "catalog.toml", "schema.cedarschema")


def folder_files(folder: Path) -> dict[str, Path]:
    """The files of a policy folder that are read, by name, in the order in which they are."""
    policies = sorted((folder / "policies").glob("*.cedar"))
    optional = [file for name in (*BEFORE, "manifest.json") if (file := folder / name).exists()]
    return {file.relative_to(folder).as_posix(): file for file in (*optional, *policies)}


def folder_manifest(folder: Path) -> dict[str, str]:
    """What a policy folder's own `manifest.json` says; empty if there is none.

    Raises:
        BundleError: it says what nobody looks at, or is no manifest.
    """
    file = folder / "manifest.json"
    if not file.exists():
        return {}
    try:
        manifest: Any = msgspec.json.decode(file.read_bytes())
    except msgspec.DecodeError as error:
        raise BundleError(f"manifest.json: not JSON: {error}") from None
    if not isinstance(manifest, dict) or not all(isinstance(value, str) for value in manifest.values()):
        raise BundleError('manifest.json: must be an object of strings, such as {"name": "shop", "version": "3"}')
    for key in manifest.keys() - {"name", "version", "requires"}:
        # An expiry or a digest that nobody looks at would be worse than none.
        raise BundleError(
            f"manifest.json: {key} is not a key of a folder's manifest; there are name, requires, version"
        )
    if "requires" in manifest:
        check_version(manifest["requires"])
    return manifest
