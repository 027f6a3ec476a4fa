"""Revocations: the root says that a host's key is not to be believed from some time on.

A revocation is a file `keys/revoked/<id>.json`: a payload (canonical JSON, kept as the very text that was signed) and the root's
signature over `DOMAIN + payload`. It is also a leaf of the tree, an event `key.revoked`, so that one that is removed from the
folder is still found by whoever reads the events. And an auditor may bring it along, because a thief would leave it out.

What a key signed before it was stolen and what the thief signed with it afterwards cannot be told apart by signatures: the thief
writes any time that he likes. So what claims a time from `since` on is at fault, and what claims an earlier one is doubtful:
nobody can tell until something else than that key shows that it was there before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from guardai.ledger.certs import Certificate, key_id, verify_signature

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from guardai.ledger.heads import Head
    from guardai.ledger.layout import Layout
    from guardai.ledger.root import Root

__all__ = ["Judgement", "Revocation", "RevocationError", "judge", "kept", "open_revocation", "read_all", "revoke_by"]

DOMAIN: Final = b"guardai revocation v1\n"
_MAX: Final = 64 * 1024
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder(Certificate, strict=True).decode


class RevocationError(Exception):
    """A revocation does not hold; the message says why."""


class Revocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is revoked. Fields in the order of their names (see `canonical`).

    Attributes:
        host: id of the host's key.
        issuer: id of the root's.
        made: when it was signed, microseconds since 1970.
        reason: for people.
        since: from when on nothing of the key's is believed, microseconds since 1970.
        v: version of this format.
    """

    host: str
    issuer: str
    made: int
    reason: str
    since: int
    v: int = 1


def revoke_by(root: Root, *, host: str, since: int, reason: str, now: int) -> Certificate:
    """A revocation, signed by the root."""
    claims = Revocation(host=host, issuer=root.id, made=now, reason=reason, since=since)
    payload = _encode(claims)
    return Certificate(payload.decode(), root.sign(DOMAIN + payload).hex())


def open_revocation(statement: Certificate, root: bytes) -> Revocation:
    """What a signed statement revokes.

    Raises:
        RevocationError: the root (a public key) did not sign it, or it is malformed.
    """
    payload = statement.payload.encode()
    if not verify_signature(root, statement.sig, DOMAIN + payload):
        raise RevocationError(f"it is not signed by the root {key_id(root)}")
    try:
        claims = msgspec.json.decode(payload, type=Revocation)
    except msgspec.MsgspecError:
        raise RevocationError("it is malformed") from None
    if claims.v != 1 or claims.issuer != key_id(root):
        raise RevocationError("it is malformed")
    return claims


def kept(layout: Layout) -> list[Path]:
    """The files of a home's revocations."""
    return sorted(layout.revoked.glob("*.json"))


def read_all(files: Iterable[Path], root: bytes) -> tuple[dict[str, Revocation], list[str]]:
    """What the files revoke, by host, the earliest `since` of each; and why those that do not hold do not.

    A file that does not hold revokes nothing, but may have been one that did before somebody altered it.
    """
    revoked: dict[str, Revocation] = {}
    notes = []
    for path in files:
        try:
            with path.open("rb") as file:
                statement = _decode(file.read(_MAX))
            add(revoked, open_revocation(statement, root))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            notes.append(f"the revocation {path.name} cannot be read: {error}")
        except RevocationError as error:
            notes.append(f"the revocation {path.name} does not count: {error}")
    return revoked, notes


def add(revoked: dict[str, Revocation], one: Revocation) -> None:
    """Takes another one in; of two for one host the earlier `since` counts."""
    if one.host not in revoked or one.since < revoked[one.host].since:
        revoked[one.host] = one


class _Body(msgspec.Struct):
    revocation: Certificate


class _Event(msgspec.Struct):
    body: _Body


_decode_event: Final = msgspec.json.Decoder(_Event).decode


def recorded(event: bytes, root: bytes) -> Revocation | None:
    """What an event `key.revoked` revokes; None if it holds nothing that the root signed."""
    try:
        return open_revocation(_decode_event(event).body.revocation, root)
    except (msgspec.MsgspecError, UnicodeDecodeError, RevocationError):
        return None


class Judgement(NamedTuple):
    """What revocations make of a log.

    Attributes:
        fault: position of an event that stands under a key revoked before; -1 if there is none.
        doubtful: how many events nobody can tell from forged ones, by the host whose key was revoked.
    """

    fault: int
    doubtful: Mapping[str, int]


def judge(
    revoked: Mapping[str, Revocation],
    *,
    host: str,
    events: int,
    last: int,
    own_last: int,
    recovered: int,
    countersigned: Sequence[Head],
) -> Judgement:
    """Judges one log.

    Args:
        revoked: what has been revoked, by host.
        host: id of the host that vouches for the log's key; "" if none does.
        events: how many it has.
        last: position of the last one that its own writer wrote.
        own_last: that one's time.
        recovered: how many events a host countersigned.
        countersigned: the heads that a host, not the log's own key, signed.
    """
    doubtful: dict[str, int] = {}
    fault = -1
    if one := revoked.get(host):
        doubtful[host] = events
        if own_last >= one.since:
            fault = last
    for head in countersigned:
        if other := revoked.get(head.by):
            if head.ts >= other.since:
                fault = head.seq
            if host not in revoked:
                doubtful[head.by] = recovered
    return Judgement(fault, doubtful)
