"""What the tables of a connection are: asked of the server under the connection's lock, unseen by the program."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from guardai.hooks import schema_reader
from guardai_dbapi import postgres
from guardai_dbapi.postgres import DIALECT, Known
from guardai_dbapi.psycopg3.governed import idle, ours

__all__ = ["known_of", "reading", "unread"]

PQGen = Generator[Any, Any, Any]


def _read(conn: Any, known: Known) -> PQGen:
    """Asks the server what its tables are: neither a transaction nor a statement of the program's."""
    epoch, reader = postgres.schemas.epoch(known.key), schema_reader(DIALECT)
    within = conn.pgconn.transaction_status != idle()
    if within:
        yield from ours(conn, postgres.READING[0])
    try:
        query = next(reader)
        while True:
            query = reader.send(_cells(conn, (yield from ours(conn, query))))
    except StopIteration as told:
        postgres.schemas.put(known.key, told.value, epoch)
    except Exception:
        if within:
            for text in postgres.UNMOVED:
                yield from ours(conn, text)
        raise
    if within:
        yield from ours(conn, postgres.READING[1])


#: Types whose values are numbers: int8, int2, int4.
_INTEGERS: Final = frozenset({20, 21, 23})


def _cells(conn: Any, result: Any) -> list[tuple[Any, ...]]:
    """A result of ours, without the program's own loaders."""
    encoding = conn.pgconn._encoding
    load = [
        int if result.ftype(at) in _INTEGERS else lambda cell: cell.decode(encoding, "replace")
        for at in range(result.nfields)
    ]
    return [
        tuple(None if (cell := result.get_value(row, at)) is None else load[at](cell) for at in range(result.nfields))
        for row in range(result.ntuples)
    ]


def unread(conn: Any, known: Known) -> bool:
    """Whether the tables have to be read, as far as that can be told without the connection's lock."""
    return postgres.schemas.get(known.key) is None and not conn._pipeline and not conn.closed


def reading(conn: Any, known: Known, text: str) -> PQGen:
    """Reads the tables if they can be read now."""
    from psycopg.pq import TransactionStatus

    status = conn.pgconn.transaction_status
    # In a transaction `SET TRANSACTION` has to be the first.
    may = status == TransactionStatus.IDLE or (status == TransactionStatus.INTRANS and not postgres.controls(text))
    if may and unread(conn, known):
        yield from _read(conn, known)


def known_of(conn: Any) -> Known:
    """What is known of a connection."""
    found = vars(conn).get("_guardai")
    if found is None:
        pgconn = conn.pgconn
        host = pgconn.host or pgconn.hostaddr or b""
        port = pgconn.port
        found = conn._guardai = postgres.known_at(
            host.decode("utf-8", "replace"),
            int(port) if port else 5432,
            (pgconn.db or b"").decode("utf-8", "replace"),
            (pgconn.user or b"").decode("utf-8", "replace"),
            (pgconn.options or b"").decode("utf-8", "replace"),
        )
    return found  # type: ignore[no-any-return]
