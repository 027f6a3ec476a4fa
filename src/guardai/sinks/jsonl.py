"""`jsonl:///path/to/file.jsonl`: events as they were signed, one a line, in files that do not grow without end."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from guardai.errors import ConfigError, SinkError
from guardai.model import shown
from guardai.sinks import claim

__all__ = ["JsonlSink"]

_WRITE: Final = "write jsonl:///path/to/file.jsonl, with ?max_bytes=100000000&keep=10 if it is to be rotated"
_SLEEP: Final = 0.02


class JsonlSink:
    """Appends each event's exact bytes and a newline, and returns when they are on the disk.

    At least once: a delivery that was interrupted is repeated, so a reader drops a repeated `id`. A torn last line, left
    by a death in the middle of a write, is cut off before the next delivery. Whoever else writes through this sink waits.

    With `max_bytes` a file that would grow beyond it becomes `file.jsonl.1`, the former `.1` becomes `.2`, and of these
    `keep` stay. Somebody else may move the file away at any time: the next event begins a new one.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
            self._most, self._keep = int(options.pop("max_bytes", 0)), int(options.pop("keep", 0))
        except ValueError as exc:
            raise ConfigError(f"{shown(url)} with its options is no file: {_WRITE}") from exc
        # Both or neither: nothing is thrown away that nobody named a number for.
        rotates = self._most > 0 and self._keep > 0
        if parts.netloc or not parts.path or parts.fragment or options or (parts.query and not rotates):
            raise ConfigError(f"{shown(url)} with its options is no file: {_WRITE}")
        if rotates and sys.platform == "win32":
            raise ConfigError("a file cannot be rotated on Windows, where an open one cannot be renamed")
        self._path = Path(unquote(parts.path))

    def deliver(self, events: Sequence[bytes], *, seconds: float = 30.0) -> None:
        """Appends the events and puts them on the disk.

        Raises:
            OSError: they are not all there; deliver them again.
            SinkError: another process has been writing the file all the time.
        """
        until = time.monotonic() + seconds
        self._path.parent.mkdir(parents=True, exist_ok=True)
        left = [event + b"\n" for event in events]
        while left:
            with self._opened(until) as file:
                size = _whole(file)
                file.truncate(size)
                count = self._fitting(size, left)
                if count:
                    _append(file, size, b"".join(left[:count]))
                    if not size:
                        _sync_name(self._path)
                    del left[:count]
                else:
                    self._rotate()

    def _fitting(self, size: int, lines: Sequence[bytes]) -> int:
        """How many of the lines this file takes. An empty one takes at least one, however long."""
        if not self._most:
            return len(lines)
        for count, line in enumerate(lines):
            size += len(line)
            if size > self._most and (count or size > len(line)):
                return count
        return len(lines)

    def _rotate(self) -> None:
        """Makes room for a new file. A death at any point of it leaves a number free, and no file is lost by the next one."""
        free = next((n for n in range(1, self._keep) if not self._older(n).exists()), self._keep)
        for n in range(free, 1, -1):
            self._older(n - 1).replace(self._older(n))
        self._path.replace(self._older(1))

    def _older(self, n: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{n}")

    @contextlib.contextmanager
    def _opened(self, until: float) -> Iterator[io.FileIO]:
        """The file that has the name now, and that nobody else is writing."""
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
            with claim.opened(os.open(self._path, flags, 0o600)) as file:
                if claim.take(file.fileno()):
                    try:
                        if self._is_it(file):
                            yield file
                            return
                    finally:
                        claim.give_back(file.fileno())
                elif time.monotonic() > until:
                    raise SinkError(f"another process has been writing {self._path} all the time")
            time.sleep(_SLEEP)

    def _is_it(self, file: io.FileIO) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:  # it was moved since it was opened
            return False


def _append(file: io.FileIO, size: int, data: bytes) -> None:
    try:
        written = file.write(data)
        if written != len(data):
            raise OSError(f"only {written} of {len(data)} bytes could be written")
        os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(size)  # as it was: what is repeated is not there twice
        raise


def _sync_name(path: Path) -> None:
    """Puts a new file's name on the disk, where a folder can be opened for that."""
    with contextlib.suppress(OSError):
        fd = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


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
