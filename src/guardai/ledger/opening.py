"""What a log's first event says: by whose key it is signed, who vouches for that key, and how its tags begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from guardai.ledger.certs import Certificate, CertificateError, Claims, check
from guardai.ledger.ratchet import KEY_SIZE
from guardai.ledger.sealedbox import open_box

if TYPE_CHECKING:
    from guardai.ledger.heads import Head
    from guardai.ledger.trust import Trust

__all__ = ["Opening", "read_opening"]


class _Parent(msgspec.Struct):
    log: str
    seq: int


class _Body(msgspec.Struct):
    certificate: Certificate
    host: Certificate
    ratchet: str
    parent: _Parent | None = None


class _Open(msgspec.Struct):
    kind: str
    log: str
    ts: int
    body: _Body


_decode: Final = msgspec.json.Decoder(_Open).decode


@dataclass(frozen=True)
class Opening:
    """A log's key, as far as it could be vouched for.

    Attributes:
        process: claims of the log's own key; None if no chain of certificates leads to the trusted root.
        host: claims of the host key that vouches for it.
        ratchet: the first key of its tags; None if the host's private key is not at hand or does not open it.
        parent: the log and position at which this one branched off, in a fork or when its predecessor was full.
    """

    process: Claims | None
    host: Claims | None
    ratchet: bytes | None
    parent: tuple[str, int] | None

    def signer(self, head: Head, trust: Trust) -> bytes | None:
        """The public key that a head claims to be signed by, if it may sign heads of this log."""
        if self.process is not None and head.by == self.process.id:
            return self.process.public
        host = self.host_by(head.by, trust)
        return host.public if host is not None else None

    def host_by(self, by: str, trust: Trust) -> Claims | None:
        """The host whose key has this id, if the root vouches for it."""
        if by in trust.hosts:
            return trust.hosts[by].claims
        return self.host if self.host is not None and self.host.id == by else None

    @property
    def host_id(self) -> str:
        """The id of the host that vouches for the log's key; "" if none does."""
        return self.host.id if self.host is not None and self.process is not None else ""


def read_opening(event: bytes, log: str, trust: Trust) -> Opening:
    """Reads a log's first event and follows the certificates up to the trusted root."""
    try:
        opening = _decode(event)
        box = bytes.fromhex(opening.body.ratchet)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return Opening(None, None, None, None)
    body = opening.body
    parent = (body.parent.log, body.parent.seq) if body.parent is not None else None
    opened = (open_box(key, box, log.encode()) for key in trust.boxes)
    ratchet = next((key for key in opened if key is not None and len(key) == KEY_SIZE), None)
    try:
        host = check(body.host, trust.root, "host")
        process = check(body.certificate, host.public, "process")
        if (
            opening.kind != "log.open"
            or process.log != log
            or not process.since <= opening.ts < process.until <= host.until
        ):
            raise CertificateError("the certificate is for another log or time")
    except CertificateError:
        return Opening(None, None, ratchet, parent)
    return Opening(process, host, ratchet, parent)
