"""Events that say their type: the Responses protocol, transcriptions, whatever is built like them.

`….delta` carries a piece of a channel's text, `….done` and later events repeat the text as a whole. INVARIANT: a text
that is repeated is exactly its pieces, joined, as they were handed out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guardai_openai.answer import asks, usage_of
from guardai_openai.logprobs import Lag, neutral
from guardai_openai.opaque import binary
from guardai_openai.paths import Path, lift, put
from guardai_openai.unescape import Unescape

if TYPE_CHECKING:
    from guardai.hooks import Flow

__all__ = ["Typed"]

#: What tells apart the texts of one stream.
_ADDRESS: Final = ("output_index", "content_index", "summary_index", "item_id", "response_id", "segment_id")
#: Fields of a delta event that name things, or that say nothing.
_NAMES: Final = frozenset(
    {*_ADDRESS, "agent", "delta", "event_id", "logprobs", "obfuscation", "sequence_number", "stream_id", "type"}
)
_LAST: Final = frozenset({"response.completed", "response.failed", "response.incomplete"})


class _Channel:
    __slots__ = ("escapes", "given", "lag", "last", "name", "out")

    def __init__(self, name: str, escapes: Unescape | None) -> None:
        self.name = name
        self.escapes = escapes
        self.given: list[str] = []
        self.out: list[str] = []
        self.lag: Lag | None = None
        #: The event that carried the last piece: what is held back goes out in a copy of it.
        self.last: dict[str, Any] = {}


class Typed:
    """The typed events of one stream.

    Attributes:
        complete: the event that ends the answer has come.
        responded: the model that answered.
        usage: what the provider counted.
    """

    __slots__ = ("_channels", "_enforcing", "_flow", "_opaque", "_wholes", "complete", "responded", "usage")

    def __init__(self, flow: Flow, *, opaque: bool, enforcing: bool) -> None:
        self._flow = flow
        self._enforcing = enforcing
        #: The answer was said to carry base64.
        self._opaque = opaque
        self._channels: dict[tuple[Any, ...], _Channel] = {}
        #: A channel's whole text as it came → as it left.
        self._wholes: dict[str, str] = {}
        self.complete = False
        self.responded = ""
        self.usage: dict[str, int] | None = None

    def pass_(self, data: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        """What leaves before one event, and what leaves in its place."""
        kind: str = data["type"]
        if kind.endswith(".delta") and isinstance(data.get("delta"), str):
            if self._opaque and kind.endswith("audio.delta"):
                return [], [data]  # base64
            return [], self._piece(kind, data)
        before: list[dict[str, Any]] = []
        if kind.endswith(".done"):
            before = self._end([self._address(kind.removesuffix(".done"), data)])
        elif kind in _LAST:
            before = self.rest()
        if kind == "response.created" and isinstance(data.get("response"), dict):
            self._flow.snapshot(data["response"].get("id"), at="id")  # by which the next request goes on
        item = data.get("item")
        if item is not None and asks(item):
            self._flow.tool_call()
        if kind in _LAST:
            self._ended(data.get("response"))
        elif kind == "transcript.text.done":
            self._ended(data)
        return before, [self._repeated(data)]

    def rest(self) -> list[dict[str, Any]]:
        """Ends every channel; events with what was held back."""
        return self._end(list(self._channels))

    def _ended(self, response: Any) -> None:
        self.complete = True
        if isinstance(response, dict):
            model = response.get("model")
            self.responded = model if isinstance(model, str) else ""
            self.usage = usage_of(response)

    # ------------------------------------------------------------------ pieces

    @staticmethod
    def _address(kind: str, data: dict[str, Any]) -> tuple[Any, ...]:
        return (kind, *map(data.get, _ADDRESS))

    def _piece(self, kind: str, data: dict[str, Any]) -> list[dict[str, Any]]:
        address = self._address(kind.removesuffix(".delta"), data)
        channel = self._channels.get(address)
        if channel is None:
            # Arguments are JSON.
            escapes = Unescape() if self._enforcing and "arguments" in kind else None
            channel = self._channels[address] = _Channel("/".join(map(str, address)), escapes)
        given = data["delta"]
        text = given if channel.escapes is None else channel.escapes.feed(given)
        out = data["delta"] = self._flow.feed(channel.name, text, quoted=channel.escapes is not None)
        channel.given.append(given)
        channel.out.append(out)
        channel.last = data
        if data.get("logprobs"):
            channel.lag = channel.lag or Lag()
        if channel.lag is not None:
            data["logprobs"] = channel.lag.pass_(given, out, data.get("logprobs"))
        if not data.keys() <= _NAMES:
            for key, value in data.items():
                if key not in _NAMES and isinstance(value, (str, dict, list)) and value:
                    data[key] = self._flow.snapshot(value)
        # An event of which everything is held back does not leave: its text goes with a later one.
        return [data] if out or not given or data.get("logprobs") else []

    def _end(self, addresses: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        for address in addresses:
            channel = self._channels.pop(address, None)
            if channel is None:
                continue
            cut = channel.escapes.finish() if channel.escapes is not None else ""
            rest = (self._flow.feed(channel.name, cut) if cut else "") + self._flow.end(channel.name)
            if rest:
                channel.out.append(rest)
            # The same sequence number: whoever resumes the stream after it misses nothing, for the whole text follows.
            event = {**channel.last, "delta": rest}
            if channel.lag is not None:
                event["logprobs"] = channel.lag.pass_("", rest, None)
            if rest or event.get("logprobs"):
                events.append(event)
            self._wholes["".join(channel.given)] = "".join(channel.out)
        return events

    # ------------------------------------------------------------------ wholes

    def _repeated(self, data: dict[str, Any]) -> dict[str, Any]:
        known: list[tuple[Path, Any]] = []
        wholes = self._wholes

        def pick(key: str | int, value: Any) -> Any:
            if type(value) is str and value in wholes and key != "type":
                return ""
            return binary(key, value) if self._opaque else None

        without = lift(data, pick, known)
        # What the deltas of an item do not say: which tool is called.
        at = f"output/{data.get('output_index')}" if data.get("type") == "response.output_item.added" else ""
        masked: dict[str, Any] = self._flow.snapshot(without, at=at)
        put(masked, [(path, wholes.get(value, value) if isinstance(value, str) else value) for path, value in known])
        neutral(data, masked)
        return masked
