"""`ocsf+https://HOST/PATH`: events in OCSF 1.9, a JSON array a batch; `splunk+https://HOST:8088`: the same for Splunk's HTTP Event Collector.

Keys come from GUARDAI_OCSF_HEADERS, in the form of OTLP's, and Splunk's token from GUARDAI_SPLUNK_TOKEN; never from the URL.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from guardai._version import __version__
from guardai.errors import ConfigError, SinkError, SinkRefused
from guardai.http import Answer, endpoint_of, headers_from, retry_after
from guardai.model import shown
from guardai.sinks.http import check_status, post
from guardai.sinks.ocsf_record import record

__all__ = ["OcsfSink", "SplunkSink"]

_KEYS: Final = "GUARDAI_OCSF_HEADERS"
_TOKEN: Final = "GUARDAI_SPLUNK_TOKEN"  # noqa: S105 - where it comes from
_AGENT: Final = f"guardai/{__version__}"
_COLLECTOR: Final = "/services/collector/event"
#: What Splunk says of data, of the codes that its collector has: no data, malformed, no event field, a blank one, bad indexed fields.
_MALFORMED: Final = frozenset({5, 6, 12, 13, 15})


class OcsfSink:
    """Posts events. The receiver keeps one that comes again apart by `metadata.uid`."""

    def __init__(self, url: str) -> None:
        endpoint = endpoint_of(url, "ocsf")
        if endpoint is None:
            raise ConfigError(
                f"{shown(url)} is no receiver: write ocsf+https://HOST/PATH, without user and query; keys go into {_KEYS}"
            )
        self._url = endpoint
        self._headers = {**headers_from(_KEYS), "content-type": "application/json", "user-agent": _AGENT}

    def deliver(self, events: Sequence[bytes], *, seconds: float = 30.0) -> None:
        """Posts the events as one request.

        Raises:
            SinkRefused: the receiver says that it will never take one of them.
            SinkError: it took none.
        """
        body = msgspec.json.encode([record(event) for event in events])
        check_status(post(self._url, body, self._headers, seconds), "the receiver")


class _Said(msgspec.Struct):
    code: int


class SplunkSink:
    """Hands events to an HTTP Event Collector. Splunk does not drop what comes twice: search by `metadata.uid`."""

    def __init__(self, url: str) -> None:
        endpoint = endpoint_of(url, "splunk")
        if endpoint is None or not (token := os.environ.get(_TOKEN)):
            raise ConfigError(
                f"{shown(url)}: write splunk+https://HOST:8088, without user and query, and put the collector's token into {_TOKEN}"
            )
        self._url = endpoint if urlsplit(endpoint).path.strip("/") else f"{endpoint.rstrip('/')}{_COLLECTOR}"
        self._headers = {
            "authorization": f"Splunk {token}",
            "content-type": "application/json",
            "user-agent": _AGENT,
        }

    def deliver(self, events: Sequence[bytes], *, seconds: float = 30.0) -> None:
        """Posts the events as one request.

        Raises:
            SinkRefused: the collector says that it will never take one of them.
            SinkError: it took none.
        """
        answer = post(self._url, b"".join(map(_enveloped, events)), self._headers, seconds)
        code = _code(answer)
        if code in _MALFORMED:
            raise SinkRefused(f"the collector answers {answer.status}, code {code}")
        if code:
            raise SinkError(f"the collector answers {answer.status}, code {code}", after=retry_after(answer))
        check_status(answer, "the collector")
        if code is None:
            raise SinkError("what answers is no collector of Splunk")


def _enveloped(data: bytes) -> bytes:
    made = record(data)
    seconds, micros = divmod(int(made["metadata"]["original_time"]), 1_000_000)
    return msgspec.json.encode(
        {"time": f"{seconds}.{micros:06d}", "source": "guardai", "sourcetype": "guardai:ocsf", "event": made}
    )


def _code(answer: Answer) -> int | None:
    try:
        return msgspec.json.decode(answer.body, type=_Said).code
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
