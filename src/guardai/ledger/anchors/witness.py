"""`witness+https://HOST/PREFIX#VKEY`: a witness, which cosigns a tree head if it goes on from the one that it saw before.

It speaks C2SP's tlog-witness (https://c2sp.org/tlog-witness) and signs as tlog-cosignature says, with Ed25519. VKEY is its verifier
key as it publishes it, `name+hash+key`. The receipt is the tree head with its cosignature: what `guardai verify-proof --policy` and
any other reader of C2SP notes counts.
"""

from __future__ import annotations

import base64
import dataclasses
import time
from typing import Final
from urllib.parse import unquote, urlsplit

from guardai.errors import AnchorAhead, AnchorError, ConfigError
from guardai.http import Answer, NoAnswerError, endpoint_of, post
from guardai.ledger.note import NoteError, read_note
from guardai.ledger.quorum import COSIGNER, Key, PolicyError, cosigned
from guardai.model import TreeHead, Vouched, shown
from guardai.settings import is_loopback

__all__ = ["Witness"]

_TEXT: Final = {"content-type": "text/plain; charset=utf-8"}
_SIZE: Final = "text/x.tlog.size"
#: Somebody else of this ledger may be asking the witness at the same time.
_TRIES: Final = 3
_CONFLICT: Final = 409
_AHEAD: Final = "the witness has seen a tree head of {:,} events; here are {:,}"
#: The last second that a calendar has.
_LATEST: Final = 253_402_300_799


class Witness:
    """Asks for cosignatures.

    Raises:
        ConfigError: the URL is none of a witness with its key.
    """

    def __init__(self, url: str) -> None:
        place, _, key = url.partition("#")
        endpoint = endpoint_of(place, "witness")
        try:
            self._key = Key.read(unquote(key), COSIGNER)
        except PolicyError as error:
            raise ConfigError(f"{shown(url)}: behind the # stands the witness's verifier key: {error}") from None
        if endpoint is None or (endpoint.startswith("http:") and not is_loopback(urlsplit(endpoint).hostname or "")):
            # Over plain HTTP anybody between could say that the ledger was cut.
            raise ConfigError(f"{shown(url)} is no witness: write witness+https://HOST/PREFIX#NAME+HASH+KEY")
        self._place = f"{endpoint.rstrip('/')}/add-checkpoint"
        self._seen = 0

    def submit(self, head: TreeHead, *, seconds: float) -> str:
        """The head with the witness's cosignature."""
        receipt, _ = self._submit(head, min(self._seen, head.size), seconds)
        return receipt

    def check(self, receipt: str) -> Vouched:
        """What the witness signed."""
        try:
            text, signatures = read_note(receipt)
        except NoteError as error:
            raise AnchorError(str(error)) from None
        when = cosigned(text, signatures, self._key)
        if when is None or when > _LATEST:
            raise AnchorError("the witness's signature is not there, or does not hold")
        return Vouched(receipt, when)

    def ask(self, head: TreeHead, *, seconds: float) -> list[Vouched]:
        """A witness tells no more than the size that it saw last, and whether it cosigns.

        So it is asked for what it has seen, to cosign that once more. Nothing that it has not seen is handed to it, as long as the
        head of that size is kept here: who asks for a copy of a ledger would make a fork of it.
        """
        until = time.monotonic() + seconds
        seen = self._seen_last(head, seconds)
        if not seen:
            return []
        note = head.note if seen == head.size else head.note_at(seen)
        # From a tree to itself nothing is to be proved.
        asked = head if note is None else dataclasses.replace(head, note=note, size=seen, consistency=lambda _: ())
        receipt, _ = self._submit(asked, seen, max(0.1, until - time.monotonic()))
        return [self.check(receipt)._replace(size=seen)]

    def _seen_last(self, head: TreeHead, seconds: float) -> int:
        """The size of the tree head that the witness has seen last; 0 if it has seen none."""
        answer = self._post(head, head.size, seconds)
        if answer.status != _CONFLICT:
            self._receipt(head, answer)
            return head.size
        seen = _size(answer)
        if seen == head.size:
            raise AnchorAhead(f"the witness has seen another tree head of {seen:,} events")
        if seen > head.size:
            raise AnchorAhead(_AHEAD.format(seen, head.size), size=seen)
        return seen

    def _submit(self, head: TreeHead, old: int, seconds: float) -> tuple[str, int]:
        """The cosigned head, and the size of the tree head that the witness had seen before."""
        until = time.monotonic() + seconds
        for _ in range(_TRIES):
            answer = self._post(head, old, max(0.1, until - time.monotonic()))
            if answer.status != _CONFLICT:
                receipt = self._receipt(head, answer)
                self._seen = head.size
                return receipt, old
            seen = _size(answer)
            if seen > head.size:
                raise AnchorAhead(_AHEAD.format(seen, head.size), size=seen)
            if old == head.size:
                raise AnchorAhead(f"the witness has seen another tree head of {old:,} events")
            old = seen
        raise AnchorError("the witness says each time that it has seen another tree head")

    def _post(self, head: TreeHead, old: int, seconds: float) -> Answer:
        lines = [f"old {old}", *(base64.b64encode(one).decode() for one in head.consistency(old)), "", head.note]
        try:
            return post(self._place, "\n".join(lines).encode(), _TEXT, seconds)
        except NoAnswerError as error:
            raise AnchorError(str(error)) from None

    def _receipt(self, head: TreeHead, answer: Answer) -> str:
        match answer.status:
            case 200:
                return self._cosigned(head, answer.body)
            case 403:
                raise AnchorError("the witness does not trust the key of this host: its operator has to add it")
            case 404:
                raise AnchorError(f"the witness does not know the ledger {head.origin}: its operator has to add it")
            case 422:
                raise AnchorAhead("the witness has seen a tree head that this ledger does not go on from")
        raise AnchorError(f"the witness answers {answer.status}")

    def _cosigned(self, head: TreeHead, body: bytes) -> str:
        """The head with those of the witness's signatures that hold."""
        try:
            text, signatures = read_note(head.note + body.decode())
        except (NoteError, UnicodeDecodeError):
            raise AnchorError("the witness answers with what is no cosignature") from None
        for one in signatures:
            when = cosigned(text, [one], self._key)
            if when is not None and when <= _LATEST:
                return f"{head.note}— {one.name} {base64.b64encode(one.key + one.blob).decode()}\n"
        raise AnchorError("the witness answers with a signature that does not hold, or is another's")


def _size(answer: Answer) -> int:
    text = answer.body[:32]
    if answer.headers.get("content-type", "").partition(";")[0].strip() == _SIZE:
        number = text.removesuffix(b"\n")
        if number.isdigit() and str(int(number)).encode() == number:
            return int(number)
    raise AnchorError("the witness says that it has seen another tree head, but not of which size")
