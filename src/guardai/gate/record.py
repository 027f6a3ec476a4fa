"""What is written down of one call: its intent, its outcome, and how a refusal is put.

No value of a call is in an event: payloads and results are counted, labelled and committed to by a keyed digest.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from guardai.errors import GuardError, PolicyDenied, SessionAborted
from guardai.gate.keeping import encoded
from guardai.gate.plan import NOT_UNDERSTOOD, Plan
from guardai.gate.questions import Scene, told
from guardai.gate.run import Run, new_call_id
from guardai.gate.tracing import current_span
from guardai.gate.usage import counted, tokens_used
from guardai.model import VERSION, Call, Decision, Event
from guardai.sql import describe, readable

if TYPE_CHECKING:
    from guardai.approvals import Approval
    from guardai.gate.gate import Gate
    from guardai.gate.keeping import Keeping
    from guardai.gate.rows import Rows
    from guardai.policy import Tally

__all__ = ["RECORDED", "Record", "put"]

_log: Final = logging.getLogger("guardai")
#: An event's id begins with its log: 16 digits.
_LOG: Final = 16
#: The decision about a call that nobody was asked about.
RECORDED: Final = Decision("allow", reason="the application's own call, recorded")


class Record:
    """One call as it is known so far, and the two events that tell of it."""

    __slots__ = (
        "_agreed", "_asked", "_bytes", "_commit", "_done", "_force", "_gate", "_labels", "_masks", "_parent", "_policies",
        "_returned", "_scene", "_started", "_tally", "_told", "_trace", "approval", "call", "decision", "id", "intent", "keeping",
        "outcome", "payload", "plan", "rows", "run",
    )  # fmt: skip

    def __init__(self, gate: Gate, call: Call, run: Run, parent: str) -> None:
        self._gate = gate
        self._force = gate.in_force
        self._parent = parent
        self._labels: dict[str, int] = {}
        self._masks: dict[str, str] = {}
        self._policies: tuple[str, ...] = ()
        self._commit: dict[str, object] | None = None
        self._bytes = 0
        self._scene: Scene | None = None
        #: That in which policy gave the decision; None if it did not.
        self._asked: Scene | None = None
        self._returned: set[str] = set()
        self._tally: Tally | None = None
        #: That of nothing until the call has been understood, and for good if it could not be.
        self.plan: Plan = NOT_UNDERSTOOD
        self._done: dict[str, object] = {}
        self._told: tuple[str, str] | None = None
        self._started = time.perf_counter_ns()
        #: Of both events: a stream may end within another span, or none.
        self._trace = current_span()
        self.call = call
        self.run = run
        self.id = new_call_id()
        self.payload = call.payload
        self.decision = RECORDED
        self.approval: Approval | None = None
        #: The groups that have agreed to it.
        self._agreed: tuple[str, ...] = ()
        self.intent = ""
        self.outcome = ""
        self.rows: Rows | None = None
        #: What keeps what it carries; None unless policy asks for that.
        self.keeping: Keeping | None = None

    def refuse(self, error: type[PolicyDenied], cause: BaseException | None = None, reason: str = "") -> NoReturn:
        """Raises the refusal, as the session wants it."""
        decision = self.decision
        about, statement = self._words()
        known: Any = {
            "action": self._action,
            "policies": decision.policies,
            "event": self.intent,
            "about": about,
            "statement": statement,
        }
        reason = reason or decision.reason or "no policy permits it"
        if decision.obligations.abort or self.run.session.on_denied == "abort":
            raise SessionAborted(reason, **known) from cause
        raise error(reason, groups=decision.obligations.approvals, **known) from cause

    def _words(self) -> tuple[str, str]:
        """What a statement would do in plain words, and the statement laid out; without any value of it. Found once."""
        if self._told is None:
            self._told = self._put_into_words()
        return self._told

    def _put_into_words(self) -> tuple[str, str]:
        inspection = self.plan.inspection
        if inspection is None or self.call.statement is None:
            return "", ""
        try:
            return describe(inspection, self.plan.labelled), readable(self.call.statement, self.call.dialect or "")
        except Exception as exc:  # a refusal is not lost for want of words
            _log.warning("a statement could not be put into words: %s", put(exc))
            return "", ""

    @property
    def _action(self) -> str:
        return self.plan.action or self.call.action

    def _found(self, labels: dict[str, int], masks: dict[str, str]) -> None:
        if labels:
            found = self._labels
            for label, count in labels.items():
                found[label] = found.get(label, 0) + count
            self.run.saw(set(labels))
        if masks:
            self._masks.update(masks)

    def _committed(self, side: str, payload: Any) -> dict[str, object]:
        data = payload if isinstance(payload, bytes) else encoded(payload)
        digest = hashlib.blake2b(data, key=self._gate.key, digest_size=16).hexdigest()
        self._bytes += len(data)
        if self._commit is None:
            self._commit = {}
        told: dict[str, object] = {"bytes": len(data), "commit": digest}
        self._commit[side] = told
        return told

    def commit_stream(self, digest: str, size: int) -> None:
        """The commitment to what a stream handed out."""
        self._bytes += size
        self._commit = {**(self._commit or {}), "out": {"bytes": size, "commit": digest}}

    def _intend(self, *, paused: bool = False) -> None:
        """Writes the intent. INVARIANT: what policy was asked in its scene is in the log before it.

        Raises:
            LedgerError: it cannot be recorded.
        """
        call, plan = self.call, self.plan
        self._bytes = 0
        if call.statement is not None:
            scene = self._scene
            if scene is not None and scene.statement is not None:
                self._commit = {"in": scene.statement}
            else:
                told_of = self._committed("in", call.statement.encode("utf-8", "surrogatepass"))
                if scene is not None:
                    scene.statement = told_of
            if self.payload is not None:
                self._committed("parameters", self.payload)
        elif self.payload is not None:
            self._committed("in", self.payload)
        if self.keeping is not None:
            self._commit = self.keeping.told(self._commit)
        event = self._event("call.intent")
        event.lineage = self.run.fed.edges() if call.target.kind == "model" else self.run.fed.latest()
        event.resource = plan.uris
        if self.decision.effect != "allow" and call.statement is not None:
            event.body = {"does": self._words()[0]}  # whoever reads of a refusal wants to know of what
        if paused:
            event.status = "paused"
        asked = self._asked
        if asked is not None:
            if call.opaque or call.returns or self.approval is not None or self._tally is not None:
                event.body = {**cast("dict[str, object]", event.body or {}), **self._own()} or None
            event.scene, event.state = there = asked.recorded or self._gate.stage(self.run, asked)
        mode = self.decision.obligations.ledger
        self.intent = self._gate.emit(event, mode=mode) if mode else self._gate.emit(event)
        if asked is not None and not (
            self.intent.startswith(there[0][:_LOG]) and self.intent.startswith(there[1][:_LOG])
        ):
            self._gate.restage(asked)
        self._commit = None

    def _own(self) -> dict[str, object]:
        """What this call adds to the questions of its scene, besides the labels that were found in it."""
        own: dict[str, object] = {}
        if self.call.opaque:
            own["opaque"] = list(self.call.opaque)
        if self.call.returns:
            own["returns"] = list(self.call.returns)
        if self._agreed:
            own["approvals"] = list(self._agreed)
        if self._tally is not None and self._tally.seen:
            own["counts"] = self._tally.told()
        return own

    def _event(self, kind: str) -> Event:
        """A record of this call. What is the same for all calls of the scene is put together once."""
        scene = self._scene
        made = scene.events.get(kind) if scene is not None else None
        if made is None:
            made = Event(
                action=self._action,
                id="",
                key="",
                kind=kind,
                log="",
                model=self.plan.model,
                prev="",
                principal=self.run.principal,
                seq=0,
                session=self.run.session.id,
                ts=0,
                v=VERSION,
            )
            if scene is not None:
                scene.events[kind] = made
        event: Event = made.__copy__()  # type: ignore[attr-defined]  # which every struct has
        event.call = self.id
        event.content = self._commit
        event.decision = told(self.decision, self._force, self._gate.mode, self._masks, self._policies)
        event.findings = self._labels
        event.parent = self._parent
        event.trace = self._trace
        return event

    def _write(self, status: str) -> bool:
        """Writes the outcome; whether it could be. One never replaces a result: the ledger has recorded the gap if it could."""
        plan, done = self.plan, self._done
        if self.keeping is not None:
            self._commit = self.keeping.told(self._commit)
        event = self._event("call.outcome")
        event.status = status
        event.lineage = [{"evidence": "observed", "from": self.intent}] if self.intent else []
        event.resource = plan.sources or plan.uris
        if plan.carried and status == "ok":
            done["carried"] = plan.carried
        if plan.model is not None and "responded" in done:
            event.model = {**plan.model, "responded": str(done.pop("responded"))}
        if self.rows is not None:
            done["rows"] = self.rows.count
        if self._returned and self._scene is not None:
            back = self._scene.back
            done["returned"] = {label: back(label) or "" for label in sorted(self._returned)}
            event.scene, event.state = self._scene.recorded or ("", "")
        if plan.model is not None and self._tally is not None and status not in ("denied", "cancelled"):
            self._tally.tokens(tokens_used(done.get("usage"), self._bytes))
        if "usage" in done:
            event.usage = counted(done.pop("usage")) or None
        event.body = done or None
        event.dur = (time.perf_counter_ns() - self._started) // 1000
        try:
            mode = self.decision.obligations.ledger
            self.outcome = (
                self._gate.emit(event, outcome=True, mode=mode) if mode else self._gate.emit(event, outcome=True)
            )
        except GuardError as exc:
            _log.warning("an outcome could not be recorded: %s", exc)
            return False
        return True


def put(exc: Exception) -> str:
    """What may be said of an exception of ours: its type and, if it is ours, its words. Values may hide in others."""
    return str(exc) if isinstance(exc, GuardError) else type(exc).__name__
