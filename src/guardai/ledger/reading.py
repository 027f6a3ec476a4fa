"""Reads a spool and its heads as another process left them, or is leaving them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from guardai.ledger.heads import Head, parse_heads
from guardai.ledger.ratchet import TAG_HEX

if TYPE_CHECKING:
    from pathlib import Path

    from guardai.ledger.layout import Layout

__all__ = ["Link", "LogView", "decode_link", "read_log"]


class Link(msgspec.Struct, frozen=True):
    """The part of an event that holds the log together."""

    id: str
    kind: str
    log: str
    prev: str
    seq: int
    ts: int
    v: int


decode_link: Final = msgspec.json.Decoder(Link).decode


@dataclass(frozen=True)
class LogView:
    """Whole lines of a spool, and heads.

    Attributes:
        base: position of the first line; 0 unless reading began further on.
        torn: bytes after the last newline. They are no event: their write never returned.
        end: offset in the spool after the last whole line.
        heads_end: the same of the heads.
        bad_heads: lines among the heads that are none.
    """

    log: str
    base: int
    lines: list[bytes]
    torn: int
    end: int
    heads: list[Head]
    heads_end: int
    bad_heads: int

    def upto(self, seq: int) -> LogView:
        """The same without the lines after event `seq`."""
        lines = self.lines[: seq + 1 - self.base]
        left = sum(len(line) + 1 for line in self.lines[len(lines) :])
        return LogView(
            self.log, self.base, lines, 0, self.end - left, self.heads, self.heads_end, self.bad_heads
        )


def read_log(layout: Layout, log: str, *, base: int = 0, offset: int = 0, heads_offset: int = 0) -> LogView | None:
    """Reads a log that may be growing meanwhile; None if there is no spool.

    The heads come first: a head is signed after its events were written, so whatever it covers is in the spool then.

    Args:
        layout: of the home.
        log: which log.
        base: the position of the event at `offset`.
        offset: where to begin in the spool.
        heads_offset: where to begin in the heads.
    """
    content = _read(layout.heads(log), heads_offset)
    heads, bad = parse_heads(content or b"")
    heads_end = heads_offset + (content or b"").rfind(b"\n") + 1
    content = _read(layout.spool(log), offset)
    if content is None:
        return None
    lines = content.split(b"\n")
    rest = lines.pop()
    if len(rest.partition(b"\t")[2]) > TAG_HEX:
        # More than a line that was cut short can hold: it was whole, and its end was altered.
        lines.append(rest)
        rest = b""
    torn = len(rest)
    return LogView(log, base, lines, torn, offset + len(content) - torn, heads, heads_end, bad)


def _read(path: Path, offset: int) -> bytes | None:
    try:
        with path.open("rb", buffering=0) as file:
            if offset:
                file.seek(offset)
            return file.read()
    except FileNotFoundError:
        return None
