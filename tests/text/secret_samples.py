"""Samples of every provider's keys, made when the tests run: the same each time, and never issued by anybody."""

import base64
import hashlib
import json
import random
import re
import zlib
from pathlib import Path
from typing import NamedTuple

__all__ = ["SAMPLES", "Sample", "examples", "github", "made"]

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_DIGITS = "0123456789"
_BASE62 = _DIGITS + _UPPER + _LOWER
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ALPHABETS = {
    "a": _BASE62,
    "h": _DIGITS + "abcdef",
    "H": _DIGITS + "ABCDEF",
    "d": _DIGITS[1:],
    "u": _UPPER + _DIGITS,
    "U": "ABCD",
    "l": _LOWER + _DIGITS,
    "L": _LOWER,
    "k": _LOWER + "234567",
    "K": _UPPER + "234567",
    "A": _UPPER + _LOWER,
    "Q": _LOWER,
    "w": _BASE62 + "_-",
    "b": _BASE62 + "+/",
    "e": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "P": _BASE62 + "!#$%&()*+-.:;<=>?@^_{|}~",
}


def _checked(body):
    digest = hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4]
    number, text = int.from_bytes(body + digest, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return text


def _coded(value, *, url=False):
    code = base64.urlsafe_b64encode if url else base64.b64encode
    return code(value.encode()).decode()


def _base62(number):
    text = ""
    while number:
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return text.rjust(6, "0")


def github(prefix, body):
    """A token whose last six characters are the checksum that GitHub and npm append."""
    return f"{prefix}{body}{_base62(zlib.crc32(body.encode()))}"


def _token(pick, header):
    parts = [json.dumps(header), json.dumps({"sub": str(pick.randrange(10**9))})]
    return ".".join([*(_coded(part, url=True).rstrip("=") for part in parts), _run(pick, "w", 43)])


def _password(pick, size):
    return "".join(pick.choice(one) for one in ("Qx", "zk", "!#", "79")) + _run(pick, "a", size - 5) + "4"


_OWN = {
    "uuid": lambda pick: "-".join(_run(pick, "h", size) for size in (8, 4, 4, 4, 12)),
    "jwt": lambda pick: _token(pick, {"alg": "HS256", "typ": "JWT"}),
    "basic": lambda pick: _coded(f"admin:{_password(pick, 12)}"),
    "snowflake": lambda pick: _coded(_run(pick, "d", 18), url=True).rstrip("="),
    "xprv": lambda pick: _checked(bytes.fromhex("0488ade4") + pick.randbytes(74)),
    "wif": lambda pick: _checked(b"\x80" + pick.randbytes(32) + b"\x01"),
    "pem64": lambda pick: _coded(
        "-----BEGIN " + f"PRIVATE KEY-----\n{_run(pick, 'b', 64)}\n-----END " + "PRIVATE KEY-----\n"
    ),
}
_BLANK = re.compile(r"\{(?:([A-Za-z])([0-9]+)|([a-z0-9]+))\}")


def _run(pick, kind, size):
    if kind == "p":
        return _password(pick, size)
    alphabet = _ALPHABETS[kind]
    text = "".join(pick.choice(alphabet) for _ in range(size))
    # What has both in its alphabet has both, or it would not be judged to be a key.
    if kind in "wb" and size > 8 and not text[-1].isalnum():
        text = text[:-1] + "Z"
    if kind in "wbP" and not text[0].isalnum():
        text = "k" + text[1:]
    if size >= 12 and not any(c.isdigit() for c in text) and set(_DIGITS[2:8]) <= set(alphabet):
        text = text[:5] + "7" + text[6:]
    return text


def made(shape, seed, *, most=0, fill=""):
    """The value of a shape.

    Args:
        shape: `ghp_{a36}`.
        seed: another one makes another value.
        most: how many characters of each random part there are, if not all.
        fill: a character that takes the place of what is random.
    """
    pick = random.Random(f"{shape}/{seed}")

    def fills(match):
        kind, size, own = match.groups()
        if own:
            text = _OWN[own](pick)
        else:
            text = _run(pick, kind, int(size))
        if most:
            text = text[:most]
        return re.sub("[0-9A-Za-z]", fill, text) if fill else text

    return _BLANK.sub(fills, shape).replace("{{", "{").replace("}}", "}")


class Sample(NamedTuple):
    """A line of the file.

    Attributes:
        label: of the finding.
        name: what the value is assigned to, if that is what tells it; or "".
        before: what stands before it otherwise.
        shape: of the value.
        after: what stands behind it.
    """

    label: str
    name: str
    before: str
    shape: str
    after: str

    def value(self, seed=0, **how):
        return made(self.shape, seed, **how)

    def text(self, seed=0):
        """(what stands before the value, what stands behind it)"""
        before = f"{self.name}=" if self.name else made(self.before, seed)
        return before, self.after or (before[-1:] if before.endswith(("'", '"')) else "")

    @property
    def free(self):
        """Whether the value may stand wherever its name, if it has one, stands before it."""
        return not self.before and not self.after


def _read():
    for line in Path(__file__).with_name("secret_shapes.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            label, context, shape, *after = line.split(" | ")
            name = context if re.fullmatch(r"\w+", context) else ""
            before = "" if name or context == "-" else context
            yield Sample(f"secret.{label.strip()}", name, before, shape, "".join(after))


SAMPLES = list(_read())


def examples(known):
    """(label, value, what stands before it) of each label that is not known yet."""
    found = {}
    for sample in SAMPLES:
        if sample.label not in known and sample.label not in found and not sample.after:
            value = sample.value()
            found[sample.label] = (sample.label, value, sample.text()[0])
    return list(found.values())
