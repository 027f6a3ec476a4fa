"""Log probabilities name the pieces of a text one by one, so a text that was masked cannot keep them.

INVARIANT: no log probability leaves of a piece that has not left itself, unmasked, before or with it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Lag", "neutral"]


def neutral(before: Any, after: Any) -> None:
    """Takes the log probabilities off everything in `after` that differs from `before`; both are JSON-like.

    `after` is the gate's masked copy: what differs in it is its own.
    """
    if after is before:
        return
    if isinstance(after, dict) and isinstance(before, dict):
        if after.get("logprobs") and any(before.get(key) != value for key, value in after.items() if key != "logprobs"):
            after["logprobs"] = [] if isinstance(after["logprobs"], list) else None
        for key, value in after.items():
            if isinstance(value, (dict, list)):
                neutral(before.get(key), value)
    elif isinstance(after, list) and isinstance(before, list):
        for old, new in zip(before, after, strict=False):
            neutral(old, new)


class Lag:
    """The log probabilities of one streamed text: they wait for their text, and go with it."""

    __slots__ = ("_masked", "_text", "_waiting")

    def __init__(self) -> None:
        self._text = ""
        self._waiting: list[Any] = []
        self._masked = False

    def pass_(self, given: str, out: str, entries: list[Any] | None) -> list[Any]:
        """What may leave now.

        Args:
            given: the piece of text that arrived.
            out: the text that leaves.
            entries: the log probabilities that arrived with it.
        """
        if self._masked:
            return []
        self._text += given
        if entries:
            self._waiting.extend(entries)
        if not self._text.startswith(out):
            self._masked = True
            self._waiting = []
            return []
        self._text = self._text[len(out) :]
        if self._text:
            return []
        leaving, self._waiting = self._waiting, []
        return leaving
