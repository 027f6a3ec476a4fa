"""What people use today, each behind the same function, on the same texts.

A peer is a module here with `NAME`, `DISTRIBUTION` and `load()`, which returns `find(text) -> [(start, end, kind)]` in
characters. Each is set up as its own documentation says, without anything that would be downloaded. `requirements/peers.txt`
names them for nox, which gives them a Python of their own; what is not installed there is not measured, and said so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib import metadata

__all__ = ["PEERS", "Find", "installed", "load"]

Find = Callable[[str], list[tuple[int, int, str]]]

PEERS = ("presidio", "datafog", "detect_secrets", "langchain_pii")


def installed(peer: str) -> str | None:
    """Its name with its version, or None if it is not here."""
    module = importlib.import_module(f"benchmarks.peers.{peer}")
    try:
        return f"{module.NAME} {metadata.version(module.DISTRIBUTION)}"
    except metadata.PackageNotFoundError:
        return None


def load(peer: str) -> Find:
    """Sets it up, which may take seconds."""
    return importlib.import_module(f"benchmarks.peers.{peer}").load()  # type: ignore[no-any-return]
