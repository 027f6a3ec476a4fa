"""Signatures of one bundle file, beside it: a DSSE envelope around its manifest, which names the digest of every member.

A bundle file can be written in one way only (`archive.py`), so who signed the manifest signed the file.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from guardai.errors import BundleError
from guardai.policy.trust.archive import MANIFEST, unpack
from guardai.policy.trust.manifest import opened

if TYPE_CHECKING:
    from securesystemslib.signer import Signer, SSlibKey

__all__ = ["PAYLOAD_TYPE", "beside", "gathered", "sign", "verify"]

PAYLOAD_TYPE: Final = "application/vnd.guardai.bundle-manifest+json"
_MAX: Final = 1024 * 1024


class _Signature(msgspec.Struct):
    sig: str
    keyid: str = ""


class _Envelope(msgspec.Struct, rename="camel"):
    payload: str
    payload_type: str
    signatures: list[_Signature]


def beside(file: Path) -> Path:
    """Where the signatures of a bundle file stand."""
    return file.with_name(file.name + ".dsse")


def sign(data: bytes, signers: Iterable[Signer]) -> bytes:
    """The envelope of a bundle file with a signature of each signer.

    Args:
        data: the bundle file.
        signers: who signs.

    Raises:
        BundleError: the file is no bundle.
    """
    from securesystemslib.dsse import Envelope

    payload = _manifest(data)
    made = Envelope(payload, PAYLOAD_TYPE, {})
    for signer in signers:
        made.sign(signer)
    new = [
        _Signature(base64.b64encode(bytes.fromhex(one.signature)).decode(), id_) for id_, one in made.signatures.items()
    ]
    return _written(_Envelope(base64.b64encode(payload).decode(), PAYLOAD_TYPE, new))


def gathered(envelope: bytes, former: bytes) -> bytes:
    """The envelope with the signatures of the former one, too, if they are of the same bundle.

    Args:
        envelope: with new signatures; a key's new one takes the place of its former.
        former: the envelope that is there.

    Raises:
        BundleError: the former is no envelope. A damaged one may hold what others have signed.
    """
    made, found = _parsed(envelope), _parsed(former)
    if _decoded(found.payload) != _decoded(made.payload):
        return envelope
    again = {one.keyid for one in made.signatures}
    made.signatures = [*(one for one in found.signatures if one.keyid not in again), *made.signatures]
    return _written(made)


def verify(data: bytes, envelope: bytes, keys: Mapping[str, SSlibKey], threshold: int) -> list[str]:
    """Whether enough of these keys signed this bundle file.

    SECURITY INVARIANT: a key counts once, whatever its signatures are called and however often it signed.

    Args:
        data: the bundle file.
        envelope: its signatures.
        keys: those that count, by id.
        threshold: how many of them must have signed; at least one.

    Returns:
        The ids of those that did.

    Raises:
        BundleError: they did not, or one of the two is not what it should be.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import UnverifiedSignatureError
    from securesystemslib.signer import Signature

    if not 1 <= threshold <= len(keys):
        raise BundleError(f"a threshold of {threshold} cannot be met by {len(keys)} keys")
    payload = _manifest(data)
    found = _parsed(envelope)
    if found.payload_type != PAYLOAD_TYPE or _decoded(found.payload) != payload:
        raise BundleError("the signatures are of something else than this bundle")
    pae = Envelope(payload, PAYLOAD_TYPE, {}).pae()
    signatures = [_decoded(one.sig) for one in found.signatures]
    good = []
    for id_, key in keys.items():
        for signature in signatures:
            try:
                key.verify_signature(Signature(id_, signature.hex()), pae)
            except UnverifiedSignatureError:
                continue
            good.append(id_)
            break
    if len(good) < threshold:
        raise BundleError(f"{len(good)} of the {len(keys)} keys signed it; {threshold} must have")
    return good


def _manifest(data: bytes) -> bytes:
    members = unpack(data)
    opened(members)
    return members[MANIFEST]


def _parsed(envelope: bytes) -> _Envelope:
    try:
        if len(envelope) > _MAX:
            raise ValueError("too large")
        return msgspec.json.decode(envelope, type=_Envelope)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BundleError(f"the signatures are no DSSE envelope: {error}") from None


def _written(envelope: _Envelope) -> bytes:
    return msgspec.json.format(msgspec.json.encode(envelope), indent=2) + b"\n"


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BundleError("the signatures are no DSSE envelope: not base64") from None
