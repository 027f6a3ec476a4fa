"""PuTTY's private keys: a block of named lines, from `PuTTY-User-Key-File-` to the line of its checksum.

It is masked whole, like a PEM block, and held back by a stream while more text may belong to it (see `kinds.py`). The
form is that of PuTTY's manual, appendix C, in its versions 1 to 3; line feeds may be escaped as in JSON.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["block", "unfinished"]

#: The end of a line and what may quote or indent the next one.
_NEXT: Final = rb"(?:\r?\n|\\r\\n|\\n)[ \t>|]*+"
_NAMES: Final = rb"(?:Encryption|Comment|Public-Lines|Private-Lines|Key-Derivation|Argon2-[A-Za-z]{3,16})"
_CHECK: Final = rb"Private-(?:MAC|Hash): [0-9a-f]{40,64}"
_BLOCK: Final = re.compile(
    rb"PuTTY-User-Key-File-[0-9]: [^\s\\\x00]{1,64}"
    rb"(?:" + _NEXT + rb"(?:" + _NAMES + rb": ?[^\r\n\\\x00]{0,120}+|[A-Za-z0-9+/=]{1,76}+(?![^\r\n\\])))*+"
    rb"(?:" + _NEXT + _CHECK + rb")?"
)
#: More than the block may become, never less.
_PARTIAL: Final = re.compile(
    rb"PuTTY-User-[A-Za-z0-9\-]{0,12}\Z|PuTTY-User-Key-File-[0-9](?::(?: [^\s\\\x00]{0,64})?)?\Z|"
    rb"PuTTY-User-Key-File-[0-9]: [^\s\\\x00]{1,64}"
    rb"(?:" + _NEXT + rb"(?:" + _NAMES + rb": ?[^\r\n\\\x00]{0,120}+|[A-Za-z0-9+/=]{1,76}+(?![^\r\n\\])))*+"
    rb"(?:\r|\\(?:r\\?)?)?(?:" + _NEXT + rb"[A-Za-z0-9+/=\-]{0,76}(?::[^\r\n\\\x00]{0,121})?(?:\r|\\(?:r\\?)?)?)?\Z"
)
_WHOLE: Final = re.compile(_CHECK + rb"\Z")


def block(data: bytes, at: int) -> tuple[int, int] | None:
    """The bounds of the key whose first line begins at `at`, as far as it goes."""
    found = _BLOCK.match(data, at)
    return (at, found.end()) if found else None


def unfinished(data: bytes, at: int, end: int | None) -> bool:
    """Whether more text could make the block at `at` begin or go on; `end` is where `block` says that it ends."""
    if end is not None and end < len(data) and _WHOLE.search(data, max(at, end - 80), end):
        return False
    return _PARTIAL.match(data, at) is not None
