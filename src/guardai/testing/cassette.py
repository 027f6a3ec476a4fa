"""A recorded session as a test double: the same calls get the answers that they got then, and nothing is reached.

::

    tape = Cassette.of(home, "ticket-7")        # a session whose calls were kept: @capture("content")
    tape.save(path)                             # what was kept, in plain text: look at it before you commit it

    def test_agent_does_not_send_twice(guardai_ledger):
        with Cassette.load(path).play():
            my_agent.run("ticket-7")

Policy decides on every call, as ever; one that it lets through is looked for among those that were recorded. It is the same if its
action, its other side and what it carries are, in the form in which the vault keeps it. Governed tools do not run: they
return, or raise, what they did then. Model requests of the openai client go to a server on loopback that answers what the model answered.

What differs raises `CassetteError`, with the id of the recorded event and the place, and never a value. So does a call that is not
answered from a cassette: SQL statements and HTTP requests of an agent outside of tools, and embeddings. `play(run=["db"])` lets the
statements happen, in the database that the test has made, if they are those that were recorded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import msgspec

from guardai.errors import GuardError
from guardai.gate import Phase, player
from guardai.gate.reports.session import Step, replayed
from guardai.gate.vault import record_look
from guardai.identity import acting_user
from guardai.testing.model_server import ModelServer, Reply, text
from guardai.testing.wire.replayed import stream
from guardai.testing.wire.reply import error

if TYPE_CHECKING:
    from guardai.gate import Ticket
    from guardai.model import Call
    from guardai.testing.wire.chat import Piece
    from guardai.testing.wire.request import Request

__all__ = ["Cassette", "CassetteError", "RecordedCall", "RecordedError"]

_ANSWERED: Final = ("llm.generate", "tool.call")
_TOKEN: Final = re.compile(r"<[A-Z][A-Z0-9_]*_[1-9][0-9]*>")
#: What the openai client raises → the status that it raises it for.
_STATUS: Final = {
    "BadRequestError": 400, "AuthenticationError": 401, "PermissionDeniedError": 403, "NotFoundError": 404,
    "ConflictError": 409, "UnprocessableEntityError": 422, "RateLimitError": 429,
}  # fmt: skip


class CassetteError(GuardError):
    """A call is none that was recorded, or cannot be answered from a cassette. It did not happen."""


class RecordedError(Exception):
    """A tool raised then. Of its exception the record holds the type's name alone, which is this one's argument."""


class RecordedCall(msgspec.Struct, frozen=True):
    """One call that was let through, as it was kept.

    Attributes:
        event: the id of its intent.
        action: the verb.
        on: addresses of what it was on, `tool://send_mail`.
        sent: side → what it carried.
        status: how it ended; "" if nobody knows.
        error: type of what it raised.
        out: what came back.
    """

    event: str
    action: str
    on: tuple[str, ...]
    sent: dict[str, Any]
    status: str = ""
    error: str = ""
    out: Any = None

    def __repr__(self) -> str:
        return f"<RecordedCall: {self.action}, {self.event}>"


class Cassette(msgspec.Struct, frozen=True):
    """The calls of one session, in their order; what a tool did by itself is part of the tool's answer."""

    session: str
    calls: list[RecordedCall]

    def __repr__(self) -> str:
        return f"<Cassette: {len(self.calls)} calls of {self.session}>"

    @classmethod
    def of(cls, home: Path, session: str) -> Self:
        """Reads a session from a home. That it was read is recorded there (`vault.shown`).

        Raises:
            CassetteError: there is no such session, it was altered, or what its calls carried is not all there.
            LedgerError: it cannot be read, or that cannot be recorded.
            VaultError: the vault cannot be read.
        """
        found = replayed(home, session)
        if not found.steps:
            raise CassetteError(f"there is no session {session!r} in this home")
        if found.report.verdict == 1 or found.faults:
            raise CassetteError("the session was altered; guardai replay tells where")
        record_look(home, session, found.shown, by=acting_user())
        outcomes = {step.call: step for step in found.steps if step.kind == "call.outcome"}
        intents = (
            step for step in found.steps if step.kind == "call.intent" and step.effect == "allow" and not step.depth
        )
        calls = (_recorded(step, outcomes.get(step.call)) for step in intents)
        return cls(session, [call for call in calls if call is not None])

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            OSError: it cannot be read.
            CassetteError: it is none.
        """
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except msgspec.MsgspecError:
            raise CassetteError(f"{path} is no cassette") from None

    def save(self, path: Path) -> None:
        """Writes it to a file, readable to its owner alone. What was kept stands in it in plain text.

        Raises:
            OSError: it cannot be written.
        """
        from guardai.ledger.layout import replace

        replace(path, msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n", 0o600)

    @contextlib.contextmanager
    def play(self, *, run: Collection[str] = ()) -> Iterator[Playing]:
        """Within, calls are answered from it, in this process; `OPENAI_BASE_URL` names the server that answers as the model.

        Args:
            run: groups of actions, `db` say, of which calls happen. Where such calls were kept, they have to be those.

        Raises:
            CassetteError: (at the end) not every call that was recorded has been made.
        """
        if player.playing() is not None:
            raise CassetteError("another cassette is being played")
        playing = Playing(self, frozenset(run))
        with _Server(playing) as server, _environment(OPENAI_BASE_URL=server.base_url):
            playing.base_url = server.base_url
            player.use(playing)
            try:
                yield playing
            finally:
                player.use(None)
        left = playing.left
        if left:
            raise CassetteError(
                f"{len(left)} of {len(self.calls)} recorded calls were not made; the first is {_named(left[0])}"
            )


class Playing:
    """A cassette that is being played; see `Cassette.play`.

    Attributes:
        base_url: for a client that is not made by the environment.
    """

    def __init__(self, tape: Cassette, run: frozenset[str]) -> None:
        self.base_url = ""
        self._run = run
        self._left = [call for call in tape.calls if call.action in _ANSWERED or _group(call.action) in run]
        #: Groups of which calls were kept.
        self._known = {_group(call.action) for call in tape.calls}
        self._hosts = {
            parts.path.lstrip("/"): parts.netloc
            for call in tape.calls
            for parts in map(urlsplit, call.on)
            if parts.scheme == "model"
        }
        #: Tickets of tools → what they did; bodies of requests that are on their way → what was answered.
        self._answers: dict[str, RecordedCall] = {}
        self._asked: list[tuple[Any, RecordedCall]] = []
        #: Token that was given out now → the one of then. Values that are on the cassette as tokens alone are not known
        #: now, so that numbers differ; the names of one run mean the same throughout.
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def left(self) -> list[RecordedCall]:
        """The recorded calls that have not been made yet."""
        return list(self._left)

    # ---- for the gate (`guardai.gate.player.Player`) ----

    def described(self, call: Call) -> Call:
        target = call.target
        if target.kind != "model":
            return call
        if target.host != urlsplit(self.base_url).netloc:
            raise CassetteError(
                f"the client asks {target.host}, not the cassette; make it within play(), or give it Playing.base_url"
            )
        # What policy knows of the model counts, not where the answer comes from now.
        return dataclasses.replace(call, target=target._replace(host=self._hosts.get(target.name, target.host)))

    def opened(self, ticket: Ticket) -> bool:
        if not ticket.inspecting or ticket.phase is not Phase.OPEN:
            return False  # the application's own, which stays its own; or it waits for a human
        if not ticket.enforcing:
            raise CassetteError("a cassette is not played while guardai only observes")
        action = ticket.plan.action or ticket.call.action
        group = _group(action)
        if action not in _ANSWERED and group not in self._run:
            raise CassetteError(
                f"{action} is not answered from a cassette; put it into a governed tool, which is, or let it happen: "
                f'play(run=["{group}"])'
            )
        if action not in _ANSWERED and group not in self._known:
            return False
        on = tuple(one["uri"] for one in msgspec.json.decode(ticket.plan.uris or b"[]"))
        sent = ticket.as_kept()
        with self._lock:
            same = [call for call in self._left if (call.action, call.on) == (action, on)]
            places = []
            for call in same:
                names = dict(self._names)
                place = _differs(call.sent, sent, names)
                if not place:
                    self._names = names
                    self._left.remove(call)
                    break
                places.append(place)
            else:
                raise CassetteError(_why(f"{action} on {', '.join(on)}", same, places, self._left))
            if action == "tool.call":
                self._answers[ticket.id] = call
            elif action in _ANSWERED:
                self._asked.append((ticket.payload, call))
        return action in _ANSWERED

    def result(self, ticket: Ticket) -> Any:
        call = self._answers.pop(ticket.id)
        if call.status == "ok":
            return self._now(call.out)
        if call.error and call.status != "withheld":
            raise RecordedError(call.error)
        raise CassetteError(f"what {_named(call)} returned is not known: its status is {call.status or 'unknown'}")

    def _now(self, out: Any) -> Any:
        """What was answered, in the tokens that are given out now."""
        return _renamed(out, {then: now for now, then in self._names.items()})

    # ---- for the server ----

    def answer(self, body: Any) -> tuple[RecordedCall, Any]:
        """What was answered to a request that the gate has let through: the call, and its answer as it is told now."""
        with self._lock:
            # Of those on their way the one that is the same, else the first: a file's bytes are not in what was recorded.
            at = next((at for at, (asked, _) in enumerate(self._asked) if asked == body), 0)
            if not self._asked:
                raise CassetteError(
                    "this request has not passed the gate: guardai is not started, or does not govern it"
                )
            call = self._asked.pop(at)[1]
            return call, self._now(call.out)


class _Server(ModelServer):
    """Answers with what was recorded, as it was."""

    def __init__(self, playing: Playing) -> None:
        super().__init__()
        self._playing = playing
        self._streams: dict[int, dict[str, str]] = {}

    def _answer(self, request: Request) -> Reply | dict[str, Any] | Iterator[Piece]:
        call, out = self._playing.answer(dict(request.body))
        if call.status not in ("ok", "abandoned"):
            status = _STATUS.get(call.error, 500)
            return error(status, f"recorded: {call.error or call.status}", headers={"x-should-retry": "false"})
        if not request.stream:
            return dict(out)
        self._streams[id(request)] = out or {}
        return text("")

    def _pieces(self, request: Request, reply: Reply) -> Iterator[Piece]:
        del reply
        yield from stream(request, self._streams.pop(id(request)))


def _group(action: str) -> str:
    return action.partition(".")[0]


def _recorded(intent: Step, outcome: Step | None) -> RecordedCall | None:
    """The call; None of what is not answered and was not kept."""
    for step in (intent, outcome) if outcome is not None else (intent,):
        for content in step.contents:
            if content.state != "kept":
                if intent.action not in _ANSWERED and content.state == "not captured":
                    return None
                raise CassetteError(f"what event {step.id} carried is not there: {content.side} is {content.state}")
    returned = {content.side: content.value for content in outcome.contents} if outcome is not None else {}
    out = returned.get("out")
    sent = {content.side: content.value for content in intent.contents}
    return RecordedCall(
        intent.id,
        intent.action,
        intent.on,
        sent,
        outcome.status if outcome is not None else "",
        str(outcome.more.get("error", "")) if outcome is not None else "",
        out,
    )


def _why(what: str, same: list[RecordedCall], places: list[str], left: list[RecordedCall]) -> str:
    if not left:
        return f"{what} was not recorded: every recorded call has been made"
    if not same:
        return f"{what} was not recorded; the next recorded call is {_named(left[0])}"
    return f"{what} differs from {_named(same[0])} at {places[0]}"


def _named(call: RecordedCall) -> str:
    return f"{call.action} on {', '.join(call.on)} (event {call.event})"


def _differs(one: Any, other: Any, names: dict[str, str], at: str = "$") -> str:
    """Where two values differ first, as a path without values; "" if nowhere. `names`: tokens of the second → of the first."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key not in one or key not in other:
                return f"{at}.{key}"
            if place := _differs(one[key], other[key], names, f"{at}.{key}"):
                return place
        return ""
    if isinstance(one, list) and isinstance(other, list):
        for n, (left, right) in enumerate(zip(one, other, strict=False)):
            if place := _differs(left, right, names, f"{at}[{n}]"):
                return place
        return "" if len(one) == len(other) else f"{at}[{min(len(one), len(other))}]"
    if isinstance(one, str) and isinstance(other, str):
        ours, theirs = _TOKEN.findall(one), _TOKEN.findall(other)
        same = len(ours) == len(theirs) and all(
            names.setdefault(his, mine) == mine for mine, his in zip(ours, theirs, strict=True)
        )
        return "" if same and _TOKEN.split(one) == _TOKEN.split(other) else at
    return "" if type(one) is type(other) and one == other else at


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """The value with other names for its tokens."""
    if isinstance(value, dict):
        return {key: _renamed(child, names) for key, child in value.items()}
    if isinstance(value, list):
        return [_renamed(child, names) for child in value]
    return _TOKEN.sub(lambda found: names.get(found[0], found[0]), value) if isinstance(value, str) else value


@contextlib.contextmanager
def _environment(**given: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
