"""A kind of data: dotted, hierarchical."""

from __future__ import annotations

import re
from typing import Final, Self

__all__ = ["Label", "ancestors"]

_FORM: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*")


class Label(str):
    """A kind of data, such as `pii.email` or `origin.eu`; `pii` covers everything that begins with `pii.`.

    It is a `str`, so it can be used wherever a label's name can.

    Raises:
        TypeError: the name is no string.
        ValueError: the name is not lower-case words of letters, digits and underscores joined by dots.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> Self:
        if not isinstance(name, str):
            raise TypeError(f"a label is a string, not {name!r}")
        if not _FORM.fullmatch(name):
            raise ValueError(f"not a label: {name!r}; write lower-case words joined by dots, such as 'pii.email'")
        return super().__new__(cls, name)


def ancestors(label: str) -> tuple[str, ...]:
    """The labels that cover this one, nearest first: `a.b.c` → `("a.b", "a")`."""
    parts = label.split(".")
    return tuple(".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))
