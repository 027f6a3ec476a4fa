"""Kinds with a shape of their own, each judged where the engine saw its anchor: e-mail, IP, IBAN, private key.

A function gets the text as UTF-8 and the anchor's place and returns the finding's bounds, or None. What it answers
depends only on a bounded stretch around the anchor, except for the body of a key block, which it follows to its end.
"""

from __future__ import annotations

import re
from typing import Final

from guardai.text import validators

__all__ = ["email", "iban_at", "ip4", "ip6", "pem", "pem_open", "run_start"]

Bounds = tuple[int, int]

# Two-byte letters (Latin, Greek, Cyrillic) may stand in an address; three-byte scripts do not separate words, so
# what stands before an address there is the sentence.
_LOCAL: Final = re.compile(rb"(?:[A-Za-z0-9._%+'\-]|[\x80-\xbf][\xc3-\xd4]){1,64}")
_DOMAIN: Final = re.compile(
    rb"(?:(?:[A-Za-z0-9]|[\xc3-\xf4][\x80-\xbf]+)(?:[A-Za-z0-9\-]|[\xc3-\xf4][\x80-\xbf]+){0,62}\.){1,8}"
    rb"(xn--[A-Za-z0-9\-]{2,40}|[A-Za-z]{2,24})(?![A-Za-z0-9_(])"
)
#: What follows the @ of a picture's or a package's name, `icon@2x.png`, and is no top-level domain.
_FILES: Final = frozenset(
    b"png jpg jpeg gif svg webp ico bmp css scss less js jsx mjs cjs ts tsx json html htm xml yaml yml toml txt md log pdf csv map lock".split()
)
_AUTHORITY: Final = re.compile(rb"://[^\s/?#\"'<>\x00]*\Z")
_local, _domain = _LOCAL.match, _DOMAIN.match


def email(data: bytes, at: int) -> tuple[int, int, int, str, float] | None:
    """The address around the @ at `at`: at most 64 bytes before it, 185 after."""
    local = _local(data[at - 64 if at > 64 else 0 : at][::-1])
    if local is None or data[at - 1] == 0x2E:
        return None
    start = at - local.end()
    # What quotes or lists the address is no part of it, although the standard would allow the characters.
    while data[start] in b".%+-'":
        start += 1
    if start == at:
        return None
    domain = _domain(data, at + 1, at + 186)
    if domain is None:
        return None
    end = domain.end()
    if end - domain.start(1) < 5 and domain[1].lower() in _FILES:
        return None
    if start and data[start - 1] in b":/@" and _AUTHORITY.search(data, max(0, start - 100), start):
        return None  # the user of a URL; a password there is found as such
    if at - start == 3 and data[start:at] == b"git" and data[end : end + 1] in (b":", b"/"):
        return None  # git@host:path
    return start, end, 4, "pii.email", 0.95


_DOTTED: Final = re.compile(rb"[0-9.]*")
_QUAD: Final = re.compile(rb"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}")
_RELEASE: Final = re.compile(
    rb"(?i)(?<![A-Za-z])(?:version|ver|v|release|rel|build|revision|rev|firmware|sdk|driver|bios|upgraded? to|updated? to|chapter|"
    rb"section|clause|oid|"
    rb"objectidentifier)[\"']?[ :=#(.\-]{0,4}[\"']?\Z"
)


def _length(of: re.Pattern[bytes], data: bytes) -> int:
    run = of.match(data)
    return run.end() if run else 0


def _released(data: bytes, start: int, end: int, wall: int, limit: int) -> bool:
    """Whether what stands between `wall` and `start`, or `end` and `limit`, says that four octets are a version."""
    if data[end : end + 1] == b"-" and end + 1 < limit and data[end + 1 : end + 2].isalpha():
        return True
    return _RELEASE.search(data[max(wall, start - 16) : start]) is not None


def ip4(data: bytes, at: int, wall: int, limit: int) -> Bounds | None:
    """The four octets that include the digit at `at`, seen between `wall` and `limit`."""
    at = min(at, limit - 1)
    start = at - _length(_DOTTED, data[max(wall, at - 16) : at][::-1])
    quad = _QUAD.match(data, start, limit)
    if quad is None or at - start >= 16:
        return None
    end = quad.end()
    if start > wall:
        before, earlier = data[start - 1 : start], data[max(wall, start - 2) : start - 1]
        if before.isalnum() or before in b"_+~^$" or (before == b"-" and not earlier.isdigit()):
            return None
        if before == b"=" and earlier in (b"=", b"<", b">", b"~", b"!", b"^"):
            return None
    after, later = data[end : min(limit, end + 1)], data[end + 1 : min(limit, end + 2)]
    if after.isalnum() or after == b"_" or (after == b"." and later.isalnum()):
        return None
    if not validators.ip4(quad[0]) or _released(data, start, end, wall, limit):
        return None
    return start, end


_V6: Final = re.compile(rb"[0-9A-Fa-f:.]*")


def ip6(data: bytes, at: int, wall: int, limit: int) -> Bounds | None:
    """The IPv6 address that includes the colon or digit at `at`, seen between `wall` and `limit`."""
    at = min(at, limit - 1)
    start = at - _length(_V6, data[max(wall, at - 46) : at][::-1])
    end = at + _length(_V6, data[at : min(limit, at + 46)])
    if end - start > 46 or (start > wall and _length(_V6, data[start - 1 : start])):
        return None  # longer than any address
    # A sentence's full stop, the colon after a label or before what follows.
    value = data[start:end].rstrip(b".")
    if value.endswith(b":") and not value.endswith(b"::"):
        value = value[:-1]
    if value.startswith(b":") and not value.startswith(b"::"):
        if start > wall and not data[start - 1 : start].isalnum() and data[start - 1] not in b" \t\"'":
            return None
        start, value = start + 1, value[1:]
    elif value.startswith(b"::"):
        if start and (start == wall or data[start - 1] not in b" \t\r\n\"'`([{<=,;/|"):
            return None  # C++, or what is left behind a finding
    elif start > wall and (data[start - 1 : start].isalnum() or data[start - 1] in b"_-"):
        return None
    after = data[end : min(limit, end + 1)]
    if after.isalnum() or after == b"_" or (after and after in b":."):
        return None
    return (start, start + len(value)) if validators.ip6(value) else None


def run_start(data: bytes, at: int) -> int:
    """Where the run of hexadecimal digits, dots and colons around `at` begins, at most 46 before."""
    return at - _length(_V6, data[max(0, at - 46) : at][::-1])


_IBAN: Final = re.compile(rb"[A-Za-z]{2}[0-9]{2}(?:(?:[ \-]|\xc2\xa0)?[A-Za-z0-9]){11,30}")
_IBAN_NOISE: Final = b" -\xc2\xa0"


def iban_at(data: bytes, start: int) -> Bounds | None:
    """The account number whose country code begins at `start`."""
    length = validators.IBAN_LENGTHS.get(data[start : start + 2].upper())
    if length is None or data[start - 1 : start].isalnum():
        return None
    shape = _IBAN.match(data, start, start + 68)
    if shape is None:
        return None
    plain, end = 0, start
    while end < shape.end() and plain < length:
        plain += data[end] not in _IBAN_NOISE
        end += 1
    if plain < length or data[end : end + 1].isalnum():
        return None
    return (start, end) if validators.iban(data[start:end].translate(None, _IBAN_NOISE).upper()) else None


# Lines of base64 in any wrapping, the line feeds possibly escaped as in JSON; the headers of an encrypted key; and a
# short last line only where the block, or the text, ends behind it.
_LINE: Final = rb"(?:[\s>|]|\\[nrt\\])*+"
_PEM: Final = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:" + _LINE + rb"[A-Za-z\-]{3,24}: [^\n\\\x00]{0,120})*"
    rb"(?:" + _LINE + rb"[A-Za-z0-9+/=]{16,}+)*"
    rb"(?:" + _LINE + rb"=?[A-Za-z0-9+/=]{1,15}(?=" + _LINE + rb"(?:-----END|\Z)))*"
    rb"(?:" + _LINE + rb"-----END [A-Z0-9 ]{3,48}-----)?"
)
# More than the block may become, never less; a second BEGIN line ends it.
_PEM_PARTIAL: Final = re.compile(
    rb"-----BEGIN[A-Z0-9 ]{0,64}-{0,5}\Z|-----BEGIN [A-Z0-9 ]{0,48}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:" + _LINE + rb"[A-Za-z\-]{3,24}: [^\n\\\x00]{0,120})*"
    rb"(?:[\s>|\\A-Za-z0-9+/=:,]|(?<!-)-(?!-))*+(?:-{1,5}[A-Z0-9 ]{0,56}-{0,5})?\Z"
)
_PEM_WHOLE: Final = re.compile(rb"-----END [A-Z0-9 ]{3,48}-----\Z")


def pem(data: bytes, at: int) -> Bounds | None:
    """The private-key block whose BEGIN line is at `at`, with its END line if there is one."""
    block = _PEM.match(data, at)
    return (at, block.end()) if block else None


def pem_open(data: bytes, at: int, end: int | None) -> bool:
    """Whether more text could make the block at `at` begin or go on; `end` is what `pem` found."""
    if end is not None and end < len(data) and _PEM_WHOLE.search(data, max(at, end - 64), end):
        return False
    return _PEM_PARTIAL.match(data, at) is not None
