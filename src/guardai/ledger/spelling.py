"""Reads an event and, in the same go, makes sure that it is not a second spelling of what it says.

An event is canonical if writing anew what was read gives the same bytes (`canonical.is_canonical`). Most of an event's text
stands in fields that repeat from event to event (who acts, what was decided): of these the bytes are kept as they are, and
looked at where they are first seen. So reading and writing take half the time, and the answer is the same, because

- a struct's fields are written in their order, each once, and without those that hold their default: an event that is
  anything else is not written back as it was, and is asked of `is_canonical` itself;
- the bytes of a field that were kept are canonical by themselves.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from guardai.ledger.canonical import encode_plain, is_canonical
from guardai.ledger.reading import Link, decode_link
from guardai.model import Event

__all__ = ["SpellingError", "read_canonical"]

_NONE: Final = msgspec.Raw(b"")
_RAW: Final = ("body", "decision", "model", "principal", "resource")
_SCALARS: Final = {"str": str, "int": int, "int | None": int | None}
#: How many pieces of bytes are remembered, and how long one may be: 4 MB at the most.
_MOST: Final = 4096
_LONGEST: Final = 1024
_seen: set[bytes] = set()


class SpellingError(ValueError):
    """The bytes say what an event says, in another spelling."""


def _field(field: msgspec.structs.FieldInfo, annotation: str) -> tuple[Any, ...]:
    kind = msgspec.Raw if field.name in _RAW else _SCALARS.get(annotation, Any)
    if field.required:
        return field.name, kind
    return field.name, kind, _NONE if kind is msgspec.Raw else field.default


#: An event's fields, in their order and with their defaults; those of `Link` are among them.
_Read: Final = msgspec.defstruct(
    "_Read",
    [_field(field, str(Event.__annotations__[field.name])) for field in msgspec.structs.fields(Event)],
    kw_only=True,
    omit_defaults=True,
    gc=False,
)
_decode: Final[Any] = msgspec.json.Decoder(_Read).decode


def read_canonical(data: bytes) -> Link:
    """The part of an event that holds its log together.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError: it is no event.
        SpellingError: it is not canonical.
    """
    try:
        event = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_with_care(data)  # not as events are today, but perhaps one
    if encode_plain(event) == data:
        # Unrolled: this runs for every event of a ledger.
        seen = _seen
        if (
            bytes(event.principal) in seen
            and ((raw := event.decision) is _NONE or bytes(raw) in seen)
            and ((raw := event.resource) is _NONE or bytes(raw) in seen)
            and ((raw := event.body) is _NONE or bytes(raw) in seen)
            and ((raw := event.model) is _NONE or bytes(raw) in seen)
        ):
            return cast("Link", event)
        if all(_is_canonical(bytes(raw)) for name in _RAW if (raw := getattr(event, name)) is not _NONE):
            return cast("Link", event)
        raise SpellingError("another spelling")
    return _read_with_care(data)


def _read_with_care(data: bytes) -> Link:
    link = decode_link(data)
    if not is_canonical(data):
        raise SpellingError("another spelling")
    return link


def _is_canonical(data: bytes) -> bool:
    if data in _seen:
        return True
    if not is_canonical(data):
        return False
    if len(data) <= _LONGEST:
        if len(_seen) >= _MOST:
            _seen.clear()
        _seen.add(data)
    return True
