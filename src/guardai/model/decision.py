"""What policy answered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from guardai.model.mask import Mask

__all__ = ["Decision", "Obligations", "Reveal", "strictest"]


#: How surely an event stands in the ledger, weakest first.
_MODES: Final = ("", "signed", "strict")


class Obligations(msgspec.Struct, frozen=True):
    """What a decision asks for besides yes or no, read from the annotations of the policies that decided.

    Attributes:
        approvals: groups of which a human must agree (`@approval`); only with effect `pause`.
        abort: a denial aborts the session (`@on_denied("abort")`).
        row_cap: so many rows of a result pass, and no more (`@row_cap("1000")`). Of several the smallest.
        timeout: a statement may run so many seconds (`@timeout("5s")`). Of several the smallest.
        affected_cap: a statement that changes more rows is taken back (`@affected_cap("100")`). Of several the smallest.
        capture: the rows that a statement changes are kept as they were (`@capture("before")`), if any permit says so.
        content: what the call carries, in and out, is kept for replay (`@capture("content")`), if any permit says so.
        ledger: its events are signed before it goes on (`@ledger("signed")`), and on the disk (`@ledger("strict")`); "" for as the
            ledger does it anyway. Of several the strictest.
    """

    approvals: tuple[str, ...] = ()
    abort: bool = False
    row_cap: int | None = None
    timeout: int | None = None
    affected_cap: int | None = None
    capture: bool = False
    content: bool = False
    ledger: Literal["", "signed", "strict"] = ""


def strictest(owed: Iterable[Obligations]) -> Obligations:
    """What several permits ask for together: the smallest of each number, and whatever any of them asks for."""
    all_ = list(owed)

    def least(name: str) -> int | None:
        return min((given for one in all_ if (given := getattr(one, name)) is not None), default=None)

    return Obligations(
        row_cap=least("row_cap"),
        timeout=least("timeout"),
        affected_cap=least("affected_cap"),
        capture=any(one.capture for one in all_),
        content=any(one.content for one in all_),
        ledger=max((one.ledger for one in all_), key=_MODES.index, default=""),
    )


class Decision(msgspec.Struct, frozen=True):
    """The answer to "may this principal do this action on this resource".

    Attributes:
        effect: `allow`, `deny`, or `pause` (denied, but an approval would lift it).
        policies: `@id`s of the policies that decided, sorted; empty if nothing permitted.
        reason: the deciding forbid's `@reason`, or why nothing permitted; "" for allow.
        errors: what went wrong while asking. Never empty together with `allow`: an error is a denial.
    """

    effect: Literal["allow", "deny", "pause"]
    policies: tuple[str, ...] = ()
    reason: str = ""
    obligations: Obligations = Obligations()
    errors: tuple[str, ...] = ()


class Reveal(msgspec.Struct, frozen=True):
    """The answer to "may data of this label reach this destination".

    Attributes:
        mask: None if it may; otherwise what the data becomes.
        policies: `@id`s of the policies that decided, sorted.
        reason: the deciding forbid's `@reason`.
    """

    mask: Mask | None
    policies: tuple[str, ...] = ()
    reason: str = ""
