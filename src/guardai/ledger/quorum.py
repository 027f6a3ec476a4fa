"""Whose signatures a tree head needs to be trusted: a policy file as C2SP's tlog-policy has it.

::

    log <vkey>
    witness w1 <vkey>
    witness w2 <vkey>
    group two-of-us 2 w1 w2
    quorum two-of-us

Any of the logs has to have signed, and as many witnesses as the quorum says to have cosigned (https://c2sp.org/tlog-policy,
https://c2sp.org/tlog-cosignature). Keys are Ed25519, written as verifier keys of the signed-note format.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from guardai.ledger.note import Checkpoint, NoteError, Signature, key_hash, open_checkpoint, read_note

__all__ = ["COSIGNER", "Key", "PolicyError", "TrustPolicy", "Witnessed", "cosigned"]

_LOG: Final = 0x01
COSIGNER: Final = 0x04
_NONE: Final = "none"
#: Lines of a policy; the specification wants 32 logs, witnesses and groups to be possible.
_MAX: Final = 4096


class PolicyError(ValueError):
    """A file is no policy; the message says which line is wrong."""


class Key(NamedTuple):
    """A verifier key: a name, and 32 bytes of Ed25519."""

    name: str
    public: bytes
    kind: int

    @property
    def hash(self) -> bytes:
        """The four bytes by which a signature names it."""
        return key_hash(self.name, self.public, bytes([self.kind]))

    @classmethod
    def read(cls, text: str, kind: int) -> Key:
        """A key of this kind, written as `name+hash+key`.

        Raises:
            PolicyError: it is none.
        """
        name, _, rest = text.partition("+")
        hashed, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not name or len(raw) != 33 or raw[0] != kind:
            raise PolicyError(f"{text!r} is no verifier key of type {kind:#04x} with Ed25519")
        key = cls(name, raw[1:], kind)
        if key.hash.hex() != hashed:
            raise PolicyError(f"{text!r}: its hash is another key's")
        return key


class Witnessed(NamedTuple):
    """A checkpoint that a policy trusts, and which witnesses cosigned it when (seconds since 1970)."""

    checkpoint: Checkpoint
    witnesses: Mapping[str, int]


class _Group(NamedTuple):
    least: int
    members: tuple[str, ...]


class TrustPolicy(NamedTuple):
    """Logs, witnesses and the rule."""

    logs: tuple[Key, ...]
    witnesses: Mapping[str, Key]
    groups: Mapping[str, _Group]
    quorum: str

    @classmethod
    def read(cls, text: str) -> Self:
        """The policy in a file.

        Raises:
            PolicyError: it is none.
        """
        logs: list[Key] = []
        witnesses: dict[str, Key] = {}
        groups: dict[str, _Group] = {}
        used: set[str] = set()
        quorum = ""
        for number, line in enumerate(text.split("\n"), 1):
            words = line.replace("\t", " ").split(" ")
            words = [word for word in words if word]
            if not words or words[0].startswith("#"):
                continue
            try:
                if number > _MAX:
                    raise PolicyError("there are too many lines")
                match words:
                    case ["log", key] | ["log", key, _]:
                        logs.append(_new(Key.read(key, _LOG), logs))
                    case ["witness", name, key] | ["witness", name, key, _]:
                        _unused(name, witnesses, groups)
                        witnesses[name] = _new(Key.read(key, COSIGNER), witnesses.values())
                    case ["group", name, least, *members] if members:
                        _unused(name, witnesses, groups)
                        _take(members, used, witnesses, groups)
                        groups[name] = _Group(_least(least, len(members)), tuple(members))
                    case ["quorum", name] if not quorum and (name in witnesses or name in groups or name == _NONE):
                        quorum = name
                    case _:
                        raise PolicyError(
                            "it is no log, witness, group or quorum, or names what is not defined before it"
                        )
            except PolicyError as error:
                raise PolicyError(f"line {number}: {error}") from None
        if not quorum:
            raise PolicyError("there is no line that says the quorum")
        return cls(tuple(logs), witnesses, groups, quorum)

    def check(self, note: str) -> Witnessed:
        """The checkpoint in a note, if this policy trusts it.

        Raises:
            NoteError: it does not; says why.
        """
        text, signatures = read_note(note)
        origin = text.partition("\n")[0]
        checkpoint = open_checkpoint(note, origin, [log.public for log in self.logs if log.name == origin])
        times = {
            name: when for name, key in self.witnesses.items() if (when := cosigned(text, signatures, key)) is not None
        }
        if self.quorum != _NONE and not self._has(self.quorum, times):
            raise NoteError(
                f"too few witnesses cosigned the tree head: {', '.join(sorted(times)) or 'none'} of those that count"
            )
        return Witnessed(checkpoint, times)

    def _has(self, name: str, cosigned: Mapping[str, int]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._has(member, cosigned) for member in group.members) >= group.least


def cosigned(text: str, signatures: Sequence[Signature], key: Key) -> int | None:
    """When a witness cosigned; None if it did not, or its signature does not hold."""
    for signature in signatures:
        if (signature.name, signature.key) == (key.name, key.hash) and len(signature.blob) == 72:
            when = int.from_bytes(signature.blob[:8])
            message = f"cosignature/v1\ntime {when}\n{text}".encode()
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(signature.blob[8:], message)
            except InvalidSignature:
                continue
            return when if when < 1 << 63 else None
    return None


def _new(key: Key, others: Iterable[Key]) -> Key:
    if any(other.public == key.public for other in others):
        raise PolicyError("this key stands here twice")
    return key


def _unused(name: str, *taken: Mapping[str, object]) -> None:
    if name == _NONE or any(name in names for names in taken):
        raise PolicyError(f"{name} is defined twice, or has a meaning of its own")


def _take(members: Sequence[str], used: set[str], *known: Mapping[str, object]) -> None:
    for member in members:
        if member in used or not any(member in names for names in known):
            raise PolicyError(f"{member} is not defined before, or is a member of a group already")
        used.add(member)


def _least(word: str, members: int) -> int:
    if word in ("any", "all"):
        return 1 if word == "any" else members
    if not word.isascii() or not word.isdigit() or not 1 <= int(word) <= members:
        raise PolicyError(f"{word} is none of any, all, and 1 to {members}")
    return int(word)
