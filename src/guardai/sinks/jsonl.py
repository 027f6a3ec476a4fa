"""`jsonl:///path/to/file.jsonl`: events as they were signed, one a line."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from guardai.errors import ConfigError

__all__ = ["JsonlSink"]


class JsonlSink:
    """Appends each event's exact bytes and a newline.

    At least once: a delivery that was interrupted is repeated, so a reader drops a repeated `id`. A torn last line, left
    by a death in the middle of a write, is cut off before the next delivery.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.netloc or not parts.path or parts.query or parts.fragment:
            raise ConfigError(f"{url!r} is no file: write jsonl:///path/to/file.jsonl")
        self._path = Path(unquote(parts.path))

    def deliver(self, events: Sequence[bytes]) -> None:
        """Appends the events and puts them on the disk.

        Raises:
            OSError: they are not all there; deliver them again.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with io.FileIO(descriptor, "r+") as file:
            whole = _whole(file)
            file.truncate(whole)
            data = b"".join(event + b"\n" for event in events)
            written = file.write(data)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes could be written to {self._path}")
            os.fsync(file.fileno())


def _whole(file: io.FileIO) -> int:
    """Where the last whole line ends."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
