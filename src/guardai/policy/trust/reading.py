"""A file that somebody else may have put there, read whole: it can neither hold its reader nor flood it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["METADATA_BYTES", "read"]

#: No metadata of a repository is this large.
METADATA_BYTES: Final = 1024 * 1024


def read(file: Path, most: int) -> bytes:
    """What is in the file, if that is no more than so many bytes.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it is larger.
    """
    # A pipe or a device must not hold us.
    fd = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(fd, "rb") as opened:
        data = opened.read(most + 1)
    if data is None or len(data) > most:
        raise ValueError(f"{file}: larger than {most} bytes")
    return data
