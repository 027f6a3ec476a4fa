"""An answer that comes in parts: masked as it passes, held back where a value may still be growing.

An integration tells the channel of each piece of text (which choice, which block), because values do not continue from
one channel into another.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from guardai.errors import ResultWithheld
from guardai.gate.keeping import encoded

if TYPE_CHECKING:
    from guardai.gate.road import Ticket

__all__ = ["Flow"]


class Flow:
    """The stream of one ticket.

    INVARIANT: what leaves, joined, is what masking the whole text would give; after a failure nothing leaves.
    """

    __slots__ = ("_channels", "_digest", "_masking", "_reported", "_said", "_size", "_texts", "_ticket", "_tools")

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._masking = ticket.returning()
        self._channels: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        self._digest = hashlib.blake2b(key=ticket.key, digest_size=16)
        self._size = 0
        #: Something was kept for replay, of no size in itself.
        self._said = False
        self._reported = False
        self._tools = False

    def feed(self, channel: str, text: str, *, quoted: bool = False) -> str:
        """A piece of text of a channel; returns what may leave now, which may be nothing.

        Args:
            channel: which text of the answer goes on.
            text: the piece.
            quoted: the channel's text is JSON (the arguments of a tool call): what is put back for a token is written as in
                a JSON string. The channel's first piece decides.

        Raises:
            ResultWithheld: it could not be inspected. Nothing more leaves.
        """
        ticket = self._ticket
        if ticket.ended:
            if not ticket.enforcing:
                return text
            raise ResultWithheld("the stream has ended", action=ticket.call.action, event=ticket.outcome)
        masker = self._channels.get(channel)
        if masker is None:
            masker = self._channels[channel] = self._masking.stream(quoted=quoted)
            self._texts[channel] = []
        try:
            out = masker.feed(text)
        except Exception as exc:
            out = self._broken(exc)
        return self._let(channel, text, out)

    def end(self, channel: str) -> str:
        """The channel is complete; returns the rest of it. The channel's words are known from here on."""
        masker = self._channels.pop(channel, None)
        if masker is None:
            return ""
        try:
            rest = masker.finish()
        except Exception as exc:
            rest = self._broken(exc)
        rest = self._let(channel, "", rest)
        whole = "".join(self._texts.pop(channel))
        self._ticket.received(whole, tool_calls=False)
        return rest

    def rests(self) -> dict[str, str]:
        """Ends every channel; what was held back, by channel."""
        return {channel: self.end(channel) for channel in list(self._channels)}

    def snapshot(self, payload: Any, *, at: str = "") -> Any:
        """A part that repeats text as a whole, as JSON-like data: masked as a whole, which gives the same text.

        Args:
            payload: the part.
            at: where it stands, if it is said only here: the name of a tool that is called, say.
        """
        ticket = self._ticket
        try:
            masking = ticket.returning()
            masked = masking.payload(payload)
        except Exception as exc:
            self._broken(exc)
            return payload
        ticket.found({}, masking.masked)
        if at and ticket.keeping is not None and not ticket.ended:
            self._said = True
            ticket.keeping.heard(at, masked if isinstance(masked, str) else encoded(masked).decode())
        return masked if ticket.enforcing else payload

    def tool_call(self) -> None:
        """The answer asks for a tool: what this context does next is the agent's doing."""
        if not self._tools:
            self._tools = True
            self._ticket.received("", tool_calls=True)

    def finish(self, *, responded: str = "", usage: dict[str, int] | None = None) -> None:
        """The stream is complete, every channel ended and handed out."""
        self.report()
        self._ticket.close(None, responded=responded, usage=usage, tool_calls=self._tools)

    def fail(self, exc: BaseException) -> None:
        """The library raised in the middle."""
        self.report()
        self._ticket.fail(exc)

    def abandon(self) -> None:
        """Nobody reads the rest; what was held back is dropped."""
        if not self._ticket.ended:
            self.report()
            self._ticket.abandon()

    def _let(self, channel: str, given: str, out: str) -> str:
        if not self._ticket.enforcing:
            out = given
        if out:
            self._texts[channel].append(out)
            if self._ticket.keeping is not None:
                self._ticket.keeping.heard(channel, out)
            data = out.encode("utf-8", "surrogatepass")
            self._digest.update(data)
            self._size += len(data)
        return out

    def report(self) -> None:
        """What was found and handed out so far, for the outcome. Once: the first of those who end the call counts."""
        if not self._reported and not self._ticket.ended:
            self._reported = True
            self._ticket.found(self._masking.found, self._masking.masked)
            if self._size or self._said:
                self._ticket.commit_stream(self._digest.hexdigest(), self._size)

    def _broken(self, exc: Exception) -> str:
        self.report()
        if self._ticket.enforcing:
            self._ticket.withhold(exc)
        self._ticket.unseen(exc)
        return ""
