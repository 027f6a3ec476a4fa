"""`guardai.session`: one run of work, on whose behalf and for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardai.gate.run import HERE, Here, Run
from guardai.gate.runtime import current, require
from guardai.model import VERSION, Event

if TYPE_CHECKING:
    from types import TracebackType

    from guardai.ledger import Ledger
    from guardai.model import Audience, OnDenied, Session

__all__ = ["SessionScope", "emit_in"]


class SessionScope:
    """An open session; `with` or `async with`. Everything that happens within belongs to it.

    Tasks, threads and pools inherit it. A context manager of its own for each `with`: entering one twice raises.
    """

    __slots__ = ("_before", "_given", "_run")

    def __init__(
        self,
        *,
        user: str | None,
        agent: str | None,
        purpose: str,
        audience: Audience,
        on_denied: OnDenied,
        id_: str | None = None,
    ) -> None:
        self._given = (user, agent, purpose, audience, on_denied, id_)
        self._run: Run | None = None
        self._before: Here | None = None

    def __enter__(self) -> Session:
        if self._run is not None:
            raise RuntimeError("this session has been entered already; open another with guardai.session(...)")
        user, agent, purpose, audience, on_denied, id_ = self._given
        run = require().acting.begin(
            agent=agent, user=user, purpose=purpose, audience=audience, on_denied=on_denied, id_=id_
        )
        about = {"audience": run.session.audience, "implicit": False, "labels": sorted(run.labels), "purpose": purpose}
        require().gate.opened(run, emit_in(run, "session.open", {**about, "on_denied": on_denied}))
        self._run = run
        self._before = HERE.get()
        HERE.set(Here(run, explicit=True, call=self._before.call if self._before is not None else ""))
        return run.session

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run = self._run
        HERE.set(self._before)
        if run is None:
            return
        run.abandon()
        if self._before is not None:
            self._before.run.saw(run.labels)
        if current() is not None:  # shut down inside the session: its end is the ledger's end
            emit_in(run, "session.close", {"labels": sorted(run.labels)}, outcome=True)

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, exc, traceback)


def emit_in(
    run: Run, kind: str, body: dict[str, object], *, outcome: bool = False, ledger: Ledger | None = None
) -> str:
    """Records something of a session that is no call; in the ledger of this process, if none is named."""
    return (ledger or require().ledger).append(
        Event(
            body=body,
            id="",
            key="",
            kind=kind,
            log="",
            prev="",
            principal=run.principal,
            seq=0,
            session=run.session.id,
            ts=0,
            v=VERSION,
        ),
        outcome=outcome,
    )
