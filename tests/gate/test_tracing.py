"""Events name the span of OpenTelemetry in which their call was made."""

import sys
from types import SimpleNamespace

import msgspec
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import format_span_id, format_trace_id

import guardai
from guardai.hooks import Call, Target, opened
from guardai.ledger import events

CALL = Call("tool.call", Target("tool", "", "lookup"), payload={"q": "x"})


@pytest.fixture
def traces(home):
    """Makes what it is told, and gives back the traces of the call's events."""

    def made(work):
        guardai.init(home=home, integrations=[])
        with guardai.session(agent="a"):
            work()
        guardai.shutdown()
        told = [msgspec.json.decode(data) for data in events(home)]
        return [event.get("trace") for event in told if event["kind"].startswith("call.")]

    return made


def test_both_events_name_the_span_of_the_call_even_if_it_ends_in_another(traces):
    tracer, spans = TracerProvider().get_tracer("test"), []

    def work():
        with tracer.start_as_current_span("outer") as span:
            spans.append(span.get_span_context())
            ticket = opened(CALL)
            with tracer.start_as_current_span("inner"):
                ticket.close("y")

    expected = traces(work)
    context = spans[0]
    named = {"span_id": format_span_id(context.span_id), "trace_id": format_trace_id(context.trace_id)}
    assert expected == [named, named]


def test_no_span_is_named_outside_of_one(traces):
    assert traces(lambda: opened(CALL).close("y")) == [None, None]


def test_no_span_is_named_where_opentelemetry_is_not_imported_and_it_is_not_imported_for_that(traces, monkeypatch):
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert traces(lambda: opened(CALL).close("y")) == [None, None]
    assert "opentelemetry.trace" not in sys.modules


def test_broken_tracer_stops_no_call(traces, monkeypatch):
    def raising():
        raise RuntimeError("broken")

    monkeypatch.setattr(trace, "get_current_span", raising)
    assert traces(lambda: opened(CALL).close("y")) == [None, None]


def test_half_imported_opentelemetry_stops_no_call(traces, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", SimpleNamespace())
    assert traces(lambda: opened(CALL).close("y")) == [None, None]
