"""Reads a spool and its heads as another process left them, or is leaving them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import msgspec

from guardai.ledger.heads import Head, parse_heads
from guardai.ledger.ratchet import TAG_HEX

if TYPE_CHECKING:
    from pathlib import Path

    from guardai.ledger.layout import Layout

__all__ = ["Link", "LogView", "address", "count_lines", "decode_link", "read_lines", "read_log", "read_part"]

#: Bytes that are read at once where only newlines are counted.
_BLOCK: Final = 1024 * 1024


class Link(msgspec.Struct, frozen=True):
    """The part of an event that holds the log together."""

    id: str
    kind: str
    log: str
    prev: str
    seq: int
    ts: int
    v: int


_ID: Final = re.compile(r"([0-9a-f]{16})-(0|[1-9a-f][0-9a-f]{0,12})")


def address(event: str) -> tuple[str, int] | None:
    """The log and position that an event's id names; None if it is no id."""
    match = _ID.fullmatch(event)
    return (match[1], int(match[2], 16)) if match is not None else None


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

    def newest(self) -> int:
        """The last event here that a head covers, whether or not the head holds; -1 if there is none."""
        stop = self.base + len(self.lines)
        return max((head.seq for head in self.heads if self.base <= head.seq < stop), default=-1)

    def upto(self, seq: int) -> LogView:
        """The same without lines and heads after event `seq`."""
        lines = self.lines[: seq + 1 - self.base]
        left = sum(len(line) + 1 for line in self.lines[len(lines) :])
        heads = list(takewhile(lambda head: head.seq <= seq, self.heads))
        later = sum(len(head.line()) for head in self.heads[len(heads) :])
        return replace(self, lines=lines, torn=0, end=self.end - left, heads=heads, heads_end=self.heads_end - later)


def read_log(
    layout: Layout, log: str, *, base: int = 0, offset: int = 0, heads_offset: int = 0, limit: int = -1
) -> LogView | None:
    """Reads a log that may be growing meanwhile; None if there is no spool.

    The heads come first: a head is signed after its events were written, so whatever it covers is in the spool then.

    Args:
        layout: of the home.
        log: which log.
        base: the position of the event at `offset`.
        offset: where to begin in the spool.
        heads_offset: where to begin in the heads.
        limit: bytes of the spool to read; -1 is all.
    """
    content = read_part(layout.heads(log), heads_offset)
    heads, bad = parse_heads(content or b"")
    heads_end = heads_offset + (content or b"").rfind(b"\n") + 1
    view = read_lines(layout, log, base=base, offset=offset, limit=limit)
    return replace(view, heads=heads, heads_end=heads_end, bad_heads=bad) if view is not None else None


def read_lines(layout: Layout, log: str, *, base: int, offset: int, limit: int) -> LogView | None:
    """Reads a spool without its heads; the arguments are those of `read_log`."""
    content = read_part(layout.spool(log), offset, limit)
    if content is None:
        return None
    lines = content.split(b"\n")
    rest = lines.pop()
    if (limit < 0 or len(content) < limit) and len(rest.partition(b"\t")[2]) > TAG_HEX:
        # More than a line that was cut short can hold: it was whole, and its end was altered.
        lines.append(rest)
        rest = b""
    return LogView(log, base, lines, len(rest), offset + len(content) - len(rest), [], 0, 0)


def count_lines(layout: Layout, log: str) -> int | None:
    """How many whole lines a spool has; None if there is no spool."""
    try:
        with layout.spool(log).open("rb", buffering=0) as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
    except FileNotFoundError:
        return None


def read_part(path: Path, offset: int, limit: int = -1) -> bytes | None:
    """The bytes of a file from `offset` on, at most `limit`; None if there is no file."""
    try:
        with path.open("rb", buffering=0) as file:
            if offset:
                file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return None
