"""What sinks over HTTP make of an answer, or of none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardai import http
from guardai.errors import SinkError, SinkRefused
from guardai.http import Answer, NoAnswerError, retry_after

__all__ = ["check_status", "post"]

#: Bad request, too large, cannot be processed.
_MALFORMED: Final = frozenset({400, 413, 422})


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
    """Posts the body.

    Raises:
        SinkError: there was no answer in time, or none that can be read. No part of the URL stands in it.
    """
    try:
        return http.post(url, body, headers, seconds)
    except NoAnswerError as error:
        raise SinkError(str(error)) from None


def check_status(answer: Answer, who: str) -> None:
    """Returns if the status says success.

    Raises:
        SinkRefused: it is about what was sent.
        SinkError: it is about anything else: who asks, where, how or when. That can be mended.
    """
    if 200 <= answer.status < 300:
        return
    if answer.status in _MALFORMED:
        raise SinkRefused(f"{who} answers {answer.status}")
    raise SinkError(f"{who} answers {answer.status}", after=retry_after(answer))
