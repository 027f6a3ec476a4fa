"""The whole text: `inspect`, with its cache of exact texts."""

from __future__ import annotations

from itertools import combinations
from threading import Lock
from typing import TYPE_CHECKING, Final

from guardai.sql.inspection import Inspection
from guardai.sql.judge import judge, verb
from guardai.sql.lexicon import DIALECTS
from guardai.sql.prescan import Refused, prescan
from guardai.sql.split import agreed, statements

if TYPE_CHECKING:
    from guardai.sql.facts import Facts

__all__ = ["inspect"]

#: A statement longer than this is judged anew each time: bulk inserts do not repeat.
_CACHED_LENGTH: Final = 16_384
_CACHED_ENTRIES: Final = 4_096
_CACHED_CHARACTERS: Final = 4_000_000

_cache: dict[tuple[str, str], Inspection] = {}
_lock = Lock()
_held = 0
_get = _cache.get


def inspect(sql: str, dialect: str) -> Inspection:
    """What a text of SQL would do, without running it. Never raises for any `str`.

    Args:
        sql: one statement or several, as it would be given to the driver.
        dialect: one of bigquery, clickhouse, databricks, duckdb, mariadb, mysql, oracle, postgres, redshift, snowflake,
            sqlite, trino, tsql; any other gives the effect `unknown`.
    """
    # A reader takes no lock: the dictionary changes only by single, atomic operations.
    found = _get((sql, dialect))  # 0.15 µs
    if found is not None:
        return found
    found = _fresh(str(sql), dialect)
    if len(sql) <= _CACHED_LENGTH:
        _remember(str(sql), dialect, found)
    return found


def _remember(sql: str, dialect: str, found: Inspection) -> None:
    global _held
    with _lock:
        if (sql, dialect) not in _cache:
            _held += len(sql)
        _cache[sql, dialect] = found
        while len(_cache) > _CACHED_ENTRIES or _held > _CACHED_CHARACTERS:
            oldest = next(iter(_cache))
            del _cache[oldest]
            _held -= len(oldest[0])


def _unknown(reason: str) -> Inspection:
    return Inspection(statements=1, effects=frozenset({"unknown"}), reason=reason)


def _fresh(sql: str, dialect: str) -> Inspection:
    if dialect not in DIALECTS:
        return _unknown("unknown-dialect")
    try:
        first, versioned = _reading(sql, dialect, frozenset())
        readings = [first]
        # A comment that only some servers run: judged as run and as skipped, in every combination.
        for count in range(1, versioned + 1):
            readings += [_reading(sql, dialect, frozenset(skip))[0] for skip in combinations(range(versioned), count)]
    except Refused as why:
        return _unknown(str(why))
    except RecursionError:
        return _unknown("too-deep")
    except Exception:  # fail closed; the tests look for this reason
        return _unknown("internal-error")
    return readings[0] if len(readings) == 1 else _worst(readings)


def _reading(sql: str, dialect: str, skip: frozenset[int]) -> tuple[Inspection, int]:
    scan = prescan(sql, dialect, skip)
    found = statements(scan, dialect)
    if not found:
        return Inspection(statements=0, effects=frozenset({"read"})), scan.versioned
    total: Facts = judge(sql, found[0], dialect, odd=scan.odd)
    for tokens in found[1:]:
        total.add(judge(sql, tokens, dialect, odd=scan.odd))
    if not agreed(sql, scan, found):
        total.unknown("split-disagreement")
    return (
        Inspection(
            statements=len(found),
            effects=frozenset(total.effects) or frozenset({"unknown"}),
            reads=frozenset(total.reads),
            writes=frozenset(total.writes),
            functions=frozenset(total.functions),
            unbounded=total.unbounded,
            reason=total.reason,
            columns_read=frozenset(total.columns),
            verbs=tuple(verb(tokens) for tokens in found),
        ),
        scan.versioned,
    )


def _worst(readings: list[Inspection]) -> Inspection:
    """All that any of the readings would do."""
    return Inspection(
        statements=max(reading.statements for reading in readings),
        effects=frozenset().union(*(reading.effects for reading in readings)),
        reads=frozenset().union(*(reading.reads for reading in readings)),
        writes=frozenset().union(*(reading.writes for reading in readings)),
        functions=frozenset().union(*(reading.functions for reading in readings)),
        unbounded=any(reading.unbounded for reading in readings),
        reason=next((reading.reason for reading in readings if reading.reason), None),
        columns_read=frozenset().union(*(reading.columns_read for reading in readings)),
        verbs=max((reading.verbs for reading in readings), key=len),
    )
