"""Reversible tokens: a session's table of what `<EMAIL_1>` stands for, in memory.

Within one session the same value is the same token, so a model can tell people apart without knowing them. What comes
back is re-identified where policy permits.

A text may hold a look-alike that nobody issued, or that was issued for somebody else's value. Two rules keep it from
being re-identified to that value:

- a number that was seen in a text before it was issued is never issued (`reserve`): what the look-alike said, it keeps
  saying;
- `escape` marks every look-alike in a text that is known to be fresh from outside, `<!EMAIL_1>`, and `resolve` leaves a
  marked one alone; `unescape` takes one mark away. `unescape(escape(x)) == x` for every text.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Final

from guardai.text.render import normal

__all__ = ["StreamResolver", "Tokens"]

# As models write it back: other case, inner spaces, the underscore escaped as in Markdown.
_TOKEN: Final = re.compile(r"<[ \t]{0,4}([A-Za-z][A-Za-z0-9_]{0,31})\\?_([0-9]{1,9})[ \t]{0,4}>")
_LOOKALIKE: Final = re.compile(r"<(!*)(?=[ \t]{0,4}[A-Za-z][A-Za-z0-9_]{0,31}\\?_[0-9]{1,9}[ \t]{0,4}>)")
#: From a '<' to its '>'; longer is no token.
_HOLD: Final = 64


class Tokens:
    """One session's table. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._issued: dict[tuple[str, str], str] = {}
        self._values: dict[str, tuple[str, str]] = {}
        self._next: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Tokens: {len(self._values)} issued>"

    def token(self, label: str, value: str) -> str:
        """The token that stands for `value`: the one it has, or a new one.

        Args:
            label: its kind; the name is the label's last part in capitals, of all secrets `SECRET`.
            value: compared in a normal form (an e-mail address without case, a card without spaces).
        """
        key = label, normal(label, value)
        made = self._issued.get(key)
        if made is not None:
            return made
        name = "SECRET" if label.startswith("secret.") else label.rpartition(".")[2].upper()
        with self._lock:
            made = self._issued.get(key)
            if made is None:
                number = self._next.get(name, 1)
                self._next[name] = number + 1
                made = f"<{name}_{number}>"
                self._values[made] = label, value
                self._issued[key] = made
        return made

    def reserve(self, text: str) -> None:
        """Makes sure that no token is issued from now on that `text` holds already."""
        for match in _TOKEN.finditer(text):
            name, number = match[1].upper(), int(match[2])
            with self._lock:
                # One that was issued is most likely our own, coming back in the history of a conversation.
                if number >= self._next.get(name, 1):
                    self._next[name] = number + 1

    def resolve(self, text: str, permitted: Callable[[str], bool]) -> str:
        """Puts back the values whose label is permitted. What was not issued, and what is not permitted, stays."""
        if "<" not in text or not self._values:
            return text

        def value(match: re.Match[str]) -> str:
            known = self._values.get(f"<{match[1].upper()}_{int(match[2])}>")
            return known[1] if known is not None and permitted(known[0]) else match[0]

        return _TOKEN.sub(value, text)

    def escape(self, text: str) -> str:
        """Marks what looks like a token: `<EMAIL_1>` → `<!EMAIL_1>`, and a marked one once more."""
        return _LOOKALIKE.sub(r"<!\1", text) if "<" in text else text

    def unescape(self, text: str) -> str:
        """Takes one mark from each."""
        return _LOOKALIKE.sub(lambda m: "<" + m[1][1:], text) if "<!" in text else text

    def resolver(self, permitted: Callable[[str], bool]) -> StreamResolver:
        """`resolve` for a stream."""
        return StreamResolver(self, permitted)


class StreamResolver:
    """Re-identifies a stream, with the result that `Tokens.resolve` has on the whole.

    It holds back from an unclosed `<` on, at most 64 characters. One stream, one object.
    """

    __slots__ = ("_held", "_permitted", "_tokens")

    def __init__(self, tokens: Tokens, permitted: Callable[[str], bool]) -> None:
        self._tokens = tokens
        self._permitted = permitted
        self._held = ""

    def feed(self, chunk: str) -> str:
        """Takes more text and returns what is certain."""
        text = self._held + chunk if self._held else chunk
        opened = text.rfind("<")
        if opened >= 0 and len(text) - opened < _HOLD and ">" not in text[opened:]:
            self._held = text[opened:]
            text = text[:opened]
        else:
            self._held = ""
        return self._tokens.resolve(text, self._permitted) if text else ""

    def finish(self) -> str:
        """The text has ended: returns the rest."""
        text, self._held = self._held, ""
        return self._tokens.resolve(text, self._permitted) if text else ""
