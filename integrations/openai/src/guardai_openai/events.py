"""The events of one streamed answer, from the wire to the reader: masked, completed, and brought to an end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from guardai.hooks import started
from guardai_openai.answer import usage_of
from guardai_openai.chunks import Choice, chunk, made
from guardai_openai.typed import Typed

if TYPE_CHECKING:
    from guardai.hooks import Ticket

__all__ = ["Events"]


class Events:
    """What a stream does with what arrives. It ends its ticket once: complete, failed, or abandoned.

    Attributes:
        busy: the stream is being advanced right now, so it will tell its end itself.
    """

    __slots__ = (
        "_choices",
        "_enforcing",
        "_flow",
        "_head",
        "_opaque",
        "_over",
        "_responded",
        "_typed",
        "_usage",
        "busy",
    )

    def __init__(self, ticket: Ticket) -> None:
        self._flow = ticket.stream()
        self._opaque = bool(ticket.call.returns)
        self._enforcing = ticket.enforcing
        self._typed = Typed(self._flow, opaque=self._opaque, enforcing=self._enforcing)
        self._choices: dict[Any, Choice] = {}
        self._head: dict[str, Any] = {}
        self._responded = ""
        self._usage: dict[str, int] | None = None
        self._over = False
        self.busy = False

    def pass_(self, data: Any) -> tuple[list[Any], list[Any]]:
        """What leaves before one event, and what leaves in its place: nothing, where everything in it is held back.

        Args:
            data: of the event; it comes fresh from the wire and may be changed in place.
        """
        if isinstance(data, dict):
            if isinstance(data.get("choices"), list):
                return self._chunk(data)
            if data.get("error"):
                return [], [data]  # the client raises it; a provider's errors come through as they are
            if isinstance(data.get("type"), str):
                return self._typed.pass_(data)
        return [], [self._flow.snapshot(data)]

    def _chunk(self, data: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        if data.get("usage"):
            self._usage = usage_of(data)
        if not self._responded and isinstance(data.get("model"), str):
            self._responded = data["model"]
        self._head = data
        return chunk(data, self._choices, self._flow, opaque=self._opaque, enforcing=self._enforcing)

    def rest(self) -> list[Any]:
        """What leaves before the stream's end. Afterwards the answer is complete, whether or not its reader goes on."""
        rests: list[Any] = list(self._typed.rest())
        choices = [made(index, rest) for index, choice in self._choices.items() if (rest := choice.rest()) is not None]
        if choices:
            rests.append({**self._head, "choices": choices, **({"usage": None} if "usage" in self._head else {})})
        self._over = True
        return rests

    # ------------------------------------------------------------------ the end

    @property
    def _complete(self) -> bool:
        return (
            self._over
            or self._typed.complete
            or (bool(self._choices) and all(choice.finished for choice in self._choices.values()))
        )

    def end(self) -> None:
        """Nothing more comes."""
        typed = self._typed
        self._flow.finish(responded=self._responded or typed.responded, usage=self._usage or typed.usage)

    def fail(self, exc: BaseException) -> None:
        """The client raised; what was held back stays back, because a value may have been cut in two."""
        self._flow.fail(exc)

    def stop(self) -> None:
        """Nobody reads on. An answer of which everything was handed out is complete all the same."""
        if self.busy or sys.is_finalizing() or not started():
            return
        if self._complete:
            self.end()
        else:
            self._flow.abandon()
