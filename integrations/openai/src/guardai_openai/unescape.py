r"""Arguments of tool calls are JSON in pieces: what they escape without need is written out before it is masked.

Some servers write `<` as `\u003c` (Go does, by default), and a model can write any character so: a token would not be
recognised, an address would slip through. `"` and `\` stay escaped, and so does what is no printable ASCII: the text means
the same to whoever parses it.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Unescape"]

#: A whole escape, or the beginning of one where the text ends.
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[^u]|(u[0-9a-fA-F]{0,3}|)\Z)", re.DOTALL)


class Unescape:
    """One text of JSON, piece by piece."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Takes a piece; what may be the beginning of an escape waits."""
        if not self._held and "\\" not in text:
            return text
        text, self._held = self._held + text, ""
        return _ESCAPE.sub(self._written, text)

    def finish(self) -> str:
        """What waits when the text ends."""
        rest, self._held = self._held, ""
        return rest

    def _written(self, match: re.Match[str]) -> str:
        if match[1] is not None:
            character = chr(int(match[1], 16))
            return character if " " <= character <= "~" and character not in '"\\' else match[0]
        if match[2] is not None:
            self._held = match[0]
            return ""
        return match[0]
