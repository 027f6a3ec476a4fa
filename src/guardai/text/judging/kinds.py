"""Kinds with a shape of their own, each judged where the engine saw its anchor: e-mail, IP, IBAN, private key.

A function gets the text as UTF-8 and the anchor's place and returns the finding's bounds, or None. What it answers
depends only on a bounded stretch around the anchor, except for the body of a key block, which it follows to its end.
"""

from __future__ import annotations

import re
from itertools import product
from typing import Final

from guardai.text import validators
from guardai.text.detectors.detector import MAX_DECISION
from guardai.text.judging import ppk

__all__ = ["email", "iban_at", "ip4", "ip6", "pem", "pem_open", "run_start", "unread"]

Bounds = tuple[int, int]

# Two-byte letters (Latin, Greek, Cyrillic) may stand in an address; three-byte scripts do not separate words, so
# what stands before an address there is the sentence.
_LOCAL: Final = re.compile(rb"(?:[A-Za-z0-9._%+'\-]|[\x80-\xbf][\xc3-\xd4]){1,64}")
#: Top-level domains in scripts that do not separate words; those of other scripts are told by their letters.
_TOP: Final = (
    "中国|中國|公司|网络|網絡|香港|台湾|台灣|新加坡|澳門|澳门|我爱你|在线|中文网|भारत|ไทย|한국|닷컴|コム|みんな"
)
_DOMAIN: Final = re.compile(
    rb"(?:(?:[A-Za-z0-9]|[\xc3-\xf4][\x80-\xbf]+)(?:[A-Za-z0-9\-]|[\xc3-\xf4][\x80-\xbf]+){0,62}\.){1,8}"
    rb"(xn--[A-Za-z0-9\-]{2,40}|[A-Za-z]{2,24}|(?:[\xcd-\xdf][\x80-\xbf]){2,15}|"
    + _TOP.encode()
    + rb")(?![A-Za-z0-9(])"
)
#: What follows the @ of a picture's or a package's name, `icon@2x.png`, and is no top-level domain.
#: In small letters, in capitals, and in both.
_FILES: Final = frozenset(
    "".join(letters).encode()
    for name in "png jpg jpeg gif svg webp ico bmp css scss less js jsx mjs cjs ts tsx json html htm xml yaml yml toml txt md log pdf csv map lock".split()  # noqa: SIM905 -- a table of words
    for letters in product(*zip(name, name.upper(), strict=True))
)
#: What follows a product of matrices, `(W@x.reshape)`, and is no top-level domain either.
_ATTRIBUTES: Final = frozenset(
    b"shape reshape dtype astype ndim size values transpose conj conjugate imag real flat flatten ravel squeeze unsqueeze numpy item detach "
    b"copy clone view sum mean diag diagonal inv array asarray toarray todense tolist matrix columns iloc loc index device grad weight "
    b"weights bias coef mT mH".split()
)
_NO_TOPS: Final = _FILES | _ATTRIBUTES
#: What stands before the quote of a string, in languages of programs and in SQL: `N'jane@example.com'`. It is none in a
#: string that a quote before it has begun, `'n'diaye@example.com'`.
_PREFIXES: Final = frozenset(b"b u f r t br rb fr rf tr rt n e x q".split())
_PREFIXED: Final = 3
_AUTHORITY: Final = re.compile(rb"://[^\s/?#\"'<>\x00]*\Z")
#: Behind an address: that it is the user's name, because the host follows.
_USER: Final = re.compile(rb"(?::[^\s/?#\"'<>\x00]{0,127})?@[A-Za-z0-9\[_\xc3-\xf4]")
#: The same in ASCII alone, as most are: a third of the time.
_ASCII_LOCAL: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._%+'-"
_ASCII_DOMAIN: Final = re.compile(rb"(?:[A-Za-z0-9][A-Za-z0-9\-]{0,62}+\.){1,8}([A-Za-z]{2,24}+)(?![0-9(\-.\x80-\xff])")
_local, _domain, _ascii_domain = _LOCAL.match, _DOMAIN.match, _ASCII_DOMAIN.match


def email(data: bytes, to: int) -> tuple[int, int, bool, int, str, float] | None:
    """The address around the @ that stands two bytes before `to`: at most 64 bytes before it, 185 after."""
    at = to - 2
    near = data[at - 64 if at > 64 else 0 : at]
    rest = len(near.rstrip(_ASCII_LOCAL))
    if rest and near[rest - 1] >= 0x80:
        local = _local(near[::-1])
        if local is None:
            return None
        start = at - local.end()
    else:
        start = at - len(near) + rest
    if start == at or data[at - 1] == 0x2E:
        return None
    # What quotes or lists the address is no part of it, although the standard would allow the characters.
    while data[start] in _EDGES:
        start += 1
    if start == at:
        return None
    domain = _ascii_domain(data, at + 1, at + 186) or _domain(data, at + 1, at + 186)
    if domain is None:
        return None
    last, end = domain.span(1)
    if data[end : end + 1] == b"_" and not _ended(data, at + 1, last, end):
        return None
    if data[last:end] in _NO_TOPS:
        return None
    if (
        data[end : end + 1] == b"'"
        and (quote := data.find(b"'", start, start + _PREFIXED)) > 0
        and data[start:quote].lower() in _PREFIXES
        and data[start - 1 : start] != b"'"
    ):
        start = quote + 1
    if (
        start
        and data[start - 1] in b":/@=!*~$&;,%+.-'"
        and _AUTHORITY.search(data, max(0, start - 100), start)
        and not _USER.match(data, end, start + MAX_DECISION)
    ):
        return None  # a user and his host; a password there is found as such
    if at - start == 3 and data[start:at] == b"git" and data[end : end + 1] in (b":", b"/"):
        return None  # git@host:path
    return start, end, False, 4, "pii.email", 0.95


_EDGES: Final = frozenset(b".%+-'")
#: What an address ends in that an underscore follows, as in a file's name. In a program it is a product's: `W@self.w_q`.
_ENDS: Final = frozenset(
    b"com org net edu gov mil int info biz name pro app dev cloud online site shop tech blog xyz ai io co me tv cc ac ad ae af ag al "
    b"am ao ar as at au az ba bb bd be bf bg bh bi bn bo br bs bt bw by bz ca cd ch ci cl cm cn cr cu cv cy cz de dk do dz ec ee eg es "
    b"et eu fi fj fr ga gb ge gh gr gt hk hn hr ht hu id ie il in iq ir is it jm jo jp ke kg kh kr kw kz la lb li lk lt lu lv ly ma md "
    b"mg mk ml mm mn mo mt mu mv mx my mz na ne ng ni nl no np nz om pa pe pg ph pk pl ps pt py qa ro rs ru rw sa sd se sg si sk sn so "
    b"sv sy th tj tm tn to tr tt tw tz ua ug uk us uy uz ve vn ws ye za zm zw".split()
)
_OWN: Final = re.compile(rb"(?:self|cls|this)\.")


def _ended(data: bytes, domain: int, last: int, end: int) -> bool:
    """Whether the domain that begins at `domain`, with its last part at `last:end`, is one although an underscore follows."""
    top = data[last:end].lower()
    return (top in _ENDS or not top.isascii()) and not _OWN.match(data, domain)


_OCTET: Final = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#: Four octets that are some machine's address: not the unspecified, loopback, broadcast or a net mask.
_QUAD: Final = re.compile(
    rb"(?!(?:0|127|255)\.)" + _OCTET + rb"(?:\." + _OCTET + rb"){3}(?![0-9A-Za-z_]|\.[0-9A-Za-z])"
)
_DOTTED: Final = b"0123456789."
_RELEASE: Final = re.compile(
    rb"(?i)(?:(?<![A-Za-z])|(?-i:(?<=[a-z])(?=[A-Z])))"
    rb"(?:version|ver|v|release|rel|build|revision|rev|firmware|sdk|driver|bios|kernel|upgraded? to|updated? to|chapter|"
    rb"section|clause|table|figure|kapitel|tabelle|abschnitt|\xc2\xa7|oid|objectidentifier)[\"']?[ :=#(.\->]{0,4}[\"']?\Z"
)
#: What may stand between such a word and the number, and how such a word ends: most words before an address do not.
_BETWEEN: Final = b" :=#(.->\"'"
_RELEASE_ENDS: Final = frozenset(b"nrveldksomtNRVELDKSOMT\xa7")
#: `upgraded the driver from 1.2.3.4 to 1.2.4.0`: either of the two.
_ROUTES: Final = (b" from", b" to")
_UPGRADE: Final = re.compile(
    rb"(?i)(?<![A-Za-z])(?:version|release|firmware|driver|bios|sdk|build|up(?:grad|dat)(?:ed?|ing)|downgrad(?:ed?|ing)|bump(?:ed|s)?)"
    rb"(?: [A-Za-z0-9\-]{1,16}){0,2}?(?: from v?[0-9.]{5,15})? (?:from|to) v?\Z"
)
#: `firmware 1.2.3.4 -> 1.2.4.0`: what an arrow leads to from a version.
_ARROW: Final = re.compile(
    rb"(?i)(?<![A-Za-z])(?:version|release|firmware|driver|bios|sdk|build|up(?:grad|dat)(?:ed?|ing)|downgrad(?:ed?|ing)|bump(?:ed|s)?)"
    rb"[^0-9\n]{1,24}v?[0-9.]{5,15} ?(?:->|=>) ?v?\Z"
)


#: What is named with its version, and what serves and has one: an address stands there, too, but hardly one below 10.
_PRODUCTS: Final = frozenset(
    b"openssl chrome chromium firefox webkit electron python numpy jdk jre java dotnet netframework windows macos ios android "
    b"msvc gcc clang qt boost cuda".split()
)
_SERVERS: Final = frozenset(
    b"nginx httpd apache tomcat jetty haproxy redis postgres postgresql mysql mariadb mongodb elasticsearch kafka openssh exim "
    b"postfix bind squid varnish node nodejs php perl ruby oracle".split()
)
_BESIDE: Final = b" \t|:=(\"',@"
_NAMING: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_+-"
_PRIVATE: Final = (b"10.", b"192.168.", b"172.")


def _product(data: bytes, start: int, wall: int) -> bool:
    """Whether a piece of software stands before four octets at `start`, in a sentence or in a table."""
    before = data[max(wall, start - 32) : start].rstrip(_BESIDE)
    name = before[len(before.rstrip(_NAMING)) :].lower()
    if name in _SERVERS:
        return data[start + 1] == 0x2E
    if name not in _PRODUCTS and (len(name) < 5 or not name.startswith(b"lib")):
        return False
    return not data.startswith(_PRIVATE, start)


#: The words of a heading behind its number; and as much of them as may have come.
_TITLE: Final = re.compile(rb" {1,2}[A-Z][a-z]{2,20}(?=[ \r\n.,]|\Z)").match
_TITLES: Final = 28
_TITLE_BEGINS: Final = re.compile(rb" {0,2}(?:[A-Z][a-z]{0,20})?\Z").match


def _numbering(data: bytes, start: int, end: int, wall: int) -> bool:
    """Whether a line begins with four small numbers, which a heading's may be: `9.11.1.8 Scope of work`."""
    line = data.rfind(b"\n", max(wall, start - 12), start)
    if (line < 0 and (start > 12 or wall)) or data[line + 1 : start].strip(b" \t#*"):
        return False
    numbers = data[start:end].split(b".")
    return all(1 <= int(number) < 30 for number in numbers) and numbers[0] != b"10" and len(set(numbers)) > 1


def unread(data: bytes, at: int) -> int:
    """Where the four octets that include the digit at `at` begin, if text to come may make them a heading's; or -1."""
    if len(data) - at > _TITLES:
        return -1
    near = data[max(0, at - 16) : at]
    start = at - len(near) + len(near.rstrip(_DOTTED))
    quad = _QUAD.match(data, start)
    if quad is None or not _TITLE_BEGINS(data, quad.end()):
        return -1
    return start if _numbering(data, start, quad.end(), 0) else -1


def _released(data: bytes, start: int, end: int, wall: int, limit: int) -> bool:
    """Whether what stands between `wall` and `start`, or `end` and `limit`, says that four octets are a version."""
    if end + 1 < limit and data[end] == 0x2D and data[end + 1 : end + 2].isalpha():
        return True
    if _product(data, start, wall) or (_TITLE(data, end, limit) and _numbering(data, start, end, wall)):
        return True
    mark = data[start - 1] if start > wall else 0x20
    if mark == 0x2F:
        return _slashed(data, start, end, wall, limit)
    if mark == 0x3A and _coordinate(data, start, end, wall, limit):
        return True
    if mark in _SIGNS and _constrained(data, start, end, wall, limit):
        return True
    if mark == 0x2D:  # `oldVersion="0.0.0.0-4.1.1.0"`: what announces the first announces the second
        start = max(wall, start - 17) + len(data[max(wall, start - 17) : start - 1].rstrip(_DOTTED))
    before = data[max(wall, start - 16) : start]
    word = before.rstrip(_BETWEEN)
    if not word:
        return False
    if word[-1] not in _RELEASE_ENDS:
        return (
            word[-1] in _FIGURES and b">" in before and _ARROW.search(data[max(wall, start - 64) : start]) is not None
        )
    if word.endswith(_ROUTES):
        return _UPGRADE.search(data[max(wall, start - 48) : start]) is not None
    return _RELEASE.search(before) is not None


#: A name before a slash, and what makes a path or a host of it: `https://example.com/Foo/1.2.3.4`.
_NAMED: Final = re.compile(rb"([A-Za-z][0-9A-Za-z_+\-]*)/\Z")
_IN_PATH: Final = frozenset(b"/.:@\\%?&=~$" + _NAMING)
#: The names of what has an address.
_HOSTS: Final = rb"(?:ip|ipv4|ips|addr|addrs|address|host|hosts|hostname|server|src|dst|source|destination|client|peer|remote|local|node|gateway|net|network|subnet|dns)"
_HOST: Final = re.compile(rb"(?:(?<![A-Za-z])(?i:" + _HOSTS + rb")|(?<=[a-z])(?:Ip|IP|Addr|Address|Host|Server))\Z")


def _slashed(data: bytes, start: int, end: int, wall: int, limit: int) -> bool:
    """Whether four octets behind a slash are a version, as browsers tell theirs: `Edg/131.0.0.0`.

    In a path they are an address; so they are with a port or a mask, and behind a name in small letters, as hosts have them,
    unless it is a known product's: `db1/1.2.3.4`.
    """
    if end < limit and data[end] in b":/":
        return False
    low = max(wall, start - 40)
    named = _NAMED.search(data[low:start])
    if named is None or data.startswith(_PRIVATE, start) or _HOST.search(named[1]):
        return False
    begin = low + named.start()
    if begin > wall and data[begin - 1] in _IN_PATH:
        return False
    name = named[1].lower()
    return name != named[1] or name in _PRODUCTS or name.startswith(b"lib")


#: A package as Maven and Gradle write it, `org.example:core:1.2.3.4`: the group has a full stop in it, or its name again
#: behind it. Other words with colons are a log's or a key's: `app:login:1.2.3.4`.
_PART: Final = rb"[A-Za-z0-9_.\-]*"
_COORDINATE: Final = re.compile(
    rb"(?<![0-9A-Za-z_.:\-])(?:[a-z][a-z0-9_\-]*\.[a-z0-9_.\-]+:[a-z]"
    + _PART
    + rb"|([a-z][a-z0-9_\-]*):\1"
    + _PART
    + rb")"
    rb"(?::[a-z]" + _PART + rb"){0,2}:\Z"
)
_PORT: Final = re.compile(rb"/|:[0-9]")


def _coordinate(data: bytes, start: int, end: int, wall: int, limit: int) -> bool:
    """Whether four octets behind a colon are the version of a package."""
    before = data[max(wall, start - 80) : start]
    return (
        not data.startswith(_PRIVATE, start)
        and not _PORT.match(data, end, limit)
        and not _HOST.search(before[:-1])
        and _COORDINATE.search(before) is not None
    )


#: What compares a version with what is needed: behind a bracket or an opening quote, `(= 6.1.7.3)`; behind a name, with a
#: space before the version, and without. With one, signs of equality assign or compare addresses, `host == 10.0.0.1`.
_BRACKETED: Final = frozenset((b"=", b"==", b"!=", b">=", b"<=", b">", b"<", b"^", b"~"))
_QUOTED: Final = _BRACKETED - {b">"}
_SPACED: Final = frozenset((b">=", b"<=", b"<"))
_CLOSE: Final = _SPACED | {b"==", b"===", b"!=", b"~=", b"^="}
_COMPARING: Final = b"=<>~!^"
_SIGNS: Final = frozenset(b" " + _COMPARING)
_NAMES: Final = frozenset(_NAMING + b")]\"',")
_OPENS: Final = re.compile(rb"(?<![0-9A-Za-z_)\]\"'])[\"']\Z").search


def _constrained(data: bytes, start: int, end: int, wall: int, limit: int) -> bool:
    """Whether a sign before four octets makes them a version that something needs."""
    near = data[max(wall, start - 24) : start]
    before = near.removesuffix(b" ")
    name = before.rstrip(_COMPARING)
    sign = before[len(name) :]
    if not sign:
        return False
    if sign == b"~>" or (sign in _BRACKETED and name.endswith((b"(", b"["))) or (sign in _QUOTED and _OPENS(name)):
        return True
    if sign not in (_CLOSE if before == near else _SPACED):
        return False
    name = name.rstrip(b" ")
    # `from <8.8.8.8>`, and a line of a transcript: `< 8.8.8.8`.
    if sign == b"<" and (not name or name[-1] not in _NAMES or (end < limit and data[end] == 0x3E)):
        return False
    if name.endswith((b'"]', b"']")):  # but `[IP]` is what masking put there
        name = name[:-1]
    return not _HOST.search(name.rstrip(b"\"')"))


def ip4(data: bytes, at: int, wall: int, limit: int) -> Bounds | None:
    """The four octets that include the digit at `at`, seen between `wall` and `limit`."""
    at = min(at, limit - 1)
    near = data[max(wall, at - 16) : at]
    start = at - len(near) + len(near.rstrip(_DOTTED))
    quad = _QUAD.match(data, start, limit)
    if quad is None or at - start >= 16:
        return None
    if start > wall:
        before = data[start - 1]
        if before in _NOT_BEFORE:
            return None
        earlier = data[start - 2] if start - 1 > wall else 0x20
        if before == 0x2D and earlier not in _FIGURES:
            return None
    end = quad.end()
    return None if _released(data, start, end, wall, limit) else (start, end)


_NOT_BEFORE: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_+~^$")
_FIGURES: Final = frozenset(b"0123456789")

_V6: Final = re.compile(rb"[0-9A-Fa-f:.]*")


def ip6(data: bytes, at: int, wall: int, limit: int) -> Bounds | None:
    """The IPv6 address that includes the colon or digit at `at`, seen between `wall` and `limit`."""
    at = min(at, limit - 1)
    start = at - _length(_V6, data[max(wall, at - 46) : at][::-1])
    end = at + _length(_V6, data[at : min(limit, at + 46)])
    if end - start > 46 or (start > wall and _length(_V6, data[start - 1 : start])):
        return None  # longer than any address
    # `[IPv6:2001:db8::1]`, as mail servers write it (RFC 5321, 4.1.3).
    if data[start : start + 2] == b"6:" and data[max(wall, start - 3) : start].lower() == b"ipv":
        start += 2
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


def _length(of: re.Pattern[bytes], data: bytes) -> int:
    run = of.match(data)
    return run.end() if run else 0


def run_start(data: bytes, at: int) -> int:
    """Where the run of hexadecimal digits, dots and colons around `at` begins, at most 46 before."""
    return at - _length(_V6, data[max(0, at - 46) : at][::-1])


_IBAN: Final = re.compile(rb"[A-Za-z]{2}[0-9]{2}(?:(?:[ \-.]|\xe2\x80[\x8b-\x95]){0,2}[A-Za-z0-9]){11,30}")
_IBAN_LETTERS: Final = frozenset(c for c in range(256) if bytes((c,)).isalnum())
_IBAN_NOISE: Final = bytes(c for c in range(256) if not bytes((c,)).isalnum())


def iban_at(data: bytes, start: int) -> Bounds | None:
    """The account number whose country code begins at `start`."""
    length = validators.IBAN_LENGTHS.get(data[start : start + 2].upper())
    if length is None or data[start - 1 : start].isalnum():
        return None
    shape = _IBAN.match(data, start, start + 90)
    if shape is None:
        return None
    value = shape[0]
    letters = value.translate(None, _IBAN_NOISE)[:length]
    if len(letters) < length:
        return None
    end = length
    if not value[:length].isalnum():
        plain = end = 0
        while plain < length:
            plain += value[end] in _IBAN_LETTERS
            end += 1
    end += start
    return (start, end) if not data[end : end + 1].isalnum() and validators.iban(letters.upper()) else None


# Lines of base64 in any wrapping, the line feeds possibly escaped as in JSON; the headers of an encrypted key; and a
# short last line only where the block, or the text, ends behind it. Headers are read once: two of them can share a line in
# as many ways as there are colons on it.
_LINE: Final = rb"(?:[\s>|]|\\[nrt\\])*+"
_PEM: Final = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:" + _LINE + rb"[A-Za-z\-]{3,24}: [^\n\\\x00]{0,120}+)*+"
    rb"(?:" + _LINE + rb"[A-Za-z0-9+/=]{16,}+)+"
    rb"(?:"
    + _LINE
    + rb"=?[A-Za-z0-9+/=]{1,15}(?="
    + _LINE
    + rb"(?:=[A-Za-z0-9+/]{4}"
    + _LINE
    + rb")?(?:-----END|[\x00]|\Z)))*"
    rb"(?:" + _LINE + rb"-----END [A-Z0-9 ]{3,48}-----)?"
)
# More than the block may become, never less; a second BEGIN line ends it.
_PEM_PARTIAL: Final = re.compile(
    rb"-----BEGIN[A-Z0-9 ]{0,64}-{0,5}\Z|-----BEGIN [A-Z0-9 ]{0,48}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:" + _LINE + rb"[A-Za-z\-]{3,24}: [^\n\\\x00]{0,120}+)*+"
    rb"(?:[\s>|\\A-Za-z0-9+/=:,]|(?<!-)-(?!-))*+(?:-{1,5}[A-Z0-9 ]{0,56}-{0,5})?\Z"
)
#: P, with which PuTTY's keys begin.
_PUTTY: Final = 0x50
_PEM_WHOLE: Final = re.compile(rb"-----END [A-Z0-9 ]{3,48}-----\Z")


def pem(data: bytes, at: int) -> Bounds | None:
    """The private-key block whose BEGIN line is at `at`, with its END line if there is one; or a key of PuTTY's."""
    if data[at] == _PUTTY:
        return ppk.block(data, at)
    block = _PEM.match(data, at)
    return (at, block.end()) if block else None


def pem_open(data: bytes, at: int, end: int | None) -> bool:
    """Whether more text could make the block at `at` begin or go on; `end` is what `pem` found."""
    if data[at] == _PUTTY:
        return ppk.unfinished(data, at, end)
    if end is not None and end < len(data) and _PEM_WHOLE.search(data, max(at, end - 64), end):
        return False
    return _PEM_PARTIAL.match(data, at) is not None
