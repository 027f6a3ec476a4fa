"""Whether a value is a key somebody made, or a word, a name, a blank in a template."""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator

__all__ = ["VALIDATORS", "entropy"]


def entropy(value: bytes) -> float:
    """Shannon's, in bits a byte."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in (value.count(bytes((c,))) for c in set(value)))


_STOP: Final = re.compile(
    rb"(?i)example|change_?me|placeholder|your[_\-]|dummy|redacted|masked|xxxx|\*\*\*|undefined|environ|getenv|"
    rb"process\.env|config\.|settings\.|abcdefg|qwerty|"
    rb"\A(?:[a-z]{0,8}[_\-.]?)?(?:password|passwd|pwd|secret|token|api_?key|credential|string|value|null|none|true|false)"
    rb"s?[_\-]?[0-9]{0,2}\Z"
)
_IDENTIFIER: Final = re.compile(rb"[A-Za-z_$@][A-Za-z0-9_]*(?:(?:\.|::|->)[A-Za-z_][A-Za-z0-9_]*)*\Z")
_CHANGES: Final = re.compile(rb"(?<=[A-Za-z])[0-9]|(?<=[0-9])[A-Za-z]")
_WORD: Final = re.compile(rb"(?:[A-Za-z]{3,}[0-9]{0,2}|[0-9,]*)\Z")
_BETWEEN: Final = re.compile(rb"[_\-./:]")


def _words(value: bytes) -> bool:
    """Words and numbers joined by dashes, dots and the like: `my-key-2`, `10:20:30`."""
    return all(_WORD.match(part) for part in _BETWEEN.split(value))


def _assigned(value: bytes) -> bool:
    """Whether what is assigned to `password` or `api_key` is such a value, not a word, a name or a reference."""
    if value[0] in b"$%{<[*&!/~\\" or _STOP.search(value):
        return False
    if not any(c in b"0123456789" for c in value):
        return False
    lower, upper = value.upper() != value, value.lower() != value
    special = not value.isalnum()
    if not (lower or upper) or (_words(value) and not (lower and upper and special)):
        return False
    if _IDENTIFIER.match(value) and not (upper and lower and len(value) >= 12) and len(value) < 20:
        # `abc123def456` and `hunter2000` are no names that a program has; `sha256_hash` is.
        digits = sum(c in b"0123456789" for c in value)
        if not value.isalnum() or (digits < 4 and len(_CHANGES.findall(value)) < 3):
            return False
    return entropy(value[:64]) >= (2.5 if len(value) < 12 else 3.0)


def _mixed(value: bytes) -> bool:
    """Letters and digits, as random keys have and words joined by dashes have not."""
    return any(c in b"0123456789" for c in value) and entropy(value[:64]) >= 3.0


def _random(value: bytes) -> bool:
    return entropy(value[:64]) >= 3.0


_TEMPLATE: Final = re.compile(
    rb"(?i)[$%{<\[*].*|x{3,}|\.{3,}|(?:your|my)?[_\-]?(?:password|passwd|pass|pwd|pw|secret|token|changeme|user|example)"
)


def _url_password(value: bytes) -> bool:
    """Not a template's blank, and not the word itself."""
    return not _TEMPLATE.fullmatch(value)


VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {"assigned": _assigned, "mixed": _mixed, "random": _random, "url_password": _url_password}
)
