"""Something wrong with a bundle, and where."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Problem"]


class Problem(msgspec.Struct, frozen=True, omit_defaults=False):
    """Something wrong with a bundle, and where.

    Attributes:
        severity: with an `error` the bundle is refused; a `warning` is worth a look.
        file: relative to the bundle; the bundle's path where no file is meant.
        line: from 1; 0 where no line is meant.
        policy: the policy's `@id`; "" where none is meant.
        message: what is wrong, and what would be right.
        column: from 1; 0 where no column is meant.
    """

    severity: Literal["error", "warning"]
    file: str
    line: int
    policy: str
    message: str
    column: int = 0

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.column else f":{self.line}"
        where = f"{self.file}{place}" if self.line else self.file
        who = f" policy {self.policy!r}:" if self.policy else ""
        return f"{where}:{who} {self.message}"
