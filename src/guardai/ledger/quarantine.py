"""What a sink refused for good: one line an event, with its exact bytes and why, so that it holds up nothing else.

The file is in the order of the leaves. Only who holds the sink's lock writes it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from guardai.ledger.layout import replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Quarantine", "Refused"]


class Refused(msgspec.Struct, frozen=True):
    """One line: the event as it was sealed, its place in the tree, the sink's reason, and when it was refused (µs)."""

    event: msgspec.Raw
    leaf: int
    reason: str
    ts: int


class Quarantine:
    """The file of one sink."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Refused]:
        """What is in it. A last line that was cut short was never counted, and is left out.

        Raises:
            OSError: it cannot be read.
            msgspec.DecodeError: it is not what was written.
        """
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        return [_decode(line) for line in lines[:-1]]

    def put(self, refused: Refused) -> None:
        """Adds an event, and returns when it is on the disk.

        Raises:
            OSError: it is not.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        fd = os.open(self._path, flags, 0o600)
        try:
            end = os.fstat(fd).st_size
            line = msgspec.json.encode(refused) + b"\n"
            try:
                written = os.write(fd, line)
                if written != len(line):
                    raise OSError(f"only {written} of {len(line)} bytes of a refused event could be written")
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, end)
                raise
        finally:
            os.close(fd)

    def forget_from(self, leaf: int) -> None:
        """Takes out what a death left in it that was never counted: it is delivered again.

        Raises:
            OSError, msgspec.DecodeError: as `read`, and it cannot be written.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        kept = [refused for refused in self.read() if refused.leaf < leaf]
        if content.count(b"\n") != len(kept) or not content.endswith(b"\n"):
            self.replace(kept)

    def replace(self, refused: Sequence[Refused]) -> None:
        """Puts these in the place of what is in it, at once.

        Raises:
            OSError: nothing has changed.
        """
        if refused:
            replace(self._path, b"".join(msgspec.json.encode(one) + b"\n" for one in refused), 0o600)
        else:
            self._path.unlink(missing_ok=True)


_decode = msgspec.json.Decoder(Refused).decode
