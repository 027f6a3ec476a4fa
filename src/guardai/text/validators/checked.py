"""What some keys tell of themselves: a checksum, a header, a user's name.

Each answers True where it holds. Where a checksum does not, the key may be of a form that is newer than this file, and
is judged by its looks (`keys.py`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import zlib
from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator
from guardai.text.validators.keys import TEMPLATE, likely

__all__ = ["VALIDATORS"]

_BASE62: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _base62(number: int) -> bytes:
    made = bytearray()
    while number:
        number, digit = divmod(number, 62)
        made.append(_BASE62[digit])
    return bytes(reversed(made)).rjust(6, b"0")


def _github(value: bytes) -> bool | None:
    """GitHub's tokens, and npm's, end in the CRC-32 of their body, six digits of base 62 (GitHub's blog, April 2021)."""
    body = value.rpartition(b"_")[2]
    if len(body) == 36 and _base62(zlib.crc32(body[:30])) == body[30:]:
        return True
    return likely(value)


def _matrix(value: bytes) -> bool | None:
    """Synapse's tokens end in the CRC-32 of all that stands before, six digits of base 62 (synapse #5588)."""
    body, _, check = value.rpartition(b"_")
    return True if _base62(zlib.crc32(body)) == check else likely(value)


def _decoded(value: bytes) -> bytes:
    """Base64 of either alphabet, with its padding or without; as much of it as there is."""
    plain = value.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    return base64.b64decode(plain + b"=" * (-len(plain) % 4))


_HEADER: Final = re.compile(rb'"(?:alg|typ|enc|kid|cty|jku|x5[ctu]|zip)"')


def _jwt(value: bytes) -> bool | None:
    """RFC 7515: what stands before the first dot is base64url of a JSON object with `alg`."""
    head, dot, _ = value.partition(b".")
    try:
        raw = _decoded(head)
        if not dot:
            # Longer than what is looked at: the beginning must do.
            return _HEADER.search(raw) is not None
        header = json.loads(raw)
    except (binascii.Error, ValueError):
        return False
    return isinstance(header, dict) and ("alg" in header or "typ" in header)


def _basic(value: bytes) -> bool | None:
    """RFC 7617: base64 of a user, a colon and a password."""
    try:
        user, colon, password = _decoded(value).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return False
    if not colon or not password or not (user + password).isprintable():
        return False
    return not TEMPLATE.fullmatch(password.encode())


def _discord(value: bytes) -> bool | None:
    """What stands before a bot token's first dot is base64 of its number."""
    try:
        return _decoded(value.partition(b".")[0]).isdigit()
    except (binascii.Error, ValueError):
        return False


_BASE58: Final = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _base58check(value: bytes) -> bool | None:
    """Base58 whose last four bytes are the beginning of the rest's SHA-256, taken twice (Bitcoin)."""
    number = 0
    for character in value:
        digit = _BASE58.find(character)
        if digit < 0:
            return False
        number = number * 58 + digit
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "base58check": _base58check,
        "basic": _basic,
        "discord": _discord,
        "github": _github,
        "jwt": _jwt,
        "matrix": _matrix,
    }
)
