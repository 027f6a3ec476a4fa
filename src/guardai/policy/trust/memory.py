"""What a publisher remembers beside the trusted root: how far it had come. The folder that is served cannot be asked that.

Without it a root that a removed key signed, or an older state of the folder that somebody put back, would be as good as what it
took the place of: all of it was signed by keys that counted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from guardai.errors import BundleError
from guardai.policy.trust.reading import METADATA_BYTES, read
from guardai.policy.trust.writing import replace

__all__ = ["Memory", "beside", "recall", "remember"]


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest of what was published from here; nothing, before anything was.

    Attributes:
        root: the version of the newest root.
        sha256: of its file, in hexadecimal digits.
        targets, snapshot, timestamp: versions.
    """

    root: int = 0
    sha256: str = ""
    targets: int = 0
    snapshot: int = 0
    timestamp: int = 0


_SUFFIX: Final = ".published"


def beside(trusted: Path) -> Path:
    """The file of the memory that belongs to a trusted root."""
    real = trusted.resolve()  # one root under two names has one memory
    return real.with_name(f"{real.name}{_SUFFIX}")


def recall(trusted: Path) -> Memory:
    """What is remembered.

    Raises:
        BundleError: it cannot be read, or its folder not be written.
    """
    file = beside(trusted)
    try:
        if not os.access(file.parent, os.W_OK | os.X_OK):
            raise BundleError(
                f"{file}: cannot be kept there, and has to be: it says how far you have come. Copy the trusted root into a folder "
                "that you can write, and name it with --root. Nothing was changed"
            )
        return msgspec.json.decode(read(file, METADATA_BYTES), type=Memory)
    except FileNotFoundError:
        return Memory()
    except OSError as error:
        raise BundleError(f"{file}: cannot be read: {error.strerror}. Nothing was changed") from None
    except (ValueError, msgspec.MsgspecError) as error:
        raise BundleError(
            f"{file}: {error}. It says what was published last; put it back. Nothing was changed"
        ) from None


def remember(trusted: Path, memory: Memory) -> None:
    """Remembers it.

    Raises:
        BundleError: the file cannot be written; what it should say has been published all the same.
    """
    file = beside(trusted)
    try:
        replace(file, msgspec.json.encode(memory) + b"\n")
    except OSError as error:
        raise BundleError(
            f"{file}: cannot be written: {error.strerror}. It is published, but not noted: see to that, and publish once more"
        ) from None
