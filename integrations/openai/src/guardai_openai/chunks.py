"""Chunks of a streamed chat completion (or of its elder, the text completion), choice by choice.

A choice has channels: `content`, `refusal`, reasoning, the arguments of each tool call, whatever else a provider streams.
A channel's name is where its text stands in the delta. What is held back of it is handed out, at the latest, before the
choice's `finish_reason`; and when another channel of the choice begins, because the client's accumulators take the
former for complete then. A chunk of which everything is held back does not leave: its text goes with a later one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guardai_openai.logprobs import Lag
from guardai_openai.unescape import Unescape

if TYPE_CHECKING:
    from guardai.hooks import Flow

__all__ = ["Choice", "chunk", "made"]

#: Fields of a delta that name things. They come whole, so they are masked as a whole, not as a part of a text.
_NAMES: Final = frozenset({"format", "id", "name", "signature", "type"})
_ROLES: Final = frozenset({"assistant", "developer", "function", "system", "tool", "user"})

#: What chunks and their choices have that is no text of the answer. Whatever else stands there is masked as a whole.
_HEAD: Final = frozenset(
    {"choices", "created", "id", "model", "obfuscation", "object", "service_tier", "system_fingerprint", "usage"}
)
_CHOICE: Final = frozenset({"delta", "finish_reason", "index", "logprobs", "text"})

Path = tuple[str | int, ...]


class Choice:
    """One choice of a stream.

    Attributes:
        finished: its `finish_reason` has come.
        held: everything that the last chunk had for it is held back.
    """

    __slots__ = (
        "_enforcing",
        "_escapes",
        "_flow",
        "_lags",
        "_names",
        "_open",
        "_said",
        "_sole",
        "_started",
        "finished",
        "held",
        "index",
        "opaque",
    )

    def __init__(self, index: Any, flow: Flow, *, opaque: bool, enforcing: bool) -> None:
        self._enforcing = enforcing
        self._escapes: dict[Path, Unescape] = {}
        self.index = index
        self.finished = False
        self.held = False
        #: The answer was said to carry base64, under `data`.
        self.opaque = opaque
        self._flow = flow
        self._names: dict[Path, str] = {}
        self._open: set[Path] = set()
        self._started: list[Path] = []
        #: Whether anything besides text that is held back was in the delta.
        self._said = False
        self._sole: tuple[str, str] | None = None
        self._lags: dict[str, Lag] = {}

    def pass_(self, choice: dict[str, Any]) -> dict[str, Any] | None:
        """Masks one chunk's choice in place.

        Returns:
            What has to be handed out before it: a delta with what was held back; None if there is nothing.
        """
        if not choice.keys() <= _CHOICE:
            _unknown(choice, _CHOICE, self._flow)
        delta = choice.get("delta")
        if self._sole is not None and type(delta) is dict and len(delta) == 1 and self._plain(choice, delta):
            return None
        before: dict[str, Any] | None = None
        if isinstance(delta, dict):
            content = delta.get("content")
            refusal = delta.get("refusal")
            self._started = []
            self._said = not delta
            self._each(delta, delta.items(), ())
            if self._started:
                # Something begins: what this chunk does not continue is complete.
                before = self._close([path for path in self._open if path not in self._started], delta)
                self._open.update(self._started)
            if choice.get("finish_reason"):
                before = _joined(before, self._close(list(self._open), delta))
            self._logged(choice, delta, before, content=content, refusal=refusal)
            self.held = not self._said and not choice.get("finish_reason") and not _leaves(choice.get("logprobs"))
            self._sole = self._alone()
        elif isinstance(choice.get("text"), str):
            text = choice["text"]
            path: Path = ("text",)
            choice["text"] = self._feed(path, text)
            self._open.add(path)
            if choice.get("finish_reason"):
                choice["text"] += self._flow.end(self._names[path])
                self._open.clear()
            if choice.get("logprobs") is not None and not self._lag("text").pass_(text, choice["text"], [True]):
                choice["logprobs"] = None
        if choice.get("finish_reason"):
            self.finished = True
        return before

    def _alone(self) -> tuple[str, str] | None:
        """Key and channel of the one text that is open, if it stands in the delta itself and has no log probabilities."""
        if len(self._open) != 1 or self._lags:
            return None
        (path,) = self._open
        return (str(path[0]), self._names[path]) if len(path) == 1 and path[0] != "arguments" else None

    def _plain(self, choice: dict[str, Any], delta: dict[str, Any]) -> bool:
        """The chunk that most chunks are: more of the one text. 1 µs instead of 4."""
        key, name = self._sole  # type: ignore[misc]
        text = delta.get(key)
        if type(text) is not str or not text or choice.get("finish_reason") or choice.get("logprobs"):
            return False
        out = delta[key] = self._flow.feed(name, text)
        self.held = not out
        return True

    def rest(self) -> dict[str, Any] | None:
        """What is still held back when the stream ends without a `finish_reason`."""
        return self._close(list(self._open), {})

    # ------------------------------------------------------------------ text

    def _each(self, holder: Any, items: Any, path: Path) -> None:
        """Feeds every text within. Holder and what it holds come fresh from the wire: they are changed in place."""
        for key, value in items:
            kind = type(value)
            if kind is str:
                if not value or (key == "role" and value in _ROLES):
                    self._said = True
                elif key in _NAMES:
                    self._said = True
                    at = f"{self.index}/{'/'.join(map(str, path))}/{key}" if key in {"id", "name"} else ""
                    holder[key] = self._flow.snapshot(value, at=at)
                elif self.opaque and key == "data":
                    self._said = True
                else:
                    holder[key] = self._feed((*path, key), value)
            elif kind is dict:
                if key == "function_call":
                    self._flow.tool_call()
                self._each(value, value.items(), (*path, key))
            elif kind is list:
                if key == "tool_calls" and value:
                    self._flow.tool_call()
                self._items(value, (*path, key))

    def _items(self, value: list[Any], path: Path) -> None:
        for position, item in enumerate(value):
            if type(item) is dict:
                index = item.get("index", position)
                at = (*path, index if isinstance(index, int) else position)
                if path == ("tool_calls",) and (*at, "function", "arguments") not in self._names:
                    self._begun((*at, "function", "arguments"))  # also if it has no arguments: the former is complete
                self._each(item, item.items(), at)
            elif type(item) is str and item:
                value[position] = self._feed((*path, position), item)
            elif type(item) is list:
                self._items(item, (*path, position))

    def _feed(self, path: Path, text: str) -> str:
        name = self._names.get(path)
        if name is None:
            name = self._begun(path)
        elif path not in self._open:
            self._open.add(path)
        quoted = path[-1] == "arguments"
        if quoted and self._enforcing:
            text = self._escapes.setdefault(path, Unescape()).feed(text)
        out = self._flow.feed(name, text, quoted=quoted)
        if out:
            self._said = True
        return out

    def _begun(self, path: Path) -> str:
        name = self._names[path] = f"{self.index}/{'/'.join(map(str, path))}"
        self._started.append(path)
        return name

    def _close(self, paths: list[Path], delta: dict[str, Any]) -> dict[str, Any] | None:
        """Ends channels. The rest goes to where the text stands in this delta; what does not stand there is returned."""
        before: dict[str, Any] | None = None
        for path in sorted(paths, key=str):
            self._open.discard(path)
            escape = self._escapes.pop(path, None)
            cut = escape.finish() if escape is not None else ""
            rest = (self._flow.feed(self._names[path], cut) if cut else "") + self._flow.end(self._names[path])
            if rest and not _append(delta, path, rest):
                before = _joined(before, _nested(path, rest))
        return before

    # ------------------------------------------------------------------ log probabilities

    def _logged(
        self, choice: dict[str, Any], delta: dict[str, Any], before: dict[str, Any] | None, **given: Any
    ) -> None:
        logprobs = choice.get("logprobs")
        if logprobs is None and not self._lags:
            return
        left: dict[str, list[Any]] = {}
        for key, text in given.items():
            entries = logprobs.get(key) if isinstance(logprobs, dict) else None
            if entries is None and key not in self._lags:
                continue
            out = ((before or {}).get(key) or "") + (delta.get(key) or "")
            left[key] = self._lag(key).pass_(text or "", out, entries)
        if isinstance(logprobs, dict):
            logprobs.update(left)
        elif any(left.values()):
            choice["logprobs"] = {"content": None, "refusal": None, **left}

    def _lag(self, key: str) -> Lag:
        lag = self._lags.get(key)
        if lag is None:
            lag = self._lags[key] = Lag()
        return lag


def chunk(
    data: dict[str, Any], choices: dict[Any, Choice], flow: Flow, *, opaque: bool, enforcing: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Masks one chunk in place.

    Returns:
        The chunk that has to leave before it, if there is one; and itself, unless everything in it is held back.
    """
    before: dict[str, Any] | None = None
    if not data.keys() <= _HEAD:
        _unknown(data, _HEAD, flow)
    held = bool(data["choices"]) and not data.get("usage")
    for choice in data["choices"]:
        if not isinstance(choice, dict):
            held = False
            continue
        index = choice.get("index", 0)
        state = choices.get(index)
        if state is None:
            state = choices[index] = Choice(index, flow, opaque=opaque, enforcing=enforcing)
        former = state.pass_(choice)
        if former is not None:
            before = before or {**data, "choices": []}
            before["choices"].append(made(index, former))
        held = held and state.held
    if before is not None and "usage" in before:
        before["usage"] = None
    return [] if before is None else [before], [] if held else [data]


def _leaves(logprobs: Any) -> bool:
    return isinstance(logprobs, dict) and any(logprobs.values())


def _unknown(holder: dict[str, Any], known: frozenset[str], flow: Flow) -> None:
    """Masks what nobody told us of, in place."""
    for key, value in holder.items():
        if key not in known and isinstance(value, (str, dict, list)) and value:
            holder[key] = flow.snapshot(value)


def made(index: Any, delta: dict[str, Any]) -> dict[str, Any]:
    """A choice that carries nothing but what was held back."""
    text = delta if "text" in delta else {"delta": delta}
    return {"index": index, **text, "logprobs": None, "finish_reason": None}


def _nested(path: Path, text: str) -> dict[str, Any]:
    """The delta in which `text` stands at `path`."""
    value: Any = text
    for key in reversed(path):
        if isinstance(key, int):
            value = [{"index": key, **value} if isinstance(value, dict) else value]
        else:
            value = {key: value}
    made: dict[str, Any] = value
    return made


def _joined(one: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any] | None:
    if one is None or other is None:
        return one or other
    for key, value in other.items():
        if isinstance(value, list) and isinstance(one.get(key), list):
            one[key] += value
        elif isinstance(value, dict) and isinstance(one.get(key), dict):
            _joined(one[key], value)
        else:
            one[key] = value
    return one


def _append(delta: Any, path: Path, text: str) -> bool:
    """Adds to a text that stands in the delta; False if it does not."""
    at: Any = delta
    for key in path[:-1]:
        if isinstance(key, int):
            at = next((i for n, i in enumerate(at) if isinstance(i, dict) and i.get("index", n) == key), None)
        else:
            at = at.get(key) if isinstance(at, dict) else None
        if at is None:
            return False
    last = path[-1]
    if not isinstance(at, dict) or not isinstance(at.get(last), str):
        return False
    at[last] += text
    return True
