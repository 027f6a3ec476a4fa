"""What events of several kinds are made of.

Fields are described where they are declared: the schema and the page for auditors (`tools/events.py`) are made from this.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from guardai.model.mask import Mask

__all__ = [
    "CallId",
    "Commitment",
    "Count",
    "Decision",
    "Digest",
    "Edge",
    "EventId",
    "Fact",
    "Hash",
    "Kept",
    "LogId",
    "Named",
    "Part",
    "Principal",
    "Recorded",
    "Ref",
    "Resource",
    "Session",
    "Signed",
    "Time",
    "Values",
]  # fmt: skip

#: Beyond it JavaScript, and so RFC 8785, knows no integer for sure.
_SAFE: Final = 2**53 - 1
_ID: Final = r"^[0-9a-f]{16}-(0|[1-9a-f][0-9a-f]{0,12})$"

Count = Annotated[int, Meta(ge=0, le=_SAFE)]
Time = Annotated[int, Meta(ge=0, le=_SAFE, description="microseconds since 1970, UTC")]
Whole = Annotated[int, Meta(ge=-_SAFE, le=_SAFE)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
LogId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
EventId = Annotated[str, Meta(pattern=_ID)]
CallId = Annotated[str, Meta(pattern=r"^[0-9a-f]{12}-[0-9a-f]+$")]
#: Any JSON inside the profile; the schema says what that is.
Value = Annotated[Any, Meta(extra_json_schema={"$ref": "#/$defs/Value"})]
#: What a program, a provider or a policy has names for. Keys are ASCII: others are written with backslashes.
Key = Annotated[str, Meta(pattern=r"^[\x00-\x7f]*$")]
Values = dict[Key, Value]
Named = dict[Key, Whole]
#: What policies can read of a context or a resource.
Fact = str | bool | Whole | list[str]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something within an event. A field that can be absent is `UNSET` then; `null` stands nowhere but where it is named."""


class Principal(Part, frozen=True, kw_only=True):
    """Who acted."""

    agent: Annotated[str, Meta(description="the agent's name; of `App` the program's")]
    assurance: Annotated[
        Literal["asserted", "verified"],
        Meta(description="`asserted`: the program said so; `verified`: a token proved it"),
    ]
    chain: Annotated[list[str], Meta(description="the agents in between, outermost first")]
    kind: Annotated[
        Literal["Agent", "App", ""],
        Meta(description='`Agent`, or `App` for the application itself; "" if it could not be written down'),
    ]
    user: Annotated[str, Meta(description="on whose behalf")]


class Edge(Part, frozen=True, kw_only=True, rename={"source": "from"}):
    """Where the data that a call was given came from."""

    evidence: Annotated[
        Literal["observed", "candidate", "possible"],
        Meta(description="how that is known: seen to be so, found to match, or merely within reach"),
    ]
    source: Annotated[EventId, Meta(description="the event by which it came")]


class Commitment(Part, frozen=True, kw_only=True):
    """Stands for content that is not in the ledger: who has the content and the home's key can show that it was this."""

    bytes: Annotated[Count, Meta(description="its size")]
    commit: Annotated[Digest, Meta(description="keyed BLAKE2b, 128 bits, of its bytes")]
    kept: Annotated[
        Digest | UnsetType,
        Meta(description="where it was kept for replay: the same of what was kept, under a key of its own"),
    ] = UNSET
    until: Annotated[
        Count | UnsetType, Meta(description="seconds since 1970 until which that is kept at least, unless it is erased")
    ] = UNSET


class Kept(Part, frozen=True, kw_only=True):
    """Stands for content of which nothing is recorded unless it is kept for replay."""

    bytes: Annotated[Count, Meta(description="the size of what was kept")]
    kept: Annotated[Digest, Meta(description="keyed BLAKE2b, 128 bits, of what was kept, under a key of its own")]
    until: Annotated[Count, Meta(description="seconds since 1970 until which it is kept at least, unless it is erased")]


class Resource(Part, frozen=True, kw_only=True):
    """What was acted on."""

    columns: Annotated[
        list[str] | UnsetType,
        Meta(description="the columns that were read or compared; `*` where it is not known which"),
    ] = UNSET
    dir: Annotated[Literal["read", "write", "out"], Meta(description="which way the data went")]
    key: Annotated[
        list[str] | UnsetType, Meta(description="the primary key, where each row of the result holds it")
    ] = UNSET
    labels: Annotated[list[str] | UnsetType, Meta(description="what those columns are labelled")] = UNSET
    uri: Annotated[str, Meta(description="its address: `sqlite:///shop.db#customers`, `model://api.openai.com/gpt-4o`")]


class Decision(Part, frozen=True, kw_only=True):
    """What policy answered, and the masks that were laid."""

    bundle: Annotated[str, Meta(description="digest (sha256) of the bundle that decided")]
    effect: Literal["allow", "deny", "pause"]
    errors: Annotated[list[str] | UnsetType, Meta(description="types of what went wrong while it was asked")] = UNSET
    masks: Annotated[dict[Key, Mask], Meta(description="label → what values of it became")]
    mode: Annotated[Literal["enforce", "observe"], Meta(description="`observe`: only recorded, not carried out")]
    policies: Annotated[list[str], Meta(description="the policies that determined it, sorted")]
    reason: Annotated[str | UnsetType, Meta(description="of a denial or a pause, in the policy's words")] = UNSET
    signed: Annotated[bool, Meta(description="whether keys that the process trusts vouch for the bundle")]


class Ref(Part, frozen=True, kw_only=True):
    """A place in a log."""

    log: LogId
    seq: Count


class Signed(Part, frozen=True, kw_only=True):
    """A statement and its signature."""

    payload: Annotated[str, Meta(description="what is signed, canonical JSON")]
    sig: Annotated[str, Meta(pattern=r"^([0-9a-f]{2})+$", description="the signature, hex")]


class Recorded(Part, frozen=True, kw_only=True):
    """What every event has."""

    id: Annotated[EventId, Meta(description="unique; its log and, in hex, its position there")]
    key: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$", description="id of the key under whose signature it stands")]
    kind: Annotated[str, Meta(description="what kind of event this is")]
    log: Annotated[LogId, Meta(description="which log: one process writes one, or several after one another")]
    prev: Annotated[
        Hash, Meta(description="leaf hash (RFC 6962, SHA-256) of the event before in the log; zeros for the first")
    ]
    principal: Annotated[Principal, Meta(description="who acted")]
    seq: Annotated[Count, Meta(description="its position in the log, from 0")]
    ts: Annotated[Time, Meta(description="when it was recorded, microseconds since 1970, UTC; by the writer's clock")]
    v: Annotated[Literal[1], Meta(description="version of the format")]


class Session(Recorded, frozen=True, kw_only=True):
    """What every event of a session has."""

    session: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$", description="id of the session")]
