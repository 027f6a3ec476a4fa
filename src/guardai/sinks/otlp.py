"""`otlp+http://host:4318/v1/logs` and `otlp+https://…`: each event as a log record of OpenTelemetry, over OTLP/HTTP.

After opentelemetry.io/docs/specs/otlp: binary protobuf, gzip. Headers, for a key of the backend say, come from
OTEL_EXPORTER_OTLP_HEADERS or OTEL_EXPORTER_OTLP_LOGS_HEADERS and never from the URL.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from guardai._version import __version__
from guardai.errors import ConfigError, SinkError, SinkRefused
from guardai.http import Answer, endpoint_of, headers_from
from guardai.model import shown
from guardai.sinks.http import check_status, post

__all__ = ["OtlpSink"]

_PATH: Final = "/v1/logs"
_TYPE: Final = "application/x-protobuf"


class OtlpSink:
    """Sends events as `otlp_record` maps them. The collector keeps an event that comes again apart by `log.record.uid`."""

    def __init__(self, url: str) -> None:
        try:
            from guardai.sinks.otlp_record import request
        except ImportError as exc:
            raise ConfigError("otlp sinks need opentelemetry-proto: pip install 'guardai-sdk[otlp]'") from exc
        self._request = request
        endpoint = endpoint_of(url, "otlp")
        if endpoint is None:
            raise ConfigError(
                f"{shown(url)} is no OTLP endpoint: write otlp+https://host:4318/v1/logs, without user and query; "
                "keys go into OTEL_EXPORTER_OTLP_HEADERS"
            )
        self._url = endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + _PATH
        self._keys = {**headers_from("OTEL_EXPORTER_OTLP_HEADERS"), **headers_from("OTEL_EXPORTER_OTLP_LOGS_HEADERS")}
        self._headers = {
            **self._keys,
            "accept-encoding": "identity",
            "content-encoding": "gzip",
            "content-type": _TYPE,
            "user-agent": f"guardai/{__version__}",
        }

    def deliver(self, events: Sequence[bytes], *, seconds: float = 30.0) -> None:
        """Posts the events as one request.

        Raises:
            SinkRefused: the collector says that it will never take one of them (or, in a partial success, that it has not
                taken some, and does not say which).
            SinkError: it took none, or did not answer as a collector does.
        """
        body = gzip.compress(self._request(events), compresslevel=1, mtime=0)
        answer = post(self._url, body, self._headers, seconds)
        check_status(answer, "the collector")
        self._check_success(answer)

    def _check_success(self, answer: Answer) -> None:
        """A 200 of something that is no collector must not count as delivered."""
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

        told = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if told != _TYPE:
            raise SinkError(f"what answers is no collector: it sends {told[:60] or 'no type'} and not {_TYPE}")
        try:
            success = ExportLogsServiceResponse.FromString(answer.body)
        except DecodeError:
            raise SinkError("what answers is no collector: its answer cannot be read") from None
        partial = success.partial_success
        if partial.rejected_log_records:
            why = partial.error_message
            for secret in filter(None, self._keys.values()):  # a server may tell what it was told
                why = why.replace(secret, "…")
            raise SinkRefused(f"the collector rejected {partial.rejected_log_records} records: {why}")
