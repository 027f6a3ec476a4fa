"""The gate of a process: it knows every room of floor 2 and joins them. The road that a call takes is in `road.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardai.errors import GuardError
from guardai.gate.in_force import InForce
from guardai.gate.player import playing
from guardai.gate.questions import Scene
from guardai.gate.road import Ticket
from guardai.gate.run import HERE, Run, process
from guardai.gate.staged import Staged, event_of, session_of, staged
from guardai.policy import decide

if TYPE_CHECKING:
    from guardai.gate.acting import Acting
    from guardai.gate.plan import Context, Plan
    from guardai.ledger import Images, ReplayVault
    from guardai.model import Call, Decision, Emit, Event
    from guardai.policy import Counters, Engine, Tally
    from guardai.policy.trust.clock import Until
    from guardai.settings import Settings
    from guardai.text import Search

__all__ = ["Gate"]

#: Kinds of call that a session keeps the scenes of.
_SCENES: Final = 1024


class Gate:
    """Knows every room of floor 2 and joins them. One for each process, made by `init`; only its bundle is ever changed."""

    __slots__ = (
        "_scenes",
        "_states",
        "acting",
        "contents",
        "counters",
        "emit",
        "images",
        "in_force",
        "key",
        "mode",
        "player",
        "settings",
    )

    def __init__(
        self,
        *,
        settings: Settings,
        engine: Engine,
        search: Search,
        emit: Emit,
        key: bytes,
        acting: Acting,
        images: Images | None = None,
        contents: ReplayVault | None = None,
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
        self.in_force = InForce(engine, search, settings, signed=signed, until=until)
        self.emit = emit
        self.key = key
        self.acting = acting
        self.images = images
        self.contents = contents
        self.player = playing()
        #: What policy is asked in this process → the event that holds it. Statements that differ in their literals alone are
        #: asked about in the same way.
        self._scenes: dict[tuple[str | bytes, ...], str] = {}
        #: What policies read of a session → the event that holds that.
        self._states: dict[tuple[str | bytes, ...], str] = {}

    @property
    def engine(self) -> Engine:
        """The engine of the bundle in force."""
        return self.in_force.engine

    def swap(self, engine: Engine, search: Search, *, signed: bool = False, until: Until | None = None) -> None:
        """Puts another bundle in force, from the next call on. Any thread may call it, while others make calls.

        A call that has begun ends with the bundle that it began with, however long it takes: a stream, a cursor, a
        pause. Nothing waits: this is one assignment, and sessions make their scenes anew when they next call.

        Args:
            engine: of a bundle that was loaded, so that it is known to be whole.
            search: what its detectors look for.
            signed: whether trusted keys vouch for it.
            until: when it decides no more; None is never.
        """
        self.in_force = InForce(engine, search, self.settings, signed=signed, until=until)

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
        if self.player is not None:
            call = self.player.described(call)
        if run is None:
            run, here = self.acting.enter(call, here)
        ticket = Ticket(self, call, run, here.call if here is not None else "")
        if run.session.principal.kind == "App" and self.settings.app_calls != "govern":
            ticket.note()
        elif self.mode == "observe":
            ticket.observe()
        else:
            ticket.enforce()
        if self.player is not None:
            try:
                if self.player.opened(ticket):
                    ticket.played()
            except GuardError as differs:
                ticket.fail(differs)
                raise
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


def _outdated(scenes: dict[int, Scene], engine: Engine) -> bool:
    """Whether they are another bundle's. All of a session's are of one, so any of them tells."""
    return any(scene.engine is not engine for scene in [*scenes.values()][:1])
