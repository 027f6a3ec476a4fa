"""PostgreSQL, whichever driver speaks to it: its address, what its errors mean, and what its tables are."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import quote

from guardai.hooks import LiveSchemas, Target

__all__ = [
    "DIALECT",
    "READING",
    "SAVEPOINT",
    "UNMOVED",
    "Known",
    "controls",
    "known_at",
    "means",
    "origins",
    "schemas",
]

DIALECT: Final = "postgres"
#: What `Statement.guarded` puts before a statement in a transaction.
SAVEPOINT: Final = "SAVEPOINT guardai"
#: After an error that the server has not seen the transaction is sound, and this makes it what it was.
UNMOVED: Final = ("ROLLBACK TO SAVEPOINT guardai", "RELEASE SAVEPOINT guardai")
#: The same around our own questions.
READING: Final = ("SAVEPOINT guardai", "RELEASE SAVEPOINT guardai")
#: Relations below are the engine's own.
_FIRST_OID: Final = 16384
_CONTROL: Final = re.compile(
    r"\s*(?:begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|set)\b[^;]*;?\s*\Z", re.IGNORECASE
)


class Known(NamedTuple):
    """One connection: the database, and under what its schema is kept.

    Attributes:
        target: the database, as policy sees it.
        key: what the meaning of a name depends on.
        missed: relations that results came from and the schema did not tell of. A connection asks for each of them once:
            another connection's temporary table is never found, and two of them would have the tables read at each turn.
    """

    target: Target
    key: tuple[str, int, str, str, str]
    missed: set[int]


def known_at(host: str, port: int, database: str, user: str, options: str) -> Known:
    """`postgresql://host:port/database`, as the catalog's patterns are written: no user, no password."""
    if not host or host.startswith(("/", "@")):  # a socket of this machine
        host = "localhost"
    where = f"[{host}]" if ":" in host else host
    url = f"postgresql://{where}:{port}/{quote(database, safe='')}"
    return Known(Target("database", url), (host, port, database, user, options), set())


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


#: By key: names stand for what the server, the database, the user and the options say.
schemas: Final = LiveSchemas()


def origins(known: Known, told: list[tuple[int, int]]) -> tuple[str, ...]:
    """Where the server says that each column of a result comes from; () where no schema was read.

    Args:
        known: the connection.
        told: the numbers of relation and column, 0 where there is none.
    """
    schema = schemas.get(known.key)
    if schema is None:
        return ()
    found = tuple(schema.origins.get(at, "") for at in told)
    new = {
        table
        for name, (table, number) in zip(found, told, strict=True)
        if not name and table >= _FIRST_OID and number > 0 and table not in known.missed
    }
    if new:
        # Tables have been made since, by somebody who did not tell.
        known.missed.update(new)
        schemas.changed(known.key)
    return found
