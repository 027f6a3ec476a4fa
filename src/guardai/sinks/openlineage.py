"""`openlineage+https://HOST`: calls as runs of OpenLineage (spec 2-0-2), posted to what keeps lineage: Marquez, DataHub, Dataplex, ….

Of other events there is nothing to tell. A key comes from OPENLINEAGE_API_KEY, as OpenLineage's own clients have it; never from the URL.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from guardai._version import __version__
from guardai.errors import ConfigError, SinkError
from guardai.http import endpoint_of
from guardai.model import shown
from guardai.sinks.http import check_status, post

__all__ = ["OpenLineageSink", "run_event"]

_PATH: Final = "/api/v1/lineage"
_KEY: Final = "OPENLINEAGE_API_KEY"
_NAMESPACE: Final = "guardai"
_PRODUCER: Final = "urn:guardai:events:1"
_SPEC: Final = "https://openlineage.io/spec"
_EVENT: Final = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
#: How a run ends, by how the call did.
_ENDS: Final = {"ok": "COMPLETE", "error": "FAIL", "unknown": "FAIL"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class OpenLineageSink:
    """Posts one event after the other. One that comes again says the same of the same run."""

    def __init__(self, url: str) -> None:
        endpoint = endpoint_of(url, "openlineage")
        if endpoint is None:
            raise ConfigError(
                f"{shown(url)} is no receiver: write openlineage+https://HOST, without user and query; a key goes into {_KEY}"
            )
        self._url = endpoint if urlsplit(endpoint).path.strip("/") else f"{endpoint.rstrip('/')}{_PATH}"
        self._headers = {"content-type": "application/json", "user-agent": f"guardai/{__version__}"}
        if key := os.environ.get(_KEY):
            self._headers["authorization"] = f"Bearer {key}"

    def deliver(self, events: Sequence[bytes], *, seconds: float = 30.0) -> None:
        """Posts what is to be told of the events.

        Raises:
            SinkRefused: the receiver says that it will never take one of them.
            SinkError: it did not take them all.
        """
        until = time.monotonic() + seconds
        for data in events:
            made = run_event(data)
            if made is None:
                continue
            if time.monotonic() > until:
                raise SinkError("no answer in time")
            answer = post(self._url, msgspec.json.encode(made), self._headers, max(0.1, until - time.monotonic()))
            check_status(answer, "the receiver")


def run_event(data: bytes) -> dict[str, Any] | None:
    """An event of a call as OpenLineage has it: a pure function of the stored bytes. None of any other."""
    event: dict[str, Any] = json.loads(data)
    if event["kind"] not in ("call.intent", "call.outcome"):
        return None
    principal, body = event.get("principal") or {}, event.get("body") or {}
    agent, session = principal.get("agent") or "unknown", event.get("session") or "none"
    begins = event["kind"] == "call.intent"
    facets: dict[str, Any] = {
        "parent": {
            **_facet("1-0-1/ParentRunFacet.json"),
            "run": {"runId": _run(f"session:{session}")},
            "job": {"namespace": _NAMESPACE, "name": agent},
        },
        "guardai": {
            **_facet("2-0-2/OpenLineage.json#/$defs/RunFacet", base=_SPEC),
            "id": event["id"],
            "log": event["log"],
            "user": principal.get("user") or "unknown",
            "decision": event.get("decision") or {},
            "findings": event.get("findings") or {},
            "from": [one["from"] for one in event.get("lineage") or () if isinstance(one, dict) and "from" in one],
        },
    }
    if error := body.get("error"):
        facets["errorMessage"] = {
            **_facet("1-0-0/ErrorMessageRunFacet.json"),
            "message": error,
            "programmingLanguage": "python",
        }
    resources = [
        one for one in event.get("resource") or () if isinstance(one, dict) and isinstance(one.get("uri"), str)
    ]
    return {
        "eventType": "START" if begins else _ENDS.get(event.get("status", ""), "ABORT"),
        "eventTime": (_EPOCH + timedelta(microseconds=event["ts"])).isoformat(timespec="microseconds"),
        "producer": _PRODUCER,
        "schemaURL": _EVENT,
        "run": {"runId": _run(f"call:{session}:{event['call']}"), "facets": facets},
        "job": {"namespace": _NAMESPACE, "name": f"{agent}.{event['action']}"},
        "inputs": [_dataset(one) for one in resources if one.get("dir") == "read"],
        "outputs": [_dataset(one) for one in resources if one.get("dir") != "read"],
    }


def _dataset(resource: Mapping[str, Any]) -> dict[str, Any]:
    """A table in its database; a model, a tool or an index at its host."""
    uri = str(resource["uri"])
    namespace, _, name = uri.partition("#")
    if not name:
        parts = urlsplit(uri)
        namespace, name = f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/") or parts.netloc or uri
    made: dict[str, Any] = {"namespace": namespace, "name": name}
    if columns := resource.get("columns"):
        made["facets"] = {
            "schema": {**_facet("1-1-1/SchemaDatasetFacet.json"), "fields": [{"name": column} for column in columns]}
        }
    return made


def _facet(schema: str, *, base: str = f"{_SPEC}/facets") -> dict[str, str]:
    return {"_producer": _PRODUCER, "_schemaURL": f"{base}/{schema}"}


def _run(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:guardai:{name}"))
