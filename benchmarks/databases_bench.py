"""Databases through their real drivers: a repeated statement, rows, and what a tracer adds that decides nothing."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.measure import Measure, Row

TITLE = "Databases"

POLICY = """
@id("all") permit (principal, action, resource);
@id("mail") @mask("redact") forbid (principal, action == Action::"reveal", resource == Label::"pii.email");
"""
CATALOG = '[columns]\n"people.mail" = ["pii.email"]\n"people.words" = ["dataset.words"]\n'
ROWS = 10_000
#: Ten columns, none of which anything in the catalog labels.
WIDE = ", ".join(f"n{n} INTEGER" for n in range(6)) + ", " + ", ".join(f"t{n} TEXT" for n in range(4))


def rows(measure: Measure) -> Iterator[Row]:
    import guardai

    many = 300 if measure.smoke else ROWS
    with tempfile.TemporaryDirectory() as scratch:
        policy = Path(scratch, "policy")
        (policy / "policies").mkdir(parents=True)
        (policy / "policies" / "bench.cedar").write_text(POLICY)
        (policy / "catalog.toml").write_text(CATALOG)
        # Before the gate is there: what is bare stays bare.
        bare = {"sqlite3": _filled(sqlite3.connect(":memory:"), "?", many), **_servers(many, bare=True)}
        guardai.init(integrations=["dbapi"], policy=policy)
        try:
            covered = {"sqlite3": _filled(sqlite3.connect(":memory:"), "?", many), **_servers(many, bare=False)}
            with guardai.session(agent="bench"):
                for driver, connection in covered.items():
                    yield from _driver(measure, driver, bare[driver], connection, many)
        finally:
            guardai.shutdown()
    yield from _tracers(measure)
    if "psycopg" not in bare:
        yield Row("psycopg, for which no server is here", "", *[math.nan] * 5)


def _driver(measure: Measure, driver: str, bare: Any, covered: Any, many: int) -> Iterator[Row]:
    mark = "?" if driver == "sqlite3" else "%s"

    def pair(sql: str, value: Callable[[], int]) -> tuple[Callable[[], object], Callable[[], object]]:
        def run(connection: Any) -> object:
            cursor = connection.cursor()
            cursor.execute(sql, (value(),))
            return cursor.fetchall()

        return lambda: run(bare), lambda: run(covered)

    yield measure.paired(
        f"{driver}: a statement seen before", *pair(f"SELECT n0 FROM wide WHERE id = {mark}", lambda: 5), limit=15
    )
    for what, sql, limit, rounds in (
        ("a row of numbers", "SELECT n0, n1 FROM wide", 0.15, 40),
        ("a row with a text cell, secrets looked for", "SELECT n0, t0 FROM wide", 0.3, 40),
        ("a text cell of 40 characters, scanned", "SELECT words FROM people", 0.7, 40),
        ("a cell masked by its column's label", "SELECT mail FROM people", 1.5, 20),
    ):
        runs = pair(f"{sql} WHERE id >= {mark}", _fewer())
        yield measure.paired(f"{driver}: {what}", *runs, limit=limit, rounds=rounds, per=many)
    wide = measure.paired(
        "", *pair(f"SELECT * FROM wide WHERE id >= {mark}", _fewer()), limit=None, rounds=10, per=many
    )
    yield Row(
        f"{driver}: {many:,} rows of 10 columns without a label, against the bare driver's time",
        "1.3 ×",
        *(1 + figure / wide.bare for figure in (wide.median, wide.mean, wide.p99)),
        0,
        1,
        1.3,
        "×",
    )


def _fewer() -> Callable[[], int]:
    """One row less each time: what is found in a text is remembered, and a result that was seen before would be free."""
    return partial(next, count())


def _filled(connection: Any, mark: str, many: int) -> Any:
    """The two tables; on a server temporary ones, of which nothing is left."""
    temporary = "" if mark == "?" else "TEMPORARY "
    cursor = connection.cursor()
    cursor.execute(f"CREATE {temporary}TABLE wide (id INTEGER PRIMARY KEY, {WIDE})")
    cursor.execute(f"CREATE {temporary}TABLE people (id INTEGER PRIMARY KEY, mail TEXT, words TEXT)")
    cursor.executemany(
        f"INSERT INTO wide VALUES ({', '.join([mark] * 11)})",
        [(n, *range(n, n + 6), *(f"text {n} of no kind {k}" for k in range(4))) for n in range(many)],
    )
    cursor.executemany(
        f"INSERT INTO people VALUES ({mark}, {mark}, {mark})",
        [(n, f"person{n}@example.com", f"{n:08} words about nothing in particular"[:40]) for n in range(many)],
    )
    connection.commit()
    return connection


def _servers(many: int, *, bare: bool) -> dict[str, Any]:
    """A connection for each driver whose server is here."""
    try:
        import psycopg

        address = os.environ.get("GUARDAI_BENCH_POSTGRES", "postgresql://postgres@127.0.0.1/postgres")
        connect, cursor = psycopg.Connection.connect, psycopg.Cursor
        if bare:
            connect, cursor = _whole(psycopg.Connection).connect, _whole(psycopg.Cursor)
        return {"psycopg": _filled(connect(address, connect_timeout=5, cursor_factory=cursor), "%s", many)}
    except Exception:  # the row says so
        return {}


def _whole(cls: Any) -> Any:
    """A subclass that has every method of its own, as they are now: what wraps the class's methods later does not reach it."""
    methods: dict[str, Any] = {}
    for base in reversed(cls.__mro__[:-1]):
        methods.update((name, found) for name, found in vars(base).items() if callable(found))
    for name in ("__new__", "__init_subclass__", "__class_getitem__"):
        methods.pop(name, None)
    return type(cls.__name__, (cls,), methods)


def _tracers(measure: Measure) -> Iterator[Row]:
    done = subprocess.run(
        [measure.peers, "-m", "benchmarks.peers.tracing", *(["--smoke"] if measure.smoke else [])],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    told = json.loads(done.stdout) if done.returncode == 0 else {}
    for driver in ("sqlite3", "psycopg"):
        if driver in told:
            yield Row(f"{driver}: a statement, {told[driver]['name']}", "", *told[driver]["figures"])
        else:
            yield Row(f"{driver}: OpenTelemetry's instrumentation, which is not installed", "", *[math.nan] * 5)
