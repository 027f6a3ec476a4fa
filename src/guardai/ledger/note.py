"""Checkpoints: signed tree heads in the formats of C2SP, tlog-checkpoint inside signed-note.

::

    guardai/0123456789abcdef
    1042
    <root hash, base64>

    — guardai/0123456789abcdef <base64 of key hash (4 bytes) ‖ Ed25519 signature>
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "Checkpoint", "NoteError", "Signature", "key_hash", "open_checkpoint", "open_note", "read_note", "sign_checkpoint", "verifier_key",
]  # fmt: skip

_ED25519: Final = b"\x01"
#: More lines than any checkpoint of ours has; a bound for what is parsed.
_MAX: Final = 16_384
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NoteError(Exception):
    """A checkpoint does not hold; the message says why."""


@dataclass(frozen=True)
class Checkpoint:
    """A tree head.

    Attributes:
        by: the keys, of those that were asked for, that signed it.
    """

    origin: str
    size: int
    root: bytes
    by: tuple[bytes, ...] = field(default=(), compare=False)

    @classmethod
    def read(cls, text: str, origin: str, by: tuple[bytes, ...] = ()) -> Checkpoint:
        """The tree head in the text of a note.

        Raises:
            NoteError: malformed, or of another origin.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[0] != origin:
            raise NoteError("the checkpoint is of another origin")
        if not lines[1].isdecimal() or "" in lines[3:-1]:
            raise NoteError("the checkpoint is malformed")
        try:
            checkpoint = cls(origin, int(lines[1]), base64.b64decode(lines[2], validate=True), by)
        except (binascii.Error, ValueError):
            raise NoteError("the checkpoint is malformed") from None
        if len(checkpoint.root) != 32 or not text.startswith(checkpoint.text()):
            raise NoteError("the checkpoint is malformed")
        return checkpoint

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_hash(name: str, public: bytes, kind: bytes = _ED25519) -> bytes:
    """The four bytes by which a signature names its key (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]


def verifier_key(name: str, public: bytes) -> str:
    """The key as C2SP tools take it: name+hash+key."""
    return f"{name}+{key_hash(name, public).hex()}+{base64.b64encode(_ED25519 + public).decode()}"


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The signed note."""
    text = checkpoint.text()
    public = key.public_key().public_bytes_raw()
    signature = key_hash(checkpoint.origin, public) + key.sign(text.encode())
    return f"{text}\n— {checkpoint.origin} {base64.b64encode(signature).decode()}\n"


def open_checkpoint(note: str, origin: str, keys: Iterable[bytes]) -> Checkpoint:
    """The checkpoint in a signed note, if one of the keys signed it for this origin.

    Raises:
        NoteError: malformed, of another origin, or not signed by any of the keys.
    """
    text, by = open_note(note, origin, keys)
    return Checkpoint.read(text, origin, by)


def open_note(note: str, name: str, keys: Iterable[bytes]) -> tuple[str, tuple[bytes, ...]]:
    """The text of a signed note, and which of the keys signed it under this name: one at least.

    Raises:
        NoteError: malformed, or not signed by any of the keys.
    """
    text, signatures = read_note(note)
    known = {key_hash(name, key): key for key in keys}
    signed: list[bytes] = []
    for signature in signatures:
        key = known.get(signature.key)
        if signature.name != name or key is None:
            continue  # someone else's signature, a witness's say
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature.blob, text.encode())
        except InvalidSignature:
            raise NoteError("the note's signature does not hold") from None
        signed.append(key)
    if not signed:
        raise NoteError("the note is not signed by a key of this ledger")
    return text, tuple(signed)


class Signature(NamedTuple):
    """One line of a note's signatures: whose, the first four bytes of the key's hash, and what that key made."""

    name: str
    key: bytes
    blob: bytes


def read_note(note: str) -> tuple[str, list[Signature]]:
    """The text of a note and its signatures, none of which has been checked.

    Raises:
        NoteError: malformed.
    """
    if len(note) > _MAX:
        raise NoteError("the note is too long")
    if _CONTROL.search(note):
        raise NoteError("the note holds a control character")
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise NoteError("the note has no signature")
    signatures = []
    for line in lines[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        whose, _, encoded = rest.partition(" ")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            blob = b""
        if dash != "—" or not _is_name(whose) or len(blob) < 5 or base64.b64encode(blob).decode() != encoded:
            raise NoteError("the note has a malformed signature")
        signatures.append(Signature(whose, blob[:4], blob[4:]))
    return text + "\n", signatures


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(letter.isspace() for letter in name)
