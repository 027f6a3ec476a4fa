"""ClickHouse: what a table holds after a delivery, at a server that checks what ClickHouse's HTTP interface documents."""

import json
import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from services import served

from guardai import ConfigError, SinkError, SinkRefused
from guardai.sinks import open_sink

COLUMNS = {
    "id": str, "log": str, "seq": int, "ts": "DateTime64(6)", "kind": str, "action": str, "session": str, "call": str, "person": str,
    "agent": str, "effect": str, "status": str, "event": str,
}  # fmt: skip


class Table:
    """A server with the one table `audit.events`, of the engine ReplacingMergeTree ordered by `id`."""

    def __init__(self):
        self.rows, self.tokens, self.asked = {}, [], []
        self.users = {"default": ""}
        self.broken = None

    def answer(self, path, headers, body):
        """Status, code of the exception, and what it says."""
        if self.broken:
            return self.broken
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query, strict_parsing=True).items()}
        self.asked.append(asked)
        user = headers.get("x-clickhouse-user", "default")
        if self.users.get(user) != headers.get("x-clickhouse-key", ""):
            return 403, 516, f"{user}: Authentication failed"
        insert = re.fullmatch(r"INSERT INTO (\w+)\.(\w+) FORMAT JSONEachRow", asked.pop("query"))
        if insert is None:
            return 400, 62, "Syntax error"
        if insert.groups() != ("audit", "events"):
            return 404, 60, f"Table {insert[1]}.{insert[2]} does not exist"
        known = {"async_insert", "date_time_input_format", "insert_deduplication_token", "wait_end_of_query"}
        if asked.keys() - known:
            return 404, 115, "Unknown setting"
        rows = []
        for line in body.splitlines():
            row = json.loads(line)
            if row.keys() - COLUMNS.keys():
                return 400, 117, f"Unknown field found while parsing JSONEachRow format: {row}"
            for name, value in row.items():
                if COLUMNS[name] == "DateTime64(6)":
                    if not re.fullmatch(r"\d{9,10}\.\d{6}", value):
                        return 400, 41, f"Cannot parse DateTime64: {value}"
                    row[name] = datetime.fromtimestamp(float(value), UTC)
                elif not isinstance(value, COLUMNS[name]):
                    return 400, 27, f"Cannot parse input: {value}"
            if '"refuse":1' in row["event"]:
                return 500, 469, f"Constraint violated: {row}"
            rows.append(row)
        if asked["insert_deduplication_token"] not in self.tokens:
            self.tokens.append(asked["insert_deduplication_token"])
            self.rows |= {row["id"]: row for row in rows}
        return 200, 0, ""


@pytest.fixture
def table():
    made = Table()

    def answer(path, headers, body):
        status, code, says = made.answer(path, headers, body)
        if not code:
            return status, {}, b""
        return status, {"X-ClickHouse-Exception-Code": str(code)}, f"Code: {code}. DB::Exception: {says}".encode()

    with served(answer) as place:
        made.url = f"clickhouse+{place}/audit/events"
        yield made


def event(n, **more):
    given = {"id": f"a-{n:x}", "kind": "test.note", "log": "a", "seq": n, "ts": 1_700_000_000_000_001 + n, **more}
    return json.dumps(given, separators=(",", ":")).encode()


def test_every_event_is_a_row_with_its_exact_bytes_and_columns_to_search_by(table):
    full = event(
        1, action="db.read", call="c", session="s", status="ok", principal={"agent": "bot", "user": "ann"}, decision={"effect": "allow"}
    )  # fmt: skip
    open_sink(table.url).deliver([full, event(2)])
    first, second = table.rows.values()
    assert first.pop("event").encode() == full
    assert first.pop("ts") == datetime(2023, 11, 14, 22, 13, 20, 2, UTC)
    assert first == {
        "id": "a-1", "log": "a", "seq": 1, "kind": "test.note", "action": "db.read", "session": "s", "call": "c", "person": "ann",
        "agent": "bot", "effect": "allow", "status": "ok",
    }  # fmt: skip
    assert (second["action"], second["person"], second["effect"]) == ("", "", "")


def test_batch_that_comes_again_is_there_once_and_is_written_when_it_is_answered(table):
    sink = open_sink(table.url)
    for events in ([event(1), event(2)], [event(1), event(2)], [event(2), event(3)]):
        sink.deliver(events)
    assert len(table.tokens) == 2
    assert list(table.rows) == ["a-1", "a-2", "a-3"]
    assert all((one["async_insert"], one["wait_end_of_query"]) == ("0", "1") for one in table.asked)


def test_whole_ledger_goes_through_the_pump_to_the_table(table, whole_ledger):
    events = whole_ledger(table.url)
    assert {row["event"].encode() for row in table.rows.values()} == events


def test_row_that_the_table_refuses_is_refused_without_its_words(table):
    with pytest.raises(SinkRefused) as told:
        open_sink(table.url).deliver([event(1, body={"refuse": 1})])
    assert str(told.value) == "the server answers 500, code 469"


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ((404, 60, "Table audit.s3cret does not exist"), "the server answers 404, code 60"),
        ((500, 241, "Memory limit exceeded: s3cret"), "the server answers 500, code 241"),
        ((200, 159, "Timeout exceeded, after the headers: s3cret"), "the server answers 200, code 159"),
        ((503, 0, ""), "the server answers 503"),
        ((302, 0, ""), "the server answers 302"),
    ],
)
def test_failure_leaves_the_events_waiting_and_tells_no_word_of_the_server(table, broken, says):
    table.broken = broken
    with pytest.raises(SinkError) as told:
        open_sink(table.url).deliver([event(1)])
    assert (type(told.value), str(told.value)) == (SinkError, says)


def test_user_and_password_come_from_the_environment(table, monkeypatch):
    table.users = {"writer": "s3cret"}
    with pytest.raises(SinkError, match="403, code 516"):
        open_sink(table.url).deliver([event(1)])
    monkeypatch.setenv("GUARDAI_CLICKHOUSE_USER", "writer")
    monkeypatch.setenv("GUARDAI_CLICKHOUSE_PASSWORD", "s3cret")
    open_sink(table.url).deliver([event(1)])
    assert list(table.rows) == ["a-1"]


@pytest.mark.parametrize(
    "url",
    [
        "clickhouse+https://host/database", "clickhouse+https://host/data base/t", "clickhouse+https://host/d/t;drop",
        "clickhouse+https://user:secret@host/d/t", "clickhouse+https://host/d/t?password=secret", "clickhouse+ftp://host/d/t",
    ],
)  # fmt: skip
def test_url_that_names_no_table_is_refused_without_its_secrets(url):
    from guardai.sinks.clickhouse import ClickHouseSink

    with pytest.raises(ConfigError) as told:
        ClickHouseSink(url)
    assert "secret" not in str(told.value)
