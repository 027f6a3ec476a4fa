"""Events of sessions, of the policy in force, and of what programs record themselves."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from guardai.model.event import RESERVED
from guardai.model.kinds.parts import EventId, Part, Session, Values
from guardai.model.who import Audience, OnDenied

__all__ = [
    "BundleAdopted", "BundleRefused", "ProgramsOwn", "RowsShown", "SessionClose", "SessionOpen", "SessionState",
]  # fmt: skip


class State(Part, frozen=True, kw_only=True):
    """What policies can read of a session."""

    audience: Annotated[Audience, Meta(description="who reads the answers")]
    implicit: Annotated[bool, Meta(description="nobody opened it; guardai did")]
    labels: Annotated[list[str], Meta(description="what its data has been labelled so far")]
    purpose: str


class Opened(State, frozen=True, kw_only=True):
    """The same, and how it wants to be refused."""

    on_denied: OnDenied


class Ended(Part, frozen=True, kw_only=True):
    """What a session has seen."""

    labels: Annotated[list[str] | UnsetType, Meta(description="what its data has been labelled")] = UNSET
    reduced: Annotated[
        list[str] | UnsetType, Meta(description="fields that could not be written, and are left out")
    ] = UNSET
    why: Annotated[str | UnsetType, Meta(description="why it was reduced")] = UNSET


class Adopted(Part, frozen=True, kw_only=True, rename={"former": "from"}):
    """Which bundle followed which."""

    former: Annotated[str, Meta(description="digest of the bundle until then")]
    name: str
    to: Annotated[str, Meta(description="digest of the bundle from then on")]
    version: str


class Refused(Part, frozen=True, kw_only=True):
    """Why a bundle was not taken."""

    why: str


class Looked(Part, frozen=True, kw_only=True):
    """At what somebody looked."""

    event: Annotated[EventId, Meta(description="the intent of the statement that changed them")]


class SessionOpen(Session, frozen=True, kw_only=True):
    """`guardai.session` was entered."""

    kind: Literal["session.open"]
    body: Opened


class SessionState(Session, frozen=True, kw_only=True):
    """What policies read of a session from here on, if no `session.open` says so: it was not opened, or has seen more."""

    kind: Literal["session.state"]
    body: State


class SessionClose(Session, frozen=True, kw_only=True):
    """`guardai.session` was left."""

    kind: Literal["session.close"]
    body: Ended


class BundleAdopted(Session, frozen=True, kw_only=True):
    """Another bundle decides from here on."""

    kind: Literal["bundle.adopted"]
    body: Adopted


class BundleRefused(Session, frozen=True, kw_only=True):
    """A bundle that was offered is not used."""

    kind: Literal["bundle.refused"]
    body: Refused


class RowsShown(Session, frozen=True, kw_only=True):
    """Somebody had rows shown that were kept before a statement changed them."""

    kind: Literal["rows.shown"]
    body: Looked


class ProgramsOwn(Session, frozen=True, kw_only=True):
    """What a program recorded with `guardai.record`; sensitive values in it were redacted."""

    kind: Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$",
            description="the program's own word",
            extra_json_schema={"not": {"pattern": rf"^({'|'.join(RESERVED)})\."}},
        ),
    ]
    body: Annotated[Values, Meta(description="whatever the program gave")]
