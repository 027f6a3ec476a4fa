"""`cloudevents+https://host/path` and `cloudevents+http://…`: events as a batch of CloudEvents 1.0, posted to a web hook.

After the HTTP protocol binding, 3.3 (batched content mode), and the JSON format, 4. A key for the receiver comes from
GUARDAI_CLOUDEVENTS_HEADERS and never from the URL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from guardai._version import __version__
from guardai.errors import ConfigError
from guardai.http import endpoint_of, headers_from
from guardai.model import shown
from guardai.sinks.http import check_status, post

__all__ = ["CloudEventsSink", "batch"]

_KEYS: Final = "GUARDAI_CLOUDEVENTS_HEADERS"
_TYPE: Final = "application/cloudevents-batch+json; charset=utf-8"
_PARENT: Final = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CloudEventsSink:
    """Posts events. The receiver keeps one that comes again apart by `source` and `id`."""

    def __init__(self, url: str) -> None:
        endpoint = endpoint_of(url, "cloudevents")
        if endpoint is None:
            raise ConfigError(
                f"{shown(url)} is no web hook: write cloudevents+https://host/path, without user and query; "
                f"keys go into {_KEYS}"
            )
        self._url = endpoint
        self._headers = {**headers_from(_KEYS), "content-type": _TYPE, "user-agent": f"guardai/{__version__}"}

    def deliver(self, events: Sequence[bytes], *, seconds: float = 30.0) -> None:
        """Posts the events as one request.

        Raises:
            SinkRefused: the receiver says that it will never take one of them.
            SinkError: it took none.
        """
        check_status(post(self._url, batch(events), self._headers, seconds), "the receiver")


def batch(events: Sequence[bytes]) -> bytes:
    """The events as CloudEvents: a pure function of the stored bytes, which are the `data` of each as they are."""
    return msgspec.json.encode([_cloud_event(event) for event in events])


class _Needed(msgspec.Struct):
    id: str
    kind: str
    log: str
    seq: int
    ts: int
    v: int
    session: str = ""
    trace: dict[str, Any] | None = None


_decode: Final = msgspec.json.Decoder(_Needed).decode


def _cloud_event(data: bytes) -> dict[str, object]:
    event = _decode(data)
    made: dict[str, object] = {
        "specversion": "1.0",
        "id": event.id,
        "source": f"urn:guardai:log:{event.log}",
        "type": f"dev.guardai.{event.kind}.v{event.v}",
        "time": (_EPOCH + timedelta(microseconds=event.ts)).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        # The extension `sequence`: a string that sorts as the numbers do.
        "sequence": f"{event.seq:016d}",
        "data": msgspec.Raw(data),
    }
    if event.session:
        made["subject"] = event.session
    trace = event.trace or {}
    # The extension for distributed tracing; whether it was sampled is not known here.
    parent = f"00-{trace.get('trace_id')}-{trace.get('span_id')}-00"
    if _PARENT.fullmatch(parent):
        made["traceparent"] = parent
    return made
