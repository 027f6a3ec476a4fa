"""Who is acting: an agent, or the application around it.

Model requests, retrievals and governed tools are always an agent's. A database, HTTP or process call is the agent's if,
in this order: a session is open in its context; it happens inside a governed tool call; a model answer with tool calls
was received in its context and the next model request has not been made; or its text equals what a model answered in
this process. Everything else is the application's own and is left alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from guardai.gate.answers import Answers
from guardai.gate.run import AMBIGUOUS, HERE, Here, Run, new_session_id
from guardai.identity import acting_agent, acting_app, delegated
from guardai.model import OWN, Call, Session
from guardai.sql import inspect
from guardai.text import Tokens

if TYPE_CHECKING:
    from guardai.model import Audience, OnDenied, Vault
    from guardai.settings import Settings

__all__ = ["Acting"]

_HARMLESS: Final = "db.read"
#: The application's own plain queries are not even parsed: that would cost them more than they do.
_SELECT: Final = re.compile(r"\s*(?:select|values)\b[^;]*;?\s*\Z", re.IGNORECASE)


class Acting:
    """Finds the session that a call belongs to."""

    __slots__ = ("_answers", "_app", "_base", "_settings", "_vault")

    def __init__(self, settings: Settings, vault: Vault | None = None) -> None:
        self._settings = settings
        self._vault = vault
        self._answers = Answers()
        self._app: Run | None = None
        self._base: dict[str, str | int | bool | tuple[str, ...]] = {
            "environment": settings.environment,
            "mode": settings.mode,
            "region": settings.region,
            "approvals": (),
            "grants": (),
            "labels": (),
            "opaque": (),
        }

    def begin(
        self,
        *,
        agent: str | None,
        user: str | None,
        purpose: str,
        audience: Audience,
        on_denied: OnDenied,
        id_: str | None = None,
    ) -> Run:
        """A session that somebody opens, or goes on with. Inside another one its agent acts for the outer agent."""
        here = HERE.get()
        outer = here.run.session.principal if here is not None and here.agents else None
        principal = acting_agent(agent or self._settings.agent or None, user or (outer.user if outer else None))
        if here is not None and outer is not None:
            # What the outer session may not show, the inner one may not either.
            audience = "person" if "person" in (audience, here.run.session.audience) else audience
            on_denied = "abort" if "abort" in (on_denied, here.run.session.on_denied) else on_denied
        session = Session(id_ or new_session_id(), delegated(outer, principal), purpose, audience, on_denied)
        run = Run(session, self._base, self._tokens(session, lasting=id_ is not None))
        if here is not None and outer is not None:
            run.saw(here.run.labels)
        return run

    def enter(self, call: Call, here: Here | None) -> tuple[Run, Here | None]:
        """The session of a call that is an agent's by its nature. A context without one gets an implicit one."""
        if here is None:
            session = Session(new_session_id(), acting_agent(self._settings.agent or None), implicit=True)
            here = Here(Run(session, self._base, self._tokens(session)))
            HERE.set(here)
        elif here.turn and call.action.startswith("llm."):
            here = here._replace(turn=False)
            HERE.set(here)
        return here.run, here

    def statement(self, text: str, dialect: str) -> Run | None:
        """The session to which a SQL statement belongs; None if it is the application's own and is left alone."""
        here = HERE.get()
        if here is not None and here.agents:
            return here.run
        if OWN.get():
            return None
        answers = self._answers
        if answers.received:
            found = answers.find(text)
            if found:
                return found[0] if len(found) == 1 else self._ambiguous(found)
        settings = self._settings
        if settings.app_calls != "ignore":
            return self.app()
        # Once a model has answered, what the application writes and destroys is recorded: it may be the model's doing.
        if answers.received and not _SELECT.match(text) and inspect(text, dialect).action != _HARMLESS:
            return self.app()
        return None

    def app(self) -> Run:
        """The application itself, in one session for the process."""
        if self._app is None:
            self._app = Run(Session(new_session_id(), acting_app(), implicit=True), self._base, Tokens())
        return self._app

    def received(self, answer: Any, run: Run, *, tool_calls: bool) -> None:
        """A model answered in this context."""
        self._answers.add(answer, run)
        if tool_calls:
            here = HERE.get()
            if here is None:
                here = Here(run)
            if here.run is run and not here.turn:
                HERE.set(here._replace(turn=True))

    def _tokens(self, session: Session, *, lasting: bool = False) -> Tokens:
        """The session's table of tokens. Another user who goes on with the same id gets another one."""
        if self._vault is None:
            return Tokens()
        return Tokens(self._vault.drawer(session.id, session.principal.user, lasting=lasting))

    def _ambiguous(self, runs: tuple[Run, ...]) -> Run:
        """Several sessions received this text: it is some agent's, and the record says that it is not known whose.

        What any of them would hold back is held back.
        """
        latest = runs[-1].session
        users = {run.session.principal.user for run in runs}
        person = any(run.session.audience == "person" for run in runs)
        principal = latest.principal._replace(
            agent="ambiguous", user=users.pop() if len(users) == 1 else AMBIGUOUS, chain=()
        )
        made = Run(
            latest._replace(id=AMBIGUOUS, principal=principal, audience="person" if person else "process"),
            self._base,
            Tokens(),
        )
        for run in runs:
            made.saw(run.labels)
        return made
