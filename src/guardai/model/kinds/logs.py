"""Events that the ledger writes about itself: where a log begins and ends, what is missing, whose keys count."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from guardai.model.kinds.parts import Count, Hash, Key, LogId, Part, Recorded, Ref, Signed, Time

__all__ = ["CheckpointHeld", "Gap", "KeyCertified", "KeyRevoked", "LogClose", "LogOpen", "LogPruned", "Recovery"]


class Beginning(Part, frozen=True, kw_only=True):
    """Who writes the log, and by what right."""

    aside: Annotated[Literal[True] | UnsetType, Meta(description="it holds what interrupted another append")] = UNSET
    certificate: Annotated[Signed, Meta(description="the host's, for the log's own key")]
    environment: str | UnsetType = UNSET
    host: Annotated[Signed, Meta(description="the root's, for the host's key")]
    machine: Annotated[str, Meta(description="the host's name")]
    mode: Annotated[Literal["spool", "signed", "strict"], Meta(description="how events are written")]
    parent: Annotated[
        Ref | UnsetType,
        Meta(description="where another log of the program had come to: its former one, or its parent's"),
    ] = UNSET
    pid: Count
    python: str
    ratchet: Annotated[
        str, Meta(pattern=r"^([0-9a-f]{2})+$", description="the first key of the tags, encrypted to the host")
    ]
    reason: Annotated[str, Meta(description="why it was opened")]
    system: str


class Ending(Part, frozen=True, kw_only=True):
    """How long the log is."""

    events: Annotated[Count, Meta(description="how many it has, this one included")]
    reason: Annotated[str, Meta(description="why it was closed")]


class Missing(Part, frozen=True, kw_only=True):
    """What could not be recorded."""

    cause: Annotated[str, Meta(description="type of the exception")]
    count: Annotated[Count, Meta(description="how many events")]
    kinds: Annotated[dict[Key, Count], Meta(description="their kind → how many")]
    since: Time
    until: Time


class Tail(Part, frozen=True, kw_only=True, rename={"first": "from", "last": "to"}):
    """Which events."""

    count: Annotated[Count, Meta(description="how many")]
    first: Annotated[Count, Meta(description="the first of them")]
    last: Annotated[Count, Meta(description="the last of them")]
    since: Annotated[Time, Meta(description="time of the first, 0 if there is none")]
    tags: Annotated[Hash, Meta(description="SHA-256 of their tags")]
    torn: Annotated[Count, Meta(description="bytes of a line that was never whole, and were cut off")]
    until: Annotated[Time, Meta(description="time of the last, 0 if there is none")]


class Gone(Part, frozen=True, kw_only=True):
    """A log of which the hashes are left."""

    events: Annotated[Count, Meta(description="how many it had")]
    hash: Annotated[Hash, Meta(description="of the last of them")]
    log: LogId


class Retention(Part, frozen=True, kw_only=True):
    """What leaves the store, and where it was put before."""

    before: Annotated[Time, Meta(description="the logs had ended before that time")]
    logs: list[Gone]
    root: Annotated[Hash, Meta(description="root of the tree that was exported, with all their events")]
    size: Annotated[Count, Meta(description="events of that tree")]


class Certified(Part, frozen=True, kw_only=True):
    """A host's key."""

    certificate: Annotated[Signed, Meta(description="the root's statement")]


class Revoked(Part, frozen=True, kw_only=True):
    """A host's key."""

    revocation: Annotated[Signed, Meta(description="the root's statement")]


class Foreign(Part, frozen=True, kw_only=True):
    """A tree head of another ledger."""

    note: Annotated[str, Meta(description="as its own host signed it: a C2SP checkpoint")]
    origin: Annotated[str, Meta(description="names the tree")]
    size: Annotated[int, Meta(ge=1, description="how many events are under it")]


class LogOpen(Recorded, frozen=True, kw_only=True):
    """A process begins a log."""

    kind: Literal["log.open"]
    body: Beginning


class LogClose(Recorded, frozen=True, kw_only=True):
    """The log ends in good order."""

    kind: Literal["log.close"]
    body: Ending


class LogPruned(Recorded, frozen=True, kw_only=True):
    """Logs that have ended leave the store. It stands there before they do; their hashes stay in the tree."""

    kind: Literal["log.pruned"]
    body: Retention


class Recovery(Recorded, frozen=True, kw_only=True):
    """The log's process died; the host vouches for what it had written and not signed."""

    kind: Literal["recovered"]
    body: Tail


class Gap(Recorded, frozen=True, kw_only=True):
    """Events could not be recorded though their effects had happened: how many, and of what kinds."""

    kind: Literal["gap"]
    body: Missing


class KeyCertified(Recorded, frozen=True, kw_only=True):
    """The root vouches for another host."""

    kind: Literal["key.certified"]
    body: Certified


class KeyRevoked(Recorded, frozen=True, kw_only=True):
    """The root says that a host's key is not to be believed from some time on."""

    kind: Literal["key.revoked"]
    body: Revoked


class CheckpointHeld(Recorded, frozen=True, kw_only=True):
    """A tree head of another ledger is held here, so that what is under it cannot be cut off there unseen."""

    kind: Literal["checkpoint.held"]
    body: Foreign
