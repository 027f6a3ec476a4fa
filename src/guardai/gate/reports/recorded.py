"""Recorded calls as policy was asked about them: events of a ledger, read back into questions.

An intent names the scene that it was asked in; the scene's event holds what its calls share, the intent what it adds. What
does not hold all of it is not completed by guessing: `why` says what is missing, and nobody decides it again.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec

from guardai.gate.staged import SESSION
from guardai.ledger import find
from guardai.model import READS, Destination, Principal, Resource, TargetKind
from guardai.policy import Asked

__all__ = ["Reader", "Recorded", "Scene"]

#: Scenes and principals that are kept; one that was forgotten is looked up in the ledger again.
_KEPT: Final = 2_048


class _Principal(msgspec.Struct):
    kind: str
    agent: str
    user: str
    chain: tuple[str, ...] = ()
    assurance: str = "asserted"


class _Decision(msgspec.Struct):
    effect: str = ""
    policies: tuple[str, ...] = ()
    bundle: str = ""
    masks: dict[str, str] = {}
    errors: tuple[str, ...] = ()
    reason: str = ""
    mode: str = ""


class _Row(msgspec.Struct):
    """The part of an event that is read."""

    id: str
    kind: str
    v: int = 0
    ts: int = 0
    action: str = ""
    call: str = ""
    session: str = ""
    status: str = ""
    scene: str = ""
    state: str = ""
    principal: msgspec.Raw = msgspec.Raw(b"{}")
    decision: _Decision | None = None
    findings: dict[str, int] | None = None
    body: msgspec.Raw = msgspec.Raw(b"null")
    resource: msgspec.Raw = msgspec.Raw(b"null")


class _Kind(msgspec.Struct):
    """What is left of an event that is not what it should be."""

    kind: str
    id: str = ""


class _Place(msgspec.Struct):
    kind: str
    provider: str
    region: str
    trust: str

    def destination(self) -> Destination:
        return Destination(self.kind, self.provider, self.region, self.trust)


class _Thing(msgspec.Struct):
    type: str
    id: str
    parent: tuple[str, str] | None = None
    attrs: dict[str, str] = {}


class _Target(msgspec.Struct):
    kind: TargetKind
    host: str
    name: str


class _Scene(msgspec.Struct):
    asked: tuple[str, ...]
    resources: tuple[_Thing, ...]
    context: dict[str, Any]
    environment: str
    region: str
    target: _Target
    to: _Place
    said: str = ""


class _State(msgspec.Struct):
    """What `session.open` and `session.state` tell of a session."""

    audience: str
    implicit: bool
    labels: tuple[str, ...]
    purpose: str


class _Own(msgspec.Struct):
    """What an intent's or an outcome's body adds."""

    opaque: tuple[str, ...] = ()
    returns: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    returned: dict[str, str] = {}
    counts: dict[str, int] = {}


class Scene(NamedTuple):
    """What the calls of one scene were asked about.

    Attributes:
        id: of its events.
        verbs, resources, context, to, back: as `Asked` has them.
        environment: of the process.
        kind, host, name: the other side, before a catalog was asked.
        said: a tool's effects in its author's words; "" where a catalog told them.
    """

    id: str
    verbs: tuple[str, ...]
    resources: tuple[Resource, ...]
    context: dict[str, Any]
    to: Destination
    back: Destination
    environment: str
    kind: TargetKind
    host: str
    name: str
    said: str = ""


class Recorded(NamedTuple):
    """One intent or outcome of a call.

    Attributes:
        id, kind, ts, call, action, session, status: the event's.
        principal: who acted.
        scene: what it was asked in; None if it cannot be decided again.
        own: what this call added to the context of the act.
        labels: an intent's: what was found in what would leave.
        opaque, returns: labels of parts that cannot be masked.
        returned: an outcome's: label of what came back → the mask that it owed, "" for none.
        effect, policies, masks, bundle: the decision.
        why: why it cannot be decided again: `own` (the application's, nobody was asked), `version`, `unjudged`, `before`
            (recorded without a scene), `broken`; "" if it can. `counted`: a policy reads counters that were not kept then; only
            who asks again can tell.
    """

    id: str
    kind: str
    ts: int
    call: str
    action: str
    session: str
    status: str
    principal: Principal
    scene: Scene | None
    own: dict[str, Any]
    labels: tuple[str, ...]
    opaque: tuple[str, ...]
    returns: tuple[str, ...]
    returned: dict[str, str]
    effect: str
    policies: tuple[str, ...]
    masks: dict[str, str]
    bundle: str
    why: str

    def asked(self, scene: Scene | None = None) -> Asked:
        """The questions, in the recorded scene or in another."""
        there = scene or cast("Scene", self.scene)
        return Asked(
            self.principal, there.verbs, there.resources, there.context, self.own, self.labels, there.to, self.opaque,
            self.returns, there.back,
        )  # fmt: skip


_NOBODY: Final = Principal("App", "", "")
_decode: Final = msgspec.json.Decoder(_Row).decode
_kind_of: Final = msgspec.json.Decoder(_Kind).decode
#: Kinds of events that hold what policy was asked, and their readers.
_TOLD: Final = {
    "scene": msgspec.json.Decoder(_Scene).decode,
    "session.open": msgspec.json.Decoder(_State).decode,
    "session.state": msgspec.json.Decoder(_State).decode,
}
_own: Final = msgspec.json.Decoder(_Own | None).decode
_principal: Final = msgspec.json.Decoder(_Principal).decode


class Reader:
    """Reads the events of one home. Bounded: scenes that were forgotten are looked up again.

    Attributes:
        others: how many events of each kind that is no call's were seen.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._told: dict[str, _Scene | _State | None] = {}
        #: Those that were kept before: looking one up in the ledger again takes far longer than all the rest.
        self._older: dict[str, _Scene | _State | None] = {}
        self._scenes: dict[tuple[str, str, str], Scene] = {}
        self._principals: dict[bytes, Principal] = {}
        self.others: Counter[str] = Counter()

    def read(self, data: bytes) -> Recorded | None:
        """The call's record in an event; None for an event of another kind.

        Raises:
            StoreError: a scene had to be looked up, and the store cannot be read.
        """
        try:
            row = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._unreadable(data)
        if row.kind in _TOLD:
            self._keep(row)
        if row.kind not in ("call.intent", "call.outcome"):
            self.others[row.kind] += 1
            return None
        try:
            own = _own(row.body) or _Own()
            principal = self._who(bytes(row.principal))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._unreadable(data)
        decision = row.decision or _Decision()
        scene, why = self._in(row, decision, principal)
        labels = tuple(sorted(row.findings or ())) if row.kind == "call.intent" else ()
        added: dict[str, Any] = {"labels": labels} if labels else {}
        if own.opaque:
            added["opaque"] = own.opaque
        if own.approvals:
            added["approvals"] = own.approvals
        added |= own.counts
        return Recorded(
            row.id, row.kind, row.ts, row.call, row.action, row.session, row.status, principal, scene, added, labels, own.opaque,
            own.returns, own.returned, decision.effect, decision.policies, decision.masks, decision.bundle, why,
        )  # fmt: skip

    def _unreadable(self, data: bytes) -> Recorded | None:
        """What is not what it should be, but for its kind; None for what is not even an event."""
        try:
            seen = _kind_of(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.others["broken"] += 1
            return None
        if seen.kind not in ("call.intent", "call.outcome"):
            self.others[seen.kind] += 1
            return None
        return Recorded(
            seen.id, seen.kind, 0, "", "", "", "", _NOBODY, None, {}, (), (), (), {}, "", (), {}, "", "broken"
        )  # fmt: skip

    def _in(self, row: _Row, decision: _Decision, principal: Principal) -> tuple[Scene | None, str]:
        """The scene of a call, or why there is none."""
        if row.v not in READS:
            return None, "version"
        if row.scene:
            found = self._scene(row)
            return found, "" if found is not None else "broken"
        if principal.kind == "App" and decision.effect == "allow" and not decision.policies:
            return None, "own"
        return None, "unjudged" if decision.errors else "before"

    def _scene(self, row: _Row) -> Scene | None:
        """The scene that an event names, in its session."""
        key = (row.scene, row.state, row.session)
        made = self._scenes.get(key)
        if made is None:
            shared, session = self._find(row.scene), self._find(row.state)
            if not isinstance(shared, _Scene) or not isinstance(session, _State):
                return None
            if len(self._scenes) >= _KEPT:
                self._scenes.clear()
            made = self._scenes[key] = _put_together(key, shared, session)
        return made

    def _find(self, event: str) -> _Scene | _State | None:
        if event in self._older:
            return self._older[event]
        if event not in self._told:
            data = find(self._home, event)
            try:
                row = _decode(data) if data is not None else None
            except (msgspec.MsgspecError, UnicodeDecodeError):
                row = None
            if row is None or row.kind not in _TOLD:
                return None
            self._keep(row)
        return self._told[event]

    def _keep(self, row: _Row) -> None:
        if len(self._told) >= _KEPT:
            self._older, self._told = self._told, {}
        told: Any = None
        if row.v in READS:
            try:
                told = _TOLD[row.kind](row.body)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                told = None
        self._told[row.id] = told

    def _who(self, encoded: bytes) -> Principal:
        found = self._principals.get(encoded)
        if found is None:
            one = _principal(encoded)
            found = Principal(one.kind, one.agent, one.user, one.chain, one.assurance)  # type: ignore[arg-type]
            if len(self._principals) >= _KEPT:
                self._principals.clear()
            self._principals[encoded] = found
        return found


def _put_together(key: tuple[str, str, str], told: _Scene, session: _State) -> Scene:
    resources = tuple(Resource(one.type, one.id, one.parent, tuple(one.attrs.items())) for one in told.resources)
    context: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in told.context.items()
    }
    context |= {
        f"{SESSION}id": key[2],
        f"{SESSION}purpose": session.purpose,
        f"{SESSION}audience": session.audience,
        f"{SESSION}implicit": session.implicit,
        f"{SESSION}labels": session.labels,
    }
    back = Destination(session.audience, "", told.region, "internal")
    return Scene(
        "/".join(key), told.asked, resources, context, told.to.destination(), back, told.environment, told.target.kind,
        told.target.host, told.target.name, told.said,
    )  # fmt: skip
