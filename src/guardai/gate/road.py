"""The road: the one way that every governed call takes, sync, async and streamed.

A small state machine without waiting in it; the faces (`faces.py`) wait, the integrations call.

::

    Gate.open(call) ─▶ OPEN ───close(result)──▶ ENDED     the library ran the call with `ticket.payload`
         │               ├─────fail(exc)──────▶ ENDED
         │               ├─────stream() … end ▶ ENDED
         │               └─────abandon()──────▶ ENDED
         ├─▶ PAUSED ─resume(verdict)─▶ OPEN or ENDED (refused)
         └─▶ raises PolicyDenied, LedgerError: nothing happened

Two rules keep it honest:

1. INVARIANT: the intent is in the spool before `open` returns an OPEN ticket; nothing that would have an effect is
   handed out earlier, and a call whose intent cannot be written does not happen.
2. INVARIANT: a failure of ours (inspect, decide, mask) is a denial before the effect and a withheld result after it.
   Nothing unmasked passes because a detector failed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import msgspec

from guardai.approvals import Approval, State, Verdict
from guardai.errors import (
    ApprovalDenied,
    GuardError,
    LedgerError,
    PolicyDenied,
    ResultWithheld,
    SessionAborted,
)
from guardai.gate.capture import Capture
from guardai.gate.flow import Flow
from guardai.gate.in_force import InForce
from guardai.gate.plan import NOT_UNDERSTOOD, Context, Plan
from guardai.gate.questions import Columns, Owed, Scene, told
from guardai.gate.rows import Rows
from guardai.gate.run import HERE, Run, new_call_id, process
from guardai.gate.staged import Staged, event_of, session_of, staged
from guardai.gate.usage import tokens_used
from guardai.model import VERSION, Call, Decision, Destination, Emit, Event, Mask, Obligations
from guardai.policy import decide
from guardai.sql import NotKept, describe, readable
from guardai.text import Masking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from guardai.gate.acting import Acting
    from guardai.ledger import Images
    from guardai.policy import Counters, Engine, Tally
    from guardai.policy.trust.clock import Until
    from guardai.settings import Settings

__all__ = ["Gate", "Phase", "Ticket"]

_log: Final = logging.getLogger("guardai")
#: Kinds of call that a session keeps the scenes of.
_SCENES: Final = 1024
#: An event's id begins with its log: 16 digits.
_LOG: Final = 16
_NOTHING_OWED: Final = Obligations()
_RECORDED: Final = Decision("allow", reason="the application's own call, recorded")


class Phase(Enum):
    """Where a ticket stands."""

    OPEN = "open"
    PAUSED = "paused"
    ENDED = "ended"


class Gate:
    """Knows every room of floor 2 and joins them. One for each process, made by `init`; only its bundle is ever changed."""

    __slots__ = (
        "_scenes",
        "_states",
        "acting",
        "counters",
        "emit",
        "images",
        "in_force",
        "key",
        "mode",
        "settings",
    )

    def __init__(
        self,
        *,
        settings: Settings,
        engine: Engine,
        emit: Emit,
        key: bytes,
        acting: Acting,
        images: Images | None = None,
        counters: Counters | None = None,
        signed: bool = False,
        until: Until | None = None,
    ) -> None:
        if counters is None:
            from guardai.policy import Counters

            counters = Counters()
        # They are the process's, not the bundle's: a swap is no way to begin anew.
        self.counters = counters
        self.settings = settings
        self.mode = settings.mode
        self.in_force = InForce(engine, settings, signed=signed, until=until)
        self.emit = emit
        self.key = key
        self.acting = acting
        self.images = images
        #: What policy is asked in this process → the event that holds it. Statements that differ in their literals alone are
        #: asked about in the same way.
        self._scenes: dict[tuple[str | bytes, ...], str] = {}
        #: What policies read of a session → the event that holds that.
        self._states: dict[tuple[str | bytes, ...], str] = {}

    @property
    def engine(self) -> Engine:
        """The engine of the bundle in force."""
        return self.in_force.engine

    def swap(self, engine: Engine, *, signed: bool = False, until: Until | None = None) -> None:
        """Puts another bundle in force, from the next call on. Any thread may call it, while others make calls.

        A call that has begun ends with the bundle that it began with, however long it takes: a stream, a cursor, a
        pause. Nothing waits: this is one assignment, and sessions make their scenes anew when they next call. What the
        bundle's detectors look for is not the gate's; `Runtime.swap` sees to that too.

        Args:
            engine: of a bundle that was loaded, so that it is known to be whole.
            signed: whether trusted keys vouch for it.
            until: when it decides no more; None is never.
        """
        self.in_force = InForce(engine, self.settings, signed=signed, until=until)

    def tally(self, run: Run, engine: Engine, *, taking: bool = True) -> Tally | None:
        """The counters of a call; None where no policy reads any."""
        counted = engine.bundle.counted
        if counted is None:
            return None
        from guardai.policy import Tally

        return Tally(self.counters, counted, run.session.principal, run.session.id, taking=taking)

    def scene(self, run: Run, plan: Plan, engine: Engine, tally: Tally | None) -> Scene:
        """What the calls of this kind share in this session."""
        if tally is not None and tally.labels:
            return Scene(engine, plan, run, self.settings, tally)
        # Read before the scene is made: a label that joins meanwhile replaces `run.scenes`, and this one is not kept.
        scenes = run.scenes
        scene = scenes.get(id(plan))
        if scene is None or scene.plan is not plan or scene.engine is not engine:
            if len(scenes) > _SCENES or _outdated(scenes, engine):
                # Those of a bundle that is no longer in force would keep it in memory.
                scenes.clear()
            scene = scenes[id(plan)] = Scene(engine, plan, run, self.settings)
        return scene

    def stage(self, run: Run, scene: Scene) -> Staged:
        """The ids of the events that hold what policy is asked in this scene; empty if that cannot be told.

        INVARIANT: they are in the log before the first intent that names them, and in the same one, unless the log ended
        between the two.

        Raises:
            LedgerError: they cannot be recorded.
        """
        body, state = staged(scene, self.settings.environment), session_of(scene.context)
        if body is None or state is None:
            scene.recorded = ("", "")
            return scene.recorded
        scene.recorded = (
            self._tell(self._scenes, (process(), bytes(body)), event_of("scene", body)),
            self._tell(self._states, (process(), run.session.id, bytes(state)), event_of("session.state", state, run)),
        )
        return scene.recorded

    def _tell(self, told: dict[tuple[str | bytes, ...], str], key: tuple[str | bytes, ...], event: Event) -> str:
        found = told.get(key)
        if found is None:
            if len(told) >= _SCENES:
                told.clear()
            found = told[key] = self.emit(event)
        return found

    def opened(self, run: Run, event: str) -> None:
        """A session was opened, and the event tells what policies read of it."""
        state = session_of(run.context)
        if state is not None:
            self._states[process(), run.session.id, bytes(state)] = event

    def restage(self, scene: Scene) -> None:
        """A log ended and another began: what is asked in this scene is told anew in that."""
        self._scenes.clear()
        self._states.clear()
        scene.recorded = None

    @staticmethod
    def act(engine: Engine, run: Run, plan: Plan, context: Context, tally: Tally | None = None) -> Decision:
        """May it be done? Where there are several verbs, the strictest answer counts."""
        return decide(engine, run.session.principal, plan.asked, plan.resources, context, tally)

    def open(self, call: Call, run: Run | None = None) -> Ticket:
        """Takes a call through inspection, decision, masking and the record of its intent.

        Args:
            call: what the integration describes.
            run: the session, where `acting` has found it already; otherwise the context's.

        Returns:
            A ticket that is OPEN, its `payload` masked, or PAUSED.

        Raises:
            PolicyDenied: nothing happened, and nothing will.
            LedgerError: the intent cannot be recorded; nothing happened.
        """
        here = HERE.get()
        if run is None:
            run, here = self.acting.enter(call, here)
        ticket = Ticket(self, call, run, here.call if here is not None else "")
        if run.session.principal.kind == "App" and self.settings.app_calls != "govern":
            ticket.note()
        elif self.mode == "observe":
            ticket.observe()
        else:
            ticket.enforce()
        return ticket

    def foresee(self, call: Call, run: Run) -> bool | None:
        """Asks about a call that will only be made later. It leaves no record, because nothing has happened.

        Returns:
            Whether the call is a read, and policy permits nothing but reading there. None if policy does not permit it
            outright, so that it has to take the road now.
        """
        if self.mode == "observe" or (run.session.principal.kind == "App" and self.settings.app_calls != "govern"):
            return False
        ticket = Ticket(self, call, run, "")
        return ticket.reads_only if ticket.foreseen() else None


class Ticket:
    """One call on the road. All ends are idempotent: the first one counts."""

    __slots__ = (
        "_asked", "_bytes", "_commit", "_done", "_force", "_gate", "_labels", "_masks", "_parent", "_policies", "_returned",
        "_scene", "_started", "_tally", "_told", "approval", "call", "decision", "id", "intent", "outcome", "payload", "phase",
        "plan", "rows", "run",
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
        self.call = call
        self.run = run
        self.id = new_call_id()
        self.payload = call.payload
        self.decision = _RECORDED
        self.approval: Approval | None = None
        self.intent = ""
        self.outcome = ""
        self.rows: Rows | None = None
        self.phase = Phase.OPEN

    # ------------------------------------------------------------------ before the effect

    def enforce(self) -> None:
        """The road up to the effect."""
        cause: Exception | None = None
        try:
            self._inspect_and_decide()
        except Exception as exc:
            cause = exc
            self.decision = Decision(
                "deny", reason=f"guardai could not judge this call ({_told(exc)})", errors=(type(exc).__name__,)
            )
            self.payload = None
        except BaseException:
            self._counted(passed=False)  # interrupted: nothing happened
            raise
        if self.decision.effect == "pause":
            self.phase = Phase.PAUSED
            self.approval = Approval(
                self.decision.obligations.approvals, self.run.session.principal.user, *self._words()
            )
        try:
            self._intend()
        except BaseException:
            self._counted(passed=False)
            raise
        if self.decision.effect == "deny":
            self._end("denied")
            self.refuse(PolicyDenied, cause)
        if self.phase is Phase.OPEN:
            self._counted(passed=True)

    def foreseen(self) -> bool:
        """Whether policy would permit it. Records and counts nothing."""
        try:
            self._inspect_and_decide(taking=False)
        except Exception:
            return False
        return self.decision.effect == "allow"

    def note(self) -> None:
        """The application's own call: recorded if it can be, and never in its way."""
        try:
            self.plan = self._force.plans.of(self.call)
            self._intend()
        except Exception as exc:
            _log.warning("an application's own call could not be recorded: %s", _told(exc))

    def observe(self) -> None:
        """The same road, recorded; it changes nothing and raises nothing."""
        given = self.payload
        try:
            self._inspect_and_decide()
        except Exception as exc:
            self.decision = Decision(
                "deny", reason=f"guardai could not judge this call ({_told(exc)})", errors=(type(exc).__name__,)
            )
        except BaseException:
            self._counted(passed=False)
            raise
        self.payload = given
        self._counted(passed=True)
        try:
            self._intend()
        except LedgerError as exc:
            _log.warning("observe mode: an intent could not be recorded: %s", exc)

    def _counted(self, *, passed: bool) -> None:
        """Settles what the call took of its counters: it is let through, or it gives that back."""
        if self._tally is not None:
            (self._tally.keep if passed else self._tally.give_back)()

    def _inspect_and_decide(self, *, taking: bool = True) -> None:
        gate, call, run = self._gate, self.call, self.run
        force = self._force
        plan = self.plan = force.plans.of(call)
        force.check()
        tally = self._tally = gate.tally(run, force.engine, taking=taking)
        if tally is not None:
            tally.act(plan.asked, plan.resources)
        scene = self._scene = gate.scene(run, plan, force.engine, tally)
        own: Context = {}
        if call.payload is not None:
            masking = self._masking(scene.owed)
            self.payload = masking.payload(call.payload)
            self._found(masking.found, masking.masked)
            self._policies = scene.owed.policies(masking.masked)
            if masking.found:
                own["labels"] = tuple(sorted(masking.found))
        if call.opaque:
            own["opaque"] = call.opaque
        decision = None if own else scene.decision
        if decision is None:
            context = {**scene.context, **own} if own else scene.context
            decision = gate.act(self._force.engine, run, plan, context, tally)
            if not own and not decision.errors and (tally is None or not tally.asked):
                scene.decision = decision
        if decision.effect != "deny" and (call.opaque or call.returns):
            decision = self._unmaskable(scene) or decision
        self.decision = decision
        self._asked = scene

    def leaving(self, payloads: Iterable[Any]) -> Iterator[Any]:
        """More of the request, which is only made while the call runs: each masked as it leaves, counted in the outcome.

        Raises:
            GuardError: one could not be inspected; it does not leave, and what the library makes of that is its own.
        """
        scene = self._scene
        for payload in payloads:
            if scene is None or not self.inspecting:
                yield payload
                continue
            masking = self._masking(scene.owed)
            masked = masking.payload(payload)
            new = masking.found.keys() - self._labels.keys()
            self._found(masking.found, masking.masked)
            self._policies += scene.owed.policies(masking.masked)
            if new and self.enforcing:
                self._force.check()
                context = {**scene.context, "labels": tuple(sorted(self._labels))}
                decision = self._gate.act(self._force.engine, self.run, self.plan, context, self._tally)
                if decision.effect != "allow":
                    raise GuardError(
                        "what is sent now may not go there, by "
                        f"{', '.join(decision.policies) or 'want of a permit'}; what was sent before it has been sent"
                    )
            yield masked if self.enforcing else payload

    def _unmaskable(self, scene: Scene) -> Decision | None:
        """INVARIANT: what cannot be masked and may not be revealed does not pass, in either direction."""
        for owed, labels, where in (
            (scene.owed, self.call.opaque, "there"),
            (scene.back, self.call.returns, "to whoever reads the result"),
        ):
            for label in labels:
                if not owed.permitted(label):
                    return Decision("deny", owed.policies((label,)), f"{label} cannot be masked and may not go {where}")
        return None

    def resume(self, verdict: Verdict) -> None:
        """Takes a human's verdict. Afterwards the ticket is OPEN, still PAUSED (more groups), or this raises.

        Raises:
            ApprovalDenied: refused; nothing happened.
            ValueError: the verdict does not count (see `Approval.hear`); the ticket is as it was.
        """
        if self.approval is None or self.phase is not Phase.PAUSED:
            raise ValueError("this call is not paused")
        state = self.approval.hear(verdict)
        if state is State.REFUSED:
            self._end("denied")
            self.refuse(ApprovalDenied, reason=verdict.reason or self.decision.reason)
        if state is State.APPROVED:
            cause: Exception | None = None
            try:
                self._force.check()
                self.decision = self._agreed(self.approval)
            except Exception as exc:
                cause = exc
                self.decision = Decision(
                    "deny", reason=f"guardai could not judge this call ({_told(exc)})", errors=(type(exc).__name__,)
                )
            self.phase = Phase.OPEN
            try:
                self._intend()
            except BaseException:
                # Nothing happened, and nothing will; what cannot be recorded now has no outcome either.
                self._counted(passed=False)
                self.phase = Phase.ENDED
                raise
            if self.decision.effect != "allow":
                self._end("denied")
                self.refuse(PolicyDenied, cause)
            self._counted(passed=True)

    def _agreed(self, approval: Approval) -> Decision:
        """Cedar stays the only judge: it is asked again with what was agreed."""
        # Not the scene of the first question: the session may have seen more labels while somebody thought.
        self._scene = self._asked = self._gate.scene(self.run, self.plan, self._force.engine, self._tally)
        self._mask_anew(self._scene)
        context: Context = {**self._asked.context}
        context["approvals"] = approval.groups
        if self._labels:
            context["labels"] = tuple(sorted(self._labels))
        if self.call.opaque:
            context["opaque"] = self.call.opaque
        return self._gate.act(self._force.engine, self.run, self.plan, context, self._tally)

    def _mask_anew(self, scene: Scene) -> None:
        """The request as it may leave now; what was found in it has been counted."""
        if self.call.payload is None:
            return
        masking = self._masking(scene.owed)
        self.payload = masking.payload(self.call.payload)
        self._masks = dict(masking.masked)
        self._policies = scene.owed.policies(masking.masked)

    def cancel(self) -> None:
        """A paused call goes away: nobody waits for it any more."""
        if self.phase is Phase.PAUSED and self.approval is not None:
            self.approval.cancel()
            self._end("cancelled")

    # ------------------------------------------------------------------ after the effect

    def close(
        self,
        result: Any = None,
        *,
        responded: str = "",
        usage: dict[str, int] | None = None,
        tool_calls: bool = False,
        affected: int | None = None,
    ) -> Any:
        """The call ran and this came back.

        Args:
            result: JSON-like data; never changed in place.
            responded: the model that answered.
            usage: what the provider counted, integers.
            tool_calls: the answer asks for tools: what this context does next is the agent's doing.
            affected: rows that a statement changed.

        Returns:
            The result as its reader may see it; the same object if nothing was masked.

        Raises:
            ResultWithheld: the call ran, but its result could not be inspected or masked.
        """
        if self.phase is Phase.ENDED:
            # Recorded already; what is handed over is masked all the same.
            return self.returning().payload(result) if result is not None and self.enforcing else result
        if result is not None and self.decision is not _RECORDED:
            try:
                masking = self.returning()
                masked = masking.payload(result)
            except Exception as exc:
                if self.enforcing:
                    self.withhold(exc)
                self.unseen(exc)
                return result
            self.found(masking.found, masking.masked)
            if self.enforcing:
                result = masked
            self._committed("out", result)
        if affected is not None and affected >= 0:
            self._done["affected"] = affected
        if usage:
            self._done["usage"] = usage
        if responded:
            self._done["responded"] = responded
        if self.call.action == "llm.generate":
            self.received(result, tool_calls=tool_calls)
        self._end("ok")
        return result

    def returning(self) -> Masking:
        """The masking that this call's result owes, tokens re-identified where the reader may see them."""
        back = self._back()
        # Only a model writes tokens; what a row or a document holds is no reference to this session's values.
        resolve = back.permitted if self.call.target.kind == "model" else None
        return self._masking(back, resolve)

    def _masking(self, owed: Owed, resolve: Callable[[str], bool] | None = None) -> Masking:
        run = self.run
        return Masking(
            owed,
            tokens=run.tokens,
            key=self._gate.key,
            scope=run.session.id,
            resolve=resolve,
            foreign=_foreign(owed),
        )

    def owed_back(self, label: str) -> Mask | None:
        """The mask that data of this label owes on its way to whoever reads the result."""
        return self._back()(label)

    @property
    def columns(self) -> dict[tuple[tuple[str, ...], tuple[str, ...]], Columns]:
        """What is known of the columns of this statement's results, shared by the session's calls of it."""
        # Not one that was made before the session saw another label: what is owed may have changed.
        return self._scene.columns if self._scene is not None else {}

    def _back(self) -> Owed:
        if self._scene is not None:
            return self._scene.back
        # Observe mode, and the call could not be understood: nothing may be revealed, as far as the record goes.
        nowhere = Destination("unknown")
        return Owed(self._force.engine, self.run.session.principal, nowhere, self.run.context)

    def received(self, answer: Any, *, tool_calls: bool) -> None:
        """Keeps what a model answered, so that its own words are recognised when they arrive at a database."""
        self._gate.acting.received(answer, self.run, tool_calls=tool_calls)

    def result_rows(self, columns: Sequence[str], origins: Sequence[str] = ()) -> Rows:
        """The statement's rows come lazily: what masks and counts them. Ends the ticket when they end.

        Args:
            columns: the names of the result's columns.
            origins: the driver's own word on where each comes from, `table.column`, "" where it has none to say. It adds
                to what the statement tells, and takes nothing away.
        """
        self.run.open.add(self)
        rows = self.rows = Rows(self, self._force.catalog, self.plan.inspection, tuple(columns), tuple(origins))
        return rows

    def passing(self, rows: int) -> None:
        """So many rows are about to be handed out. INVARIANT: they are counted before they are."""
        if self._tally is not None:
            self._tally.rows(rows)

    def reading(self) -> None:
        """The first row is handed out: from here on its data is within the session's reach."""
        if self.inspecting:
            self.run.fed.read(self.intent)

    def stream(self) -> Flow:
        """The answer comes in parts."""
        self.run.open.add(self)
        return Flow(self)

    def fail(self, exc: BaseException, *, unknown: bool = False) -> None:
        """The library raised. Its exception goes on unchanged; this only records.

        Args:
            exc: what it raised. Cancelled or interrupted while it ran (no `Exception`): the effect may have happened.
            unknown: so it may have here: a connection lost after the request was sent, say.
        """
        self._done["error"] = type(exc).__name__
        self._end("unknown" if unknown or not isinstance(exc, Exception) else "error")

    def barred(self, exc: BaseException) -> None:
        """The engine, locked against all but reading, refused what had been judged a read. Its exception goes on."""
        self._done["refused"] = "engine"
        self.fail(exc)

    def overstepped(self, affected: int) -> NoReturn:
        """The statement changed more rows than policy permits, and has been taken back: nothing happened.

        Raises:
            PolicyDenied: always.
        """
        cap = self.decision.obligations.affected_cap
        self._done["affected"] = affected
        self._end("denied")
        self.refuse(
            PolicyDenied, reason=f"it would change {affected} rows, policy permits {cap}; it has been rolled back"
        )

    def impossible(self, why: str) -> NoReturn:
        """What policy asks for cannot be done here, so the call is not done either: nothing happened.

        Raises:
            PolicyDenied: always.
        """
        self._end("denied")
        self.refuse(PolicyDenied, reason=why)

    def capture(self) -> Capture | None:
        """What keeps the rows that the statement changes as they were, where policy asks for it and any are changed.

        Raises:
            PolicyDenied: they cannot be kept; nothing happened.
        """
        if not self.obligations.capture or self.plan.reads:
            return None
        try:
            return Capture.of(self.call, self.intent, self._gate.images)
        except NotKept as why:
            self.unkept(str(why))

    def captured(self, count: int) -> None:
        """So many rows are kept under the intent's id, as the statement found and as it left them."""
        self._done["captured"] = count

    def unkept(self, why: str) -> NoReturn:
        """The rows cannot be kept as they were, which policy asks for: nothing happened, or it has been taken back.

        Raises:
            PolicyDenied: always.
        """
        if self._gate.images is not None:
            self._gate.images.drop(self.intent)
        self.impossible(f"policy asks that rows are kept as they are before they change; {why}")

    def disown(self) -> None:
        """In a forked child: the call is the parent's, who records its end."""
        self.phase = Phase.ENDED

    def abandon(self) -> None:
        """Nobody will read the rest."""
        self._end("abandoned")

    @property
    def obligations(self) -> Obligations:
        """What the integration has to see to while the statement runs. None in observe mode, which changes nothing."""
        return self.decision.obligations if self.enforcing else _NOTHING_OWED

    @property
    def limited(self) -> bool:
        """Whether something has to stand around the statement while it runs."""
        owed = self.obligations
        return owed.timeout is not None or owed.affected_cap is not None or owed.capture or self.reads_only

    @property
    def reads_only(self) -> bool:
        """Whether this is a read, and policy permits this principal nothing but reading there.

        Then the engine is the second lock: the integration has it refuse whatever is no read.
        """
        scene = self._scene
        if scene is None or not self.plan.reads or not self.enforcing:
            return False
        if scene.reads_only is None:
            engine, writing = self._force.engine, self.plan._replace(asked=("db.write",))
            tally = self._gate.tally(self.run, engine, taking=False)
            reads_only = self._gate.act(engine, self.run, writing, scene.context, tally).effect == "deny"
            if tally is not None and tally.asked:
                return reads_only  # until a limit's window ends, perhaps
            scene.reads_only = reads_only
        return scene.reads_only

    @property
    def ended(self) -> bool:
        """Whether the outcome is recorded."""
        return self.phase is Phase.ENDED

    @property
    def key(self) -> bytes:
        """The key of commitments."""
        return self._gate.key

    @property
    def enforcing(self) -> bool:
        """Whether results are masked: not in observe mode, and not for the application's own calls."""
        return self._gate.mode == "enforce" and self.decision is not _RECORDED

    @property
    def inspecting(self) -> bool:
        """Whether results are looked at: not for the application's own calls."""
        return self.decision is not _RECORDED

    # ------------------------------------------------------------------ what is recorded

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
            _log.warning("a statement could not be put into words: %s", _told(exc))
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

    def found(self, labels: dict[str, int], masks: dict[str, str]) -> None:
        """What was found in the result, and masked on its way back, for the outcome."""
        self._found(labels, masks)
        self._returned.update(labels)
        if masks:
            self._policies += self._back().policies(masks)

    def _committed(self, side: str, payload: Any) -> dict[str, object]:
        encoded = payload if isinstance(payload, bytes) else _encoded(payload)
        digest = hashlib.blake2b(encoded, key=self._gate.key, digest_size=16).hexdigest()
        self._bytes += len(encoded)
        if self._commit is None:
            self._commit = {}
        told: dict[str, object] = {"bytes": len(encoded), "commit": digest}
        self._commit[side] = told
        return told

    def commit_stream(self, digest: str, size: int) -> None:
        """The commitment to what a stream handed out."""
        self._bytes += size
        self._commit = {**(self._commit or {}), "out": {"bytes": size, "commit": digest}}

    def _intend(self) -> None:
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
        event = self._event("call.intent")
        event.lineage = self.run.fed.edges() if call.target.kind == "model" else self.run.fed.latest()
        event.resource = plan.uris
        if self.decision.effect != "allow" and call.statement is not None:
            event.body = {"does": self._words()[0]}  # whoever reads of a refusal wants to know of what
        if self.phase is Phase.PAUSED:
            event.status = "paused"
        asked = self._asked
        if asked is not None:
            if call.opaque or call.returns or self.approval is not None or self._tally is not None:
                event.body = {**cast("dict[str, object]", event.body or {}), **self._own()} or None
            event.scene, event.state = there = asked.recorded or self._gate.stage(self.run, asked)
        self.intent = self._gate.emit(event)
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
        if self.approval is not None and self.phase is not Phase.PAUSED:
            own["approvals"] = list(self.approval.groups)
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
        return event

    def _end(self, status: str) -> None:
        if self.phase is Phase.ENDED:
            return
        if self.rows is not None:
            self.rows.report()
        self.phase = Phase.ENDED
        # INVARIANT: only what had no effect gives its numbers back.
        self._counted(passed=status not in ("denied", "cancelled"))
        run, plan, done = self.run, self.plan, self._done
        run.open.discard(self)
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
            event.usage = cast("dict[str, int]", done.pop("usage"))
        event.body = done or None
        event.dur = (time.perf_counter_ns() - self._started) // 1000
        was_read = self.rows is not None and self.rows.count > 0
        try:
            self.outcome = self._gate.emit(event, outcome=True)
        except GuardError as exc:  # an outcome never replaces a result; the ledger has recorded the gap if it could
            _log.warning("an outcome could not be recorded: %s", exc)
            return
        if status in ("ok", "abandoned"):
            if self.call.action.startswith("llm."):
                run.fed.answered(self.outcome)
            elif not was_read:  # rows are within reach from the first one on: see `reading`
                run.fed.read(self.outcome)

    def unseen(self, exc: Exception) -> None:
        """Observe mode: what came back could not be inspected, and is handed out all the same."""
        _log.warning("observe mode: a result could not be inspected: %s", _told(exc))
        self._done["error"] = type(exc).__name__
        self._end("ok")

    def overflow(self) -> NoReturn:
        """The result has more rows than policy lets pass: what has passed has passed, the rest stays.

        Raises:
            ResultWithheld: always.
        """
        cap = self.decision.obligations.row_cap
        self._end("withheld")
        raise ResultWithheld(
            f"policy lets {cap} rows of a result pass and there are more; ask for fewer, with LIMIT say",
            action=self._action,
            event=self.outcome,
        )

    def withhold(self, exc: Exception) -> NoReturn:
        """The call ran, but what came back could not be inspected: nobody gets it."""
        self._done["error"] = type(exc).__name__
        self._end("withheld")
        raise ResultWithheld(
            f"its result could not be inspected ({_told(exc)})", action=self._action, event=self.outcome
        ) from exc


def _told(exc: Exception) -> str:
    """What may be said of an exception of ours: its type and, if it is ours, its words. Values may hide in others."""
    return str(exc) if isinstance(exc, GuardError) else type(exc).__name__


def _outdated(scenes: dict[int, Scene], engine: Engine) -> bool:
    """Whether they are another bundle's. All of a session's are of one, so any of them tells."""
    return any(scene.engine is not engine for scene in [*scenes.values()][:1])


def _foreign(owed: Owed) -> str:
    """Objects and bytes that cannot be looked into are of label `opaque.raw`: they pass where that may be revealed."""
    return "pass" if owed.would("opaque.raw") else "refuse"


def _encoded(payload: Any) -> bytes:
    """The bytes that a commitment is made of. What JSON has no form for stands there by the name of its type."""
    try:
        return msgspec.json.encode(payload, enc_hook=_type_name)
    except (TypeError, ValueError):  # lone surrogates, integers beyond 64 bits, keys that are no strings
        return json.dumps(payload, default=_type_name, skipkeys=True).encode()


def _type_name(value: object) -> str:
    return f"<{type(value).__name__}>"
