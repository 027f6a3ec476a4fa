"""PostgreSQL, whichever driver speaks to it: its address, what its errors mean, and what its tables are."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Generator
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from guardai.hooks import LiveSchema, Target

__all__ = [
    "DIALECT",
    "READING",
    "SAVEPOINT",
    "UNMOVED",
    "Known",
    "changed",
    "controls",
    "fresh",
    "keep",
    "known",
    "known_at",
    "means",
    "origins",
    "reader",
]

DIALECT: Final = "postgres"
#: What `Statement.guarded` puts before a statement in a transaction.
SAVEPOINT: Final = "SAVEPOINT guardai"
#: After an error that the server has not seen the transaction is sound, and this makes it what it was.
UNMOVED: Final = ("ROLLBACK TO SAVEPOINT guardai", "RELEASE SAVEPOINT guardai")
#: The same around our own questions.
READING: Final = ("SAVEPOINT guardai", "RELEASE SAVEPOINT guardai")
#: Seconds after which the server is asked again what its tables are: others may have changed them.
_AGE: Final = 60.0
#: Relations below are the engine's own.
_FIRST_OID: Final = 16384
_CONTROL: Final = re.compile(
    r"\s*(?:begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|set)\b[^;]*;?\s*\Z", re.IGNORECASE
)
_COLUMNS: Final = """
SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN c.relname ELSE n.nspname || '.' || c.relname END,
       a.attname, c.oid, a.attnum
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY c.oid, a.attnum"""

Key = tuple[str, int, str, str]


class Known(NamedTuple):
    """One connection: the database, and under what its schema is kept."""

    target: Target
    key: Key


def known_at(host: str, port: int, database: str, user: str) -> Known:
    """`postgresql://host:port/database`, as the catalog's patterns are written: no user, no password."""
    if not host or host.startswith(("/", "@")):  # a socket of this machine
        host = "localhost"
    where = f"[{host}]" if ":" in host else host
    url = f"postgresql://{where}:{port}/{quote(database, safe='')}"
    return Known(Target("database", url), (host, port, database, user))


def controls(sql: str) -> bool:
    """Whether it is one statement that begins, ends or marks a transaction: nothing of ours may stand around it."""
    return _CONTROL.match(sql) is not None


def means(exc: BaseException, state: str | None, *, closed: bool) -> dict[str, bool]:
    """What an error says: the connection is gone, or the engine was locked against this.

    Args:
        exc: what the driver raised.
        state: its SQLSTATE.
        closed: whether the connection is of no use any more.
    """
    gone = closed or (state or "")[:3] == "57P" or (state or "")[:2] == "08"
    return {"lost": gone, "barred": state == "25006"}


# ---------------------------------------------------------------------- the live schema


class Read(NamedTuple):
    """What one reading told.

    Attributes:
        schema: the tables.
        columns: (relation's oid, column's number) → `table.column`: what a result's columns are told by.
    """

    schema: LiveSchema
    columns: dict[tuple[int, int], str]


_lock: Final = threading.Lock()
_kept: Final[dict[Key, tuple[Read, int, float]]] = {}
_epochs: Final[dict[tuple[str, int, str], int]] = {}


def known(key: Key) -> Read | None:
    """What was read last, stale or not."""
    kept = _kept.get(key)
    return kept[0] if kept is not None else None


def fresh(key: Key) -> bool:
    """Whether that still holds as far as this process knows."""
    kept = _kept.get(key)
    return kept is not None and kept[1] == _epochs.get(key[:3], 0) and time.monotonic() < kept[2]


def keep(key: Key, read: Read, epoch: int) -> None:
    """Keeps a reading that was begun in that epoch."""
    with _lock:
        _kept[key] = (read, epoch, time.monotonic() + _AGE)


def epoch(key: Key) -> int:
    """How often this process has changed the tables of that database."""
    return _epochs.get(key[:3], 0)


def changed(key: Key) -> None:
    """Tables may have changed, whoever reads them."""
    with _lock:
        _epochs[key[:3]] = _epochs.get(key[:3], 0) + 1


def reader() -> Generator[str, list[tuple[Any, ...]], Read]:
    """Yields queries and is sent their rows, of text; returns what they told."""
    tables: dict[str, tuple[str, ...]] = {}
    columns: dict[tuple[int, int], str] = {}
    for table, column, oid, number in (yield _COLUMNS):
        name = str(table).lower()
        tables[name] = (*tables.get(name, ()), str(column).lower())
        columns[int(oid), int(number)] = f"{name}.{str(column).lower()}"
    return Read(LiveSchema(tables=tables), columns)


def origins(key: Key, told: list[tuple[int, int]]) -> tuple[str, ...]:
    """Where the server says that each column of a result comes from; () where nothing was read.

    A column that is not known means that the tables have changed since.
    """
    read = known(key)
    if read is None:
        return ()
    found = tuple(read.columns.get(at, "") for at in told)
    if any(not name and table >= _FIRST_OID and number > 0 for name, (table, number) in zip(found, told, strict=True)):
        changed(key)
    return found
