"""Events of governed calls: what was about to happen, what came of it, and what policy was asked about it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from guardai.model.kinds.parts import (
    CallId,
    Commitment,
    Count,
    Decision,
    Edge,
    EventId,
    Fact,
    Kept,
    Key,
    Named,
    Part,
    Recorded,
    Resource,
    Session,
)  # fmt: skip
from guardai.model.mask import Mask

__all__ = ["CallIntent", "CallOutcome", "Scene"]


class Model(Part, frozen=True, kw_only=True):
    """Which model was asked."""

    host: str
    provider: Annotated[str, Meta(description='as the catalog names it; "" if it does not')]
    region: Annotated[str, Meta(description="where it runs; `unknown` if the catalog does not say")]
    requested: Annotated[str, Meta(description="the model that was asked for")]
    responded: Annotated[str | UnsetType, Meta(description="the model that says it answered")] = UNSET


class Trace(Part, frozen=True, kw_only=True):
    """A span of OpenTelemetry, as W3C Trace Context writes it."""

    span_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
    trace_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]


class Sent(Part, frozen=True, kw_only=True, rename={"sent": "in"}):
    """What the call was given."""

    sent: Annotated[Commitment | UnsetType, Meta(description="the request, or a statement's text")] = UNSET
    parameters: Annotated[Commitment | UnsetType, Meta(description="a statement's parameters")] = UNSET


class Received(Part, frozen=True, kw_only=True):
    """What came back, and what was sent while the call ran."""

    more: Annotated[
        Kept | UnsetType,
        Meta(description="sets of parameters that were only made while the call ran, as lines of JSON"),
    ] = UNSET
    out: Annotated[Commitment | UnsetType, Meta(description="what was handed out, masked")] = UNSET
    rows: Annotated[Kept | UnsetType, Meta(description="rows that were handed out, as lines of JSON")] = UNSET


class Asks(Part, frozen=True, kw_only=True):
    """What is only this call's."""

    approvals: Annotated[list[str] | UnsetType, Meta(description="groups that have agreed to it")] = UNSET
    counts: Annotated[Named | UnsetType, Meta(description="the numbers of counters that policy compared")] = UNSET
    does: Annotated[
        str | UnsetType, Meta(description="of a statement that was not permitted at once: what it would do, in words")
    ] = UNSET
    opaque: Annotated[list[str] | UnsetType, Meta(description="labels of what is sent and cannot be masked")] = UNSET
    returns: Annotated[list[str] | UnsetType, Meta(description="labels of what comes back and cannot be masked")] = (
        UNSET
    )


class Came(Part, frozen=True, kw_only=True):
    """What came of it."""

    affected: Annotated[int | UnsetType, Meta(description="rows that it changed")] = UNSET
    captured: Annotated[
        Count | UnsetType, Meta(description="rows that are kept as they were, under the intent's id")
    ] = UNSET
    carried: Annotated[
        dict[Key, list[str]] | UnsetType, Meta(description="written column → the columns that it is made of")
    ] = UNSET
    error: Annotated[str | UnsetType, Meta(description="type of the exception")] = UNSET
    played: Annotated[
        Literal[True] | UnsetType, Meta(description="a test double answered it, and nothing was reached")
    ] = UNSET
    reduced: Annotated[
        list[str] | UnsetType, Meta(description="fields that were too large or could not be written, and are left out")
    ] = UNSET
    refused: Annotated[
        Literal["engine"] | UnsetType, Meta(description="who refused what had been taken for a read")
    ] = UNSET
    responded: Annotated[
        str | UnsetType, Meta(description="of other calls than model requests: who says that it answered")
    ] = UNSET
    returned: Annotated[
        dict[Key, Mask | Literal[""]] | UnsetType, Meta(description='label → what came back as; "" for as it is')
    ] = UNSET
    rows: Annotated[Count | UnsetType, Meta(description="rows that were handed out")] = UNSET
    unkept: Annotated[
        list[Literal["more", "out", "rows"]] | UnsetType,
        Meta(description="what should have been kept for replay, and could not be"),
    ] = UNSET
    why: Annotated[str | UnsetType, Meta(description="why it was reduced")] = UNSET


class Call(Session, frozen=True, kw_only=True):
    """What both events of a call have."""

    action: Annotated[str, Meta(description="the verb: `db.read`, `llm.generate`")]
    call: Annotated[CallId, Meta(description="ties intent and outcome")]
    parent: Annotated[CallId | UnsetType, Meta(description="the call within which this one happened")] = UNSET
    scene: Annotated[EventId | UnsetType, Meta(description="the `scene` that policy was asked in")] = UNSET
    state: Annotated[
        EventId | UnsetType,
        Meta(description="the `session.open` or `session.state` that holds what policy read of the session"),
    ] = UNSET
    lineage: Annotated[list[Edge] | UnsetType, Meta(description="where its data came from")] = UNSET
    resource: Annotated[list[Resource] | UnsetType, Meta(description="what it is about")] = UNSET
    model: Annotated[Model | UnsetType, Meta(description="of a model request")] = UNSET
    trace: Annotated[
        Trace | UnsetType, Meta(description="the span in which the call was made, if the program traces")
    ] = UNSET


class CallIntent(Call, frozen=True, kw_only=True):
    """A call is about to happen, is refused, or pauses. It stands in the log before the effect, or there is no effect."""

    kind: Literal["call.intent"]
    body: Annotated[Asks | UnsetType, Meta(description="what is only this call's")] = UNSET
    content: Annotated[Sent | UnsetType, Meta(description="commitments to what it was given")] = UNSET
    decision: Annotated[Decision, Meta(description="what policy answered")]
    findings: Annotated[Named, Meta(description="label → how often it was found in what would leave")]
    status: Annotated[Literal["paused"] | UnsetType, Meta(description="it waits for somebody's approval")] = UNSET


class CallOutcome(Call, frozen=True, kw_only=True):
    """What came of a call. A call that was refused, too, has one; one whose process was killed has none."""

    kind: Literal["call.outcome"]
    body: Annotated[Came | UnsetType, Meta(description="what came of it")] = UNSET
    content: Annotated[Received | UnsetType, Meta(description="a commitment to what came back")] = UNSET
    decision: Annotated[Decision | UnsetType, Meta(description="what policy answered, with the masks of both ways")] = (
        UNSET
    )
    dur: Annotated[Count, Meta(description="microseconds since the call was begun")]
    findings: Annotated[Named | UnsetType, Meta(description="label → how often it was found, both ways")] = UNSET
    status: Annotated[
        Literal["ok", "error", "denied", "withheld", "cancelled", "unknown", "abandoned"],
        Meta(
            description="`denied`, `cancelled`: nothing happened; `withheld`: it happened, its result was not handed out; "
            "`unknown`: it may have happened; `abandoned`: nobody read the rest"
        ),
    ]
    usage: Annotated[Named | UnsetType, Meta(description="what the provider counted, by its names")] = UNSET


class AskedResource(Part, frozen=True, kw_only=True):
    """What is acted on, as policies see it."""

    attrs: dict[Key, str]
    id: str
    parent: Annotated[tuple[str, str] | None, Meta(description="type and id of what it is part of")]
    type: str


class Target(Part, frozen=True, kw_only=True):
    """The other side, as the integration named it."""

    host: str
    kind: Literal["model", "tool", "database", "index", "host"]
    name: str


class Destination(Part, frozen=True, kw_only=True):
    """Where data goes: `context.to` of policies."""

    kind: str
    provider: str
    region: str
    trust: str


class Setting(Part, frozen=True, kw_only=True):
    """What calls of one kind have in common."""

    asked: Annotated[list[str], Meta(description="the verbs that policy was asked about")]
    context: Annotated[dict[Key, Fact], Meta(description="the context of the questions, without the session's part")]
    environment: str
    region: Annotated[str, Meta(description="where results go")]
    resources: list[AskedResource]
    said: Annotated[str, Meta(description="a tool's effects in its author's words")]
    target: Target
    to: Destination


class Scene(Recorded, frozen=True, kw_only=True):
    """What policy is asked about calls of one kind; intents name it, so that they can be judged again."""

    kind: Literal["scene"]
    body: Setting
