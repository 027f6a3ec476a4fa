"""What a value becomes: `redact`, `hash`, `partial`.

The mask `token` needs a session's table and stands in `tokens.py`.

Nothing made here is found sensitive again, whatever stands around it: a hash is written in letters, and what is left of
a partial value has its gaps marked by `*`, which no detector reads across.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final

__all__ = ["hashed", "name", "normal", "partial", "redact"]

#: Hexadecimal digits as letters: digits next to each other could be taken for a number.
_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


@lru_cache(maxsize=512)
def name(label: str) -> str:
    """`pii.us_ssn` → `US_SSN`; `secret.jwt` → `SECRET:JWT`."""
    last = label.rpartition(".")[2].upper()
    return f"SECRET:{last}" if label.startswith("secret.") else last


@lru_cache(maxsize=512)
def redact(label: str) -> str:
    """`[EMAIL]`."""
    return f"[{name(label)}]"


_JUNK: Final = re.compile(r"[\s\-./()\u00a0\u2000-\u2015\u202f]+")


def normal(label: str, value: str) -> str:
    """The value in the form in which it is compared: `DE89 3704…` and `de893704…` are one account."""
    kind = label.rpartition(".")[2]
    if kind in ("card", "phone", "iban", "us_ssn"):
        return _JUNK.sub("", value).upper()
    if kind in ("email", "ip"):
        return value.casefold()
    return value


def hashed(label: str, value: str, key: bytes) -> str:
    """`[EMAIL:…]` with 16 letters: 64 bits of BLAKE2b under `key`, so that equal values stay equal under one key."""
    digest = blake2b(
        f"{label}\x00{normal(label, value)}".encode("utf-8", "surrogatepass"),
        digest_size=8,
        key=key[:64],
        person=b"guardai-mask",
    )
    return f"[{name(label)}:{digest.hexdigest().translate(_LETTERS)}]"


def partial(label: str, value: str) -> str:
    """What still lets a person recognise a value that they know. Of a secret, nothing."""
    kind = label.rpartition(".")[2]
    if label.startswith("secret."):
        return redact(label)
    if kind == "email":
        local, _, domain = value.rpartition("@")
        return f"{local[:1]}***@{domain[:1]}***.{domain.rpartition('.')[2]}"
    if kind == "card":
        return _last(value, 4)
    if kind == "phone":
        return _last(value, 2)
    if kind == "us_ssn":
        return f"***-**-{value[-4:]}"
    if kind == "iban":
        plain = _JUNK.sub("", value)
        return f"{plain[:2]}{'*' * (len(plain) - 6)}{plain[-4:]}"
    if kind == "ip":
        first = re.split(r"[.:]", value, maxsplit=1)[0]
        return f"{first}.***" if "." in value and ":" not in value else f"{first}:***"
    return f"{value[:1]}***"


def _last(value: str, count: int) -> str:
    digits = _JUNK.sub("", value.partition("x")[0].partition("e")[0]).replace("+", "")
    return f"{'*' * max(3, len(digits) - count)}{digits[-count:]}"
