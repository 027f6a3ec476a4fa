"""An event as a log record of OpenTelemetry: a pure function of the stored bytes, so anyone can make it again.

The record's body is the event's exact bytes. Its attributes are what one searches by: `gen_ai.*` after the semantic
conventions for generative AI where they have a name for it, `guardai.*` for the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

__all__ = ["record", "request"]

_INFO: Final = (SeverityNumber.SEVERITY_NUMBER_INFO, "INFO")
_WARN: Final = (SeverityNumber.SEVERITY_NUMBER_WARN, "WARN")
_ERROR: Final = (SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR")
#: Of outcomes by status, of intents by effect, of other records by kind; whatever is not here is INFO.
_SEVERITY: Final = {
    "abandoned": _WARN,
    "cancelled": _WARN,
    "denied": _WARN,
    "deny": _WARN,
    "error": _ERROR,
    "gap": _ERROR,
    "recovered": _WARN,
    "unknown": _WARN,
    "withheld": _WARN,
}
#: gen_ai.operation.name
_OPERATIONS: Final = {
    "llm.embed": "embeddings",
    "llm.generate": "chat",
    "mcp.call": "execute_tool",
    "retrieval.query": "retrieval",
    "tool.call": "execute_tool",
}
#: Where in an event (a path) what stands under which name.
_NAMES: Final = (
    (("id",), "log.record.uid"),
    (("principal", "user"), "user.id"),
    (("principal", "agent"), "gen_ai.agent.name"),
    (("session",), "gen_ai.conversation.id"),
    (("model", "provider"), "gen_ai.provider.name"),
    (("model", "requested"), "gen_ai.request.model"),
    (("model", "responded"), "gen_ai.response.model"),
    (("model", "host"), "server.address"),
    (("model", "region"), "guardai.model.region"),
    (("body", "error"), "error.type"),
    (("action",), "guardai.action"),
    (("call",), "guardai.call"),
    (("decision", "bundle"), "guardai.decision.bundle"),
    (("decision", "effect"), "guardai.decision.effect"),
    (("decision", "mode"), "guardai.decision.mode"),
    (("decision", "policies"), "guardai.decision.policies"),
    (("decision", "reason"), "guardai.decision.reason"),
    (("dur",), "guardai.duration_us"),
    (("id",), "guardai.id"),
    (("key",), "guardai.key"),
    (("kind",), "guardai.kind"),
    (("log",), "guardai.log.id"),
    (("prev",), "guardai.log.prev"),
    (("seq",), "guardai.log.seq"),
    (("parent",), "guardai.parent"),
    (("principal", "assurance"), "guardai.principal.assurance"),
    (("principal", "kind"), "guardai.principal.kind"),
    (("status",), "guardai.status"),
    (("v",), "guardai.version"),
)
#: gen_ai.usage.*: what providers call the same.
_USAGE: Final = (
    ("input_tokens", ("input_tokens", "prompt_tokens")),
    ("output_tokens", ("output_tokens", "completion_tokens")),
)
_TOOL: Final = "tool://"
#: OTLP's integers have 64 bits; an event's have 53.
_MOST: Final = 2**63


def request(events: Iterable[bytes]) -> bytes:
    """The events as one ExportLogsServiceRequest."""
    scope = ScopeLogs(scope=InstrumentationScope(name="guardai"), log_records=[record(event) for event in events])
    resource = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="guardai"))])
    sent: bytes = ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[scope])]
    ).SerializeToString(deterministic=True)
    return sent


def record(data: bytes) -> LogRecord:
    """One event. It is a JSON object, because it is sealed."""
    event: dict[str, Any] = json.loads(data)
    number, text = _severity(event)
    time = int(event["ts"]) * 1000
    made = LogRecord(
        time_unix_nano=time,
        observed_time_unix_nano=time,
        severity_number=number,
        severity_text=text,
        body=AnyValue(string_value=data.decode()),
        attributes=[KeyValue(key=key, value=value) for key, value in sorted(_attributes(event).items())],
        event_name=f"guardai.{event['kind']}",
    )
    trace = event.get("trace")
    if isinstance(trace, dict):
        made.trace_id, made.span_id = _id(trace.get("trace_id"), 16), _id(trace.get("span_id"), 8)
    return made


def _severity(event: Mapping[str, Any]) -> tuple[SeverityNumber.ValueType, str]:
    effect = (event.get("decision") or {}).get("effect", "") if event["kind"] == "call.intent" else ""
    for word in (event.get("status", ""), effect, event["kind"]):
        if word in _SEVERITY:
            return _SEVERITY[word]
    return _INFO


def _attributes(event: Mapping[str, Any]) -> dict[str, AnyValue]:
    found: dict[str, AnyValue] = {}
    for path, name in _NAMES:
        value: Any = event
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        _put(found, name, value)
    _put(found, "gen_ai.operation.name", _OPERATIONS.get(event.get("action", "")))
    resources = [one for one in event.get("resource") or () if isinstance(one, dict)]
    _put(found, "guardai.resource", [one["uri"] for one in resources if isinstance(one.get("uri"), str)])
    _put(found, "gen_ai.tool.name", next(_tools(resources), None))
    usage = event.get("usage") or {}
    for name, spellings in _USAGE:
        _put(found, f"gen_ai.usage.{name}", next((usage[one] for one in spellings if one in usage), None))
    for label, count in (event.get("findings") or {}).items():
        _put(found, f"guardai.findings.{label}", count)
    for label, mask in ((event.get("decision") or {}).get("masks") or {}).items():
        _put(found, f"guardai.masks.{label}", mask)
    return found


def _tools(resources: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in resources:
        uri = one.get("uri")
        if isinstance(uri, str) and uri.startswith(_TOOL):
            yield uri.removeprefix(_TOOL)


def _put(found: dict[str, AnyValue], name: str, value: object) -> None:
    """Adds what there is; an empty text or list is none."""
    if isinstance(value, bool):
        found[name] = AnyValue(bool_value=value)
    elif isinstance(value, int) and -_MOST <= value < _MOST:
        found[name] = AnyValue(int_value=value)
    elif isinstance(value, str) and value:
        found[name] = AnyValue(string_value=value)
    elif isinstance(value, list) and value:
        values = [AnyValue(string_value=one if isinstance(one, str) else json.dumps(one)) for one in value]
        found[name] = AnyValue(array_value=ArrayValue(values=values))


def _id(value: object, size: int) -> bytes:
    """An id of W3C Trace Context; nothing if it is none. All zeros is none."""
    if isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{size * 2}}}", value) and value.strip("0"):
        return bytes.fromhex(value)
    return b""
