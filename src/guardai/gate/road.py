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

import logging
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from guardai.approvals import Approval, State, Verdict
from guardai.errors import ApprovalDenied, GuardError, LedgerError, PolicyDenied, ResultWithheld
from guardai.gate.capture import Capture
from guardai.gate.flow import Flow
from guardai.gate.keeping import Keeping, encoded, plain
from guardai.gate.questions import Columns, Owed, Scene
from guardai.gate.record import RECORDED, Record, put
from guardai.gate.rows import Rows
from guardai.gate.run import AMBIGUOUS
from guardai.model import Call, Decision, Destination, Mask, Obligations
from guardai.sql import NotKept
from guardai.text import Masking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from guardai.gate.gate import Gate
    from guardai.gate.plan import Context
    from guardai.gate.run import Run

__all__ = ["Phase", "Ticket"]

_log: Final = logging.getLogger("guardai")
_NOTHING_OWED: Final = Obligations()


class Phase(Enum):
    """Where a ticket stands."""

    OPEN = "open"
    PAUSED = "paused"
    ENDED = "ended"


class Ticket(Record):
    """One call on the road. All ends are idempotent: the first one counts."""

    __slots__ = ("flow", "phase")

    def __init__(self, gate: Gate, call: Call, run: Run, parent: str) -> None:
        super().__init__(gate, call, run, parent)
        self.phase = Phase.OPEN
        self.flow: Flow | None = None

    # ------------------------------------------------------------------ before the effect

    def enforce(self) -> None:
        """The road up to the effect."""
        cause: Exception | None = None
        try:
            self._inspect_and_decide()
            if self.decision.effect == "allow":
                cause = self._keep_request()
        except Exception as exc:
            cause = exc
            self.decision = Decision(
                "deny", reason=f"guardai could not judge this call ({put(exc)})", errors=(type(exc).__name__,)
            )
            self.payload = None
        except BaseException:
            self._counted(passed=False)  # interrupted: nothing happened
            raise
        if self.decision.effect == "pause":
            self.phase = Phase.PAUSED
            self.run.open.add(self)
            self.approval = Approval(
                self.decision.obligations.approvals, self.run.session.principal.user, *self._words()
            )
        try:
            self._intend(paused=self.phase is Phase.PAUSED)
        except BaseException:
            self._counted(passed=False)
            self._never_was()
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
            _log.warning("an application's own call could not be recorded: %s", put(exc))

    def observe(self) -> None:
        """The same road, recorded; it changes nothing and raises nothing."""
        given = self.payload
        try:
            self._inspect_and_decide()
        except Exception as exc:
            self.decision = Decision(
                "deny", reason=f"guardai could not judge this call ({put(exc)})", errors=(type(exc).__name__,)
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

    def played(self) -> None:
        """A test double answers it, and nothing is reached. INVARIANT: the record says so."""
        self._done["played"] = True

    def as_kept(self) -> dict[str, Any]:
        """What it carries out, as the replay vault would have it; whether or not it is kept there. For test doubles."""
        scene, call = self._scene, self.call
        if scene is None:
            return {}
        sides = (
            {"in": call.statement, "parameters": self.payload} if call.statement is not None else {"in": self.payload}
        )
        masking = self._masking(scene.kept, foreign=lambda: True)
        return {
            side: msgspec.json.decode(encoded(plain(masking.payload(payload), scene.kept)))
            for side, payload in sides.items()
            if payload is not None
        }

    def _keep_request(self) -> Exception | None:
        """Keeps what is about to leave, where policy asks for it. If it cannot be kept, the call is denied; returns why."""
        if not self.decision.obligations.content:
            return None
        call, scene, session, vault = self.call, self._scene, self.run.session, self._gate.contents
        try:
            if vault is None or scene is None:
                raise GuardError("no vault is there to keep it in (content_life is 0)")
            if session.id == session.principal.user == AMBIGUOUS:
                raise GuardError("it is not known whose it is")
            whose = (session.id, session.principal.user, self.id)
            keeping = Keeping(vault, whose, scene.kept, self._masking(scene.kept, foreign=lambda: True))
            if call.statement is not None:
                keeping.request("in", call.statement)
            if self.payload is not None:
                keeping.request("in" if call.statement is None else "parameters", self.payload)
        except Exception as exc:
            why = f"policy asks that what it carries is kept for replay; {put(exc)}"
            self.decision = Decision("deny", self.decision.policies, why, errors=(type(exc).__name__,))
            self.payload = None
            return exc
        self.keeping = keeping
        return None

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
        if call.payload is not None:
            masking = self._masking(scene.owed)
            self.payload = masking.payload(call.payload)
            self._found(masking.found, masking.masked)
            self._policies = scene.owed.policies(masking.masked)
        alone = not self._labels and not call.opaque
        decision = scene.decision if alone else None
        if decision is None:
            decision = self._decide(scene)
            if alone and not decision.errors and (tally is None or not tally.asked):
                scene.decision = decision
        self.decision = self._unless_unmaskable(decision, scene)
        self._asked = scene

    def _decide(self, scene: Scene) -> Decision:
        """What policy says of the scene, with what was found in this call, and with what was agreed to."""
        context: Context = {**scene.context}
        if self._labels:
            context["labels"] = tuple(sorted(self._labels))
        if self.call.opaque:
            context["opaque"] = self.call.opaque
        if self._agreed:
            context["approvals"] = self._agreed
        return self._gate.act(self._force.engine, self.run, self.plan, context, self._tally)

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
                decision = self._decide(scene)
                if decision.effect != "allow":
                    raise GuardError(
                        "what is sent now may not go there, by "
                        f"{', '.join(decision.policies) or 'want of a permit'}; what was sent before it has been sent"
                    )
            if self.keeping is not None:
                self.keeping.more(masked)
            yield masked if self.enforcing else payload

    def _unless_unmaskable(self, decision: Decision, scene: Scene) -> Decision:
        """INVARIANT: what cannot be masked and may not be revealed does not pass, in either direction."""
        if decision.effect == "deny" or not (self.call.opaque or self.call.returns):
            return decision
        for owed, labels, where in (
            (scene.owed, self.call.opaque, "there"),
            (scene.back, self.call.returns, "to whoever reads the result"),
        ):
            for label in labels:
                if not owed.permitted(label):
                    return Decision("deny", owed.policies((label,)), f"{label} cannot be masked and may not go {where}")
        return decision

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
                self._agreed = self.approval.groups
                self._force.check()
                self.decision = self._anew()
                if self.decision.effect == "allow":
                    cause = self._keep_request()
            except Exception as exc:
                cause = exc
                self.decision = Decision(
                    "deny", reason=f"guardai could not judge this call ({put(exc)})", errors=(type(exc).__name__,)
                )
            self.phase = Phase.OPEN
            self.run.open.discard(self)
            try:
                self._intend()
            except BaseException:
                self._counted(passed=False)
                self._never_was()
                raise
            if self.decision.effect != "allow":
                self._end("denied")
                self.refuse(PolicyDenied, cause)
            self._counted(passed=True)

    def _never_was(self) -> None:
        """Nothing happened, and nothing will; what cannot be recorded now has no outcome either."""
        self.phase = Phase.ENDED
        self.run.open.discard(self)

    def _anew(self) -> Decision:
        """Cedar stays the only judge: it is asked again with what was agreed."""
        # Not the scene of the first question: the session may have seen more labels while somebody thought.
        scene = self._scene = self._asked = self._gate.scene(self.run, self.plan, self._force.engine, self._tally)
        self._mask_anew(scene)
        return self._unless_unmaskable(self._decide(scene), scene)

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
            if result is None or not self.enforcing:
                return result
            masked = self.returning().payload(result)
            self._counted(passed=True)
            return masked
        if result is not None and self.decision is not RECORDED:
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
            if self.keeping is not None:
                self.keeping.result(result)
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

    def _masking(
        self,
        owed: Owed,
        resolve: Callable[[str], bool] | None = None,
        foreign: Callable[[], bool] | None = None,
    ) -> Masking:
        run = self.run
        return Masking(
            owed,
            tokens=run.tokens,
            key=self._gate.key,
            scope=run.session.id,
            resolve=resolve,
            foreign=foreign or owed.foreign,
            search=self._force.search,
        )

    def owed_kept(self, label: str) -> Mask | None:
        """The mask that data of this label owes on its way into the replay vault."""
        return self._scene.kept(label) if self._scene is not None else "redact"

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

    def found(self, labels: dict[str, int], masks: dict[str, str]) -> None:
        """What was found in the result, and masked on its way back, for the outcome."""
        self._found(labels, masks)
        self._returned.update(labels)
        if masks:
            self._policies += self._back().policies(masks)

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
        flow = self.flow = Flow(self)
        return flow

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
        """In a forked child: the call is the parent's, who records its end. INVARIANT: no call goes on in both."""
        self.phase = Phase.ENDED
        self.flow = None

    def abandon(self) -> None:
        """Nobody will read the rest; or, of a call that is paused, wait for it."""
        if self.phase is Phase.PAUSED:
            self.cancel()
        else:
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
        return self._gate.mode == "enforce" and self.decision is not RECORDED

    @property
    def inspecting(self) -> bool:
        """Whether results are looked at: not for the application's own calls."""
        return self.decision is not RECORDED

    def _end(self, status: str) -> None:
        if self.phase is Phase.ENDED:
            return
        if self.rows is not None:
            self.rows.report()
        if self.flow is not None:
            self.flow.report()
            self.flow = None  # which holds this ticket
        if self.keeping is not None and (
            lost := self.keeping.finish()
        ):  # policy is asked about labels: before it is settled
            self._done["unkept"] = lost
        self.phase = Phase.ENDED
        # INVARIANT: only what had no effect gives its numbers back.
        self._counted(passed=status not in ("denied", "cancelled"))
        run = self.run
        run.open.discard(self)
        was_read = self.rows is not None and self.rows.count > 0
        if self._write(status) and status in ("ok", "abandoned"):
            if self.call.action.startswith("llm."):
                run.fed.answered(self.outcome)
            elif not was_read:  # rows are within reach from the first one on: see `reading`
                run.fed.read(self.outcome)

    def unseen(self, exc: Exception) -> None:
        """Observe mode: what came back could not be inspected, and is handed out all the same."""
        _log.warning("observe mode: a result could not be inspected: %s", put(exc))
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
            f"its result could not be inspected ({put(exc)})", action=self._action, event=self.outcome
        ) from exc
