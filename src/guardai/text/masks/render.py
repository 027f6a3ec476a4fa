"""What a value in a text becomes, for every mask but `token`, which needs a session's table (`tokens.py`).

What `redact`, `hash` and `partial` make is not found sensitive again, whatever stands around it: a hash is written in
letters, and what is left of a partial value has its gaps marked by `*`, which no detector reads across. What `shift` and
`fpe` make is meant to look real, so it is found and masked anew wherever it is masked again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from guardai.model import Mask
from guardai.text.masks import dates, fpe

__all__ = ["hashed", "name", "normal", "partial", "redact", "rendered"]

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


_JUNK: Final = re.compile(r"[\s\-./()\u200b-\u2015]+")


#: `us_ssn`, `nl_bsn`: a number that a country gave.
_COUNTRY: Final = re.compile(r"[a-z]{2}_")


@lru_cache(maxsize=512)
def _compared(label: str) -> str:
    kind = label.rpartition(".")[2]
    if kind in ("card", "phone", "iban") or (label.startswith("pii.") and _COUNTRY.match(kind)):
        return "compact"
    return "folded" if kind in ("email", "ip") else ""


def normal(label: str, value: str) -> str:
    """The value in the form in which it is compared: `DE89 3704…` and `de893704…` are one account."""
    how = _compared(label)
    if how == "compact":
        return _JUNK.sub("", value).upper()
    return value.casefold() if how else value


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
    """What still lets a person recognise a value that they know. Of a secret, nothing.

    SECURITY INVARIANT: at most the characters that are agreed for the kind are left. A value that has not its kind's
    form, in a column that somebody labelled say, is redacted: its last four characters might be all of it.
    """
    kind = label.rpartition(".")[2]
    form = _FORMS.get(kind)
    if label.startswith("secret.") or (form is not None and form.fullmatch(value) is None):
        return redact(label)
    if kind == "email":
        local, _, domain = value.rpartition("@")
        return f"{_first(local)}***@{_first(domain)}***.{domain.rpartition('.')[2]}"
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
    return f"{_first(value)}***"


_GAP: Final = r"[\s\-./()\u200b-\u2015]{0,3}"
#: What a value must look like for some of it to be left.
_FORMS: Final = {
    "email": re.compile(r"[^@\s]{1,128}@[^@\s]{1,250}\.[^@\s.\d]{2,24}"),
    "card": re.compile(rf"\d(?:{_GAP}\d){{11,18}}"),
    "phone": re.compile(rf"[+(]{{0,2}}{_GAP}\d(?:{_GAP}\d){{5,17}}\)?(?:\s?(?:x|ext\.?|extension)\s?\d{{1,6}})?"),
    "us_ssn": re.compile(rf"\d{{3}}{_GAP}\d{{2}}{_GAP}\d{{4}}"),
    "iban": re.compile(rf"[A-Za-z]{{2}}(?:{_GAP}[A-Za-z0-9]){{12,32}}"),
    "ip": re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f.]{0,15}){2,8}"),
}


def _first(value: str) -> str:
    """The first character, if it is one that means nothing to JSON or Markdown."""
    return value[:1] if value[:1].isalnum() else ""


def _last(value: str, count: int) -> str:
    digits = _JUNK.sub("", value.partition("x")[0].partition("e")[0]).replace("+", "")
    return f"{'*' * max(3, len(digits) - count)}{digits[-count:]}"


def rendered(mask: Mask, label: str, value: str, key: bytes, scope: str) -> str:
    """What `value` becomes in a text.

    Args:
        mask: how; `token` is `redact` here.
        label: the kind of data.
        value: what was found.
        key: of `hash`, `shift` and `fpe`, up to 64 bytes.
        scope: the session, within which dates move alike.
    """
    made: str | None = None
    if mask == "hash":
        return hashed(label, value, key)
    if mask == "partial":
        return partial(label, value)
    if mask in ("drop", "null"):
        return ""
    if mask == "shift":
        made = dates.rewritten(value, dates.days(key, scope))
    elif mask == "fpe":
        made = fpe.preserved(label, value, key)
        if made is None and label.rpartition(".")[2] == "card":
            return partial(label, value)
    return redact(label) if made is None else made
