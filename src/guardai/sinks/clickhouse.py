"""`clickhouse+https://HOST:8443/DATABASE/TABLE` and `clickhouse+http://…`: each event as a row, over ClickHouse's HTTP interface.

The table has to be there (docs/sinks.md): which engine, which partitions and how long is a matter of its owner. User and password come
from GUARDAI_CLICKHOUSE_USER and GUARDAI_CLICKHOUSE_PASSWORD, never from the URL.

A batch is one INSERT with a deduplication token of its first and last event, so one that comes again whole is there once; a table of the
engine ReplacingMergeTree ordered by `id` keeps apart what comes again otherwise.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote, urlencode, urlsplit

import msgspec

from guardai._version import __version__
from guardai.errors import ConfigError, SinkError, SinkRefused
from guardai.http import endpoint_of, retry_after
from guardai.model import shown
from guardai.sinks.columns import row
from guardai.sinks.http import check_status, post

__all__ = ["ClickHouseSink"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_CODE: Final = "x-clickhouse-exception-code"
#: Error codes about what was sent, of those that ClickHouse lists: cannot parse input, type mismatch, a violated constraint, and so on.
_MALFORMED: Final = frozenset({6, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 190, 469, 691})


class ClickHouseSink:
    """Inserts rows, and waits until they are written."""

    def __init__(self, url: str) -> None:
        endpoint = endpoint_of(url, "clickhouse")
        database, _, table = unquote(urlsplit(endpoint or "").path).strip("/").partition("/")
        if endpoint is None or not _NAME.fullmatch(database) or not _NAME.fullmatch(table):
            raise ConfigError(
                f"{shown(url)} is no table: write clickhouse+https://HOST:8443/DATABASE/TABLE, without user and query"
            )
        parts = urlsplit(endpoint)
        self._place = f"{parts.scheme}://{parts.netloc}/"
        self._insert = f"INSERT INTO {database}.{table} FORMAT JSONEachRow"
        self._headers = {"content-type": "application/x-ndjson", "user-agent": f"guardai/{__version__}"}
        for header, variable in (
            ("x-clickhouse-user", "GUARDAI_CLICKHOUSE_USER"),
            ("x-clickhouse-key", "GUARDAI_CLICKHOUSE_PASSWORD"),
        ):
            if value := os.environ.get(variable):
                self._headers[header] = value

    def deliver(self, events: Sequence[bytes], *, seconds: float = 30.0) -> None:
        """Inserts the events.

        Raises:
            SinkRefused: the server says that it will never take one of them.
            SinkError: it took none.
        """
        rows = [row(event) for event in events]
        asked = {
            "query": self._insert,
            "async_insert": "0",  # what is noted as delivered is written
            "date_time_input_format": "best_effort",
            "insert_deduplication_token": f"{rows[0]['id']}..{rows[-1]['id']}.{len(rows)}",
            "wait_end_of_query": "1",  # else an answer of 200 may be followed by a failure
        }
        body = b"\n".join(msgspec.json.encode(_fitting(one)) for one in rows)
        answer = post(f"{self._place}?{urlencode(asked)}", body, self._headers, seconds)
        code = answer.headers.get(_CODE, "")
        if code.isdigit() and int(code):
            # The server's own words may quote what is in the row.
            if int(code) in _MALFORMED:
                raise SinkRefused(f"the server answers {answer.status}, code {code}")
            raise SinkError(f"the server answers {answer.status}, code {code}", after=retry_after(answer))
        check_status(answer, "the server")


def _fitting(one: dict[str, Any]) -> dict[str, Any]:
    """A time in µs as DateTime64 reads it from text."""
    seconds, micros = divmod(one["ts"], 1_000_000)
    return {**one, "ts": f"{seconds}.{micros:06d}"}
