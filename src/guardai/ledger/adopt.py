"""Adopts the log of a process that died: checks its unsigned tail by the tags and countersigns it.

The tail is vouched for by two things: the chain, which ties it to the signed part, and the tags, which only someone who
held the log's evolving key at the time, or holds the host's private key, can make. A tail that does not pass is not
touched; `verify` reports it. What is appended, a `recovered` record, says from where to where, and a hash of the tags,
so that the countersignature covers them.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

import msgspec

from guardai.ledger.canonical import encode_plain
from guardai.ledger.heads import sign_head
from guardai.ledger.merkle import leaf_hash
from guardai.ledger.ratchet import step
from guardai.ledger.spool import record
from guardai.model import VERSION

if TYPE_CHECKING:
    from guardai.ledger.chain import Examined
    from guardai.ledger.keys import Keys
    from guardai.ledger.layout import Layout

__all__ = ["adopt"]


def adopt(layout: Layout, keys: Keys, examined: Examined, fd: int) -> bool:
    """Ends the log of a dead process with a countersigned `recovered` record; False if its tail does not pass.

    Args:
        layout: of the home.
        keys: of the home.
        examined: the log, as `chain.examine` found it, from its first event or one of its signed heads on.
        fd: the spool, open for writing, with its lock held by the caller.

    Raises:
        OSError: it cannot be written; what was begun is cut off again by the next to try.
    """
    if examined.faults or not examined.tagged or examined.key is None:
        return False
    view, log = examined.view, examined.view.log
    first, last = max(examined.signed + 1, view.base), examined.events - 1
    prev, until = examined.tip
    tags = hashlib.sha256()
    for seq in range(first, last + 1):
        tags.update(examined.tag(seq))
    seq = last + 1
    event = record(
        "recovered",
        {
            "count": seq - first,
            "from": first,
            "since": examined.time(first) if first <= last else 0,
            "tags": tags.hexdigest(),
            "to": last,
            "torn": view.torn,
            "until": until if first <= last else 0,
        },
    )
    event = msgspec.structs.replace(
        event,
        id=f"{log}-{seq:x}",
        key=keys.host_id,
        log=log,
        prev=prev,
        seq=seq,
        ts=max(time.time_ns() // 1000, until),
        v=VERSION,
    )
    data = encode_plain(event)
    leaf = leaf_hash(data)
    tag, _ = step(examined.key, leaf)
    # What follows the last newline is no event: its write never returned, so its effect did not happen.
    os.ftruncate(fd, view.end)
    _write_whole(fd, data + b"\t" + tag.encode() + b"\n", view.end)
    head = sign_head(keys.host, keys.host_id, log=log, seq=seq, leaf=leaf.hex(), ts=event.ts)
    _append_head(layout, log, head.line())
    return True


def _append_head(layout: Layout, log: str, line: bytes) -> None:
    fd = os.open(layout.heads(log), os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
    try:
        size = os.fstat(fd).st_size
        content = os.read(fd, size) if size else b""
        whole = content.rfind(b"\n") + 1
        os.ftruncate(fd, whole)
        _write_whole(fd, line, whole)
    finally:
        os.close(fd)


def _write_whole(fd: int, line: bytes, end: int) -> None:
    try:
        written = os.write(fd, line)
    except BaseException:
        os.ftruncate(fd, end)
        raise
    if written != len(line):
        os.ftruncate(fd, end)
        raise OSError(28, "the disk took only a part of the record")
