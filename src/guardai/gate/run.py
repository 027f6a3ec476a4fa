"""What one session has seen so far, and which session this context is in."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from guardai.lineage import Fed
from guardai.model import Session

if TYPE_CHECKING:
    from guardai.gate.questions import Scene
    from guardai.gate.road import Ticket
    from guardai.text import Tokens

__all__ = ["AMBIGUOUS", "HERE", "Here", "Run", "new_call_id", "new_session_id", "process"]


#: The id of the session of a call that may be any of several's; its user, too, where theirs differ.
AMBIGUOUS: Final = "ambiguous"


def new_session_id() -> str:
    """A random id, 16 hex digits."""
    return os.urandom(8).hex()


class _Calls:
    """Names calls: a random part for each process, and a count. A fork begins a new random part."""

    prefix = ""
    count = itertools.count(1)

    @classmethod
    def renew(cls) -> None:
        cls.prefix, cls.count = os.urandom(6).hex(), itertools.count(1)


_Calls.renew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Calls.renew)


def process() -> str:
    """A random name of this process; a forked child has another."""
    return _Calls.prefix


def new_call_id() -> str:
    """A unique id for a call."""
    return f"{_Calls.prefix}-{next(_Calls.count):x}"


_seeing = threading.RLock()
#: The sessions of this process, so that their open calls can be ended when it ends or forks.
RUNS: weakref.WeakSet[Run] = weakref.WeakSet()


def _forget_open_calls() -> None:
    """In a forked child: what the parent has begun the parent ends."""
    global _seeing
    _seeing = threading.RLock()
    for run in list(RUNS):
        for ticket in list(run.open):
            ticket.disown()
        run.open = set()
        run.scenes = {}  # they name records of the parent's log
        run.tokens.in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_open_calls)


class Run:
    """A session's state in this process: labels seen, tokens given out, sources within reach, calls still open."""

    __slots__ = ("__weakref__", "context", "fed", "labels", "open", "principal", "scenes", "session", "tokens")

    def __init__(self, session: Session, base: dict[str, str | int | bool | tuple[str, ...]], tokens: Tokens) -> None:
        self.session = session
        self.tokens = tokens
        self.fed = Fed()
        self.labels: frozenset[str] = frozenset()
        #: Calls that have begun and not ended: streams and cursors that nobody may ever finish. A ticket holds neither
        #: stream nor cursor, so these still end when they are dropped.
        self.open: set[Ticket] = set()
        #: id(plan) → what its calls share.
        self.scenes: dict[int, Scene] = {}
        who = session.principal
        #: Constant for the session, so it is encoded once.
        self.principal = msgspec.Raw(
            msgspec.json.encode(
                {
                    "agent": who.agent,
                    "assurance": who.assurance,
                    "chain": who.chain,
                    "kind": who.kind,
                    "user": who.user,
                },
                order="deterministic",
            )
        )
        #: What policies may read about the session; shared by its calls, copied when a label joins.
        self.context = {
            **base,
            "session.id": session.id,
            "session.purpose": session.purpose,
            "session.audience": session.audience,
            "session.implicit": session.implicit,
            "session.labels": (),
        }
        RUNS.add(self)

    def saw(self, labels: AbstractSet[str]) -> None:
        """Data of these labels has been in the session."""
        if not labels <= self.labels:
            with _seeing:
                self.labels |= labels
            self.context = {**self.context, "session.labels": tuple(sorted(self.labels))}
            self.scenes = {}

    def abandon(self) -> None:
        """Ends every call that is still open: nobody will."""
        for ticket in list(self.open):
            ticket.abandon()


class Here(NamedTuple):
    """Where a context stands. Never changed: each step sets a new one, so that tasks and threads do not mix.

    Attributes:
        run: the session.
        explicit: somebody opened it with `guardai.session`.
        call: the governed tool call within which this context runs; "" if none.
        turn: a model answer with tool calls has been received here, the next model request has not been made.
    """

    run: Run
    explicit: bool = False
    call: str = ""
    turn: bool = False

    @property
    def agents(self) -> bool:
        """Whether database, HTTP and process calls of this context are an agent's."""
        return self.explicit or bool(self.call) or self.turn


#: INVARIANT: no token of this variable is held across a `yield`; it is set to the former value, never reset.
HERE: ContextVar[Here | None] = ContextVar("guardai", default=None)
