"""The canonical bytes of an event: encoded once, inside the profile in which msgspec writes RFC 8785.

The profile: ASCII keys, no floats, |int| < 2^53, text without lone surrogates. Within it msgspec's output is
byte-identical to RFC 8785 (the tests compare it with the rfc8785 package on random events) at a thirtieth of the cost.

INVARIANT: whatever `encode` returns is valid JSON inside the profile. What lies outside is not refused but rewritten,
because a float in a provider's usage report is no reason to stop a call: floats and big integers become strings, lone
surrogates and non-ASCII keys are escaped with a backslash. Only what has no JSON form at all raises `LedgerError`.

A field that comes as `msgspec.Raw` is checked when that object is first seen (it could smuggle another field into the
event) and then remembered by identity, so constant parts of events cost 40 ns.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final, cast

import msgspec

from guardai.errors import LedgerError
from guardai.model import Event

__all__ = [
    "MAX_EVENT",
    "encode",
    "encode_plain",
    "is_canonical",
    "is_plain",
    "is_plain_dict",
    "keys_are_ascii",
    "raw",
    "reduced",
]

#: Bytes. An RFC 6962 leaf in a C2SP entry bundle has at most 65,535; the rest is room for envelopes.
MAX_EVENT: Final = 60_000

_SAFE: Final = 2**53
_RAW: Final = msgspec.Raw
_NESTED: Final = (
    "body", "content", "decision", "findings", "lineage", "model", "principal", "resource", "trace", "usage"
)  # fmt: skip
#: Who acted, where that could not be written down.
_UNKNOWN: Final = msgspec.Raw(b'{"agent":"","assurance":"asserted","chain":[],"kind":"","user":""}')
_MAX_SEEN: Final = 4096
_seen: dict[int, msgspec.Raw] = {}

encode_plain: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder().decode


def encode(event: Event) -> bytes:
    """The event's canonical bytes.

    Raises:
        LedgerError: a field has no JSON form, or the event is larger than `MAX_EVENT`.
    """
    try:
        # Nothing is copied where everything is inside the profile already. `Spool.append` does this much by itself.
        with contextlib.suppress(AttributeError, TypeError, UnicodeEncodeError):
            if is_plain(event):
                data = encode_plain(event)
                if data.isascii() or keys_are_ascii(event):
                    if len(data) <= MAX_EVENT:
                        return data
                    raise LedgerError(_too_large(event, len(data)))
        data = encode_plain(_sanitised(event))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        # The cause may quote a value: its type is enough to find it, and an error message never carries data.
        raise LedgerError(
            f"the event ({event.kind!r}) cannot be written as JSON: {type(error).__name__}; "
            "its fields may hold strings, integers, booleans, None, lists and dictionaries with string keys"
        ) from None
    if len(data) > MAX_EVENT:
        raise LedgerError(_too_large(event, len(data)))
    return data


def is_canonical(data: bytes) -> bool:
    """Whether this is how an event's content is written, and not a second spelling of it.

    Two readers of a second spelling may see two things: of a key that stands there twice some take the first, some the last.
    """
    try:
        return encode_plain(_decode(data)) == data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def raw(value: object) -> msgspec.Raw:
    """A value's canonical bytes for use as an event's field, checked here once instead of at each append.

    Raises:
        LedgerError: it has no JSON form.
    """
    try:
        encoded = msgspec.Raw(encode_plain(_clean(value)))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise LedgerError(f"a field cannot be written as JSON: {type(error).__name__}") from None
    _remember(encoded)
    return encoded


def reduced(event: Event, reason: str) -> Event:
    """The same record without what may be too large or unwritable: an outcome must be recorded, however bare."""
    dropped = [name for name in _NESTED if name != "principal" and getattr(event, name) is not None]
    try:
        principal: Any = raw(event.principal)
        if len(bytes(principal)) > MAX_EVENT // 4:
            raise LedgerError("too large")
    except LedgerError:
        principal = _UNKNOWN
        dropped.append("principal")
    short: Any = {
        name: str(_clean(getattr(event, name)))[:512]
        for name in ("action", "call", "kind", "parent", "session", "status")
    }
    return Event(
        **short,
        body={"reduced": cast("object", sorted(dropped)), "why": reason},
        dur=event.dur if type(event.dur) is int and abs(event.dur) < _SAFE else None,
        id=event.id,
        key=event.key,
        log=event.log,
        prev=event.prev,
        principal=principal,
        seq=event.seq,
        ts=event.ts,
        v=event.v,
    )


def _too_large(event: Event, size: int) -> str:
    sizes = {
        name: len(encode_plain(value))
        for name in ("body", "content", "decision", "findings", "lineage", "model", "principal", "resource")
        if (value := getattr(event, name)) is not None
    }
    largest = max(sizes, key=sizes.__getitem__, default="kind")
    return f"the event is {size:,} bytes, at most {MAX_EVENT:,} can be recorded; its field {largest!r} alone takes {sizes.get(largest, 0):,}"


def is_plain(event: Event) -> bool:
    """Whether no number of the event lies outside the profile, and every Raw is known to be canonical.

    Text needs no look: the encoder itself refuses lone surrogates. Unrolled, because this runs at every append; a wrong
    type raises AttributeError or TypeError, which the caller takes for a no.
    """
    seen = _seen  # holds what it names, so an id in it is no other object's
    value: Any = event.principal
    if id(value) not in seen and not is_plain_dict(value):
        return False
    value = event.decision
    if value is not None and id(value) not in seen and not is_plain_dict(value):
        return False
    value = event.resource
    if value is not None and id(value) not in seen and not _list_is_plain(value):
        return False
    value = event.model
    if value is not None and id(value) not in seen and not is_plain_dict(value):
        return False
    value = event.body
    if value is not None and id(value) not in seen and not is_plain_dict(value):
        return False
    value = event.content
    if value is not None:
        for side in value.values():
            if type(side) is not dict:
                return False  # not how the gate makes it: the careful way is slower, and as good
            for item in side.values():
                kind = type(item)
                if kind is not str and (kind is not int or not -_SAFE < item < _SAFE):
                    return False
    value = event.lineage
    if value is not None:
        for edge in value:
            for item in edge.values():
                if type(item) is not str:
                    return False
    value = event.findings
    if value is not None:
        for item in value.values():
            if type(item) is not int or not -_SAFE < item < _SAFE:
                return False
    value = event.trace
    if value is not None:
        for item in value.values():
            if type(item) is not str:
                return False
    value = event.usage
    if value is not None:
        for item in value.values():
            if type(item) is not int or not -_SAFE < item < _SAFE:
                return False
    value = event.dur
    return value is None or (type(value) is int and -_SAFE < value < _SAFE)


def is_plain_dict(value: Any) -> bool:
    """Whether it is a dictionary of values inside the profile, all the way down."""
    if type(value) is not dict:
        return False
    for item in value.values():
        kind = type(item)
        if kind is str:
            continue
        if kind is int:
            if -_SAFE < item < _SAFE:
                continue
            return False
        if kind is dict:
            if is_plain_dict(item):
                continue
        elif kind is list or kind is tuple:
            if _list_is_plain(item):
                continue
        elif kind is bool or item is None:
            continue
        return False
    return True


def _list_is_plain(value: Any) -> bool:
    if type(value) is not list and type(value) is not tuple:
        return False
    for item in value:
        kind = type(item)
        if kind is str:
            continue
        if kind is dict:
            if is_plain_dict(item):
                continue
        elif kind is int:
            if -_SAFE < item < _SAFE:
                continue
        elif kind is list or kind is tuple:
            if _list_is_plain(item):
                continue
        elif kind is bool or item is None:
            continue
        return False
    return True


def keys_are_ascii(event: Event) -> bool:
    """Whether all keys are; those in a known Raw are anyway. Asked only if something in the event is not."""
    return all(
        _has_ascii_keys(value)
        for name in _NESTED
        if (value := getattr(event, name)) is not None and type(value) is not _RAW
    )


def _has_ascii_keys(value: object) -> bool:
    if isinstance(value, dict):
        return all(key.isascii() and _has_ascii_keys(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_has_ascii_keys(item) for item in value)
    return True


def _sanitised(event: Event) -> Event:
    changes: dict[str, Any] = {}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if type(value) is _RAW:
            changes[name] = _checked(value)
        elif value is not None and not (type(value) is int and -_SAFE < value < _SAFE):
            changes[name] = _clean(value)
    return msgspec.structs.replace(event, **changes)


def _checked(value: msgspec.Raw) -> msgspec.Raw:
    """The same Raw if its bytes are canonical; otherwise one that says the same canonically."""
    if id(value) in _seen:
        return value
    try:
        canonical = encode_plain(_clean(msgspec.json.decode(value)))
    except (msgspec.DecodeError, RecursionError) as error:
        raise LedgerError(f"a pre-encoded field of the event is not JSON: {type(error).__name__}") from None
    if canonical != bytes(value):
        return _RAW(canonical)
    _remember(value)
    return value


def _remember(value: msgspec.Raw) -> None:
    if len(_seen) >= _MAX_SEEN:
        _seen.clear()
    _seen[id(value)] = value


def _clean(value: object) -> object:
    """The value inside the profile, as plain dictionaries, lists, strings, integers, booleans and None."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value) if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int):
        number = int(value)
        return number if -_SAFE < number < _SAFE else str(number)
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, dict):
        return {_clean_key(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_clean(item) for item in value), key=str)
    if isinstance(value, msgspec.Raw):
        return _clean(msgspec.json.decode(value))
    # Dates, UUIDs, bytes, decimals, structs, dataclasses: msgspec knows their form, or raises TypeError.
    plain = msgspec.to_builtins(value)
    return _clean(plain)


def _clean_key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError("keys of an event are strings")
    return str.__str__(key) if key.isascii() else key.encode("ascii", "backslashreplace").decode("ascii")
