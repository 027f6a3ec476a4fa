"""The span of OpenTelemetry in which a call is made: who traces finds the events of a span, and the span of an event."""

from __future__ import annotations

import logging
import sys
from typing import Final

__all__ = ["current_span"]

_log: Final = logging.getLogger("guardai")


def current_span() -> dict[str, str] | None:
    """`trace_id` and `span_id` in hex, as W3C Trace Context writes them; None where nobody traces.

    OpenTelemetry is looked at only where the program has imported it. What is wrong with a tracer stops no call: a trace is no evidence.
    """
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    try:
        context = api.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return {"span_id": f"{context.span_id:016x}", "trace_id": f"{context.trace_id:032x}"}
    except Exception as exc:  # half imported, or somebody's own tracer
        _log.debug("the current span could not be read: %s", type(exc).__name__)
        return None
