"""Reads an event's bytes as the struct of its kind, strictly: what no event is written like is refused.

This is about form. Whether it was recorded, and by whom, `verify` says.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from guardai.ledger.canonical import is_plain_dict
from guardai.model import RESERVED
from guardai.model.kinds import VERSIONS, ProgramsOwn, Recorded

__all__ = ["EventError", "EventVersionError", "read_event"]


class EventError(ValueError):
    """Bytes that are no event as guardai writes it; the message says where, and quotes no value."""


class EventVersionError(EventError):
    """An event of a version that this guardai does not read: nobody can tell here whether it is what it should be."""


_PLACE: Final = re.compile(r" - at `(\$[\w.\[\]]*)`\Z")


class _Head(msgspec.Struct):
    kind: str
    v: int


_head: Final = msgspec.json.Decoder(_Head).decode
_decoders: Final = {
    version: {kind: msgspec.json.Decoder(struct).decode for kind, struct in kinds.items()}
    for version, kinds in VERSIONS.items()
}
_programs_own: Final = msgspec.json.Decoder(ProgramsOwn).decode
_encode: Final = msgspec.json.Encoder(order="sorted").encode


def read_event(data: bytes) -> Recorded:
    """The event that these bytes are.

    A reader of version n reads versions n and n-1; a newer one it refuses by name instead of guessing.

    Args:
        data: the exact bytes, as the ledger, an export or a sink has them.

    Raises:
        EventVersionError: it is of another version.
        EventError: it is no event.
    """
    try:
        head = _head(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise EventError("this is no event: it has no kind or no version") from None
    decoders = _decoders.get(head.v)
    if decoders is None:
        known = " and ".join(map(str, sorted(_decoders)))
        raise EventVersionError(f"this event is of version {head.v}, this guardai reads {known}")
    decode = decoders.get(head.kind)
    if decode is None:
        if head.kind.partition(".")[0] in RESERVED:
            raise EventError(f"version {head.v} has no events of the kind {head.kind!r}")
        decode = _programs_own
    try:
        event = decode(data)
        exact = _encode(event) == data
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        # The error's own words may quote a value; the place is enough to find it.
        place = _PLACE.search(str(error))
        where = f" ({place[1]})" if place is not None else ""
        raise EventError(f"events of the kind {head.kind!r} are not written like that{where}") from None
    if isinstance(event, ProgramsOwn) and not is_plain_dict(event.body):
        raise EventError("a number in this event is none that an event can hold")
    if not exact:
        raise EventError("this is a second spelling of an event, not its bytes")
    return event
