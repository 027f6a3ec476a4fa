"""One session as it happened: its events in their order, and what their calls carried, as far as it was kept and still is.

Nothing of the vault is believed but what a signed event vouches for: each content is held against the commitment in its event.
What should be there and is not, or is something else, is a fault with the event's id.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from guardai.ledger import ReplayVault, Report, events, open_keys, verify
from guardai.lineage import EdgeTable

__all__ = ["Content", "Replayed", "State", "Step", "replayed"]

State = Literal["kept", "not captured", "could not be kept", "erased", "expired", "missing", "altered", "put back"]
#: Those that are faults.
_WRONG: Final = ("missing", "altered", "put back")

#: What policy was asked is for programs that ask it again.
_ASIDE: Final = frozenset({"scene", "session.state"})
#: µs by which an event may be later than the erasure of what it tells of: the call was about to write it.
_SLACK: Final = 10_000_000
#: Contents that are lines of JSON.
_LINES: Final = frozenset({"more", "rows"})


class _Side(msgspec.Struct):
    bytes: int = 0
    kept: str = ""
    until: int = 0


class _Event(msgspec.Struct):
    id: str
    kind: str
    ts: int
    action: str = ""
    body: dict[str, Any] | None = None
    call: str = ""
    content: dict[str, _Side] | None = None
    decision: dict[str, Any] | None = None
    dur: int | None = None
    parent: str = ""
    principal: dict[str, Any] = {}
    resource: list[dict[str, Any]] | None = None
    session: str = ""
    status: str = ""


_decode: Final = msgspec.json.Decoder(_Event).decode


class Content(NamedTuple):
    """One content of a call.

    Attributes:
        side: `in`, `parameters` of a statement, `more` (of a request that was made while the call ran), `out`, `rows`.
        state: `kept`; or why it is not there. `missing`, `altered` and `put back` (erased, and there again) are faults.
        bytes: how many crossed, or were kept.
        value: of what was kept: JSON-like data, for `more` and `rows` a list of it, whose first item tells the columns of rows.
    """

    side: str
    state: State
    bytes: int
    value: Any = None

    def __repr__(self) -> str:
        return f"<Content: {self.side}, {self.state}>"


class Step(NamedTuple):
    """One event of the session.

    Attributes:
        depth: how many calls it happened within.
        ts: µs since 1970.
        on: what was acted on.
        more: what the event says besides: `rows`, `affected`, an error's type.
        fault: what `verify` says of the event; "" if it is good.
    """

    id: str
    kind: str
    ts: int
    depth: int
    call: str
    parent: str
    user: str
    agent: str
    action: str
    on: tuple[str, ...]
    effect: str
    policies: tuple[str, ...]
    reason: str
    masks: dict[str, str]
    status: str
    dur: int | None
    more: dict[str, Any]
    contents: tuple[Content, ...]
    fault: str


class Replayed(NamedTuple):
    """What `replayed` found.

    Attributes:
        steps: the events, oldest first; none if there is no such session.
        report: what `verify` says of the whole ledger.
    """

    session: str
    steps: list[Step]
    report: Report

    @property
    def shown(self) -> int:
        """How many contents can be read in it."""
        return sum(content.state == "kept" for step in self.steps for content in step.contents)

    @property
    def faults(self) -> list[tuple[str, str]]:
        """(event, what is wrong) of the session's own."""
        return [(step.id, step.fault) for step in self.steps if step.fault] + [
            (step.id, f"{content.side}: {content.state}")
            for step in self.steps
            for content in step.contents
            if content.state in _WRONG
        ]


def replayed(
    home: Path,
    session: str,
    *,
    contents: bool = True,
    key: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Replayed:
    """A session, from the ledger and the replay vault of a home.

    Args:
        home: whose.
        session: its id.
        contents: whether the vault is opened at all; if not, what it should hold counts as kept.
        key: the root's public key (PEM); without it the home's own is trusted.
        progress: told the number of events verified since the last call.

    Raises:
        LedgerError: the home's keys cannot be read.
        VaultError: the vault cannot be.
        StoreError: the store cannot be read.
    """
    report = verify(home, key=key, projection=EdgeTable(), progress=progress)
    wrong = {fault.event: fault.code for fault in report.faults if fault.event}
    vault = ReplayVault(home, open_keys(home, create=False).vault, life=0)
    found: list[_Event] = []
    #: Subject → when the last erasure that was done was begun, and when it was done.
    erased: dict[str, tuple[int, int]] = {}
    begun: dict[str, int] = {}
    wanted, erasing = msgspec.json.encode(session), b'"kind":"vault.erase'
    for data in events(home):
        if wanted not in data and erasing not in data:
            continue
        try:
            event = _decode(data)
        except msgspec.MsgspecError:
            continue  # not what an event looks like: `verify` has named it
        if event.session == session and event.kind not in _ASIDE:
            found.append(event)
        elif event.kind in ("vault.erase", "vault.erased") and event.body is not None:
            subject = str(event.body.get("subject", ""))
            if event.kind == "vault.erase":
                begun[subject] = event.ts
            else:
                erased[subject] = begun.get(subject, 0), event.ts
    depths: dict[str, int] = {}
    reading = _Reading(vault if contents else None, erased)
    try:
        steps = [_step(event, depths, reading, str(wrong.get(event.id, ""))) for event in found]
    finally:
        vault.release()
    return Replayed(session, steps, report)


def _step(event: _Event, depths: dict[str, int], reading: _Reading, fault: str) -> Step:
    if event.call and event.call not in depths:
        depths[event.call] = depths.get(event.parent, -1) + 1
    decision, body = event.decision or {}, event.body or {}
    on = tuple(str(one.get("uri", "")) for one in event.resource or [])
    return Step(
        event.id,
        event.kind,
        event.ts,
        depths.get(event.call, 0),
        event.call,
        event.parent,
        str(event.principal.get("user", "")),
        str(event.principal.get("agent", "")),
        event.action,
        on,
        str(decision.get("effect", "")),
        tuple(decision.get("policies", ())),
        str(decision.get("reason", "")),
        dict(decision.get("masks", {})),
        event.status,
        event.dur,
        body,
        tuple(reading.contents(event)),
        fault,
    )


class _Reading:
    def __init__(self, vault: ReplayVault | None, erased: dict[str, tuple[int, int]]) -> None:
        self._vault = vault
        self._erased = erased

    def contents(self, event: _Event) -> list[Content]:
        told = event.content or {}
        read = [self._content(event, side, about) for side, about in told.items()]
        for side in (event.body or {}).get("unkept", ()):
            if side in told:
                read = [one._replace(state="could not be kept") if one.side == side else one for one in read]
            else:
                read.append(Content(str(side), "could not be kept", 0))
        return read

    def _content(self, event: _Event, side: str, about: _Side) -> Content:
        vault = self._vault
        if vault is None or not about.kept:
            return Content(side, "not captured" if not about.kept else "kept", about.bytes)
        user = str(event.principal.get("user", ""))
        found = vault.read(event.session, user, event.call, side, about.kept)
        since, until = self._erased.get(vault.subject(user), (0, 0))
        if found.state != "gone" and event.ts < since:
            return Content(side, "put back", about.bytes)
        if found.state == "altered":
            return Content(side, "altered", about.bytes)
        if found.state == "kept":
            value = (
                [msgspec.json.decode(line) for line in found.content.splitlines()]
                if side in _LINES
                else msgspec.json.decode(found.content)
            )
            return Content(side, "kept", about.bytes, value)
        if until + _SLACK >= event.ts:
            return Content(side, "erased", about.bytes)
        return Content(side, "expired" if about.until <= time.time() else "missing", about.bytes)
