"""`rfc3161+https://HOST/PATH?roots=FILE`: a time-stamping authority, which signs that a tree head was there at a time (RFC 3161).

FILE holds the certificates (PEM) of the roots that are believed. The receipt is the tree head with the authority's answer. The
authority keeps nothing: receipts that are not copied elsewhere can be removed together with the events.
"""

from __future__ import annotations

import base64
import binascii
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec
from cryptography import x509

from guardai.errors import AnchorError, ConfigError
from guardai.http import NoAnswerError, endpoint_of, post
from guardai.model import TreeHead, Vouched, shown

if TYPE_CHECKING:
    from rfc3161_client import TimeStampRequest, TimeStampResponse
    from rfc3161_client.tsp import TimeStampTokenInfo

__all__ = ["Authority"]

_QUERY: Final = {"content-type": "application/timestamp-query"}
_REPLY: Final = "application/timestamp-reply"


class _Receipt(msgspec.Struct):
    note: str
    reply: str


class Authority:
    """Asks for time stamps.

    Raises:
        ConfigError: the URL is none of an authority with its roots, or what it needs is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import rfc3161_client  # noqa: F401
        except ImportError:
            raise ConfigError("time stamps need rfc3161-client: pip install 'guardai-sdk[rfc3161]'") from None
        try:
            query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
        except ValueError:
            query = []
        place = endpoint_of(url.partition("?")[0], "rfc3161")
        if place is None or [name for name, _ in query] != ["roots"]:
            raise ConfigError(f"{shown(url)} is no authority: write rfc3161+https://HOST/PATH?roots=FILE")
        self._place = place
        roots = Path(query[0][1])
        try:
            self._roots = x509.load_pem_x509_certificates(roots.read_bytes())
        except OSError as error:
            raise ConfigError(f"{roots}: cannot be read: {error.strerror}") from None
        except ValueError:
            raise ConfigError(f"{roots} holds no certificates (PEM)") from None

    def submit(self, head: TreeHead, *, seconds: float) -> str:
        """The head and the authority's answer."""
        from rfc3161_client import TimestampRequestBuilder

        request = TimestampRequestBuilder().data(head.note.encode()).build()
        try:
            answer = post(self._place, request.as_bytes(), _QUERY, seconds)
        except NoAnswerError as error:
            raise AnchorError(str(error)) from None
        if answer.status != 200 or answer.headers.get("content-type", "").partition(";")[0].strip() != _REPLY:
            raise AnchorError(f"the authority answers {answer.status}, with no time stamp")
        self._stamped(head.note, answer.body, request)
        return msgspec.json.encode(_Receipt(head.note, base64.b64encode(answer.body).decode())).decode()

    def check(self, receipt: str) -> Vouched:
        """What the authority signed."""
        try:
            kept = msgspec.json.decode(receipt, type=_Receipt)
            reply = base64.b64decode(kept.reply, validate=True)
        except (msgspec.MsgspecError, UnicodeEncodeError, binascii.Error, ValueError):
            raise AnchorError("it is no receipt of an authority") from None
        return Vouched(kept.note, self._stamped(kept.note, reply))

    def ask(self, head: TreeHead, *, seconds: float) -> tuple[()]:  # noqa: ARG002 - as an anchor has it
        """An authority keeps nothing."""
        return ()

    def _stamped(self, note: str, reply: bytes, request: TimeStampRequest | None = None) -> int:
        """When the authority says that the note was there; seconds since 1970."""
        from rfc3161_client import VerifierBuilder, decode_timestamp_response
        from rfc3161_client.errors import VerificationError

        try:
            stamp: TimeStampResponse = decode_timestamp_response(reply)
            verifier = VerifierBuilder(roots=list(self._roots), nonce=request.nonce if request else None).build()
            verifier.verify_message(stamp, note.encode())
            return _latest(stamp.tst_info)
        except (VerificationError, ValueError, UnicodeEncodeError) as error:
            raise AnchorError(f"the time stamp does not hold: {error}") from None


def _latest(info: TimeStampTokenInfo) -> int:
    """The latest time that a stamp can be of, by the accuracy that its authority claims; one that claims none is taken at its word."""
    accuracy = info.accuracy
    wrong = 0.0
    if accuracy is not None:
        wrong = (accuracy.seconds or 0) + (accuracy.millis or 0) / 1e3 + (accuracy.micros or 0) / 1e6
    latest: float = info.gen_time.timestamp() + wrong
    return math.ceil(latest)
