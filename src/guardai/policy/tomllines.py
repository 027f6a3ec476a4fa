"""On which line of a TOML file something stands; `tomllib` does not tell."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Lines"]

#: What can hide a bracket or a key: strings of all four kinds, and comments.
_HIDING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)


class Lines:
    """The lines of a text that is TOML.

    Attributes:
        last: how many there are.
    """

    __slots__ = ("_bare", "_text", "last")

    def __init__(self, text: str) -> None:
        self._text = text
        # Same length, same lines, without what stands in strings and comments.
        self._bare = _HIDING.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
        self.last = text.count("\n") + 1

    def of_array(self, name: str, number: int) -> int:
        """The line of the n-th `[[name]]`, from 0; 0 if it is written in another way."""
        heads = list(re.finditer(rf"^[ \t]*\[\[[ \t]*{name}[ \t]*\]\]", self._bare, re.MULTILINE))
        return self._line(heads[number].start()) if number < len(heads) else 0

    def of_head(self, name: str, key: str) -> int:
        """The line of `[name."key"]`; 0 if it is written in another way."""
        escaped = re.escape(key)
        head = re.compile(rf"""[ \t]*\[[ \t]*{name}[ \t]*\.[ \t]*["']?{escaped}["']?[ \t]*\]""")
        for number, (line, bare) in enumerate(zip(self._text.split("\n"), self._bare.split("\n"), strict=True), 1):
            if bare.lstrip().startswith("[") and head.match(line):
                return number
        return 0

    def of_key(self, key: str, begin: int = 0) -> int:
        """The line of a key or of a table's head from line `begin` on; `begin` if it is not found."""
        lines = self._text.split("\n")
        bare = self._bare.split("\n")
        escaped = re.escape(key)
        pattern = re.compile(rf"""[ \t]*(?:\[+[ \t]*)?["']?{escaped}["']?[ \t]*[=.\]]""")
        for number in range(max(begin, 1), len(lines) + 1):
            if begin and number > begin and bare[number - 1].lstrip().startswith("["):
                break  # the next table
            # A line that begins inside a string is blank there.
            if key and bare[number - 1].strip() and pattern.match(lines[number - 1]):
                return number
        return begin

    def _line(self, offset: int) -> int:
        return self._text.count("\n", 0, offset) + 1
