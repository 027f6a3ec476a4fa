"""What a value that is no text becomes, of the same type: a date moved, a number enciphered."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

from guardai.model import Mask
from guardai.text.masks import dates, fpe

__all__ = ["typed"]


def typed(mask: Mask, label: str, value: Any, key: bytes, scope: str) -> Any:
    """The value under `shift` or `fpe`; the arguments are those of `render.rendered`.

    Returns:
        For `shift` a date, a date and time, or an `int` such as 19760704; for `fpe` an `int` or `Decimal` of as many digits;
        None for anything else, and for what cannot be moved or enciphered.
    """
    number = isinstance(value, int) and not isinstance(value, bool)
    made: str | None = None
    if mask == "shift":
        by = dates.days(key, scope)
        if isinstance(value, dt.date):
            return dates.moved(value, by)
        if number:
            made = dates.rewritten(str(value), by)
    elif mask == "fpe":
        if isinstance(value, decimal.Decimal) and value.is_finite():
            made = fpe.preserved(label, f"{value:f}", key)
            return None if made is None else decimal.Decimal(made)
        if number:
            made = fpe.preserved(label, str(value), key)
    return None if made is None else int(made)
