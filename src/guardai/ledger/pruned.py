"""What has been taken out of the store, as the events that stand there tell (`log.pruned`): logs, whole, of which the hashes are left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KIND", "Gone", "lasting", "read_pruned"]

KIND: Final = "log.pruned"
#: Kinds by which other events are judged: a log with one of them stays.
_LASTING: Final = (KIND, "key.certified", "key.revoked")
_MARKS: Final = tuple(f'"kind":"{kind}"'.encode() for kind in _LASTING)


class Gone(NamedTuple):
    """A log that may be missing: how many events it had, and the hash of the last."""

    log: str
    events: int
    hash: str


class _Log(msgspec.Struct):
    log: str
    events: int
    hash: str


class _Body(msgspec.Struct):
    logs: list[_Log]


class _Event(msgspec.Struct):
    kind: str
    body: _Body


_decode: Final = msgspec.json.Decoder(_Event).decode


def read_pruned(event: bytes) -> Iterable[Gone]:
    """The logs that an event says were pruned; none if it is no such event."""
    try:
        read = _decode(event)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()
    return [Gone(one.log, one.events, one.hash) for one in read.body.logs] if read.kind == KIND else ()


def lasting(event: bytes) -> bool:
    """Whether an event may be one by which others are judged. Text that only looks like one keeps its log, too."""
    return any(mark in event for mark in _MARKS)
