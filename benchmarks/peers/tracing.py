"""What OpenTelemetry's instrumentations add to a statement: a span each, handed to a batch processor, nothing decided.

`python -m benchmarks.peers.tracing`: one JSON object, driver → name with version and the added times in µs. A driver whose
instrumentation is not installed, or whose server is not there, is left out.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

from benchmarks.measure import Measure

_ONE = "SELECT n FROM guardai_bench WHERE id = {}"
_MAKE = ("CREATE TABLE guardai_bench (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO guardai_bench VALUES (5, 6)")


def _sqlite() -> tuple[str, Callable[[], object], Callable[[], object]]:
    import _sqlite3
    import sqlite3

    from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

    SQLite3Instrumentor().instrument()
    return "opentelemetry-instrumentation-sqlite3", *_pair(
        _sqlite3.connect(":memory:"), sqlite3.connect(":memory:"), "?"
    )


def _psycopg() -> tuple[str, Callable[[], object], Callable[[], object]]:
    import psycopg
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor

    address = os.environ.get("GUARDAI_BENCH_POSTGRES", "postgresql://postgres@127.0.0.1/postgres")
    bare = psycopg.connect(address)
    PsycopgInstrumentor().instrument()
    return "opentelemetry-instrumentation-psycopg", *_pair(bare, psycopg.connect(address), "%s")


def _pair(bare: Any, traced: Any, mark: str) -> tuple[Callable[[], object], Callable[[], object]]:
    for connection in (bare, traced):
        for statement in _MAKE:
            # The table is a temporary one, so that nothing of it is left on a server.
            connection.cursor().execute(statement.replace("CREATE TABLE", "CREATE TEMPORARY TABLE"))
    one = _ONE.format(mark)

    def run(connection: Any) -> object:
        cursor = connection.cursor()
        cursor.execute(one, (5,))
        return cursor.fetchall()

    return lambda: run(bare), lambda: run(traced)


def main() -> int:
    measure = Measure(smoke="--smoke" in sys.argv)
    told: dict[str, dict[str, object]] = {}
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    except ImportError:
        json.dump(told, sys.stdout)
        return 0

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    trace.set_tracer_provider(provider)
    for driver, make in (("sqlite3", _sqlite), ("psycopg", _psycopg)):
        try:
            distribution, bare, traced = make()
        except Exception:  # noqa: S112 - not installed, or no server: left out, and told as not measured
            continue
        row = measure.paired(driver, bare, traced, limit=None)
        told[driver] = {
            "name": f"{distribution} {metadata.version(distribution)}",
            "figures": [row.median, row.mean, row.p99, row.cpu, row.bare],
        }
    provider.shutdown()
    json.dump(told, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
