"""An event as OCSF 1.9 has it (https://schema.ocsf.io): a pure function of the stored bytes, so anyone can make it again.

Calls on databases are Datastore Activity (6005), other calls API Activity (6003), the rest Base Event. The profiles `ai_operation`,
`security_control` and `record_integrity` hold the agent and the model, what policy decided, and the place in the log; `raw_data` the exact bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["record"]

_VERSION: Final = "1.9.0"
#: category, class
_BASE: Final = (0, 0)
_API: Final = (6, 6003)
_DATASTORE: Final = (6, 6005)
_OTHER: Final = 99
#: Action → activity of its class: 4 is Query, 5 Write, 7 Delete of a datastore; 2 is Read of an API.
_ACTIVITIES: Final = {"db.read": 4, "db.write": 5, "db.destroy": 7, "retrieval.query": 2}
_INFORMATIONAL, _MEDIUM, _HIGH = 1, 3, 4
#: Of outcomes by status, of intents by effect, of other records by kind; whatever is not here is informational.
_SEVERITY: Final = {
    "abandoned": _MEDIUM,
    "cancelled": _MEDIUM,
    "denied": _MEDIUM,
    "deny": _MEDIUM,
    "error": _HIGH,
    "gap": _HIGH,
    "recovered": _MEDIUM,
    "unknown": _MEDIUM,
    "withheld": _MEDIUM,
}
_SUCCESS, _FAILURE, _UNKNOWN = 1, 2, 0
_STATUS: Final = {"ok": _SUCCESS, "abandoned": _UNKNOWN, "unknown": _UNKNOWN}
#: Effect → action and disposition: Allowed, Blocked, Delayed.
_CONTROL: Final = {"allow": (1, 1), "deny": (2, 2), "pause": (_OTHER, 14)}
_OBSERVED, _MODIFIED = 3, 4
#: By what the integrity of a record is told: RFC 6962's leaf hash is SHA-256 of a zero byte and the bytes.
_LEAF: Final = "SHA-256 of 0x00 and the bytes (RFC 6962 leaf hash)"
_HEX, _JCS = 1, 2
#: usage: what providers call the same.
_TOKENS: Final = (
    ("prompt_tokens", ("input_tokens", "prompt_tokens")),
    ("completion_tokens", ("output_tokens", "completion_tokens")),
    ("total_tokens", ("total_tokens",)),
)


def record(data: bytes) -> dict[str, Any]:
    """One event. It is a JSON object, because it is sealed."""
    event: dict[str, Any] = json.loads(data)
    action, kind = event.get("action", ""), event["kind"]
    category, class_uid = (_DATASTORE if action.startswith("db.") else _API) if kind.startswith("call.") else _BASE
    activity = _ACTIVITIES.get(action, _OTHER)
    principal = event.get("principal") or {}
    made: dict[str, Any] = {
        "category_uid": category,
        "class_uid": class_uid,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "activity_name": action or kind,
        "time": event["ts"] // 1000,
        "severity_id": _severity(event),
        "message": " ".join(filter(None, (kind, action, event.get("status", "")))),
        "metadata": {
            "version": _VERSION,
            "uid": event["id"],
            "log_name": event["log"],
            "sequence": event["seq"],
            "original_time": str(event["ts"]),
            "event_code": kind,
            "profiles": ["ai_operation", "record_integrity", "security_control"],
            "product": {"name": "guardai", "vendor_name": "guardai", "version": str(event["v"])},
        },
        "actor": {
            "user": {"name": principal.get("user") or "unknown"},
            "app_name": principal.get("agent") or "unknown",
        },
        "attestation_list": [_attestation(event, data)],
        "raw_data": data.decode(),
        "raw_data_size": len(data),
    }
    if session := event.get("session"):
        made["actor"]["session"] = {"uid": session}
    if call := event.get("call"):
        made["metadata"]["correlation_uid"] = call
    if class_uid:
        made |= _call(event)
    return made


def _severity(event: Mapping[str, Any]) -> int:
    effect = (event.get("decision") or {}).get("effect", "") if event["kind"] == "call.intent" else ""
    return next(
        (_SEVERITY[word] for word in (event.get("status", ""), effect, event["kind"]) if word in _SEVERITY),
        _INFORMATIONAL,
    )


def _call(event: Mapping[str, Any]) -> dict[str, Any]:
    principal, body = event.get("principal") or {}, event.get("body") or {}
    uris = [one for one in event.get("resource") or () if isinstance(one, dict) and isinstance(one.get("uri"), str)]
    made: dict[str, Any] = {
        # The process that acted is known by its log alone.
        "src_endpoint": {"uid": event["log"], "name": principal.get("agent") or "unknown"},
        "ai_agent": {"name": principal.get("agent") or "unknown", "uid": principal.get("agent") or "unknown"},
    }
    if event["action"].startswith("db."):
        first = uris[0]["uri"] if uris else "unknown"
        database, _, table = first.partition("#")
        made["database"] = {"name": database, "uid": database, "type_id": 0}
        if table:
            made["table"] = {"name": table, "uid": first}
    else:
        made["api"] = {"operation": event["action"]}
        made["resources"] = [{"uid": one["uri"], "name": one["uri"]} for one in uris]
        if error := body.get("error"):
            made["api"]["response"] = {"error": error}
    if model := event.get("model"):
        made["ai_model"] = {
            "ai_provider": model.get("provider") or "unknown",
            "name": model.get("requested") or "unknown",
        }
        if responded := model.get("responded"):
            made["ai_model"]["version"] = responded
        usage = event.get("usage") or {}
        tokens = {name: next((usage[one] for one in spelt if one in usage), None) for name, spelt in _TOKENS}
        made["message_context"] = {
            "application": principal.get("agent") or "unknown",
            **({"uid": event["session"]} if event.get("session") else {}),
            **{name: count for name, count in tokens.items() if count is not None},
        }
    if event["kind"] == "call.outcome":
        status = event.get("status", "")
        made |= {"status_id": _STATUS.get(status, _FAILURE), "status_code": status}
        made["status"] = {_SUCCESS: "Success", _FAILURE: "Failure", _UNKNOWN: "Unknown"}[made["status_id"]]
        if error := body.get("error"):
            made["status_detail"] = error
    if decision := event.get("decision"):
        made |= _decided(decision)
    return made


def _decided(decision: Mapping[str, Any]) -> dict[str, Any]:
    action, disposition = _CONTROL.get(decision.get("effect", ""), (_OTHER, _OTHER))
    if decision.get("mode") == "observe":
        action, disposition = _OBSERVED, 17
    elif action == 1 and any((decision.get("masks") or {}).values()):
        action, disposition = _MODIFIED, 11
    made: dict[str, Any] = {"action_id": action, "disposition_id": disposition, "is_alert": action == 2}
    if action == _OTHER:
        made["action"] = str(decision.get("effect", ""))
    if bundle := decision.get("bundle"):
        made["policy"] = {
            "uid": bundle,
            "name": ", ".join(decision.get("policies") or ()) or "none",
            "is_applied": True,
        }
        if reason := decision.get("reason"):
            made["policy"]["desc"] = reason
    return made


def _attestation(event: Mapping[str, Any], data: bytes) -> dict[str, Any]:
    made: dict[str, Any] = {
        "uid": event["id"],
        "authority_uid": event["key"],
        "chain_uid": event["log"],
        "fingerprint": _fingerprint(hashlib.sha256(b"\0" + data).hexdigest()),
    }
    if event["seq"]:
        before = f"{event['log']}-{event['seq'] - 1:x}"
        made["prev_event"] = {"uid": before, "fingerprint": _fingerprint(event["prev"])}
    return made


def _fingerprint(value: str) -> dict[str, Any]:
    return {
        "algorithm_id": _OTHER,
        "algorithm": _LEAF,
        "encoding_id": _HEX,
        "serialization_id": _JCS,
        "value": value,
    }
