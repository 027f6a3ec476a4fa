"""Proves one event to somebody who has the root's public key and nothing else: makes such a file, and checks it.

The file is a C2SP tlog-proof (`proof`). Its extra data is the event itself and the certificate by which the root vouches for
the key that signed the tree head::

    {"event": "<the event's bytes>", "host": {"payload": …, "sig": …}, "v": 1}

SECURITY INVARIANT: nothing in a proof is believed but what the root's key leads to. The event is taken for recorded only if its
bytes are a leaf of a tree whose head was signed by a key that the root, or the auditor's trust policy, vouches for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from guardai.ledger.anchored import cosigned_head
from guardai.ledger.certs import Certificate, CertificateError, Claims, check, key_id
from guardai.ledger.layout import Layout
from guardai.ledger.merkle import inclusion, leaf_hash, root_of
from guardai.ledger.note import Checkpoint, NoteError, open_checkpoint
from guardai.ledger.place import read_store
from guardai.ledger.proof import Proof, ProofError
from guardai.ledger.quorum import TrustPolicy
from guardai.ledger.reading import Link, address, decode_link
from guardai.ledger.statements import joined
from guardai.ledger.trust import origin, trust

if TYPE_CHECKING:
    from guardai.ledger.revocations import Revocation
    from guardai.ledger.store import Store
    from guardai.ledger.trust import Trust

__all__ = ["Proven", "check_proof", "prove"]


class _Extra(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    event: str
    host: Certificate
    v: Literal[1]


_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder(_Extra, strict=True).decode


class Proven(NamedTuple):
    """What a proof proves.

    Attributes:
        event: the bytes that were recorded.
        id: of the event.
        leaf: its place in the tree, from 0.
        checkpoint: the tree head that it is under.
        witnesses: who else has seen that head, and when (seconds since 1970); only by a trust policy.
    """

    event: bytes
    id: str
    leaf: int
    checkpoint: Checkpoint
    witnesses: Mapping[str, int]


def prove(home: Path, event: str) -> bytes:
    """A proof of a sealed event, under the newest tree head; under one that witnesses have cosigned, where the event is under one.

    Args:
        home: the home.
        event: the event's id.

    Raises:
        ProofError: there is no such event in the store, or the store does not hold what it should.
        LedgerError: the home's public key cannot be read.
        StoreError: the store cannot be read.
    """
    layout, trusted = Layout(home), trust(home)
    with read_store(layout) as store:
        found = _leaf(store, event) if store is not None else None
        if store is None or found is None:
            gone = (
                "; its log was pruned, and an export has it" if store is not None and _is_pruned(store, event) else ""
            )
            raise ProofError(f"there is no event {event} in the store{gone}")
        trusted = joined(store, trusted)
        index, data = found
        note = store.newest()
        if note is None:
            raise ProofError("the store has no tree head")
        cosigned = cosigned_head(home, index)
        if cosigned is not None:
            # It may be of a host that was revoked since, or of a tree that was set back: then nobody but our host vouches.
            with contextlib.suppress(ProofError):
                return _proof(store, trusted, index, data, cosigned)
        return _proof(store, trusted, index, data, note)


def _proof(store: Store, trusted: Trust, index: int, data: bytes, note: str) -> bytes:
    """A proof under this tree head, which holds."""
    try:
        size = int(note.split("\n", 2)[1])
        path = inclusion(store, index, size)
        by = open_checkpoint(note, trusted.origin, trusted.publics).by[0]
    except (ValueError, IndexError, NoteError) as error:
        raise ProofError(f"it cannot be proven: {error}; `guardai verify` tells what is wrong") from None
    host = trusted.hosts[key_id(by)].certificate
    proof = Proof(index, tuple(path), note, _encode(_Extra(data.decode(), host, 1))).text()
    check_proof(proof, trusted.root, trusted.revoked)  # what is handed out holds
    return proof


def check_proof(data: bytes, trusted: bytes | TrustPolicy, revoked: Mapping[str, Revocation] | None = None) -> Proven:
    """What a proof proves.

    Args:
        data: the file.
        trusted: the root's public key; or whose tree heads are trusted.
        revoked: hosts whose tree heads prove nothing any more, by id.

    Raises:
        ProofError: it proves nothing; says why.
    """
    proof = Proof.read(data)
    try:
        extra = _decode(proof.extra)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ProofError("it holds no event of guardai") from None
    if _encode(extra) != proof.extra:
        raise ProofError("its extra data is written in another way than a proof's is")
    event = extra.event.encode()
    witnesses: Mapping[str, int] = {}
    host: Claims | None = None
    try:
        if isinstance(trusted, TrustPolicy):
            checkpoint, witnesses = trusted.check(proof.checkpoint)
        else:
            host = check(extra.host, trusted, "host")
            checkpoint = open_checkpoint(proof.checkpoint, origin(trusted), [host.public])
    except (CertificateError, NoteError) as error:
        raise ProofError(str(error)) from None
    if root_of(leaf_hash(event), proof.leaf, checkpoint.size, proof.path) != checkpoint.root:
        raise ProofError("the event is not in the tree whose head was signed")
    link = _link(event)
    if host is not None and link.ts >= host.until:
        raise ProofError(
            "the event claims a time at which the certificate of the host that signed the tree head had expired"
        )
    for one in {key_id(public) for public in checkpoint.by} & (revoked or {}).keys():
        raise ProofError(f"the tree head is signed by the host {one}, whose key was revoked")
    return Proven(event, link.id, proof.leaf, checkpoint, witnesses)


def _link(event: bytes) -> Link:
    try:
        return decode_link(event)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ProofError("what is proven is no event") from None


def _is_pruned(store: Store, event: str) -> bool:
    log, _ = address(event) or ("", 0)
    return store.db.execute("SELECT 1 FROM logs WHERE log = ? AND ended = 2", (log,)).fetchone() is not None


def _leaf(store: Store, event: str) -> tuple[int, bytes] | None:
    place = address(event)
    row = (
        place
        and store.db.execute(
            "SELECT leaf, bytes FROM events JOIN logs ON logs.n = events.log WHERE logs.log = ? AND seq = ?", place
        ).fetchone()
    )
    return (row[0], bytes(row[1])) if row else None
